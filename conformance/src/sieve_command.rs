//! The subcommand `sieve`: its arguments, and what is printed. The sieve itself is in the library.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use erofs_unpack_conformance::sieve::mutant::Mutant;
use erofs_unpack_conformance::sieve::pool::Answers;
use erofs_unpack_conformance::sieve::{Options, Sieve, lacks};

/// Options of the subcommand.
#[derive(Debug, Args)]
#[command(
    after_help = "Needs root, mkfs.erofs and fsck.erofs, and a kernel that mounts EROFS from \
    files. It mounts damaged images: run it where a crash of the kernel does no harm."
)]
pub(crate) struct Arguments {
    /// Take the images *.erofs in DIR; without, they are made
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "make")]
    images: Option<PathBuf>,
    /// Make the images with mkfs.erofs, the default
    #[arg(long)]
    make: bool,
    /// Only images whose name begins so
    #[arg(long, value_name = "NAME-PREFIX", default_value = "")]
    filter: String,
    /// Ask about N mutants; without, about all
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// Which ones a sample takes
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// How many to ask about at the same time; by default as many as there are CPUs
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Write the report with all answers that count to FILE
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    json: Option<PathBuf>,
    /// A folder for mutants, on a file system that the kernel mounts files from
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    scratch: Option<PathBuf>,
    /// Ask about one mutant alone, and print the answers and where the trees differ
    #[arg(long, value_name = "IMAGE[:BYTE:BIT]")]
    show: Option<String>,
    /// Write the shown mutant to FILE
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "show")]
    save: Option<PathBuf>,
}

/// Runs it; whether all requirements are met.
pub(crate) fn run(arguments: Arguments) -> io::Result<bool> {
    if let Some(what) = lacks() {
        return Err(io::Error::other(format!("needs {what}")));
    }
    let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options {
        program: env::current_exe()?,
        images: arguments.images,
        filter: arguments.filter,
        sample: arguments.sample,
        seed: arguments.seed,
        jobs: arguments.jobs.unwrap_or_else(cpus),
        scratch: arguments.scratch.unwrap_or_else(env::temp_dir),
    };
    if let Some(shown) = &arguments.show {
        return show(&mut options, shown, arguments.save.as_deref());
    }
    let sieve = Sieve::new(&options)?;
    let report = sieve.run(&options, &|done, all| {
        if done % 5000 == 0 {
            eprintln!("{done} of {all}");
        }
    })?;
    if let Some(path) = arguments.json {
        serde_json::to_writer_pretty(File::create(path)?, &report)?;
    }
    println!(
        "Linux {}, {}, {} s\n",
        report.kernel, report.fsck, report.seconds
    );
    println!("{}", report.table());
    for (rules, count) in &report.refused_alone {
        println!("we alone refuse {count}: {rules}");
    }
    for (class, (count, first)) in report.classes() {
        println!("{count} x {class} (first: {first})");
    }
    if let Some(why) = &report.stopped {
        println!("the run ended early: {why}");
    }
    println!("{} breaches", report.breaches());
    Ok(report.breaches() == 0 && report.stopped.is_none())
}

/// Asks about one mutant.
fn show(options: &mut Options, shown: &str, save: Option<&Path>) -> io::Result<bool> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, format!("no mutant: {shown}"));
    let mut parts = shown.split(':');
    let image = parts.next().ok_or_else(wrong)?;
    let mutant = match (parts.next(), parts.next()) {
        (None, _) => None,
        (Some(offset), Some(bit)) => Some(Mutant {
            offset: offset.parse().map_err(|_| wrong())?,
            bit: bit.parse().map_err(|_| wrong())?,
        }),
        _ => return Err(wrong()),
    };
    options.filter = image.to_owned();
    let sieve = Sieve::new(options)?;
    let mut original = sieve.show(image, None)?;
    let before = original
        .kernel
        .take()
        .map_or_else(Vec::new, |kernel| kernel.listing);
    if let Some(path) = save {
        let bytes = fs::read(sieve.folder().join(format!("{image}.erofs")))?;
        fs::write(
            path,
            mutant.map_or_else(|| bytes.clone(), |mutant| mutant.of(&bytes)),
        )?;
    }
    let mut answers = sieve.show(image, mutant)?;
    let ours = answers
        .ours
        .as_mut()
        .map_or_else(Vec::new, |ours| std::mem::take(&mut ours.listing));
    let kernels = answers
        .kernel
        .as_mut()
        .map_or_else(Vec::new, |kernel| std::mem::take(&mut kernel.listing));
    print(&answers);
    println!("the kernel's tree against the original's:");
    differences(&before, &kernels);
    println!("our tree against the kernel's:");
    differences(&kernels, &ours);
    Ok(true)
}

fn print(answers: &Answers) {
    println!("{:?}", answers.ours);
    println!("{:?}", answers.kernel);
    println!("{:?}", answers.fsck);
    if let Some(missing) = &answers.missing {
        println!("{missing}");
    }
}

/// Prints the lines that only one of two lists holds.
fn differences(before: &[String], after: &[String]) {
    for line in before.iter().filter(|line| !after.contains(line)) {
        println!("  - {line}");
    }
    for line in after.iter().filter(|line| !before.contains(line)) {
        println!("  + {line}");
    }
}
