//! zstd frames made by structure: the input is the choices of their generator, what it makes goes
//! through the core's own decoder and libzstd. As `core/tests/zstd_campaign.rs`, where the choices
//! are random; here coverage leads them.
#![no_main]

use erofs_unpack_core::Limits;
use erofs_unpack_core::codec::{Zstd, ZstdBackend};
use libfuzzer_sys::fuzz_target;

mod pieces;
#[path = "../../tests/zstd_frames/mod.rs"]
mod zstd_frames;

use zstd_frames::dice::Dice;
use zstd_frames::explain::{NAMED, explain};

/// The largest window.
const WINDOW: u64 = 8 << 20;

fuzz_target!(|choices: &[u8]| {
    let mut dice = Dice::of(choices);
    let bent = dice.one_in(2);
    let stream = if bent {
        zstd_frames::bent(&mut dice)
    } else {
        zstd_frames::whole(&mut dice)
    };
    let blob = &stream.bytes;
    let mut limits = Limits::DEFAULT;
    limits.zstd_window = WINDOW;
    let decoder = || Zstd::with_backend(ZstdBackend::Own, &limits);
    let ours = pieces::whole(&mut decoder(), blob);
    assert!(pieces::pieces(&mut decoder(), blob, 0) == ours, "in pieces");
    if ours.end.is_none() {
        // More content than is looked at.
        return;
    }
    if !bent {
        assert!(ours.passed() && ours.content == stream.content, "{ours:?}");
    }
    let theirs = zstd::bulk::decompress(blob, zstd_frames::MOST);
    match theirs {
        Ok(theirs) if ours.passed() => assert!(theirs == ours.content, "other content"),
        Ok(_) => {
            let why = explain(blob, WINDOW).unwrap_err();
            assert!(NAMED.contains(&why), "libzstd takes it: {why}");
        }
        Err(error) => assert!(!ours.passed(), "libzstd refuses it: {error}"),
    }
});
