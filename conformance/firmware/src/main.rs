//! Reads requests as `conformance/src/batch.rs` states them from the host's file `requests`, asks
//! the core without features, and writes its answers to the file `answers`.
#![no_std]
#![no_main]

mod case;
mod host;

use core::cell::RefCell;
use core::fmt::Write as _;
use core::panic::PanicInfo;

use cortex_m::interrupt::{self, Mutex};
use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use heapless::Vec;

use erofs_unpack_core::codec::ZstdIn;

use crate::case::{Case, Fault};
use crate::host::{Input, Output};

/// Longest word, in bytes: the largest blob that is one part.
const WORD: usize = 1 << 20;
/// Most words of a line behind the first.
const WORDS: usize = 2;

/// Largest zstd window that is decoded, in bytes.
const WINDOW: usize = 256 << 10;

type Words = [Vec<u8, WORD>; WORDS];

/// The words of the line at hand. Too large for a stack.
static LINE: Mutex<RefCell<Words>> = Mutex::new(RefCell::new([Vec::new(), Vec::new()]));

/// What a zstd decoder gets.
static MEMORY: Mutex<RefCell<[u8; ZstdIn::memory(WINDOW)]>> =
    Mutex::new(RefCell::new([0; ZstdIn::memory(WINDOW)]));

#[entry]
fn main() -> ! {
    let result = interrupt::free(|token| {
        let memory = &mut *MEMORY.borrow(token).borrow_mut();
        run(&mut LINE.borrow(token).borrow_mut(), memory)
    });
    let status = match result {
        Ok(count) => {
            hprintln!("{} answers", count);
            debug::EXIT_SUCCESS
        }
        Err(Fault(text)) => {
            hprintln!("{}", text);
            debug::EXIT_FAILURE
        }
    };
    debug::exit(status);
    loop {}
}

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    hprintln!("{}", info);
    debug::exit(debug::EXIT_FAILURE);
    loop {}
}

/// Answers all requests; how many there were.
fn run(words: &mut Words, memory: &mut [u8]) -> Result<u32, Fault> {
    let mut input = Input::open("requests\0").ok_or(Fault("no file 'requests'"))?;
    let mut output = Output::create("answers\0").ok_or(Fault("cannot write 'answers'"))?;
    let mut count = 0;
    let mut name: Vec<u8, 32> = Vec::new();
    while line(&mut input, &mut name, words)? {
        if name != b"case" {
            return Err(Fault("a line outside of a case"));
        }
        let mut case = Case::new(memory);
        let [id, _] = words;
        case.id
            .extend_from_slice(id)
            .map_err(|_| Fault("a long id"))?;
        loop {
            if !line(&mut input, &mut name, words)? {
                return Err(Fault("a case without a question"));
            }
            let [first, second] = words;
            if case.take(&name, first, second)? {
                break;
            }
        }
        case.answer(&mut output)
            .map_err(|_| Fault("cannot write"))?;
        count += 1;
    }
    let end = writeln!(output, "{{\"end\":true}}").and_then(|()| output.flush());
    end.map_err(|_| Fault("cannot write"))?;
    Ok(count)
}

/// Reads a line: its first word, and those behind it.
fn line(input: &mut Input, name: &mut Vec<u8, 32>, words: &mut Words) -> Result<bool, Fault> {
    name.clear();
    words.iter_mut().for_each(Vec::clear);
    let mut number = 0;
    loop {
        let Some(byte) = input.byte() else {
            return if name.is_empty() {
                Ok(false)
            } else {
                Err(Fault("half a line"))
            };
        };
        match byte {
            b'\n' => return Ok(true),
            b' ' => number += 1,
            _ if number == 0 => name.push(byte).map_err(|_| Fault("a long name"))?,
            _ => words
                .get_mut(number - 1)
                .ok_or(Fault("too many words"))?
                .push(byte)
                .map_err(|_| Fault("a long word"))?,
        }
    }
}
