//! The answer of `fsck.erofs`.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

/// What `fsck.erofs` says of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fsck {
    /// Its first line that says `<E>`, or how it ended; none when it found nothing.
    pub rejected: Option<String>,
    /// The signal that ended it: then it crashed, and its answer says nothing of the image.
    pub crashed: Option<i32>,
}

/// Runs it with the decoding of all data. An error line is a rejection whatever the exit code.
/// It takes a device that follows the image only as a file of its own.
///
/// # Errors
///
/// When it cannot be run.
pub fn ask(image: &Path, device: Option<&Path>) -> io::Result<Fsck> {
    let mut command = Command::new("fsck.erofs");
    command.arg("--extract");
    if let Some(device) = device {
        command.arg(format!("--device={}", device.display()));
    }
    let output = command
        .arg(image)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("fsck.erofs: {error}")))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| line.starts_with("<E>"));
    let rejected = match (line, output.status.success()) {
        (Some(line), _) => Some(line.trim_start_matches("<E> ").to_owned()),
        (None, true) => None,
        (None, false) => Some(format!("no error line, {}", output.status)),
    };
    Ok(Fsck {
        rejected,
        crashed: output.status.signal(),
    })
}
