//! What the processor does beside deciding: pipes that close, kills, payloads, names, memory.

use std::fs;
use std::time::{Duration, Instant};

use crate::common::{Dir, gzip, image, noise, one_line, program, run_with, zstd};
use crate::processor::{Processor, command, mimicked, with_payload};

/// A tar archive of one file.
fn tar(size: usize) -> Vec<u8> {
    let mut header = [0; 512];
    header[0] = b'x';
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = header.to_vec();
    tar.extend(noise(7, size));
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}

fn start(dir: &Dir, suffix: &str, blob: Vec<u8>) -> Processor {
    Processor::start(&mut command(&dir.0, &[]), &mimicked(suffix), blob)
}

/// Waits until a thing is so.
fn until(mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn tar_and_erofs_come_through_under_one_type() {
    let dir = Dir::new();
    for content in [image(1, 300), tar(3 << 20), vec![0; 1024]] {
        start(&dir, "+zstd", zstd(&content)).whole().gave(&content);
        start(&dir, "+gzip", gzip(&content)).whole().gave(&content);
        start(&dir, "", content.clone()).whole().gave(&content);
        // Without a type the content says it.
        for blob in [zstd(&content), gzip(&content), content.clone()] {
            let run = run_with(program().arg("stream"), &blob);
            assert_eq!((run.code(), run.stderr.as_str()), (0, ""));
            assert!(run.stdout == content);
        }
    }
    assert_eq!(dir.names(), [""; 0]);
}

#[test]
fn a_polyglot_is_an_image_and_checked_as_one() {
    let dir = Dir::new();
    let mut polyglot = image(2, 8);
    polyglot[..512].copy_from_slice(&tar(0)[..512]);
    start(&dir, "+zstd", zstd(&polyglot))
        .whole()
        .gave(&polyglot);
    // The root is no directory any more.
    polyglot[1152 + 5] = 0x81;
    start(&dir, "+zstd", zstd(&polyglot)).whole().refused(1);
}

#[test]
fn an_image_is_refused_for_what_is_in_its_last_byte() {
    let dir = Dir::new();
    let mut blob = zstd(&image(3, 2000));
    let last = blob.len() - 1;
    blob[last] ^= 1;
    let processed = start(&dir, "+zstd", blob.clone()).whole();
    assert!(processed.refused(1).contains("checksum"));
    blob.truncate(last - 4000);
    start(&dir, "+zstd", blob).whole().refused(1);
    let mut long = image(3, 2000);
    long.push(0);
    start(&dir, "+zstd", zstd(&long)).whole().refused(1);
    assert_eq!(dir.names(), [""; 0]);
}

#[test]
fn a_type_that_does_not_fit_is_refused() {
    let dir = Dir::new();
    let of = |media_type: &str, blob: Vec<u8>| {
        Processor::start(&mut command(&dir.0, &[]), media_type, blob).whole()
    };
    of(&mimicked("+zstd"), gzip(&image(4, 8))).refused(1);
    of(&mimicked("+zstd"), image(4, 8)).refused(1);
    let line = of("application/vnd.erofs+zstd", zstd(&tar(100)));
    assert!(line.refused(1).contains("tar"));
    let line = of(&mimicked("+zstd+encrypted"), zstd(&tar(100)));
    assert!(line.refused(1).contains("STREAM_PROCESSOR_MEDIATYPE"));
    of("text/plain", tar(100)).refused(1);
    of("no type", tar(100)).refused(2);
}

#[test]
fn of_a_tar_type_the_content_counts() {
    let dir = Dir::new();
    let archive = tar(3000);
    // As containerd's own decoder has it, whatever the suffix says.
    for suffix in ["+zstd", "+gzip", ""] {
        for blob in [zstd(&archive), gzip(&archive), archive.clone()] {
            start(&dir, suffix, blob).whole().gave(&archive);
        }
        // A layer of no bytes is an empty archive.
        for blob in [zstd(b""), gzip(b""), Vec::new()] {
            start(&dir, suffix, blob).whole().gave(b"");
        }
        start(&dir, suffix, vec![0; 1024]).whole().gave(&[0; 1024]);
    }
    // An image is what its suffix says, and none comes by another way.
    let image = image(4, 8);
    let refused = |suffix, blob| start(&dir, suffix, blob).whole().refused(1).to_owned();
    for (suffix, blob, found) in [
        ("+zstd", gzip(&image), "gzip"),
        ("+gzip", zstd(&image), "zstd"),
        ("+zstd", gzip(&image[..2000]), "gzip"),
        ("+zstd", gzip(&noise(1, 3000)), "gzip"),
    ] {
        let line = refused(suffix, blob);
        assert!(line.contains(&format!("found {found}, ")), "{line}");
    }
    for suffix in ["+zstd", "+gzip"] {
        let line = refused(suffix, image.clone());
        assert!(line.contains("is a plain EROFS image"), "{line}");
    }
    // Nothing is no image, and where nothing is stated it is no archive either.
    let erofs = |suffix: &str, blob| {
        let media_type = format!("application/vnd.erofs{suffix}");
        Processor::start(&mut command(&dir.0, &[]), &media_type, blob).whole()
    };
    erofs("", Vec::new()).refused(1);
    erofs("+zstd", zstd(b"")).refused(1);
    erofs("+zstd", gzip(&archive)).refused(1);
    assert_eq!(run_with(program().arg("stream"), b"").code(), 1);
    assert_eq!(dir.names(), [""; 0]);
}

#[test]
fn a_payload_is_left_alone() {
    let dir = Dir::new();
    let content = image(5, 50);
    // More than a pipe holds, so that whoever feeds it waits for us.
    for (name, size) in [("small", 10), ("large", 1 << 20)] {
        let plain = command(&dir.0, &[]);
        let mut command = with_payload(&plain, &dir.path(name), noise(1, size));
        Processor::start(&mut command, &mimicked("+zstd"), zstd(&content))
            .whole()
            .gave(&content);
    }
}

#[test]
fn an_early_close_ends_it() {
    let dir = Dir::new();
    // A tar archive that nobody reads to its end.
    let mut processor = start(&dir, "+zstd", zstd(&tar(8 << 20)));
    let mut read = Vec::new();
    assert!(!processor.read(100_000, &mut read));
    processor.close();
    let processed = processor.wait();
    assert_eq!(processed.code(), 3);
    assert!(one_line(&processed.stderr).starts_with("stdout: "));
    // An image that nobody waits for.
    for bytes in [0, 100_000] {
        let mut processor = start(&dir, "+zstd", zstd(&image(6, 4000)));
        if bytes > 0 {
            assert!(!processor.read(bytes, &mut Vec::new()));
        }
        processor.close();
        let processed = processor.wait();
        assert_eq!(processed.code(), 3);
        assert!(one_line(&processed.stderr).starts_with("stdout: "));
    }
    assert_eq!(dir.names(), [""; 0]);
}

#[test]
fn a_kill_leaves_nothing() {
    use std::os::unix::process::ExitStatusExt as _;
    let dir = Dir::new();
    let mut processor = start(&dir, "+zstd", zstd(&image(7, 20_000)));
    // While it waits for us to read, the image lies in its file without a name.
    let fds = format!("/proc/{}/fd", processor.id());
    until(|| {
        fs::read_dir(&fds).unwrap().any(|fd| {
            let path = fs::read_link(fd.unwrap().path()).unwrap_or_default();
            path.starts_with(&dir.0)
        })
    });
    assert_eq!(dir.names(), [""; 0]);
    processor.kill();
    assert_eq!(processor.wait().status.signal(), Some(9));
    assert_eq!(dir.names(), [""; 0]);
}

#[test]
fn no_byte_comes_before_the_last_was_read() {
    use std::io::{Read as _, Write as _};
    let dir = Dir::new();
    let content = image(8, 1000);
    let blob = zstd(&content);
    let mut child = command(&dir.0, &[])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (start, end) = blob.split_at(blob.len() - 1);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(start).unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut first = [0; 1];
        stdout.read_exact(&mut first).unwrap();
        send.send(()).unwrap();
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).unwrap();
        rest.len() + 1
    });
    let early = receive.recv_timeout(Duration::from_millis(500));
    assert!(early.is_err());
    stdin.write_all(end).unwrap();
    drop(stdin);
    assert_eq!(reader.join().unwrap(), content.len());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_spool_that_cannot_be_used_is_named_and_tar_does_not_need_it() {
    let dir = Dir::new();
    let absent = dir.path("absent");
    let run = |blob: &[u8]| {
        let mut command = command(&absent, &[]);
        Processor::start(&mut command, &mimicked(""), blob.to_vec()).whole()
    };
    let processed = run(&image(9, 8));
    assert!(processed.refused(3).contains("absent: cannot "));
    let archive = tar(100_000);
    run(&archive).gave(&archive);
}

#[test]
fn the_spool_is_tmpdir_where_nothing_is_said() {
    let dir = Dir::new();
    let blob = image(10, 8);
    let run = |value: &str| run_with(program().arg("stream").env("TMPDIR", value), &blob);
    let absent = run(dir.path("absent").to_str().unwrap());
    assert!(absent.line(3).contains("absent: "));
    assert_eq!(run("").code(), 0);
}

#[test]
fn what_came_through_is_said_when_asked() {
    let blob = zstd(&image(11, 8));
    let run = run_with(program().args(["stream", "-v"]), &blob);
    let (confined, said) = run.stderr.split_once('\n').unwrap();
    assert!(
        confined.starts_with("erofs-unpack: confinement: "),
        "{confined}"
    );
    assert_eq!(
        (run.code(), one_line(said)),
        (0, "stdin: EROFS image, checked: 32768 bytes from zstd")
    );
}

#[test]
fn the_configuration_for_containerd_calls_it_rightly() {
    let config = include_str!("../../integrations/containerd/config.toml");
    let value = |key: &str| {
        let line = config.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.strip_prefix(" = ")).unwrap()
    };
    // An array of strings is the same in JSON.
    let accepts: Vec<String> = serde_json::from_str(value("accepts")).unwrap();
    assert_eq!(accepts, [mimicked("+zstd")]);
    assert_eq!(value("returns"), format!("\"{}\"", mimicked("")));
}
