//! Inflate libraries, which do not say which of two slices they miss when both are used up.

use super::step::{InflateStatus, InflateStep};

/// What one call of a library did.
#[derive(Clone, Copy, Debug)]
pub(super) struct LibraryStep {
    pub(super) consumed: usize,
    pub(super) produced: usize,
    /// Why it came back: `None` when the input is used up or the output is full, maybe both.
    pub(super) status: Option<InflateStatus>,
}

/// An inflater of raw deflate streams, RFC 1951.
pub(super) trait Library {
    /// Makes ready for a new stream. Called before each, the first included.
    fn start(&mut self);

    /// Inflates until the input is used up, the output is full, or the stream ends or breaks.
    fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> LibraryStep;
}

/// A library that is asked for one byte more where it does not say what it misses: whether the
/// stream, or the blob, is complete must not depend on whether the output happened to end with
/// it.
pub(super) struct Asked<L> {
    pub(super) library: L,
    /// A byte of content that it gave then, and why it came back with it.
    ahead: Option<(u8, Option<InflateStatus>)>,
}

impl<L: Library> Asked<L> {
    pub(super) const fn new(library: L) -> Self {
        Self {
            library,
            ahead: None,
        }
    }

    pub(super) fn start(&mut self) {
        self.library.start();
        self.ahead = None;
    }

    pub(super) fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> InflateStep {
        let mut step = InflateStep {
            consumed: 0,
            produced: 0,
            status: InflateStatus::Output,
        };
        if let Some((byte, status)) = self.ahead {
            let Some(first) = output.first_mut() else {
                return step;
            };
            *first = byte;
            step.produced = 1;
            self.ahead = None;
            if let Some(status) = status {
                step.status = status;
                return step;
            }
        }
        let room = output.get_mut(step.produced..).unwrap_or(&mut []);
        let did = self.library.inflate(input, room);
        step.consumed = did.consumed;
        step.produced = step.produced.saturating_add(did.produced);
        if let Some(status) = did.status {
            step.status = status;
        } else if step.produced < output.len() {
            step.status = InflateStatus::Input;
        } else if step.consumed >= input.len() {
            let mut byte = [0];
            let did = self.library.inflate(&[], &mut byte);
            if did.produced > 0 {
                self.ahead = Some((byte[0], did.status));
            } else {
                step.status = did.status.unwrap_or(InflateStatus::Input);
            }
        }
        step
    }
}
