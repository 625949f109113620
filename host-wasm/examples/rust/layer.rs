//! Says what a layer is, verifies it and lists its files, or writes one of them to stdout:
//!
//! ```text
//! layer MODULE LAYER [PATH]
//! ```
//!
//! MODULE is `erofs_unpack.wasm`, which `host-wasm/build` makes; `host-wasm/ABI.md` says what the
//! calls mean. It runs in wasmi, an interpreter, which can do without std. Exit code 1: the layer
//! is refused.
#![allow(
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    reason = "this is a program"
)]

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use wasmi::{
    Caller, Config, Engine, Extern, Instance, Linker, Memory, Module, Store, WasmParams,
    WasmResults,
};

const UNPACKER: u32 = 1;
const CHECK: u32 = 3;
const READER: u32 = 4;
const COMPRESSIONS: [&str; 3] = ["none", "gzip", "zstd"];
const TYPES: [&str; 8] = [
    "",
    "file",
    "directory",
    "character device",
    "block device",
    "pipe",
    "socket",
    "link",
];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The layer or image is refused, for this reason.
#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Refused {}

/// One instance of the module, with the image that it may read. Take a new one for each layer.
struct Guest {
    store: Store<Vec<u8>>,
    instance: Instance,
    memory: Memory,
}

/// The import: the guest reads from the image.
fn read_at(mut caller: Caller<'_, Vec<u8>>, offset: u64, address: u32, length: u32) -> i32 {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        return 1;
    };
    let (memory, image) = memory.data_and_store_mut(&mut caller);
    let range = |start: u64| {
        let start = usize::try_from(start).ok()?;
        Some(start..start.checked_add(usize::try_from(length).ok()?)?)
    };
    let from = range(offset).and_then(|range| image.get(range));
    let to = range(address.into()).and_then(|range| memory.get_mut(range));
    match (from, to) {
        (Some(from), Some(to)) => {
            to.copy_from_slice(from);
            0
        }
        _ => 1,
    }
}

impl Guest {
    fn load(wasm: &[u8]) -> Result<Self> {
        let engine = Engine::new(&Config::default());
        let module = Module::new(&engine, wasm)?;
        let mut linker = Linker::new(&engine);
        linker.func_wrap("erofs_unpack", "read_at", read_at)?;
        let mut store = Store::new(&engine, Vec::new());
        let instance = linker.instantiate_and_start(&mut store, &module)?;
        let memory = instance
            .get_memory(&store, "memory")
            .ok_or("the module has no memory")?;
        let mut guest = Self {
            store,
            instance,
            memory,
        };
        if guest.call::<_, i32>("eu_version", ())? != 1 {
            return Err("another version of the interface".into());
        }
        Ok(guest)
    }

    fn call<P: WasmParams, R: WasmResults>(&mut self, name: &str, arguments: P) -> Result<R> {
        let entry = self.instance.get_typed_func::<P, R>(&self.store, name)?;
        Ok(entry.call(&mut self.store, arguments)?)
    }

    /// Bytes of a buffer of the guest.
    fn buffer(&mut self, address: &str, length: u32) -> Result<Vec<u8>> {
        let start: u32 = self.call(address, ())?;
        let mut bytes = vec![0; usize::try_from(length)?];
        self.memory
            .read(&self.store, usize::try_from(start)?, &mut bytes)?;
        Ok(bytes)
    }

    fn answer(&mut self, length: u32) -> Result<Vec<u8>> {
        self.buffer("eu_answer_address", length)
    }

    fn text(&mut self, length: u32) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.answer(length)?).into_owned())
    }

    /// Puts bytes into the input buffer.
    fn put(&mut self, bytes: &[u8]) -> Result<u32> {
        let length = u32::try_from(bytes.len())?;
        if length > self.call("eu_input_size", ())? {
            return Err("too long".into());
        }
        let start: u32 = self.call("eu_input_address", ())?;
        self.memory
            .write(&mut self.store, usize::try_from(start)?, bytes)?;
        Ok(length)
    }

    /// What a call returned, or what it stands for when it says that something failed.
    fn ok(&mut self, handle: i32, status: i32) -> Result<u32> {
        match u32::try_from(status) {
            Ok(length) => Ok(length),
            Err(_) if status == -1 => {
                let length: i32 = self.call("eu_get_text", (handle, 1))?;
                Err(Refused(self.text(u32::try_from(length)?)?).into())
            }
            Err(_) => Err(format!("status {status}").into()),
        }
    }

    fn asked<P: WasmParams>(&mut self, handle: i32, name: &str, arguments: P) -> Result<u32> {
        let status = self.call(name, arguments)?;
        self.ok(handle, status)
    }

    fn number(&mut self, handle: i32, key: u32) -> Result<u64> {
        self.asked(handle, "eu_get", (handle, key))?;
        self.call("eu_value", ())
    }

    /// Unpacks a layer; gives its digest and diffID. The image stays with the guest's host.
    fn unpack(&mut self, layer: &Path, compression: u64) -> Result<[String; 2]> {
        let handle: i32 = self.call("eu_open", UNPACKER)?;
        self.asked(handle, "eu_set", (handle, 1, compression))?;
        self.asked(handle, "eu_start", handle)?;
        let mut file = File::open(layer)?;
        let size: u32 = self.call("eu_input_size", ())?;
        let mut piece = vec![0; usize::try_from(size)?];
        loop {
            let read = file.read(&mut piece)?;
            if read == 0 {
                break;
            }
            let length = self.put(&piece[..read])?;
            let mut start = 0;
            loop {
                let status = self.asked(handle, "eu_push", (handle, start, length - start))?;
                start += self.call::<_, u32>("eu_consumed", ())?;
                let produced = self.call("eu_produced", ())?;
                let output = self.buffer("eu_output_address", produced)?;
                self.store.data_mut().extend(output);
                if start == length && status != 2 {
                    break;
                }
            }
        }
        self.asked(handle, "eu_finish", handle)?;
        let mut digests = [String::new(), String::new()];
        for (key, digest) in [2, 3].into_iter().zip(&mut digests) {
            let length = self.asked(handle, "eu_get_text", (handle, key))?;
            *digest = self.text(length)?;
        }
        Ok(digests)
    }

    /// Opens a handle that looks at the image.
    fn on_image(&mut self, sort: u32) -> Result<i32> {
        let handle = self.call("eu_open", sort)?;
        let size = u64::try_from(self.store.data().len())?;
        self.asked(handle, "eu_set", (handle, 16, size))?;
        self.asked(handle, "eu_start", handle)?;
        Ok(handle)
    }

    /// Checks the image; whether it passed. Findings go to stderr.
    fn check(&mut self) -> Result<bool> {
        let handle = self.on_image(CHECK)?;
        let passed = self.asked(handle, "eu_check", handle)? == 0;
        for index in 0..u32::try_from(self.number(handle, 16)?)? {
            let length = self.asked(handle, "eu_finding_text", (handle, index))?;
            eprintln!("{}", self.text(length)?);
        }
        Ok(passed)
    }

    /// Prints what lies below a directory.
    fn walk(&mut self, handle: i32, nid: u64, path: &str, out: &mut impl io::Write) -> Result<()> {
        let mut place: u64 = 0;
        loop {
            let length = self.asked(handle, "eu_list", (handle, nid, place))?;
            place = self.call("eu_value", ())?;
            let entries = self.answer(length)?;
            let mut rest = &entries[..];
            while let Some((nid, after)) = rest.split_first_chunk() {
                let nid = u64::from_le_bytes(*nid);
                let (kind, length) = (usize::from(after[0]), usize::from(after[1]));
                let name = String::from_utf8_lossy(&after[2..2 + length]).into_owned();
                rest = &after[2 + length..];
                let path = format!("{path}/{name}");
                let mut shown = path.clone();
                if TYPES[kind] == "link" {
                    let length = self.asked(handle, "eu_link", (handle, nid))?;
                    shown = format!("{path} -> {}", self.text(length)?);
                }
                writeln!(out, "{:9} {}", TYPES[kind], escaped(&shown))?;
                if TYPES[kind] == "directory" {
                    self.walk(handle, nid, &path, out)?;
                }
            }
            if place == 0 {
                return Ok(());
            }
        }
    }

    /// Writes the content of a regular file.
    fn cat(&mut self, handle: i32, nid: u64, out: &mut impl io::Write) -> Result<()> {
        let mut offset: u64 = 0;
        let size: u32 = self.call("eu_output_size", ())?;
        loop {
            let length = self.asked(handle, "eu_read", (handle, nid, offset, size))?;
            if length == 0 {
                return Ok(());
            }
            out.write_all(&self.buffer("eu_output_address", length)?)?;
            offset += u64::from(length);
        }
    }
}

/// How a layer looks to be compressed. The module has the last word.
fn compression(head: &[u8]) -> u64 {
    match head {
        [0x1f, 0x8b, ..] => 1,
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => 2,
        _ => 0,
    }
}

/// Names come from strangers: no control character reaches the terminal.
fn escaped(name: &str) -> String {
    let escape = |sign: char| match sign {
        '\\' => "\\x5c".to_owned(),
        _ if sign.is_control() => format!("\\x{:02x}", u32::from(sign)),
        _ => sign.to_string(),
    };
    name.chars().map(escape).collect()
}

fn run(wasm: &Path, layer: &Path, path: Option<&str>) -> Result<bool> {
    let mut guest = Guest::load(&fs::read(wasm)?)?;
    let mut head = Vec::new();
    File::open(layer)?.take(4).read_to_end(&mut head)?;
    let compression = compression(&head);
    let [digest, diff_id] = guest.unpack(layer, compression)?;
    if !guest.check()? {
        return Ok(false);
    }
    let reader = guest.on_image(READER)?;
    let mut out = io::stdout().lock();
    if let Some(path) = path {
        let length = guest.put(path.as_bytes())?;
        if guest.call::<_, i32>("eu_find", (reader, length))? != 0 {
            return Err(format!("{path}: no such file in the image").into());
        }
        let nid = guest.call("eu_value", ())?;
        guest.cat(reader, nid, &mut out)?;
        return Ok(true);
    }
    let size = guest.store.data().len();
    let inodes = guest.number(reader, 5)?;
    writeln!(
        out,
        "compression: {}",
        COMPRESSIONS[usize::try_from(compression)?]
    )?;
    writeln!(out, "digest: {digest}\ndiffID: {diff_id}")?;
    writeln!(out, "image: {size} bytes, {inodes} inodes")?;
    let root = guest.number(reader, 6)?;
    guest.walk(reader, root, "", &mut out)?;
    Ok(true)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [wasm, layer, path @ ..] = &arguments[..] else {
        eprintln!("usage: layer MODULE LAYER [PATH]");
        return ExitCode::from(2);
    };
    match run(
        wasm.as_ref(),
        layer.as_ref(),
        path.first().map(String::as_str),
    ) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{layer}: {error}");
            ExitCode::from(if error.is::<Refused>() { 1 } else { 3 })
        }
    }
}
