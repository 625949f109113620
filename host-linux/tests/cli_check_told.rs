//! What is told of a check: of images with devices, by `unpack`, and by several threads.
#![allow(
    clippy::disallowed_methods,
    clippy::std_instead_of_alloc,
    reason = "a test may panic, and has std"
)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::device::*;
use common::*;
use erofs_unpack_ops::Sandbox;
use serde_json::Value;

#[test]
fn a_path_is_found_past_a_damaged_directory() {
    // Its entries cannot be read, nor its `..`.
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/cases");
    let image = cases.join("check-directory/table-none.erofs");
    let told = run(args!["check", image]);
    assert_eq!(told.code(), 1, "{}", told.stderr);
    assert!(
        told.text().contains("\n  /d: directory block: "),
        "{}",
        told.text()
    );
}

#[test]
fn a_device_belongs_to_the_image_or_is_foreign() {
    let dir = Dir::new();
    let image = dir.write("image.erofs", with_device(1));
    let told = run(args!["check", image]);
    assert_eq!(told.code(), 1, "{}", told.stderr);
    assert!(
        told.text().starts_with("error device-foreign: "),
        "{}",
        told.text()
    );
    let told = run(args!["check", image, "--policy", "any"]);
    assert!(
        told.done().starts_with("warning device-foreign: "),
        "{}",
        told.text()
    );
    run(args!["check", image, "--known-devices", "1"]).done();
    let device = dir.write("device", noise(7, 8192));
    for policy in ["any", "containerd", "strict"] {
        for level in ["metadata", "full"] {
            let told = run(args![
                "check", image, "--device", device, "--policy", policy, "--level", level
            ]);
            assert!(
                told.done().contains("2 inodes, 0 errors, 0 warnings"),
                "{}",
                told.text()
            );
        }
    }
    // A device that ends before its content does.
    let short = dir.write("short", noise(7, 4096));
    let told = run(args!["check", image, "--device", short]);
    assert_eq!(told.code(), 1, "{}", told.stderr);
    let lines: Vec<&str> = told.text().lines().collect();
    assert!(lines[0].starts_with("error file-bounds: "), "{lines:?}");
    assert!(lines[1].starts_with("  /f: "), "{lines:?}");
    // A guest is told of devices too, and says the same of them.
    if Sandbox::AVAILABLE {
        for device in [&device, &short] {
            for level in ["metadata", "full"] {
                let [inside, native] = ["wasm", "none"].map(|sandbox| {
                    let sandbox = format!("--sandbox={sandbox}");
                    run(args![
                        "check", image, "--device", device, "--level", level, sandbox
                    ])
                });
                assert_eq!(inside.text(), native.text());
                assert_eq!(inside.code(), native.code());
            }
        }
    }
}

/// Where the address space is limited, a guest gets by with what it has.
#[test]
fn the_sandbox_keeps_to_a_limit_of_addresses() {
    if !Sandbox::AVAILABLE {
        return;
    }
    let dir = Dir::new();
    let image = dir.write("image.erofs", with_device(1));
    let told = Command::new("sh")
        .args(["-c", "ulimit -v 2000000 && exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_erofs-unpack"))
        .args(["check", "--known-devices=1", "--sandbox=wasm"])
        .arg(&image)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{said}");
}

#[test]
fn unpack_checks_an_image_when_its_devices_are_there() {
    let dir = Dir::new();
    let good = Layout::of(dir.path("good"), &pair(&noise(7, 8192), &with_device(1)));
    let short = Layout::of(dir.path("short"), &pair(&noise(7, 4096), &with_device(1)));
    for jobs in ["1", "2"] {
        let out = dir.path(&format!("out{jobs}"));
        run(args!["unpack", good.path, "-o", out, "--jobs", jobs]).done();
        assert_eq!(names(&out).len(), 3);
        run(args!["unpack", good.path, "--verify-only", "--jobs", jobs]).done();
        // What is there already is checked again, with its devices.
        let kept = run(args!["unpack", good.path, "-o", out, "--json"]);
        assert_eq!(kept.code(), 0, "{}", kept.stderr);
        assert_eq!(kept.json()["layers"][1]["status"], "kept");
        assert_eq!(kept.json()["layers"][1]["check"]["inodes"], 2);

        let out = dir.path("refused");
        for more in [&["-o", out.to_str().unwrap()][..], &["--verify-only"]] {
            let mut all = args!["unpack", short.path, "--jobs", jobs];
            all.extend(more.iter().map(Into::into));
            let told = run(all);
            let line = told.line(1);
            assert!(line.starts_with("layer 2: "), "{line}");
            assert!(line.contains(":/f: "), "{line}");
            assert!(line.ends_with("(rule file-bounds)"), "{line}");
        }
        assert_eq!(names(&out), [""; 0]);
    }
    // One layer alone: its devices are known, and not at hand.
    let one = dir.path("one.erofs");
    run(args!["unpack", short.path, "--layer", "2", "-o", one]).done();
    let out = dir.path("unchecked");
    run(args!["unpack", short.path, "-o", out, "--no-check"]).done();
    let out = dir.path("allowed");
    run(args![
        "unpack",
        short.path,
        "-o",
        out,
        "--allow",
        "file-bounds"
    ])
    .done();
}

#[test]
fn unpack_tells_the_first_error_and_how_many_there_are() {
    let dir = Dir::new();
    // The device is not at hand, the root's parent is the file, and the file is of no type.
    let bad = changed(with_device(3), ROOT_ENTRIES + 12, &[40]);
    let bad = dir.write("bad.erofs", changed(bad, FILE + 4, &[0xff, 0xff]));
    let out = dir.path("out");
    let told = run(args!["unpack", bad, "-o", out, "-q"]);
    let line = told.line(1);
    assert!(line.contains("(rule device-"), "{line}");
    assert!(line.ends_with(" more errors)"), "{line}");
    let told = run(args!["unpack", bad, "-o", out, "-v"]);
    assert!(
        told.stderr.contains("error inode-mode: An inode"),
        "{}",
        told.stderr
    );
    let told = run(args!["unpack", bad, "-o", out, "--json"]);
    assert_eq!(told.code(), 1);
    let check = told.json()["layers"][0]["check"].clone();
    let breaches = check["findings"].as_array().unwrap();
    let errors = breaches
        .iter()
        .filter(|breach| breach["severity"] == "error")
        .map(|breach| breach["count"].as_u64().unwrap());
    assert_eq!(check["errors"], errors.sum::<u64>());
    assert!(breaches.iter().any(|breach| breach["rule"] == "inode-mode"));
    assert!(!out.exists());
}

#[test]
fn image_json_says_what_was_checked() {
    let dir = Dir::new();
    // A warning: more links than lead to the file.
    let image = changed(with_device(4), FILE + 6, &[3]);
    let layout = Layout::of(dir.path("layout"), &pair(&noise(7, 8192), &image));
    let out = dir.path("out");
    let told = run(args![
        "unpack",
        layout.path,
        "-o",
        out,
        "--allow",
        "xattr-acl",
        "--policy",
        "containerd"
    ]);
    told.done();
    assert!(told.stderr.contains(":/f: "), "{}", told.stderr);
    let said: Value = serde_json::from_slice(&content(&out.join("image.json"))).unwrap();
    let check = &said["layers"][1]["check"];
    assert_eq!(check["level"], "metadata");
    assert_eq!(check["policy"], "containerd");
    assert_eq!(check["allowed"][0], "xattr-acl");
    assert_eq!(check["warnings"], 1);
    assert_eq!(check["findings"], Value::Null);

    let told = run(args![
        "unpack",
        layout.path,
        "--verify-only",
        "--policy",
        "strict"
    ]);
    assert!(told.line(1).contains("rule inode-links"), "{}", told.stderr);
}

#[test]
fn an_inode_that_no_entry_leads_to_has_a_path() {
    let dir = Dir::new();
    let image = changed(with_device(5), FILE + 6, &[3]);
    let image = dir.write("image.erofs", image);
    let report = run(args!["check", image, "--known-devices", "1", "--json"]).json();
    let breach = &report["findings"][0];
    assert_eq!(breach["rule"], "inode-links");
    assert_eq!(breach["places"][0]["path"], "/f");
    assert_eq!(breach["places"][0]["found"], "3");
    assert_eq!(breach["places"][0]["expected"], "1");
}

#[test]
fn a_plain_blob_is_checked_where_it_lies() {
    let dir = Dir::new();
    let plain = dir.write("plain.erofs", image(1, 40));
    let packed = dir.write("packed.erofs.zst", zstd(&image(1, 40)));
    let verify = |blob| {
        let arguments = args!["unpack", blob, "--verify-only", "-q"];
        run_with(program().args(arguments).env("TMPDIR", "/nowhere"), b"")
    };
    verify(&plain).done();
    assert_eq!(verify(&packed).code(), 3);
}

/// Whether there is a mkfs.erofs; else it is said that the test is skipped.
fn has_mkfs() -> bool {
    if has("mkfs.erofs") {
        return true;
    }
    assert!(
        std::env::var_os("EROFS_UNPACK_REQUIRE_TOOLS").is_none(),
        "mkfs.erofs is missing"
    );
    println!("skipped: needs mkfs.erofs");
    false
}

#[test]
fn threads_find_together_what_one_finds_alone() {
    if !has_mkfs() {
        return;
    }
    let dir = Dir::new();
    // Enough that every one of the threads has a share, text that compresses.
    let text = |seed: usize| -> Vec<u8> {
        let lines = (0..120_000).map(|line| format!("{seed} {} {line}\n", line * 7919 % 1013));
        lines.collect::<String>().into_bytes()
    };
    for seed in 0..3 {
        dir.write(&format!("tree/file-{seed}"), text(seed));
    }
    let image = dir.path("image.erofs");
    let made = Command::new("mkfs.erofs")
        .env("PATH", path_with_sbin())
        .args(["--quiet", "-zlz4", "-T0"])
        .args([&image, &dir.path("tree")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let check = |jobs: &str, level: &str| {
        run(args![
            "check", image, "--level", level, "--jobs", jobs, "--json"
        ])
    };
    let whole = check("1", "full");
    assert_eq!(whole.code(), 0, "{}", whole.text());
    let decoded = whole.json()["decoded"].clone();
    assert!(decoded.as_u64().unwrap() > 4_000_000, "{decoded}");
    for jobs in ["2", "3", "300"] {
        let told = check(jobs, "full").json();
        assert_eq!(told["decoded"], decoded, "{jobs}");
        assert_eq!(told["inodes"], 4);
    }

    // Damage all through the data, which metadata does not show.
    let mut bytes = fs::read(&image).unwrap();
    let end = bytes.len();
    for block in bytes[..end].chunks_mut(4096).skip(20).step_by(16) {
        block[4000..4090].fill(0xff);
    }
    fs::write(&image, bytes).unwrap();
    assert_eq!(check("1", "metadata").code(), 0);
    let one = check("1", "full");
    assert_eq!(one.code(), 1);
    let one = one.json();
    assert_eq!(one["findings"][0]["rule"], "pcluster-data");
    assert!(one["errors"].as_u64().unwrap() > 20, "{}", one["errors"]);
    let path = one["findings"][0]["places"][0]["path"].as_str().unwrap();
    assert!(path.starts_with("/file-"), "{path}");
    for jobs in ["2", "3"] {
        let told = check(jobs, "full");
        assert_eq!(told.code(), 1);
        let told = told.json();
        assert_eq!(told["errors"], one["errors"]);
        assert_eq!(told["warnings"], one["warnings"]);
        assert_eq!(told["decoded"], decoded);
        let counts = |report: &Value| -> Vec<(Value, Value)> {
            let breaches = report["findings"].as_array().unwrap();
            let mut counts: Vec<_> = breaches
                .iter()
                .map(|breach| (breach["rule"].clone(), breach["count"].clone()))
                .collect();
            counts.sort_by_key(|(rule, _)| rule.to_string());
            counts
        };
        assert_eq!(counts(&told), counts(&one));
    }
    // What unpack decodes at that level is refused too, and is let through below it.
    let out = dir.path("out.erofs");
    let told = run(args!["unpack", image, "-o", out, "-q", "--level", "full"]);
    assert!(
        told.line(1).contains("(rule pcluster-data"),
        "{}",
        told.stderr
    );
    run(args!["unpack", image, "-o", out, "-q"]).done();
}

#[test]
fn all_threads_together_stay_within_the_memory() {
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/bases/zstd.erofs");
    let check = |jobs: u16, memory: u64| {
        let memory = format!("--max-check-memory={memory}");
        let jobs = format!("--jobs={jobs}");
        run(args![
            "check",
            image,
            "--level=full",
            "--json",
            memory,
            jobs
        ])
    };
    let kept = |told: &Run| {
        let report = told.json();
        assert_eq!(report["exitCode"], 0);
        report["memory"].as_u64().unwrap()
    };
    let alone = kept(&check(1, 1 << 29));
    assert!(alone > 0);
    assert_eq!(kept(&check(4, 1 << 29)), 4 * alone);
    for jobs in [1, 2, 4, 100] {
        // Too little for two: one thread does it all.
        assert_eq!(kept(&check(jobs, alone)), alone, "{jobs}");
        let told = check(jobs, alone - 1);
        assert_eq!(told.code(), 1);
        assert!(told.stderr.contains("check-memory"), "{}", told.stderr);
    }
}
