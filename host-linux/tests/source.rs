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
use erofs_unpack_ops::HostError;
use erofs_unpack_ops::source::{BlobReader, ImageSource, Source, SourceFault, SourceOptions};

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
            SourceFault::ArchiveMember,
        ),
        (
            link(b'2', &other_name, "/etc/passwd"),
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
fn archives_that_readers_differ_on_are_refused() {
    let size = |text: &[u8]| member(b"x", b'0', text, b"");
    let mut torn = file("x", "");
    torn[0] ^= 1;
    let mut sparse = pax(
        b'x',
        &[("GNU.sparse.major", "1"), ("GNU.sparse.name", "index.json")],
    );
    sparse.extend(file("GNUSparseFile.0/index.json", ""));
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
        (member(b"x", b'S', b"0", b""), SourceFault::ArchiveSparse),
        (sparse, SourceFault::ArchiveSparse),
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
fn an_archive_cut_at_any_block_is_refused() {
    let whole = archive(&members());
    let end = whole.len() - 512;
    for length in (512..end).step_by(512).chain([513, 1000, 1537, end - 1]) {
        let outcome = open_both(&whole[..length], &SourceOptions::default());
        assert_eq!(fault(outcome), SourceFault::ArchiveTruncated, "{length}");
    }
    // One block of zeros ends it as well; what follows two of them is padding.
    assert!(open_both(&whole[..end], &SourceOptions::default()).is_ok());
    let padded = [&whole[..], &[7; 700]].concat();
    assert!(open_both(&padded, &SourceOptions::default()).is_ok());
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
