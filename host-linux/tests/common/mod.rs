//! What the tests of the program share: folders, images, layouts, and runs of the program.
#![allow(dead_code, reason = "no test file uses all of it")]

use core::sync::atomic::{AtomicU32, Ordering};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use erofs_unpack_core::oci::Algorithm;
use serde_json::{Value, json};

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

// --- Layouts ------------------------------------------------------------------------------------

/// A layer of an image that is to be made.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) media_type: String,
    pub(crate) blob: Vec<u8>,
    pub(crate) diff_id: String,
    pub(crate) annotations: Value,
}

impl Layer {
    /// A layer with this content, wrapped as its media type says.
    pub(crate) fn new(media_type: &str, content: &[u8]) -> Self {
        let blob = match media_type.rsplit_once('+') {
            Some((_, "zstd")) => zstd(content),
            Some((_, "gzip")) => gzip(content),
            _ => content.to_vec(),
        };
        Self {
            media_type: media_type.to_owned(),
            blob,
            diff_id: sha256(content),
            annotations: json!({}),
        }
    }

    pub(crate) fn role(mut self, role: &str) -> Self {
        self.annotations["org.erofs.role"] = json!(role);
        self
    }

    /// The name of its file in a folder of layers.
    pub(crate) fn file(&self, number: u32) -> String {
        format!("{number:02}-{}.erofs", prefix(&self.diff_id))
    }
}

/// Three layers, one of each compression.
pub(crate) fn three_layers() -> [Layer; 3] {
    [
        Layer::new(EROFS, &image(1, 40)),
        Layer::new(EROFS_ZSTD, &image(2, 300)),
        Layer::new(EROFS_GZIP, &image(3, 1)),
    ]
}

/// An OCI image layout that grows.
pub(crate) struct Layout {
    pub(crate) path: PathBuf,
    /// The entries of its `index.json`.
    pub(crate) entries: Vec<Value>,
}

impl Layout {
    pub(crate) fn new(path: PathBuf) -> Self {
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        fs::create_dir_all(path.join("blobs/sha512")).unwrap();
        fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let layout = Self {
            path,
            entries: Vec::new(),
        };
        layout.save();
        layout
    }

    /// One image with these layers and no name.
    pub(crate) fn of(path: PathBuf, layers: &[Layer]) -> Self {
        let mut layout = Self::new(path);
        layout.add(layers, json!({}));
        layout
    }

    /// Writes `index.json`.
    pub(crate) fn save(&self) {
        let index = index(&self.entries);
        fs::write(self.path.join("index.json"), index.to_string()).unwrap();
    }

    /// Where a blob lies.
    pub(crate) fn blob_path(&self, digest: &str) -> PathBuf {
        let (algorithm, hex) = digest.split_once(':').unwrap();
        self.path.join("blobs").join(algorithm).join(hex)
    }

    /// Puts a blob there and gives its descriptor.
    pub(crate) fn blob(&self, media_type: &str, content: &[u8]) -> Value {
        let digest = sha256(content);
        fs::write(self.blob_path(&digest), content).unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": content.len()})
    }

    /// Puts a JSON document there and gives its descriptor.
    pub(crate) fn document(&self, media_type: &str, document: &Value) -> Value {
        self.blob(media_type, document.to_string().as_bytes())
    }

    /// Puts an image there and gives its descriptor.
    pub(crate) fn image(&self, layers: &[Layer]) -> Value {
        self.image_for("amd64", layers)
    }

    pub(crate) fn image_for(&self, architecture: &str, layers: &[Layer]) -> Value {
        let config = json!({
            "os": "linux",
            "architecture": architecture,
            "os.features": ["erofs"],
            "rootfs": {
                "type": "layers",
                "diff_ids": layers.iter().map(|layer| &layer.diff_id).collect::<Vec<_>>(),
            },
        });
        let config = self.document(CONFIG, &config);
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| {
                let mut descriptor = self.blob(&layer.media_type, &layer.blob);
                descriptor["annotations"] = layer.annotations.clone();
                descriptor
            })
            .collect();
        self.document(
            MANIFEST,
            &json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": config,
                "layers": layers,
            }),
        )
    }

    /// Adds an image to the index, with more members for its entry, and gives its digest.
    pub(crate) fn add(&mut self, layers: &[Layer], more: Value) -> String {
        let entry = self.image(layers);
        self.add_entry(entry, more)
    }

    /// Adds an entry to the index and gives its digest.
    pub(crate) fn add_entry(&mut self, mut entry: Value, more: Value) -> String {
        let Value::Object(more) = more else {
            panic!("{more}");
        };
        entry.as_object_mut().unwrap().extend(more);
        let digest = entry["digest"].as_str().unwrap().to_owned();
        self.entries.push(entry);
        self.save();
        digest
    }

    /// The layout as a tar archive: its index last, as some writers have it, or first.
    pub(crate) fn archive(&self, index_last: bool) -> Vec<u8> {
        let mut files = vec!["oci-layout".to_owned()];
        for algorithm in ["sha256", "sha512"] {
            let dir = format!("blobs/{algorithm}");
            files.extend(
                names(&self.path.join(&dir))
                    .into_iter()
                    .map(|name| format!("{dir}/{name}")),
            );
        }
        let place = if index_last { files.len() } else { 1 };
        files.insert(place, "index.json".to_owned());
        let mut archive = Vec::new();
        for name in files {
            archive.extend(tar_member(&name, &fs::read(self.path.join(&name)).unwrap()));
        }
        archive.extend([0; 1024]);
        archive
    }
}

/// An index of these entries.
pub(crate) fn index(entries: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
}

/// A regular file in a tar archive. Names beyond 100 bytes are split.
pub(crate) fn tar_member(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    let (start, name) = match name.len() {
        ..100 => ("", name),
        _ => name.rsplit_once('/').unwrap(),
    };
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[345..345 + start.len()].copy_from_slice(start.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend(content);
    header.resize(header.len().next_multiple_of(512), 0);
    header
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

/// The whole of a file.
pub(crate) fn content(path: &Path) -> Vec<u8> {
    let mut content = Vec::new();
    File::open(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .read_to_end(&mut content)
        .unwrap();
    content
}
