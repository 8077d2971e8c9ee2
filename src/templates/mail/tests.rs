//! Every mail, in every language, in both parts.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use fluent_syntax::ast::Entry;
use regex::Regex;
use strum::IntoEnumIterator;

use super::texts::{self, Texts};
use super::*;

const LINK: &str = "https://id.example.com/verify-email?token=lk_ev_0123456789abcdef&lang=en";
const AT: i64 = 1_795_478_400;

/// Each kind of mail, with all that it may hold and with as little as it can.
fn samples() -> Vec<Mail> {
    let page = || Some("https://app.example.com/page".to_owned());
    let ip = || Some("2001:db8::7".parse().unwrap());
    let (link, expires_in, at) = (|| LINK.to_owned(), 86_400, AT);
    let new_email_masked = "a•••@example.com".to_owned();
    let mut mails = vec![
        Mail::VerifyEmail { link: link(), expires_in },
        Mail::AccountExists { login_link: page(), recovery_link: page() },
        Mail::AccountExists { login_link: None, recovery_link: None },
        Mail::ResetPassword { link: link(), expires_in: 3600 },
        Mail::ConfirmEmailChange { link: link(), expires_in },
        Mail::EmailChangeTaken,
        Mail::EmailChanged {
            new_email_masked: new_email_masked.clone(),
            link: link(),
            expires_in: 259_200,
            at,
            ip: ip(),
        },
        Mail::EmailChanged { new_email_masked, link: link(), expires_in: 259_200, at, ip: None },
        Mail::EmailRestored { at, ip: ip(), link: Some(link()), expires_in: 3600 },
        Mail::EmailRestored { at, ip: None, link: None, expires_in: 3600 },
        Mail::DeletionScheduled { due: at },
        Mail::DeletionCancelled,
        Mail::AccountDeleted,
    ];
    for event in events() {
        let device = Some("Firefox on Linux".to_owned());
        mails.push(Mail::Notice { event: event.clone(), at, ip: ip(), device, recovery_link: page() });
        mails.push(Mail::Notice { event, at, ip: None, device: None, recovery_link: None });
    }
    let kinds: HashSet<MailDiscriminants> = mails.iter().map(MailDiscriminants::from).collect();
    assert_eq!(kinds, MailDiscriminants::iter().collect(), "a sample of each");
    mails
}

fn events() -> Vec<NoticeEvent> {
    let name = || "Ada's phone".to_owned();
    let events = vec![
        NoticeEvent::PasswordChanged,
        NoticeEvent::PasswordReset,
        NoticeEvent::NewDevice,
        NoticeEvent::SecondFactorAdded { name: name() },
        NoticeEvent::SecondFactorRemoved { name: name() },
        NoticeEvent::SecondFactorDisabled { name: name() },
        NoticeEvent::SecretRevealed { name: name() },
        NoticeEvent::AccessKeyAdded { name: name() },
        NoticeEvent::PasskeyAdded { name: name() },
        NoticeEvent::PasskeyRemoved { name: name() },
        NoticeEvent::PasskeyCloned { name: name() },
        NoticeEvent::RecoveryCodeUsed { left: 0 },
        NoticeEvent::RecoveryCodeUsed { left: 1 },
        NoticeEvent::RecoveryCodeUsed { left: 9 },
        NoticeEvent::RecoveryCodesReplaced,
        NoticeEvent::DeviceRemembered { name: name() },
        NoticeEvent::SessionStolen,
        NoticeEvent::FactorsReset,
        NoticeEvent::SuspiciousSignIn,
        NoticeEvent::AccountDisabled,
        NoticeEvent::AccountEnabled,
        NoticeEvent::IdentityVerified,
    ];
    let kinds: HashSet<NoticeEventDiscriminants> =
        events.iter().map(NoticeEventDiscriminants::from).collect();
    assert_eq!(kinds, NoticeEventDiscriminants::iter().collect(), "a sample of each");
    events
}

fn rendered() -> impl Iterator<Item = (Mail, Rendered)> {
    let mails = samples().into_iter();
    mails.flat_map(|mail| Locale::iter().map(move |locale| (mail.clone(), mail.render("Acme", locale))))
}

#[test]
fn every_mail_says_who_why_and_what_if_not() {
    for (mail, Rendered { subject, text, html, locale, .. }) in rendered() {
        assert!(subject.contains("Acme") && !subject.contains(['\r', '\n']), "{subject}");
        let (why, if_not) = match locale {
            Locale::En => ("because", "If (it was not you|you did not|you are not sure)"),
            Locale::De => ("weil", r"(Wenn|Falls) [^.:]*\bnicht\b"),
        };
        for part in [&text, &html] {
            assert!(part.contains("Acme"), "{part}");
            assert!(part.contains(why), "{part}");
            assert!(!part.contains("{{") && !part.contains("{%") && !part.contains("{$"), "{part}");
        }
        assert!(Regex::new(if_not).unwrap().is_match(&text), "{mail:?}: {text}");
        assert!(!text.contains(['{', '}', '$', '<']), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 78 || line.starts_with("http")), "{text}");
        assert!(!text.contains("\n\n\n") && text.ends_with('\n') && !text.starts_with('\n'), "{text}");
    }
}

#[test]
fn every_mail_has_its_link_on_a_line_of_its_own_and_as_a_button() {
    for (mail, Rendered { text, html, .. }) in rendered() {
        let stored = serde_json::to_string(&mail).unwrap();
        // Nothing that a new password could help with.
        let none = ["account_disabled", "account_enabled"].contains(&mail.template());
        let mut links = vec![LINK, "https://app.example.com/page"];
        links.retain(|link| !none && stored.contains(link));
        for link in &links {
            assert!(text.contains(&format!(":\n\n{link}\n\n")), "{text}");
            assert!(html.contains(&format!("href=\"{}\"", link.replace('&', "&#38;"))), "{html}");
        }
        assert_eq!(text.contains("http"), !links.is_empty(), "{text}");
        assert_eq!(html.contains("<a "), !links.is_empty(), "{html}");
    }
}

#[test]
fn html_is_complete_and_loads_nothing() {
    for (mail, Rendered { html, locale, .. }) in rendered() {
        assert!(html.starts_with(&format!("<!doctype html>\n<html lang=\"{locale}\"")), "{html}");
        assert!(html.contains(&format!("aria-roledescription=\"email\" lang=\"{locale}\"")), "{html}");
        assert!(html.trim_end().ends_with("</html>"));
        assert!(html.contains("color-scheme"), "dark mode is announced");
        for remote in ["<img", "<script", "<link", "src=", "url(", "@import"] {
            assert!(!html.contains(remote), "{remote} in {html}");
        }
        for empty in ["<h1></h1>", "></h1>", "<title></title>", "<p></p>", ";\"></p>", "<strong>:"] {
            assert!(!html.contains(empty), "{empty} in {mail:?}: {html}");
        }
    }
}

#[test]
fn the_verification_mail_says_how_long_its_link_lives() {
    let mail = Mail::VerifyEmail { link: LINK.into(), expires_in: 86_400 };
    for (locale, lifetime) in [(Locale::En, "24 hours"), (Locale::De, "24 Stunden lang")] {
        let mail = mail.render("Acme", locale);
        assert!(mail.text.contains(lifetime) && mail.html.contains(lifetime), "{}", mail.text);
    }
}

#[test]
fn a_notice_says_when_from_where_and_on_what() {
    let event = NoticeEvent::PasskeyAdded { name: "Schlüssel".into() };
    let ip = Some("2001:db8::7".parse().unwrap());
    let mail =
        Mail::Notice { event, at: AT, ip, device: Some("Safari on macOS".into()), recovery_link: None };
    for (locale, facts) in [
        (
            Locale::En,
            "Passkey: Schlüssel\nWhen: 24 November 2026 at 00:00 UTC\nFrom: 2001:db8::7\nDevice: Safari on macOS",
        ),
        (
            Locale::De,
            "Passkey: Schlüssel\nZeitpunkt: 24. November 2026 um 00:00 Uhr (UTC)\nIP-Adresse: 2001:db8::7\n\
             Gerät: Safari on macOS",
        ),
    ] {
        let mail = mail.render("Acme", locale);
        assert!(mail.text.contains(&format!("\n\n{facts}\n\n")), "{}", mail.text);
        for value in facts.lines().filter_map(|line| line.split_once(": ")).map(|(_, value)| value) {
            assert!(mail.html.contains(value), "{}", mail.html);
        }
    }
}

#[test]
fn what_others_wrote_stays_in_its_place() {
    let name =
        "x\r\n\r\nPay at <b>\u{202e}http://evil.example</b>\0\u{2028}{ $link }".to_owned() + &"y".repeat(500);
    let event = NoticeEvent::SecondFactorAdded { name: name.clone() };
    let mail = Mail::Notice { event, at: AT, ip: None, device: Some(name), recovery_link: None };
    for locale in Locale::iter() {
        let Rendered { text, html, subject, .. } = mail.render("Acme\r\nBcc: eve@example.com", locale);
        assert!(
            !subject.contains(char::is_control) && subject.contains("Acme  Bcc: eve@example.com"),
            "{subject:?}"
        );
        assert!(html.contains("Pay at &#60;b&#62;http://evil.example&#60;/b&#62; { $link }yyy"), "{html}");
        assert!(!text.contains(['\r', '\0', '\u{202e}', '\u{2028}']) && !text.contains("x\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 78 && !line.starts_with("http")), "{text}");
        assert!(text.matches('y').count() < 500, "{text}");
    }
}

#[test]
fn html_escapes_what_it_is_given() {
    let mail = Mail::VerifyEmail { link: "\"><script>alert(1)</script>".into(), expires_in: 60 };
    let html = mail.render("<b>Acme</b>", Locale::En).html;
    assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
}

#[test]
fn lifetimes_and_moments_are_in_words() {
    let (en, de) = (Texts::new(Locale::En), Texts::new(Locale::De));
    for (seconds, english, german) in [
        (1, "1 second", "1 Sekunde"),
        (60, "1 minute", "1 Minute"),
        (1800, "30 minutes", "30 Minuten"),
        (3600, "1 hour", "1 Stunde"),
        (5400, "90 minutes", "90 Minuten"),
        (86_400, "24 hours", "24 Stunden"),
        (259_200, "3 days", "3 Tage"),
    ] {
        assert_eq!((en.lifetime(seconds).as_str(), de.lifetime(seconds).as_str()), (english, german));
    }
    // 5 March 2027, and what no calendar knows.
    for (at, english, german) in [
        (1_804_239_060, "5 March 2027 at 09:31 UTC", "5. März 2027 um 09:31 Uhr (UTC)"),
        (i64::MAX, "1 January 1970 at 00:00 UTC", "1. Januar 1970 um 00:00 Uhr (UTC)"),
    ] {
        assert_eq!((en.moment(at).as_str(), de.moment(at).as_str()), (english, german));
    }
    let months: BTreeSet<String> = (0..12).map(|month| de.moment(AT + month * 2_629_746)).collect();
    assert_eq!(months.iter().filter_map(|moment| moment.split(' ').nth(1)).collect::<HashSet<_>>().len(), 12);
}

/// The keys of a file, each with the variables that its text mentions.
fn keys(source: &str) -> BTreeMap<String, BTreeSet<String>> {
    let variable = Regex::new(r#"VariableReference \{ id: Identifier \{ name: "(\w+)""#).unwrap();
    let variables = |pattern: &dyn fmt::Debug| -> BTreeSet<String> {
        variable.captures_iter(&format!("{pattern:?}")).map(|found| found[1].to_owned()).collect()
    };
    let mut keys = BTreeMap::new();
    for entry in fluent_syntax::parser::parse(source).expect("sound Fluent").body {
        let Entry::Message(message) = entry else { continue };
        if let Some(value) = message.value {
            keys.insert(message.id.name.to_owned(), variables(&value));
        }
        for attribute in message.attributes {
            let key = format!("{}.{}", message.id.name, attribute.id.name);
            assert_eq!(keys.insert(key.clone(), variables(&attribute.value)), None, "{key} is there twice");
        }
    }
    keys
}

#[test]
fn the_languages_have_the_same_texts_about_the_same_things() {
    let (english, german) = (keys(texts::EN), keys(texts::DE));
    assert_eq!(english, german);
    let templates: BTreeSet<&str> = samples().iter().map(Mail::template).collect();
    for template in &templates {
        for part in ["subject", "heading", "text"] {
            assert!(english.contains_key(&format!("{template}.{part}")), "{template}.{part}");
        }
    }
    const PARTS: [&str; 9] =
        ["subject", "heading", "text", "name", "next", "button", "recovery", "after", "reason"];
    const HELPERS: [&str; 4] = ["facts", "shared", "lifetime", "moment"];
    for key in english.keys() {
        if let Some((message, part)) = key.split_once('.') {
            let known = HELPERS.contains(&message) || templates.contains(message) && PARTS.contains(&part);
            assert!(known, "nothing shows {key}");
        }
    }
}

#[test]
fn mails_survive_the_outbox_and_debug_hides_their_links() {
    for mail in samples() {
        let stored = serde_json::to_string(&mail).unwrap();
        assert!(stored.contains(&format!("\"template\":\"{}\"", mail.template())), "{stored}");
        assert_eq!(serde_json::from_str::<Mail>(&stored).unwrap(), mail);
        let debug = format!("{mail:?} {:?}", mail.render("Acme", Locale::En));
        assert!(!debug.contains("http"), "{debug}");
    }
}

/// As the release before wrote them into its outbox.
#[test]
fn mails_of_an_older_release_are_sent() {
    let page = Some("https://app.example.com/page".to_owned());
    for (stored, expected) in [
        (
            r#"{"template":"verify_email","link":"https://id.example.com/v?token=a","expires_in":86400}"#,
            Mail::VerifyEmail { link: "https://id.example.com/v?token=a".into(), expires_in: 86_400 },
        ),
        (
            r#"{"template":"account_exists","login_link":null,"recovery_link":"https://app.example.com/page"}"#,
            Mail::AccountExists { login_link: None, recovery_link: page.clone() },
        ),
        (
            r#"{"template":"password_changed","at":1795478400,"ip":"2001:db8::7","recovery_link":null}"#,
            Mail::Notice {
                event: NoticeEvent::PasswordChanged,
                at: AT,
                ip: Some("2001:db8::7".parse().unwrap()),
                device: None,
                recovery_link: None,
            },
        ),
        (
            r#"{"template":"password_changed","at":1795478400,"ip":null,"recovery_link":"https://app.example.com/page"}"#,
            Mail::Notice {
                event: NoticeEvent::PasswordChanged,
                at: AT,
                ip: None,
                device: None,
                recovery_link: page,
            },
        ),
    ] {
        let mail: Mail = serde_json::from_str(stored).unwrap();
        assert_eq!(mail, expected);
        assert!(mail.render("Acme", Locale::En).text.contains("Acme"));
    }
}
