//! What decodes to far more than it should is refused in constant memory.
//!
//! One test in a binary of its own, since the most memory that a process ever had is counted
//! for the process as a whole.

#![allow(clippy::std_instead_of_core, reason = "this is a test")]

use std::path::Path;

use erofs_unpack_conformance::native::Native;
use erofs_unpack_conformance::run::{Outcome, Vectors, run};

/// The most memory that this process ever had, in KiB.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn large_cases_need_little_memory() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors");
    let vectors = Vectors::open(folder).unwrap();
    let Some(before) = peak() else {
        println!("skipped: needs /proc");
        return;
    };
    let mut ran = 0;
    for case in vectors
        .manifest
        .cases
        .iter()
        .filter(|case| case.has_flag("large"))
    {
        for native in Native::variations(case) {
            assert_eq!(
                run(&native, case, &vectors.folder),
                Outcome::Passed,
                "{}",
                case.id
            );
            ran += 1;
        }
    }
    assert!(ran > 20, "{ran}");
    let grown = peak().unwrap() - before;
    // The images would have up to 256 MiB. The decoders' own buffers take less than 1 MiB.
    assert!(grown < 8 << 10, "{grown} KiB");
}
