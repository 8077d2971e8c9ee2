//! Measures the release server over loopback on both engines. Every figure is a ratio to a limit that is measured in
//! the same run, because rates say more about the machine than about the server. `scripts/bench` runs it.

mod accounts;
mod engines;
mod http;
mod limits;
mod load;
mod measures;
mod process;
mod report;
mod scale;
mod vault;
mod vault_limits;
mod webhooks;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use engines::Engine;

/// The server's allocator, so that the empty handler has no other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Connections of the load, and of the limits that have any.
pub const CONNECTIONS: usize = 64;

/// Measures the Latchkey server as ratios to limits of this machine.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    args: Option<Args>,
}

#[derive(Subcommand)]
enum Command {
    /// Fill a database with accounts, sessions, credentials and audit events
    Fill(scale::FillArgs),
    /// Compare latencies on a large database with those on a small one
    Scale(scale::ScaleArgs),
}

#[derive(clap::Args)]
struct Args {
    /// The server's release binary
    #[arg(long)]
    server: PathBuf,
    /// A new folder for databases and limits, on the disk that is to be measured; removed afterwards
    #[arg(long)]
    folder: PathBuf,
    /// A PostgreSQL cluster on this machine whose user may create databases; without it only SQLite is measured
    #[arg(long)]
    postgres: Option<String>,
    /// Shorter windows and fewer rounds: a check of the tool, no result to keep
    #[arg(long)]
    quick: bool,
    /// Only these measures
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Measure>,
    /// Rounds of every comparison
    #[arg(long)]
    rounds: Option<usize>,
    /// Length of a window in seconds
    #[arg(long)]
    window: Option<f64>,
    /// A Markdown file that keeps the table, between its markers
    #[arg(long)]
    write: Option<PathBuf>,
    /// The commit that was built, for the report
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// Today, for the report
    #[arg(long, default_value = "unknown")]
    date: String,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Measure {
    SignIn,
    Profile,
    Refresh,
    Vault,
    Isolation,
    Footprint,
}

/// How much is measured.
pub struct Plan {
    accounts: usize,
    rounds: usize,
    window: Duration,
    probe_window: Duration,
    starts: usize,
}

impl Plan {
    fn new(args: &Args) -> Self {
        let mut plan = if args.quick {
            Self {
                accounts: 100,
                rounds: 3,
                window: Duration::from_millis(600),
                probe_window: Duration::from_millis(1500),
                starts: 5,
            }
        } else {
            Self {
                accounts: 500,
                rounds: 5,
                window: Duration::from_secs(3),
                probe_window: Duration::from_secs(5),
                starts: 10,
            }
        };
        plan.rounds = args.rounds.unwrap_or(plan.rounds);
        if let Some(seconds) = args.window {
            plan.window = Duration::from_secs_f64(seconds);
            plan.probe_window = plan.window;
        }
        plan
    }
}

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(limits::EMPTY_HANDLER) {
        let address = words.next().context("an address")?.parse()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        return runtime.block_on(limits::serve_empty_handler(address));
    }
    let cli = Cli::parse();
    // One thread: the generator must leave the cores to the server.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match (cli.command, cli.args) {
        (Some(Command::Fill(args)), _) => runtime.block_on(scale::fill(&args)),
        (Some(Command::Scale(args)), _) => runtime.block_on(scale::run(&args)),
        (None, Some(args)) => runtime.block_on(run(&args)),
        (None, None) => Ok(Cli::command().print_help()?),
    }
}

async fn run(args: &Args) -> Result<()> {
    let plan = Plan::new(args);
    let server = fs::canonicalize(&args.server).with_context(|| format!("no {}", args.server.display()))?;
    fs::create_dir(&args.folder).with_context(|| format!("making {}", args.folder.display()))?;
    let folder = fs::canonicalize(&args.folder)?;
    let outcome = measure(args, &plan, &server, &folder).await;
    for line in engines::complaints(&folder) {
        eprintln!("server: {line}");
    }
    fs::remove_dir_all(&folder)?;
    let (text, noise) = outcome?;
    println!("{text}");
    let Some(file) = &args.write else { return Ok(()) };
    ensure!(noise.tolerable(), "the machine was too busy: {} keeps its old figures", file.display());
    report::write_into(file, "scripts/bench", &text)
}

async fn measure(args: &Args, plan: &Plan, server: &Path, folder: &Path) -> Result<(String, Noise)> {
    let machine_before = process::machine_cpu();
    let mut engines = vec![Engine::sqlite(server, folder, plan).await?];
    if let Some(cluster) = &args.postgres {
        engines.push(Engine::postgres(server, folder, cluster, plan).await?);
    }
    let postmaster = engines.iter().find_map(|engine| engine.postmaster);
    let wanted = |measure| args.only.is_empty() || args.only.contains(&measure);
    let mut rows = Vec::new();
    if wanted(Measure::SignIn) {
        eprintln!("login and signup");
        rows.extend(measures::sign_in(plan, &engines).await?);
    }
    if wanted(Measure::Profile) {
        eprintln!("profile");
        rows.extend(measures::profile(plan, &engines).await?);
    }
    if wanted(Measure::Refresh) {
        eprintln!("refresh");
        rows.extend(measures::refresh(plan, &mut engines).await?);
    }
    if wanted(Measure::Vault) {
        eprintln!("vault");
        rows.extend(measures::vault(plan, &engines).await?);
    }
    if wanted(Measure::Isolation) {
        eprintln!("profile beside logins");
        rows.extend(measures::isolation(plan, &engines).await?);
    }
    if wanted(Measure::Footprint) {
        eprintln!("memory and starts");
        let more;
        (more, engines) = measures::footprint(plan, engines).await?;
        rows.extend(more);
    }
    let versions: Vec<String> =
        engines.iter().map(|engine| format!("{} {}", engine.name, engine.version)).collect();
    for engine in engines {
        engine.server.stop()?;
    }
    let noise = Noise::since(machine_before, postmaster);
    let intro = introduction(args, plan, &versions, &noise)?;
    Ok((format!("{intro}\n\n{}", report::table(&rows, noise.tolerable())), noise))
}

/// What the machine did beside the measures, as shares of its busy CPU time.
struct Noise {
    others: f64,
    stolen: f64,
}

/// Beyond this share of noise the rates of a run, and of its limits, are the scheduler's and not the server's.
const MAX_NOISE: f64 = 0.1;

impl Noise {
    fn since((busy_before, stolen_before): (f64, f64), postmaster: Option<u32>) -> Self {
        let (busy, stolen) = process::machine_cpu();
        let (busy, stolen) = (busy - busy_before, stolen - stolen_before);
        // The cluster was started for this run, this process a moment before it.
        let own = process::cpu_of_family(std::process::id()) + postmaster.map_or(0.0, process::cpu_of_family);
        let share = |seconds: f64| (seconds / (busy + stolen)).max(0.0);
        Self { others: share(busy - own), stolen: share(stolen) }
    }

    fn tolerable(&self) -> bool {
        self.others + self.stolen <= MAX_NOISE
    }
}

impl std::fmt::Display for Noise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { others, stolen } = self;
        write!(f, "of the busy CPU time other processes took {:.0} %", others * 100.0)?;
        write!(f, " and the hypervisor {:.0} %", stolen * 100.0)?;
        if self.tolerable() { Ok(()) } else { write!(f, ": **too much to trust these figures**") }
    }
}

fn introduction(args: &Args, plan: &Plan, versions: &[String], noise: &Noise) -> Result<String> {
    let priority =
        if load::can_raise_priority() { "" } else { " (no privilege to raise the probes' priority)" };
    Ok(format!(
        "{} · commit {} · {} · {} · {} rounds of {} s windows{} · {noise}{priority}",
        args.date,
        args.commit,
        report::machine()?,
        versions.join(", "),
        plan.rounds,
        plan.window.as_secs_f64(),
        if args.quick { ", QUICK: no result to keep" } else { "" },
    ))
}
