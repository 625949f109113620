//! Output of any length on stdout: text, or JSON with what went wrong at its end.

use core::fmt;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use serde::Serialize;

use crate::output::{exit_code_with_report, print_error};
use erofs_unpack_ops::image_file::ImageFile;
use erofs_unpack_ops::reader::Reader;
use erofs_unpack_ops::report::{ErrorReport, VERSION, outcome_name, shown};
use erofs_unpack_ops::system::{self, Purpose};
use erofs_unpack_ops::{HostError, RandomReads};

use crate::args::{ImageArgs, VerboseArgs};
use crate::json::JsonWriter;

/// Room for output before it is written, in bytes.
const BUFFER: usize = 1 << 16;

type Stdout = BufWriter<system::Stdout>;

/// Where a command's output goes.
pub(in crate::command) struct Out {
    form: Form,
    /// What went wrong and did not stop the command.
    errors: Vec<HostError>,
    /// Whether output could not be written: there is no use in more of it.
    broken: bool,
}

enum Form {
    Text(Stdout),
    Json(JsonWriter<Stdout>),
}

/// What a JSON document starts with.
#[derive(Serialize)]
struct Head {
    version: u32,
    command: &'static str,
    source: String,
}

/// What it ends with.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tail {
    outcome: &'static str,
    exit_code: u8,
    /// What was read of a layer that is read at random.
    #[serde(skip_serializing_if = "Option::is_none")]
    reads: Option<RandomReads>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport>,
}

/// Opens the image, does the work, and prints what went wrong. Gives the exit code.
///
/// An image that has not been unpacked just now is held against the checksum of its superblock
/// first, as the kernel does at mount; without `verify` it is not.
pub(in crate::command) fn run(
    command: &'static str,
    (args, talk): (&ImageArgs, &VerboseArgs),
    json: bool,
    verify: bool,
    work: impl FnOnce(&Reader, &mut Out) -> Result<(), HostError>,
) -> u8 {
    run_with(command, (args, talk), None, json, verify, work)
}

/// The same, with a folder that content is taken from which the image does not hold.
pub(in crate::command) fn run_with(
    command: &'static str,
    (args, talk): (&ImageArgs, &VerboseArgs),
    objects: Option<&Path>,
    json: bool,
    verify: bool,
    work: impl FnOnce(&Reader, &mut Out) -> Result<(), HostError>,
) -> u8 {
    let mut out = match Out::new(json) {
        Ok(out) => out,
        Err(error) => {
            print_error(&error);
            return error.exit_code();
        }
    };
    let head = Head {
        version: VERSION,
        command,
        source: shown(&args.image),
    };
    let started = out.json(|json| {
        json.object()?;
        json.members(&head)
    });
    let mut reads = None;
    let result = started.and_then(|()| {
        let mut openings = args.openings();
        objects.iter().for_each(|folder| openings.read(folder));
        args.confine
            .confine(&openings, Purpose::Verify, talk.verbose, || Ok(()))?;
        let mut reader = Reader::open(&args.image, &args.options(), verify)?;
        if let Some(warning) = reader.file().warning() {
            print_error(format_args!("warning: {warning}"));
        }
        if let Some(folder) = objects {
            reader.take_objects_from(folder)?;
        }
        let worked = work(&reader, &mut out);
        reads = reader.file().reads();
        if talk.verbose {
            tell(reader.file(), reads);
        }
        worked
    });
    out.end(result, reads)
}

/// Says how much of a layer was read.
fn tell(file: &ImageFile, reads: Option<RandomReads>) {
    let place = shown(file.place());
    if let Some(reads) = reads {
        let (bytes, of_bytes) = (reads.bytes, reads.of_bytes);
        let trust = reads.trust();
        print_error(format_args!(
            "{place}: read {bytes} of {of_bytes} bytes: {reads}, {trust}"
        ));
    } else if let Some(why) = file.read_whole() {
        print_error(format_args!("{place}: all of it was unpacked first: {why}"));
    }
}

impl Out {
    /// Stdout without the buffer that it has for lines.
    fn new(json: bool) -> Result<Self, HostError> {
        let stdout = system::stdout().map_err(unwritten)?;
        let stdout = BufWriter::with_capacity(BUFFER, stdout);
        Ok(Self {
            form: if json {
                Form::Json(JsonWriter::new(stdout))
            } else {
                Form::Text(stdout)
            },
            errors: Vec::new(),
            broken: false,
        })
    }

    /// Writes text; nothing where the output is JSON.
    pub(in crate::command) fn text(&mut self, text: fmt::Arguments<'_>) -> Result<(), HostError> {
        let result = match &mut self.form {
            Form::Text(out) => out.write_fmt(text),
            Form::Json(_) => Ok(()),
        };
        self.written(result)
    }

    /// Writes bytes as they are; nothing where the output is JSON.
    pub(in crate::command) fn bytes(&mut self, bytes: &[u8]) -> Result<(), HostError> {
        let result = match &mut self.form {
            Form::Text(out) => out.write_all(bytes),
            Form::Json(_) => Ok(()),
        };
        self.written(result)
    }

    /// Writes JSON; nothing where the output is text.
    pub(in crate::command) fn json(
        &mut self,
        write: impl FnOnce(&mut JsonWriter<Stdout>) -> io::Result<()>,
    ) -> Result<(), HostError> {
        let result = match &mut self.form {
            Form::Text(_) => Ok(()),
            Form::Json(out) => write(out),
        };
        self.written(result)
    }

    fn written(&mut self, result: io::Result<()>) -> Result<(), HostError> {
        self.broken |= result.is_err();
        result.map_err(unwritten)
    }

    /// Whether the output is JSON.
    pub(in crate::command) const fn is_json(&self) -> bool {
        matches!(self.form, Form::Json(_))
    }

    /// Takes what went wrong at one of several things, so that the command can go on.
    ///
    /// # Errors
    ///
    /// The error itself, when output cannot be written: going on is of no use then.
    pub(in crate::command) fn fail(&mut self, error: HostError) -> Result<(), HostError> {
        if self.broken {
            return Err(error);
        }
        // What was written before it stands before it on a terminal too.
        if let Form::Text(out) = &mut self.form {
            let result = out.flush();
            self.written(result)?;
        }
        print_error(&error);
        self.errors.push(error);
        Ok(())
    }

    /// Ends the output, says why it ends early, and gives the exit code.
    fn end(mut self, result: Result<(), HostError>, reads: Option<RandomReads>) -> u8 {
        if let Err(error) = result {
            print_error(&error);
            self.errors.push(error);
        }
        // A refusal outranks a failure of the environment.
        let error = self
            .errors
            .iter()
            .min_by_key(|error| (error.exit_code() != 2, error.exit_code()));
        let code = error.map_or(0, HostError::exit_code);
        if self.broken {
            return code;
        }
        let tail = Tail {
            outcome: outcome_name(code),
            exit_code: code,
            reads,
            error: error.map(ErrorReport::of),
        };
        let ended = match &mut self.form {
            Form::Text(out) => out.flush(),
            Form::Json(json) => json
                .end_to_document()
                .and_then(|()| json.members(&tail))
                .and_then(|()| json.finish()),
        };
        exit_code_with_report(code, ended.map_err(unwritten))
    }
}

/// Output that could not be written.
fn unwritten(error: io::Error) -> HostError {
    HostError::environment("stdout", "write", error)
}
