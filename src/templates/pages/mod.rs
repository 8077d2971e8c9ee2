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

#[cfg(test)]
mod tests {
    use super::*;

    const OUTCOMES: [Outcome; 4] = [Outcome::Verified, Outcome::Expired, Outcome::Used, Outcome::Invalid];

    fn pages() -> Vec<String> {
        let mut pages = vec![VerifyEmail { product: "Acme", token: "lk_ev_0123" }.render().unwrap()];
        for outcome in OUTCOMES {
            for continue_to in [None, Some("https://app.example.com/")] {
                pages.push(VerifyEmailDone { product: "Acme", outcome, continue_to }.render().unwrap());
            }
        }
        pages
    }

    #[test]
    fn the_button_posts_the_token_to_the_same_path() {
        let page = &pages()[0];
        assert!(page.contains("<form method=\"post\" action=\"?\">"), "{page}");
        assert!(page.contains("<input type=\"hidden\" name=\"token\" value=\"lk_ev_0123\">"), "{page}");
        assert!(page.contains("<button type=\"submit\">"), "{page}");
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
        let titles: std::collections::BTreeSet<_> = pages()[1..]
            .iter()
            .map(|page| page.split_once("<h1>").unwrap().1.split_once("</h1>").unwrap().0.to_owned())
            .collect();
        assert_eq!(titles.len(), OUTCOMES.len(), "{titles:?}");
    }

    #[test]
    fn a_token_cannot_break_out() {
        let page = VerifyEmail { product: "Acme", token: "\"><script>alert(1)</script>" }.render().unwrap();
        assert!(!page.contains("<script"), "{page}");
    }
}
