//! Work on several threads whose results are taken in the order in which it was given.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Most threads of one piece of work.
const THREADS_MAX: usize = 256;

/// What came of a job: its number, and its result or what its thread panicked with.
type Ended<R> = (u64, Result<R, Box<dyn Any + Send>>);

/// Gives jobs, from any thread.
#[derive(Debug)]
pub(crate) struct Giver<J> {
    jobs: Sender<(u64, J)>,
    given: u64,
    gone: Arc<AtomicBool>,
}

/// Takes their results, in the order of the jobs. Without it nothing more is done.
#[derive(Debug)]
pub(crate) struct Taker<R> {
    ended: Receiver<Ended<R>>,
    /// Those that ended before their turn.
    waiting: BTreeMap<u64, R>,
    taken: u64,
    gone: Arc<AtomicBool>,
}

impl<J> Giver<J> {
    /// Gives the next job, and says whether somebody still takes results.
    pub(crate) fn give(&mut self, job: J) -> bool {
        // The threads end after this, not before.
        let _ = self.jobs.send((self.given, job));
        self.given = self.given.saturating_add(1);
        !self.gone.load(Ordering::Relaxed)
    }
}

impl<R> Taker<R> {
    /// Takes the next result, and waits for it; `None` when all are taken and there is no giver any
    /// more.
    pub(crate) fn take(&mut self) -> Option<R> {
        loop {
            if let Some(result) = self.waiting.remove(&self.taken) {
                self.taken = self.taken.saturating_add(1);
                return Some(result);
            }
            let (number, result) = self.ended.recv().ok()?;
            let result = result.unwrap_or_else(|panic| resume_unwind(panic));
            self.waiting.insert(number, result);
        }
    }
}

impl<R> Drop for Taker<R> {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

/// Jobs on their way, of one thread that gives them and takes their results. How many there may be at a
/// time is bounded, and so is the memory that they hold, however unevenly they end.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(crate) struct Ordered<J, R> {
    giver: Giver<J>,
    taker: Taker<R>,
    limit: u64,
}

#[cfg(target_os = "linux")]
impl<J, R> Ordered<J, R> {
    /// At most so many jobs are on their way.
    pub(crate) fn new(giver: Giver<J>, taker: Taker<R>, limit: usize) -> Self {
        Self {
            giver,
            taker,
            limit: limit.max(1) as u64,
        }
    }

    const fn under_way(&self) -> u64 {
        self.giver.given.saturating_sub(self.taker.taken)
    }

    /// Whether a result has to be taken before the next job is given.
    pub(crate) const fn is_full(&self) -> bool {
        self.under_way() >= self.limit
    }

    /// Gives the next job.
    pub(crate) fn give(&mut self, job: J) {
        // It takes results itself.
        let _ = self.giver.give(job);
    }

    /// Takes the next result, and waits for it; `None` when all are taken.
    pub(crate) fn take(&mut self) -> Option<R> {
        if self.under_way() == 0 {
            return None;
        }
        self.taker.take()
    }
}

/// Starts `threads` threads, each of which does jobs with a worker of its own, and gives `body` both
/// ends of the way to them.
///
/// # Errors
///
/// What the system says when it gives no thread at all; with fewer than asked for it only takes
/// longer.
pub(crate) fn ordered<J: Send, R: Send, W: FnMut(J) -> R, T>(
    threads: usize,
    worker: impl Fn() -> W + Sync,
    body: impl FnOnce(Giver<J>, Taker<R>) -> T,
) -> io::Result<T> {
    let (jobs, next) = channel::<(u64, J)>();
    let (end, ended) = channel();
    let next = Mutex::new(next);
    let gone = Arc::new(AtomicBool::new(false));
    let nobody = Arc::clone(&gone);
    let run = |end: Sender<Ended<R>>| {
        let mut work = worker();
        loop {
            let job = next.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((number, job)) = job else {
                return;
            };
            if nobody.load(Ordering::Relaxed) {
                // What it holds may be waited for by who gives the next.
                continue;
            }
            // Who waits for the result is told of a panic, or would wait for ever.
            let result = catch_unwind(AssertUnwindSafe(|| work(job)));
            let _ = end.send((number, result));
        }
    };
    thread::scope(|scope| {
        let run = &run;
        let mut started = 0;
        for _ in 0..threads.clamp(1, THREADS_MAX) {
            let end = end.clone();
            match thread::Builder::new().spawn_scoped(scope, move || run(end)) {
                Ok(_) => started += 1,
                Err(error) if started == 0 => return Err(error),
                Err(_) => break,
            }
        }
        drop(end);
        let giver = Giver {
            jobs,
            given: 0,
            gone: Arc::clone(&gone),
        };
        let taker = Taker {
            ended,
            waiting: BTreeMap::new(),
            taken: 0,
            gone,
        };
        Ok(body(giver, taker))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn results_come_in_order() {
        for threads in [1, 2, 5] {
            let worker = || {
                |number: u64| {
                    thread::sleep(Duration::from_micros((number * 7919) % 300));
                    number * number
                }
            };
            let results = ordered(threads, worker, |giver, taker| {
                let mut ordered = Ordered::new(giver, taker, 2 * threads);
                let mut results = Vec::new();
                for number in 0..200 {
                    if ordered.is_full() {
                        results.extend(ordered.take());
                    }
                    ordered.give(number);
                }
                while let Some(result) = ordered.take() {
                    results.push(result);
                }
                results
            });
            let expected: Vec<u64> = (0..200).map(|number| number * number).collect();
            assert_eq!(results.unwrap(), expected);
        }
    }

    #[test]
    fn a_panic_reaches_who_waits() {
        let worker = || |number: u64| assert_ne!(number, 3, "the fourth");
        let run = || {
            ordered(2, worker, |giver, taker| {
                let mut ordered = Ordered::new(giver, taker, 4);
                (0..8).for_each(|number| ordered.give(number));
                while ordered.take().is_some() {}
            })
        };
        let panic = catch_unwind(run).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains("the fourth"), "{message}");
    }

    #[test]
    fn what_is_left_is_not_waited_for() {
        let worker = || |number: u64| number;
        let first = ordered(3, worker, |giver, taker| {
            let mut ordered = Ordered::new(giver, taker, 6);
            (0..6).for_each(|number| ordered.give(number));
            ordered.take()
        });
        assert_eq!(first.unwrap(), Some(0));
    }

    #[test]
    fn another_thread_may_give() {
        for threads in [1, 4] {
            let worker = || |number: u64| number * 3;
            let sums = ordered(threads, worker, |mut giver, mut taker| {
                thread::scope(|scope| {
                    scope.spawn(move || (0..100).all(|number| giver.give(number)));
                    let mut results = Vec::new();
                    while let Some(result) = taker.take() {
                        results.push(result);
                    }
                    results
                })
            });
            let expected: Vec<u64> = (0..100).map(|number| number * 3).collect();
            assert_eq!(sums.unwrap(), expected);
        }
    }

    #[test]
    fn whoever_gives_learns_that_nobody_takes() {
        let worker = || |number: u64| number;
        let given = ordered(2, worker, |mut giver, taker| {
            drop(taker);
            (0..1_000_000)
                .take_while(|number| giver.give(*number))
                .count()
        });
        assert_eq!(given.unwrap(), 0);
    }
}
