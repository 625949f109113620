//! tar archives: the same is said however an archive is cut, content lies within its file, and what the
//! map of a sparse file says is what comes.
//!
//! The checksum of every block that has a magic is made right first, or hardly an input would get past it.
#![no_main]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use erofs_unpack_core::tar::{BLOCK, Entry, EntryKind, Event, Reader};
use erofs_unpack_core::{Code, Error, Limits};
use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "of decoders but the sizes of pieces")]
mod pieces;

/// All that is said of an archive: members with the hash of their pieces.
#[derive(Debug, PartialEq)]
struct Said {
    entries: Vec<(Entry, Option<u64>)>,
    end: Result<bool, Error>,
}

/// Pieces that touch are one, however the archive is cut.
#[derive(Default)]
struct Content {
    pieces: Vec<(u64, u64)>,
    hasher: DefaultHasher,
}

impl Content {
    fn add(&mut self, offset: u64, bytes: &[u8]) {
        assert!(!bytes.is_empty());
        let length = bytes.len() as u64;
        bytes.iter().for_each(|byte| byte.hash(&mut self.hasher));
        match self.pieces.last_mut() {
            Some((start, known)) if *start + *known == offset => *known += length,
            last => {
                assert!(last.is_none_or(|(start, known)| *start + *known < offset));
                self.pieces.push((offset, length));
            }
        }
    }

    /// Holds the content to what was said of it.
    fn finish(&self, entry: &Entry) -> u64 {
        let stored: u64 = self.pieces.iter().map(|(_, length)| length).sum();
        assert_eq!(stored, entry.stored);
        assert!(self.pieces.last().is_none_or(|(offset, length)| offset + length <= entry.size));
        match &entry.extents {
            Some(extents) => assert_eq!(*extents, self.pieces),
            None => assert!(entry.size == stored && self.pieces.len() <= 1),
        }
        self.hasher.finish()
    }
}

fn read(archive: &[u8], limits: &Limits, mut cut: impl FnMut() -> usize) -> Said {
    let mut reader = Reader::new(limits);
    let mut entries: Vec<(Entry, Option<u64>)> = Vec::new();
    let mut content = Content::default();
    let mut rest = archive;
    let mut run = || loop {
        let (mut piece, after) = rest.split_at(cut().min(rest.len()));
        rest = after;
        loop {
            let (taken, event) = reader.step(piece)?;
            piece = &piece[taken..];
            match event {
                Event::More => break,
                Event::End if piece.is_empty() => break,
                Event::End => {}
                Event::Entry(entry) => {
                    assert!(entry.offset <= entry.header && entry.header < entry.content);
                    assert!(!entry.path.is_empty() && !entry.path.contains(&0));
                    assert!(entry.mode <= 0o7777 && entry.mtime.1 < 1_000_000_000);
                    let is_link = matches!(entry.kind, EntryKind::HardLink | EntryKind::Symlink);
                    assert_eq!(is_link, !entry.link.is_empty());
                    assert!(entry.xattrs.windows(2).all(|pair| pair[0].0 < pair[1].0));
                    content = Content::default();
                    entries.push((entry, None));
                }
                Event::Content { offset, bytes } => content.add(offset, bytes),
                Event::EntryEnd => {
                    let (entry, hash) = entries.last_mut().unwrap();
                    assert_eq!(*hash, None);
                    *hash = Some(content.finish(entry));
                }
            }
        }
        if rest.is_empty() {
            return reader.finish();
        }
    };
    let end = run();
    if end.is_ok() {
        assert!(entries.iter().all(|(_, hash)| hash.is_some()));
    }
    let again = reader.step(&[0; BLOCK]).map(drop).map_err(|error| error.code());
    assert_eq!(again, Err(Code::Finished));
    Said {
        entries,
        end: end.map(|()| reader.is_cut()),
    }
}

fuzz_target!(|data: &[u8]| {
    let mut archive = data.to_vec();
    for block in archive.chunks_exact_mut(BLOCK) {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    let mut limits = Limits::DEFAULT;
    (limits.tar_header, limits.tar_extents) = (8192, 1000);
    let whole = read(&archive, &limits, || usize::MAX);
    let mut cuts = pieces::Cuts::of(data, 0);
    assert_eq!(read(&archive, &limits, || cuts.next().max(1)), whole);
    assert_eq!(read(&archive, &limits, || 1), whole);
});
