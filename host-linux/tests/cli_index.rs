//! `index show`, `verify` and `add`: indexes that `wrap` writes, that others write, and wrong ones.
#![allow(
    clippy::disallowed_methods,
    clippy::std_instead_of_alloc,
    reason = "a test may panic, and has std"
)]

mod common;

use std::process::Command;

use common::*;
use serde_json::{Value, json};

const CHUNK_INDEX: &str = "application/vnd.erofs.chunk-index.v1";

/// An image, and its blob with small chunks.
struct Fixture {
    dir: Dir,
    image: Vec<u8>,
    blob: Vec<u8>,
    report: Value,
}

impl Fixture {
    fn new(options: &[&str]) -> Self {
        let dir = Dir::new();
        let image = image(21, 61);
        let source = dir.write("image", &image);
        let mut arguments = args!["wrap", source, "-o", dir.path("blob"), "--json"];
        arguments.extend(["--chunk-size", "64KiB"].map(Into::into));
        arguments.extend(options.iter().map(Into::into));
        let run = run(arguments);
        run.done();
        Self {
            blob: content(&dir.path("blob")),
            image,
            report: run.json(),
            dir,
        }
    }

    fn annotation(&self, name: &str) -> &str {
        let name = format!("org.erofs.{name}");
        self.report["annotations"][&name].as_str().unwrap()
    }

    /// Where the index begins.
    fn end(&self) -> usize {
        let (offset, _) = self
            .annotation("chunk-index.range")
            .split_once(':')
            .unwrap();
        offset.parse().unwrap()
    }

    /// Header and entries.
    fn payload(&self) -> &[u8] {
        &self.blob[self.end() + 8..]
    }

    /// Runs a command of `index` on the blob.
    fn index(&self, command: &str, options: &[&str]) -> Run {
        let mut arguments = args!["index", command, self.dir.path("blob")];
        arguments.extend(options.iter().map(Into::into));
        run(arguments)
    }

    /// Writes another blob in its place.
    fn becomes(&self, blob: &[u8]) {
        self.dir.write("blob", blob);
    }
}

#[test]
fn what_is_shown_is_what_was_written() {
    let fixture = Fixture::new(&[]);
    let shown = fixture.index("show", &["--json"]);
    shown.done();
    let index = &shown.json()["index"];
    assert_eq!(index["form"], "erofs");
    assert_eq!(index["foundBy"], "end");
    assert_eq!(index["compression"], "zstd");
    assert_eq!(index["checksums"], "sha256");
    assert_eq!(index["imageSize"], fixture.image.len());
    assert_eq!(index["digest"], fixture.annotation("chunk-index.digest"));
    let end = fixture.end() as u64;
    assert_eq!(
        index["range"],
        json!({"offset": end, "end": fixture.blob.len()})
    );
    let chunks = index["chunks"].as_array().unwrap();
    assert_eq!(chunks.len(), 4);
    let mut offsets = (0, 0);
    for chunk in chunks {
        assert_eq!(chunk["offset"], offsets.0);
        assert_eq!(chunk["imageOffset"], offsets.1);
        let number = |name: &str| chunk[name].as_u64().unwrap();
        let bytes = &fixture.blob[offsets.0 as usize..][..number("size") as usize];
        let image = &fixture.image[offsets.1 as usize..][..number("imageSize") as usize];
        assert_eq!(
            format!("sha256:{}", chunk["checksum"].as_str().unwrap()),
            sha256(bytes)
        );
        assert!(zstd::decode_all(bytes).unwrap() == image);
        offsets = (offsets.0 + number("size"), offsets.1 + number("imageSize"));
    }
    assert_eq!(offsets, (end, fixture.image.len() as u64));
    let text = fixture.index("show", &[]);
    let text = text.done();
    assert!(
        text.starts_with("chunk index of the EROFS image layer"),
        "{text}"
    );
    // Four lines of head, one of names, four of chunks.
    assert_eq!(text.lines().count(), 9, "{text}");
}

#[test]
fn every_chunk_is_verified() {
    for way in ["erofs", "zstd-seekable"] {
        let fixture = Fixture::new(&["--index", way]);
        let digest = sha256(&fixture.blob);
        let diff_id = sha256(&fixture.image);
        let stated = ["--digest", &digest, "--diff-id", &diff_id, "--json"];
        for threads in ["1", "3"] {
            let run = fixture.index("verify", &[&stated[..], &["--threads", threads]].concat());
            run.done();
            let verified = &run.json()["verified"];
            let expected = json!({"digest": digest, "diffId": diff_id, "notVerified": []});
            assert_eq!(*verified, expected);
        }
        let other = sha256(b"");
        for flag in ["--digest", "--diff-id"] {
            let run = fixture.index("verify", &[flag, &other]);
            assert!(run.line(1).contains("does not have the stated"), "{flag}");
        }
        // Of several that are wrong the first is told, however many threads there are.
        let mut damaged = fixture.blob.clone();
        let shown = fixture.index("show", &["--json"]).json();
        let chunks = shown["index"]["chunks"].as_array().unwrap();
        for chunk in &chunks[1..] {
            let place = chunk["offset"].as_u64().unwrap() + chunk["size"].as_u64().unwrap() / 2;
            damaged[place as usize] ^= 0x10;
        }
        fixture.becomes(&damaged);
        let said: Vec<String> = ["1", "3"]
            .iter()
            .map(|threads| {
                let run = fixture.index("verify", &["--threads", threads]);
                run.line(1).to_owned()
            })
            .collect();
        assert_eq!(said[0], said[1]);
        if way == "erofs" {
            assert!(
                said[0].contains("checksum that the index states"),
                "{}",
                said[0]
            );
            let place = format!("byte {}", chunks[1]["offset"]);
            assert!(said[0].contains(&place), "{} lacks {place}", said[0]);
        }
    }
}

#[test]
fn a_plain_blob_needs_to_be_told_where_its_index_is() {
    let fixture = Fixture::new(&["--wrap", "none"]);
    let range = fixture.annotation("chunk-index.range").to_owned();
    let digest = fixture.annotation("chunk-index.digest").to_owned();
    let run = fixture.index("verify", &[]);
    assert!(run.line(1).contains("no index of its chunks"));
    let stated = ["--range", &range, "--index-digest", &digest];
    let run = fixture.index("verify", &[&stated[..], &["--json"]].concat());
    run.done();
    // All of the blob is what is published.
    assert_eq!(run.json()["verified"]["diffId"], sha256(&fixture.blob));
    assert_eq!(fixture.report["diffId"], sha256(&fixture.blob));
    let run = fixture.index("show", &["--range", &range, "--index-digest", &sha256(b"")]);
    assert!(run.line(1).contains("chunk-index.digest states"));
    let run = fixture.index("show", &["--range", "4096"]);
    assert_eq!(run.code(), 1);
    let run = fixture.index("show", &["--range", "9:4"]);
    assert_eq!(run.code(), 2);
}

#[test]
fn indexes_are_found_by_the_manifest() {
    let fixture = Fixture::new(&[]);
    let plain = Fixture::new(&["--wrap", "none"]);
    let layer = |fixture: &Fixture, media_type: &str| Layer {
        media_type: media_type.into(),
        blob: fixture.blob.clone(),
        diff_id: fixture.report["diffId"].as_str().unwrap().into(),
        annotations: fixture.report["annotations"].clone(),
    };
    let standalone = fixture.payload().to_vec();
    // The same chunks without an index behind them; the index comes as a layer of its own.
    let frames = fixture.blob[..fixture.end()].to_vec();
    let mut bare = layer(&fixture, EROFS_ZSTD);
    bare.blob = frames;
    bare.annotations = json!({});
    let index = Layer {
        media_type: CHUNK_INDEX.into(),
        diff_id: sha256(&standalone),
        annotations: json!({"org.erofs.chunk-index.target": sha256(&bare.blob)}),
        blob: standalone.clone(),
    };
    let layers = [
        layer(&plain, EROFS).role("overlay-lower"),
        bare,
        index,
        layer(&fixture, EROFS_ZSTD),
    ];
    let layout = Layout::of(fixture.dir.path("layout"), &layers);
    for (number, by) in [("1", "manifest"), ("2", "layer"), ("4", "manifest")] {
        let run = run(args![
            "index",
            "verify",
            layout.path,
            "--layer",
            number,
            "--json"
        ]);
        run.done();
        let report = run.json();
        assert_eq!(report["index"]["foundBy"], by, "{number}");
        assert_eq!(report["verified"]["notVerified"], json!([]), "{number}");
    }
    let which = run(args!["index", "show", layout.path]);
    assert!(which.line(2).contains("choose one with --layer"));
    let third = run(args!["index", "show", layout.path, "--layer", "3"]);
    assert!(third.line(2).contains("--layer 3: it is a chunk-index"));

    // A lone blob, with its index in a file.
    let bare = fixture.dir.write("bare", &layers[1].blob);
    let file = fixture.dir.write("payload", &standalone);
    let run_ = run(args![
        "index",
        "verify",
        bare,
        "--index-file",
        file,
        "--json"
    ]);
    run_.done();
    assert_eq!(run_.json()["index"]["foundBy"], "file");
    assert!(run_.json()["index"]["range"].is_null());
}

#[test]
fn indexes_that_lie_are_refused() {
    let fixture = Fixture::new(&[]);
    let start = fixture.end() + 8;
    for (place, byte, id) in [
        // The magic says that there is an index at all; this is behind it.
        (4, 2, "chunk-index-version"),
        (5, 0, "chunk-index-wrap"),
        (22, 1, "chunk-index-reserved"),
        (16, 9, "chunk-index-length"),
        (32 + 48, 0xFF, "chunk-index-order"),
        (32 + 48 + 8, 1, "chunk-length"),
        (32 + 16, 0, "chunk-checksum"),
    ] {
        let mut blob = fixture.blob.clone();
        assert_ne!(blob[start + place], byte, "{id}");
        blob[start + place] = byte;
        if id == "chunk-index-order" {
            // Behind the one that follows.
            blob[start + place + 1..start + place + 5].fill(0xFF);
        }
        fixture.becomes(&blob);
        let run = fixture.index("verify", &["--json"]);
        assert_eq!(run.code(), 1, "{id}");
        let found = run.json()["error"]["id"].clone();
        if id == "chunk-index-order" {
            assert!(found == id || found == "chunk-index-bounds", "{found}");
        } else {
            assert_eq!(found, id);
        }
    }
}

#[test]
fn what_came_before_the_draft_is_named() {
    let dir = Dir::new();
    let image = image(22, 3);
    let mut blob = zstd(&image);
    // Three chunks of 4096 bytes, without checksums.
    let mut payload = 0x67EC_E4CD_u32.to_le_bytes().to_vec();
    payload.extend(1_u32.to_le_bytes());
    payload.extend((image.len() as u64).to_le_bytes());
    payload.extend(4096_u32.to_le_bytes());
    payload.extend([0; 4]);
    payload.extend([7; 24]);
    blob.extend(0x184D_2A50_u32.to_le_bytes());
    blob.extend((payload.len() as u32).to_le_bytes());
    blob.extend(payload);
    let blob = dir.write("blob", blob);
    let text = run(args!["index", "show", blob]);
    assert!(text.done().starts_with("chunk mapping table of containerd"));
    let run = run(args!["index", "verify", blob, "--json"]);
    assert_eq!(run.code(), 1);
    assert_eq!(run.json()["index"]["form"], "containerd-12703");
    assert_eq!(run.json()["error"]["id"], "index-missing");
}

/// Adds an index to a blob, and gives the new blob and the report.
fn add(dir: &Dir, blob: &[u8], options: &[&str]) -> Result<(Vec<u8>, Value), String> {
    let source = dir.write("old", blob);
    let mut arguments = args![
        "index",
        "add",
        source,
        "-o",
        dir.path("new"),
        "--force",
        "--json"
    ];
    arguments.extend(options.iter().map(Into::into));
    let run = run(arguments);
    match run.code() {
        0 => Ok((content(&dir.path("new")), run.json())),
        _ => Err(run.json()["error"]["id"].to_string()),
    }
}

/// Verifies what was added, and that the image in it is this one.
fn verified(dir: &Dir, image: &[u8]) -> Value {
    let new = dir.path("new");
    let run_ = run(args![
        "index",
        "verify",
        new,
        "--diff-id",
        sha256(image),
        "--json"
    ]);
    run_.done();
    let back = dir.path("back");
    run(args!["unwrap", new, "-o", back, "--force", "--quiet"]).done();
    assert!(content(&back) == *image);
    run_.json()
}

#[test]
fn indexes_are_added_to_blobs_of_several_frames() {
    let dir = Dir::new();
    let image = image(23, 70);
    let skippable = b"\x53\x2a\x4d\x18\x05\0\0\0hello";
    // Without content sizes, with a frame of nothing, and with what can be skipped all around.
    let mut blob = skippable.to_vec();
    let mut bare = Vec::new();
    for piece in image.chunks(70_001) {
        let frame = zstd(piece);
        bare.extend(&frame);
        blob.extend(frame);
        blob.extend(skippable);
        blob.extend(zstd(b""));
    }
    for index in ["erofs", "zstd-seekable"] {
        for old in [&blob, &bare] {
            let (new, report) = add(&dir, old, &["--index", index]).unwrap();
            assert_eq!(report["written"]["digest"], sha256(&new));
            assert!(new.len() <= bare.len() + 9 + 8 + 32 + 5 * 48);
            let report = verified(&dir, &image);
            assert_eq!(report["index"]["form"], index);
            assert_eq!(report["index"]["chunks"].as_array().unwrap().len(), 5);
            assert!(zstd::decode_all(&new[..]).unwrap() == image);
            // Another index takes its place.
            let (again, _) = add(&dir, &new, &["--index", index]).unwrap();
            assert!(again == new);
        }
    }
    let refused = add(&dir, &blob, &["--standalone"]).unwrap_err();
    assert_eq!(refused, "\"frames-skippable\"");
    bare.extend(skippable);
    let (payload, report) = add(&dir, &bare, &["--standalone"]).unwrap();
    assert_eq!(report["written"]["mediaType"], CHUNK_INDEX);
    let target = &report["written"]["annotations"]["org.erofs.chunk-index.target"];
    assert_eq!(*target, sha256(&bare));
    assert_eq!(report["written"]["digest"], sha256(&payload));
    let (old, new) = (dir.path("old"), dir.path("new"));
    let run = run(args![
        "index",
        "verify",
        old,
        "--index-file",
        new,
        "--diff-id",
        sha256(&image)
    ]);
    run.done();
}

#[test]
fn pzstd_blobs_get_an_index() {
    if !has("pzstd") {
        println!("skipped: needs pzstd");
        return;
    }
    let dir = Dir::new();
    let image = image(24, 2000);
    let source = dir.write("image", &image);
    let made = Command::new("pzstd")
        .args(["-q", "-p", "3", "-1", "-o"])
        .args([dir.path("pzstd"), source])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let blob = content(&dir.path("pzstd"));
    add(&dir, &blob, &[]).unwrap();
    let report = verified(&dir, &image);
    let chunks = report["index"]["chunks"].as_array().unwrap().len();
    assert!(chunks > 1, "{chunks}");
    assert_eq!(
        add(&dir, &blob, &["--standalone"]).unwrap_err(),
        "\"frames-skippable\""
    );
}

#[test]
fn what_gets_no_index_is_told_why() {
    let dir = Dir::new();
    let image = image(25, 20);
    let plain = dir.write("plain", &image);
    let out = dir.path("out");
    let run_ = run(args!["index", "add", plain, "-o", out]);
    assert!(run_.line(2).contains("is no zstd blob"));
    let large = dir.write("large", zstd(&vec![0; 65 << 20]));
    let run_ = run(args!["index", "add", large, "-o", out]);
    assert!(run_.line(1).contains("is one frame that is larger"));
    let cut = dir.write("cut", &zstd(&image)[..3000]);
    let run_ = run(args!["index", "add", cut, "-o", out]);
    assert_eq!(run_.code(), 1);
    let run_ = run(args!["index", "add", large, "-o", out, "--index", "none"]);
    assert_eq!(run_.code(), 2);
    let arguments = args!["index", "add", large, "-o", out, "--standalone"];
    let mut arguments = arguments;
    arguments.extend(args!["--index", "zstd-seekable"]);
    assert_eq!(run(arguments).code(), 2);
    assert!(!out.exists());
}
