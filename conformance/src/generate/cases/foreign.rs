//! Cases of other projects' suites, with their origin. None is an EROFS image: each stands as a
//! device layer, whose content may be any bytes. What they are is kept here in hex; their licences
//! are in `vectors/NOTICE.md`.

use erofs_unpack_core::oci::{Algorithm, keys};
use erofs_unpack_core::{At, Code};
use serde_json::json;

use super::super::gzip;
use super::super::suite::{Draft, Suite, Wire, layer};
use crate::blob::Part;

/// Where they come from.
pub(super) const ORIGINS: [(&str, &str); 3] = [
    (
        "go",
        "The tests of compress/gzip in golang/go (gunzip_test.go at 0d40dfa7), under the BSD licence in NOTICE.md. Cuts and changed bytes are stated.",
    ),
    (
        "zlib",
        "The deflate streams of test/infcover.c in zlib 1.3.2, under the licence in NOTICE.md, as members of gzip: a header, and a trailer or zeros, are added.",
    ),
    (
        "zstd",
        "tests/golden-decompression and tests/golden-decompression-errors of facebook/zstd at 2dddf090, under the BSD licence in NOTICE.md.",
    ),
];

pub(super) fn add(suite: &mut Suite) {
    zstd(suite);
    go(suite);
    zlib(suite);
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("it is hex");
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// A device layer.
fn device(draft: Draft, origin: &str) -> Draft {
    draft.origin(origin).stating(|input| {
        let role = "device".to_owned();
        input.annotations.insert(keys::ROLE.to_owned(), role);
    })
}

/// What is said of content that is any bytes.
fn content(content: &[u8]) -> serde_json::Value {
    json!({
        "diffId": Algorithm::Sha256.digest(content).to_string(),
        "imageSize": content.len(),
        "superblock": null,
    })
}

fn zstd(suite: &mut Suite) {
    let hello = b"Hello World!\n";
    let sequences = ("rfc8878", "3.1.1.3.2.1 Sequences_Section_Header");
    let zeros = vec![0; 1 << 20];
    for (id, description, hex, source, decoded) in [
        (
            "empty-block",
            "The only block is compressed and has no content.",
            "28b52ffd00001500000000",
            ("rfc8878", "3.1.1.2.4 Block_Maximum_Size"),
            &b""[..],
        ),
        (
            "rle-first-block",
            "The frame begins with a block of one byte that is repeated.",
            "28b52ffda4000010000200100002001000020010000200100002001000020010000200100003001000f13e16e1",
            ("rfc8878", "3.1.1.2.2 Block_Type"),
            &zeros,
        ),
        (
            "zero-sequences-2-bytes",
            "The number of sequences, 0, takes two bytes.",
            "28b52ffd00008500006848656c6c6f20576f726c64210a8000",
            sequences,
            hello,
        ),
    ] {
        let id = format!("zstd/golden-{id}");
        let draft = suite.layer(&id, description, Wire::Zstd, &bytes(hex));
        let draft = device(draft, "zstd").demand(source.0, source.1);
        suite.add(draft.valid(content(decoded)));
    }
    // A block of 128 KiB, nearly all of it zeros.
    let head = bytes("28b52ffd0038050010ccff1f");
    let blob = Suite::recipe(vec![Part::new(&head, 1), Part::new(&[0], 131_069)]);
    let draft = layer(
        "zstd/golden-block-128k",
        "A compressed block is as large as a block may be.",
        Wire::Zstd,
        blob,
    );
    let draft = device(draft, "zstd").demand("rfc8878", "3.1.1.2.3 Block_Size");
    suite.add(draft.valid(content(&vec![0; 131_068])));

    for (id, description, hex, source) in [
        (
            "offset-zero",
            "A sequence reaches back by no byte.",
            "28b52ffd0000450000080002002f430bae",
            ("rfc8878", "3.1.1.5 Repeat Offsets"),
        ),
        (
            "huffman-state-cut",
            "The bits of Huffman weights end before their states are read.",
            "28b52ffd000055000072800104207e1f02aa00",
            ("rfc8878", "4.2.1.2 FSE Compression of Huffman Weights"),
        ),
        (
            "zero-sequences-more",
            "Bytes follow in a block without sequences.",
            "28b52ffd00009500006848656c6c6f20576f726c64210a80000000",
            sequences,
        ),
    ] {
        let id = format!("zstd/golden-{id}");
        let draft = suite.layer(&id, description, Wire::Zstd, &bytes(hex));
        let draft = device(draft, "zstd").demand(source.0, source.1);
        suite.add(draft.refused(Code::ZstdBlock, At::Blob(6)));
    }
}

fn go(suite: &mut Suite) {
    const MEMBER: (&str, &str) = ("rfc1952", "2.3 Member format");
    let hello = bytes(
        "1f8b0808c858134a000368656c6c6f2e74787400cb48cdc9c95728cf2fca49e102002d3b08af0c000000",
    );
    let extra =
        bytes("1f8b080400096e8800ff0700666f6f20626172cb48cdc9c9d75128cf2fca4901043a72abff0c000000");
    let valid: [(&str, &str, Vec<u8>, &[u8]); 5] = [
        (
            "empty",
            "One block of fixed codes without content; the header has a name.",
            bytes("1f8b0808f75e144a0003656d7074792e7478740003000000000000000000"),
            b"",
        ),
        (
            "hello",
            "One block of fixed codes; the header has a name.",
            hello.clone(),
            b"hello world\n",
        ),
        (
            "hello-twice",
            "Two members.",
            [&hello[..], &hello].concat(),
            b"hello world\nhello world\n",
        ),
        (
            "matches",
            "One block of fixed codes with matches.",
            bytes(
                "1f8b080872668b4a000373686573656c6c732e747874002bce4855284ecdc929\
                 069289c519605652a54209581828905f94ca050076b03beb24000000",
            ),
            b"she sells seashells by the seashore\n",
        ),
        (
            "extra",
            "The header has an extra field.",
            extra.clone(),
            b"hello, world",
        ),
    ];
    for (id, description, blob, decoded) in valid {
        let id = format!("gzip/go-{id}");
        let draft = suite.layer(&id, description, Wire::Gzip, &blob);
        let draft = device(draft, "go").demand(MEMBER.0, MEMBER.1);
        suite.add(draft.valid(content(decoded)));
    }
    let with = |at: usize, bytes: &[u8]| {
        let mut blob = hello.clone();
        blob.splice(at..at + bytes.len(), bytes.iter().copied());
        blob
    };
    let rest = |bytes: &[u8]| [&hello[..], bytes].concat();
    let trailer = ("rfc1952", "2.3.1 Member header and trailer");
    let refused = [
        (
            "garbage",
            "Bytes that begin no member follow.",
            rest(b"garbage!!!"),
            "hello",
            ("unpack", "gzip"),
            Code::GzipTrailing,
            42,
        ),
        (
            "half-magic",
            "The first byte of a magic follows.",
            rest(&[0x1f]),
            "hello",
            ("unpack", "gzip"),
            Code::GzipTruncated,
            43,
        ),
        (
            "checksum",
            "The CRC32 is another.",
            with(34, &[0xff; 4]),
            "hello",
            trailer,
            Code::GzipCrc,
            34,
        ),
        (
            "size",
            "The ISIZE is another.",
            with(38, &[0xff]),
            "hello",
            trailer,
            Code::GzipSize,
            38,
        ),
    ];
    for (id, description, blob, other, source, code, at) in refused {
        let id = format!("gzip/go-{id}");
        let draft = suite.layer(&id, description, Wire::Gzip, &blob);
        let draft = device(draft, "go").demand(source.0, source.1);
        let draft = draft.differs_from(&format!("gzip/go-{other}"));
        suite.add(draft.refused(code, At::Blob(at)));
    }
    for (end, description) in [
        (1, "The blob ends in the magic."),
        (9, "The blob ends in the header."),
        (11, "The blob ends in the length of the extra field."),
        (15, "The blob ends in the extra field."),
        (25, "The blob ends in the block."),
        (34, "The blob ends in the CRC32."),
        (39, "The blob ends in the ISIZE."),
    ] {
        let id = format!("gzip/go-cut-{end}");
        let draft = suite.layer(&id, description, Wire::Gzip, &extra[..end]);
        let draft = device(draft, "go").demand(MEMBER.0, MEMBER.1);
        let draft = draft.differs_from("gzip/go-extra");
        suite.add(draft.refused(Code::GzipTruncated, At::Blob(end as u64)));
    }
}

/// The streams by which zlib reaches each line of its inflate, each as a member of its own.
fn zlib(suite: &mut Suite) {
    const MEMBER: &str = "1f8b08000000000000ff";
    const FORMAT: &str = "3.2.3 Details of block format";
    const STORED: &str = "3.2.4 Non-compressed blocks";
    const MATCHES: &str = "3.2.5 Compressed blocks";
    const FIXED: &str = "3.2.6 Compression with fixed Huffman codes";
    const DYNAMIC: &str = "3.2.7 Compression with dynamic Huffman codes";

    let zeros = |count| vec![0; count];
    for (id, description, stream, section, decoded) in [
        (
            "fixed",
            "One block of fixed codes without content.",
            "0300",
            FIXED,
            zeros(0),
        ),
        (
            "blocks",
            "Five blocks of fixed codes, all without content.",
            "02082080000300",
            FIXED,
            zeros(0),
        ),
        (
            "stored",
            "One stored block of one byte.",
            "010100feff00",
            STORED,
            zeros(1),
        ),
        (
            "short-runs",
            "Short runs of symbols have no code, each run stated at once.",
            "05c0210d00000080b0fe6d2f916c",
            DYNAMIC,
            zeros(0),
        ),
        (
            "long-codes",
            "There are codes of every length up to 15 bits.",
            "05e0819124cbb22c49e20f2e8b9a47569ffbfeecd2ff1f",
            DYNAMIC,
            zeros(0),
        ),
        (
            "length-extra",
            "A match of 257 bytes, the most of the lengths with extra bits but one.",
            "edc001010000004020ff571b422c4f",
            MATCHES,
            zeros(516),
        ),
        (
            "distance-extra",
            "A distance has a code of 10 bits, and extra bits.",
            "edcfc1b12c4710c430fa6f351d0182593dfbbe2e2afc0f0c",
            MATCHES,
            zeros(518),
        ),
        (
            "longest-matches",
            "The longest match over and over, by codes of one bit.",
            "edc0810000000080a0fda917a900000000000000000000000000000000000000000000000000000006",
            MATCHES,
            zeros(27_865),
        ),
        (
            "match-shorter",
            "A match is shorter than it reaches back.",
            "631805400c00",
            MATCHES,
            zeros(262),
        ),
        (
            "matches-half",
            "Two matches of 128 bytes.",
            "63186830d00000",
            MATCHES,
            zeros(257),
        ),
        (
            "match-two",
            "A match repeats the last two bytes.",
            "6318058c100800",
            MATCHES,
            [&zeros(259)[..], &[1, 0, 1, 0, 1, 0, 1]].concat(),
        ),
        (
            "match-across",
            "A match takes in content of several matches and literals.",
            "63606018c9000818181826c02800",
            MATCHES,
            [&zeros(261)[..], &[144, 0, 0, 0, 0, 0, 0, 144, 0]].concat(),
        ),
        (
            "run",
            "A match repeats the byte before it.",
            "63000300",
            MATCHES,
            zeros(6),
        ),
    ] {
        let blob = [bytes(MEMBER), bytes(stream), gzip::trailer(&decoded)].concat();
        let draft = suite.layer(&format!("gzip/zlib-{id}"), description, Wire::Gzip, &blob);
        let draft = device(draft, "zlib").demand("rfc1951", section);
        suite.add(draft.valid(content(&decoded)));
    }
    for (id, description, stream, section) in [
        (
            "stored-length",
            "The length of a stored block and its complement do not fit.",
            "0000000000",
            STORED,
        ),
        (
            "block-type",
            "The block has the type that there is not.",
            "06",
            FORMAT,
        ),
        (
            "too-many-codes",
            "More literal and length codes are stated than there are.",
            "fc0000",
            DYNAMIC,
        ),
        (
            "length-codes-incomplete",
            "The code of the code lengths is incomplete.",
            "0400feff",
            DYNAMIC,
        ),
        (
            "repeat-first",
            "The first code length repeats the one before it.",
            "0400244900",
            DYNAMIC,
        ),
        (
            "repeat-beyond",
            "A repeated code length goes on beyond the last symbol.",
            "040024e9ffff",
            DYNAMIC,
        ),
        (
            "end-of-block",
            "The end of the block has no code.",
            "040024e9ff6d",
            DYNAMIC,
        ),
        (
            "literals-crowded",
            "There are more codes of literals and lengths than fit.",
            "048049922449922471ffff931100",
            DYNAMIC,
        ),
        (
            "distances-incomplete",
            "The codes of distances are incomplete, and more than one bit long.",
            "04804992244992240fb4ffffc384",
            DYNAMIC,
        ),
        (
            "no-literal",
            "The bits are no code of a literal or a length.",
            "04c0810800000000207feb0b0000",
            DYNAMIC,
        ),
        (
            "no-distance",
            "A match has a distance code that there is not.",
            "027effff",
            FIXED,
        ),
        (
            "no-distance-fixed",
            "The distance code after the shortest length is one that there is not.",
            "037e0000000000",
            FIXED,
        ),
        (
            "no-length",
            "The length code is one that there is not.",
            "1b070000000000",
            FIXED,
        ),
        (
            "too-far",
            "A match reaches back by one byte, and there is none.",
            "0cc081000000000090ff6b0400",
            MATCHES,
        ),
        (
            "too-far-long-codes",
            "So does one of a length with extra bits and a code of 15 bits.",
            "e5e081ad6dcbb22cc9011e5963ae7deefb4dfdb5354168ff7f0f000000",
            MATCHES,
        ),
        (
            "too-far-longest",
            "The first match reaches back by 32 KiB.",
            "25fd81b56d59b66a49eaaf350634eb8cb9f6b91eef674950feffff3f0000",
            MATCHES,
        ),
        (
            "too-far-two-codes",
            "Length and distance have codes of 10 and 7 bits, and there is no byte to reach.",
            "0dc701aeeb380c0441a08772dedffb1fb836b1385dffff00",
            MATCHES,
        ),
    ] {
        // Zeros in the place of a trailer, so that nothing is cut off.
        let blob = [bytes(MEMBER), bytes(stream), vec![0; 8]].concat();
        let draft = suite.layer(&format!("gzip/zlib-{id}"), description, Wire::Gzip, &blob);
        let draft = device(draft, "zlib").demand("rfc1951", section);
        suite.add(draft.refused(Code::GzipDeflate, At::Blob(10)));
    }
}
