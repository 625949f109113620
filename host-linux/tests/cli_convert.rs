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

use common::*;
use serde_json::{Value, json};

const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
const TAR_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const TAR_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const DOCKER_TAR: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// A tar archive of these files, in this order.
fn tar(dir: &Dir, files: &[(&str, &[u8])]) -> Vec<u8> {
    let folder = dir.path("tree");
    let _ = fs::remove_dir_all(&folder);
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let output = Command::new("tar")
        .arg("-C")
        .arg(&folder)
        .args([
            "--sort=name",
            "--mtime=@1700000000",
            "--owner=0",
            "--group=0",
        ])
        .args(["--numeric-owner", "-cf", "-", "."])
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}

/// A layout with an image of three tar layers, the second of which covers a file of the first.
fn layout(dir: &Dir) -> Layout {
    let base = tar(
        dir,
        &[
            ("etc/passwd", b"root"),
            ("usr/bin/tool", &noise(1, 300_000)),
        ],
    );
    let top = tar(dir, &[("etc/.wh.passwd", b""), ("etc/hosts", b"localhost")]);
    let last = tar(dir, &[("last", &noise(2, 5000))]);
    let layers = [
        Layer::new(TAR_GZIP, &base),
        Layer::new(TAR_ZSTD, &top),
        Layer::new(TAR, &last),
    ];
    let mut layout = Layout::new(dir.path("source"));
    layout.add(&layers, json!({"annotations": {REF_NAME: "v1"}}));
    layout
}

fn convert(source: &Path, destination: &Path, options: &[&str]) -> Value {
    let mut arguments = args![
        "convert",
        source,
        destination,
        "--json",
        "--chunk-size",
        "64KiB"
    ];
    arguments.extend(options.iter().map(Into::into));
    let run = run(arguments);
    run.done();
    run.json()
}

/// A document of a layout, by its descriptor.
fn document(layout: &Path, descriptor: &Value) -> Value {
    let digest = descriptor["digest"].as_str().unwrap();
    let hex = digest.strip_prefix("sha256:").unwrap();
    let bytes = content(&layout.join("blobs/sha256").join(hex));
    assert_eq!(sha256(&bytes), digest);
    assert_eq!(descriptor["size"], bytes.len());
    serde_json::from_slice(&bytes).unwrap()
}

fn index(layout: &Path) -> Value {
    serde_json::from_slice(&content(&layout.join("index.json"))).unwrap()
}

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

    let index = index(&out);
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
    assert_eq!(index(&one), index(&two));
    // Once more, into the same layout: nothing is there twice.
    convert(&source.path, &one, &[]);
    assert_eq!(index(&one), index(&two));
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
        let manifest = document(&out, &index(&out)["manifests"][0]);
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
    let index = index(&out);
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
    let names: Vec<_> = index(&out)["manifests"]
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
    assert_eq!(index(&first), index(&second));
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
        document(&out, &index(&out)["manifests"][0])["layers"][0]["mediaType"],
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
        assert_eq!(index(&out), index(&first));
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
    assert_eq!(index(&out), index(&first));
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
