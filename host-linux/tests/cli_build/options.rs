//! What the options change.

use std::fs;

use crate::args;
use crate::common::{Dir, content, program, run, run_with};
use crate::pair::{CAPABILITY, Pair};
use crate::seen::{Text, Tree, assert_same, of_image};
use crate::support::{build, build_tar, tool};
use crate::tar::{Head, Holes, Tar};

/// A few files of several owners and times.
fn small() -> Tar {
    let mut tar = Tar::default();
    tar.add(&Head::folder("./"), b"");
    tar.add(&Head::folder("dir").owner(1000, 1000).mtime(5), b"");
    tar.pax(&[("mtime", b"6.5"), ("SCHILY.xattr.user.was", b"there")]);
    tar.add(&Head::file("dir/file").owner(1001, 100_007), b"file");
    tar.add(&Head::file("dir/a.o").owner(3_000_000, 0), b"object");
    tar.add(&Head::hard_link("linked", "dir/file"), b"");
    tar
}

fn paths(tree: &Tree) -> Vec<String> {
    let paths = tree.keys().map(|path| path.0.escape_ascii().to_string());
    paths.collect()
}

fn owner(tree: &Tree, path: &str) -> (u32, u32) {
    tree[&Text::from(path)].owner
}

#[test]
fn files_are_left_out() {
    let dir = Dir::new();
    for (patterns, expected) in [
        (&["*.o"][..], &["", "dir", "dir/file", "linked"][..]),
        (&["linked", "dir/a*"], &["", "dir", "dir/file"]),
        (&["dir", "linked"], &[""]),
        (
            &["no such", "file.*", "ir"],
            &["", "dir", "dir/a.o", "dir/file", "linked"],
        ),
    ] {
        let options: Vec<&str> = patterns.iter().flat_map(|p| ["--exclude", p]).collect();
        let (image, _) = build_tar(&dir, &small().ended(), &options);
        assert_eq!(paths(&of_image(&image)), expected, "{patterns:?}");
    }
    // A link to what is left out leads nowhere.
    let source = dir.path("made.tar");
    let image = dir.path("none");
    let run = run(args!["build", source, "-o", image, "--exclude", "dir"]);
    assert!(
        run.line(1).contains("hard link to nothing"),
        "{}",
        run.stderr
    );
    assert!(!image.exists());
}

#[test]
fn owners_become_others() {
    let dir = Dir::new();
    let owners = |options: &[&str]| {
        let (image, _) = build_tar(&dir, &small().ended(), options);
        let tree = of_image(&image);
        ["", "dir", "dir/file", "dir/a.o"].map(|path| owner(&tree, path))
    };
    let same = [(0, 0), (1000, 1000), (1001, 100_007), (3_000_000, 0)];
    assert_eq!(owners(&[]), same);
    assert_eq!(owners(&["--all-root"]), [(0, 0); 4]);
    assert_eq!(
        owners(&[
            "--uid-map",
            "1000:0:2",
            "--gid-map",
            "100000:0:65536",
            "--gid-map",
            "0:9:1"
        ]),
        [(0, 9), (0, 1000), (1, 7), (3_000_000, 9)]
    );
}

#[test]
fn xattrs_come_from_a_list() {
    let dir = Dir::new();
    let list = dir.write(
        "list",
        "# file: dir/file\nsecurity.capability=0sAQAAAgAgAAAAAAAAAAAAAAAAAAA=\n\
         user.note=\"with \\\"quotes\\\"\"\n\n# file: ./dir/\nuser.hex=0x00ff\n\n# file: absent\nuser.x=y\n",
    );
    let list = list.to_str().unwrap();
    let tar = small().ended();
    let (image, _) = build_tar(&dir, &tar, &["--xattrs-from", list]);
    let tree = of_image(&image);
    let xattrs = |path: &str| {
        let xattrs = tree[&Text::from(path)].xattrs.iter();
        let xattrs = xattrs.map(|(name, value)| (name.0.clone(), value.0.clone()));
        xattrs.collect::<Vec<_>>()
    };
    let expected = vec![
        (b"security.capability".to_vec(), CAPABILITY.to_vec()),
        (b"user.note".to_vec(), b"with \"quotes\"".to_vec()),
    ];
    // In place of what the archive has.
    assert_eq!(xattrs("dir/file"), expected);
    assert_eq!(xattrs("linked"), expected);
    assert_eq!(xattrs("dir"), [(b"user.hex".to_vec(), vec![0, 255])]);
    assert!(xattrs("dir/a.o").is_empty());

    let bad = dir.write("bad", "# file: a\nuser.x=0x1\n");
    let source = dir.path("made.tar");
    let arguments = args![
        "build",
        source,
        "-o",
        dir.path("none"),
        "--xattrs-from",
        bad
    ];
    let refused = run(arguments);
    let said = "bad: line 2: expected what getfattr --dump writes";
    assert!(refused.line(2).ends_with(said), "{}", refused.stderr);
    let absent = dir.path("absent");
    let run = run(args![
        "build",
        source,
        "-o",
        dir.path("none"),
        "--xattrs-from",
        absent
    ]);
    assert!(
        run.line(3).contains("absent: cannot read"),
        "{}",
        run.stderr
    );
    assert!(!dir.path("none").exists());
}

#[test]
fn what_getfattr_writes_is_a_list() {
    if !crate::support::has("getfattr") {
        return;
    }
    let dir = Dir::new();
    let file = dir.write("tree/a b\n", "x");
    let values: [(&str, &[u8]); 3] = [
        ("user.text", b"t \"q\" \\ \n"),
        ("user.bytes", b"\0\xff"),
        ("user.empty", b""),
    ];
    for (name, value) in values {
        let set = rustix::fs::lsetxattr(&file, name, value, rustix::fs::XattrFlags::empty());
        if set.is_err() {
            println!("skipped: needs a file system with xattrs");
            return;
        }
    }
    let (image, expected) = (dir.path("image"), dir.path("expected"));
    build::<&str>(&dir.path("tree"), &expected, &[]);
    for encoding in ["text", "hex", "base64"] {
        let listed = tool("getfattr")
            .args([
                "--dump",
                "--recursive",
                "--match=-",
                "--encoding",
                encoding,
                ".",
            ])
            .current_dir(dir.path("tree"))
            .output()
            .unwrap();
        assert!(listed.status.success(), "{listed:?}");
        let list = dir.write("list", listed.stdout);
        for (name, _) in values {
            let _ = rustix::fs::lremovexattr(&file, name);
        }
        let options = ["--xattrs-from", list.to_str().unwrap()];
        build(&dir.path("tree"), &image, &options);
        assert_same(&of_image(&image), &of_image(&expected));
        for (name, value) in values {
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::lsetxattr(&file, name, value, flags).unwrap();
        }
    }
}

#[test]
fn one_time_for_all_makes_inodes_short() {
    let dir = Dir::new();
    let mut tar = small();
    for number in 0..200 {
        tar.add(&Head::file(format!("dir/{number}")).mtime(number), b"");
    }
    let (image, report) = build_tar(&dir, &tar.ended(), &[]);
    let own = of_image(&image);
    assert_eq!(own[&Text::from("dir/file")].mtime, (6, 500_000_000));
    for time in [-7_i64, 0, 1 << 34] {
        let (image, shorter) = build_tar(&dir, &tar.ended(), &["-T", &time.to_string()]);
        let tree = of_image(&image);
        assert!(tree.values().all(|seen| seen.mtime == (time, 0)), "{time}");
        assert!(shorter["size"].as_u64() < report["size"].as_u64());
    }
}

#[test]
fn the_time_of_the_build_is_told_by_the_environment() {
    let dir = Dir::new();
    let source = dir.write("made.tar", small().ended());
    let image = dir.path("image");
    let with = |time: Option<&str>| {
        let mut command = program();
        command.args(args!["build", source, "-o", image, "--force", "-q"]);
        command.env_remove("SOURCE_DATE_EPOCH");
        if let Some(time) = time {
            command.env("SOURCE_DATE_EPOCH", time);
        }
        run_with(&mut command, b"")
    };
    with(None).done();
    let without = content(&image);
    with(Some("1800000000")).done();
    crate::support::passes(&image);
    let mut told = content(&image);
    // `build_time` counts from `epoch` on; the checksum covers it.
    let field = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..][..4].try_into().unwrap());
    let epoch = u64::from_le_bytes(told[1024 + 24..][..8].try_into().unwrap());
    assert_eq!(u64::from(field(&told, 1024 + 108)) + epoch, 1_800_000_000);
    assert_eq!(field(&without, 1024 + 108), 0);
    for (at, length) in [(1024 + 4, 4), (1024 + 108, 4)] {
        told[at..][..length].copy_from_slice(&without[at..][..length]);
    }
    assert!(told == without);
    // From before the epoch it cannot be said.
    with(Some("1")).done();
    assert!(content(&image) == without);
    for text in ["x", "", "1.5"] {
        let run = with(Some(text));
        assert!(
            run.line(2).contains("expected seconds since 1970"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn a_volume_has_a_name() {
    let dir = Dir::new();
    let (image, _) = build_tar(&dir, &small().ended(), &["-L", "sixteen bytes ok"]);
    assert_eq!(content(&image)[1024 + 64..][..16], *b"sixteen bytes ok");
    let (image, _) = build_tar(&dir, &small().ended(), &["-L", "short"]);
    assert_eq!(
        content(&image)[1024 + 64..][..16],
        *b"short\0\0\0\0\0\0\0\0\0\0\0"
    );
}

#[test]
fn blocks_have_many_sizes() {
    let dir = Dir::new();
    let tar = Pair::everything().ours.ended();
    let (image, _) = build_tar(&dir, &tar, &[]);
    let expected = of_image(&image);
    let source = dir.path("made.tar");
    let image = dir.path("image");
    for bytes in [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536] {
        for inline in [false, true] {
            let size = bytes.to_string();
            let mut arguments = args![
                "build", source, "-o", image, "--force", "--json", "-b", size
            ];
            if inline {
                arguments.push("--inline-data".into());
            }
            let run_ = run(arguments);
            run_.done();
            let report = run_.json();
            assert_eq!(report["image"]["blockSize"], bytes);
            assert_eq!(fs::metadata(&image).unwrap().len() % bytes, 0);
            // The kernel, and fsck.erofs, read blocks that are no larger than their pages.
            let mut arguments = args!["check", "--policy", "strict", image];
            if bytes > 4096 {
                arguments.extend(args!["--allow", "superblock-page"]);
            }
            run(arguments).done();
            if bytes <= 4096 && crate::support::has("fsck.erofs") {
                let output = tool("fsck.erofs").arg(&image).output().unwrap();
                assert!(output.status.success(), "{bytes}, {inline}: {output:?}");
            }
            assert_same(&of_image(&image), &expected);
        }
    }
    for size in ["256", "131072", "5000", "x"] {
        let arguments = args!["build", source, "-o", dir.path("none"), "-b", size];
        assert_eq!(run(arguments).code(), 2, "{size}");
    }
}

#[test]
fn ends_of_files_behind_their_inodes_make_an_image_smaller() {
    let dir = Dir::new();
    let mut tar = small();
    for number in 0..500 {
        tar.add(&Head::file(format!("dir/{number}")), &[b'x'; 300]);
    }
    let (_, apart) = build_tar(&dir, &tar.ended(), &[]);
    let (_, inline) = build_tar(&dir, &tar.ended(), &["--inline-data"]);
    let size = |report: &serde_json::Value| report["size"].as_u64().unwrap();
    assert!(size(&inline) * 8 < size(&apart), "{inline} {apart}");
    assert_eq!(inline["content"], 0);
}

#[test]
fn what_a_kernel_cannot_read_is_refused() {
    let dir = Dir::new();
    let plain = small().ended();
    let mut sparse = small();
    sparse.sparse(&Head::file("sparse"), 1 << 20, &[], Holes::Pax10);
    let sparse = sparse.ended();
    build_tar(&dir, &plain, &["--kernel", "5.4"]);
    build_tar(&dir, &sparse, &["--kernel", "5.16"]);
    for (tar, options) in [
        (&plain, &["-b", "512", "--kernel", "5.16"]),
        (&sparse, &["-b", "4096", "--kernel", "5.14"]),
    ] {
        let source = dir.write("made.tar", tar);
        let image = dir.path("none");
        let mut arguments = args!["build", source, "-o", image];
        arguments.extend(options.iter().map(Into::into));
        let run = run(arguments);
        assert!(
            run.line(1).contains("(rule kernel-version)"),
            "{}",
            run.stderr
        );
        assert!(!image.exists());
    }
    build_tar(&dir, &plain, &["-b", "512", "--kernel", "6.4"]);
    let run = run(args![
        "build",
        dir.path("made.tar"),
        "-o",
        dir.path("none"),
        "--kernel",
        "new"
    ]);
    assert_eq!(run.code(), 2);
}

#[test]
fn reading_back_can_be_left_out() {
    let dir = Dir::new();
    let tar = small().ended();
    let (image, report) = build_tar(&dir, &tar, &[]);
    assert_eq!(report["filesReadBack"], 2);
    let expected = content(&image);
    let (image, report) = build_tar(&dir, &tar, &["--no-read-back"]);
    assert!(report.get("filesReadBack").is_none());
    assert!(content(&image) == expected);
    let run_ = run(args!["build", dir.path("made.tar"), "-o", image, "--force"]);
    assert!(
        run_.done()
            .contains("check passed, 2 files read back as they came")
    );
    let arguments = args!["build", dir.path("made.tar"), "-o", image, "--force", "-q"];
    assert_eq!(run(arguments).done(), "");
}

#[test]
fn xattrs_without_a_place_are_counted() {
    let dir = Dir::new();
    let mut tar = small();
    tar.pax(&[
        ("SCHILY.xattr.btrfs.compression", b"zstd"),
        ("SCHILY.xattr.user.kept", b"1"),
    ]);
    tar.add(&Head::file("marked"), b"");
    let source = dir.write("made.tar", tar.ended());
    let image = dir.path("image");
    let run = run(args!["build", source, "-o", image, "--json"]);
    assert_eq!(run.code(), 0, "{}", run.stderr);
    assert_eq!(run.json()["image"]["droppedXattrs"], 1);
    assert!(
        run.stderr.contains("warning: ") && run.stderr.contains("left out 1 "),
        "{}",
        run.stderr
    );
    assert_eq!(of_image(&image)[&Text::from("marked")].xattrs.len(), 1);
}
