//! `erofs-unpack unpack`: what comes out of good sources, and what is said of it.
#![allow(clippy::disallowed_methods, reason = "a test may panic")]

mod common;

use std::fs;
use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use common::*;
use serde_json::{Value, json};

/// Every way in which a layout can be brought: its folder, two archives, two pipes.
fn run_all_ways(layout: &Layout, dir: &Dir, check: impl Fn(&dyn Fn(&[&str]) -> Run)) {
    let first = dir.write("first.tar", layout.archive(false));
    let last = dir.write("last.tar", layout.archive(true));
    for path in [&layout.path, &first, &last] {
        check(&|more: &[&str]| {
            let mut arguments = args!["unpack", path];
            arguments.extend(more.iter().map(Into::into));
            run(arguments)
        });
    }
    for archive in [first, last] {
        let archive = content(&archive);
        check(&|more: &[&str]| run_with(program().args(["unpack", "-"]).args(more), &archive));
    }
}

#[test]
fn a_lone_blob_of_each_compression() {
    let dir = Dir::new();
    let image = image(7, 20);
    let diff_id = sha256(&image);
    for (name, blob, media_type) in [
        ("plain", image.clone(), EROFS),
        ("zstd", zstd(&image), EROFS_ZSTD),
        ("gzip", gzip(&image), EROFS_GZIP),
    ] {
        let source = dir.write(name, &blob);
        let target = dir.path("out.erofs");
        let digest = sha256(&blob);
        let said = format!("unpacked {} {diff_id}\n", target.display());
        for stated in [
            args![],
            args!["--media-type", media_type],
            args![
                "--digest",
                digest,
                "--diff-id",
                diff_id,
                "--media-type",
                media_type
            ],
            args!["--digest", digest, "--diff-id", diff_id],
        ] {
            let all = stated.len() >= 4;
            for from_pipe in [false, true] {
                let mut arguments = args!["unpack", "-o", target];
                arguments.extend(stated.clone());
                let run = if from_pipe {
                    run_with(program().args(arguments).arg("-"), &blob)
                } else {
                    run([arguments, args![source]].concat())
                };
                assert_eq!(run.done(), said, "{name} {stated:?}");
                let source = if from_pipe {
                    "-".to_owned()
                } else {
                    source.display().to_string()
                };
                if all {
                    assert_eq!(run.stderr, "");
                } else {
                    assert_eq!(
                        one_line(&run.stderr),
                        format!(
                            "warning: {source}: not verified, because not stated: \
                             digest (--digest), diffID (--diff-id)"
                        )
                    );
                }
                assert!(content(&target) == image);
                let mode = fs::metadata(&target).unwrap().mode() & 0o7777;
                let plain = fs::metadata(dir.path(name)).unwrap().mode() & 0o644;
                assert_eq!(mode, plain, "as any file that is made with 0644");
                fs::remove_file(&target).unwrap();
            }
        }
        assert_eq!(dir.names().len(), 1);
        fs::remove_file(source).unwrap();
    }
}

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
fn digests_of_both_algorithms() {
    let dir = Dir::new();
    let image = image(7, 5);
    let (plain, packed) = (dir.write("plain", &image), dir.write("zst", zstd(&image)));
    let wide = sha512(&image);
    for arguments in [
        args!["--digest", wide, "--diff-id", wide, plain],
        args!["--digest", wide, "--diff-id", sha256(&image), plain],
        args![
            "--digest",
            sha512(&content(&packed)),
            "--diff-id",
            wide,
            packed
        ],
    ] {
        let run = run([args!["unpack", "--verify-only"], arguments].concat());
        run.done();
        assert_eq!(run.stderr, "");
    }
}

#[test]
fn an_image_in_every_form() {
    let dir = Dir::new();
    let layers = three_layers();
    let mut layout = Layout::new(dir.path("layout"));
    let manifest = layout.add(&layers, json!({"annotations": {REF_NAME: "demo:1"}}));
    let out = dir.path("out");
    let out_text = out.to_str().unwrap().to_owned();
    run_all_ways(&layout, &dir, |unpack| {
        let run = unpack(&["-o", &out_text]);
        let expected: String = (1..)
            .zip(&layers)
            .map(|(number, layer)| {
                let file = layer.file(number);
                format!("layer {number}: unpacked {file} {}\n", layer.diff_id)
            })
            .collect();
        assert_eq!(run.done(), expected);
        assert_eq!(run.stderr, "");
        let files: Vec<_> = (1..).zip(&layers).map(|(n, l)| l.file(n)).collect();
        let mut all = files.clone();
        all.push("image.json".into());
        assert_eq!(names(&out), all);
        for (file, layer) in files.iter().zip(&layers) {
            assert_eq!(sha256(&content(&out.join(file))), layer.diff_id);
        }
        let document: Value = serde_json::from_slice(&content(&out.join("image.json"))).unwrap();
        assert_eq!(document["version"], 1);
        assert_eq!(document["image"]["names"], json!(["demo:1"]));
        assert_eq!(document["image"]["manifest"], manifest);
        assert_eq!(document["image"]["platform"], "linux/amd64");
        for (place, layer) in layers.iter().enumerate() {
            let found = &document["layers"][place];
            assert_eq!(found["number"], place + 1);
            assert_eq!(found["status"], "unpacked");
            assert_eq!(found["file"], files[place]);
            assert_eq!(found["mediaType"], layer.media_type);
            assert_eq!(found["digest"], sha256(&layer.blob));
            assert_eq!(found["size"], layer.blob.len());
            assert_eq!(found["diffId"], layer.diff_id);
        }
        let topmost: Vec<_> = files.iter().rev().collect();
        assert_eq!(document["mount"]["lowerdirs"], json!(topmost));
        fs::remove_dir_all(&out).unwrap();
    });
    // Nothing was left beside.
    assert_eq!(dir.names(), ["first.tar", "last.tar", "layout"]);
}

#[test]
fn what_is_there_already_is_kept() {
    let dir = Dir::new();
    let layers = three_layers();
    let layout = Layout::of(dir.path("layout"), &layers);
    let out = dir.path("out");
    let unpack = |more: &[&str]| {
        let mut arguments = args!["unpack", layout.path, "-o", out];
        arguments.extend(more.iter().map(Into::into));
        run(arguments)
    };
    let inodes = || -> Vec<u64> {
        names(&out)
            .iter()
            .map(|name| fs::metadata(out.join(name)).unwrap().ino())
            .collect()
    };
    unpack(&[]).done();
    let before = inodes();
    let again = unpack(&[]);
    let said = again.done();
    assert_eq!(said.matches(": kept ").count(), 3, "{said}");
    assert_eq!(inodes(), before, "image.json is kept too");
    let report = unpack(&["--json"]).json();
    assert_eq!(report["layers"][1]["status"], "kept");

    // One that is missing comes back, the others stay.
    let second = out.join(layers[1].file(2));
    fs::remove_file(&second).unwrap();
    let said = unpack(&[]).done().to_owned();
    assert_eq!(said.matches(": kept ").count(), 2, "{said}");
    assert_eq!(said.matches(": unpacked ").count(), 1, "{said}");
    assert_eq!(sha256(&content(&second)), layers[1].diff_id);

    // One that was changed is nobody's to replace, and is named.
    let mut changed = content(&second);
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&second, &changed).unwrap();
    let run = unpack(&[]);
    assert_eq!(
        run.line(3),
        format!(
            "layer 2: {}: exists already: expected a free name, or --force to replace it",
            second.display()
        )
    );
    assert!(content(&second) == changed);
    unpack(&["--force"]).done();
    assert_eq!(sha256(&content(&second)), layers[1].diff_id);
    assert_eq!(names(&out).len(), 4, "no temporary name is left");
}

#[test]
fn a_file_that_is_there_already_is_kept_where_it_is_known() {
    let dir = Dir::new();
    let image = image(7, 3);
    let source = dir.write("a.zst", zstd(&image));
    let target = dir.path("out.erofs");
    let diff_id = sha256(&image);
    let folder = format!("{}/", dir.0.display());
    let named = format!("01-{}.erofs", prefix(&diff_id));
    for (output, file) in [
        (target.to_str().unwrap(), target.to_str().unwrap()),
        (&folder, &named),
    ] {
        let arguments = args!["unpack", source, "--diff-id", diff_id, "-o", output];
        let said = |what: &str| format!("{what} {file} {diff_id}\n");
        assert_eq!(run(arguments.clone()).done(), said("unpacked"));
        assert_eq!(run(arguments).done(), said("kept"));
    }
    assert!(content(&dir.path(&named)) == image);
    // Without a digest nothing says that it is the same.
    let run = run(args!["unpack", source, "-o", target]);
    assert!(
        run.line(3)
            .ends_with("out.erofs: exists already: expected a free name, or --force to replace it")
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
fn one_layer_of_an_image() {
    let dir = Dir::new();
    let layers = three_layers();
    let layout = Layout::of(dir.path("layout"), &layers);
    for (number, layer) in (1..).zip(&layers) {
        let one = |output: &str| {
            let number = number.to_string();
            run(args![
                "unpack",
                layout.path,
                "--layer",
                number,
                "-o",
                output
            ])
        };
        let file = dir.path("one.erofs");
        one(file.to_str().unwrap()).done();
        assert_eq!(sha256(&content(&file)), layer.diff_id);
        fs::remove_file(&file).unwrap();

        let run = one("-");
        assert_eq!((run.code(), run.stderr.as_str()), (0, ""));
        assert_eq!(sha256(&run.stdout), layer.diff_id);

        let folder = dir.path("folder");
        let said = one(&format!("{}/", folder.display()));
        let name = layer.file(number);
        assert_eq!(
            said.done(),
            format!("layer {number}: unpacked {name} {}\n", layer.diff_id)
        );
        assert_eq!(names(&folder), [name], "no image.json beside one layer");
        fs::remove_dir_all(&folder).unwrap();
    }
    // A diffID of the caller's own counts beside the stated one.
    let diff_id = &layers[1].diff_id;
    let arguments = args!["unpack", layout.path, "--layer", "2", "--verify-only"];
    run([arguments.clone(), args!["--diff-id", diff_id]].concat()).done();
    let wide = sha512(&image(2, 300));
    run([arguments.clone(), args!["--diff-id", wide]].concat()).done();
    let other = sha256(b"");
    let refused = run([arguments, args!["--diff-id", other]].concat());
    assert!(refused.line(1).contains(&other));
}

#[test]
fn verify_only_writes_nothing() {
    let dir = Dir::new();
    let layers = three_layers();
    let layout = Layout::of(dir.path("layout"), &layers);
    run_all_ways(&layout, &dir, |unpack| {
        let run = unpack(&["--verify-only"]);
        let expected: String = (1..)
            .zip(&layers)
            .map(|(number, layer)| format!("layer {number}: verified {}\n", layer.diff_id))
            .collect();
        assert_eq!(run.done(), expected);
    });
    assert_eq!(dir.names(), ["first.tar", "last.tar", "layout"]);
}

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
        }
    }
    for wrong in ["linux", "linux/", "linux/amd64/v3/x", "li nux/amd64", ""] {
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
fn zeros_become_holes() {
    let dir = Dir::new();
    let mut image = image(1, 2);
    image.resize(64 << 20, 0);
    image[1060..1064].copy_from_slice(&(64_u32 << 8).to_le_bytes());
    let image = mended(image);
    let source = dir.write("a.zst", zstd(&image));
    let target = dir.path("a.erofs");
    run(args!["unpack", source, "-o", target]).done();
    let found = fs::metadata(&target).unwrap();
    assert_eq!(found.len(), 64 << 20);
    assert!(found.blocks() * 512 < 1 << 20, "{} blocks", found.blocks());
    assert_eq!(sha256(&content(&target)), sha256(&image));
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
fn chunk_indexes_are_not_written() {
    let dir = Dir::new();
    let mut index = Layer::new("application/vnd.erofs.chunk-index.v1", b"an index");
    let one = Layer::new(EROFS, &image(1, 1));
    index.annotations = json!({"org.erofs.chunk-index.target": sha256(&one.blob)});
    let two = Layer::new(EROFS, &image(2, 1));
    let layers = [one, index, two];
    let layout = Layout::of(dir.path("layout"), &layers);
    let out = dir.path("out");
    run(args!["unpack", layout.path, "-o", out]).done();
    assert_eq!(
        names(&out),
        [layers[0].file(1), layers[2].file(3), "image.json".into()]
    );
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
                "is a symbolic link that leads out of the OCI image layout or in a circle"
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

#[test]
fn what_was_before_the_position_of_stdin_is_no_part_of_it() {
    let dir = Dir::new();
    let image = image(4, 3);
    let path = dir.write("two", [&b"12345"[..], &zstd(&image)].concat());
    let mut file = fs::File::open(path).unwrap();
    file.seek(SeekFrom::Start(5)).unwrap();
    let output = program()
        .args(["unpack", "-", "-o", "-"])
        .stdin(file)
        .output()
        .unwrap();
    assert!(output.stdout == image);
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
