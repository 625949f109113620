//! The limits of the decoded bytes, and the superblock gate over them.

use super::gate::Gate;
use super::tail::Tail;
use super::{Content, Expectations, Failure, Stage, Verdict};
use crate::codec::Compression;
use crate::erofs::Superblock;
use crate::verity::Announced;
use crate::{At, Code, Error, Kind, Limits, Value};

/// Checks all of the decoded bytes but their digest, while they stream past.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    expectations: Expectations,
    /// `None` for content that is not an image.
    gate: Option<Gate>,
    /// Where a tree that nothing announces may follow, what is known of it.
    tail: Option<Tail>,
    size: u64,
    limit: u64,
    /// What exceeding `limit` is called.
    limit_code: Code,
    /// Set once an update failed; no more is taken then.
    failed: Option<Failure>,
}

impl Bounds {
    /// A check against what is expected of the image.
    pub(super) fn new(expectations: &Expectations, limits: &Limits) -> Self {
        let expanded = match (limits.expansion_ratio, expectations.blob_size) {
            (Some(ratio), Some(size)) => size.saturating_mul(ratio),
            _ => u64::MAX,
        };
        let (limit, limit_code) = if expanded < limits.image_size {
            (expanded, Code::ExpansionLimit)
        } else {
            (limits.image_size, Code::ImageLimit)
        };
        Self {
            expectations: *expectations,
            gate: (expectations.content == Content::Erofs).then(|| Gate::new(limit, limit_code)),
            tail: None,
            size: 0,
            limit,
            limit_code,
            failed: None,
        }
    }

    /// Takes nothing any more, because of this failure.
    pub(super) const fn refuse(&mut self, failure: Failure) {
        self.failed = Some(failure);
    }

    /// Takes the next decoded bytes.
    ///
    /// # Errors
    ///
    /// The first [`Failure`] of limit or gate; it is given again by every further call.
    pub(super) fn update(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if let Some(failure) = self.failed {
            return Err(failure);
        }
        let start = self.size;
        self.size = start.saturating_add(bytes.len() as u64);
        let mut verdict = Verdict::new();
        let room = usize::try_from(self.limit.saturating_sub(start)).unwrap_or(usize::MAX);
        if room < bytes.len() {
            verdict.add(Failure {
                stage: Stage::Limit,
                decoded: self.limit,
                error: Error::new(self.limit_code, At::Image(self.limit))
                    .found(Value::AtLeast(self.limit.saturating_add(1)))
                    .expected(Value::AtMost(self.limit)),
            });
        }
        verdict.add_result(self.update_gate(start, bytes));
        self.failed = verdict.failure();
        self.failed.map_or(Ok(()), Err)
    }

    /// The gate's part of [`Self::update`].
    fn update_gate(&mut self, start: u64, bytes: &[u8]) -> Result<(), Failure> {
        let Some(gate) = &mut self.gate else {
            return Ok(());
        };
        gate.update(bytes)
            .map_err(|(decoded, error)| gate_failure(decoded, error))?;
        let Some(most) = gate.most(&self.expectations) else {
            return Ok(());
        };
        let end = image_end(&self.expectations, self.size);
        let padding = gate
            .padding_start()
            .filter(|_| self.expectations.verity.is_none());
        if self.expectations.unannounced_verity && self.expectations.verity.is_none() {
            let image = padding.unwrap_or(most);
            let zeros = padding.map(|_| most);
            return self.update_tail((start, bytes), end, image, zeros);
        }
        if let Some(padding) = padding
            && end > padding
            && let Some(trailing) = first_nonzero(bytes, start, padding, end)
        {
            return Err(trailing_failure(trailing, padding));
        }
        if end > most {
            return Err(trailing_failure(most, padding.unwrap_or(most)));
        }
        Ok(())
    }

    /// What lies behind the end of the image, where a tree may.
    fn update_tail(
        &mut self,
        (start, bytes): (u64, &[u8]),
        end: u64,
        image: u64,
        zeros: Option<u64>,
    ) -> Result<(), Failure> {
        let from = start.max(image);
        let index = |offset: u64| usize::try_from(offset.saturating_sub(start)).ok();
        let Some(behind) = index(from)
            .zip(index(end))
            .and_then(|(from, to)| bytes.get(from..to.min(bytes.len())))
        else {
            return Ok(());
        };
        let tail = self.tail.get_or_insert(Tail::new(image, zeros));
        match tail.update(behind, from) {
            Some(wrong) => Err(trailing_failure(wrong, wrong)),
            None => Ok(()),
        }
    }

    /// The dm-verity tree that follows the image though nothing announces it.
    pub(super) fn unannounced(&self) -> Option<Announced> {
        self.tail.as_ref().and_then(Tail::found)
    }

    /// How many bytes have been decoded so far.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// The superblock, once it has passed and can be one.
    pub(super) fn superblock(&self) -> Option<&Superblock> {
        self.gate.as_ref().and_then(Gate::superblock)
    }

    /// Says that the bytes have ended, and what was wrong with them.
    pub(super) fn finish(&self) -> Verdict {
        let mut verdict = Verdict::new();
        if let Some(at) = self.tail.as_ref().and_then(Tail::finish) {
            verdict.add(trailing_failure(at, at));
        }
        let mut wrong = |error| {
            verdict.add(Failure {
                stage: Stage::ImageSize,
                decoded: self.size,
                error,
            });
        };
        if let Some(gate) = &self.gate {
            if let Err(error) = gate.finish() {
                wrong(error);
            }
            let end = image_end(&self.expectations, self.size);
            if let Some(least) = gate.least(&self.expectations)
                && end < least
            {
                let error = Error::new(Code::ImageSize, At::Image(end))
                    .found(Value::Number(end))
                    .expected(Value::AtLeast(least));
                wrong(error);
            }
        }
        if let Some(failure) = self.failed {
            verdict.add(failure);
        }
        verdict
    }
}

/// Where the image ends when `size` bytes have come: a chunk index in a plain blob does not
/// belong to it, though it is part of the file.
fn image_end(expectations: &Expectations, size: u64) -> u64 {
    match expectations.chunk_index {
        Some(start) if expectations.compression == Compression::None => size.min(start),
        _ => size,
    }
}

/// The first byte from `from` to `to` that is not zero, in `bytes`, which start at `start`.
fn first_nonzero(bytes: &[u8], start: u64, from: u64, to: u64) -> Option<u64> {
    let index = |offset: u64| usize::try_from(offset.saturating_sub(start)).unwrap_or(usize::MAX);
    let first = index(from).min(bytes.len());
    let piece = bytes.get(first..index(to).min(bytes.len()))?;
    let place = piece.iter().position(|byte| *byte != 0)?;
    Some(
        start
            .saturating_add(first as u64)
            .saturating_add(place as u64),
    )
}

/// A failure of the gate after `decoded` bytes.
const fn gate_failure(decoded: u64, error: Error) -> Failure {
    let stage = match error.kind() {
        Kind::Limit => Stage::Limit,
        _ => Stage::Gate,
    };
    Failure {
        stage,
        decoded,
        error,
    }
}

/// The failure of an image that goes on at `offset` though it ends at `end`.
const fn trailing_failure(offset: u64, end: u64) -> Failure {
    let error = Error::new(Code::ImageTrailing, At::Image(offset))
        .found(Value::AtLeast(offset.saturating_add(1)))
        .expected(Value::AtMost(end));
    gate_failure(offset, error)
}
