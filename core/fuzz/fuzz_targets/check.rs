//! The check: it ends, within its memory, and what it passes can be read to its end.
//!
//! An input is an image. Its superblock's checksum is mended first, so that a mutant is not
//! refused for that alone; the mutator knows what an image is made of.
#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use erofs_unpack_core::check::{self, Level, Options, Severity};
use erofs_unpack_core::erofs::ReadError;
use erofs_unpack_core::oci::Policy;
use erofs_unpack_core::{Code, Kind, Limits};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

#[path = "mutate.rs"]
mod mutate;
#[path = "../../tests/check/promise.rs"]
mod promise;

/// Most memory that the check may keep.
const CHECK_MEMORY: u64 = 1 << 20;
/// Most memory besides: a pcluster of 1 MiB, 12 MiB decoded of it, once more where a decoder has
/// a window or fragments are read, and the caches of metadata.
const BESIDES: usize = 48 << 20;

/// Counts what is in use.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(used, Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract of the trait.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = mutate::mutate(data, size, max_size, seed);
    promise::mend(&mut data[..size]);
    size
});

fuzz_target!(|image: &[u8]| {
    let mut image = image.to_vec();
    promise::mend(&mut image);
    let mut limits = Limits::DEFAULT;
    limits.inodes = 2000;
    limits.directory_entries = 2000;
    limits.directory_depth = 16;
    limits.check_memory = CHECK_MEMORY;
    limits.check_work = 32 << 20;
    limits.metadata_cache = 0;
    let mut options = Options::default();
    options.level = Level::Full;
    options.policy = Policy::Any;

    let (mut errors, mut elsewhere) = (0, false);
    let before = USED.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let checked = check::check(
        &image[..],
        image.len() as u64,
        &limits,
        &options,
        &mut |finding| {
            errors += u64::from(finding.severity == Severity::Error);
            elsewhere |= finding.error.code() == Code::DeviceForeign;
        },
    );
    let most = MOST.load(Ordering::Relaxed) - before;
    assert!(most <= CHECK_MEMORY as usize + BESIDES, "{most} bytes");
    let summary = match checked {
        Ok(summary) => summary,
        Err(ReadError::Refused(_)) => return,
        Err(ReadError::Source(error)) => panic!("read beyond the end: {error}"),
    };
    assert_eq!(summary.errors, errors);
    assert!(summary.memory <= CHECK_MEMORY);
    if !summary.passed() {
        return;
    }
    match promise::read_all(&image, &limits) {
        Ok(names) => assert!(names >= summary.inodes),
        // A walk counts each of several links.
        Err(ReadError::Refused(error)) if error.kind() == Kind::Limit => {}
        Err(ReadError::Refused(error)) if elsewhere && error.code() == Code::DeviceMissing => {}
        Err(error) => panic!("passes, and cannot be read: {error}"),
    }
});
