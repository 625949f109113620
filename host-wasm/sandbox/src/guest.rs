//! One guest: its memory, its time, and its entry points.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use erofs_unpack_core::{At, Code, Error, Value};
use wasmtime::{
    Caller, Instance, Linker, Memory, ResourceLimiter, Store, TypedFunc, UpdateDeadline,
    WasmParams, WasmResults,
};

use crate::check::Source;
use crate::load::Sandbox;
use crate::record;
use crate::ticker::{TICK, Ticker, Watched};

/// The version of the interface that is spoken here.
const VERSION: i32 = 1;
/// The largest buffer that a guest may claim, in bytes.
const LARGEST_BUFFER: u32 = 16 << 20;

/// Statuses of the interface.
pub(crate) mod status {
    pub(crate) const OK: i32 = 0;
    pub(crate) const NEED_INPUT: i32 = 1;
    pub(crate) const NEED_OUTPUT: i32 = 2;
    pub(crate) const NEED_CRC: i32 = 4;
    pub(crate) const FINDINGS: i32 = 3;
    pub(crate) const REFUSED: i32 = -1;
    pub(crate) const RANGE: i32 = -4;
    pub(crate) const SOURCE: i32 = -9;
}

/// Sorts of handles of the interface.
pub(crate) mod sort {
    /// Only decodes. It is the cheapest.
    pub(crate) const DECODER: u32 = 2;
    pub(crate) const CHECK: u32 = 3;
}

/// What a guest gets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Memory beside the zstd window and a quarter of it, or beside the memory of a check, in
    /// bytes. Default 16 MiB.
    pub memory: u64,
    /// Time for one call, which decodes at most some hundred kilobytes. What a check may take
    /// grows with the image besides; waiting for input, or for the image, does not count.
    /// Default 10 s.
    pub time: Duration,
    /// Directory entries that a check may look at to find the paths of its findings. Default
    /// 0: it looks for none.
    pub path_entries: u64,
    /// Ends the work from another thread.
    pub cancel: Cancel,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory: 16 << 20,
            time: Duration::from_secs(10),
            path_entries: 0,
            cancel: Cancel::default(),
        }
    }
}

/// A way to end what a guest does, within some hundredths of a second; where it cannot be ended
/// ([`Interruption::Watchdog`](crate::Interruption::Watchdog)), when its call comes back.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Ends it.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the host keeps of a guest.
pub(crate) struct Host {
    memory: u64,
    /// Whether memory was refused.
    starved: bool,
    time: Duration,
    /// Ticks that are left to the call.
    ticks: u64,
    late: bool,
    /// The same, where the guest does not look at the clock.
    watched: Option<Arc<Watched>>,
    cancel: Cancel,
    pub(crate) source: Option<Box<dyn Source>>,
    /// Where the source's bytes end, those of its devices included.
    pub(crate) end: u64,
    /// What the source said when it failed.
    pub(crate) failed: Option<io::Error>,
    /// Whether the guest asked for what it must know that there is not.
    lied: bool,
}

impl ResourceLimiter for Host {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = desired as u64 <= self.memory;
        self.starved |= !granted;
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // The table of functions that may be called through a pointer.
        Ok(desired <= 1 << 16)
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }
}

/// Gives guests their one import.
pub(crate) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap("erofs_unpack", "read_at", read_at)?;
    Ok(())
}

/// Reads from the image that is checked into the guest's memory; 0 when that worked. The time
/// of that is not the guest's.
fn read_at(mut caller: Caller<'_, Host>, offset: u64, address: u32, length: u32) -> i32 {
    let watched = caller.data().watched.clone();
    let left = watched.as_ref().map(|watched| watched.pause());
    let status = read_for(&mut caller, offset, address, length);
    if let (Some(watched), Some(left)) = (watched, left) {
        watched.resume(left);
    }
    status
}

fn read_for(caller: &mut Caller<'_, Host>, offset: u64, address: u32, length: u32) -> i32 {
    let memory = caller.get_export("memory");
    let Some(memory) = memory.and_then(wasmtime::Extern::into_memory) else {
        return 1;
    };
    let (bytes, host) = memory.data_and_store_mut(caller);
    let room = bytes
        .get_mut(address as usize..)
        .and_then(|rest| rest.get_mut(..length as usize));
    let (Some(room), Some(source)) = (room, &host.source) else {
        host.lied = true;
        return 1;
    };
    let end = offset.checked_add(length.into());
    if end.is_none_or(|end| end > host.end) {
        host.lied = true;
        return 1;
    }
    match source.read_at(offset, room) {
        Ok(()) => 0,
        Err(error) => {
            host.failed = Some(error);
            1
        }
    }
}

/// A buffer of the guest's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    start: usize,
    pub(crate) size: usize,
}

/// One instance of the module.
pub(crate) struct Guest {
    pub(crate) store: Store<Host>,
    ticker: Arc<Ticker>,
    instance: Instance,
    memory: Memory,
    calls: Calls,
    pub(crate) input: Buffer,
    pub(crate) output: Buffer,
    answer: Buffer,
    /// Set once a call has not come back as it must: nothing of this guest is used then.
    broken: Option<Error>,
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest")
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

/// The entry points that every layer needs.
#[derive(Clone)]
pub(crate) struct Calls {
    open: TypedFunc<u32, i32>,
    pub(crate) set: TypedFunc<(i32, u32, u64), i32>,
    pub(crate) start: TypedFunc<i32, i32>,
    pub(crate) push: TypedFunc<(i32, u32, u32), i32>,
    pub(crate) consumed: TypedFunc<(), u32>,
    pub(crate) produced: TypedFunc<(), u32>,
    pub(crate) crc: TypedFunc<(i32, u32), i32>,
    pub(crate) finish: TypedFunc<i32, i32>,
    pub(crate) error: TypedFunc<i32, i32>,
}

impl Guest {
    /// Makes a guest with so much memory.
    pub(crate) fn new(sandbox: &Sandbox, memory: u64, options: &Options) -> Result<Self, Error> {
        let host = Host {
            memory,
            starved: false,
            time: options.time,
            ticks: 0,
            late: false,
            watched: sandbox.watched.then(|| sandbox.ticker.watch()),
            cancel: options.cancel.clone(),
            source: None,
            end: 0,
            failed: None,
            lied: false,
        };
        let mut store = Store::new(sandbox.module.module().engine(), host);
        store.limiter(|host| host);
        if !sandbox.watched {
            look_at_clock(&mut store);
        }
        arm(&mut store, options.time);
        // A module may run code of its own when it is made.
        let running = sandbox.ticker.run();
        let made = sandbox.module.instantiate(&mut store);
        drop(running);
        disarm(&mut store);
        let instance = match made {
            Ok(instance) => instance,
            Err(_) => return Err(broken(store.data())),
        };
        let lied = || Error::new(Code::GuestAnswer, At::Whole);
        let memory = instance.get_memory(&mut store, "memory").ok_or_else(lied)?;
        let calls = Calls {
            open: entry(&instance, &mut store, "eu_open")?,
            set: entry(&instance, &mut store, "eu_set")?,
            start: entry(&instance, &mut store, "eu_start")?,
            push: entry(&instance, &mut store, "eu_push")?,
            consumed: entry(&instance, &mut store, "eu_consumed")?,
            produced: entry(&instance, &mut store, "eu_produced")?,
            crc: entry(&instance, &mut store, "eu_crc")?,
            finish: entry(&instance, &mut store, "eu_finish")?,
            error: entry(&instance, &mut store, "eu_error")?,
        };
        let nowhere = Buffer { start: 0, size: 0 };
        let version = entry(&instance, &mut store, "eu_version")?;
        let mut places = Vec::new();
        for name in [
            "eu_input_address",
            "eu_input_size",
            "eu_output_address",
            "eu_output_size",
            "eu_answer_address",
            "eu_answer_size",
        ] {
            places.push(entry::<(), u32>(&instance, &mut store, name)?);
        }
        let mut guest = Self {
            store,
            ticker: Arc::clone(&sandbox.ticker),
            instance,
            memory,
            calls,
            input: nowhere,
            output: nowhere,
            answer: nowhere,
            broken: None,
        };
        let version: i32 = guest.call(&version, ())?;
        if version != VERSION {
            return Err(guest.lied());
        }
        let mut buffers = [nowhere; 3];
        for (buffer, calls) in buffers.iter_mut().zip(places.chunks_exact(2)) {
            *buffer = guest.buffer(&calls[0], &calls[1])?;
        }
        [guest.input, guest.output, guest.answer] = buffers;
        Ok(guest)
    }

    /// One of the guest's buffers.
    fn buffer(
        &mut self,
        address: &TypedFunc<(), u32>,
        size: &TypedFunc<(), u32>,
    ) -> Result<Buffer, Error> {
        let start = self.call(address, ())?;
        let size = self.call(size, ())?;
        let end = start.checked_add(size);
        let lies_inside = end.is_some_and(|end| end as usize <= self.memory.data_size(&self.store));
        if start == 0 || size == 0 || size > LARGEST_BUFFER || !lies_inside {
            return Err(self.lied());
        }
        Ok(Buffer {
            start: start as usize,
            size: size as usize,
        })
    }

    /// The entry points.
    pub(crate) fn calls(&self) -> Calls {
        self.calls.clone()
    }

    /// Opens a handle of this sort.
    pub(crate) fn open(&mut self, sort: u32) -> Result<i32, Error> {
        let open = self.calls.open.clone();
        match self.call(&open, sort)? {
            handle @ 1.. => Ok(handle),
            _ => Err(self.lied()),
        }
    }

    /// Another entry point.
    pub(crate) fn entry<P: WasmParams, R: WasmResults>(
        &mut self,
        name: &str,
    ) -> Result<TypedFunc<P, R>, Error> {
        let instance = self.instance;
        match entry(&instance, &mut self.store, name) {
            Ok(function) => Ok(function),
            Err(_) => Err(self.lied()),
        }
    }

    /// Calls an entry point.
    pub(crate) fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        function: &TypedFunc<P, R>,
        arguments: P,
    ) -> Result<R, Error> {
        let time = self.store.data().time;
        self.call_for(function, arguments, time)
    }

    /// Calls an entry point, with so much time.
    pub(crate) fn call_for<P: WasmParams, R: WasmResults>(
        &mut self,
        function: &TypedFunc<P, R>,
        arguments: P,
        time: Duration,
    ) -> Result<R, Error> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        if self.store.data().cancel.is_cancelled() {
            return Err(self.fail(Error::new(Code::GuestCancelled, At::Whole)));
        }
        arm(&mut self.store, time);
        let running = self.ticker.run();
        let called = function.call(&mut self.store, arguments);
        drop(running);
        disarm(&mut self.store);
        if self.store.data().lied {
            return Err(self.lied());
        }
        match called {
            Ok(answer) if !self.store.data().late => Ok(answer),
            _ => {
                let error = broken(self.store.data());
                Err(self.fail(error))
            }
        }
    }

    /// The error of an answer that cannot be true. Nothing more is asked of this guest.
    pub(crate) fn lied(&mut self) -> Error {
        self.fail(Error::new(Code::GuestAnswer, At::Whole))
    }

    fn fail(&mut self, error: Error) -> Error {
        *self.broken.get_or_insert(error)
    }

    /// What stands in a buffer. The guest does not run while anybody looks.
    pub(crate) fn view(&self, buffer: Buffer, start: usize, length: usize) -> Option<&[u8]> {
        let bytes = self.memory.data(&self.store);
        let bytes = bytes.get(buffer.start..)?.get(..buffer.size)?;
        bytes.get(start..)?.get(..length)
    }

    /// Puts bytes at the start of the input buffer, as many as it has room for, and gives their
    /// number.
    pub(crate) fn give(&mut self, bytes: &[u8]) -> Result<u32, Error> {
        let Buffer { start, size } = self.input;
        let length = bytes.len().min(size);
        let memory = self.memory.data_mut(&mut self.store);
        let room = memory
            .get_mut(start..)
            .and_then(|rest| rest.get_mut(..length));
        match (room, bytes.get(..length)) {
            (Some(room), Some(bytes)) => room.copy_from_slice(bytes),
            _ => return Err(self.lied()),
        }
        // A buffer has at most `LARGEST_BUFFER` bytes.
        Ok(u32::try_from(length).unwrap_or(0))
    }

    /// The answer buffer's first bytes, as many as a call said.
    pub(crate) fn answer(&mut self, length: i32) -> Result<&[u8], Error> {
        let inside = usize::try_from(length)
            .ok()
            .filter(|length| self.view(self.answer, 0, *length).is_some());
        let Some(length) = inside else {
            return Err(self.lied());
        };
        Ok(self.view(self.answer, 0, length).unwrap_or(&[]))
    }

    /// What a handle was refused for.
    pub(crate) fn error(&mut self, handle: i32) -> Error {
        let told = self.calls.error.clone();
        let length = match self.call(&told, handle) {
            Ok(length) => length,
            Err(error) => return error,
        };
        match self.answer(length).map(record::error) {
            Ok(Some(error)) => error,
            Ok(None) => self.lied(),
            Err(error) => error,
        }
    }

    /// Calls an entry point that returns 0 when it worked.
    pub(crate) fn expect<P: WasmParams>(
        &mut self,
        handle: i32,
        function: &TypedFunc<P, i32>,
        arguments: P,
    ) -> Result<(), Error> {
        match self.call(function, arguments)? {
            status::OK => Ok(()),
            status::REFUSED => Err(self.error(handle)),
            _ => Err(self.lied()),
        }
    }
}

/// Lets the guest look at the clock.
fn look_at_clock(store: &mut Store<Host>) {
    store.epoch_deadline_callback(|mut context| {
        let host = context.data_mut();
        host.ticks = host.ticks.saturating_sub(1);
        host.late = host.ticks == 0;
        Ok(if host.late || host.cancel.is_cancelled() {
            UpdateDeadline::Interrupt
        } else {
            UpdateDeadline::Continue(1)
        })
    });
}

/// Gives the next call its time.
fn arm(store: &mut Store<Host>, time: Duration) {
    let ticks = time.as_nanos().div_ceil(TICK.as_nanos()).max(1);
    // One more, because the first may come at once.
    let ticks = u64::try_from(ticks).unwrap_or(u64::MAX).saturating_add(1);
    match &store.data().watched {
        Some(watched) => watched.arm(ticks, time),
        None => {
            store.data_mut().ticks = ticks;
            store.set_epoch_deadline(1);
        }
    }
}

/// The call has come back.
fn disarm(store: &mut Store<Host>) {
    let host = store.data_mut();
    if let Some(watched) = &host.watched {
        watched.pause();
        host.late |= watched.is_late();
    }
}

/// Why a call did not come back.
fn broken(host: &Host) -> Error {
    if host.cancel.is_cancelled() {
        return Error::new(Code::GuestCancelled, At::Whole);
    }
    if host.late {
        let limit = u64::try_from(host.time.as_millis()).unwrap_or(u64::MAX);
        return Error::new(Code::GuestTime, At::Whole).expected(Value::AtMost(limit));
    }
    if host.starved {
        return Error::new(Code::GuestMemory, At::Whole).expected(Value::AtMost(host.memory));
    }
    Error::new(Code::GuestTrap, At::Whole)
}

/// An entry point of this type.
fn entry<P: WasmParams, R: WasmResults>(
    instance: &Instance,
    store: &mut Store<Host>,
    name: &str,
) -> Result<TypedFunc<P, R>, Error> {
    instance
        .get_typed_func(store, name)
        .map_err(|_| Error::new(Code::GuestAnswer, At::Whole))
}
