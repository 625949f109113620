//! What is said of it all: lines for people, the report for programs.

use std::path::Path;

use erofs_unpack_core::unpack::Outcome;

use crate::cli::Unpack;
use crate::command::check::findings;
use crate::command::{outcome_name, write_json};
use crate::error::HostError;
use crate::examine::Examined;
use crate::mount::Mount;
use crate::report::{ErrorReport, ImageReport, LayerReport, Report, VERSION, shown};
use crate::say;

/// What came of it all.
#[derive(Default)]
pub(super) struct Done {
    pub(super) image: Option<ImageReport>,
    pub(super) layers: Vec<LayerReport>,
    pub(super) mount: Option<Mount>,
    pub(super) warnings: Vec<String>,
    failed: Vec<Failed>,
}

/// An error, and the layer that it is about.
struct Failed {
    layer: Option<u32>,
    error: HostError,
}

impl Failed {
    /// What it counts against others: wrong usage most, then a refusal, which outranks a
    /// failure of the environment; what was stopped for an error elsewhere comes last.
    const fn rank(&self) -> u8 {
        match &self.error {
            HostError::Usage(_) => 0,
            HostError::Cancelled => 3,
            error => match error.exit_code() {
                1 => 1,
                _ => 2,
            },
        }
    }

    fn line(&self) -> String {
        match self.layer {
            Some(number) => format!("layer {number}: {}", self.error),
            None => self.error.to_string(),
        }
    }

    /// All that a check has found, with `--verbose`.
    fn details(&self, args: &Unpack) {
        if let (true, HostError::Check { examined, .. }) = (args.talk.verbose, &self.error) {
            findings(examined, &args.talk)
                .lines()
                .for_each(say::complain);
        }
    }
}

impl Done {
    /// Notes an error.
    pub(super) fn fail(&mut self, layer: Option<u32>, error: HostError) {
        self.failed.push(Failed { layer, error });
    }

    /// Notes something that is not as it should be.
    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Notes what a check has found that is no error.
    pub(super) fn found(&mut self, examined: &Examined) {
        for breach in &examined.breaches {
            let place = breach.first.place_in(&examined.place);
            let error = HostError::refused(place, breach.first.error);
            let more = match breach.count {
                0 | 1 => String::new(),
                count => format!(" ({count} times)"),
            };
            self.warn(format!("{error}{more}"));
        }
    }

    /// The error that counts; of equals the first.
    fn counted(&self) -> Option<&Failed> {
        self.failed.iter().min_by_key(|failed| failed.rank())
    }

    /// Says everything and gives the exit code.
    pub(super) fn tell(&self, args: &Unpack) -> u8 {
        let counted = self.counted();
        let mut code = counted.map_or(0, |failed| failed.error.exit_code());
        if !args.talk.quiet {
            for warning in &self.warnings {
                say::complain(format_args!("warning: {warning}"));
            }
        }
        if args.keep_going {
            for failed in &self.failed {
                say::complain(failed.line());
                failed.details(args);
            }
            if !args.talk.quiet {
                self.sum_up(args);
            }
        } else if let Some(failed) = counted {
            say::complain(failed.line());
            failed.details(args);
        }
        // With the image on stdout, the report was refused there as wrong usage.
        let report_to = args
            .json
            .as_deref()
            .filter(|path| !(is_stdout(path) && args.output.as_deref().is_some_and(is_stdout)));
        if let Some(path) = report_to {
            let report = self.report(args, code, counted.map(|failed| &failed.error));
            if let Err(error) = write_json(&report, path) {
                say::complain(&error);
                code = if code == 0 { error.exit_code() } else { code };
            }
        }
        code
    }

    /// The line that closes `--keep-going`.
    fn sum_up(&self, args: &Unpack) {
        let all = self.layers.len();
        let bad = self
            .layers
            .iter()
            .filter(|layer| layer.error.is_some())
            .count();
        if all == 0 {
            return;
        }
        let written = if bad > 0 && !args.verify_only {
            "; nothing was written"
        } else {
            ""
        };
        let passed = all.saturating_sub(bad);
        let layers = if all == 1 { "layer" } else { "layers" };
        say::complain(format_args!("{passed} of {all} {layers} passed{written}"));
    }

    fn report(&self, args: &Unpack, code: u8, error: Option<&HostError>) -> Report {
        Report {
            version: VERSION,
            command: "unpack",
            outcome: outcome_name(code),
            exit_code: code,
            source: shown(&args.source),
            image: self.image.clone(),
            layers: self.layers.clone(),
            mount: self.mount.clone(),
            warnings: self.warnings.clone(),
            error: error.map(ErrorReport::of),
        }
    }

    /// The report as `image.json` keeps it: of what lies in the folder, whether it was there
    /// before or not.
    pub(super) fn image_json(&self, args: &Unpack) -> Report {
        let mut report = self.report(args, 0, None);
        for layer in &mut report.layers {
            layer.status = "unpacked";
            if let Some(check) = &mut layer.check {
                check.found.findings.clear();
            }
        }
        report
    }
}

/// Whether a path on the command line means stdout.
pub(super) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// The name of an error's layer's status in the report.
pub(super) fn status_of(error: &HostError) -> &'static str {
    match error {
        HostError::Cancelled => "stopped",
        error if error.exit_code() == 1 => "refused",
        _ => "failed",
    }
}

/// One line on stdout about a layer that came through, unless stdout is for something else.
pub(super) fn say_layer(
    args: &Unpack,
    report: &LayerReport,
    outcome: &Outcome,
) -> Result<(), HostError> {
    let taken = [&args.json, &args.output]
        .into_iter()
        .flatten()
        .any(|path| is_stdout(path));
    if args.talk.quiet || taken {
        return Ok(());
    }
    let number = report
        .number
        .map_or(String::new(), |number| format!("layer {number}: "));
    let file = report
        .file
        .as_deref()
        .map_or(String::new(), |file| format!(" {file}"));
    let mut text = format!("{number}{}{file} {}\n", report.status, outcome.diff_id);
    if args.talk.verbose {
        let media_type = report.media_type.as_deref().unwrap_or("not stated");
        text.push_str(&format!(
            "  media type {media_type}, compression {}\n",
            report.compression.unwrap_or("none")
        ));
        // What is kept was verified by itself; its blob was not read.
        if report.status != "kept" {
            text.push_str(&format!(
                "  blob {}, {} bytes\n",
                outcome.blob_digest, outcome.blob_size
            ));
        }
        text.push_str(&format!("  image {} bytes\n", outcome.image_size));
        if let Some(check) = &report.check {
            text.push_str(&format!(
                "  checked by policy {} at level {}: {} inodes, {} warnings\n",
                check.policy, check.level, check.found.inodes, check.found.warnings
            ));
        }
    }
    say::print(&text)
}
