//! Processes under test: starting and stopping them, and what they cost in CPU and memory.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::http::{self, BlockingConnection};
use crate::{vault, webhooks};

const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_micros(200);

/// A server process that listens on loopback; killed when dropped.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
}

/// An address on loopback that was free a moment ago.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Process {
    /// Starts `command` and waits until `path` answers 200; the time that took is measured from the spawn.
    pub fn start(command: &mut Command, address: SocketAddr, path: &str) -> Result<(Self, Duration)> {
        let request = http::request(path, None, None);
        let began = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        let mut process = Self { child, address };
        while !process.answers(&request) {
            if let Some(status) = process.child.try_wait()? {
                bail!("the server stopped before its first answer: {status}");
            }
            if began.elapsed() > START_TIMEOUT {
                bail!("{path} did not answer 200 within {} s", START_TIMEOUT.as_secs());
            }
            thread::sleep(POLL);
        }
        Ok((process, began.elapsed()))
    }

    fn answers(&self, request: &[u8]) -> bool {
        BlockingConnection::open(self.address)
            .and_then(|mut connection| connection.exchange(request).map(|(status, _)| status))
            .is_ok_and(|status| status == 200)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the process to stop and waits for its end.
    pub fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(pid, Signal::TERM)?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > STOP_TIMEOUT {
                bail!("the server did not stop within {} s of SIGTERM", STOP_TIMEOUT.as_secs());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A field of `/proc/PID/status` in bytes: `VmRSS` (resident now) or `VmHWM` (its peak).
pub fn memory(pid: u32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(field)).context("no such field")?;
    let kibibytes: f64 = line.split_whitespace().nth(1).context("no value")?.parse()?;
    Ok(kibibytes * 1024.0)
}

/// The fields of `/proc/PID/stat` from the third, the state, on.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = line.rsplit_once(") ")?;
    // The state is a letter and some later fields are negative; neither is wanted.
    Some(fields.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
}

const PARENT: usize = 1;
const USER_AND_SYSTEM: std::ops::Range<usize> = 11..13;
const WITH_REAPED_CHILDREN: std::ops::Range<usize> = 11..15;

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// User and system time of a process in seconds.
pub fn cpu(pid: u32) -> f64 {
    stat(pid).map_or(0.0, |fields| seconds(fields[USER_AND_SYSTEM].iter().sum()))
}

/// User and system time of a process and its children, the ended ones included.
pub fn cpu_of_family(parent: u32) -> f64 {
    let own = stat(parent).map_or(0, |fields| fields[WITH_REAPED_CHILDREN].iter().sum());
    let children: u64 = pids()
        .filter_map(stat)
        .filter(|fields| fields[PARENT] == u64::from(parent))
        .map(|fields| fields[USER_AND_SYSTEM].iter().sum::<u64>())
        .sum();
    seconds(own + children)
}

/// The parent of a process.
pub fn parent(pid: u32) -> Option<u32> {
    u32::try_from(*stat(pid)?.get(PARENT)?).ok()
}

fn pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// CPU time of the whole machine since boot in seconds: (busy, taken by the hypervisor).
pub fn machine_cpu() -> (f64, f64) {
    let line = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> = line
        .lines()
        .next()
        .into_iter()
        .flat_map(str::split_whitespace)
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user, nice, system, idle, iowait, irq, softirq, steal. Interrupts belong to nobody: where the kernel counts them
    // apart from processes they are mostly the packets of the load.
    let at = |index: usize| seconds(ticks.get(index).copied().unwrap_or(0));
    (at(0) + at(1) + at(2), at(7))
}

/// What a server logs, in its data folder.
pub const LOG: &str = "server.log";

/// The server's command on a database, with everything but what is measured at its default.
pub fn server_command(program: &Path, address: SocketAddr, database: &str, data: &Path) -> Result<Command> {
    let mut command = latchkey(program, address, database, data)?;
    command.arg("serve");
    Ok(command)
}

/// The same for any of its commands, which is still to be given.
pub fn latchkey(program: &Path, address: SocketAddr, database: &str, data: &Path) -> Result<Command> {
    let log = File::options().create(true).append(true).open(data.join(LOG))?;
    let mut command = Command::new(program);
    command
        .stderr(log)
        .current_dir(data)
        .env_clear()
        .env("LATCHKEY_LISTEN", address.to_string())
        .env("LATCHKEY_DATABASE_URL", database)
        .env("LATCHKEY_DATA_DIR", data)
        .env("LATCHKEY_MAIL_URL", format!("file://{}", data.join("mail").display()))
        // A saturating client is what limits are for, and nobody here reads mail.
        .env("LATCHKEY_LIMITS__ENABLED", "false")
        .env("LATCHKEY_REQUIRE_VERIFIED_EMAIL", "false")
        // The sign-ups of the beginning stay recent enough to reveal, and each account may store as much as is measured.
        .env("LATCHKEY_ASSURANCE__RECENT_SECONDS", "86400")
        .env("LATCHKEY_TOKENS__ACCESS_SECONDS", "3600")
        .env("LATCHKEY_VAULT__KEYS_PER_ACCOUNT", "100000")
        .env("LATCHKEY_VAULT__BASE_URLS__BINANCE.LIVE", format!("http://{}", vault::exchange()?))
        .env("LATCHKEY_KYC__PROVIDERS__STANDARD_WEBHOOKS__WEBHOOK_SECRETS", webhooks::secret())
        .env("LATCHKEY_KYC__PROVIDERS__STANDARD_WEBHOOKS__LEVELS__FULL", "full")
        .env("LATCHKEY_LOG__LEVEL", "warn");
    Ok(command)
}
