//! Workers that answer at the same time, each with a time limit.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use super::fsck::Fsck;
use super::kernel::Kernel;
use super::ours::Ours;
use super::worker::{Message, Request};

/// How long one answer may take.
const TIME: Duration = Duration::from_secs(20);
/// How long a worker may take to die.
const DEATH: Duration = Duration::from_secs(20);

/// The answers about one mutant. Those that did not come are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// Ours.
    pub ours: Option<Ours>,
    /// The kernel's.
    pub kernel: Option<Kernel>,
    /// That of `fsck.erofs`.
    pub fsck: Option<Fsck>,
    /// Why one is missing.
    pub missing: Option<String>,
    /// Whether a process that cannot be killed was left behind.
    pub unkillable: bool,
}

/// How workers are started.
#[derive(Clone, Debug)]
pub struct Starter {
    /// The program `erofs-unpack-conformance`.
    pub program: PathBuf,
    /// The folder of the images.
    pub images: PathBuf,
    /// A folder on a file system from which the kernel mounts files.
    pub scratch: PathBuf,
}

/// A worker that runs.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    requests: ChildStdin,
    lines: Receiver<io::Result<String>>,
}

impl Starter {
    /// Starts a worker in mounts of its own, which vanish with it.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(&self, number: usize) -> io::Result<Worker> {
        let scratch = self.scratch.join(format!("worker-{number}"));
        fs::create_dir_all(scratch.join("mount"))?;
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--"])
            .arg(&self.program)
            .arg("sieve-worker")
            .args([&self.images, &scratch])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("unshare: {error}")))?;
        let missing = || io::Error::other("a worker without pipes");
        let requests = child.stdin.take().ok_or_else(missing)?;
        let output = child.stdout.take().ok_or_else(missing)?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Worker {
            child,
            requests,
            lines,
        })
    }
}

impl Worker {
    /// Asks for the three answers. When one does not come, the worker has been ended.
    ///
    /// # Errors
    ///
    /// When the environment failed.
    pub fn query(&mut self, request: &Request) -> io::Result<Answers> {
        let mut answers = Answers::default();
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        self.requests.write_all(line.as_bytes())?;
        for whose in ["ours", "the kernel's", "that of fsck.erofs"] {
            let line = match self.lines.recv_timeout(TIME) {
                Ok(line) => line?,
                Err(error) => {
                    let why = match error {
                        RecvTimeoutError::Timeout => "did not come in time",
                        RecvTimeoutError::Disconnected => "did not come: the worker died",
                    };
                    answers.missing = Some(format!("{whose} {why}"));
                    answers.unkillable = !self.end()?;
                    break;
                }
            };
            match serde_json::from_str(&line)? {
                Message::Ours(answer) => answers.ours = Some(answer),
                Message::Kernel(answer) => answers.kernel = Some(answer),
                Message::Fsck(answer) => answers.fsck = Some(answer),
                Message::Failed(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(answers)
    }

    /// Ends the worker and what it started; `false` when it does not die.
    fn end(&mut self) -> io::Result<bool> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may be gone already.
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let start = Instant::now();
        while start.elapsed() < DEATH {
            if self.child.try_wait()?.is_some() {
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(false)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// A folder that is removed with all in it.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes the folder `sieve-PID` in another.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn new(parent: &Path) -> io::Result<Self> {
        let path = parent.join(format!("sieve-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
