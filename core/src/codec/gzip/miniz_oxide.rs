//! `miniz_oxide` behind the inflate seam.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, TINFL_LZ_DICT_SIZE, decompress_with_limit};

use super::library::{Library, LibraryStep};
use super::step::InflateStatus;
use crate::bytes;

/// The window of deflate, 32 KiB, as a ring that the library writes and this copies from.
///
/// It is asked for no more bytes than the caller has room for, so nothing that is in the ring
/// is ever still to be delivered.
pub(super) struct Miniz {
    /// Made at the first use, because the library cannot make it in a constant.
    state: Option<DecompressorOxide>,
    ring: [u8; TINFL_LZ_DICT_SIZE],
    /// Where in the ring the next byte goes.
    position: usize,
    /// Whether the ring has been filled once.
    wrapped: bool,
}

impl Miniz {
    pub(super) const fn new() -> Self {
        Self {
            state: None,
            ring: [0; TINFL_LZ_DICT_SIZE],
            position: 0,
            wrapped: false,
        }
    }
}

impl Library for Miniz {
    fn start(&mut self) {
        if let Some(state) = &mut self.state {
            state.init();
        }
        self.position = 0;
        self.wrapped = false;
    }

    fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> LibraryStep {
        let state = self.state.get_or_insert_with(DecompressorOxide::new);
        let mut step = LibraryStep {
            consumed: 0,
            produced: 0,
            status: None,
        };
        loop {
            let rest = input.get(step.consumed..).unwrap_or(&[]);
            let space = output.get_mut(step.produced..).unwrap_or(&mut []);
            // As long as the ring has not been filled once, the library is told that it does
            // not wrap: it then refuses distances to before the start of the stream, which it
            // would else take from the untouched end of the ring.
            let flags = if self.wrapped {
                TINFL_FLAG_HAS_MORE_INPUT
            } else {
                TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
            };
            let (status, consumed, produced) = decompress_with_limit(
                state,
                rest,
                &mut self.ring,
                self.position,
                space.len(),
                flags,
            );
            let end = self.position.saturating_add(produced);
            bytes::copy(self.ring.get(self.position..end).unwrap_or(&[]), space);
            self.position = end;
            if end >= TINFL_LZ_DICT_SIZE {
                self.position = 0;
                self.wrapped = true;
            }
            step.consumed = step.consumed.saturating_add(consumed);
            step.produced = step.produced.saturating_add(produced);
            step.status = match status {
                TINFLStatus::Done => Some(InflateStatus::End),
                TINFLStatus::NeedsMoreInput => None,
                // Only the end of the ring was reached: on at its start.
                TINFLStatus::HasMoreOutput if step.produced < output.len() && produced > 0 => {
                    continue;
                }
                TINFLStatus::HasMoreOutput => None,
                _ => Some(InflateStatus::Corrupt),
            };
            return step;
        }
    }
}
