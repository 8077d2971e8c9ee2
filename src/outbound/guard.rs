//! Keeps requests to addresses of a user's choice out of places that the user could not reach alone (server-side request
//! forgery): this machine, its network, and what clouds tell their machines about themselves.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};

use ipnet::IpNet;
use ipnet::{Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Special-purpose addresses (IANA, RFC 6890 and its updates). What is not unicast to somewhere on the internet is not asked.
static SPECIAL_V4: LazyLock<Vec<Ipv4Net>> = LazyLock::new(|| {
    [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    ]
    .iter()
    .map(|text| text.parse().expect("a network of ours"))
    .collect()
});
/// Of IPv6 only global unicast, without the parts in it that stand for IPv4 addresses, tunnels, and examples.
static GLOBAL_V6: LazyLock<Ipv6Net> = LazyLock::new(|| "2000::/3".parse().expect("a network of ours"));
static SPECIAL_V6: LazyLock<Vec<Ipv6Net>> = LazyLock::new(|| {
    ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"]
        .iter()
        .map(|text| text.parse().expect("a network of ours"))
        .collect()
});

/// Where requests may go.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Networks that the operator has opened although they are not public.
    opened: Arc<[IpNet]>,
    /// Ports beside 443.
    ports: Arc<[u16]>,
}

/// Why a URL may not be asked: a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub &'static str);

impl Guard {
    #[must_use]
    pub fn new(opened: &[IpNet], ports: &[u16]) -> Self {
        Self { opened: opened.into(), ports: ports.into() }
    }

    /// Whether a URL may be asked, as far as it can be told without resolving its host.
    pub fn admit(&self, url: &Url) -> Result<(), Refused> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused("The URL must not have a user in it."));
        }
        let opened = match url.host() {
            None => return Err(Refused("The URL has no host.")),
            Some(Host::Domain(_)) => false,
            Some(Host::Ipv4(ip)) => self.admit_address(ip.into())?,
            Some(Host::Ipv6(ip)) => self.admit_address(ip.into())?,
        };
        if opened {
            return Ok(());
        }
        if url.scheme() != "https" {
            return Err(Refused("The URL must begin with https."));
        }
        match url.port() {
            None => Ok(()),
            Some(port) if self.ports.contains(&port) => Ok(()),
            Some(_) => Err(Refused("The URL must use port 443.")),
        }
    }

    /// Whether an address may be asked; answers whether that is because the operator has opened its network.
    fn admit_address(&self, ip: IpAddr) -> Result<bool, Refused> {
        if self.opened.iter().any(|network| network.contains(&ip)) {
            return Ok(true);
        }
        if is_public(ip) { Ok(false) } else { Err(Refused("The address is not public.")) }
    }
}

/// Whether an address is one of the internet at large.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !SPECIAL_V4.iter().any(|network| network.contains(&ip)),
        IpAddr::V6(ip) => GLOBAL_V6.contains(&ip) && !SPECIAL_V6.iter().any(|network| network.contains(&ip)),
    }
}

/// The connection goes to an address that was looked at, because nobody resolves the name a second time.
impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // A name that also stands for a private address is not a service that somebody has a key for.
            for address in &found {
                guard.admit_address(address.ip())?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for ip in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::",
            "3fff::1",
            "5f00::1",
        ] {
            assert!(!is_public(ip.parse().expect("an address")), "{ip}");
        }
        for ip in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(is_public(ip.parse().expect("an address")), "{ip}");
        }
    }

    #[test]
    fn a_url_is_judged_before_it_is_asked() {
        let strict = Guard::default();
        for (url, admitted) in [
            ("https://api.example.com/v1", true),
            ("https://api.example.com:443/v1", true),
            ("https://8.8.8.8/", true),
            ("http://api.example.com/v1", false),
            ("https://api.example.com:8443/v1", false),
            ("https://user@api.example.com/", false),
            ("https://:word@api.example.com/", false),
            ("https://127.0.0.1/", false),
            // The same address in other spellings, which URLs bring into the usual one.
            ("https://2130706433/", false),
            ("https://0x7f.1/", false),
            ("https://0177.0.0.1/", false),
            ("https://127.1/", false),
            ("https://[::1]/", false),
            ("https://[::ffff:169.254.169.254]/", false),
            ("https://169.254.169.254/latest/meta-data/", false),
            ("ftp://api.example.com/", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(strict.admit(&Url::parse(url).expect("a URL")).is_ok(), admitted, "{url}");
        }
        let opened = Guard::new(&["10.0.0.0/8".parse().expect("a network")], &[8443]);
        for (url, admitted) in [
            ("http://10.1.2.3:9000/", true),
            ("https://10.1.2.3/", true),
            ("https://api.example.com:8443/", true),
            ("http://api.example.com:8443/", false),
            ("https://192.168.0.1/", false),
        ] {
            assert_eq!(opened.admit(&Url::parse(url).expect("a URL")).is_ok(), admitted, "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_of_a_private_address_is_not_resolved() {
        let name = || "localhost".parse::<Name>().expect("a name");
        assert!(Guard::default().resolve(name()).await.is_err());
        let opened = Guard::new(&["127.0.0.0/8".parse().expect("v4"), "::1/128".parse().expect("v6")], &[]);
        assert!(opened.resolve(name()).await.is_ok_and(|mut found| found.next().is_some()));
    }
}
