//! The vectors of what libzstd takes and we refuse: both do as said, for the reason that is named,
//! and every reason there is has a vector.
#![cfg(feature = "alloc")]
#![allow(clippy::std_instead_of_alloc, reason = "tests are std programs")]

mod zstd_frames;
mod zstd_support;

use std::collections::BTreeSet;

use erofs_unpack_core::codec::Zstd;
use erofs_unpack_core::{Code, Limits};
use zstd::zstd_safe::{DCtx, get_error_name};
use zstd_frames::explain::{
    BLOCK_CONTENT, CUT_OFF, EMPTY, NAMED, NEAR, PLAIN_SIZE, STREAM_END, TWELVE, WEIGHTS, WIDE,
    WINDOW, explain,
};
use zstd_support::run;

/// The case of this name. Nothing at all has no file.
fn vector(name: &str) -> Vec<u8> {
    if name == "truncated-empty" {
        return Vec::new();
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/cases/zstd");
    std::fs::read(format!("{folder}/{name}.erofs.zst")).expect(name)
}

#[test]
fn each_reason_has_a_vector() {
    let cases = [
        ("truncated-empty", EMPTY, Code::ZstdTruncated),
        ("window-raised", WIDE, Code::ZstdWindow),
        ("block-over-window", PLAIN_SIZE, Code::ZstdBlockSize),
        ("block-content", BLOCK_CONTENT, Code::ZstdBlock),
        ("match-before-window", WINDOW, Code::ZstdBlock),
        ("literals-four-more", STREAM_END, Code::ZstdBlock),
        ("literals-four-less", STREAM_END, Code::ZstdBlock),
        ("literals-more", NEAR, Code::ZstdBlock),
        ("literals-less", NEAR, Code::ZstdBlock),
        ("codes-12", TWELVE, Code::ZstdBlock),
        ("weights-12", WEIGHTS, Code::ZstdBlock),
        ("distribution-cut-off", CUT_OFF, Code::ZstdBlock),
    ];
    let limits = Limits::DEFAULT;
    let mut libzstd = DCtx::create();
    let mut content = vec![0; 1 << 16];
    for (name, why, code) in cases {
        let blob = vector(name);
        let ours = run(Zstd::new(&limits), &blob, (usize::MAX, 1 << 16));
        let refused = ours.end.expect_err(name);
        assert_eq!(refused.code(), code, "{name}");
        assert_eq!(explain(&blob, limits.zstd_window), Err(why), "{name}");
        let theirs = libzstd.decompress(&mut content[..], &blob);
        let size = if why == EMPTY { 0 } else { 4096 };
        assert_eq!(theirs.map_err(get_error_name), Ok(size), "{name}");
    }
    let seen: BTreeSet<_> = cases.iter().map(|(_, why, _)| *why).collect();
    assert_eq!(seen, NAMED.iter().copied().collect());
}
