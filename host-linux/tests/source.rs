//! Sources are read inside their bounds, and refused in one line.
#![allow(clippy::disallowed_methods, reason = "a test may panic")]

use core::sync::atomic::{AtomicU32, Ordering};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Cursor, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use erofs_unpack_core::oci::{Algorithm, Digest};
use erofs_unpack_core::{Code, Limits};
use erofs_unpack_ops::source::{
    BlobReader, Decoding, ImageSource, Source, SourceFault, SourceOptions,
};
use erofs_unpack_ops::{HostError, Sandbox};

/// A directory that is removed with its content.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("source-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A path in it, with its parents.
    fn path(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX: &str = r#"{"schemaVersion":2,"manifests":[]}"#;
const BLOB: &[u8] = b"the content of a blob";

fn digest() -> Digest {
    Algorithm::Sha256.digest(BLOB)
}

fn blob_name() -> String {
    format!("blobs/sha256/{}", digest().hex())
}

/// A layout directory with one blob.
fn layout() -> Dir {
    let dir = Dir::new();
    dir.write("oci-layout", LAYOUT);
    dir.write("index.json", INDEX);
    dir.write(&blob_name(), BLOB);
    dir
}

fn image(path: &Path) -> ImageSource {
    match Source::open(path, &SourceOptions::default()).unwrap() {
        Source::Image(image) => image,
        Source::Blob(blob) => panic!("{blob:?}"),
    }
}

fn blob(path: &Path) -> BlobReader {
    match Source::open(path, &SourceOptions::default()).unwrap() {
        Source::Blob(blob) => blob,
        Source::Image(image) => panic!("{image:?}"),
    }
}

fn content(mut blob: BlobReader) -> Vec<u8> {
    let mut content = Vec::new();
    blob.read_to_end(&mut content).unwrap();
    content
}

/// The fault of a refusal, which must read as one clean line.
fn fault<T: core::fmt::Debug>(outcome: Result<T, HostError>) -> SourceFault {
    let error = outcome.unwrap_err();
    let line = error.to_string();
    assert!(!line.chars().any(char::is_control), "{line}");
    match error {
        HostError::Source { fault, .. } => {
            assert_eq!(error.exit_code(), 1);
            assert_eq!(error.id(), fault.id());
            fault
        }
        other => panic!("{other:?}"),
    }
}

fn check_image(image: &ImageSource) {
    let limits = Limits::default();
    assert_eq!(image.layout_json(&limits).unwrap(), LAYOUT.as_bytes());
    assert_eq!(image.index_json(&limits).unwrap(), INDEX.as_bytes());
    let blob = image.open_blob(&digest()).unwrap();
    assert_eq!(blob.length(), Some(BLOB.len() as u64));
    assert!(blob.place().ends_with(blob_name()) || image.blob_place(&digest()) == blob.place());
    let (file, offset) = blob.file().unwrap();
    let mut direct = vec![0; BLOB.len()];
    file.read_exact_at(&mut direct, offset).unwrap();
    assert_eq!(direct, BLOB);
    assert_eq!(content(blob), BLOB);
    assert_eq!(image.read_document(&digest(), &limits).unwrap(), BLOB);
    let missing = image.open_blob(&Algorithm::Sha512.digest(b"")).unwrap_err();
    assert_eq!(missing.exit_code(), 3);
    assert!(
        missing.to_string().contains("blobs/sha512/cf83e"),
        "{missing}"
    );
    let mut small = Limits::default();
    small.json_size = 5;
    let refused = image.index_json(&small).unwrap_err();
    assert!(matches!(&refused, HostError::Refused { error, .. } if error.code() == Code::JsonSize));
    assert!(
        refused
            .to_string()
            .ends_with("(raise it with --max-json-size)")
    );
    small.json_size = INDEX.len() as u64;
    assert!(image.index_json(&small).is_ok());
}

#[test]
fn a_layout_directory() {
    let dir = layout();
    check_image(&image(&dir.0));
    // Its own path may be a link: the user named it.
    let other = Dir::new();
    symlink(&dir.0, other.path("link")).unwrap();
    check_image(&image(&other.0.join("link")));
}

#[test]
fn a_directory_that_is_no_layout() {
    let dir = Dir::new();
    let open = || Source::open(&dir.0, &SourceOptions::default());
    assert_eq!(fault(open()), SourceFault::LayoutMissing);
    dir.write("oci-layout", LAYOUT);
    let image = image(&dir.0);
    let index = image.index_json(&Limits::default());
    assert_eq!(fault(index), SourceFault::LayoutIndex);
    assert_eq!(image.open_blob(&digest()).unwrap_err().exit_code(), 3);
    let missing = Source::open(&dir.0.join("none"), &SourceOptions::default());
    assert_eq!(missing.unwrap_err().exit_code(), 3);
}

#[test]
fn names_with_control_characters_are_escaped() {
    let dir = Dir::new();
    let path = dir.0.join(OsStr::from_bytes(b"a\nb\x1b\xff"));
    fs::create_dir(&path).unwrap();
    let error = Source::open(&path, &SourceOptions::default()).unwrap_err();
    assert!(error.to_string().contains(r"a\nb\x1b\xff: is a directory"));
    assert_eq!(fault(Err::<(), _>(error)), SourceFault::LayoutMissing);
}

#[test]
fn links_out_of_a_layout_are_refused() {
    let outside = Dir::new();
    let secret = outside.write("secret", BLOB);
    let name = blob_name();
    let up = format!(
        "../../../{}/secret",
        outside.0.file_name().unwrap().to_str().unwrap()
    );
    for link in [
        secret.as_path(),
        Path::new(&up),
        Path::new("/proc/self/fd/0"),
    ] {
        let dir = layout();
        fs::remove_file(dir.0.join(&name)).unwrap();
        symlink(link, dir.0.join(&name)).unwrap();
        if link != Path::new("/proc/self/fd/0") {
            // The link leads somewhere: what stops the read is the rule alone.
            assert_eq!(fs::read(dir.0.join(&name)).unwrap(), BLOB);
        }
        let outcome = image(&dir.0).open_blob(&digest());
        assert_eq!(fault(outcome), SourceFault::LayoutEscape, "{link:?}");
    }
    // A directory on the way may lead out as little.
    let dir = layout();
    fs::rename(dir.0.join("blobs"), outside.0.join("blobs")).unwrap();
    symlink(outside.0.join("blobs"), dir.0.join("blobs")).unwrap();
    assert_eq!(
        fault(image(&dir.0).open_blob(&digest())),
        SourceFault::LayoutEscape
    );
    // Nor the documents, nor in a circle.
    for name in ["index.json", "oci-layout"] {
        fs::remove_file(dir.0.join(name)).unwrap();
        symlink(name, dir.0.join(name)).unwrap();
    }
    assert_eq!(
        fault(Source::open(&dir.0, &SourceOptions::default())),
        SourceFault::LayoutEscape
    );
}

#[test]
fn links_inside_a_layout_are_followed() {
    let dir = layout();
    let name = dir.0.join(blob_name());
    fs::create_dir(dir.0.join("store")).unwrap();
    fs::rename(&name, dir.0.join("store/blob")).unwrap();
    symlink("../../store/blob", &name).unwrap();
    check_image(&image(&dir.0));
}

#[test]
fn only_regular_files_are_blobs() {
    let dir = layout();
    let name = dir.0.join(blob_name());
    let open = || fault(image(&dir.0).open_blob(&digest()));
    fs::remove_file(&name).unwrap();
    fs::create_dir(&name).unwrap();
    assert_eq!(open(), SourceFault::LayoutType);
    fs::remove_dir(&name).unwrap();
    // Opening a pipe that nobody writes to would wait for ever.
    let made = Command::new("mkfifo").arg(&name).status().unwrap();
    assert!(made.success());
    assert_eq!(open(), SourceFault::LayoutType);
    fs::remove_file(&name).unwrap();
    // The path of a socket must be short: it is bound by its name alone.
    let socket = std::env::temp_dir().join(format!("s{}", std::process::id()));
    let listener = UnixListener::bind(&socket).unwrap();
    fs::rename(&socket, &name).unwrap_or_else(|_| fs::create_dir(&name).unwrap());
    assert_eq!(open(), SourceFault::LayoutType);
    drop(listener);
    let _ = fs::remove_file(&socket);
    fs::rename(dir.0.join("blobs"), dir.0.join("gone")).unwrap();
    dir.write("blobs", "");
    assert_eq!(open(), SourceFault::LayoutType);
}

/// One member of a test archive. The checksum is set last.
fn member(name: &[u8], kind: u8, size: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..107].copy_from_slice(b"0000644");
    header[124..124 + size.len()].copy_from_slice(size);
    header[136..147].copy_from_slice(b"00000000000");
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    seal(&mut header);
    header.extend(content);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn file(name: &str, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let size = format!("{:011o}", content.len());
    member(name.as_bytes(), b'0', size.as_bytes(), content)
}

fn link(kind: u8, name: &str, to: &str) -> Vec<u8> {
    let mut header = member(name.as_bytes(), kind, b"0", b"");
    header[157..157 + to.len()].copy_from_slice(to.as_bytes());
    seal(&mut header);
    header
}

fn pax(kind: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let mut text = String::new();
    for (keyword, value) in records {
        let rest = keyword.len() + value.len() + 3;
        let mut length = rest + 1;
        while rest + length.to_string().len() != length {
            length += 1;
        }
        text.push_str(&format!("{length} {keyword}={value}\n"));
    }
    let size = format!("{:011o}", text.len());
    member(b"pax", kind, size.as_bytes(), text.as_bytes())
}

/// The members of a whole archive, in the order in which docker writes them.
fn members() -> Vec<Vec<u8>> {
    vec![
        member(b"blobs/", b'5', b"0", b""),
        file(&blob_name(), BLOB),
        file("index.json", INDEX),
        file("oci-layout", LAYOUT),
    ]
}

fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    let mut archive = members.concat();
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// Opens an archive in both ways, as a file and as a stream, which must say the same.
fn open_both(archive: &[u8], options: &SourceOptions) -> Result<Source, HostError> {
    let dir = Dir::new();
    let path = dir.write("a.tar", archive);
    let mut options = options.clone();
    options.spool.clone_from(&dir.0);
    let stream = Cursor::new(archive.to_vec());
    let streamed = Source::from_stream(&path, Box::new(stream), &options);
    let opened = Source::open(&path, &options);
    match (&opened, &streamed) {
        (Err(one), Err(other)) => assert_eq!(one.to_string(), other.to_string()),
        (Ok(Source::Image(_)), Ok(Source::Image(other))) => {
            assert_eq!(
                other.index_json(&Limits::default()).unwrap(),
                INDEX.as_bytes()
            );
        }
        (Ok(Source::Blob(_)), Ok(Source::Blob(_))) => {}
        (one, other) => panic!("{one:?} {other:?}"),
    }
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 1);
    opened
}

fn open_members(members: &[Vec<u8>]) -> Result<Source, HostError> {
    open_both(&archive(members), &SourceOptions::default())
}

fn archive_image(members: &[Vec<u8>]) -> ImageSource {
    match open_members(members).unwrap() {
        Source::Image(image) => image,
        Source::Blob(blob) => panic!("{blob:?}"),
    }
}

#[test]
fn an_archive() {
    check_image(&archive_image(&members()));
    let mut backwards = members();
    backwards.reverse();
    check_image(&archive_image(&backwards));
    let dotted = vec![
        file(&format!("./{}", blob_name()), BLOB),
        file("./index.json", INDEX),
        file(".//oci-layout", LAYOUT),
    ];
    check_image(&archive_image(&dotted));
}

#[test]
fn archives_of_the_tar_program() {
    let dir = layout();
    for format in ["ustar", "gnu", "pax", "v7"] {
        let path = dir.0.with_extension(format);
        let made = Command::new("tar")
            .arg(format!("--format={format}"))
            .arg("-cf")
            .arg(&path)
            .arg("-C")
            .arg(&dir.0)
            .arg(".")
            .status();
        let Ok(made) = made else {
            println!("skipped: needs tar");
            return;
        };
        assert!(made.success());
        check_image(&image(&path));
        let stream = File::open(&path).unwrap();
        let streamed =
            Source::from_stream(&path, Box::new(stream), &SourceOptions::default()).unwrap();
        fs::remove_file(&path).unwrap();
        let Source::Image(streamed) = streamed else {
            panic!("{streamed:?}");
        };
        check_image(&streamed);
    }
}

#[test]
fn long_names_and_sizes() {
    let name = blob_name();
    let mut own = vec![file("index.json", INDEX), file("oci-layout", LAYOUT)];
    let size = BLOB.len().to_string();
    let wrong = member(b"x", b'0', b"00000000000", BLOB);
    for extended in [
        vec![pax(
            b'x',
            &[
                ("path", &name),
                ("size", &size),
                ("SCHILY.xattr.user.a", "b\nc"),
            ],
        )],
        vec![
            pax(b'g', &[("comment", "c")]),
            pax(b'x', &[("size", &size), ("path", &name)]),
        ],
        vec![
            member(
                b"long",
                b'L',
                b"00000000120",
                &[name.as_bytes(), b"\0"].concat(),
            ),
            pax(b'x', &[("size", &size)]),
        ],
    ] {
        let mut members = own.clone();
        members.extend(extended);
        members.push(wrong.clone());
        check_image(&archive_image(&members));
    }
    // A prefix, as ustar has it, and a size in base 256.
    let (prefix, last) = name.rsplit_once('/').unwrap();
    let mut header = member(last.as_bytes(), b'0', b"\x80\0\0\0\0\0\0\0\0\0\0\x15", BLOB);
    header[345..345 + prefix.len()].copy_from_slice(prefix.as_bytes());
    seal(&mut header);
    own.push(header);
    check_image(&archive_image(&own));
}

#[test]
fn links_in_an_archive() {
    let other = Algorithm::Sha256.digest(b"other");
    let other_name = format!("blobs/sha256/{}", other.hex());
    let with = |link: Vec<u8>| {
        let mut members = members();
        members.push(link);
        archive_image(&members)
    };
    let image = with(link(b'1', &other_name, &format!("./{}", blob_name())));
    assert_eq!(content(image.open_blob(&other).unwrap()), BLOB);
    for (member, expected) in [
        (
            link(b'1', &other_name, "elsewhere"),
            SourceFault::ArchiveLink,
        ),
        (
            link(b'1', &other_name, &other_name),
            SourceFault::ArchiveLink,
        ),
        (
            link(b'2', &other_name, &blob_name()),
            SourceFault::ArchiveLink,
        ),
        (
            link(b'2', &other_name, "/etc/passwd"),
            SourceFault::ArchiveLink,
        ),
        (
            link(b'2', &other_name, "../../../etc/passwd"),
            SourceFault::ArchiveLink,
        ),
        (
            link(b'2', &other_name, other.hex().to_string().as_str()),
            SourceFault::ArchiveLink,
        ),
        (
            link(b'2', &other_name, "../../blobs"),
            SourceFault::ArchiveMember,
        ),
        (link(b'6', &other_name, ""), SourceFault::ArchiveMember),
        (
            file(&format!("{other_name}/"), ""),
            SourceFault::ArchiveMember,
        ),
    ] {
        let image = with(member);
        // Other blobs are not harmed by it.
        check_image(&image);
        assert_eq!(fault(image.open_blob(&other)), expected);
    }
}

#[test]
fn blobs_may_lead_to_other_members() {
    let name = blob_name();
    let documents = || vec![file("index.json", INDEX), file("oci-layout", LAYOUT)];
    let up = |to: &str| link(b'2', &name, &format!("../../{to}"));
    for blob in [
        vec![file("pool/a", BLOB), link(b'1', &name, "pool/a")],
        vec![file("pool/a", BLOB), up("pool/a")],
        // A symbolic link may come first, and lead to another link.
        vec![
            up("pool/b"),
            link(b'2', "pool/b", "./a"),
            file("pool/a", BLOB),
        ],
        vec![file("pool/a", BLOB), link(b'1', "b", "pool/a"), up("b")],
        // Whichever of two equal ones is taken, it is the blob.
        vec![file(&name, BLOB), file(&name, BLOB)],
        vec![file("pool/a", BLOB), file(&name, BLOB), up("pool/a")],
        vec![file(&name, BLOB), link(b'1', &name, &name)],
    ] {
        check_image(&archive_image(&[documents(), blob].concat()));
    }
    let chain = |links: usize| {
        let mut members = documents();
        members.push(up("0"));
        let next = |n: usize| link(b'2', &n.to_string(), &(n + 1).to_string());
        members.extend((0..links - 1).map(next));
        members.push(file(&(links - 1).to_string(), BLOB));
        archive_image(&members).open_blob(&digest())
    };
    assert_eq!(content(chain(8).unwrap()), BLOB);
    assert_eq!(fault(chain(9)), SourceFault::ArchiveLink);
    // Two members of a name are no answer, nor are two blobs that differ.
    let twice = vec![file("a", BLOB), file("a", BLOB), up("a")];
    let image = archive_image(&[documents(), twice].concat());
    assert_eq!(fault(image.open_blob(&digest())), SourceFault::ArchiveLink);
    let changed = [&BLOB[1..], b"!"].concat();
    for other in [&changed[..], &BLOB[1..], b""] {
        let blob = vec![file(&name, BLOB), file(&name, other)];
        let outcome = open_members(&[documents(), blob].concat());
        assert_eq!(fault(outcome), SourceFault::ArchiveDuplicate);
    }
    // Documents are held by their names alone.
    for document in ["index.json", "oci-layout"] {
        let target = [file("a", "{}"), link(b'2', document, "a")];
        let mut members: Vec<_> = members();
        members.retain(|member| !member.starts_with(document.as_bytes()));
        assert_eq!(members.len(), 3);
        members.extend(target);
        let dir = Dir::new();
        let opened = Source::open(
            &dir.write("a", archive(&members)),
            &SourceOptions::default(),
        );
        let outcome = opened.and_then(|source| match source {
            Source::Image(image) => image.index_json(&Limits::default()),
            Source::Blob(blob) => panic!("{blob:?}"),
        });
        assert_eq!(fault(outcome), SourceFault::ArchiveMember);
    }
}

/// The blob that the archives of sparse members hold, and its pieces.
fn holey() -> (Vec<u8>, Vec<(usize, Vec<u8>)>) {
    let pieces = vec![
        (0, vec![1; 700]),
        (9000, vec![2; 512]),
        (20_000, vec![3; 5]),
    ];
    let mut blob = vec![0; 30_000];
    for (offset, piece) in &pieces {
        blob[*offset..offset + piece.len()].copy_from_slice(piece);
    }
    (blob, pieces)
}

#[test]
fn blobs_without_their_holes() {
    let (blob, pieces) = holey();
    let digest = Algorithm::Sha256.digest(&blob);
    let name = format!("blobs/sha256/{}", digest.hex());
    let stored: Vec<u8> = pieces.iter().flat_map(|(_, piece)| piece.clone()).collect();
    let open = |members: &[Vec<u8>]| {
        let documents = vec![file("index.json", INDEX), file("oci-layout", LAYOUT)];
        let dir = Dir::new();
        let path = dir.write("a", archive(&[documents, members.to_vec()].concat()));
        let opened = image(&path).open_blob(&digest);
        // What it was put into has no name.
        assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 1);
        opened
    };
    let list = |pieces: &[(usize, Vec<u8>)], between: &str| {
        let pairs = pieces
            .iter()
            .map(|(at, piece)| format!("{at}{between}{}", piece.len()));
        pairs.collect::<Vec<_>>().join(between)
    };
    let version_0_1 = |map: &str, size: &str| {
        let records = [
            ("GNU.sparse.size", size),
            ("GNU.sparse.numblocks", "3"),
            ("GNU.sparse.name", &name),
            ("GNU.sparse.map", map),
        ];
        vec![pax(b'x', &records), file("GNUSparseFile.7/x", &stored)]
    };
    let map = list(&pieces, ",");
    assert_eq!(content(open(&version_0_1(&map, "30000")).unwrap()), blob);
    let mut records = vec![("GNU.sparse.size".to_owned(), "30000".to_owned())];
    for (at, piece) in &pieces {
        records.push(("GNU.sparse.offset".into(), at.to_string()));
        records.push(("GNU.sparse.numbytes".into(), piece.len().to_string()));
    }
    let records: Vec<_> = records.iter().map(|(k, v)| (&k[..], &v[..])).collect();
    let version_0_0 = vec![pax(b'x', &records), file(&name, &stored)];
    assert_eq!(content(open(&version_0_0).unwrap()), blob);
    let version_1_0 = |text: &str, minor: &str| {
        let records = [
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", minor),
            ("GNU.sparse.name", &name),
            ("GNU.sparse.realsize", "30000"),
        ];
        let mut content = text.as_bytes().to_vec();
        content.resize(content.len().next_multiple_of(512), 0);
        content.extend(&stored);
        vec![pax(b'x', &records), file("GNUSparseFile.0/x", content)]
    };
    // bsdtar says where the last hole ends.
    let text = format!("4\n{}\n30000\n0\n", list(&pieces, "\n"));
    assert_eq!(content(open(&version_1_0(&text, "0")).unwrap()), blob);
    let once = version_1_0(&text, "0");
    let twice = [once.clone(), once].concat();
    let documents = vec![file("index.json", INDEX), file("oci-layout", LAYOUT)];
    let outcome = open_members(&[documents, twice].concat());
    assert_eq!(outcome.unwrap_err().id(), "archive-duplicate");
    // What does not hold together, or is of a form that is not known.
    for wrong in [
        version_1_0(&text, "1"),
        version_1_0(&text.replacen('4', "5", 1), "0"),
        version_1_0(&text.replacen('4', "3x", 1), "0"),
        version_1_0("", "0"),
        version_0_1(&map, "20004"),
        version_0_1(&map.replacen("9000", "699", 1), "30000"),
        version_0_1(&map.replacen("700", "701", 1), "30000"),
        version_0_1("0,1217", "1216"),
        version_0_1("9223372036854775807,1217", "30000"),
    ] {
        let refused = open(&wrong).unwrap_err();
        assert_eq!((refused.id(), refused.exit_code()), ("archive-sparse", 1));
    }
    for malformed in [
        version_0_1("0,", "30000"),
        version_0_1("x", "30000"),
        version_0_1(&map, "-1"),
        vec![pax(b'x', &[("GNU.sparse.later", "1")]), file(&name, "")],
        vec![pax(b'g', &[("GNU.sparse.size", "1")]), file(&name, "")],
    ] {
        let outcome = open_members(&[members(), malformed].concat());
        assert_eq!(fault(outcome), SourceFault::ArchiveExtension);
    }
    // Documents are stored whole, and what nobody reads matters not.
    let of = |name: &str| {
        let records = [("GNU.sparse.name", name), ("GNU.sparse.size", "1")];
        vec![pax(b'x', &records), file("x", "")]
    };
    check_image(&archive_image(&[members(), of("other")].concat()));
    let mut indexed = vec![file("oci-layout", LAYOUT)];
    indexed.extend(of("index.json"));
    let dir = Dir::new();
    let refused = image(&dir.write("a", archive(&indexed))).index_json(&Limits::default());
    assert_eq!(fault(refused), SourceFault::ArchiveSparse);
    // Nor is another one's name that of a document to those who know nothing of holes.
    let records = [("GNU.sparse.name", "other"), ("GNU.sparse.size", "1")];
    let alias = vec![pax(b'x', &records), file("index.json", "{}")];
    let outcome = open_members(&[members(), alias].concat());
    assert_eq!(fault(outcome), SourceFault::ArchiveSparse);
    // The holes have a limit.
    let members = [members(), version_0_1(&map, "30000")].concat();
    let path = dir.write("a", archive(&members));
    for (limit, fits) in [(30_000, true), (29_999, false)] {
        let options = SourceOptions {
            archive_size: limit,
            ..SourceOptions::default()
        };
        let Source::Image(image) = Source::open(&path, &options).unwrap() else {
            panic!();
        };
        match image.open_blob(&digest) {
            Ok(opened) => assert!(fits && content(opened) == blob),
            Err(error) => assert!(!fits && error.id() == "archive-size", "{error}"),
        }
    }
}

#[test]
fn blobs_without_their_holes_of_the_tar_programs() {
    let dir = layout();
    let (blob, pieces) = holey();
    // Holes of whole blocks, so that the file system has them.
    let mut blob: Vec<u8> = blob.repeat(20);
    blob.resize(1 << 20, 0);
    let digest = Algorithm::Sha256.digest(&blob);
    let path = dir.path(&format!("blobs/sha256/{}", digest.hex()));
    let sparse = File::create(&path).unwrap();
    sparse.set_len(blob.len() as u64).unwrap();
    for repeat in 0..20 {
        for (offset, piece) in &pieces {
            let at = (repeat * 30_000 + offset) as u64;
            sparse.write_all_at(piece, at).unwrap();
        }
    }
    let mut tried = 0;
    for program in [
        &["bsdtar"][..],
        &["tar", "--sparse", "--format=gnu"],
        &["tar", "--sparse", "--format=posix", "--sparse-version=0.0"],
        &["tar", "--sparse", "--format=posix", "--sparse-version=0.1"],
        &["tar", "--sparse", "--format=posix", "--sparse-version=1.0"],
    ] {
        let archive = dir.0.with_extension("sparse");
        let made = Command::new(program[0])
            .args(&program[1..])
            .arg("-cf")
            .arg(&archive)
            .args(["-C", dir.0.to_str().unwrap(), "."])
            .output();
        let Ok(made) = made else {
            println!("skipped: needs {}", program[0]);
            continue;
        };
        assert!(made.status.success(), "{made:?}");
        // Else it has stored all of it, and nothing is tried.
        tried += usize::from(fs::metadata(&archive).unwrap().len() < 1 << 20);
        let image = image(&archive);
        check_image(&image);
        assert_eq!(
            content(image.open_blob(&digest).unwrap()),
            blob,
            "{program:?}"
        );
        fs::remove_file(&archive).unwrap();
    }
    println!("{tried} of 5 archives are without the holes");
}

/// Compressed as a whole.
fn pack(archive: &[u8], with_zstd: bool) -> Vec<u8> {
    if with_zstd {
        return zstd::encode_all(archive, 3).unwrap();
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(archive).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_archives() {
    let options = SourceOptions::default().decoding(&Sandbox::NONE, &Limits::default());
    let small = SourceOptions {
        archive_size: 3000,
        ..options.clone()
    };
    let whole = archive(&members());
    for with_zstd in [true, false] {
        let packed = pack(&whole, with_zstd);
        match open_both(&packed, &options).unwrap() {
            Source::Image(image) => check_image(&image),
            Source::Blob(blob) => panic!("{blob:?}"),
        }
        // Without a decoder, or when the user says so, it is a blob.
        let blob = SourceOptions {
            blob: true,
            ..options.clone()
        };
        let dir = Dir::new();
        let path = dir.write("a", &packed);
        for options in [&SourceOptions::default(), &blob] {
            let Source::Blob(blob) = Source::open(&path, options).unwrap() else {
                panic!();
            };
            assert_eq!(content(blob), packed);
        }
        // A layer of either form is a blob, as it is.
        let layer = archive(&[file("etc/passwd", "root")]);
        let mut erofs = whole.clone();
        erofs[1024..1028].copy_from_slice(&0xE0F5_E1E2_u32.to_le_bytes());
        for content_of in [&layer, &erofs, &vec![0; 5000], &b"text".to_vec(), &vec![]] {
            let packed = pack(content_of, with_zstd);
            let Source::Blob(blob) = open_both(&packed, &options).unwrap() else {
                panic!();
            };
            assert_eq!(content(blob), packed);
        }
        // What comes out has a limit, however little goes in.
        let mut bomb = members();
        bomb.push(file("zeros", vec![0; 1 << 20]));
        let outcome = open_both(&pack(&archive(&bomb), with_zstd), &small);
        assert_eq!(fault(outcome), SourceFault::ArchiveSize);
        // A corrupt archive says what is corrupt, and a blob is left to who reads it.
        let last = packed.len() - 1;
        let mut torn = packed.clone();
        torn[last] ^= 1;
        for bad in [&packed[..last], &torn] {
            let error = match open_both(bad, &options) {
                Err(error) => error,
                // zstd's own library writes no checksum unless it is asked to.
                Ok(_) if with_zstd => continue,
                Ok(source) => panic!("{source:?}"),
            };
            assert_eq!(error.exit_code(), 1, "{error}");
            assert!(matches!(error, HostError::Refused { .. }), "{error:?}");
        }
        let Source::Blob(_) = open_both(&packed[..20], &options).unwrap() else {
            panic!();
        };
    }
    let docker = archive(&[file("manifest.json", "[]")]);
    let outcome = open_both(&pack(&docker, false), &options);
    assert_eq!(fault(outcome), SourceFault::ArchiveDocker);
    let mut narrow = options.clone();
    narrow.decoding = Some(Decoding {
        sandbox: Sandbox::NONE,
        limits: {
            let mut limits = Limits::default();
            limits.zstd_window = 1 << 10;
            limits
        },
    });
    // The decoder's own limits hold: it is a blob that cannot be decoded.
    let outcome = open_both(&pack(&whole, true), &narrow);
    assert!(matches!(outcome.unwrap(), Source::Blob(_)));
}

#[test]
fn what_is_almost_a_layout_is_told() {
    let mut no_marker = members();
    no_marker.pop();
    assert_eq!(fault(open_members(&no_marker)), SourceFault::LayoutMarker);
    let dir = layout();
    fs::remove_file(dir.0.join("oci-layout")).unwrap();
    let opened = Source::open(&dir.0, &SourceOptions::default());
    assert_eq!(fault(opened), SourceFault::LayoutMarker);
    // An index without any blob is a file of that name.
    let index = open_members(&no_marker[2..]).unwrap();
    assert!(matches!(index, Source::Blob(_)));
    let down: Vec<_> = ["index.json", "oci-layout"]
        .iter()
        .map(|name| file(&format!("./image/{name}"), "{}"))
        .collect();
    let error = open_members(&down).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("a.tar:image: the OCI image layout lies")
    );
    assert_eq!(fault(Err::<(), _>(error)), SourceFault::ArchiveFolder);
    for other in [&down[..1], &down[1..]] {
        assert!(matches!(open_members(other).unwrap(), Source::Blob(_)));
    }
}

#[test]
fn archives_that_readers_differ_on_are_refused() {
    let size = |text: &[u8]| member(b"x", b'0', text, b"");
    let mut torn = file("x", "");
    torn[0] ^= 1;
    let mut sparse = pax(
        b'x',
        &[("GNU.sparse.major", "1"), ("GNU.sparse.name", "index.json")],
    );
    sparse.extend(file("GNUSparseFile.0/index.json", ""));
    let mut old = member(b"x", b'S', b"0", b"");
    old[386] = b'x';
    seal(&mut old);
    let big = vec![b'x'; (1 << 20) + 1];
    let cases: Vec<(Vec<u8>, SourceFault)> = vec![
        (file("index.json", "{}"), SourceFault::ArchiveDuplicate),
        (file("./oci-layout", LAYOUT), SourceFault::ArchiveDuplicate),
        (file("/index.json", "{}"), SourceFault::ArchiveDuplicate),
        (file("a/../index.json", ""), SourceFault::ArchiveName),
        (link(b'1', "x", "../x"), SourceFault::ArchiveName),
        (torn, SourceFault::ArchiveHeader),
        (size(b"777777777777"), SourceFault::ArchiveTruncated),
        (size(b"00000000008"), SourceFault::ArchiveNumber),
        (size(b"-0000000001"), SourceFault::ArchiveNumber),
        (size(&[0xff; 12]), SourceFault::ArchiveNumber),
        (
            size(b"\x80\x01\0\0\0\0\0\0\0\0\0\0"),
            SourceFault::ArchiveNumber,
        ),
        (
            size(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"),
            SourceFault::ArchiveTruncated,
        ),
        (
            member(b"x", b'5', b"00000001000", &[0; 512]),
            SourceFault::ArchivePayload,
        ),
        (
            member(b"x", b'1', b"00000001000", &[0; 512]),
            SourceFault::ArchivePayload,
        ),
        (old, SourceFault::ArchiveSparse),
        // Sparse or not, it is there twice.
        (sparse, SourceFault::ArchiveDuplicate),
        (
            member(b"x", b'x', b"00000000005", b"5 a=b"),
            SourceFault::ArchiveExtension,
        ),
        (
            member(b"x", b'x', b"77777777777", b""),
            SourceFault::ArchiveExtensionSize,
        ),
        (
            member(b"x", b'L', b"00004000001", &big),
            SourceFault::ArchiveExtensionSize,
        ),
        (pax(b'x', &[("path", "a")]), SourceFault::ArchiveExtension),
        (
            [pax(b'x', &[("path", "a")]), pax(b'x', &[]), file("x", "")].concat(),
            SourceFault::ArchiveExtension,
        ),
        (
            [pax(b'x', &[("path", "a"), ("path", "b")]), file("x", "")].concat(),
            SourceFault::ArchiveExtension,
        ),
        (
            [
                pax(b'x', &[("size", "18446744073709551615")]),
                file("x", ""),
            ]
            .concat(),
            SourceFault::ArchiveExtension,
        ),
        (
            [pax(b'x', &[("size", "9223372036854775807")]), file("x", "")].concat(),
            SourceFault::ArchiveTruncated,
        ),
        (
            [
                pax(b'x', &[("path", "a")]),
                member(b"l", b'L', b"00000000001", b"b"),
                file("x", ""),
            ]
            .concat(),
            SourceFault::ArchiveExtension,
        ),
        (
            pax(b'g', &[("path", "index.json")]),
            SourceFault::ArchiveExtension,
        ),
        (
            [vec![0; 512], file("late", "")].concat(),
            SourceFault::ArchiveEnd,
        ),
    ];
    for (number, (case, expected)) in cases.iter().enumerate() {
        let mut members = members();
        members.push(case.clone());
        let outcome = open_members(&members);
        assert_eq!(fault(outcome), *expected, "case {number}");
    }
}

#[test]
fn an_archive_ends_behind_a_whole_member() {
    let whole = archive(&members());
    let end = whole.len() - 1024;
    let content_end = end - 512 + LAYOUT.len();
    for length in (512..content_end)
        .step_by(512)
        .chain([513, 1000, 1537, content_end - 1])
    {
        let cut = &whole[..length];
        match open_both(cut, &SourceOptions::default()) {
            Err(error) => {
                // Cut in a member, or before the last one.
                let known = [SourceFault::ArchiveTruncated, SourceFault::LayoutMarker];
                assert!(known.contains(&fault(Err::<(), _>(error))), "{length}");
            }
            Ok(Source::Blob(blob)) => assert_eq!(content(blob), cut),
            Ok(image) => panic!("{length} {image:?}"),
        }
    }
    // The padding of the last member, the end marker, or half of it may be missing; what follows
    // it is padding.
    for length in [
        content_end,
        content_end + 100,
        end,
        end + 300,
        end + 512,
        end + 1000,
    ] {
        match open_both(&whole[..length], &SourceOptions::default()).unwrap() {
            Source::Image(image) => check_image(&image),
            Source::Blob(blob) => panic!("{length} {blob:?}"),
        }
    }
    let padded = [&whole[..], &[7; 700]].concat();
    assert!(open_both(&padded, &SourceOptions::default()).is_ok());
    let rest = [&whole[..end], &[7; 300]].concat();
    let refused = open_both(&rest, &SourceOptions::default());
    assert_eq!(fault(refused), SourceFault::ArchiveTruncated);
    // A blob that is not there may have been cut off.
    let mut cut = members();
    cut.remove(1);
    let Source::Image(image) = open_both(&cut.concat(), &SourceOptions::default()).unwrap() else {
        panic!();
    };
    let missing = image.open_blob(&digest()).unwrap_err();
    assert_eq!(missing.exit_code(), 3);
    assert!(
        missing.to_string().contains("it may be cut off"),
        "{missing}"
    );
}

#[test]
fn limits_of_archives() {
    let mut many = members();
    many.extend((0..100).map(|number| file(&format!("{number}"), "")));
    let options = SourceOptions {
        archive_members: 103,
        ..SourceOptions::default()
    };
    let error = open_both(&archive(&many), &options).unwrap_err();
    assert_eq!(error.flag(), Some("--max-archive-members"));
    assert!(
        error
            .to_string()
            .contains("expected at most 103 (raise it with")
    );
    assert_eq!(fault(Err::<(), _>(error)), SourceFault::ArchiveMembers);
    let options = SourceOptions {
        archive_members: 104,
        archive_size: 2000,
        ..SourceOptions::default()
    };
    // Only what must be put on disk has a limit.
    let dir = Dir::new();
    let path = dir.write("a", archive(&many));
    assert!(Source::open(&path, &options).is_ok());
    let stream = Box::new(File::open(&path).unwrap());
    let outcome = Source::from_stream(&path, stream, &options);
    assert_eq!(fault(outcome), SourceFault::ArchiveSize);
}

#[test]
fn other_tar_files() {
    let docker = [file("manifest.json", "[]"), file("x/layer.tar", "")];
    assert_eq!(fault(open_members(&docker)), SourceFault::ArchiveDocker);
    // Newer docker writes both, which is an OCI archive.
    let mut both = members();
    both.push(file("manifest.json", "[]"));
    check_image(&archive_image(&both));
    // A layer of the tar form is a blob, whole, from a pipe too.
    let layer = archive(&[file("etc/passwd", "root")]);
    let Source::Blob(blob) = open_both(&layer, &SourceOptions::default()).unwrap() else {
        panic!();
    };
    assert_eq!(content(blob), layer);
    // So is anything that the user says is one.
    let options = SourceOptions {
        blob: true,
        ..SourceOptions::default()
    };
    let dir = Dir::new();
    let whole = archive(&members());
    let path = dir.write("a", &whole);
    let Source::Blob(blob) = Source::open(&path, &options).unwrap() else {
        panic!();
    };
    assert_eq!(content(blob), whole);
}

#[test]
fn an_erofs_image_that_begins_like_an_archive_is_a_blob() {
    let mut polyglot = archive(&members());
    polyglot[1024..1028].copy_from_slice(&0xE0F5_E1E2_u32.to_le_bytes());
    let Source::Blob(blob) = open_both(&polyglot, &SourceOptions::default()).unwrap() else {
        panic!();
    };
    assert_eq!(content(blob), polyglot);
}

#[test]
fn single_blobs() {
    let dir = Dir::new();
    for length in [0, 1, 511, 512, 1027, 1028, 5000] {
        for byte in [0, 0x5a] {
            let bytes = vec![byte; length];
            let path = dir.write("a", &bytes);
            let reader = blob(&path);
            assert_eq!(reader.length(), Some(length as u64));
            assert_eq!(reader.place(), path);
            assert_eq!(content(reader), bytes);
            // What is before the position of an open file is no part of it.
            let mut file = File::open(&path).unwrap();
            file.seek(std::io::SeekFrom::Start(length as u64 / 2))
                .unwrap();
            let source = Source::from_file(&path, file, &SourceOptions::default()).unwrap();
            let Source::Blob(reader) = source else {
                panic!();
            };
            assert_eq!(content(reader), &bytes[length / 2..]);
            let stream = Box::new(Cursor::new(bytes.clone()));
            let source = Source::from_stream(&path, stream, &SourceOptions::default()).unwrap();
            let Source::Blob(reader) = source else {
                panic!();
            };
            assert_eq!((reader.length(), reader.file().is_none()), (None, true));
            assert_eq!(content(reader), bytes);
        }
    }
}

#[test]
fn a_pipe_is_read_as_it_comes() {
    for bytes in [archive(&members()), BLOB.to_vec()] {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let sent = bytes.clone();
        let thread = std::thread::spawn(move || {
            for piece in sent.chunks(300) {
                writer.write_all(piece).unwrap();
            }
        });
        let file = File::from(std::os::fd::OwnedFd::from(reader));
        let source = Source::from_file(Path::new("-"), file, &SourceOptions::default()).unwrap();
        match source {
            Source::Image(image) => {
                check_image(&image);
                assert!(
                    image
                        .blob_place(&digest())
                        .to_str()
                        .unwrap()
                        .starts_with("-:blobs/sha256/")
                );
            }
            Source::Blob(blob) => assert_eq!(content(blob), BLOB),
        }
        thread.join().unwrap();
    }
}

#[test]
fn digests_cannot_lead_elsewhere() {
    for text in [
        "sha256:../../../etc/passwd",
        "../x:00",
        "sha256:",
        "sha256/..:00",
    ] {
        assert!(Digest::parse(text).is_err(), "{text}");
    }
}

#[test]
fn damaged_archives_never_panic_or_leave_their_bounds() {
    let mut archive = archive(
        &[
            vec![pax(b'g', &[("comment", "c")])],
            members(),
            vec![
                pax(b'x', &[("path", "a"), ("size", "21")]),
                file("x", BLOB),
                member(b"long", b'L', b"00000000002", b"b\0"),
                link(b'1', "x", "index.json"),
            ],
        ]
        .concat(),
    );
    let whole = archive.clone();
    let dir = Dir::new();
    let path = dir.0.join("a.tar");
    let mut state = 1_u64;
    let mut next = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut opened = 0;
    for _ in 0..5000 {
        archive.clone_from(&whole);
        for _ in 0..=next(3) {
            let header = next(archive.len() / 512) * 512;
            // Half of the changes get a right checksum, so that they are looked at.
            let offset = match next(3) {
                0 => next(512),
                1 => 124 + next(12),
                _ => 156,
            };
            archive[header + offset] = next(256) as u8;
            if next(2) == 0 {
                seal(&mut archive[header..header + 512]);
            }
        }
        fs::write(&path, &archive).unwrap();
        match Source::open(&path, &SourceOptions::default()) {
            Ok(Source::Image(image)) => {
                opened += 1;
                let _ = image.layout_json(&Limits::default());
                let _ = image.index_json(&Limits::default());
                if let Ok(blob) = image.open_blob(&digest()) {
                    let length = blob.length().unwrap();
                    assert!(length <= archive.len() as u64);
                    assert_eq!(content(blob).len() as u64, length);
                }
            }
            Ok(Source::Blob(_)) => {}
            Err(error) => assert_eq!(error.exit_code(), 1, "{error}"),
        }
    }
    assert!(opened > 0);
}
