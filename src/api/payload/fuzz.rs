//! Random input, the same in every run: nothing panics, and nothing gets past the walk that the types refuse.

use poem::Endpoint;
use serde_json::{Value, json};

use super::{
    Email, parity,
    tests::{answer, post},
};

/// A small generator (xorshift), so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    fn value(&mut self) -> Value {
        let texts = [
            "",
            "x",
            "red",
            "true",
            "1",
            "ada@example.com",
            "2026-01-02T03:04:05Z",
            "https://a.b",
            "\u{0}é🔑",
        ];
        let members = ["flag", "count", "name", "size", "email", "words", "inner", "labels", "at", "id"];
        match self.roll(11) {
            0 => Value::Null,
            1 => json!(self.roll(2) == 0),
            2 => json!(self.roll(200)),
            3 => json!(-(self.0 as f64)),
            4 => json!(self.0),
            5 => json!(0.5),
            6 => (0..self.roll(4)).map(|_| self.value()).collect(),
            7 => (0..self.roll(4))
                .map(|_| (members[self.roll(members.len())].to_owned(), self.value()))
                .collect(),
            _ => json!(texts[self.roll(texts.len())]),
        }
    }
}

#[tokio::test]
async fn no_bytes_cause_a_panic_or_an_unexplained_answer() {
    let good = json!({
        "flag": true, "count": 1, "above": 1, "step": 5, "ratio": 0.5, "words": ["a"], "inner": {"name": "a", "size": 1},
        "many": [{"name": "b", "size": 2}], "colour": "red", "id": "0192f0c1-2a3b-7c4d-8e5f-60718293a4b5",
        "at": "2026-01-02T03:04:05Z", "labels": {"a": "b"}
    });
    let endpoint = parity::endpoint();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut accepted = 0;
    for round in 0..4000 {
        let bytes = if round % 2 == 0 {
            let mut body = good.clone();
            let members: Vec<String> = body.as_object().unwrap().keys().cloned().collect();
            for _ in 0..dice.roll(3) {
                body[&members[dice.roll(members.len())]] = dice.value();
            }
            body.to_string().into_bytes()
        } else {
            let mut bytes = good.to_string().into_bytes();
            for _ in 0..=dice.roll(4) {
                let at = dice.roll(bytes.len());
                match dice.roll(3) {
                    0 => bytes[at] = u8::try_from(dice.roll(256)).unwrap(),
                    1 => bytes.truncate(at.max(1)),
                    _ => bytes.insert(at, b"[]{}\",:\\ue\xFF0-."[dice.roll(14)]),
                }
            }
            bytes
        };
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let (status, answer) = answer(endpoint.get_response(post("/everything", bytes)).await).await;
        match status {
            200 => accepted += 1,
            422 => assert!(!answer.to_string().contains("is not acceptable"), "{shown}: {answer}"),
            _ => panic!("{status} {answer} to {shown}"),
        }
    }
    assert!(accepted > 100, "most mutations must not be refused for the same reason");
}

#[test]
fn no_text_makes_the_address_parser_panic() {
    let mut dice = Dice(42);
    let parts = [
        "a", ".", "@", "-", "é", "\u{301}", "xn--", "☃", "。", "\u{200d}", "[", "]", "\"", "<", ">", " ",
        "com", "1", "א", "\u{202e}",
    ];
    for _ in 0..20_000 {
        let text: String = (0..dice.roll(12)).map(|_| parts[dice.roll(parts.len())]).collect();
        if let Ok(email) = text.parse::<Email>() {
            let again: Email =
                email.as_str().parse().unwrap_or_else(|error| panic!("{text:?}, {email:?}: {error}"));
            assert_eq!(again.key(), email.key(), "{text:?}");
            let key: Email =
                email.key().parse().unwrap_or_else(|error| panic!("{text:?}, {email:?}: {error}"));
            assert_eq!(key.key(), email.key(), "{text:?}");
        }
    }
}
