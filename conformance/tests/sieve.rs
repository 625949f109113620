//! A sample of the sieve: images with one bit flipped, asked of us, the kernel and `fsck.erofs`.

#![allow(clippy::std_instead_of_core, reason = "this is a test")]

use std::io;
use std::path::Path;

use erofs_unpack_conformance::sieve::kernel;
use erofs_unpack_conformance::sieve::report::Counts;
use erofs_unpack_conformance::sieve::{Options, Sieve, lacks};

/// How many mutants.
const SAMPLE: usize = 2500;
/// Older kernels do not know all features of the images.
const LINUX: (u32, u32) = (6, 18);

#[test]
fn what_passes_is_good_for_all_readers() {
    if let Some(what) = lacks() {
        println!("skipped: needs {what}");
        return;
    }
    if kernel::version().unwrap() < LINUX {
        println!("skipped: needs Linux 6.18 with EROFS");
        return;
    }
    let options = Options {
        program: env!("CARGO_BIN_EXE_erofs-unpack-conformance").into(),
        images: None,
        filter: String::new(),
        sample: Some(SAMPLE),
        seed: 42,
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        scratch: Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned(),
    };
    let sieve = match Sieve::new(&options) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            println!("skipped: needs {error}");
            return;
        }
        sieve => sieve.unwrap(),
    };
    let report = sieve.run(&options, &|_, _| {}).unwrap();
    println!("{} s\n{}", report.seconds, report.table());
    for (class, (count, first)) in report.classes() {
        println!("{count} x {class} (first: {first})");
    }
    assert_eq!(report.stopped, None);
    assert_eq!(report.breaches(), 0);
    // The sample held what it is there for.
    let sum = |count: fn(&Counts) -> u32| -> u32 { report.images.iter().map(count).sum() };
    assert_eq!(sum(|counts| counts.mutants) as usize, SAMPLE);
    assert!(sum(|counts| counts.kernel_refused) > 300);
    assert!(sum(|counts| counts.fsck_rejected) > 300);
    assert!(sum(|counts| counts.passed_same) > 300);
    assert!(sum(|counts| counts.passed_other) > 300);
}
