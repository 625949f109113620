//! Every inflater against zlib: the same content and the same verdict, for streams that zlib's own
//! relatives make, for streams made by hand, and for such that are damaged.

use erofs_unpack_core::codec::{Backend, Gzip};
use erofs_unpack_core::{Code, Limits};
use proptest::prelude::*;

use crate::streams::Maker;
use crate::support::{Outcome, PLAIN, Random, content, decode, decode_in, member};

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Behind so many bytes.
    Complete(usize),
    CutOff,
    Corrupt,
}

/// What zlib says.
fn zlib(stream: &[u8]) -> (Vec<u8>, End) {
    let mut inflate = flate2::Decompress::new(false);
    let mut content = Vec::new();
    let mut room = vec![0; 1 << 16];
    loop {
        let (taken, given) = (inflate.total_in(), inflate.total_out());
        let rest = &stream[usize::try_from(taken).unwrap()..];
        let result = inflate.decompress(rest, &mut room, flate2::FlushDecompress::None);
        let new = usize::try_from(inflate.total_out() - given).unwrap();
        content.extend_from_slice(&room[..new]);
        match result {
            Err(_) => return (content, End::Corrupt),
            Ok(flate2::Status::StreamEnd) => {
                let end = usize::try_from(inflate.total_in()).unwrap();
                return (content, End::Complete(end));
            }
            Ok(_) if new == 0 && inflate.total_in() == taken => return (content, End::CutOff),
            Ok(_) => {}
        }
    }
}

/// Holds a back end's outcome against zlib's.
fn same(backend: Backend, outcome: &Outcome, content: &[u8], end: End) -> Result<(), String> {
    let code = outcome.end.err().map(|error| error.code());
    let exact = match end {
        End::Complete(_) => code.is_none(),
        End::CutOff => code == Some(Code::GzipTruncated),
        End::Corrupt => code == Some(Code::GzipDeflate),
    } && outcome.output == content;
    // Its code of the code lengths without symbols is corrupt at once, and a missing code for the
    // end of a block only where it would be.
    let differs = match backend {
        Backend::Own => false,
        #[cfg(feature = "miniz_oxide")]
        Backend::Miniz => {
            !matches!(end, End::Complete(_))
                && matches!(code, Some(Code::GzipTruncated | Code::GzipDeflate))
                && outcome.output.starts_with(content)
        }
        _ => false,
    };
    if exact || differs {
        return Ok(());
    }
    let (given, wanted) = (outcome.output.len(), content.len());
    Err(format!(
        "{backend:?}: {code:?} behind {given}, zlib: {end:?} behind {wanted}"
    ))
}

/// Holds every back end against zlib, as a whole and in pieces.
fn compare(stream: &[u8], random: &mut Random) -> Result<End, String> {
    let (content, end) = zlib(stream);
    let blob = match end {
        End::Complete(length) => member(&PLAIN, &stream[..length], &content),
        _ => [&PLAIN, stream].concat(),
    };
    for backend in Backend::ALL {
        same(*backend, &decode(*backend, &blob), &content, end)?;
    }
    let (give, take) = (1 + random.below(300), 1 + random.below(3000));
    let mut gzip = Gzip::with_backend(Backend::Own, &Limits::DEFAULT);
    let outcome = decode_in(&mut gzip, &blob, || {
        (1 + random.below(give), random.below(take) + 1)
    });
    let pieces = |error| format!("in pieces of up to {give} and {take}: {error}");
    same(Backend::Own, &outcome, &content, end).map_err(pieces)?;
    Ok(end)
}

/// Changes a few bits, or cuts the end off.
fn damage(stream: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let place = match random.below(2) {
            0 => random.below(stream.len().min(80)),
            _ => random.below(stream.len()),
        };
        stream[place] ^= 1 << random.below(8);
    }
    if random.below(4) == 0 {
        stream.truncate(random.below(stream.len() + 1));
    }
}

proptest! {
    #[test]
    fn streams_made_by_hand(seed in 1..u64::MAX / 4) {
        let mut random = Random(seed);
        for turn in 0..10 {
            let stream = Maker::make(seed ^ turn, 0);
            let end = compare(&stream, &mut random);
            prop_assert_eq!(end, Ok(End::Complete(stream.len())));
        }
    }

    #[test]
    fn streams_with_something_wrong(seed in 1..u64::MAX / 4) {
        let mut random = Random(seed);
        for turn in 0..20 {
            let wrong = [2, 10, 60, 1000][random.below(4)];
            let mut stream = Maker::make(seed ^ turn, wrong);
            if random.below(3) == 0 {
                damage(&mut stream, &mut random);
            }
            let end = compare(&stream, &mut random);
            prop_assert!(end.is_ok(), "{:?} {:02x?}", end, stream);
        }
    }

    #[test]
    fn streams_of_an_encoder_damaged(seed in 1..1000_u64, length in 0..30_000_usize, level in 0..10_u32) {
        let mut random = Random(seed);
        let mut deflate = flate2::Compress::new(flate2::Compression::new(level), false);
        let mut whole = Vec::with_capacity(2 * length + 1000);
        let content = content(seed, length);
        deflate.compress_vec(&content, &mut whole, flate2::FlushCompress::Finish).unwrap();
        prop_assert_eq!(compare(&whole, &mut random), Ok(End::Complete(whole.len())));
        for _ in 0..10 {
            let mut stream = whole.clone();
            damage(&mut stream, &mut random);
            let end = compare(&stream, &mut random);
            prop_assert!(end.is_ok(), "{:?}", end);
        }
    }
}

#[test]
fn every_level_and_strategy() {
    use zlib_rs::{DeflateConfig, Strategy, compress_slice};
    let content = content(3, 300_000);
    let strategies = [
        Strategy::Default,
        Strategy::Filtered,
        Strategy::HuffmanOnly,
        Strategy::Rle,
        Strategy::Fixed,
    ];
    for strategy in strategies {
        for level in 0..=9 {
            let config = DeflateConfig {
                level,
                strategy,
                window_bits: -15,
                ..DeflateConfig::default()
            };
            let mut room = vec![0; content.len() + 1000];
            let (stream, _) = compress_slice(&mut room, &content, config);
            let end = compare(stream, &mut Random(5));
            assert_eq!(end, Ok(End::Complete(stream.len())), "{strategy:?} {level}");
            assert!(zlib(stream).0 == content);
        }
    }
}
