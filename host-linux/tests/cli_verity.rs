//! `erofs-unpack verity`, against `veritysetup`; and what `unpack` does about dm-verity trees.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::*;
use serde_json::json;

const UUID: &str = "00112233-4455-6677-8899-aabbccddeeff";

/// Runs `veritysetup`.
fn veritysetup<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Run {
    let mut command = Command::new("veritysetup");
    command.env("PATH", path_with_sbin()).args(arguments);
    run_with(&mut command, b"")
}

/// Whether `veritysetup` is there, which is said if it is not.
fn is_there() -> bool {
    let is_there = has("veritysetup");
    if !is_there {
        println!("skipped: needs veritysetup");
    }
    is_there
}

/// The root hash that was printed.
fn root(run: &Run) -> String {
    let line = run
        .done()
        .lines()
        .find(|line| line.starts_with("Root hash:"));
    line.unwrap().split_whitespace().last().unwrap().to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn trees_are_those_of_veritysetup() {
    if !is_there() {
        return;
    }
    let dir = Dir::new();
    let data = dir.write("data", noise(1, 1 << 20));
    let long = "ab".repeat(256);
    let cases: [&[&str]; 10] = [
        &[],
        &["--hash", "sha512"],
        &["--salt", &long],
        &["--data-block-size", "512", "--hash-block-size", "512"],
        &["--data-block-size", "512", "--hash-block-size", "4096"],
        &[
            "--data-block-size",
            "4096",
            "--hash-block-size",
            "1024",
            "--salt",
            "00",
        ],
        &["--format", "0", "--salt", "0102"],
        &["--data-blocks", "1"],
        &["--data-blocks", "129", "--hash-offset", "8192"],
        &["--no-superblock", "--salt", "ff"],
    ];
    for case in cases {
        let (ours, theirs) = (dir.path("ours"), dir.path("theirs"));
        let _ = fs::remove_file(&ours);
        let _ = fs::remove_file(&theirs);
        let mut arguments = vec!["--uuid", UUID];
        arguments.extend(case);
        if !case.contains(&"--salt") {
            arguments.extend(["--salt", "-"]);
        }
        let own = ["verity", "format", text(&data), text(&ours)];
        let made = run(own.iter().chain(&arguments).chain(&["--threads", "3"]));
        let other = ["format", text(&data), text(&theirs)];
        let expected = veritysetup(other.iter().chain(&arguments));
        let other_text = expected.done().replace("theirs", "ours");
        assert_eq!(made.done().trim_end(), other_text.trim_end(), "{case:?}");
        assert!(content(&ours) == content(&theirs), "{case:?}");
        let root = root(&made);
        // One thread, or many.
        let _ = fs::remove_file(&theirs);
        let again = ["verity", "format", text(&data), text(&theirs)];
        run(again.iter().chain(&arguments).chain(&["--threads", "1"])).done();
        assert!(content(&ours) == content(&theirs), "{case:?}");
        // What is asked of a tree without a superblock again, and where it is.
        let mut how: Vec<&str> = Vec::new();
        if case.contains(&"--no-superblock") {
            how.extend(case);
        }
        if case.contains(&"--hash-offset") {
            how.extend(["--hash-offset", "8192"]);
        }
        let verify = ["verify", text(&data), text(&ours), &root];
        veritysetup(verify.iter().chain(&how)).done();
        for threads in ["1", "2"] {
            let verify = ["verity", "verify", text(&data), text(&ours), &root];
            let more = ["--threads", threads];
            assert_eq!(run(verify.iter().chain(&how).chain(&more)).done(), "");
        }
        let wrong = format!(
            "{}{}",
            if root.starts_with('0') { '1' } else { '0' },
            &root[1..]
        );
        let verify = ["verity", "verify", text(&data), text(&ours), &wrong];
        let said = run(verify.iter().chain(&how));
        assert!(said.line(1).contains("root digest"), "{}", said.line(1));
        if !case.contains(&"--no-superblock") {
            let info = run(["verity", "info", text(&ours)].iter().chain(&how));
            let dump = veritysetup(["dump", text(&ours)].iter().chain(&how));
            assert_eq!(info.done().trim_end(), dump.done().trim_end());
        }
    }
}

/// The number behind "position" in what was said.
fn position(said: &str) -> String {
    let (_, rest) = said.split_once("at position ").unwrap();
    rest.chars().take_while(char::is_ascii_digit).collect()
}

#[test]
fn a_flipped_bit_is_found_where_veritysetup_finds_it() {
    if !is_there() {
        return;
    }
    let dir = Dir::new();
    let (data, hashes) = (dir.write("data", noise(2, 300 << 10)), dir.path("hashes"));
    let small = ["--data-block-size", "512", "--hash-block-size", "512"];
    let format = [
        "verity",
        "format",
        text(&data),
        text(&hashes),
        "--salt",
        "aa",
    ];
    let root = root(&run(format.iter().chain(&small)));
    let verify = ["verity", "verify", text(&data), text(&hashes), &root];
    // Data; the levels of 38, 3 and 1 blocks behind the superblock, the root's first; zeros.
    let tree = content(&hashes).len();
    let places = [
        (&data, 0),
        (&data, 5000),
        (&data, (300 << 10) - 1),
        (&hashes, 512),
        (&hashes, 1024 + 40),
        (&hashes, 512 + 300),
        (&hashes, 3000),
        (&hashes, tree - 600),
        (&hashes, tree - 1),
    ];
    for (path, at) in places {
        let good = content(path);
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(path, bad).unwrap();
        let theirs = veritysetup(["verify", text(&data), text(&hashes), &root]);
        assert_ne!(theirs.code(), 0);
        for threads in ["1", "2"] {
            let said = run(verify.iter().chain(&["--threads", threads]));
            let line = said.line(1);
            assert_eq!(position(line), position(&theirs.stderr), "{line}");
            // Which of the two it is, veritysetup does not say.
            let of_data = line.contains("data block: ");
            assert_eq!(of_data, path == &data, "{line}");
        }
        fs::write(path, good).unwrap();
    }
    run(verify).done();
}

#[test]
fn a_tree_behind_its_image() {
    let dir = Dir::new();
    let image = image(5, 50);
    let path = dir.write("image", &image);
    let format = run(["verity", "format", text(&path), "--json"]);
    let report = format.json();
    assert_eq!(report["hashOffset"], image.len());
    assert_eq!(report["dataBlocks"], 50);
    assert_eq!(report["salt"], "");
    let whole = content(&path);
    assert!(whole[..image.len()] == image);
    assert_eq!(report["hashEnd"], whole.len());
    let root = report["rootHash"].as_str().unwrap();
    // It is found behind the image.
    run(["verity", "verify", text(&path), root]).done();
    let info = run(["verity", "info", text(&path), "--json"]).json();
    assert_eq!(info["hashOffset"], image.len());
    // The same data makes the same bytes.
    fs::write(&path, &image).unwrap();
    let root_file = dir.path("root");
    let more = ["--root-hash-file", text(&root_file)];
    run(["verity", "format", text(&path)].iter().chain(&more)).done();
    assert!(content(&path) == whole);
    assert_eq!(fs::read_to_string(&root_file).unwrap(), root);
    run(["verity", "verify", text(&path)].iter().chain(&more)).done();
    fs::write(&root_file, format!("{root}\n")).unwrap();
    run(["verity", "verify", text(&path)].iter().chain(&more)).done();
    // What follows it has no name, but a length.
    let mut longer = whole.clone();
    longer.resize(longer.len() + 2 * 4096, 7);
    fs::write(&path, longer).unwrap();
    let info = run(["verity", "info", text(&path), "--json"]).json();
    assert_eq!(
        (&info["behind"], &info["fecRoots"]),
        (&json!(8192), &json!(2))
    );
    run(["verity", "verify", text(&path), root]).done();
}

#[test]
fn what_is_refused() {
    let dir = Dir::new();
    let data = dir.write("data", noise(3, 8192));
    let hashes = dir.path("hashes");
    let root = "ab".repeat(32);
    let usage: [&[&str]; 8] = [
        &["format", text(&data), text(&hashes), "--data-blocks", "3"],
        &["format", text(&data), text(&hashes), "--hash-offset", "100"],
        &[
            "format",
            text(&data),
            "--hash-offset",
            "4096",
            "--data-blocks",
            "2",
        ],
        &[
            "format",
            text(&data),
            text(&hashes),
            "--data-block-size",
            "1000",
        ],
        &["format", text(&data), text(&hashes), "--salt", "abc"],
        &["verify", text(&data)],
        &["verify", text(&data), &root],
        &["verify", text(&data), "--hash-offset", "0", "zz"],
    ];
    for arguments in usage {
        let said = run(["verity"].iter().chain(arguments));
        assert_eq!(said.code(), 2, "{arguments:?}: {}", said.stderr);
    }
    let missing = dir.path("missing");
    assert_eq!(run(["verity", "info", text(&missing)]).code(), 3);
    let said = run(["verity", "info", text(&data), "--hash-offset", "0"]);
    assert!(said.line(1).contains("dm-verity magic"));
    run(["verity", "format", text(&data), text(&hashes)]).done();
    let whole = content(&hashes);
    fs::write(&hashes, &whole[..whole.len() - 1]).unwrap();
    let said = run(["verity", "verify", text(&data), text(&hashes), &root]);
    assert!(said.line(1).contains("is cut off"), "{}", said.line(1));
}

#[test]
fn an_announced_tree_is_verified_by_default() {
    let dir = Dir::new();
    let image = image(4, 300);
    let small = ["--data-block-size", "512", "--hash-block-size", "512"];
    let cases: [&[&str]; 5] = [
        &[],
        &["--no-superblock"],
        // It is known only when the data has passed.
        &["--salt", "0123"],
        &["--hash", "sha512", "--format", "0", "--salt", "ff"],
        &small,
    ];
    for (number, how) in cases.iter().enumerate() {
        for media_type in [EROFS, EROFS_ZSTD] {
            let name = format!("{number}{}", &media_type[media_type.len() - 4..]);
            let layer = with_tree(&dir, media_type, &image, how);
            let layout = Layout::of(
                dir.path(&format!("layout-{name}")),
                core::slice::from_ref(&layer),
            );
            let out = dir.path(&format!("out-{name}"));
            for status in ["unpacked", "kept"] {
                let report = run(args!["unpack", layout.path, "-o", out, "--json"]).json();
                let tree = &report["layers"][0]["dmVerity"];
                assert_eq!(report["layers"][0]["status"], status);
                assert_eq!(tree["status"], "verified", "{how:?}: {report}");
                assert_eq!(tree["hashOffset"], image.len());
                assert_eq!(tree["superblock"], !how.contains(&"--no-superblock"));
                assert_eq!(
                    tree["rootDigest"],
                    layer.annotations["org.erofs.dmverity.root_digest"]
                );
            }
            let kept = fs::read_to_string(out.join("image.json")).unwrap();
            assert!(kept.contains("\"dmVerity\""));
            let said = run(args!["unpack", layout.path, "--verify-only", "-v"]);
            assert!(said.done().contains("dm-verity tree verified: root sha"));
            run(args!["check", layout.path]).done();
            // With a root that is another, and nothing else wrong.
            let mut wrong = layer.clone();
            let zeros = "0".repeat(if how.contains(&"sha512") { 128 } else { 64 });
            let algorithm = if zeros.len() == 128 {
                "sha512"
            } else {
                "sha256"
            };
            wrong.annotations["org.erofs.dmverity.root_digest"] =
                json!(format!("{algorithm}:{zeros}"));
            let layout = Layout::of(dir.path(&format!("wrong-{name}")), &[wrong]);
            let out = dir.path(&format!("none-{name}"));
            let said = run(args!["unpack", layout.path, "-o", out]);
            assert!(said.line(1).contains("root digest"), "{}", said.line(1));
            assert!(!out.exists());
            assert_eq!(run(args!["check", layout.path]).code(), 1);
            let said = run(args![
                "unpack",
                layout.path,
                "-o",
                out,
                "--verity",
                "none",
                "--json"
            ]);
            let report = said.json();
            assert_eq!(report["layers"][0]["notVerified"], json!(["dm-verity"]));
            assert!(said.stderr.contains("--verity none"), "{}", said.stderr);
        }
    }
}

#[test]
fn a_tree_that_nothing_announces_is_taken_only_where_it_is_asked_for() {
    let dir = Dir::new();
    let image = image(7, 300);
    for media_type in [EROFS, EROFS_ZSTD] {
        let mut layer = with_tree(&dir, media_type, &image, &["--salt", "aabb"]);
        let root = layer.annotations["org.erofs.dmverity.root_digest"].take();
        layer.annotations = json!({});
        let name = &media_type[media_type.len() - 4..];
        let layout = Layout::of(dir.path(&format!("layout{name}")), &[layer.clone()]);
        let out = dir.path(&format!("out{name}"));
        let said = run(args!["unpack", layout.path, "-o", out]);
        assert!(
            said.line(1).contains("goes on after the end"),
            "{}",
            said.line(1)
        );
        assert_eq!(run(args!["check", layout.path]).code(), 1);
        let allow = "--allow-unannounced-verity";
        for status in ["unpacked", "kept"] {
            let said = run(args!["unpack", layout.path, "-o", out, "--json", allow]);
            let report = said.json();
            assert_eq!(report["layers"][0]["status"], status);
            assert_eq!(report["layers"][0]["dmVerity"]["status"], "unannounced");
            assert_eq!(report["layers"][0]["dmVerity"]["rootDigest"], root);
            assert!(said.stderr.contains("nothing announces"), "{}", said.stderr);
        }
        let said = run(args!["check", layout.path, allow]);
        said.done();
        assert!(said.stderr.contains("nothing announces"), "{}", said.stderr);
        // It must be that of the image.
        let mut other = content(&out.join(layer.file(1)));
        let end = other.len();
        other[end - 4096] ^= 1;
        let bad = Layout::of(
            dir.path(&format!("bad{name}")),
            &[Layer::new(media_type, &other)],
        );
        let said = run(args!["unpack", bad.path, "--verify-only", allow]);
        assert!(said.line(1).contains("dm-verity tree"), "{}", said.line(1));
    }
}

#[test]
fn sidecars_and_trees_that_are_appended() {
    let dir = Dir::new();
    let image = image(6, 300);
    let announced = with_tree(&dir, EROFS_ZSTD, &image, &[]);
    let bare = Layer::new(EROFS_ZSTD, &image);
    let layout = Layout::of(dir.path("layout"), &[announced.clone(), bare.clone()]);
    let sidecar = |folder: &str, file: &str| {
        let path = dir.path(folder).join(format!("{file}.dmverity"));
        fs::read(path)
            .ok()
            .map(|text| serde_json::from_slice::<serde_json::Value>(&text).unwrap())
    };
    let files = [announced.file(1), bare.file(2)];
    let out = dir.path("sidecar");
    let said = run(args![
        "unpack",
        layout.path,
        "-o",
        out,
        "--verity",
        "sidecar"
    ]);
    said.text();
    assert!(
        said.stderr.contains("layer 2: no dm-verity tree"),
        "{}",
        said.stderr
    );
    let first = sidecar("sidecar", &files[0]).unwrap();
    assert_eq!(first["hashoffset"], image.len());
    assert_eq!(sidecar("sidecar", &files[1]), None);
    let root = format!("sha256:{}", first["roothash"].as_str().unwrap());
    assert_eq!(
        root,
        announced.annotations["org.erofs.dmverity.root_digest"]
    );
    let out = dir.path("append");
    let said = run(args![
        "unpack",
        layout.path,
        "-o",
        out,
        "--verity",
        "append",
        "--json"
    ]);
    let report = said.json();
    assert_eq!(report["layers"][0]["dmVerity"]["status"], "verified");
    assert_eq!(report["layers"][1]["dmVerity"]["status"], "appended");
    assert!(
        said.stderr
            .contains("layer 2: a dm-verity tree is appended")
    );
    // The one that is announced is as it was; the other has one more.
    assert_eq!(sha256(&content(&out.join(&files[0]))), announced.diff_id);
    let whole = content(&out.join(&files[1]));
    assert!(whole.len() > image.len() && whole[..image.len()] == image);
    for file in &files {
        let sidecar = sidecar("append", file).unwrap();
        let root = sidecar["roothash"].as_str().unwrap();
        let offset = sidecar["hashoffset"].to_string();
        let path = out.join(file);
        let verify = [
            "verity",
            "verify",
            text(&path),
            root,
            "--hash-offset",
            &offset,
        ];
        run(verify).done();
        if is_there() {
            veritysetup([
                "verify",
                "--hash-offset",
                &offset,
                text(&path),
                text(&path),
                root,
            ])
            .done();
        }
    }
}
