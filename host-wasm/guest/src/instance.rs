//! The handles and the buffers, and which call means what to which sort of handle.

use erofs_unpack_core::Error;

use crate::answer::Answer;
use crate::decoding::Decoding;
#[cfg(feature = "check")]
use crate::image::Checking;
#[cfg(feature = "check")]
use crate::reader::Reading;
use crate::settings::{self, Settings};
use crate::status;

/// Size of the input buffer in bytes.
pub const INPUT_SIZE: u32 = 256 << 10;
/// Size of the output buffer in bytes: what a call can be asked to do is bounded by it.
pub const OUTPUT_SIZE: u32 = 512 << 10;
/// Size of the buffer for texts and records in bytes: more than the longest path that a check
/// with the default limits finds.
pub const ANSWER_SIZE: u32 = 128 << 10;
/// Most handles at a time.
pub const HANDLES: usize = 16;

/// What a handle stands for.
pub(crate) enum Sort {
    /// Settings, and then the decoder or unpacker that was made from them.
    Decoding(Box<Decoding>),
    #[cfg(feature = "check")]
    Checking(Box<Checking>),
    #[cfg(feature = "check")]
    Reading(Box<Reading>),
}

/// A handle with what it stands for.
struct Entry {
    handle: i32,
    settings: Settings,
    sort: Sort,
    /// What was refused last.
    error: Option<Error>,
}

/// The module's buffers.
pub(crate) struct Buffers {
    input: [u8; INPUT_SIZE as usize],
    output: [u8; OUTPUT_SIZE as usize],
    answer: [u8; ANSWER_SIZE as usize],
}

impl Buffers {
    pub(crate) const ZERO: Self = Self {
        input: [0; INPUT_SIZE as usize],
        output: [0; OUTPUT_SIZE as usize],
        answer: [0; ANSWER_SIZE as usize],
    };
}

/// All that the module keeps.
pub(crate) struct Instance {
    entries: Vec<Entry>,
    /// Handles are never used again.
    last_handle: i32,
    input: &'static mut [u8],
    output: &'static mut [u8],
    answer: Answer,
    consumed: u32,
    produced: u32,
    value: u64,
}

/// Why a call does nothing.
pub(crate) enum Refusal {
    /// A status.
    Status(i32),
    /// The core's error, which the handle keeps.
    Error(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Instance {
    /// `None` when there is no memory.
    pub(crate) fn new(buffers: &'static mut Buffers) -> Option<Self> {
        let mut entries = Vec::new();
        entries.try_reserve_exact(HANDLES).ok()?;
        Some(Self {
            entries,
            last_handle: 0,
            input: &mut buffers.input,
            output: &mut buffers.output,
            answer: Answer::new(&mut buffers.answer),
            consumed: 0,
            produced: 0,
            value: 0,
        })
    }

    pub(crate) fn input(&mut self) -> &mut [u8] {
        self.input
    }

    pub(crate) fn output(&mut self) -> &mut [u8] {
        self.output
    }

    pub(crate) fn answer(&mut self) -> &mut [u8] {
        self.answer.bytes()
    }

    pub(crate) const fn consumed(&self) -> u32 {
        self.consumed
    }

    pub(crate) const fn produced(&self) -> u32 {
        self.produced
    }

    pub(crate) const fn value(&self) -> u64 {
        self.value
    }

    pub(crate) fn open(&mut self, sort: u32) -> i32 {
        let sort = match sort {
            1 => Sort::Decoding(Box::new(Decoding::unpacker())),
            2 => Sort::Decoding(Box::new(Decoding::decoder())),
            #[cfg(feature = "check")]
            3 => Sort::Checking(Box::default()),
            #[cfg(feature = "check")]
            4 => Sort::Reading(Box::default()),
            _ => return status::VALUE,
        };
        let Some(handle) = self.last_handle.checked_add(1) else {
            return status::MEMORY;
        };
        if self.entries.len() >= HANDLES {
            return status::MEMORY;
        }
        self.last_handle = handle;
        self.entries.push(Entry {
            handle,
            settings: Settings::default(),
            sort,
            error: None,
        });
        handle
    }

    pub(crate) fn close(&mut self, handle: i32) -> i32 {
        let place = self.entries.iter().position(|entry| entry.handle == handle);
        match place {
            Some(place) => {
                self.entries.swap_remove(place);
                status::OK
            }
            None => status::HANDLE,
        }
    }

    pub(crate) fn set(&mut self, handle: i32, key: u32, value: u64) -> i32 {
        self.settle(handle, |settings, _| settings.set(key, value))
    }

    pub(crate) fn set_text(&mut self, handle: i32, key: u32, length: u32) -> i32 {
        self.settle(handle, |settings, input| {
            let bytes = range(input, 0, length)?;
            let text = core::str::from_utf8(bytes).map_err(|_| Refusal::Status(status::VALUE))?;
            settings.set_text(key, text)
        })
    }

    /// Changes the settings of a handle, which must not be started.
    fn settle(
        &mut self,
        handle: i32,
        change: impl FnOnce(&mut Settings, &[u8]) -> Result<(), Refusal>,
    ) -> i32 {
        let input = &self.input;
        called(&mut self.entries, handle, |entry| {
            if entry.sort.is_settled() {
                return Err(Refusal::Status(status::ORDER));
            }
            change(&mut entry.settings, input)?;
            Ok(status::OK)
        })
    }

    pub(crate) fn start(&mut self, handle: i32) -> i32 {
        called(&mut self.entries, handle, |entry| {
            if entry.sort.is_started() {
                return Err(Refusal::Status(status::ORDER));
            }
            match &mut entry.sort {
                Sort::Decoding(decoding) => decoding.start(&entry.settings)?,
                #[cfg(feature = "check")]
                Sort::Checking(checking) => checking.start(&mut entry.settings)?,
                #[cfg(feature = "check")]
                Sort::Reading(reading) => reading.start(&mut entry.settings)?,
            }
            Ok(status::OK)
        })
    }

    pub(crate) fn push(&mut self, handle: i32, start: u32, length: u32) -> i32 {
        self.consumed = 0;
        self.produced = 0;
        let (input, output) = (&self.input, &mut self.output);
        let (consumed, produced) = (&mut self.consumed, &mut self.produced);
        called(&mut self.entries, handle, |entry| {
            let decoding = entry.sort.decoding()?;
            let step = decoding.push(range(input, start, length)?, output)?;
            // Neither is larger than its buffer.
            *consumed = u32::try_from(step.consumed).unwrap_or(u32::MAX);
            *produced = u32::try_from(step.produced).unwrap_or(u32::MAX);
            if decoding.awaits_crc() {
                return Ok(status::NEED_CRC);
            }
            Ok(match step.status {
                erofs_unpack_core::codec::Status::Done => status::OK,
                erofs_unpack_core::codec::Status::NeedInput => status::NEED_INPUT,
                erofs_unpack_core::codec::Status::NeedOutput => status::NEED_OUTPUT,
            })
        })
    }

    pub(crate) fn crc(&mut self, handle: i32, crc: u32) -> i32 {
        called(&mut self.entries, handle, |entry| {
            entry.sort.decoding()?.give_crc(crc)?;
            Ok(status::OK)
        })
    }

    pub(crate) fn finish(&mut self, handle: i32) -> i32 {
        called(&mut self.entries, handle, |entry| {
            entry.sort.decoding()?.finish()?;
            Ok(status::OK)
        })
    }

    pub(crate) fn get(&mut self, handle: i32, key: u32) -> i32 {
        self.value = 0;
        let value = &mut self.value;
        called(&mut self.entries, handle, |entry| {
            *value = match &entry.sort {
                Sort::Decoding(decoding) => decoding.number(key)?,
                #[cfg(feature = "check")]
                Sort::Checking(checking) => checking.number(key)?,
                #[cfg(feature = "check")]
                Sort::Reading(reading) => reading.number(key)?,
            };
            Ok(status::OK)
        })
    }

    pub(crate) fn get_text(&mut self, handle: i32, key: u32) -> i32 {
        let answer = &mut self.answer;
        called(&mut self.entries, handle, |entry| {
            if key == settings::VERSION_TEXT {
                return Ok(answer.text(&settings::VERSION));
            }
            if key == settings::ERROR_TEXT {
                let error = entry.error.ok_or(Refusal::Status(status::VALUE))?;
                return Ok(answer.text(&error));
            }
            if key == settings::SALT_TEXT {
                return Ok(answer.text(&entry.sort.decoding()?.again()?.salt));
            }
            let digest = entry.sort.decoding()?.digest(key)?;
            Ok(answer.text(&digest))
        })
    }

    pub(crate) fn error(&mut self, handle: i32) -> i32 {
        let answer = &mut self.answer;
        called(&mut self.entries, handle, |entry| match entry.error {
            Some(error) => Ok(answer.error(&error)),
            None => Err(Refusal::Status(status::VALUE)),
        })
    }
}

#[cfg(feature = "check")]
impl Instance {
    pub(crate) fn index(&mut self, handle: i32, length: u32) -> i32 {
        let input = &self.input;
        called(&mut self.entries, handle, |entry| {
            if matches!(entry.sort, Sort::Decoding(_)) || entry.sort.is_settled() {
                return Err(Refusal::Status(status::ORDER));
            }
            entry.settings.add_index(range(input, 0, length)?)?;
            Ok(status::OK)
        })
    }

    pub(crate) fn check(&mut self, handle: i32) -> i32 {
        called(&mut self.entries, handle, |entry| {
            entry.sort.checking()?.run()
        })
    }

    pub(crate) fn finding(&mut self, handle: i32, index: u32) -> i32 {
        let answer = &mut self.answer;
        called(&mut self.entries, handle, |entry| {
            let (finding, count) = entry.sort.checking()?.finding(index)?;
            Ok(answer.finding(&finding, count))
        })
    }

    pub(crate) fn finding_text(&mut self, handle: i32, index: u32) -> i32 {
        let answer = &mut self.answer;
        called(&mut self.entries, handle, |entry| {
            let (finding, _) = entry.sort.checking()?.finding(index)?;
            Ok(answer.text(&finding.error))
        })
    }

    pub(crate) fn finding_path(&mut self, handle: i32, index: u32) -> i32 {
        self.value = 0;
        let (answer, value) = (&mut self.answer, &mut self.value);
        called(&mut self.entries, handle, |entry| {
            let path = entry.sort.checking()?.path(index)?;
            *value = path.is_some().into();
            let path = path.unwrap_or_default();
            answer.put(&path).ok_or(Refusal::Status(status::RANGE))
        })
    }
}

/// The calls of a reader.
#[cfg(feature = "check")]
impl Instance {
    pub(crate) fn find(&mut self, handle: i32, length: u32) -> i32 {
        self.value = 0;
        let (value, input) = (&mut self.value, &self.input);
        called(&mut self.entries, handle, |entry| {
            *value = entry.sort.reading()?.find(range(input, 0, length)?)?;
            Ok(status::OK)
        })
    }

    pub(crate) fn file(&mut self, handle: i32, nid: u64) -> i32 {
        let answer = &mut self.answer;
        called(&mut self.entries, handle, |entry| {
            Ok(answer.file(&entry.sort.reading()?.file(nid)?))
        })
    }

    pub(crate) fn list(&mut self, handle: i32, nid: u64, place: u64) -> i32 {
        self.value = 0;
        let (value, answer) = (&mut self.value, &mut self.answer);
        called(&mut self.entries, handle, |entry| {
            *value = entry.sort.reading()?.list(nid, place, answer)?;
            Ok(answer.length())
        })
    }

    pub(crate) fn read(&mut self, handle: i32, nid: u64, offset: u64, length: u32) -> i32 {
        let output = &mut self.output;
        called(&mut self.entries, handle, |entry| {
            let room = usize::try_from(length)
                .ok()
                .and_then(|length| output.get_mut(..length))
                .ok_or(Refusal::Status(status::RANGE))?;
            let read = entry.sort.reading()?.read(nid, offset, room)?;
            // Not more than the buffer holds.
            Ok(i32::try_from(read).unwrap_or(i32::MAX))
        })
    }

    pub(crate) fn link(&mut self, handle: i32, nid: u64) -> i32 {
        let answer = &mut self.answer;
        called(&mut self.entries, handle, |entry| {
            let target = entry.sort.reading()?.link(nid)?;
            answer.put(&target).ok_or(Refusal::Status(status::RANGE))
        })
    }
}

impl Sort {
    fn is_started(&self) -> bool {
        match self {
            Self::Decoding(decoding) => decoding.is_started(),
            #[cfg(feature = "check")]
            Self::Checking(checking) => checking.is_started(),
            #[cfg(feature = "check")]
            Self::Reading(reading) => reading.is_started(),
        }
    }

    /// Whether nothing can be set any more: a start may have to be tried again.
    fn is_settled(&self) -> bool {
        match self {
            Self::Decoding(decoding) => decoding.is_started(),
            #[cfg(feature = "check")]
            Self::Checking(checking) => checking.is_settled(),
            #[cfg(feature = "check")]
            Self::Reading(reading) => reading.is_settled(),
        }
    }

    fn decoding(&mut self) -> Result<&mut Decoding, Refusal> {
        match self {
            Self::Decoding(decoding) => Ok(decoding),
            #[cfg(feature = "check")]
            _ => Err(Refusal::Status(status::ORDER)),
        }
    }

    #[cfg(feature = "check")]
    fn checking(&mut self) -> Result<&mut Checking, Refusal> {
        match self {
            Self::Checking(checking) => Ok(checking),
            _ => Err(Refusal::Status(status::ORDER)),
        }
    }

    #[cfg(feature = "check")]
    fn reading(&self) -> Result<&Reading, Refusal> {
        match self {
            Self::Reading(reading) => Ok(reading),
            _ => Err(Refusal::Status(status::ORDER)),
        }
    }
}

/// Runs a call on what a handle stands for.
fn called(
    entries: &mut [Entry],
    handle: i32,
    call: impl FnOnce(&mut Entry) -> Result<i32, Refusal>,
) -> i32 {
    let Some(entry) = entries.iter_mut().find(|entry| entry.handle == handle) else {
        return status::HANDLE;
    };
    match call(entry) {
        Ok(status) => status,
        Err(Refusal::Status(status)) => status,
        Err(Refusal::Error(error)) => {
            entry.error = Some(error);
            status::REFUSED
        }
    }
}

/// A part of a buffer.
fn range(buffer: &[u8], start: u32, length: u32) -> Result<&[u8], Refusal> {
    let range = || {
        let start = usize::try_from(start).ok()?;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        buffer.get(start..end)
    };
    range().ok_or(Refusal::Status(status::RANGE))
}
