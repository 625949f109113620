//! The operation `unwrap`: the image in the blob of a layer. It is `unpack` of a lone blob, whatever
//! that looks like.

use std::path::Path;

use crate::done::Done;
use crate::error::HostError;
use crate::observer::Observer;
use crate::report::shown;
use crate::unpack::{Destination, Options, Report, unpack};

/// Unpacks and verifies the blob in `source`, or `-` for the standard input.
///
/// As [`unpack`], except that an image layout is refused, and that an archive is taken for a blob.
///
/// The report is there also when something is refused: [`Done::ok`] tells.
pub fn unwrap(
    source: &Path,
    destination: &Destination,
    options: &Options,
    observer: &dyn Observer,
) -> Done<Report> {
    let mut done = if source.is_dir() {
        let usage = format!(
            "{}: is a directory: expected the blob of a layer; unpack takes image layouts",
            shown(source)
        );
        Done::failed(Report::new(source), HostError::Usage(usage))
    } else {
        let mut options = options.clone();
        options.select.source.blob = true;
        unpack(source, destination, &options, observer)
    };
    done.report.command = "unwrap";
    done
}
