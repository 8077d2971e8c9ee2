//! Known answers: each hash was made by the program that is named, with `PASSWORD` unless the test says otherwise.

use super::super::{Hasher, Password, Verdict, check_imported};
use super::*;

const PASSWORD: &str = "seven pale blue teapots";

const HASHES: &[(&str, &str)] = &[
    ("bcrypt 4.3", "$2b$04$maUt7P4DXktu5K.9MvNtROmfFqKkvV9wS962HFpgb8.P4cj9.5m7O"),
    ("bcrypt 4.3", "$2a$05$wy0Bhet..a2xZcePxkDB8uieY9GICD9iMBAa5JD8ikdXUcdfzRSwW"),
    ("passlib 1.7", "$2y$04$CZT6PbW3A/w/f2QJ.CRg2urGGJCdxj3v.Mo2HvJGA1cV7VcEJAK8u"),
    ("Django 5.2", "bcrypt$$2b$04$96SAFWnMueDDI0hj9Xiz3epk5a/85ef/8j83nsrl7yY.uwyqdClfy"),
    ("Django 5.2", "bcrypt_sha256$$2b$04$RdZZ1.DIHE8u1qy1Dp068OjbgEaFhs4kYpOLyqm3UBDqRIoyNsapi"),
    (
        "passlib 1.7",
        "$scrypt$ln=8,r=8,p=2$yJkz5pwz5rxXyrnXOofw3g$xThf51SEX76nPbP+n78HDbNHLKD6mtScRtUqBcLuKF8",
    ),
    (
        "hashlib",
        "$scrypt$ln=10,r=8,p=1$c2l4dGVlbiBzYWx0IGJ5dA$cGBVo5DuOL5YOlnU7gfjVhk/Myi42yKMCLZQ70YUXEsbNeb3+MjLJoUak6bpfRySsYnENdLZv6s4W8XZTchr5A",
    ),
    (
        "Django 5.2",
        "scrypt$1024$NaClNaClNaClNaClNaClNa$8$5$NisXDp2gFLj0dA9rlR0es8yMJBllyVjyCKwO06qQOFkCiJ2r4e0MeiQSkdMBhg9O9Viq5UcXj7or6rf/rQ5Lpw==",
    ),
    (
        "Werkzeug 3.1",
        "scrypt:1024:8:1$83HawNiWigL9PW5M$1bc3b898534a974cb204b4aca375921ff386b0561c5c0cf20ff27e4c2db7b3fabf18a83a664ed79aeb5f430dc239275ee280a562b8113a74717d52bddc38fc3a",
    ),
    ("passlib 1.7", "$pbkdf2$100$AkCIEYJwLsU4J.Sc874Xog$Djobc9YNlKwtBctX7bwM6vyavU0"),
    ("passlib 1.7", "$pbkdf2-sha256$100$ReidE.L8/7.XMoaQsvbe2w$iJBNXqtBtwl2AgdS.G9g4Dy2nxbchZefQbuS9KbGmXw"),
    (
        "passlib 1.7",
        "$pbkdf2-sha512$100$jhGCUKq1Vmpt7V0rRcgZAw$ANrSSKiTtBCJsZIMrF7/vWZeFsA8t1VNU9bsNruKU3YXlhbnjnSdxDMeLzBs6AN7kzq.7brNipL8NHvPpk1r9A",
    ),
    (
        "hashlib",
        "$pbkdf2-sha256$i=1000,l=32$c2l4dGVlbiBzYWx0IGJ5dA$Hsfl5ypbNmBteT0fhqpK0UKASqb6Wcrqqk8xpUGEpnk",
    ),
    (
        "hashlib",
        "$pbkdf2-sha512$i=1000,l=32$c2l4dGVlbiBzYWx0IGJ5dA$2grG3dsBg1VBQNH6OB0vWN+DDaUFvzNWs05uVuuGd4c",
    ),
    (
        "hashlib",
        "$pbkdf2-sha256$i=10$c2l4dGVlbiBzYWx0IGJ5dA$2/PJIn12FZ+C3FwBHUYy9QRX4xTBoyF32Sx31s1agGGBG+trj1v1RmlWz8NkNVFxampzdho+FUo+9Kz0gX0Y4A",
    ),
    ("Django 5.2", "pbkdf2_sha256$1000$NaClNaClNaClNaClNaClNa$Ml1rHwNPGD7smU4PKd10HuZqCCaUXx/Yz6UIi0lgnKg="),
    ("Django 5.2", "pbkdf2_sha1$1000$NaClNaClNaClNaClNaClNa$ygsqeRcVm4o6yoNJ6IpGekevc0w="),
    (
        "Werkzeug 3.1",
        "pbkdf2:sha256:1000$TnKnwwvuNZODK4yC$ff6f6d053bc857de3d0519ae115e525631744879d729cf7f8b292b1a2e0c84d7",
    ),
    (
        "Werkzeug 3.1",
        "pbkdf2:sha512:1000$2Udd2fy4HJsx6tLG$886d2be7c7a86d7ab8dffb829f6f6108baeed157fd7f07a92d47be3ee22c58aa7bd687ccbebfbdd6370ae36f04841e92acb9e7b3f61fbedbd2cac565d19f3153",
    ),
    ("Werkzeug 3.1", "pbkdf2:sha1:1000$3hV0uO82X2xPOwQD$4c743a2313611d0d99b793c1ce2d88349514fa02"),
    (
        "argon2-cffi 25.1",
        "$argon2d$v=19$m=64,t=2,p=2$c2l4dGVlbiBzYWx0IGJ5dA$tjp3OkOoxm6EQM0yRjjVPPtviIFwcZpRoZzspRidywA",
    ),
    (
        "argon2-cffi 25.1",
        "$argon2d$v=16$m=64,t=2,p=1$c2l4dGVlbiBzYWx0IGJ5dA$emb1esUGSYP9YhL5loYfdhAGrYHMzasdC6uoQxwt+fs",
    ),
    (
        "argon2-cffi 25.1",
        "$argon2i$v=19$m=64,t=2,p=2$c2l4dGVlbiBzYWx0IGJ5dA$GQvCzoCWsHYVk5tGAIGVF53VaEht7SqOBuwVmvGR7JU",
    ),
    (
        "argon2-cffi 25.1",
        "$argon2i$v=16$m=64,t=2,p=1$c2l4dGVlbiBzYWx0IGJ5dA$ZOjyHro1uWxtGALBGVSA0aXqacJAMcU5L+6Gx8z6O9Y",
    ),
    (
        "argon2-cffi 25.1",
        "$argon2i$m=64,t=2,p=1$c2l4dGVlbiBzYWx0IGJ5dA$ZOjyHro1uWxtGALBGVSA0aXqacJAMcU5L+6Gx8z6O9Y",
    ),
    (
        "argon2-cffi 25.1",
        "$argon2id$v=19$m=64,t=2,p=2$c2l4dGVlbiBzYWx0IGJ5dA$3SNeMWPemy/XSEuTAw+B3c0lZ9EB+GzmD4GQoWxaB1U",
    ),
    (
        "argon2-cffi 25.1",
        "$argon2id$v=16$m=64,t=2,p=1$c2l4dGVlbiBzYWx0IGJ5dA$5FQRubXJTr/LzXKTcD+YP6bK0hQPvFXstyEfwd7OFes",
    ),
    (
        "Django 5.2",
        "argon2$argon2id$v=19$m=64,t=2,p=2$TmFDbE5hQ2xOYUNs$BN/j0bgQHugt3rdr/XZomRuVVV0RaAFGE3plh1ihr1I",
    ),
];

async fn verify(password: &str, stored: &str) -> Verdict {
    Hasher::cheap().verify(Password::new(password), Some(stored)).await.unwrap()
}

#[tokio::test]
async fn hashes_of_other_programs_match_and_ask_to_be_replaced() {
    // Stronger than the cheap one in every number, yet not as ours are.
    let strong = Hasher::cheap();
    for (program, hash) in HASHES {
        check_imported(hash).unwrap_or_else(|error| panic!("{program}: {hash}: {error}"));
        let verdict = strong.verify(Password::new(PASSWORD), Some(hash)).await.unwrap();
        assert!(verdict.matches, "{program}: {hash}");
        let ours = hash.contains("argon2id$v=19") && !hash.starts_with("argon2$");
        assert_eq!(verdict.needs_rehash, !ours, "{program}: {hash}");
        let wrong = strong.verify(Password::new("seven pale blue teapot"), Some(hash)).await.unwrap();
        assert_eq!(wrong, Verdict { matches: false, needs_rehash: false }, "{program}: {hash}");
    }
    assert_eq!(strong.computed(), 2 * HASHES.len() as u64);
}

#[tokio::test]
async fn other_letters_and_long_passwords_match_as_they_did() {
    let letters = "cafe\u{301} am Platz \u{212b}";
    for hash in [
        "$2b$04$j02yYhu5Rtrr5Yfe7XGIgOBgoPcdkJtVFG1Kw8wbDhJItAgfKbHeO",
        "$pbkdf2-sha256$100$7f0fo7R2LmWM8V6LMWZM6Q$LoT7pAT.YaA.0Cq9vJ2P6Imw0gwxKWI2KhXbZULEzuA",
    ] {
        assert!(verify(letters, hash).await.matches, "{hash}");
        assert!(!verify("cafe am Platz A", hash).await.matches, "{hash}");
    }
    // bcrypt never looked further than 72 bytes.
    let long = "$2b$04$Mj0/nO7zFyekuvFvZ1ZRC.8810zL/TNf9xQfw11Y2bjHw4qnp9jPC";
    assert!(verify(&format!("{}yz", "x".repeat(71)), long).await.matches);
    assert!(verify(&format!("{}y", "x".repeat(71)), long).await.matches);
    assert!(!verify(&"x".repeat(73), long).await.matches);
    assert!(!verify(&"x".repeat(71), long).await.matches);
}

#[tokio::test]
async fn what_is_no_whole_hash_is_not_taken_and_never_matches() {
    let salt = "c2l4dGVlbiBzYWx0IGJ5dA";
    let refused = [
        "".into(),
        "5f4dcc3b5aa765d61d8327deb882cf99".into(),
        "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/".into(),
        "$5$rounds=5000$saltsalt$Q7zA1vHLoBS3L.4ZzHyTPyFaEDgHGQJ9d6nAvCWVMw0".into(),
        "{SSHA}MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0".into(),
        "sha1$salt$59b3e8d637cf97edbe2384cf59cb7453dfe30789".into(),
        // What an old crypt_blowfish got wrong.
        "$2x$04$maUt7P4DXktu5K.9MvNtROmfFqKkvV9wS962HFpgb8.P4cj9.5m7O".into(),
        "$2b$03$maUt7P4DXktu5K.9MvNtROmfFqKkvV9wS962HFpgb8.P4cj9.5m7O".into(),
        "$2b$32$maUt7P4DXktu5K.9MvNtROmfFqKkvV9wS962HFpgb8.P4cj9.5m7O".into(),
        "$2b$04$maUt7P4DXktu5K.9MvNtROmfFqKkvV9wS962HFpgb8.P4cj9.5m7".into(),
        "$2b$04$maUt7P4DXktu5K.9MvNtR".into(),
        "$2b$04$".into(),
        // Tags that would match anything, or a good part of it.
        "pbkdf2_sha256$1000$NaCl$".into(),
        format!("$pbkdf2-sha256$1000${salt}$"),
        format!("$pbkdf2-sha256$1000${salt}$iJBNXqtBtwl2AgdS.G9g"),
        format!("$scrypt$ln=8,r=8,p=2${salt}$"),
        "scrypt:1024:8:1$salt$".into(),
        format!("pbkdf2:sha256:1000$salt${}", "0".repeat(258)),
        format!("pbkdf2:sha256:1000$salt${}", "0".repeat(63)),
        format!("pbkdf2:sha256:1000$salt${}", "x".repeat(64)),
        format!("pbkdf2_sha256$0$NaCl${}", "A".repeat(43)),
        format!("sha256$1000$NaCl${}", "A".repeat(43)),
        format!("pbkdf2_md5$1000$NaCl${}", "A".repeat(43)),
        format!("$pbkdf2-sha256$rounds=1000${salt}${}", "A".repeat(43)),
        format!("$scrypt$ln=0,r=8,p=1${salt}${}", "A".repeat(43)),
        format!("$scrypt$ln=8,r=0,p=1${salt}${}", "A".repeat(43)),
        format!("$scrypt$ln=8,r=8,p=0${salt}${}", "A".repeat(43)),
        format!("scrypt$1000$salt$8$1${}", "A".repeat(43)),
        format!("$scrypt$ln=8,r=8,p=1${}${}", salt, "A".repeat(600)),
        format!("pbkdf2_sha256$1000$Na\u{0}Cl${}", "A".repeat(43)),
        "$argon2id$v=19$m=64,t=2,p=2,keyid=c2VjcmV0$c2l4dGVlbiBzYWx0IGJ5dA$3SNeMWPemy/XSEuTAw+B3c0lZ9EB+GzmD4GQoWxaB1U"
            .into(),
    ];
    for hash in refused {
        assert_eq!(check_imported(&hash), Err(UnusableHash::NotTaken), "{hash}");
        let verdict = verify(PASSWORD, &hash).await;
        assert_eq!(verdict, Verdict { matches: false, needs_rehash: false }, "{hash}");
    }
}

#[tokio::test]
async fn a_hash_that_costs_too_much_is_refused_and_never_computed() {
    let (salt, tag) = ("c2l4dGVlbiBzYWx0IGJ5dA", "A".repeat(43));
    for hash in [
        "$2b$16$maUt7P4DXktu5K.9MvNtROmfFqKkvV9wS962HFpgb8.P4cj9.5m7O".to_owned(),
        "$2b$31$maUt7P4DXktu5K.9MvNtROmfFqKkvV9wS962HFpgb8.P4cj9.5m7O".to_owned(),
        // 512 MiB; too often; and numbers that overflow.
        format!("$scrypt$ln=19,r=8,p=1${salt}${tag}"),
        format!("$scrypt$ln=17,r=8,p=5${salt}${tag}"),
        format!("$scrypt$ln=255,r=8,p=1${salt}${tag}"),
        format!("$scrypt$ln=63,r=4294967295,p=4294967295${salt}${tag}"),
        format!("$scrypt$ln=1,r=65536,p=4294967295${salt}${tag}"),
        format!("$pbkdf2-sha256$i=4000001${salt}${tag}"),
        format!("$pbkdf2-sha512$i=4294967295${salt}${tag}"),
        // A tag of two blocks costs twice.
        format!("$pbkdf2-sha256$i=2000001${salt}${}", "A".repeat(86)),
        format!("$argon2id$v=19$m=4294967295,t=1,p=1${salt}${tag}"),
        format!("$argon2id$v=19$m=64,t=65,p=1${salt}${tag}"),
        format!("$argon2i$v=19$m=1024,t=2,p=65${salt}${tag}"),
    ] {
        assert_eq!(check_imported(&hash), Err(UnusableHash::TooCostly), "{hash}");
        // At a cheap cost: computed as they say, some would take days.
        assert!(!verify(PASSWORD, &hash).await.matches, "{hash}");
    }
    // Operators may choose these, but not for the hashes of others.
    for hash in [
        format!("$argon2id$v=19$m=262145,t=1,p=1${salt}${tag}"),
        format!("$argon2id$v=19$m=262144,t=17,p=1${salt}${tag}"),
    ] {
        assert_eq!(check_imported(&hash), Err(UnusableHash::TooCostly), "{hash}");
    }
}
