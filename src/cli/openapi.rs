//! `latchkey openapi`

use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::api::document;

#[derive(ClapArgs)]
pub struct Args {
    /// Change nothing; fail when the file is not what the code defines
    #[arg(long)]
    check: bool,
    /// The file
    #[arg(long, default_value = "openapi.yaml")]
    file: PathBuf,
}

pub fn run(args: &Args) -> Result<(), String> {
    let current = document::generate_yaml();
    let name = args.file.display();
    if !args.check {
        std::fs::write(&args.file, current).map_err(|error| format!("{name}: {error}"))?;
        println!("{name} written");
        return Ok(());
    }
    let committed = std::fs::read_to_string(&args.file).map_err(|error| format!("{name}: {error}"))?;
    if committed == current {
        println!("{name} is current");
        return Ok(());
    }
    let line = committed.lines().zip(current.lines()).take_while(|(old, new)| old == new).count() + 1;
    Err(format!(
        "{name} is not what the code defines, from line {line} on; run `latchkey openapi` and read its diff"
    ))
}
