//! Compares forms of the module with each other and with the same code as a part of the program:
//! how fast they decode a blob, or check an image. For whoever tries what makes them faster.
//!
//!     compare FILE RUNS MODULE...
//!
//! FILE is a layer (gzip or zstd) that is decoded, or an image that is checked. A MODULE is a
//! path of a module, with `epochs:` before it to have it end by epochs. All run in turn on one
//! thread, RUNS times; the best of each counts. A ratio is the time without the sandbox divided by
//! that with it: more is better.

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
use erofs_unpack_sandbox::{Late, Options, Sandbox, Source};

/// As the program reads.
const PIECE: usize = 512 << 10;

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

/// One side of the comparison.
enum Side {
    Native,
    Inside(Sandbox),
}

fn decode(decoder: &mut impl Decoder, blob: &[u8]) {
    let mut output = vec![0; PIECE];
    for mut piece in blob.chunks(PIECE) {
        loop {
            let step = decoder.decode(piece, &mut output).expect("a good blob");
            piece = &piece[step.consumed..];
            if piece.is_empty() && step.status != Status::NeedOutput {
                break;
            }
        }
    }
    decoder.finish().expect("a whole blob");
}

fn once(side: &Side, compression: Option<Compression>, file: &Shared, limits: &Limits) -> Duration {
    let bytes = file.0.as_slice();
    let options = Options::default();
    let start = Instant::now();
    match (side, compression) {
        (Side::Native, Some(compression)) => {
            let mut decoder = AnyDecoder::new(compression, limits).expect("a compression");
            decode(&mut decoder, bytes);
        }
        (Side::Inside(sandbox), Some(compression)) => {
            let decoder = sandbox.decoder(compression, limits, &options);
            decode(&mut decoder.expect("a guest"), bytes);
        }
        (Side::Native, None) => {
            let asked = check::Options::default();
            let summary = check::check(bytes, bytes.len() as u64, limits, &asked, &mut |_| {});
            assert!(summary.expect("an image").passed());
        }
        (Side::Inside(sandbox), None) => {
            let asked = check::Options::default();
            let file = Box::new(file.clone());
            let summary = sandbox.check(file, limits, &asked, &options, &mut |_| {});
            assert!(summary.expect("an image").passed());
        }
    }
    start.elapsed()
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
    let mut sides = vec![("native".to_owned(), Side::Native)];
    while let Some(name) = argument() {
        let (epochs, path) = match name.strip_prefix("epochs:") {
            Some(path) => (true, path),
            None => (false, &*name),
        };
        let module = fs::read(path).expect("a module that can be read");
        let sandbox = if epochs {
            Sandbox::compile(&module)
        } else {
            let late = Late::new(|error| panic!("{error}"));
            Sandbox::compile_watched(&module, late)
        };
        sides.push((name, Side::Inside(sandbox.expect("a module that compiles"))));
    }
    let mut best = vec![Duration::MAX; sides.len()];
    for _ in 0..runs.max(1) {
        for ((_, side), best) in sides.iter().zip(&mut best) {
            *best = once(side, compression, &file, &limits).min(*best);
        }
    }
    println!("| | ms | ratio |\n|---|---:|---:|");
    for ((name, _), time) in sides.iter().zip(&best) {
        let (native, time) = (best[0].as_secs_f64(), time.as_secs_f64());
        println!("| {name} | {:.1} | {:.3} |", time * 1e3, native / time);
    }
}
