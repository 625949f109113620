//! Which manifest of a layout is meant: from `index.json` and what is asked for, through nested
//! indexes, to one manifest.
//!
//! A choice that could fall on another image is never made: whoever asks is told what there is.
//! Entries without a name, or of one name, are one image only where each is for a platform of
//! its own; what an entry does not state (Podman writes no platforms, skopeo drops them when it
//! copies), its config does. What is read to learn that is bounded, and verified by the digests
//! that lead to it. [`best`] holds the rule for one platform.

mod choose;
#[cfg(test)]
mod tests;
mod told;
mod tree;
mod unusable;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Descriptor, Digest, Index, Manifest, Platform};
use crate::{At, Code, Error, Limits, Value};

use choose::Search;
pub(super) use choose::{best, fit};

/// The most choices that are told.
const CHOICES: usize = 256;

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// A name of the image, whole.
    pub reference: Option<&'a str>,
    /// The platform that the image must be for.
    pub platform: Option<&'a Platform>,
    /// The platform to choose where there are several and none is asked for; `None` where
    /// nobody knows on what the image is to run.
    pub host: Option<&'a Platform>,
    /// The digest of the manifest, or of an index that leads to it.
    pub digest: Option<Digest>,
}

/// Where the documents of a layout come from.
pub trait Documents {
    /// The content of a blob that holds a JSON document; the digest is verified here.
    fn read(&mut self, descriptor: &Descriptor) -> Fetched;

    /// Whether a blob is there.
    fn has(&mut self, descriptor: &Descriptor) -> bool;
}

/// What came of reading a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// Its content.
    Document(Vec<u8>),
    /// It is not there, as in a layout that holds some platforms only.
    Absent,
    /// It is there and cannot be read.
    Failed,
}

/// The manifest that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The names that the layout's index gives it.
    pub names: Vec<String>,
    /// Its descriptor.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// Why entries of `index.json`, and of the indexes below the entry that leads to it, cannot
    /// be used. It was found without them, and none of them could be meant as well.
    pub passed_over: Vec<Error>,
}

/// What there is to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Choice {
    /// Its names, the full one first.
    pub names: Vec<String>,
    /// The platforms that it is for, as far as they are known.
    pub platforms: Vec<Platform>,
    /// The digest of its manifest or index.
    pub digest: Digest,
    /// Whether its document is in the layout.
    pub there: bool,
}

/// Why it is not clear which image is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Several {
    /// They have different names, or one has a name and another has none.
    Names,
    /// They have the same name, or none, and are not told apart by their platforms.
    SameName,
    /// Several manifests are for the platform, and equally good.
    SamePlatform,
    /// They are for different platforms, and none is asked for.
    Platforms,
}

/// An entry that cannot be used and may be the one that is meant: no other is, or it fits as well
/// as the best that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnusableEntry {
    /// The index that lists it, where that is not `index.json`.
    pub within: Option<Digest>,
    /// Why it cannot be used.
    pub error: Error,
    /// The manifest that fits as well, or worse, and can be used.
    pub other: Option<Digest>,
}

/// Why no manifest is the one that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotFound {
    /// There is no image.
    Nothing {
        /// What there is instead: the types of artifacts.
        artifacts: Vec<String>,
    },
    /// No image has the name that is asked for.
    Name {
        /// Those that have names.
        choices: Vec<Choice>,
        /// How many there are.
        count: usize,
    },
    /// Several images could be meant.
    Several {
        /// What does not tell them apart.
        why: Several,
        /// Those that could be meant, at most 256.
        choices: Vec<Choice>,
        /// How many there are.
        count: usize,
    },
    /// No image is for the platform.
    Platform {
        /// The outermost index whose entries they are, where that is not `index.json`.
        within: Option<Digest>,
        /// The platform that is wanted.
        wanted: Box<Platform>,
        /// The platforms that there are.
        offered: Vec<Platform>,
        /// The features that an image needs which is for the platform but for them.
        needs: Vec<String>,
    },
    /// The manifest that is meant is not in the layout.
    Absent {
        /// Its descriptor.
        descriptor: Box<Descriptor>,
        /// The platform that it is for, where that is known.
        platform: Option<Box<Platform>>,
        /// The platforms whose manifests are there.
        there: Vec<Platform>,
    },
    /// The digest that is asked for leads to none of the images.
    Digest {
        /// The manifest that would have been chosen else.
        found: Option<Digest>,
        /// The digest that is asked for.
        expected: Digest,
    },
    /// An entry that cannot be used is the one that is meant, or may be.
    Unusable(Box<UnusableEntry>),
    /// The document that is meant cannot be read.
    Unread(Box<Descriptor>),
    /// The document that is meant is refused.
    Refused(Box<Descriptor>, Error),
}

impl NotFound {
    /// The error that stands for it.
    #[must_use]
    pub const fn error(&self) -> Error {
        match self {
            Self::Nothing { .. } => {
                Error::new(Code::PlatformNone, At::Whole).found(Value::Text("no image"))
            }
            Self::Name { .. } | Self::Several { .. } => Error::new(Code::ImageAmbiguous, At::Whole),
            Self::Platform { .. } | Self::Absent { .. } | Self::Unread(_) => {
                Error::new(Code::PlatformNone, At::Whole)
            }
            Self::Digest { found, expected } => {
                let error = Error::new(Code::BlobDigest, At::Whole);
                let error = error.expected(Value::Digest(*expected));
                match found {
                    Some(found) => error.found(Value::Digest(*found)),
                    None => error,
                }
            }
            Self::Unusable(entry) => entry.error,
            Self::Refused(_, error) => *error,
        }
    }
}

/// Finds the manifest that is meant.
///
/// - Entries of one digest are one image, under all their names.
/// - Artifacts are passed over (see [`Manifest::is_image`] and [`Descriptor::is_artifact`]); one
///   with EROFS layers is an image where there is nothing else.
/// - Entries of different names are different images, unless they lead to the same manifests.
///   Those without a name beside one with a name are left out where that one leads to them too.
/// - Entries without a name, or of the same [name](Descriptor::full_name), are one image where
///   no platform is given twice among them, features of the operating system included.
/// - Of one image, [`Index::select`] has the rule. Where entries fit equally well, their
///   manifests and configs are asked for `erofs`; where that does not help, none is chosen.
/// - The only manifest of `index.json` is meant whatever the host is.
/// - A manifest that is not in the layout counts by what its entry states.
/// - An entry that cannot be used is passed over, unless no other is meant and it may be, or it
///   could be meant as well: it has the name that is asked for, where one is, and states a platform
///   that fits no worse than that of the one that would be chosen; or it states none and shares a
///   name with that one. What `digest` names is beside none outside of it.
///
/// # Errors
///
/// [`NotFound`] says why none is meant, with what there is.
pub fn find(
    index: &Index,
    wanted: &Wanted<'_>,
    limits: &Limits,
    documents: &mut dyn Documents,
) -> Result<Found, NotFound> {
    Search::new(wanted, limits, documents).find(index)
}
