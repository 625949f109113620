//! The clock of the deadlines: a thread that runs while guests do, and either counts up an
//! engine's epoch, or looks at each guest's call itself.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use erofs_unpack_core::{At, Code, Error, Value};
use wasmtime::Engine;

use crate::load::Late;

/// How far apart the ticks are: a deadline is met, and a cancel heard, this late at most.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// What is done at each tick.
pub(crate) enum Beat {
    /// The guests are told, and look for themselves.
    Epoch(Engine),
    /// This is called when a guest's call has taken too long.
    Watch(Late),
}

/// The call of a guest that does not look at the clock.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Ticks that are left to it; 0 when it is not on its way.
    left: AtomicU64,
    /// What it was given, in milliseconds.
    given: AtomicU64,
    late: AtomicBool,
}

impl Watched {
    /// A call begins, and may take so long.
    pub(crate) fn arm(&self, ticks: u64, time: Duration) {
        let given = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.given.store(given, Ordering::Relaxed);
        self.left.store(ticks, Ordering::Release);
    }

    /// It has come back, or has called the host; gives what was left to it.
    pub(crate) fn pause(&self) -> u64 {
        self.left.swap(0, Ordering::AcqRel)
    }

    /// It goes on.
    pub(crate) fn resume(&self, left: u64) {
        self.left.store(left, Ordering::Release);
    }

    /// Whether a call has taken too long.
    pub(crate) fn is_late(&self) -> bool {
        self.late.load(Ordering::Acquire)
    }

    fn tick(&self, late: &Late) {
        let less = |left: u64| left.checked_sub(1);
        let before = self
            .left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        if before == Ok(1) {
            self.late.store(true, Ordering::Release);
            let limit = Value::AtMost(self.given.load(Ordering::Relaxed));
            (late.0)(Error::new(Code::GuestTime, At::Whole).expected(limit));
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// Calls that are on their way.
    running: usize,
    watched: Vec<Arc<Watched>>,
    ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Ends its thread when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticker(Arc<Shared>);

/// A call on its way.
pub(crate) struct Running<'a>(&'a Shared);

impl Ticker {
    pub(crate) fn start(beat: Beat) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        thread::Builder::new()
            .name("sandbox clock".into())
            .spawn(move || tick(&own, &beat))?;
        Ok(Self(shared))
    }

    /// Lets the clock run until what is returned is dropped.
    pub(crate) fn run(&self) -> Running<'_> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running += 1;
        if state.running == 1 {
            self.0.changed.notify_one();
        }
        Running(&self.0)
    }

    /// The calls of one more guest. It is forgotten once the guest is.
    pub(crate) fn watch(&self) -> Arc<Watched> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let watched = Arc::default();
        state.watched.retain(|other| Arc::strong_count(other) > 1);
        state.watched.push(Arc::clone(&watched));
        watched
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running = state.running.saturating_sub(1);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended = true;
        self.0.changed.notify_one();
    }
}

/// Ticks while calls are on their way, and sleeps otherwise.
fn tick(shared: &Shared, beat: &Beat) {
    loop {
        let state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |state: &mut State| state.running == 0 && !state.ended;
        let state = shared
            .changed
            .wait_while(state, idle)
            .unwrap_or_else(PoisonError::into_inner);
        if state.ended {
            return;
        }
        let watched = match beat {
            Beat::Epoch(_) => Vec::new(),
            Beat::Watch(_) => state.watched.clone(),
        };
        drop(state);
        thread::sleep(TICK);
        match beat {
            Beat::Epoch(engine) => engine.increment_epoch(),
            Beat::Watch(late) => watched.iter().for_each(|watched| watched.tick(late)),
        }
    }
}
