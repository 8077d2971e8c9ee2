//! One line: an account as a JSON object.

use entities::Timestamp;
use poem_openapi::types::ParseFromJSON;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::api::payload::{Email, HttpsUrl, Phone};
use crate::crypto::password::check_imported;
use crate::services::accounts::Import;

const MEMBERS: &str = "email, password_hash, email_verified, full_name, phone, avatar_url, created_at";

/// Reads a line. The error is the reason to reject it, for the operator; it repeats nothing that may be a hash.
pub fn parse(line: &[u8], now: Timestamp) -> Result<Import, String> {
    let value = serde_json::from_slice(line).map_err(|error| match error.column() {
        0 => "not JSON".to_owned(),
        column => format!("not JSON, at column {column}"),
    })?;
    let Value::Object(members) = value else { return Err("expected a JSON object".into()) };
    let mut members = Members(members);

    let email: Email = members.demand("email")?.parse().map_err(|error| format!("email: {error}"))?;
    let password_hash = members.demand("password_hash")?;
    check_imported(&password_hash).map_err(|error| format!("password_hash: {error}"))?;
    let import = Import {
        email: email.as_str().to_owned(),
        email_key: email.key().to_owned(),
        password_hash,
        email_verified: members.flag("email_verified")?,
        full_name: members.checked("full_name", full_name)?,
        phone: members
            .checked("phone", |text| taken::<Phone>(text, "expected E.164, such as +442079460958"))?,
        avatar_url: members.checked("avatar_url", |text| taken::<HttpsUrl>(text, "expected an https URL"))?,
        created_at: members.text("created_at")?.map(|text| instant(&text, now)).transpose()?,
    };
    members.demand_empty()?;
    Ok(import)
}

/// The members that were not looked at yet. Null and an empty text are like an absent member.
struct Members(Map<String, Value>);

impl Members {
    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            // PostgreSQL can't store NUL, and the others break lines in mails and logs.
            Some(Value::String(text)) if text.contains(char::is_control) => {
                Err(format!("{name}: control characters are not taken"))
            }
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{name}: expected text")),
        }
    }

    fn demand(&mut self, name: &str) -> Result<String, String> {
        self.text(name)?.ok_or_else(|| format!("{name} is missing"))
    }

    fn checked(
        &mut self,
        name: &str,
        check: impl FnOnce(&str) -> Result<(), String>,
    ) -> Result<Option<String>, String> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        check(&text).map_err(|reason| format!("{name}: {reason}"))?;
        Ok(Some(text))
    }

    fn flag(&mut self, name: &str) -> Result<bool, String> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(format!("{name}: expected true or false")),
        }
    }

    /// What is not known would be lost in silence.
    fn demand_empty(self) -> Result<(), String> {
        let Some(name) = self.0.keys().next() else { return Ok(()) };
        let is_name =
            name.len() <= 40 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let name = if is_name { name } else { "a member" };
        Err(format!("{name} is not known; known are {MEMBERS}"))
    }
}

/// As the API takes it.
fn full_name(text: &str) -> Result<(), String> {
    if text.chars().count() > 200 { Err("longer than 200 characters".into()) } else { Ok(()) }
}

/// Whether the API takes it.
fn taken<T: ParseFromJSON>(text: &str, otherwise: &str) -> Result<(), String> {
    T::parse_from_json(Some(text.into())).map(drop).map_err(|_| otherwise.to_owned())
}

fn instant(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let at = OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .and_then(|at| i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok())
        .ok_or("created_at: expected an instant such as 2024-02-29T12:00:00Z")?;
    if at > now.0 { Err("created_at: lies in the future".into()) } else { Ok(Timestamp(at)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2b$04$maUt7P4DXktu5K.9MvNtROmfFqKkvV9wS962HFpgb8.P4cj9.5m7O";
    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn with(member: &str) -> Result<Import, String> {
        parse(format!(r#"{{"email":"Ada@Example.com","password_hash":"{HASH}"{member}}}"#).as_bytes(), NOW)
    }

    #[test]
    fn an_address_and_a_hash_are_enough() {
        for member in ["", r#","full_name":null,"phone":"","avatar_url":null,"email_verified":null"#] {
            let import = with(member).unwrap();
            assert_eq!((&*import.email, &*import.email_key), ("Ada@example.com", "ada@example.com"));
            assert_eq!(import.password_hash, HASH);
            assert!(!import.email_verified && import.full_name.is_none() && import.phone.is_none());
            assert!(import.avatar_url.is_none() && import.created_at.is_none());
        }
    }

    #[test]
    fn all_members_are_taken_over() {
        let import = with(
            r#","email_verified":true,"full_name":"Ada Lovelace","phone":"+442079460958",
               "avatar_url":"https://example.com/ada.png","created_at":"2024-02-29T12:00:00.5+01:00""#,
        )
        .unwrap();
        assert!(import.email_verified);
        assert_eq!(import.full_name.as_deref(), Some("Ada Lovelace"));
        assert_eq!(import.phone.as_deref(), Some("+442079460958"));
        assert_eq!(import.avatar_url.as_deref(), Some("https://example.com/ada.png"));
        assert_eq!(import.created_at, Some(Timestamp(1_709_204_400_500)));
    }

    #[test]
    fn a_bad_line_is_rejected_with_the_reason_and_without_its_hash() {
        for (line, reason) in [
            (String::new(), "not JSON"),
            ("{".into(), "not JSON"),
            (format!("\"{HASH}\""), "expected a JSON object"),
            (format!("[\"{HASH}\"]"), "expected a JSON object"),
            (format!("{{\"email\":\"a@example.com\" \"{HASH}\"}}"), "not JSON, at column 26"),
            ("{}".into(), "email is missing"),
            (r#"{"email":"a@example.com"}"#.into(), "password_hash is missing"),
            (r#"{"email":"a@example.com","password_hash":""}"#.into(), "password_hash is missing"),
            (format!(r#"{{"email":["{HASH}"]}}"#), "email: expected text"),
            (
                format!(r#"{{"email":"nobody","password_hash":"{HASH}"}}"#),
                "email: An email address must have",
            ),
            (format!(r#"{{"email":"a@local.test","password_hash":"{HASH}"}}"#), "email: "),
            (
                r#"{"email":"a@example.com","password_hash":"5f4dcc3b5aa765d61d8327deb882cf99"}"#.into(),
                "bcrypt",
            ),
            (
                format!(r#"{{"email":"a@example.com","password_hash":"{}"}}"#, HASH.replace("$04$", "$31$")),
                "password_hash: a hash that would cost more",
            ),
        ] {
            let error = parse(line.as_bytes(), NOW).err().unwrap_or_else(|| panic!("{line}"));
            assert!(error.contains(reason), "{line}: {error}");
            assert!(!error.contains("maUt7P4D") && !error.contains("5f4dcc"), "{error}");
        }
        for (member, reason) in [
            (format!(r#","email_verified":"{HASH}""#), "email_verified: expected true or false"),
            (format!(r#","{HASH}":1"#), "a member is not known; known are email,"),
            (r#","name":"Ada""#.into(), "name is not known"),
            (format!(r#","full_name":"{}""#, "x".repeat(201)), "full_name: longer than 200"),
            (r#","full_name":"Ada\nLovelace""#.into(), "full_name: control characters"),
            (r#","avatar_url":"https://example.com/\u0000""#.into(), "avatar_url: control characters"),
            (r#","avatar_url":"http://example.com/""#.into(), "avatar_url: expected an https URL"),
            (r#","phone":"020 7946 0958""#.into(), "phone: expected E.164"),
            (r#","created_at":1709204400"#.into(), "created_at: expected text"),
            (r#","created_at":"yesterday""#.into(), "created_at: expected an instant"),
            (r#","created_at":"2099-01-01T00:00:00Z""#.into(), "created_at: lies in the future"),
        ] {
            let error = with(&member).err().unwrap_or_else(|| panic!("{member}"));
            assert!(error.contains(reason), "{member}: {error}");
            assert!(!error.contains("maUt7P4D"), "{error}");
        }
        assert!(parse(b"{\"email\":\"\xff\"}", NOW).is_err());
    }
}
