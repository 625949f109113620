//! A blob through a decoder, in one push and in pieces.
#![allow(dead_code, reason = "each target uses a part")]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use erofs_unpack_core::Error;
use erofs_unpack_core::codec::{Decoder, Status};

/// Most content that is looked at.
const MOST: usize = 256 << 10;

/// What a blob came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The content, or its beginning.
    pub(crate) content: Vec<u8>,
    /// How it ended; nothing where the content goes on.
    pub(crate) end: Option<Result<(), Error>>,
}

impl Outcome {
    pub(crate) fn passed(&self) -> bool {
        self.end == Some(Ok(()))
    }
}

/// Sizes of pieces, the same for the same input (splitmix64).
pub(crate) struct Cuts(u64);

impl Cuts {
    pub(crate) fn of(input: &[u8], number: u8) -> Self {
        let mut hasher = DefaultHasher::new();
        (input, number).hash(&mut hasher);
        Self(hasher.finish())
    }

    /// A size: mostly small, now and then large, seldom none.
    pub(crate) fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let value = value ^ value >> 31;
        let bits = [3, 6, 10, 17][(value & 3) as usize];
        (value >> 8) as usize & ((1 << bits) - 1)
    }
}

/// Decodes a blob in one push.
pub(crate) fn whole(decoder: &mut dyn Decoder, blob: &[u8]) -> Outcome {
    decode(decoder, blob, || (usize::MAX, MOST))
}

/// Decodes a blob in pieces that are chosen by it and `number`.
pub(crate) fn pieces(decoder: &mut dyn Decoder, blob: &[u8], number: u8) -> Outcome {
    let mut cuts = Cuts::of(blob, number);
    decode(decoder, blob, || (cuts.next(), cuts.next()))
}

/// Decodes a blob; `cut` says how much is given, and into how much. Holds the decoder to the
/// contract of its trait.
fn decode(
    decoder: &mut dyn Decoder,
    blob: &[u8],
    mut cut: impl FnMut() -> (usize, usize),
) -> Outcome {
    let mut content = Vec::new();
    let mut space = Vec::new();
    let mut rest = blob;
    let mut idle = 0;
    let end = loop {
        let (give, take) = cut();
        let input = &rest[..give.min(rest.len())];
        space.clear();
        space.resize(take, 0xa5);
        let step = match decoder.decode(input, &mut space) {
            Ok(step) => step,
            Err(error) => {
                assert_eq!(decoder.decode(input, &mut space), Err(error));
                assert_eq!(decoder.decode(&[], &mut []), Err(error));
                assert_eq!(decoder.finish(), Err(error));
                break Some(Err(error));
            }
        };
        assert!(step.consumed <= input.len() && step.produced <= take);
        content.extend_from_slice(&space[..step.produced]);
        rest = &rest[step.consumed..];
        if content.len() >= MOST {
            content.truncate(MOST);
            break None;
        }
        idle = if step.consumed > 0 || step.produced > 0 {
            0
        } else {
            idle + 1
        };
        assert!(idle < 1000, "no progress");
        if step.status == Status::NeedOutput {
            continue;
        }
        assert_eq!(
            step.consumed,
            input.len(),
            "input is left with {:?}",
            step.status
        );
        if rest.is_empty() {
            let end = decoder.finish();
            assert_eq!(end.is_ok(), step.status == Status::Done);
            break Some(end);
        }
    };
    Outcome { content, end }
}
