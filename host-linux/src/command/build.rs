//! `erofs-unpack build`: an EROFS image, of a tar archive or a folder.

use std::path::Path;

use erofs_unpack_cli::bars::Bars;
use erofs_unpack_cli::output::{
    exit_code_with_report, is_stdout, print, print_failure, write_json,
};
use erofs_unpack_core::build::Options as Form;
use erofs_unpack_ops::build::{Filter, Options, Report, build, read_list};
use erofs_unpack_ops::system::{self, Openings, Purpose, processors};
use erofs_unpack_ops::{Done, HostError};

use super::wrap::{destination, open_output};
use crate::args::{Build, FormArgs};

/// Runs the command and gives its exit code.
pub(crate) fn run(args: &Build) -> u8 {
    let done = operate(args);
    let done = done.unwrap_or_else(|error| Done::failed(Report::new(&args.source), error));
    output(args, done)
}

/// From the arguments to the operation.
fn operate(args: &Build) -> Result<Done<Report>, HostError> {
    // Asked for before the process is confined.
    let threads = Some(processors());
    let destination = destination(&args.output, args.json.as_deref())?;
    let xattrs = match &args.xattrs_from {
        Some(path) => read_list(path)?,
        None => Default::default(),
    };
    let mut form = form(&args.form)?;
    form.volume_name = args.label;
    // A folder is the user's own, and may lead anywhere on this file system; an archive may come from
    // strangers.
    if !args.source.is_dir() {
        let mut openings = Openings::new();
        openings.source(&args.source);
        openings.spool(&system::temp_dir());
        open_output(&mut openings, &destination);
        if let Some(path) = &args.json {
            openings.report(path);
        }
        args.confine
            .confine(&openings, Purpose::Verify, args.talk.verbose, || Ok(()))?;
    }
    let options = Options {
        form,
        uuid: args.uuid,
        filter: Filter {
            exclude: args.exclude.clone(),
            all_root: args.all_root,
            uid_map: args.uid_map.clone(),
            gid_map: args.gid_map.clone(),
            xattrs,
        },
        read_back: !args.no_read_back,
        threads,
        kernel: args.form.kernel,
        force: args.force,
        limits: args.limits.limits(),
    };
    let bars = Bars::new(args.talk.quiet);
    Ok(build(&args.source, &destination, &options, &bars))
}

/// What the arguments and the environment say of the form of images.
pub(super) fn form(args: &FormArgs) -> Result<Form, HostError> {
    let build_time = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => Some(text.parse().map_err(|_| {
            HostError::Usage(format!(
                "SOURCE_DATE_EPOCH={}: expected seconds since 1970",
                text.escape_default()
            ))
        })?),
        Err(_) => None,
    };
    Ok(Form {
        block_bits: u8::try_from(args.block_size.trailing_zeros()).unwrap_or(u8::MAX),
        inline_data: args.inline_data,
        whiteouts: !args.no_aufs,
        all_time: args.all_time,
        build_time,
        ..Form::DEFAULT
    })
}

/// Prints everything and gives the exit code.
fn output(args: &Build, mut done: Done<Report>) -> u8 {
    let taken = [Some(&args.output), args.json.as_ref()];
    let taken = taken.into_iter().flatten().any(|path| is_stdout(path));
    if !taken
        && !args.talk.quiet
        && let Some(text) = text(&done.report)
        && let Err(error) = print(&text)
    {
        done.fail(error);
    }
    if let Some(failure) = done.failure() {
        print_failure(&failure.error);
    }
    if let Some(image) = &done.report.image
        && image.dropped_xattrs > 0
    {
        eprintln!(
            "erofs-unpack: warning: {}: left out {} extended attributes whose names EROFS cannot hold",
            done.report.source, image.dropped_xattrs
        );
    }
    let report = &done.report;
    let json: Option<&Path> = args.json.as_deref();
    let json = json.filter(|path| !(is_stdout(path) && is_stdout(&args.output)));
    let written = json.map_or(Ok(()), |path| write_json(report, path));
    exit_code_with_report(report.exit_code, written)
}

fn text(report: &Report) -> Option<String> {
    let image = report.image.as_ref()?;
    let file = report.file.as_deref().unwrap_or("-");
    let files = match image.files_read_back {
        Some(files) => format!("{files} files read back as they came"),
        None => "not read back".to_owned(),
    };
    let tar = image
        .tar_diff_id
        .as_ref()
        .map_or_else(String::new, |digest| {
            format!("  from an archive with diffID {digest}\n")
        });
    Some(format!(
        "built {file}, {} bytes\n  {} inodes, UUID {}\n  check passed, {files}\n{tar}",
        image.size, image.inodes, image.uuid
    ))
}
