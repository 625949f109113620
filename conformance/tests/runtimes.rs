//! The module says the same in two runtimes, and what the core says natively: case by case, the
//! whole answer, and that of the manifest.
#![cfg(feature = "wasmi")]
#![allow(clippy::std_instead_of_core, reason = "this is a test")]

mod module;

use erofs_unpack_conformance::interpreted::Interpreted;
use erofs_unpack_conformance::manifest::{Case, Operation};
use erofs_unpack_conformance::native::Native;
use erofs_unpack_conformance::run::{Backend, Outcome, Vectors, run};
#[cfg(feature = "wasm")]
use erofs_unpack_conformance::sandboxed::Sandboxed;

use module::{module, root};

/// Holds the answers to cases against each other.
fn compare(form: &str, chosen: impl Fn(usize, &Case) -> bool) -> usize {
    let vectors = Vectors::open(root().join("vectors")).unwrap();
    let interpreted = Interpreted::open(&module(form)).unwrap();
    let mut others: Vec<Box<dyn Backend>> = vec![Box::new(Native::DEFAULT)];
    #[cfg(feature = "wasm")]
    {
        let sandboxed = Sandboxed::open(&module(form)).unwrap();
        assert_eq!(sandboxed.version(), interpreted.version());
        others.push(Box::new(sandboxed));
    }
    let mut failures = Vec::new();
    let mut compared = 0;
    let cases = vectors.manifest.cases.iter();
    let cases =
        cases.filter(|case| matches!(case.operation, Operation::Unpack(_) | Operation::Check(_)));
    for (_, case) in cases
        .enumerate()
        .filter(|(place, case)| chosen(*place, case))
    {
        compared += 1;
        match run(&interpreted, case, &vectors.folder) {
            Outcome::Passed => {}
            other => failures.push(format!("{}: {other:?}", case.id)),
        }
        let answer = |backend: &dyn Backend| backend.run(case, &vectors.folder).unwrap();
        let inside = answer(&interpreted);
        for other in &others {
            let said = answer(other.as_ref());
            if inside != said {
                let name = other.name();
                failures.push(format!("{}: {inside:?}, {name}: {said:?}", case.id));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    compared
}

/// Every third case, none that is large: an interpreter takes its time.
#[test]
fn both_runtimes_say_the_same() {
    let compared = compare("small", |place, case| {
        place % 3 == 0 && !case.has_flag("large")
    });
    assert!(compared > 200, "only {compared} cases");
}

#[test]
#[ignore = "takes minutes: all cases, with both sorts of decoders"]
fn both_runtimes_say_the_same_of_all() {
    for form in ["small", "fast"] {
        let compared = compare(form, |_, _| true);
        assert!(compared > 700, "only {compared} cases");
    }
}
