//! Whether size costs time: the same operations on a small database and on a large one, in turns, at a fixed rate.

pub mod copies;
mod people;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use url::Url;

use self::copies::{Database, TABLES};
use self::people::Person;
use crate::accounts::Refresh;
use crate::limits::connect;
use crate::load::{self, Latencies, PROBES, Probe, Question, Script};
use crate::process::{self, Process};
use crate::report;

/// The size that the other one is compared with.
const SMALL: u64 = 1_000;
/// A latency at the large size may be so many times that at the small one.
pub const GOAL: f64 = 1.3;

#[derive(clap::Args)]
pub struct FillArgs {
    /// The server's binary, which makes the schema and the account that is copied
    #[arg(long)]
    server: PathBuf,
    /// The server's database: empty, or with accounts of its own
    #[arg(long)]
    database: String,
    /// The server's data directory
    #[arg(long)]
    data: PathBuf,
    /// Copies to make; each has three sessions, two credentials and five audit events
    #[arg(long, default_value_t = 1_000_000)]
    accounts: u64,
}

#[derive(clap::Args)]
pub struct ScaleArgs {
    /// The server's binary
    #[arg(long)]
    server: PathBuf,
    /// A new folder for databases, removed afterwards
    #[arg(long)]
    folder: PathBuf,
    /// A PostgreSQL cluster on this machine whose user may create databases; without it only SQLite is measured
    #[arg(long)]
    postgres: Option<String>,
    /// Accounts of the large database
    #[arg(long, default_value_t = 1_000_000)]
    accounts: u64,
    /// Accounts that are measured on each
    #[arg(long, default_value_t = 1_000)]
    people: u64,
    /// Rounds of every comparison
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a window in seconds
    #[arg(long, default_value_t = 5.0)]
    window: f64,
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

/// Fills a database, and says what is in it.
pub async fn fill(args: &FillArgs) -> Result<()> {
    fs::create_dir_all(&args.data)?;
    let place = Place {
        program: fs::canonicalize(&args.server)?,
        database: args.database.clone(),
        data: fs::canonicalize(&args.data)?,
    };
    place.fill(args.accounts).await?;
    let database = Database::open(&place.database).await?;
    for (table, _) in TABLES {
        println!("{table}: {} rows", database.count(table).await?);
    }
    println!("this program: {:.0} MB at most", process::memory(std::process::id(), "VmHWM")? / 1e6);
    Ok(())
}

/// Where a server runs.
struct Place {
    program: PathBuf,
    database: String,
    data: PathBuf,
}

impl Place {
    fn command(&self, address: std::net::SocketAddr) -> Result<Command> {
        process::latchkey(&self.program, address, &self.database, &self.data)
    }

    fn start(&self) -> Result<Process> {
        let address = process::free_address()?;
        Ok(Process::start(self.command(address)?.arg("serve"), address, "/readyz")?.0)
    }

    async fn fill(&self, accounts: u64) -> Result<()> {
        let server = self.start()?;
        let original = people::original(&server).await?;
        server.stop()?;
        let now = i64::try_from(UNIX_EPOCH.elapsed()?.as_millis())?;
        copies::fill(&Database::open(&self.database).await?, &original, accounts, now).await
    }
}

/// A server of one size.
struct Side {
    server: Process,
    people: Vec<Person>,
    chains: Vec<Chains>,
    operator: String,
    rows: u64,
}

impl Side {
    async fn prepare(place: &Place, accounts: u64, count: u64) -> Result<Self> {
        place.fill(accounts).await?;
        let rows = {
            let database = Database::open(&place.database).await?;
            let mut rows = 0;
            for (table, _) in TABLES {
                rows += database.count(table).await?;
            }
            rows
        };
        let server = place.start()?;
        let mut people = people::gather(&server, accounts, count.min(accounts)).await?;
        let operator = people::operator(&server, place.command(server.address)?).await?;
        // Each thread has sessions of its own, of which it keeps the newest tokens.
        let mut chains: Vec<Chains> = (0..PROBES).map(|_| Chains::default()).collect();
        for (index, person) in people.iter_mut().enumerate() {
            let token = std::mem::take(&mut person.refresh_token);
            chains[index % PROBES as usize].sessions.push(Refresh::with(token));
        }
        Ok(Self { server, people, chains, operator, rows })
    }

    /// Asks one of the questions after the other.
    fn ask(&self, questions: &Arc<[Question]>, rate: u32, window: Duration) -> Result<Latencies> {
        Ok(load::collect(load::open_loop(self.server.address, Probe::all(questions), rate, window))?.0)
    }

    fn refresh(&mut self, rate: u32, window: Duration) -> Result<Latencies> {
        let chains = std::mem::take(&mut self.chains);
        let latencies;
        (latencies, self.chains) = load::collect(load::open_loop(self.server.address, chains, rate, window))?;
        Ok(latencies)
    }
}

/// Sessions that are refreshed one after the other.
#[derive(Default)]
struct Chains {
    sessions: Vec<Refresh>,
    turn: usize,
}

impl Script for Chains {
    fn request(&mut self, out: &mut Vec<u8>) {
        self.turn = (self.turn + 1) % self.sessions.len();
        self.sessions[self.turn].request(out);
    }

    fn accepts(&mut self, body: &[u8]) -> bool {
        self.sessions[self.turn].accepts(body)
    }
}

/// What is measured, and how often in a second: less than the machine can do.
const OPERATIONS: [(&str, u32); 6] =
    [("login", 20), ("refresh", 80), ("profile", 160), ("list", 160), ("decrypt", 80), ("search", 160)];

pub async fn run(args: &ScaleArgs) -> Result<()> {
    let program = fs::canonicalize(&args.server).with_context(|| format!("no {}", args.server.display()))?;
    fs::create_dir(&args.folder).with_context(|| format!("making {}", args.folder.display()))?;
    let folder = fs::canonicalize(&args.folder)?;
    let outcome = measure(args, &program, &folder).await;
    for log in ["sqlite-small", "sqlite", "postgres-small", "postgres"] {
        let log = fs::read_to_string(folder.join(log).join(process::LOG)).unwrap_or_default();
        log.lines()
            .filter(|line| !line.starts_with("Stop"))
            .take(20)
            .for_each(|line| eprintln!("server: {line}"));
    }
    fs::remove_dir_all(&folder)?;
    let text = outcome?;
    println!("{text}");
    match &args.write {
        Some(file) => report::write_into(file, "scripts/scale", &text),
        None => Ok(()),
    }
}

async fn measure(args: &ScaleArgs, program: &Path, folder: &Path) -> Result<String> {
    let mut lines = vec![];
    let mut engines = vec!["SQLite"];
    if args.postgres.is_some() {
        engines.push("PostgreSQL");
    }
    for engine in &engines {
        let mut sides = vec![];
        for (name, accounts) in [("-small", SMALL.min(args.accounts)), ("", args.accounts)] {
            let place = place(args, engine, name, program, folder).await?;
            eprintln!("{engine}: {accounts} accounts");
            sides.push(Side::prepare(&place, accounts, args.people).await?);
        }
        lines.extend(compare(args, engine, &mut sides)?);
        for side in sides {
            side.server.stop()?;
        }
        if let Some(cluster) = args.postgres.as_ref().filter(|_| *engine != "SQLite") {
            for name in ["-small", ""] {
                connect(cluster)
                    .await?
                    .batch_execute(&format!("DROP DATABASE {}", database_name(name)))
                    .await?;
            }
        }
    }
    let memory = process::memory(std::process::id(), "VmHWM")? / 1e6;
    let intro = format!(
        "{} · commit {} · {} · {} accounts against {SMALL} · {} rounds of {} s · the program that fills and measures took \
         {memory:.0} MB at most",
        args.date,
        args.commit,
        report::machine()?,
        args.accounts,
        args.rounds,
        args.window
    );
    Ok(format!("{intro}\n\n{}", report::aligned(&TITLES, &lines)))
}

/// On PostgreSQL, where another run may be under way.
fn database_name(name: &str) -> String {
    format!("latchkey_scale_{}{}", std::process::id(), name.replace('-', "_"))
}

async fn place(args: &ScaleArgs, engine: &str, name: &str, program: &Path, folder: &Path) -> Result<Place> {
    let data = folder.join(format!("{}{name}", if engine == "SQLite" { "sqlite" } else { "postgres" }));
    fs::create_dir_all(&data)?;
    let database = match &args.postgres {
        Some(cluster) if engine != "SQLite" => {
            let database = database_name(name);
            let admin = connect(cluster).await?;
            admin.batch_execute(&format!("CREATE DATABASE {database}")).await?;
            let mut url = Url::parse(cluster)?;
            url.set_path(&database);
            url.into()
        }
        _ => format!("sqlite://{}", data.join("latchkey.db").display()),
    };
    Ok(Place { program: program.to_owned(), database, data })
}

const TITLES: [&str; 9] = [
    "Operation",
    "Engine",
    "Median, small",
    "Median, large",
    "Ratio",
    "p99, small",
    "p99, large",
    "Ratio",
    "Both ≤ 1.3",
];

/// All operations on both sides, which take turns.
fn compare(args: &ScaleArgs, engine: &str, sides: &mut [Side]) -> Result<Vec<Vec<String>>> {
    let window = Duration::from_secs_f64(args.window);
    let mut lines = vec![];
    for (operation, rate) in OPERATIONS {
        eprintln!("{engine}: {operation}");
        let questions: Vec<Arc<[Question]>> = sides
            .iter()
            .map(|side| {
                people::questions(&side.people, |person| match operation {
                    "login" => person.login(),
                    "list" => person.list(),
                    "decrypt" => person.decrypt(),
                    "search" => person.search(&side.operator),
                    _ => person.profile(),
                })
            })
            .collect();
        let mut samples = [vec![], vec![]];
        for round in 0..args.rounds {
            for step in 0..2 {
                let at = if round % 2 == 0 { step } else { 1 - step };
                let side = &mut sides[at];
                samples[at].push(match operation {
                    "refresh" => side.refresh(rate, window)?,
                    _ => side.ask(&questions[at], rate, window)?,
                });
            }
        }
        for sample in samples.iter().flatten() {
            ensure!(sample.wrong.is_empty(), "{engine}: {operation}: wrong answers: {:?}", sample.wrong);
        }
        lines.push(line(operation, engine, &samples));
    }
    let rows: Vec<String> = sides.iter().map(|side| side.rows.to_string()).collect();
    eprintln!("{engine}: {} rows", rows.join(" and "));
    Ok(lines)
}

/// Figures are medians of the rounds, as are their ratios: a machine that stands still for a moment spoils one of them.
fn line(operation: &str, engine: &str, [small, large]: &[Vec<Latencies>; 2]) -> Vec<String> {
    let mut cells = vec![operation.to_owned(), engine.to_owned()];
    let mut reached = true;
    for figure in [Latencies::median, Latencies::p99] {
        let of = |side: &[Latencies]| side.iter().map(figure).collect::<Vec<_>>();
        let (small, large) = (of(small), of(large));
        let ratios: Vec<_> = large.iter().zip(&small).map(|(large, small)| large / small).collect();
        let ratio = report::median(&ratios);
        reached &= ratio <= GOAL;
        let millis = |seconds: &[f64]| format!("{:.2} ms", report::median(seconds) * 1e3);
        cells.extend([millis(&small), millis(&large), format!("{ratio:.2}")]);
    }
    cells.push(if reached { "yes" } else { "**no**" }.to_owned());
    cells
}
