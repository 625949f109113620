//! Bytes as a sequence of calls: any entry point, any arguments, in any order, as a host without
//! sense would make them. What must hold after each of them is asserted; what they touch of the
//! buffers is read in full, so that a sanitizer sees it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use erofs_unpack_wasm::abi;
use erofs_unpack_wasm::status::{BUSY, HANDLE, NEED_CRC, NEED_OUTPUT, OK, SOURCE};

/// What `read_at` reads, and what it does besides: fails, or calls the module.
struct Host {
    image: Vec<u8>,
    behaviour: u8,
}

static HOST: Mutex<Host> = Mutex::new(Host {
    image: Vec::new(),
    behaviour: 0,
});

/// Held by the sequence that is on its way: there is one module, and tests run side by side.
static ALONE: Mutex<()> = Mutex::new(());

/// Images and layers to begin with.
const IMAGES: [&[u8]; 7] = [
    include_bytes!("../../../../vectors/bases/small.erofs"),
    include_bytes!("../../../../vectors/bases/metabox.erofs"),
    include_bytes!("../../../../vectors/bases/fragments.erofs"),
    include_bytes!("../../../../vectors/bases/lzma.erofs"),
    include_bytes!("../../../../vectors/bases/zstd.erofs"),
    include_bytes!("../../../../vectors/bases/chunks.erofs"),
    include_bytes!("../../../../vectors/bases/deflate.erofs"),
];
const LAYERS: [&[u8]; 3] = [
    include_bytes!("../../../../vectors/bases/small.erofs"),
    include_bytes!("../../../../vectors/bases/small.erofs.gz"),
    include_bytes!("../../../../vectors/bases/small.erofs.zst"),
];
/// Layers that are read at random, how they are wrapped, and where their indexes are.
const INDEXED: [(&[u8], u64, &[u8]); 4] = [
    (
        include_bytes!("../../../../vectors/cases/chunk-index/embedded.erofs.zst"),
        2,
        b"448:632",
    ),
    (
        include_bytes!("../../../../vectors/cases/chunk-index/plain.erofs"),
        0,
        b"4096",
    ),
    (
        include_bytes!("../../../../vectors/cases/chunk-index/standalone.erofs.zst"),
        2,
        b"",
    ),
    (
        include_bytes!("../../../../vectors/cases/seek-table/checksums.erofs.zst"),
        2,
        b"",
    ),
];
/// The index of the third.
const INDEX: &[u8] = include_bytes!("../../../../vectors/cases/chunk-index/standalone.index");
const TEXTS: [&[u8]; 10] = [
    b"application/vnd.erofs.layer.v1+zstd",
    b"application/vnd.erofs.layer.v1+gzip",
    b"application/vnd.erofs.layer.v1",
    b"sha256:e1725d1a6a2e6f7761ee6cb7cf4624ebbd36db2794a3790e94161340cd85b683",
    b"superblock-checksum",
    b"/etc/greeting",
    b"/lines",
    b"/",
    b"448:632",
    b"sha256:4ec31ba74e0fda9d494d04211ce4f2cddaaac5a1c9996d70a468d52fb5b8497c",
];

fn host() -> MutexGuard<'static, Host> {
    HOST.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_at(offset: u64, buffer: &mut [u8]) -> bool {
    let host = host();
    match host.behaviour {
        1 => return false,
        2 => {
            // A call from within does nothing.
            assert_eq!(abi::eu_open(1), BUSY);
            assert_eq!(abi::eu_push(1, 0, 1), BUSY);
            assert_eq!(abi::eu_close(1), BUSY);
            assert_eq!(abi::eu_output_address(), 0);
            assert_eq!(abi::eu_value(), 0);
        }
        _ => {}
    }
    let part = usize::try_from(offset)
        .ok()
        .and_then(|start| host.image.get(start..start.checked_add(buffer.len())?));
    part.is_some_and(|part| {
        buffer.copy_from_slice(part);
        true
    })
}

/// The bytes that say what is called.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((byte, rest)) => {
                self.0 = rest;
                *byte
            }
            None => 0,
        }
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    fn bytes(&mut self) -> &[u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    /// A length or a place: mostly one that makes sense.
    fn length(&mut self, most: u32) -> u32 {
        match self.byte() {
            0..=63 => most,
            choice @ 64..=191 => u32::from(choice),
            192..=223 => self.word() % (most + 2),
            _ => self.word(),
        }
    }

    fn number(&mut self) -> u64 {
        match self.byte() {
            choice @ 0..=191 => choice.into(),
            192..=223 => u64::from(self.word()) << 32 | u64::from(self.word()),
            224..=239 => self.word().into(),
            choice => u64::MAX >> (choice & 1) >> (u32::from(choice & 14) * 4),
        }
    }
}

/// Where the buffers lie: input, output, answer.
fn addresses() -> [usize; 3] {
    [
        abi::eu_input_address(),
        abi::eu_output_address(),
        abi::eu_answer_address(),
    ]
}

/// What a sequence keeps.
struct Run {
    handles: Vec<i32>,
    addresses: [usize; 3],
    /// How much of the input buffer was filled last.
    filled: u32,
}

impl Run {
    fn handle(&self, script: &mut Script<'_>) -> i32 {
        match script.byte() {
            choice if choice >= 240 => script.word().cast_signed(),
            choice => match usize::from(choice) % self.handles.len().max(1) {
                place if place < self.handles.len() => self.handles[place],
                _ => 0,
            },
        }
    }

    /// Where a buffer lies, asked for anew: it is always there, but natively a pointer may be used
    /// until the module next uses the buffer itself, as Miri knows.
    fn address(&self, buffer: usize) -> usize {
        let address = addresses()[buffer];
        assert_eq!(address, self.addresses[buffer]);
        address
    }

    /// Fills the input buffer from its start.
    fn fill(&mut self, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(abi::eu_input_size() as usize)];
        let to = std::ptr::with_exposed_provenance_mut::<u8>(self.address(0));
        // SAFETY: the buffer has that size, and no call is on its way.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        self.filled = u32::try_from(bytes.len()).unwrap();
    }

    /// Reads bytes of the output (1) or answer (2) buffer.
    fn look(&self, buffer: usize, length: u32) {
        let size = [
            abi::eu_input_size(),
            abi::eu_output_size(),
            abi::eu_answer_size(),
        ];
        assert!(length <= size[buffer], "{length} bytes");
        let from = std::ptr::with_exposed_provenance::<u8>(self.address(buffer));
        // SAFETY: it is not more than the buffer holds, and no call is on its way.
        let bytes = unsafe { std::slice::from_raw_parts(from, length as usize) };
        std::hint::black_box(bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>());
    }

    /// A status, or a length that is looked at.
    fn status(&self, status: i32, buffer: usize) {
        assert!(
            (SOURCE..=NEED_CRC).contains(&status) || buffer > 0,
            "{status}"
        );
        assert_ne!(status, BUSY);
        if buffer > 0 {
            assert!(status >= SOURCE, "{status}");
            self.look(buffer, u32::try_from(status).unwrap_or(0));
        }
    }

    fn push(&self, handle: i32, start: u32, length: u32) -> i32 {
        let status = abi::eu_push(handle, start, length);
        self.status(status, 0);
        assert!(abi::eu_consumed() <= length);
        self.look(1, abi::eu_produced());
        if status < 0 {
            assert_eq!((abi::eu_consumed(), abi::eu_produced()), (0, 0));
        }
        status
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.byte() % 26 {
            0 | 1 => {
                let sort = u32::from(script.byte());
                let sort = if sort < 240 { sort % 4 + 1 } else { sort };
                let handle = abi::eu_open(sort);
                if handle > 0 {
                    assert!(self.handles.iter().all(|other| *other < handle));
                    self.handles.push(handle);
                }
            }
            2 => {
                let handle = self.handle(script);
                self.status(abi::eu_close(handle), 0);
                assert_eq!(abi::eu_close(handle), HANDLE);
                self.handles.retain(|other| *other != handle);
            }
            3 | 4 => {
                let (handle, key) = (self.handle(script), u32::from(script.byte() % 49));
                // Memory and work that a host grants are taken: no more than a test has.
                let most = match key {
                    34 | 42 | 44..=47 => 1 << 23,
                    43 => 1 << 22,
                    _ => u64::MAX,
                };
                self.status(abi::eu_set(handle, key, script.number().min(most)), 0);
            }
            5 => {
                let (handle, key) = (self.handle(script), u32::from(script.byte() % 11));
                let text = TEXTS[usize::from(script.byte()) % TEXTS.len()];
                self.fill(text);
                self.status(abi::eu_set_text(handle, key, script.length(self.filled)), 0);
            }
            6 | 7 => self.status(abi::eu_start(self.handle(script)), 0),
            8 => self.fill(LAYERS[usize::from(script.byte()) % LAYERS.len()]),
            9 => {
                let bytes = script.bytes().to_vec();
                self.fill(&bytes);
            }
            10 | 11 => {
                let handle = self.handle(script);
                let (start, length) = (script.length(0), script.length(self.filled));
                self.push(handle, start, length);
            }
            12 => {
                // As a host with sense does.
                let handle = self.handle(script);
                let mut start = 0;
                for _ in 0..1000 {
                    let status = self.push(handle, start, self.filled - start);
                    start += abi::eu_consumed();
                    if status == NEED_CRC {
                        self.status(abi::eu_crc(handle, script.word()), 0);
                        continue;
                    }
                    if status < 0 || (start == self.filled && status != NEED_OUTPUT) {
                        break;
                    }
                }
                self.status(abi::eu_finish(handle), 0);
            }
            13 => {
                let handle = self.handle(script);
                self.status(abi::eu_crc(handle, script.word()), 0);
                self.status(abi::eu_finish(handle), 0);
            }
            14 => {
                let (handle, key) = (self.handle(script), u32::from(script.byte() % 32));
                if abi::eu_get(handle, key) != OK {
                    assert_eq!(abi::eu_value(), 0);
                }
            }
            15 => {
                let (handle, key) = (self.handle(script), u32::from(script.byte() % 8));
                self.status(abi::eu_get_text(handle, key), 2);
            }
            16 => self.status(abi::eu_error(self.handle(script)), 2),
            17 => {
                // A fresh check or reader of an image.
                let mut image = IMAGES[usize::from(script.byte()) % IMAGES.len()].to_vec();
                for _ in 0..script.byte() % 4 {
                    let place = script.word() as usize % image.len();
                    image[place] = script.byte();
                }
                let size = image.len() as u64;
                host().image = image;
                host().behaviour = script.byte().saturating_sub(253);
                let handle = abi::eu_open(3 + u32::from(script.byte() & 1));
                if handle > 0 {
                    self.handles.push(handle);
                    // Its checksum may be wrong, and the rest is looked at all the same.
                    self.fill(b"superblock-checksum");
                    self.status(abi::eu_set_text(handle, 5, self.filled), 0);
                    self.status(abi::eu_set(handle, 16, size), 0);
                    self.status(abi::eu_set(handle, 17, u64::from(script.byte() % 3)), 0);
                    self.status(abi::eu_set(handle, 43, 1 << 22), 0);
                    self.status(abi::eu_start(handle), 0);
                }
            }
            18 => self.status(abi::eu_check(self.handle(script)), 0),
            24 => self.layer(script),
            25 => {
                let handle = self.handle(script);
                self.fill(INDEX);
                self.status(abi::eu_index(handle, script.length(self.filled)), 0);
            }
            19 => {
                let (handle, index) = (self.handle(script), script.length(0));
                self.status(abi::eu_finding(handle, index), 2);
                self.status(abi::eu_finding_text(handle, index), 2);
                self.status(abi::eu_finding_path(handle, index), 2);
            }
            20 => {
                let handle = self.handle(script);
                let path = TEXTS[usize::from(script.byte()) % TEXTS.len()];
                self.fill(path);
                self.status(abi::eu_find(handle, script.length(self.filled)), 0);
            }
            21 => {
                let (handle, nid) = (self.handle(script), self.nid(script));
                self.status(abi::eu_file(handle, nid), 2);
                self.status(abi::eu_link(handle, nid), 2);
            }
            22 => {
                let (handle, nid) = (self.handle(script), self.nid(script));
                let place = script.number();
                self.status(abi::eu_list(handle, nid, place), 2);
                if abi::eu_value() != 0 {
                    assert!(abi::eu_value() >= place);
                }
            }
            _ => {
                let (handle, nid) = (self.handle(script), self.nid(script));
                let (offset, length) = (script.number(), script.length(abi::eu_output_size()));
                self.status(abi::eu_read(handle, nid, offset, length), 1);
            }
        }
    }

    /// A fresh check or reader of a layer that is read at random.
    fn layer(&mut self, script: &mut Script<'_>) {
        let (blob, compression, range) = INDEXED[usize::from(script.byte()) % INDEXED.len()];
        let mut blob = blob.to_vec();
        for _ in 0..script.byte() % 4 {
            let place = script.word() as usize % blob.len();
            blob[place] = script.byte();
        }
        let size = blob.len() as u64;
        host().image = blob;
        host().behaviour = script.byte().saturating_sub(253);
        let handle = abi::eu_open(3 + u32::from(script.byte() & 1));
        if handle <= 0 {
            return;
        }
        self.handles.push(handle);
        let vouched = u64::from(script.byte() % 3);
        for (key, value) in [(27, 1), (28, vouched), (1, compression), (3, size)] {
            self.status(abi::eu_set(handle, key, value), 0);
        }
        self.status(abi::eu_set(handle, 43, 1 << 22), 0);
        if range.is_empty() {
            self.fill(INDEX);
            self.status(abi::eu_index(handle, script.length(self.filled)), 0);
        } else {
            self.fill(range);
            self.status(abi::eu_set_text(handle, 8, self.filled), 0);
        }
        self.status(abi::eu_start(handle), 0);
    }

    /// A nid: that which was found last, or any.
    fn nid(&self, script: &mut Script<'_>) -> u64 {
        match script.byte() {
            0..=127 => abi::eu_value(),
            _ => script.number(),
        }
    }
}

/// Makes the calls that the bytes stand for, at most so many.
pub(crate) fn run(script: &[u8], most: usize) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    *abi::READ_AT.write().unwrap_or_else(PoisonError::into_inner) = Some(read_at);
    let mut run = Run {
        handles: Vec::new(),
        addresses: addresses(),
        filled: 0,
    };
    let mut script = Script(script);
    for _ in 0..most {
        if script.0.is_empty() {
            break;
        }
        run.step(&mut script);
    }
    // They stay where they are, whatever came between.
    assert_eq!(run.addresses, addresses());
    for handle in run.handles {
        assert_eq!(abi::eu_close(handle), OK);
    }
}
