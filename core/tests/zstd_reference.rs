//! The zstd back ends against libzstd and the `zstd` command: the same content, in whatever
//! way the stream was made and however it is cut.
#![cfg(feature = "alloc")]

mod zstd_support;

use erofs_unpack_core::Code;
use erofs_unpack_core::codec::{Zstd, ZstdBackend};
use zstd_support::{BACKENDS, Lists, content, decode, has, pipe, run, sample, wide};

#[test]
fn every_level() {
    let plain = sample(700_000, 1);
    for level in (-7..=19).chain([22]) {
        let blob = zstd::bulk::compress(&plain, level).unwrap();
        for backend in BACKENDS {
            assert!(
                content(*backend, &blob) == plain,
                "{backend:?} level {level}"
            );
        }
    }
}

/// Frames of encoders that are not libzstd's.
#[test]
fn other_encoders() {
    use structured_zstd::encoding::{CompressionLevel, compress_slice_to_vec};
    let plain = sample(400_000, 5);
    // A window and a tree are for more than one block; one block is another matter.
    for plain in [&plain[..], &plain[..9000], &plain[..200], &[7; 3000], &[]] {
        let mut blobs = vec![(
            "none".to_owned(),
            compress_slice_to_vec(plain, CompressionLevel::Uncompressed),
        )];
        for level in (-7..=19).chain([22]) {
            let blob = compress_slice_to_vec(plain, CompressionLevel::Level(level));
            blobs.push((level.to_string(), blob));
        }
        #[cfg(feature = "ruzstd")]
        {
            use ruzstd::encoding::{CompressionLevel, compress_to_vec};
            let levels = [CompressionLevel::Uncompressed, CompressionLevel::Fastest];
            for level in levels {
                blobs.push((format!("ruzstd {level:?}"), compress_to_vec(plain, level)));
            }
        }
        for (level, blob) in blobs {
            for backend in BACKENDS {
                let what = (backend, &level, plain.len());
                assert!(content(*backend, &blob) == plain, "{what:?}");
            }
        }
    }
}

/// Ways to call `zstd`.
const CALLS: &[&[&str]] = &[
    &["-1"],
    &["-3"],
    &["-19"],
    &["--ultra", "-22"],
    &["--fast=1"],
    &["--fast=20"],
    &["--no-check"],
    &["--check"],
    &["-T0"],
    &["-T2", "-B65536"],
    &["--long=27", "-3"],
    &["--long=24", "-19"],
    &["--adapt"],
    &["--rsyncable", "-T2"],
    &["--single-thread"],
    &["--no-compress-literals"],
    &["--compress-literals", "--fast=5"],
    &["--no-row-match-finder", "-6"],
    &["--target-compressed-block-size=1500"],
    &["--size-hint=100000"],
    &["--stream-size=600000"],
    &["--zstd=wlog=10"],
    &["--zstd=wlog=17,strat=9", "--ultra"],
    &["--stream-size=600000", "--no-check", "-7"],
];

#[test]
fn the_zstd_command() {
    if !has("zstd") {
        return;
    }
    let plain = sample(600_000, 2);
    for call in CALLS {
        let arguments: Vec<&str> = call.iter().copied().chain(["-q", "-c"]).collect();
        let blob = pipe("zstd", &arguments, &plain);
        for backend in BACKENDS {
            assert!(content(*backend, &blob) == plain, "{backend:?} {call:?}");
            let cut = Lists::new(&[7, 1, 4096, 65536, 0, 3], &[1000, 1, 70_000, 131_072, 0]);
            let outcome = run(Zstd::with_backend(*backend, &wide()), &blob, cut);
            assert_eq!(outcome.end, Ok(()));
            assert!(outcome.content == plain, "{backend:?} {call:?} in pieces");
        }
    }
}

/// Of frames with wrong bytes our own decoder takes none that libzstd refuses, and what both take is
/// the same. The other way round it is stricter: libzstd takes streams of literals that end early or
/// late.
#[test]
fn what_our_own_decoder_takes_libzstd_takes() {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let plain = sample(400_000, 4);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..60 {
        let size = 1 + random(60_000);
        let start = random(plain.len() - size);
        let plain = &plain[start..start + size];
        let level = [1, 3, 6, 12, 19, -5][random(6)];
        let frame = zstd::bulk::compress(plain, level).unwrap();
        assert!(content(ZstdBackend::Own, &frame) == plain);
        for _ in 0..40 {
            let mut wrong = frame.clone();
            for _ in 0..=random(3) {
                // Behind the magic, and as often among the tables as in what they decode.
                let last = if random(2) == 0 { 70 } else { wrong.len() };
                let place = 5 + random(last.min(wrong.len()) - 5);
                wrong[place] = match random(3) {
                    0 => wrong[place] ^ 1 << random(8),
                    1 => u8::try_from(random(256)).unwrap(),
                    _ => wrong[place].wrapping_add(1),
                };
            }
            let ours = decode(ZstdBackend::Own, &wrong);
            if ours.end.is_ok() {
                let judge = zstd::stream::decode_all(wrong.as_slice());
                assert!(judge.is_ok_and(|judge| judge == ours.content), "{wrong:?}");
                taken += 1;
            } else {
                refused += 1;
            }
        }
    }
    assert!(
        taken > 100 && refused > 100,
        "{taken} taken, {refused} refused"
    );
}

#[test]
fn a_window_over_the_limit() {
    if !has("zstd") {
        return;
    }
    let plain = sample(300_000, 3);
    let blob = pipe("zstd", &["-q", "-c", "--long=31"], &plain);
    for backend in BACKENDS {
        let error = decode(*backend, &blob).end.unwrap_err();
        assert_eq!(error.code(), Code::ZstdWindow);
        let mut limits = wide();
        limits.zstd_window = 2 << 30;
        let outcome = run(
            Zstd::with_backend(*backend, &limits),
            &blob,
            (1 << 20, 1 << 20),
        );
        // 32 bits cannot hold such a window, whatever the limit.
        if cfg!(target_pointer_width = "32") {
            let error = outcome.end.unwrap_err();
            assert_eq!(error.code(), Code::ZstdWindow);
            continue;
        }
        assert_eq!(outcome.end, Ok(()));
        assert!(outcome.content == plain);
    }
}
