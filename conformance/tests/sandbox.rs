//! Every layer and image of the vectors in the sandbox: the answer of the manifest, and the very
//! outcome, error and findings that the core gives natively.
#![cfg(feature = "wasm")]
#![allow(clippy::std_instead_of_core, reason = "this is a test")]

mod module;

use erofs_unpack_conformance::manifest::Operation;
use erofs_unpack_conformance::native::Native;
use erofs_unpack_conformance::run::{Outcome, Vectors, run};
use erofs_unpack_conformance::sandboxed::Sandboxed;

use module::{module, root};

/// Runs the cases that a sandbox can, and holds what it says against the native answer too.
fn compare(form: &str, cuts: &[(usize, usize)]) {
    let mut sandboxed = Sandboxed::open(&module(form)).unwrap();
    let vectors = Vectors::open(root().join("vectors")).unwrap();
    let mut failures = Vec::new();
    let mut compared = 0;
    for case in &vectors.manifest.cases {
        if !matches!(case.operation, Operation::Unpack(_) | Operation::Check(_)) {
            continue;
        }
        for cut in cuts {
            sandboxed.cut = *cut;
            if case.has_flag("large") && cut.0 < 1024 {
                continue;
            }
            compared += 1;
            match run(&sandboxed, case, &vectors.folder) {
                Outcome::Passed => {}
                Outcome::Failed(text) | Outcome::Disagreed(text) => {
                    failures.push(format!("{}: {text} ({cut:?})", case.id));
                }
                Outcome::Skipped(reason) => failures.push(format!("{}: {reason}", case.id)),
            }
            if let Operation::Unpack(input) = &case.operation {
                let inside = sandboxed.unpack(input, &vectors.folder).unwrap();
                let outside = Native::DEFAULT.unpack(input, &vectors.folder).unwrap();
                if inside != outside {
                    failures.push(format!("{}: {inside:?}, natively {outside:?}", case.id));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(compared > 300, "only {compared} cases");
}

#[test]
fn the_fast_module_says_what_the_core_says() {
    compare("fast", &[(64 << 10, 64 << 10), (7, 61)]);
}

#[test]
fn the_small_module_says_what_the_core_says() {
    compare("small", &[(64 << 10, 64 << 10)]);
}
