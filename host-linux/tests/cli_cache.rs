//! `erofs-unpack cache`: containerd's cache of layer content.

mod common;

use core::time::Duration;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use common::*;
use serde_json::{Value, json};

/// Where containerd looks for a layer: `DIR/ALGO/XX/HEX.erofs`.
fn entry(cache: &Path, diff_id: &str) -> PathBuf {
    let (algorithm, hex) = diff_id.split_once(':').unwrap();
    cache
        .join(algorithm)
        .join(&hex[..2])
        .join(format!("{hex}.erofs"))
}

/// Where the sidecar of an entry lies.
fn sidecar(cache: &Path, diff_id: &str) -> PathBuf {
    let mut path = entry(cache, diff_id).into_os_string();
    path.push(".dmverity");
    path.into()
}

/// All regular files below a directory.
fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in names(path) {
        let path = path.join(name);
        let kind = fs::symlink_metadata(&path).unwrap();
        if kind.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// A layout of three layers, and an empty place for a cache.
fn prepared(dir: &Dir) -> (Layout, [Layer; 3], PathBuf) {
    let layers = three_layers();
    let layout = Layout::of(dir.path("layout"), &layers);
    (layout, layers, dir.path("cache"))
}

#[test]
fn an_indexed_layer_is_decoded_by_its_chunks() {
    let dir = Dir::new();
    let image = image(5, 300);
    let indexed = Indexed::new(&image, 64 << 10, SHA256);
    let layers = [indexed.embedded(), Layer::new(EROFS_ZSTD, &image)];
    for (layer, chunks) in layers.iter().zip([json!(19), Value::Null]) {
        let cache = dir.path(&format!("cache-{}", layer.blob.len()));
        let name = format!("layout-{}", layer.blob.len());
        let layout = Layout::of(dir.path(&name), core::slice::from_ref(layer));
        let report = run(args!["cache", "put", cache, layout.path, "--json"]).json();
        assert_eq!(report["layers"][0]["status"], "put", "{report}");
        assert_eq!(report["layers"][0]["chunks"]["chunks"], chunks, "{report}");
        assert!(content(&entry(&cache, &layer.diff_id)) == image);
    }
    // Its index lies: the layer is whole, and refused for that.
    let mut wrong = Indexed::new(&image, 64 << 10, SHA256);
    *wrong.index.last_mut().unwrap() ^= 1;
    let layout = Layout::of(dir.path("wrong"), &[wrong.embedded()]);
    let said = run(args!["cache", "put", dir.path("none"), layout.path]);
    assert!(
        said.line(1).contains("does not have the checksum"),
        "{}",
        said.stderr
    );
}

#[test]
fn layers_lie_where_containerd_looks() {
    let dir = Dir::new();
    let (layout, layers, cache) = prepared(&dir);
    for status in ["put", "kept"] {
        let run = run(args!["cache", "put", cache, layout.path]);
        let expected: String = layers
            .iter()
            .map(|layer| format!("{status} {}\n", layer.diff_id))
            .collect();
        assert_eq!(run.done(), expected);
        assert_eq!(run.stderr, "");
    }
    for (layer, image) in layers
        .iter()
        .zip([image(1, 40), image(2, 300), image(3, 1)])
    {
        let path = entry(&cache, &layer.diff_id);
        assert!(content(&path) == image);
        let plain = fs::metadata(layout.path.join("oci-layout")).unwrap().mode();
        assert_eq!(fs::metadata(path).unwrap().mode(), plain);
    }
    assert_eq!(files(&cache).len(), 3);
    // What is kept is the same file still.
    let inode = || {
        fs::metadata(entry(&cache, &layers[0].diff_id))
            .unwrap()
            .ino()
    };
    let before = inode();
    run(args!["cache", "put", "--force", cache, layout.path]).done();
    assert_eq!(inode(), before);
    let listed = run(args!["cache", "list", "--json", cache]).json();
    let mut diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
    diff_ids.sort_unstable();
    let found: Vec<_> = listed["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["diffId"].as_str().unwrap())
        .collect();
    assert_eq!(found, diff_ids);
    assert_eq!(listed["command"], "cache list");
    let list = run(args!["cache", "list", cache]);
    assert_eq!(list.done().lines().count(), 3);
    let verified = run(args!["cache", "verify", "-v", "--no-confine", cache]);
    let passed: String = diff_ids.iter().map(|id| format!("passed {id}\n")).collect();
    let end = format!("3 of 3 entries of {} passed\n", cache.display());
    assert_eq!(verified.done(), format!("{passed}{end}"));
    assert!(one_line(&verified.stderr).starts_with("confinement: "));
}

#[test]
fn archives_and_lone_blobs() {
    let dir = Dir::new();
    let (layout, layers, cache) = prepared(&dir);
    let archive = dir.write("image.tar", layout.archive(true));
    run(args!["cache", "put", "-q", cache, archive]).done();
    let [_, layer, _] = &layers;
    let other = dir.path("other");
    let blob = dir.write("blob", &layer.blob);
    let unnamed = run(args!["cache", "put", other, blob]);
    assert!(unnamed.line(2).ends_with("give --diff-id"));
    let long = sha512(&image(2, 300));
    for diff_id in [&layer.diff_id, &long] {
        let run = run(args!["cache", "put", other, blob, "--diff-id", diff_id]);
        assert_eq!(run.done(), format!("put {diff_id}\n"));
        assert!(content(&entry(&other, diff_id)) == image(2, 300));
    }
    // What is not the stated layer gets no name, and leaves nothing.
    let wrong = sha256(b"another");
    let refused = run(args!["cache", "put", other, blob, "--diff-id", wrong]);
    assert!(
        refused.line(1).contains("does not have the stated diffID"),
        "{}",
        refused.stderr
    );
    assert_eq!(files(&other).len(), 2);
    for arguments in [
        args!["--diff-id", wrong, layout.path],
        args!["--diff-id", wrong, blob, blob],
        args!["--media-type", EROFS, layout.path],
        args!["--digest", wrong, blob, layout.path],
    ] {
        run([args!["cache", "put", other], arguments].concat()).line(2);
    }
    assert_eq!(files(&other).len(), 2);
}

#[test]
fn what_the_check_refuses_has_no_entry() {
    let dir = Dir::new();
    let mut bad = image(1, 40);
    // The root directory says that it is a file.
    bad[1152 + 4..1152 + 6].copy_from_slice(&0o100_755_u16.to_le_bytes());
    let bad = Layer::new(EROFS_ZSTD, &mended(bad));
    let layout = Layout::of(dir.path("layout"), core::slice::from_ref(&bad));
    let cache = dir.path("cache");
    run(args!["cache", "put", cache, layout.path]).line(1);
    assert_eq!(files(&cache).len(), 0);
    // Let in by name, it is refused by `verify`.
    run(args!["cache", "put", "--no-check", cache, layout.path]).done();
    let verified = run(args!["cache", "verify", cache]);
    assert_eq!(verified.code(), 1);
    assert_eq!(verified.text(), format!("refused {}\n", bad.diff_id));
    run(args!["cache", "verify", "--no-check", cache]).done();
}

#[test]
fn wrong_contents_are_found_and_replaced_by_force_only() {
    let dir = Dir::new();
    let (layout, layers, cache) = prepared(&dir);
    run(args!["cache", "put", cache, layout.path]).done();
    let path = entry(&cache, &layers[1].diff_id);
    let good = content(&path);
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    for bad in [bad, good[..good.len() - 1].to_vec(), Vec::new()] {
        fs::write(&path, &bad).unwrap();
        let verified = run(args!["cache", "verify", cache]);
        assert_eq!(verified.code(), 1);
        assert!(
            verified
                .text()
                .contains(&format!("refused {}\n", layers[1].diff_id))
        );
        assert_eq!(verified.text().matches("passed").count(), 2);
        assert!(one_line(&verified.stderr).starts_with(path.to_str().unwrap()));
        let report = run(args!["cache", "verify", "--json", cache, layers[1].diff_id]).json();
        assert_eq!(report["entries"][0]["error"]["id"], "diff-id");
        assert_eq!(
            (&report["exitCode"], &report["outcome"]),
            (&json!(1), &json!("refused"))
        );
        let put = run(args!["cache", "put", "-q", cache, layout.path]);
        assert!(
            put.line(1).contains("--force to replace it"),
            "{}",
            put.stderr
        );
        assert!(content(&path) == bad);
        run(args!["cache", "put", "-q", "--force", cache, layout.path]).done();
        assert!(content(&path) == good);
    }
    let missing = run(args!["cache", "verify", cache, sha256(b"absent")]);
    assert_eq!(missing.code(), 3);
    let absent = run(args!["cache", "verify", dir.path("absent")]);
    assert!(absent.line(3).contains("cannot open the cache: "));
    run(args!["cache", "verify", cache, "sha256:abc"]).code();
}

#[test]
fn names_that_are_no_entries() {
    let dir = Dir::new();
    let (layout, layers, cache) = prepared(&dir);
    run(args!["cache", "put", cache, layout.path]).done();
    let outside = dir.write("outside", "precious");
    let hex = "ab".repeat(32);
    let foreign = [
        cache.join("README"),
        cache.join(".build-1234.erofs"),
        cache.join(format!("sha256/{hex}.erofs")),
        cache.join("sha256/zz/x.erofs"),
        // Another folder than its digits say, and not all digits.
        cache.join(format!("sha256/cd/{hex}.erofs")),
        cache.join("sha256/ab/abcd.erofs"),
        cache.join(format!("sha256/ab/{}.erofs", hex.to_uppercase())),
        cache.join(format!("sha256/ab/{hex}.erofs.tmp")),
        cache.join("sha256/ab/\u{1b}[31m.erofs"),
        cache.join("md5/ab/x.erofs"),
    ];
    for path in &foreign {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    // Links, also under names of entries, lead nowhere.
    symlink(&outside, cache.join("link")).unwrap();
    symlink(&dir.0, cache.join("sha512")).unwrap();
    fs::create_dir_all(dir.path("elsewhere/ef")).unwrap();
    symlink(dir.path("elsewhere"), cache.join("sha256/ef")).unwrap_or_default();
    let linked = format!("sha256:{hex}");
    symlink(&outside, entry(&cache, &linked)).unwrap();
    let pipe = format!("sha256:ab{}", "0".repeat(62));
    let made = Command::new("mkfifo").arg(entry(&cache, &pipe)).status();
    assert!(made.unwrap().success());
    let verified = run(args!["cache", "verify", cache]);
    assert_eq!(verified.code(), 1);
    assert_eq!(
        verified.text().matches("passed").count(),
        3,
        "{}",
        verified.text()
    );
    assert_eq!(verified.text().matches("refused").count(), 2);
    assert!(!verified.stderr.contains('\u{1b}'));
    assert_eq!(verified.stderr.matches("is no regular file").count(), 2);
    assert!(verified.stderr.matches("left alone").count() >= foreign.len() - 1);
    let collected = run(args!["cache", "gc", cache, "--older-than", "0"]);
    // Even an entry that is a link is removed by its name only.
    collected.done();
    assert!(entry(&cache, &linked).symlink_metadata().is_err());
    assert_eq!(fs::read(&outside).unwrap(), b"precious");
    for path in &foreign {
        assert!(path.exists(), "{}", path.display());
    }
    assert!(cache.join("link").exists() && dir.path("elsewhere/ef").exists());
    for layer in &layers {
        assert!(!entry(&cache, &layer.diff_id).exists());
    }
    // Nothing is written through a link.
    fs::remove_dir_all(cache.join("sha256")).unwrap();
    symlink(dir.path("elsewhere"), cache.join("sha256")).unwrap();
    let put = run(args!["cache", "put", "-q", cache, layout.path]);
    assert!(put.line(3).contains("cannot open the directory"));
    assert_eq!(names(&dir.path("elsewhere")), ["ef"]);
}

#[test]
fn many_writers_at_once() {
    let dir = Dir::new();
    let (layout, layers, cache) = prepared(&dir);
    for round in 0..3 {
        let _ = fs::remove_dir_all(&cache);
        let tree = round > 0 && has("veritysetup");
        let writers: Vec<_> = (0..6)
            .map(|number| {
                let mut command = program();
                command.args(args!["cache", "put", cache, layout.path]);
                command.env("PATH", path_with_sbin());
                if tree && number % 2 == 0 {
                    command.arg("--dm-verity");
                }
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        // Whoever looks meanwhile never sees a part of an image, nor one that is not as its
        // sidecar says.
        let mut looks = 0;
        let mut running = writers;
        while !running.is_empty() {
            let mut verify = program();
            verify.env("PATH", path_with_sbin());
            let verified = run_with(verify.args(args!["cache", "verify", cache]), b"");
            let absent = verified.stderr.contains("No such file or directory");
            assert!(verified.code() == 0 || absent, "{}", verified.stderr);
            looks += 1;
            let (done, rest): (Vec<_>, Vec<_>) = running
                .into_iter()
                .map(|mut writer| (writer.try_wait().unwrap().is_some(), writer))
                .partition(|(done, _)| *done);
            running = rest.into_iter().map(|(_, writer)| writer).collect();
            for (_, writer) in done {
                let output = writer.wait_with_output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(0), "{said}");
            }
        }
        assert!(looks > 0);
        for layer in &layers {
            assert!(entry(&cache, &layer.diff_id).exists());
            assert_eq!(sidecar(&cache, &layer.diff_id).exists(), tree);
        }
        assert_eq!(files(&cache).len(), if tree { 6 } else { 3 });
    }
    if !has("veritysetup") {
        println!("skipped: needs veritysetup");
    }
}

#[test]
fn dm_verity_as_containerd_has_it() {
    if !has("veritysetup") {
        println!("skipped: needs veritysetup");
        return;
    }
    let dir = Dir::new();
    let (layout, layers, cache) = prepared(&dir);
    let run =
        |arguments: Vec<_>| run_with(program().env("PATH", path_with_sbin()).args(arguments), b"");
    // Images without a tree get one; those with one are kept, asked for or not.
    run(args!["cache", "put", cache, layout.path]).done();
    for (more, status) in [
        ("--dm-verity", "put"),
        ("--dm-verity", "kept"),
        ("-v", "kept"),
    ] {
        let put = run(args!["cache", "put", more, cache, layout.path]);
        assert_eq!(put.done().matches(status).count(), 3, "{more}");
    }
    for (layer, image) in layers
        .iter()
        .zip([image(1, 40), image(2, 300), image(3, 1)])
    {
        let path = entry(&cache, &layer.diff_id);
        let sidecar: Value =
            serde_json::from_slice(&content(&sidecar(&cache, &layer.diff_id))).unwrap();
        assert_eq!(sidecar["hashoffset"], json!(image.len()));
        let whole = content(&path);
        assert!(whole[..image.len()] == image);
        assert_eq!(&whole[image.len()..][..8], b"verity\0\0");
        // As containerd opens it, by veritysetup's own reading.
        let mut verify = Command::new("veritysetup");
        verify
            .env("PATH", path_with_sbin())
            .args(["verify", "--hash-offset", &image.len().to_string()])
            .args([&path, &path])
            .arg(sidecar["roothash"].as_str().unwrap());
        run_with(&mut verify, b"").done();
    }
    let verified = run(args!["cache", "verify", "--json", cache]).json();
    assert_eq!(verified["entries"].as_array().unwrap().len(), 3);
    assert!(verified["entries"].as_array().unwrap().iter().all(|entry| {
        entry["dmVerity"] == true && entry["verified"] == true && entry["status"] == "passed"
    }));
    // A wrong tree, root, offset, and a tree of the first block only.
    let diff_id = &layers[1].diff_id;
    let (path, side) = (entry(&cache, diff_id), sidecar(&cache, diff_id));
    let (good, text) = (content(&path), fs::read_to_string(&side).unwrap());
    let end = 300 * 4096;
    let mut tree = good.clone();
    tree[end + 4096 + 7] ^= 1;
    let mut short = good.clone();
    short[end + 72..end + 80].copy_from_slice(&1_u64.to_le_bytes());
    let first = text.find(": \"").unwrap() + 3;
    let mut root = text.clone();
    root.replace_range(
        first..first + 2,
        if &text[first..first + 2] == "00" {
            "11"
        } else {
            "00"
        },
    );
    let offset = |value: usize| text.replace(&end.to_string(), &value.to_string());
    for (image, sidecar, id) in [
        (&tree, &text, "cache-tree"),
        (&short, &text, "cache-tree"),
        (&good, &root, "cache-tree"),
        (&good, &offset(end - 4096), "diff-id"),
        (&good, &offset(end + 4096), "diff-id"),
        (&good, &offset(1 << 40), "cache-tree"),
        (&good, &"{}".to_owned(), "cache-sidecar"),
        (&good, &"x".repeat(9000), "cache-sidecar"),
    ] {
        fs::write(&path, image).unwrap();
        fs::write(&side, sidecar).unwrap();
        let verified = run(args!["cache", "verify", "--json", cache, diff_id]);
        assert_eq!(verified.code(), 1);
        let error = &verified.json()["entries"][0]["error"];
        assert_eq!(error["id"], id, "{error}");
        run(args![
            "cache",
            "put",
            "-q",
            "--dm-verity",
            cache,
            layout.path
        ])
        .line(1);
    }
    run(args![
        "cache",
        "put",
        "-q",
        "--force",
        "--dm-verity",
        cache,
        layout.path
    ])
    .done();
    assert!(content(&path) == good, "every writer makes the same file");
    assert_eq!(fs::read_to_string(&side).unwrap(), text);
    // No other program is needed.
    for command in [&["cache", "put", "--dm-verity"][..], &["cache", "verify"]] {
        let mut without = program();
        without
            .env("PATH", dir.path("empty"))
            .args(command)
            .arg(&cache);
        if command.len() == 3 {
            without.arg(&layout.path);
        }
        run_with(&mut without, b"").done();
    }
    let left = ["cache", "verify", "--no-dm-verity"]
        .map(Into::into)
        .to_vec();
    run([left, args![cache]].concat()).done();
}

#[test]
fn an_image_that_ends_inside_a_block() {
    if !has("veritysetup") {
        println!("skipped: needs veritysetup");
        return;
    }
    let dir = Dir::new();
    // A raw chunk index behind the image, as the draft has it: its diffID covers all of it.
    let image = image(1, 40);
    let mut layer = image.clone();
    layer.extend([0xCD, 0xE4, 0xEC, 0x67, 1, 0, 0, 0]);
    layer.extend((image.len() as u64).to_le_bytes());
    layer.extend([1, 0, 0, 0, 0, 0]);
    layer.resize(image.len() + 32 + 16, 0);
    let mut layer = Layer::new(EROFS, &layer);
    layer.annotations = json!({
        "org.erofs.chunk-index.range": image.len().to_string(),
        "org.erofs.chunk-index.digest": sha256(&layer.blob[image.len()..]),
        "org.erofs.chunk-index.mediaType": "application/vnd.erofs.chunk-index.v1",
    });
    let layout = Layout::of(dir.path("layout"), core::slice::from_ref(&layer));
    let cache = dir.path("cache");
    let run =
        |arguments: Vec<_>| run_with(program().env("PATH", path_with_sbin()).args(arguments), b"");
    run(args!["cache", "put", "--dm-verity", cache, layout.path]).done();
    let path = entry(&cache, &layer.diff_id);
    assert_eq!(&content(&path)[41 * 4096..][..6], b"verity");
    run(args!["cache", "verify", cache]).done();
    let kept = run(args!["cache", "put", cache, layout.path]);
    assert_eq!(kept.done(), format!("kept {}\n", layer.diff_id));
    // The filling is covered by the tree, not by the digest.
    let mut bad = content(&path);
    bad[41 * 4096 - 1] = 1;
    fs::write(&path, bad).unwrap();
    assert_eq!(run(args!["cache", "verify", cache]).code(), 1);
}

#[test]
fn images_made_from_tar_layers_pass_when_asked_for() {
    let dir = Dir::new();
    let cache = dir.path("cache");
    // As `ctr images build-erofs-cache` leaves it: under the digest of the tar archive.
    let diff_id = sha256(b"a tar archive");
    let path = entry(&cache, &diff_id);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, image(1, 40)).unwrap();
    assert_eq!(run(args!["cache", "verify", cache]).code(), 1);
    let passed = run(args!["cache", "verify", "--converted", cache]);
    assert!(passed.done().contains("its digest says nothing"));
    let report = run(args!["cache", "verify", "--converted", "--json", cache]).json();
    assert_eq!(report["entries"][0]["verified"], false);
    fs::write(&path, [image(1, 40), vec![1; 4096]].concat()).unwrap();
    assert_eq!(
        run(args!["cache", "verify", "--converted", cache]).code(),
        1
    );
    fs::write(&path, "no image").unwrap();
    assert_eq!(
        run(args!["cache", "verify", "--converted", cache]).code(),
        1
    );
}

#[test]
fn layers_that_are_no_entries_are_left_out() {
    let dir = Dir::new();
    let lower = Layer::new(EROFS, &image(1, 40));
    let device = Layer::new(EROFS, &[7; 4096]).role("device");
    let layout = Layout::of(
        dir.path("layout"),
        &[device, Layer::new(EROFS, &image(2, 2)), lower.clone()],
    );
    let cache = dir.path("cache");
    let put = run(args!["cache", "put", cache, layout.path]);
    assert_eq!(put.code(), 0, "{}", put.stderr);
    assert_eq!(put.text(), format!("put {}\n", lower.diff_id));
    assert_eq!(
        put.stderr.matches("left out: ").count(),
        2,
        "{}",
        put.stderr
    );
}

/// Makes an entry or another file look old.
fn age(path: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(then)
        .unwrap();
}

#[test]
fn gc_removes_what_nothing_keeps() {
    let dir = Dir::new();
    let (layout, layers, cache) = prepared(&dir);
    let mut other = Layout::new(dir.path("other"));
    let (kept, gone) = (
        Layer::new(EROFS_ZSTD, &image(8, 30)),
        Layer::new(EROFS_ZSTD, &image(9, 30)),
    );
    other.add(
        core::slice::from_ref(&kept),
        json!({"annotations": {REF_NAME: "kept"}}),
    );
    let entry_for = other.image_for("riscv64", core::slice::from_ref(&gone));
    let nested = other.document(INDEX, &index(&[entry_for]));
    other.add_entry(nested, json!({"annotations": {REF_NAME: "gone"}}));
    run(args!["cache", "put", "-q", cache, layout.path]).done();
    run(args![
        "cache", "put", "-q", cache, other.path, "--ref", "kept"
    ])
    .done();
    let riscv = args!["--ref", "gone", "--platform", "linux/riscv64"];
    run([args!["cache", "put", "-q", cache, other.path], riscv].concat()).done();
    let count = || files(&cache).len();
    assert_eq!(count(), 5);
    // Nothing says what is needed: no entry goes.
    let none = run(args!["cache", "gc", cache]);
    assert!(none.done().ends_with("5 entries stay\n"), "{}", none.text());
    // All images of all platforms keep theirs.
    run(args!["cache", "gc", cache, layout.path, other.path]).done();
    assert_eq!(count(), 5);
    let arguments = args![
        "cache",
        "gc",
        cache,
        layout.path,
        other.path,
        "--ref",
        "kept"
    ];
    let bad = run(arguments);
    assert!(bad.line(2).contains("no image of such a name"));
    let dry = run(args![
        "cache", "gc", "-n", cache, other.path, "--ref", "kept"
    ]);
    assert_eq!(dry.done().matches("would remove sha256:").count(), 4);
    assert_eq!(count(), 5);
    let collected = run(args![
        "cache",
        "gc",
        "--json",
        cache,
        layout.path,
        "--keep",
        kept.diff_id
    ]);
    let report = collected.json();
    assert_eq!(report["removed"][0]["diffId"], gone.diff_id);
    assert_eq!(
        (&report["kept"], &report["freed"]),
        (&json!(4), &json!(30 * 4096))
    );
    assert!(!entry(&cache, &gone.diff_id).exists());
    // Old enough and not kept.
    age(&entry(&cache, &layers[0].diff_id), 40);
    age(&entry(&cache, &layers[1].diff_id), 40);
    let old = args![
        "cache",
        "gc",
        cache,
        "--older-than",
        "30d",
        "--keep",
        layers[0].diff_id
    ];
    run(old).done();
    assert_eq!(count(), 3);
    assert!(!entry(&cache, &layers[1].diff_id).exists());
    // So might what cannot be used.
    let foreign = json!({"mediaType": MANIFEST, "digest": "blake3:00", "size": 1});
    other.add_entry(foreign, json!({"annotations": {REF_NAME: "foreign"}}));
    let refused = run(args!["cache", "gc", cache, other.path]);
    assert!(refused.line(1).contains("(manifests[2].digest)"));
    assert_eq!(count(), 3);
    let kept = args!["cache", "gc", "-n", cache, other.path, "--ref", "kept"];
    run(kept).done();
    // What cannot be read might need something.
    other.entries.pop();
    other.save();
    let manifest = other.entries[0]["digest"].as_str().unwrap();
    fs::remove_file(other.blob_path(manifest)).unwrap();
    run(args!["cache", "gc", cache, other.path]).line(3);
    assert_eq!(count(), 3);
}

#[test]
fn gc_keeps_what_snapshots_link_to() {
    let dir = Dir::new();
    let (layout, layers, cache) = prepared(&dir);
    run(args!["cache", "put", "-q", cache, layout.path]).done();
    let root = dir.path("snapshotter");
    for (number, layer) in layers[..2].iter().enumerate() {
        let snapshot = root.join(format!("snapshots/{number}"));
        fs::create_dir_all(&snapshot).unwrap();
        symlink(entry(&cache, &layer.diff_id), snapshot.join("layer.erofs")).unwrap();
    }
    // Another way to the same folder; a snapshot of its own; one that leads nowhere.
    symlink(&cache, dir.path("alias")).unwrap();
    dir.write("snapshotter/snapshots/7/layer.erofs", "x");
    fs::create_dir_all(root.join("snapshots/8")).unwrap();
    symlink(dir.path("nowhere"), root.join("snapshots/8/layer.erofs")).unwrap();
    dir.write("snapshotter/snapshots/file", "x");
    for path in [&cache, &dir.path("alias")] {
        run(args![
            "cache",
            "gc",
            path,
            "--older-than",
            "0",
            "--snapshots",
            root
        ])
        .done();
        assert!(entry(&cache, &layers[0].diff_id).exists());
        assert!(entry(&cache, &layers[1].diff_id).exists());
        assert_eq!(files(&cache).len(), 2);
    }
    let absent = args!["--older-than", "0", "--snapshots", dir.path("absent")];
    run([args!["cache", "gc", cache], absent].concat()).line(3);
    assert_eq!(files(&cache).len(), 2);
}

#[test]
fn what_killed_writers_left() {
    let dir = Dir::new();
    let (layout, layers, cache) = prepared(&dir);
    run(args!["cache", "put", "-q", cache, layout.path]).done();
    let lone = sha256(b"its image never came");
    let orphan = sidecar(&cache, &lone);
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, "{}").unwrap();
    let shard = entry(&cache, &layers[0].diff_id);
    let name = ".x.erofs.0123456789abcdef.partial";
    let left = [cache.join(name), shard.with_file_name(name)];
    for path in &left {
        fs::write(path, "x").unwrap();
    }
    // One of a writer that is at work.
    let busy = cache.join(".y.erofs.0123456789abcdef.partial");
    fs::write(&busy, "y").unwrap();
    let held = File::open(&busy).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_eq!(run(args!["cache", "verify", cache]).code(), 0);
    let dry = run(args!["cache", "gc", "--dry-run", cache]);
    assert!(dry.done().contains("2 temporary files; 3 entries stay"));
    assert!(orphan.exists() && left.iter().all(|path| path.exists()));
    let collected = run(args!["cache", "gc", cache]);
    assert!(
        collected
            .done()
            .contains("2 temporary files; 3 entries stay")
    );
    assert!(!orphan.exists() && !left.iter().any(|path| path.exists()) && busy.exists());
    // A writer that was killed between its two names, and another one after it.
    let diff_id = &layers[0].diff_id;
    fs::remove_file(entry(&cache, diff_id)).unwrap();
    fs::write(sidecar(&cache, diff_id), "{}").unwrap();
    run(args!["cache", "put", "-q", cache, layout.path]).done();
    assert!(!sidecar(&cache, diff_id).exists());
    run(args!["cache", "verify", cache]).done();
}

#[test]
fn a_writer_that_is_killed_leaves_nothing_but_whole_entries() {
    let dir = Dir::new();
    let layers: Vec<Layer> = (0..6)
        .map(|seed| Layer::new(EROFS_ZSTD, &image(seed, 3000)))
        .collect();
    let layout = Layout::of(dir.path("layout"), &layers);
    let cache = dir.path("cache");
    for delay in [20, 60, 120, 250] {
        let mut writer = program()
            .args(args!["cache", "put", "-q", cache, layout.path])
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        let _ = writer.kill();
        writer.wait().unwrap();
        if cache.exists() {
            let verified = run(args!["cache", "verify", cache]);
            assert_eq!((verified.code(), verified.stderr.as_str()), (0, ""));
        }
    }
    run(args!["cache", "put", "-q", cache, layout.path]).done();
    run(args!["cache", "gc", cache]).done();
    assert_eq!(files(&cache).len(), 6);
}
