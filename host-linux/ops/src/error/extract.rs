//! What can be wrong with an image once its files are to be created.

use erofs_unpack_core::Kind;

/// Declares [`ExtractFault`] with its stable ids, kinds and sentences from one table.
macro_rules! faults {
    ($($name:ident = $id:literal, $kind:ident, $text:literal;)+) => {
        /// Why extraction stops although the image can be read. Ids are stable and never
        /// reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ExtractFault {
            $(
                #[doc = concat!("`", $id, "`: ", $text, ".")]
                $name,
            )+
        }

        impl ExtractFault {
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
    Name = "extract-name", Malformed, "the image has a name that is empty, `.` or `..`, or holds a slash or a zero byte";
    Order = "extract-order", Malformed, "the image has the name twice in one directory, or its names are not in order";
    Path = "extract-path", Malformed, "the root of the image is no directory, or something lies in what is none";
    Link = "extract-link", Malformed, "is another name of a file that could not be extracted";
    Size = "extract-size", Limit, "the files of the image have more bytes in all than the limit";
    Links = "extract-links", Limit, "more files wait for their other names than the limit";
}

impl ExtractFault {
    /// The command line's flag that raises the limit, for the faults that are limits.
    #[must_use]
    pub const fn flag(self) -> Option<&'static str> {
        match self {
            Self::Size => Some("--max-extracted-size"),
            Self::Links => Some("--max-links"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_names_its_flag() {
        for fault in ExtractFault::ALL {
            assert_eq!(
                fault.flag().is_some(),
                fault.kind() == Kind::Limit,
                "{}",
                fault.id()
            );
        }
    }
}
