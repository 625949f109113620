//! Extended attributes: each kept once, and each set of them once.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::erofs::split_xattr;
use crate::{At, Code, Error, Value};

/// No extended attributes.
pub(super) const NO_SET: u32 = 0;
/// Size of the header of an inode's xattrs, in bytes (`struct erofs_xattr_ibody_header`).
const HEADER: u64 = 12;
/// Size of an entry without name and value, in bytes (`struct erofs_xattr_entry`).
const ENTRY: u64 = 4;
/// What one xattr takes in memory beside its name and value, in bytes, and what a set does beside its
/// members.
const XATTR: u64 = 160;
const SET: u64 = 128;
/// Most shared xattrs of an inode: their count has 8 bits.
const SHARED: usize = 255;
/// Most bytes of an inode's xattrs, by the 16 bits of `i_xattr_icount`.
const BODY: u64 = 8 + 4 * 65_535;

/// One xattr: the index of its prefix, the name behind it, the value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Xattr {
    index: u8,
    name: Box<[u8]>,
    value: Box<[u8]>,
}

impl Xattr {
    /// Size in the image, in bytes, filled up to a multiple of four.
    fn size(&self) -> u64 {
        ENTRY
            .saturating_add(self.name.len() as u64)
            .saturating_add(self.value.len() as u64)
            .next_multiple_of(4)
    }

    /// Appends it as it lies in the image.
    fn write(&self, to: &mut Vec<u8>) {
        to.push(u8::try_from(self.name.len()).unwrap_or(u8::MAX));
        to.push(self.index);
        let size = u16::try_from(self.value.len()).unwrap_or(u16::MAX);
        to.extend_from_slice(&size.to_le_bytes());
        to.extend_from_slice(&self.name);
        to.extend_from_slice(&self.value);
        to.resize(to.len().next_multiple_of(4), 0);
    }
}

/// What is kept of an xattr beside it.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    /// How many inodes have it.
    count: u32,
    /// Where it lies in the shared area, in units of four bytes, when it does.
    shared: Option<u32>,
}

/// All xattrs of a tree.
#[derive(Debug)]
pub(super) struct Xattrs {
    numbers: BTreeMap<Arc<Xattr>, u32>,
    by_number: Vec<Arc<Xattr>>,
    /// The sets by their numbers, each in the order of names.
    sets: Vec<Box<[u32]>>,
    set_numbers: BTreeMap<Box<[u32]>, u32>,
    /// By the numbers of xattrs, from [`Self::share`] on.
    uses: Vec<Use>,
    /// How many were left out, since EROFS has no prefix for their names.
    pub(super) dropped: u64,
}

impl Xattrs {
    pub(super) fn new() -> Self {
        let mut set_numbers = BTreeMap::new();
        set_numbers.insert(Box::default(), NO_SET);
        Self {
            numbers: BTreeMap::new(),
            by_number: Vec::new(),
            sets: alloc::vec![Box::default()],
            set_numbers,
            uses: Vec::new(),
            dropped: 0,
        }
    }

    /// The number of a set, and how many bytes more of memory are kept for it; of two with the same name the last
    /// counts.
    ///
    /// # Errors
    ///
    /// [`Code::BuildXattr`] when EROFS cannot hold one of them.
    pub(super) fn set(
        &mut self,
        xattrs: &[(Vec<u8>, Vec<u8>)],
        at: At,
    ) -> Result<(u32, u64), Error> {
        if xattrs.is_empty() {
            return Ok((NO_SET, 0));
        }
        // By prefix and name: the order in the image, whatever that in the source.
        let mut named: BTreeMap<(u8, &[u8]), &[u8]> = BTreeMap::new();
        for (name, value) in xattrs {
            let Some((index, rest)) = split_xattr(name) else {
                self.dropped = self.dropped.saturating_add(1);
                continue;
            };
            // As Linux names them: in 255 bytes, prefix included (`XATTR_NAME_MAX`).
            let nameless = rest.is_empty() && name.ends_with(b".");
            if name.len() > 255 || nameless || rest.contains(&0) {
                return Err(Error::new(Code::BuildXattr, at)
                    .found(Value::Number(name.len() as u64))
                    .expected(Value::AtMost(255)));
            }
            if value.len() > usize::from(u16::MAX) {
                return Err(Error::new(Code::BuildXattr, at)
                    .found(Value::Number(value.len() as u64))
                    .expected(Value::AtMost(u16::MAX.into())));
            }
            named.insert((index, rest), value);
        }
        let mut added = 0_u64;
        let mut set = Vec::new();
        for ((index, name), value) in named {
            let xattr = Arc::new(Xattr {
                index,
                name: name.into(),
                value: value.into(),
            });
            let next = u32::try_from(self.by_number.len()).unwrap_or(u32::MAX);
            let number = *self.numbers.entry(Arc::clone(&xattr)).or_insert(next);
            if number == next {
                added = added.saturating_add(xattr.size()).saturating_add(XATTR);
                self.by_number.push(xattr);
            }
            set.push(number);
        }
        let sets = self.sets.len();
        let size = (set.len() as u64).saturating_mul(8);
        let number = self.number(set.into_boxed_slice());
        if self.sets.len() > sets {
            added = added.saturating_add(size).saturating_add(SET);
        }
        Ok((number, added))
    }

    fn number(&mut self, set: Box<[u32]>) -> u32 {
        let next = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        let number = *self.set_numbers.entry(set.clone()).or_insert(next);
        if number == next {
            self.sets.push(set);
        }
        number
    }

    /// The number of a set with one xattr more, or with another value for its name.
    ///
    /// # Errors
    ///
    /// As [`Self::set`].
    pub(super) fn with(
        &mut self,
        set: u32,
        name: &[u8],
        value: &[u8],
        at: At,
    ) -> Result<u32, Error> {
        let (added, _) = self.set(&[(name.to_vec(), value.to_vec())], at)?;
        let one = self.members(added).first().copied();
        let Some((one, (index, rest))) = one.zip(split_xattr(name)) else {
            return Ok(set);
        };
        let name_of = |number: &u32| {
            let xattr = self.by_number.get(usize::try_from(*number).ok()?)?;
            Some((xattr.index, &*xattr.name))
        };
        let mut members: Vec<u32> = self
            .members(set)
            .iter()
            .copied()
            .filter(|number| name_of(number) != Some((index, rest)))
            .collect();
        members.push(one);
        members.sort_unstable_by_key(name_of);
        Ok(self.number(members.into_boxed_slice()))
    }

    fn members(&self, set: u32) -> &[u32] {
        usize::try_from(set)
            .ok()
            .and_then(|set| self.sets.get(set))
            .map_or(&[], |set| set)
    }

    /// An upper bound of what a set takes behind an inode, in bytes.
    pub(super) fn bound(xattrs: &[(Vec<u8>, Vec<u8>)]) -> u64 {
        xattrs.iter().fold(
            if xattrs.is_empty() { 0 } else { HEADER },
            |sum: u64, (name, value)| {
                sum.saturating_add(ENTRY)
                    .saturating_add((name.len() as u64).saturating_add(value.len() as u64))
                    .saturating_add(3)
            },
        )
    }

    /// Decides which xattrs are shared, when it is known how many inodes have each set: `counts`
    /// has that by the numbers of sets. `at` gives where the shared ones lie, from their area's
    /// start on, and how many bytes they take.
    pub(super) fn share(&mut self, counts: &[u32]) {
        self.uses = alloc::vec![Use::default(); self.by_number.len()];
        for (set, count) in self.sets.iter().zip(counts) {
            for number in set {
                if let Some(used) = self.uses.get_mut(*number as usize) {
                    used.count = used.count.saturating_add(*count);
                }
            }
        }
        // What one inode cannot hold inline is put into the shared area all the same.
        for (set, count) in self.sets.iter().zip(counts) {
            if *count == 0 {
                continue;
            }
            let mut inline = HEADER;
            for number in set {
                let size = self
                    .by_number
                    .get(*number as usize)
                    .map_or(0, |xattr| xattr.size());
                if let Some(used) = self.uses.get_mut(*number as usize)
                    && used.count == 1
                {
                    inline = inline.saturating_add(size);
                    if inline > BODY / 2 {
                        used.count = 2;
                    }
                }
            }
        }
    }

    /// Lays the shared area out from `start` on, a place in units of four bytes, and gives its
    /// size in bytes.
    pub(super) fn place_shared(&mut self, start: u64) -> Result<u64, Error> {
        let mut next = start;
        for (used, xattr) in self.uses.iter_mut().zip(&self.by_number) {
            if used.count > 1 {
                let place =
                    u32::try_from(next).map_err(|_| Error::new(Code::BuildXattr, At::Whole))?;
                used.shared = Some(place);
                next = next.saturating_add(xattr.size() / 4);
            }
        }
        Ok(next.saturating_sub(start).saturating_mul(4))
    }

    /// Whether there are shared xattrs.
    pub(super) fn has_shared(&self) -> bool {
        self.uses.iter().any(|used| used.count > 1)
    }

    /// The shared area.
    pub(super) fn shared(&self) -> impl Iterator<Item = Vec<u8>> {
        self.uses
            .iter()
            .zip(&self.by_number)
            .filter(|(used, _)| used.count > 1)
            .map(|(_, xattr)| {
                let mut bytes = Vec::new();
                xattr.write(&mut bytes);
                bytes
            })
    }

    /// How many bytes a set takes behind an inode.
    ///
    /// # Errors
    ///
    /// [`Code::BuildXattr`] when there are more than an inode can have.
    pub(super) fn size(&self, set: u32) -> Result<u64, Error> {
        let members = self.members(set);
        if members.is_empty() {
            return Ok(0);
        }
        let mut size = HEADER;
        let mut shared = 0_usize;
        for (used, xattr) in self.of(members) {
            if used.count > 1 && shared < SHARED {
                shared = shared.saturating_add(1);
                size = size.saturating_add(4);
            } else {
                size = size.saturating_add(xattr.size());
            }
        }
        if size > BODY {
            return Err(Error::new(Code::BuildXattr, At::Whole)
                .found(Value::Number(size))
                .expected(Value::AtMost(BODY)));
        }
        Ok(size)
    }

    fn of<'a>(&'a self, members: &'a [u32]) -> impl Iterator<Item = (Use, &'a Xattr)> + Clone {
        members.iter().filter_map(|number| {
            let number = usize::try_from(*number).ok()?;
            Some((*self.uses.get(number)?, &**self.by_number.get(number)?))
        })
    }

    /// Appends a set as it lies behind an inode.
    pub(super) fn write(&self, set: u32, to: &mut Vec<u8>) {
        let members = self.members(set);
        if members.is_empty() {
            return;
        }
        let is_shared = |(used, _): &(Use, &Xattr)| used.count > 1;
        let shared = self.of(members).filter(is_shared).take(SHARED);
        to.extend_from_slice(&[0; 4]);
        to.push(u8::try_from(shared.clone().count()).unwrap_or(u8::MAX));
        to.extend_from_slice(&[0; 7]);
        for (used, _) in shared {
            to.extend_from_slice(&used.shared.unwrap_or(0).to_le_bytes());
        }
        let mut shared = 0_usize;
        for (used, xattr) in self.of(members) {
            if used.count > 1 && shared < SHARED {
                shared = shared.saturating_add(1);
            } else {
                xattr.write(to);
            }
        }
    }

    /// How many sets there are.
    pub(super) fn sets(&self) -> usize {
        self.sets.len()
    }
}
