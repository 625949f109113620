//! zstd: however a blob is cut, a decoder says the same; and the decoders against each other.
//!
//! Of a stream that is cut off, ruzstd gives out less: it holds back what a later block could still
//! refer to. ruzstd takes some frames that are corrupt; libzstd is the judge. What our own decoder
//! takes, libzstd takes, with the same content.
#![no_main]

use erofs_unpack_core::Limits;
use erofs_unpack_core::codec::{Zstd, ZstdBackend};
use libfuzzer_sys::fuzz_target;

mod pieces;

fuzz_target!(|blob: &[u8]| {
    let mut limits = Limits::DEFAULT;
    limits.frames = 64;
    limits.zstd_window = 1 << 20;
    let both = [ZstdBackend::Ruzstd, ZstdBackend::Own].map(|backend| {
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
    let [ruzstd, own] = &both;
    let ends = format!("ruzstd: {:?}, own: {:?}", ruzstd.end, own.end);
    // More content than is looked at.
    if both.iter().any(|outcome| outcome.end.is_none()) {
        return;
    }
    if own.passed() {
        let judge = zstd::stream::decode_all(blob);
        assert!(judge.is_ok_and(|content| content == own.content), "libzstd, {ends}");
    } else if ruzstd.end == own.end {
        let prefix = own.content.starts_with(&ruzstd.content);
        assert!(prefix, "other content before the same end, {ends}");
    }
});
