//! Every case on the core: with every library and every way of cutting the input.

#![allow(clippy::std_instead_of_core, reason = "this is a test")]

use std::path::Path;

use erofs_unpack_conformance::native::Native;
use erofs_unpack_conformance::run::{Backend as _, Outcome, Vectors, run};

/// After so many failures the rest would say nothing new.
const ENOUGH: usize = 20;

/// Runs a share of the cases, so that the shares run at the same time.
fn run_share(share: usize, of: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors");
    let vectors = Vectors::open(folder).unwrap();
    let mut failures = Vec::new();
    let cases = vectors.manifest.cases.iter().skip(share).step_by(of);
    for case in cases {
        if failures.len() >= ENOUGH {
            break;
        }
        for native in Native::variations(case) {
            match run(&native, case, &vectors.folder) {
                Outcome::Passed => {}
                Outcome::Failed(text) | Outcome::Disagreed(text) => {
                    failures.push(format!("{}: {text} ({})", case.id, native.name()));
                }
                Outcome::Skipped(reason) => {
                    failures.push(format!("{}: was not run: {reason}", case.id));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn every_case_is_answered_as_it_must_be_1() {
    run_share(0, 2);
}

#[test]
fn every_case_is_answered_as_it_must_be_2() {
    run_share(1, 2);
}
