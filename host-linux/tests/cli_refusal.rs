//! Bad input: one clear line, exit 1, nothing under the final name, nothing on stdout.

mod common;

use std::fs;
use std::process::Command;

use common::*;
use serde_json::json;

/// Tries a bad blob from a file and from a pipe, into a file, over one with `--force`, to
/// stdout, and only verified. Each run must say the same: the line without its source.
fn refuse_blob(blob: &[u8], flags: &[&str]) -> String {
    let dir = Dir::new();
    let source = dir.write("source", blob);
    let old = dir.write("old", "precious");
    let outputs = [
        args!["-o", dir.path("new")],
        args!["-o", old, "--force"],
        args!["-o", "-"],
        args!["--verify-only"],
    ];
    let mut lines = Vec::new();
    for output in outputs {
        for from_pipe in [false, true] {
            let mut command = program();
            command.arg("unpack").args(flags).args(&output);
            let (run, place) = if from_pipe {
                (run_with(command.arg("-"), blob), "-".to_owned())
            } else {
                let place = source.display().to_string();
                (run_with(command.arg(&source), b""), place)
            };
            let line = run.line(1);
            let rest = line
                .strip_prefix(&format!("{place}: "))
                .unwrap_or_else(|| panic!("{line}"));
            lines.push(rest.to_owned());
        }
    }
    assert_eq!(dir.names(), ["old", "source"]);
    assert_eq!(content(&old), b"precious");
    lines.dedup();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines.remove(0)
}

#[test]
fn blobs_that_are_not_what_they_should_be() {
    let good = image(1, 40);
    let packed = zstd(&good);
    let zipped = gzip(&good);
    let cut = |bytes: &[u8], by: usize| bytes[..bytes.len() - by].to_vec();
    let with = |bytes: &[u8], place: usize, byte: u8| {
        let mut bytes = bytes.to_vec();
        bytes[place] ^= byte;
        bytes
    };
    let tar = [tar_member("etc/passwd", b"x"), vec![0; 1024]].concat();
    let mut trailing = good.clone();
    trailing.push(1);
    let last = packed.len() - 1;
    let crc = zipped.len() - 8;
    let cases: &[(&str, Vec<u8>, &[&str], &str)] = &[
        ("nothing", vec![], &[], "image: is empty"),
        ("zeros", vec![0; 4096], &[], "image: has zeros at the start"),
        ("noise", noise(3, 9000), &[], "superblock: "),
        ("text", b"hello\n".to_vec(), &[], "superblock: "),
        (
            "tar",
            tar.clone(),
            &["--media-type", EROFS],
            "image: is a tar archive",
        ),
        ("tar in zstd", zstd(&tar), &[], "image: is a tar archive"),
        (
            "plain as zstd",
            good.clone(),
            &["--media-type", EROFS_ZSTD],
            "blob: is a plain EROFS image",
        ),
        (
            "plain as gzip",
            good.clone(),
            &["--media-type", EROFS_GZIP],
            "blob: is a plain EROFS image",
        ),
        (
            "squashfs",
            [b"hsqs".as_slice(), &noise(4, 5000)].concat(),
            &[],
            "image: is of another format, not an EROFS image",
        ),
        ("zstd in zstd", zstd(&packed), &[], "image: is compressed"),
        ("zstd in gzip", gzip(&packed), &[], "image: is compressed"),
        ("cut image", cut(&good, 1), &[], "image: "),
        ("long image", trailing.clone(), &[], "image: "),
        (
            "cut zstd",
            cut(&packed, 1),
            &[],
            "zstd frame: the input ends inside it",
        ),
        (
            "cut gzip",
            cut(&zipped, 1),
            &[],
            "gzip member: the input ends inside it",
        ),
        (
            "zstd checksum",
            with(&packed, last, 1),
            &[],
            "zstd frame: the content does not have the stated checksum",
        ),
        (
            "gzip checksum",
            with(&zipped, crc, 1),
            &[],
            "gzip trailer: the content does not have the stated CRC-32",
        ),
        (
            "gzip size",
            with(&zipped, crc + 4, 1),
            &[],
            "gzip trailer: the content does not have the stated size",
        ),
        (
            "after zstd",
            [packed.clone(), b"x".to_vec()].concat(),
            &[],
            "zstd stream: ",
        ),
        (
            "after gzip",
            [zipped.clone(), b"x".to_vec()].concat(),
            &[],
            "gzip stream: bytes follow the last member",
        ),
        (
            "gzip as zstd",
            zipped.clone(),
            &["--media-type", EROFS_ZSTD],
            "zstd stream: ",
        ),
        (
            "zstd as gzip",
            packed.clone(),
            &["--media-type", EROFS_GZIP],
            "gzip member: ",
        ),
        (
            "zstd as plain",
            packed.clone(),
            &["--media-type", EROFS],
            "image: is compressed",
        ),
        (
            "bad feature",
            with(&good, 1024 + 83, 0x40),
            &[],
            "superblock: ",
        ),
        (
            "bad block size",
            with(&good, 1024 + 12, 0xf0),
            &[],
            "superblock: ",
        ),
        ("bad magic", with(&good, 1024, 1), &[], "superblock: "),
        (
            "too many inodes",
            with(&good, 1024 + 23, 0x40),
            &[],
            "superblock: ",
        ),
    ];
    for (name, blob, flags, start) in cases {
        let line = refuse_blob(blob, flags);
        assert!(line.starts_with(start), "{name}: {line}");
    }
}

#[test]
fn digests_that_are_others() {
    let good = image(1, 40);
    let packed = zstd(&good);
    let other = sha256(b"another");
    let wide = sha512(b"another");
    let (digest, diff_id) = (sha256(&packed), sha256(&good));
    for (blob, flag, found, expected) in [
        (&good, "--digest", &diff_id, &other),
        (&good, "--diff-id", &diff_id, &other),
        (&good, "--digest", &sha512(&good), &wide),
        (&packed, "--digest", &digest, &other),
        (&packed, "--diff-id", &diff_id, &other),
        (&packed, "--diff-id", &sha512(&good), &wide),
    ] {
        let line = refuse_blob(blob, &[flag, expected]);
        let end = format!(": found {found}, expected {expected}");
        assert!(line.ends_with(&end), "{line}");
        let what = if flag == "--digest" { "blob" } else { "diffID" };
        assert!(line.contains(what), "{line}");
    }
}

#[test]
fn limits_name_the_flag_that_raises_them() {
    let good = image(1, 40);
    let packed = zstd(&good);
    let two = [packed.clone(), packed.clone()].concat();
    let skippable = [
        &[0x50, 0x2a, 0x4d, 0x18, 100, 0, 0, 0][..],
        &[0; 100],
        &packed,
    ]
    .concat();
    let cases: &[(&[u8], &[&str])] = &[
        (&good, &["--max-image-size", "100KiB"]),
        (&packed, &["--max-image-size", "163839"]),
        (&packed, &["--max-window", "1KiB"]),
        (&two, &["--max-frames", "1"]),
        (&skippable, &["--max-skippable-size", "99"]),
    ];
    for (blob, flags) in cases {
        let line = refuse_blob(blob, flags);
        assert!(
            line.ends_with(&format!(" (raise it with {})", flags[0])),
            "{line}"
        );
        assert!(line.contains("expected at most "), "{line}");
    }
    let dir = Dir::new();
    let source = dir.write("source", &packed);
    // The size of a file is known before it is read, that of a stream is not.
    let small = ["unpack", "--verify-only", "--max-blob-size", "4KiB"];
    let by_name = run_with(program().args(small).arg(&source), b"");
    let by_pipe = run_with(program().args(small).arg("-"), &packed);
    for refused in [by_name, by_pipe] {
        let end = "expected at most 4096 (raise it with --max-blob-size)";
        assert!(refused.line(1).ends_with(end), "{}", refused.stderr);
    }
    let ratio = run(args![
        "unpack",
        source,
        "--verify-only",
        "--max-expansion",
        "1"
    ]);
    assert!(ratio.line(1).ends_with(" (raise it with --max-expansion)"));
    // A limit that cannot be kept is not passed over.
    let pipe = ["unpack", "-", "--verify-only", "--max-expansion", "1"];
    let refused = run_with(program().args(pipe), &packed);
    assert_eq!(
        refused.line(2),
        "--max-expansion: the size of a stream is not known before its end: expected a file"
    );

    let mut layout = Layout::new(dir.path("layout"));
    let entry = layout.image(&three_layers());
    let inner = layout.document(INDEX, &index(&[entry]));
    layout.add_entry(inner, json!({}));
    for (flag, limit) in [
        ("--max-json-size", "100"),
        ("--max-json-members", "2"),
        ("--max-json-depth", "1"),
        ("--max-index-depth", "1"),
        ("--max-layers", "2"),
        ("--max-blob-size", "4095"),
    ] {
        let run = run(args![
            "unpack",
            layout.path,
            "-j1",
            "-o",
            dir.path("out"),
            flag,
            limit
        ]);
        let line = run.line(1);
        assert!(
            line.ends_with(&format!(" (raise it with {flag})")),
            "{line}"
        );
    }
    let archive = layout.archive(true);
    for (flag, limit) in [
        ("--max-archive-size", "10000"),
        ("--max-archive-members", "3"),
    ] {
        let arguments = args!["unpack", "-", "-o", dir.path("out"), flag, limit];
        let run = run_with(program().args(arguments), &archive);
        let line = run.line(1);
        assert!(
            line.ends_with(&format!(" (raise it with {flag})")),
            "{line}"
        );
    }
    assert_eq!(dir.names(), ["layout", "source"]);
}

#[test]
fn the_first_failing_stage_is_told() {
    let good = image(1, 100);
    let (digest, diff_id) = (sha256(b"1"), sha256(b"2"));
    let both = ["--digest", &digest, "--diff-id", &diff_id];
    let packed = zstd(&good);
    let middle = packed.len() / 2;
    let mut checksum = packed.clone();
    *checksum.last_mut().unwrap() ^= 1;
    let mut bad_superblock = good.clone();
    bad_superblock[1024 + 83] = 0x40;
    // Codec, limit and gate stop where they fail. At the end: blob, codec's trailer, diffID.
    for (blob, flags, start) in [
        (zstd(&bad_superblock), &both[..], "superblock: "),
        (
            packed[..middle].to_vec(),
            &both,
            "blob: does not have the stated digest",
        ),
        (
            packed[..middle].to_vec(),
            &both[2..],
            "zstd frame: the input ends inside it",
        ),
        (
            checksum.clone(),
            &both,
            "blob: does not have the stated digest",
        ),
        (
            checksum,
            &both[2..],
            "zstd frame: the content does not have",
        ),
        (packed, &both[2..], "image: does not have the stated diffID"),
        (
            good[..9999].to_vec(),
            &both[2..],
            "image: does not have the stated diffID",
        ),
        (good[..9999].to_vec(), &[], "image: "),
    ] {
        let line = refuse_blob(&blob, flags);
        assert!(line.starts_with(start), "{start}: {line}");
    }
}

#[test]
fn every_truncation_and_many_changes_of_a_layer_are_refused() {
    // The diffID stands for all; this is about the one line and the absent file.
    let dir = Dir::new();
    let good = image(5, 3);
    for (name, blob) in [
        ("zstd", zstd(&good)),
        ("gzip", gzip(&good)),
        ("plain", good.clone()),
    ] {
        let diff_id = sha256(&good);
        let target = dir.path("out");
        let step = (blob.len() / 24).max(1);
        for place in (0..blob.len()).step_by(step) {
            let mut changed = blob.clone();
            changed[place] ^= 0x10;
            for bytes in [&blob[..place], &changed] {
                let source = dir.write(name, bytes);
                let run = run(args!["unpack", source, "--diff-id", diff_id, "-o", target]);
                // A header may hold what changes nothing (a time, a name): then it is the same.
                if run.code() == 0 {
                    assert!(content(&target) == good, "{name} {place}");
                    fs::remove_file(&target).unwrap();
                    continue;
                }
                run.line(1);
                assert!(!target.exists());
            }
        }
    }
}

#[test]
fn nothing_that_was_refused_stays_in_the_temporary_folder() {
    let dir = Dir::new();
    let source = dir.write("source", &zstd(&image(1, 300))[..40_000]);
    let temporary = dir.path("tmp");
    fs::create_dir(&temporary).unwrap();
    let run = run_with(
        Command::new(env!("CARGO_BIN_EXE_erofs-unpack"))
            .env("TMPDIR", &temporary)
            .args(args!["unpack", source, "-o", "-"]),
        b"",
    );
    run.line(1);
    assert_eq!(names(&temporary).len(), 0);
}

#[test]
fn a_limit_for_windows_that_cannot_be_kept_is_refused() {
    let dir = Dir::new();
    let source = dir.write("source", zstd(&image(1, 4)));
    let told = |window: &str, more: &[&str]| {
        let verify = ["unpack", "--verify-only", "--quiet", "--max-window", window];
        run_with(program().args(verify).args(more).arg(&source), b"")
    };
    assert_eq!(told("1GiB", &[]).code(), 0);
    assert_eq!(told("2GiB", &["--sandbox=none"]).code(), 0);
    assert_eq!(told("2GiB", &[]).code(), 0);
    let sandboxed = told("2GiB", &["--sandbox=wasm"]);
    assert!(sandboxed.line(2).contains("leave --sandbox=wasm out"));
    let never = told("3GiB", &["--sandbox=none"]);
    assert_eq!(never.code(), 2);
    assert!(never.stderr.contains("no window of more than 2.00 GiB"));
}
