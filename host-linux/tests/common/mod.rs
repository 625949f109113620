//! What the tests of the program share: folders, images, layouts, and runs of the program.
#![allow(dead_code, unused_imports, reason = "no test file uses all of it")]

pub(crate) mod convert;
pub(crate) mod device;
mod indexed;
mod layout;
mod verity;

use core::sync::atomic::{AtomicU32, Ordering};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use erofs_unpack_core::oci::Algorithm;
use serde_json::{Value, json};

pub(crate) use indexed::*;
pub(crate) use layout::*;
pub(crate) use verity::*;

pub(crate) const EROFS: &str = "application/vnd.erofs";
pub(crate) const EROFS_ZSTD: &str = "application/vnd.erofs+zstd";
pub(crate) const EROFS_GZIP: &str = "application/vnd.erofs.layer.v1+gzip";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A directory that is removed with its content.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let program = std::env::current_exe().unwrap();
        let program = program.file_stem().unwrap().to_str().unwrap().to_owned();
        let name = format!("{program}-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn names(&self) -> Vec<String> {
        names(&self.0)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The names in a directory, sorted; none when there is no directory.
pub(crate) fn names(path: &Path) -> Vec<String> {
    let Ok(listing) = fs::read_dir(path) else {
        return Vec::new();
    };
    let mut names: Vec<_> = listing
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

// --- Runs of the program ------------------------------------------------------------------------

/// What a run of the program came to.
pub(crate) struct Run {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// The program, in a folder and without what the caller's environment would change.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_erofs-unpack"));
    command
        .env_remove("NO_COLOR")
        .env_remove("TMPDIR")
        .current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

/// Runs a command to its end, with this on its stdin.
pub(crate) fn run_with(command: &mut Command, stdin: &[u8]) -> Run {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // It may stop before it has read everything.
    let feeder = std::thread::spawn(move || drop(to.write_all(&stdin)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    Run {
        status: output.status,
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the program with these arguments.
pub(crate) fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Run {
    run_with(program().args(arguments), b"")
}

/// The arguments in a form that takes strings and paths.
#[macro_export]
macro_rules! args {
    ($($argument:expr),* $(,)?) => {
        vec![$(std::ffi::OsString::from(&$argument)),*]
    };
}

impl Run {
    /// The exit code. A panic is never one.
    pub(crate) fn code(&self) -> i32 {
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self.status.code().expect("ended by a signal")
    }

    /// Expects success, and gives stdout as text.
    pub(crate) fn done(&self) -> &str {
        assert_eq!(self.code(), 0, "{}", self.stderr);
        self.text()
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.stdout).unwrap()
    }

    /// Expects the exit code with one clean line on stderr and nothing on stdout, and gives the
    /// line without the program's name.
    pub(crate) fn line(&self, code: i32) -> &str {
        assert_eq!(self.code(), code, "{}", self.stderr);
        assert_eq!(self.stdout.len(), 0, "{:?}", self.text());
        one_line(&self.stderr)
    }

    /// Expects the exit code with several clean lines on stderr and nothing on stdout, and gives
    /// the lines without the program's name.
    pub(crate) fn lines(&self, code: i32) -> Vec<&str> {
        assert_eq!(self.code(), code, "{}", self.stderr);
        assert_eq!(self.stdout.len(), 0, "{:?}", self.text());
        let mut lines: Vec<&str> = self.stderr.lines().collect();
        assert!(
            !lines.iter().any(|line| line.chars().any(char::is_control)),
            "{lines:?}"
        );
        lines[0] = lines[0].strip_prefix("erofs-unpack: ").unwrap();
        lines
    }

    /// The JSON on stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| {
            panic!("{error}: {}\n{}", self.text(), self.stderr);
        })
    }
}

/// The only line of what was said, without the program's name.
pub(crate) fn one_line(said: &str) -> &str {
    let line = said
        .strip_suffix('\n')
        .unwrap_or_else(|| panic!("{said:?}"));
    assert!(!line.chars().any(char::is_control), "{line:?}");
    line.strip_prefix("erofs-unpack: ")
        .unwrap_or_else(|| panic!("{line:?}"))
}

// --- Images -------------------------------------------------------------------------------------

/// The bytes of a generator, different for each seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The least that is an EROFS image: a superblock that declares `blocks` blocks of 4096 bytes,
/// an empty root, and bytes without meaning. Half of each block compresses.
pub(crate) fn image(seed: u64, blocks: u32) -> Vec<u8> {
    let mut image = noise(seed, blocks as usize * 4096);
    for block in image.chunks_mut(4096) {
        block[2048..].fill(b'x');
    }
    image[..1152 + 64].fill(0);
    let fields: [(usize, &[u8]); 9] = [
        (0, &0xE0F5_E1E2_u32.to_le_bytes()),
        // There is a checksum.
        (8, &[1]),
        (12, &[12]),
        (14, &36_u16.to_le_bytes()),
        (16, &1_u64.to_le_bytes()),
        (24, &1_700_000_000_u64.to_le_bytes()),
        (36, &blocks.to_le_bytes()),
        (48, b"0123456789abcdef"),
        (64, b"a name\n"),
    ];
    for (offset, bytes) in fields {
        image[1024 + offset..][..bytes.len()].copy_from_slice(bytes);
    }
    // The root, nid 36, compact, its 27 bytes of entries behind it: `.` and `..`.
    let root: [(usize, &[u8]); 10] = [
        (0, &[4]),
        (4, &0o40755_u16.to_le_bytes()),
        (6, &[2]),
        (8, &[27]),
        (32, &[36]),
        (40, &[24, 0, 2]),
        (44, &[36]),
        (52, &[25, 0, 2]),
        (56, b"."),
        (57, b".."),
    ];
    for (offset, bytes) in root {
        image[1152 + offset..][..bytes.len()].copy_from_slice(bytes);
    }
    mended(image)
}

/// The image with the right checksum: CRC-32C without the inversion at its end, over the rest
/// of the first block of 4096 bytes.
pub(crate) fn mended(mut image: Vec<u8>) -> Vec<u8> {
    image[1028..1032].fill(0);
    let mut crc = u32::MAX;
    for byte in &image[1024..4096] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
        }
    }
    image[1028..1032].copy_from_slice(&crc.to_le_bytes());
    image
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Algorithm::Sha256.digest(bytes).to_string()
}

pub(crate) fn sha512(bytes: &[u8]) -> String {
    Algorithm::Sha512.digest(bytes).to_string()
}

/// The first twelve digits of a digest.
pub(crate) fn prefix(digest: &str) -> &str {
    &digest.split_once(':').unwrap().1[..12]
}

// --- The machine --------------------------------------------------------------------------------

/// Whether a command is there.
pub(crate) fn has(tool: &str) -> bool {
    Command::new("sh")
        .args(["-c", "command -v \"$1\"", "sh", tool])
        .env("PATH", path_with_sbin())
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// `PATH` with the folders of the administrator's tools.
pub(crate) fn path_with_sbin() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/bin:/usr/sbin:/sbin");
    path
}

/// A mounted file system, unmounted when it is dropped.
pub(crate) struct Mounted(pub(crate) Dir);

impl Mounted {
    /// Mounts something on a new directory, or gives `None` where that is not allowed.
    pub(crate) fn new<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Option<Self> {
        let dir = Dir::new();
        let mounted = Command::new("mount")
            .env("PATH", path_with_sbin())
            .args(arguments)
            .arg(&dir.0)
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then(|| Self(dir))
    }

    /// A file system in memory of this size.
    pub(crate) fn tmpfs(size: &str) -> Option<Self> {
        let options = format!("size={size},mode=1777");
        Self::new(["-t", "tmpfs", "-o", &options, "tmpfs"])
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0.0).status();
    }
}

/// Runs the program under strace, which writes what the filter selects to a file.
pub(crate) fn strace(log: &Path, filter: &[String], arguments: &[OsString]) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o"])
        .arg(log)
        .args(filter)
        .arg(env!("CARGO_BIN_EXE_erofs-unpack"))
        .args(arguments)
        .env_remove("TMPDIR");
    command
}

/// The whole of a file.
pub(crate) fn content(path: &Path) -> Vec<u8> {
    let mut content = Vec::new();
    File::open(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .read_to_end(&mut content)
        .unwrap();
    content
}
