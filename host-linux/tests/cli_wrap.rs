//! `wrap` and `unwrap`: what others make of our blobs, and what we make of theirs.
#![allow(
    clippy::disallowed_methods,
    clippy::std_instead_of_alloc,
    reason = "a test may panic, and has std"
)]

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;

use common::*;
use serde_json::Value;

/// Every way to wrap an image.
const WAYS: &[&[&str]] = &[
    &["--wrap", "zstd", "--index", "erofs"],
    &["--wrap", "zstd", "--index", "zstd-seekable"],
    &["--wrap", "zstd", "--index", "none"],
    &["--wrap", "gzip"],
    &["--wrap", "none", "--index", "erofs"],
    &["--wrap", "none", "--index", "none"],
];

/// Runs `wrap` on an image, with small chunks, and gives the blob and the report.
fn wrap(dir: &Dir, image: &[u8], options: &[&str]) -> (Vec<u8>, Value) {
    let image = dir.write("image", image);
    let blob = dir.path("blob");
    let mut arguments = args!["wrap", image, "-o", blob, "--force", "--json"];
    if !options.contains(&"--chunk-size") {
        arguments.extend(["--chunk-size", "64KiB"].map(Into::into));
    }
    arguments.extend(options.iter().map(Into::into));
    let run = run(arguments);
    run.done();
    (content(&blob), run.json())
}

/// Images of different sizes, the last with bytes that do not fill a block.
fn images() -> Vec<Vec<u8>> {
    vec![image(1, 1), image(2, 16), image(3, 17), image(4, 93)]
}

/// What a tool makes of a file on its stdout.
fn output_of(tool: &str, arguments: &[&str], file: &Path) -> Vec<u8> {
    let output = Command::new(tool).args(arguments).arg(file).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{tool} {arguments:?}: {output:?}");
    output.stdout
}

#[test]
fn what_is_wrapped_is_unwrapped_and_no_thread_makes_a_difference() {
    let dir = Dir::new();
    for (number, image) in images().iter().enumerate() {
        for way in WAYS {
            let (blob, report) = wrap(&dir, image, &[way, &["--threads", "1"][..]].concat());
            let (again, _) = wrap(&dir, image, &[way, &["--threads", "4"][..]].concat());
            assert!(blob == again, "{number}, {way:?}");
            assert_eq!(report["digest"], sha256(&blob), "{way:?}");
            assert_eq!(report["size"], blob.len());
            assert_eq!(report["imageSize"], image.len());
            let plain = report["compression"] == "none";
            let diff_id = if plain { sha256(&blob) } else { sha256(image) };
            assert_eq!(report["diffId"], diff_id.as_str());
            let uncompressed = &report["annotations"]["org.erofs.uncompressed-digest"];
            assert_eq!(uncompressed.is_null(), plain, "{way:?}");
            if !plain {
                assert_eq!(*uncompressed, diff_id);
            }
            if plain && report["index"] == "erofs" {
                // What is behind the image is only known to be an index by the manifest.
                continue;
            }
            let (blob, back) = (dir.path("blob"), dir.path("back"));
            let digest = report["digest"].as_str().unwrap();
            let arguments = args!["unwrap", blob, "-o", back, "--force", "--digest", digest];
            let mut arguments = arguments;
            arguments.extend(args!["--diff-id", diff_id]);
            run(arguments).done();
            assert!(content(&back) == *image, "{number}, {way:?}");
        }
    }
}

#[test]
fn other_tools_unwrap_what_is_wrapped() {
    let dir = Dir::new();
    let zstd = has("zstd");
    if !zstd {
        println!("skipped: needs zstd");
    }
    for image in images() {
        for way in WAYS {
            for level in ["1", "3", "9"] {
                let options = [way, &["--level", level][..]].concat();
                let (blob, report) = wrap(&dir, &image, &options);
                let file = dir.path("blob");
                match report["compression"].as_str().unwrap() {
                    "zstd" => {
                        assert!(zstd::decode_all(&blob[..]).unwrap() == image, "{way:?}");
                        if zstd {
                            assert!(output_of("zstd", &["-dc"], &file) == image, "{way:?}");
                        }
                    }
                    "gzip" => {
                        // One member: what reads no more than one finds all of it.
                        let mut decoded = Vec::new();
                        let mut decoder = flate2::read::GzDecoder::new(&blob[..]);
                        decoder.read_to_end(&mut decoded).unwrap();
                        assert!(decoded == image);
                        assert!(output_of("gzip", &["-dc"], &file) == image);
                    }
                    _ => assert!(blob.starts_with(&image)),
                }
            }
        }
    }
}

#[test]
fn the_index_begins_at_a_multiple_of_four() {
    let dir = Dir::new();
    let mut places = [0; 4];
    for seed in 0..24 {
        let mut image = image(seed, 20);
        // The length of the last frame varies with what is in it.
        let length = image.len();
        image[length - 4096..].fill(0);
        let noise = noise(seed, seed as usize * 3);
        image[length - 4096..][..noise.len()].copy_from_slice(&noise);
        let (blob, report) = wrap(&dir, &image, &[]);
        let (plain, _) = wrap(&dir, &image, &["--index", "none"]);
        let range = report["annotations"]["org.erofs.chunk-index.range"].as_str();
        let (offset, end) = range.unwrap().split_once(':').unwrap();
        let offset: usize = offset.parse().unwrap();
        assert_eq!(end.parse::<usize>().unwrap(), blob.len());
        assert_eq!(offset % 4, 0);
        assert!(offset - plain.len() <= 9);
        places[plain.len() % 4] += 1;
        assert_eq!(blob[offset..offset + 4], [0x50, 0x2A, 0x4D, 0x18]);
        assert_eq!(blob[offset + 8..offset + 12], [0xCD, 0xE4, 0xEC, 0x67]);
        let digest = &report["annotations"]["org.erofs.chunk-index.digest"];
        assert_eq!(*digest, sha256(&blob[offset + 8..]));
    }
    assert!(places.iter().all(|count| *count > 0), "{places:?}");
}

#[test]
fn levels_and_chunks_of_all_sizes() {
    let dir = Dir::new();
    let image = image(5, 40);
    let mut sizes = Vec::new();
    for level in ["1", "5", "12", "19", "22"] {
        let (blob, _) = wrap(&dir, &image, &["--level", level]);
        assert!(zstd::decode_all(&blob[..]).unwrap() == image, "{level}");
        sizes.push(blob.len());
    }
    assert!(sizes.last() <= sizes.first(), "{sizes:?}");
    for (size, chunks) in [("4096", 40), ("5000", 33), ("160KiB", 1), ("64MiB", 1)] {
        let (blob, report) = wrap(&dir, &image, &["--chunk-size", size]);
        assert!(zstd::decode_all(&blob[..]).unwrap() == image, "{size}");
        assert_eq!(report["chunks"], chunks, "{size}");
    }
}

#[test]
fn stdin_and_stdout_serve_too() {
    let dir = Dir::new();
    let image = image(6, 30);
    let (blob, _) = wrap(&dir, &image, &[]);
    let arguments = ["wrap", "-", "-o", "-", "--chunk-size", "64KiB"];
    let run_ = run_with(program().args(arguments), &image);
    assert_eq!(run_.code(), 0, "{}", run_.stderr);
    assert!(run_.stdout == blob);
    let back = run_with(program().args(["unwrap", "-", "-o", "-", "--quiet"]), &blob);
    assert_eq!(back.code(), 0, "{}", back.stderr);
    assert!(back.stdout == image);
    let arguments = ["wrap", "-", "-o", "-", "--json"];
    let line = run_with(program().args(arguments), &image);
    assert_eq!(line.code(), 2);
    assert!(line.stderr.contains("give --json=FILE"), "{}", line.stderr);
}

#[test]
fn what_is_no_plain_image_is_refused_and_leaves_nothing() {
    let dir = Dir::new();
    let image = image(7, 8);
    let mut flipped = image.clone();
    flipped[1024 + 40] ^= 1;
    let mut longer = image.clone();
    longer.extend([0; 4096]);
    for (name, content, said) in [
        (
            "compressed",
            zstd(&image),
            "zstd: expected a plain image, as unwrap makes",
        ),
        (
            "gzip",
            gzip(&image),
            "gzip: expected a plain image, as unwrap makes",
        ),
        ("zeros", vec![0; 9000], "zeros"),
        ("flipped", flipped, "checksum"),
        ("cut", image[..5000].to_vec(), "is shorter than"),
        ("longer", longer, "goes on after the end"),
    ] {
        let source = dir.write("source", content);
        let before = dir.names();
        let run = run(args!["wrap", source, "-o", dir.path("blob")]);
        let line = run.line(1);
        assert!(line.contains(said), "{name}: {line}");
        assert_eq!(dir.names(), before, "{name}");
    }
}

#[test]
fn wrong_usage_is_told_before_anything_is_made() {
    let dir = Dir::new();
    let source = dir.write("image", image(8, 4));
    dir.write("taken", "kept");
    for (options, said) in [
        (
            &["--wrap", "gzip", "--index", "erofs"][..],
            "expected --index none",
        ),
        (
            &["--wrap", "none", "--index", "zstd-seekable"],
            "expected --wrap zstd",
        ),
        (&["--level", "23"], "from 1 to 22"),
        (&["--level", "0"], "from 1 to 22"),
        (&["--wrap", "gzip", "--level", "10"], "from 1 to 9"),
        (&["--chunk-size", "1KiB"], "expected 4096 to 67108864 bytes"),
        (
            &["--chunk-size", "65MiB"],
            "expected 4096 to 67108864 bytes",
        ),
    ] {
        let mut arguments = args!["wrap", source, "-o", dir.path("blob")];
        arguments.extend(options.iter().map(Into::into));
        let run = run(arguments);
        assert!(run.line(2).contains(said), "{options:?}: {}", run.stderr);
    }
    let taken = run(args!["wrap", source, "-o", dir.path("taken")]);
    assert!(taken.stderr.contains("exists already"), "{}", taken.stderr);
    assert_eq!(content(&dir.path("taken")), b"kept");
    let folder = run(args!["unwrap", dir.0, "-o", dir.path("blob")]);
    assert!(folder.line(2).contains("unpack takes image layouts"));
    assert_eq!(dir.names(), ["image", "taken"]);
}

#[test]
fn a_wrong_digest_unwraps_nothing() {
    let dir = Dir::new();
    let image = image(9, 30);
    let (blob, _) = wrap(&dir, &image, &[]);
    let file = dir.path("blob");
    let back = dir.path("back");
    let wrong = sha256(b"another");
    for flag in ["--digest", "--diff-id"] {
        let run = run(args!["unwrap", file, "-o", back, flag, wrong, "--quiet"]);
        assert!(run.line(1).contains("does not have the stated"), "{flag}");
        assert!(!back.exists());
    }
    let mut damaged = blob;
    damaged[1000] ^= 1;
    let damaged = dir.write("damaged", damaged);
    let run = run(args!["unwrap", damaged, "-o", back, "--quiet"]);
    assert_eq!(run.code(), 1);
    assert!(!back.exists());
}

#[test]
fn zeekstd_reads_our_seek_tables_and_we_read_its() {
    let dir = Dir::new();
    let image = image(10, 93);
    let way = ["--index", "zstd-seekable"];
    let (blob, report) = wrap(&dir, &image, &way);
    let mut decoder = zeekstd::Decoder::new(fs::File::open(dir.path("blob")).unwrap()).unwrap();
    let frames = u64::from(decoder.seek_table().num_frames());
    assert_eq!(report["chunks"], frames);
    let mut decoded = Vec::new();
    decoder.read_to_end(&mut decoded).unwrap();
    assert!(decoded == image);
    let start = 3 * 65_536;
    decoder.set_lower_frame(3).unwrap();
    decoder.set_upper_frame(3).unwrap();
    let mut frame = Vec::new();
    decoder.read_to_end(&mut frame).unwrap();
    assert!(frame == image[start..start + 65_536]);
    drop(blob);

    let policy = zeekstd::FrameSizePolicy::Uncompressed(50_000);
    let options = zeekstd::EncodeOptions::new().frame_size_policy(policy);
    let mut theirs = Vec::new();
    let mut encoder = options.into_encoder(&mut theirs).unwrap();
    encoder.write_all(&image).unwrap();
    encoder.finish().unwrap();
    let theirs = dir.write("theirs", theirs);
    let run_ = run(args![
        "index",
        "verify",
        theirs,
        "--diff-id",
        sha256(&image),
        "--json"
    ]);
    run_.done();
    let report = run_.json();
    assert_eq!(report["index"]["form"], "zstd-seekable");
    assert_eq!(report["index"]["imageSize"], image.len());
    assert_eq!(report["verified"]["diffId"], sha256(&image));
    let chunks = report["index"]["chunks"].as_array().unwrap().len();
    assert_eq!(chunks, image.len().div_ceil(50_000));
}

#[test]
fn a_tree_is_wrapped_with_its_image() {
    let dir = Dir::new();
    let image = image(7, 300);
    for way in WAYS {
        let how = [way, &["--verity", "append"][..]].concat();
        let (blob, report) = wrap(&dir, &image, &how);
        let threads = wrap(&dir, &image, &[&how[..], &["--threads", "3"]].concat());
        assert!(blob == threads.0, "{way:?}");
        let annotations = &report["annotations"];
        let offset = &annotations["org.erofs.dmverity.hash_offset"];
        assert_eq!(*offset, image.len().to_string());
        let mut layer = Layer::new(report["mediaType"].as_str().unwrap(), &[]);
        layer.blob = blob;
        layer.annotations = annotations.clone();
        report["diffId"]
            .as_str()
            .unwrap()
            .clone_into(&mut layer.diff_id);
        // Our type with gzip is containerd's family.
        if report["compression"] == "gzip" {
            EROFS_GZIP.clone_into(&mut layer.media_type);
        }
        let layout = dir.path(&format!("layout-{}", way.join("")));
        let layout = Layout::of(layout, core::slice::from_ref(&layer));
        let out = dir.path(&format!("out-{}", way.join("")));
        let unpacked = run(args!["unpack", layout.path, "-o", out, "--json"]).json();
        let tree = &unpacked["layers"][0]["dmVerity"];
        assert_eq!(tree["status"], "verified", "{way:?}: {unpacked}");
        assert_eq!(
            tree["rootDigest"],
            annotations["org.erofs.dmverity.root_digest"]
        );
        let file = out.join(unpacked["layers"][0]["file"].as_str().unwrap());
        assert!(content(&file).starts_with(&image));
        if !has("veritysetup") {
            println!("skipped: needs veritysetup");
            continue;
        }
        let root = tree["rootDigest"]
            .as_str()
            .unwrap()
            .split_once(':')
            .unwrap();
        let verified = Command::new("veritysetup")
            .env("PATH", path_with_sbin())
            .args(["verify", "--hash-offset", offset.as_str().unwrap()])
            .args([&file, &file])
            .arg(root.1)
            .output()
            .unwrap();
        assert!(verified.status.success(), "{way:?}: {verified:?}");
    }
}
