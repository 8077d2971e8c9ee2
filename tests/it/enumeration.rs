//! Nobody learns from an answer, its headers or its time who has an account.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::process::{Connection, Process, Site, credentials};
use crate::support::{Answer, PASSWORD};

/// What there is of an answer to compare: all but what differs from request to request.
fn shape(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let own = ["x-request-id", "date", "content-length"];
    let mut headers: Vec<(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    let mut body = answer.json();
    for pointer in ["/request_id", "/user/id", "/user/email"] {
        if let Some(value) = body.pointer_mut(pointer) {
            // Its form stays.
            *value = value.as_str().map_or(0, str::len).into();
        }
    }
    (answer.status, headers, body)
}

/// Who a request is about: somebody with an account, or nobody. Each round brings others where that matters.
type Bodies = fn(usize) -> Value;

/// Compares the median times of requests about `known` and `unknown` addresses, sent in turns.
///
/// A difference that is there is there in every round, the noise of a busy machine is not: one round within `bound` is
/// enough. The cost of a hash, or of a mail, is far beyond the bound.
async fn same_time(server: &Process, path: &str, pairs: usize, known: Bodies, unknown: Bodies, bound: Bound) {
    const ROUNDS: usize = 6;
    let mut connection = Connection::open(server.address).await.unwrap();
    let mut seen = vec![];
    for round in 0..ROUNDS {
        let mut times: [Vec<Duration>; 2] = Default::default();
        for pair in 0..pairs {
            // Whoever comes first in one pair comes second in the next.
            for which in if pair % 2 == 0 { [0, 1] } else { [1, 0] } {
                let body = [known, unknown][which](round * pairs + pair);
                let started = Instant::now();
                let answer = connection.post(path, &body).await.unwrap();
                times[which].push(started.elapsed());
                assert!(answer.status < 429, "{answer:?}");
            }
        }
        let [known, unknown] = times.map(median);
        let difference = known.abs_diff(unknown);
        if difference <= bound.absolute || difference.as_secs_f64() <= bound.relative * unknown.as_secs_f64()
        {
            return;
        }
        seen.push((known, unknown));
    }
    panic!("{path} tells known from unknown addresses by its time: {seen:?}");
}

struct Bound {
    relative: f64,
    absolute: Duration,
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

async fn post(server: &Process, path: &str, body: Value) -> Answer {
    server.anonymous().post(path, &body).await
}

const ADA: &str = "ada@example.com";
const PENDING: &str = "bob@example.com";

/// One account that is confirmed and one that is not.
async fn inhabited(site: &Site) -> Process {
    let server = site.start().await;
    site.verified(&server, ADA, PASSWORD).await;
    post(&server, "/auth/signup", credentials(PENDING, PASSWORD)).await.assert_status(200);
    site.rows().await.outbox_empty().await;
    server
}

/// Runs an operation and answers how many hashes that took.
async fn hashes(server: &Process, operation: impl Future<Output = Answer>) -> (f64, Answer) {
    let before = server.hashes().await;
    let answer = operation.await;
    (server.hashes().await - before, answer)
}

on_both_engines! {
    async fn a_wrong_password_and_an_unknown_address_are_refused_alike(site: Site) {
        let server = inhabited(&site).await;
        site.verified(&server, "eve@example.com", PASSWORD).await;
        site.run(&["users", "disable", "eve@example.com"]).await.assert_success();

        let wrong = "nine loud red trumpets";
        let mut shapes = vec![];
        for email in [ADA, PENDING, "eve@example.com", "nobody@example.com"] {
            let (count, answer) = hashes(&server, post(&server, "/auth/login", credentials(email, wrong))).await;
            assert_eq!(count, 1.0, "{email}");
            shapes.push(shape(&answer.assert_error(401, "invalid_credentials")));
        }
        assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:#?}");
        same_time(
            &server,
            "/auth/login",
            60,
            |_| credentials(ADA, "nine loud red trumpets"),
            |number| credentials(&format!("nobody{number}@example.com"), "nine loud red trumpets"),
            Bound { relative: 0.15, absolute: Duration::ZERO },
        )
        .await;
    }

    async fn a_sign_up_with_a_known_address_is_answered_like_any_other(site: Site) {
        let server = inhabited(&site).await;
        let mut shapes = vec![];
        for email in [ADA, PENDING, "new@example.com"] {
            let (count, answer) = hashes(&server, post(&server, "/auth/signup", credentials(email, PASSWORD))).await;
            assert_eq!(count, 1.0, "{email}");
            let answer = answer.assert_status(200);
            assert_eq!(answer.json()["user"]["email"], email);
            let (status, headers, mut body) = shape(&answer);
            body["user"]["email"] = Value::Null;
            shapes.push((status, headers, body));
        }
        assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:#?}");
        same_time(
            &server,
            "/auth/signup",
            60,
            |_| credentials(ADA, PASSWORD),
            |number| credentials(&format!("new{number}@example.com"), PASSWORD),
            Bound { relative: 0.15, absolute: Duration::ZERO },
        )
        .await;
    }

    async fn asking_for_another_mail_tells_nothing(site: Site) {
        let server = inhabited(&site).await;
        let mut shapes = vec![];
        for email in [PENDING, ADA, "nobody@example.com"] {
            let (count, answer) =
                hashes(&server, post(&server, "/auth/resend-verification", json!({ "email": email }))).await;
            assert_eq!(count, 0.0);
            shapes.push(shape(&answer.assert_status(200)));
        }
        assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:#?}");
        same_time(
            &server,
            "/auth/resend-verification",
            200,
            |_| json!({ "email": PENDING }),
            |number| json!({ "email": format!("nobody{number}@example.com") }),
            Bound { relative: 0.15, absolute: Duration::from_micros(300) },
        )
        .await;
    }

    async fn asking_for_a_new_password_tells_nothing(site: Site) {
        let server = inhabited(&site).await;
        site.verified(&server, "eve@example.com", PASSWORD).await;
        site.run(&["users", "disable", "eve@example.com"]).await.assert_success();
        let mut shapes = vec![];
        for email in [ADA, PENDING, "eve@example.com", "nobody@example.com"] {
            let (count, answer) =
                hashes(&server, post(&server, "/auth/forgot-password", json!({ "email": email }))).await;
            assert_eq!(count, 0.0);
            let body = answer.body.clone();
            shapes.push((shape(&answer.assert_status(200)), body));
        }
        assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:#?}");
        same_time(
            &server,
            "/auth/forgot-password",
            200,
            |_| json!({ "email": ADA }),
            |number| json!({ "email": format!("nobody{number}@example.com") }),
            Bound { relative: 0.15, absolute: Duration::from_micros(300) },
        )
        .await;
    }

    /// Also when the waiting time has begun to grow, and when it is refused.
    async fn the_wait_for_another_mail_grows_alike(site: Site) {
        let site = site.with_limits().with("LIMITS__RESEND_PER_ADDRESS", "1000/3600");
        let server = inhabited(&site).await;
        for _ in 0..3 {
            let mut shapes = vec![];
            for email in [PENDING, ADA, "nobody@example.com"] {
                let answer = post(&server, "/auth/resend-verification", json!({ "email": email })).await;
                let (status, mut headers, body) = shape(&answer);
                // Seconds may pass between the requests.
                headers.retain(|(name, _)| name != "retry-after");
                shapes.push((status, headers, body));
            }
            assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:#?}");
        }
    }
}
