//! zstd: however a blob is cut, a decoder says the same; and the two decoders against each other.
//!
//! Of a stream that is cut off, ruzstd gives out less: it holds back what a later block could still
//! refer to. Each takes some frames that are corrupt, not the same ones; libzstd is the judge. What
//! libzstd takes, both must take, with the same content.
#![no_main]

use erofs_unpack_core::Limits;
use erofs_unpack_core::codec::{Zstd, ZstdBackend};
use libfuzzer_sys::fuzz_target;

mod pieces;

/// Whether libzstd takes a blob to its end.
fn judge(blob: &[u8]) -> bool {
    zstd::stream::copy_decode(blob, std::io::sink()).is_ok()
}

fuzz_target!(|blob: &[u8]| {
    let mut limits = Limits::DEFAULT;
    limits.frames = 64;
    limits.zstd_window = 1 << 20;
    let both = [ZstdBackend::Ruzstd, ZstdBackend::Structured].map(|backend| {
        let decoder = || Zstd::with_backend(backend, &limits);
        let whole = pieces::whole(&mut decoder(), blob);
        let cut = pieces::pieces(&mut decoder(), blob, 0);
        assert!(
            cut == whole,
            "{backend:?} in pieces: {:?}, whole: {:?}",
            cut.end,
            whole.end
        );
        whole
    });
    let [ruzstd, structured] = &both;
    let ends = format!("ruzstd: {:?}, structured: {:?}", ruzstd.end, structured.end);
    match (ruzstd.passed(), structured.passed()) {
        (true, true) => {
            let same = ruzstd.content == structured.content;
            assert!(same || !judge(blob), "both take it, with other content");
        }
        // More content than is looked at.
        _ if both.iter().any(|outcome| outcome.end.is_none()) => {}
        (false, false) => {
            let same = ruzstd.end == structured.end;
            let prefix = structured.content.starts_with(&ruzstd.content);
            assert!(!same || prefix, "other content before the same end, {ends}");
        }
        (false, true) | (true, false) => assert!(!judge(blob), "libzstd takes it, {ends}"),
    }
});
