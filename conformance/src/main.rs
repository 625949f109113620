//! `erofs-unpack-conformance`: makes the vectors and runs them; sieves damaged images.
#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this is a program"
)]

mod run_command;
mod sieve_command;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueHint};
use erofs_unpack_conformance::batch;
use erofs_unpack_conformance::files;
use erofs_unpack_conformance::generate::{self, bases};
use erofs_unpack_conformance::run::Vectors;
use erofs_unpack_conformance::seeds;

/// Makes the test vectors of erofs-unpack and runs them, and sieves damaged images.
#[derive(Debug, Parser)]
#[command(
    name = "erofs-unpack-conformance",
    version,
    about,
    after_help = "Exit codes: 0 all is well, 1 a case did not pass or a file differs, 2 wrong usage, 3 I/O",
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
    /// Run the cases on the core, the kernel or programs, and hold what they say against what
    /// must be said
    Run(run_command::Arguments),
    /// Ask the core about files of other suites: every .zst, .gz and .gzip in a folder. Where a file
    /// has the same name without that end, it is what must come out
    Files {
        /// A folder whose files must decode; can be given several times
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, required_unless_present = "invalid")]
        valid: Vec<PathBuf>,
        /// A folder whose files must be refused; can be given several times
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        invalid: Vec<PathBuf>,
    },
    /// Write the cases that need no allocation as requests that a small program can read
    Requests {
        /// The file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// The folder of the vectors
        #[arg(default_value = "vectors", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Write the inputs of the cases as seeds for fuzzing, to CORPUS/TARGET/CASE
    Seeds {
        /// The folder of the corpora
        #[arg(value_hint = ValueHint::DirPath)]
        corpus: PathBuf,
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
        Command::Files { valid, invalid } => check_files(&valid, &invalid),
        Command::Requests { file, dir } => write_requests(&file, &dir).map(|()| true),
        Command::Seeds { corpus, dir } => write_seeds(&corpus, &dir).map(|()| true),
        Command::Run(arguments) => run_command::run(&arguments),
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

fn check_files(valid: &[PathBuf], invalid: &[PathBuf]) -> io::Result<bool> {
    let folders = valid.iter().map(|folder| (folder, true));
    let mut good = true;
    for (folder, valid) in folders.chain(invalid.iter().map(|folder| (folder, false))) {
        let report = files::check(folder, valid)?;
        for line in &report.wrong {
            println!("{line}");
        }
        let (right, path) = (report.files - report.wrong.len(), folder.display());
        let word = if valid { "decode" } else { "are refused" };
        println!("{path}: {right} of {} files {word}", report.files);
        // A folder without such files is most likely another than was meant.
        good &= report.wrong.is_empty() && report.files > 0;
    }
    Ok(good)
}

fn write_requests(file: &Path, dir: &Path) -> io::Result<()> {
    let vectors = Vectors::open(dir)?;
    let cases: Vec<_> = vectors.cases("").collect();
    std::fs::write(file, batch::requests(&cases, dir)?)
}

fn write_seeds(corpus: &Path, dir: &Path) -> io::Result<()> {
    let vectors = Vectors::open(dir)?;
    let count = seeds::write(&vectors.manifest, dir, corpus)?;
    println!("{count} seeds");
    Ok(())
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
