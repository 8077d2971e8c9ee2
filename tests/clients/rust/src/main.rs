//! A person's way through the server with the generated client.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use latchkey_client::apis::configuration::Configuration;
use latchkey_client::apis::{Error, api_keys_api, auth_api, kyc_api, mfa_api};
use latchkey_client::models::*;
use serde_json::{Value, json};

const EMAIL: &str = "rust@journey.example";
const PASSWORD: &str = "an unhurried walk to the harbour";

type Failure = Box<dyn std::error::Error>;

/// What the person does outside the application: see `person.py`.
async fn ask(person: &str, what: &str, name: &str, about: &str) -> Result<String, Failure> {
    let request = reqwest::Client::new().get(format!("{person}/{what}")).query(&[(name, about)]);
    Ok(request.send().await?.error_for_status()?.text().await?)
}

fn place(name: &str) -> ValidationErrorLocInner {
    ValidationErrorLocInner::String(name.into())
}

fn password() -> LoginRequest {
    LoginRequest::new(EMAIL.into(), PASSWORD.into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().ok_or("usage: journey SERVER PERSON")?;
    let person = arguments.next().ok_or("usage: journey SERVER PERSON")?;
    let anybody = Configuration { base_path: server, ..Configuration::new() };
    let signed_in = |session: &AuthSession| Configuration {
        bearer_access_token: Some(session.access_token.clone()),
        ..anybody.clone()
    };

    let short = SignupRequest::new(EMAIL.into(), "short".into());
    let Err(Error::ResponseError(short)) = auth_api::account_create(&anybody, short).await else {
        panic!("a short password was taken");
    };
    let Some(auth_api::AccountCreateError::Status422(mistakes)) = short.entity else { panic!("{short:?}") };
    assert_eq!(mistakes.detail[0].loc, [place("body"), place("password")]);
    let account =
        auth_api::account_create(&anybody, SignupRequest::new(EMAIL.into(), PASSWORD.into())).await?;
    assert_eq!((account.next_step.as_deref(), account.session), (Some("verify_email"), None));
    let token = ask(&person, "mail", "to", EMAIL).await?;
    auth_api::email_verify(&anybody, VerifyEmailRequest::new(token)).await?;
    println!("signed up and confirmed");

    let wrong = LoginRequest::new(EMAIL.into(), format!("not {PASSWORD}"));
    let Err(Error::ResponseError(wrong)) = auth_api::session_create(&anybody, wrong).await else {
        panic!("a wrong password was taken");
    };
    let Some(auth_api::SessionCreateError::Status401(problem)) = wrong.entity else { panic!("{wrong:?}") };
    assert_eq!((problem.status, problem.error), (401, ErrorCode::InvalidCredentials));

    let first = auth_api::session_create(&anybody, password()).await?;
    let client = signed_in(first.session.as_ref().ok_or("no session")?);
    let app = mfa_api::totp_create(&client, Named::new("Phone".into())).await?;
    let code = TotpConfirmation::new(ask(&person, "code", "secret", &app.secret).await?);
    let confirmed = mfa_api::totp_confirm(&client, &app.id, code).await?;
    assert_eq!(confirmed.recovery_codes.map(|codes| codes.len()), Some(10));
    auth_api::session_end(&anybody, LogoutRequest::new(confirmed.session.access_token)).await?;
    println!("added an authenticator app");

    let login = auth_api::session_create(&anybody, password()).await?;
    assert_eq!(login.next_step.as_deref(), Some("mfa"));
    let ticket = login.mfa.ok_or("no ticket")?.ticket;
    let code = ask(&person, "code", "secret", &app.secret).await?;
    let code = MfaVerification::new(ticket, CodeMethod::Totp, code);
    let second = mfa_api::mfa_verify(&anybody, code).await?.session.ok_or("no session")?;
    let client = signed_in(&second);
    println!("signed in with two factors");

    let secret = "a-key-of-the-journey";
    let settings = [("base_url".to_owned(), json!(person)), ("test_path".to_owned(), json!("/status"))];
    let key = NewApiKey {
        provider: Some("generic_bearer".into()),
        settings: Some(Some(settings.into())),
        ..NewApiKey::new("Demo".into(), secret.into())
    };
    let stored = api_keys_api::api_key_create(&client, key).await?.data;
    assert_eq!(api_keys_api::api_key_test(&client, &stored.id).await?.data.outcome, TestOutcome::Ok);
    let revealed = api_keys_api::api_key_decrypt(&client, &stored.id, None).await?;
    assert_eq!(revealed.data.api_key, secret);
    println!("stored, tested and revealed a credential");

    let request = uuid::Uuid::new_v4().to_string();
    let check =
        kyc_api::verification_create(&client, NewVerification::new("full".into()), Some(&request)).await?;
    ask(&person, "approve", "page", &check.url.ok_or("no page")?).await?;
    let mut tries = 0..100;
    while kyc_api::verification_get(&client, &check.verification.id).await?.verification.status
        != KycStatus::Approved
    {
        tries.next().ok_or("not approved in 20 seconds")?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let third = auth_api::session_refresh(&anybody, RefreshRequest::new(second.refresh_token)).await?;
    let third = third.session.ok_or("no session")?;
    let payload = third.access_token.split('.').nth(1).ok_or("no JWT")?;
    let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload)?)?;
    assert_eq!(claims["ial"], 1);
    println!("identified");

    auth_api::session_end(&anybody, LogoutRequest::new(third.access_token.clone())).await?;
    let Err(Error::ResponseError(refused)) = auth_api::profile_get(&signed_in(&third)).await else {
        panic!("the token still works");
    };
    let Some(auth_api::ProfileGetError::Status401(problem)) = refused.entity else { panic!("{refused:?}") };
    assert_eq!((problem.status, problem.error), (401, ErrorCode::InvalidToken));
    println!("signed out");
    Ok(())
}
