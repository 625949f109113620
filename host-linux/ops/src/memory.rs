//! Memory of a size that input asks for and a limit allows: whether there is so much is asked first.

use erofs_unpack_core::{At, Code, Error, Value};

/// Makes it so many bytes long.
///
/// # Errors
///
/// `code`, when there is no memory for them.
pub(crate) fn resize(memory: &mut Vec<u8>, length: u64, code: Code) -> Result<(), Error> {
    let none = Error::new(code, At::Whole).found(Value::Number(length));
    let length = usize::try_from(length).map_err(|_| none)?;
    let more = length.saturating_sub(memory.len());
    memory.try_reserve_exact(more).map_err(|_| none)?;
    memory.resize(length, 0);
    Ok(())
}

/// So many zeros.
///
/// # Errors
///
/// As [`resize`].
pub(crate) fn zeroed(length: u64, code: Code) -> Result<Vec<u8>, Error> {
    let mut memory = Vec::new();
    resize(&mut memory, length, code)?;
    Ok(memory)
}
