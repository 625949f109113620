//! What is done with the machine: mounts, loop devices, programs. All of it is undone.

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Instant;

/// Why something cannot be tested here: what it needs.
#[derive(Debug)]
pub(crate) struct Skip(pub(crate) String);

/// A directory that is removed with its content, on the disk where the project is built.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("matrix-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file as a block device, read only.
pub(crate) struct Loop(PathBuf);

impl Loop {
    pub(crate) fn new(file: &Path) -> Result<Self, Skip> {
        let output = run(
            "losetup",
            [
                OsStr::new("--find"),
                "--show".as_ref(),
                "-r".as_ref(),
                file.as_os_str(),
            ],
        )?;
        if !output.status.success() {
            return Err(Skip(format!("a loop device ({})", said(&output))));
        }
        let device = String::from_utf8(output.stdout).unwrap();
        Ok(Self(device.trim_end().into()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(&self.0).status();
    }
}

/// A file system on a directory of its own, until it is dropped.
pub(crate) struct Mounted {
    dir: Dir,
    /// What it is on; they go after it.
    _devices: Vec<Loop>,
}

impl Mounted {
    /// A file system in memory.
    pub(crate) fn tmpfs() -> Result<Self, Skip> {
        let arguments = ["-t", "tmpfs", "-o", "size=1g,mode=755", "tmpfs"];
        Self::mount(arguments.map(OsString::from).to_vec(), Vec::new())
            .map_err(|reason| Skip(format!("the right to mount a tmpfs ({reason})")))
    }

    /// The kernel's view of an image and its devices. The inner error is the kernel's refusal.
    pub(crate) fn erofs(image: &Path, devices: &[PathBuf]) -> Result<Result<Self, String>, Skip> {
        let mut loops = Vec::new();
        for file in devices.iter().map(PathBuf::as_path).chain([image]) {
            loops.push(Loop::new(file)?);
        }
        let mut options = OsString::from("ro");
        for device in loops.iter().take(devices.len()) {
            options.push(",device=");
            options.push(device.path());
        }
        let mut arguments = ["-t", "erofs", "-o"].map(OsString::from).to_vec();
        arguments.push(options);
        arguments.push(loops[devices.len()].path().into());
        Ok(Self::mount(arguments, loops))
    }

    fn mount(arguments: Vec<OsString>, devices: Vec<Loop>) -> Result<Self, String> {
        let dir = Dir::new();
        let output = Command::new("mount")
            .args(arguments)
            .arg(dir.path())
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(Self {
                dir,
                _devices: devices,
            })
        } else {
            Err(said(&output))
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.dir.path()).status();
    }
}

/// Whether this is root, and the tools are there.
///
/// # Panics
///
/// When a tool is missing that the caller says must be there.
pub(crate) fn ready(tools: &[&str]) -> Result<(), Skip> {
    for tool in tools {
        let there = Command::new("sh")
            .args(["-c", "command -v \"$1\"", "sh", tool])
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !there {
            assert!(
                std::env::var_os("EROFS_UNPACK_REQUIRE_TOOLS").is_none(),
                "{tool} must be there"
            );
            return Err(Skip((*tool).to_owned()));
        }
    }
    if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        Ok(())
    } else {
        Err(Skip("root".to_owned()))
    }
}

/// Runs a program that is known to be there.
pub(crate) fn run<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Result<Output, Skip> {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Skip(format!("{program} ({error})")))
}

/// As [`run`], but `None` when it has not come to its end in time; it is ended then.
pub(crate) fn run_for<A: AsRef<OsStr>>(
    seconds: u64,
    program: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Option<Output> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(seconds);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
    Some(child.wait_with_output().unwrap())
}

/// What a program said on stderr, on one line.
pub(crate) fn said(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().map(str::trim).collect::<Vec<_>>().join(" | ")
}
