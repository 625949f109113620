//! What is said of it all: lines, reports, summaries, wrong usage.

mod common;

use std::fs;

use common::*;
use serde_json::{Value, json};

#[test]
fn what_was_not_verified_is_said() {
    let dir = Dir::new();
    let image = image(7, 2);
    let plain = dir.write("plain", &image);
    let packed = dir.write("packed", zstd(&image));
    let digest = sha256(&content(&packed));
    let diff_id = sha256(&image);
    let warned = |more: Vec<std::ffi::OsString>| {
        let run = run([args!["unpack", "--verify-only"], more].concat());
        assert_eq!(run.done(), format!("verified {diff_id}\n"));
        run.stderr
    };
    for said in [
        // A plain blob is the image: one digest says it all.
        warned(args!["--digest", diff_id, plain]),
        warned(args!["--diff-id", diff_id, plain]),
        warned(args!["--digest", digest, "--diff-id", diff_id, packed]),
    ] {
        assert_eq!(said, "");
    }
    assert!(warned(args!["--digest", digest, packed]).ends_with("stated: diffID (--diff-id)\n"));
    assert!(warned(args!["--diff-id", diff_id, packed]).ends_with("stated: digest (--digest)\n"));
    let quiet = run(args!["unpack", "--verify-only", "-q", packed]);
    assert_eq!((quiet.done(), quiet.stderr.as_str()), ("", ""));
    let report = run(args!["unpack", "--verify-only", "--json", packed]).json();
    assert_eq!(
        report["layers"][0]["notVerified"],
        json!(["digest", "diffID"])
    );
}

#[test]
fn the_image_json_of_another_image_is_not_replaced() {
    let dir = Dir::new();
    let one = Layout::of(dir.path("one"), &three_layers()[..1]);
    let two = Layout::of(dir.path("two"), &three_layers()[1..]);
    let out = dir.path("out");
    run(args!["unpack", one.path, "-o", out]).done();
    let before = content(&out.join("image.json"));
    let refused = run(args!["unpack", two.path, "-o", out]);
    assert_eq!(
        refused.line(3),
        format!(
            "{}/image.json: is about another image: expected another folder, \
             or --force to replace it",
            out.display()
        )
    );
    assert_eq!(names(&out).len(), 2);
    assert!(content(&out.join("image.json")) == before);
    // Nor is what is none of ours.
    for other in ["{}", "not JSON", "[1]", r#"{"version": "1", "image": 7}"#] {
        fs::write(out.join("image.json"), other).unwrap();
        assert_eq!(run(args!["unpack", one.path, "-o", out]).code(), 3);
        assert_eq!(content(&out.join("image.json")), other.as_bytes());
    }
    run(args!["unpack", two.path, "-o", out, "--force"]).done();
    assert_eq!(names(&out).len(), 4);
}

#[test]
fn every_number_of_jobs_gives_the_same() {
    let dir = Dir::new();
    let layers: Vec<Layer> = (0..9)
        .map(|seed| {
            Layer::new(
                [EROFS, EROFS_ZSTD, EROFS_GZIP][seed % 3],
                &image(seed as u64, 9),
            )
        })
        .collect();
    let layout = Layout::of(dir.path("layout"), &layers);
    let mut reports = Vec::new();
    for jobs in ["1", "2", "5", "99"] {
        let out = dir.path(jobs);
        let run = run(args![
            "unpack",
            layout.path,
            "-o",
            out,
            "--jobs",
            jobs,
            "--json"
        ]);
        run.done();
        reports.push(run.stdout);
        assert_eq!(names(&out).len(), 10);
    }
    reports.dedup();
    assert_eq!(reports.len(), 1);
    assert_eq!(
        run(args!["unpack", layout.path, "--verify-only", "-j0"]).code(),
        2
    );
}

#[test]
fn reports_are_json() {
    let dir = Dir::new();
    let layers = three_layers();
    let layout = Layout::of(dir.path("layout"), &layers);
    let report = dir.path("report.json");
    let flag = format!("--json={}", report.display());
    let read = || -> Value { serde_json::from_slice(&content(&report)).unwrap() };

    let to_file = run(args!["unpack", layout.path, "-o", dir.path("out"), flag]);
    assert_eq!(
        to_file.done().lines().count(),
        3,
        "stdout is free for lines"
    );
    let found = read();
    assert_eq!(found["command"], "unpack");
    assert_eq!(
        (&found["outcome"], &found["exitCode"]),
        (&json!("done"), &json!(0))
    );

    // With the layer on stdout it needs a file.
    let one = args!["unpack", layout.path, "-o", "-", "--layer", "2"];
    let both = run([one.clone(), args![flag]].concat());
    assert_eq!(sha256(&both.stdout), layers[1].diff_id);
    assert_eq!(read()["layers"][0]["number"], 2);
    let refused = run([one, args!["--json"]].concat());
    assert_eq!(
        refused.line(2),
        "-o - and --json both write to stdout: give --json=FILE"
    );

    // It is printed too when the layers are refused; what passed was not written.
    let mut bad = layers.clone();
    bad[1].diff_id = sha256(b"");
    let bad = Layout::of(dir.path("bad"), &bad);
    let refused = run(args![
        "unpack",
        bad.path,
        "-o",
        dir.path("none"),
        "--json",
        "--keep-going",
        "-q"
    ]);
    assert_eq!(refused.code(), 1);
    let line = one_line(&refused.stderr);
    let found = refused.json();
    assert_eq!(
        (&found["outcome"], &found["exitCode"]),
        (&json!("refused"), &json!(1))
    );
    let statuses: Vec<_> = (0..3)
        .map(|place| &found["layers"][place]["status"])
        .collect();
    assert_eq!(statuses, ["verified", "refused", "verified"]);
    assert_eq!(found["layers"][0]["file"], Value::Null);
    assert_eq!(found["error"]["id"], "diff-id");
    assert_eq!(found["error"], found["layers"][1]["error"]);
    let message = found["error"]["message"].as_str().unwrap();
    assert_eq!(line, format!("layer 2: {message}"));
    assert_eq!(found["mount"], Value::Null);
}

#[test]
fn keep_going_sums_up() {
    let dir = Dir::new();
    let mut layers = three_layers();
    layers[2].blob.truncate(100);
    let layout = Layout::of(dir.path("layout"), &layers);
    let first = layout.blob_path(&layers[0].diff_id);
    fs::write(first, noise(1, layers[0].blob.len())).unwrap();
    for (jobs, writes) in [("1", true), ("3", true), ("3", false)] {
        let mut arguments = args!["unpack", layout.path, "--keep-going", "--jobs", jobs];
        if writes {
            arguments.extend(args!["-o", dir.path("out")]);
        } else {
            arguments.extend(args!["--verify-only"]);
        }
        let run = run(arguments);
        assert_eq!((run.code(), run.text()), (1, ""));
        let lines: Vec<_> = run.stderr.lines().collect();
        assert_eq!(lines.len(), 3, "{}", run.stderr);
        assert!(lines[0].starts_with("erofs-unpack: layer 1: "));
        assert!(lines[1].starts_with("erofs-unpack: layer 3: "));
        let written = if writes { "; nothing was written" } else { "" };
        assert_eq!(
            lines[2],
            format!("erofs-unpack: 1 of 3 layers passed{written}")
        );
    }
    assert_eq!(dir.names(), ["layout"]);
    // Without it, one line.
    let run = run(args!["unpack", layout.path, "-j1", "-o", dir.path("out")]);
    assert!(run.line(1).starts_with("layer 1: "));

    let good = Layout::of(dir.path("good"), &three_layers());
    let run = common::run(args!["unpack", good.path, "--keep-going", "--verify-only"]);
    run.done();
    assert_eq!(one_line(&run.stderr), "3 of 3 layers passed");
}

#[test]
fn wrong_usage_is_exit_2_and_writes_nothing() {
    let dir = Dir::new();
    let layout = Layout::of(dir.path("layout"), &three_layers());
    let blob = dir.write("blob", image(1, 1));
    let digest = sha256(b"");
    let layout = layout.path.to_str().unwrap();
    let blob = blob.to_str().unwrap();
    let out = dir.path("out");
    let out = out.to_str().unwrap();
    let lines: &[(&[&str], &str)] = &[
        (&[layout, "-o", "-"], "-o -: stdout takes one layer"),
        (
            &[layout, "-o", out, "--layer", "4"],
            "--layer 4: the image has 3 layers",
        ),
        (
            &[layout, "-o", out, "--diff-id", &digest],
            "--diff-id: an image has several layers",
        ),
        (
            &[layout, "-o", out, "--media-type", EROFS],
            "--media-type: ",
        ),
        (&[blob, "-o", out, "--ref", "x"], "--ref: "),
        (
            &[blob, "-o", out, "--platform", "linux/amd64"],
            "--platform: ",
        ),
        (&[blob, "-o", out, "--layer", "1"], "--layer: "),
        (
            &[blob, "-o", out, "--media-type", "none"],
            "--media-type none: ",
        ),
        (
            &[blob, "-o", "x/"],
            "-o FOLDER/: the file is named by its diffID",
        ),
        (&[blob, "-o", ".."], "..: expected the name of a file"),
        (&[blob, "-o", "x/."], "x/.: expected the name of a file"),
    ];
    for (arguments, start) in lines {
        let run = run([&["unpack"], *arguments].concat());
        let line = run.line(2);
        assert!(line.starts_with(start), "{line}");
    }
    // What clap says takes more than a line.
    let told: &[&[&str]] = &[
        &[],
        &[blob],
        &[blob, "-o", out, "--verify-only"],
        &[blob, "-o", out, "--digest", "sha256:00"],
        &[
            blob,
            "-o",
            out,
            "--digest",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
        ],
        &[blob, "-o", out, "--max-image-size", "much"],
        &[blob, "-o", out, "--jobs", "0"],
        &[layout, "-o", out, "--layer", "0"],
        &[blob, "-o", out, "-q", "-v"],
        &[blob, "-o", out, "--nonsense"],
    ];
    for arguments in told {
        let run = run([&["unpack"], *arguments].concat());
        assert_eq!((run.code(), run.text()), (2, ""), "{arguments:?}");
        assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    }
    assert_eq!(dir.names(), ["blob", "layout"]);
}
