//! Sequences of calls that nobody with sense would make. `host-wasm/guest/fuzz` looks for worse ones;
//! `cargo +nightly miri test --test sequences` runs a few of these under Miri.
#![allow(
    unsafe_code,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    clippy::disallowed_methods,
    reason = "this is a test; it fills the buffers as a host does"
)]

mod sequence;

/// Bytes without sense, the same in every run (xorshift).
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn calls_without_sense_do_no_harm() {
    let (sequences, length) = if cfg!(miri) { (12, 120) } else { (3000, 2000) };
    for seed in 1..=sequences {
        sequence::run(&bytes(seed, length), 500);
    }
}

/// Random bytes hardly ever come to the end of a gzip member whose CRC-32 the host takes.
#[test]
fn a_crc_is_asked_for() {
    let layer = include_bytes!("../../../vectors/bases/small.erofs.gz");
    let right = layer.last_chunk::<8>().unwrap().first_chunk::<4>().unwrap();
    for crc in [*right, [1, 2, 3, 4]] {
        let mut script = vec![0, 1]; // A decoder,
        script.extend([3, 0, 1, 1]); // of gzip,
        script.extend([3, 0, 9, 1]); // without its own CRC-32,
        script.extend([6, 0, 8, 1]); // is started, and given a layer
        script.extend([12, 0]); // to its end, with this answer:
        script.extend(crc);
        // Once more at the wrong time.
        script.extend([13, 0]);
        script.extend(crc);
        sequence::run(&script, 500);
    }
}
