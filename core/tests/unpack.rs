//! The stages of unpacking over images made by hand: what passes, what is refused, where, and
//! that the way the input is cut never matters.

mod common;

use common::{BLOCK, Image};
use erofs_unpack_core::codec::{Compression, Raw};
use erofs_unpack_core::oci::{Algorithm, Digest};
use erofs_unpack_core::unpack::{
    BlobCheck, Content, Devices, Expectations, ImageCheck, Outcome, Stage, Unpacker, Verdict,
    VerityCheck, VerityTree,
};
use erofs_unpack_core::verity::{Builder, Guess, Params, Salt, Superblock, Verified};
use erofs_unpack_core::{At, Code, Error, Limits};
use proptest::prelude::*;

fn plain() -> Expectations {
    Expectations::new(Compression::None)
}

/// Unpacks a plain blob that is pushed in pieces of `piece` bytes.
fn unpack_in(
    blob: &[u8],
    expectations: &Expectations,
    limits: &Limits,
    piece: usize,
) -> Result<Outcome, Error> {
    let mut unpacker = Unpacker::new(Raw, expectations, limits)?;
    let mut output = vec![0; piece];
    let mut input = blob;
    while !input.is_empty() {
        let step = unpacker.push(&input[..piece.min(input.len())], &mut output)?;
        assert!(step.consumed > 0);
        input = &input[step.consumed..];
    }
    unpacker.finish()
}

fn unpack(blob: &[u8], expectations: &Expectations) -> Result<Outcome, Error> {
    let whole = unpack_in(blob, expectations, &Limits::DEFAULT, blob.len().max(1));
    for piece in [1, 7, 127, 4096] {
        let pieces = unpack_in(blob, expectations, &Limits::DEFAULT, piece);
        assert_eq!(pieces, whole, "in pieces of {piece}");
    }
    whole
}

fn refusal(image: &Image) -> (Code, At) {
    let error = unpack(&image.0, &plain()).unwrap_err();
    (error.code(), error.at())
}

#[test]
fn a_right_image_passes_with_everything_said_of_it() {
    let image = Image::new(2);
    let outcome = unpack(&image.0, &plain()).unwrap();
    assert_eq!(outcome.blob_size, 8192);
    assert_eq!(outcome.image_size, 8192);
    assert_eq!(outcome.blob_digest, Algorithm::Sha256.digest(&image.0));
    assert_eq!(outcome.diff_id, outcome.blob_digest);
    let superblock = outcome.superblock.unwrap();
    assert_eq!(superblock.blocks, 2);
    assert_eq!(superblock.block_size(), 4096);
    assert_eq!(superblock.root_nid, 36);
}

#[test]
fn every_field_of_the_superblock_is_looked_at() {
    let image = Image::new(2);
    let at = |field: u64| At::Image(1024 + field);
    for (offset, bytes, code, place) in [
        (0, &[0xe3][..], Code::SuperblockMagic, at(0)),
        (12, &[8], Code::SuperblockBlockSize, at(12)),
        (12, &[17], Code::SuperblockBlockSize, at(12)),
        (13, &[185], Code::SuperblockExtSlots, at(13)),
        (14, &[0, 1], Code::SuperblockRoot, at(14)),
        (14, &[0xff, 0xff], Code::SuperblockRoot, at(14)),
        (16, &[1, 1], Code::SuperblockInodes, at(16)),
        (
            32,
            &1_000_000_000_u32.to_le_bytes(),
            Code::SuperblockNanoseconds,
            at(32),
        ),
        (36, &[0], Code::SuperblockBlocks, at(36)),
        (44, &[2], Code::SuperblockXattr, at(44)),
        (81, &[2], Code::SuperblockFeatures, at(80)),
        (83, &[0x80], Code::SuperblockFeatures, at(80)),
        (80, &[2, 0, 0, 0, 16], Code::SuperblockAlgorithms, at(84)),
        (80, &[8, 0, 0, 0, 0, 0, 1, 0, 8], Code::DeviceTable, at(88)),
        (80, &[8, 0, 0, 0, 0, 0, 1, 0, 64], Code::DeviceTable, at(88)),
        (90, &[1], Code::SuperblockDirBlock, at(90)),
        (91, &[1, 0, 8], Code::SuperblockPrefixes, at(92)),
        (8, &[0x23], Code::SuperblockPrefixes, at(105)),
    ] {
        let broken = image.edited(offset, bytes);
        assert_eq!(refusal(&broken), (code, place), "{offset}: {bytes:x?}");
    }
    // The metadata area moves the root with it.
    assert_eq!(
        refusal(&image.edited(40, &[2])),
        (Code::SuperblockRoot, at(14))
    );
    // Fields of 48-bit and metabox images, and the packed inode.
    let mut wide = image.edited(80, &[0x80]);
    wide.set(14, &[0, 0]).set(112, &[0xff, 0xff, 0xff]);
    assert_eq!(refusal(&wide.mend()), (Code::SuperblockRoot, at(112)));
    let mut packed = image.edited(80, &[0x20]);
    packed.set(96, &[0, 1]);
    assert_eq!(refusal(&packed.mend()), (Code::SuperblockPacked, at(96)));
    let mut metabox = image.edited(80, &[0, 1]);
    assert_eq!(refusal(&metabox), (Code::SuperblockMetabox, at(128)));
    metabox.set(13, &[1]).set(128, &[0, 1]);
    assert_eq!(refusal(&metabox.mend()), (Code::SuperblockMetabox, at(128)));
    metabox.set(128, &[36, 0]);
    assert!(unpack(&metabox.mend().0, &plain()).is_ok());
    metabox.set(135, &[0x80]);
    assert_eq!(refusal(&metabox.mend()), (Code::SuperblockMetabox, at(128)));
    // Without a checksum too the gate waits for the extension slot, and looks at all of it.
    metabox.set(8, &[2]);
    assert_eq!(refusal(&metabox), (Code::SuperblockMetabox, at(128)));
    metabox.set(135, &[0]);
    let outcome = unpack(&metabox.0, &plain()).unwrap();
    assert_eq!(outcome.superblock.unwrap().metabox_nid, Some(36));
    metabox.0.truncate(1160);
    assert_eq!(
        refusal(&metabox),
        (Code::SuperblockTruncated, At::Image(1160))
    );
}

#[test]
fn a_metadata_area_beyond_the_image_is_refused() {
    // Only a nid of many bits can lie inside an image whose metadata starts outside, so the
    // root has to be in the metabox for this rule to be the one that speaks.
    let mut image = Image::new(2);
    image.set(80, &[0x80, 1]).set(13, &[1]);
    image.set(112, &(1_u64 << 63 | 1).to_le_bytes());
    image.set(14, &[0, 0]).set(128, &[36]);
    assert!(unpack(&image.mend().0, &plain()).is_ok());
    image.set(40, &[2]);
    assert_eq!(
        refusal(&image.mend()),
        (Code::SuperblockMeta, At::Image(1064))
    );
}

#[test]
fn a_nid_with_the_metabox_bit_needs_the_feature() {
    let mut image = Image::new(2);
    image
        .set(80, &[0x80])
        .set(112, &(1_u64 << 63).to_le_bytes());
    image.set(14, &[0, 0]);
    assert_eq!(
        refusal(&image.mend()),
        (Code::SuperblockRoot, At::Image(1136))
    );
}

#[test]
fn the_checksum_covers_the_block() {
    let image = Image::new(2);
    for place in [1024 + 4, 1024 + 64, 1024 + 127, 1152, BLOCK - 1] {
        let mut flipped = image.clone();
        flipped.0[place] ^= 1;
        assert_eq!(
            refusal(&flipped),
            (Code::SuperblockChecksum, At::Image(1028)),
            "{place}"
        );
    }
    // Neither what lies before nor what lies behind, nor an image without the feature.
    for place in [0, 1023, BLOCK] {
        let mut flipped = image.clone();
        flipped.0[place] ^= 1;
        assert!(unpack(&flipped.0, &plain()).is_ok(), "{place}");
    }
    let mut without = image.clone();
    without.set(8, &[2]).set(4, &[0; 4]);
    assert!(unpack(&without.0, &plain()).is_ok());
}

#[test]
fn the_image_must_be_as_long_as_it_declares() {
    let image = Image::new(2);
    for length in 0..image.0.len() {
        let error = unpack_in(&image.0[..length], &plain(), &Limits::DEFAULT, 512).unwrap_err();
        let code = match length {
            0 => Code::ContentEmpty,
            // Zeros so far.
            512..=1024 => Code::ContentZeros,
            1..512 | 1025..1152 => Code::SuperblockTruncated,
            _ => Code::ImageSize,
        };
        assert_eq!(error.code(), code, "{length}");
    }
    let mut longer = image.0.clone();
    longer.push(0);
    let error = unpack(&longer, &plain()).unwrap_err();
    assert_eq!(
        (error.code(), error.at()),
        (Code::ImageTrailing, At::Image(8192))
    );
}

/// An image whose device table (slot 9, at 1152) has one device of `blocks` at `start`.
fn with_device(start: u32, blocks: u32) -> Image {
    let mut image = Image::new(2);
    image.set(80, &[8]).set(86, &[1]).set(88, &[9]);
    image.set(128 + 64, &blocks.to_le_bytes());
    image.set(128 + 68, &start.to_le_bytes());
    image.mend()
}

#[test]
fn devices_addressed_as_one_with_the_image_may_be_in_it() {
    let mut image = with_device(2, 3);
    assert!(unpack(&image.0, &plain()).is_ok());
    let mut attached = plain();
    attached.devices = Devices::Attached(0);
    let error = unpack(&image.0, &attached).unwrap_err();
    assert_eq!(error.code(), Code::ImageSize);
    attached.devices = Devices::Attached(1);
    assert!(unpack(&image.0, &attached).is_ok());

    attached.devices = Devices::Attached(0);
    image.0.resize(5 * BLOCK, 7);
    assert!(unpack(&image.0, &attached).is_ok());
    // The padding of a tar may follow, and nothing else.
    image.0.resize(7 * BLOCK, 0);
    assert!(unpack(&image.0, &attached).is_ok());
    image.0[6 * BLOCK + 1] = 1;
    let error = unpack(&image.0, &attached).unwrap_err();
    assert_eq!(
        (error.code(), error.at()),
        (Code::ImageTrailing, At::Image(6 * BLOCK as u64 + 1))
    );
    image.0[6 * BLOCK + 1] = 0;
    image.0.resize(5 * BLOCK + (1 << 20) + 1, 0);
    let error = unpack_in(&image.0, &attached, &Limits::DEFAULT, 4096).unwrap_err();
    assert_eq!(
        (error.code(), error.at()),
        (Code::ImageTrailing, At::Image(5 * BLOCK as u64 + (1 << 20)))
    );
}

#[test]
fn devices_over_the_image_are_refused() {
    assert_eq!(
        refusal(&with_device(1, 3)),
        (Code::DeviceSlot, At::Image(1152))
    );
    // A device of its own, and an empty one, are right.
    assert!(unpack(&with_device(0, 3).0, &plain()).is_ok());
    assert!(unpack(&with_device(2, 0).0, &plain()).is_ok());
    // An empty one lets no padding follow.
    let mut image = with_device(2, 0);
    image.0.resize(3 * BLOCK, 0);
    assert_eq!(refusal(&image), (Code::ImageTrailing, At::Image(8192)));
    // An end beyond what 64 bits hold in bytes.
    let mut image = with_device(2, u32::MAX);
    image.set(80, &[0x88]).set(128 + 72, &[0xff; 4]);
    assert_eq!(refusal(&image.mend()), (Code::DeviceSlot, At::Image(1152)));
}

#[test]
fn other_content_is_named() {
    let code = |content: &[u8]| unpack(content, &plain()).unwrap_err().code();
    assert_eq!(code(&[0; 10240]), Code::ContentZeros);
    assert_eq!(
        code(&[b"hsqs".as_slice(), &[1; 2000]].concat()),
        Code::ContentForeign
    );
    assert_eq!(code(b"\x1f\x8b\x08"), Code::ContentCompressed);
    assert_eq!(
        code(&[b"\x28\xb5\x2f\xfd".as_slice(), &[1; 2000]].concat()),
        Code::ContentCompressed
    );
    assert_eq!(code(&[7; 2000]), Code::SuperblockMagic);
    assert_eq!(code(&[7; 1151]), Code::SuperblockTruncated);
    // It stops there, however much follows.
    let mut unpacker = Unpacker::new(Raw, &plain(), &Limits::DEFAULT).unwrap();
    let mut output = [0; 1152];
    let error = unpacker.push(&[7; 1152], &mut output).unwrap_err();
    assert_eq!(error.code(), Code::SuperblockMagic);
    assert_eq!(unpacker.push(&[7], &mut output), Err(error));
    assert_eq!(unpacker.finish(), Err(error));
}

#[test]
fn sizes_and_digests_are_compared() {
    let image = Image::new(2).0;
    let right = Algorithm::Sha256.digest(&image);
    let wrong = Algorithm::Sha256.digest(b"");
    let code = |expectations: &Expectations| unpack(&image, expectations).map_err(|e| e.code());
    let mut expectations = plain();
    expectations.blob_size = Some(8192);
    expectations.blob_digest = Some(right);
    expectations.diff_id = Some(right);
    let outcome = code(&expectations).unwrap();
    assert_eq!(outcome.blob_digest, right);

    expectations.diff_id = Some(wrong);
    assert_eq!(code(&expectations), Err(Code::DiffId));
    expectations.blob_digest = Some(wrong);
    assert_eq!(code(&expectations), Err(Code::BlobDigest));
    for size in [0, 8191, 8193] {
        expectations.blob_size = Some(size);
        assert_eq!(code(&expectations), Err(Code::BlobSize));
    }
    expectations.blob_size = None;
    expectations.blob_digest = None;
    assert_eq!(code(&expectations), Err(Code::DiffId));

    // A sha512 digest of the blob does not serve for the diffID.
    let long = Algorithm::Sha512.digest(&image);
    expectations.blob_digest = Some(long);
    expectations.diff_id = Some(right);
    let outcome = code(&expectations).unwrap();
    assert_eq!((outcome.blob_digest, outcome.diff_id), (long, right));
    expectations.diff_id = Some(long);
    assert_eq!(code(&expectations).unwrap().diff_id, long);
}

#[test]
fn limits_are_limits() {
    let image = Image::new(2).0;
    let refusal = |expectations: &Expectations, limits: &Limits| {
        let error = unpack_in(&image, expectations, limits, 1000).unwrap_err();
        (error.code(), error.at())
    };
    let limits = |image_size, blob_size, expansion_ratio| {
        let mut limits = Limits::DEFAULT;
        limits.image_size = image_size;
        limits.blob_size = blob_size;
        limits.expansion_ratio = expansion_ratio;
        limits
    };
    let mut sized = plain();
    sized.blob_size = Some(8192);
    assert!(unpack_in(&image, &sized, &limits(8192, 8192, Some(1)), 1000).is_ok());
    assert_eq!(
        refusal(&plain(), &limits(8191, 8192, None)),
        (Code::ImageLimit, At::Image(1024 + 36))
    );
    // What declares no size is stopped at the limit itself.
    let mut bytes = plain();
    bytes.content = Content::Bytes;
    assert_eq!(
        refusal(&bytes, &limits(8191, 8192, None)),
        (Code::ImageLimit, At::Image(8191))
    );
    assert_eq!(
        refusal(&sized, &limits(8192, 8191, None)),
        (Code::BlobLimit, At::Whole)
    );
    assert_eq!(
        refusal(&plain(), &limits(8192, 8191, None)),
        (Code::BlobLimit, At::Blob(8191))
    );
    sized.blob_size = Some(4000);
    assert_eq!(
        refusal(&sized, &limits(8192, 8192, Some(0))),
        (Code::ExpansionLimit, At::Image(0))
    );
}

#[test]
fn other_bytes_are_only_counted_and_hashed() {
    let mut expectations = plain();
    expectations.content = Content::Bytes;
    let outcome = unpack(b"a device", &expectations).unwrap();
    assert_eq!(outcome.superblock, None);
    assert_eq!(outcome.diff_id, Algorithm::Sha256.digest(b"a device"));
    assert!(unpack(b"", &expectations).is_ok());
}

/// The blob's hasher may be elsewhere than its check, beside that of the image.
#[test]
fn hashing_beside_the_image_gives_the_same() {
    let image = Image::new(3);
    // Any bytes serve: no decoder is asked.
    let blob: Vec<u8> = (0..7001_u32).map(|n| (n % 253) as u8).collect();
    let mut expectations = Expectations::new(Compression::Zstd);
    expectations.blob_digest = Some(Algorithm::Sha256.digest(&blob));
    expectations.diff_id = Some(Algorithm::Sha256.digest(&image.0));
    let apart = |image: &[u8], piece: usize| {
        let mut check = BlobCheck::new(&expectations, &Limits::DEFAULT).unwrap();
        let mut hasher = check.take_hasher().unwrap();
        assert!(check.take_hasher().is_none());
        let mut of_image = ImageCheck::new(&expectations, &Limits::DEFAULT);
        let mut pieces = blob.chunks(piece);
        let mut failed = None;
        for bytes in image.chunks(piece + 61) {
            let of_blob = pieces.next().unwrap_or_default();
            check.update(of_blob);
            let updated = of_image.update_beside(bytes, &mut hasher, of_blob);
            failed = failed.or(updated.err());
        }
        for of_blob in pieces {
            check.update(of_blob);
            hasher.update(of_blob);
        }
        let report = check.finish_with(Some(hasher.finish()));
        assert_eq!(report.digest, expectations.blob_digest);
        assert_eq!(report.verdict, Verdict::new());
        let of_image = of_image.finish();
        let mut told = of_image.verdict;
        told.add_result(failed.map_or(Ok(()), Err));
        assert_eq!(told, of_image.verdict);
        Outcome::new(&report, &of_image, Verdict::new())
    };
    for piece in [1, 64, 1000, 20000] {
        let outcome = apart(&image.0, piece).unwrap();
        assert_eq!(outcome.blob_size, blob.len() as u64);
        assert_eq!(Some(outcome.diff_id), expectations.diff_id);
        assert_eq!(outcome.superblock.unwrap().blocks, 3);
        let mut wrong = image.0.clone();
        wrong[5000] ^= 1;
        assert_eq!(apart(&wrong, piece).unwrap_err().code(), Code::DiffId);
        wrong[1024] ^= 1;
        assert_eq!(
            apart(&wrong, piece).unwrap_err().code(),
            Code::SuperblockMagic
        );
    }
    let mut check = BlobCheck::new(&expectations, &Limits::DEFAULT).unwrap();
    assert!(check.take_hasher().is_some());
    let report = check.finish_with(Some(Algorithm::Sha256.digest(b"else")));
    assert_eq!(
        report.verdict.failure().unwrap().error.code(),
        Code::BlobDigest
    );
}

#[test]
fn a_verity_tree_and_a_chunk_index_may_follow() {
    let mut image = Image::new(2).0;
    let mut expectations = plain();
    expectations.verity = Some(VerityTree {
        hash_offset: 8192,
        block_size: 4096,
        digest_size: 32,
        root: None,
        guess: Guess::default(),
    });
    let code = |image: &[u8], expectations: &Expectations| {
        unpack(image, expectations)
            .map(|_| ())
            .map_err(|e| e.code())
    };
    assert_eq!(code(&image, &expectations), Err(Code::ImageSize));
    image.resize(8192 + 4096, 9);
    assert_eq!(code(&image, &expectations), Ok(()));
    image.resize(8192 + 2 * 4096, 9);
    assert_eq!(code(&image, &expectations), Ok(()));
    image.push(9);
    assert_eq!(code(&image, &expectations), Err(Code::ImageTrailing));
    expectations.chunk_index = Some(8192 + 2 * 4096);
    assert_eq!(code(&image, &expectations), Ok(()));
    expectations.verity = None;
    expectations.chunk_index = Some(8192);
    assert_eq!(code(&image, &expectations), Ok(()));
    expectations.chunk_index = Some(8191);
    assert_eq!(code(&image, &expectations), Err(Code::ImageSize));
}

/// An image of two blocks with its dm-verity tree: superblock, and one block of hashes.
fn with_tree(salt: &[u8]) -> (Vec<u8>, VerityTree) {
    let image = Image::new(2).0;
    let mut params = Params::new(Algorithm::Sha256, 4096, 2);
    params.salt = Salt::new(salt).unwrap();
    let mut builder = Builder::new(&params);
    builder.update(&image, &mut ()).unwrap();
    let root = builder.finish(&mut ()).unwrap().unwrap().digest;
    let uuid = [7; 16];
    let mut all = image.clone();
    all.extend(Superblock { uuid, params }.to_bytes());
    all.resize(3 * 4096, 0);
    for block in image.chunks(4096) {
        let digest = Algorithm::Sha256.digest(&[salt, block].concat());
        all.extend(digest.as_bytes());
    }
    all.resize(4 * 4096, 0);
    (all, VerityTree::new(8192, 4096, root))
}

#[test]
fn a_verity_tree_with_a_root_is_verified() {
    let (image, tree) = with_tree(b"");
    let mut expectations = plain();
    expectations.verity = Some(tree);
    let outcome = unpack(&image, &expectations).unwrap();
    let Some(Verified::Tree {
        root,
        has_superblock,
        ..
    }) = outcome.verity
    else {
        panic!("{:?}", outcome.verity);
    };
    assert_eq!((Some(root), has_superblock), (tree.root, true));
    // A chunk index behind it is no part of it.
    let mut longer = image.clone();
    longer.push(9);
    let code = |image: &[u8], expectations: &Expectations| {
        let error = unpack(image, expectations).unwrap_err();
        (error.code(), error.at())
    };
    assert_eq!(
        code(&longer, &expectations),
        (Code::ImageTrailing, At::Image(4 * 4096))
    );
    expectations.chunk_index = Some(4 * 4096);
    assert!(unpack(&longer, &expectations).unwrap().verity.is_some());
    expectations.chunk_index = None;
    // Anywhere in the data, outside of what the superblock's checksum covers; and in the tree.
    for (place, expected) in [
        (5000, (Code::VerityRoot, At::Whole)),
        (3 * 4096, (Code::VerityHash, At::Image(3 * 4096))),
    ] {
        let mut bad = image.clone();
        bad[place] ^= 1;
        assert_eq!(code(&bad, &expectations), expected);
        // The diffID is the reason that counts.
        let mut stated = expectations;
        stated.diff_id = Some(Algorithm::Sha256.digest(&image));
        assert_eq!(code(&bad, &stated).0, Code::DiffId);
    }
    let mut wrong = expectations;
    wrong.verity = Some(VerityTree::new(8192, 4096, Algorithm::Sha256.digest(b"")));
    assert_eq!(code(&image, &wrong), (Code::VerityRoot, At::Whole));
    wrong.verity = Some(VerityTree::new(8192, 4096, Algorithm::Sha512.digest(b"")));
    assert_eq!(
        code(&image, &wrong),
        (Code::VerityParams, At::Image(8192 + 32))
    );
}

#[test]
fn another_salt_takes_a_second_way_through() {
    let (image, tree) = with_tree(b"salt");
    let mut expectations = plain();
    expectations.verity = Some(tree);
    let outcome = unpack(&image, &expectations).unwrap();
    let Some(Verified::Again(guess)) = outcome.verity else {
        panic!("{:?}", outcome.verity);
    };
    assert_eq!(guess.salt.as_bytes(), b"salt");
    expectations.verity = Some(VerityTree { guess, ..tree });
    let outcome = unpack(&image, &expectations).unwrap();
    assert!(matches!(outcome.verity, Some(Verified::Tree { .. })));
}

#[test]
fn a_tree_that_nothing_announces_is_taken_where_it_may_be() {
    let (image, _) = with_tree(b"salt");
    let at = |image: &[u8], expectations: &Expectations| {
        let error = unpack(image, expectations).unwrap_err();
        (error.code(), error.at())
    };
    let end = (Code::ImageTrailing, At::Image(8192));
    assert_eq!(at(&image, &plain()), end);
    let mut expectations = plain();
    expectations.unannounced_verity = true;
    // Zeros may fill up its last block.
    let outcome = unpack(&image, &expectations).unwrap();
    assert_eq!(outcome.verity, None);
    let announced = outcome.unannounced.unwrap();
    assert_eq!((announced.hash_offset, announced.root), (8192, None));
    let mut check = VerityCheck::of(&announced);
    check.update(&image);
    assert!(matches!(check.finish().verified, Ok(Verified::Tree { .. })));
    // Nothing at all may follow as well.
    let outcome = unpack(&image[..8192], &expectations).unwrap();
    assert_eq!(outcome.unannounced, None);
    let mut longer = image.clone();
    longer.push(0);
    let behind = (Code::ImageTrailing, At::Image(4 * 4096));
    assert_eq!(at(&longer, &expectations), behind);
    for (place, byte) in [(8192, b'V'), (8192 + 72, 1), (8192 + 69, 32), (8192 + 8, 2)] {
        let mut bad = image.clone();
        bad[place] = byte;
        assert_eq!(at(&bad, &expectations), end, "{place}");
    }
    assert_eq!(at(&image[..8192 + 100], &expectations), end);
    let mut zeros = image[..8192].to_vec();
    zeros.push(0);
    assert_eq!(at(&zeros, &expectations), end);
}

#[test]
fn the_tree_may_be_verified_elsewhere() {
    let (mut image, tree) = with_tree(b"");
    let mut expectations = plain();
    expectations.verity = Some(tree);
    for is_right in [true, false] {
        let mut check = ImageCheck::new(&expectations, &Limits::DEFAULT);
        let mut verity = check.take_verity().unwrap();
        for piece in image.chunks(1000) {
            check.update(piece).unwrap();
            verity.update(piece);
        }
        let report = check.finish();
        assert_eq!((report.verity, report.verdict), (None, Verdict::new()));
        let report = report.with_verity(&verity.finish());
        assert_eq!(report.verity.is_some(), is_right);
        let failure = report.verdict.failure();
        assert_eq!(failure.is_none(), is_right);
        assert!(failure.is_none_or(|failure| failure.stage == Stage::Verity));
        image[5000] ^= 1;
    }
}

#[test]
fn stages_are_ordered_as_documented() {
    assert!(Stage::BlobSize < Stage::BlobDigest);
    assert!(Stage::CodecTrailer < Stage::DiffId);
    assert!(Stage::ImageSize < Stage::Verity);
    assert!(Stage::Verity < Stage::Check);
}

#[test]
fn every_slot_of_a_device_table_counts() {
    let mut image = with_device(2, 3);
    image.set(86, &[3]);
    let slot = |image: &mut Image, slot: usize, start: u32, blocks: u32| {
        image.set(128 + slot * 128 + 64, &blocks.to_le_bytes());
        image.set(128 + slot * 128 + 68, &start.to_le_bytes());
    };
    slot(&mut image, 1, 5, 2);
    slot(&mut image, 2, 7, 2);
    // Behind the table.
    slot(&mut image, 3, 1, 2);
    let mut attached = plain();
    attached.devices = Devices::Attached(0);
    for (blocks, code) in [(8, Err(Code::ImageSize)), (9, Ok(()))] {
        let mut image = image.mend();
        image.0.resize(blocks * BLOCK, 7);
        let result = unpack(&image.0, &attached);
        assert_eq!(result.map(|_| ()).map_err(|error| error.code()), code);
    }
    slot(&mut image, 2, 1, 2);
    assert_eq!(
        refusal(&image.mend()),
        (Code::DeviceSlot, At::Image(1152 + 2 * 128))
    );
}

#[test]
fn an_image_that_ends_in_its_extension_slots_is_truncated() {
    let mut image = Image::new(2);
    // With a metabox, whose inode the slot names.
    image.set(80, &[0, 1]).set(13, &[1]).set(128, &[36, 0]);
    let image = image.mend();
    assert!(unpack(&image.0, &plain()).is_ok());
    for end in [1152, 1160, 1167] {
        let error = unpack(&image.0[..end], &plain()).unwrap_err();
        assert_eq!(
            (error.code(), error.at()),
            (Code::SuperblockTruncated, At::Image(end as u64))
        );
    }
}

#[test]
fn a_chunk_index_ends_the_image_of_a_plain_blob_only() {
    let image = Image::new(2);
    for (compression, ends) in [(Compression::None, true), (Compression::Zstd, false)] {
        let mut expectations = Expectations::new(compression);
        expectations.chunk_index = Some(4096);
        let mut check = ImageCheck::new(&expectations, &Limits::DEFAULT);
        check.update(&image.0).unwrap();
        let result = check.finish().verdict.result();
        assert_eq!(
            result.map_err(|error| error.code()),
            if ends { Err(Code::ImageSize) } else { Ok(()) }
        );
    }
}

#[test]
fn an_image_that_declares_too_much_is_over_a_limit() {
    let mut limits = Limits::DEFAULT;
    limits.image_size = 8191;
    let mut check = ImageCheck::new(&plain(), &limits);
    let failure = check.update(&Image::new(2).0[..4096]).unwrap_err();
    assert_eq!(failure.error.code(), Code::ImageLimit);
    assert_eq!(failure.stage, Stage::Limit);
}

proptest! {
    #[test]
    fn no_edit_panics_and_no_cut_matters(
        edits in prop::collection::vec((0_usize..160, any::<u8>()), 1..8),
        mend in any::<bool>(),
        piece in 1_usize..3000,
    ) {
        let mut image = Image::new(2);
        for (offset, byte) in edits {
            image.set(offset, &[byte]);
        }
        if mend && image.0[1024 + 12] < 16 {
            image = image.mend();
        }
        let limits = Limits::DEFAULT;
        let whole = unpack_in(&image.0, &plain(), &limits, image.0.len());
        prop_assert_eq!(unpack_in(&image.0, &plain(), &limits, piece), whole);
    }

    #[test]
    fn digests_are_those_of_the_bytes(content in prop::collection::vec(any::<u8>(), 0..500)) {
        let mut expectations = plain();
        expectations.content = Content::Bytes;
        expectations.blob_digest = Some(Algorithm::Sha512.digest(&content));
        let outcome = unpack(&content, &expectations).unwrap();
        prop_assert_eq!(Digest::parse(&outcome.diff_id.to_string()).unwrap(), Algorithm::Sha256.digest(&content));
    }
}
