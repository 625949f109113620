//! Files of the host, through semihosting.

use core::fmt;

use cortex_m_semihosting::nr::open;
use cortex_m_semihosting::syscall;

/// Mode numbers are those of fopen: `rb` and `wb`.
fn opened(name: &'static str, mode: usize) -> Option<usize> {
    // The length leaves out the zero at the end.
    let length = name.len().checked_sub(1)?;
    // SAFETY: name, mode and length are what SYS_OPEN takes.
    let handle = unsafe { syscall!(OPEN, name.as_ptr(), mode, length) };
    (handle != usize::MAX).then_some(handle)
}

/// A file that is read.
pub struct Input {
    handle: usize,
    buffer: [u8; 4096],
    at: usize,
    end: usize,
}

impl Input {
    /// Opens a file; its name ends with a zero.
    pub fn open(name: &'static str) -> Option<Self> {
        Some(Self {
            handle: opened(name, open::R_BINARY)?,
            buffer: [0; 4096],
            at: 0,
            end: 0,
        })
    }

    /// The next byte; none at the end.
    pub fn byte(&mut self) -> Option<u8> {
        if self.at == self.end {
            let length = self.buffer.len();
            // SAFETY: the buffer is there and has that length. What is returned is how much of it
            // was not filled.
            let left = unsafe { syscall!(READ, self.handle, self.buffer.as_mut_ptr(), length) };
            self.at = 0;
            self.end = length.checked_sub(left)?;
        }
        let byte = *self.buffer.get(self.at).filter(|_| self.at < self.end)?;
        self.at += 1;
        Some(byte)
    }
}

/// A file that is written.
pub struct Output {
    handle: usize,
    buffer: [u8; 1024],
    filled: usize,
}

impl Output {
    /// Makes a file; its name ends with a zero.
    pub fn create(name: &'static str) -> Option<Self> {
        Some(Self {
            handle: opened(name, open::W_TRUNC_BINARY)?,
            buffer: [0; 1024],
            filled: 0,
        })
    }

    /// Writes what is left.
    pub fn flush(&mut self) -> fmt::Result {
        // SAFETY: the buffer is there and filled so far. 0 is what was not written.
        let left = unsafe { syscall!(WRITE, self.handle, self.buffer.as_ptr(), self.filled) };
        self.filled = 0;
        if left == 0 { Ok(()) } else { Err(fmt::Error) }
    }
}

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.filled == self.buffer.len() {
                self.flush()?;
            }
            self.buffer[self.filled] = byte;
            self.filled += 1;
        }
        Ok(())
    }
}
