//! Archives made by hand, and what the reader says of an archive.

use erofs_unpack_core::tar::{BLOCK, Entry, Event, Reader};
use erofs_unpack_core::{At, Code, Error, Limits};

/// A member with its content: the pieces by their offsets, those that touch joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) entry: Entry,
    pub(crate) pieces: Vec<(u64, Vec<u8>)>,
    pub(crate) is_complete: bool,
}

impl Member {
    /// The whole file, holes as zeros.
    pub(crate) fn file(&self) -> Vec<u8> {
        let mut file = vec![0; usize::try_from(self.entry.size).unwrap()];
        for (offset, bytes) in &self.pieces {
            let offset = usize::try_from(*offset).unwrap();
            file[offset..][..bytes.len()].copy_from_slice(bytes);
        }
        file
    }

    pub(crate) fn path(&self) -> String {
        String::from_utf8_lossy(&self.entry.path).into_owned()
    }
}

/// All that the reader says of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) members: Vec<Member>,
    pub(crate) end: Result<(), Error>,
    pub(crate) is_cut: bool,
    pub(crate) has_ended: bool,
}

/// Reads an archive in pieces whose sizes `cut` gives.
pub(crate) fn read_cut(archive: &[u8], limits: &Limits, mut cut: impl FnMut() -> usize) -> Said {
    let mut reader = Reader::new(limits);
    let mut members: Vec<Member> = Vec::new();
    let mut rest = archive;
    let mut has_ended = false;
    let mut run = || {
        loop {
            let mut piece = &rest[..cut().min(rest.len())];
            loop {
                let (taken, event) = reader.step(piece)?;
                piece = &piece[taken..];
                rest = &rest[taken..];
                match event {
                    Event::More => {
                        assert!(piece.is_empty());
                        break;
                    }
                    Event::Entry(entry) => {
                        assert!(members.last().is_none_or(|last| last.is_complete));
                        members.push(Member {
                            entry,
                            pieces: Vec::new(),
                            is_complete: false,
                        });
                    }
                    Event::Content { offset, bytes } => {
                        assert!(!bytes.is_empty());
                        let pieces = &mut members.last_mut().unwrap().pieces;
                        match pieces.last_mut() {
                            Some((start, known)) if *start + known.len() as u64 == offset => {
                                known.extend_from_slice(bytes);
                            }
                            _ => pieces.push((offset, bytes.to_vec())),
                        }
                    }
                    Event::EntryEnd => members.last_mut().unwrap().is_complete = true,
                    Event::End => {
                        has_ended = true;
                        break;
                    }
                }
                assert_eq!(reader.position(), (archive.len() - rest.len()) as u64);
            }
            if rest.is_empty() {
                return reader.finish();
            }
        }
    };
    let end = run();
    if end.is_err() {
        let finished = Err(Code::Finished);
        assert_eq!(reader.step(&[0]).map(drop).map_err(|e| e.code()), finished);
        assert_eq!(reader.finish().map_err(|e| e.code()), finished);
    }
    let is_cut = reader.is_cut();
    Said {
        members,
        end,
        is_cut,
        has_ended,
    }
}

/// Reads an archive at once, and byte by byte, which must be the same.
pub(crate) fn read(archive: &[u8]) -> Said {
    read_within(archive, &Limits::DEFAULT)
}

pub(crate) fn read_within(archive: &[u8], limits: &Limits) -> Said {
    let whole = read_cut(archive, limits, || usize::MAX);
    if archive.len() < 1 << 20 {
        assert_eq!(read_cut(archive, limits, || 1), whole);
    }
    assert_eq!(read_cut(archive, limits, || 700), whole);
    whole
}

/// The members of an archive that is taken.
#[track_caller]
pub(crate) fn members(archive: &[u8]) -> Vec<Member> {
    let said = read(archive);
    assert_eq!(said.end, Ok(()));
    assert!(!said.is_cut || !said.has_ended);
    for member in &said.members {
        assert!(member.is_complete);
        let stored: usize = member.pieces.iter().map(|(_, bytes)| bytes.len()).sum();
        assert_eq!(stored as u64, member.entry.stored);
        if let Some(extents) = &member.entry.extents {
            let pieces = member.pieces.iter();
            let pieces: Vec<_> = pieces
                .map(|(at, bytes)| (*at, bytes.len() as u64))
                .collect();
            assert_eq!(pieces, *extents);
        }
        let content = usize::try_from(member.entry.content).unwrap();
        if let Some((_, first)) = member.pieces.first() {
            assert!(archive[content..].starts_with(first));
        }
    }
    said.members
}

/// The one member of an archive that is taken.
#[track_caller]
pub(crate) fn only(archive: &Tar) -> Member {
    let mut members = members(&archive.ended());
    assert_eq!(members.len(), 1, "{members:?}");
    members.remove(0)
}

/// Asserts that an archive is refused so, at this byte.
#[track_caller]
pub(crate) fn refused(archive: &[u8], code: Code, at: usize) {
    let said = read(archive);
    let found = said.end.map_err(|error| (error.code(), error.at()));
    assert_eq!(found, Err((code, At::Archive(at as u64))));
}

/// An archive that is being made.
#[derive(Clone, Default)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

impl Tar {
    /// Adds a header, and content that is filled up to a block.
    pub(crate) fn add(mut self, header: &Head, content: &[u8]) -> Self {
        self.0.extend_from_slice(&header.block());
        self.raw(content)
    }

    /// Adds content that is filled up to a block.
    pub(crate) fn raw(mut self, content: &[u8]) -> Self {
        self.0.extend_from_slice(content);
        let padded = self.0.len().next_multiple_of(BLOCK);
        self.0.resize(padded, 0);
        self
    }

    /// Adds a header with its content's size, and the content.
    pub(crate) fn sized(self, header: &Head, content: &[u8]) -> Self {
        self.add(&header.clone().size(content.len() as u64), content)
    }

    /// Adds a `pax` header with these records.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        self.sized(&Head::new("PaxHeaders/x", b'x'), &self::records(records))
    }

    /// Adds a global one.
    pub(crate) fn global(self, records: &[(&str, &[u8])]) -> Self {
        self.sized(
            &Head::new("pax_global_header", b'g'),
            &self::records(records),
        )
    }

    /// Adds an empty file.
    pub(crate) fn file(self, name: &str) -> Self {
        self.add(&Head::new(name, b'0'), b"")
    }

    /// Its size so far.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The archive with its end marker.
    pub(crate) fn ended(&self) -> Vec<u8> {
        let mut all = self.0.clone();
        all.resize(all.len() + 2 * BLOCK, 0);
        all
    }
}

/// The records of a `pax` header.
pub(crate) fn records(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        text.extend_from_slice(format!("{length} {key}=").as_bytes());
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    text
}

/// A header that is being made: POSIX, root's, mode 0644, time 1.
#[derive(Clone)]
pub(crate) struct Head(Box<[u8; BLOCK]>);

impl Head {
    pub(crate) fn new(name: &str, kind: u8) -> Self {
        let head = Self(Box::new([0; BLOCK]));
        head.put(0, name.as_bytes())
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

    /// The same in GNU tar's form.
    pub(crate) fn gnu(name: &str, kind: u8) -> Self {
        Self::new(name, kind).put(257, b"ustar  \0")
    }

    /// The same in the form from before POSIX.
    pub(crate) fn old(name: &str, kind: u8) -> Self {
        Self::new(name, kind).put(257, &[0; 255])
    }

    /// A link.
    pub(crate) fn link(name: &str, kind: u8, to: &str) -> Self {
        Self::new(name, kind).put(157, to.as_bytes())
    }

    pub(crate) fn size(self, size: u64) -> Self {
        self.put(124, format!("{size:011o}\0").as_bytes())
    }

    /// Overwrites bytes.
    pub(crate) fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..][..bytes.len()].copy_from_slice(bytes);
        self
    }

    /// The block, with its checksum made right.
    pub(crate) fn block(&self) -> [u8; BLOCK] {
        let mut block = *self.0;
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}
