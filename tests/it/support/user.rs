use std::ops::Deref;

use serde_json::{Value, json};

use super::{Answer, Client};

/// The password of everybody who is not given another.
pub const PASSWORD: &str = "seven pale blue teapots";

/// Somebody who is signed in. Dereferences to the client that sends the access token.
#[derive(Clone)]
pub struct User {
    pub email: String,
    pub password: String,
    pub id: String,
    pub access_token: String,
    pub refresh_token: String,
    client: Client,
}

impl Deref for User {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl User {
    pub fn new(anonymous: Client, email: &str, password: &str, answer: &Answer) -> Self {
        let mut user = Self {
            email: email.to_owned(),
            password: password.to_owned(),
            id: text(&answer.json()["user"]["id"]),
            access_token: String::new(),
            refresh_token: String::new(),
            client: anonymous,
        };
        user.take(answer);
        user
    }

    /// Goes on with the tokens of an answer.
    pub fn take(&mut self, answer: &Answer) {
        let session = &answer.json()["session"];
        self.access_token = text(&session["access_token"]);
        self.refresh_token = text(&session["refresh_token"]);
        self.client = Client::new(self.client.address).bearer(&self.access_token);
    }

    /// Exchanges the tokens for new ones.
    pub async fn refresh(&mut self) {
        let body = json!({ "refresh_token": self.refresh_token });
        let answer = self.client.post("/auth/refresh", &body).await.assert_status(200);
        self.take(&answer);
    }

    pub async fn logout(&self) -> Answer {
        self.post("/auth/logout", &json!({ "access_token": self.access_token })).await
    }

    pub async fn profile(&self) -> Answer {
        self.get("/auth/profile").await
    }

    pub async fn change_password(&self, current: &str, new: &str) -> Answer {
        self.post("/auth/password", &json!({ "current_password": current, "new_password": new })).await
    }

    /// Proves the password once more, and goes on with the new tokens.
    pub async fn step_up_with_password(&mut self) {
        let body = json!({ "method": "password", "secret": self.password });
        let answer = self.post("/auth/step-up", &body).await.assert_status(200);
        self.take(&answer);
    }

    /// The claims of the access token.
    pub fn claims(&self) -> Value {
        claims(&self.access_token)
    }
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// What an access token says.
pub fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    let payload = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&payload).unwrap()
}
