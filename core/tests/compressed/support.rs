//! A tree of files, images that mkfs.erofs makes of it, and how they are read.

use alloc::collections::{BTreeMap, BTreeSet};
use core::fmt::Debug;
use core::iter;
use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use erofs_unpack_core::Limits;
use erofs_unpack_core::erofs::{Image, Inode, Place, ReadAt, ReadResult};

/// The files of a tree, by name; all are in one directory.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The longest that making an image may take. `-Ededupe` of erofs-utils 1.9.4 can hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// Numbers that look random and are the same each time.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed ^ 0x9E37_79B9_7F4A_7C15)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[3]).collect()
    }
}

/// Text of words, which compresses about as well as a log.
fn text(random: &mut Random, length: usize) -> Vec<u8> {
    let words: Vec<Vec<u8>> = (0..400)
        .map(|_| {
            let length = 2 + random.below(9);
            (0..length)
                .map(|_| b'a' + (random.next() % 26) as u8)
                .collect()
        })
        .collect();
    let mut text = Vec::new();
    while text.len() < length {
        let word = random.below(words.len()).min(random.below(words.len()));
        text.extend_from_slice(&words[word]);
        text.push(if random.below(12) == 0 { b'\n' } else { b' ' });
    }
    text.truncate(length);
    text
}

/// Records of numbers, as in a program or a table.
fn table(random: &mut Random, length: usize) -> Vec<u8> {
    let mut table = Vec::new();
    let mut number = 0_u32;
    while table.len() < length {
        number = number.wrapping_add((random.next() % 40) as u32);
        table.extend_from_slice(&number.to_le_bytes());
        table.extend_from_slice(&[0, 0, 0x48, (random.next() % 4) as u8]);
    }
    table.truncate(length);
    table
}

/// A tree with what real ones have: text, tables, noise, zeros, mixtures of them, tiny files,
/// files that just fill blocks, copies, and one of several MiB.
pub(crate) fn files() -> Files {
    let mut random = Random::new(7);
    let mut files = Files::new();
    let mut add = |name: &str, content: Vec<u8>| {
        files.insert(name.into(), content);
    };
    add("empty", Vec::new());
    add("one", b"x".to_vec());
    for (index, length) in [13, 100, 511, 512, 513, 4095, 4096, 4097, 8192, 65536, 65537]
        .into_iter()
        .enumerate()
    {
        add(&format!("text-{length}"), text(&mut random, length));
        if index % 2 == 0 {
            add(&format!("noise-{length}"), random.bytes(length));
        }
    }
    let log = text(&mut random, 600_000);
    add("copy", log.clone());
    let mut shifted = b"a line before".to_vec();
    shifted.extend_from_slice(&log[..400_000]);
    add("copy-shifted", shifted);
    let mut tail = random.bytes(50_000);
    tail.extend_from_slice(&log[500_000..]);
    add("copy-tail", tail);
    add("log", log);
    add("noise", random.bytes(300_000));
    add("table", table(&mut random, 500_000));
    add("zeros", vec![0; 400_000]);
    let mut sparse = vec![0; 700_000];
    sparse[300_000..300_100].copy_from_slice(&random.bytes(100));
    sparse[650_000..].copy_from_slice(&text(&mut random, 50_000));
    add("sparse", sparse);
    let mut mixed = Vec::new();
    while mixed.len() < 4 << 20 {
        let length = 1 + random.below(90_000);
        match random.below(5) {
            0 => mixed.extend(random.bytes(length)),
            1 => mixed.extend(table(&mut random, length)),
            2 => mixed.extend(iter::repeat_n(mixed.len().to_le_bytes()[1], length)),
            _ => mixed.extend(text(&mut random, length)),
        }
    }
    add("mixed", mixed);
    for index in 0..40 {
        let length = random.below(3000);
        add(&format!("small-{index}"), text(&mut random, length));
    }
    files
}

/// A folder that is removed at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("compressed-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes the files below `tree`.
    pub(crate) fn write(&self, files: &Files) {
        let tree = self.0.join("tree");
        fs::create_dir_all(&tree).unwrap();
        for (name, content) in files {
            fs::write(tree.join(name), content).unwrap();
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether mkfs.erofs can be run; says so when it cannot.
pub(crate) fn has_mkfs() -> bool {
    let found = Command::new("mkfs.erofs")
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        assert!(
            std::env::var_os("EROFS_UNPACK_REQUIRE_TOOLS").is_none(),
            "mkfs.erofs is missing"
        );
        println!("skipped: needs mkfs.erofs");
    }
    found
}

/// Makes an image of the folder's tree. `None` when mkfs.erofs hangs or fails.
pub(crate) fn mkfs(folder: &Folder, name: &str, options: &[&str]) -> Result<Vec<u8>, String> {
    let path = folder.0.join(name);
    let mut child = Command::new("mkfs.erofs")
        .args(["--quiet", "-T0", "-U00000000-0000-0000-0000-000000000000"])
        .args(options)
        .arg(&path)
        .arg(folder.0.join("tree"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            return Err("hangs".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    if !status.success() {
        let output = child.wait_with_output().unwrap();
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let image = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    Ok(image)
}

/// Opens an image in memory.
pub(crate) fn open(bytes: &[u8]) -> Image<&[u8]> {
    Image::open(bytes, bytes.len() as u64, &Limits::DEFAULT)
        .unwrap_or_else(|error| panic!("{error:?}"))
}

/// The inodes in the root directory, by name.
pub(crate) fn inodes<R: ReadAt>(image: &Image<R>) -> ReadResult<BTreeMap<String, Inode>, R> {
    let root = image.root()?;
    let mut nids = BTreeMap::new();
    let mut entries = image.entries(&root)?;
    while let Some(entry) = entries.next()? {
        if entry.name != b"." && entry.name != b".." {
            nids.insert(String::from_utf8_lossy(entry.name).into_owned(), entry.nid);
        }
    }
    nids.into_iter()
        .map(|(name, nid)| Ok((name, image.inode(nid)?)))
        .collect()
}

/// Holds a file of an image against its content: whole, in pieces one after another, in pieces
/// here and there, and its extents.
pub(crate) fn compare<R: ReadAt>(image: &Image<R>, name: &str, inode: &Inode, content: &[u8])
where
    R::Error: Debug,
{
    assert_eq!(inode.size, content.len() as u64, "{name}");
    let mut whole = vec![0xA5; content.len() + 9];
    let read = image
        .read(inode, 0, &mut whole)
        .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    assert_eq!(read, content.len());
    whole.truncate(read);
    if whole != content {
        let at = whole.iter().zip(content).position(|(a, b)| a != b).unwrap();
        panic!("{name} differs at {at}");
    }
    let mut random = Random::new(content.len() as u64);
    let mut at = 0;
    while at < content.len() {
        let mut piece = vec![0; 1 + random.below(30_000)];
        let read = image.read(inode, at as u64, &mut piece).unwrap();
        assert!(piece[..read] == content[at..at + read], "{name} at {at}");
        assert!(read == piece.len() || at + read == content.len());
        at += read;
    }
    for _ in 0..20 {
        let at = random.below(content.len());
        let mut piece = vec![0; 1 + random.below(20_000)];
        let read = image.read(inode, at as u64, &mut piece).unwrap();
        assert!(piece[..read] == content[at..at + read], "{name} at {at}");
    }
    let mut at = 0;
    while at < inode.size {
        let extent = image.extent(inode, at).unwrap();
        assert_eq!(extent.offset, at, "{name}: {extent:?}");
        assert!(extent.length > 0, "{name}: {extent:?}");
        let last = image.extent(inode, at + extent.length - 1).unwrap();
        assert_eq!(last, extent, "{name}");
        at += extent.length;
    }
    assert_eq!(at, inode.size, "{name}");
    assert_eq!(image.extent(inode, at).unwrap().length, 0);
}

/// Compares all files.
pub(crate) fn compare_all(bytes: &[u8], files: &Files, name: &str) {
    let image = open(bytes);
    let inodes = inodes(&image).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    assert_eq!(
        inodes.keys().collect::<Vec<_>>(),
        files.keys().collect::<Vec<_>>(),
        "{name}"
    );
    for (file, content) in files {
        compare(&image, &format!("{name}: {file}"), &inodes[file], content);
    }
}

/// Which places the extents of an image have, by a letter for each kind and encoding.
pub(crate) fn places(bytes: &[u8]) -> BTreeSet<String> {
    let image = open(bytes);
    let mut places = BTreeSet::new();
    for inode in inodes(&image).unwrap().values() {
        let mut at = 0;
        while at < inode.size {
            let extent = image.extent(inode, at).unwrap();
            match extent.place {
                Place::Encoded(pcluster) => {
                    let mut place = pcluster.encoding.name().to_string();
                    if pcluster.partial {
                        place.push_str("-partial");
                    }
                    if pcluster.metadata.is_some() {
                        place.push_str("-inline");
                    }
                    if pcluster.length > image.superblock().block_size() {
                        place.push_str("-big");
                    }
                    places.insert(place);
                }
                Place::Fragment { .. } => {
                    places.insert("fragment".into());
                }
                Place::Hole => {
                    places.insert("hole".into());
                }
                _ => {
                    places.insert("plain".into());
                }
            }
            at += extent.length;
        }
    }
    places
}
