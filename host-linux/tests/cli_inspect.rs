//! `erofs-unpack inspect`: what it says of layouts, blobs and images.
#![allow(
    clippy::disallowed_methods,
    clippy::std_instead_of_alloc,
    reason = "a test may panic, and has std"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::*;
use serde_json::{Value, json};

/// The lines of the text as names and values, without the first occurrences of a name lost.
fn lines(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .map(|line| {
            let (name, value) = line.trim_start().split_once(':').unwrap();
            (name, value.trim_start())
        })
        .collect()
}

/// Every value starts in the same column.
fn check_alignment(text: &str) {
    for line in text.lines() {
        let name = line.find(": ").unwrap();
        let value = name + 1 + line[name + 1..].find(|c| c != ' ').unwrap();
        assert_eq!(value, 26, "{line}");
    }
}

#[test]
fn blobs_and_images() {
    let dir = Dir::new();
    let image = image(1, 3);
    for (compression, blob) in [
        ("none", image.clone()),
        ("zstd", zstd(&image)),
        ("gzip", gzip(&image)),
    ] {
        let path = dir.write(compression, &blob);
        let by_name = run(args!["inspect", path]);
        let text = by_name.done();
        check_alignment(text);
        let found: BTreeMap<_, _> = lines(text).into_iter().collect();
        for (name, value) in [
            ("Kind", "blob"),
            ("Content", "EROFS image"),
            ("Compression", compression),
            ("Size", &format!("{} bytes", blob.len())),
            ("Declared size", "12288 bytes (12.00 KiB)"),
            ("Block size", "4096 bytes"),
            ("Blocks", "3"),
            ("Inodes", "1"),
            ("Root nid", "36"),
            ("UUID", "30313233-3435-3637-3839-616263646566"),
            ("Volume name", "a name\\n"),
            ("Build time", "2023-11-14 22:13:20 UTC"),
            ("Compatible features", "sb_chksum"),
            ("Incompatible features", "none"),
            ("Data layouts", "plain, inline"),
            ("Checksum", "0x"),
            ("Devices", "0"),
        ] {
            assert!(found[name].starts_with(value), "{name}: {}", found[name]);
        }
        let report = run(args!["inspect", "--json", path]).json();
        assert_eq!(
            (&report["version"], &report["kind"]),
            (&json!(1), &json!("blob"))
        );
        let superblock = &report["blob"]["superblock"];
        assert_eq!(superblock["buildTime"], 1_700_000_000);
        assert_eq!(superblock["volumeName"], "a name\\n");
        // A pipe is the same but for its size.
        let by_pipe = run_with(program().args(["inspect", "--json", "-"]), &blob).json();
        assert_eq!(by_pipe["blob"]["superblock"], *superblock);
        assert_eq!(by_pipe["blob"]["compression"], compression);
    }
    let other = dir.write("other", b"hello");
    assert!(run(args!["inspect", other]).done().contains("unknown"));
    let tar = dir.write("tar", [tar_member("x", b""), vec![0; 1024]].concat());
    assert!(run(args!["inspect", tar]).done().contains("tar archive"));
}

#[test]
fn images_as_dump_erofs_shows_them() {
    if !has("mkfs.erofs") {
        println!("skipped: needs mkfs.erofs");
        return;
    }
    let dir = Dir::new();
    dir.write("tree/a", noise(1, 100_000));
    dir.write("tree/b", "b".repeat(200_000));
    for options in [
        &["-T1700000000", "-Lname"][..],
        &["-zlz4hc", "-C65536", "-Eztailpacking,fragments"],
        &["--chunksize=4096"],
        &["-b512"],
        &["-zzstd:deflate"],
        &["-E48bit"],
    ] {
        let image = dir.path("image");
        let _ = fs::remove_file(&image);
        let tool = |name: &str| {
            let mut command = Command::new(name);
            command
                .env("PATH", path_with_sbin())
                .env("TZ", "UTC")
                .env("LC_ALL", "C");
            command
        };
        let made = tool("mkfs.erofs")
            .arg("--quiet")
            .args(options)
            .args([&image, &dir.path("tree")])
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let dumped = tool("dump.erofs").arg("-s").arg(&image).output().unwrap();
        let dumped = String::from_utf8(dumped.stdout).unwrap();
        let theirs: BTreeMap<_, _> = lines(&dumped).into_iter().collect();
        let ours = run(args!["inspect", image]);
        check_alignment(ours.done());
        let ours: BTreeMap<_, _> = lines(ours.text()).into_iter().collect();
        let number = |text: &str| text.split(' ').next().unwrap().to_owned();
        for (name, their_name) in [
            ("Block size", "Filesystem blocksize"),
            ("Blocks", "Filesystem blocks"),
            ("Inodes", "Filesystem inode count"),
            ("Root nid", "Filesystem root nid"),
            ("Superblock size", "Filesystem sb_size"),
            ("Metadata at block", "Filesystem inode metadata start block"),
            (
                "Shared xattrs at block",
                "Filesystem shared xattr metadata start block",
            ),
            ("UUID", "Filesystem UUID"),
        ] {
            assert_eq!(
                number(ours[name]),
                number(theirs[their_name]),
                "{name} {options:?}"
            );
        }
        // "Tue Nov 14 22:13:20 2023"
        let created: Vec<_> = theirs["Filesystem created"].split_whitespace().collect();
        let date = ours["Build time"];
        assert!(
            date.starts_with(created[4]) && date.contains(created[3]),
            "{date}"
        );
        let day = format!("-{:0>2} ", created[2]);
        assert!(date.contains(&day), "{date}");
        let count = |text: &str| match text {
            "none" | "" => 0,
            text => text
                .split([' ', ','])
                .filter(|name| !name.is_empty())
                .count(),
        };
        assert_eq!(
            count(ours["Compatible features"]),
            count(theirs["Filesystem compatible features"]),
            "{options:?}"
        );
    }
}

#[test]
fn layouts() {
    let dir = Dir::new();
    let layers = three_layers();
    let mut layout = Layout::new(dir.path("layout"));
    let platform = json!({"os": "linux", "architecture": "amd64", "os.features": ["erofs"]});
    let manifest = layout.add(
        &layers,
        json!({"annotations": {REF_NAME: "demo:1\n"}, "platform": platform}),
    );
    fs::remove_file(layout.blob_path(&sha256(&layers[2].blob))).unwrap();
    let archive = dir.write("layout.tar", layout.archive(true));
    for (source, kind) in [
        (&layout.path, "OCI image layout"),
        (&archive, "OCI image layout in a tar archive"),
    ] {
        let run = run(args!["inspect", source]);
        let text = run.done();
        check_alignment(text);
        let found = lines(text);
        let expected = [
            ("Kind", kind),
            ("Image", &manifest),
            ("Names", "demo:1\\n"),
            ("Platform", "linux/amd64, needs erofs"),
            ("Media type", MANIFEST),
            ("Chosen", &manifest),
            ("Layer 1", EROFS),
            ("Layer 2", EROFS_ZSTD),
            ("Layer 3", EROFS_GZIP),
            ("Role", "overlay-lower"),
            ("Blob", "not in the layout"),
        ];
        for line in expected {
            assert!(found.contains(&line), "{line:?} {text}");
        }
        for layer in &layers {
            let size = format!("Size:                   {} bytes", layer.blob.len());
            assert!(text.contains(&size), "{size} {text}");
            assert!(found.contains(&("Digest", &sha256(&layer.blob))));
            assert!(found.contains(&("DiffID", &layer.diff_id)));
        }
        assert_eq!(found.iter().filter(|(name, _)| *name == "UUID").count(), 2);
    }
    let report = run(args!["inspect", "--json", layout.path]).json();
    assert_eq!(report["kind"], "layout");
    let found = &report["layout"];
    assert_eq!(found["entries"][0]["digest"], manifest);
    assert_eq!(found["entries"][0]["osFeatures"], json!(["erofs"]));
    assert_eq!(found["image"]["manifest"], manifest);
    let statuses: Vec<_> = (0..3)
        .map(|place| found["image"]["layers"][place]["status"].clone())
        .collect();
    assert_eq!(statuses, ["stated", "stated", "missing"]);
}

#[test]
fn what_cannot_be_chosen_is_listed() {
    let dir = Dir::new();
    let mut layout = Layout::new(dir.path("layout"));
    let layer = |seed| [Layer::new(EROFS, &image(seed, 1))];
    let mut entries = Vec::new();
    for (seed, architecture) in [(1, "s390x"), (2, "mips")] {
        let mut entry = layout.image_for(architecture, &layer(seed));
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entries.push(entry);
    }
    // The one of another machine may have been left out.
    fs::remove_file(layout.blob_path(entries[1]["digest"].as_str().unwrap())).unwrap();
    let nested = layout.document(INDEX, &index(&entries));
    let nested = layout.add_entry(nested, json!({"annotations": {REF_NAME: "nested"}}));
    let run_it = |more: &[&str]| {
        let mut arguments = args!["inspect", layout.path];
        arguments.extend(more.iter().map(Into::into));
        run(arguments)
    };
    let run = run_it(&[]);
    let text = run.done();
    check_alignment(text);
    for (start, what) in [
        (
            format!("Image index:              {nested}"),
            "the nested index",
        ),
        (
            format!(
                "  Image:                  {}",
                entries[0]["digest"].as_str().unwrap()
            ),
            "one",
        ),
        (
            "    Platform:             linux/s390x".into(),
            "its platform",
        ),
        (
            "Note:                     no image is chosen: ".into(),
            "why",
        ),
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(&start)),
            "{what}: {text}"
        );
    }
    assert!(text.contains(" (not in the layout)"));
    assert!(!text.contains("Layer 1"));
    // With the platform it is chosen; asked for what is not there, it fails.
    assert!(
        run_it(&["--platform", "linux/s390x"])
            .done()
            .contains("Layer 1")
    );
    run_it(&["--platform", "linux/sparc"]).line(1);
    run_it(&["--ref", "other"]).line(2);
    run_it(&["--digest", &sha256(b"")]).line(1);

    let mut several = Layout::new(dir.path("several"));
    several.add(&layer(1), json!({"annotations": {REF_NAME: "one"}}));
    several.add(&layer(2), json!({"annotations": {REF_NAME: "two"}}));
    let run = common::run(args!["inspect", several.path]);
    let text = run.done();
    assert!(
        text.contains("holds several images: choose one with --ref: one, two"),
        "{text}"
    );
    assert_eq!(
        text.matches("  Platform:               linux(+erofs)/amd64, by its config\n")
            .count(),
        2,
        "{text}"
    );
    let mut empty = Layout::new(dir.path("empty"));
    let run = common::run(args!["inspect", empty.path]);
    assert!(run.done().ends_with("the layout holds no image\n"));
    let entry = empty.image(&layer(3));
    fs::remove_file(empty.blob_path(entry["digest"].as_str().unwrap())).unwrap();
    empty.add_entry(entry, json!({"artifactType": "x/y"}));
    let run = common::run(args!["inspect", empty.path]);
    let text = run.done();
    assert!(
        text.starts_with("Source:") && text.contains("Other: "),
        "{text}"
    );
    assert!(text.contains("  Artifact type:          x/y\n"), "{text}");
    assert!(text.ends_with("the layout holds no image, only artifacts\n"));
    // The image for this machine may have been left out too, or be all there was.
    for (architecture, more) in [
        (std::env::consts::ARCH, json!({})),
        ("amd64", json!({"annotations": {REF_NAME: "x"}})),
    ] {
        let mut absent = Layout::new(dir.path(architecture));
        let mut entry = absent.image_for(architecture, &layer(4));
        let path = absent.blob_path(entry["digest"].as_str().unwrap());
        fs::remove_file(path).unwrap();
        if more == json!({}) {
            entry["platform"] = json!({"os": "linux", "architecture": architecture});
            let other = absent.image_for("s390x", &layer(5));
            absent.add_entry(other, json!({}));
        }
        absent.add_entry(entry, more);
        let run = common::run(args!["inspect", absent.path]);
        let text = run.done();
        assert!(text.contains(" (not in the layout)"), "{text}");
        assert!(text.contains("no image is chosen: "), "{text}");
        assert!(
            text.ends_with("No such file or directory\n")
                || text.contains(" is not in the layout: choose one that is with --platform: ")
        );
    }
}

#[test]
fn an_index_that_holds_itself_is_listed_once() {
    // By digest it cannot be made; but two indexes may hold the same third one many times.
    let dir = Dir::new();
    let mut layout = Layout::new(dir.path("layout"));
    let image = layout.image(&three_layers()[..1]);
    let inner = layout.document(INDEX, &index(&vec![image; 50]));
    let middle = layout.document(INDEX, &index(&vec![inner; 50]));
    let outer = layout.document(INDEX, &index(&vec![middle; 50]));
    layout.add_entry(outer, json!({}));
    let report = run(args!["inspect", "--json", layout.path]).json();
    let entries = report["layout"]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1 + 50 + 50 + 50);
}

#[test]
fn layers_that_would_be_refused_say_why() {
    let dir = Dir::new();
    let layers = three_layers();
    let layout = Layout::of(dir.path("layout"), &layers);
    let path = layout.blob_path(&sha256(&layers[1].blob));
    fs::write(path, zstd(b"no image")).unwrap();
    let run = run(args!["inspect", layout.path]);
    assert!(
        run.done().contains("  Refused:                "),
        "{}",
        run.text()
    );
    let report = common::run(args!["inspect", "--json", layout.path]).json();
    let layer = &report["layout"]["image"]["layers"][1];
    assert_eq!(layer["error"]["kind"], "truncated");
    assert_eq!(layer["superblock"], Value::Null);
}

#[test]
fn refusals_and_usage() {
    let dir = Dir::new();
    let mut bad = image(1, 1);
    bad[1024 + 12] = 60;
    let bad = dir.write("bad", &bad);
    let line = run(args!["inspect", bad]);
    assert!(line.line(1).contains("bad: superblock: "));
    let good = dir.write("good", image(1, 1));
    let digest = sha256(b"");
    for (flag, value) in [
        ("--digest", digest.as_str()),
        ("--ref", "x"),
        ("--platform", "linux/amd64"),
    ] {
        let refused = run(args!["inspect", good, flag, value]);
        assert!(refused.line(2).starts_with(flag), "{}", refused.stderr);
    }
    assert!(
        run(args!["inspect", "/nonexistent"])
            .line(3)
            .starts_with("/nonexistent: ")
    );
    fs::create_dir(dir.path("empty")).unwrap();
    run(args!["inspect", dir.path("empty")]).line(1);
}

#[test]
fn lz4_without_zero_padding_is_named_as_far_as_the_superblock_does() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/cases/check-clean");
    let named = cases.join("legacy-lz4.erofs");
    let told = run(args!["inspect", named]);
    let told = told.done();
    assert!(
        told.contains("lz4 without zero padding, which Linux reads up to 6.x\n"),
        "{told}"
    );
    let superblock = |image: &Path| {
        let report = run(args!["dump", "--json", image]).json();
        let superblock = &report["superblock"];
        (
            superblock["algorithms"].clone(),
            superblock["legacyLz4"].clone(),
        )
    };
    assert_eq!(superblock(&named), (json!(["lz4"]), json!("named")));
    // Blocks of 512 bytes are younger than the tools that named nothing.
    let unnamed = cases.join("legacy-lz4-unnamed.erofs");
    assert_eq!(superblock(&unnamed), (json!([]), Value::Null));
    // Those of 4096 bytes, and no feature but the checksum, are not.
    let dir = Dir::new();
    let old = dir.write("old.erofs", image(1, 3));
    assert_eq!(superblock(&old), (json!([]), json!("possible")));
    let told = run(args!["dump", old]);
    assert!(
        told.done().contains("not stated: none, or lz4"),
        "{}",
        told.text()
    );
}
