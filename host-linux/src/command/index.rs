//! `erofs-unpack index`: what says where the chunks of a layer lie.

use std::path::PathBuf;

use erofs_unpack_cli::output::{
    exit_code_with_report, is_stdout, print, print_failure, write_json,
};
use erofs_unpack_ops::index::{AddOptions, IndexReport, Meant, Report, add, show, verify};
use erofs_unpack_ops::system::{Openings, Purpose, processors};
use erofs_unpack_ops::wrap::Index as Kind;
use erofs_unpack_ops::{Done, HostError};

use super::wrap::{annotations, destination, open_output};
use crate::args::{Index, IndexAdd, IndexArgs, IndexCommand, IndexName, IndexShow, IndexVerify};

/// Runs the command and gives its exit code.
pub(crate) fn run(args: &Index) -> u8 {
    let (command, layer, to_stdout, done) = match &args.command {
        IndexCommand::Show(args) => ("index show", &args.layer, false, run_show(args)),
        IndexCommand::Verify(args) => ("index verify", &args.layer, false, run_verify(args)),
        IndexCommand::Add(args) => {
            let to_stdout = is_stdout(&args.output);
            ("index add", &args.layer, to_stdout, run_add(args))
        }
    };
    let done =
        done.unwrap_or_else(|error| Done::failed(Report::new(command, &layer.source), error));
    output(layer, to_stdout, done)
}

fn run_show(args: &IndexShow) -> Result<Done<Report>, HostError> {
    let meant = Meant {
        range: args.at.range,
        index_file: args.at.index_file.clone(),
        index_digest: args.at.index_digest,
        ..meant(&args.layer)?
    };
    confine(&args.layer, args.at.index_file.as_ref(), Openings::new())?;
    Ok(show(
        &args.layer.source,
        &meant,
        &args.layer.limits.limits(),
    ))
}

fn run_verify(args: &IndexVerify) -> Result<Done<Report>, HostError> {
    let meant = Meant {
        range: args.at.range,
        index_file: args.at.index_file.clone(),
        index_digest: args.at.index_digest,
        ..meant(&args.layer)?
    };
    // Asked for before the process is confined.
    let threads = args.threads.map_or_else(processors, usize::from);
    confine(&args.layer, args.at.index_file.as_ref(), Openings::new())?;
    let limits = args.layer.limits.limits();
    Ok(verify(&args.layer.source, &meant, &limits, Some(threads)))
}

fn run_add(args: &IndexAdd) -> Result<Done<Report>, HostError> {
    if args.index == IndexName::None {
        return Err(HostError::Usage(
            "--index none: there is nothing to add: expected erofs or zstd-seekable".into(),
        ));
    }
    let destination = destination(&args.output, args.layer.json.as_deref())?;
    let meant = meant(&args.layer)?;
    let mut openings = Openings::new();
    open_output(&mut openings, &destination);
    confine(&args.layer, None, openings)?;
    let options = AddOptions {
        index: Kind::from(args.index),
        standalone: args.standalone,
        force: args.force,
        limits: args.layer.limits.limits(),
    };
    Ok(add(&args.layer.source, &destination, &meant, &options))
}

/// Which layer is meant.
fn meant(args: &IndexArgs) -> Result<Meant, HostError> {
    Ok(Meant {
        select: args.select.options()?,
        layer: args.layer,
        diff_id: args.diff_id,
        ..Meant::default()
    })
}

/// Gives up what is not needed.
fn confine(
    args: &IndexArgs,
    index_file: Option<&PathBuf>,
    mut openings: Openings,
) -> Result<(), HostError> {
    openings.source(&args.source);
    if let Some(path) = index_file {
        openings.read(path);
    }
    if let Some(path) = &args.json {
        openings.report(path);
    }
    let verbose = args.talk.verbose;
    args.confine
        .confine(&openings, Purpose::Verify, verbose, || Ok(()))
}

/// Prints everything and gives the exit code.
fn output(args: &IndexArgs, to_stdout: bool, mut done: Done<Report>) -> u8 {
    let taken = to_stdout || args.json.as_deref().is_some_and(is_stdout);
    if !taken
        && !args.talk.quiet
        && done.failures.is_empty()
        && let Err(error) = print(&text(&done.report))
    {
        done.fail(error);
    }
    if let Some(failure) = done.failure() {
        print_failure(&failure.error);
    }
    let report = &done.report;
    let json = args.json.as_deref();
    let json = json.filter(|path| !(to_stdout && is_stdout(path)));
    let written = json.map_or(Ok(()), |path| write_json(report, path));
    exit_code_with_report(report.exit_code, written)
}

/// The report as text.
fn text(report: &Report) -> String {
    if let Some(written) = &report.written {
        let file = written.file.as_deref().unwrap_or("-");
        return format!(
            "written {file} {}\n  {}, {} bytes\n{}",
            written.digest,
            written.media_type,
            written.size,
            annotations(&written.annotations)
        );
    }
    let Some(index) = &report.index else {
        return String::new();
    };
    let head = head(index);
    match &report.verified {
        Some(verified) => {
            let open = match &verified.not_verified[..] {
                [] => String::new(),
                names => format!(" (not stated, so not verified: {})", names.join(", ")),
            };
            format!(
                "{head}verified {}{open}\n  blob {}\n  image {}\n",
                count(index),
                verified.digest,
                verified.diff_id
            )
        }
        None => head + &table(index),
    }
}

/// What an index is.
fn head(index: &IndexReport) -> String {
    let name = match index.form {
        "erofs" => "chunk index of the EROFS image layer specification",
        "zstd-seekable" => "seek table of the zstd project",
        "containerd-12703" => "chunk mapping table of containerd pull request #12703",
        _ => "chunk table of containerd pull request #12764",
    };
    let by = match index.found_by {
        "manifest" => "by the annotations of the layer",
        "layer" => "in the layer behind it",
        "file" => "in --index-file",
        "range" => "by --range",
        _ => "at the end of the blob",
    };
    let mut text = format!("{name}, found {by}\n");
    if let Some(range) = &index.range {
        text.push_str(&format!("  range {}:{}\n", range.offset, range.end));
    }
    if let Some(digest) = &index.digest {
        text.push_str(&format!("  digest {digest}\n"));
    }
    if index.form.starts_with("containerd") {
        text.push_str("  it came before the draft and is not read: the layer is, from its start\n");
        return text;
    }
    text.push_str(&format!(
        "  compression {}, checksums {}, {}, image {} bytes\n",
        index.compression,
        index.checksums,
        count(index),
        index.image_size
    ));
    text
}

/// How many chunks it has.
fn count(index: &IndexReport) -> String {
    match index.chunks.len() {
        1 => "1 chunk".into(),
        count => format!("{count} chunks"),
    }
}

/// The chunks of an index, a line each.
fn table(index: &IndexReport) -> String {
    if index.chunks.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "{:>6} {:>12} {:>10} {:>13} {:>11}  checksum\n",
        "chunk", "blob offset", "size", "image offset", "image size"
    );
    for (number, chunk) in index.chunks.iter().enumerate() {
        text.push_str(&format!(
            "{number:>6} {:>12} {:>10} {:>13} {:>11}  {}\n",
            chunk.offset,
            chunk.size,
            chunk.image_offset,
            chunk.image_size,
            chunk.checksum.as_deref().unwrap_or("-")
        ));
    }
    text
}
