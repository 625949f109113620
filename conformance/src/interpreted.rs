//! The back end that asks the module in an interpreter, wasmi: another runtime, and the module's
//! whole unpacker, digests and superblock included, where the sandbox takes its decoders alone.
//! It is bound as `host-wasm/ABI.md` says, with nothing of the sandbox's code.

use std::io;
use std::path::Path;

use serde_json::{Map, Value as Json, json};
use wasmi::{
    Caller, Config, Engine, Extern, Instance, Linker, Memory, Module, Store, WasmParams,
    WasmResults,
};

use crate::manifest::{Case, CheckInput, Level, Operation, Place, Policy, Refusal};
use crate::manifest::{Limits, UnpackInput};
use crate::native::convert;
use crate::run::{Answer, Backend};

const UNPACKER: u32 = 1;
const DECODER: u32 = 2;
const CHECK: u32 = 3;

const REFUSED: i32 = -1;
const VALUE: i32 = -6;
const NEED_OUTPUT: u32 = 2;

/// A module for the interpreter.
#[derive(Debug)]
pub struct Interpreted {
    module: Module,
    version: String,
}

impl Interpreted {
    /// Translates the module in a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let wasm = std::fs::read(path)?;
        let engine = Engine::new(&Config::default());
        let module = Module::new(&engine, &wasm).map_err(io::Error::other)?;
        let mut opened = Self {
            module,
            version: String::new(),
        };
        let mut guest = opened.guest(Vec::new())?;
        let handle = guest.open(DECODER)?;
        opened.version = guest.text(handle, 4)?;
        Ok(opened)
    }

    /// The module's version and decoders.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    fn guest(&self, image: Vec<u8>) -> io::Result<Guest> {
        Guest::new(&self.module, image).map_err(io::Error::other)
    }

    fn unpack(&self, input: &UnpackInput, folder: &Path) -> io::Result<Answer> {
        input.blob.verify(folder)?;
        // A document's, which is read outside.
        let annotations = match convert::annotations(&input.annotations) {
            Ok(annotations) => annotations,
            Err(error) => {
                return Ok(Answer::Invalid(convert::refusal(&error), Map::new()));
            }
        };
        let is_device = annotations.role == Some(erofs_unpack_core::oci::Role::Device);
        let mut numbers = limits(&input.limits);
        numbers.extend([(3, input.size), (4, input.devices.map(u64::from))]);
        if let Some(offset) = annotations.dmverity_hash_offset {
            let digest = annotations.dmverity_root_digest;
            let digest = digest.map_or(32, |root| root.as_bytes().len() as u64);
            numbers.extend([
                (5, Some(offset)),
                (6, Some(annotations.dmverity_block_size())),
                (7, Some(digest)),
            ]);
        }
        let index = annotations.chunk_index_range;
        numbers.push((8, index.map(|range| range.offset)));
        let root = annotations
            .dmverity_root_digest
            .map(|root| root.to_string());
        let mut salt = None;
        // A salt that is known only at the end takes a second way through.
        for way in 0..2 {
            let texts = [
                (if is_device { 2 } else { 1 }, Some(&input.media_type)),
                (3, input.digest.as_ref()),
                (4, input.diff_id.as_ref()),
                (6, root.as_ref()),
                (7, salt.as_ref()),
            ];
            let mut guest = self.guest(Vec::new())?;
            let handle = guest.open(UNPACKER)?;
            let pushed = guest
                .settings(handle, &texts, &numbers)
                .and_then(|()| guest.push_all(handle, input.blob.open(folder)?));
            match pushed {
                Ok(()) if way == 0 && root.is_some() && guest.number(handle, 7)? == 2 => {
                    numbers.push((10, Some(guest.number(handle, 8)?)));
                    salt = Some(guest.text(handle, 5)?);
                }
                Ok(()) => return Ok(Answer::Valid(guest.outcome(handle)?)),
                Err(Stop::Refused) => {
                    return Ok(Answer::Invalid(guest.error(handle)?, Map::new()));
                }
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        Err(io::Error::other("the salt is another each time"))
    }

    fn check(&self, input: &CheckInput, folder: &Path) -> io::Result<Answer> {
        let mut numbers = limits(&input.limits);
        let image = input.image.read(folder)?;
        let level = match input.level {
            Level::Superblock => 0,
            Level::Metadata => 1,
            Level::Full => 2,
        };
        let policy = match input.policy {
            Policy::Any => 0,
            Policy::Containerd => 1,
            Policy::Strict => 2,
        };
        numbers.extend([
            (16, Some(image.len() as u64)),
            (17, Some(level)),
            (18, Some(policy)),
            (19, Some(input.devices.into())),
            (26, input.kernel.as_deref().and_then(release)),
        ]);
        let mut guest = self.guest(image)?;
        let handle = guest.open(CHECK)?;
        let allowed: Vec<_> = input.allow.iter().map(|id| (5, Some(id))).collect();
        let checked = guest
            .settings(handle, &allowed, &numbers)
            .and_then(|()| guest.call_status("eu_check", handle));
        let (mut said, first) = guest.findings(handle)?;
        match checked {
            Ok(_) => {}
            Err(Stop::Refused) => return Ok(Answer::Invalid(guest.error(handle)?, said)),
            Err(Stop::Failed(error)) => return Err(error),
        }
        for (name, key) in [("inodes", 19), ("directories", 20)] {
            said.insert(name.into(), json!(guest.number(handle, key)?));
        }
        Ok(match first {
            Some(error) => Answer::Invalid(error, said),
            None => Answer::Valid(said),
        })
    }
}

impl Backend for Interpreted {
    fn name(&self) -> String {
        format!("wasmi, {}", self.version)
    }

    fn run(&self, case: &Case, folder: &Path) -> io::Result<Answer> {
        match &case.operation {
            Operation::Unpack(input) => self.unpack(input, folder),
            Operation::Check(input) => self.check(input, folder),
            _ => Ok(Answer::Unable(
                "documents are read outside of the module".into(),
            )),
        }
    }
}

/// The keys of the limits that a case sets.
fn limits(set: &Limits) -> Vec<(u32, Option<u64>)> {
    vec![
        (32, set.blob_size),
        (33, set.image_size),
        (34, set.zstd_window),
        (35, set.frames),
        (36, set.skippable_size),
        (37, set.expansion_ratio),
        (38, set.inodes),
        (39, set.directory_entries),
        (40, set.directory_depth.map(u64::from)),
        (41, set.symlink_length.map(u64::from)),
        (42, set.check_memory),
        (43, set.check_work),
    ]
}

/// Why it does not go on.
enum Stop {
    /// The layer or image is refused; the handle has the error.
    Refused,
    /// The module does not do what it should.
    Failed(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// One instance, with the image that it reads.
struct Guest {
    store: Store<Vec<u8>>,
    instance: Instance,
    memory: Memory,
}

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
    fn new(module: &Module, image: Vec<u8>) -> Result<Self, wasmi::Error> {
        let mut linker = Linker::new(module.engine());
        linker.func_wrap("erofs_unpack", "read_at", read_at)?;
        let mut store = Store::new(module.engine(), image);
        let instance = linker.instantiate_and_start(&mut store, module)?;
        let memory = instance
            .get_memory(&store, "memory")
            .ok_or_else(|| wasmi::Error::new("the module has no memory"))?;
        Ok(Self {
            store,
            instance,
            memory,
        })
    }

    fn call<P: WasmParams, R: WasmResults>(&mut self, name: &str, arguments: P) -> io::Result<R> {
        let entry = self.instance.get_typed_func::<P, R>(&self.store, name);
        let result = entry.and_then(|entry| entry.call(&mut self.store, arguments));
        result.map_err(|error| io::Error::other(format!("{name}: {error}")))
    }

    /// A call that returns a status.
    fn call_status<P: WasmParams>(&mut self, name: &str, arguments: P) -> Result<u32, Stop> {
        match self.call::<P, i32>(name, arguments)? {
            REFUSED => Err(Stop::Refused),
            status => u32::try_from(status)
                .map_err(|_| Stop::Failed(io::Error::other(format!("{name}: status {status}")))),
        }
    }

    /// A call that cannot refuse anything.
    fn expect_status<P: WasmParams>(&mut self, name: &str, arguments: P) -> io::Result<u32> {
        match self.call_status(name, arguments) {
            Ok(status) => Ok(status),
            Err(Stop::Refused) => Err(io::Error::other(format!("{name}: refused"))),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    fn open(&mut self, sort: u32) -> io::Result<i32> {
        self.call("eu_open", sort)
    }

    fn answer(&mut self, length: u32) -> io::Result<Vec<u8>> {
        let start: u32 = self.call("eu_answer_address", ())?;
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        let start = usize::try_from(start).map_err(io::Error::other)?;
        let read = self.memory.read(&self.store, start, &mut bytes);
        read.map_err(io::Error::other)?;
        Ok(bytes)
    }

    /// Puts bytes into the input buffer.
    fn put(&mut self, bytes: &[u8]) -> io::Result<u32> {
        let start: u32 = self.call("eu_input_address", ())?;
        let start = usize::try_from(start).map_err(io::Error::other)?;
        let written = self.memory.write(&mut self.store, start, bytes);
        written.map_err(io::Error::other)?;
        u32::try_from(bytes.len()).map_err(io::Error::other)
    }

    fn text(&mut self, handle: i32, key: u32) -> io::Result<String> {
        let length = self.expect_status("eu_get_text", (handle, key))?;
        String::from_utf8(self.answer(length)?).map_err(io::Error::other)
    }

    fn number(&mut self, handle: i32, key: u32) -> io::Result<u64> {
        self.expect_status("eu_get", (handle, key))?;
        self.call("eu_value", ())
    }

    fn settings(
        &mut self,
        handle: i32,
        texts: &[(u32, Option<&String>)],
        numbers: &[(u32, Option<u64>)],
    ) -> Result<(), Stop> {
        for (key, text) in texts {
            if let Some(text) = text {
                let length = self.put(text.as_bytes())?;
                self.call_status("eu_set_text", (handle, *key, length))?;
            }
        }
        for (key, number) in numbers {
            if let Some(number) = number {
                self.call_status("eu_set", (handle, *key, *number))?;
            }
        }
        self.call_status("eu_start", handle)?;
        Ok(())
    }

    /// Pushes a blob through. What comes out is not kept.
    fn push_all(&mut self, handle: i32, mut blob: impl io::Read) -> Result<(), Stop> {
        let mut piece = vec![0; 64 << 10];
        loop {
            let read = blob.read(&mut piece)?;
            let length = self.put(piece.get(..read).unwrap_or_default())?;
            let mut start = 0;
            loop {
                let left = length.saturating_sub(start);
                let status = self.call_status("eu_push", (handle, start, left))?;
                start = start.saturating_add(self.call("eu_consumed", ())?);
                if start >= length && status != NEED_OUTPUT {
                    break;
                }
            }
            if read == 0 {
                self.call_status("eu_finish", handle)?;
                return Ok(());
            }
        }
    }

    /// What it says of a layer that has passed.
    fn outcome(&mut self, handle: i32) -> io::Result<Map<String, Json>> {
        let mut superblock = Map::new();
        let names = ["blockSize", "blocks", "inodes", "rootNid"];
        for (name, key) in names.into_iter().zip(3..) {
            // What does not begin with a superblock has no number of that.
            if self.call::<_, i32>("eu_get", (handle, key))? != VALUE {
                let number = self.number(handle, key)?;
                superblock.insert(name.into(), json!(number));
            }
        }
        let superblock = if superblock.is_empty() {
            Json::Null
        } else {
            Json::Object(superblock)
        };
        Ok(Map::from_iter([
            ("blobDigest".into(), json!(self.text(handle, 2)?)),
            ("blobSize".into(), json!(self.number(handle, 1)?)),
            ("diffId".into(), json!(self.text(handle, 3)?)),
            ("imageSize".into(), json!(self.number(handle, 2)?)),
            ("superblock".into(), superblock),
        ]))
    }

    /// The rules that are broken, and the first error.
    fn findings(&mut self, handle: i32) -> io::Result<(Map<String, Json>, Option<Refusal>)> {
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        let mut first = None;
        let count = self.number(handle, 16)?;
        for index in 0..u32::try_from(count).map_err(io::Error::other)? {
            let length = self.expect_status("eu_finding", (handle, index))?;
            let record = self.answer(length)?;
            let refusal = refusal(&record)?;
            if record.get(232) == Some(&2) {
                errors.push(refusal.id.clone());
                first.get_or_insert(refusal);
            } else {
                warnings.push(refusal.id);
            }
        }
        for ids in [&mut errors, &mut warnings] {
            ids.sort_unstable();
            ids.dedup();
        }
        let said = Map::from_iter([
            ("errors".into(), json!(errors)),
            ("warnings".into(), json!(warnings)),
        ]);
        Ok((said, first))
    }

    fn error(&mut self, handle: i32) -> io::Result<Refusal> {
        let length = self.expect_status("eu_error", handle)?;
        refusal(&self.answer(length)?)
    }
}

/// The error that a record tells.
fn refusal(record: &[u8]) -> io::Result<Refusal> {
    const KINDS: [&str; 8] = [
        "",
        "truncated",
        "malformed",
        "unsupported",
        "limit",
        "mismatch",
        "memory",
        "usage",
    ];
    let read = || {
        let byte = |at: usize| record.get(at).copied().map(usize::from);
        let number = |at: usize| {
            let bytes = record.get(at..at.checked_add(8)?)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let (first, second) = (number(8)?, number(16)?);
        let id = record.get(40..byte(2)?.checked_add(40)?)?;
        Some(Refusal {
            id: String::from_utf8(id.to_vec()).ok()?,
            kind: (*KINDS.get(byte(0)?)?).into(),
            at: match byte(1)? {
                0 => None,
                1 => Some(Place::Blob(first)),
                2 => Some(Place::Image(first)),
                3 => Some(Place::Text(first)),
                4 => Some(Place::Json(first)),
                5 => Some(Place::Nid(first)),
                6 => Some(Place::File(first, second)),
                7 => Some(Place::Layer(first)),
                _ => return None,
            },
        })
    };
    read().ok_or_else(|| io::Error::other("a record that tells nothing"))
}

/// A release of Linux, as the module takes it.
fn release(text: &str) -> Option<u64> {
    let (major, minor) = text.split_once('.')?;
    let number = |digits: &str| digits.parse::<u16>().ok().map(u64::from);
    Some(number(major)? << 16 | number(minor)?)
}
