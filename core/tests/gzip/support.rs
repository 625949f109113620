//! Decoding in any pieces, and making gzip by hand.

use erofs_unpack_core::codec::{Backend, Decoder, Gzip, Status};
use erofs_unpack_core::{Error, Limits};

/// What a whole decode came to: all output, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) output: Vec<u8>,
    pub(crate) end: Result<(), Error>,
}

impl Outcome {
    pub(crate) fn id(&self) -> &'static str {
        self.end.map_or_else(|error| error.id(), |()| "ok")
    }
}

/// Decodes `blob`, giving `pieces()` = (input length, output length) to each call.
pub(crate) fn decode_in(
    decoder: &mut dyn Decoder,
    blob: &[u8],
    mut pieces: impl FnMut() -> (usize, usize),
) -> Outcome {
    let mut output = Vec::new();
    let mut position = 0;
    let mut idle = 0;
    let end = loop {
        let (give, take) = pieces();
        let end = blob.len().min(position + give);
        let mut space = vec![0xa5; take];
        match decoder.decode(&blob[position..end], &mut space) {
            Err(error) => {
                // It stays that error, whatever comes next.
                assert_eq!(decoder.decode(&blob[position..end], &mut space), Err(error));
                assert_eq!(decoder.decode(&[], &mut []), Err(error));
                assert_eq!(decoder.finish(), Err(error));
                break Err(error);
            }
            Ok(step) => {
                assert!(step.consumed <= end - position && step.produced <= take);
                output.extend_from_slice(&space[..step.produced]);
                position += step.consumed;
                if step.status == Status::NeedOutput {
                    idle = if step.produced == 0 && step.consumed == 0 {
                        idle + 1
                    } else {
                        0
                    };
                    assert!(idle < 64, "no progress");
                    continue;
                }
                assert_eq!(position, end, "input was left, with {:?}", step.status);
                if position == blob.len() {
                    let finish = decoder.finish();
                    assert_eq!(finish.is_ok(), step.status == Status::Done);
                    break finish;
                }
            }
        }
    };
    Outcome { output, end }
}

/// Decodes `blob` at one go.
pub(crate) fn decode(backend: Backend, blob: &[u8]) -> Outcome {
    decode_limited(backend, blob, &Limits::DEFAULT)
}

pub(crate) fn decode_limited(backend: Backend, blob: &[u8], limits: &Limits) -> Outcome {
    let mut gzip = Gzip::with_backend(backend, limits);
    assert_eq!(gzip.backend(), backend);
    decode_in(&mut gzip, blob, || (usize::MAX / 2, 1 << 18))
}

/// Asserts that all inflaters come to the same, and returns it.
pub(crate) fn decode_all(blob: &[u8]) -> Outcome {
    let first = decode(Backend::ALL[0], blob);
    for backend in &Backend::ALL[1..] {
        assert_eq!(decode(*backend, blob), first, "{backend:?}: {blob:02x?}");
    }
    first
}

/// Bytes that are the same on every run (xorshift64*).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from((self.next() >> 33) % end as u64).unwrap()
    }
}

/// Content in which literals, short and far matches and runs all occur.
pub(crate) fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random(seed * 2 + 1);
    let mut content: Vec<u8> = Vec::with_capacity(length + 600);
    while content.len() < length {
        match random.below(4) {
            0 => {
                for _ in 0..random.below(80) {
                    content.push(random.next().to_be_bytes()[0]);
                }
            }
            1 => {
                let byte = b"etaoin \n"[random.below(8)];
                let run = random.below(300);
                content.resize(content.len() + run, byte);
            }
            2 => {
                for _ in 0..random.below(80) {
                    content.push(b"etaoinshrdlu etaon e"[random.below(20)]);
                }
            }
            _ if content.is_empty() => {}
            _ => {
                let back = random.below(content.len().min(40_000)) + 1;
                let start = content.len() - back;
                for index in 0..random.below(300) {
                    content.push(content[start + index]);
                }
            }
        }
    }
    content.truncate(length);
    content
}

pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// A header with nothing optional.
pub(crate) const PLAIN: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];

/// A member of this header, this deflate stream and the trailer that fits `content`.
pub(crate) fn member(header: &[u8], deflate: &[u8], content: &[u8]) -> Vec<u8> {
    let mut member = [header, deflate].concat();
    member.extend(crc32(content).to_le_bytes());
    member.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
    member
}

/// What zlib makes of `content` at this level, as a member.
pub(crate) fn compress(content: &[u8], level: u32) -> Vec<u8> {
    let mut deflate = flate2::Compress::new(flate2::Compression::new(level), false);
    let mut stream = Vec::with_capacity(content.len() + content.len() / 100 + 1000);
    let status = deflate
        .compress_vec(content, &mut stream, flate2::FlushCompress::Finish)
        .unwrap();
    assert_eq!(status, flate2::Status::StreamEnd);
    member(&PLAIN, &stream, content)
}
