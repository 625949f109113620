//! `ls`, `tree`, `stat`, `cat`, `dump`, `extract` and `check` on compressed layers with an index:
//! they give what they give of the plain image, read what they need, and trust what is vouched for.
#![allow(
    clippy::disallowed_methods,
    clippy::std_instead_of_alloc,
    reason = "a test may panic, and has std"
)]

mod common;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use common::*;
use erofs_unpack_core::seekable::HashAlgorithm;
use serde_json::{Value, json};

/// Bytes of a chunk.
const CHUNK: usize = 1024;

/// An image with files, of 16 chunks.
fn plain() -> Vec<u8> {
    let bases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/bases");
    fs::read(bases.join("demo-1.erofs")).unwrap()
}

struct Fixture {
    dir: Dir,
    image: PathBuf,
    layout: PathBuf,
}

impl Fixture {
    /// A layout with these layers, and the plain image beside it.
    fn new(layers: &[Layer]) -> Self {
        let dir = Dir::new();
        let image = dir.write("image.erofs", plain());
        let layout = Layout::of(dir.path("layout"), layers).path;
        Self { dir, image, layout }
    }

    fn indexed() -> Self {
        Self::new(&[Indexed::new(&plain(), CHUNK, SHA256).embedded()])
    }

    /// The paths of all regular files with content, from the root.
    fn files(&self) -> Vec<String> {
        let listed = run(args!["ls", self.image, "-R", "--json"]).json();
        let entries = listed["entries"].as_array().unwrap();
        let is_file = |entry: &&Value| entry["type"] == "file" && entry["size"] != 0;
        let path = |entry: &Value| entry["path"].as_str().unwrap().to_owned();
        entries.iter().filter(is_file).map(path).collect()
    }
}

/// What `-v` says of the reading, without the name of the blob.
fn told(run: &Run) -> &str {
    let line = |line: &&str| line.contains(" bytes: ") || line.contains("unpacked first");
    let found = run.stderr.lines().find(line);
    found.unwrap_or_else(|| panic!("{}", run.stderr))
}

/// Holds what each command says of the layer against what it says of the plain image.
fn compare(fixture: &Fixture) {
    let files = fixture.files();
    assert!(!files.is_empty());
    let mut commands = vec![
        vec!["ls", "-lR"],
        vec!["tree"],
        vec!["extract", "--tar"],
        vec!["dump"],
    ];
    for file in &files {
        commands.push(vec!["cat", file]);
        commands.push(vec!["stat", file]);
    }
    for command in commands {
        let of = |image: &Path| {
            let mut arguments = args![command[0], image];
            arguments.extend(command[1..].iter().map(OsString::from));
            run(arguments)
        };
        let (plain, wrapped) = (of(&fixture.image), of(&fixture.layout));
        assert_eq!(wrapped.code(), 0, "{command:?}: {}", wrapped.stderr);
        assert!(wrapped.stdout == plain.stdout, "{command:?}");
    }
}

#[test]
fn each_command_gives_what_it_gives_of_the_plain_image() {
    compare(&Fixture::indexed());
}

#[test]
fn only_what_is_needed_is_read() {
    let fixture = Fixture::indexed();
    let listed = run(args!["ls", fixture.layout, "--json"]).json();
    let reads = &listed["reads"];
    let number = |name: &str| reads[name].as_u64().unwrap();
    assert_eq!(number("ofChunks"), 16);
    assert!(number("chunks") < 10, "{reads}");
    assert!(number("bytes") < number("ofBytes"));
    let verbose = run(args!["ls", fixture.layout, "-v"]);
    let expected = format!(
        "read {} of {} bytes: {} of 16 chunks, each verified",
        number("bytes"),
        number("ofBytes"),
        number("chunks")
    );
    assert!(told(&verbose).ends_with(&expected), "{}", verbose.stderr);
    // The plain image has nothing to say of this.
    let plain = run(args!["ls", fixture.image, "--json"]).json();
    assert_eq!(plain["reads"], Value::Null);
}

#[test]
fn an_index_is_used_when_somebody_vouches_for_it() {
    let content = plain();
    let indexed = Indexed::new(&content, CHUNK, SHA256);
    let mut unpinned = indexed.embedded();
    let annotations = unpinned.annotations.as_object_mut().unwrap();
    annotations.remove("org.erofs.chunk-index.digest");
    let unverified = Indexed::new(&content, CHUNK, HashAlgorithm::None).embedded();
    let mut later = Indexed::new(&content, CHUNK, SHA256);
    later.index[6] = 1;
    for (layers, why) in [
        (vec![unpinned], "has no digest that somebody vouches for"),
        (vec![unverified], "has no checksums"),
        (vec![later.embedded()], "sets unknown flags"),
        (vec![indexed.layer.clone()], "it has no chunk index"),
    ] {
        let fixture = Fixture::new(&layers);
        let listed = run(args!["ls", fixture.layout, "-v"]);
        assert_eq!(listed.code(), 0, "{}", listed.stderr);
        assert!(told(&listed).contains("unpacked first"), "{why}");
        assert!(told(&listed).contains(why), "{}", listed.stderr);
        let allowed = run(args!["ls", fixture.layout, "-v", "--allow-unpinned-index"]);
        let at_random = told(&allowed).ends_with("of 16 chunks, not verified");
        assert_eq!(at_random, why.starts_with("has no"), "{why}");
        assert!(allowed.stdout == listed.stdout);
    }
    // As a layer of its own it has the digest of that layer.
    let fixture = Fixture::new(
        &[
            indexed.standalone().as_slice(),
            &[Layer::new(EROFS, &image(1, 1))],
        ]
        .concat(),
    );
    let listed = run(args!["ls", fixture.layout, "-v", "--layer", "1"]);
    assert!(told(&listed).contains("of 16 chunks"), "{}", listed.stderr);
}

#[test]
fn a_blob_by_itself_is_read_at_random_on_request_only() {
    let fixture = Fixture::indexed();
    let layer = Indexed::new(&plain(), CHUNK, SHA256).embedded();
    let blob = fixture.dir.write("layer.zst", &layer.blob);
    let of = |more: &[&str]| {
        let mut arguments = args!["ls", blob, "-lR", "--json"];
        arguments.extend(more.iter().map(OsString::from));
        run(arguments).json()
    };
    let whole = of(&[]);
    assert_eq!(whole["reads"], Value::Null);
    let random = of(&["--allow-unpinned-index"]);
    assert_eq!(random["reads"]["ofChunks"], json!(16));
    assert_eq!(whole["entries"], random["entries"]);
    // What has to have a digest is read whole, for that.
    let digest = sha256(&layer.blob);
    let stated = of(&["--allow-unpinned-index", "--digest", &digest]);
    assert_eq!(stated["reads"], Value::Null);
}

#[test]
fn a_damaged_chunk_is_refused_where_it_is_read() {
    let indexed = Indexed::new(&plain(), CHUNK, SHA256);
    let mut refused = 0;
    for (number, start) in indexed.starts.iter().enumerate() {
        let mut layer = indexed.embedded();
        layer.blob[start + 5] ^= 1;
        let fixture = Fixture::new(&[layer]);
        let files = fixture.files();
        for file in files {
            let cat = run(args!["cat", fixture.layout, file]);
            let plain = run(args!["cat", fixture.image, file]);
            if cat.code() == 0 {
                assert!(cat.stdout == plain.stdout);
                continue;
            }
            refused += 1;
            assert_eq!(cat.code(), 1, "{}", cat.stderr);
            let expected = format!(
                "chunk: does not have the checksum that the index states, at byte {start} of the blob"
            );
            assert!(cat.stderr.contains(&expected), "{number}: {}", cat.stderr);
            assert!(plain.stdout.starts_with(&cat.stdout));
        }
    }
    assert!(refused > 0);
}

#[test]
fn a_lying_index_makes_the_layer_corrupt() {
    for (at, value, why) in [
        (
            16,
            15,
            "does not have the length of its header and its entries",
        ),
        (22, 1, "has reserved bytes that are not zero"),
        (32, 1, "has an entry that does not follow the one before"),
    ] {
        let mut indexed = Indexed::new(&plain(), CHUNK, SHA256);
        indexed.index[at] = value;
        let fixture = Fixture::new(&[indexed.embedded()]);
        for command in ["ls", "check"] {
            let listed = run(args![command, fixture.layout]);
            assert_eq!(listed.code(), 1, "{command}: {}", listed.stderr);
            let said = format!("{}{}", listed.text(), listed.stderr);
            assert!(said.contains(why), "{said}");
        }
    }
    let indexed = Indexed::new(&plain(), CHUNK, SHA256);
    let mut layer = indexed.embedded();
    layer.annotations["org.erofs.chunk-index.digest"] = json!(sha256(b"another"));
    let fixture = Fixture::new(&[layer]);
    let line = run(args!["ls", fixture.layout]);
    let said = "does not have the digest that org.erofs.chunk-index.digest states";
    assert!(line.line(1).contains(said), "{}", line.stderr);
}

#[test]
fn which_layer_is_meant_must_be_said() {
    let indexed = Indexed::new(&plain(), CHUNK, SHA256);
    let layers = [
        indexed.embedded(),
        Layer::new(EROFS_ZSTD, &image(4, 3)),
        Layer::new(EROFS, &plain()),
    ];
    let fixture = Fixture::new(&layers);
    let listed = run(args!["ls", fixture.layout]);
    let line = listed.line(2);
    assert!(line.contains("has 3 layers that are EROFS images: choose one with --layer"));
    let plain = run(args!["ls", fixture.image, "-lR"]);
    for (layer, same) in [("1", true), ("2", false), ("3", true)] {
        let listed = run(args!["ls", fixture.layout, "-lR", "--layer", layer]);
        assert_eq!(listed.done() == plain.done(), same, "{layer}");
    }
    let listed = run(args!["ls", fixture.layout, "--layer", "4"]);
    assert!(listed.line(2).contains("--layer 4: the image has 3 layers"));
    let [data, index] = indexed.standalone();
    let layers = [data, index, Layer::new(EROFS, &image(1, 1))];
    let fixture = Fixture::new(&layers);
    let listed = run(args!["ls", fixture.layout, "--layer", "2"]);
    assert!(listed.line(2).contains("--layer 2: it is a chunk-index"));
}

#[test]
fn a_check_of_metadata_reads_the_chunks_that_hold_it() {
    let indexed = Indexed::new(&plain(), CHUNK, SHA256);
    let whole = Fixture::new(&[indexed.embedded()]);
    let report = run(args!["check", whole.layout, "--json"]).json();
    let reads = &report["layers"][0]["reads"];
    assert_eq!(report["layers"][0]["status"], "passed");
    assert_eq!(reads["ofChunks"], json!(16));
    let said = run(args!["check", whole.layout]);
    assert!(
        said.done().contains("of 16 chunks were read"),
        "{}",
        said.text()
    );
    // At the full level all of it is read and verified.
    let report = run(args!["check", whole.layout, "--level", "full", "--json"]).json();
    assert_eq!(report["layers"][0]["reads"], Value::Null);
    let read = reads["chunks"].as_u64().unwrap();
    assert!((1..16).contains(&read), "{reads}");
    // So content that it does not look at may be damaged, and is not called verified.
    let mut passed = 0;
    for start in &indexed.starts {
        let mut layer = indexed.embedded();
        layer.blob[start + 5] ^= 1;
        let fixture = Fixture::new(&[layer]);
        let at_metadata = run(args!["check", fixture.layout]).code();
        passed += u64::from(at_metadata == 0);
        assert!(at_metadata <= 1);
        let at_full = run(args!["check", fixture.layout, "--level", "full"]);
        assert_eq!(at_full.code(), 1, "{}", at_full.text());
    }
    assert_eq!(passed, 16 - read);
}

#[test]
fn inspect_says_what_index_a_layer_has() {
    let indexed = Indexed::new(&plain(), CHUNK, SHA256);
    let mut unpinned = Indexed::new(&plain(), CHUNK, HashAlgorithm::None).embedded();
    let annotations = unpinned.annotations.as_object_mut().unwrap();
    annotations.remove("org.erofs.chunk-index.digest");
    let mut later = Indexed::new(&plain(), CHUNK, SHA256);
    later.index[4] = 2;
    for (layer, said) in [
        (
            indexed.embedded(),
            "16 chunks with SHA-2 of each; the manifest vouches for it",
        ),
        (
            unpinned,
            "16 chunks without checksums; nobody vouches for it",
        ),
        (later.embedded(), "passed over: "),
    ] {
        let fixture = Fixture::new(&[layer]);
        let inspected = run(args!["inspect", fixture.layout]);
        let line = inspected
            .done()
            .lines()
            .find(|line| line.contains("Chunk index"));
        assert!(line.unwrap().contains(said), "{}", inspected.text());
    }
    let fixture = Fixture::new(&[indexed.layer]);
    let inspected = run(args!["inspect", fixture.layout]);
    assert!(!inspected.done().contains("Chunk index"));
}

/// A layer with a tree behind this image: plain, or in chunks whose index has these checksums. Their
/// content may be another than that of the tree.
fn with_tree_in(
    fixture: (&Dir, &[u8]),
    how: &[&str],
    hash: Option<HashAlgorithm>,
    change: impl Fn(&mut Vec<u8>),
) -> Layer {
    let (dir, image) = fixture;
    let whole = with_tree(dir, EROFS, image, how);
    let mut content = whole.blob.clone();
    change(&mut content);
    let mut layer = match hash {
        None => Layer::new(EROFS, &content),
        Some(hash) => Indexed::new(&content, CHUNK, hash).embedded(),
    };
    let annotations = layer.annotations.as_object_mut().unwrap();
    annotations.extend(whole.annotations.as_object().unwrap().clone());
    layer
}

#[test]
fn with_a_root_in_the_manifest_each_block_is_verified_by_its_path() {
    let dir = Dir::new();
    let small = ["--data-block-size", "512", "--hash-block-size", "512"];
    let cases: [&[&str]; 4] = [
        &[],
        &["--no-superblock"],
        &["--hash", "sha512", "--format", "0", "--salt", "ff"],
        &small,
    ];
    for how in cases {
        for hash in [None, Some(HashAlgorithm::None), Some(SHA256)] {
            let layer = with_tree_in((&dir, &plain()), how, hash, |_| ());
            let fixture = Fixture::new(&[layer]);
            compare(&fixture);
            let listed = run(args!["ls", fixture.layout, "-v"]);
            let said = told(&listed);
            let blocks = if how.len() == 4 { 32 } else { 4 };
            let of = format!("of {blocks} blocks, ");
            assert!(said.contains(&of), "{said}");
            let by_path = "each block verified by its path to the dm-verity root";
            let by_chunk = "each verified, and each block by its path to the dm-verity root";
            let how = if hash == Some(SHA256) {
                by_chunk
            } else {
                by_path
            };
            assert!(said.ends_with(how), "{said}");
            assert_eq!(said.contains(" chunks and "), hash.is_some(), "{said}");
            let report = run(args!["check", fixture.layout, "--json"]).json();
            let reads = &report["layers"][0]["reads"];
            assert_eq!(reads["ofBlocks"], json!(blocks), "{report}");
            assert_eq!(reads["verified"], json!(hash == Some(SHA256)));
        }
    }
    // Of a large image only the blocks that are asked for.
    let image = image(4, 300);
    let fixture = Fixture::new(&[with_tree_in((&dir, &image), &[], None, |_| ())]);
    let reads = &run(args!["ls", fixture.layout, "--json"]).json()["reads"];
    assert_eq!(reads["ofBlocks"], json!(300));
    assert!(reads["blocks"].as_u64().unwrap() <= 8, "{reads}");
    assert!(reads["bytes"].as_u64().unwrap() < 100_000, "{reads}");
}

#[test]
fn a_flipped_bit_under_a_pinned_root_is_refused_where_it_is_read() {
    let dir = Dir::new();
    let image = image(4, 300);
    // One of the data, one of its block of hashes, one of the root's.
    let behind = image.len() + 4096;
    for (at, code) in [
        (1030, 1),
        (2000, 1),
        (image.len() - 1, 0),
        (behind, 1),
        (behind + 4096, 1),
        (behind + 2 * 4096, 0),
    ] {
        // The index is that of the changed content: only the tree can tell.
        for hash in [None, Some(HashAlgorithm::None), Some(SHA256)] {
            let layer = with_tree_in((&dir, &image), &[], hash, |content| content[at] ^= 1);
            let fixture = Fixture::new(&[layer]);
            let listed = run(args!["ls", fixture.layout]);
            assert_eq!(listed.code(), code, "{at}: {}", listed.stderr);
            let checked = run(args!["check", fixture.layout]);
            assert_eq!(checked.code(), code, "{at}: {}", checked.text());
            if code == 1 {
                let said = "dm-verity tree";
                assert!(listed.line(1).contains(said), "{}", listed.stderr);
            }
            // All of it is read there.
            let full = run(args!["check", fixture.layout, "--level", "full"]);
            assert_eq!(full.code(), 1, "{at}");
        }
    }
}

#[test]
fn a_tree_that_is_not_as_announced_is_refused_as_by_unpack() {
    let dir = Dir::new();
    let image = image(4, 300);
    let wrong = |name: &str, value: Value| {
        let mut layer = with_tree_in((&dir, &image), &[], None, |_| ());
        layer.annotations[name] = value;
        layer
    };
    let root = wrong("org.erofs.dmverity.root_digest", json!(sha256(b"another")));
    let mut superblock = with_tree_in((&dir, &image), &[], None, |_| ());
    let at = image.len();
    // Fewer blocks than lie before it.
    superblock.blob[at + 72] ^= 1;
    superblock.diff_id = sha256(&superblock.blob);
    let cut = with_tree_in((&dir, &image), &[], None, |content| {
        content.truncate(at + 4096 + 100);
    });
    for (layer, same) in [(root, false), (superblock, true), (cut, true)] {
        let fixture = Fixture::new(&[layer]);
        let listed = run(args!["ls", fixture.layout]);
        let said = listed.line(1);
        assert!(
            said.contains("dm-verity") || said.contains("image"),
            "{said}"
        );
        let unpacked = run(args!["unpack", fixture.layout, "--verify-only"]);
        assert_eq!(unpacked.code(), 1);
        if same {
            let what = |line: &str| line.split_once(": ").unwrap().1.to_owned();
            let lines = (what(said), what(unpacked.line(1)));
            assert!(
                lines.1.contains(&lines.0) || lines.0.contains(&lines.1),
                "{lines:?}"
            );
        }
    }
}
