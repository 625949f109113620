//! gzip: both inflaters give the same content and the same end, however the blob is cut.
//!
//! One difference is known: where a block is refused whose codes lack what they must have. The code of the
//! code lengths without symbols is refused by miniz_oxide at once, by zlib-rs behind all code lengths,
//! as by zlib; literals without a code for the end of the block by zlib-rs at once, as by zlib, by
//! miniz_oxide at the first bits that are no code, with the literals before. So a blob that is corrupt to
//! the one can be cut off to the other, which has given more content; that both refuse it stays.
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
    let corrupt = |outcome| matches!(code(outcome), Some(Code::GzipDeflate | Code::GzipTruncated));
    let known = corrupt(&whole)
        && corrupt(&other)
        && (whole.content.starts_with(&other.content) || other.content.starts_with(&whole.content));
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
