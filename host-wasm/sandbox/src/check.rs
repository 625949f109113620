//! The check of an image, in a guest.

use std::fmt;
use std::io;

use erofs_unpack_core::check::{self, Finding, Level, RULES, Summary};
use erofs_unpack_core::erofs::{Needs, ReadError};
use erofs_unpack_core::oci::Policy;
use erofs_unpack_core::{Error, Limits};

use crate::guest::{Guest, Options, sort, status};
use crate::load::Sandbox;
use crate::record;

/// An image that is checked: it stays outside, and the guest asks for pieces of it.
pub trait Source: Send + Sync {
    /// Its size in bytes.
    fn size(&self) -> u64;

    /// Sizes in bytes of the devices that are there, in the order of the image's device table.
    /// Their bytes are read as if they lay behind the image, one after another.
    fn devices(&self) -> Vec<u64> {
        Vec::new()
    }

    /// Fills `buffer` with the bytes from `offset` on, which lie inside of the sizes.
    ///
    /// # Errors
    ///
    /// When they cannot be had.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl fmt::Debug for dyn Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source of {} bytes", self.size())
    }
}

/// Something that a check has found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Found {
    /// What it is.
    pub finding: Finding,
    /// How many findings of its rule there were, which are not all told.
    pub of_rule: u64,
    /// The path of the file that it is about, without a leading slash, where there is one and
    /// it was asked for ([`Options::path_entries`]) and found.
    pub path: Option<Vec<u8>>,
}

impl Source for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self
            .get(start..)
            .and_then(|rest| rest.get(..buffer.len()))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

#[cfg(unix)]
impl Source for (std::fs::File, u64) {
    fn size(&self) -> u64 {
        self.1
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, buffer, offset)
    }
}

/// Findings of a rule that are told, the rest being counted only.
const PLACES: u64 = 10;
/// A check's time grows by the limit of one call for each so many bytes of the image.
const BYTES_FOR_TIME: u64 = 64 << 20;
/// Memory that decoding a file's pclusters takes, in bytes.
const DECODING: u64 = 48 << 20;

impl Sandbox {
    /// Checks an image in a fresh instance, as [`check::check`] does, and gives the findings
    /// to `sink`: of each rule the first ten. Each says how many there were.
    ///
    /// A guest that lies can leave out findings: what cannot be left to it is settled by the
    /// digests.
    ///
    /// # Errors
    ///
    /// As [`check::check`], and besides codes `guest-…`.
    pub fn check(
        &self,
        source: Box<dyn Source>,
        limits: &Limits,
        asked: &check::Options,
        options: &Options,
        sink: &mut dyn FnMut(Found),
    ) -> Result<Summary, ReadError<io::Error>> {
        let size = source.size();
        let memory = options
            .memory
            .saturating_add(limits.check_memory)
            .saturating_add(limits.metadata_cache.saturating_mul(2))
            .saturating_add(match asked.level {
                Level::Full => DECODING,
                _ => 0,
            });
        let devices = source.devices();
        let behind = devices
            .iter()
            .try_fold(size, |sum, size| sum.checked_add(*size));
        let Some(end) = behind else {
            return Err(ReadError::Source(io::ErrorKind::InvalidInput.into()));
        };
        let mut guest = Guest::new(self, memory, options)?;
        guest.store.data_mut().end = end;
        guest.store.data_mut().source = Some(source);
        let calls = guest.calls();
        let handle = guest.open(sort::CHECK)?;
        for (key, value) in settings(size, limits, asked) {
            guest.expect(handle, &calls.set, (handle, key, value))?;
        }
        for size in devices {
            guest.expect(handle, &calls.set, (handle, 24, size))?;
        }
        guest.expect(handle, &calls.set, (handle, 25, options.path_entries))?;
        if let Some(kernel) = asked.kernel {
            let release = u64::from(kernel.major) << 16 | u64::from(kernel.minor);
            guest.expect(handle, &calls.set, (handle, 26, release))?;
        }
        allow(&mut guest, handle, asked)?;
        guest.expect(handle, &calls.start, handle)?;
        let run = guest.entry("eu_check")?;
        let steps = u32::try_from(end.div_ceil(BYTES_FOR_TIME)).unwrap_or(u32::MAX);
        let time = options.time.saturating_mul(steps.saturating_add(1));
        let passed = match guest.call_for(&run, handle, time)? {
            status::OK => true,
            status::FINDINGS => false,
            status::REFUSED => {
                let error = guest.error(handle);
                findings(&mut guest, handle, options, sink)?;
                return Err(error.into());
            }
            status::SOURCE => return Err(source_failed(&mut guest)),
            _ => return Err(guest.lied().into()),
        };
        let (errors, warnings) = findings(&mut guest, handle, options, sink)?;
        let summary = summary(&mut guest, handle)?;
        // What it says must be the same wherever it says it.
        let agrees = summary.passed() == passed
            && (summary.errors == 0) == (errors == 0)
            && (summary.warnings == 0) == (warnings == 0);
        if !agrees {
            return Err(guest.lied().into());
        }
        Ok(summary)
    }
}

/// The keys and numbers of what is asked.
fn settings(size: u64, limits: &Limits, asked: &check::Options) -> [(u32, u64); 16] {
    let level = match asked.level {
        Level::Superblock => 0,
        Level::Metadata => 1,
        Level::Full => 2,
    };
    let policy = match asked.policy {
        Policy::Any => 0,
        Policy::Containerd => 1,
        // The strictest that there is.
        _ => 2,
    };
    [
        (16, size),
        (17, level),
        (18, policy),
        (19, asked.devices.into()),
        (20, asked.trailing.into()),
        (21, asked.share.0.into()),
        (22, asked.share.1.into()),
        (23, PLACES),
        (33, limits.image_size),
        (38, limits.inodes),
        (39, limits.directory_entries),
        (40, limits.directory_depth.into()),
        (41, limits.symlink_length.into()),
        (42, limits.check_memory),
        (43, limits.check_work),
        (44, limits.metadata_cache),
    ]
}

/// Switches off the rules that are switched off.
fn allow(guest: &mut Guest, handle: i32, asked: &check::Options) -> Result<(), Error> {
    let set_text = guest.entry("eu_set_text")?;
    for rule in RULES {
        if !asked.allows(rule) {
            continue;
        }
        let length = guest.give(rule.id().as_bytes())?;
        guest.expect(handle, &set_text, (handle, 5_u32, length))?;
    }
    Ok(())
}

/// Hands on what was found, and counts errors and warnings.
fn findings(
    guest: &mut Guest,
    handle: i32,
    options: &Options,
    sink: &mut dyn FnMut(Found),
) -> Result<(u64, u64), ReadError<io::Error>> {
    let get = guest.entry("eu_get")?;
    let value = guest.entry("eu_value")?;
    let finding = guest.entry("eu_finding")?;
    guest.expect(handle, &get, (handle, 16_u32))?;
    let count: u64 = guest.call(&value, ())?;
    // There are no more codes than this, and of each so many are kept.
    let most = PLACES.saturating_mul(erofs_unpack_core::Code::ALL.len() as u64);
    let count = match u32::try_from(count) {
        Ok(number) if count <= most => number,
        _ => return Err(guest.lied().into()),
    };
    let (mut errors, mut warnings) = (0, 0);
    for index in 0..count {
        let length = guest.call(&finding, (handle, index))?;
        let Some((finding, of_rule)) = record::finding(guest.answer(length)?) else {
            return Err(guest.lied().into());
        };
        match finding.severity {
            check::Severity::Error => errors += 1,
            check::Severity::Warning => warnings += 1,
        }
        let path = match options.path_entries {
            0 => None,
            _ => path(guest, handle, index)?,
        };
        sink(Found {
            finding,
            of_rule,
            path,
        });
    }
    Ok((errors, warnings))
}

/// The path of a finding.
fn path(
    guest: &mut Guest,
    handle: i32,
    index: u32,
) -> Result<Option<Vec<u8>>, ReadError<io::Error>> {
    let find = guest.entry("eu_finding_path")?;
    let value = guest.entry("eu_value")?;
    match guest.call(&find, (handle, index))? {
        status::RANGE | status::REFUSED => Ok(None),
        // The root's is empty.
        0 => {
            let there: u64 = guest.call(&value, ())?;
            Ok((there == 1).then(Vec::new))
        }
        status::SOURCE => Err(source_failed(guest)),
        length => Ok(Some(guest.answer(length)?.to_vec())),
    }
}

/// The error of a guest that could not read the image.
fn source_failed(guest: &mut Guest) -> ReadError<io::Error> {
    match guest.store.data_mut().failed.take() {
        Some(error) => ReadError::Source(error),
        None => guest.lied().into(),
    }
}

fn summary(guest: &mut Guest, handle: i32) -> Result<Summary, Error> {
    let get = guest.entry("eu_get")?;
    let value = guest.entry("eu_value")?;
    let mut summary = Summary::default();
    let mut needs = 0;
    for (key, number) in [
        (17_u32, &mut summary.errors),
        (18, &mut summary.warnings),
        (19, &mut summary.inodes),
        (20, &mut summary.directories),
        (21, &mut summary.metadata),
        (22, &mut summary.decoded),
        (23, &mut summary.memory),
        (24, &mut needs),
    ] {
        guest.expect(handle, &get, (handle, key))?;
        *number = guest.call(&value, ())?;
    }
    summary.needs = Needs::from_bits(needs);
    Ok(summary)
}
