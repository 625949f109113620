//! What the zstd tests share: the back ends, frames made by hand, the reference.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::std_instead_of_core, reason = "tests are std programs")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use erofs_unpack_core::codec::phases::{Batch, Entropy, Execution, Scan};
use erofs_unpack_core::codec::{Decoder, Status, Step, Zstd, ZstdBackend, ZstdFlat};
use erofs_unpack_core::{Error, Limits};

/// Every back end of this build.
pub const BACKENDS: &[ZstdBackend] = &[
    ZstdBackend::Own,
    #[cfg(feature = "ruzstd")]
    ZstdBackend::Ruzstd,
];

/// Limits like those of `zstd -d`: a window of 128 MiB.
pub fn wide() -> Limits {
    let mut limits = Limits::DEFAULT;
    limits.zstd_window = 128 << 20;
    limits
}

/// What a stream came to: what was delivered, and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub content: Vec<u8>,
    pub end: Result<(), Error>,
}

/// Sizes of the pieces that input and output are cut into.
pub trait Cut {
    fn input(&mut self) -> usize;
    fn output(&mut self) -> usize;
}

/// Pieces of fixed sizes.
impl Cut for (usize, usize) {
    fn input(&mut self) -> usize {
        self.0
    }
    fn output(&mut self) -> usize {
        self.1
    }
}

/// Pieces of sizes from two lists, over and over.
pub struct Lists<'a> {
    pub input: std::iter::Cycle<std::slice::Iter<'a, usize>>,
    pub output: std::iter::Cycle<std::slice::Iter<'a, usize>>,
}

impl<'a> Lists<'a> {
    pub fn new(input: &'a [usize], output: &'a [usize]) -> Self {
        Self {
            input: input.iter().cycle(),
            output: output.iter().cycle(),
        }
    }
}

impl Cut for Lists<'_> {
    fn input(&mut self) -> usize {
        *self.input.next().unwrap()
    }
    fn output(&mut self) -> usize {
        *self.output.next().unwrap()
    }
}

/// Runs a decoder over `blob` in pieces and checks on the way that it keeps the rules of
/// [`Decoder`].
pub fn run(mut decoder: impl Decoder, blob: &[u8], mut cut: impl Cut) -> Outcome {
    let mut content = Vec::new();
    let mut output = Vec::new();
    let mut rest = blob;
    let end = loop {
        let input = &rest[..cut.input().min(rest.len())];
        output.clear();
        output.resize(cut.output(), 0xA5);
        let step = match decoder.decode(input, &mut output) {
            Ok(step) => step,
            Err(error) => {
                assert_eq!(
                    decoder.decode(input, &mut output),
                    Err(error),
                    "not the same error again"
                );
                assert_eq!(decoder.finish(), Err(error), "another error at the end");
                break Err(error);
            }
        };
        assert!(step.consumed <= input.len() && step.produced <= output.len());
        assert!(
            output[step.produced..].iter().all(|byte| *byte == 0xA5)
                || step.produced == 0
                || output.len() >= 1 << 10,
            "small outputs stay as they were behind what was produced"
        );
        content.extend_from_slice(&output[..step.produced]);
        rest = &rest[step.consumed..];
        match step.status {
            Status::NeedOutput => {}
            Status::NeedInput | Status::Done => {
                assert_eq!(step.consumed, input.len(), "input left over");
                if rest.is_empty() {
                    let end = decoder.finish();
                    assert_eq!(end.is_ok(), step.status == Status::Done);
                    if let Err(error) = end {
                        assert_eq!(decoder.finish(), Err(error));
                        assert_eq!(decoder.decode(&[], &mut []), Err(error));
                    }
                    break end;
                }
            }
        }
    };
    Outcome { content, end }
}

/// The flat form, run as a host does: in chunks, to whose front the window moves.
#[derive(Debug)]
pub struct Chunks {
    decoder: ZstdFlat,
    chunk: Vec<u8>,
    /// How much each chunk has beside what is needed.
    more: usize,
    /// What was not given out.
    start: usize,
    end: usize,
}

impl Chunks {
    pub fn new(limits: &Limits, more: usize) -> Self {
        Self {
            decoder: ZstdFlat::new(limits).unwrap(),
            chunk: Vec::new(),
            more,
            start: 0,
            end: 0,
        }
    }
}

impl Decoder for Chunks {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        let (mut consumed, mut produced) = (0, 0);
        let status = loop {
            let size = (output.len() - produced).min(self.end - self.start);
            output[produced..produced + size]
                .copy_from_slice(&self.chunk[self.start..self.start + size]);
            self.start += size;
            produced += size;
            if self.start < self.end {
                break Status::NeedOutput;
            }
            let step = match self
                .decoder
                .decode(&input[consumed..], &mut self.chunk, self.end)
            {
                Ok(step) => step,
                Err(_) if produced > 0 => break Status::NeedOutput,
                Err(error) => return Err(error),
            };
            consumed += step.consumed;
            self.end += step.produced;
            if step.status == Status::NeedOutput && step.produced == 0 {
                let keep = self.decoder.keep();
                let mut chunk = vec![0xEE; keep + self.decoder.room() + self.more];
                chunk[..keep].copy_from_slice(&self.chunk[self.end - keep..self.end]);
                self.chunk = chunk;
                (self.start, self.end) = (keep, keep);
            } else if step.produced == 0 {
                break step.status;
            }
        };
        Ok(Step {
            consumed,
            produced,
            status,
        })
    }

    fn finish(&mut self) -> Result<(), Error> {
        assert_eq!(self.start, self.end, "all was given out");
        self.decoder.finish()
    }
}

/// The phases, run one after another for several batches at a time.
#[derive(Debug)]
pub struct Phases {
    scan: Scan,
    batches: Vec<Batch>,
    /// The batch that is filled.
    filling: usize,
    workers: [Entropy; 2],
    execution: Execution,
    memory: Vec<u8>,
    more: usize,
    end: usize,
}

impl Phases {
    /// With so many batches, and so much memory beside what is needed.
    pub fn new(limits: &Limits, batches: usize, more: usize) -> Self {
        Self {
            scan: Scan::new(limits),
            batches: (0..batches).map(|_| Batch::new()).collect(),
            filling: 0,
            workers: [Entropy::new(), Entropy::new()],
            execution: Execution::new(),
            memory: Vec::new(),
            more,
            end: 0,
        }
    }

    /// All of the content, as far as it goes, and how the stream ends.
    pub fn run(mut self, blob: &[u8], mut cut: impl Cut) -> Outcome {
        let mut content = Vec::new();
        let mut rest = blob;
        loop {
            let input = &rest[..cut.input().min(rest.len())];
            let taken = self.scan.scan(input, &mut self.batches[self.filling]);
            rest = &rest[taken..];
            if rest.is_empty() && !self.batches[self.filling].is_full() {
                self.scan.finish(&mut self.batches[self.filling]);
            }
            let last = self.batches[self.filling].is_last();
            if self.batches[self.filling].is_full() {
                self.filling += 1;
            }
            if last || self.filling == self.batches.len() {
                // The last one first: they do not depend on each other.
                for (number, batch) in self.batches[..self.filling].iter_mut().enumerate().rev() {
                    self.workers[number % 2].decode(batch);
                }
                for number in 0..self.filling {
                    match self.execute(number, &mut content) {
                        Ok(Status::NeedInput) => self.batches[number].clear(),
                        Ok(_) => {
                            return Outcome {
                                content,
                                end: Ok(()),
                            };
                        }
                        Err(error) => {
                            return Outcome {
                                content,
                                end: Err(error),
                            };
                        }
                    }
                }
                self.filling = 0;
            }
        }
    }

    fn execute(&mut self, number: usize, content: &mut Vec<u8>) -> Result<Status, Error> {
        loop {
            let batch = &mut self.batches[number];
            let step = self.execution.run(batch, &mut self.memory, self.end)?;
            content.extend_from_slice(&self.memory[self.end..self.end + step.produced]);
            self.end += step.produced;
            match step.status {
                Status::NeedOutput if step.produced == 0 => {
                    let keep = self.execution.keep();
                    let mut memory = vec![0xEE; keep + self.execution.room() + self.more];
                    memory[..keep].copy_from_slice(&self.memory[self.end - keep..self.end]);
                    self.memory = memory;
                    self.end = keep;
                }
                Status::NeedOutput => {}
                status => return Ok(status),
            }
        }
    }
}

/// Runs a back end over a blob in one push with room for everything in large pieces.
pub fn decode(backend: ZstdBackend, blob: &[u8]) -> Outcome {
    run(
        Zstd::with_backend(backend, &wide()),
        blob,
        (usize::MAX, 1 << 20),
    )
}

/// The content of a blob that must be good.
pub fn content(backend: ZstdBackend, blob: &[u8]) -> Vec<u8> {
    let outcome = decode(backend, blob);
    assert_eq!(outcome.end, Ok(()), "{backend:?}");
    outcome.content
}

/// A small generator of numbers, the same ones on every run.
pub struct Numbers(pub u64);

impl Numbers {
    /// SplitMix64.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end as u64)).unwrap()
    }
}

/// Content of every sort: words, records, runs, noise, far repetitions.
pub fn sample(size: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let mut content = Vec::with_capacity(size + 4096);
    let words: Vec<Vec<u8>> = (0..200)
        .map(|_| {
            let length = 2 + numbers.below(9);
            (0..length)
                .map(|_| b'a' + (numbers.next() % 26) as u8)
                .collect()
        })
        .collect();
    while content.len() < size {
        match numbers.below(12) {
            0..=4 => {
                for _ in 0..1 + numbers.below(300) {
                    let word = numbers.below(words.len()).min(numbers.below(words.len()));
                    content.extend_from_slice(&words[word]);
                    content.push(b' ');
                }
            }
            5 => content.resize(content.len() + numbers.below(3000), 0),
            6 => {
                for _ in 0..numbers.below(2000) {
                    content.push(numbers.next() as u8);
                }
            }
            7 | 8 => {
                for record in 0..numbers.below(100) as u32 {
                    content.extend_from_slice(&record.to_le_bytes());
                    content.extend_from_slice(&[0, 0x41, 0xFF, numbers.below(4) as u8]);
                }
            }
            _ if !content.is_empty() => {
                let from = numbers.below(content.len());
                let to = (from + numbers.below(5000)).min(content.len());
                content.extend_from_within(from..to);
            }
            _ => {}
        }
    }
    content.truncate(size);
    content
}

/// The content that libzstd finds in a blob, or its refusal.
pub fn reference(blob: &[u8]) -> Result<Vec<u8>, String> {
    let mut decoder = zstd::stream::raw::Decoder::new().unwrap();
    let mut content = Vec::new();
    let mut output = vec![0; 1 << 18];
    let mut rest = blob;
    // Whether the last call ended a frame: 0 is libzstd's word for it.
    let mut hint = 1;
    loop {
        let status = zstd::stream::raw::Operation::run_on_buffers(&mut decoder, rest, &mut output)
            .map_err(|error| error.to_string())?;
        content.extend_from_slice(&output[..status.bytes_written]);
        rest = &rest[status.bytes_read..];
        if status.bytes_read > 0 || status.bytes_written > 0 {
            hint = status.remaining;
        }
        if rest.is_empty() && status.bytes_written < output.len() {
            break;
        }
    }
    if hint == 0 {
        Ok(content)
    } else {
        Err("truncated".into())
    }
}

/// Whether a program can be run; says so when it cannot.
pub fn has(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        eprintln!("skipped: needs {program}");
    }
    found
}

/// Runs a program with this input and gives its output.
pub fn pipe(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    })
}
