//! The EROFS reader: an image of any bytes, walked and read as far as it goes.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/reader/explore.rs"]
mod explore;

fuzz_target!(|image: &[u8]| {
    // The second half of the image is its device, too.
    let sample = explore::Sample {
        name: "fuzz",
        image: image.to_vec(),
        device: image.get(image.len() / 2..).unwrap_or(&[]).to_vec(),
    };
    explore::explore(&sample);
});
