use std::time::SystemTime;

use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    },
};

use super::Rendered;

/// Names the template of a message, for those who filter mail, and for the names of .eml files.
pub const TEMPLATE_HEADER: &str = "X-Latchkey-Template";

/// No quoted-printable text holds "=_", so that the boundary needs no chance and composing twice gives the same.
const BOUNDARY: &str = "=_part_=";

/// Why a message could not be composed. It never can be: the outbox need not try again.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// Not an address that a message can be sent to.
    #[error("the recipient is not an e-mail address")]
    Recipient,
    /// Control characters would start a header of their own.
    #[error("the subject contains control characters")]
    Subject,
    /// Not of the form `unique@domain`.
    #[error("the message id is not of the form unique@domain")]
    MessageId,
    /// Refused by the mail library.
    #[error("the message could not be built: {0}")]
    Build(#[from] lettre::error::Error),
}

/// Makes a message of text and HTML (`multipart/alternative`) that no auto-responder answers (RFC 3834).
///
/// `message_id` is `unique@domain`, without angle brackets; the same for every attempt to send the same mail, so
/// that a repeated one can be recognised.
pub fn compose(
    rendered: &Rendered,
    from: &Mailbox,
    to: &str,
    message_id: &str,
    date: SystemTime,
) -> Result<Message, ComposeError> {
    let to: Address = to.parse().map_err(|_| ComposeError::Recipient)?;
    if rendered.subject.chars().any(char::is_control) {
        return Err(ComposeError::Subject);
    }
    let id_fits = message_id.split('@').filter(|part| !part.is_empty()).count() == 2
        && message_id.matches('@').count() == 1
        && message_id.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>'));
    if !id_fits {
        return Err(ComposeError::MessageId);
    }
    let message = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(rendered.subject.clone())
        .date(date)
        .message_id(Some(format!("<{message_id}>")))
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str(TEMPLATE_HEADER),
            rendered.template.to_owned(),
        ))
        // RFC 3282
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Content-Language"),
            rendered.locale.to_string(),
        ))
        .multipart(
            MultiPart::alternative()
                .boundary(BOUNDARY)
                .singlepart(part(ContentType::TEXT_PLAIN, &rendered.text))
                .singlepart(part(ContentType::TEXT_HTML, &rendered.html)),
        )?;
    Ok(message)
}

fn part(content_type: ContentType, content: &str) -> SinglePart {
    SinglePart::builder()
        .header(content_type)
        .header(ContentTransferEncoding::QuotedPrintable)
        .body(content.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{locale::Locale, plugins::mail::Mail};

    /// A verification mail for tests of the transports.
    pub(in crate::plugins::mail) fn sample(message_id: &str) -> Message {
        composed("ada@example.com", message_id, "Acme").unwrap()
    }

    fn composed(to: &str, message_id: &str, product: &str) -> Result<Message, ComposeError> {
        message_of(&sample_mail().render(product, Locale::En), to, message_id)
    }

    fn message_of(mail: &Rendered, to: &str, message_id: &str) -> Result<Message, ComposeError> {
        let from = "Acme <no-reply@example.com>".parse().unwrap();
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_478_400);
        compose(mail, &from, to, message_id, date)
    }

    fn sample_mail() -> Mail {
        Mail::VerifyEmail {
            link: "https://id.example.com/verify-email?token=lk_ev_0123456789".into(),
            expires_in: 86_400,
        }
    }

    #[test]
    fn a_message_has_both_parts_and_the_headers_of_a_notification() {
        let message = String::from_utf8(sample("0199@id.example.com").formatted()).unwrap();
        for header in [
            "From: Acme <no-reply@example.com>",
            "To: ada@example.com",
            "Subject: Confirm your e-mail address for Acme",
            "Message-ID: <0199@id.example.com>",
            "Date: Tue, 24 Nov 2026 00:00:00 +0000",
            "Auto-Submitted: auto-generated",
            "X-Latchkey-Template: verify_email",
            "Content-Language: en",
            "MIME-Version: 1.0",
        ] {
            assert!(message.contains(&format!("{header}\r\n")), "{header} in {message}");
        }
        let (text, html) = (message.find("text/plain"), message.find("text/html"));
        assert!(message.contains("multipart/alternative") && text < html && text.is_some(), "{message}");
        assert!(message.is_ascii(), "no extension of SMTP is needed");
    }

    #[test]
    fn headers_cannot_be_injected() {
        let id = "0199@id.example.com";
        for to in ["ada@example.com\r\nBcc: eve@example.com", "ada@example.com, eve@example.com", "ada", ""] {
            assert!(matches!(composed(to, id, "Acme"), Err(ComposeError::Recipient)), "{to:?}");
        }
        for product in ["Acme\r\nBcc: eve@example.com", "Acme\nBcc: y", "Ac\0me"] {
            let message = composed("ada@example.com", id, product).unwrap().formatted();
            assert!(!String::from_utf8(message).unwrap().contains("\nBcc:"), "{product}");
            let mut mail = sample_mail().render("Acme", Locale::En);
            mail.subject = product.to_owned();
            assert!(matches!(message_of(&mail, "ada@example.com", id), Err(ComposeError::Subject)));
        }
        for id in
            ["", "0199", "@example.com", "0199@", "a@b@c", "<0199@example.com>", "0199@example.com\r\nX: y"]
        {
            assert!(
                matches!(composed("ada@example.com", id, "Acme"), Err(ComposeError::MessageId)),
                "{id:?}"
            );
        }
    }

    #[test]
    fn composing_again_gives_the_same_bytes() {
        assert_eq!(sample("0199@id.example.com").formatted(), sample("0199@id.example.com").formatted());
    }

    #[test]
    fn a_subject_in_any_script_is_encoded() {
        let message = composed("ada@example.com", "0199@id.example.com", "Größe 東京").unwrap();
        assert!(message.formatted().is_ascii());
    }
}
