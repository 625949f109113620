//! How a zstd stream is cut never changes what comes out, nor how it ends: whole streams and
//! damaged ones, frames one after another, skippable ones among them; and the same for a layer
//! that is unpacked.
#![cfg(feature = "alloc")]

mod common;
mod zstd_support;

use std::io::Write as _;

use erofs_unpack_core::codec::phases::{Batch, Scan};
use erofs_unpack_core::codec::{Compression, Decoder as _, Status, Zstd, ZstdBackend, ZstdIn};
use erofs_unpack_core::unpack::{Expectations, Outcome, Unpacker};
use erofs_unpack_core::{At, Code, Error, Limits, Value};
use proptest::prelude::*;
use proptest::sample::Index;
use zstd_support::{BACKENDS, Chunks, Lists, Numbers, Phases, decode, run, sample, wide};

/// What is done to a stream that was whole.
#[derive(Clone, Debug)]
enum Damage {
    None,
    Byte(Index, u8),
    End(Index),
    Cut(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        Just(Damage::None),
        (any::<Index>(), 1..=255_u8).prop_map(|(at, bits)| Damage::Byte(at, bits)),
        any::<Index>().prop_map(Damage::End),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Cut(from, to)),
    ]
}

impl Damage {
    fn to(&self, blob: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Byte(at, bits) => {
                let at = at.index(blob.len());
                blob[at] ^= bits;
            }
            Self::End(at) => blob.truncate(at.index(blob.len())),
            Self::Cut(from, to) => {
                let (from, to) = (from.index(blob.len()), to.index(blob.len()));
                blob.drain(from.min(to)..from.max(to));
            }
        }
    }
}

/// Sizes of pieces; the last is not 0, so that there is progress.
fn sizes() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![0..4_usize, 0..600_usize, 0..200_000_usize];
    (prop::collection::vec(size, 0..8), 1..5000_usize).prop_map(|(mut sizes, last)| {
        sizes.push(last);
        sizes
    })
}

/// A frame of zstd, with or without its checksum.
fn frame(content: &[u8], level: i32, checksum: bool) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), level).unwrap();
    encoder.include_checksum(checksum).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// An outcome, or an error that must not depend on the pieces.
fn unpack(
    backend: ZstdBackend,
    blob: &[u8],
    give: &[usize],
    take: &[usize],
) -> Result<Outcome, Error> {
    let expectations = Expectations::new(Compression::Zstd);
    let decoder = Zstd::with_backend(backend, &wide());
    let mut unpacker = Unpacker::new(decoder, &expectations, &Limits::DEFAULT)?;
    let (mut give, mut take) = (give.iter().cycle(), take.iter().cycle());
    let mut rest = blob;
    loop {
        let input = &rest[..(*give.next().unwrap()).min(rest.len())];
        let mut output = vec![0; *take.next().unwrap()];
        let step = unpacker.push(input, &mut output)?;
        rest = &rest[step.consumed..];
        if rest.is_empty() && step.status != Status::NeedOutput {
            return unpacker.finish();
        }
    }
}

/// A stream that ends behind its first block: what a back end holds back for the next one is not
/// delivered once the end was refused.
#[test]
fn a_refused_end_stays_refused() {
    // A window of 1 KiB that goes on: a raw block of three bytes, not the last.
    let blob = b"\x28\xb5\x2f\xfd\x00\x00\x18\x00\x00abc";
    for backend in BACKENDS {
        let mut decoder = Zstd::with_backend(*backend, &wide());
        let mut output = [0; 64];
        let step = decoder.decode(blob, &mut output).unwrap();
        assert_eq!(step.status, Status::NeedInput);
        let error = decoder.finish().unwrap_err();
        assert_eq!(error.code(), Code::ZstdTruncated);
        for _ in 0..2 {
            assert_eq!(decoder.finish(), Err(error), "{backend:?}");
            assert_eq!(decoder.decode(&[], &mut output), Err(error), "{backend:?}");
        }
    }
}

/// A batch has four blocks at most, however much input there is; an end or a fault makes it full
/// before that.
#[test]
fn batches_of_four_blocks() {
    let mut blob = b"\x28\xb5\x2f\xfd\x00\x00".to_vec();
    for block in 1..=10_u8 {
        let last = u8::from(block == 10);
        blob.extend([1 << 3 | last, 0, 0, block]);
    }
    let (mut scan, mut batch) = (Scan::new(&wide()), Batch::new());
    assert!(batch.is_empty());
    for (start, size) in [(0, 6 + 16), (22, 16), (38, 8)] {
        assert_eq!(scan.scan(&blob[start..], &mut batch), size);
        assert_eq!(batch.is_full(), size > 8);
        assert!(!batch.is_empty() && !batch.is_last());
        if !batch.is_full() {
            scan.finish(&mut batch);
            assert!(batch.is_full() && batch.is_last());
        }
        batch.clear();
    }
    // What follows a fault is passed by, in that batch and in those after it.
    let bad = b"\x28\xb5\x2f\xfd\x08and more";
    let mut scan = Scan::new(&wide());
    assert_eq!(scan.scan(bad, &mut batch), bad.len());
    assert!(batch.is_full() && batch.is_last());
    batch.clear();
    assert_eq!(scan.scan(&blob, &mut batch), blob.len());
    scan.finish(&mut batch);
    assert!(batch.is_empty());
}

/// Tables that were described many batches before are there where they are wanted: of whole frames and
/// of damaged ones the phases make the same as one decoder.
#[test]
fn phases_of_frames_of_every_sort() {
    let plain = sample(3_000_000, 6);
    let mut numbers = Numbers(7);
    for (level, piece) in [(1, 0), (3, 0), (3, 2000), (9, 0), (19, 0), (-5, 1400)] {
        let mut encoder = zstd::Encoder::new(Vec::new(), level).unwrap();
        encoder.include_checksum(true).unwrap();
        let pieces = if piece == 0 { plain.len() } else { piece };
        for piece in plain.chunks(pieces) {
            // Small blocks take tables from those before them.
            encoder.write_all(piece).unwrap();
            encoder.flush().unwrap();
        }
        let blob = encoder.finish().unwrap();
        for batches in [1, 3] {
            let phases = Phases::new(&wide(), batches, 1 << 20).run(&blob, (1 << 16, 0));
            assert_eq!(phases.end, Ok(()), "{level} {piece}");
            assert!(phases.content == plain, "{level} {piece}");
        }
        for _ in 0..20 {
            let mut wrong = blob.clone();
            let at = 5 + numbers.below(wrong.len() - 5);
            wrong[at] ^= 1 << numbers.below(8);
            let whole = decode(ZstdBackend::Own, &wrong);
            let phases = Phases::new(&wide(), 2, 1 << 20).run(&wrong, (1 << 16, 0));
            assert!(phases == whole, "{at}: {:?}, {:?}", phases.end, whole.end);
        }
    }
}

/// Memory that is lent is enough at the stated size, and one byte less is too little.
#[test]
fn memory_that_is_lent() {
    let plain = sample(300_000, 5);
    for log in [10, 14, 17, 18] {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(&plain).unwrap();
        let blob = encoder.finish().unwrap();
        let mut memory = vec![0; ZstdIn::memory(1 << log)];
        let outcome = run(ZstdIn::new(&wide(), &mut memory), &blob, (777, 4096));
        assert_eq!(outcome.end, Ok(()));
        assert!(outcome.content == plain);
        memory.pop();
        let outcome = run(ZstdIn::new(&wide(), &mut memory), &blob, (777, 4096));
        let error = outcome.end.unwrap_err();
        assert_eq!((error.code(), error.at()), (Code::ZstdMemory, At::Blob(0)));
        assert_eq!(error.found_value(), Value::Number(1 << log));
        assert!(outcome.content.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_stream_in_any_pieces(
        seed in any::<u64>(),
        size in 0..20_000_usize,
        level in -5..=9_i32,
        checksum in any::<bool>(),
        skippable in 0..40_u32,
        damage in damage(),
        input in sizes(),
        output in sizes(),
        more in 0..30_000_usize,
    ) {
        let plain = sample(size, seed);
        let mut blob = frame(&plain, level, checksum);
        blob.extend(0x184d_2a50_u32.to_le_bytes());
        blob.extend(skippable.to_le_bytes());
        blob.resize(blob.len() + skippable as usize, 7);
        blob.extend(frame(&plain[size / 2..], level, !checksum));
        damage.to(&mut blob);
        for backend in BACKENDS {
            let whole = decode(*backend, &blob);
            if matches!(damage, Damage::None) {
                prop_assert_eq!(whole.end, Ok(()));
                prop_assert_eq!(whole.content.len(), size + size - size / 2);
            }
            let decoder = Zstd::with_backend(*backend, &wide());
            let pieces = run(decoder, &blob, Lists::new(&input, &output));
            prop_assert!(pieces == whole, "{:?}: {:?}, {:?}", backend, pieces.end, whole.end);
        }
        let whole = decode(ZstdBackend::Own, &blob);
        let pieces = run(Chunks::new(&wide(), more), &blob, Lists::new(&input, &output));
        prop_assert!(pieces == whole, "flat: {:?}, {:?}", pieces.end, whole.end);
        let batches = 1 + more % 5;
        let phases = Phases::new(&wide(), batches, more).run(&blob, Lists::new(&input, &output));
        prop_assert!(phases == whole, "phases: {:?}, {:?}", phases.end, whole.end);
        // A damaged header may ask for more.
        let mut limits = wide();
        limits.zstd_window = 8 << 20;
        let whole = run(Zstd::new(&limits), &blob, (usize::MAX, 1 << 20));
        let mut memory = vec![0xEE; ZstdIn::memory(8 << 20) + more];
        let decoder = ZstdIn::new(&limits, &mut memory);
        let pieces = run(decoder, &blob, Lists::new(&input, &output));
        prop_assert!(pieces == whole, "lent: {:?}, {:?}", pieces.end, whole.end);
    }

    #[test]
    fn any_layer_in_any_pieces(
        blocks in 1..6_u8,
        level in 1..=9_i32,
        damage in damage(),
        input in sizes(),
        output in sizes(),
    ) {
        let mut blob = frame(&common::Image::new(blocks.into()).0, level, true);
        damage.to(&mut blob);
        for backend in BACKENDS {
            let whole = unpack(*backend, &blob, &[usize::MAX], &[1 << 16]);
            if matches!(damage, Damage::None) {
                prop_assert!(whole.is_ok(), "{whole:?}");
            }
            prop_assert_eq!(unpack(*backend, &blob, &input, &output), whole);
            prop_assert_eq!(unpack(*backend, &blob, &[1], &[1]), whole);
        }
    }
}
