//! What the check says of maps that can be read, but that other readers understand otherwise.
//! The inode is the packed one, which the check looks at whatever else the image holds.

use erofs_unpack_core::check::{Level, Options, check};
use erofs_unpack_core::{At, Code, Limits};

use super::builder::*;

/// An LZ4 block that decodes to one byte, `length` times.
fn lz4_run(byte: u8, length: usize) -> Vec<u8> {
    // One literal, a match of the rest but for the five literals that a block ends with.
    let mut block = vec![0x1f, byte, 1, 0];
    let more = length - 1 - 5 - 4 - 15;
    block.resize(block.len() + more / 255, 255);
    block.push((more % 255) as u8);
    block.push(0x50);
    block.extend([byte; 5]);
    block
}

#[test]
fn shares_are_dealt_out_by_the_mebibyte() {
    const PIECE: u64 = 1 << 20;
    // Five extents of one piece each, all of them one pcluster of two blocks.
    let address = u64::from(DATA) * BLOCK as u64;
    let mut made = Made::new(1, 5 * PIECE);
    // Records of 16 bytes: 4 bytes doubled twice.
    made.header(5, EXTENTS | 2 << 1, 0, 0);
    for extent in 0..5 {
        let at = HEADER + 16 + extent * 16;
        // LZ4 is format 1.
        made.put(at, &((2 * BLOCK as u32) | (1 << 28)).to_le_bytes())
            .put(at + 4, &address.to_le_bytes())
            .put(at + 12, &(extent as u32 * PIECE as u32).to_le_bytes());
    }
    let block = lz4_run(b'p', PIECE as usize);
    let start = DATA as usize * BLOCK;
    made.put(start, &[0; 2 * BLOCK])
        .put(start + 2 * BLOCK - block.len(), &block);
    assert_eq!(made.read(3 * PIECE - 1, 2), b"pp");
    made.0.set(96, &NID.to_le_bytes());
    let bytes = made.0.0.as_slice();
    for count in 1..=6 {
        for number in 0..count {
            let mut options = Options::default();
            options.level = Level::Full;
            options.share = (number, count);
            let size = bytes.len() as u64;
            let summary = check(bytes, size, &Limits::DEFAULT, &options, &mut |_| ());
            let mine = (0..5).filter(|piece| piece % count == number).count() as u64;
            let decoded = summary.unwrap().decoded;
            assert_eq!(decoded, mine * PIECE, "{number} of {count}");
        }
    }
}

/// What the check says of the inode.
fn findings(made: &mut Made) -> Vec<(Code, At)> {
    made.0.set(96, &NID.to_le_bytes());
    let bytes = made.0.0.as_slice();
    let mut options = Options::default();
    options.level = Level::Metadata;
    let mut found = vec![];
    let summary = check(
        bytes,
        bytes.len() as u64,
        &Limits::DEFAULT,
        &options,
        &mut |finding| {
            if let At::File(NID, _) = finding.error.at() {
                found.push((finding.error.code(), finding.error.at()));
            }
        },
    );
    assert!(!summary.unwrap().passed(), "there is no root");
    found
}

#[test]
fn full_indexes_lead_to_the_next_head() {
    let indexes = |ahead| {
        [
            (PLAIN, 0, DATA),
            (NONHEAD, 0, back(COUNT | 3, ahead)),
            (NONHEAD, 0, back(2, 7)),
            (PLAIN, 0, DATA + 3),
        ]
    };
    let mut made = Made::new(1, 16_384);
    made.header(0, BIG, 0, 0);
    // Straight to the head, or to an index that knows; a zero is one.
    for ahead in [2, 0] {
        made.indexes(&indexes(ahead));
        made.indexes(&[
            indexes(ahead)[0],
            indexes(ahead)[1],
            (NONHEAD, 0, back(2, 1)),
        ]);
        assert_eq!(findings(&mut made), []);
    }
    for (ahead, second) in [(3, 1), (1, 7), (u16::MAX, 1)] {
        made.indexes(&[
            indexes(ahead)[0],
            indexes(ahead)[1],
            (NONHEAD, 0, back(2, second)),
        ]);
        assert_eq!(
            findings(&mut made),
            [(Code::MapLookahead, At::File(NID, 12_288))]
        );
        // It can be read all the same, as the kernel does.
        assert_eq!(made.read(0, 20_000).len(), 16_384);
    }
    // Behind the last head there is no other.
    let mut made = Made::new(1, 8192);
    made.header(0, BIG, 0, 0)
        .indexes(&[(PLAIN, 0, DATA), (NONHEAD, 0, back(COUNT | 2, 9))]);
    assert_eq!(findings(&mut made), []);
}

#[test]
fn the_last_index_of_a_pack_leads_to_the_next_head() {
    // Packs of two: the head and a further cluster; another head; the address behind each.
    let pack = |first: u16, second: u16, block: u32| {
        let mut pack = first.to_le_bytes().to_vec();
        pack.extend(second.to_le_bytes());
        pack.extend(block.to_le_bytes());
        pack
    };
    for (ahead, expected) in [
        (1, vec![]),
        (0, vec![]),
        (2, vec![(Code::MapLookahead, At::File(NID, 8192))]),
    ] {
        let mut made = Made::new(3, 10_000);
        made.header(0, 0, 0, 0)
            .put(
                HEADER + 8,
                &pack(HEAD1 << 12, NONHEAD << 12 | ahead, DATA - 1),
            )
            .put(HEADER + 16, &pack(PLAIN << 12, 0, DATA));
        assert_eq!(findings(&mut made), expected, "{ahead}");
    }
}

#[test]
fn an_interlaced_pcluster_has_one_block() {
    for (flags, expected) in [
        (BIG, vec![]),
        (
            BIG | INTERLACED,
            vec![(Code::PclusterSurplus, At::File(NID, 0))],
        ),
    ] {
        let mut made = Made::new(1, 8192);
        made.header(0, flags, 0, 0)
            .indexes(&[(PLAIN, 0, DATA), (NONHEAD, 0, back(COUNT | 2, 1))]);
        assert_eq!(findings(&mut made), expected);
    }
}
