//! gzip: our decoder and zlib-rs give the same content and the same end, and so does miniz_oxide, however
//! the blob is cut.
//!
//! One difference of miniz_oxide is known: where a block is refused whose codes lack what they must have.
//! The code of the code lengths without symbols is refused by it at once, by the others behind all code
//! lengths, as by zlib; literals without a code for the end of the block by the others at once, as by zlib,
//! by miniz_oxide at the first bits that are no code, with the literals before. So a blob that is corrupt
//! to the one can be cut off to the other, which has given more content; that both refuse it stays.
#![no_main]

use erofs_unpack_core::codec::{Backend, Gzip};
use erofs_unpack_core::{Code, Limits};
use libfuzzer_sys::fuzz_target;

mod pieces;

fuzz_target!(|blob: &[u8]| {
    let mut limits = Limits::DEFAULT;
    limits.frames = 64;
    let decoder = |backend| Gzip::with_backend(backend, &limits);
    let ours = pieces::whole(&mut decoder(Backend::Own), blob);
    let code = |outcome: &pieces::Outcome| match outcome.end {
        Some(Err(error)) => Some(error.code()),
        _ => None,
    };
    let corrupt = |outcome: &pieces::Outcome| {
        matches!(code(outcome), Some(Code::GzipDeflate | Code::GzipTruncated))
    };
    for (number, backend) in (0..).zip(Backend::ALL) {
        let whole = pieces::whole(&mut decoder(*backend), blob);
        let known = *backend == Backend::Miniz
            && corrupt(&whole)
            && corrupt(&ours)
            && (whole.content.starts_with(&ours.content)
                || ours.content.starts_with(&whole.content));
        assert!(
            known || whole == ours,
            "{backend:?}: {:?}, ours: {:?}",
            whole.end,
            ours.end
        );
        let cut = pieces::pieces(&mut decoder(*backend), blob, number);
        assert!(
            cut == whole,
            "{backend:?} in pieces: {:?}, whole: {:?}",
            cut.end,
            whole.end
        );
    }
});
