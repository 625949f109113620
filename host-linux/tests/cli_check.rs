//! `erofs-unpack check`, and the check that `unpack` does: what passes, what is refused, and
//! how it is told.
#![allow(
    clippy::disallowed_methods,
    clippy::std_instead_of_alloc,
    reason = "a test may panic, and has std"
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::*;

fn bases(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../vectors/bases")
        .join(name)
}

/// An image of the vectors, inodes and directories in its first block.
fn good() -> Vec<u8> {
    fs::read(bases("demo-1.erofs")).unwrap()
}

/// That image with the names in its root out of order.
fn unordered() -> Vec<u8> {
    let mut image = good();
    let at = image.windows(5).position(|name| name == b"cache").unwrap();
    image[at] = b'z';
    mended(image)
}

#[test]
fn what_writers_make_passes_under_every_policy() {
    for name in [
        "demo-1.erofs",
        "demo-2.erofs.zst",
        "demo-3.erofs.gz",
        "tar-index.erofs",
    ] {
        for policy in ["any", "containerd", "strict"] {
            for level in ["superblock", "metadata", "full"] {
                let told = run(args![
                    "check",
                    bases(name),
                    "--policy",
                    policy,
                    "--level",
                    level
                ]);
                assert!(told.done().contains(": passed: "), "{}", told.text());
                assert_eq!(told.stderr, "", "{name}");
            }
        }
    }
}

#[test]
fn a_breach_is_told_with_its_rule_its_path_and_a_verdict() {
    let dir = Dir::new();
    let bad = dir.write("bad.erofs", unordered());
    let told = run(args!["check", bad]);
    assert_eq!(told.code(), 1, "{}", told.stderr);
    let lines: Vec<&str> = told.text().lines().collect();
    assert!(lines[0].starts_with("error dirent-order: "), "{lines:?}");
    assert!(
        lines[1].starts_with("  /etc: directory entry: "),
        "{lines:?}"
    );
    assert!(
        lines[2].ends_with(
            "bad.erofs: refused: 6 inodes, 1 error, 0 warnings (policy containerd, level metadata)"
        ),
        "{lines:?}"
    );

    let told = run(args!["check", bad, "--json"]);
    assert_eq!(told.code(), 1, "{}", told.stderr);
    let report = told.json();
    assert_eq!(report["outcome"], "refused");
    assert_eq!(report["findings"][0]["rule"], "dirent-order");
    assert_eq!(report["findings"][0]["places"][0]["at"][0], "file");

    run(args!["check", bad, "--allow", "dirent-order"]).done();
    let told = run(args!["check", bad, "--allow", "dirent-disorder"]);
    assert!(told.line(2).contains("dirent-order"), "{}", told.stderr);
}

#[test]
fn what_cannot_be_read_at_all_is_a_finding_too() {
    let dir = Dir::new();
    let mut image = good();
    image[1024] ^= 1;
    let told = run(args!["check", dir.write("magic.erofs", &image)]);
    assert_eq!(told.code(), 1);
    let told = run(args!["check", dir.path("missing.erofs")]);
    assert_eq!(told.code(), 3);
}

#[test]
fn unpack_checks_before_a_file_gets_its_name() {
    let dir = Dir::new();
    let bad = dir.write("bad.erofs", unordered());
    let out = dir.path("out.erofs");
    let unpack = |more: &[&str]| {
        let mut all = args!["unpack", bad, "-o", out, "--quiet"];
        all.extend(more.iter().map(Into::into));
        run(all)
    };
    let told = unpack(&[]);
    assert!(
        told.line(1).contains("bad.erofs:/etc: directory entry: "),
        "{}",
        told.stderr
    );
    assert!(!out.exists());
    for allowed in [
        &["--no-check"][..],
        &["--allow", "dirent-order"],
        &["--level", "superblock"],
    ] {
        unpack(allowed).done();
        fs::remove_file(&out).unwrap();
    }
    assert_eq!(unpack(&["--no-check", "--level", "full"]).code(), 2);
    // What is there already is checked too.
    unpack(&["--no-check"]).done();
    let digest = sha256(&unordered());
    let kept = unpack(&["--diff-id", &digest]);
    assert!(kept.line(1).contains(":/etc: "), "{}", kept.stderr);

    let told = run(args!["unpack", bad, "--verify-only", "--quiet"]);
    assert!(told.line(1).contains(":/etc: "), "{}", told.stderr);
    let told = run(args!["unpack", bad, "-o", "-", "--quiet"]);
    assert!(told.line(1).contains(":/etc: "), "{}", told.stderr);
}

#[test]
fn what_follows_an_image_is_explained_or_refused() {
    let dir = Dir::new();
    let check = |bytes: &[u8], policy: &str| {
        let image = dir.write("trailing.erofs", bytes);
        run(args!["check", image, "--policy", policy])
    };
    let surplus = [&good()[..], &[1; 512]].concat();
    let told = check(&surplus, "containerd");
    assert_eq!(told.code(), 1, "{}", told.stderr);
    assert!(
        told.text().starts_with("error image-trailing: "),
        "{}",
        told.text()
    );
    let told = check(&surplus, "any");
    assert!(
        told.done().starts_with("warning image-trailing: "),
        "{}",
        told.text()
    );
    let verity = [&good()[..], b"verity\0\0", &[0; 504]].concat();
    check(&verity, "strict").done();
    let mut index = fs::read(bases("tar-index.erofs")).unwrap();
    index.extend([0; 1024]);
    check(&index, "strict").done();
    index.push(7);
    assert_eq!(check(&index, "strict").code(), 1);
}

#[test]
fn the_page_of_the_rules_is_current() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/RULES.md");
    let written = fs::read_to_string(page).unwrap();
    let run = program().args(["rules", "--markdown"]).output().unwrap();
    assert!(
        written.as_bytes() == run.stdout,
        "run: erofs-unpack rules --markdown > core/RULES.md"
    );
}

#[test]
fn the_kernels_that_read_an_image_are_told() {
    let kernel = |told: &Run| {
        let line = told
            .text()
            .lines()
            .find(|line| line.starts_with("  kernel: "));
        line.unwrap_or_default().to_owned()
    };
    for (name, level, said) in [
        ("demo-1.erofs", "metadata", "  kernel: Linux 5.4 and newer"),
        (
            "demo-1.erofs",
            "superblock",
            "  kernel: Linux 5.4 and newer, as far as the superblock says",
        ),
        (
            "zstd.erofs",
            "full",
            "  kernel: Linux 6.10 and newer (zstd)",
        ),
        (
            "lz4.erofs",
            "superblock",
            "  kernel: Linux 6.4 and newer (blocks of less than 4096 bytes), as far as the superblock \
             says",
        ),
        (
            "lz4.erofs",
            "metadata",
            "  kernel: Linux 6.8 and newer (compressed files in blocks of less than 4096 bytes)",
        ),
    ] {
        // One thread or several say the same.
        for jobs in ["1", "2"] {
            let told = run(args![
                "check",
                bases(name),
                "--level",
                level,
                "--jobs",
                jobs
            ]);
            told.done();
            assert_eq!(kernel(&told), said, "{name}");
        }
    }
    let report = run(args!["check", bases("zstd.erofs"), "--json"]).json();
    assert_eq!(report["kernel"]["first"], "6.10");
    assert_eq!(report["kernel"]["last"], serde_json::Value::Null);
    let zstd = &report["kernel"]["needs"];
    let zstd = zstd
        .as_array()
        .unwrap()
        .iter()
        .find(|need| need["name"] == "zstd");
    assert_eq!(zstd.unwrap()["otherwise"], "refused");
}

#[test]
fn holes_that_older_kernels_decode_need_a_new_one() {
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/cases/check-map/hole.erofs");
    let check = |version| {
        let lenient = args![
            "check", &image, "--policy", "any", "--kernel", version, "--json"
        ];
        run(lenient)
    };
    let told = check("7.2");
    assert_eq!(told.code(), 0, "{}", told.stderr);
    assert_eq!(told.json()["findings"][0]["rule"], "pcluster-hole");
    let told = check("7.1");
    assert_eq!(told.code(), 1, "{}", told.stderr);
    let finding = &told.json()["findings"][0];
    assert_eq!(finding["rule"], "kernel-version");
    assert_eq!(finding["places"][0]["expected"], "Linux 7.2 and newer");
}

#[test]
fn an_image_is_refused_that_one_kernel_does_not_read() {
    for version in ["6.10", "6.10.0-rc1", "6.12.3-amd64", "7.1"] {
        run(args!["check", bases("zstd.erofs"), "--kernel", version]).done();
    }
    let told = run(args![
        "check",
        bases("zstd.erofs"),
        "--kernel",
        "6.9.12",
        "--json"
    ]);
    assert_eq!(told.code(), 1, "{}", told.stderr);
    let finding = &told.json()["findings"][0];
    assert_eq!(finding["rule"], "kernel-version");
    assert_eq!(finding["places"][0]["found"], "zstd");
    assert_eq!(finding["places"][0]["expected"], "Linux 6.10 and newer");
    // What files need is told with the first of them.
    let told = run(args!["check", bases("lz4.erofs"), "--kernel", "6.7"]);
    assert_eq!(told.code(), 1, "{}", told.stderr);
    let places: Vec<&str> = told
        .text()
        .lines()
        .filter(|line| line.starts_with("  /"))
        .collect();
    assert_eq!(places.len(), 1, "{}", told.text());
    assert!(
        places[0].ends_with("expected Linux 6.8 and newer"),
        "{places:?}"
    );
    let old = args![
        "check",
        bases("zstd.erofs"),
        "--kernel",
        "6.7",
        "--allow",
        "kernel-version"
    ];
    run(old).done();
    let told = run(args!["check", bases("zstd.erofs"), "--kernel", "six"]);
    assert_eq!(told.code(), 2, "{}", told.stderr);
    assert!(told.stderr.contains("such as 6.1"), "{}", told.stderr);
}

#[test]
fn folders_that_a_tar_only_implies_are_told() {
    let case = |name: &str| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../vectors/cases/check-directory")
            .join(name)
    };
    let told = run(args!["check", case("writable.erofs")]);
    let text = told.done();
    assert!(text.starts_with("warning directory-writable: "), "{text}");
    assert!(text.contains("\n  /usr/bin: directory: "), "{text}");
    assert!(text.contains("mkfs.erofs --tar=f"), "{text}");
    let told = run(args!["check", case("writable.erofs"), "--policy", "strict"]);
    assert_eq!(told.code(), 1, "{}", told.text());
}
