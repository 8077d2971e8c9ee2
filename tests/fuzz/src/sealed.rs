//! What lies sealed in the database: nothing opens but what was sealed, where it was sealed, as it was sealed.

use std::sync::LazyLock;

use latchkey::config::Config;
use latchkey::crypto::envelope::Envelopes;
use latchkey::crypto::record::{Place, RecordKey};
use latchkey::crypto::root_ring::RootRing;
use latchkey::crypto::seal::Sealer;
use latchkey::entropy::Entropy;
use latchkey::secret::Secret;
use uuid::Uuid;

use crate::input::{Input, Parts, flipped, seed};

static ROOTS: LazyLock<RootRing> = LazyLock::new(|| {
    let key = |text: &str| Secret::new(text.to_owned());
    let config = Config {
        root_key: Some(key("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")),
        previous_root_keys: vec![key("Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=")],
        ..Config::default()
    };
    RootRing::obtain(&config, Entropy).expect("root keys")
});
const KEY: [u8; 32] = [5; 32];

/// A way to seal something, and to open it.
type Seal<'a> = &'a dyn Fn(&[u8], &[u8]) -> Vec<u8>;
type Open<'a> = &'a dyn Fn(&[u8], &[u8]) -> Option<Vec<u8>>;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (kind, bit, cut): (u8, u16, u8) = input.take();
    let parts = input.parts();
    let alteration = (bit, usize::from(cut));
    match kind % 3 {
        0 => {
            let sealer = Sealer::new(&ROOTS, "fuzz", Entropy);
            let open = |context: &[u8], sealed: &[u8]| sealer.open(context, sealed).ok().map(|text| text.to_vec());
            check(parts, alteration, &|context, plain| sealer.seal(context, plain), &open);
        }
        1 => {
            let envelopes = Envelopes::new(Sealer::new(&ROOTS, "fuzz", Entropy), Entropy);
            let open = |context: &[u8], sealed: &[u8]| envelopes.open(context, sealed).ok().map(|text| text.to_vec());
            check(parts, alteration, &|context, plain| envelopes.seal(context, plain), &open);
        }
        _ => {
            let key = RecordKey::from_bytes(&KEY).expect("a key");
            let place = Place { owner: Uuid::from_u128(1), record: Uuid::from_u128(2), version: 3 };
            let name = String::from_utf8_lossy;
            let seal = |field: &[u8], plain: &[u8]| key.seal(&place, &name(field), plain, Entropy);
            let open = |field: &[u8], sealed: &[u8]| key.open(&place, &name(field), sealed).ok().map(|text| text.to_vec());
            check(parts, alteration, &seal, &open);
        }
    }
}

fn check(mut parts: Parts<'_>, (bit, cut): (u16, usize), seal: Seal<'_>, open: Open<'_>) {
    let (context, other, plain) = (parts.bytes(), parts.bytes(), parts.bytes());
    // Nobody has sealed this.
    assert_eq!(open(context, plain), None);
    let sealed = seal(context, plain);
    assert_eq!(open(context, &sealed).as_deref(), Some(plain));
    if String::from_utf8_lossy(context) != String::from_utf8_lossy(other) {
        assert_eq!(open(other, &sealed), None, "elsewhere");
    }
    let altered = flipped(&sealed, bit).expect("not empty");
    assert_eq!(open(context, &altered), None, "bit {bit}");
    let shorter = &sealed[..sealed.len() - 1 - cut.min(sealed.len() - 1)];
    assert_eq!(open(context, shorter), None, "without the last {cut}");
    for moved in [[&sealed[..], &[0]].concat(), [plain, &sealed].concat(), [shorter, plain].concat()] {
        // Byte by byte: libFuzzer remembers what slices are compared with, and would send as its own what was sealed here.
        assert!(moved.iter().eq(&sealed) || open(context, &moved).is_none());
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let parts: &[&[u8]] = &[b"ada/1/secret", b"ada/1/api_key", b"canary"];
    let mut seeds: Vec<_> = (0..3).map(|kind| seed(&[kind, 40, 0, 1], parts)).collect();
    // What others of the same form would look like.
    let head = [&[1, 1, 2, 3, 4][..], &[0; 12], &[7; 20]].concat();
    seeds.push(seed(&[0, 3, 0, 0], &[b"", b"a", &head]));
    seeds.push(seed(&[1, 3, 0, 0], &[b"", b"a", &[&[0, 37][..], &head, &head].concat()]));
    seeds.push(seed(&[2, 3, 0, 0], &[b"", b"a", &head]));
    seeds
}
