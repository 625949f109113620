//! How input and output are cut never changes what comes out, nor how it ends.

use erofs_unpack_core::codec::{Backend, Decoder, Gzip, GzipFlat, Raw, Status, Step};
use erofs_unpack_core::{Error, Limits};
use proptest::prelude::*;

use crate::support::{Random, compress, content, decode_all, decode_in};

/// A decoder whose user takes the CRC.
struct CrcOfUser {
    gzip: Gzip,
    crc: flate2::Crc,
}

impl CrcOfUser {
    fn new(backend: Backend) -> Self {
        let mut gzip = Gzip::with_backend(backend, &Limits::DEFAULT);
        gzip.leave_crc_to_user();
        Self {
            gzip,
            crc: flate2::Crc::new(),
        }
    }
}

impl Decoder for CrcOfUser {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        let step = self.gzip.decode(input, output)?;
        self.crc.update(&output[..step.produced]);
        if self.gzip.awaits_crc() {
            assert_eq!(step.status, Status::NeedOutput);
            let unanswered = self.gzip.decode(&input[step.consumed..], &mut [0; 9]);
            assert_eq!(
                unanswered,
                Ok(Step {
                    consumed: 0,
                    produced: 0,
                    status: Status::NeedOutput
                })
            );
            self.gzip.give_crc(self.crc.sum());
            self.crc.reset();
        }
        Ok(step)
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.gzip.finish()
    }
}

/// The flat decoder, in memory that holds no more than it must, unless it is called too often for
/// that.
struct Flat {
    gzip: GzipFlat,
    memory: Vec<u8>,
}

impl Flat {
    fn new() -> Self {
        Self {
            gzip: GzipFlat::new(&Limits::DEFAULT),
            memory: Vec::new(),
        }
    }
}

impl Decoder for Flat {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        if output.len() > 300 || self.memory.len() > 200_000 {
            let needless = self.memory.len() - self.gzip.keep();
            self.memory.drain(..needless);
        }
        let filled = self.memory.len();
        self.memory.resize(filled + output.len(), 0x5a);
        let step = self.gzip.decode(input, &mut self.memory, filled)?;
        self.memory.truncate(filled + step.produced);
        output[..step.produced].copy_from_slice(&self.memory[filled..]);
        Ok(step)
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.gzip.finish()
    }
}

fn same_in_all_pieces(blob: &[u8]) {
    let whole = decode_all(blob);
    for (give, take) in [(1, 1), (1, 9000), (9000, 1), (999, 999), (9000, 40_000)] {
        let pieces = decode_in(&mut Flat::new(), blob, || (give, take));
        assert!(pieces == whole, "flat {give} {take}");
    }
    for backend in Backend::ALL {
        for (give, take) in [(1, 1), (1, 7), (7, 1), (7, 7), (1, 9000), (9000, 1), (3, 0)] {
            let mut turn = 0;
            let mut gzip = Gzip::with_backend(*backend, &Limits::DEFAULT);
            let pieces = decode_in(&mut gzip, blob, || {
                turn += 1;
                (give, if take == 0 { turn % 2 } else { take })
            });
            assert!(pieces == whole, "{backend:?} {give} {take}");
            let mut turn = 0;
            let pieces = decode_in(&mut CrcOfUser::new(*backend), blob, || {
                turn += 1;
                (give, if take == 0 { turn % 2 } else { take })
            });
            assert!(pieces == whole, "{backend:?} {give} {take}, the user's CRC");
        }
    }
}

#[test]
fn a_valid_blob_in_all_pieces() {
    for level in [0, 1, 6, 9] {
        let mut blob = compress(&content(5, 70_000), level);
        blob.extend(compress(b"", level));
        blob.extend(compress(&content(6, 33_000), level));
        blob.extend([0; 5]);
        same_in_all_pieces(&blob);
    }
}

#[test]
fn a_broken_blob_in_all_pieces() {
    let whole = compress(&content(7, 50_000), 6);
    let mut random = Random(11);
    for _ in 0..40 {
        let mut blob = whole.clone();
        let place = random.below(blob.len());
        blob[place] ^= 1 << random.below(8);
        same_in_all_pieces(&blob);
        blob.truncate(place + 1);
        same_in_all_pieces(&blob);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_blob_in_any_pieces(
        seed in 1..1000_u64,
        length in 0..20_000_usize,
        level in 0..10_u32,
        damage in proptest::option::of((any::<prop::sample::Index>(), 1..=255_u8)),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        pieces in prop::collection::vec((0..600_usize, 0..600_usize), 1..20),
    ) {
        let content = content(seed, length);
        let mut blob = compress(&content, level);
        blob.extend(compress(&content[length / 2..], level));
        if let Some((place, bits)) = &damage {
            let place = place.index(blob.len());
            blob[place] ^= bits;
        }
        if let Some(cut) = &cut {
            blob.truncate(cut.index(blob.len()));
        }
        let whole = decode_all(&blob);
        if damage.is_none() && cut.is_none() {
            prop_assert_eq!(whole.id(), "ok");
            prop_assert_eq!(whole.output.len(), length + length - length / 2);
        }
        let mut turn = 0;
        let cut = decode_in(&mut Flat::new(), &blob, || {
            turn += 1;
            let (give, take) = pieces[turn % pieces.len()];
            if turn % 16 == 0 { (give + 1, take + 1) } else { (give, take) }
        });
        prop_assert!(cut == whole, "flat");
        for backend in Backend::ALL {
            let mut turn = 0;
            let mut gzip = Gzip::with_backend(*backend, &Limits::DEFAULT);
            let cut = decode_in(&mut gzip, &blob, || {
                turn += 1;
                let (give, take) = pieces[turn % pieces.len()];
                // Not for ever without a byte in either direction.
                if turn % 16 == 0 { (give + 1, take + 1) } else { (give, take) }
            });
            prop_assert!(cut == whole, "{:?}", backend);
            let mut turn = 0;
            let cut = decode_in(&mut CrcOfUser::new(*backend), &blob, || {
                turn += 1;
                let (give, take) = pieces[turn % pieces.len()];
                if turn % 16 == 0 { (give + 1, take + 1) } else { (give, take) }
            });
            prop_assert!(cut == whole, "{:?}, the user's CRC", backend);
        }
    }
}

#[test]
fn a_plain_blob_in_all_pieces() {
    let blob = content(8, 1000);
    for (give, take) in [(1, 1), (7, 1), (1, 7), (1000, 1000), (1000, 13)] {
        let outcome = decode_in(&mut Raw, &blob, || (give, take));
        assert_eq!(outcome.end, Ok(()));
        assert_eq!(outcome.output, blob);
    }
}

#[test]
fn a_plain_blob_may_be_empty_and_asks_for_output_when_there_is_none() {
    let done = Step {
        consumed: 0,
        produced: 0,
        status: Status::Done,
    };
    assert_eq!(Raw.decode(&[], &mut []), Ok(done));
    assert_eq!(Raw.decode(&[], &mut [0; 4]), Ok(done));
    assert_eq!(
        Raw.decode(b"a", &mut []),
        Ok(Step {
            status: Status::NeedOutput,
            ..done
        })
    );
    assert_eq!(Raw.finish(), Ok(()));
}

#[test]
fn a_crc_of_the_user_counts_and_is_taken_only_when_it_is_awaited() {
    let blob = compress(b"some content", 6);
    for (given, id) in [
        (crate::support::crc32(b"some content"), "ok"),
        (7, "gzip-crc"),
    ] {
        let mut gzip = Gzip::new(&Limits::DEFAULT);
        gzip.leave_crc_to_user();
        gzip.give_crc(7);
        let mut output = [0; 64];
        let step = gzip.decode(&blob, &mut output).unwrap();
        assert!(gzip.awaits_crc());
        assert_eq!(&output[..step.produced], b"some content");
        assert_eq!(gzip.finish().unwrap_err().id(), "finished");
        gzip.give_crc(given);
        gzip.give_crc(7);
        let end = gzip.decode(&blob[step.consumed..], &mut output);
        assert_eq!(end.map_or_else(|error| error.id(), |_| "ok"), id);
        assert_eq!(gzip.finish().map_or_else(|error| error.id(), |()| "ok"), id);
    }
}

#[test]
fn the_flat_decoder_keeps_a_window_at_most() {
    let content = content(4, 100_000);
    let blob = compress(&content, 6).repeat(2);
    let mut gzip = GzipFlat::new(&Limits::DEFAULT);
    assert_eq!(gzip.keep(), 0);
    let mut memory = vec![0; 300_000];
    let mut filled = 0;
    let mut rest = &blob[..];
    loop {
        let end = memory.len().min(filled + 1000);
        let step = gzip.decode(rest, &mut memory[..end], filled).unwrap();
        filled += step.produced;
        rest = &rest[step.consumed..];
        if step.status == Status::Done {
            break;
        }
        let of_member = filled - if filled > 100_000 { 100_000 } else { 0 };
        if filled != 100_000 {
            assert_eq!(gzip.keep(), of_member.min(32 << 10), "{filled}");
        }
    }
    assert_eq!((gzip.keep(), gzip.members()), (0, 2));
    assert!(memory[..filled] == content.repeat(2));
}

#[test]
fn a_flat_decoder_without_its_history_refuses_the_stream() {
    let content = content(4, 100_000);
    let blob = compress(&content, 6);
    let mut gzip = GzipFlat::new(&Limits::DEFAULT);
    let mut memory = vec![0; 50_000];
    let step = gzip.decode(&blob, &mut memory, 0).unwrap();
    let rest = &blob[step.consumed..];
    let mut given = 0;
    let error = loop {
        match gzip.decode(rest, &mut memory[..40], 0) {
            Ok(step) => given += step.produced,
            Err(error) => break error,
        }
        assert!(given < 1000);
    };
    assert_eq!(error.id(), "gzip-deflate");
}
