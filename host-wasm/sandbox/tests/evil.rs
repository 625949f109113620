//! Guests that do harm, or try to: each is a refused layer with its own code, and the host goes on.
#![cfg(feature = "compile")]
#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this is a test"
)]

mod module;

use std::time::{Duration, Instant};

use erofs_unpack_core::check;
use erofs_unpack_core::codec::{Compression, Decoder as _};
use erofs_unpack_core::erofs::ReadError;
use erofs_unpack_core::oci::Algorithm;
use erofs_unpack_core::unpack::{Content, Expectations};
use erofs_unpack_core::{Code, Error, Limits};
use erofs_unpack_sandbox::{Late, Options, Sandbox, SandboxDecoder, Source, Stop};

use module::{Module, sandbox, watched};

/// Little memory and time.
fn options() -> Options {
    let mut options = Options::default();
    options.memory = 4 << 20;
    options.time = Duration::from_millis(200);
    options
}

fn decoder(module: &Module) -> Result<SandboxDecoder, Error> {
    let limits = Limits::DEFAULT;
    sandbox(module).decoder(Compression::Gzip, &limits, &options())
}

/// The code with which 100 bytes are refused.
fn refused(module: &Module) -> Code {
    let mut decoder = match decoder(module) {
        Ok(decoder) => decoder,
        Err(error) => return error.code(),
    };
    let mut output = [0; 4096];
    let first = decoder.decode(&[7; 100], &mut output).unwrap_err();
    // It stays so, whatever is done.
    assert_eq!(decoder.decode(&[7; 100], &mut output), Err(first));
    assert_eq!(decoder.finish(), Err(first));
    first.code()
}

#[test]
fn a_guest_without_malice_passes() {
    let mut decoder = decoder(&Module::new()).unwrap();
    let mut output = [0; 4096];
    let step = decoder.decode(&[7; 9000], &mut output).unwrap();
    assert_eq!((step.consumed, step.produced), (9000, 0));
    assert_eq!(decoder.finish(), Ok(()));
}

#[test]
fn lengths_out_of_range() {
    for (name, body) in [
        ("eu_produced", "i32.const 4097"),
        ("eu_produced", "i32.const -1"),
        ("eu_consumed", "i32.const 101"),
        ("eu_consumed", "i32.const -1"),
        // It leaves input for no reason.
        ("eu_consumed", "i32.const 99"),
        // It needs output, and gives none.
        ("eu_push", "i32.const 2"),
        // It is refused with a record of this length.
        ("eu_error", "i32.const 231"),
        ("eu_error", "i32.const 4097"),
        ("eu_error", "i32.const -1"),
    ] {
        let mut module = Module::new().with(name, body);
        if name == "eu_error" {
            module = module.with("eu_push", "i32.const -1");
        }
        if body == "i32.const 2" {
            module = module.with("eu_consumed", "i32.const 0");
        }
        assert_eq!(refused(&module), Code::GuestAnswer, "{name}: {body}");
    }
}

#[test]
fn statuses_that_there_are_not() {
    for status in ["3", "4", "77", "-2", "-8", "-9", "-2147483648"] {
        let body = format!("i32.const {status}");
        for name in ["eu_push", "eu_set", "eu_start"] {
            let module = Module::new().with(name, &body);
            assert_eq!(refused(&module), Code::GuestAnswer, "{name}: {status}");
        }
    }
    let module = Module::new().with("eu_open", "i32.const 0");
    assert_eq!(refused(&module), Code::GuestAnswer);
}

#[test]
fn errors_that_there_are_not() {
    // The answer buffer holds zeros, which are no error's record.
    let module = Module::new().with("eu_push", "i32.const -1");
    assert_eq!(refused(&module), Code::GuestAnswer);
    // A record of an error is believed: the layer is refused all the same.
    let module = module.with_data(module::ANSWER, &module::record("gzip-magic"));
    assert_eq!(refused(&module), Code::GzipMagic);
}

#[test]
fn versions_that_are_none() {
    let told = |text: &[u8], length: i32| {
        let module = Module::new()
            .with_data(module::ANSWER, text)
            .with("eu_get_text", &format!("i32.const {length}"));
        let version = sandbox(&module).version(&options());
        version.map_err(|error| error.code())
    };
    let longest = [b'v'; 256];
    assert_eq!(told(b"1.0 (x)", 7), Ok("1.0 (x)".to_owned()));
    assert_eq!(told(&longest, 256), Ok("v".repeat(256)));
    for (text, length) in [
        (&b"1.0"[..], 0),
        (b"1.0", -1),
        (b"1.0", -2),
        (b"1.0", 4097),
        (b"1.0", 4),
        (b"1\n2", 3),
        (b"\x1b[2J", 4),
        (b"1.\xff", 3),
        (&[b'v'; 257], 257),
    ] {
        assert_eq!(told(text, length), Err(Code::GuestAnswer), "{text:?}");
    }
}

#[test]
fn buffers_that_are_not_there() {
    for (name, value) in [
        ("eu_input_address", "0"),
        ("eu_input_address", "-1"),
        ("eu_input_size", "0"),
        ("eu_input_size", "2147483647"),
        ("eu_output_address", "1048000"),
        ("eu_output_size", "-1"),
        ("eu_answer_size", "16777216"),
        ("eu_version", "2"),
    ] {
        let module = Module::new().with(name, &format!("i32.const {value}"));
        assert_eq!(
            decoder(&module).unwrap_err().code(),
            Code::GuestAnswer,
            "{name}"
        );
    }
}

#[test]
fn breakdowns() {
    for body in [
        "unreachable",
        "i32.const -1 i32.load",
        "i32.const 1048573 i32.load",
        "i32.const 1 i32.const 0 i32.div_s",
        "local.get 0 local.get 1 local.get 2 call $eu_push",
        "i32.const 7 call_indirect (result i32)",
    ] {
        let module = Module::new().with("eu_push", body);
        assert_eq!(refused(&module), Code::GuestTrap, "{body}");
    }
    let module = Module::new().with_start("unreachable");
    assert_eq!(refused(&module), Code::GuestTrap);
}

#[test]
fn endless_loops() {
    let endless = "(loop $again br $again) i32.const 0";
    for name in ["eu_version", "eu_open", "eu_push", "eu_consumed"] {
        let begun = Instant::now();
        let module = Module::new().with(name, endless);
        assert_eq!(refused(&module), Code::GuestTime, "{name}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{name}");
    }
    let module = Module::new().with_start("(loop $again br $again)");
    assert_eq!(refused(&module), Code::GuestTime);
    // At the end.
    let mut decoder = decoder(&Module::new().with("eu_finish", endless)).unwrap();
    assert_eq!(decoder.finish().unwrap_err().code(), Code::GuestTime);
}

#[test]
fn a_loop_that_nothing_can_end_is_told_once_and_its_answer_is_not_taken() {
    // Until the number has gone around, in a second or more; then it answers as if all were well.
    let long = "(loop $again
        (global.set $n (i32.add (global.get $n) (i32.const 4)))
        (br_if $again (global.get $n))) i32.const 0";
    let (told, heard) = std::sync::mpsc::channel();
    let late = Late::new(move |error| told.send(error.code()).unwrap());
    let module = Module::new().with("eu_push", long);
    let sandbox = watched(&module, late);
    let limits = Limits::DEFAULT;
    let mut decoder = sandbox
        .decoder(Compression::Gzip, &limits, &options())
        .unwrap();
    let error = decoder.decode(&[7; 100], &mut [0; 16]).unwrap_err();
    assert_eq!(error.code(), Code::GuestTime);
    assert_eq!(decoder.finish(), Err(error));
    assert_eq!(heard.try_recv(), Ok(Code::GuestTime));
    assert!(heard.try_recv().is_err());
}

/// An image that is slow to read.
struct Slow;

impl Source for Slow {
    fn size(&self) -> u64 {
        1 << 20
    }

    fn read_at(&self, _offset: u64, _buffer: &mut [u8]) -> std::io::Result<()> {
        std::thread::sleep(Duration::from_millis(600));
        Ok(())
    }
}

#[test]
fn waiting_for_the_image_is_not_the_guests_time() {
    let body = "i64.const 0 i32.const 131072 i32.const 4096 call $read_at drop i32.const 0";
    let module = Module::new().with("eu_check", body);
    let (told, heard) = std::sync::mpsc::channel();
    let late = Late::new(move |error| told.send(error).unwrap());
    for sandbox in [sandbox(&module), watched(&module, late)] {
        let checked = sandbox.check(
            Box::new(Slow),
            &Limits::DEFAULT,
            &check::Options::default(),
            &options(),
            &mut |_| {},
        );
        assert!(checked.is_ok());
    }
    assert!(heard.try_recv().is_err());
}

#[test]
fn a_crc_that_is_wanted_again_and_again() {
    let wish = Module::new()
        .with("eu_push", "i32.const 4")
        .with("eu_consumed", "i32.const 0");
    assert_eq!(refused(&wish), Code::GuestAnswer);
    // It is the CRC of nothing here, and the answer to it is none that there is.
    let body = "(if (result i32) (local.get 1) (then i32.const -3) (else i32.const 7))";
    let odd = Module::new()
        .with("eu_push", "i32.const 4")
        .with("eu_crc", body);
    assert_eq!(refused(&odd), Code::GuestAnswer);
    // Of a decoder that has no CRC.
    let limits = Limits::DEFAULT;
    let mut decoder = sandbox(&Module::new().with("eu_push", "i32.const 4"))
        .decoder(Compression::Zstd, &limits, &options())
        .unwrap();
    let error = decoder.decode(&[7; 100], &mut [0; 16]).unwrap_err();
    assert_eq!(error.code(), Code::GuestAnswer);
}

#[test]
fn a_loop_is_cancelled_from_another_thread() {
    let module = Module::new().with("eu_push", "(loop $again br $again) i32.const 0");
    let mut options = options();
    options.time = Duration::from_secs(1000);
    let cancel = options.cancel.clone();
    let limits = Limits::DEFAULT;
    let mut decoder = sandbox(&module)
        .decoder(Compression::Gzip, &limits, &options)
        .unwrap();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        cancel.cancel();
    });
    let error = decoder.decode(&[7], &mut [0; 16]).unwrap_err();
    assert_eq!(error.code(), Code::GuestCancelled);
    canceller.join().unwrap();
}

#[test]
fn memory_without_end() {
    let grow = "(loop $again i32.const 1 memory.grow i32.const -1 i32.ne br_if $again)";
    let module = Module::new().with("eu_push", &format!("{grow} unreachable"));
    assert_eq!(refused(&module), Code::GuestMemory);
    // One that does without is not refused, and has not got more.
    let within = format!("{grow} memory.size i32.const 64 i32.gt_u if unreachable end i32.const 0");
    let mut decoder = decoder(&Module::new().with("eu_push", &within)).unwrap();
    assert!(decoder.decode(&[7; 100], &mut [0; 16]).is_ok());
    // Too much from the start.
    let module = Module::new().with_pages(65);
    assert_eq!(refused(&module), Code::GuestMemory);
}

#[test]
fn modules_that_do_not_fit() {
    let compile = |text: &str| Sandbox::compile(&wat::parse_str(text).unwrap());
    assert!(Sandbox::compile(b"no module").is_err());
    for import in [
        r#"(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))"#,
        r#"(import "env" "memory" (memory 1))"#,
        r#"(import "erofs_unpack" "read_at" (func (param i32 i32 i32) (result i32)))"#,
        r#"(import "erofs_unpack" "more" (func))"#,
    ] {
        let module = compile(&format!("(module {import})"));
        assert!(module.is_err(), "{import}");
    }
    // Without entry points, or with others.
    for text in [
        "(module)".to_owned(),
        "(module (memory (export \"memory\") 1))".to_owned(),
        Module::new().text().replace("\"eu_push\"", "\"eu_pull\""),
        Module::new().text().replace("\"memory\"", "\"remember\""),
        // One of another type under its name.
        Module::new()
            .text()
            .replace("\"eu_version\"", "\"eu_other\"")
            .replace("\"eu_get\"", "\"eu_version\""),
    ] {
        let made = compile(&text)
            .unwrap()
            .decoder(Compression::Gzip, &Limits::DEFAULT, &options());
        assert_eq!(made.unwrap_err().code(), Code::GuestAnswer);
    }
}

/// Fills its output with a number that goes up at each call of anything.
const MUTATE: &str = "(global.set $n (i32.add (global.get $n) (i32.const 1)))
    (memory.fill (i32.const 131072) (global.get $n) (i32.const 4096))";

#[test]
fn answers_that_change_while_they_are_read() {
    let module = Module::new()
        .with("eu_push", &format!("{MUTATE} i32.const 0"))
        .with("eu_consumed", &format!("{MUTATE} global.get $given"))
        .with("eu_produced", &format!("{MUTATE} i32.const 4096"));
    let mut expectations = Expectations::new(Compression::Gzip);
    expectations.content = Content::Bytes;
    let mut image = Vec::new();
    let outcome = sandbox(&module)
        .unpack(
            &mut &[7; 3 << 20][..],
            &mut image,
            &expectations,
            &Limits::DEFAULT,
            &options(),
        )
        .unwrap();
    // What was handed on is what the digest was taken of.
    assert!(!image.is_empty());
    assert_eq!(outcome.image_size, image.len() as u64);
    assert_eq!(outcome.diff_id, Algorithm::Sha256.digest(&image));
}

#[test]
fn another_image_than_the_stated_one() {
    let module = Module::new().with("eu_produced", "i32.const 4096");
    let mut expectations = Expectations::new(Compression::Gzip);
    expectations.content = Content::Bytes;
    expectations.diff_id = Some(Algorithm::Sha256.digest(b"the image"));
    let unpacked = sandbox(&module).unpack(
        &mut &[7; 100][..],
        &mut std::io::sink(),
        &expectations,
        &Limits::DEFAULT,
        &options(),
    );
    assert!(matches!(unpacked, Err(Stop::Refused(error)) if error.code() == Code::DiffId));
}

#[test]
fn an_image_without_end() {
    // It always has more to give.
    let module = Module::new()
        .with("eu_push", "i32.const 2")
        .with("eu_consumed", "i32.const 0")
        .with("eu_produced", "i32.const 4096");
    let mut expectations = Expectations::new(Compression::Gzip);
    expectations.content = Content::Bytes;
    let mut limits = Limits::DEFAULT;
    limits.image_size = 1 << 20;
    let unpacked = sandbox(&module).unpack(
        &mut &[7; 100][..],
        &mut std::io::sink(),
        &expectations,
        &limits,
        &options(),
    );
    assert!(matches!(unpacked, Err(Stop::Refused(error)) if error.code() == Code::ImageLimit));
}

/// The code with which an image of a MiB is refused by a check.
fn checked(module: &Module) -> Option<Code> {
    let mut findings = 0_u32;
    let checked = sandbox(module).check(
        Box::new(vec![0; 1 << 20]),
        &Limits::DEFAULT,
        &check::Options::default(),
        &options(),
        &mut |_| findings += 1,
    );
    match checked {
        Ok(_) => None,
        Err(ReadError::Refused(error)) => Some(error.code()),
        Err(ReadError::Source(error)) => panic!("{error}"),
    }
}

#[test]
fn reads_beyond_the_image_or_the_memory() {
    let read = |offset: &str, address: &str, length: &str| {
        let body = format!(
            "i64.const {offset} i32.const {address} i32.const {length} call $read_at drop i32.const 0"
        );
        checked(&Module::new().with("eu_check", &body))
    };
    assert_eq!(read("0", "131072", "4096"), None);
    assert_eq!(read("1048576", "131072", "0"), None);
    for (offset, address, length) in [
        ("1048576", "131072", "1"),
        ("1048575", "131072", "2"),
        ("-1", "131072", "1"),
        ("0", "-1", "1"),
        ("0", "1048575", "2"),
        ("0", "131072", "-1"),
        ("0", "1048577", "0"),
    ] {
        assert_eq!(
            read(offset, address, length),
            Some(Code::GuestAnswer),
            "{offset} {address} {length}"
        );
    }
}

#[test]
fn checks_that_lie_about_what_they_found() {
    let module = |body: &str| Module::new().with("eu_check", body);
    assert_eq!(checked(&module("i32.const 0")), None);
    // Refused by findings, of which there are none.
    assert_eq!(checked(&module("i32.const 3")), Some(Code::GuestAnswer));
    // The host has not failed.
    assert_eq!(checked(&module("i32.const -9")), Some(Code::GuestAnswer));
    // Errors without an error, more findings than can be, a finding of zeros.
    for value in ["1", "1000000", "-1"] {
        let module = module("i32.const 0").with("eu_value", &format!("i64.const {value}"));
        assert_eq!(checked(&module), Some(Code::GuestAnswer), "{value}");
    }
    let endless = "(loop $again (drop (call $read_at (i64.const 0) (i32.const 131072) \
        (i32.const 4096))) br $again) i32.const 0";
    assert_eq!(checked(&module(endless)), Some(Code::GuestTime));
}
