//! The pages behind mail links. No script, no remote part; the one style is allowed by its hash.

use std::sync::LazyLock;

use askama::Template;
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("style.css");

/// The Content-Security-Policy that every page is served with.
pub static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
});

/// What a verification link opens: a button that POSTs the token, so that scanners which follow links confirm
/// nothing.
#[derive(Template)]
#[template(path = "pages/verify_email.html")]
pub struct VerifyEmail<'a> {
    /// What the service calls itself.
    pub product: &'a str,
    /// The token out of the link, as it came.
    pub token: &'a str,
}

/// What the button leads to.
#[derive(Template)]
#[template(path = "pages/verify_email_done.html")]
pub struct VerifyEmailDone<'a> {
    /// What the service calls itself.
    pub product: &'a str,
    /// What became of the token.
    pub outcome: Outcome,
    /// Where the person goes on, if the deployer said so.
    pub continue_to: Option<&'a str>,
}

/// What became of a token that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The address is confirmed now.
    Verified,
    /// The token is past its lifetime.
    Expired,
    /// The token had been used before.
    Used,
    /// No token of ours, or not any more.
    Invalid,
}

/// Where a person asks for a link to a new password.
#[derive(Template)]
#[template(path = "pages/forgot_password.html")]
pub struct ForgotPassword<'a> {
    /// What the service calls itself.
    pub product: &'a str,
    /// Why it was not done the time before.
    pub refusal: Option<&'a str>,
}

/// What such a link opens.
#[derive(Template)]
#[template(path = "pages/reset_password.html")]
pub struct ResetPassword<'a> {
    /// What the service calls itself.
    pub product: &'a str,
    /// The token out of the link, as it came.
    pub token: &'a str,
    /// Why the password chosen the time before was refused.
    pub refusal: Option<&'a str>,
}

/// What the link mailed to a new address opens.
#[derive(Template)]
#[template(path = "pages/confirm_email.html")]
pub struct ConfirmEmail<'a> {
    /// What the service calls itself.
    pub product: &'a str,
    /// The token out of the link, as it came.
    pub token: &'a str,
}

/// What the link mailed to an old address opens.
#[derive(Template)]
#[template(path = "pages/restore_email.html")]
pub struct RestoreEmail<'a> {
    /// What the service calls itself.
    pub product: &'a str,
    /// The token out of the link, as it came.
    pub token: &'a str,
}

/// Where one decides about oneself, and what was decided.
#[derive(Template)]
#[template(path = "pages/demo_kyc.html")]
pub struct DemoKyc<'a> {
    /// What the service calls itself.
    pub product: &'a str,
    /// What would be checked.
    pub level: &'a str,
    /// The status, once it is decided.
    pub decided: Option<&'a str>,
    /// Where the person goes on.
    pub continue_to: Option<&'a str>,
}

/// What the buttons of these pages lead to.
#[derive(Template)]
#[template(path = "pages/link_done.html")]
pub struct LinkDone<'a> {
    /// What the service calls itself.
    pub product: &'a str,
    /// What was done, or why not.
    pub outcome: LinkOutcome,
}

/// What became of a button that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkOutcome {
    /// A link to a new password is on its way, if there is an account.
    ResetMailed,
    /// The new password is set.
    PasswordSet,
    /// The account has the new address.
    EmailChanged,
    /// The account has the old address again.
    EmailRestored,
    /// The token is past its lifetime.
    Expired,
    /// The token had been used before.
    Used,
    /// No token of ours, or not any more.
    Invalid,
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTCOMES: [Outcome; 4] = [Outcome::Verified, Outcome::Expired, Outcome::Used, Outcome::Invalid];

    const LINK_OUTCOMES: [LinkOutcome; 7] = [
        LinkOutcome::ResetMailed,
        LinkOutcome::PasswordSet,
        LinkOutcome::EmailChanged,
        LinkOutcome::EmailRestored,
        LinkOutcome::Expired,
        LinkOutcome::Used,
        LinkOutcome::Invalid,
    ];

    /// Pages with a form that holds the token.
    fn forms(token: &str) -> Vec<String> {
        let product = "Acme";
        let mut forms = vec![
            VerifyEmail { product, token }.render().unwrap(),
            ConfirmEmail { product, token }.render().unwrap(),
            RestoreEmail { product, token }.render().unwrap(),
        ];
        for refusal in [None, Some("The password is too short.")] {
            forms.push(ResetPassword { product, token, refusal }.render().unwrap());
        }
        forms
    }

    fn link_pages() -> Vec<String> {
        LINK_OUTCOMES.iter().map(|&outcome| LinkDone { product: "Acme", outcome }.render().unwrap()).collect()
    }

    fn verify_pages() -> Vec<String> {
        let mut pages = vec![];
        for outcome in OUTCOMES {
            for continue_to in [None, Some("https://app.example.com/")] {
                pages.push(VerifyEmailDone { product: "Acme", outcome, continue_to }.render().unwrap());
            }
        }
        pages
    }

    fn pages() -> Vec<String> {
        let mut pages = [forms("lk_ev_0123"), verify_pages(), link_pages()].concat();
        for refusal in [None, Some("An email address must have an @-sign.")] {
            pages.push(ForgotPassword { product: "Acme", refusal }.render().unwrap());
        }
        pages
    }

    #[test]
    fn the_button_posts_the_token_to_the_same_path() {
        for page in forms("lk_ev_0123") {
            assert!(page.contains("<form method=\"post\" action=\"?\">"), "{page}");
            assert!(page.contains("<input type=\"hidden\" name=\"token\" value=\"lk_ev_0123\">"), "{page}");
            assert!(page.contains("<button type=\"submit\">"), "{page}");
        }
    }

    #[test]
    fn what_is_typed_has_a_label_and_the_browser_knows_what_it_is() {
        let page = ResetPassword { product: "Acme", token: "", refusal: None }.render().unwrap();
        let input = page.split("<input ").find(|tag| tag.contains("id=\"new_password\"")).unwrap();
        for attribute in [
            "type=\"password\"",
            "autocomplete=\"new-password\"",
            "minlength=\"8\"",
            "maxlength=\"128\"",
            "required",
        ] {
            assert!(input.contains(attribute), "{attribute} in {input}");
        }
        assert!(page.contains("<label for=\"new_password\">"), "{page}");
        let page = ForgotPassword { product: "Acme", refusal: None }.render().unwrap();
        assert!(page.contains("type=\"email\" id=\"email\" name=\"email\" autocomplete=\"email\""), "{page}");
        assert!(page.contains("<label for=\"email\">"), "{page}");
    }

    #[test]
    fn every_page_is_complete_and_loads_nothing() {
        for page in pages() {
            assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">"), "{page}");
            assert!(page.contains("<title>") && page.contains("<h1>") && page.contains("<main>"), "{page}");
            for forbidden in ["<script", "<img", "<link", " style=\"", "url(", " on", "{{", "{%"] {
                let markup = page.split("</style>").nth(1).unwrap();
                let tags: String = markup
                    .split('<')
                    .filter_map(|tag| tag.split_once('>'))
                    .map(|(tag, _)| format!("<{tag}>"))
                    .collect();
                assert!(!tags.contains(forbidden), "{forbidden} in {tags}");
            }
            assert!(page.contains("<meta name=\"referrer\" content=\"no-referrer\">"));
        }
    }

    #[test]
    fn the_policy_allows_exactly_the_style_that_pages_carry() {
        for page in pages() {
            let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
            let hash = BASE64_STANDARD.encode(Sha256::digest(style));
            assert!(CONTENT_SECURITY_POLICY.contains(&format!("style-src 'sha256-{hash}';")));
        }
    }

    #[test]
    fn every_outcome_says_something_of_its_own() {
        for (pages, count) in [(verify_pages(), OUTCOMES.len()), (link_pages(), LINK_OUTCOMES.len())] {
            let titles: std::collections::BTreeSet<_> = pages
                .iter()
                .map(|page| page.split_once("<h1>").unwrap().1.split_once("</h1>").unwrap().0.to_owned())
                .collect();
            assert_eq!(titles.len(), count, "{titles:?}");
        }
    }

    #[test]
    fn a_token_cannot_break_out() {
        for page in forms("\"><script>alert(1)</script>") {
            assert!(!page.contains("<script"), "{page}");
        }
    }
}
