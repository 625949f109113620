//! The gate over an image that streams past: how it is cut does not matter, and what it lets
//! through the reader opens, with the same superblock.
//!
//! An input is an image. Its superblock's checksum is mended first.
#![no_main]

use erofs_unpack_core::codec::{Compression, Raw};
use erofs_unpack_core::erofs::{Image, ReadError};
use erofs_unpack_core::oci::{Algorithm, StreamType};
use erofs_unpack_core::unpack::{
    Devices, Expectations, Outcome, StreamCheck, StreamForm, Unpacker, VerityTree, sniff,
};
use erofs_unpack_core::verity::Guess;
use erofs_unpack_core::{Error, Limits};
use libfuzzer_sys::fuzz_target;

mod pieces;
#[path = "../../tests/check/promise.rs"]
#[allow(dead_code, reason = "only the checksum is wanted")]
mod promise;

fn unpack(
    image: &[u8],
    expectations: &Expectations,
    mut cut: impl FnMut() -> usize,
) -> Result<Outcome, Error> {
    let mut unpacker = Unpacker::new(Raw, expectations, &Limits::DEFAULT)?;
    let mut rest = image;
    let mut output = vec![0; image.len().max(1)];
    while !rest.is_empty() {
        let step = unpacker.push(&rest[..cut().clamp(1, rest.len())], &mut output)?;
        assert!(step.consumed > 0);
        rest = &rest[step.consumed..];
    }
    unpacker.finish()
}

fuzz_target!(|image: &[u8]| {
    let mut image = image.to_vec();
    promise::mend(&mut image);
    let mut expectations = Expectations::new(Compression::None);
    let plain = unpack(&image, &expectations, || usize::MAX);
    let mut cuts = pieces::Cuts::of(&image, 0);
    assert_eq!(unpack(&image, &expectations, || cuts.next()), plain);
    assert_eq!(unpack(&image, &expectations, || 1), plain);

    // What a descriptor may state, chosen by the image.
    if cuts.next() & 1 == 1 {
        expectations.devices = Devices::Attached((cuts.next() & 3) as u16);
    }
    if cuts.next() & 1 == 1 {
        expectations.verity = Some(VerityTree {
            hash_offset: (cuts.next() as u64) << (cuts.next() & 15),
            block_size: 1 << (cuts.next() & 31),
            digest_size: 32,
            root: (cuts.next() & 1 == 1).then(|| Algorithm::Sha256.digest(&image)),
            guess: Guess::default(),
        });
    }
    if cuts.next() & 1 == 1 {
        expectations.chunk_index = Some(cuts.next() as u64);
    }
    let stated = unpack(&image, &expectations, || usize::MAX);
    assert_eq!(unpack(&image, &expectations, || cuts.next()), stated);

    let _ = sniff(&image);
    for tar in [false, true] {
        let stated = StreamType {
            compression: None,
            tar,
            empty: tar,
        };
        let form = StreamForm::new(stated, &image);
        let mut check = StreamCheck::new(&expectations, form, &Limits::DEFAULT);
        let _ = check.update(&image);
        let _ = check.finish();
    }
    if let Ok(outcome) = plain {
        match Image::open(&image[..], image.len() as u64, &Limits::DEFAULT) {
            Ok(opened) => assert_eq!(Some(*opened.superblock()), outcome.superblock),
            Err(ReadError::Refused(_)) => {}
            Err(ReadError::Source(error)) => panic!("read beyond the end: {error}"),
        }
    }
});
