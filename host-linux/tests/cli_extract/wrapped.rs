//! The blob of a layer is verified whole before anything is extracted.

use std::fs;
use std::process::Command;

use super::support::{Dir, assert_same, extract_to, extract_with, has, image, list, said};

#[test]
fn a_wrapped_layer_is_as_good_as_its_image() {
    if !has("mkfs.erofs") || !has("zstd") || !has("gzip") {
        return;
    }
    let dir = Dir::new();
    fs::create_dir_all(dir.join("tree/sub")).unwrap();
    fs::write(dir.join("tree/sub/file"), "content").unwrap();
    let image = image(&dir.join("tree"), dir.join("image"), &[]);
    extract_to(&image, &dir.join("plain"), &["--as-user"]);
    let expected = list(&dir.join("plain"));
    for (tool, suffix) in [("zstd", "zst"), ("gzip", "gz")] {
        let blob = dir.join(format!("image.{suffix}"));
        let output = Command::new(tool).arg("-kc").arg(&image).output().unwrap();
        fs::write(&blob, &output.stdout).unwrap();
        extract_to(&blob, &dir.join(tool), &["--as-user"]);
        assert_same(&list(&dir.join(tool)), &expected);

        // The checksum at its end is wrong.
        let mut bytes = output.stdout;
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&blob, bytes).unwrap();
        let to = dir.join(format!("{tool}-bad"));
        let output = extract_with(&blob, &to, &["--as-user"]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(!to.exists());
    }
}

#[test]
fn a_digest_is_verified_first() {
    if !has("mkfs.erofs") {
        return;
    }
    let dir = Dir::new();
    fs::create_dir(dir.join("tree")).unwrap();
    fs::write(dir.join("tree/file"), "content").unwrap();
    let image = image(&dir.join("tree"), dir.join("image"), &[]);
    let digest = format!("--digest=sha256:{}", "0".repeat(64));
    let to = dir.join("to");
    let output = extract_with(&image, &to, &["--as-user", &digest]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("digest"), "{}", said(&output));
    assert!(!to.exists());
}
