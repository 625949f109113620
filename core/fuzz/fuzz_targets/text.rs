//! What stands in descriptors as text: media types, digests, platforms, annotations.
//!
//! An input is lines. Each is read as everything that it could be; one with a `=` as an
//! annotation too, with those before it.
#![no_main]

use core::fmt::Debug;

use erofs_unpack_core::oci::{ByteRange, Digest, ErofsAnnotations, MediaType, Platform, Role};
use erofs_unpack_core::{At, Error};
use libfuzzer_sys::fuzz_target;

/// What was read; a refusal names a place in the text.
fn read<T>(text: &str, result: Result<T, Error>) -> Option<T> {
    if let Err(error) = &result
        && let At::Text(at) = error.at()
    {
        assert!(at <= text.len() as u64, "{error} in {text:?}");
    }
    result.ok()
}

/// What was read, written and read again is the same.
fn again<T: Debug + PartialEq>(value: &T, written: &str, parse: fn(&str) -> Result<T, Error>) {
    assert_eq!(parse(written).as_ref(), Ok(value), "{written}");
}

fuzz_target!(|input: &[u8]| {
    let Ok(input) = str::from_utf8(input) else {
        return;
    };
    let mut annotations = ErofsAnnotations::default();
    for text in input.split('\n') {
        if let Some(media_type) = read(text, MediaType::parse(text)) {
            again(&media_type, media_type.as_str(), MediaType::parse);
            let layer = read(text, media_type.layer());
            let device = read(text, media_type.device());
            // What an image layer is as a device differs in nothing but what it must hold.
            if let (Some(layer), Some(device)) = (layer, device) {
                assert_eq!(layer.compression, device.compression, "{text}");
            }
            read(text, media_type.stream());
        }
        if let Some(digest) = read(text, Digest::parse(text)) {
            assert_eq!(digest.to_string(), text);
            let bytes = Digest::from_bytes(digest.algorithm(), digest.as_bytes());
            assert_eq!(bytes, Some(digest));
        }
        if let Some(platform) = read(text, Platform::parse(text)) {
            again(&platform, &platform.to_string(), Platform::parse);
            assert!(
                platform.rank(&platform).is_some(),
                "{text} does not fit itself"
            );
        }
        if let Some(range) = read(text, ByteRange::parse(text)) {
            let written = match range.end {
                Some(end) => format!("{}:{end}", range.offset),
                None => range.offset.to_string(),
            };
            again(&range, &written, ByteRange::parse);
        }
        if let Some(role) = read(text, Role::parse(text)) {
            assert_eq!(role.name(), text);
        }
        if let Some((key, value)) = text.split_once('=') {
            let before = annotations;
            if read(value, annotations.set(key, value)).is_none() {
                assert_eq!(
                    annotations, before,
                    "{text} is refused and changes something"
                );
            }
            let _ = annotations.check();
        }
    }
});
