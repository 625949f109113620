//! Bad input: one clear line, exit 1, nothing under the final name, nothing on stdout.
#![allow(clippy::disallowed_methods, reason = "a test may panic")]

mod common;

use std::ffi::OsString;
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
        ("zeros", vec![0; 4096], &[], "image: is a tar archive"),
        ("noise", noise(3, 9000), &[], "superblock: "),
        ("text", b"hello\n".to_vec(), &[], "superblock: "),
        (
            "tar",
            tar.clone(),
            &["--media-type", EROFS],
            "image: is a tar archive",
        ),
        ("tar in zstd", zstd(&tar), &[], "image: is a tar archive"),
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
fn tar_layers_are_refused_by_name() {
    let dir = Dir::new();
    for media_type in [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    ] {
        let source = dir.write("source", zstd(&image(1, 1)));
        let refused = run(args![
            "unpack",
            source,
            "--verify-only",
            "--media-type",
            media_type
        ]);
        let start = format!("--media-type {media_type}: media type: is ");
        assert!(refused.line(1).starts_with(&start), "{}", refused.stderr);
        let mut layers = three_layers();
        layers[1].media_type = media_type.into();
        let layout = Layout::of(dir.path("layout"), &layers);
        let refused = run(args!["unpack", layout.path, "-o", dir.path("out")]);
        let line = refused.line(1);
        assert!(line.contains("tar") && line.contains("layer 2"), "{line}");
        // inspect says what it is all the same.
        let shown = run(args!["inspect", layout.path]);
        assert!(shown.done().contains(media_type), "{}", shown.text());
        assert!(shown.text().contains("Refused:"), "{}", shown.text());
        fs::remove_dir_all(layout.path).unwrap();
    }
    let source = dir.write("source", image(1, 1));
    let media_type = "application/vnd.erofs+lz4";
    let refused = run(args![
        "unpack",
        source,
        "--verify-only",
        "--media-type",
        media_type
    ]);
    assert_eq!(
        refused.line(1),
        "--media-type application/vnd.erofs+lz4: media type: names a compression that is not \
         supported, at character 22: expected +zstd or +gzip"
    );
}

/// Runs a bad layout as a folder, as an archive and through a pipe, and gives the line, which
/// is the same but for the place.
fn refuse_layout(layout: &Layout, code: i32) -> String {
    let dir = Dir::new();
    let archive = dir.write("archive.tar", layout.archive(true));
    let bytes = content(&archive);
    let out = dir.path("out");
    let mut ends = Vec::new();
    for (place, output) in [
        (&layout.path, args!["-o", out]),
        (&layout.path, args!["--verify-only"]),
        (&archive, args!["-o", out]),
    ] {
        let run = run([args!["unpack", "-j1", place], output].concat());
        ends.push(run.line(code).replace(place.to_str().unwrap(), "SOURCE"));
    }
    let run = run_with(
        program().args(args!["unpack", "-j1", "-", "-o", out]),
        &bytes,
    );
    let line = run.line(code);
    let line = match line.strip_prefix('-') {
        Some(rest) => format!("SOURCE{rest}"),
        None => line.replacen(": -", ": SOURCE", 1),
    };
    ends.push(line);
    assert_eq!(dir.names(), ["archive.tar"]);
    // A member of an archive stands after a colon.
    let mut ends: Vec<_> = ends
        .iter()
        .map(|line| {
            line.replace("SOURCE:blobs", "SOURCE/blobs")
                .replace("SOURCE:index", "SOURCE/index")
        })
        .collect();
    ends.dedup();
    assert_eq!(ends.len(), 1, "{ends:#?}");
    ends.remove(0)
}

#[test]
fn layouts_that_do_not_hold_together() {
    let dir = Dir::new();
    let layers = three_layers();
    let digests: Vec<String> = layers.iter().map(|layer| sha256(&layer.blob)).collect();
    let make = |layers: &[Layer]| {
        let _ = fs::remove_dir_all(dir.path("layout"));
        Layout::of(dir.path("layout"), layers)
    };
    // Blobs that are others than their digests say: of the same size, longer, shorter.
    let layout = make(&layers);
    let blob = layout.blob_path(&digests[1]);
    let good = content(&blob);
    let mut changed = good.clone();
    changed[good.len() / 2] ^= 1;
    let longer = [&good[..], b"x"].concat();
    for bytes in [&changed, &longer, &good[..good.len() - 1].to_vec()] {
        fs::write(&blob, bytes).unwrap();
        let line = refuse_layout(&layout, 1);
        assert!(line.starts_with("layer 2: SOURCE/blobs/sha256/"), "{line}");
    }
    fs::remove_file(&blob).unwrap();
    let line = refuse_layout(&layout, 3);
    assert!(line.starts_with("layer 2: SOURCE/blobs/sha256/"), "{line}");
    assert!(line.ends_with(": cannot open the blob: No such file or directory"));

    // A diffID that is another.
    let mut wrong = layers.clone();
    wrong[2].diff_id = sha256(b"");
    let line = refuse_layout(&make(&wrong), 1);
    assert!(line.starts_with("layer 3: "), "{line}");
    assert!(
        line.contains("image: does not have the stated diffID"),
        "{line}"
    );

    // A plain layer's diffID that is not its digest is seen in the documents already.
    let mut wrong = layers.clone();
    wrong[0].diff_id = sha256(b"");
    let line = refuse_layout(&make(&wrong), 1);
    assert!(line.starts_with("SOURCE/blobs/"), "{line}");

    // Compression that is another, roles and orders that cannot be.
    let mut wrong = layers.clone();
    wrong[1].media_type = EROFS_GZIP.into();
    assert!(refuse_layout(&make(&wrong), 1).contains("gzip member: "));
    let wrong = [layers[0].clone().role("overlay-data")];
    assert!(refuse_layout(&make(&wrong), 1).contains("layer 1"));
    let wrong = [layers[0].clone(), layers[1].clone().role("device")];
    assert!(refuse_layout(&make(&wrong), 1).contains("layer 2"));
    let wrong = [layers[0].clone(), layers[1].clone().role("no-such-role")];
    refuse_layout(&make(&wrong), 1);

    // Documents.
    let layout = make(&layers);
    for document in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"schemaVersion":1,"manifests":[]}"#,
        r#"{"schemaVersion":2,"manifests":[]}"#,
        r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#,
        r#"{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}"#,
        "{\"schemaVersion\":2,\"manifests\":[],\"\u{0}\":1}",
    ] {
        fs::write(layout.path.join("index.json"), document).unwrap();
        let line = refuse_layout(&layout, 1);
        assert!(line.starts_with("SOURCE"), "{line}");
    }
    layout.save();
    fs::write(
        layout.path.join("oci-layout"),
        r#"{"imageLayoutVersion":"2.0.0"}"#,
    )
    .unwrap();
    refuse_layout(&layout, 1);
    fs::remove_dir_all(&layout.path).unwrap();

    // A manifest that was changed after its digest was taken.
    let mut layout = Layout::new(dir.path("layout"));
    let digest = layout.add(&layers, json!({}));
    let path = layout.blob_path(&digest);
    let mut manifest = content(&path);
    let place = manifest.len() - 3;
    manifest[place] ^= 1;
    fs::write(&path, &manifest).unwrap();
    let line = refuse_layout(&layout, 1);
    assert!(line.contains(&digest), "{line}");
}

#[test]
fn a_refusal_outranks_a_failure_of_the_environment() {
    let dir = Dir::new();
    let mut layers = three_layers();
    layers[2].diff_id = sha256(b"");
    let layout = Layout::of(dir.path("layout"), &layers);
    fs::remove_file(layout.blob_path(&sha256(&layers[0].blob))).unwrap();
    let run = run(args![
        "unpack",
        layout.path,
        "-o",
        dir.path("out"),
        "--keep-going",
        "-q",
        "--json"
    ]);
    assert_eq!(run.code(), 1);
    let lines: Vec<_> = run.stderr.lines().collect();
    assert!(lines[0].contains("layer 1: ") && lines[0].contains("cannot open the blob"));
    assert!(lines[1].contains("layer 3: "));
    assert_eq!(run.json()["error"]["id"], "diff-id");
    assert_eq!(run.json()["layers"][0]["status"], "failed");
    // Without --keep-going the first error ends it.
    let run = common::run(args!["unpack", layout.path, "-o", dir.path("out"), "-j1"]);
    assert!(run.line(3).starts_with("layer 1: "));
    assert_eq!(dir.names(), ["layout"]);
}

#[test]
fn sources_that_are_no_layouts() {
    let dir = Dir::new();
    fs::create_dir(dir.path("empty")).unwrap();
    let run = |source: &OsString| run(args!["unpack", source, "-o", dir.path("out")]);
    let refused = run(&dir.path("empty").into());
    assert!(
        refused.line(1).ends_with(
            ": is a directory without the file oci-layout: expected an OCI image layout"
        )
    );
    let docker = [tar_member("manifest.json", b"[]"), vec![0; 1024]].concat();
    let refused = run(&dir.write("docker.tar", docker).into());
    assert!(refused.line(1).contains(": is a docker archive "));
    let tar = [tar_member("etc/passwd", b"x"), vec![0; 1024]].concat();
    let refused = run(&dir.write("layer.tar", tar).into());
    assert!(refused.line(1).contains(": image: is a tar archive"));

    // An archive that is cut anywhere: as one, or as the blob that it then looks like.
    let layout = Layout::of(dir.path("layout"), &three_layers()[2..]);
    let archive = layout.archive(true);
    for length in [512, 1000, 1024, 2048, archive.len() - 1024] {
        let path = dir.write("cut.tar", &archive[..length]);
        let refused = run(&path.clone().into());
        let line = refused.line(1);
        assert!(line.starts_with(path.to_str().unwrap()), "{line}");
    }
    assert!(!dir.path("out").exists());
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
