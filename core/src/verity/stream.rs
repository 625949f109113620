//! Data and tree, verified as they stream past.
//!
//! The tree lies behind the data, and its root's level first. So the tree is made of the data, with
//! one running digest for each of its levels; when the stored levels stream past, each must have that
//! digest. What was made has the stated root, so what is stored has it too.
//!
//! The salt lies behind the data as well, in the superblock. It is guessed; where the superblock says
//! another, the end says so ([`Verified::Again`]), and the stream must be gone through again with that.

use sha2::{Digest as _, Sha256};

use super::{
    Announced, Builder, DataBlocks, Guess, LEVELS_MAX, Layout, Params, Root, SUPERBLOCK_SIZE, Sink,
};
use crate::bytes::Gather;
use crate::oci::Digest;
use crate::{At, Code, Error, Value};

/// What came of a tree that is as it should be, so far as that can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "it is made once for each layer, and there is no allocator"
)]
pub enum Verified {
    /// Data and tree are those of the root.
    Tree {
        /// The root digest.
        root: Digest,
        /// How the tree is made.
        params: Params,
        /// Where it lies.
        layout: Layout,
        /// Whether it has a superblock.
        has_superblock: bool,
    },
    /// Nothing is verified: the superblock says other than was guessed, and with this the stream must
    /// be gone through again.
    Again(Guess),
}

/// The digest of each level of the tree that the data makes.
#[derive(Clone, Debug)]
struct Levels([Sha256; LEVELS_MAX]);

impl Levels {
    fn new() -> Self {
        Self(core::array::from_fn(|_| Sha256::new()))
    }

    /// Whether this is the digest of a level.
    fn is_digest(&self, level: usize, digest: Sha256) -> bool {
        let made = self.0.get(level).map(|hasher| hasher.clone().finalize());
        made == Some(digest.finalize())
    }
}

impl Sink for Levels {
    type Error = core::convert::Infallible;

    fn write(&mut self, level: usize, _offset: u64, bytes: &[u8]) -> Result<(), Self::Error> {
        if let Some(hasher) = self.0.get_mut(level) {
            hasher.update(bytes);
        }
        Ok(())
    }
}

/// The tree that is stored, as it streams past.
#[derive(Clone, Debug)]
struct Stored {
    params: Params,
    layout: Layout,
    has_superblock: bool,
    /// How many levels are still to come, the one that is coming included.
    levels: usize,
    hasher: Sha256,
}

/// How far it has come.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "the largest is what it is most of the time"
)]
enum State {
    /// Data comes.
    Data,
    /// What may be a superblock comes.
    Head,
    /// The stored tree comes, or what is behind it.
    Tree(Stored),
    /// Nothing more is looked at.
    Over,
}

/// Verifies data and tree that stream past in any pieces.
#[derive(Clone, Debug)]
pub struct StreamCheck {
    announced: Announced,
    params: Params,
    offset: u64,
    builder: Option<Builder>,
    made: Levels,
    root: Option<Root>,
    state: State,
    head: Gather<SUPERBLOCK_SIZE>,
    /// The bytes behind a tree without levels.
    behind: Gather<64>,
    again: Option<Guess>,
    /// What is wrong with the superblock.
    refused: Option<Error>,
    /// What is wrong with the tree, which counts less than another root.
    differs: Option<Error>,
}

impl StreamCheck {
    /// Verifies this tree.
    ///
    /// # Errors
    ///
    /// [`Code::VerityBlockSize`] and [`Code::VeritySize`] when there can be no such tree.
    pub fn new(announced: &Announced) -> Result<Self, Error> {
        let params = announced.params()?;
        Ok(Self {
            announced: *announced,
            builder: Some(Builder::new(&params)),
            params,
            offset: 0,
            made: Levels::new(),
            root: None,
            state: State::Data,
            head: Gather::new(),
            behind: Gather::new(),
            again: None,
            refused: None,
            differs: None,
        })
    }

    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.step(bytes);
            self.offset = self.offset.saturating_add(taken as u64);
            bytes = bytes.get(taken..).unwrap_or(&[]);
            if taken == 0 {
                return;
            }
        }
    }

    /// What hashes the data blocks beforehand, for [`Self::update_hashed`].
    #[must_use]
    pub fn data_blocks(&self) -> DataBlocks {
        DataBlocks::new(&self.params)
    }

    /// As [`Self::update`], with the hashes of the data blocks that lie in these bytes as a whole, in
    /// their order, which [`DataBlocks::digests`] gives: they are not computed again. With fewer, the
    /// rest of the bytes is hashed here.
    pub fn update_hashed(&mut self, bytes: &[u8], digests: &[Digest]) {
        let size = u64::from(self.params.data_block_size);
        let into = self.offset.checked_rem(size).unwrap_or(0);
        let head = if into == 0 {
            0
        } else {
            size.saturating_sub(into)
        };
        let head = first(bytes, head);
        self.update(head);
        let mut rest = bytes.get(head.len()..).unwrap_or(&[]);
        for digest in digests {
            let Some((_, behind)) = usize::try_from(size)
                .ok()
                .and_then(|size| rest.split_at_checked(size))
            else {
                break;
            };
            let (State::Data, Some(builder)) = (&self.state, &mut self.builder) else {
                break;
            };
            let Ok(()) = builder.push(*digest, &mut self.made);
            self.offset = self.offset.saturating_add(size);
            rest = behind;
            if self.offset == self.announced.hash_offset {
                self.end_data();
            }
        }
        self.update(rest);
    }

    /// Takes bytes up to where something else begins, and says how many.
    fn step(&mut self, bytes: &[u8]) -> usize {
        match &self.state {
            State::Data => {
                let room = self.announced.hash_offset.saturating_sub(self.offset);
                let data = first(bytes, room);
                if let Some(builder) = &mut self.builder {
                    let Ok(()) = builder.update(data, &mut self.made);
                }
                if data.len() as u64 == room {
                    self.end_data();
                }
                data.len()
            }
            State::Head => {
                let taken = self.head.fill(SUPERBLOCK_SIZE, bytes);
                if self.head.filled().len() == SUPERBLOCK_SIZE {
                    self.begin_tree();
                }
                taken
            }
            State::Tree(_) => self.step_tree(bytes, self.offset),
            State::Over => bytes.len(),
        }
    }

    /// The data has come to its end: the root is known.
    fn end_data(&mut self) {
        self.state = State::Head;
        if let Some(builder) = self.builder.take() {
            let Ok(root) = builder.finish(&mut self.made);
            self.root = root;
        }
    }

    /// The first bytes behind the data are there: a superblock, or the tree itself.
    fn begin_tree(&mut self) {
        let stated = match self.announced.stated(self.head.filled()) {
            Ok(stated) => stated,
            Err(error) => {
                self.refused = Some(error);
                self.state = State::Over;
                return;
            }
        };
        if stated.guess() != self.announced.guess {
            self.again = Some(stated.guess());
            self.state = State::Over;
            return;
        }
        self.state = State::Tree(Stored {
            params: stated.params,
            levels: stated.layout.levels().len(),
            layout: stated.layout,
            has_superblock: stated.has_superblock,
            hasher: Sha256::new(),
        });
        if stated.has_superblock {
            return;
        }
        let head = self.head.clone();
        let (mut rest, mut offset) = (head.filled(), self.announced.hash_offset);
        while !rest.is_empty() {
            let taken = self.step_tree(rest, offset);
            offset = offset.saturating_add(taken as u64);
            rest = rest.get(taken..).unwrap_or(&[]);
        }
    }

    /// Takes bytes of the stored tree that lie at this offset, and says how many.
    fn step_tree(&mut self, bytes: &[u8], offset: u64) -> usize {
        let State::Tree(stored) = &mut self.state else {
            return bytes.len();
        };
        if offset < stored.layout.start() {
            // The rest of the superblock's block, which nobody looks at.
            return first(bytes, stored.layout.start().saturating_sub(offset)).len();
        }
        let Some(place) = stored.levels.checked_sub(1) else {
            self.trail(bytes);
            return bytes.len();
        };
        let level = stored
            .layout
            .levels()
            .get(place)
            .copied()
            .unwrap_or_default();
        let end = level
            .blocks
            .saturating_mul(stored.layout.block_size().into())
            .saturating_add(level.offset);
        let piece = first(bytes, end.saturating_sub(offset));
        stored.hasher.update(piece);
        if offset.saturating_add(piece.len() as u64) == end {
            stored.levels = place;
            let found = core::mem::take(&mut stored.hasher);
            if !self.made.is_digest(place, found) {
                self.differ(Error::new(Code::VerityHash, At::Image(level.offset)));
            }
        }
        piece.len()
    }

    /// Notes what is wrong with the tree; the first counts.
    const fn differ(&mut self, error: Error) {
        if self.differs.is_none() {
            self.differs = Some(error);
        }
    }

    /// Bytes follow the tree.
    fn trail(&mut self, bytes: &[u8]) {
        self.behind.fill(self.params.algorithm.size(), bytes);
        let State::Tree(stored) = &self.state else {
            return;
        };
        let end = stored.layout.end();
        self.differ(
            Error::new(Code::ImageTrailing, At::Image(end))
                .found(Value::AtLeast(end.saturating_add(1)))
                .expected(Value::AtMost(end)),
        );
    }

    /// Says that the bytes have ended.
    ///
    /// # Errors
    ///
    /// What is wrong with the superblock: as [`Announced::stated`], [`Code::VerityParams`] and
    /// [`Code::VerityBlocks`] when it says other than was announced. [`Code::VerityTruncated`] when
    /// data or tree are cut off, [`Code::VerityLevel`] when a single block has a level,
    /// [`Code::VerityRoot`] when the data has another root, [`Code::VerityHash`] at the first level
    /// that is not that of the data, [`Code::ImageTrailing`] when more follows the tree.
    pub fn finish(mut self) -> Result<Verified, Error> {
        let truncated = |at: u64, end: u64| {
            Err(Error::new(Code::VerityTruncated, At::Image(at))
                .found(Value::Number(at))
                .expected(Value::AtLeast(end)))
        };
        let start = self.announced.hash_offset;
        if matches!(self.state, State::Head) {
            if self.head.filled().is_empty() {
                self.begin_tree();
            } else {
                return truncated(self.offset, start.saturating_add(SUPERBLOCK_SIZE as u64));
            }
        }
        if let Some(error) = self.refused {
            return Err(error);
        }
        if let Some(guess) = self.again {
            return Ok(Verified::Again(guess));
        }
        let (State::Tree(stored), Some(root)) = (&self.state, self.root) else {
            return truncated(self.offset, start);
        };
        if self.behind.filled().len() == self.params.algorithm.size()
            && self.behind.filled() == root.digest.as_bytes()
            && stored.layout.levels().is_empty()
        {
            return Err(Error::new(
                Code::VerityLevel,
                At::Image(stored.layout.end()),
            ));
        }
        if let Some(expected) = self.announced.root
            && expected != root.digest
        {
            return Err(Error::new(Code::VerityRoot, At::Whole)
                .found(Value::Digest(root.digest))
                .expected(Value::Digest(expected)));
        }
        if stored.levels > 0 || self.offset < stored.layout.end() {
            return truncated(self.offset, stored.layout.end());
        }
        if let Some(error) = self.differs {
            return Err(error);
        }
        Ok(Verified::Tree {
            root: root.digest,
            params: stored.params,
            layout: stored.layout,
            has_superblock: stored.has_superblock,
        })
    }
}

/// The first `room` bytes, or all if there are fewer.
fn first(bytes: &[u8], room: u64) -> &[u8] {
    usize::try_from(room)
        .ok()
        .and_then(|room| bytes.get(..room))
        .unwrap_or(bytes)
}
