//! `erofs-unpack convert`: images with EROFS layers, of images with tar layers.

use erofs_unpack_cli::bars::Bars;
use erofs_unpack_cli::output::{
    exit_code_with_report, is_stdout, print, print_error, print_failure, write_json,
};
use erofs_unpack_ops::build::Options as Building;
use erofs_unpack_ops::convert::{Options, Report, convert};
use erofs_unpack_ops::system::{self, Openings, Purpose, processors};
use erofs_unpack_ops::{Done, HostError};

use super::build::form;
use super::wrap::wrapping;
use crate::args::{Convert, VerityName};

/// Runs the command and gives its exit code.
pub(crate) fn run(args: &Convert) -> u8 {
    let done = operate(args);
    let done = done.unwrap_or_else(|error| Done::failed(Report::new(&args.source), error));
    output(args, done)
}

/// From the arguments to the operation.
fn operate(args: &Convert) -> Result<Done<Report>, HostError> {
    let processors = processors();
    let threads = |given: Option<u16>| Some(given.map_or(processors, usize::from));
    let options = Options {
        select: args.select.options()?,
        all: args.all,
        build: Building {
            form: form(&args.form)?,
            uuid: args.uuid,
            read_back: !args.no_read_back,
            kernel: args.form.kernel,
            limits: args.limits.limits(),
            ..Building::default()
        },
        wrap: wrapping(args.wrap, args.index, args.level, args.chunk_size),
        verity: args.verity == VerityName::Append,
        family: args.media_type.into(),
        keep_original: args.keep_original,
        reuse: args.reuse.clone(),
        // Asked for before the process is confined.
        jobs: threads(args.jobs),
        threads: threads(args.threads),
    };
    let mut openings = Openings::new();
    openings.source(&args.source);
    openings.spool(&system::temp_dir());
    openings.cache(&args.destination);
    if let Some(folder) = &args.reuse {
        openings.cache(folder);
    }
    if let Some(path) = &args.json {
        openings.report(path);
    }
    args.confine
        .confine(&openings, Purpose::Verify, args.talk.verbose, || Ok(()))?;
    let bars = Bars::new(args.talk.quiet);
    Ok(convert(&args.source, &args.destination, &options, &bars))
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
