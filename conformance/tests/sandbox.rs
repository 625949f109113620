//! Every layer and image of the vectors in the sandbox: the answer of the manifest, and the very
//! outcome, error and findings that the core gives natively.
#![cfg(feature = "wasm")]
#![allow(clippy::std_instead_of_core, reason = "this is a test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use erofs_unpack_conformance::manifest::Operation;
use erofs_unpack_conformance::native::Native;
use erofs_unpack_conformance::run::{Outcome, Vectors, run};
use erofs_unpack_conformance::sandboxed::Sandboxed;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The module with these decoders, built when it is first asked for.
fn module(form: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = Command::new(root().join("host-wasm/build"))
            .args(["small", "fast"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{said}");
    });
    root()
        .join("target/wasm")
        .join(form)
        .join("erofs_unpack.wasm")
}

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
