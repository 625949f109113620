//! `erofs-unpack doctor`: what a machine lacks for EROFS layers.

use std::path::Path;

use serde::Serialize;

use super::{json, outcome_name};
use crate::cli::Doctor;
use crate::doctor::{Health, Machine, Probe};
use crate::error::HostError;
use crate::escape::Escaped;
use crate::report::VERSION;
use crate::say;

/// Where containerd's configuration lies, unless it is named.
const CONTAINERD: &str = "/etc/containerd/config.toml";

/// What `--json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    version: u32,
    command: &'static str,
    outcome: &'static str,
    exit_code: u8,
    probes: Vec<Probe>,
}

/// Runs the command and gives its exit code: 3 when something fails, since then the environment
/// does.
#[must_use]
pub fn run(args: &Doctor) -> u8 {
    match examine(args) {
        Ok(code) => code,
        Err(error) => {
            say::complain(&error);
            error.exit_code()
        }
    }
}

fn examine(args: &Doctor) -> Result<u8, HostError> {
    std::fs::read_dir(&args.root)
        .map_err(|error| HostError::environment(&args.root, "open the directory", error))?;
    let mut machine = Machine::new(&args.root);
    machine.folders.clone_from(&args.folders);
    match &args.containerd {
        None => machine.look_for_containerd(Path::new(CONTAINERD)),
        // Of this system it is named as any file is, of another from its / on.
        Some(path) if args.root == Path::new("/") => {
            let path = std::path::absolute(path)
                .map_err(|error| HostError::environment(path, "find", error))?;
            machine.containerd = Some(path);
        }
        Some(path) => machine.containerd = Some(path.clone()),
    }
    let probes = machine.examine();
    let failed = probes.iter().any(|probe| probe.health == Health::Fail);
    let code = if failed { 3 } else { 0 };
    if args.json {
        let report = Report {
            version: VERSION,
            command: "doctor",
            outcome: outcome_name(code),
            exit_code: code,
            probes,
        };
        say::print(&format!("{}\n", json(&report)))?;
        return Ok(code);
    }
    let mut text = String::new();
    for probe in &probes {
        let line = format!("{:4} {}: {}", probe.health.name(), probe.name, probe.found);
        text.push_str(&Escaped::text(&line).to_string());
        if !probe.advice.is_empty() {
            text.push_str(": ");
            text.push_str(&probe.advice);
        }
        text.push('\n');
    }
    say::print(&text)?;
    Ok(code)
}
