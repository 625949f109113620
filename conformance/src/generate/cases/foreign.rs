//! Cases of other projects' suites, with their origin. None is an EROFS image: each stands as a
//! device layer, whose content may be any bytes. What they are is kept here in hex; their licences
//! are in `vectors/NOTICE.md`.

use erofs_unpack_core::oci::{Algorithm, keys};
use erofs_unpack_core::{At, Code};
use serde_json::json;

use super::super::suite::{Draft, Suite, Wire, layer};
use crate::blob::Part;

/// Where they come from.
pub(super) const ORIGINS: [(&str, &str); 2] = [
    (
        "go",
        "The tests of compress/gzip in golang/go (gunzip_test.go at 0d40dfa7), under the BSD licence in NOTICE.md. Cuts and changed bytes are stated.",
    ),
    (
        "zstd",
        "tests/golden-decompression and tests/golden-decompression-errors of facebook/zstd at 2dddf090, under the BSD licence in NOTICE.md.",
    ),
];

pub(super) fn add(suite: &mut Suite) {
    zstd(suite);
    go(suite);
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
