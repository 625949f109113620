//! What a user can do about a refusal of the core, where that is more than to ask for another image.

use erofs_unpack_core::erofs::SUPERBLOCK_OFFSET;
use erofs_unpack_core::{Code, Error, Value};

/// A clause that says what helps, where something does. Flags that raise limits are
/// [`crate::limit_flag()`]'s.
#[must_use]
pub fn hint(error: &Error) -> Option<&'static str> {
    match error.code() {
        Code::FileElsewhere => Some("cat and extract take it from --basedir OBJECTS"),
        // No other writer is known that counts from there.
        Code::DeviceTable if error.found_value() == Value::Number(SUPERBLOCK_OFFSET) => Some(
            "go-erofs writes so with WithDataFile, slot 8 for 9: it has to be written anew by \
             another; ls, cat and extract read it with --device FILE",
        ),
        _ => None,
    }
}
