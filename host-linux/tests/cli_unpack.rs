//! `erofs-unpack unpack`: what comes out of good sources, and what is said of it.

mod common;

use std::fs;
use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;

use common::*;
use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::seekable::{Checksum, ChunkIndexWriter, HashAlgorithm};
use serde_json::{Value, json};

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
fn archives_that_are_compressed() {
    let dir = Dir::new();
    let layers = three_layers();
    let layout = Layout::of(dir.path("layout"), &layers);
    let archive = layout.archive(true);
    let expected: String = (1..)
        .zip(&layers)
        .map(|(number, layer)| format!("layer {number}: verified {}\n", layer.diff_id))
        .collect();
    for (name, packed) in [("a.tar.gz", gzip(&archive)), ("a.tar.zst", zstd(&archive))] {
        let path = dir.write(name, &packed);
        let unpacked = run(args!["unpack", path, "--verify-only"]);
        assert_eq!(unpacked.done(), expected);
        let mut piped = program();
        let piped = run_with(piped.args(["unpack", "-", "--verify-only"]), &packed);
        assert_eq!(piped.done(), expected);
        assert!(run(args!["check", path]).done().contains("layer 3"));
        let shown = run(args!["inspect", path]);
        assert!(
            shown.done().contains("in a tar archive"),
            "{}",
            shown.text()
        );
        let small = ["--verify-only", "--max-archive-size=4KiB"];
        let refused = run([args!["unpack", path], small.map(Into::into).to_vec()].concat());
        let line = refused.line(1);
        assert!(
            line.ends_with("(raise it with --max-archive-size)"),
            "{line}"
        );
        let listed = run(args!["ls", path, "/"]);
        assert!(listed.line(2).contains("choose one with --layer"));
    }
    // A tar layer is still told as what it is.
    let layer = [tar_member("etc/passwd", b"x"), vec![0; 1024]].concat();
    let path = dir.write("layer.tar.gz", gzip(&layer));
    let refused = run(args!["unpack", path, "--verify-only"]);
    assert!(
        refused.line(1).contains("is a tar archive"),
        "{}",
        refused.stderr
    );
    let stray = dir.names();
    assert_eq!(stray, ["a.tar.gz", "a.tar.zst", "layer.tar.gz", "layout"]);
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
fn chunk_indexes_are_not_written() {
    let dir = Dir::new();
    let one = Layer::new(EROFS, &image(1, 1));
    let mut index = ChunkIndexWriter::new(Compression::None, HashAlgorithm::None);
    let length = one.blob.len() as u64;
    index.push(length, length, Checksum::None).unwrap();
    let mut index = Layer::new("application/vnd.erofs.chunk-index.v1", &index.finish());
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
