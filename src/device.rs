//! Devices, as far as a request tells: a name that a person recognises, and what tells one from another.

use std::net::IpAddr;

use entities::AccountId;
use sha2::{Digest, Sha256};
use woothee::parser::Parser;

/// Firefox on Linux; the first word of what no browser says; nothing of nothing.
#[must_use]
pub fn name(user_agent: Option<&str>) -> Option<String> {
    let user_agent = user_agent.filter(|text| !text.trim().is_empty())?;
    let known = |text| (text != "UNKNOWN").then_some(text);
    let kind = kind(user_agent);
    Some(match (known(kind.0), known(kind.1)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => {
            let product = user_agent.split(['/', ' ']).map(str::trim).find(|word| !word.is_empty())?;
            product.chars().take(40).collect()
        }
    })
}

/// Browser and system.
fn kind(user_agent: &str) -> (&str, &str) {
    // Libraries are better known by their own names, which come first.
    let found = Parser::new().parse(user_agent).filter(|found| found.name != "HTTP Library");
    let Some(found) = found else { return ("UNKNOWN", "UNKNOWN") };
    let system = match found.os {
        "Mac OSX" => "macOS",
        "iPhone" | "iPad" | "iPod" => "iOS",
        // Windows 10, Windows 7 …
        system if system.starts_with("Windows ") && !system.starts_with("Windows Phone") => "Windows",
        system => system,
    };
    (found.name, system)
}

/// The same for the same kind of browser in the same network, and for no two accounts: what a device not seen before is
/// told by. Versions don't count, or every update would look like a stranger.
#[must_use]
pub fn fingerprint(account: AccountId, user_agent: Option<&str>, ip: IpAddr) -> Vec<u8> {
    let agent = user_agent.unwrap_or_default();
    let kind = match kind(agent) {
        ("UNKNOWN", "UNKNOWN") => agent.split(['/', ' ']).next().unwrap_or_default().to_owned(),
        (browser, system) => format!("{browser}\0{system}"),
    };
    let network = match ip.to_canonical() {
        IpAddr::V4(ip) => ip.octets()[..3].to_vec(),
        IpAddr::V6(ip) => ip.octets()[..6].to_vec(),
    };
    let hash =
        Sha256::new().chain_update(account.0).chain_update(kind).chain_update([0]).chain_update(network);
    hash.finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    const NEWER_FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
    const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                          Chrome/142.0.0.0 Safari/537.36";
    const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
                          Gecko) Version/18.0 Mobile/15E148 Safari/604.1";
    const MAC: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                       Version/18.0 Safari/605.1.15";

    #[test]
    fn a_person_recognises_the_name() {
        for (agent, expected) in [
            (FIREFOX, "Firefox on Linux"),
            (CHROME, "Chrome on Windows"),
            (SAFARI, "Safari on iOS"),
            (MAC, "Safari on macOS"),
            ("MyApp/1.2 (build 7)", "MyApp"),
            ("curl/7.88.1", "curl"),
            ("python-requests/2.32.3", "python-requests"),
            ("/e", "e"),
        ] {
            assert_eq!(name(Some(agent)).as_deref(), Some(expected), "{agent}");
        }
        for nothing in [None, Some(""), Some("  "), Some(" / ")] {
            assert_eq!(name(nothing), None);
        }
        assert!(name(Some(&"x".repeat(300))).is_some_and(|name| name.len() == 40));
    }

    #[test]
    fn a_device_is_the_kind_of_browser_in_a_network() {
        let [ada, bob] = [1, 2].map(|id| AccountId(uuid::Uuid::from_u128(id)));
        let print =
            |account, agent, ip: &str| fingerprint(account, Some(agent), ip.parse().expect("an address"));
        let known = print(ada, FIREFOX, "192.0.2.7");
        assert_eq!(known, print(ada, NEWER_FIREFOX, "192.0.2.200"));
        assert_eq!(known, print(ada, FIREFOX, "::ffff:192.0.2.9"));
        for other in [
            print(bob, FIREFOX, "192.0.2.7"),
            print(ada, CHROME, "192.0.2.7"),
            print(ada, FIREFOX, "192.0.3.7"),
            print(ada, FIREFOX, "2001:db8::1"),
            print(ada, "MyApp/1", "192.0.2.7"),
        ] {
            assert_ne!(known, other);
        }
        assert_eq!(print(ada, "MyApp/1", "2001:db8:0:1::1"), print(ada, "MyApp/2", "2001:db8:0:2::9"));
        assert_ne!(print(ada, "MyApp/1", "2001:db8::1"), print(ada, "Other/1", "2001:db8::1"));
    }
}
