//! Memory is bounded by metadata, never by content.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use crate::args;
use crate::common::{Dir, content, program};
use crate::seen::{Text, of_image};
use crate::support::build_tar;
use crate::tar::{Head, Holes, Tar};

/// The most memory that a process has had so far, in bytes.
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() << 10
}

#[test]
fn a_stream_of_content_takes_no_memory() {
    /// Decoded, in bytes.
    const SIZE: u64 = 600 << 20;
    let dir = Dir::new();
    let image = dir.path("image");
    let mut child = program()
        .args(args!["build", "-", "-o", image, "-q", "--no-read-back"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut tar = Tar::default();
    tar.add(&Head::folder("./"), b"");
    tar.add(&Head::file("zeros"), b"");
    // The size of the last member, told before it comes.
    let header = tar.0.len() - 512;
    let size = format!("{SIZE:011o}\0");
    tar.0[header + 124..][..12].copy_from_slice(size.as_bytes());
    let mut block: [u8; 512] = tar.0[header..].try_into().unwrap();
    crate::tar::seal(&mut block);
    tar.0[header..].copy_from_slice(&block);
    stdin.write_all(&tar.0).unwrap();
    let piece = vec![0; 1 << 20];
    for _ in 0..SIZE >> 20 {
        stdin.write_all(&piece).unwrap();
    }
    // All but what is in the pipe has been read, and nothing was freed yet.
    let peak = peak(child.id());
    stdin.write_all(&[0; 1024]).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::metadata(&image).unwrap().len() >> 20, SIZE >> 20);
    assert!(peak < 48 << 20, "{} MiB", peak >> 20);
}

#[test]
fn holes_take_neither_memory_nor_room() {
    let dir = Dir::new();
    let mut tar = Tar::default();
    tar.add(&Head::folder("./"), b"");
    let size = 3 << 30;
    let pieces = [(0, b"start".to_vec()), (size - 5, b"end..".to_vec())];
    for how in [Holes::Old, Holes::Pax00, Holes::Pax01, Holes::Pax10] {
        tar.sparse(&Head::file(format!("{how:?}")), size, &pieces, how);
    }
    let source = dir.write("made.tar", tar.ended());
    let image = dir.path("image");
    let run = crate::common::run(args!["build", source, "-o", image, "--json"]);
    run.done();
    let report = run.json();
    assert_eq!(report["image"]["filesReadBack"], 4);
    assert!(content(&image).len() < 4 << 20, "{report}");
    crate::support::passes(&image);
}

#[test]
fn what_was_replaced_leaves_no_byte() {
    let dir = Dir::new();
    let secret = b"no longer here ".repeat(1000);
    let mut tar = Tar::default();
    tar.add(&Head::folder("./"), b"");
    tar.add(&Head::file("first"), &[b'1'; 9000]);
    for options in [&[][..], &["--inline-data"]] {
        let mut tar = tar.clone();
        tar.pax(&[("SCHILY.xattr.user.secret", &secret[..200])]);
        tar.add(&Head::file("file"), &secret);
        tar.add(&Head::symlink("link", &secret[..90]), b"");
        tar.add(&Head::file("between"), &[b'2'; 30_000]);
        tar.add(&Head::folder("file"), b"");
        tar.add(&Head::file("link"), b"kept");
        let (image, _) = build_tar(&dir, &tar.ended(), options);
        let bytes = content(&image);
        let found = bytes.windows(14).any(|window| window == b"no longer here");
        assert!(!found, "{options:?}");
        let tree = of_image(&image);
        assert_eq!(tree[&Text::from("between")].size, 30_000);
        assert_eq!(tree[&Text::from("file")].mode, 0o4_0755);
    }
}
