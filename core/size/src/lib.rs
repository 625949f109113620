//! What the measured programs share: a panic handler, and one layer pushed through an
//! [`Unpacker`] with buffers of a stated size.
#![no_std]

use core::hint::black_box;
use core::panic::PanicInfo;

use erofs_unpack_core::codec::{Compression, Decoder, Status, Step};
use erofs_unpack_core::oci::Digest;
use erofs_unpack_core::unpack::{Expectations, Unpacker};
use erofs_unpack_core::{Error, Limits};

/// Bytes of each of the caller's two buffers, for encoded and for decoded bytes.
pub const BUFFER: usize = 512;

/// Stops. With no output there is nothing better to do.
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {}
}

/// Unpacks one layer from an imaginary device to another, checking all that can be checked.
///
/// The state machine is made where it stays, as far as the compiler can see to that.
///
/// # Errors
///
/// What the layer is refused for.
#[inline(never)]
pub fn unpack<D: Decoder>(
    decoder: impl FnOnce() -> D,
    compression: Compression,
) -> Result<u64, Error> {
    let mut expectations = Expectations::new(compression);
    expectations.blob_digest = Some(Digest::parse(black_box("sha256:"))?);
    expectations.diff_id = Some(Digest::parse(black_box("sha256:"))?);
    expectations.blob_size = black_box(Some(0));
    let mut unpacker = Unpacker::new(decoder(), &expectations, &Limits::DEFAULT)?;
    let mut input = [0; BUFFER];
    let mut output = [0; BUFFER];
    while black_box(true) {
        let mut rest: &[u8] = black_box(&mut input);
        loop {
            let step = push(black_box(&mut unpacker), rest, &mut output)?;
            black_box(output.get(..step.produced));
            rest = rest.get(step.consumed..).unwrap_or_default();
            if rest.is_empty() && step.status != Status::NeedOutput {
                break;
            }
        }
    }
    Ok(unpacker.finish()?.image_size)
}

/// One push, in a frame of its own: what it takes when state and buffers lie elsewhere.
#[inline(never)]
fn push<D: Decoder>(
    unpacker: &mut Unpacker<D>,
    input: &[u8],
    output: &mut [u8],
) -> Result<Step, Error> {
    unpacker.push(input, output)
}

/// Makes a program of `$run`, and states the size of `$state` where the script reads it.
#[macro_export]
macro_rules! program {
    ($state:ty, $run:expr) => {
        /// Size of the state machine, in bytes.
        #[unsafe(no_mangle)]
        #[used]
        pub static STATE_SIZE: u32 = core::mem::size_of::<$state>() as u32;

        /// Where the program starts.
        #[unsafe(no_mangle)]
        pub extern "C" fn _start() -> ! {
            let outcome: Result<u64, erofs_unpack_core::Error> = $run;
            let _ = core::hint::black_box(outcome);
            loop {}
        }
    };
}
