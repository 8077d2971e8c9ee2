use entities::Timestamp;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use super::{App, Client, User};

/// An authenticator app that has been given a secret.
#[derive(Clone)]
pub struct Totp {
    pub id: String,
    secret: String,
}

impl Totp {
    /// What the app makes of an enrolment.
    pub fn scan(enrolment: &Value) -> Self {
        let text = |name: &str| enrolment[name].as_str().unwrap().to_owned();
        Self { id: text("id"), secret: text("secret") }
    }

    /// What it shows at this instant.
    pub fn code(&self, at: Timestamp) -> String {
        let secret = Secret::try_from_base32(&self.secret).unwrap();
        let totp = Builder::new().with_secret(secret).build_noncompliant();
        totp.generate(u64::try_from(at.seconds()).unwrap()).to_string()
    }

    /// Something that it does not show about then.
    pub fn wrong_code(&self, at: Timestamp) -> String {
        let shown: Vec<String> = (-2..=2).map(|step| self.code(Timestamp(at.0 + step * 30_000))).collect();
        (0..10).map(|digit| digit.to_string().repeat(6)).find(|code| !shown.contains(code)).unwrap()
    }
}

impl User {
    /// Enrols an authenticator app and confirms it with the code of `at`. Answers the app and the recovery codes.
    pub async fn add_totp(&mut self, name: &str, at: Timestamp) -> (Totp, Vec<String>) {
        let enrolment = self.post("/auth/mfa/totp", &json!({ "name": name })).await.assert_status(200).json();
        let totp = Totp::scan(&enrolment);
        let path = format!("/auth/mfa/totp/{}/confirm", totp.id);
        let answer = self.post(&path, &json!({ "code": totp.code(at) })).await.assert_status(200);
        self.take(&answer);
        let codes = answer.json()["recovery_codes"].as_array().cloned().unwrap_or_default();
        (totp, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
    }

    /// Proves more with a code of the app, and goes on with the new tokens.
    pub async fn step_up(&mut self, totp: &Totp, at: Timestamp) {
        let body = json!({ "method": "totp", "secret": totp.code(at) });
        let answer = self.post("/auth/step-up", &body).await.assert_status(200);
        self.take(&answer);
    }
}

impl App {
    /// Somebody signed in who has an authenticator app. The clock has moved on to its next code.
    pub async fn user_with_totp(&self, email: &str) -> (User, Totp, Vec<String>) {
        let mut user = self.user(email).await;
        let (totp, codes) = user.add_totp("Phone", self.now()).await;
        self.next_code();
        (user, totp, codes)
    }

    /// Moves on to the next time step.
    pub fn next_code(&self) {
        self.clock.advance_seconds(30);
    }

    pub fn now(&self) -> Timestamp {
        use latchkey::clock::Clock;
        self.clock.now()
    }

    /// The password of somebody with a second factor, and the ticket that it gives.
    pub async fn ticket(&self, email: &str, password: &str) -> String {
        let answer = self.try_login(email, password).await.assert_status(200).json();
        assert_eq!((&answer["next_step"], &answer["session"]), (&json!("mfa"), &Value::Null), "{answer}");
        answer["mfa"]["ticket"].as_str().unwrap().to_owned()
    }

    /// Signs in with both factors.
    pub async fn login_with_totp(&self, email: &str, password: &str, totp: &Totp) -> User {
        let ticket = self.ticket(email, password).await;
        let answer = self.anonymous().verify_totp(&ticket, &totp.code(self.now())).await.assert_status(200);
        User::new(self.anonymous(), email, password, &answer)
    }
}

impl Client {
    pub async fn verify_totp(&self, ticket: &str, code: &str) -> super::Answer {
        let body = json!({ "ticket": ticket, "method": "totp", "code": code });
        self.post("/auth/mfa/verify", &body).await
    }

    pub async fn verify_recovery_code(&self, ticket: &str, code: &str) -> super::Answer {
        let body = json!({ "ticket": ticket, "method": "recovery_code", "code": code });
        self.post("/auth/mfa/verify", &body).await
    }
}
