//! Raw DEFLATE streams, RFC 1951.

use alloc::boxed::Box;
use core::fmt;

use super::fault::Fault;
use crate::codec::inflate::{self, Output, Past, Status};

/// An inflater, made at the first use.
#[derive(Default)]
pub(super) struct Inflate {
    inner: Option<Box<inflate::Inflate>>,
}

impl fmt::Debug for Inflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflate").finish_non_exhaustive()
    }
}

impl Inflate {
    /// Decodes a stream; only the start of one when it is `partial`.
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        partial: bool,
    ) -> Result<(), Fault> {
        let (ended, produced) = self.inflate(input, output)?;
        if produced < output.len() {
            Err(Fault::Length(produced))
        } else if ended || partial {
            Ok(())
        } else {
            Err(Fault::Length(produced.saturating_add(1)))
        }
    }

    /// Inflates until the stream ends, or its input does, or the output is full; says whether the
    /// stream ended, and how many bytes there are.
    fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Result<(bool, usize), Fault> {
        let inflate = self
            .inner
            .get_or_insert_with(|| Box::new(inflate::Inflate::new()));
        inflate.reset();
        let output = Output {
            at: 0,
            end: output.len(),
            memory: output,
            past: Past::NONE,
        };
        let stretch = inflate.run(input, output);
        match stretch.status {
            Status::End => Ok((true, stretch.end)),
            Status::Input | Status::Output => Ok((false, stretch.end)),
            Status::Corrupt => Err(Fault::Corrupt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stored block of five bytes.
    const STORED: [u8; 10] = [1, 5, 0, 0xfa, 0xff, b'h', b'e', b'l', b'l', b'o'];
    /// "aaaaaaaaaa" with fixed codes.
    const FIXED: [u8; 5] = [0x4b, 0x4c, 0x84, 0x01, 0x00];

    #[test]
    fn whole_and_partial() {
        let mut inflate = Inflate::default();
        for (stream, content) in [(&STORED[..], &b"hello"[..]), (&FIXED, b"aaaaaaaaaa")] {
            for length in 1..=content.len() + 1 {
                let mut room = [0; 16];
                let output = &mut room[..length];
                let decoded = inflate.decode(stream, output, false);
                let expected = match length {
                    length if length == content.len() => Ok(()),
                    length if length < content.len() => Err(Fault::Length(length + 1)),
                    _ => Err(Fault::Length(content.len())),
                };
                assert_eq!(decoded, expected, "{length}");
                if length <= content.len() {
                    assert_eq!(inflate.decode(stream, output, true), Ok(()));
                    assert_eq!(output, &content[..length]);
                }
            }
        }
        let mut output = [0; 5];
        assert!(inflate.decode(&STORED[..9], &mut output, false).is_err());
        assert_eq!(
            inflate.decode(&[7], &mut output, false),
            Err(Fault::Corrupt)
        );
    }
}
