//! Where requests may go: URLs of a user's choice, and the paths that an owner has allowed to be signed.

use std::net::{Ipv4Addr, Ipv6Addr};

use latchkey::outbound::{Guard, percent_encoded};
use latchkey::services::vault::{Rule, SignRequest};
use url::{Host, Url};

use crate::input::{Input, seed};

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    if input.take::<u8>().is_multiple_of(2) {
        address(&String::from_utf8_lossy(input.rest()));
    } else {
        path(input);
    }
}

fn address(text: &str) {
    let Ok(url) = Url::parse(text) else { return };
    if Guard::default().admit(&url).is_err() {
        return;
    }
    assert_eq!((url.scheme(), url.port_or_known_default()), ("https", Some(443)), "{url}");
    assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    match url.host().expect("a host") {
        Host::Domain(name) => assert!(!name.is_empty() && name.parse::<Ipv4Addr>().is_err(), "{url}"),
        Host::Ipv4(ip) => assert!(is_public(ip), "{url}"),
        Host::Ipv6(ip) => assert!(is_public_v6(ip), "{url}"),
    }
    // What is asked is what was looked at.
    assert_eq!(Url::parse(url.as_str()).as_ref(), Ok(&url));
}

fn is_public(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || ip.is_multicast()
        || ip.is_broadcast()
        || matches!((a, b, c), (0 | 240.., ..) | (100, 64..128, _) | (198, 18..20, _) | (192, 0, 0)))
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    let is_embedded = ip.to_ipv4_mapped().is_some() || segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] || segments[0] == 0x2002;
    let is_special = ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_multicast()
        || ip.is_unique_local()
        || ip.is_unicast_link_local()
        || segments[..2] == [0x2001, 0xdb8];
    !is_embedded && !is_special
}

/// A path that a rule allows is one path, wherever it is read, and begins as the rule says.
fn path(input: Input<'_>) {
    let mut parts = input.parts();
    let (rule, path) = (parts.text().into_owned(), parts.text().into_owned());
    let request =
        SignRequest { method: "GET".into(), path: path.clone(), query: String::new(), body: String::new() };
    let allowed = request.is_allowed_by(&[Rule { method: "GET".into(), path: rule.clone() }]);
    assert!(!request.is_allowed_by(&[Rule { method: "get".into(), path: rule.clone() }]));
    assert!(!request.is_allowed_by(&[]));
    match rule.strip_suffix('*') {
        Some(beginning) => assert_eq!(allowed, path.starts_with(beginning)),
        None => assert_eq!(allowed, path == rule),
    }
    if !request.is_plain() {
        return;
    }
    let url = Url::parse(&format!("https://host.example{path}")).expect("a URL");
    assert_eq!((url.host_str(), url.path(), url.query(), url.fragment()), (Some("host.example"), &*path, None, None));
    let joined = Url::parse("https://host.example/base/").expect("a URL").join(&path).expect("a URL");
    assert_eq!((joined.host_str(), joined.path()), (Some("host.example"), &*path));
    // However often somebody decodes it, the same segments come out.
    let decoded = decode(&path);
    for read in [&decoded, &decode(&decoded)] {
        assert_eq!(read.matches('/').count(), path.matches('/').count(), "{path:?}");
        assert!(!read.contains(['\\', '\0']) && !read.split('/').any(|part| matches!(part, "." | "..")), "{path:?}");
    }
}

fn decode(text: &str) -> String {
    let decoded: Vec<u8> = url::form_urlencoded::parse(format!("={}", text.replace(['&', '+'], "x")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned().into_bytes())
        .unwrap_or_default();
    String::from_utf8_lossy(&decoded).into_owned()
}

pub fn seeds() -> Vec<Vec<u8>> {
    let urls = [
        "https://api.example.com",
        "https://api.example.com:443/v1?a=b#c",
        "https://user@api.example.com",
        "https://127.0.0.1/",
        "https://0x7f.1/",
        "https://2130706433/",
        "https://0177.0.0.1/",
        "https://8.8.8.8",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[2606:4700::1111]/",
        "https://[64:ff9b::a00:1]/",
        "https://[2002:a00:1::]/",
        "https://①②⑦.0.0.1/",
        "https://localhost./",
        "HTTPS:\\\\example.com",
        "https://169.254.169.254/latest",
        "http://example.com",
        "file:///etc/passwd",
    ];
    let paths = [
        ("/api/v3/*", "/api/v3/account"),
        ("/api/v3/account", "/api/v3/account"),
        ("/a/*", "/a/../b"),
        ("/a/*", "/a/%2e%2e/b"),
        ("/a/*", "/a/%252e"),
        ("/a/*", "/a;x=1/b,c:d@e!$&'()*+~"),
        ("/a%20b", "/a%20b"),
        ("*", "//host/path"),
    ];
    let urls = urls.map(|text| seed(&[0], &[text.as_bytes()]));
    let paths = paths.map(|(rule, path)| seed(&[1], &[rule.as_bytes(), path.as_bytes()]));
    let encoded = seed(&[1], &[b"/*", format!("/{}", percent_encoded("é. -_~")).as_bytes()]);
    [&urls[..], &paths, &[encoded]].concat()
}
