//! `X-Forwarded-For`: the client is the peer, or what the nearest proxy that is not trusted has come from. Nobody else says so.

use std::net::IpAddr;

use ipnet::IpNet;
use latchkey::server::edge::client;
use poem::http::{HeaderMap, HeaderValue};

use crate::input::{Input, seed};

const NETWORKS: [&str; 4] = ["10.0.0.0/8", "fd00::/8", "0.0.0.0/0", "203.0.113.9/32"];

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let chosen: u8 = input.take();
    let mut parts = input.parts();
    let peer = parts.text().parse().unwrap_or(IpAddr::from([10, 0, 0, 1]));
    let networks: Vec<IpNet> = NETWORKS
        .iter()
        .enumerate()
        .filter(|(at, _)| chosen >> at & 1 == 1)
        .map(|(_, text)| text.parse().expect("a network"))
        .collect();
    let mut headers = HeaderMap::new();
    while !parts.is_at_end() {
        if let Ok(line) = HeaderValue::from_bytes(parts.bytes()) {
            headers.append("x-forwarded-for", line);
        }
    }

    let found = client(peer, &headers, &networks);
    assert_eq!(found, found.to_canonical());
    let trusted = |ip: IpAddr| networks.iter().any(|network| network.contains(&ip));
    let lines = headers.get_all("x-forwarded-for").iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    let entries = lines.collect::<Vec<_>>().join(",");
    let read = |entry: &str| entry.trim().parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    // From the right: trusted proxies, then the first that is not.
    let mut way = vec![peer.to_canonical()];
    way.extend(entries.rsplit(',').map_while(read));
    let nearest = way.iter().copied().find(|ip| !trusted(*ip));
    assert_eq!(Some(found), nearest.or(way.last().copied()), "{peer} {entries:?}");
}

pub fn seeds() -> Vec<Vec<u8>> {
    vec![
        seed(&[1], &[b"10.0.0.1", b"6.6.6.6, 1.2.3.4, 10.0.0.2"]),
        seed(&[1], &[b"10.0.0.1", b"6.6.6.6", b"1.2.3.4"]),
        seed(&[1], &[b"10.0.0.1", b"6.6.6.6, garbage"]),
        seed(&[3], &[b"::ffff:10.0.0.1", b"fd00::1", b"2001:db8::1, ::ffff:10.0.0.2"]),
        seed(&[4], &[b"203.0.113.9", b"1.2.3.4:80, [::1]:80, unknown"]),
        seed(&[8], &[b"203.0.113.9", b", 1.2.3.4,"]),
        seed(&[0], &[b"203.0.113.9", b"1.2.3.4"]),
        seed(&[1], &[b"10.0.0.1", b"\"1.2.3.4\"; fe80::1%eth0"]),
    ]
}
