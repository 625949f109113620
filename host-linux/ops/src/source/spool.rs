//! Streams that must be read at random, on disk.

use std::io::{self, Read, Write as _};
use std::path::Path;
use std::sync::Arc;

use super::blob::Extent;
use crate::error::HostError;
use crate::error::SourceFault;
use crate::publish::scratch;
use erofs_unpack_core::Value;

/// The buffer between stream and file, in bytes.
const BUFFER: usize = 256 << 10;

/// Writes a stream of at most `limit` bytes to a file without a name in `dir`, and returns the
/// file. `start` has been taken off the stream already.
pub(super) fn spool(
    place: &Path,
    start: &[u8],
    stream: &mut dyn Read,
    dir: &Path,
    limit: u64,
) -> Result<Extent, HostError> {
    let too_large = || HostError::Source {
        place: place.to_path_buf(),
        fault: SourceFault::ArchiveSize,
        at: None,
        expected: Value::AtMost(limit),
    };
    let mut file = scratch(dir)?;
    let failed = |error| HostError::environment(dir, "write a temporary file", error);
    let mut length = start.len() as u64;
    if length > limit {
        return Err(too_large());
    }
    file.write_all(start).map_err(failed)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(HostError::environment(place, "read", error)),
        };
        length = length.saturating_add(read as u64);
        if length > limit {
            return Err(too_large());
        }
        file.write_all(buffer.get(..read).unwrap_or_default())
            .map_err(failed)?;
    }
    Ok(Extent {
        file: Arc::new(file),
        offset: 0,
        length,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_no_name_and_obeys_the_limit() {
        let dir = std::env::temp_dir().join(format!("spool-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let spooled = |limit| spool(Path::new("-"), b"ab", &mut &b"cde"[..], &dir, limit);
        let extent = spooled(5);
        let refused = spooled(4);
        let short = spooled(1);
        let names = std::fs::read_dir(&dir).unwrap().count();
        std::fs::remove_dir_all(&dir).unwrap();
        let extent = extent.unwrap();
        let mut content = [0; 9];
        assert_eq!(extent.fill_at(&mut content, 1).unwrap(), 4);
        assert_eq!(&content[..4], b"bcde");
        for refused in [refused, short] {
            let refused = refused.unwrap_err();
            assert_eq!((refused.id(), refused.exit_code()), ("archive-size", 1));
            assert_eq!(refused.flag(), Some("--max-archive-size"));
        }
        assert_eq!(names, 0);
    }
}
