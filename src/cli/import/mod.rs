//! `latchkey users import`: accounts from elsewhere, a JSON object in each line.
//!
//! Resuming is doing it again: an address that has an account is passed over, and a batch is there whole or not at all.

pub mod line;
pub mod lines;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;

use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use self::lines::{Line, Lines, MAX_LENGTH};
use crate::services::Services;

/// Accounts in a transaction: many enough to be fast, few enough that others hardly wait.
const BATCH: usize = 500;

#[derive(Args)]
#[command(after_help = "\
Each line is a JSON object: email and password_hash are needed; email_verified (false), full_name, phone, avatar_url and \
created_at (RFC 3339) may be there.\n\
Hashes are Argon2 ($argon2id$, $argon2i$, $argon2d$), bcrypt ($2a$, $2b$, $2y$), scrypt ($scrypt$) or PBKDF2 ($pbkdf2-sha256$, \
$pbkdf2-sha512$), also as Django and Werkzeug write them. The next sign-in replaces them by Argon2id.\n\
An address that has an account is passed over, so an import that was interrupted goes on when it is started again. No mail \
is sent.")]
pub struct ImportArgs {
    /// File to read, or - for standard input
    file: PathBuf,
    /// File for the numbers of rejected lines and the reasons, in place of standard error
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
}

pub async fn run(args: &ImportArgs, services: &Services) -> Result<(), String> {
    let (reader, size) = open(args)?;
    let mut import = Import {
        services,
        lines: Lines::new(reader),
        bar: bar(size),
        rejects: args.rejects.as_ref().map(create).transpose()?,
        counts: Counts::default(),
    };
    let result = import.run().await;
    import.bar.finish_and_clear();
    let Counts { imported, present, rejected } = import.counts;
    println!(
        "Imported {} accounts; {} were there already; {} lines were rejected",
        HumanCount(imported),
        HumanCount(present),
        HumanCount(rejected)
    );
    result.map_err(|error| format!("line {}: {error}; start it again to go on", import.lines.number))?;
    if rejected > 0 { Err("some lines were rejected".into()) } else { Ok(()) }
}

fn open(args: &ImportArgs) -> Result<(Box<dyn BufRead>, u64), String> {
    if args.file.as_os_str() == "-" {
        return Ok((Box::new(io::stdin().lock()), 0));
    }
    let failed = |error| format!("can't read {}: {error}", args.file.display());
    let file = File::open(&args.file).map_err(failed)?;
    // A pipe has no size.
    let size = file.metadata().map_err(failed)?.len();
    Ok((Box::new(BufReader::with_capacity(1 << 16, file)), size))
}

fn create(path: &PathBuf) -> Result<File, String> {
    File::create(path).map_err(|error| format!("can't write {}: {error}", path.display()))
}

/// Counts bytes, because nobody has counted the lines. Draws nothing where there is no terminal.
fn bar(size: u64) -> ProgressBar {
    let (bar, template) = match size {
        0 => (ProgressBar::new_spinner(), "{spinner} {msg}"),
        size => (ProgressBar::new(size), "{wide_bar} {percent:>3} %  {msg}  {eta} left"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("a template of ours"))
}

#[derive(Default)]
struct Counts {
    imported: u64,
    present: u64,
    rejected: u64,
}

struct Import<'a> {
    services: &'a Services,
    lines: Lines<Box<dyn BufRead>>,
    bar: ProgressBar,
    rejects: Option<File>,
    counts: Counts,
}

impl Import<'_> {
    async fn run(&mut self) -> Result<(), String> {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let now = self.services.sources.now();
            let parsed = match self.lines.next_line().map_err(|error| error.to_string())? {
                None => break,
                Some(Line::Text(line)) if line.trim_ascii().is_empty() => continue,
                Some(Line::Text(line)) => line::parse(line, now),
                Some(Line::TooLong) => Err(format!("longer than {MAX_LENGTH} bytes")),
            };
            match parsed {
                Ok(account) => batch.push(account),
                Err(reason) => self.reject(&reason)?,
            }
            if batch.len() == BATCH {
                self.write(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).await?;
            }
        }
        self.write(batch).await
    }

    async fn write(&mut self, batch: Vec<crate::services::accounts::Import>) -> Result<(), String> {
        let count = batch.len();
        let new = self.services.import_accounts(batch).await.map_err(|error| error.to_string())?;
        self.counts.imported += new as u64;
        self.counts.present += (count - new) as u64;
        let accounts = self.counts.imported + self.counts.present;
        let rate = accounts as f64 / self.bar.elapsed().as_secs_f64().max(0.001);
        self.bar.set_position(self.lines.bytes);
        self.bar.set_message(format!("{} accounts, {}/s", HumanCount(accounts), HumanCount(rate as u64)));
        Ok(())
    }

    fn reject(&mut self, reason: &str) -> Result<(), String> {
        self.counts.rejected += 1;
        let line = format!("line {}: {reason}", self.lines.number);
        match &mut self.rejects {
            Some(file) => {
                writeln!(file, "{line}").map_err(|error| format!("can't write the rejects: {error}"))
            }
            None => {
                self.bar.suspend(|| eprintln!("{line}"));
                Ok(())
            }
        }
    }
}
