//! The check of the layers of a layout.
#![allow(
    clippy::disallowed_methods,
    clippy::std_instead_of_alloc,
    reason = "a test may panic, and has std"
)]

mod common;

use std::fs;
use std::path::Path;

use common::device::*;
use common::*;
use serde_json::json;

#[test]
fn every_layer_of_a_layout_is_checked() {
    let dir = Dir::new();
    let good = Layout::of(dir.path("good"), &three_layers());
    let archive = dir.write("good.tar", good.archive(true));
    for source in [&good.path, &archive] {
        let told = run(args!["check", source]);
        let text = told.done();
        assert!(text.contains("layer 1: passed: 1 inode, "), "{text}");
        assert!(text.ends_with(": passed: 3 layers\n"), "{text}");
        assert_eq!(run(args!["check", source, "-q"]).done(), "");
    }
    // One that breaks rules, one that is not what its digest says, and good ones around them.
    let bad = changed(with_device(2), FILE + 8, &12288_u32.to_le_bytes());
    let [device, broken] = pair(&noise(7, 8192), &bad);
    let [first, second, third] = three_layers();
    let layers = [first, device, broken, second.clone(), third];
    let layout = Layout::of(dir.path("bad"), &layers);
    let swapped = layout.blob_path(&sha256(&second.blob));
    let mut bytes = fs::read(&swapped).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&swapped, bytes).unwrap();
    let told = run(args!["check", layout.path]);
    assert_eq!(told.code(), 1, "{}", told.stderr);
    assert_eq!(told.stderr, "");
    let text = told.text();
    let mut rest = text;
    for part in [
        "layer 1: passed: ",
        "layer 2: verified: device, nothing to check\n",
        "\nlayer 3: refused: 2 inodes, 1 error, ",
        "\n  error file-bounds: ",
        "\n    /f: file: ",
        "\nlayer 4: refused: ",
        "\nlayer 5: passed: ",
        ": refused: 2 of 5 layers\n",
    ] {
        let place = rest.find(part);
        let place = place.unwrap_or_else(|| panic!("{part:?} is not where it belongs in {text}"));
        rest = &rest[place..];
    }
    let report = run(args!["check", layout.path, "--json"]).json();
    let status = |place: usize| report["layers"][place]["status"].as_str().unwrap();
    assert_eq!(
        [0, 1, 2, 3, 4].map(status),
        ["passed", "verified", "refused", "refused", "passed"]
    );
    assert_eq!(report["outcome"], "refused");
    assert_eq!(
        report["layers"][2]["findings"][0]["places"][0]["path"],
        "/f"
    );
    assert_eq!(report["layers"][3]["error"]["id"], "blob-digest");
    assert!(report["image"]["manifest"].is_string());

    for more in [&["--device", "x"][..], &["--known-devices", "1"]] {
        let mut all = args!["check", good.path];
        all.extend(more.iter().map(Into::into));
        assert!(run(all).line(2).starts_with(more[0]));
    }
    let told = run(args!["check", good.path, "--ref", "other"]);
    assert_eq!(told.code(), 2, "{}", told.stderr);
    let told = run(args!["check", archive, "--allow", "no-such-rule"]);
    assert_eq!(told.code(), 2, "{}", told.stderr);
}

#[test]
fn a_refusal_outranks_a_layer_that_cannot_be_read() {
    let dir = Dir::new();
    let layers = three_layers();
    let layout = Layout::of(dir.path("missing"), &layers);
    fs::remove_file(layout.blob_path(&sha256(&layers[1].blob))).unwrap();
    let told = run(args!["check", layout.path]);
    assert_eq!(told.code(), 3);
    let line = one_line(&told.stderr);
    assert!(line.starts_with("layer 2: "), "{line}");
    assert!(line.contains("No such file"), "{line}");
    let text = told.text();
    assert!(text.contains("\nlayer 2: failed: "), "{text}");
    assert!(text.contains("\nlayer 3: passed: "), "{text}");
    assert!(text.ends_with(": failed: 1 of 3 layers\n"), "{text}");
    let report = run(args!["check", layout.path, "--json"]).json();
    assert_eq!(report["outcome"], "failed");
    assert_eq!(report["exitCode"], 3);
    assert_eq!(report["layers"][1]["status"], "failed");
    assert_eq!(report["layers"][1]["error"]["id"], "environment");

    let [first, second, _] = layers;
    let bad = Layer::new(EROFS, &changed(with_device(2), FILE + 4, &[0xff, 0xff]));
    let layout = Layout::of(dir.path("both"), &[first, second.clone(), bad]);
    fs::remove_file(layout.blob_path(&sha256(&second.blob))).unwrap();
    let told = run(args!["check", layout.path]);
    assert_eq!(told.code(), 1, "{}", told.stderr);
    let text = told.text();
    assert!(
        text.ends_with(": refused: 1 of 3 layers, and 1 failed\n"),
        "{text}"
    );
    let report = run(args!["check", layout.path, "--json"]).json();
    assert_eq!(report["outcome"], "refused");
}

#[test]
fn a_tar_layer_is_refused_by_name() {
    let dir = Dir::new();
    let [first, ..] = three_layers();
    let tar = tar_member("file", b"content");
    for (name, kind, content) in [
        ("typed", "application/vnd.oci.image.layer.v1.tar", &tar[..]),
        ("mistyped", EROFS, &tar),
    ] {
        let layout = Layout::of(dir.path(name), &[first.clone(), Layer::new(kind, content)]);
        let told = run(args!["check", layout.path]);
        assert_eq!(told.code(), 1, "{}", told.stderr);
        let said = format!("{}{}", told.text(), told.stderr);
        assert!(said.contains("layer 2"), "{said}");
        assert!(said.contains("tar"), "{said}");
        let unpacked = run(args!["unpack", layout.path, "--verify-only"]);
        assert_eq!(unpacked.code(), 1, "{}", unpacked.stderr);
        let report = run(args!["check", layout.path, "--json"]).json();
        let error = match name {
            "typed" => &report["error"],
            _ => &report["layers"][1]["error"],
        };
        // The two say the same.
        let message = error["message"].as_str().unwrap();
        assert!(said.contains(message), "{said}");
        assert!(unpacked.stderr.contains(message), "{}", unpacked.stderr);
    }
}

#[test]
fn an_image_of_several_is_chosen_as_for_unpack() {
    let dir = Dir::new();
    let mut layout = Layout::new(dir.path("layout"));
    let [first, second, _] = three_layers();
    let bad = Layer::new(EROFS, &changed(with_device(2), FILE + 4, &[0xff, 0xff]));
    let name = |name: &str| serde_json::json!({ "annotations": { REF_NAME: name } });
    layout.add(&[first, second], name("good"));
    layout.add(&[bad], name("bad"));
    layout.save();
    let told = run(args!["check", layout.path]);
    let line = told.line(2);
    assert!(line.contains("good") && line.contains("bad"), "{line}");
    let told = run(args!["check", layout.path, "--ref", "good"]);
    assert!(told.done().ends_with(": passed: 2 layers\n"));
    let told = run(args!["check", layout.path, "--ref", "bad"]);
    assert_eq!(told.code(), 1);
    assert!(told.text().ends_with(": refused: 1 of 1 layer\n"));
    let wrong = ["--ref", "good", "--platform", "linux/s390x"];
    let mut all = args!["check", layout.path];
    all.extend(wrong.iter().map(Into::into));
    assert!(run(all).line(1).contains("linux/s390x"));
}

#[test]
fn a_breach_is_told_with_its_reason_and_what_to_do() {
    let dir = Dir::new();
    let image = dir.write("image.erofs", with_device(1));
    let text = run(args!["check", image, "-v"]);
    let text = text.text();
    assert!(text.contains("\n  why: policy ("), "{text}");
    assert!(text.contains("\n  --device FILE "), "{text}");
    let text = run(args!["check", image, "-q"]);
    assert!(!text.text().contains("--device"), "{}", text.text());
    // In a layout the manifest says what belongs to it.
    let bad = changed(with_device(2), FILE + 4, &[0xff, 0xff]);
    let out = dir.path("out");
    let layout = Layout::of(dir.path("layout"), &pair(&noise(7, 8192), &bad));
    let checked = run(args!["check", layout.path, "-v"]);
    let unpacked = run(args!["unpack", layout.path, "-o", out, "-v"]);
    assert!(!checked.text().contains("--device"));
    // Both tell it in the same lines.
    let reason = "  why: ";
    let lines = |text: &str, prefix: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
        lines
            .filter(|line| line.starts_with("error ") || line.starts_with("  "))
            .map(ToOwned::to_owned)
            .collect()
    };
    let told = lines(&unpacked.stderr, "erofs-unpack: ");
    assert!(
        told.iter().any(|line| line.starts_with(reason)),
        "{}",
        unpacked.stderr
    );
    let in_check = lines(checked.text(), "  ");
    assert!(in_check.ends_with(&told), "{in_check:?} and {told:?}");
}

/// What containerd does with an image is said where it is concerned.
#[test]
fn what_containerd_cannot_run_is_told() {
    let dir = Dir::new();
    let lz4 = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/bases/lz4.erofs");
    let layers = [
        Layer::new(EROFS, &image(1, 40)),
        Layer::new(EROFS_ZSTD, &fs::read(&lz4).unwrap()),
    ];
    let layout = Layout::of(dir.path("compressed"), &layers).path;
    let is_warned = |told: &str| told.contains("layer 2 has compressed files, ");
    let told = run(args!["check", layout]);
    told.done();
    assert!(is_warned(&told.stderr), "{}", told.stderr);
    assert!(!told.stderr.contains("layer 1 has"), "{}", told.stderr);
    let report = run(args!["check", layout, "--json"]).json();
    assert!(
        is_warned(report["warnings"][0].as_str().unwrap()),
        "{report}"
    );
    assert!(is_warned(run(args!["inspect", layout]).done()));
    let told = run(args!["unpack", layout, "-o", dir.path("out/")]);
    told.done();
    assert!(is_warned(&told.stderr), "{}", told.stderr);
    for policy in ["any", "strict"] {
        let told = run(args!["check", layout, "--policy", policy]);
        told.done();
        assert!(!told.stderr.contains("warning: "), "{}", told.stderr);
    }
    let told = run(args!["check", lz4]);
    told.done();
    assert!(
        told.stderr
            .contains("warning: the image has compressed files, ")
    );
    assert_eq!(run(args!["check", lz4, "-q"]).done(), "");

    // Without the feature it goes to another snapshotter.
    let mut layout = Layout::new(dir.path("plain"));
    let layer = Layer::new(EROFS, &image(1, 40));
    let config = layout.document(
        CONFIG,
        &json!({"os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]}}),
    );
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [layout.blob(EROFS, &layer.blob)],
    });
    let manifest = layout.document(MANIFEST, &manifest);
    layout.add_entry(manifest, json!({}));
    let told = run(args!["check", layout.path]);
    told.done();
    let text = &told.stderr;
    assert!(
        text.contains("warning: the config does not name erofs"),
        "{text}"
    );
    assert!(text.contains("snapshotter"), "{text}");
}
