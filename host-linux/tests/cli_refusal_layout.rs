//! Bad layouts: one clear line, exit 1, nothing under the final name, nothing on stdout.

mod common;

use std::ffi::OsString;
use std::fs;

use common::*;
use serde_json::{Value, json};

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
fn an_entry_that_cannot_be_used_is_named_and_passed_over() {
    let dir = Dir::new();
    let mut layout = Layout::new(dir.path("layout"));
    let layers = three_layers();
    let name = |name: &str| json!({"org.opencontainers.image.ref.name": name});
    let platform = |architecture: &str| json!({"os": "linux", "architecture": architecture});
    let good = json!({"annotations": name("v1"), "platform": platform("amd64")});
    layout.add(&layers, good);
    let foreign = format!("blake3:{}", "ab".repeat(32));
    let entry = json!({"mediaType": MANIFEST, "digest": foreign, "size": 9});
    let bad = json!({"annotations": name("v2"), "platform": platform("riscv64")});
    layout.add_entry(entry.clone(), bad);
    let unpack = |more: &[&str]| {
        let args = args!["unpack", layout.path, "--verify-only"];
        run([args, more.iter().map(OsString::from).collect()].concat())
    };
    for run in [unpack(&[]), unpack(&["--ref", "v1"])] {
        assert_eq!(run.code(), 0, "{}", run.stderr);
        let line = run.stderr.trim_end();
        assert!(line.contains("warning: an entry of the index is passed over: digest: names an"));
        assert!(line.contains("(manifests[1].digest)"), "{line}");
    }
    let text =
        "SOURCE/index.json: digest: names an algorithm other than sha256 and sha512, at byte";
    for run in [
        unpack(&["--ref", "v2"]),
        unpack(&["--platform", "linux/riscv64"]),
        unpack(&["--ref", "v2", "--platform", "linux/riscv64"]),
    ] {
        let line = run.line(1).replace(layout.path.to_str().unwrap(), "SOURCE");
        assert!(line.starts_with(text), "{line}");
    }
    let json = run(args![
        "unpack",
        layout.path,
        "--ref=v2",
        "--verify-only",
        "--json"
    ]);
    assert_eq!(json.json()["error"]["field"], "manifests[1].digest");
    let shown = run(args!["inspect", layout.path]);
    assert!(
        shown.text().contains("manifests[1].digest"),
        "{}",
        shown.text()
    );
    let checked = run(args!["check", layout.path, "--ref=v1"]);
    assert_eq!(checked.code(), 0);
    assert!(
        checked.stderr.contains("manifests[1].digest"),
        "{}",
        checked.stderr
    );
    // Many are not told one by one.
    for _ in 0..20 {
        layout.add_entry(entry.clone(), json!({}));
    }
    let many = run(args!["unpack", layout.path, "--ref=v1", "--verify-only"]);
    assert_eq!(many.stderr.lines().count(), 9, "{}", many.stderr);
    assert!(
        many.stderr
            .contains("13 more entries of the index are passed over")
    );
}

#[test]
fn an_entry_that_cannot_be_used_and_may_be_meant_is_refused() {
    let dir = Dir::new();
    let mut layout = Layout::new(dir.path("layout"));
    let name = |name: &str| json!({"org.opencontainers.image.ref.name": name});
    let here = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        other => other,
    };
    let platform = json!({"os": "linux", "architecture": here});
    let more = json!({"annotations": name("v1"), "platform": platform});
    let digest = layout.add(&three_layers(), more);
    let entry = json!({"mediaType": MANIFEST, "digest": "blake3:00", "size": 9});
    let unpack = |layout: &Layout, more: &[&str]| {
        let args = args!["unpack", layout.path, "--verify-only"];
        run([args, more.iter().map(OsString::from).collect()].concat())
    };
    // An artifact is no image, whether or not it can be used.
    let artifact = json!({"platform": platform, "artifactType": "application/vnd.example"});
    layout.add_entry(entry.clone(), artifact);
    let done = unpack(&layout, &[]);
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert!(
        done.stderr.contains("(manifests[1].digest)"),
        "{}",
        done.stderr
    );
    // Which of two images for this machine is meant is not clear.
    let more = json!({"annotations": name("v2"), "platform": platform});
    layout.add_entry(entry, more);
    let refused = unpack(&layout, &[]);
    let line = refused.line(1);
    let end = format!(
        ": this entry may be the one that is meant; the one that can be used is taken with \
         --digest {digest}"
    );
    assert!(line.contains("(manifests[2].digest)"), "{line}");
    assert!(line.ends_with(&end), "{line}");
    for more in [["--ref", "v1"], ["--digest", &digest]] {
        assert_eq!(unpack(&layout, &more).code(), 0);
    }
    let shown = run(args!["inspect", layout.path]);
    assert!(
        shown.done().contains("no image is chosen: "),
        "{}",
        shown.text()
    );
    assert!(shown.text().contains("(manifests[2].digest)"));
}

#[test]
fn lists_that_are_null_are_empty() {
    let dir = Dir::new();
    let layout = Layout::new(dir.path("layout"));
    let write = |index: &str| fs::write(layout.path.join("index.json"), index).unwrap();
    write(r#"{"schemaVersion":2,"manifests":null}"#);
    let line = refuse_layout(&layout, 1);
    assert!(line.ends_with(": holds no image"), "{line}");
    let config = layout.document(CONFIG, &json!({}));
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": null});
    let entry = layout.document(MANIFEST, &manifest);
    write(&index(&[entry]).to_string());
    let line = refuse_layout(&layout, 1);
    assert!(line.contains(": image manifest: has no layers"), "{line}");
}

#[test]
fn the_only_image_for_the_host_is_not_replaced_by_one_for_another() {
    let dir = Dir::new();
    let mut layout = Layout::new(dir.path("layout"));
    let here = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        other => other,
    };
    let platform = |architecture: &str| json!({"os": "linux", "architecture": architecture});
    layout.add(&three_layers(), json!({"platform": platform("mips64le")}));
    let foreign = json!({"mediaType": MANIFEST, "digest": "blake3:00", "size": 9});
    layout.add_entry(foreign, json!({"platform": platform(here)}));
    let run = run(args!["unpack", layout.path, "--verify-only"]);
    assert!(
        run.line(1).contains("(manifests[1].digest)"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_type_that_is_no_layers_is_printed_and_can_be_overridden() {
    let dir = Dir::new();
    let stacker = "application/vnd.stacker.image.layer.erofs+zstd";
    // Their suffix is about the files in the image.
    let mut layers: Vec<_> = (1..=3)
        .map(|number| Layer::new(EROFS, &image(number, 4)))
        .collect();
    layers[0].media_type = stacker.into();
    layers[2].media_type = stacker.into();
    let layout = Layout::of(dir.path("layout"), &layers);
    let unpack = |more: &[&str]| {
        let args = args!["unpack", layout.path, "--verify-only"];
        run([args, more.iter().map(OsString::from).collect()].concat())
    };
    let refused = unpack(&[]);
    let end = format!(
        ": media type: is not a layer type that can be unpacked, in layer 1: found stacker's type \
         of an EROFS image, expected application/vnd.erofs: {stacker} (unpack --layer 1 \
         --media-type application/vnd.erofs takes it for an image as it is)"
    );
    assert!(refused.line(1).ends_with(&end), "{}", refused.stderr);
    let shown = run(args!["inspect", layout.path]);
    assert!(shown.text().contains("stacker's type"), "{}", shown.text());
    for number in 1..=3 {
        let layer = format!("--layer={number}");
        let done = unpack(&[&layer, "--media-type", EROFS]);
        let diff_id = &layers[number - 1].diff_id;
        assert_eq!(done.done(), format!("layer {number}: verified {diff_id}\n"));
    }
    // It is what it was said to be, or is refused.
    let refused = unpack(&["--layer=1", "--media-type", EROFS_GZIP]);
    assert!(
        refused.line(1).contains("is a plain EROFS image"),
        "{}",
        refused.stderr
    );
    let refused = unpack(&["--layer=1", "--media-type", stacker]);
    assert!(
        refused
            .line(1)
            .starts_with("--media-type application/vnd.stacker")
    );
    let refused = unpack(&["--layer=4", "--media-type", EROFS]);
    assert!(
        refused.line(2).contains("has 3 layers"),
        "{}",
        refused.stderr
    );
    let other = "application/vnd.example+x";
    layers[0].media_type = other.into();
    let layout = Layout::of(dir.path("other"), &layers);
    let refused = run(args!["unpack", layout.path, "--verify-only"]);
    let end = format!("that can be unpacked, in layer 1: {other}");
    assert!(refused.line(1).ends_with(&end), "{}", refused.stderr);
}

#[test]
fn a_layer_may_lie_in_its_descriptor_or_elsewhere() {
    let dir = Dir::new();
    let layers = &three_layers()[..2];
    let layout = Layout::new(dir.path("layout"));
    let digests: Vec<_> = layers.iter().map(|layer| sha256(&layer.blob)).collect();
    let entry = layout.image(layers);
    let path = layout.blob_path(entry["digest"].as_str().unwrap());
    let mut manifest: Value = serde_json::from_slice(&content(&path)).unwrap();
    let save = |manifest: &Value| {
        let entry = layout.document(MANIFEST, manifest);
        fs::write(layout.path.join("index.json"), index(&[entry]).to_string()).unwrap();
    };
    manifest["layers"][1]["data"] = base64(&layers[1].blob).into();
    save(&manifest);
    fs::remove_file(layout.blob_path(&digests[1])).unwrap();
    let expected: String = (1..)
        .zip(layers)
        .map(|(number, layer)| format!("layer {number}: verified {}\n", layer.diff_id))
        .collect();
    let unpacked = run(args!["unpack", layout.path, "--verify-only"]);
    assert_eq!(unpacked.done(), expected);
    assert_eq!(run(args!["check", layout.path]).code(), 0);
    let shown = run(args!["inspect", layout.path, "--json"]);
    assert_eq!(
        shown.json()["layout"]["image"]["layers"][1]["status"],
        "stated"
    );
    // Where it is not there, its addresses are told; nothing is fetched.
    let url = |number| json!(format!("https://example.com/\u{1b}[2J{number}"));
    manifest["layers"][0]["urls"] = (1..=5).map(url).collect();
    save(&manifest);
    let there = run(args!["unpack", layout.path, "--verify-only"]);
    assert_eq!(there.done(), expected);
    fs::remove_file(layout.blob_path(&digests[0])).unwrap();
    assert_eq!(run(args!["check", layout.path]).code(), 3);
    let missing = run(args!["unpack", layout.path, "--verify-only"]);
    let line = missing.line(3);
    let end = "cannot open the blob: it is not there, and its descriptor names \
               https://example.com/\\x1b[2J1, https://example.com/\\x1b[2J2, \
               https://example.com/\\x1b[2J3 and 2 more";
    assert!(line.ends_with(end), "{line}");
    // Without its config the platform says which image it is.
    let mut entry = layout.document(MANIFEST, &manifest);
    entry["platform"] = json!({"os": "linux", "architecture": "mips64le"});
    let listed = |entry: &Value| {
        let index = index(core::slice::from_ref(entry)).to_string();
        fs::write(layout.path.join("index.json"), index).unwrap();
    };
    listed(&entry);
    let config = manifest["config"]["digest"].as_str().unwrap();
    fs::remove_file(layout.blob_path(config)).unwrap();
    let missing = run(args!["unpack", layout.path, "--verify-only"]);
    let end = "cannot open the blob: No such file or directory: the image for linux/mips64le is \
               not in the layout";
    assert!(missing.line(3).ends_with(end), "{}", missing.stderr);
    // So are the addresses of its manifest.
    fs::remove_file(layout.blob_path(entry["digest"].as_str().unwrap())).unwrap();
    entry["urls"] = json!(["https://example.com/\u{1b}[2J"]);
    listed(&entry);
    let missing = run(args!["unpack", layout.path, "--verify-only"]);
    let end = "cannot open the blob: it is not there, and its descriptor names \
               https://example.com/\\x1b[2J: the image for linux/mips64le is not in the layout";
    assert!(missing.line(3).ends_with(end), "{}", missing.stderr);
}

/// Bytes in base64, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            if place <= chunk.len() {
                let digit = (bits >> (18 - 6 * place)) & 63;
                text.push(char::from(DIGITS[digit as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
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
    fs::write(dir.path("empty/index.json"), "{}").unwrap();
    let refused = run(&dir.path("empty").into());
    let line = refused.line(1);
    assert!(
        line.contains("has index.json without the file oci-layout"),
        "{line}"
    );
    let docker = [tar_member("manifest.json", b"[]"), vec![0; 1024]].concat();
    let refused = run(&dir.write("docker.tar", docker).into());
    assert!(refused.line(1).contains(": is a docker archive "));
    let tar = [tar_member("etc/passwd", b"x"), vec![0; 1024]].concat();
    let refused = run(&dir.write("layer.tar", tar).into());
    assert!(refused.line(1).contains(": image: is a tar archive"));

    // An archive that is cut inside of a member: as one, or as the blob that it then looks like.
    let layout = Layout::of(dir.path("layout"), &three_layers()[2..]);
    let archive = layout.archive(true);
    for length in [512, 1000, 1024, 2048, archive.len() - 1700] {
        let path = dir.write("cut.tar", &archive[..length]);
        let refused = run(&path.clone().into());
        let line = refused.line(1);
        assert!(line.starts_with(path.to_str().unwrap()), "{line}");
    }
    assert!(!dir.path("out").exists());
}
