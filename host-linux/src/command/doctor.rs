//! `erofs-unpack doctor`: what a machine lacks for EROFS layers.

use erofs_unpack_cli::output::{exit_code, print, write_json};
use erofs_unpack_ops::doctor::{Options, Report, doctor};
use erofs_unpack_ops::{Escaped, HostError};

use crate::args::Doctor;

/// Runs the command and gives its exit code.
pub(crate) fn run(args: &Doctor) -> u8 {
    let options = Options {
        root: args.root.clone(),
        folders: args.folders.clone(),
        containerd: args.containerd.clone(),
    };
    exit_code(doctor(&options).and_then(|report| {
        output(args, &report)?;
        Ok(report.exit_code)
    }))
}

/// Prints everything.
fn output(args: &Doctor, report: &Report) -> Result<(), HostError> {
    if args.json {
        return write_json(report, "-".as_ref());
    }
    let mut text = String::new();
    for probe in &report.probes {
        let line = format!("{:4} {}: {}", probe.health.name(), probe.name, probe.found);
        text.push_str(&Escaped::text(&line).to_string());
        if !probe.advice.is_empty() {
            text.push_str(": ");
            text.push_str(&probe.advice);
        }
        text.push('\n');
    }
    print(&text)
}
