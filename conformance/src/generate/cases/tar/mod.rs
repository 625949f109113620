//! tar archives: what every reader takes, and what readers understand differently.

mod refused;
mod taken;

use super::super::suite::{Draft, Suite};
use crate::manifest::{Limits, Operation, TarInput};

/// Size of a header and of a block.
const BLOCK: usize = 512;
/// The section of `vectors/README.md`.
const SETTLED: &str = "tar archives";

pub(super) fn add(suite: &mut Suite) {
    taken::add(suite);
    refused::add(suite);
}

/// A header: POSIX, root's, mode 0644, time 1.
#[derive(Clone)]
pub(super) struct Head([u8; BLOCK]);

impl Head {
    pub(super) fn new(name: &str, kind: u8) -> Self {
        Self([0; BLOCK])
            .put(0, name.as_bytes())
            .put(100, b"0000644\0")
            .put(108, b"0000000\0")
            .put(116, b"0000000\0")
            .put(124, b"00000000000\0")
            .put(136, b"00000000001\0")
            .put(156, &[kind])
            .put(257, b"ustar\x0000")
            .put(329, b"0000000\0")
            .put(337, b"0000000\0")
    }

    /// In GNU tar's form.
    fn gnu(name: &str, kind: u8) -> Self {
        Self::new(name, kind).put(257, b"ustar  \0")
    }

    /// In the form from before POSIX.
    fn old(name: &str, kind: u8) -> Self {
        Self::new(name, kind).put(257, &[0; 255])
    }

    pub(super) fn link(name: &str, kind: u8, to: &str) -> Self {
        Self::new(name, kind).put(157, to.as_bytes())
    }

    fn size(self, size: usize) -> Self {
        self.put(124, format!("{size:011o}\0").as_bytes())
    }

    pub(super) fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..][..bytes.len()].copy_from_slice(bytes);
        self
    }

    /// With its checksum.
    fn block(mut self) -> [u8; BLOCK] {
        self.0[148..156].fill(b' ');
        let sum: u32 = self.0.iter().map(|byte| u32::from(*byte)).sum();
        self.put(148, format!("{sum:06o}\0 ").as_bytes()).0
    }
}

/// An archive that is being made.
#[derive(Clone, Default)]
pub(super) struct Tar(Vec<u8>);

impl Tar {
    /// Adds a header, and bytes that are filled up to a block.
    pub(super) fn add(mut self, head: Head, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(&head.block());
        self.raw(bytes)
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    /// Adds a header with the size of these bytes, and them.
    pub(super) fn sized(self, head: Head, bytes: &[u8]) -> Self {
        self.add(head.size(bytes.len()), bytes)
    }

    pub(super) fn file(self, name: &str) -> Self {
        self.add(Head::new(name, b'0'), b"")
    }

    pub(super) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        self.sized(Head::new("PaxHeaders/x", b'x'), &self::records(records))
    }

    fn global(self, records: &[(&str, &[u8])]) -> Self {
        self.sized(
            Head::new("pax_global_header", b'g'),
            &self::records(records),
        )
    }

    pub(super) fn long(self, kind: u8, text: &[u8]) -> Self {
        self.sized(Head::gnu("././@LongLink", kind), text)
    }

    /// With an end marker.
    pub(super) fn ended(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }
}

/// The records of a `pax` header.
fn records(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut text = Vec::new();
    for (keyword, value) in records {
        let rest = keyword.len() + value.len() + 3;
        let length = (rest + 1..)
            .find(|length| *length == rest + length.to_string().len())
            .unwrap_or(rest);
        text.extend_from_slice(format!("{length} {keyword}=").as_bytes());
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    text
}

/// A case of reading an archive.
fn case(suite: &mut Suite, name: &str, description: &str, archive: &[u8]) -> Draft {
    let id = format!("tar/{name}");
    let input = TarInput {
        archive: suite.file(&format!("cases/{id}.tar"), archive),
        limits: Limits::default(),
    };
    Draft::new(&id, description, Operation::Tar(input))
}

/// A sparse file of 20 bytes that is no hole in 4..7 and 12..14.
const PIECES: &[u8] = b"abcde";

/// Its map before the content, with the content.
fn lines() -> Vec<u8> {
    Tar::default().raw(b"2\n4\n3\n12\n2\n").raw(PIECES).0[..BLOCK + PIECES.len()].to_vec()
}

const MAP_00: [(&str, &[u8]); 6] = [
    ("GNU.sparse.size", b"20"),
    ("GNU.sparse.numblocks", b"2"),
    ("GNU.sparse.offset", b"4"),
    ("GNU.sparse.numbytes", b"3"),
    ("GNU.sparse.offset", b"12"),
    ("GNU.sparse.numbytes", b"2"),
];
const MAP_01: [(&str, &[u8]); 4] = [
    ("GNU.sparse.name", b"real"),
    ("GNU.sparse.size", b"20"),
    ("GNU.sparse.numblocks", b"2"),
    ("GNU.sparse.map", b"4,3,12,2"),
];
const MAP_10: [(&str, &[u8]); 4] = [
    ("GNU.sparse.major", b"1"),
    ("GNU.sparse.minor", b"0"),
    ("GNU.sparse.name", b"real"),
    ("GNU.sparse.realsize", b"20"),
];

/// A header of the old form with these pieces.
fn old_sparse(pieces: &[(u64, u64)], size: u64) -> Head {
    let head = Head::gnu("real", b'S').put(483, format!("{size:011o}\0").as_bytes());
    pieces
        .iter()
        .enumerate()
        .fold(head, |head, (index, (offset, length))| {
            let text = format!("{offset:011o}\0{length:011o}\0");
            head.put(386 + 24 * index, text.as_bytes())
        })
}
