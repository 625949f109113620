//! The plain form: the blob is the image.

use super::{Decoder, Status, Step};
use crate::Error;
use crate::bytes;

/// Passes a plain blob through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl Decoder for Raw {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        let copied = bytes::copy(input, output);
        Ok(Step {
            consumed: copied,
            produced: copied,
            status: if copied < input.len() {
                Status::NeedOutput
            } else {
                Status::Done
            },
        })
    }

    fn finish(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
