//! stdout as a regular file: shared, copied, appended to, full.

use std::fs::{self, File, OpenOptions};
use std::io::Seek as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;

use crate::common::{Dir, Indexed, Mounted, SHA256, image, one_line, tar_member, zstd};
use crate::processor::command;

/// Runs it over files.
fn to_file(dir: &Dir, blob: &[u8], out: File) -> (i32, String) {
    let blob = File::open(dir.write("blob", blob)).unwrap();
    let output = command(&dir.0, &[])
        .stdin(blob)
        .stdout(out)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), said)
}

#[test]
fn a_file_gets_the_image_with_its_holes() {
    let dir = Dir::new();
    let mut content = image(1, 3000);
    content[1 << 20..10 << 20].fill(0);
    for blob in [zstd(&content), content.clone()] {
        let out = File::create(dir.path("out")).unwrap();
        let mut position = out.try_clone().unwrap();
        assert_eq!(to_file(&dir, &blob, out), (0, String::new()));
        assert!(fs::read(dir.path("out")).unwrap() == content);
        let blocks = fs::metadata(dir.path("out")).unwrap().blocks();
        assert!(blocks * 512 < 8 << 20, "{blocks}");
        // Whoever writes next, as in `(stream; date) > out`, goes on behind it.
        assert_eq!(position.stream_position().unwrap(), content.len() as u64);
    }
}

#[test]
fn chunks_that_a_file_tells_of_change_nothing() {
    let dir = Dir::new();
    let content = image(4, 300);
    let indexed = Indexed::new(&content, 64 << 10, SHA256);
    // The index has another checksum: nobody vouches for it, and nothing is wrong with the layer.
    let mut lying = Indexed::new(&content, 64 << 10, SHA256);
    *lying.index.last_mut().unwrap() ^= 1;
    let frames: Vec<u8> = content.chunks(100_000).flat_map(zstd).collect();
    for blob in [indexed.embedded().blob, lying.embedded().blob, frames] {
        let out = File::create(dir.path("out")).unwrap();
        assert_eq!(to_file(&dir, &blob, out), (0, String::new()));
        assert!(fs::read(dir.path("out")).unwrap() == content);
    }
    // What is wrong is said as of any layer.
    let mut damaged = indexed.embedded().blob;
    let last = indexed.starts[18];
    damaged[last + 9] ^= 0xFF;
    let out = File::create(dir.path("out")).unwrap();
    let (code, said) = to_file(&dir, &damaged, out);
    assert_eq!(code, 1, "{said}");
    assert!(one_line(&said).contains("zstd"), "{said}");
    assert_eq!(fs::metadata(dir.path("out")).unwrap().len(), 0);
    // An archive passes through as ever.
    let mut archive = tar_member("file", &content);
    archive.extend([0; 1024]);
    let frames: Vec<u8> = archive.chunks(100_000).flat_map(zstd).collect();
    let out = File::create(dir.path("out")).unwrap();
    assert_eq!(to_file(&dir, &frames, out), (0, String::new()));
    assert!(fs::read(dir.path("out")).unwrap() == archive);
}

#[test]
fn a_file_with_content_keeps_it() {
    let dir = Dir::new();
    let content = image(2, 300);
    dir.write("out", b"before");
    let out = OpenOptions::new()
        .append(true)
        .open(dir.path("out"))
        .unwrap();
    assert_eq!(to_file(&dir, &zstd(&content), out).0, 0);
    assert!(fs::read(dir.path("out")).unwrap() == [b"before", content.as_slice()].concat());
}

#[test]
fn a_refused_image_leaves_a_file_empty() {
    let dir = Dir::new();
    let mut content = image(3, 300);
    content[1152 + 5] = 0x81;
    let out = File::create(dir.path("out")).unwrap();
    let (code, said) = to_file(&dir, &zstd(&content), out);
    assert_eq!(code, 1);
    one_line(&said);
    assert_eq!(fs::metadata(dir.path("out")).unwrap().len(), 0);
}

#[test]
fn a_full_file_system_is_said() {
    let Some(small) = Mounted::tmpfs("1m") else {
        println!("skipped: needs root");
        return;
    };
    let dir = Dir::new();
    let blob = zstd(&image(4, 1000));
    let out = File::create(small.0.path("out")).unwrap();
    let (code, said) = to_file(&dir, &blob, out);
    assert_eq!(code, 3);
    assert!(
        one_line(&said).starts_with("stdout: cannot write"),
        "{said}"
    );
    // The same for the spool.
    let output = command(&small.0.0, &[])
        .stdin(File::open(dir.path("blob")).unwrap())
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(one_line(&said).contains("write a temporary file"), "{said}");
}
