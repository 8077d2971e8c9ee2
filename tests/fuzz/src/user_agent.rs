//! `User-Agent` and `Accept-Language`: what a device says of itself, shown to people and compared.

use std::net::IpAddr;
use std::str::FromStr as _;

use entities::AccountId;
use latchkey::device::{fingerprint, name};
use latchkey::locale::Locale;
use latchkey::server::edge::user_agent;
use poem::http::{HeaderMap, HeaderValue};
use uuid::Uuid;

use crate::input::{Input, seed};

/// Browser and system, or what no browser says.
const LONGEST: usize = 80;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    if input.take::<u8>().is_multiple_of(2) {
        language(&String::from_utf8_lossy(input.rest()));
    } else {
        agent(input.rest());
    }
}

fn agent(sent: &[u8]) {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(sent) {
        headers.insert("user-agent", value);
    }
    let agent = user_agent(&headers);
    let agent = agent.as_deref();
    if let Some(agent) = agent {
        assert!(agent.chars().count() <= 256 && !agent.contains(char::is_control), "{agent:?}");
    }
    if let Some(name) = name(agent) {
        assert!(!name.trim().is_empty(), "a device without a name: {agent:?}");
        assert!(name.chars().count() <= LONGEST && !name.contains(char::is_control), "{name:?}");
    }
    let [one, other] = [1, 2].map(|id| AccountId(Uuid::from_u128(id)));
    let (near, far) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([198, 51, 100, 1]));
    let print = fingerprint(one, agent, near);
    assert_eq!(print.len(), 32);
    assert_eq!(print, fingerprint(one, agent, IpAddr::from([192, 0, 2, 200])));
    assert_ne!(print, fingerprint(other, agent, near));
    assert_ne!(print, fingerprint(one, agent, far));
}

/// A language that is answered in has been asked for, and not refused.
fn language(header: &str) {
    let Some(locale) = Locale::negotiate(header) else { return };
    let ranges = header.split(',').take(32).filter_map(|entry| {
        let (range, parameter) = entry.split_once(';').unwrap_or((entry, "q=1"));
        let (name, weight) = parameter.split_once('=')?;
        let weight = Some(weight.trim()).filter(|_| name.trim().eq_ignore_ascii_case("q"))?;
        let language = range.trim().split('-').next()?.to_lowercase();
        Some((language, weight))
    });
    let ranges: Vec<(String, &str)> = ranges.collect();
    let is_ours = |range: &str| Locale::from_str(range) == Ok(locale);
    let asked = |weight: &str| weight.parse::<f64>().is_ok_and(|weight| weight > 0.0);
    // Others that come to nothing, as `-0` and `NaN`, are no weights and refuse nothing.
    let refused = |weight: &str| !weight.is_empty() && "0.000".starts_with(weight);
    assert!(
        ranges.iter().any(|(range, weight)| asked(weight) && (is_ours(range) || range == "*")),
        "{header:?} has no {locale}"
    );
    assert!(!ranges.iter().any(|(range, weight)| refused(weight) && is_ours(range)), "{header:?} refuses {locale}");
}

pub fn seeds() -> Vec<Vec<u8>> {
    let agents: [&[u8]; 12] = [
        b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        b"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
        b"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1",
        b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
        b"Mozilla/5.0 (Linux; Android 15; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0 Mobile Safari/537.36",
        b"Mozilla/5.0 (compatible; MSIE 10.0; Windows Phone 8.0; Trident/6.0; IEMobile/10.0; ARM; Touch; NOKIA; Lumia 920)",
        b"Opera/9.80 (Windows NT 6.1) Presto/2.12.388 Version/12.16",
        b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        b"DoCoMo/2.0 P900i(c100;TB;W24H11) KDDI-CA39 UP.Browser SoftBank/1.0/910T (FOMA;) Vodafone WILLCOM;SANYO/WX310SA/2;1/1",
        b"curl/8.14.1",
        b"Java/21 Apache-HttpClient/4.5 PlayStation Vita 3.18) BB10 Version/10.0 CrOS x86)",
        b" / \xC3\xA9\t\xFF",
    ];
    let languages: [&[u8]; 6] = [
        b"de-CH,de;q=0.9, en;q=0.8",
        b"*;q=0.5, en;q=0",
        b"fr, EN-gb ; q=1.000",
        b"de;q=0,*",
        b"en;q=1.001,de;q=NaN",
        b"de,de;q=-0,de;q=NaN,de;q=00",
    ];
    let agents = agents.map(|agent| seed(&[1], &[agent]));
    let languages = languages.map(|header| seed(&[0], &[header]));
    [&agents[..], &languages].concat()
}
