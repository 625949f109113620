//! A decoder whose work is done by a guest.

use erofs_unpack_core::codec::{Compression, Decoder, Status, Step};
use erofs_unpack_core::unpack::{Expectations, Unpacker};
use erofs_unpack_core::{At, Code, Error, Limits};

use crate::guest::{Calls, Guest, Options, sort, status};
use crate::load::Sandbox;

/// A decoder like those of the core, in a guest of its own.
///
/// It gives the same bytes and the same errors as they do. Besides it may fail with the codes
/// `guest-…`; then, as after any error, every further call fails with the same.
#[derive(Debug)]
pub struct SandboxDecoder {
    guest: Guest,
    calls: DebugCalls,
    handle: i32,
    /// The CRC-32 of what the guest has given of a gzip member. It is taken here, where there are
    /// instructions for it.
    crc: Option<crc32fast::Hasher>,
    /// Whether the last call ended with the wish for it.
    gave_crc: bool,
    /// What lies in the guest's output buffer and was not taken: start and end.
    pending: (usize, usize),
    /// What the guest needs next.
    status: Status,
    fault: Option<Error>,
    finished: bool,
}

struct DebugCalls(Calls);

impl std::fmt::Debug for DebugCalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Calls")
    }
}

impl Sandbox {
    /// A decoder for this compression, in a fresh instance.
    ///
    /// # Errors
    ///
    /// A code `guest-…` when the instance cannot be made.
    pub fn decoder(
        &self,
        compression: Compression,
        limits: &Limits,
        options: &Options,
    ) -> Result<SandboxDecoder, Error> {
        // Beside the window the core takes up to 8 MiB, or a quarter of a large one.
        let window = match compression {
            Compression::Zstd => limits.zstd_window.saturating_add(limits.zstd_window / 4),
            _ => 0,
        };
        let memory = options.memory.saturating_add(window);
        let mut guest = Guest::new(self, memory, options)?;
        let calls = guest.calls();
        let handle = guest.open(sort::DECODER)?;
        let crc = (compression == Compression::Gzip).then(crc32fast::Hasher::new);
        let compression = match compression {
            Compression::None => 0,
            Compression::Gzip => 1,
            Compression::Zstd => 2,
            _ => return Err(Error::new(Code::ZstdUnavailable, At::Whole)),
        };
        for (key, value) in [
            (1, compression),
            (9, crc.is_some().into()),
            (34, limits.zstd_window),
            (35, limits.frames),
            (36, limits.skippable_size),
        ] {
            guest.expect(handle, &calls.set, (handle, key, value))?;
        }
        guest.expect(handle, &calls.start, handle)?;
        Ok(SandboxDecoder {
            guest,
            calls: DebugCalls(calls),
            handle,
            crc,
            gave_crc: false,
            pending: (0, 0),
            status: Status::NeedInput,
            fault: None,
            finished: false,
        })
    }

    /// The core's unpacker around [`Self::decoder`]: digests, limits and superblock are its
    /// own business, outside of the guest.
    ///
    /// # Errors
    ///
    /// As [`Self::decoder`] and [`Unpacker::new`].
    pub fn unpacker(
        &self,
        expectations: &Expectations,
        limits: &Limits,
        options: &Options,
    ) -> Result<Unpacker<SandboxDecoder>, Error> {
        let decoder = self.decoder(expectations.compression, limits, options)?;
        Unpacker::new(decoder, expectations, limits)
    }
}

impl SandboxDecoder {
    /// What the guest has decoded and nobody has taken, as it lies in the guest's memory. The
    /// guest does not run while this is borrowed.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        let (start, end) = self.pending;
        let view = self
            .guest
            .view(self.guest.output, start, end.saturating_sub(start));
        view.unwrap_or(&[])
    }

    /// Takes all that is [`Self::pending`], which is to say, forgets it.
    pub fn take_pending(&mut self) {
        self.pending = (0, 0);
    }

    /// Lets the guest decode from `input` into its own memory, once what lies there was taken,
    /// and gives how many bytes it used, and what it needs next.
    ///
    /// # Errors
    ///
    /// As [`Decoder::decode`]. Nothing is pending then.
    pub fn advance(&mut self, input: &[u8]) -> Result<(usize, Status), Error> {
        if let Some(error) = self.fault {
            return Err(error);
        }
        if self.pending.0 < self.pending.1 {
            return Ok((0, Status::NeedOutput));
        }
        match self.push(input) {
            Ok(consumed) => Ok((consumed, self.status)),
            Err(error) => {
                self.fault = Some(error);
                self.pending = (0, 0);
                Err(error)
            }
        }
    }

    fn push(&mut self, input: &[u8]) -> Result<usize, Error> {
        let given = self.guest.give(input)?;
        let called = self
            .guest
            .call(&self.calls.0.push, (self.handle, 0, given))?;
        let status = match called {
            status::OK => Status::Done,
            status::NEED_INPUT => Status::NeedInput,
            status::NEED_OUTPUT => Status::NeedOutput,
            status::NEED_CRC if self.crc.is_some() => Status::NeedOutput,
            status::REFUSED => return Err(self.guest.error(self.handle)),
            _ => return Err(self.guest.lied()),
        };
        let consumed = self.guest.call(&self.calls.0.consumed, ())?;
        let produced = self.guest.call(&self.calls.0.produced, ())? as usize;
        // It must not use or give what is not there, nor go on for ever without doing anything,
        // nor leave input for no reason.
        // With the wish for a CRC a call may end that did nothing else, but not twice in a row.
        let wants_crc = called == status::NEED_CRC;
        let may_wait = status != Status::NeedOutput && given == 0 || wants_crc && !self.gave_crc;
        let idle = consumed == 0 && produced == 0 && !may_wait;
        let rest = consumed < given && status != Status::NeedOutput;
        if consumed > given || produced > self.guest.output.size || idle || rest {
            return Err(self.guest.lied());
        }
        self.status = status;
        self.pending = (0, produced);
        self.give_crc(wants_crc)?;
        Ok(consumed as usize)
    }

    /// Goes on with the CRC, and gives it when it is wanted.
    fn give_crc(&mut self, wanted: bool) -> Result<(), Error> {
        self.gave_crc = wanted;
        let Some(mut crc) = self.crc.take() else {
            return Ok(());
        };
        crc.update(self.pending());
        if wanted {
            let value = core::mem::take(&mut crc).finalize();
            let give = &self.calls.0.crc;
            self.guest.expect(self.handle, give, (self.handle, value))?;
        }
        self.crc = Some(crc);
        Ok(())
    }

    /// Moves what is pending to the output, as far as there is room, and gives how much.
    fn drain(&mut self, output: &mut [u8]) -> usize {
        let pending = self.pending();
        let size = pending.len().min(output.len());
        if let (Some(from), Some(to)) = (pending.get(..size), output.get_mut(..size)) {
            to.copy_from_slice(from);
        }
        self.pending.0 += size;
        size
    }
}

impl Decoder for SandboxDecoder {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        let mut consumed = 0;
        let mut produced = 0;
        let mut called = false;
        let status = loop {
            produced += self.drain(output.get_mut(produced..).unwrap_or_default());
            if self.pending.0 < self.pending.1 {
                break Status::NeedOutput;
            }
            if let Some(error) = self.fault {
                if produced == 0 {
                    return Err(error);
                }
                // What was delivered now is told first; the next call gives the error.
                break Status::NeedOutput;
            }
            let rest = input.get(consumed..).unwrap_or(&[]);
            if rest.is_empty() && called && self.status != Status::NeedOutput {
                break self.status;
            }
            called = true;
            if let Ok((used, _)) = self.advance(rest) {
                consumed += used;
            }
        };
        Ok(Step {
            consumed,
            produced,
            status,
        })
    }

    fn finish(&mut self) -> Result<(), Error> {
        if self.pending.0 < self.pending.1 {
            return Err(Error::new(Code::Finished, At::Whole));
        }
        if let Some(error) = self.fault {
            return Err(error);
        }
        if self.finished {
            return Err(Error::new(Code::Finished, At::Whole));
        }
        self.finished = true;
        let calls = &self.calls.0.finish;
        let finished = self.guest.expect(self.handle, calls, self.handle);
        self.fault = finished.err();
        finished
    }
}
