//! `convert`: images with tar layers become images with EROFS layers, and nothing is lost on the way.
#![allow(
    clippy::disallowed_methods,
    clippy::std_instead_of_alloc,
    reason = "a test may panic, and has std"
)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::convert::*;
use common::*;
use serde_json::json;

#[test]
fn tar_layers_become_erofs_layers() {
    let dir = Dir::new();
    let source = layout(&dir);
    let out = dir.path("out");
    let report = convert(&source.path, &out, &[]);
    assert_eq!(report["outcome"], "done");
    let layers = report["images"][0]["layers"].as_array().unwrap();
    let files: Vec<_> = layers
        .iter()
        .map(|layer| layer["filesReadBack"].clone())
        .collect();
    assert_eq!(files, [2, 1, 1]);

    let index = index_of(&out);
    let entry = &index["manifests"][0];
    assert_eq!(entry["annotations"][REF_NAME], "v1");
    assert_eq!(entry["platform"]["os.features"], json!(["erofs"]));
    let manifest = document(&out, entry);
    let config = document(&out, &manifest["config"]);
    assert_eq!(config["os.features"], json!(["erofs"]));
    for (number, layer) in layers.iter().enumerate() {
        let descriptor = &manifest["layers"][number];
        assert_eq!(
            descriptor["mediaType"],
            "application/vnd.erofs.layer.v1+zstd"
        );
        assert_eq!(descriptor["digest"], layer["digest"]);
        assert_eq!(config["rootfs"]["diff_ids"][number], layer["diffId"]);
        let range = &descriptor["annotations"]["org.erofs.chunk-index.range"];
        assert!(range.is_string(), "{descriptor}");
    }

    run(args![
        "check", &out, "--policy", "strict", "--level", "full"
    ])
    .done();
    run(args!["unpack", &out, "-o", dir.path("unpacked")]).done();
    let cat = |number: &str, path: &str| {
        let run = run(args!["cat", &out, path, "--layer", number]);
        assert_eq!(run.code(), 0, "{}", run.stderr);
        run.stdout
    };
    assert!(cat("1", "usr/bin/tool") == noise(1, 300_000));
    assert_eq!(cat("2", "etc/hosts"), b"localhost");
    assert!(cat("3", "last") == noise(2, 5000));
    let stat = run(args!["stat", &out, "etc/passwd", "--layer", "2"]);
    assert!(stat.done().contains("character special"), "{}", stat.text());
}

#[test]
fn the_same_bytes_however_the_work_is_shared() {
    let dir = Dir::new();
    let source = layout(&dir);
    let (one, two) = (dir.path("one"), dir.path("two"));
    convert(&source.path, &one, &["--jobs", "1", "--threads", "1"]);
    convert(&source.path, &two, &["--jobs", "3", "--threads", "4"]);
    assert_eq!(
        names(&one.join("blobs/sha256")),
        names(&two.join("blobs/sha256"))
    );
    assert_eq!(index_of(&one), index_of(&two));
    // Once more, into the same layout: nothing is there twice.
    convert(&source.path, &one, &[]);
    assert_eq!(index_of(&one), index_of(&two));
}

#[test]
fn layers_in_every_form() {
    let dir = Dir::new();
    let source = layout(&dir);
    for (options, media_type) in [
        (&["--wrap", "none"][..], "application/vnd.erofs.layer.v1"),
        (&["--wrap", "gzip"], "application/vnd.erofs.layer.v1+gzip"),
        (&["--media-type", "draft"], "application/vnd.erofs+zstd"),
        (
            &["--index", "zstd-seekable"],
            "application/vnd.erofs.layer.v1+zstd",
        ),
        (
            &["--verity", "append"],
            "application/vnd.erofs.layer.v1+zstd",
        ),
        (&["--inline-data"], "application/vnd.erofs.layer.v1+zstd"),
    ] {
        let out = dir.path(&options.join(" "));
        convert(&source.path, &out, options);
        let manifest = document(&out, &index_of(&out)["manifests"][0]);
        assert_eq!(
            manifest["layers"][2]["mediaType"], media_type,
            "{options:?}"
        );
        run(args!["check", &out, "--level", "full"]).done();
        let run = run(args!["cat", &out, "last", "--layer", "3"]);
        assert_eq!(run.code(), 0, "{}", run.stderr);
        assert!(run.stdout == noise(2, 5000), "{options:?}");
    }
}

#[test]
fn a_layer_gives_one_image_however_it_was_compressed() {
    let dir = Dir::new();
    let tar = tar(&dir, &[("a", b"a"), ("b/c", &noise(3, 9000))]);
    let mut digests = Vec::new();
    for media_type in [TAR, TAR_GZIP, TAR_ZSTD, DOCKER_TAR] {
        // Docker's plain type may be compressed all the same.
        let mut layer = Layer::new(media_type, &tar);
        if media_type == DOCKER_TAR {
            layer.blob = gzip(&tar);
        }
        let name = media_type.replace('/', "-");
        let source = Layout::of(dir.path(&format!("{name}-in")), &[layer]);
        let report = convert(&source.path, &dir.path(&name), &[]);
        digests.push(report["images"][0]["layers"][0]["digest"].clone());
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "{digests:?}");
}

#[test]
fn erofs_layers_are_wrapped_anew() {
    let dir = Dir::new();
    let source = Layout::of(dir.path("source"), &three_layers());
    let out = dir.path("out");
    let report = convert(&source.path, &out, &[]);
    for (number, layer) in three_layers().iter().enumerate() {
        let converted = &report["images"][0]["layers"][number];
        assert_eq!(converted["diffId"], layer.diff_id.as_str());
        assert!(converted["filesReadBack"].is_null());
    }
    run(args!["check", &out, "--level", "full"]).done();
}

#[test]
fn the_original_stays_beside_it_and_all_platforms_are_converted() {
    let dir = Dir::new();
    let mut source = layout(&dir);
    let layer = Layer::new(TAR_GZIP, &tar(&dir, &[("arm", b"arm")]));
    let arm = source.image_for("arm64", &[layer]);
    source.entries.push(arm);
    source.save();
    let out = dir.path("out");
    let report = convert(&source.path, &out, &["--all", "--keep-original"]);
    assert_eq!(report["images"].as_array().unwrap().len(), 2);
    let index = index_of(&out);
    for (number, architecture) in ["amd64", "arm64"].iter().enumerate() {
        let both = document(&out, &index["manifests"][number]);
        let [new, old] = &both["manifests"].as_array().unwrap()[..] else {
            panic!("{both}");
        };
        assert_eq!(new["platform"]["architecture"], *architecture);
        assert_eq!(new["platform"]["os.features"], json!(["erofs"]));
        assert_eq!(old["digest"], source.entries[number]["digest"]);
        for descriptor in document(&out, old)["layers"].as_array().unwrap() {
            let hex = descriptor["digest"]
                .as_str()
                .unwrap()
                .replace("sha256:", "");
            let blob = content(&out.join("blobs/sha256").join(hex));
            assert_eq!(sha256(&blob), *descriptor["digest"].as_str().unwrap());
        }
    }
    // The old one says that it is EROFS too, as the layouts of these tests do.
    let digest = document(&out, &index["manifests"][0])["manifests"][0]["digest"].clone();
    run(args!["check", &out, "--digest", digest.as_str().unwrap()]).done();
}

#[test]
fn an_archive_is_a_source_and_a_layout_keeps_its_images() {
    let dir = Dir::new();
    let source = layout(&dir);
    let archive = dir.path("archive.tar");
    let status = Command::new("tar")
        .arg("-C")
        .arg(&source.path)
        .arg("-cf")
        .args([&archive, Path::new(".")])
        .status();
    assert!(status.unwrap().success());
    let out = dir.path("out");
    convert(&archive, &out, &[]);
    let mut other = Layout::new(dir.path("other"));
    let layer = Layer::new(TAR, &tar(&dir, &[("other", b"other")]));
    other.add(&[layer], json!({"annotations": {REF_NAME: "v2"}}));
    convert(&other.path, &out, &[]);
    let names: Vec<_> = index_of(&out)["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["annotations"][REF_NAME].clone())
        .collect();
    assert_eq!(names, ["v1", "v2"]);
}

#[test]
fn a_bad_layer_leaves_nothing() {
    let dir = Dir::new();
    let good = tar(&dir, &[("good", &noise(4, 100_000))]);
    let mut flipped = Layer::new(TAR_GZIP, &good);
    let middle = flipped.blob.len() / 2;
    let mut wrong = Layer::new(TAR_GZIP, &good);
    wrong.diff_id = sha256(b"another");
    let cut = Layer::new(TAR_ZSTD, &good[..good.len() / 2]);
    let mut upwards = good.clone();
    upwards[..8].copy_from_slice(b"../../x\0");
    let sum = upwards[..512]
        .iter()
        .enumerate()
        .map(|(at, byte)| match at {
            148..156 => u32::from(b' '),
            _ => u32::from(*byte),
        });
    let sum = format!("{:06o}\0 ", sum.sum::<u32>());
    upwards[148..156].copy_from_slice(sum.as_bytes());
    let upwards = Layer::new(TAR, &upwards);
    let unknown = Layer::new("application/vnd.example", &good);
    let cases = [
        (flipped.clone(), "blob-digest"),
        (wrong, "diff-id"),
        (cut, "tar-truncated"),
        (upwards, "build-path"),
        (unknown, "media-type-unknown"),
    ];
    flipped.blob[middle] ^= 1;
    for (layer, code) in cases {
        let first = Layer::new(TAR, &good);
        let source = Layout::of(dir.path(&format!("in-{code}")), &[first, layer.clone()]);
        if code == "blob-digest" {
            fs::write(source.blob_path(&sha256(&layer.blob)), &flipped.blob).unwrap();
        }
        let out = dir.path(&format!("out-{code}"));
        let run = run(args!["convert", &source.path, &out, "--json"]);
        assert_eq!(run.code(), 1, "{code}: {}", run.stderr);
        assert_eq!(run.json()["error"]["id"], code);
        assert_eq!(run.json()["images"], json!([]));
        assert!(!out.exists(), "{code}");
    }
}

#[test]
fn a_folder_with_something_else_is_not_touched() {
    let dir = Dir::new();
    let source = layout(&dir);
    let out = dir.path("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("mine"), "mine").unwrap();
    let run = run(args!["convert", &source.path, &out]);
    assert!(
        run.line(2).contains("holds something else"),
        "{}",
        run.stderr
    );
    assert_eq!(names(&out), ["mine"]);
}
