//! An announced tree whose salt is not the one that was guessed: the image is gone through again.

use std::io::{self, Read};
use std::path::Path;

use erofs_unpack_core::oci::Digest;
use erofs_unpack_core::unpack::{Expectations, Outcome, VerityCheck};
use erofs_unpack_core::verity::{Guess, SUPERBLOCK_SIZE, Superblock, Verified};
use erofs_unpack_core::{At, Code, Error, Value};

use crate::error::HostError;

/// How much is read at a time, in bytes.
const PIECE: usize = 1 << 20;

/// What the superblock of an announced tree says, of an image that can be read at any offset. It is
/// only a guess: whether that superblock is right, the stream says.
pub(crate) fn guess(
    expectations: &Expectations,
    read: impl FnOnce(&mut [u8], u64) -> io::Result<()>,
) -> Option<Guess> {
    let tree = expectations.verity.filter(|tree| tree.root.is_some())?;
    let mut head = [0; SUPERBLOCK_SIZE];
    read(&mut head, tree.hash_offset).ok()?;
    let params = Superblock::parse(&head).ok()?.params;
    Some(Guess {
        hash_type: params.hash_type,
        salt: params.salt,
    })
}

/// The outcome with its tree verified: with what its superblock says, where that was not known. What
/// `image` gives is then read from its start.
///
/// # Errors
///
/// [`HostError::Refused`] when the tree is not that of the image, [`HostError::Environment`] when it
/// cannot be read.
pub(crate) fn settle(
    mut outcome: Outcome,
    expectations: &Expectations,
    place: &Path,
    image: impl Read,
) -> Result<Outcome, HostError> {
    let check = match (outcome.verity, outcome.unannounced) {
        (Some(Verified::Again(guess)), _) => {
            let mut expected = *expectations;
            if let Some(tree) = &mut expected.verity {
                tree.guess = guess;
            }
            VerityCheck::new(&expected)
        }
        (None, Some(announced)) => Some(VerityCheck::of(&announced)),
        _ => None,
    };
    let Some(check) = check else {
        return Ok(outcome);
    };
    let verified = again(check, &outcome.diff_id, image)
        .map_err(|error| HostError::environment(place, "read", error))?
        .map_err(|error| HostError::refused(place, error))?;
    outcome.verity = Some(verified);
    Ok(outcome)
}

/// One way through the image. It must be the one that had this digest.
fn again(
    mut check: VerityCheck,
    digest: &Digest,
    mut image: impl Read,
) -> io::Result<Result<Verified, Error>> {
    let mut hasher = erofs_unpack_core::oci::Hasher::new(digest.algorithm());
    let mut buffer = vec![0; PIECE];
    loop {
        let read = match image.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        check.update(&buffer[..read]);
    }
    let found = hasher.finish();
    if found != *digest {
        // It was changed in between.
        return Ok(Err(Error::new(Code::DiffId, At::Whole)
            .found(Value::Digest(found))
            .expected(Value::Digest(*digest))));
    }
    Ok(match check.finish().verified {
        // The superblock said something else in between.
        Ok(Verified::Again(_)) => Err(Error::new(Code::VerityRoot, At::Whole)),
        verified => verified,
    })
}
