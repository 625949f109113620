//! One layer from its blob into an output file, or only through the checks.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::unpack::{Expectations, Outcome};
use erofs_unpack_core::{Code, Limits};

use crate::error::HostError;

use crate::pipeline::{self, Progress, Stop, Terms};
use crate::publish::SparseWriter;
use crate::source::BlobReader;
use crate::system::{self, File, FileExt as _};
use crate::verity;

/// An empty file for an image that is not verified yet.
#[derive(Debug)]
pub struct Space<'a> {
    file: &'a File,
    place: PathBuf,
}

impl<'a> Space<'a> {
    /// This file, which messages call `place`.
    #[must_use]
    pub const fn new(file: &'a File, place: PathBuf) -> Self {
        Self { file, place }
    }

    /// Makes it empty again, for a second try.
    pub(crate) fn clear(&self) -> Result<(), HostError> {
        self.file
            .set_len(0)
            .map_err(|error| HostError::environment(&self.place, "write", error))
    }
}

/// What `bring` gives to a sink that writes there, or nowhere. `place` is what to call the source.
pub(crate) fn to_space<T>(
    output: Option<&Space<'_>>,
    place: &Path,
    bring: impl FnOnce(&mut dyn pipeline::Sink) -> Result<T, Stop>,
) -> Result<T, HostError> {
    let Some(output) = output else {
        return bring(&mut io::sink()).map_err(|stop| named(stop, place, None));
    };
    let mut sink = Output::new(output.file);
    let brought = bring(&mut sink).map_err(|stop| named(stop, place, Some(&output.place)))?;
    sink.finish()
        .map_err(|error| HostError::environment(&output.place, "write", error))?;
    Ok(brought)
}

/// Unpacks a layer into `output`, or with `None` only verifies it.
///
/// What is in `output` may be used when this has returned an outcome, and not before.
///
/// # Errors
///
/// [`HostError::Refused`] when the core refuses the layer, [`HostError::Environment`] when
/// reading or writing fails, [`HostError::Cancelled`] when [`Progress::cancel`] was called.
pub fn unpack(
    blob: &mut BlobReader,
    output: Option<Space<'_>>,
    expectations: &Expectations,
    terms: &Terms<'_>,
    progress: &Progress,
) -> Result<Outcome, HostError> {
    progress.begin(blob.length());
    let place = blob.place().to_owned();
    let expectations = &guessed(blob, expectations);
    let Some(output) = output else {
        let outcome = run(
            blob,
            &mut io::sink(),
            expectations,
            terms,
            progress,
            &place,
            None,
        )?;
        // Of what lies nowhere there is no second way: whoever announces a tree of a blob that has to
        // be decoded gives it a place.
        let image = blob.file().map(|(file, start)| FromStart {
            file,
            position: start,
        });
        return match image.filter(|_| expectations.compression == Compression::None) {
            Some(image) => {
                let image = image.take(outcome.image_size);
                verity::settle(outcome, expectations, &place, image)
            }
            None => verity::settle(outcome, expectations, &place, io::empty()),
        };
    };
    if let Some(mut copy) = cloned(blob, &output, expectations, terms.limits)? {
        let target = Some(output.place.as_path());
        let outcome = run(
            &mut copy,
            &mut io::sink(),
            expectations,
            terms,
            progress,
            &place,
            target,
        )?;
        let image = FromStart::new(output.file);
        return verity::settle(outcome, expectations, &place, image);
    }
    let outcome = to_space(Some(&output), &place, |sink| {
        pipeline::run(blob, sink, expectations, terms, progress)
    })?;
    settled(outcome, expectations, &place, Some(&output))
}

/// What was verified of a layer that was written there, with a dm-verity tree whose salt came as a
/// surprise: that takes a second way through the image.
pub(crate) fn settled(
    outcome: Outcome,
    expectations: &Expectations,
    place: &Path,
    output: Option<&Space<'_>>,
) -> Result<Outcome, HostError> {
    match output {
        Some(output) => {
            let image = FromStart::new(output.file);
            verity::settle(outcome, expectations, place, image)
        }
        None => verity::settle(outcome, expectations, place, io::empty()),
    }
}

/// The expectations, with what the superblock of an announced dm-verity tree says where it can be
/// looked at before the image is read.
fn guessed(blob: &BlobReader, expectations: &Expectations) -> Expectations {
    let mut expected = *expectations;
    let file = blob
        .file()
        .filter(|_| expected.compression == Compression::None);
    if let Some((file, start)) = file
        && let Some(guess) = verity::guess(&expected, |bytes, offset| {
            file.read_exact_at(bytes, start.saturating_add(offset))
        })
        && let Some(tree) = &mut expected.verity
    {
        tree.guess = guess;
    }
    expected
}

/// [`pipeline::run`] with the names of source and target put to what goes wrong.
fn run(
    source: &mut (dyn Read + Send),
    sink: &mut dyn pipeline::Sink,
    expectations: &Expectations,
    terms: &Terms<'_>,
    progress: &Progress,
    place: &Path,
    target: Option<&Path>,
) -> Result<Outcome, HostError> {
    pipeline::run(source, sink, expectations, terms, progress)
        .map_err(|stop| named(stop, place, target))
}

/// What went wrong, with the names of source and target.
fn named(stop: Stop, place: &Path, target: Option<&Path>) -> HostError {
    match stop {
        Stop::Refused(error) => HostError::refused(place, error),
        Stop::Read(error) => HostError::environment(place, "read", error),
        Stop::Write(error) => HostError::environment(target.unwrap_or(place), "write", error),
        Stop::Start(error) => HostError::environment(place, "start a thread for it", error),
        Stop::Cancelled => HostError::Cancelled,
    }
}

/// The output as a copy of a plain blob that shares the blob's blocks, where the file system
/// can do that. It is verified by its own bytes: the blob may change meanwhile.
fn cloned<'a>(
    blob: &BlobReader,
    output: &Space<'a>,
    expectations: &Expectations,
    limits: &Limits,
) -> Result<Option<FromStart<'a>>, HostError> {
    let (Some((file, 0)), Some(length)) = (blob.file(), blob.length()) else {
        return Ok(None);
    };
    // What is too long would be shared whole before it is refused; sharing costs nothing.
    if expectations.compression != Compression::None || length > limits.blob_size {
        return Ok(None);
    }
    let shared = system::clone_whole(file, length, output.file)
        .map_err(|error| HostError::environment(&output.place, "write", error))?;
    Ok(shared.then(|| FromStart::new(output.file)))
}

/// Reads a file from its start, wherever its own position is.
#[derive(Debug)]
pub struct FromStart<'a> {
    file: &'a File,
    position: u64,
}

impl<'a> FromStart<'a> {
    /// A reader at the start of `file`.
    #[must_use]
    pub const fn new(file: &'a File) -> Self {
        Self { file, position: 0 }
    }
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.position)?;
        self.position = self.position.saturating_add(read as u64);
        Ok(read)
    }
}

/// The output file as a sink that reserves its space as soon as its size is known.
struct Output<'a> {
    writer: SparseWriter<'a>,
}

impl<'a> Output<'a> {
    fn new(file: &'a File) -> Self {
        Self {
            writer: SparseWriter::new(file),
        }
    }

    fn finish(self) -> io::Result<u64> {
        self.writer.finish()
    }
}

impl pipeline::Sink for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    fn expect(&mut self, size: u64) -> io::Result<()> {
        self.writer.reserve(size).map(|_| ())
    }
}

/// Whether what lies in a file is this layer: it has the size and the digest, and passes the
/// same checks as when it is unpacked.
///
/// # Errors
///
/// As [`unpack`], except that a file with other content is no error.
pub fn is_unpacked(
    file: &File,
    place: &Path,
    expectations: &Expectations,
    terms: &Terms<'_>,
    progress: &Progress,
) -> Result<Option<Outcome>, HostError> {
    let Some(diff_id) = expectations.diff_id else {
        return Ok(None);
    };
    let length = file
        .metadata()
        .map_err(|error| HostError::environment(place, "look at", error))?
        .len();
    progress.begin(Some(length));
    let mut plain = *expectations;
    plain.compression = Compression::None;
    plain.blob_size = None;
    plain.blob_digest = Some(diff_id);
    if let Some(guess) = verity::guess(&plain, |bytes, offset| file.read_exact_at(bytes, offset))
        && let Some(tree) = &mut plain.verity
    {
        tree.guess = guess;
    }
    let mut reader = FromStart::new(file);
    let checked = run(
        &mut reader,
        &mut io::sink(),
        &plain,
        terms,
        progress,
        place,
        None,
    )
    .and_then(|outcome| verity::settle(outcome, &plain, place, FromStart::new(file)));
    match checked {
        Ok(outcome) => Ok(Some(outcome)),
        Err(HostError::Refused { error, .. }) if error.code() != Code::Finished => Ok(None),
        Err(error) => Err(error),
    }
}
