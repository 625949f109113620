//! `erofs-unpack convert`: images with EROFS layers, of images with tar layers.

use std::path::Path;
use std::{fs, io};

use erofs_unpack_cli::bars::Bars;
use erofs_unpack_cli::output::{
    exit_code_with_report, is_stdout, print, print_error, print_failure, write_json,
};
use erofs_unpack_ops::build::Options as Building;
use erofs_unpack_ops::convert::{
    ListReport, ListedReport, Options, Report, convert, convert_list, read_list,
};
use erofs_unpack_ops::report::shown;
use erofs_unpack_ops::system::{self, Openings, Purpose, processors};
use erofs_unpack_ops::{Done, Escaped, HostError};

use super::build::form;
use super::wrap::wrapping;
use crate::args::{Convert, VerityName};

/// Runs the command and gives its exit code.
pub(crate) fn run(args: &Convert) -> u8 {
    match (args.places(), &args.from_file) {
        ((Some(source), destination), _) => {
            let done = operate(args, source, destination);
            let done = done.unwrap_or_else(|error| Done::failed(Report::new(source), error));
            output(args, done)
        }
        ((None, destination), list) => {
            let list = list.as_deref().unwrap_or(Path::new("-"));
            let done = operate_list(args, list, destination);
            let done = done.unwrap_or_else(|error| {
                print_failure(&error);
                Done::failed(ListReport::new(destination), error)
            });
            let written = args.json.as_deref();
            let written = written.map_or(Ok(()), |path| write_json(&done.report, path));
            exit_code_with_report(done.report.exit_code, written)
        }
    }
}

/// From the arguments to the operation.
fn operate(args: &Convert, source: &Path, destination: &Path) -> Result<Done<Report>, HostError> {
    let options = options(args)?;
    confine(args, &[source], destination)?;
    let bars = Bars::new(args.talk.quiet);
    Ok(convert(source, destination, &options, &bars))
}

/// The same with a list. A line is printed when it is done with.
fn operate_list(
    args: &Convert,
    place: &Path,
    destination: &Path,
) -> Result<Done<ListReport>, HostError> {
    let options = options(args)?;
    let text = if is_stdout(place) {
        io::read_to_string(io::stdin())
    } else {
        fs::read_to_string(place)
    };
    let text = text.map_err(|error| HostError::environment(place, "read", error))?;
    let list = read_list(&text, place, args.shard)?;
    if args.all
        && let Some(listed) = list.iter().find(|listed| listed.reference.is_some())
    {
        return Err(HostError::Usage(format!(
            "{}:{}: names one image, and --all means all: expected one of the two",
            shown(place),
            listed.line
        )));
    }
    let sources: Vec<&Path> = list.iter().map(|listed| &*listed.source).collect();
    confine(args, &sources, destination)?;
    let bars = Bars::new(args.talk.quiet);
    let are_wanted = !args.talk.quiet && !args.json.as_deref().is_some_and(is_stdout);
    let mut told = |line: &ListedReport, error: Option<&HostError>| {
        let at = format!("{}:{}", shown(place), line.line);
        for note in &line.notes {
            print_error(format_args!("{at}: {note}"));
        }
        if let Some(error) = error {
            print_error(format_args!("{at}: {}", error.told()));
        }
        if are_wanted {
            print(&listed(line))
        } else {
            Ok(())
        }
    };
    Ok(convert_list(&list, destination, &options, &bars, &mut told))
}

fn options(args: &Convert) -> Result<Options, HostError> {
    let processors = processors();
    let threads = |given: Option<u16>| Some(given.map_or(processors, usize::from));
    Ok(Options {
        select: args.select.options()?,
        all: args.all,
        build: Building {
            form: form(&args.form)?,
            uuid: args.uuid,
            read_back: !args.no_read_back,
            threads: Some(processors),
            kernel: args.form.kernel,
            limits: args.limits.limits(),
            ..Building::default()
        },
        wrap: wrapping(args.wrap, args.index, args.level, args.chunk_size),
        verity: args.verity == VerityName::Append,
        family: args.media_type.into(),
        keep_original: args.keep_original,
        resume: args.from_file.is_some(),
        reuse: args.reuse.clone(),
        // Asked for before the process is confined.
        jobs: threads(args.jobs),
        threads: threads(args.threads),
    })
}

/// From then on nothing else can be opened.
fn confine(args: &Convert, sources: &[&Path], destination: &Path) -> Result<(), HostError> {
    let mut openings = Openings::new();
    for source in sources {
        openings.source(source);
    }
    openings.spool(&system::temp_dir());
    openings.cache(destination);
    if let Some(folder) = &args.reuse {
        openings.cache(folder);
    }
    if let Some(path) = &args.json {
        openings.report(path);
    }
    args.confine
        .confine(&openings, Purpose::Verify, args.talk.verbose, || Ok(()))
}

/// Prints everything and gives the exit code.
fn output(args: &Convert, mut done: Done<Report>) -> u8 {
    let taken = args.json.as_deref().is_some_and(is_stdout);
    if !taken
        && !args.talk.quiet
        && done.failure().is_none()
        && let Err(error) = print(&text(&done.report))
    {
        done.fail(error);
    }
    for note in &done.report.notes {
        print_error(note);
    }
    if let Some(failure) = done.failure() {
        print_failure(&failure.error);
    }
    let report = &done.report;
    let json = args.json.as_deref();
    let written = json.map_or(Ok(()), |path| write_json(report, path));
    exit_code_with_report(report.exit_code, written)
}

/// An image a paragraph, a layer a line.
fn text(report: &Report) -> String {
    let mut text = String::new();
    for image in &report.images {
        let name = image.name.as_deref().unwrap_or("image");
        let platform = image.platform.as_deref().unwrap_or("");
        text.push_str(&format!(
            "converted {name} {platform}\n  {}\n",
            image.digest
        ));
        for layer in &image.layers {
            let proof = match layer.files_read_back {
                _ if layer.reused => ", converted before".to_owned(),
                Some(files) => format!(", {files} files read back as they came"),
                None => String::new(),
            };
            text.push_str(&format!(
                "  layer {}: {} bytes of {} as {}, {} bytes{proof}\n",
                layer.number,
                layer.source_size,
                layer.source_media_type,
                layer.blob.digest,
                layer.blob.size,
            ));
        }
    }
    text
}

/// A line of a list, in one line.
fn listed(line: &ListedReport) -> String {
    let digests = line.images.iter().map(|image| &image.digest);
    let digests = digests.chain(line.passed_over.iter().map(|image| &image.digest));
    let mut words = vec![line.status, &line.source];
    words.extend(line.reference.as_deref());
    words.extend(digests.map(String::as_str));
    format!("{}\n", Escaped::text(&words.join(" ")))
}
