//! gzip: both inflaters give the same content and the same end, however the blob is cut.
//!
//! One difference is known. Where the code of the code lengths has no symbols, miniz_oxide refuses
//! the block there, zlib-rs behind all code lengths, as zlib does; a blob that ends between is
//! corrupt to the one and cut off to the other.
#![no_main]

use erofs_unpack_core::codec::{Backend, Gzip};
use erofs_unpack_core::{Code, Limits};
use libfuzzer_sys::fuzz_target;

mod pieces;

fuzz_target!(|blob: &[u8]| {
    let mut limits = Limits::DEFAULT;
    limits.frames = 64;
    let decoder = |backend| Gzip::with_backend(backend, &limits);
    let whole = pieces::whole(&mut decoder(Backend::Miniz), blob);
    let other = pieces::whole(&mut decoder(Backend::ZlibRs), blob);
    let code = |outcome: &pieces::Outcome| match outcome.end {
        Some(Err(error)) => Some(error.code()),
        _ => None,
    };
    let known = code(&whole) == Some(Code::GzipDeflate)
        && code(&other) == Some(Code::GzipTruncated)
        && other.content == whole.content;
    assert!(
        known || other == whole,
        "miniz_oxide: {:?}, zlib-rs: {:?}",
        whole.end,
        other.end
    );
    for (number, backend) in (0..).zip(Backend::ALL) {
        let whole = if *backend == Backend::Miniz {
            &whole
        } else {
            &other
        };
        let cut = pieces::pieces(&mut decoder(*backend), blob, number);
        assert!(
            cut == *whole,
            "{backend:?} in pieces: {:?}, whole: {:?}",
            cut.end,
            whole.end
        );
    }
});
