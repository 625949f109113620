//! Prints what the sandbox costs by itself: to load it, to make a guest, to decode a blob in it,
//! beside the same decoder as a part of the program. For `benches/sandbox.sh`.
//!
//!     sandbox_alone BLOB

#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this is a program"
)]

use std::time::{Duration, Instant};

use erofs_unpack::HostError;
use erofs_unpack::isolation::Isolation;
use erofs_unpack_core::Limits;
use erofs_unpack_core::codec::{Compression, Status};
use erofs_unpack_core::unpack::{Sniffed, sniff};

/// How often each is done; the median counts.
const RUNS: usize = 7;
const GUESTS: usize = 201;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Decodes a blob and gives the time that it took.
fn decode(isolation: &Isolation, compression: Compression, blob: &[u8]) -> (Duration, u64) {
    let mut limits = Limits::DEFAULT;
    limits.zstd_window = 128 << 20;
    let start = Instant::now();
    let decoder = isolation.decoder(compression, &limits);
    let mut decoder = decoder.expect("a guest").expect("a compression");
    let mut output = vec![0; 512 << 10];
    let mut decoded = 0;
    // As the program reads.
    for mut piece in blob.chunks(512 << 10) {
        loop {
            let step = decoder.decode(piece, &mut output).expect("a good blob");
            decoded += step.produced as u64;
            piece = &piece[step.consumed..];
            if piece.is_empty() && step.status != Status::NeedOutput {
                break;
            }
        }
    }
    decoder.finish().expect("a whole blob");
    (start.elapsed(), decoded)
}

fn main() -> Result<(), HostError> {
    let path = std::env::args().nth(1).expect("a blob");
    let blob = std::fs::read(&path).expect("a blob that can be read");
    let Sniffed::Compressed(compression) = sniff(&blob) else {
        panic!("{path}: neither gzip nor zstd");
    };
    let start = Instant::now();
    let wasm = Isolation::wasm()?;
    let load = start.elapsed();
    let native = Isolation::NONE;
    let guests = (0..GUESTS).map(|_| {
        let start = Instant::now();
        let guest = wasm.decoder(compression, &Limits::DEFAULT);
        let made = start.elapsed();
        drop(guest);
        made
    });
    let guest = median(guests.collect());
    let (mut inside, mut outside, mut size) = (Vec::new(), Vec::new(), 0);
    for _ in 0..RUNS {
        outside.push(decode(&native, compression, &blob).0);
        let (time, decoded) = decode(&wasm, compression, &blob);
        inside.push(time);
        size = decoded;
    }
    let (inside, outside) = (median(inside), median(outside));
    let speed = |time: Duration| size as f64 / time.as_secs_f64() / 1e6;
    println!(
        "load_us={:.0} guest_us={:.1} native_mb_s={:.0} sandbox_mb_s={:.0} ratio={:.3}",
        load.as_secs_f64() * 1e6,
        guest.as_secs_f64() * 1e6,
        speed(outside),
        speed(inside),
        outside.as_secs_f64() / inside.as_secs_f64()
    );
    Ok(())
}
