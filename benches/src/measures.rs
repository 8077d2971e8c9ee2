//! What is measured: each measure takes turns between the server and its limit, so that both meet the same noise.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::accounts::{Account, Ask, Login, Nothing, Signup, Turn};
use crate::engines::{self, Engine};
use crate::limits;
use crate::load::{
    self, Latencies, Meter, PROBE_RATE, Probe, Question, Sample, Script, Wrong, at_pace, closed_loop,
};
use crate::process::{self, Process};
use crate::report::{Goal, Row, Unit};
use crate::vault::{self, Operation, Store};
use crate::vault_limits::VaultLimit;
use crate::webhooks::{self, Deliver};
use crate::{CONNECTIONS, Plan};

/// Connections that keep the hash pool busy without filling its queue.
const SIGN_IN_CONNECTIONS: usize = 16;
/// After a start, before the idle memory is read.
const SETTLE: Duration = Duration::from_secs(1);

/// Samples by side; in every second round the sides run in the opposite order.
async fn take_turns(
    plan: &Plan,
    sides: usize,
    mut run: impl AsyncFnMut(usize) -> Result<Sample>,
) -> Result<Vec<Vec<Sample>>> {
    let mut samples: Vec<Vec<Sample>> = (0..sides).map(|_| Vec::new()).collect();
    for round in 0..plan.rounds {
        for step in 0..sides {
            let side = if round % 2 == 0 { step } else { sides - 1 - step };
            samples[side].push(run(side).await?);
        }
    }
    Ok(samples)
}

fn scripts<S: Script>(count: usize, script: impl Fn() -> S) -> Vec<S> {
    (0..count).map(|_| script()).collect()
}

/// Login and signup at saturation against Argon2id alone on every core.
pub async fn sign_in(plan: &Plan, engines: &[Engine]) -> Result<Vec<Row>> {
    let newcomers: Vec<Turn> = engines.iter().map(|_| Turn::default()).collect();
    let samples = take_turns(plan, 1 + 2 * engines.len(), async |side| {
        let Some(side) = side.checked_sub(1) else { return limits::argon2id(plan.window) };
        let engine = &engines[side / 2];
        let address = engine.server.address;
        if side % 2 == 0 {
            let turn = Turn::default();
            let login = || Login { accounts: Rc::clone(&engine.accounts), turn: Rc::clone(&turn) };
            let mut logins = scripts(SIGN_IN_CONNECTIONS, login);
            closed_loop(address, &mut logins, plan.window, engine.meter()).await
        } else {
            let signup = || Signup { turn: Rc::clone(&newcomers[side / 2]) };
            let mut signups = scripts(SIGN_IN_CONNECTIONS, signup);
            closed_loop(address, &mut signups, plan.window, engine.meter()).await
        }
    })
    .await?;
    let limit = ("Argon2id, all cores", &samples[0][..]);
    let mut rows = Vec::new();
    for (operation, offset) in [("login", 1), ("signup", 2)] {
        for (index, engine) in engines.iter().enumerate() {
            let measured = &samples[offset + 2 * index];
            rows.push(Row::against_limit(operation, engine.name, Goal::AtLeast(0.95), measured, limit));
        }
    }
    Ok(rows)
}

/// The profile at 64 connections against an empty handler, for many accounts and for one.
pub async fn profile(plan: &Plan, engines: &[Engine]) -> Result<Vec<Row>> {
    let empty = limits::start_empty_handler()?;
    let questions: Vec<[Rc<[Question]>; 2]> = engines
        .iter()
        .map(|engine| {
            let all: Rc<[Question]> = engine.accounts.iter().map(Account::profile).collect();
            [all, engine.accounts.iter().take(1).map(Account::profile).collect()]
        })
        .collect();
    let samples = take_turns(plan, 1 + 2 * engines.len(), async |side| {
        let Some(side) = side.checked_sub(1) else { return ask_nothing(&empty, plan.window).await };
        let engine = &engines[side / 2];
        let (questions, turn) = (&questions[side / 2][side % 2], Turn::default());
        let mut profiles = scripts(CONNECTIONS, || Ask::new(questions, &turn));
        closed_loop(engine.server.address, &mut profiles, plan.window, engine.meter()).await
    })
    .await?;
    let limit = ("empty handler", &samples[0][..]);
    let mut rows = Vec::new();
    let many = format!("profile, {} accounts", plan.accounts);
    for (operation, offset) in [(many.as_str(), 1), ("profile, 1 account", 2)] {
        for (index, engine) in engines.iter().enumerate() {
            // The second engine is another process, asked over a socket.
            let goal = Goal::AtLeast(if engine.postmaster.is_none() { 0.4 } else { 0.3 });
            rows.push(Row::against_limit(operation, engine.name, goal, &samples[offset + 2 * index], limit));
        }
    }
    empty.stop()?;
    Ok(rows)
}

async fn ask_nothing(empty: &Process, window: Duration) -> Result<Sample> {
    let meter = Meter { server: Some(empty.pid()), database: None };
    closed_loop(empty.address, &mut scripts(CONNECTIONS, || Nothing), window, meter).await
}

/// Refresh at 64 connections, each with its own session, against one-row commits through the raw driver.
pub async fn refresh(plan: &Plan, engines: &mut [Engine]) -> Result<Vec<Row>> {
    let samples = take_turns(plan, 2 * engines.len(), async |side| {
        let engine = &mut engines[side / 2];
        if side % 2 == 0 {
            return engine.commits(plan.window).await;
        }
        let (address, meter) = (engine.server.address, engine.meter());
        closed_loop(address, &mut engine.chains, plan.window, meter).await
    })
    .await?;
    let row = |(index, engine): (usize, &Engine)| {
        let limit = (engine.commits_name(), &samples[2 * index][..]);
        Row::against_limit("refresh", engine.name, Goal::AtLeast(1.0), &samples[2 * index + 1], limit)
    };
    Ok(engines.iter().enumerate().map(row).collect())
}

/// The vault at 64 connections, each with an account of its own, and webhooks of a provider, against AES-GCM and the same statements alone.
pub async fn vault(plan: &Plan, engines: &[Engine]) -> Result<Vec<Row>> {
    let (mut holders, mut limits) = (Vec::new(), Vec::new());
    for engine in engines {
        let prepared = vault::prepare(engine.server.address, &engine.accounts).await?;
        limits.push(VaultLimit::new(engine, &prepared)?);
        holders.push(prepared);
    }
    let delivered: Vec<Turn> = engines.iter().map(|_| Turn::default()).collect();
    let stored: Vec<Turn> = engines.iter().map(|_| Turn::default()).collect();
    let mut rows = Vec::new();
    for operation in Operation::ALL {
        let samples = take_turns(plan, 2 * engines.len(), async |side| {
            let (index, engine) = (side / 2, &engines[side / 2]);
            if side % 2 == 0 {
                return limits[index].run(operation, plan.window).await;
            }
            let (address, meter) = (engine.server.address, engine.meter());
            if operation == Operation::Store {
                let (accounts, turn) = (&engine.accounts, &stored[index]);
                let store = || Store { accounts: Rc::clone(accounts), turn: Rc::clone(turn) };
                return closed_loop(address, &mut scripts(CONNECTIONS, store), plan.window, meter).await;
            }
            if operation == Operation::TakeIn {
                let references = webhooks::prepare(address, &engine.accounts).await?;
                let deliver =
                    || Deliver { references: Rc::clone(&references), turn: Rc::clone(&delivered[index]) };
                let mut deliver = scripts(CONNECTIONS, deliver);
                let sample = closed_loop(address, &mut deliver, plan.window, meter).await?;
                limits[index].worked_off().await?;
                return Ok(sample);
            }
            let questions = holders[index].iter().map(|holder| holder.questions(operation));
            let mut asks: Vec<Ask> =
                questions.map(|questions| Ask::new(&questions, &Turn::default())).collect();
            closed_loop(address, &mut asks, plan.window, meter).await
        })
        .await?;
        for (index, engine) in engines.iter().enumerate() {
            let name = limits[index].name(operation);
            let (limit, measured) = (&samples[2 * index], &samples[2 * index + 1]);
            rows.push(Row::against_limit(
                &operation.name(),
                engine.name,
                Goal::None,
                measured,
                (&name, limit),
            ));
        }
    }
    for limit in &limits {
        limit.clear().await?;
    }
    Ok(rows)
}

/// Latency of the profile while others log in, as many as the server can take and ten times as many, against idle.
pub async fn isolation(plan: &Plan, engines: &[Engine]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for engine in engines {
        let questions: Arc<[Question]> = engine.accounts.iter().map(Account::profile).collect();
        let address = engine.server.address;
        let probe = || load::open_loop(address, Probe::all(&questions), PROBE_RATE, plan.probe_window);
        let turn = Turn::default();
        let login = || Login { accounts: Rc::clone(&engine.accounts), turn: Rc::clone(&turn) };
        let mut idle = Vec::new();
        let (mut busy, mut flood) = (Beside::default(), Beside::default());
        for _ in 0..plan.rounds {
            let (alone, _) = load::collect(probe())?;
            idle.push(alone.p99());
            let wrong = alone.wrong;

            let (mut logins, probes) = (scripts(CONNECTIONS, login), probe());
            let sample = closed_loop(address, &mut logins, plan.probe_window, engine.meter()).await?;
            let capacity = sample.rate();
            busy.add(sample, &load::collect(probes)?.0, &wrong);

            let crowd = HASHING_QUEUE + ((FLOOD - 1.0) * capacity * PACE.as_secs_f64()) as usize;
            let (mut logins, probes) = (scripts(crowd, login), probe());
            let sample = at_pace(address, &mut logins, PACE, plan.probe_window, engine.meter()).await?;
            flood.add(sample, &load::collect(probes)?.0, &wrong);
        }
        rows.push(busy.row("profile p99 beside logins", engine.name, Goal::AtMost(5.0), &idle));
        rows.push(flood.row("profile p99 beside a flood of logins", engine.name, Goal::AtMost(2.0), &idle));
    }
    Ok(rows)
}

/// Logins of a flood for each that the server can take.
const FLOOD: f64 = 10.0;
/// Logins that wait for a hash (`hashing.queue`); the others are refused at once.
const HASHING_QUEUE: usize = 256;
/// Between two logins of a connection that was refused.
const PACE: Duration = Duration::from_millis(250);

/// What was measured beside logins, round by round.
#[derive(Default)]
struct Beside {
    p99: Vec<f64>,
    logins: Vec<Sample>,
    wrong: Wrong,
}

impl Beside {
    fn add(&mut self, logins: Sample, beside: &Latencies, wrong_alone: &Wrong) {
        self.p99.push(beside.p99());
        self.logins.push(logins);
        for (kind, count) in beside.wrong.iter().chain(wrong_alone) {
            *self.wrong.entry(kind.clone()).or_default() += count;
        }
    }

    fn row(self, name: &str, engine: &'static str, goal: Goal, idle: &[f64]) -> Row {
        Row::against_idle(name, engine, goal, &self.p99, idle, &self.logins, self.wrong)
    }
}

/// Memory, starts and the size of the binary. Ends the servers' run: each is started anew.
pub async fn footprint(plan: &Plan, engines: Vec<Engine>) -> Result<(Vec<Row>, Vec<Engine>)> {
    let (mut rows, mut restarted) = (Vec::new(), Vec::new());
    let size = engines::size(engines.first().context("no engine")?.program())?;
    for mut engine in engines {
        let name = engine.name;
        let now = process::memory(engine.server.pid(), "VmRSS")?;
        let peak = process::memory(engine.server.pid(), "VmHWM")?;
        rows.push(Row::plain("memory after load", name, Goal::None, Unit::Megabytes, vec![now]));
        rows.push(Row::plain("memory, peak under load", name, Goal::None, Unit::Megabytes, vec![peak]));
        for path in ["/livez", "/readyz"] {
            let mut times = Vec::new();
            for _ in 0..plan.starts {
                let took;
                (engine, took) = engine.restart(path)?;
                times.push(took.as_secs_f64() * 1e3);
            }
            let goal = Goal::AtMost(100.0);
            rows.push(Row::plain(&format!("start to {path}"), name, goal, Unit::Milliseconds, times));
        }
        tokio::time::sleep(SETTLE).await;
        let idle = process::memory(engine.server.pid(), "VmRSS")?;
        rows.push(Row::plain("memory, idle", name, Goal::AtMost(20.0), Unit::Megabytes, vec![idle]));
        restarted.push(engine);
    }
    rows.push(Row::plain("size of the binary", "", Goal::None, Unit::Megabytes, vec![size]));
    rows.sort_by(|one, other| one.operation.cmp(&other.operation));
    Ok((rows, restarted))
}
