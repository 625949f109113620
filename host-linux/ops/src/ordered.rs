//! Work on several threads whose results are taken in the order in which it was given.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Most threads of one piece of work.
const THREADS_MAX: usize = 256;

/// What came of a job: its number, and its result or what its thread panicked with.
type Ended<R> = (u64, Result<R, Box<dyn Any + Send>>);

/// Jobs on their way. How many there may be at a time is bounded, and so is the memory that they
/// hold, however unevenly they end.
#[derive(Debug)]
pub(crate) struct Ordered<J, R> {
    jobs: Sender<(u64, J)>,
    ended: Receiver<Ended<R>>,
    /// Those that ended before their turn.
    waiting: BTreeMap<u64, R>,
    given: u64,
    taken: u64,
    limit: u64,
}

impl<J, R> Ordered<J, R> {
    /// Whether a result has to be taken before the next job is given.
    pub(crate) const fn is_full(&self) -> bool {
        self.given.saturating_sub(self.taken) >= self.limit
    }

    /// Gives the next job.
    pub(crate) fn give(&mut self, job: J) {
        // The threads end after this, not before.
        let _ = self.jobs.send((self.given, job));
        self.given = self.given.saturating_add(1);
    }

    /// Takes the next result, and waits for it; `None` when all are taken.
    pub(crate) fn take(&mut self) -> Option<R> {
        if self.given == self.taken {
            return None;
        }
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

/// Starts `threads` threads, each of which does jobs with a worker of its own, and gives `body` the
/// way to them. At most `limit` jobs are on their way.
///
/// # Errors
///
/// What the system says when it gives no thread at all; with fewer than asked for it only takes
/// longer.
pub(crate) fn ordered<J: Send, R: Send, W: FnMut(J) -> R, T>(
    threads: usize,
    limit: usize,
    worker: impl Fn() -> W + Sync,
    body: impl FnOnce(&mut Ordered<J, R>) -> T,
) -> io::Result<T> {
    let (jobs, next) = channel::<(u64, J)>();
    let (end, ended) = channel();
    let next = Mutex::new(next);
    let run = |end: Sender<Ended<R>>| {
        let mut work = worker();
        loop {
            let job = next.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((number, job)) = job else {
                return;
            };
            // Who waits for the result is told of a panic, or would wait for ever.
            let result = catch_unwind(AssertUnwindSafe(|| work(job)));
            if end.send((number, result)).is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        let mut started = 0;
        for _ in 0..threads.clamp(1, THREADS_MAX) {
            let end = end.clone();
            match thread::Builder::new().spawn_scoped(scope, || run(end)) {
                Ok(_) => started += 1,
                Err(error) if started == 0 => return Err(error),
                Err(_) => break,
            }
        }
        drop(end);
        let mut ordered = Ordered {
            jobs,
            ended,
            waiting: BTreeMap::new(),
            given: 0,
            taken: 0,
            limit: limit.max(1) as u64,
        };
        Ok(body(&mut ordered))
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
            let results = ordered(threads, 2 * threads, worker, |ordered| {
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
            ordered(2, 4, worker, |ordered| {
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
        let first = ordered(3, 6, worker, |ordered| {
            (0..6).for_each(|number| ordered.give(number));
            ordered.take()
        });
        assert_eq!(first.unwrap(), Some(0));
    }
}
