//! `erofs-unpack-conformance`: makes the vectors and runs them; sieves damaged images.
#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this is a program"
)]

mod sieve_command;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueHint};
use erofs_unpack_conformance::generate::{self, bases};
use erofs_unpack_conformance::manifest::Case;
use erofs_unpack_conformance::native::Native;
use erofs_unpack_conformance::run::{self, Outcome, Vectors};

/// Makes the test vectors of erofs-unpack and runs them, and sieves damaged images.
#[derive(Debug, Parser)]
#[command(
    name = "erofs-unpack-conformance",
    version,
    about,
    after_help = "Exit codes: 0 all is well, 1 a case failed or a file differs, 2 wrong usage, 3 I/O",
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the vectors from the bases that lie in DIR/bases
    Generate {
        /// Write nothing; say what differs
        #[arg(long)]
        check: bool,
        /// The folder of the vectors
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Make the bases again with mkfs.erofs, zstd and gzip, in the folder DIR
    Bases {
        /// The folder
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Run the cases on the core, with every library and every way of cutting the input
    Run {
        /// Only cases whose id begins so
        #[arg(long, value_name = "ID-PREFIX", default_value = "")]
        filter: String,
        /// Run layers and images in this module instead, erofs_unpack.wasm, which host-wasm/build
        /// makes
        #[cfg(feature = "wasm")]
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        wasm: Option<PathBuf>,
        /// The folder of the vectors
        #[arg(default_value = "vectors", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Flip each bit of small images' metadata, and hold our answer about each against those of
    /// the kernel and fsck.erofs
    Sieve(sieve_command::Arguments),
    /// Answer the requests of a sieve
    #[command(hide = true)]
    SieveWorker {
        /// The folder of the images
        images: PathBuf,
        /// Where mutants are written and mounted
        scratch: PathBuf,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Generate { check: true, dir } => check(&dir),
        Command::Generate { check: false, dir } => generate::write(&dir).map(|()| true),
        Command::Bases { dir } => make_bases(&dir).map(|()| true),
        #[cfg(feature = "wasm")]
        Command::Run {
            filter,
            wasm: Some(module),
            dir,
        } => run_in_sandbox(&module, &dir, &filter),
        Command::Run { filter, dir, .. } => run_all(&dir, &filter, |case| {
            Native::variations(case)
                .into_iter()
                .map(|native| Box::new(native) as Box<dyn run::Backend>)
                .collect()
        }),
        Command::Sieve(arguments) => sieve_command::run(arguments),
        Command::SieveWorker { images, scratch } => {
            erofs_unpack_conformance::sieve::worker::run(&images, &scratch).map(|()| true)
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("erofs-unpack-conformance: {error}");
            ExitCode::from(3)
        }
    }
}

fn check(dir: &Path) -> io::Result<bool> {
    let wrong = generate::check(dir)?;
    for line in &wrong {
        eprintln!("erofs-unpack-conformance: {line}");
    }
    Ok(wrong.is_empty())
}

fn make_bases(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    for image in &bases::IMAGES {
        for (name, bytes) in image.make(dir)? {
            let digest = erofs_unpack_conformance::blob::sha256(&bytes);
            println!("{digest}  {name}");
        }
    }
    Ok(())
}

/// Runs the cases in a module, in large pieces and in small ones.
#[cfg(feature = "wasm")]
fn run_in_sandbox(module: &Path, dir: &Path, filter: &str) -> io::Result<bool> {
    let large = erofs_unpack_conformance::sandboxed::Sandboxed::open(module)?;
    run_all(dir, filter, |case| {
        let mut backends: Vec<Box<dyn run::Backend>> = vec![Box::new(large.clone())];
        if !case.has_flag("large") {
            let mut small = large.clone();
            small.cut = (7, 61);
            backends.push(Box::new(small));
        }
        backends
    })
}

/// Runs the cases, each on all of its back ends.
fn run_all(
    dir: &Path,
    filter: &str,
    backends: impl Fn(&Case) -> Vec<Box<dyn run::Backend>>,
) -> io::Result<bool> {
    let vectors = Vectors::open(dir)?;
    let mut passed = 0_u32;
    let mut failed = 0_u32;
    let mut skipped: BTreeMap<String, u32> = BTreeMap::new();
    for case in vectors.cases(filter) {
        let mut outcome = Outcome::Passed;
        for backend in backends(case) {
            match run::run(&*backend, case, &vectors.folder) {
                Outcome::Passed => {}
                Outcome::Failed(text) => {
                    let name = backend.name();
                    outcome = Outcome::Failed(format!("{text} ({name})"));
                    break;
                }
                Outcome::Skipped(reason) => {
                    outcome = Outcome::Skipped(reason);
                    break;
                }
            }
        }
        match outcome {
            Outcome::Passed => passed += 1,
            Outcome::Failed(text) => {
                failed += 1;
                println!("{}: {text}", case.id);
            }
            Outcome::Skipped(reason) => *skipped.entry(reason).or_default() += 1,
        }
    }
    for (reason, count) in &skipped {
        println!("skipped {count} cases: {reason}");
    }
    let skips: u32 = skipped.values().sum();
    println!("{passed} passed, {failed} failed, {skips} skipped");
    if passed + failed + skips == 0 {
        return Err(io::Error::other(format!("no case begins with {filter:?}")));
    }
    Ok(failed == 0)
}
