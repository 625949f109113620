//! Compressed zstd blocks, written by hand: what is just allowed, and beside it what the
//! specification rules out though libzstd takes it.

use erofs_unpack_core::Code;

use super::super::bases::Bases;
use super::super::suite::{Suite, Wire};
use super::super::zstd::{self, COMPRESSED, Header, RAW};
use super::wires::outputs;
use super::zstd::refused;

/// Where a rule stands.
type Source = (&'static str, &'static str);

const LITERALS: Source = ("rfc8878", "4.2.2 Huffman-Coded Streams");
const TREE: Source = ("rfc8878", "4.2.1 Huffman Tree Description");
const DISTRIBUTION: Source = ("rfc8878", "4.1.1 FSE Table Description");
const WINDOW: Source = ("rfc8878", "3.1.1.1.2 Window Descriptor");
const BLOCK: Source = ("rfc8878", "3.1.1.2.4 Block_Maximum_Size");

/// A window of 1 KiB.
const NARROW: Header = Header {
    window: Some(0),
    ..Header::PLAIN
};

pub(super) fn add(suite: &mut Suite, bases: &Bases) {
    let image = bases.get("small.erofs");
    four_streams(suite, image);
    one_stream(suite, image);
    longest_codes(suite, image);
    weights(suite, image);
    distribution(suite, image);
    window(suite, image);
    content(suite, image);
}

/// Bits, eight in a byte, the first one in its lowest place.
fn bytes(bits: &[u8]) -> Vec<u8> {
    let byte = |bits: &[u8]| bits.iter().rev().fold(0, |sum, bit| sum << 1 | bit);
    bits.chunks(8).map(byte).collect()
}

/// A field of so many bits, the lowest first.
fn field((value, size): (u32, u32)) -> impl Iterator<Item = u8> {
    (0..size).map(move |bit| u8::from(value >> bit & 1 == 1))
}

/// A bit stream that is read from its start (section 4.1.1).
fn forwards(fields: &[(u32, u32)]) -> Vec<u8> {
    let bits: Vec<u8> = fields.iter().copied().flat_map(field).collect();
    bytes(&bits)
}

/// A bit stream that is read from its end, where a one stands before the first field (section
/// 4.2.2).
fn backwards(fields: &[(u32, u32)]) -> Vec<u8> {
    let mut bits: Vec<u8> = fields.iter().rev().copied().flat_map(field).collect();
    bits.push(1);
    bytes(&bits)
}

/// A block of Huffman-coded literals without sequences (section 3.1.1.3.1.1): of a type, a size
/// format of 3 bytes, and a size.
fn literals(kind: u32, format: u32, size: usize, data: &[u8]) -> Vec<u8> {
    let sizes = u32::try_from(size << 4 | data.len() << 14).expect("sizes below 1024");
    let header = (sizes | format << 2 | kind).to_le_bytes();
    [&header[..3], data, &[0]].concat()
}

/// Literals in four streams, behind the description of their tree.
fn four(tree: &[u8], size: usize, streams: &[Vec<u8>; 4]) -> Vec<u8> {
    let mut data = tree.to_vec();
    for stream in &streams[..3] {
        let size = u16::try_from(stream.len()).expect("a short stream");
        data.extend(size.to_le_bytes());
    }
    data.extend(streams.concat());
    literals(2, 1, size, &data)
}

/// The tree of two symbols with a bit each: one weight is stated, 1.
const TWO: [u8; 2] = [127 + 1, 0x10];

/// A frame of the image in which the blocks stand at the start, for so many bytes; all else is raw.
fn begun(header: &Header, blocks: &[Vec<u8>], size: usize, image: &[u8]) -> Vec<u8> {
    let mut blob = header.bytes();
    for body in blocks {
        blob.extend(zstd::block(false, COMPRESSED, body.len(), body));
    }
    blob.extend(rest(&image[size..]));
    blob
}

/// Raw blocks of up to 1 KiB, the last of them that of the frame.
fn rest(content: &[u8]) -> Vec<u8> {
    let count = content.len().div_ceil(1024);
    let chunks = content.chunks(1024).enumerate();
    chunks
        .flat_map(|(place, chunk)| zstd::block(place + 1 == count, RAW, chunk.len(), chunk))
        .collect()
}

/// The image with other bytes at its start, of which the first 1024 are free.
fn beginning(image: &[u8], content: &[u8]) -> Vec<u8> {
    [content, &image[content.len()..]].concat()
}

fn valid(suite: &mut Suite, (id, description): (&str, &str), source: Source, of: (&[u8], &[u8])) {
    let (blob, image) = of;
    let draft = suite.layer(&format!("zstd/{id}"), description, Wire::Zstd, blob);
    suite.add(draft.demand(source.0, source.1).valid(outputs(image, 1)));
}

/// Adds a case whose block at this place is refused.
fn bad(suite: &mut Suite, names: (&str, &str, &str), blob: &[u8], source: Source, at: usize) {
    refused(suite, names, blob, source, Code::ZstdBlock, at as u64);
}

/// Each stream has 8 bytes, so that libzstd takes its fast loops.
fn four_streams(suite: &mut Suite, image: &[u8]) {
    let content: Vec<u8> = (0..240_u32).map(|n| u8::from(n * n % 7 < 3)).collect();
    let fields: Vec<(u32, u32)> = content.iter().map(|bit| ((*bit).into(), 1)).collect();
    let stream = |place: usize| fields[place * 60..][..60].to_vec();
    let with = |first: &[(u32, u32)]| {
        let streams = [first, &stream(1), &stream(2), &stream(3)].map(backwards);
        let block = four(&TWO, content.len(), &streams);
        begun(&Header::PLAIN, &[block], content.len(), image)
    };
    let good = "literals-four";
    valid(
        suite,
        (good, "Literals are in four streams of 8 bytes."),
        LITERALS,
        (&with(&stream(0)), &beginning(image, &content)),
    );
    let more = [&stream(0)[..], &[(0, 1)]].concat();
    for (id, description, first) in [
        (
            "literals-four-more",
            "The first of four streams of literals has a bit more than its symbols take.",
            &more[..],
        ),
        (
            "literals-four-less",
            "The first of four streams of literals lacks the bit of its last symbol.",
            &more[..59],
        ),
    ] {
        let names = (id, description, "zstd/literals-four");
        bad(suite, names, &with(first), LITERALS, 6);
    }
}

/// The block before has so many literals that libzstd makes a table of it which gives two symbols
/// at a time.
fn one_stream(suite: &mut Suite, image: &[u8]) {
    let zeros = vec![(0, 1); 250];
    let stream = || backwards(&zeros);
    let block = four(&TWO, 1000, &[stream(), stream(), stream(), stream()]);
    let at = 6 + 3 + block.len();
    let with = |fields: &[(u32, u32)]| {
        let treeless = literals(3, 0, 1, &backwards(fields));
        begun(&Header::PLAIN, &[block.clone(), treeless], 1001, image)
    };
    let content = [&[0; 1000][..], &[1]].concat();
    valid(
        suite,
        (
            "literals-treeless",
            "A literal uses the Huffman tree of the block before.",
        ),
        LITERALS,
        (&with(&[(1, 1)]), &beginning(image, &content)),
    );
    for (id, description, fields) in [
        (
            "literals-more",
            "A stream of one literal has the bits of two.",
            &[(1, 1), (0, 1)][..],
        ),
        ("literals-less", "A stream of one literal has no bits.", &[]),
    ] {
        let names = (id, description, "zstd/literals-treeless");
        bad(suite, names, &with(fields), LITERALS, at);
    }
}

/// A tree whose codes have 1, 2, 3 bits and so on up to `longest`, of which there are two.
fn longest_codes(suite: &mut Suite, image: &[u8]) {
    let with = |longest: u32| {
        let mut nibbles: Vec<u8> = (1..=longest.to_le_bytes()[0]).rev().collect();
        let mut data = vec![127 + nibbles.len().to_le_bytes()[0]];
        nibbles.push(0);
        data.extend(nibbles.as_chunks::<2>().0.iter().map(|[a, b]| a << 4 | b));
        let mut codes: Vec<(u32, u32)> = (1..longest).map(|length| (1, length)).collect();
        codes.extend([(0, longest), (1, longest)]);
        data.extend(backwards(&codes));
        let block = literals(2, 0, codes.len(), &data);
        begun(&Header::PLAIN, &[block], codes.len(), image)
    };
    let content: Vec<u8> = (0..12).collect();
    valid(
        suite,
        ("codes-11", "The longest codes of literals have 11 bits."),
        TREE,
        (&with(11), &beginning(image, &content)),
    );
    let names = (
        "codes-12",
        "The longest codes of literals have 12 bits.",
        "zstd/codes-11",
    );
    bad(suite, names, &with(12), TREE, 6);
}

/// Weights that are FSE-compressed, by a distribution of an accuracy of 5: of 32 states weight 0
/// has 15, weight 1 has 16, and the largest weight one.
fn weights(suite: &mut Suite, image: &[u8]) {
    let with = |none: &[(u32, u32)]| {
        // Accuracy; one more than each count, in as few bits as what is left takes. Behind a count
        // of none, which is weight 2's, stands how many more have none.
        let start = [(0, 4), (16, 5), (30, 5), (1, 2)];
        let mut weights = forwards(&[&start, none, &[(3, 2)]].concat());
        // Two states of weight 1, and no bits for a third.
        weights.extend(backwards(&[(3, 5), (3, 5)]));
        let mut data = vec![weights.len().to_le_bytes()[0]];
        data.extend(weights);
        // The last weight follows: two codes of two bits, one of one.
        data.extend(backwards(&[(1, 1), (0, 2), (1, 2), (1, 1)]));
        begun(&Header::PLAIN, &[literals(2, 0, 4, &data)], 4, image)
    };
    valid(
        suite,
        (
            "weights",
            "A Huffman tree is described by a distribution of the weights 0 to 11.",
        ),
        TREE,
        (
            &with(&[(3, 2), (3, 2), (2, 2)]),
            &beginning(image, &[2, 0, 1, 2]),
        ),
    );
    let names = (
        "weights-12",
        "A Huffman tree is described by a distribution that has a state for a weight of 12.",
        "zstd/weights",
    );
    let blob = with(&[(3, 2), (3, 2), (3, 2), (0, 2)]);
    bad(suite, names, &blob, TREE, 6);
}

/// Eight literals, and one sequence that takes them all and repeats the last, whose match lengths
/// have the distribution that ends the block.
fn distribution(suite: &mut Suite, image: &[u8]) {
    let block = [
        &[8 << 3, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0b01_01_10_00, 8, 0][..],
        // It goes on behind these eight bytes, and so would the bit stream.
        &[0xc2, 0xb9, 0, 0x2c, 0, 0, 0x45, 0x81],
    ]
    .concat();
    let names = (
        "distribution-cut-off",
        "The block ends inside of the distribution of the match lengths.",
        "zstd/no-checksum",
    );
    let blob = begun(&Header::PLAIN, &[block], 18, image);
    bad(suite, names, &blob, DISTRIBUTION, 6);
}

/// A match of 16 bytes without literals, each code being the only one. 3 more than the distance
/// is a one and ten bits.
fn window(suite: &mut Suite, image: &[u8]) {
    let place = 1472;
    let with = |distance: usize| {
        let mut image = image.to_vec();
        // What is before the superblock is free.
        image.copy_within(place..place + 16, place - distance);
        let mut block = vec![0, 1, 0b01_01_01_00, 0, 10, 13];
        let more = u32::try_from(distance + 3 - 1024).expect("a short way");
        block.extend(backwards(&[(more, 10)]));
        let before = [
            NARROW.bytes(),
            zstd::block(false, RAW, 1000, &image[..1000]),
            zstd::block(false, RAW, place - 1000, &image[1000..place]),
        ]
        .concat();
        let at = before.len();
        let block = zstd::block(false, COMPRESSED, block.len(), &block);
        let blob = [before, block, rest(&image[place + 16..])].concat();
        (blob, image, at)
    };
    let (blob, image, _) = with(1024);
    valid(
        suite,
        (
            "match-window",
            "A match reaches back as far as the window of 1 KiB does.",
        ),
        WINDOW,
        (&blob, &image),
    );
    let names = (
        "match-before-window",
        "A match reaches back a byte farther than the window of 1 KiB does.",
        "zstd/match-window",
    );
    let (blob, _, at) = with(1025);
    bad(suite, names, &blob, WINDOW, at);
}

/// A literal and one match that repeats it, in a window of 1 KiB. The byte is that which the
/// superblock begins with.
fn content(suite: &mut Suite, image: &[u8]) {
    let with = |size: usize| {
        let mut block = vec![1 << 3, image[1024], 1, 0b01_01_01_00, 1, 0, 45];
        let more = u32::try_from(size - 1 - 515).expect("a short match");
        block.extend(backwards(&[(more, 9)]));
        begun(&NARROW, &[block], size, image)
    };
    valid(
        suite,
        (
            "block-content-largest",
            "A compressed block decodes to as much as the window of 1 KiB.",
        ),
        BLOCK,
        (&with(1024), &beginning(image, &[image[1024]; 1024])),
    );
    let names = (
        "block-content",
        "A compressed block decodes to a byte more than the window of 1 KiB.",
        "zstd/block-content-largest",
    );
    bad(suite, names, &with(1025), BLOCK, 6);
}
