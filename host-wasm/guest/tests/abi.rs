//! The entry points, called natively: what they do in order, and what they say out of order.
#![allow(
    unsafe_code,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    clippy::disallowed_methods,
    reason = "this is a test; it fills the buffers as a host does"
)]

#[allow(dead_code, reason = "each test uses a part of it")]
mod host;

use erofs_unpack_wasm::status::{
    BUSY, FINDINGS, HANDLE, KEY, MEMORY, NEED_CRC, OK, ORDER, RANGE, REFUSED, SOURCE, VALUE,
};
use erofs_unpack_wasm::{HANDLES, INPUT_SIZE, abi};

use host::{base, lock, push_all, put, record, text};

const UNPACKER: u32 = 1;
const DECODER: u32 = 2;
const CHECK: u32 = 3;

#[test]
fn a_layer_is_unpacked_and_its_outcome_told() {
    let _host = lock();
    for name in ["small.erofs", "small.erofs.gz", "small.erofs.zst"] {
        let handle = abi::eu_open(UNPACKER);
        assert!(handle > 0);
        let suffix = match name.rsplit('.').next() {
            Some("gz") => "+gzip",
            Some("zst") => "+zstd",
            _ => "",
        };
        let length = put(format!("application/vnd.erofs.layer.v1{suffix}").as_bytes());
        assert_eq!(abi::eu_set_text(handle, 1, length), OK);
        assert_eq!(abi::eu_start(handle), OK);
        let image = push_all(handle, &base(name));
        assert!(image == base("small.erofs"), "{name}");
        assert_eq!(abi::eu_finish(handle), OK);
        assert_eq!(abi::eu_get(handle, 2), OK);
        assert_eq!(abi::eu_value(), image.len() as u64);
        assert_eq!(abi::eu_get(handle, 3), OK);
        assert!(abi::eu_value() >= 512);
        let diff_id = text(abi::eu_get_text(handle, 3));
        assert!(diff_id.starts_with("sha256:"), "{diff_id}");
        assert_eq!(abi::eu_get(handle, 99), KEY);
        assert_eq!(abi::eu_push(handle, 0, 0), ORDER);
        assert_eq!(abi::eu_finish(handle), ORDER);
        assert_eq!(abi::eu_close(handle), OK);
        assert_eq!(abi::eu_close(handle), HANDLE);
    }
}

#[test]
fn a_refusal_is_told_as_text_and_as_record() {
    let _host = lock();
    let handle = abi::eu_open(UNPACKER);
    assert_eq!(abi::eu_error(handle), VALUE);
    let version = text(abi::eu_get_text(handle, 4));
    assert!(version.starts_with("erofs-unpack-wasm 0."), "{version}");
    assert_eq!(abi::eu_set(handle, 1, 2), OK);
    assert_eq!(abi::eu_start(handle), OK);
    // What it is instead could still be seen: it is told at the end.
    let length = put(b"no zstd");
    assert!(abi::eu_push(handle, 0, length) >= OK);
    assert_eq!(abi::eu_finish(handle), REFUSED);
    let record = record(abi::eu_error(handle));
    assert_eq!(record.len(), 232);
    // Malformed, in the blob, an id of ten bytes.
    assert_eq!(record[..3], [2, 1, 10]);
    assert_eq!(&record[40..50], b"zstd-magic");
    let said = text(abi::eu_get_text(handle, 1));
    assert!(
        said.starts_with("zstd stream: there is no zstd frame"),
        "{said}"
    );
    // It stays so.
    assert_eq!(abi::eu_finish(handle), REFUSED);
    assert_eq!(abi::eu_get(handle, 1), ORDER);
    assert_eq!(abi::eu_close(handle), OK);
}

#[test]
fn a_decoder_alone_takes_no_image_for_one() {
    let _host = lock();
    let handle = abi::eu_open(DECODER);
    assert_eq!(abi::eu_set(handle, 1, 1), OK);
    assert_eq!(abi::eu_start(handle), OK);
    let image = push_all(handle, &base("small.erofs.gz"));
    assert!(image == base("small.erofs"));
    assert_eq!(abi::eu_finish(handle), OK);
    assert_eq!(abi::eu_get(handle, 1), ORDER);
    assert_eq!(abi::eu_close(handle), OK);
}

#[test]
fn bad_arguments_are_statuses() {
    let _host = lock();
    for handle in [0, -1, 77, i32::MAX, i32::MIN] {
        assert_eq!(abi::eu_set(handle, 1, 0), HANDLE);
        assert_eq!(abi::eu_set_text(handle, 1, 0), HANDLE);
        assert_eq!(abi::eu_start(handle), HANDLE);
        assert_eq!(abi::eu_push(handle, 0, 0), HANDLE);
        assert_eq!(abi::eu_finish(handle), HANDLE);
        assert_eq!(abi::eu_get(handle, 1), HANDLE);
        assert_eq!(abi::eu_get_text(handle, 1), HANDLE);
        assert_eq!(abi::eu_error(handle), HANDLE);
        assert_eq!(abi::eu_check(handle), HANDLE);
        assert_eq!(abi::eu_finding(handle, 0), HANDLE);
        assert_eq!(abi::eu_close(handle), HANDLE);
    }
    assert_eq!(abi::eu_open(0), VALUE);
    assert_eq!(abi::eu_open(5), VALUE);
    let handle = abi::eu_open(UNPACKER);
    assert_eq!(abi::eu_push(handle, 0, 0), ORDER);
    assert_eq!(abi::eu_finish(handle), ORDER);
    assert_eq!(abi::eu_check(handle), ORDER);
    assert_eq!(abi::eu_set(handle, 0, 0), KEY);
    assert_eq!(abi::eu_set(handle, 1, 3), VALUE);
    assert_eq!(abi::eu_set(handle, 1, u64::MAX), VALUE);
    assert_eq!(abi::eu_set(handle, 40, 1 << 32), VALUE);
    assert_eq!(abi::eu_set_text(handle, 1, INPUT_SIZE + 1), RANGE);
    assert_eq!(abi::eu_set_text(handle, 1, u32::MAX), RANGE);
    assert_eq!(abi::eu_set_text(handle, 3, put(b"\xff\xff")), VALUE);
    assert_eq!(abi::eu_set_text(handle, 3, put(b"md5:00")), REFUSED);
    assert_eq!(abi::eu_set_text(handle, 5, put(b"no-such-rule")), VALUE);
    assert_eq!(abi::eu_set_text(handle, 10, put(b"")), KEY);
    assert_eq!(abi::eu_start(handle), OK);
    assert_eq!(abi::eu_start(handle), ORDER);
    assert_eq!(abi::eu_set(handle, 1, 0), ORDER);
    for (start, length) in [
        (0, INPUT_SIZE + 1),
        (INPUT_SIZE, 1),
        (u32::MAX, u32::MAX),
        (1, u32::MAX),
    ] {
        assert_eq!(abi::eu_push(handle, start, length), RANGE);
        assert_eq!((abi::eu_consumed(), abi::eu_produced()), (0, 0));
    }
    assert_eq!(abi::eu_close(handle), OK);
}

#[test]
fn there_are_so_many_handles_and_no_more() {
    let _host = lock();
    let handles: Vec<i32> = (0..HANDLES).map(|_| abi::eu_open(DECODER)).collect();
    assert!(handles.iter().all(|handle| *handle > 0));
    assert_eq!(abi::eu_open(DECODER), MEMORY);
    for handle in handles {
        assert_eq!(abi::eu_close(handle), OK);
    }
    let handle = abi::eu_open(DECODER);
    assert!(handle > 0);
    assert_eq!(abi::eu_close(handle), OK);
}

fn from_base(offset: u64, buffer: &mut [u8]) -> bool {
    let image = base("small.erofs");
    let start = usize::try_from(offset).unwrap();
    buffer.copy_from_slice(&image[start..start + buffer.len()]);
    true
}

fn with_another_mode(offset: u64, buffer: &mut [u8]) -> bool {
    // The superblock's checksum is wrong then.
    let passed = from_base(offset, buffer);
    if offset == 0 && buffer.len() > 1100 {
        buffer[1100] ^= 1;
    }
    passed
}

fn calls_again(_: u64, _: &mut [u8]) -> bool {
    assert_eq!(abi::eu_open(CHECK), BUSY);
    assert_eq!(abi::eu_finding(1, 0), BUSY);
    assert_eq!(abi::eu_input_address(), 0);
    false
}

fn checked(read_at: abi::ReadAt) -> (i32, i32) {
    *abi::READ_AT.write().unwrap() = Some(read_at);
    let handle = abi::eu_open(CHECK);
    assert_eq!(abi::eu_check(handle), ORDER);
    assert_eq!(
        abi::eu_set(handle, 16, base("small.erofs").len() as u64),
        OK
    );
    assert_eq!(abi::eu_start(handle), OK);
    (handle, abi::eu_check(handle))
}

#[test]
fn an_image_is_checked() {
    let _host = lock();
    let (handle, status) = checked(from_base);
    assert_eq!(status, OK);
    assert_eq!(abi::eu_get(handle, 17), OK);
    assert_eq!(abi::eu_value(), 0);
    assert_eq!(abi::eu_get(handle, 19), OK);
    assert!(abi::eu_value() > 0);
    assert_eq!(abi::eu_finding(handle, 0), RANGE);
    assert_eq!(abi::eu_finding_path(handle, 0), RANGE);
    assert_eq!(abi::eu_check(handle), ORDER);
    assert_eq!(abi::eu_push(handle, 0, 0), ORDER);
    assert_eq!(abi::eu_close(handle), OK);
}

#[test]
fn findings_are_told() {
    let _host = lock();
    let (handle, status) = checked(with_another_mode);
    assert_eq!(status, FINDINGS);
    assert_eq!(abi::eu_get(handle, 16), OK);
    assert_eq!(abi::eu_value(), 1);
    let record = record(abi::eu_finding(handle, 0));
    assert_eq!(record.len(), 264);
    assert_eq!(&record[40..59], b"superblock-checksum");
    // An error, about no entry, once.
    assert_eq!(record[232..240], [2, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(record[256..264], [1, 0, 0, 0, 0, 0, 0, 0]);
    assert!(text(abi::eu_finding_text(handle, 0)).starts_with("superblock: "));
    // It is about no file.
    assert_eq!(abi::eu_finding_path(handle, 0), 0);
    assert_eq!(abi::eu_close(handle), OK);
}

fn from_zstd(offset: u64, buffer: &mut [u8]) -> bool {
    let image = base("zstd.erofs");
    let start = usize::try_from(offset).unwrap();
    buffer.copy_from_slice(&image[start..start + buffer.len()]);
    true
}

#[test]
fn what_an_image_needs_of_the_kernel_is_told() {
    let _host = lock();
    for (minor, status) in [(9, FINDINGS), (10, OK)] {
        *abi::READ_AT.write().unwrap() = Some(from_zstd);
        let handle = abi::eu_open(CHECK);
        let size = base("zstd.erofs").len() as u64;
        assert_eq!(abi::eu_set(handle, 16, size), OK);
        assert_eq!(abi::eu_set(handle, 26, u64::MAX), VALUE);
        assert_eq!(abi::eu_set(handle, 26, 6 << 16 | minor), OK);
        assert_eq!(abi::eu_start(handle), OK);
        assert_eq!(abi::eu_check(handle), status);
        assert_eq!(abi::eu_get(handle, 24), OK);
        // zstd, the twelfth row of the table.
        assert_eq!(abi::eu_value() >> 11 & 1, 1);
        assert_eq!(abi::eu_close(handle), OK);
    }
}

#[test]
fn a_host_that_fails_or_calls_again_is_told_so() {
    let _host = lock();
    for read_at in [(|_, _| false) as abi::ReadAt, calls_again] {
        let (handle, status) = checked(read_at);
        assert_eq!(status, SOURCE);
        assert_eq!(abi::eu_close(handle), OK);
    }
}

#[test]
fn the_host_may_take_the_crc_of_members() {
    let _host = lock();
    let blob = base("small.erofs.gz");
    for (change, end) in [(0, OK), (1, REFUSED)] {
        let handle = abi::eu_open(DECODER);
        assert_eq!(abi::eu_set(handle, 1, 1), OK);
        assert_eq!(abi::eu_set(handle, 9, 2), VALUE);
        assert_eq!(abi::eu_set(handle, 9, 1), OK);
        assert_eq!(abi::eu_start(handle), OK);
        assert_eq!(abi::eu_crc(handle, 0), ORDER);
        let length = put(&blob);
        assert_eq!(abi::eu_push(handle, 0, length), NEED_CRC);
        let image = base("small.erofs");
        assert_eq!(abi::eu_produced() as usize, image.len());
        let start = abi::eu_consumed();
        // Until it has it, nothing goes on.
        assert_eq!(abi::eu_push(handle, start, length - start), NEED_CRC);
        assert_eq!((abi::eu_consumed(), abi::eu_produced()), (0, 0));
        let crc = u32::from_le_bytes(blob[blob.len() - 8..blob.len() - 4].try_into().unwrap());
        assert_eq!(abi::eu_crc(handle, crc ^ change), OK);
        assert_eq!(abi::eu_crc(handle, crc), ORDER);
        assert_eq!(abi::eu_push(handle, start, length - start), end);
        assert_eq!(abi::eu_finish(handle), end);
        assert_eq!(abi::eu_close(handle), OK);
    }
}
