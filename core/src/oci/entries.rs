//! The entries of an index, each read by itself: those that can be used, and what can be read of the
//! others.

use alloc::string::String;
use alloc::vec::Vec;

use serde::de::{MapAccess, SeqAccess};

use super::descriptor::{Descriptor, DescriptorFields};
use super::document::{CONTAINERD_NAME, REF_NAME, REFERENCE_TYPE, is_of_artifact, is_of_document};
use super::json::{
    Apart, Entries, Fields, Items, Members, Object, OrNull, Shape, Skip, Text, no_memory, owned,
};
use super::platform::PlatformFields;
use super::{Digest, MediaType, Platform};
use crate::{At, Code, Error, Value};

/// An entry of an index that cannot be used: its digest is of an algorithm that is not known, its
/// media type is none, or the like.
///
/// It says nothing about its siblings, so they are used without it (`descriptor.md`, "Digests":
/// implementations should let pass what they do not support). What makes two readers see two
/// documents is not among them: a key twice in an entry refuses the whole index.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unusable {
    /// Its place among all entries, from 0.
    pub number: u32,
    /// The names of an image that it has, as far as they can be read.
    pub names: Vec<String>,
    /// Its platform, where that can be read.
    pub platform: Option<Platform>,
    /// Its digest, where that can be read.
    pub digest: Option<Digest>,
    /// Whether it may be a manifest or an index, as far as can be read: not what is of another
    /// media type, nor a description of another entry.
    pub is_document: bool,
    /// The type of the artifact that it says it is, where it says so.
    pub artifact_type: Option<String>,
    /// Why it cannot be used.
    pub error: Error,
}

impl Unusable {
    /// Whether it may be an image: not what says itself that it is an artifact.
    #[must_use]
    pub const fn may_be_image(&self) -> bool {
        self.is_document && self.artifact_type.is_none()
    }

    /// Whether it has this name; where none is asked for, any will do.
    #[must_use]
    pub fn is_named(&self, name: Option<&str>) -> bool {
        name.is_none_or(|name| self.names.iter().any(|other| other == name))
    }
}

/// The entries of an index.
#[derive(Default)]
pub(super) struct EntryList {
    pub(super) usable: Vec<Descriptor>,
    pub(super) unusable: Vec<Unusable>,
}

/// The array of the entries of an index, each read by itself.
pub(super) struct IndexEntries {
    pub(super) most: u32,
}

impl<'de> Shape<'de> for IndexEntries {
    type Value = EntryList;
    const EXPECTED: &'static str = "an array";

    fn list<A: SeqAccess<'de>>(self, items: &mut Items<'_, A>) -> Result<EntryList, A::Error> {
        let mut list = EntryList::default();
        let mut number = 0_u32;
        while let Some(item) = items.next_apart()? {
            let place = usize::try_from(number).unwrap_or(usize::MAX);
            if number >= self.most {
                let fault = Error::new(Code::JsonMembers, At::Whole);
                return items.refuse_apart(item, fault.expected(Value::AtMost(self.most.into())));
            }
            let kept = match items.read_apart(place, item, Object::<DescriptorFields>::new())? {
                Ok(entry) => list.usable.try_reserve(1).map(|()| list.usable.push(entry)),
                Err(error) => {
                    let unusable = unusable(items, number, item, error)?;
                    list.unusable
                        .try_reserve(1)
                        .map(|()| list.unusable.push(unusable))
                }
            };
            items.check(kept.map_err(no_memory))?;
            number = number.saturating_add(1);
        }
        Ok(list)
    }
}

/// What can be read of an entry that cannot be used.
fn unusable<'de, A: SeqAccess<'de>>(
    items: &Items<'_, A>,
    number: u32,
    item: Apart<'de>,
    error: Error,
) -> Result<Unusable, A::Error> {
    let place = usize::try_from(number).unwrap_or(usize::MAX);
    // Its first fault is known; what is wrong with the document may come after that.
    let _ = items.read_apart(place, item, Object::<DescriptorKeys>::new())?;
    let about = items.read_apart(place, item, Object::<EntryAbout>::new())?;
    let about = about.unwrap_or_default();
    Ok(Unusable {
        number,
        names: about.names,
        platform: about.platform,
        digest: about.digest,
        is_document: about.media_type.as_ref().is_none_or(is_of_document) && !about.describes,
        artifact_type: about.artifact_type.filter(|name| is_of_artifact(name)),
        error,
    })
}

/// A descriptor of which only the keys count, and that it is JSON.
#[derive(Default)]
pub(super) struct DescriptorKeys;

impl Fields for DescriptorKeys {
    type Value = ();
    const NAMES: &'static [&'static str] = DescriptorFields::NAMES;

    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        _name: &str,
        members: &mut Members<'_, 'de, A>,
    ) -> Result<(), A::Error> {
        members.value(Skip)
    }

    fn finish(self) -> Result<(), Error> {
        Ok(())
    }
}

/// What can be read of an entry, one field whatever the others say.
#[derive(Default)]
struct EntryAbout {
    names: Vec<String>,
    /// Whether it describes another entry.
    describes: bool,
    platform: Option<Platform>,
    digest: Option<Digest>,
    media_type: Option<MediaType>,
    artifact_type: Option<String>,
}

impl Fields for EntryAbout {
    type Value = Self;
    const NAMES: &'static [&'static str] = &[
        "mediaType",
        "digest",
        "annotations",
        "artifactType",
        "platform",
    ];

    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        members: &mut Members<'_, 'de, A>,
    ) -> Result<(), A::Error> {
        match name {
            "mediaType" => self.media_type = members.value_apart(Text(MediaType::parse))?.ok(),
            "digest" => self.digest = members.value_apart(Text(Digest::parse))?.ok(),
            "artifactType" => self.artifact_type = members.value_apart(Text(owned))?.ok(),
            "annotations" => {
                let (mut names, mut describes) = (Vec::new(), false);
                let read = members.value_apart(OrNull(Entries(|key: &str, value: &str| {
                    if [REF_NAME, CONTAINERD_NAME].contains(&key) {
                        names.push(owned(value)?);
                    }
                    describes |= key == REFERENCE_TYPE;
                    Ok(())
                })))?;
                // All of them, or none.
                if read.is_ok() {
                    (self.names, self.describes) = (names, describes);
                }
            }
            "platform" => {
                let shape = OrNull(Object::<PlatformFields>::new());
                self.platform = members.value_apart(shape)?.unwrap_or_default();
            }
            _ => members.value(Skip)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<Self, Error> {
        Ok(self)
    }
}
