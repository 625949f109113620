//! A check of an image that the host holds, or of one in the chunks of a blob.

use erofs_unpack_core::Limits;
use erofs_unpack_core::check::{self, Finding, Options, Paths, Summary};
use erofs_unpack_core::erofs::Image;

use crate::instance::Refusal;
use crate::settings::{self, Settings};
use crate::source::{Held, Source};
use crate::status;

/// What is kept of a rule's findings.
struct Kept {
    finding: Finding,
    /// How many findings of the rule there were, kept or not; of the first of a rule alone.
    count: u64,
}

/// A check and what it found.
#[derive(Default)]
pub(crate) struct Checking {
    asked: Option<Asked>,
    held: Held,
    found: Vec<Kept>,
    summary: Option<Summary>,
    /// Directory entries that may still be looked at to find paths.
    path_entries: u64,
}

/// What is asked of a check.
struct Asked {
    places: u64,
    limits: Limits,
    options: Options,
    devices: Vec<u64>,
}

impl Asked {
    /// The image with its devices.
    fn open(&self, held: &Held) -> Result<Image<Source>, Refusal> {
        let mut image = Image::open(held.image(), held.size(), &self.limits)?;
        let mut start = held.end();
        for size in &self.devices {
            if !image.attach(Held::behind(start), *size) {
                return Err(Refusal::Status(status::VALUE));
            }
            start = start
                .checked_add(*size)
                .ok_or(Refusal::Status(status::VALUE))?;
        }
        Ok(image)
    }
}

impl Checking {
    pub(crate) const fn is_started(&self) -> bool {
        self.asked.is_some()
    }

    pub(crate) const fn is_settled(&self) -> bool {
        self.asked.is_some() || self.held.is_settled()
    }

    pub(crate) fn start(&mut self, settings: &mut Settings) -> Result<(), Refusal> {
        self.held.settle(settings)?;
        self.asked = Some(Asked {
            places: settings.places(),
            limits: *settings.limits(),
            options: *settings.options(),
            devices: settings.devices().to_vec(),
        });
        self.path_entries = settings.path_entries();
        Ok(())
    }

    pub(crate) fn run(&mut self) -> Result<i32, Refusal> {
        let asked = self.asked.as_ref().ok_or(Refusal::Status(status::ORDER))?;
        if self.summary.is_some() {
            return Err(Refusal::Status(status::ORDER));
        }
        // Of a run that the host could not serve.
        self.found.clear();
        let found = &mut self.found;
        let mut enough_memory = true;
        let mut sink = |finding: &Finding| enough_memory &= keep(found, finding, asked.places);
        let summary = match asked.open(&self.held) {
            Ok(image) => check::check_image(&image, &asked.options, &mut sink)?,
            // What cannot be opened for its superblock is a finding of the check.
            Err(Refusal::Error(_)) => check::check(
                self.held.image(),
                self.held.size(),
                &asked.limits,
                &asked.options,
                &mut sink,
            )?,
            Err(refusal) => return Err(refusal),
        };
        if !enough_memory {
            return Err(Refusal::Status(status::MEMORY));
        }
        self.summary = Some(summary);
        Ok(if summary.passed() {
            status::OK
        } else {
            status::FINDINGS
        })
    }

    /// A finding that was kept, and how many of its rule there were.
    pub(crate) fn finding(&self, index: u32) -> Result<(Finding, u64), Refusal> {
        let kept = usize::try_from(index)
            .ok()
            .and_then(|index| self.found.get(index))
            .ok_or(Refusal::Status(status::RANGE))?;
        let code = kept.finding.error.code();
        let first = self
            .found
            .iter()
            .find(|other| other.finding.error.code() == code);
        Ok((kept.finding, first.map_or(0, |first| first.count)))
    }

    /// The path of a finding; `None` when it is about no file, or was not found in time.
    pub(crate) fn path(&mut self, index: u32) -> Result<Option<Vec<u8>>, Refusal> {
        let asked = self.asked.as_ref().ok_or(Refusal::Status(status::ORDER))?;
        let (finding, _) = self.finding(index)?;
        let image = asked.open(&self.held)?;
        let mut paths = Paths::new(&image, self.path_entries);
        let path = paths.of(&finding)?;
        self.path_entries = paths.left();
        Ok(path)
    }

    pub(crate) fn number(&self, key: u32) -> Result<u64, Refusal> {
        if key == settings::FINDINGS {
            return Ok(self.found.len() as u64);
        }
        let summary = self.summary.ok_or(Refusal::Status(status::ORDER))?;
        if let Some(number) = self.held.number(key) {
            return number;
        }
        match key {
            settings::IMAGE_SIZE => Ok(self.held.size()),
            settings::ERRORS => Ok(summary.errors),
            settings::WARNINGS => Ok(summary.warnings),
            settings::REACHED_INODES => Ok(summary.inodes),
            settings::REACHED_DIRECTORIES => Ok(summary.directories),
            settings::METADATA => Ok(summary.metadata),
            settings::DECODED => Ok(summary.decoded),
            settings::CHECK_MEMORY_USED => Ok(summary.memory),
            settings::NEEDS => Ok(summary.needs.bits().into()),
            _ => Err(Refusal::Status(status::KEY)),
        }
    }
}

/// Keeps a finding, unless its rule has as many as are wanted; `false` without memory.
fn keep(found: &mut Vec<Kept>, finding: &Finding, places: u64) -> bool {
    let code = finding.error.code();
    let mut same = found
        .iter_mut()
        .filter(|kept| kept.finding.error.code() == code);
    let mut kept = 0;
    if let Some(first) = same.next() {
        first.count = first.count.saturating_add(1);
        kept = same.count() as u64 + 1;
    }
    if kept >= places.max(1) {
        return true;
    }
    if found.try_reserve(1).is_err() {
        return false;
    }
    found.push(Kept {
        finding: *finding,
        count: 1,
    });
    true
}
