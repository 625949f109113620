//! The answer of `fsck.erofs`.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// What `fsck.erofs` says of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fsck {
    /// Its first line that says `<E>`, or how it ended; none when it found nothing.
    pub rejected: Option<String>,
    /// The signal that ended it: then it crashed, and its answer says nothing of the image.
    pub crashed: Option<i32>,
    /// Whether it took too long and was ended.
    #[serde(default)]
    pub timed_out: bool,
}

/// Runs it with the decoding of all data. An error line is a rejection whatever the exit code.
/// It takes a device that follows the image only as a file of its own. A run that takes longer
/// than `limit` is ended: some damaged sizes have it decode holes for hours.
///
/// # Errors
///
/// When it cannot be run.
pub fn run(image: &Path, device: Option<&Path>, limit: Duration) -> io::Result<Fsck> {
    let mut command = Command::new("fsck.erofs");
    command.arg("--extract");
    if let Some(device) = device {
        command.arg(format!("--device={}", device.display()));
    }
    let child = command
        .arg(image)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("fsck.erofs: {error}")))?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (sender, receiver) = mpsc::channel();
    let waiting = thread::spawn(move || {
        // Nobody listens any more when the time is up.
        let _ = sender.send(child.wait_with_output());
    });
    let Ok(output) = receiver.recv_timeout(limit) else {
        // Not yet waited for, so the number is still this process's.
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = waiting.join();
        return Ok(Fsck {
            timed_out: true,
            ..Fsck::default()
        });
    };
    let output = output?;
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
        timed_out: false,
    })
}
