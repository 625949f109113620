//! Which image of a layout is meant, and what of it is never looked at.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use common::*;
use serde_json::{Value, json};

#[test]
fn references_choose_an_image() {
    let dir = Dir::new();
    let layers = three_layers();
    let mut layout = Layout::new(dir.path("layout"));
    layout.add(&layers[..1], json!({"annotations": {REF_NAME: "one"}}));
    let newline = json!({"annotations": {REF_NAME: "two\nlines\u{1b}[31m"}});
    layout.add(&layers[1..2], newline);
    layout.add(
        &layers[2..],
        json!({"annotations": {"io.containerd.image.name": "example.org/three:1"}}),
    );
    let out = dir.path("out");
    run_all_ways(&layout, &dir, |unpack| {
        let out = out.to_str().unwrap();
        let several = unpack(&["-o", out]);
        assert!(
            several.line(2).ends_with(
                ": holds several images: choose one with --ref: \
                 one, two\\nlines\\x1b[31m, example.org/three:1"
            ),
            "{}",
            several.stderr
        );
        let absent = unpack(&["-o", out, "--ref", "on"]);
        assert!(
            absent
                .line(2)
                .contains(": holds no image named on: there are: one, two\\nlines")
        );
        for (name, layer) in [
            ("one", &layers[0]),
            ("two\nlines\u{1b}[31m", &layers[1]),
            ("example.org/three:1", &layers[2]),
        ] {
            unpack(&["-o", out, "--ref", name]).done();
            assert_eq!(names(Path::new(out)), [layer.file(1), "image.json".into()]);
            fs::remove_dir_all(out).unwrap();
        }
    });
}

#[test]
fn platforms_choose_an_image() {
    let dir = Dir::new();
    let mut layout = Layout::new(dir.path("layout"));
    let platform = |architecture: &str, variant: &str, features: &[&str]| {
        json!({"platform": {
            "os": "linux", "architecture": architecture, "variant": variant,
            "os.features": features,
        }})
    };
    let mut entries = Vec::new();
    for (seed, architecture, variant, features) in [
        (1, "amd64", "", &[][..]),
        (2, "amd64", "", &["erofs"]),
        (3, "arm64", "", &["erofs"]),
        (4, "arm", "v7", &["erofs"]),
        (5, "riscv64", "", &["sixdegrees"]),
    ] {
        let layer = Layer::new(EROFS, &image(seed, 1));
        let mut entry = layout.image_for(architecture, &[layer]);
        let more = platform(architecture, variant, features);
        entry["platform"] = more["platform"].clone();
        entries.push(entry);
    }
    // An attestation is nobody's platform.
    let mut attestation = layout.image_for("unknown", &[Layer::new(EROFS, &image(9, 1))]);
    attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    entries.push(attestation);
    // As buildx writes it: an index in the index.
    let nested = layout.document(INDEX, &index(&entries));
    let nested = layout.add_entry(nested, json!({"annotations": {REF_NAME: "demo"}}));
    let mut flat = Layout::new(dir.path("flat"));
    for entry in &entries {
        let digest = entry["digest"].as_str().unwrap();
        let from = layout.blob_path(digest);
        fs::copy(from, flat.blob_path(digest)).unwrap();
        let manifest: Value = serde_json::from_slice(&content(&layout.blob_path(digest))).unwrap();
        let blobs = manifest["layers"].as_array().unwrap().iter();
        for blob in blobs.chain([&manifest["config"]]) {
            let digest = blob["digest"].as_str().unwrap();
            fs::copy(layout.blob_path(digest), flat.blob_path(digest)).unwrap();
        }
        flat.add_entry(entry.clone(), json!({}));
    }
    let chosen = |path: &Path, more: &[&str]| {
        let mut arguments = args!["unpack", path, "--verify-only", "--json"];
        arguments.extend(more.iter().map(Into::into));
        run(arguments)
    };
    let digest = |place: usize| entries[place]["digest"].clone();
    for path in [&layout.path, &flat.path] {
        for (wanted, place) in [
            ("linux/amd64", 1),
            ("linux(+erofs)/amd64", 1),
            ("linux(+erofs+sixdegrees)/riscv64", 4),
            ("linux/x86_64", 1),
            ("linux/amd64/v3", 1),
            ("linux/arm64/v8", 2),
            ("linux/arm/v7", 3),
            ("linux/arm", 3),
        ] {
            let run = chosen(path, &["--platform", wanted]);
            assert_eq!(run.json()["image"]["manifest"], digest(place), "{wanted}");
        }
        let host = if cfg!(target_arch = "x86_64") {
            1
        } else if cfg!(target_arch = "aarch64") {
            2
        } else {
            continue;
        };
        assert_eq!(chosen(path, &[]).json()["image"]["manifest"], digest(host));
        // Features that nobody knows are not there.
        for wanted in ["linux/s390x", "linux/riscv64", "windows/amd64"] {
            let run = chosen(path, &["--platform", wanted]);
            assert_eq!(run.code(), 1);
            let line = one_line(&run.stderr);
            assert!(
                line.contains("image index: has no entry for the platform: found linux/amd64")
                    && line.ends_with(&format!("expected {wanted}")),
                "{line}"
            );
            assert_eq!(run.json()["error"]["id"], "platform-none");
            let told = "it needs the unknown feature sixdegrees of the operating system";
            assert_eq!(line.contains(told), wanted == "linux/riscv64", "{line}");
        }
    }
    for wrong in [
        "linux",
        "linux(+)/amd64",
        "linux/",
        "linux/amd64/v3/x",
        "li nux/amd64",
        "",
    ] {
        let run = run(args![
            "unpack",
            layout.path,
            "--verify-only",
            "--platform",
            wrong
        ]);
        assert!(run.line(2).starts_with("--platform "), "{wrong}");
    }
    // A digest pins one that the platform would not choose.
    let arm = digest(2);
    let pinned = chosen(&layout.path, &["--digest", arm.as_str().unwrap()]);
    assert_eq!(pinned.json()["image"]["manifest"], arm);
    let pinned = chosen(
        &layout.path,
        &["--digest", &nested, "--platform", "linux/arm"],
    );
    assert_eq!(pinned.json()["image"]["manifest"], digest(3));
}

#[test]
fn the_only_image_has_the_platform_that_is_asked_for() {
    let dir = Dir::new();
    let mut layout = Layout::new(dir.path("layout"));
    let entry = layout.image_for("s390x", &three_layers()[..1]);
    layout.add_entry(entry, json!({}));
    let verify = |more: &[&str]| {
        let mut arguments = args!["unpack", layout.path, "--verify-only"];
        arguments.extend(more.iter().map(Into::into));
        run(arguments)
    };
    // Whatever the host is: it was made by hand, or for another machine.
    verify(&[]).done();
    verify(&["--platform", "linux/s390x"]).done();
    let refused = verify(&["--platform", "linux/amd64"]);
    assert!(
        refused
            .line(1)
            .ends_with(": has no entry for the platform: found linux/s390x, expected linux/amd64"),
        "{}",
        refused.stderr
    );
}

/// The lines of a command that must not choose an image: every one that reads layouts.
fn not_chosen(layout: &Layout, more: &[&str]) -> Vec<String> {
    let dir = Dir::new();
    let cache = dir.path("cache");
    let mut told: Vec<Vec<String>> = Vec::new();
    for mut arguments in [
        args!["unpack", "--verify-only", layout.path],
        args!["unpack", layout.path, "-o", dir.path("out")],
        args!["check", "-q", layout.path],
        args!["cache", "put", cache, layout.path],
    ] {
        arguments.extend(more.iter().map(Into::into));
        let run = run(&arguments);
        assert_eq!(run.code(), 2, "{arguments:?}: {}", run.stderr);
        told.push(run.stderr.lines().map(str::to_owned).collect());
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(!dir.path("out").exists());
    assert!(!cache.exists() || names(&cache).is_empty());
    let json = run([
        args!["unpack", "--verify-only", "--json", layout.path],
        more.iter().map(Into::into).collect(),
    ]
    .concat());
    let error = &json.json()["error"];
    assert_eq!(error["id"], "image-ambiguous");
    assert_eq!(error["kind"], "mismatch");
    assert!(!error["message"].as_str().unwrap().contains('\n'));
    assert_eq!(
        error["choices"].as_array().unwrap().len(),
        told[0].len() - 1
    );
    told.remove(0)
}

#[test]
fn the_first_of_several_images_is_not_taken() {
    let dir = Dir::new();
    let layers = three_layers();
    // As two runs of `skopeo copy … oci:DIR` leave them.
    let mut layout = Layout::new(dir.path("unnamed"));
    let one = layout.add(&layers[..1], json!({}));
    let two = layout.add(&layers[1..2], json!({}));
    let lines = not_chosen(&layout, &[]);
    assert!(
        lines[0].ends_with(
            "holds several images without a name, or of the same one: choose one with --digest:"
        ),
        "{lines:#?}"
    );
    for (line, digest) in lines[1..].iter().zip([&one, &two]) {
        assert_eq!(*line, format!("  (no name)  linux(+erofs)/amd64  {digest}"));
    }
    let verify = |layout: &Layout, more: &[&str]| {
        let mut arguments = args!["unpack", "--verify-only", "--json", layout.path];
        arguments.extend(more.iter().map(Into::into));
        run(arguments).json()["image"]["manifest"].clone()
    };
    assert_eq!(verify(&layout, &["--digest", &two]), two);
    // As `ctr images export` writes two images of one tag.
    let mut layout = Layout::new(dir.path("tags"));
    let name =
        |full: &str| json!({"annotations": {REF_NAME: "1", "io.containerd.image.name": full}});
    let one = layout.add(&layers[..1], name("example.com/a:1"));
    let two = layout.add(&layers[1..2], name("example.com/b:1"));
    let lines = not_chosen(&layout, &[]);
    assert!(lines[0].ends_with(": holds several images: choose one with --ref:"));
    assert_eq!(
        lines[2],
        format!("  example.com/b:1, 1  linux(+erofs)/amd64  {two}")
    );
    let lines = not_chosen(&layout, &["--ref", "1"]);
    assert!(
        lines[0].contains(": 1 is the name of 2 images: choose one with --ref and its full name"),
        "{lines:#?}"
    );
    assert_eq!(verify(&layout, &["--ref", "example.com/a:1"]), one);
    // One name on two manifests, and an image of each platform of one name.
    let mut layout = Layout::new(dir.path("name"));
    let named = json!({"annotations": {REF_NAME: "v1"}});
    layout.add(&layers[..1], named.clone());
    layout.add(&layers[1..2], named.clone());
    let lines = not_chosen(&layout, &["--ref", "v1"]);
    assert!(
        lines[0].contains(": the name v1 is on 2 manifests: choose one with --digest"),
        "{lines:#?}"
    );
    let arm = layout.image_for("arm64", &layers[1..2]);
    layout.entries.pop();
    let arm = layout.add_entry(arm, named);
    assert_eq!(verify(&layout, &["--platform", "linux/arm64"]), arm);
    // In a nested index two are equally good.
    let mut layout = Layout::new(dir.path("nested"));
    let mut entries = Vec::new();
    for layer in &layers[..2] {
        let mut entry = layout.image(core::slice::from_ref(layer));
        entry["platform"] = json!({"os": "linux", "architecture": "amd64"});
        entries.push(entry);
    }
    let nested = layout.document(INDEX, &index(&entries));
    layout.add_entry(nested, json!({}));
    let lines = not_chosen(&layout, &["--platform", "linux/amd64"]);
    assert!(
        lines[0].ends_with(": holds 2 images for linux/amd64: choose one with --digest:"),
        "{lines:#?}"
    );
}

#[test]
fn one_digest_under_two_names_is_one_image() {
    let dir = Dir::new();
    let mut layout = Layout::new(dir.path("layout"));
    let layers = &three_layers()[..1];
    let digest = layout.add(layers, json!({"annotations": {REF_NAME: "v1"}}));
    layout.add(layers, json!({"annotations": {REF_NAME: "latest"}}));
    let run = run(args!["unpack", "--verify-only", "--json", layout.path]);
    assert_eq!(run.json()["image"]["manifest"], digest);
    assert_eq!(run.json()["image"]["names"], json!(["v1", "latest"]));
}

#[test]
fn artifacts_are_no_images() {
    let dir = Dir::new();
    let mut layout = Layout::new(dir.path("layout"));
    let empty = layout.blob("application/vnd.oci.empty.v1+json", b"{}");
    let signature = layout.blob("application/jose+json", b"signature");
    let document = json!({
        "schemaVersion": 2, "config": empty, "layers": [signature],
        "artifactType": "application/vnd.cncf.notary.signature",
    });
    let artifact = layout.document(MANIFEST, &document);
    let pin = layout.add_entry(artifact, json!({}));
    let verify = |layout: &Layout, more: &[&str]| {
        let mut arguments = args!["unpack", "--verify-only", layout.path];
        arguments.extend(more.iter().map(Into::into));
        run(arguments)
    };
    assert!(verify(&layout, &[]).line(1).ends_with(
        ": holds no image, only artifacts of type application/vnd.cncf.notary.signature: \
             one is taken for an image with --digest"
    ));
    // Who means it all the same is told what it holds.
    let pinned = verify(&layout, &["--digest", &pin]);
    assert!(
        pinned
            .line(1)
            .contains("is not a layer type that can be unpacked"),
        "{}",
        pinned.stderr
    );
    layout.add(&three_layers(), json!({"annotations": {REF_NAME: "v1"}}));
    verify(&layout, &[]).done();
    // An image needs no config of a known type where its layers say what they are.
    let mut layout = Layout::new(dir.path("bare"));
    let empty = layout.blob("application/vnd.oci.empty.v1+json", b"{}");
    let layer = layout.blob(EROFS, &image(1, 1));
    let document = json!({"schemaVersion": 2, "config": empty, "layers": [layer]});
    let bare = layout.document(MANIFEST, &document);
    layout.add_entry(bare, json!({"artifactType": "application/vnd.example"}));
    verify(&layout, &[]).done();
}

#[test]
fn what_an_entry_does_not_state_its_config_does() {
    let dir = Dir::new();
    let mut layout = Layout::new(dir.path("layout"));
    let layers = three_layers();
    // As Podman writes an index.
    let amd = layout.image_for("amd64", &layers[..1]);
    let arm = layout.image_for("arm64", &layers[1..2]);
    let nested = layout.document(INDEX, &index(&[amd.clone(), arm.clone()]));
    layout.add_entry(nested, json!({}));
    let verify = |platform: &str| {
        run(args![
            "unpack",
            "--verify-only",
            "--json",
            "--platform",
            platform,
            layout.path
        ])
    };
    for (platform, entry) in [("linux/amd64", &amd), ("linux/arm64", &arm)] {
        let found = verify(platform).json();
        assert_eq!(found["image"]["manifest"], entry["digest"]);
    }
    let refused = verify("linux/s390x");
    assert_eq!(refused.code(), 1);
    assert!(
        refused
            .stderr
            .contains("found linux/amd64, linux/arm64, expected linux/s390x")
    );
    // A layout may lack what it is not to be used for.
    fs::remove_file(layout.blob_path(amd["digest"].as_str().unwrap())).unwrap();
    verify("linux/arm64").done();
}

#[test]
fn an_image_that_is_not_in_the_layout_is_named() {
    let dir = Dir::new();
    let mut layout = Layout::new(dir.path("layout"));
    let mut entries = Vec::new();
    for (layer, architecture) in three_layers().iter().zip(["amd64", "arm64"]) {
        let mut entry = layout.image_for(architecture, core::slice::from_ref(layer));
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entries.push(entry);
    }
    let absent = entries[0]["digest"].as_str().unwrap().to_owned();
    fs::remove_file(layout.blob_path(&absent)).unwrap();
    let nested = layout.document(INDEX, &index(&entries));
    layout.add_entry(nested, json!({}));
    let verify = |platform: &str| {
        run(args![
            "unpack",
            "--verify-only",
            "--platform",
            platform,
            layout.path
        ])
    };
    verify("linux/arm64").done();
    let refused = verify("linux/amd64");
    let path = layout.blob_path(&absent);
    assert_eq!(
        refused.line(3),
        format!(
            "{}: cannot open the blob: No such file or directory: the image for linux/amd64 is \
             not in the layout: choose one that is with --platform: linux/arm64",
            path.display()
        )
    );
}

#[test]
fn an_unknown_feature_is_named() {
    let dir = Dir::new();
    let mut layout = Layout::new(dir.path("layout"));
    let entry = layout.image(&three_layers()[..1]);
    let platform = json!({
        "os": "linux", "architecture": "amd64", "os.features": ["erofs", "later"],
    });
    layout.add_entry(entry, json!({"platform": platform}));
    let verify = |more: &[&str]| {
        let mut arguments = args!["unpack", "--verify-only", layout.path];
        arguments.extend(more.iter().map(Into::into));
        run(arguments)
    };
    for more in [&[][..], &["--platform", "linux/amd64"]] {
        let refused = verify(more);
        assert!(
            refused.line(1).contains(
                "found linux(+erofs+later)/amd64 (it needs the unknown feature later of the \
                 operating system: name it in --platform"
            ),
            "{}",
            refused.stderr
        );
    }
    verify(&["--platform", "linux(+erofs+later)/amd64"]).done();
}

#[test]
fn long_lists_are_bounded() {
    let dir = Dir::new();
    let mut layout = Layout::new(dir.path("layout"));
    let entry = layout.image(&three_layers()[..1]);
    layout.add_entry(entry, json!({"annotations": {REF_NAME: "first"}}));
    for number in 0..999 {
        let absent = format!("{number}");
        layout.entries.push(json!({
            "mediaType": MANIFEST, "digest": sha256(absent.as_bytes()), "size": 10,
            "annotations": {REF_NAME: format!("t{number}")},
        }));
    }
    layout.save();
    for more in [&[][..], &["--ref", "second"]] {
        let mut arguments = args!["unpack", "--verify-only", layout.path];
        arguments.extend(more.iter().map(Into::into));
        let run = run(arguments);
        let lines = run.lines(2);
        assert_eq!(lines.len(), 22, "{}", run.stderr);
        assert!(lines[1].starts_with("  first  "), "{}", lines[1]);
        assert!(lines[2].ends_with("  (not in the layout)"), "{}", lines[2]);
        assert_eq!(lines[21], "  and 980 more");
    }
}

#[test]
fn a_digest_pins_the_whole_layout() {
    let dir = Dir::new();
    let layers = three_layers();
    let mut layout = Layout::new(dir.path("layout"));
    let manifest = layout.add(&layers, json!({}));
    let own = content(&layout.path.join("index.json"));
    for pin in [manifest.clone(), sha256(&own), sha512(&own)] {
        let run = run(args![
            "unpack",
            layout.path,
            "--verify-only",
            "--digest",
            pin
        ]);
        run.done();
    }
    let other = sha256(b"another");
    let refused = run(args![
        "unpack",
        layout.path,
        "--verify-only",
        "--digest",
        other
    ]);
    assert!(
        refused
            .line(1)
            .ends_with(&format!("found {manifest}, expected {other}")),
        "{}",
        refused.stderr
    );
    // A changed manifest, with all digests below it put right, is another one.
    let changed = Layout::of(dir.path("changed"), &layers[..2]);
    let refused = run(args![
        "unpack",
        changed.path,
        "--verify-only",
        "--digest",
        manifest
    ]);
    assert!(refused.line(1).contains(&manifest));
}

#[test]
fn documents_may_lie_in_their_descriptors() {
    let dir = Dir::new();
    let mut layout = Layout::new(dir.path("layout"));
    let digest = layout.add(&three_layers()[..1], json!({}));
    let manifest = content(&layout.blob_path(&digest));
    fs::remove_file(layout.blob_path(&digest)).unwrap();
    let missing = run(args!["unpack", layout.path, "--verify-only"]);
    assert!(
        missing
            .line(3)
            .ends_with("cannot open the blob: No such file or directory")
    );
    let base64 = run_with(std::process::Command::new("base64").arg("-w0"), &manifest);
    layout.entries[0]["data"] = json!(base64.text());
    layout.save();
    run(args!["unpack", layout.path, "--verify-only"]).done();
}

#[test]
fn links_inside_a_layout_are_followed_and_no_others() {
    let dir = Dir::new();
    let layers = three_layers();
    let layout = Layout::of(dir.path("layout"), &layers);
    let blob = layout.blob_path(&sha256(&layers[1].blob));
    let bytes = content(&blob);
    let verify = || run(args!["unpack", layout.path, "--verify-only"]);
    fs::remove_file(&blob).unwrap();

    fs::write(layout.path.join("store"), &bytes).unwrap();
    symlink("../../store", &blob).unwrap();
    verify().done();
    for outside in ["../../../store", dir.path("store").to_str().unwrap()] {
        fs::write(dir.path("store"), &bytes).unwrap();
        fs::remove_file(&blob).unwrap();
        symlink(outside, &blob).unwrap();
        let refused = verify();
        assert!(
            refused.line(1).ends_with(
                "is or lies behind a symbolic link that leads out of the OCI image layout or in a \
                 circle: copy the layout with `cp -rL`, which follows links"
            ),
            "{}",
            refused.stderr
        );
    }
    // A folder instead of the blob, and nothing.
    fs::remove_file(&blob).unwrap();
    fs::create_dir(&blob).unwrap();
    assert!(verify().line(1).ends_with(": is not a regular file"));
    fs::remove_dir(&blob).unwrap();
    assert!(
        verify()
            .line(3)
            .ends_with(": cannot open the blob: No such file or directory")
    );
}

#[test]
fn digests_cannot_lead_out_of_a_layout() {
    let dir = Dir::new();
    let mut layout = Layout::new(dir.path("layout"));
    layout.add(&three_layers()[..1], json!({}));
    fs::write(dir.path("secret"), "{}").unwrap();
    for digest in [
        "sha256:../../../secret",
        "../../../secret",
        "sha256:/etc/passwd",
        "..:..",
        "sha256/../..:secret",
    ] {
        layout.entries[0]["digest"] = json!(digest);
        layout.save();
        let run = run(args!["unpack", layout.path, "--verify-only"]);
        assert!(
            run.line(1).contains("/index.json: digest: "),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn names_with_newlines_stay_on_one_line() {
    let dir = Dir::new();
    let layout = Layout::of(dir.path("a\nlayout\u{1b}[2J"), &three_layers());
    let out = dir.path("an\nout");
    let said = run(args!["unpack", layout.path, "-o", out]);
    assert_eq!(said.done().lines().count(), 3);
    assert_eq!(names(&out).len(), 4);
    let document: Value = serde_json::from_slice(&content(&out.join("image.json"))).unwrap();
    assert!(
        document["source"]
            .as_str()
            .unwrap()
            .ends_with("a\\nlayout\\x1b[2J")
    );
    fs::write(out.join(three_layers()[0].file(1)), "changed").unwrap();
    let refused = run(args!["unpack", layout.path, "-o", out]);
    assert!(refused.line(3).contains("an\\nout/01-"));
    let archive = dir.write("new\nline.tar", layout.archive(true));
    let missing = run(args!["unpack", archive, "-o", dir.path("no\nsuch/deep/er")]);
    assert!(missing.line(3).contains("no\\nsuch/deep"));
}
