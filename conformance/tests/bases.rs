//! The bases come out of their programs again, byte for byte.

#![allow(clippy::std_instead_of_core, reason = "this is a test")]

use std::path::Path;
use std::process::Command;

use erofs_unpack_conformance::generate::bases::{self, Bases, GZIP, IMAGES, MKFS, ZSTD};

/// Says on the first lines of its version whether a program is the one that the bases were made
/// with. Others may write other bytes.
fn is_there(program: &str, version: &str) -> bool {
    let number = version.rsplit(' ').next().unwrap_or(version);
    let said = Command::new(program).arg("--version").output();
    let found = said.is_ok_and(|said| {
        let text = [said.stdout, said.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let mut words = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
        words.any(|word| word == number)
    });
    if !found {
        println!("skipped: needs {version}");
    }
    found
}

#[test]
fn every_base_is_made_again_as_it_is() {
    if ![("mkfs.erofs", MKFS), ("zstd", ZSTD), ("gzip", GZIP)]
        .into_iter()
        .all(|(program, version)| is_there(program, version))
    {
        return;
    }
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors");
    let stored = Bases::read(&vectors).unwrap();
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bases-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut made = 0;
    for image in &IMAGES {
        for (name, bytes) in image.make(&folder).unwrap() {
            assert!(bytes == stored.get(&name), "{name} is another");
            made += 1;
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(made, bases::DIGESTS.len());
}
