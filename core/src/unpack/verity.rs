//! The dm-verity tree that a layer is announced to have, beside its diffID.

use super::{Expectations, Failure, Stage};
use crate::Error;
use crate::codec::Compression;
use crate::oci::Digest;
use crate::verity::{Announced, DataBlocks, StreamCheck, Verified};

/// Verifies the tree while the decoded bytes stream past.
///
/// It is a part of [`ImageCheck`](super::ImageCheck), and can be taken out of it to be run on a thread
/// of its own: it takes the same bytes.
#[derive(Clone, Debug)]
pub struct VerityCheck {
    /// Or why there can be no such tree.
    check: Result<StreamCheck, Error>,
    size: u64,
    /// Where a chunk index in a plain blob starts, which follows the tree.
    end: u64,
}

/// What [`VerityCheck`] has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerityReport {
    /// How many bytes there were.
    pub size: u64,
    /// What was verified, or what is wrong.
    pub verified: Result<Verified, Error>,
}

impl VerityCheck {
    /// A check of the tree that is announced, if one is, and its root.
    #[must_use]
    pub fn new(expectations: &Expectations) -> Option<Self> {
        let announced = expectations.verity.as_ref()?.announced()?;
        let end = expectations
            .chunk_index
            .filter(|_| expectations.compression == Compression::None);
        Some(Self {
            check: StreamCheck::new(&announced),
            size: 0,
            end: end.unwrap_or(u64::MAX),
        })
    }

    /// A check of this tree, of all bytes that come.
    #[must_use]
    pub fn of(announced: &Announced) -> Self {
        Self {
            check: StreamCheck::new(announced),
            size: 0,
            end: u64::MAX,
        }
    }

    /// Takes the next decoded bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.update_hashed(bytes, &[]);
    }

    /// What hashes the blocks that the tree covers, on any thread, for [`Self::update_hashed`];
    /// `None` when there can be no such tree.
    #[must_use]
    pub fn data_blocks(&self) -> Option<DataBlocks> {
        self.check.as_ref().ok().map(StreamCheck::data_blocks)
    }

    /// As [`Self::update`], with the hashes of the blocks that lie in these bytes as a whole, as
    /// [`DataBlocks::digests`] gives them; with fewer of them the rest is hashed here.
    pub fn update_hashed(&mut self, bytes: &[u8], digests: &[Digest]) {
        let room = self.end.saturating_sub(self.size);
        self.size = self.size.saturating_add(bytes.len() as u64);
        let of_image = usize::try_from(room)
            .ok()
            .and_then(|room| bytes.get(..room));
        if let Ok(check) = &mut self.check {
            check.update_hashed(of_image.unwrap_or(bytes), digests);
        }
    }

    /// Says that the bytes have ended.
    #[must_use]
    pub fn finish(self) -> VerityReport {
        VerityReport {
            size: self.size,
            verified: self.check.and_then(StreamCheck::finish),
        }
    }
}

impl VerityReport {
    /// What is wrong, as a failure of unpacking.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.verified.err().map(|error| Failure {
            stage: Stage::Verity,
            decoded: self.size,
            error,
        })
    }
}
