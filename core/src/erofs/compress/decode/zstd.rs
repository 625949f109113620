//! zstd frames, by the decoder of layers in [`crate::codec`].

use alloc::boxed::Box;

use super::fault::Fault;
use crate::codec::{Decoder as _, Status, Zstd, ZstdBackend};
use crate::{Code, Limits};

/// Largest window (`Z_EROFS_ZSTD_MAX_DICT_SIZE`).
const WINDOW: u64 = 1 << 20;
/// What a frame starts with. Frames to be skipped are none that the kernel takes here.
const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// A decoder of frames, made at the first use.
#[derive(Debug, Default)]
pub(super) struct Frames {
    decoder: Option<Box<Zstd>>,
}

impl Frames {
    /// Decodes a frame; only the start of one when it is `partial`.
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        partial: bool,
    ) -> Result<(), Fault> {
        if !input.starts_with(&MAGIC) {
            return Err(Fault::Corrupt);
        }
        let decoder = self.decoder.get_or_insert_with(|| {
            let limits = Limits {
                zstd_window: WINDOW,
                frames: u64::MAX,
                ..Limits::DEFAULT
            };
            Box::new(Zstd::single_frame(ZstdBackend::DEFAULT, &limits))
        });
        if !partial && decoder.decode_whole(input, output) {
            return Ok(());
        }
        decoder.restart();
        let mut produced = 0_usize;
        let mut rest = input;
        loop {
            let room = output.get_mut(produced..).unwrap_or_default();
            let full = room.is_empty();
            if full && partial {
                return Ok(());
            }
            let step = decoder
                .decode(rest, room)
                .map_err(|error| match error.code() {
                    Code::ZstdMemory => Fault::Memory,
                    _ => Fault::Corrupt,
                })?;
            produced = produced.saturating_add(step.produced);
            rest = rest.get(step.consumed..).unwrap_or_default();
            match step.status {
                Status::Done if produced == output.len() => return Ok(()),
                Status::Done | Status::NeedInput => return Err(Fault::Length(produced)),
                Status::NeedOutput if full => {
                    return Err(Fault::Length(produced.saturating_add(1)));
                }
                Status::NeedOutput => {}
            }
        }
    }
}
