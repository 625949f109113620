//! `erofs-unpack unpack` of layers with an index of their chunks: what it reports, what it refuses,
//! and that threads change nothing.

mod common;

use std::fs;

use common::*;
use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::Algorithm;
use erofs_unpack_core::seekable::{Checksum, ChunkIndexWriter, HashAlgorithm, skippable};
use serde_json::json;

const INDEX_TYPE: &str = "application/vnd.erofs.chunk-index.v1";
const CHUNK: usize = 64 << 10;

/// A layer in chunks, without its index; and the index.
fn chunked(image: &[u8], plain: bool) -> (Layer, Vec<u8>) {
    let sha256 = HashAlgorithm::Sha2(Algorithm::Sha256);
    let (compression, media_type) = if plain {
        (Compression::None, EROFS)
    } else {
        (Compression::Zstd, EROFS_ZSTD)
    };
    let mut index = ChunkIndexWriter::new(compression, sha256);
    let mut blob = Vec::new();
    for chunk in image.chunks(CHUNK) {
        let frame = if plain { chunk.to_vec() } else { zstd(chunk) };
        let digest = Checksum::Digest(Algorithm::Sha256.digest(&frame));
        let lengths = (frame.len() as u64, chunk.len() as u64);
        index.push(lengths.0, lengths.1, digest).unwrap();
        blob.extend(frame);
    }
    let mut layer = Layer::new(media_type, image);
    layer.blob = blob;
    (layer, index.finish())
}

/// The same with the index in the blob, and its digest in the manifest if it is to be pinned.
fn embedded(image: &[u8], plain: bool, pinned: bool) -> Layer {
    let (mut layer, index) = chunked(image, plain);
    let start = layer.blob.len();
    layer.annotations["org.erofs.chunk-index.range"] = json!(format!("{start}"));
    if pinned {
        layer.annotations["org.erofs.chunk-index.digest"] = json!(sha256(&index));
    }
    if !plain {
        layer.blob.extend(skippable(&index).unwrap());
    }
    layer.blob.extend(&index);
    if plain {
        layer.diff_id = sha256(&layer.blob);
    }
    layer
}

/// The index as a layer.
fn standalone(index: &[u8]) -> Layer {
    Layer::new(INDEX_TYPE, index)
}

#[test]
fn an_indexed_layer_is_decoded_by_several_threads() {
    let dir = Dir::new();
    let image = image(5, 100);
    let (before, index) = chunked(&image, false);
    let chunks = image.len().div_ceil(CHUNK);
    for (name, layers) in [
        ("embedded", vec![embedded(&image, false, true)]),
        (
            "standalone",
            vec![before, standalone(&index), Layer::new(EROFS, &image)],
        ),
    ] {
        let layout = Layout::of(dir.path(name), &layers);
        for threads in ["1", "2", "7"] {
            let out = dir.path("out");
            let run = run(args![
                "unpack",
                "--json",
                "--threads",
                threads,
                "-o",
                out,
                layout.path
            ]);
            run.done();
            let report = &run.json()["layers"][0];
            assert_eq!(report["chunks"]["index"], "chunk index", "{name}");
            assert_eq!(report["chunks"]["pin"], "manifest");
            assert_eq!(report["chunks"]["chunks"], chunks);
            let least = threads.parse::<usize>().unwrap().min(chunks);
            assert_eq!(report["chunks"]["threads"], least);
            assert_eq!(report["verified"], json!(null));
            assert!(content(&out.join(layers[0].file(1))) == image);
            // How it was decoded is nothing that stays.
            let kept = content(&out.join("image.json"));
            assert!(!String::from_utf8(kept).unwrap().contains("\"chunks\""));
            fs::remove_dir_all(out).unwrap();
        }
        let said = run(args!["unpack", "-v", "--verify-only", layout.path]);
        let line = format!("chunk index of {chunks} chunks, vouched for by the manifest");
        assert!(said.done().contains(&line), "{}", said.text());
    }
}

#[test]
fn an_index_that_is_not_known_is_passed_over() {
    let dir = Dir::new();
    let image = image(5, 100);
    let mut layer = embedded(&image, false, false);
    let start = layer.annotations["org.erofs.chunk-index.range"]
        .as_str()
        .unwrap();
    let version = start.parse::<usize>().unwrap() + 8 + 4;
    layer.blob[version] = 2;
    let layout = Layout::of(dir.path("version"), &[layer.clone()]);
    let run_of = |layout: &Layout| run(args!["unpack", "--verify-only", "--json", layout.path]);
    let said = run_of(&layout);
    said.done();
    let report = &said.json()["layers"][0];
    assert_eq!(report["indexPassedOver"]["id"], "chunk-index-version");
    assert_eq!(report["chunks"], json!(null));
    // Of another format nothing is said: it is no index here.
    layer.annotations["org.erofs.chunk-index.mediaType"] =
        json!("application/vnd.erofs.chunk-index.v2");
    layer.blob[version] = 1;
    let layout = Layout::of(dir.path("type"), &[layer]);
    let said = run_of(&layout);
    said.done();
    assert_eq!(said.json()["layers"][0]["indexPassedOver"], json!(null));
}

#[test]
fn a_corrupt_index_makes_the_layer_corrupt() {
    let dir = Dir::new();
    let image = image(5, 100);
    let mut layer = embedded(&image, false, false);
    let start = layer.annotations["org.erofs.chunk-index.range"]
        .as_str()
        .unwrap();
    let start = start.parse::<usize>().unwrap() + 8;
    // The first offset.
    layer.blob[start + 32] = 1;
    let layout = Layout::of(dir.path("order"), &[layer.clone()]);
    let said = run(args!["unpack", "--verify-only", "--json", layout.path]);
    assert_eq!(said.code(), 1);
    assert_eq!(said.json()["error"]["id"], "chunk-index-order");
    // The digest that the manifest states.
    layer.blob[start + 32] = 0;
    layer.annotations["org.erofs.chunk-index.digest"] = json!(sha256(b"another"));
    let layout = Layout::of(dir.path("digest"), &[layer.clone()]);
    let said = run(args!["unpack", "--verify-only", "--json", layout.path]);
    assert_eq!(said.code(), 1);
    assert_eq!(said.json()["error"]["id"], "chunk-index-digest");
    // A blob that is not the stated one is refused for that, whatever became of its index.
    let file = layout.blob_path(&sha256(&layer.blob));
    let mut damaged = layer.blob.clone();
    damaged[start + 40] ^= 1;
    fs::write(file, damaged).unwrap();
    let said = run(args!["unpack", "--verify-only", "--json", layout.path]);
    assert_eq!(said.json()["error"]["id"], "blob-digest");
}

#[test]
fn chunks_alone_may_verify_a_layer() {
    let dir = Dir::new();
    let image = image(5, 100);
    for plain in [false, true] {
        let layers = [embedded(&image, plain, true)];
        let layout = Layout::of(dir.path(if plain { "plain" } else { "zstd" }), &layers);
        let out = dir.path("out");
        let unpack = args!["unpack", "--skip-serial-digests", "-o", out, layout.path];
        let said = run(unpack.clone());
        let file = layers[0].file(1);
        assert_eq!(
            said.done(),
            format!(
                "layer 1: unpacked {file} {} (not computed: verified by the digests of its \
                 chunks)\n",
                layers[0].diff_id
            )
        );
        let written = content(&out.join(file));
        let whole = if plain { &layers[0].blob } else { &image };
        assert!(written == *whole);
        let kept: serde_json::Value =
            serde_json::from_slice(&content(&out.join("image.json"))).unwrap();
        assert_eq!(kept["layers"][0]["verified"], "chunks");
        assert_eq!(
            kept["layers"][0]["notVerified"],
            json!(["digest", "diffID"])
        );
        fs::remove_dir_all(&out).unwrap();
        // A byte of a chunk.
        let path = layout.blob_path(&sha256(&layers[0].blob));
        let mut damaged = layers[0].blob.clone();
        damaged[100] ^= 1;
        fs::write(path, damaged).unwrap();
        let said = run(unpack);
        assert!(said.line(1).contains("chunk"), "{}", said.stderr);
        assert!(!out.exists() || names(&out).is_empty());
    }
}

#[test]
fn a_tree_is_verified_beside_the_chunks_that_its_blocks_lie_in() {
    let dir = Dir::new();
    let image = image(5, 300);
    let small = ["--data-block-size", "512", "--hash-block-size", "512"];
    // Blocks that lie over the ends of chunks, and a salt that only the superblock tells of.
    for (number, how) in [&["--salt", "0123"][..], &["--no-superblock"], &small]
        .iter()
        .enumerate()
    {
        let tree = with_tree(&dir, EROFS, &image, how);
        for plain in [false, true] {
            let name = |what: &str| format!("{what}-{number}-{plain}");
            let layer = |content: &[u8]| {
                let mut layer = embedded(content, plain, true);
                let annotations = layer.annotations.as_object_mut().unwrap();
                annotations.extend(tree.annotations.as_object().unwrap().clone());
                layer
            };
            let layout = Layout::of(dir.path(&name("layout")), &[layer(&tree.blob)]);
            let run_with = |layout: &Layout, more: &[&str]| {
                let mut arguments = args!["unpack", "--verify-only", "--json", layout.path];
                arguments.extend(more.iter().map(Into::into));
                run(arguments)
            };
            let skip = ["--skip-serial-digests", "--threads", "3"];
            for more in [&skip[..], &["--threads", "3"], &["--threads", "1"]] {
                let said = run_with(&layout, more);
                let found = &said.json()["layers"][0]["dmVerity"];
                assert_eq!(
                    found["status"],
                    "verified",
                    "{how:?} {more:?}: {}",
                    said.text()
                );
            }
            // Every chunk has the digest that the index states, and one block is another.
            let mut content = tree.blob.clone();
            content[200_000] ^= 1;
            let wrong = Layout::of(dir.path(&name("wrong")), &[layer(&content)]);
            for more in [&skip[..], &["--threads", "3"]] {
                let said = run_with(&wrong, more);
                assert_eq!(said.code(), 1);
                assert_eq!(said.json()["error"]["id"], "verity-root", "{}", said.text());
            }
        }
    }
}

#[test]
fn chunks_alone_verify_nothing_without_a_pin() {
    let dir = Dir::new();
    let image = image(5, 100);
    for (name, layer, why) in [
        (
            "unpinned",
            embedded(&image, false, false),
            "the manifest does not state the digest of its chunk index",
        ),
        (
            "without",
            Layer::new(EROFS_ZSTD, &image),
            "it has no chunk index",
        ),
    ] {
        let layout = Layout::of(dir.path(name), &[layer]);
        let said = run(args![
            "unpack",
            "--skip-serial-digests",
            "--verify-only",
            layout.path
        ]);
        assert!(said.line(2).contains(why), "{}", said.stderr);
    }
}
