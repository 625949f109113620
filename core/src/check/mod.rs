//! The check: may the kernel be handed this image, and does it say one thing only?
//!
//! [`check`] looks at an image from the superblock to the last directory entry, without
//! reading the content of files unless it is asked to decode what is compressed. What it finds
//! are breaches of the [`RULES`], each with its place, what was found and what was expected;
//! a [`Policy`] says which of them are errors.
//!
//! It enters each directory once and looks at each inode once. It keeps a bit for each slot
//! of the inode table (512 bytes where inodes lie far apart), 24 bytes for each directory that
//! is still to be entered, 8 bytes for each of several links, 16 bytes for each run of metadata or
//! content that does not go on where the one before ended, and 24 bytes for each of pclusters of
//! one size and encoding; all of it within [`Limits::check_memory`]. With images of mkfs.erofs that
//! comes to 2 bytes for each inode, where files are small and lie behind their inodes, up to 60, where
//! they are compressed, or lie in blocks of their own; lists that have grown to twice their items
//! included.
//!
//! [`Limits::check_memory`]: crate::Limits::check_memory

mod budget;
mod content;
mod directory;
mod fingerprint;
mod inode;
mod names;
mod path;
mod pclusters;
mod rules;
mod runs;
mod slots;
mod superblock;
mod xattr;

use alloc::vec::Vec;
use core::fmt;

pub use path::Paths;
pub use rules::{Finding, RULES, Reason, Rule, Severity};

use self::budget::Budget;
use self::names::Names;
use self::pclusters::Pclusters;
use self::runs::Runs;
use self::slots::Slots;
use crate::erofs::{
    COMPACT_INODE_SIZE, FileType, Image, Incompat, Inode, Needs, ReadAt, ReadError, ReadResult,
    Release, Space, XattrPlace,
};
use crate::oci::{Digest, Policy};
use crate::{At, Code, Error, Kind, Value};

/// How far a check goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Superblock, device table and compression configurations.
    Superblock,
    /// All metadata: inodes, directories, xattrs, and where content lies.
    #[default]
    Metadata,
    /// All metadata, and that all that is compressed decodes to its stated length.
    Full,
}

impl Level {
    /// Its name: `superblock`, `metadata` or `full`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Superblock => "superblock",
            Self::Metadata => "metadata",
            Self::Full => "full",
        }
    }
}

/// What a check is asked to do.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// How far it goes.
    pub level: Level,
    /// Which breaches are errors.
    pub policy: Policy,
    /// Which share of what is compressed is decoded at [`Level::Full`], as number and count:
    /// it is dealt out in turn, in pieces of 1 MiB or so, so that several threads can each take
    /// a share, each with an [`Image`] of its own. Each of them goes through all metadata, and
    /// all but number 0 only say what they find in decoding. Default: `(0, 1)`.
    pub share: (u32, u32),
    /// How many devices belong to the image without being attached: device layers of the same
    /// manifest. Default 0.
    pub devices: u16,
    /// Whether what follows the image is looked at. It was when the image was unpacked, with
    /// more known of it. Default: yes.
    pub trailing: bool,
    /// The release of Linux that is to read the image. What it refuses, or reads otherwise, is then
    /// an error. Default: none in particular.
    pub kernel: Option<Release>,
    allowed: Allowed,
}

/// Rules that are switched off: a bit for each, by their place in the catalogue.
#[derive(Clone, Copy, Debug, Default)]
struct Allowed([u64; 4]);

impl Default for Options {
    fn default() -> Self {
        Self {
            level: Level::default(),
            policy: Policy::default(),
            share: (0, 1),
            devices: 0,
            trailing: true,
            kernel: None,
            allowed: Allowed::default(),
        }
    }
}

impl Options {
    /// Switches a rule off, by its id; `false` when there is no such rule.
    pub fn allow(&mut self, id: &str) -> bool {
        match RULES.iter().position(|rule| rule.id() == id) {
            Some(place) => {
                if let Some(word) = self.allowed.0.get_mut(place >> 6) {
                    *word |= 1 << (place & 63);
                }
                true
            }
            None => false,
        }
    }

    /// Whether a rule was switched off.
    #[must_use]
    pub fn allows(&self, rule: &Rule) -> bool {
        let place = RULES.iter().position(|other| other.code == rule.code);
        place.is_some_and(|place| self.is_allowed(place))
    }

    fn is_allowed(&self, place: usize) -> bool {
        let allowed = self.allowed.0.get(place >> 6).copied().unwrap_or(0);
        allowed >> (place & 63) & 1 == 1
    }

    /// What an error does to the verdict; `None` when it is not even said.
    #[must_use]
    pub fn severity(&self, error: &Error) -> Option<Severity> {
        let place = RULES.iter().position(|rule| rule.code == error.code());
        let Some(place) = place else {
            return Some(Severity::Error);
        };
        if self.is_allowed(place) {
            return None;
        }
        RULES.get(place).and_then(|rule| rule.severity(self.policy))
    }
}

/// What a check has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Findings that refuse the image.
    pub errors: u64,
    /// Findings that do not.
    pub warnings: u64,
    /// Inodes that were reached.
    pub inodes: u64,
    /// Directories among them.
    pub directories: u64,
    /// Bytes of metadata that were looked at.
    pub metadata: u64,
    /// Bytes that were decoded.
    pub decoded: u64,
    /// Most bytes that were kept at one time.
    pub memory: u64,
    /// What the image needs of the kernel: at the level of the superblock what that says, else
    /// also what files say.
    pub needs: Needs,
}

impl Summary {
    /// Whether the image passed.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.errors == 0
    }
}

/// A directory whose entries are still to be looked at.
#[derive(Clone, Copy, Debug)]
struct Pending {
    nid: u64,
    parent: u64,
    /// How many directories lie above it.
    depth: u32,
}

/// Checks an image of `size` bytes and gives every finding to `sink`.
///
/// What the superblock is refused for is a finding like others.
///
/// # Errors
///
/// What the source says; a limit or memory that did not suffice. Then the image has not been
/// looked at as a whole, and did not pass.
pub fn check<R: ReadAt>(
    source: R,
    size: u64,
    limits: &crate::Limits,
    options: &Options,
    sink: &mut dyn FnMut(&Finding),
) -> ReadResult<Summary, R> {
    let image = match Image::open(source, size, limits) {
        Ok(image) => image,
        Err(ReadError::Refused(error)) if !stops(&error) => {
            let mut summary = Summary::default();
            if let Some(severity) = options.severity(&error) {
                summary.errors = 1;
                sink(&Finding {
                    error,
                    severity,
                    entry: None,
                });
            } else {
                // Nothing can be read behind a superblock that cannot be read.
                return Err(error.into());
            }
            return Ok(summary);
        }
        Err(error) => return Err(error),
    };
    Checker::new(&image, options, sink)?.run()
}

/// Checks an image that is open.
///
/// # Errors
///
/// As [`check`].
pub fn check_image<R: ReadAt>(
    image: &Image<R>,
    options: &Options,
    sink: &mut dyn FnMut(&Finding),
) -> ReadResult<Summary, R> {
    Checker::new(image, options, sink)?.run()
}

/// Whether an error says that the check cannot go on, rather than that a rule is broken.
const fn stops(error: &Error) -> bool {
    matches!(error.kind(), Kind::Limit | Kind::Memory | Kind::Usage)
}

/// One check on its way.
pub(crate) struct Checker<'a, R> {
    image: &'a Image<R>,
    options: Options,
    sink: &'a mut dyn FnMut(&Finding),
    summary: Summary,
    budget: Budget,
    /// Slots of inodes that were seen, in the image and in the metabox.
    seen: [Slots; 2],
    pending: Vec<Pending>,
    /// The nid of each link that leads to an inode with several, or to one seen before.
    links: Vec<u64>,
    /// What metadata takes, in the image and in the metabox.
    metadata: [Runs; 2],
    /// Content of one file alone.
    content: Runs,
    /// Content that files may share.
    shared: Runs,
    /// Pclusters, which all who share them must read in one way.
    pclusters: Pclusters,
    /// Bytes so far that compressed extents decode to, for the shares.
    encoded: u64,
    /// Whether another share says what is found.
    silent: bool,
    /// Whether something could not be looked at: then what is counted is not all there is.
    partial: bool,
    /// The entry that is being looked at.
    entry: Option<(u64, u64)>,
    block: Vec<u8>,
    target: Vec<u8>,
    decoded: Vec<u8>,
    /// Whether the inode that is being looked at has a fingerprint, and the digest in it.
    fingerprint: Option<Option<Digest>>,
    names: Names<XattrPlace>,
}

impl<R> fmt::Debug for Checker<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker")
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}

impl<'a, R: ReadAt> Checker<'a, R> {
    fn new(
        image: &'a Image<R>,
        options: &Options,
        sink: &'a mut dyn FnMut(&Finding),
    ) -> ReadResult<Self, R> {
        let block = usize::try_from(image.superblock().block_size()).unwrap_or(usize::MAX);
        // Where compressed data has addresses in bytes, or lies behind an inode's own tables, it
        // might fit in what slots leave over.
        let incompat = image.superblock().incompat;
        let slot = if incompat.has(Incompat::BIT48) || incompat.has(Incompat::ZTAILPACKING) {
            1
        } else {
            COMPACT_INODE_SIZE as u64
        };
        Ok(Self {
            image,
            options: *options,
            sink,
            summary: Summary::default(),
            budget: Budget::new(image.limits().check_memory),
            seen: Default::default(),
            pending: Vec::new(),
            links: Vec::new(),
            metadata: [(); 2].map(|()| Runs::in_slots(slot)),
            content: Runs::default(),
            shared: Runs::default(),
            pclusters: Pclusters::default(),
            encoded: 0,
            silent: options.share.0 != 0,
            partial: false,
            entry: None,
            block: crate::erofs::buffer(block)?,
            target: Vec::new(),
            decoded: Vec::new(),
            fingerprint: None,
            names: Names::default(),
        })
    }

    fn run(mut self) -> ReadResult<Summary, R> {
        self.superblock()?;
        if self.options.level > Level::Superblock {
            self.tree()?;
            if !self.partial {
                self.count_links()?;
            }
            self.overlaps();
        }
        self.summary.memory = self.budget.used();
        Ok(self.summary)
    }

    /// Takes note of what the image needs of the kernel. What the one that is meant does not have
    /// is said where it is met first.
    #[inline]
    fn need(&mut self, needs: Needs, at: At) {
        if !self.summary.needs.has(needs) {
            self.need_more(needs, at);
        }
    }

    #[cold]
    fn need_more(&mut self, needs: Needs, at: At) {
        let new = needs.without(self.summary.needs);
        self.summary.needs = self.summary.needs.and(new);
        let Some(kernel) = self.options.kernel else {
            return;
        };
        for need in new.iter().filter(|need| !need.is_met(kernel)) {
            self.report(
                Error::new(Code::KernelVersion, at)
                    .found(Value::Text(need.name))
                    .expected(Value::Text(need.releases)),
            );
        }
    }

    /// Says that a rule is broken.
    fn report(&mut self, error: Error) {
        if self.silent {
            return;
        }
        let Some(severity) = self.options.severity(&error) else {
            return;
        };
        let count = match severity {
            Severity::Error => &mut self.summary.errors,
            Severity::Warning => &mut self.summary.warnings,
        };
        *count = count.saturating_add(1);
        (self.sink)(&Finding {
            error,
            severity,
            entry: self.entry,
        });
    }

    /// What was read, or `None` when a rule was broken, which is then said.
    ///
    /// Inline, so that nothing is moved that was read: an error is large.
    #[inline]
    fn take<T>(&mut self, result: ReadResult<T, R>) -> ReadResult<Option<T>, R> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => self.take_error(error).map(|()| None),
        }
    }

    /// Says that a rule was broken, or gives back an error that ends the check.
    #[cold]
    fn take_error(&mut self, error: ReadError<R::Error>) -> ReadResult<(), R> {
        match error {
            ReadError::Refused(error) if !stops(&error) => {
                self.report(error);
                Ok(())
            }
            error => Err(error),
        }
    }

    /// Counts metadata that is looked at, against its limit.
    fn work(&mut self, bytes: u64) -> Result<(), Error> {
        self.summary.metadata = self.summary.metadata.saturating_add(bytes);
        self.within_work(self.summary.metadata)
    }

    /// Holds bytes that were looked at, or decoded, against their limit.
    fn within_work(&self, bytes: u64) -> Result<(), Error> {
        let most = self.image.limits().check_work;
        if bytes > most {
            return Err(Error::new(Code::CheckWork, At::Whole)
                .found(Value::AtLeast(bytes))
                .expected(Value::AtMost(most)));
        }
        Ok(())
    }

    /// The tree from its root, and the inodes that lie outside of it.
    fn tree(&mut self) -> ReadResult<(), R> {
        self.internal_inodes()?;
        // The kernel reads the table at the mount, whether an xattr uses it or not.
        let image = self.image;
        self.take(image.prefixes())?;
        let root = self.image.superblock().root_nid;
        self.first_sight(root)?;
        let read = self.image.root();
        if let Some(inode) = self.take(read)? {
            if inode.file_type == FileType::Directory {
                self.inode(&inode)?;
                self.expect_directory(root, root, 0)?;
            } else {
                self.report(Error::new(Code::InodeRoot, At::Nid(root)));
                self.partial = true;
            }
        } else {
            self.partial = true;
        }
        while let Some(pending) = self.pending.pop() {
            self.directory(pending)?;
        }
        self.entry = None;
        self.count_inodes();
        Ok(())
    }

    /// Whether as many inodes were reached as are declared. Not asked where one fault kept
    /// others out of sight: that would be a second finding for the first.
    fn count_inodes(&mut self) {
        if self.partial {
            return;
        }
        let declared = self.image.superblock().inodes;
        // Internal inodes are counted by some writers and not by others.
        let reached = self.summary.inodes;
        let internal = self.internal_nids().count() as u64;
        let most = reached.saturating_add(internal);
        if !(reached..=most).contains(&declared) {
            self.report(
                Error::new(Code::SuperblockCount, At::Image(1024 + 16))
                    .found(Value::Number(declared))
                    .expected(Value::Number(reached)),
            );
        }
    }

    /// Takes note of a directory whose entries are to be looked at later.
    fn expect_directory(&mut self, nid: u64, parent: u64, depth: u32) -> Result<(), Error> {
        let most = self.image.limits().directory_depth;
        if depth > most {
            return Err(Error::new(Code::DirectoryDepth, At::Nid(nid))
                .found(Value::Number(depth.into()))
                .expected(Value::AtMost(most.into())));
        }
        self.summary.directories = self.summary.directories.saturating_add(1);
        let pending = Pending { nid, parent, depth };
        self.budget.push(&mut self.pending, pending)
    }

    /// Whether this inode has not been seen before; it has been from now on.
    fn first_sight(&mut self, nid: u64) -> Result<bool, Error> {
        let [image, metabox] = &mut self.seen;
        let slots = match self.image.space(nid) {
            Space::Image => image,
            Space::Metabox => metabox,
        };
        let new = slots.insert(nid, &mut self.budget)?;
        if new {
            self.summary.inodes = self.summary.inodes.saturating_add(1);
            let most = self.image.limits().inodes;
            if self.summary.inodes > most {
                return Err(Error::new(Code::InodeLimit, At::Nid(nid))
                    .found(Value::AtLeast(self.summary.inodes))
                    .expected(Value::AtMost(most)));
            }
        }
        Ok(new)
    }

    /// The nids of packed and metabox inode, where there are such.
    fn internal_nids(&self) -> impl Iterator<Item = u64> + use<R> {
        let superblock = self.image.superblock();
        let packed = superblock.packed_inode();
        let metabox = superblock.metabox_inode();
        packed.into_iter().chain(metabox)
    }

    /// Packed and metabox inode: files that no directory names.
    fn internal_inodes(&mut self) -> ReadResult<(), R> {
        for nid in self.internal_nids() {
            self.first_sight(nid)?;
            self.summary.inodes = self.summary.inodes.saturating_sub(1);
            let read = self.image.inode(nid);
            let Some(inode) = self.take(read)? else {
                continue;
            };
            if inode.file_type == FileType::Regular {
                self.inode(&inode)?;
            } else {
                self.report(Error::new(Code::InodeInternal, At::Nid(nid)));
            }
        }
        Ok(())
    }

    /// Whether the number of links of each inode is that of the entries which lead to it.
    fn count_links(&mut self) -> ReadResult<(), R> {
        let mut links = core::mem::take(&mut self.links);
        links.sort_unstable();
        for same in links.chunk_by(|one, other| one == other) {
            let Some(nid) = same.first() else {
                continue;
            };
            let read = self.image.inode(*nid);
            let Some(inode) = self.take(read)? else {
                continue;
            };
            // That there are none at all is another rule's finding.
            if inode.nlink == 0 {
                continue;
            }
            // The first link to an inode that claims one alone was not noted.
            let unnoted = u64::from(inode.nlink == 1);
            let found = (same.len() as u64).saturating_add(unnoted);
            if found != u64::from(inode.nlink) {
                self.report(link_count(&inode, found));
            }
        }
        Ok(())
    }

    /// Whether anything lies over something else.
    fn overlaps(&mut self) {
        let overlap =
            |code, offset: Option<u64>| offset.map(|offset| Error::new(code, At::Image(offset)));
        let [image, metabox] = &mut self.metadata;
        let found = [
            overlap(Code::OverlapMetadata, image.settle()),
            metabox
                .settle()
                .map(|_| Error::new(Code::OverlapMetadata, At::Whole)),
            overlap(Code::OverlapContent, self.content.settle()),
            overlap(Code::OverlapPcluster, self.pclusters.settle()),
        ];
        self.shared.settle();
        let [image, _] = &self.metadata;
        let content = overlap(Code::OverlapContent, self.content.meets(&self.shared));
        let over = image
            .meets(&self.content)
            .into_iter()
            .chain(image.meets(&self.shared))
            .min();
        let over = overlap(Code::OverlapData, over);
        for error in found.into_iter().chain([content, over]).flatten() {
            self.report(error);
        }
    }
}

/// The error of an inode that does not have as many links as lead to it.
fn link_count(inode: &Inode, found: u64) -> Error {
    Error::new(Code::InodeLinks, At::Nid(inode.nid))
        .found(Value::Number(inode.nlink.into()))
        .expected(Value::Number(found))
}
