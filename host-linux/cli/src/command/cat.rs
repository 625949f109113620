//! `erofs-unpack cat`: the content of files in an image.

use std::io;

use erofs_unpack_core::erofs::FileType;
use rustix::io::Errno;

use erofs_unpack_ops::HostError;
use erofs_unpack_ops::reader::{Found, Last, Reader};

use super::read::{Out, run_with};
use crate::args::Cat;

/// How much is read at a time, in bytes.
const PIECE: usize = 1 << 18;

/// Runs the command and gives its exit code.
pub(super) fn run(args: &Cat) -> u8 {
    let objects = args.objects.basedir.as_deref();
    run_with(
        "cat",
        (&args.image, &args.talk),
        objects,
        false,
        true,
        |reader, out| {
            let mut buffer = vec![0; PIECE];
            for path in &args.paths {
                if let Err(error) = cat(reader, path, &mut buffer, out) {
                    out.fail(error)?;
                }
            }
            Ok(())
        },
    )
}

fn cat(
    reader: &Reader,
    path: &std::ffi::OsStr,
    buffer: &mut [u8],
    out: &mut Out,
) -> Result<(), HostError> {
    let Found { inode, path } = reader.find(path, Last::Target)?;
    let answer = match inode.file_type {
        FileType::Regular => None,
        FileType::Directory => Some(Errno::ISDIR.into()),
        _ => Some(io::Error::other("Not a regular file")),
    };
    if let Some(answer) = answer {
        return Err(HostError::environment(
            reader.file().inside(&path),
            "read",
            answer,
        ));
    }
    reader.content(&inode, &path, buffer, |piece| out.bytes(piece))
}
