//! The kernel's log, watched for signs that an image did it harm.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

/// What a line of a kernel in trouble holds.
const TROUBLE: [&str; 8] = [
    "BUG:",
    "Oops",
    "Kernel panic",
    "general protection fault",
    "WARNING: CPU",
    "blocked for more than",
    "soft lockup",
    "rcu_preempt detected stalls",
];

/// The log, from when it was opened on.
#[derive(Debug)]
pub struct Log(File);

impl Log {
    /// Opens the log at its end.
    ///
    /// # Errors
    ///
    /// When the process may not read it.
    pub fn open() -> io::Result<Self> {
        let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        let mut log = File::options()
            .read(true)
            .custom_flags(nonblocking)
            .open("/dev/kmsg")?;
        log.seek(SeekFrom::End(0))?;
        Ok(Self(log))
    }

    /// The first line since the last call that tells of trouble.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn trouble(&mut self) -> io::Result<Option<String>> {
        let mut record = [0; 8192];
        let mut found = None;
        loop {
            match self.0.read(&mut record) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(&record[..length]);
                    if found.is_none() && TROUBLE.iter().any(|sign| text.contains(sign)) {
                        found = Some(text.trim().to_owned());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(found),
                // Records were lost because there were too many; the next read goes on.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(error) => return Err(error),
            }
        }
    }
}
