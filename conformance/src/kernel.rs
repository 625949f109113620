//! The back end that mounts an image and reads all of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Map;

use crate::blob::Content;
use crate::manifest::{Case, CheckInput, Limits, Operation};
use crate::run::{Answer, Backend};
use crate::sieve::kernel;

/// The kernel that this runs on. Needs the right to mount, and files that it mounts images from.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Where images are mounted.
    folder: PathBuf,
}

impl Kernel {
    /// One that mounts in a folder of its own in `scratch`.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made.
    pub fn new(scratch: &Path) -> io::Result<Self> {
        let folder = scratch.join(format!("mount-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Whether it mounts an image that every kernel knows.
    ///
    /// # Errors
    ///
    /// When the mount cannot be undone.
    pub fn mounts(&self, vectors: &Path) -> io::Result<bool> {
        let small = vectors.join("bases/small.erofs");
        Ok(kernel::run(&small, &self.folder, false)?.refused.is_none())
    }

    /// Its version.
    #[must_use]
    pub fn version() -> Option<String> {
        let text = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
        Some(format!("Linux {}", text.trim_end()))
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // It stays when something is still mounted there.
        let _ = fs::remove_dir(&self.folder);
    }
}

impl Backend for Kernel {
    fn name(&self) -> String {
        "kernel".into()
    }

    fn alone(&self) -> bool {
        true
    }

    fn repeat(&self, case: &Case, folder: &Path) -> Option<String> {
        let Operation::Check(input) = &case.operation else {
            return None;
        };
        let Content::File(file) = &input.image.content else {
            return None;
        };
        let image = folder.join(file);
        Some(format!("mount -t erofs -o ro,loop {} DIR", image.display()))
    }

    fn run(&self, case: &Case, folder: &Path) -> io::Result<Answer> {
        let Operation::Check(input) = &case.operation else {
            return Ok(Answer::Unable("it reads images alone".into()));
        };
        if let Some(field) = unsupported_field(input) {
            return Ok(Answer::Unable(format!("it cannot be told {field}")));
        }
        let Content::File(file) = &input.image.content else {
            return Ok(Answer::Unable("it reads files alone".into()));
        };
        let said = kernel::run(&folder.join(file), &self.folder, false)?;
        Ok(match said.refused {
            None => Answer::Passed(Map::new()),
            Some(why) => Answer::Refused(None, why),
        })
    }
}

/// What a case states besides its image, and the kernel cannot be told.
fn unsupported_field(input: &CheckInput) -> Option<&'static str> {
    if input.devices > 0 {
        Some("devices")
    } else if input.kernel.is_some() {
        Some("kernel")
    } else if !input.allow.is_empty() {
        Some("allow")
    } else if input.limits == Limits::default() {
        None
    } else {
        Some("limits")
    }
}
