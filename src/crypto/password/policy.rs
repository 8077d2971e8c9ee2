use super::Password;
use std::cmp::Ordering;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// The shortest password admitted, in Unicode code points.
pub const MIN_LENGTH: usize = 8;
/// The longest password admitted, in Unicode code points.
pub const MAX_LENGTH: usize = 128;

const PRODUCT: &str = "latchkey";

/// Common and breached passwords, in lower case, sorted by byte. `common.LICENSE.md` says where they are from.
static COMMON: &str = include_str!("common.txt");

/// Why a password is not admitted; displays as a sentence for the person who chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Fewer than [`MIN_LENGTH`] code points.
    #[error("The password is too short: use at least {MIN_LENGTH} characters.")]
    TooShort,
    /// More than [`MAX_LENGTH`] code points.
    #[error("The password is too long: use at most {MAX_LENGTH} characters.")]
    TooLong,
    /// In the list of common and breached passwords.
    #[error(
        "This password is among those that attackers try first. Choose another, for example several unrelated words."
    )]
    Common,
    /// A service that collects breached passwords knows it.
    #[error(
        "This password has appeared in a data breach, so attackers know it. Choose another, for example several unrelated words."
    )]
    Breached,
    /// The account's e-mail address or its local part.
    #[error("The password must not be your e-mail address or the part of it before the @.")]
    EmailAddress,
    /// The name of this product.
    #[error("The password must not be the name of this service.")]
    ProductName,
}

/// Admits or refuses a password that is being chosen for the account `email`. The whole password is compared,
/// in any case, and nothing is asked of its composition (NIST SP 800-63B-4 §3.1.1.2).
pub fn check(password: &Password, email: &str) -> Result<(), Refusal> {
    match password.as_str().chars().count() {
        length if length < MIN_LENGTH => return Err(Refusal::TooShort),
        length if length > MAX_LENGTH => return Err(Refusal::TooLong),
        _ => {}
    }
    let password = fold(password.as_str());
    let email = fold(email);
    let local_part = email.rsplit_once('@').map(|(local, _)| local);
    if *password == *email || Some(password.as_str()) == local_part {
        return Err(Refusal::EmailAddress);
    }
    if *password == PRODUCT {
        return Err(Refusal::ProductName);
    }
    if is_common(&password) {
        return Err(Refusal::Common);
    }
    Ok(())
}

fn fold(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.chars().flat_map(char::to_lowercase).nfc().collect())
}

/// Binary search over the lines of [`COMMON`]: nothing to build at start, nothing on the heap.
fn is_common(password: &str) -> bool {
    let (mut low, mut high) = (0, COMMON.len());
    // Both bounds stand at the start of a line, or at the end of the list.
    while low < high {
        let middle = low + (high - low) / 2;
        let start = COMMON[..middle].rfind('\n').map_or(0, |newline| newline + 1).max(low);
        let end = COMMON[middle..].find('\n').map_or(COMMON.len(), |newline| middle + newline);
        match COMMON[start..end].cmp(password) {
            Ordering::Equal => return true,
            Ordering::Less => low = (end + 1).min(COMMON.len()),
            Ordering::Greater => high = start,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMAIL: &str = "Ada.Lovelace@example.com";

    fn check(password: &str) -> Result<(), Refusal> {
        super::check(&Password::new(password), EMAIL)
    }

    #[test]
    fn every_listed_password_is_refused_in_any_case() {
        for password in COMMON.lines() {
            assert_eq!(check(password), Err(Refusal::Common), "{password}");
            assert_eq!(check(&password.to_uppercase()), Err(Refusal::Common), "{password}");
        }
    }

    #[test]
    fn the_list_has_the_shape_that_the_search_needs() {
        let lines: Vec<_> = COMMON.lines().collect();
        assert!(lines.len() >= 3000, "ASVS 6.2.4 asks for the top 3000 that are long enough");
        assert!(lines.is_sorted_by(|a, b| a < b));
        assert!(lines.iter().all(|line| line.is_ascii() && *line == line.to_lowercase()));
        assert!(lines.iter().all(|line| (MIN_LENGTH..=MAX_LENGTH).contains(&line.len())));
        assert!(COMMON.ends_with('\n') && !COMMON.contains('\r'));
    }

    #[test]
    fn neighbours_and_extensions_of_listed_passwords_are_admitted() {
        for password in
            ["password1 blue", "!!!!!!!!!!!!!!", "~~~~~~~~~", "zzzzzzzzzzzzzzzzzzzzz~", "aPassword1b"]
        {
            assert_eq!(check(password), Ok(()), "{password}");
        }
    }

    #[test]
    fn length_counts_code_points() {
        assert_eq!(check("1q!Zx7p"), Err(Refusal::TooShort));
        assert_eq!(check("😀😀😀😀😀😀😀"), Err(Refusal::TooShort));
        assert_eq!(check("😀😀😀😀😀😀😀😀"), Ok(()));
        assert_eq!(check(&"😀".repeat(128)), Ok(()));
        assert_eq!(check(&"😀".repeat(129)), Err(Refusal::TooLong));
        // Seven characters that were typed as eight code points are seven.
        assert_eq!(check("cafe\u{301}xyz"), Err(Refusal::TooShort));
    }

    #[test]
    fn the_address_its_local_part_and_the_product_are_refused() {
        assert_eq!(check("ada.lovelace@EXAMPLE.com"), Err(Refusal::EmailAddress));
        assert_eq!(check("ADA.LOVELACE"), Err(Refusal::EmailAddress));
        assert_eq!(check("LatchKey"), Err(Refusal::ProductName));
        assert_eq!(check("ada.lovelace was here"), Ok(()));
    }

    #[test]
    fn nothing_is_asked_of_the_composition() {
        for password in ["pale blue teapot", "90417358261", "        \u{1f511}", "\0\0\0\0canary"] {
            assert_eq!(check(password), Ok(()), "{password:?}");
        }
    }

    #[test]
    fn every_refusal_is_a_sentence() {
        for refusal in [
            Refusal::TooShort,
            Refusal::TooLong,
            Refusal::Common,
            Refusal::Breached,
            Refusal::EmailAddress,
            Refusal::ProductName,
        ] {
            let sentence = refusal.to_string();
            assert!(sentence.ends_with('.') && sentence.starts_with("Th"), "{sentence}");
        }
    }
}
