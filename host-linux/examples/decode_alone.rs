//! Decodes a zstd blob with the decoder crate alone: no digest, no check, no output. It is what
//! `benches/layers.sh` holds the whole program against.
//!
//!     decode_alone BLOB

#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "a program of the host"
)]

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufReader, Read as _};

use structured_zstd::decoding::StreamingDecoder;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os()
        .nth(1)
        .ok_or("usage: decode_alone BLOB")?;
    let blob = BufReader::with_capacity(512 << 10, File::open(path)?);
    let mut decoder = StreamingDecoder::new(blob);
    let mut output = vec![0; 512 << 10];
    let mut decoded = 0;
    loop {
        match decoder.read(&mut output)? {
            0 => break,
            size => decoded += size,
        }
        black_box(&mut output);
    }
    println!("{decoded}");
    Ok(())
}
