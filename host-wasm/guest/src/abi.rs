//! The entry points, the one global and the one import: all unsafe code of this crate.
//!
//! - `no_mangle`: the names begin with `eu_`, which nothing else here or in the libraries does.
//! - The globals: one atomic flag gives them to one call at a time, on any number of threads. A call
//!   that comes while another is on its way (from within `read_at`) gets an error.
//! - The import: it gets a place and a length of this module's own memory, which stays borrowed
//!   until it returns.
#![allow(
    unsafe_code,
    reason = "entry points have names for the linker, the import is foreign, the instance is global"
)]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::instance::{Buffers, Instance};
use crate::status;

/// The version of the interface. It is raised with every change that a host could notice, but
/// for new keys and entry points.
pub const VERSION: i32 = 1;

/// The one instance, made by the first call that needs it.
struct Global {
    taken: AtomicBool,
    instance: UnsafeCell<Option<Instance>>,
}

/// Its buffers. They are all zeros, and nothing but zeros is in this static, so that it takes no
/// place in the module's file, and that of memory only as far as it is used.
struct Memory(UnsafeCell<Buffers>);

// SAFETY: as for `GLOBAL`.
unsafe impl Sync for Memory {}

static MEMORY: Memory = Memory(UnsafeCell::new(Buffers::ZERO));

/// What is in the cell may go from thread to thread.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Instance>();
};

// SAFETY: `with` is the only place that touches the cell, and only while it holds `taken`.
unsafe impl Sync for Global {}

static GLOBAL: Global = Global {
    taken: AtomicBool::new(false),
    instance: UnsafeCell::new(None),
};

/// Gives the flag back. Not after a panic: what the call left behind is not to be used.
struct Taken<'a>(&'a AtomicBool);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !panicking() {
            self.0.store(false, Ordering::Release);
        }
    }
}

/// Whether this thread unwinds. The module does not: there a panic is a trap.
#[cfg(not(target_family = "wasm"))]
fn panicking() -> bool {
    std::thread::panicking()
}

#[cfg(target_family = "wasm")]
const fn panicking() -> bool {
    false
}

/// Runs a call on the instance.
fn with<T>(failed: impl FnOnce(i32) -> T, call: impl FnOnce(&mut Instance) -> T) -> T {
    if GLOBAL.taken.swap(true, Ordering::Acquire) {
        return failed(status::BUSY);
    }
    let _taken = Taken(&GLOBAL.taken);
    // SAFETY: the flag was free and is ours until `_taken` is dropped, so nobody else has a
    // reference into the cell.
    let slot = unsafe { &mut *GLOBAL.instance.get() };
    if slot.is_none() {
        // SAFETY: nothing else refers to the buffers: this is the only place that does, and what
        // it makes stays.
        let buffers = unsafe { &mut *MEMORY.0.get() };
        *slot = Instance::new(buffers);
    }
    match slot {
        Some(instance) => call(instance),
        None => failed(status::MEMORY),
    }
}

/// The same for calls that return a status.
fn status(call: impl FnOnce(&mut Instance) -> i32) -> i32 {
    with(|status| status, call)
}

/// [`VERSION`].
#[unsafe(no_mangle)]
pub extern "C" fn eu_version() -> i32 {
    VERSION
}

/// Where the input buffer lies in the module's memory; 0 when there is no memory for it.
#[unsafe(no_mangle)]
pub extern "C" fn eu_input_address() -> usize {
    with(
        |_| 0,
        |instance| instance.input().as_mut_ptr().expose_provenance(),
    )
}

/// The size of the input buffer in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn eu_input_size() -> u32 {
    crate::INPUT_SIZE
}

/// Where the output buffer lies in the module's memory; 0 when there is no memory for it.
#[unsafe(no_mangle)]
pub extern "C" fn eu_output_address() -> usize {
    with(
        |_| 0,
        |instance| instance.output().as_mut_ptr().expose_provenance(),
    )
}

/// The size of the output buffer in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn eu_output_size() -> u32 {
    crate::OUTPUT_SIZE
}

/// Where texts and records are put in the module's memory; 0 when there is no memory for it.
#[unsafe(no_mangle)]
pub extern "C" fn eu_answer_address() -> usize {
    with(
        |_| 0,
        |instance| instance.answer().as_mut_ptr().expose_provenance(),
    )
}

/// The size of that buffer in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn eu_answer_size() -> u32 {
    crate::ANSWER_SIZE
}

/// Makes something of a sort (1 unpacker, 2 decoder, 3 check, 4 reader). Returns its handle, above 0.
#[unsafe(no_mangle)]
pub extern "C" fn eu_open(sort: u32) -> i32 {
    status(|instance| instance.open(sort))
}

/// Frees what a handle stands for.
#[unsafe(no_mangle)]
pub extern "C" fn eu_close(handle: i32) -> i32 {
    status(|instance| instance.close(handle))
}

/// Sets a number, before `eu_start`.
#[unsafe(no_mangle)]
pub extern "C" fn eu_set(handle: i32, key: u32, value: u64) -> i32 {
    status(|instance| instance.set(handle, key, value))
}

/// Sets a text, the first `length` bytes of the input buffer, before `eu_start`.
#[unsafe(no_mangle)]
pub extern "C" fn eu_set_text(handle: i32, key: u32, length: u32) -> i32 {
    status(|instance| instance.set_text(handle, key, length))
}

/// Ends the settings.
#[unsafe(no_mangle)]
pub extern "C" fn eu_start(handle: i32) -> i32 {
    status(|instance| instance.start(handle))
}

/// Takes `length` bytes from byte `start` of the input buffer on, and puts what they decode to
/// at the start of the output buffer.
#[unsafe(no_mangle)]
pub extern "C" fn eu_push(handle: i32, start: u32, length: u32) -> i32 {
    status(|instance| instance.push(handle, start, length))
}

/// How many bytes of input the last `eu_push` used.
#[unsafe(no_mangle)]
pub extern "C" fn eu_consumed() -> u32 {
    with(|_| 0, |instance| instance.consumed())
}

/// How many bytes of output the last `eu_push` gave.
#[unsafe(no_mangle)]
pub extern "C" fn eu_produced() -> u32 {
    with(|_| 0, |instance| instance.produced())
}

/// Takes the CRC-32 of the content that `eu_push` has given of the member that has ended.
#[unsafe(no_mangle)]
pub extern "C" fn eu_crc(handle: i32, crc: u32) -> i32 {
    status(|instance| instance.crc(handle, crc))
}

/// Says that there is no more input.
#[unsafe(no_mangle)]
pub extern "C" fn eu_finish(handle: i32) -> i32 {
    status(|instance| instance.finish(handle))
}

/// Looks for a number; `eu_value` gives it.
#[unsafe(no_mangle)]
pub extern "C" fn eu_get(handle: i32, key: u32) -> i32 {
    status(|instance| instance.get(handle, key))
}

/// The number that the last `eu_get` found.
#[unsafe(no_mangle)]
pub extern "C" fn eu_value() -> u64 {
    with(|_| 0, |instance| instance.value())
}

/// Puts a text into the answer buffer and returns its length.
#[unsafe(no_mangle)]
pub extern "C" fn eu_get_text(handle: i32, key: u32) -> i32 {
    status(|instance| instance.get_text(handle, key))
}

/// Puts the record of a handle's error into the answer buffer and returns its length.
#[unsafe(no_mangle)]
pub extern "C" fn eu_error(handle: i32) -> i32 {
    status(|instance| instance.error(handle))
}

/// Takes the next bytes of an index that is no part of the blob, the first `length` of the input
/// buffer, before `eu_start`.
#[cfg(feature = "check")]
#[unsafe(no_mangle)]
pub extern "C" fn eu_index(handle: i32, length: u32) -> i32 {
    status(|instance| instance.index(handle, length))
}

/// Runs a check.
#[cfg(feature = "check")]
#[unsafe(no_mangle)]
pub extern "C" fn eu_check(handle: i32) -> i32 {
    status(|instance| instance.check(handle))
}

/// Puts the record of a finding into the answer buffer and returns its length.
#[cfg(feature = "check")]
#[unsafe(no_mangle)]
pub extern "C" fn eu_finding(handle: i32, index: u32) -> i32 {
    status(|instance| instance.finding(handle, index))
}

/// Puts the sentence of a finding into the answer buffer and returns its length.
#[cfg(feature = "check")]
#[unsafe(no_mangle)]
pub extern "C" fn eu_finding_text(handle: i32, index: u32) -> i32 {
    status(|instance| instance.finding_text(handle, index))
}

/// Puts the path of a finding, as bytes, into the answer buffer and returns its length.
#[cfg(feature = "check")]
#[unsafe(no_mangle)]
pub extern "C" fn eu_finding_path(handle: i32, index: u32) -> i32 {
    status(|instance| instance.finding_path(handle, index))
}

/// Looks for the file at a path, the first `length` bytes of the input buffer; `eu_value` gives
/// its nid.
#[cfg(feature = "check")]
#[unsafe(no_mangle)]
pub extern "C" fn eu_find(handle: i32, length: u32) -> i32 {
    status(|instance| instance.find(handle, length))
}

/// Puts the record of a file into the answer buffer and returns its length.
#[cfg(feature = "check")]
#[unsafe(no_mangle)]
pub extern "C" fn eu_file(handle: i32, nid: u64) -> i32 {
    status(|instance| instance.file(handle, nid))
}

/// Puts entries of a directory into the answer buffer and returns their length; `eu_value` gives
/// the place to go on from, 0 at the end.
#[cfg(feature = "check")]
#[unsafe(no_mangle)]
pub extern "C" fn eu_list(handle: i32, nid: u64, place: u64) -> i32 {
    status(|instance| instance.list(handle, nid, place))
}

/// Puts content of a regular file into the output buffer and returns how many bytes.
#[cfg(feature = "check")]
#[unsafe(no_mangle)]
pub extern "C" fn eu_read(handle: i32, nid: u64, offset: u64, length: u32) -> i32 {
    status(|instance| instance.read(handle, nid, offset, length))
}

/// Puts the target of a symbolic link into the answer buffer and returns its length.
#[cfg(feature = "check")]
#[unsafe(no_mangle)]
pub extern "C" fn eu_link(handle: i32, nid: u64) -> i32 {
    status(|instance| instance.link(handle, nid))
}

#[cfg(all(feature = "check", target_family = "wasm"))]
#[link(wasm_import_module = "erofs_unpack")]
unsafe extern "C" {
    #[link_name = "read_at"]
    fn host_read_at(offset: u64, address: *mut u8, length: u32) -> i32;
}

/// Reads from the image or blob that the host holds; `false` when the host says that it failed.
#[cfg(all(feature = "check", target_family = "wasm"))]
pub(crate) fn read_at(offset: u64, buffer: &mut [u8]) -> bool {
    let Ok(length) = u32::try_from(buffer.len()) else {
        return false;
    };
    // SAFETY: the host fills at most `length` bytes from there on, all of which are `buffer`'s.
    unsafe { host_read_at(offset, buffer.as_mut_ptr(), length) == 0 }
}

/// What stands in for the host when the entry points are called natively.
#[cfg(all(feature = "check", not(target_family = "wasm")))]
pub type ReadAt = fn(u64, &mut [u8]) -> bool;

/// The function that is called where the module would call its import. None at first.
#[cfg(all(feature = "check", not(target_family = "wasm")))]
pub static READ_AT: std::sync::RwLock<Option<ReadAt>> = std::sync::RwLock::new(None);

#[cfg(all(feature = "check", not(target_family = "wasm")))]
pub(crate) fn read_at(offset: u64, buffer: &mut [u8]) -> bool {
    let host = READ_AT.read().map_or(None, |host| *host);
    host.is_some_and(|host| host(offset, buffer))
}
