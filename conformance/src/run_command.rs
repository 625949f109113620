//! The subcommand `run`: its arguments, the back ends that they name, and where results go.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, ValueHint};
use erofs_unpack_conformance::batch::Answers;
#[cfg(feature = "wasm")]
use erofs_unpack_conformance::interpreted::Interpreted;
use erofs_unpack_conformance::kernel::Kernel;
use erofs_unpack_conformance::manifest::Case;
use erofs_unpack_conformance::mapping::{Mapping, READY};
use erofs_unpack_conformance::program::Program;
use erofs_unpack_conformance::results::{self, Counts, Results};
use erofs_unpack_conformance::run::Vectors;
#[cfg(feature = "wasm")]
use erofs_unpack_conformance::sandboxed::Sandboxed;
use erofs_unpack_conformance::suite::{self, Column};

/// Options of the subcommand.
#[derive(Debug, Args)]
#[command(
    after_help = "Back ends: native (the core, with every library and every way of cutting the \
    input), kernel (mounts each image and reads all of it, as root: run it where a crash of the \
    kernel does no harm), erofs-unpack, fsck.erofs, gzip, zstd (the programs in PATH), and FILE.json, \
    a mapping for any other program."
)]
pub(crate) struct Arguments {
    /// What is asked; can be given several times [default: native]
    #[arg(long, value_name = "NAME|FILE")]
    backend: Vec<String>,
    /// Ask this module too, erofs_unpack.wasm, which host-wasm/build makes
    #[cfg(feature = "wasm")]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    wasm: Option<PathBuf>,
    /// What runs the module; can be given several times: wasmtime, the sandbox, which decodes and
    /// checks inside; wasmi, an interpreter, with all of the module's unpacker
    #[cfg(feature = "wasm")]
    #[arg(
        long,
        value_name = "NAME",
        default_value = "wasmtime",
        requires = "wasm"
    )]
    runtime: Vec<Runtime>,
    /// A program that is asked by its exit code: 0 valid, 1 invalid; {input} is the file
    #[arg(long, value_name = "TEMPLATE")]
    command: Vec<String>,
    /// What the requests that `requests` wrote were answered
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    answers: Vec<PathBuf>,
    /// The operation for which a TEMPLATE is asked
    #[arg(
        long,
        value_name = "NAME",
        default_value = "check",
        requires = "command"
    )]
    operation: String,
    /// Only cases whose id begins so
    #[arg(long, value_name = "ID-PREFIX", default_value = "")]
    filter: String,
    /// Only cases of this group; can be given several times
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// Only the case with this id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// How many cases run at the same time [default: one for each processor]
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,
    /// How long a program may take for a case, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    time: u64,
    /// A folder for inputs, outputs and mounts [default: a new one in TMPDIR]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    scratch: Option<PathBuf>,
    /// Write all outcomes as JSON to FILE
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    json: Option<PathBuf>,
    /// Write all outcomes to FILE as JUnit reads them
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    junit: Option<PathBuf>,
    /// Write a page to FILE that shows the back ends side by side
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    results: Option<PathBuf>,
    /// The folder of the vectors
    #[arg(default_value = "vectors", value_hint = ValueHint::DirPath)]
    dir: PathBuf,
}

/// What runs a module.
#[cfg(feature = "wasm")]
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Runtime {
    Wasmtime,
    Wasmi,
}

/// A folder that is removed when it is empty.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// Runs it; whether everything passed.
pub(crate) fn run(arguments: &Arguments) -> io::Result<bool> {
    let vectors = Vectors::open(&arguments.dir)?;
    let cases: Vec<&Case> = vectors
        .cases(&arguments.filter)
        .filter(|case| arguments.id.as_ref().is_none_or(|id| *id == case.id))
        .filter(|case| {
            arguments.group.is_empty() || arguments.group.iter().any(|name| name == case.group())
        })
        .collect();
    if cases.is_empty() {
        return Err(io::Error::other("no case is meant"));
    }
    let scratch = Folder(arguments.scratch.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("conformance-{}", std::process::id()))
    }));
    fs::create_dir_all(&scratch.0)?;
    let columns = columns(arguments, &scratch.0)?;
    let jobs = arguments
        .jobs
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let results: Vec<Results<'_>> = columns
        .iter()
        .map(|column| Results {
            column,
            outcomes: suite::outcomes(column, &cases, &vectors.folder, jobs),
        })
        .collect();
    print!("{}", results::table(&cases, &results, &vectors.folder));
    if let Some(path) = &arguments.json {
        let json = results::to_json(&cases, &results, &vectors.folder);
        fs::write(path, format!("{json:#}\n"))?;
    }
    if let Some(path) = &arguments.junit {
        let text = results::to_junit(&cases, &results, &vectors.folder);
        fs::write(path, text)?;
    }
    if let Some(path) = &arguments.results {
        let page = results::to_markdown(&vectors.manifest, &cases, &results, &today());
        fs::write(path, page)?;
    }
    Ok(results
        .iter()
        .all(|result| Counts::of(&result.outcomes).is_good()))
}

fn columns(arguments: &Arguments, scratch: &Path) -> io::Result<Vec<Column>> {
    let limit = Duration::from_secs(arguments.time);
    let mut columns = Vec::new();
    for name in &arguments.backend {
        columns.push(match name.as_str() {
            "native" => Column::Native,
            "kernel" => {
                let kernel = Kernel::new(scratch)?;
                if !kernel.mounts(&arguments.dir)? {
                    return Err(io::Error::other(
                        "kernel: needs the right to mount, and a kernel that mounts EROFS from files",
                    ));
                }
                let version = Kernel::version().unwrap_or_default();
                Column::One(Box::new(kernel), version, name.clone())
            }
            _ => program(name, scratch, limit)?,
        });
    }
    for template in &arguments.command {
        let mapping = Mapping::of_template(template, &arguments.operation);
        let program = Program::new(mapping, scratch.to_owned(), limit);
        // `--id` alone repeats it, since the template has spaces.
        columns.push(Column::One(
            Box::new(program),
            String::new(),
            template.clone(),
        ));
    }
    for path in &arguments.answers {
        let answers = Answers::read(path)?;
        let words = path.display().to_string();
        columns.push(Column::One(Box::new(answers), String::new(), words));
    }
    #[cfg(feature = "wasm")]
    if let Some(module) = &arguments.wasm {
        let path = module.display().to_string();
        for runtime in &arguments.runtime {
            columns.push(match runtime {
                Runtime::Wasmtime => Column::Sandbox(Sandboxed::open(module)?, path.clone()),
                Runtime::Wasmi => Column::Interpreter(Interpreted::open(module)?, path.clone()),
            });
        }
    }
    if columns.is_empty() {
        columns.push(Column::Native);
    }
    Ok(columns)
}

fn program(name: &str, scratch: &Path, limit: Duration) -> io::Result<Column> {
    let ready = READY.iter().find(|(ready, _)| *ready == name);
    let text = match ready {
        Some((_, text)) => (*text).to_owned(),
        None => fs::read_to_string(name).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("{name}: {error}; no back end has this name"),
            )
        })?,
    };
    let mapping =
        Mapping::parse(&text).map_err(|error| io::Error::other(format!("{name}: {error}")))?;
    let program = Program::new(mapping, scratch.to_owned(), limit);
    if !program.is_there() {
        return Err(io::Error::other(format!("{name}: is not installed")));
    }
    let version = program.version().unwrap_or_default();
    Ok(Column::One(Box::new(program), version, name.to_owned()))
}

/// The day, in UTC.
fn today() -> String {
    let seconds = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let days = seconds / 86400;
    // Civil from days: http://howardhinnant.github.io/date_algorithms.html
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let part = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * part + 2) / 5 + 1;
    let month = if part < 10 { part + 3 } else { part - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
