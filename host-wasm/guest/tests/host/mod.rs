//! What a host does between the calls.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use erofs_unpack_wasm::status::{NEED_INPUT, NEED_OUTPUT, OK};
use erofs_unpack_wasm::{INPUT_SIZE, OUTPUT_SIZE, abi};

static HOST: Mutex<()> = Mutex::new(());

/// One test at a time: they share the one instance.
pub(crate) fn lock() -> MutexGuard<'static, ()> {
    HOST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A base of the vectors.
pub(crate) fn base(name: &str) -> Vec<u8> {
    let bases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/bases");
    std::fs::read(bases.join(name)).unwrap()
}

/// Puts bytes at the start of the input buffer and gives their number.
pub(crate) fn put(bytes: &[u8]) -> u32 {
    let length = u32::try_from(bytes.len()).unwrap();
    assert!(length <= INPUT_SIZE);
    let to = std::ptr::with_exposed_provenance_mut::<u8>(abi::eu_input_address());
    // SAFETY: the buffer has that size, and no call is on its way.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    length
}

fn copied(address: usize, length: usize) -> Vec<u8> {
    let from = std::ptr::with_exposed_provenance::<u8>(address);
    // SAFETY: the callers give a buffer and not more than its size, and no call is on its way.
    unsafe { std::slice::from_raw_parts(from, length) }.to_vec()
}

/// What was put into the answer buffer.
pub(crate) fn record(length: i32) -> Vec<u8> {
    let length = usize::try_from(length).unwrap();
    assert!(length <= abi::eu_answer_size() as usize);
    copied(abi::eu_answer_address(), length)
}

/// What `eu_read` has put into the output buffer.
pub(crate) fn content(length: i32) -> Vec<u8> {
    let length = usize::try_from(length).unwrap();
    assert!(length <= OUTPUT_SIZE as usize);
    copied(abi::eu_output_address(), length)
}

/// The same as a text.
pub(crate) fn text(length: i32) -> String {
    String::from_utf8(record(length)).unwrap()
}

/// Pushes a whole blob, in uneven pieces, and gives what comes out.
pub(crate) fn push_all(handle: i32, blob: &[u8]) -> Vec<u8> {
    let mut image = Vec::new();
    for piece in blob.chunks(1009) {
        let length = put(piece);
        let mut start = 0;
        loop {
            let status = abi::eu_push(handle, start, length - start);
            assert!([OK, NEED_INPUT, NEED_OUTPUT].contains(&status), "{status}");
            start += abi::eu_consumed();
            assert!(abi::eu_produced() <= OUTPUT_SIZE);
            image.extend(copied(
                abi::eu_output_address(),
                abi::eu_produced() as usize,
            ));
            if start == length && status != NEED_OUTPUT {
                break;
            }
        }
    }
    image
}
