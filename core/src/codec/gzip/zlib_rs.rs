//! `zlib-rs` behind the inflate seam.

use core::ffi::c_ulong;

use ::zlib_rs::{Inflate, InflateError, InflateFlush, Status};

use super::library::{Library, LibraryStep};
use super::step::InflateStatus;

/// The library's state, about 48 KiB on the heap, window included.
pub(super) struct ZlibRs {
    /// Made at the first use, so that making a decoder allocates nothing.
    inflate: Option<Inflate>,
    /// How many bytes of the stream the library can still count. It counts what it consumed in
    /// a C `long`, which has 32 bits on WebAssembly, on Windows and on small machines, and
    /// where overflow is checked it panics past that.
    countable: u64,
    /// What that is at the start of a stream.
    most: u64,
}

#[allow(
    clippy::unnecessary_cast,
    reason = "c_ulong is u64 on some platforms and u32 on others, and From is not const"
)]
const COUNTABLE: u64 = c_ulong::MAX as u64;

impl ZlibRs {
    pub(super) const fn new() -> Self {
        Self {
            inflate: None,
            countable: COUNTABLE,
            most: COUNTABLE,
        }
    }
}

impl Library for ZlibRs {
    fn start(&mut self) {
        match &mut self.inflate {
            Some(inflate) => inflate.reset(false),
            // Raw deflate with the largest window, 2^15 bytes.
            None => self.inflate = Some(Inflate::new(false, 15)),
        }
        self.countable = self.most;
    }

    fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> LibraryStep {
        let Some(inflate) = &mut self.inflate else {
            return LibraryStep {
                consumed: 0,
                produced: 0,
                status: Some(InflateStatus::Corrupt),
            };
        };
        let countable = usize::try_from(self.countable).unwrap_or(usize::MAX);
        let given = input.get(..countable).unwrap_or(input);
        let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
        let result = inflate.decompress(given, output, InflateFlush::NoFlush);
        let moved = |after: u64, before: u64| {
            // Never more than the length of the slices, which is a usize.
            usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
        };
        let consumed = moved(inflate.total_in(), before_in);
        let produced = moved(inflate.total_out(), before_out);
        self.countable = self.countable.saturating_sub(consumed as u64);
        LibraryStep {
            consumed,
            produced,
            status: match result {
                Ok(Status::StreamEnd) => Some(InflateStatus::End),
                Ok(Status::Ok | Status::BufError)
                    if self.countable == 0 && consumed < input.len() && produced < output.len() =>
                {
                    Some(InflateStatus::Counter)
                }
                Ok(Status::Ok | Status::BufError) => None,
                Err(
                    InflateError::DataError
                    | InflateError::NeedDict { .. }
                    | InflateError::StreamError
                    | InflateError::MemError,
                ) => Some(InflateStatus::Corrupt),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::inflater::{Backend, Inflater};
    use super::super::library::Asked;
    use super::super::{Decoder, Gzip};
    use super::*;
    use crate::{At, Code, Limits};

    /// A member with two stored blocks of five bytes each, up to its trailer.
    const MEMBER: [u8; 30] = [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, // header
        0, 5, 0, 0xfa, 0xff, 1, 2, 3, 4, 5, // a block
        1, 5, 0, 0xfa, 0xff, 1, 2, 3, 4, 5, // the last block
    ];

    fn counting_to(most: u64) -> Gzip {
        let mut gzip = Gzip::with_backend(Backend::ZlibRs, &Limits::DEFAULT);
        gzip.stream.inflater = Inflater::ZlibRs(Asked::new(ZlibRs {
            most,
            ..ZlibRs::new()
        }));
        gzip
    }

    #[test]
    fn a_stream_beyond_the_counter_is_refused_where_the_counter_ends() {
        let mut output = [0; 16];
        for (most, content) in [(0, 0), (3, 0), (8, 3), (10, 5), (19, 9)] {
            let mut gzip = counting_to(most);
            let mut produced = 0;
            let mut rest = MEMBER.as_slice();
            let error = loop {
                match gzip.decode(rest, &mut output) {
                    Ok(step) => {
                        produced += step.produced;
                        rest = &rest[step.consumed..];
                    }
                    Err(error) => break error,
                }
            };
            assert_eq!(error.code(), Code::GzipCounter);
            assert_eq!(error.at(), At::Blob(10));
            assert_eq!(produced, content, "counting to {most}");
        }
    }

    #[test]
    fn a_stream_that_just_fits_the_counter_passes() {
        let mut gzip = counting_to(20);
        let step = gzip.decode(&MEMBER, &mut [0; 16]).unwrap();
        assert_eq!((step.consumed, step.produced), (30, 10));
    }
}
