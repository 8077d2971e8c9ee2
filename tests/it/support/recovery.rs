use serde_json::json;

use super::{Answer, App, Mail, User};

impl App {
    /// The next mail of this kind to this address; those before it are passed over.
    pub async fn mail_of(&self, email: &str, template: &str) -> Mail {
        loop {
            let mail = self.mail_to(email).await;
            if mail.template == template {
                return mail;
            }
        }
    }

    pub async fn forgot(&self, email: &str) -> Answer {
        self.anonymous().post("/auth/forgot-password", &json!({ "email": email })).await
    }

    /// Asks for a link to a new password, and takes the token out of the mail.
    pub async fn reset_token(&self, email: &str) -> String {
        self.forgot(email).await.assert_status(200);
        self.mail_of(email, "reset_password").await.token()
    }

    pub async fn reset(&self, token: &str, password: &str) -> Answer {
        let body = json!({ "token": token, "new_password": password });
        self.anonymous().post("/auth/reset-password", &body).await
    }

    pub async fn confirm_email(&self, token: &str) -> Answer {
        self.anonymous().post("/auth/email-change/confirm", &json!({ "token": token })).await
    }

    pub async fn restore_email(&self, token: &str) -> Answer {
        self.anonymous().post("/auth/email-change/revert", &json!({ "token": token })).await
    }

    /// Asks for another address, and takes the token out of the mail.
    pub async fn confirm_token(&self, user: &User, email: &str) -> String {
        user.change_email(email).await.assert_status(200);
        self.mail_of(email, "confirm_email_change").await.token()
    }

    /// Changes the address, and takes the token of the way back out of the mail.
    pub async fn restore_token(&self, user: &User, old: &str, new: &str) -> String {
        let token = self.confirm_token(user, new).await;
        self.confirm_email(&token).await.assert_status(200);
        self.mail_of(old, "email_changed").await.token()
    }
}

impl User {
    pub async fn change_email(&self, email: &str) -> Answer {
        self.post("/auth/email-change", &json!({ "email": email })).await
    }
}
