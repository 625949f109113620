//! Compares forms of the module with each other and with the same code as a part of the program:
//! how fast they decode a blob, or check an image, and what it takes to load them and to make a
//! guest. For whoever tries what makes them faster, and for `host-linux/benches/sandbox.sh`.
//!
//!     compare FILE RUNS MODULE...
//!
//! FILE is a layer (gzip or zstd) that is decoded, or an image that is checked. A MODULE is
//! `embedded`, or the path of a module (feature `compile`), with `epochs:` before it to have it end
//! by epochs. All run in turn on one thread, RUNS times; the best of each counts. A speed is that
//! of decoded bytes, or of the image's. A ratio is the time without the sandbox divided by that
//! with it: more is better. Of guests the median counts.

#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this is a program"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use erofs_unpack_core::codec::{AnyDecoder, Compression, Decoder, Status};
use erofs_unpack_core::unpack::{Sniffed, sniff};
use erofs_unpack_core::{Limits, check};
use erofs_unpack_sandbox::{Late, LoadError, Options, Sandbox, Source};

/// As the program reads.
const PIECE: usize = 512 << 10;
/// How many guests are made, of which the median counts.
const GUESTS: usize = 201;

/// An image in memory.
#[derive(Clone)]
struct Shared(Arc<Vec<u8>>);

impl Source for Shared {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        Source::read_at(&*self.0, offset, buffer)
    }
}

/// A module that is compared.
struct Candidate {
    name: String,
    sandbox: Sandbox,
    /// What it took to load it, or to compile it.
    load: Duration,
}

impl Candidate {
    fn new(name: String) -> Self {
        let (sandbox, load) = match &*name {
            "embedded" => timed(|| Sandbox::embedded(&late())),
            name => compiled(name),
        };
        Self {
            name,
            sandbox: sandbox.expect("a module that can be loaded"),
            load,
        }
    }

    /// What it takes to make a guest.
    fn guest(&self) -> Duration {
        let mut times = [Duration::ZERO; GUESTS];
        for time in &mut times {
            let make = || {
                self.sandbox
                    .decoder(Compression::Zstd, &Limits::DEFAULT, &Options::default())
            };
            let guest;
            (guest, *time) = timed(make);
            guest.expect("a guest");
        }
        times.sort_unstable();
        times[GUESTS / 2]
    }
}

fn late() -> Late {
    Late::new(|error| panic!("{error}"))
}

/// What a function gives, and the time that it took.
fn timed<T>(function: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let given = function();
    (given, start.elapsed())
}

/// A module that is compiled now.
#[cfg(feature = "compile")]
fn compiled(name: &str) -> (Result<Sandbox, LoadError>, Duration) {
    let read = |path| fs::read(path).expect("a module that can be read");
    match name.strip_prefix("epochs:") {
        Some(path) => {
            let module = read(path);
            timed(|| Sandbox::compile(&module))
        }
        None => {
            let module = read(name);
            timed(|| Sandbox::compile_watched(&module, late()))
        }
    }
}

#[cfg(not(feature = "compile"))]
fn compiled(name: &str) -> (Result<Sandbox, LoadError>, Duration) {
    panic!("{name}: to compile a module takes the feature compile");
}

/// Decodes a blob, and says how many bytes came out.
fn decode(decoder: &mut impl Decoder, blob: &[u8]) -> usize {
    let (mut output, mut decoded) = (vec![0; PIECE], 0);
    for mut piece in blob.chunks(PIECE) {
        loop {
            let step = decoder.decode(piece, &mut output).expect("a good blob");
            decoded += step.produced;
            piece = &piece[step.consumed..];
            if piece.is_empty() && step.status != Status::NeedOutput {
                break;
            }
        }
    }
    decoder.finish().expect("a whole blob");
    decoded
}

/// Does the work once, and says how many bytes it was for.
fn once(
    sandbox: Option<&Sandbox>,
    compression: Option<Compression>,
    file: &Shared,
    limits: &Limits,
) -> usize {
    let bytes = file.0.as_slice();
    let options = Options::default();
    let asked = check::Options::default();
    match (sandbox, compression) {
        (None, Some(compression)) => {
            let mut decoder = AnyDecoder::new(compression, limits).expect("a compression");
            decode(&mut decoder, bytes)
        }
        (Some(sandbox), Some(compression)) => {
            let decoder = sandbox.decoder(compression, limits, &options);
            decode(&mut decoder.expect("a guest"), bytes)
        }
        (None, None) => {
            let summary = check::check(bytes, bytes.len() as u64, limits, &asked, &mut |_| {});
            assert!(summary.expect("an image").passed());
            bytes.len()
        }
        (Some(sandbox), None) => {
            let file = Box::new(file.clone());
            let summary = sandbox.check(file, limits, &asked, &options, &mut |_| {});
            assert!(summary.expect("an image").passed());
            bytes.len()
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next();
    let file = argument().expect("FILE RUNS MODULE...");
    let file = Shared(Arc::new(fs::read(&file).expect("a file that can be read")));
    let runs: u32 = argument().and_then(|runs| runs.parse().ok()).expect("RUNS");
    let mut limits = Limits::DEFAULT;
    limits.zstd_window = 128 << 20;
    let compression = match sniff(&file.0) {
        Sniffed::Compressed(compression) => Some(compression),
        _ => None,
    };
    let candidates: Vec<_> = arguments.map(Candidate::new).collect();
    let sides = || core::iter::once(None).chain(candidates.iter().map(Some));
    let (mut best, mut size) = (vec![Duration::MAX; candidates.len() + 1], 0);
    for _ in 0..runs.max(1) {
        for (side, best) in sides().zip(&mut best) {
            let sandbox = side.map(|candidate| &candidate.sandbox);
            let time;
            (size, time) = timed(|| once(sandbox, compression, &file, &limits));
            *best = time.min(*best);
        }
    }
    println!("| | ms | MB/s | ratio | loading, µs | a guest, µs |");
    println!("|---|---:|---:|---:|---:|---:|");
    for (side, time) in sides().zip(&best) {
        let (native, time) = (best[0].as_secs_f64(), time.as_secs_f64());
        let (ms, speed, ratio) = (time * 1e3, size as f64 / time / 1e6, native / time);
        match side {
            None => println!("| native | {ms:.1} | {speed:.0} | | | |"),
            Some(candidate) => {
                let micro = |time: Duration| time.as_secs_f64() * 1e6;
                let (load, guest) = (micro(candidate.load), micro(candidate.guest()));
                let name = &candidate.name;
                println!("| {name} | {ms:.1} | {speed:.0} | {ratio:.3} | {load:.0} | {guest:.1} |");
            }
        }
    }
}
