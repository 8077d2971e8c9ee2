//! Load on a server: a closed loop on keep-alive connections for rates, an open loop on a fixed schedule for
//! latencies.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::{join, join_all};

use crate::http::{BlockingConnection, Connection};
use crate::process;

/// Discarded at the start of every window: connections open, queues fill, caches warm.
pub const WARM_UP: Duration = Duration::from_millis(400);

/// What one connection sends, and whether an answer is the right one.
pub trait Script {
    /// The next request, into `out`.
    fn request(&mut self, out: &mut Vec<u8>);

    /// Whether the body of a 200 is what was asked for.
    fn accepts(&mut self, body: &[u8]) -> bool;
}

/// Whose CPU time counts beside the load generator's own.
#[derive(Clone, Copy, Default)]
pub struct Meter {
    /// The server process.
    pub server: Option<u32>,
    /// The parent of the database's processes.
    pub database: Option<u32>,
}

/// CPU time in seconds.
#[derive(Clone, Copy, Default)]
pub struct Cpu {
    pub server: f64,
    pub database: f64,
    pub generator: f64,
}

impl Meter {
    pub fn read(self) -> Cpu {
        Cpu {
            server: self.server.map_or(0.0, process::cpu),
            database: self.database.map_or(0.0, process::cpu_of_family),
            generator: process::cpu(std::process::id()),
        }
    }
}

impl std::ops::Sub for Cpu {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            server: self.server - before.server,
            database: self.database - before.database,
            generator: self.generator - before.generator,
        }
    }
}

/// Counts of answers that were not the right one, by status or kind.
pub type Wrong = BTreeMap<String, u64>;

/// What a window of load did.
pub struct Sample {
    /// Right answers.
    pub count: u64,
    pub wrong: Wrong,
    pub elapsed: Duration,
    pub cpu: Cpu,
}

impl Sample {
    /// Right answers per second.
    pub fn rate(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64()
    }
}

/// Sends an answer's script its verdict.
fn judge(answer: io::Result<(u16, &[u8])>, accepts: impl FnOnce(&[u8]) -> bool) -> Result<(), String> {
    match answer {
        Ok((200, body)) if accepts(body) => Ok(()),
        Ok((200, _)) => Err("wrong body".to_owned()),
        Ok((status, _)) => Err(status.to_string()),
        Err(error) => Err(format!("connection: {error}")),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    WarmUp,
    Counting,
    Over,
}

struct Tally {
    phase: Cell<Phase>,
    count: Cell<u64>,
    wrong: RefCell<Wrong>,
}

/// As many requests as the server answers in `window`, one at a time on each script's own connection.
///
/// Every connection finishes what it began, so that no script loses an answer; what is finished outside the
/// window is not counted.
pub async fn closed_loop<S: Script>(
    address: SocketAddr,
    scripts: &mut [S],
    window: Duration,
    meter: Meter,
) -> Result<Sample> {
    at_pace(address, scripts, Duration::ZERO, window, meter).await
}

/// The same with one request of each connection per `pace` at most, evenly spread: a crowd that does not wait for a slow
/// server to be done with others.
pub async fn at_pace<S: Script>(
    address: SocketAddr,
    scripts: &mut [S],
    pace: Duration,
    window: Duration,
    meter: Meter,
) -> Result<Sample> {
    let tally =
        Tally { phase: Cell::new(Phase::WarmUp), count: Cell::new(0), wrong: RefCell::new(Wrong::new()) };
    let step = pace / u32::try_from(scripts.len())?;
    let connections = (0..).zip(scripts.iter_mut()).map(|(number, script)| {
        let tally = &tally;
        async move {
            tokio::time::sleep(step * number).await;
            drive(address, script, pace, tally).await
        }
    });
    let connections = join_all(connections);
    let clock = async {
        tokio::time::sleep(WARM_UP).await;
        let (began, before) = (Instant::now(), meter.read());
        tally.phase.set(Phase::Counting);
        tokio::time::sleep(window).await;
        tally.phase.set(Phase::Over);
        (began.elapsed(), meter.read() - before)
    };
    let (outcomes, (elapsed, cpu)) = join(connections, clock).await;
    outcomes.into_iter().collect::<io::Result<()>>().context("connecting to the server")?;
    Ok(Sample { count: tally.count.get(), wrong: tally.wrong.into_inner(), elapsed, cpu })
}

async fn drive<S: Script>(
    address: SocketAddr,
    script: &mut S,
    pace: Duration,
    tally: &Tally,
) -> io::Result<()> {
    let mut connection = Connection::open(address).await?;
    let mut request = Vec::new();
    while tally.phase.get() != Phase::Over {
        let next = Instant::now() + pace;
        script.request(&mut request);
        let answer = connection.exchange(&request).await;
        let broken = answer.is_err();
        let verdict = judge(answer, |body| script.accepts(body));
        match verdict {
            Ok(()) if tally.phase.get() == Phase::Counting => tally.count.set(tally.count.get() + 1),
            Ok(()) => {}
            // A mistake counts whenever it happens.
            Err(kind) => *tally.wrong.borrow_mut().entry(kind).or_default() += 1,
        }
        if broken {
            connection = Connection::open(address).await?;
        }
        if !pace.is_zero() {
            tokio::time::sleep_until(next.into()).await;
        }
    }
    Ok(())
}

/// A request and what its answer must contain.
pub struct Question {
    pub request: Vec<u8>,
    pub expected: Vec<u8>,
}

impl Question {
    pub fn answered_by(&self, body: &[u8]) -> bool {
        memchr::memmem::find(body, &self.expected).is_some()
    }
}

/// Latencies of an open loop in seconds, and the wrong answers.
#[derive(Default)]
pub struct Latencies {
    seconds: Vec<f64>,
    pub wrong: Wrong,
}

impl Latencies {
    /// The latency that half of the requests stay below, in seconds.
    pub fn median(&self) -> f64 {
        self.quantile(50)
    }

    /// The latency that 99 of 100 requests stay below, in seconds.
    pub fn p99(&self) -> f64 {
        self.quantile(99)
    }

    fn quantile(&self, percent: usize) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    pub fn add(&mut self, more: Self) {
        self.seconds.extend(more.seconds);
        for (kind, count) in more.wrong {
            *self.wrong.entry(kind).or_default() += count;
        }
    }
}

/// Threads of the open loop: enough that a slow answer rarely delays the next request.
pub const PROBES: u32 = 8;
/// Requests per second of all probes together, unless the measure has a rate of its own.
pub const PROBE_RATE: u32 = 200;
/// The scheduler is asked to run a probe at once: it stands for a client on another machine.
const PROBE_PRIORITY: i32 = -15;

/// Asks the same questions as the other probes, each another one at a time.
pub struct Probe {
    questions: Arc<[Question]>,
    next: usize,
    asked: usize,
}

impl Probe {
    /// One for each thread of the open loop.
    pub fn all(questions: &Arc<[Question]>) -> Vec<Self> {
        let probe = |next| Self { questions: Arc::clone(questions), next, asked: 0 };
        (0..PROBES as usize).map(probe).collect()
    }
}

impl Script for Probe {
    fn request(&mut self, out: &mut Vec<u8>) {
        self.asked = self.next % self.questions.len();
        self.next += PROBES as usize;
        out.clear();
        out.extend_from_slice(&self.questions[self.asked].request);
    }

    fn accepts(&mut self, body: &[u8]) -> bool {
        self.questions[self.asked].answered_by(body)
    }
}

type Asked<S> = JoinHandle<Result<(Latencies, S)>>;

/// Sends what [`PROBES`] scripts say, all together `rate` times a second for `window`, after a pause of [`WARM_UP`].
pub fn open_loop<S: Script + Send + 'static>(
    address: SocketAddr,
    scripts: Vec<S>,
    rate: u32,
    window: Duration,
) -> Vec<Asked<S>> {
    let (began, interval) = (Instant::now() + WARM_UP, Duration::from_secs(1) * PROBES / rate);
    (0..PROBES)
        .zip(scripts)
        .map(|(index, mut script)| {
            thread::spawn(move || {
                // Refused without the privilege; the report says so.
                let _ = raise_priority();
                let first = began + interval * index / PROBES;
                let latencies = probe(address, &mut script, first, interval, began + window)?;
                Ok((latencies, script))
            })
        })
        .collect()
}

/// Joins the threads of [`open_loop`]; answers their scripts, too.
pub fn collect<S>(probes: Vec<Asked<S>>) -> Result<(Latencies, Vec<S>)> {
    let (mut all, mut scripts) = (Latencies::default(), vec![]);
    for probe in probes {
        let (one, script) = probe.join().map_err(|_| anyhow::anyhow!("a probe panicked"))??;
        all.add(one);
        scripts.push(script);
    }
    Ok((all, scripts))
}

fn raise_priority() -> rustix::io::Result<()> {
    // On Linux a thread's id selects that thread alone.
    rustix::process::setpriority_process(Some(rustix::thread::gettid()), PROBE_PRIORITY)
}

/// Whether probes may run at their raised priority.
pub fn can_raise_priority() -> bool {
    thread::spawn(raise_priority).join().is_ok_and(|outcome| outcome.is_ok())
}

fn probe(
    address: SocketAddr,
    script: &mut impl Script,
    mut due: Instant,
    interval: Duration,
    end: Instant,
) -> Result<Latencies> {
    let mut connection = BlockingConnection::open(address)?;
    let (mut latencies, mut request) = (Latencies::default(), Vec::new());
    while due < end {
        script.request(&mut request);
        // Late because of the answer before: the wait counts. Late because of a coarse timer: it does not.
        let asked = match due.checked_duration_since(Instant::now()) {
            Some(wait) => {
                thread::sleep(wait);
                Instant::now()
            }
            None => due,
        };
        let answer = connection.exchange(&request);
        let broken = answer.is_err();
        match judge(answer, |body| script.accepts(body)) {
            Ok(()) => latencies.seconds.push(asked.elapsed().as_secs_f64()),
            Err(kind) => *latencies.wrong.entry(kind).or_default() += 1,
        }
        if broken {
            connection = BlockingConnection::open(address)?;
        }
        due += interval;
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p99_leaves_one_of_a_hundred_above() {
        let latencies = |count: u32| Latencies {
            seconds: (1..=count).rev().map(f64::from).collect(),
            wrong: Wrong::new(),
        };
        assert_eq!(latencies(200).p99(), 198.0);
        assert_eq!(latencies(100).p99(), 99.0);
        assert_eq!(latencies(1).p99(), 1.0);
        assert!(latencies(0).p99().is_nan());
    }
}
