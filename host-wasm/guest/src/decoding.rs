//! A layer on its way: the core's unpacker, or a decoder alone.

use erofs_unpack_core::Error;
use erofs_unpack_core::codec::{AnyDecoder, Decoder as _, Step};
use erofs_unpack_core::oci::Digest;
use erofs_unpack_core::unpack::{Outcome, Unpacker};
use erofs_unpack_core::verity::{Guess, Verified};

use crate::instance::Refusal;
use crate::settings::{self, Settings};
use crate::status;

/// What is made from the settings of a handle, and how far it has come.
pub(crate) struct Decoding {
    /// Whether nothing but the decoder is wanted: the host takes the digests and looks at the
    /// superblock itself.
    bare: bool,
    state: State,
}

enum State {
    Settings,
    Unpacker(Box<Unpacker<AnyDecoder>>),
    Decoder(AnyDecoder),
    /// The unpacker has passed.
    Passed(Box<Outcome>),
    /// Refused, or a decoder that has ended.
    Ended(Result<(), Error>),
}

impl Decoding {
    pub(crate) const fn unpacker() -> Self {
        Self {
            bare: false,
            state: State::Settings,
        }
    }

    pub(crate) const fn decoder() -> Self {
        Self {
            bare: true,
            state: State::Settings,
        }
    }

    pub(crate) const fn is_started(&self) -> bool {
        !matches!(self.state, State::Settings)
    }

    pub(crate) fn start(&mut self, settings: &Settings) -> Result<(), Error> {
        let limits = settings.limits();
        let expected = settings.expectations();
        let mut decoder = AnyDecoder::new(expected.compression, limits)?;
        // Of an unpacker the host sees no members.
        if let AnyDecoder::Gzip(gzip) = &mut decoder
            && self.bare
            && settings.crc_of_host()
        {
            gzip.leave_crc_to_user();
        }
        self.state = if self.bare {
            State::Decoder(decoder)
        } else {
            State::Unpacker(Box::new(Unpacker::new(decoder, &expected, limits)?))
        };
        Ok(())
    }

    pub(crate) fn push(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Refusal> {
        let step = match &mut self.state {
            State::Unpacker(unpacker) => unpacker.push(input, output)?,
            State::Decoder(decoder) => decoder.decode(input, output)?,
            State::Ended(Err(error)) => return Err((*error).into()),
            State::Settings | State::Passed(_) | State::Ended(Ok(())) => {
                return Err(Refusal::Status(status::ORDER));
            }
        };
        Ok(step)
    }

    /// Whether the host is to give a CRC-32 now.
    pub(crate) const fn awaits_crc(&self) -> bool {
        matches!(&self.state, State::Decoder(AnyDecoder::Gzip(gzip)) if gzip.awaits_crc())
    }

    /// Takes it.
    pub(crate) fn give_crc(&mut self, crc: u32) -> Result<(), Refusal> {
        match &mut self.state {
            State::Decoder(AnyDecoder::Gzip(gzip)) if gzip.awaits_crc() => {
                gzip.give_crc(crc);
                Ok(())
            }
            _ => Err(Refusal::Status(status::ORDER)),
        }
    }

    pub(crate) fn finish(&mut self) -> Result<(), Refusal> {
        match core::mem::replace(&mut self.state, State::Ended(Ok(()))) {
            State::Unpacker(unpacker) => match unpacker.finish() {
                Ok(outcome) => {
                    self.state = State::Passed(Box::new(outcome));
                    Ok(())
                }
                Err(error) => self.refused(error),
            },
            State::Decoder(mut decoder) => match decoder.finish() {
                Ok(()) => Ok(()),
                Err(error) => self.refused(error),
            },
            State::Ended(Err(error)) => self.refused(error),
            // Back where it was: the call was out of order.
            state @ (State::Settings | State::Passed(_) | State::Ended(Ok(()))) => {
                self.state = state;
                Err(Refusal::Status(status::ORDER))
            }
        }
    }

    fn refused(&mut self, error: Error) -> Result<(), Refusal> {
        self.state = State::Ended(Err(error));
        Err(error.into())
    }

    fn outcome(&self) -> Result<&Outcome, Refusal> {
        match &self.state {
            State::Passed(outcome) => Ok(outcome),
            _ => Err(Refusal::Status(status::ORDER)),
        }
    }

    pub(crate) fn number(&self, key: u32) -> Result<u64, Refusal> {
        let outcome = self.outcome()?;
        let superblock = match key {
            settings::BLOB_SIZE => return Ok(outcome.blob_size),
            settings::IMAGE_SIZE => return Ok(outcome.image_size),
            settings::VERITY => {
                return Ok(match outcome.verity {
                    None => 0,
                    Some(Verified::Tree { .. }) => 1,
                    Some(Verified::Again(_)) => 2,
                });
            }
            settings::HASH_TYPE => return Ok(self.again()?.hash_type.number().into()),
            _ => outcome.superblock.as_ref(),
        };
        match superblock {
            Some(superblock) => {
                settings::superblock(superblock, key).ok_or(Refusal::Status(status::KEY))
            }
            None => Err(Refusal::Status(status::VALUE)),
        }
    }

    /// What the superblock of a dm-verity tree says that was not known.
    pub(crate) fn again(&self) -> Result<Guess, Refusal> {
        match self.outcome()?.verity {
            Some(Verified::Again(guess)) => Ok(guess),
            _ => Err(Refusal::Status(status::VALUE)),
        }
    }

    pub(crate) fn digest(&self, key: u32) -> Result<Digest, Refusal> {
        let outcome = self.outcome()?;
        match key {
            settings::BLOB_DIGEST => Ok(outcome.blob_digest),
            settings::DIFF_ID => Ok(outcome.diff_id),
            _ => Err(Refusal::Status(status::KEY)),
        }
    }
}
