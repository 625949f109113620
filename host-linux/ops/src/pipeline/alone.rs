//! All stages of a layer on one thread, where there are no others.

use core::sync::atomic::Ordering;
use std::io::{self, Read};

use erofs_unpack_core::codec::{AnyDecoder, Status};
use erofs_unpack_core::unpack::{Expectations, Outcome, Unpacker};

use super::{Progress, Sink, Stop, Terms};

/// How much is read and decoded at a time, in bytes.
const PIECE: usize = 256 << 10;

/// As [`super::run`].
pub(super) fn run(
    source: &mut (dyn Read + Send),
    sink: &mut dyn Sink,
    expectations: &Expectations,
    terms: &Terms<'_>,
    progress: &Progress,
) -> Result<Outcome, Stop> {
    let decoder = AnyDecoder::new(expectations.compression, terms.limits).map_err(Stop::Refused)?;
    let unpacker = Unpacker::new(decoder, expectations, terms.limits);
    let mut unpacker = unpacker.map_err(Stop::Refused)?;
    let mut input = vec![0; PIECE];
    let mut output = vec![0; PIECE];
    loop {
        if progress.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        let read = match source.read(&mut input) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(Stop::Read)?,
        };
        if read == 0 {
            return unpacker.finish().map_err(Stop::Refused);
        }
        progress.read.fetch_add(read as u64, Ordering::Relaxed);
        let mut piece = &input[..read];
        loop {
            let step = unpacker.push(piece, &mut output).map_err(Stop::Refused)?;
            piece = &piece[step.consumed..];
            sink.write(&output[..step.produced]).map_err(Stop::Write)?;
            progress
                .decoded
                .fetch_add(step.produced as u64, Ordering::Relaxed);
            if piece.is_empty() && step.status != Status::NeedOutput {
                break;
            }
        }
    }
}
