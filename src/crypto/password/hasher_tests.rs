#[cfg(target_os = "linux")]
use std::path::Path;
use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use argon2::{Algorithm, Argon2, Version};

use super::*;

/// From the test suite of the reference implementation: "password" with the salt "somesalt".
const REFERENCE: &str =
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

fn cheap(memory_kib: u32, iterations: u32, queue: usize) -> HashingParams {
    HashingParams { memory_kib, iterations, queue, threads: 1, ..HashingParams::default() }
}

async fn matches(hasher: &Hasher, password: &str, stored: &str) -> bool {
    hasher.verify(Password::new(password), Some(stored)).await.unwrap().matches
}

async fn hash(hasher: &Hasher, password: &str) -> String {
    hasher.hash(Password::new(password)).await.unwrap()
}

#[test]
fn the_rfc_9106_vector_comes_out_of_the_memory_that_threads_keep() {
    // RFC 9106 §5.3.
    let params = argon2::ParamsBuilder::new()
        .m_cost(32)
        .t_cost(3)
        .p_cost(4)
        .data(argon2::AssociatedData::new(&[4; 12]).unwrap())
        .output_len(32)
        .build()
        .unwrap();
    let argon2 = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
    let expected = [
        0x0d, 0x64, 0x0d, 0xf5, 0x8d, 0x78, 0x76, 0x6c, 0x08, 0xc0, 0x37, 0xa3, 0x4a, 0x8b, 0x53, 0xc9, 0xd0,
        0x1e, 0xf0, 0x45, 0x2d, 0x75, 0xb6, 0x5e, 0xb5, 0x25, 0x20, 0xe9, 0x6b, 0x01, 0xe6, 0x59,
    ];
    let mut memory = Memory::new(&Params::new(64, 1, 1, None).unwrap());
    let another = Argon2::from(Params::new(64, 1, 1, Some(16)).unwrap());
    assert_eq!(*memory.argon2(&argon2, &[1; 32], &[2; 16], 32).unwrap(), expected);
    // What another hash left in the memory makes no difference.
    memory.argon2(&another, b"another", &[9; 16], 16).unwrap();
    assert_eq!(*memory.argon2(&argon2, &[1; 32], &[2; 16], 32).unwrap(), expected);
    // Neither does memory that is only lent.
    assert_eq!(*Memory::new(another.params()).argon2(&argon2, &[1; 32], &[2; 16], 32).unwrap(), expected);
    let mut small = Memory::new(&Params::new(8, 1, 1, None).unwrap());
    assert_eq!(*small.argon2(&argon2, &[1; 32], &[2; 16], 32).unwrap(), expected);
}

#[test]
fn below_the_floor_no_thread_starts() {
    assert!(Hasher::start(&cheap(19_455, 2, 1), Entropy).is_err());
}

#[tokio::test]
async fn a_hash_is_a_phc_string_with_the_configured_cost_and_its_own_salt() {
    let hasher = Hasher::start(&HashingParams::default(), Entropy).unwrap();
    let first = hash(&hasher, "pale blue teapot").await;
    let second = hash(&hasher, "pale blue teapot").await;
    assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
    assert_ne!(first, second);
    let Stored { recipe: Recipe::Argon2(argon2), tag } = Stored::parse(&first).unwrap() else {
        panic!("{first}")
    };
    assert_eq!((argon2.salt.len(), tag.len()), (16, 32));
    assert_eq!(argon2.to_phc(&tag), first);
    assert!(matches(&hasher, "pale blue teapot", &first).await);
    assert!(!matches(&hasher, "pale blue teapots", &first).await);
}

#[tokio::test]
async fn hashes_of_the_reference_implementation_are_understood() {
    let hasher = Hasher::cheap();
    assert!(matches(&hasher, "password", REFERENCE).await);
    assert!(!matches(&hasher, "differentpassword", REFERENCE).await);
}

#[tokio::test]
async fn the_whole_password_counts() {
    let hasher = Hasher::cheap();
    for length in [64, 72, 128] {
        for character in ["a", "é", "😀"] {
            let password = character.repeat(length);
            let stored = hash(&hasher, &password).await;
            assert!(matches(&hasher, &password, &stored).await);
            assert!(!matches(&hasher, &format!("{password}a"), &stored).await);
            assert!(!matches(&hasher, &character.repeat(length - 1), &stored).await);
        }
    }
    for (chosen, other) in [
        ("nul\0tail-one", "nul\0tail-two"),
        ("Case Matters", "case matters"),
        ("trailing space ", "trailing space"),
        (" leading space", "leading space"),
        ("\u{fb01}ne print", "fine print"),
    ] {
        let stored = hash(&hasher, chosen).await;
        assert!(matches(&hasher, chosen, &stored).await);
        assert!(!matches(&hasher, other, &stored).await, "{chosen:?} {other:?}");
    }
    let stored = hash(&hasher, "cafe\u{301} au lait").await;
    assert!(matches(&hasher, "caf\u{e9} au lait", &stored).await);
}

#[tokio::test]
async fn unknown_accounts_and_malformed_hashes_cost_a_hash_and_never_match() {
    let hasher = Hasher::cheap();
    let valid = hash(&hasher, "pale blue teapot").await;
    let nothing = Verdict { matches: false, needs_rehash: false };
    let malformed = [
        String::new(),
        "pale blue teapot".to_owned(),
        valid.replace("argon2id", "argon2"),
        valid.replace("v=19", "v=18"),
        valid.replace("m=8", "keyid=c2VjcmV0,m=8"),
        valid.replace("m=8", "m=4"),
        valid.replace("m=8", "m=4294967295"),
        valid.replace("t=1", "t=4294967295"),
        valid.replace("p=1", "p=65536"),
        valid[..valid.rfind('$').unwrap()].to_owned(),
        format!("{valid}$more"),
    ];
    for stored in malformed.iter().map(|phc| Some(phc.as_str())).chain([None]) {
        let before = hasher.computed();
        let verdict = hasher.verify(Password::new("pale blue teapot"), stored).await.unwrap();
        assert_eq!(verdict, nothing, "{stored:?}");
        assert_eq!(hasher.computed(), before + 1, "{stored:?}");
    }
}

#[tokio::test]
async fn a_match_with_a_weaker_hash_asks_for_a_new_one() {
    let hasher = Hasher::start_unvalidated(&cheap(16, 2, 8), Entropy).unwrap();
    let verify = async |password: &str, stored: &str| {
        let verdict = hasher.verify(Password::new(password), Some(stored)).await.unwrap();
        (verdict.matches, verdict.needs_rehash)
    };
    for (memory_kib, iterations, weaker) in
        [(16, 2, false), (32, 3, false), (8, 2, true), (16, 1, true), (32, 1, true)]
    {
        let stored_by = Hasher::start_unvalidated(&cheap(memory_kib, iterations, 8), Entropy).unwrap();
        let stored = hash(&stored_by, "pale blue teapot").await;
        assert_eq!(verify("pale blue teapot", &stored).await, (true, weaker), "{stored}");
        assert_eq!(verify("pale green teapot", &stored).await, (false, false), "{stored}");
    }
    // Strong enough, but for its salt of eight bytes.
    assert_eq!(verify("password", REFERENCE).await, (true, true));
}

/// Starts `future` without a runtime.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn beyond_the_queue_a_request_is_refused_at_once_and_abandoned_ones_are_not_computed() {
    let (hasher, jobs) = Hasher::without_threads(&cheap(8, 1, 3), Entropy).unwrap();
    let password = || Password::new("pale blue teapot");
    let mut first = pin!(hasher.hash(password()));
    let mut abandoned = Box::pin(hasher.hash(password()));
    let mut third = pin!(hasher.verify(password(), None));
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll(abandoned.as_mut()).is_pending());
    assert_eq!(hasher.admit(), Ok(()));
    assert!(poll(third.as_mut()).is_pending());

    assert_eq!(hasher.admit(), Err(Overloaded));
    assert_eq!(poll(pin!(hasher.hash(password()))), Poll::Ready(Err(Overloaded)));
    assert_eq!(poll(pin!(hasher.verify(password(), Some(REFERENCE)))), Poll::Ready(Err(Overloaded)));
    assert_eq!(poll(pin!(hasher.verify(password(), None))), Poll::Ready(Err(Overloaded)));

    drop(abandoned);
    hasher.spawn(1, jobs).unwrap();
    assert!(first.await.is_ok());
    assert!(third.await.is_ok());
    assert_eq!(hasher.computed(), 2);
}

#[tokio::test]
async fn threads_that_have_gone_are_an_overload_not_a_hang() {
    let (hasher, jobs) = Hasher::without_threads(&cheap(8, 1, 3), Entropy).unwrap();
    drop(jobs);
    assert_eq!(hasher.hash(Password::new("pale blue teapot")).await, Err(Overloaded));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn threads_that_hash_step_back_behind_the_others() {
    let hasher = Hasher::cheap();
    hash(&hasher, "a password").await;
    let own = niceness(Path::new("/proc/thread-self"));
    let threads: Vec<_> =
        std::fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| task.path()).collect();
    let of_hashes = threads.iter().filter(|thread| text(thread, "comm").starts_with("password-"));
    let behind: Vec<_> =
        of_hashes.filter(|thread| niceness(thread) == (own + priority::NICENESS).min(19)).collect();
    assert!(!behind.is_empty(), "none beside {own}");
    let release = text(Path::new("/proc/sys/kernel"), "osrelease");
    let release: Vec<u32> = release.split('.').map_while(|part| part.parse().ok()).collect();
    for thread in behind.iter().filter(|_| release >= vec![6, 12]) {
        let told = text(thread, "sched");
        let slice =
            told.lines().find_map(|line| line.strip_prefix("se.slice")?.trim_start().strip_prefix(':'));
        // Only some kernels tell.
        assert!(slice.is_none_or(|slice| slice.trim().parse() == Ok(priority::SLICE)), "{told}");
    }
}

#[cfg(target_os = "linux")]
fn text(thread: &Path, file: &str) -> String {
    std::fs::read_to_string(thread.join(file)).unwrap_or_default()
}

/// The 19th of proc_pid_stat(5), from the third on, after the name.
#[cfg(target_os = "linux")]
fn niceness(thread: &Path) -> i32 {
    let stat = text(thread, "stat");
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(16)?.parse().ok()).unwrap_or(i32::MIN / 2)
}
