//! Sign-up, profile and password.

use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::Tag;
use super::auth::{AuthResponse, AuthUser, EXAMPLE_ID, EXAMPLE_INSTANT};
use super::caller::{App, Bearer, Client, Recent};
use super::instant::Instant;
use super::payload::{Email, HttpsUrl, Json, Language, Line, NewPassword, Nullable, Password, Patch, Phone};
use super::problem::{Fault, errors};
use crate::locale::Locale;
use crate::services::accounts::{ProfileChange, SignUp, SignedUp};
use crate::services::sessions::State;

/// Operations on accounts.
pub struct AccountsApi;

/// An address and a password for a new account
#[derive(Object)]
struct SignupRequest {
    /// Where the confirmation is sent; a domain reserved for tests or local use (`.test`, `.localhost`, `.local`,
    /// `.invalid`, `.onion`, `.arpa`) is refused
    email: Email,
    /// 8 to 128 characters of any kind. Refused are common and breached passwords, the e-mail address, the part before
    /// its `@`, and the name of this software
    #[oai(write_only)]
    password: NewPassword,
}

/// What an account says of its owner
#[derive(Debug, Object)]
#[oai(example)]
struct UserProfile {
    /// Id of the account
    id: String,
    /// The address as it was typed
    email: String,
    /// What the person is called
    full_name: Nullable<String>,
    /// A picture
    avatar_url: Nullable<String>,
    /// A telephone number in E.164
    phone: Nullable<String>,
    /// The language of mails (BCP 47); null: as the `Accept-Language` of each request asks for, or English
    locale: Nullable<Language>,
    /// When the account was made
    created_at: Instant,
    /// When it last changed
    updated_at: Instant,
}

impl Example for UserProfile {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID.into(),
            email: "ada@example.com".into(),
            full_name: Some("Ada Lovelace".to_owned()).into(),
            avatar_url: None.into(),
            phone: Some("+442079460958".to_owned()).into(),
            locale: Some(Language(Locale::En)).into(),
            created_at: EXAMPLE_INSTANT,
            updated_at: EXAMPLE_INSTANT,
        }
    }
}

impl From<&State> for UserProfile {
    fn from(state: &State) -> Self {
        Self {
            id: state.account.to_string(),
            email: state.email.clone(),
            full_name: state.full_name.clone().into(),
            avatar_url: state.avatar_url.clone().into(),
            phone: state.phone.clone().into(),
            // A newer release may know a language that this one does not.
            locale: state.locale.as_deref().and_then(|tag| tag.parse().ok()).map(Language).into(),
            created_at: Instant(state.created_at),
            updated_at: Instant(state.updated_at),
        }
    }
}

/// Members to change; null clears, absent ones stay
#[derive(Object)]
#[oai(example)]
struct ProfileUpdate {
    /// What the person is called
    #[oai(validator(min_length = 1, max_length = 200))]
    full_name: Patch<Line>,
    /// A picture, by https
    avatar_url: Patch<HttpsUrl>,
    /// A telephone number in E.164, such as `+442079460958`
    phone: Patch<Phone>,
    /// The language of mails (BCP 47); at sign-up it is the first one of `Accept-Language` that there is
    locale: Patch<Language>,
}

impl Example for ProfileUpdate {
    fn example() -> Self {
        Self {
            full_name: Patch::Set("Ada Lovelace".into()),
            avatar_url: Patch::Clear,
            phone: Patch::Keep,
            locale: Patch::Set(Language(Locale::De)),
        }
    }
}

/// The password in use and the one to come
#[derive(Object)]
struct PasswordChange {
    /// The password in use
    #[oai(write_only)]
    current_password: Password,
    /// 8 to 128 characters of any kind. Refused are common and breached passwords, the e-mail address, the part before
    /// its `@`, and the name of this software
    #[oai(write_only)]
    new_password: NewPassword,
}

/// It is done
#[derive(Debug, Object)]
#[oai(example)]
pub(super) struct Done {
    /// Always true
    success: bool,
    /// What was done, for a person
    message: String,
}

impl Done {
    pub fn saying(message: &str) -> Self {
        Self { success: true, message: message.into() }
    }
}

impl Example for Done {
    fn example() -> Self {
        Self::saying(PASSWORD_CHANGED)
    }
}

const PASSWORD_CHANGED: &str = "The password is changed and all other sessions have been ended";

errors!(SignupErrors: 408, 413, 415, 422, 429);
errors!(ProfileErrors: 401);
errors!(ProfileUpdateErrors: 401, 408, 413, 415, 422);
errors!(PasswordErrors: 401, 403, 408, 413, 415, 422, 429);

#[OpenApi(tag = "Tag::Auth")]
impl AccountsApi {
    /// Sign up
    ///
    /// Makes an account and mails a link that confirms the address. Until then `session` is null and `next_step` says
    /// `verify_email`. An address that has an account gets the same answer, and its owner a mail that says so. Where
    /// confirmed addresses are not required, the answer holds a session at once. `Accept-Language` chooses the language
    /// of the account's mails, which the profile can change.
    #[oai(path = "/auth/signup", method = "post", operation_id = "account_create")]
    async fn create(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Json(body): Json<SignupRequest>,
    ) -> Result<Json<AuthResponse>, SignupErrors> {
        let request = SignUp {
            email: body.email.as_str().to_owned(),
            email_key: body.email.key().to_owned(),
            password: body.password.into(),
        };
        Ok(Json(app.sign_up(request, &client).await.map_err(Fault::in_member("password"))?.into()))
    }

    /// Read the profile
    ///
    /// The caller's own account.
    #[oai(path = "/auth/profile", method = "get", operation_id = "profile_get")]
    async fn profile(&self, Bearer(caller): Bearer) -> Result<Json<UserProfile>, ProfileErrors> {
        Ok(Json(UserProfile::from(&*caller.state)))
    }

    /// Update the profile
    ///
    /// Changes the members that are sent, clears those sent as null, and answers the profile as it is then.
    #[oai(path = "/auth/profile", method = "patch", operation_id = "profile_update")]
    async fn update_profile(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Bearer(caller): Bearer,
        Json(body): Json<ProfileUpdate>,
    ) -> Result<Json<UserProfile>, ProfileUpdateErrors> {
        let change = ProfileChange {
            full_name: body.full_name.change().map(|name| name.map(Line::into)),
            avatar_url: body.avatar_url.change().map(|url| url.map(|url| url.as_str().to_owned())),
            phone: body.phone.change().map(|phone| phone.map(|phone| phone.as_str().to_owned())),
            locale: body.locale.change().map(|language| language.map(|Language(locale)| locale)),
        };
        Ok(Json(UserProfile::from(&app.update_profile(&caller, change, &client).await?)))
    }

    /// Change the password
    ///
    /// Needs the current one, and a recent sign-in at the account's best level. Ends the account's other sessions and tells
    /// its owner by mail.
    #[oai(path = "/auth/password", method = "post", operation_id = "password_change")]
    async fn change_password(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Recent(caller): Recent,
        Json(body): Json<PasswordChange>,
    ) -> Result<Json<Done>, PasswordErrors> {
        let (current, new) = (body.current_password.into(), body.new_password.into());
        app.change_password(&caller, current, new, &client)
            .await
            .map_err(Fault::in_member("new_password"))?;
        Ok(Json(Done::saying(PASSWORD_CHANGED)))
    }
}

impl From<SignedUp> for AuthResponse {
    fn from(signed_up: SignedUp) -> Self {
        match signed_up {
            SignedUp::SignedIn(signed_in) => signed_in.into(),
            SignedUp::VerifyEmail { account, email } => Self {
                next_step: Some("verify_email".to_owned()).into(),
                ..Self::without_session(AuthUser {
                    id: account.to_string(),
                    email,
                    email_confirmed_at: None.into(),
                })
            },
        }
    }
}
