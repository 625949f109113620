//! What can be wrong with a source besides the layers in it.

use erofs_unpack_core::Kind;

/// Declares [`SourceFault`] with its stable ids, kinds and sentences from one table.
macro_rules! faults {
    ($($name:ident = $id:literal, $kind:ident, $text:literal;)+) => {
        /// Why a source is refused before its documents and layers are looked at. Ids are
        /// stable and never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum SourceFault {
            $(
                #[doc = concat!("`", $id, "`: ", $text, ".")]
                $name,
            )+
        }

        impl SourceFault {
            /// Every fault.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable id, as `--json` uses it.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id),+ }
            }

            /// What sort of refusal it is.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind),+ }
            }

            /// What is wrong, as a clause without a full stop.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

faults! {
    LayoutMissing = "layout-missing", Malformed, "is a directory without the file oci-layout: expected an OCI image layout";
    LayoutMarker = "layout-marker", Malformed, "has index.json without the file oci-layout: expected an OCI image layout; if it is one, add oci-layout with {\"imageLayoutVersion\":\"1.0.0\"}";
    LayoutIndex = "layout-index", Malformed, "the OCI image layout has no index.json";
    LayoutEscape = "layout-escape", Malformed, "is or lies behind a symbolic link that leads out of the OCI image layout or in a circle: copy the layout with `cp -rL`, which follows links";
    LayoutType = "layout-type", Malformed, "is not a regular file";
    ObjectEscape = "object-escape", Malformed, "is a symbolic link that leads out of the folder of objects or in a circle";
    ObjectType = "object-type", Malformed, "is not a regular file: expected the content of a file of the image";
    ArchiveDocker = "archive-docker", Unsupported, "is a docker archive (manifest.json without oci-layout): expected an OCI archive, as `skopeo copy docker-archive:IN oci-archive:OUT` makes it";
    ArchiveFolder = "archive-folder", Unsupported, "the OCI image layout lies in this folder of the archive: expected it at the top, as `tar -C FOLDER -cf ARCHIVE .` puts it there; or unpack the archive and name the folder";
    ArchiveTruncated = "archive-truncated", Truncated, "the archive ends inside of a member";
    ArchiveHeader = "archive-header", Malformed, "a member's header does not have the stated checksum";
    ArchiveForm = "archive-form", Unsupported, "a member's header is of a form that readers understand differently";
    ArchiveEnd = "archive-end", Malformed, "a member follows a block of zeros, where the archive ends";
    ArchiveNumber = "archive-number", Malformed, "a number in a member's header is malformed or too large";
    ArchiveExtension = "archive-extension", Malformed, "an extended header is malformed, repeated or belongs to no member";
    ArchiveExtensionSize = "archive-extension-size", Unsupported, "an extended header is larger than 1 MiB";
    ArchiveName = "archive-name", Malformed, "a member's name or its link is empty, or leads upwards with `..`";
    ArchiveDuplicate = "archive-duplicate", Malformed, "the archive holds the member twice, and not as equal blobs";
    ArchiveMember = "archive-member", Malformed, "the member is not a regular file";
    ArchiveLink = "archive-link", Malformed, "the member is a link that leads to no one file in the archive: expected an archive made with `tar -h`, which follows links";
    ArchivePayload = "archive-payload", Malformed, "a link, a directory or a device has content";
    ArchiveSparse = "archive-sparse", Unsupported, "the member is stored without its holes, in a form that cannot be read here: expected an archive made without --sparse (bsdtar: with --no-read-sparse)";
    ArchiveMembers = "archive-members", Limit, "the archive has more members than the limit";
    IndexMissing = "index-missing", Unsupported, "has no index of its chunks that is known: expected a chunk index or a seek table at its end, or where --range or --index-file says";
    FramesWhole = "frames-whole", Unsupported, "is one frame that is larger than the limit of chunks, so no index makes it readable at random: expected a blob of several frames";
    FramesSkippable = "frames-skippable", Unsupported, "has skippable or empty frames before or between the others, which no chunk of an index can be: leave --standalone out, and a new blob is written without them";
    ArchiveSize = "archive-size", Limit, "what has to be put on disk to be read at random is larger than the limit";
}

impl SourceFault {
    /// The command line's flag that raises the limit, for the faults that are limits.
    #[must_use]
    pub const fn flag(self) -> Option<&'static str> {
        match self {
            Self::ArchiveMembers => Some("--max-archive-members"),
            Self::ArchiveSize => Some("--max-archive-size"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_names_its_flag() {
        for fault in SourceFault::ALL {
            assert_eq!(
                fault.flag().is_some(),
                fault.kind() == Kind::Limit,
                "{}",
                fault.id()
            );
        }
    }
}
