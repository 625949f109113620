//! Images in all forms that mkfs.erofs makes.
//!
//! Each case states which places its extents are to have among others, so that a mkfs.erofs
//! which makes something else is noticed. Left out is what 1.9.4 gets wrong itself (`fsck.erofs
//! --extract` gives the same wrong content): `-Eztailpacking` with pclusters larger than
//! blocks of 512 bytes.

use super::support::{Files, Folder, compare_all, files, has_mkfs, mkfs, places};

/// Whether this build reads the algorithm.
fn has(algorithm: &str) -> bool {
    algorithm != "lzma" || cfg!(feature = "lzma")
}

/// Whether an image has all these places, so that the case tests what it is there for.
fn expect(image: &[u8], expected: &str, options: &str) {
    let places = places(image);
    for place in expected.split(' ') {
        assert!(
            places.contains(place),
            "{options}: no {place} in {places:?}"
        );
    }
}

fn check(name: &str, files: &Files, cases: &[(&str, &str)]) {
    if !has_mkfs() {
        return;
    }
    let folder = Folder::new(name);
    folder.write(files);
    for (options, expected) in cases {
        let split: Vec<&str> = options.split(' ').collect();
        let image = mkfs(&folder, "image", &split)
            .unwrap_or_else(|error| panic!("mkfs.erofs {options}: {error}"));
        compare_all(&image, files, options);
        expect(&image, expected, options);
    }
}

/// Every pcluster size, with every way to put tails and copies together.
fn check_algorithm(algorithm: &str, option: &str) {
    if !has(algorithm) {
        println!("skipped: needs the feature {algorithm}");
        return;
    }
    let all = files();
    let cases: Vec<(String, String)> = [
        ("-C4096", "A plain shifted"),
        ("-C16384", "A A-big plain shifted"),
        ("-C65536", "A A-big plain shifted"),
        (
            "-C65536 -Eztailpacking",
            "A-big A-inline plain shifted shifted-inline",
        ),
        ("-C4096 -Efragments", "A fragment interlaced"),
        ("-C4096 -Eall-fragments", "A fragment interlaced"),
        ("-C65536 -Ededupe", "A-big A-partial-big plain shifted"),
        ("-C65536 -E48bit", "A A-big plain shifted"),
    ]
    .into_iter()
    .map(|(options, places)| {
        (
            format!("{option} {options}"),
            places.replace('A', algorithm),
        )
    })
    .collect();
    let cases: Vec<(&str, &str)> = cases
        .iter()
        .map(|(options, places)| (options.as_str(), places.as_str()))
        .collect();
    check(algorithm, &all, &cases);
}

#[test]
fn lz4() {
    check_algorithm("lz4", "-zlz4");
}

#[test]
fn lzma() {
    check_algorithm("lzma", "-zlzma,level=1");
}

#[test]
fn deflate() {
    check_algorithm("deflate", "-zdeflate");
}

#[test]
fn zstd() {
    check_algorithm("zstd", "-zzstd");
}

#[test]
fn other_levels_and_the_largest_pclusters() {
    check(
        "levels",
        &files(),
        &[
            (
                "-zlz4hc,12 -C4096 -Eztailpacking",
                "lz4 lz4-inline plain shifted shifted-inline",
            ),
            ("-zlz4 -C1048576", "lz4 lz4-big plain"),
            ("-zzstd,6 -C1048576 -Efragments,dedupe", "fragment zstd-big"),
            ("-zdeflate,9 -C1048576", "deflate deflate-big plain"),
            (
                "-zlibdeflate,6 -C65536",
                "deflate deflate-big plain shifted",
            ),
        ],
    );
}

/// Images whose LZ4 data starts with the pcluster, and whose indexes are all full.
#[test]
fn legacy() {
    check(
        "legacy",
        &files(),
        &[
            ("-zlz4 -Elegacy-compress", "lz4 plain shifted"),
            (
                "-zlz4 -Elegacy-compress -C65536",
                "lz4 lz4-big plain shifted",
            ),
            (
                "-zlz4 -Elegacy-compress,ztailpacking",
                "lz4 lz4-inline plain shifted shifted-inline",
            ),
            (
                "-zlz4 -Elegacy-compress,dedupe",
                "lz4 lz4-partial plain shifted",
            ),
        ],
    );
}

#[test]
fn encoded_extents() {
    check(
        "extents",
        &files(),
        &[
            ("-zlz4 -E48bit", "lz4 plain shifted"),
            ("-zlz4 -E48bit --max-extent-bytes=8192", "lz4 plain shifted"),
            (
                "-zzstd -E48bit --max-extent-bytes=65536 -C65536",
                "plain shifted zstd zstd-big",
            ),
            (
                "-zlz4 -E48bit,fragments -C65536",
                "fragment interlaced lz4 lz4-big",
            ),
            ("-zlz4 -E48bit,all-fragments", "fragment interlaced lz4"),
            (
                "-zlz4 -E48bit,ztailpacking -C65536",
                "lz4-big lz4-inline plain shifted shifted-inline",
            ),
            ("-zlz4 -E48bit,dedupe", "lz4 lz4-partial plain shifted"),
            (
                "-zlz4 -E48bit,dedupe,fragments -C65536",
                "fragment lz4-big shifted",
            ),
        ],
    );
}

/// Inodes and directories in the compressed content of another inode, by the same algorithm
/// or another. That is also how an image comes to have two of them: with `--compress-hints`
/// 1.9.4 crashes.
#[test]
fn metabox() {
    check(
        "metabox",
        &files(),
        &[
            ("-zlz4 -m4096 --MZ", "lz4 plain shifted"),
            ("-zlz4 -m4096 --MZ=id", "lz4 plain shifted"),
            (
                "-zlz4 -m65536:zstd --MZ -Efragments -C65536",
                "fragment interlaced lz4 lz4-big",
            ),
            (
                "-zzstd -m4096 --MZ -C65536 -Eztailpacking",
                "plain shifted zstd zstd-big",
            ),
        ],
    );
}

#[test]
fn small_blocks() {
    check(
        "blocks",
        &files(),
        &[
            ("-zlz4 -b512", "lz4 plain shifted"),
            ("-zlz4 -b512 -C4096", "lz4-big plain shifted"),
            (
                "-zlz4 -b512 -C65536 -Efragments",
                "fragment interlaced lz4-big",
            ),
            (
                "-zlz4 -b1024 -C65536 -Eztailpacking",
                "lz4 lz4-big lz4-inline plain shifted shifted-inline",
            ),
            ("-zzstd -b1024 -C16384 -E48bit", "plain shifted zstd-big"),
            (
                "-zdeflate -b2048 -C4096 -Ededupe",
                "deflate-big deflate-partial-big plain shifted",
            ),
        ],
    );
}

#[test]
fn compressed_directories() {
    check(
        "directories",
        &files(),
        &[("-zlz4 --zD", "lz4 plain shifted")],
    );
}
