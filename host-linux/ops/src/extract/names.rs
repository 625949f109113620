//! Names as they come from an image, looked at once more before they reach the system.

use crate::error::ExtractFault;

/// The names of one directory must rise, as bytes: so that none comes twice, and so that the
/// kernel finds each.
#[derive(Debug, Default)]
pub(super) struct Order {
    last: Vec<u8>,
}

impl Order {
    /// Takes the next name of the directory.
    pub(super) fn check(&mut self, name: &[u8]) -> Result<(), ExtractFault> {
        if matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
            return Err(ExtractFault::Name);
        }
        if name <= &*self.last {
            return Err(ExtractFault::Order);
        }
        self.last.clear();
        self.last.extend_from_slice(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_that_rise() {
        let mut order = Order::default();
        for name in [&b"!"[..], b"...", b".a", b"a", b"a\xff", b"b\n"] {
            assert_eq!(order.check(name), Ok(()), "{name:?}");
        }
        for name in [&b"b\n"[..], b"b", b"a"] {
            assert_eq!(order.check(name), Err(ExtractFault::Order), "{name:?}");
        }
        for name in [&b""[..], b".", b"..", b"/", b"c/d", b"c\0"] {
            assert_eq!(order.check(name), Err(ExtractFault::Name), "{name:?}");
        }
    }
}
