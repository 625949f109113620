//! The zstd decoder alone: no digest, no check, nothing written.
//!
//!     decode_alone BLOB
//!
//! Decodes a blob, whatever its frames, and prints how long its content is. It is what
//! `host-linux/benches/stream.sh` holds the whole program against.
//!
//!     decode_alone --beside-libzstd FILE [RUNS [LEVEL...]]
//!
//! Compresses the file into one frame at each level (default 1, 3 and 19), without a checksum and
//! with one, and decodes that in memory, in turn with libzstd. Prints the best of so many runs
//! (default 20), and how much of libzstd's speed ours has.

#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "a program of the host"
)]

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

use erofs_unpack_core::Limits;
use erofs_unpack_core::codec::{Decoder as _, Status, Zstd, ZstdFlat};
use zstd::bulk::{Compressor, Decompressor};

const USAGE: &str = "usage: decode_alone BLOB | --beside-libzstd FILE [RUNS [LEVEL...]]";
/// Size of the pieces in which a blob is decoded.
const PIECE: usize = 512 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--beside-libzstd", file, ref more @ ..] => {
            let mut numbers = Vec::new();
            for number in more {
                numbers.push(number.parse()?);
            }
            let (runs, levels) = match numbers[..] {
                [] => (20, &[1, 3, 19][..]),
                [runs] => (runs, &[1, 3, 19][..]),
                [runs, ref levels @ ..] => (runs, levels),
            };
            beside_libzstd(&std::fs::read(file)?, runs, levels)
        }
        [blob] if !blob.starts_with('-') => {
            println!("{}", decode(File::open(blob)?)?);
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

/// As wide as windows can be: speed is the matter.
const fn limits() -> Limits {
    let mut limits = Limits::DEFAULT;
    limits.zstd_window = u64::MAX;
    limits
}

/// Decodes a blob, and says how long its content is.
fn decode(blob: File) -> Result<u64, Box<dyn Error>> {
    let mut blob = BufReader::with_capacity(PIECE, blob);
    let mut decoder = Zstd::new(&limits());
    let mut output = vec![0; PIECE];
    let mut decoded = 0;
    loop {
        let input = blob.fill_buf()?;
        let at_end = input.is_empty();
        let step = decoder.decode(input, &mut output)?;
        black_box(&mut output);
        blob.consume(step.consumed);
        decoded += step.produced as u64;
        if at_end && step.status != Status::NeedOutput {
            decoder.finish()?;
            return Ok(decoded);
        }
    }
}

fn beside_libzstd(content: &[u8], runs: i32, levels: &[i32]) -> Result<(), Box<dyn Error>> {
    println!(
        "One frame of {:.1} MB in memory, best of {runs} runs in turn, in milliseconds; libzstd {}.\n",
        content.len() as f64 / 1e6,
        zstd::zstd_safe::version_string(),
    );
    println!("| level | checksum | ours | libzstd | ratio |");
    println!("|---:|---|---:|---:|---:|");
    for level in levels {
        for checksum in [false, true] {
            let mut encoder = Compressor::new(*level)?;
            encoder.include_checksum(checksum)?;
            let frame = encoder.compress(content)?;
            let (ours, theirs) = in_turn(&frame, content, runs)?;
            println!(
                "| {level} | {} | {:.2} | {:.2} | {:.3} |",
                if checksum { "yes" } else { "no" },
                ours.as_secs_f64() * 1e3,
                theirs.as_secs_f64() * 1e3,
                theirs.as_secs_f64() / ours.as_secs_f64(),
            );
        }
    }
    Ok(())
}

/// The best times of ours and of libzstd for a frame, both into memory that is there already, after
/// a run of each that is not counted.
fn in_turn(
    frame: &[u8],
    content: &[u8],
    runs: i32,
) -> Result<(Duration, Duration), Box<dyn Error>> {
    // Room for a block behind the content, which is more than any frame asks for.
    let mut ours = vec![0; content.len() + (256 << 10)];
    let mut theirs = vec![0; content.len()];
    let mut libzstd = Decompressor::new()?;
    let mut best = (Duration::MAX, Duration::MAX);
    for run in 0..=runs {
        let start = Instant::now();
        let size = flat(frame, &mut ours)?;
        let own = start.elapsed();
        let start = Instant::now();
        libzstd.decompress_to_buffer(frame, &mut theirs)?;
        let other = start.elapsed();
        if ours[..size] != *content || theirs != content {
            return Err("other content than was compressed".into());
        }
        if run > 0 {
            best = (best.0.min(own), best.1.min(other));
        }
    }
    Ok(best)
}

/// Decodes a frame into memory that has room for all of it, and says how long its content is.
fn flat(frame: &[u8], memory: &mut [u8]) -> Result<usize, Box<dyn Error>> {
    let mut decoder = ZstdFlat::new(&limits())?;
    let step = decoder.decode(frame, memory, 0)?;
    if step.status != Status::Done {
        return Err("there is more than one frame, or less".into());
    }
    decoder.finish()?;
    Ok(step.produced)
}
