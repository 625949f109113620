//! What a module says of itself.

use erofs_unpack_core::Error;

use crate::guest::{Guest, Options, sort};
use crate::load::Sandbox;

/// The text that holds the version (`host-wasm/ABI.md`).
const VERSION_TEXT: u32 = 4;
/// The longest version that is believed, in bytes.
const LONGEST: usize = 256;

impl Sandbox {
    /// The module's version and its decoders, for people: one line of at most 256 bytes without
    /// control characters. It is the module's own word, asked of a fresh instance.
    ///
    /// # Errors
    ///
    /// A code `guest-…` when the instance cannot be made, or answers with anything else.
    pub fn version(&self, options: &Options) -> Result<String, Error> {
        let mut guest = Guest::new(self, options.memory, options)?;
        // Any handle knows the version.
        let handle = guest.open(sort::DECODER)?;
        let get = guest.entry::<(i32, u32), i32>("eu_get_text")?;
        let length = guest.call(&get, (handle, VERSION_TEXT))?;
        let text = guest.answer(length)?;
        let version = str::from_utf8(text)
            .ok()
            .filter(|text| (1..=LONGEST).contains(&text.len()) && !text.contains(char::is_control));
        match version.map(str::to_owned) {
            Some(version) => Ok(version),
            None => Err(guest.lied()),
        }
    }
}
