//! `convert --from-file`: many images, each by itself, and none twice.
#![allow(
    clippy::disallowed_methods,
    clippy::std_instead_of_alloc,
    reason = "a test may panic, and has std"
)]

mod common;

use std::fs;

use common::convert::*;
use common::*;
use serde_json::{Value, json};

/// A layout with an image of one layer, of this name.
fn one(dir: &Dir, folder: &str, name: &str, content: &[u8]) -> Layout {
    let layer = Layer::new(TAR_GZIP, &tar(dir, &[("file", content)]));
    let mut layout = Layout::new(dir.path(folder));
    layout.add(&[layer], json!({"annotations": {REF_NAME: name}}));
    layout
}

/// The status of each line.
fn status(report: &Value) -> Vec<String> {
    let lines = report["lines"].as_array().unwrap();
    lines
        .iter()
        .map(|line| line["status"].as_str().unwrap().to_owned())
        .collect()
}

fn named(dir: &Dir) -> Vec<String> {
    let index = index_of(&dir.path("out"));
    let entries = index["manifests"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry["annotations"][REF_NAME].as_str().unwrap().to_owned())
        .collect()
}

/// Converts what a list names into `out`.
fn listed(dir: &Dir, list: &str, options: &[&str]) -> Run {
    let path = dir.path("list");
    fs::write(&path, list.replace("DIR", dir.path("").to_str().unwrap())).unwrap();
    let mut arguments = args!["convert", "--from-file", path, dir.path("out")];
    arguments.extend(options.iter().map(Into::into));
    run(arguments)
}

#[test]
fn each_image_of_a_list_is_converted_once() {
    let dir = Dir::new();
    one(&dir, "a", "a:1", b"a");
    one(&dir, "b", "b:1", b"b");
    let list = "# two\nDIR/a\n\nDIR/b b:1\n";
    let run = listed(&dir, list, &[]);
    run.done();
    let lines: Vec<_> = run.text().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("converted ") && lines[0].contains("/a sha256:"));
    assert!(lines[1].contains("/b b:1 sha256:"));
    let before = index_of(&dir.path("out"));
    let blobs = names(&dir.path("out/blobs/sha256"));

    let run = listed(&dir, list, &["--json"]);
    run.done();
    let report = run.json();
    assert_eq!(status(&report), ["passed-over"; 2]);
    assert_eq!(
        report["lines"][0]["passedOver"][0]["digest"],
        before["manifests"][0]["digest"]
    );
    assert_eq!(index_of(&dir.path("out")), before);

    // Other options make another image; it takes the name.
    listed(&dir, list, &["--level", "5", "--chunk-size", "64KiB"]).done();
    assert_eq!(named(&dir), ["a:1", "b:1"]);
    assert_ne!(index_of(&dir.path("out")), before);
    // A source that was changed since.
    one(&dir, "b", "b:1", b"changed");
    let run = listed(
        &dir,
        list,
        &["--level", "5", "--chunk-size", "64KiB", "--json"],
    );
    run.done();
    assert_eq!(status(&run.json()), ["passed-over", "converted"]);
    assert_eq!(named(&dir), ["a:1", "b:1"]);
    assert!(names(&dir.path("out/blobs/sha256")).len() > blobs.len());
}

#[test]
fn what_fails_keeps_no_other_from_being_converted() {
    let dir = Dir::new();
    one(&dir, "a", "a:1", b"a");
    let mut wrong = Layer::new(TAR_GZIP, &tar(&dir, &[("x", b"x")]));
    wrong.diff_id = sha256(b"another");
    Layout::of(dir.path("wrong"), &[wrong]);
    one(&dir, "b", "b:1", b"b");
    let list = "DIR/none\nDIR/a\nDIR/wrong\nDIR/b\n";
    let run = listed(&dir, list, &["--json"]);
    // That something is refused counts more than that something is not there.
    assert_eq!(run.code(), 1, "{}", run.stderr);
    let report = run.json();
    assert_eq!(
        status(&report),
        ["failed", "converted", "refused", "converted"]
    );
    assert_eq!(report["outcome"], "refused");
    assert_eq!(report["error"]["id"], "diff-id");
    assert_eq!(report["lines"][2]["error"]["id"], "diff-id");
    assert_eq!(named(&dir), ["a:1", "b:1"]);
    assert!(run.stderr.contains("list:1: "), "{}", run.stderr);
    assert!(run.stderr.contains("list:3: "), "{}", run.stderr);

    // Only what failed is tried again.
    one(&dir, "none", "c:1", b"c");
    let run = listed(&dir, list, &["--json"]);
    assert_eq!(run.code(), 1);
    assert_eq!(
        status(&run.json()),
        ["converted", "passed-over", "refused", "passed-over"]
    );
    let run = listed(&dir, "DIR/missing\nDIR/a\n", &[]);
    assert_eq!(run.code(), 3, "{}", run.stderr);
}

#[test]
fn shards_are_a_list_together() {
    let dir = Dir::new();
    let mut list = String::new();
    for number in 0..5 {
        let name = format!("i{number}");
        one(&dir, &name, &name, name.as_bytes());
        list.push_str(&format!("# {number}\nDIR/{name}\n"));
    }
    // At the same time, into one layout.
    let path = dir.path("list");
    listed(&dir, &list, &["--shard", "9/9"]).done();
    assert!(!dir.path("out").exists());
    // As a run leaves it that was ended before its first image was there.
    fs::create_dir_all(dir.path("out/blobs/sha256")).unwrap();
    let shards: Vec<_> = (1..=3)
        .map(|number| {
            let arguments = args![
                "convert",
                "--from-file",
                &path,
                "--shard",
                format!("{number}/3"),
                dir.path("out"),
                "--json"
            ];
            std::thread::spawn(|| run(arguments))
        })
        .collect();
    let counts: Vec<_> = shards
        .into_iter()
        .map(|shard| {
            let run = shard.join().unwrap();
            run.done();
            status(&run.json()).len()
        })
        .collect();
    assert_eq!(counts, [2, 2, 1]);
    let mut found = named(&dir);
    found.sort();
    assert_eq!(found, ["i0", "i1", "i2", "i3", "i4"]);
    let run = listed(&dir, &list, &["--json"]);
    run.done();
    assert_eq!(status(&run.json()), ["passed-over"; 5]);
}

#[test]
fn a_name_is_one_images() {
    let dir = Dir::new();
    one(&dir, "a", "same", b"a");
    one(&dir, "b", "same", b"b");
    let run = listed(&dir, "DIR/a\nDIR/b\nDIR/a same\n", &["--json"]);
    assert_eq!(run.code(), 2, "{}", run.stderr);
    assert_eq!(status(&run.json()), ["converted", "failed", "passed-over"]);
    assert!(
        run.stderr.contains("has the name of the image in line 1"),
        "{}",
        run.stderr
    );
    assert_eq!(named(&dir), ["same"]);
}

#[test]
fn platforms_of_one_name_stay_together() {
    let dir = Dir::new();
    let mut source = Layout::new(dir.path("source"));
    let platforms = ["amd64", "arm64"].map(|architecture| {
        let layer = Layer::new(TAR_GZIP, &tar(&dir, &[("file", architecture.as_bytes())]));
        source.image_for(architecture, &[layer])
    });
    let mut nested = source.document(
        INDEX,
        &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": platforms}),
    );
    nested["annotations"] = json!({REF_NAME: "v1"});
    source.entries.push(nested);
    source.save();
    let list = "DIR/source\n";
    listed(&dir, list, &["--all"]).done();
    assert_eq!(named(&dir), ["v1", "v1"]);
    let run = listed(&dir, list, &["--all", "--json"]);
    run.done();
    assert_eq!(status(&run.json()), ["passed-over"]);
    for architecture in ["amd64", "arm64"] {
        let platform = format!("linux/{architecture}");
        let out = dir.path("out");
        let run = run_cat(&out, &platform);
        assert_eq!(run.stdout, architecture.as_bytes(), "{}", run.stderr);
    }
}

fn run_cat(layout: &std::path::Path, platform: &str) -> Run {
    run(args![
        "cat",
        layout,
        "file",
        "--layer",
        "1",
        "--platform",
        platform,
        "--ref",
        "v1"
    ])
}

#[test]
fn layers_of_several_images_are_converted_once() {
    let dir = Dir::new();
    let base = Layer::new(TAR_GZIP, &tar(&dir, &[("base", b"base")]));
    for name in ["a", "b"] {
        let top = Layer::new(TAR_GZIP, &tar(&dir, &[(name, b"top")]));
        let mut layout = Layout::new(dir.path(name));
        layout.add(
            &[base.clone(), top],
            json!({"annotations": {REF_NAME: name}}),
        );
    }
    let store = dir.path("store");
    let options = ["--json", "--reuse", store.to_str().unwrap()];
    let run = listed(&dir, "DIR/a\nDIR/b\n", &options);
    run.done();
    let reused = |line: usize| {
        let report = run.json();
        let layers = report["lines"][line]["images"][0]["layers"].as_array();
        let reused: Vec<_> = layers
            .unwrap()
            .iter()
            .map(|it| it["reused"] == true)
            .collect();
        reused
    };
    assert_eq!(reused(0), [false, false]);
    assert_eq!(reused(1), [true, false]);
}

#[test]
fn a_list_is_said_to_be_wrong() {
    let dir = Dir::new();
    for (list, options, text) in [
        ("a b c\n", &[][..], "list:1: expected the path"),
        ("# x\n-\n", &[], "list:2: expected the path"),
        ("a b\n", &["--all"], "--all means all"),
        ("a\n", &["--shard", "3/2"], "expected K/N"),
        ("a\n", &["--ref", "x"], "cannot be used with"),
    ] {
        let run = listed(&dir, list, options);
        assert_eq!(run.code(), 2, "{}", run.stderr);
        assert!(run.stderr.contains(text), "{text}: {}", run.stderr);
    }
    for arguments in [
        args!["convert", "a"],
        args!["convert", "a", "b", "--shard", "1/2"],
        args!["convert", "a", "b", "--from-file", "c"],
    ] {
        let run = run(&arguments);
        assert_eq!(run.code(), 2, "{arguments:?}");
    }
    assert!(!dir.path("out").exists());
}

#[test]
fn a_run_that_was_killed_is_taken_up_again() {
    let dir = Dir::new();
    let mut list = String::new();
    for number in 0..6 {
        let name = format!("i{number}");
        one(&dir, &name, &name, &noise(number, 2_000_000));
        list.push_str(&format!("{}\n", dir.path(&name).display()));
    }
    fs::write(dir.path("list"), &list).unwrap();
    let mut child = program()
        .args(args!["convert", "--quiet", "--from-file"])
        .args([dir.path("list"), dir.path("out")])
        .spawn()
        .unwrap();
    let is_there = || dir.path("out/index.json").exists();
    while !is_there() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(core::time::Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = named(&dir);
    assert_eq!(before[0], "i0");
    let again = listed(&dir, &list, &["--json"]);
    again.done();
    let mut expected = vec!["passed-over"; before.len()];
    expected.resize(6, "converted");
    assert_eq!(status(&again.json()), expected);
    assert_eq!(named(&dir), ["i0", "i1", "i2", "i3", "i4", "i5"]);
    for name in named(&dir) {
        run(args![
            "check",
            dir.path("out"),
            "--ref",
            &name,
            "--level",
            "full"
        ])
        .done();
    }
}
