//! `convert --reuse`: layers that were converted before are taken, and only those.
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

/// Which layers were taken from the folder of those that were converted before.
fn reused(report: &Value) -> Vec<bool> {
    let layers = report["images"][0]["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["reused"] == true).collect()
}

#[test]
fn layers_that_were_converted_before_are_taken() {
    let dir = Dir::new();
    let source = layout(&dir);
    let store = dir.path("store");
    let reuse = ["--reuse", store.to_str().unwrap()];
    let (first, second) = (dir.path("first"), dir.path("second"));
    let made = convert(&source.path, &first, &reuse);
    assert_eq!(reused(&made), [false; 3]);
    let taken = convert(&source.path, &second, &reuse);
    assert_eq!(reused(&taken), [true; 3]);
    assert!(taken["notes"].is_null(), "{taken}");
    for layer in [&made, &taken].map(|report| report["images"][0]["layers"][0].clone()) {
        assert_eq!(layer["filesReadBack"], 2);
    }
    // Nothing tells the two apart.
    assert_eq!(index_of(&first), index_of(&second));
    let blobs = "blobs/sha256";
    assert_eq!(names(&first.join(blobs)), names(&second.join(blobs)));
    run(args![
        "check", &second, "--policy", "strict", "--level", "full"
    ])
    .done();

    // An image of which one layer is new.
    let mut other = Layout::new(dir.path("other"));
    let base = tar(
        &dir,
        &[
            ("etc/passwd", b"root"),
            ("usr/bin/tool", &noise(1, 300_000)),
        ],
    );
    let new = tar(&dir, &[("new", b"new")]);
    let layers = [Layer::new(TAR_GZIP, &base), Layer::new(TAR_GZIP, &new)];
    other.add(&layers, json!({}));
    let report = convert(&other.path, &dir.path("third"), &reuse);
    assert_eq!(reused(&report), [true, false]);
}

#[test]
fn what_shapes_a_layer_keeps_others_from_being_taken() {
    let dir = Dir::new();
    let source = layout(&dir);
    let store = dir.path("store");
    let reuse = ["--reuse", store.to_str().unwrap()];
    let every: [&[&str]; 11] = [
        &[],
        &["--wrap", "none"],
        &["--wrap", "gzip"],
        &["--index", "zstd-seekable"],
        &["--index", "none"],
        &["--chunk-size", "128KiB"],
        &["--level", "5"],
        &["--verity", "append"],
        &["--uuid", "containerd"],
        &["--inline-data"],
        &["--all-time", "5"],
    ];
    for round in [false, true] {
        for (number, options) in every.iter().enumerate() {
            let out = dir.path(&format!("out-{number}-{round}"));
            let mut arguments = args!["convert", &source.path, &out, "--json"];
            arguments.extend(reuse.iter().chain(*options).map(Into::into));
            let run = run(arguments);
            run.done();
            assert_eq!(reused(&run.json()), [round; 3], "{options:?}");
        }
    }
    // Media types of descriptors are not the blob's.
    let out = dir.path("draft");
    let run = run(args![
        "convert",
        &source.path,
        &out,
        "--json",
        "--media-type",
        "draft",
        "--reuse",
        &store
    ]);
    run.done();
    assert_eq!(reused(&run.json()), [true; 3]);
    assert_eq!(
        document(&out, &index_of(&out)["manifests"][0])["layers"][0]["mediaType"],
        "application/vnd.erofs+zstd"
    );
}

#[test]
fn what_was_kept_badly_is_converted_anew() {
    let dir = Dir::new();
    let source = layout(&dir);
    let store = dir.path("store");
    let reuse = ["--reuse", store.to_str().unwrap()];
    let first = dir.path("first");
    let made = convert(&source.path, &first, &reuse);
    let digest = made["images"][0]["layers"][0]["digest"].as_str().unwrap();
    let blob = store
        .join("blobs/sha256")
        .join(digest.replace("sha256:", ""));
    let good = content(&blob);
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let damages: [(&str, &dyn Fn()); 4] = [
        ("has another digest", &|| {
            fs::write(&blob, &flipped).unwrap();
        }),
        ("is not as long", &|| {
            fs::write(&blob, &good[1..]).unwrap();
        }),
        ("is not there", &|| fs::remove_file(&blob).unwrap()),
        ("symbolic link", &|| {
            fs::remove_file(&blob).unwrap();
            std::os::unix::fs::symlink("/dev/zero", &blob).unwrap();
        }),
    ];
    for (text, damage) in damages {
        damage();
        let out = dir.path(&format!("out {text}"));
        let report = convert(&source.path, &out, &reuse);
        assert_eq!(reused(&report), [false, true, true], "{text}");
        let note = report["notes"][0].as_str().unwrap();
        assert!(
            note.contains(text) && note.ends_with("converted anew"),
            "{note}"
        );
        assert_eq!(index_of(&out), index_of(&first));
        // It is kept anew.
        assert_eq!(content(&blob), good, "{text}");
    }
    for name in names(&store.join("layers")) {
        let path = store.join("layers").join(&name);
        let mut entry = content(&path);
        let middle = entry.len() / 2;
        entry[middle] ^= 1;
        fs::write(&path, entry).unwrap();
    }
    let out = dir.path("entries");
    let report = convert(&source.path, &out, &reuse);
    assert_eq!(reused(&report), [false; 3]);
    assert_eq!(report["notes"].as_array().unwrap().len(), 3);
    assert_eq!(index_of(&out), index_of(&first));
}

#[test]
fn a_layer_is_not_taken_for_one_that_is_refused() {
    let dir = Dir::new();
    let store = dir.path("store");
    let good = Layer::new(TAR_GZIP, &tar(&dir, &[("good", b"good")]));
    let source = Layout::of(dir.path("good"), core::slice::from_ref(&good));
    let quick = ["--reuse", store.to_str().unwrap(), "--no-read-back"];
    convert(&source.path, &dir.path("one"), &quick);
    // It was not read back: whoever wants that gets it.
    let report = convert(&source.path, &dir.path("two"), &quick[..2]);
    assert_eq!(reused(&report), [false]);
    assert!(report["notes"][0].is_string());
    let report = convert(&source.path, &dir.path("three"), &quick[..2]);
    assert_eq!(reused(&report), [true]);
    // The same blob under a diffID that is not its own.
    let mut wrong = good;
    wrong.diff_id = sha256(b"another");
    let source = Layout::of(dir.path("wrong"), &[wrong]);
    let before = names(&store.join("layers"));
    let run = run(args![
        "convert",
        &source.path,
        dir.path("four"),
        "--json",
        "--chunk-size",
        "64KiB",
        "--reuse",
        &store
    ]);
    assert_eq!(run.code(), 1, "{}", run.stderr);
    assert_eq!(run.json()["error"]["id"], "diff-id");
    assert_eq!(names(&store.join("layers")), before);
}

#[test]
fn what_fails_keeps_nothing() {
    let dir = Dir::new();
    let store = dir.path("store");
    let good = tar(&dir, &[("good", b"good")]);
    let mut wrong = Layer::new(TAR_GZIP, &good);
    wrong.diff_id = sha256(b"another");
    let source = Layout::of(dir.path("in"), &[Layer::new(TAR, &good), wrong]);
    let run = run(args![
        "convert",
        &source.path,
        dir.path("out"),
        "--reuse",
        &store
    ]);
    assert_eq!(run.code(), 1, "{}", run.stderr);
    assert_eq!(names(&store), [""; 0]);
}
