//! A stream processor run as containerd runs it (`core/diff/stream_unix.go`,
//! `NewBinaryProcessor`): the environment of the caller and one more variable; stdin a pipe that is
//! fed by copying in pieces of 32 KiB; stdout a pipe that is read in such pieces; stderr kept; a
//! payload, if there is one, on descriptor 3. Closing closes the pipe and kills.

use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use crate::common::program;

/// How much Go's `io.Copy` moves at a time.
const PIECE: usize = 32 << 10;

/// A layer of this compression, as containerd names it to the processor: by the tar type, also
/// where it is an EROFS image.
pub(crate) fn mimicked(suffix: &str) -> String {
    format!("application/vnd.oci.image.layer.v1.tar{suffix}")
}

/// A running processor.
pub(crate) struct Processor {
    child: Child,
    stdout: Option<std::process::ChildStdout>,
    feeder: JoinHandle<()>,
    stderr: JoinHandle<String>,
}

/// What it came to.
pub(crate) struct Processed {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// A command for the processor that spools here.
pub(crate) fn command(spool: &Path, arguments: &[String]) -> Command {
    let mut command = program();
    command
        .arg("stream")
        .arg("--spool-dir")
        .arg(spool)
        .args(arguments);
    command
}

/// The same with this payload on descriptor 3: a pipe that is fed meanwhile, through a name,
/// which is all that a shell can open.
pub(crate) fn with_payload(command: &Command, fifo: &Path, payload: Vec<u8>) -> Command {
    let made = Command::new("mkfifo").arg(fifo).status().unwrap();
    assert!(made.success());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "exec \"$@\" 3<\"$FIFO\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env("FIFO", fifo);
    let fifo = fifo.to_owned();
    std::thread::spawn(move || {
        // The processor may end without having read it.
        let _ = std::fs::write(fifo, payload);
    });
    shell
}

impl Processor {
    pub(crate) fn start(command: &mut Command, media_type: &str, blob: Vec<u8>) -> Self {
        let mut child = command
            .env("STREAM_PROCESSOR_MEDIATYPE", media_type)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let feeder = std::thread::spawn(move || {
            for piece in blob.chunks(PIECE) {
                // It may end before it has read all; Go passes over that too.
                if stdin.write_all(piece).is_err() {
                    break;
                }
            }
        });
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut said = String::new();
            stderr.read_to_string(&mut said).unwrap();
            said
        });
        let stdout = child.stdout.take();
        Self {
            child,
            stdout,
            feeder,
            stderr,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads at most this much, and says whether that was the end.
    pub(crate) fn read(&mut self, most: usize, into: &mut Vec<u8>) -> bool {
        let stdout = self.stdout.as_mut().unwrap();
        let mut piece = vec![0; PIECE];
        let mut read = 0;
        while read < most {
            match stdout.read(&mut piece).unwrap() {
                0 => return true,
                length => into.extend_from_slice(&piece[..length]),
            }
            read = into.len();
        }
        false
    }

    /// Closes the pipe that stdout goes to.
    pub(crate) fn close(&mut self) {
        self.stdout = None;
    }

    /// Kills it, as containerd does when it closes a processor.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Processed {
        let status = self.child.wait().unwrap();
        self.feeder.join().unwrap();
        Processed {
            status,
            stdout: Vec::new(),
            stderr: self.stderr.join().unwrap(),
        }
    }

    /// Reads everything, then waits, as the differ does.
    pub(crate) fn whole(mut self) -> Processed {
        let mut stdout = Vec::new();
        assert!(self.read(usize::MAX, &mut stdout));
        let mut processed = self.wait();
        processed.stdout = stdout;
        processed
    }
}

impl Processed {
    /// The exit code; a panic is never one.
    pub(crate) fn code(&self) -> i32 {
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self.status.code().expect("ended by a signal")
    }

    /// Expects that these bytes came through, without a word.
    pub(crate) fn gave(&self, expected: &[u8]) {
        assert_eq!((self.code(), self.stderr.as_str()), (0, ""));
        assert_eq!(self.stdout.len(), expected.len());
        assert!(self.stdout == expected);
    }

    /// Expects the exit code with one clean line, and no byte on stdout; gives the line.
    pub(crate) fn refused(&self, code: i32) -> &str {
        assert_eq!(self.code(), code, "{}", self.stderr);
        assert_eq!(self.stdout.len(), 0);
        crate::common::one_line(&self.stderr)
    }
}
