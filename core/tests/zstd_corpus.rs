//! Our own zstd decoder over frames of other encoders: of each `NAME.zst` in the folder that
//! `ZSTD_CORPUS` names, and in those below it, the content is what `NAME` holds.
#![cfg(feature = "alloc")]

mod zstd_support;

use std::path::Path;

use erofs_unpack_core::codec::{Zstd, ZstdBackend};
use zstd_support::{Lists, content, run, wide};

/// Decodes what a folder holds, and says how many streams and how many bytes that were.
fn folder(path: &Path) -> (u64, u64) {
    let (mut streams, mut bytes) = (0, 0);
    for entry in path.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let (more, of) = folder(&path);
            streams += more;
            bytes += of;
        } else if path.extension().is_some_and(|end| end == "zst") {
            let blob = std::fs::read(&path).unwrap();
            let wanted = std::fs::read(path.with_extension("")).unwrap();
            assert!(content(ZstdBackend::Own, &blob) == wanted, "{path:?}");
            let decoder = Zstd::with_backend(ZstdBackend::Own, &wide());
            let cut = Lists::new(&[1000, 1, 7, 90_000], &[70_000, 3, 131_072, 1]);
            let pieces = run(decoder, &blob, cut);
            assert_eq!(pieces.end, Ok(()), "{path:?}");
            assert!(pieces.content == wanted, "{path:?} in pieces");
            streams += 1;
            bytes += wanted.len() as u64;
        }
    }
    (streams, bytes)
}

#[test]
#[ignore = "needs a folder; core/fuzz/decodecorpus makes one"]
fn frames_of_other_encoders() {
    let Some(path) = std::env::var_os("ZSTD_CORPUS") else {
        eprintln!("skipped: needs ZSTD_CORPUS");
        return;
    };
    let (streams, bytes) = folder(Path::new(&path));
    println!("{streams} streams, {bytes} bytes");
    assert!(streams > 0, "no NAME.zst");
}
