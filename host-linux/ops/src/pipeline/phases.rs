//! zstd on several threads: one finds the blocks, some decode the literals and sequences of them,
//! and the stage that decodes makes the content, in order.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use erofs_unpack_core::codec::phases::{Batch, Entropy, Execution, Scan};
use erofs_unpack_core::codec::{Status, Step};
use erofs_unpack_core::unpack::Verdict;
use erofs_unpack_core::{Error, Limits};

use super::chunk::{Chunk, Gone};
use super::decode::{Decoding, End, Fill, good};
use super::window::Window;

/// A batch on its way to a worker, and from there to where its turn is waited for.
struct Job {
    batch: Batch,
    done: SyncSender<Batch>,
}

/// Batches in their order, each as it comes from its worker.
type Turn = Receiver<Batch>;

/// As [`super::decode::decode`], with so many workers.
///
/// # Errors
///
/// The system gave no more threads.
pub(super) fn decode(
    workers: usize,
    limits: &Limits,
    from: Receiver<Arc<Chunk>>,
    to: impl Fn(Arc<Chunk>) -> Result<(), Gone>,
) -> io::Result<Verdict> {
    // Each worker has one in hand and one that waits; one is filled, one executed.
    let count = 2 * workers + 2;
    let (free, empty) = channel();
    for _ in 0..count {
        // The other end is here.
        let _ = free.send(Batch::new());
    }
    let (to_work, jobs) = sync_channel(count);
    let (to_turn, turns) = sync_channel(count);
    let jobs = Mutex::new(jobs);
    let jobs = &jobs;
    // Whether nothing more is wanted of the blob.
    let stopped = AtomicBool::new(false);
    let stopped = &stopped;
    let scan = Scan::new(limits);
    thread::scope(|scope| {
        // When a thread cannot be started, the ends here are dropped, and the others end.
        let to_execute = turns;
        for _ in 0..workers {
            thread::Builder::new().spawn_scoped(scope, move || work(jobs))?;
        }
        thread::Builder::new().spawn_scoped(scope, move || {
            let dispatch = Dispatch {
                empty,
                to_work,
                to_turn,
            };
            find(scan, &from, &dispatch);
            // The rest is only read and hashed, unless nothing more is wanted of it.
            while !stopped.load(Ordering::Relaxed) && from.recv().is_ok() {}
        })?;
        let (verdict, wanted) = execute(to_execute, &free, to);
        stopped.store(!wanted, Ordering::Relaxed);
        drop(free);
        Ok(verdict)
    })
}

/// Where batches come from and go to.
struct Dispatch {
    empty: Receiver<Batch>,
    to_work: SyncSender<Job>,
    to_turn: SyncSender<Turn>,
}

impl Dispatch {
    fn batch(&self) -> Result<Batch, Gone> {
        self.empty.recv().map_err(|_| Gone)
    }

    fn send(&self, batch: Batch) -> Result<(), Gone> {
        let (done, turn) = sync_channel(1);
        self.to_turn.send(turn).map_err(|_| Gone)?;
        self.to_work.send(Job { batch, done }).map_err(|_| Gone)
    }
}

/// Cuts the blob into batches, up to its end or to a fault.
fn find(mut scan: Scan, from: &Receiver<Arc<Chunk>>, dispatch: &Dispatch) {
    let mut find = || -> Result<(), Gone> {
        let mut batch = dispatch.batch()?;
        for chunk in from {
            let mut input = chunk.content();
            while !input.is_empty() {
                let taken = scan.scan(input, &mut batch);
                input = &input[taken..];
                if batch.is_last() {
                    return dispatch.send(batch);
                }
                if batch.is_full() {
                    dispatch.send(batch)?;
                    batch = dispatch.batch()?;
                }
            }
        }
        scan.finish(&mut batch);
        dispatch.send(batch)
    };
    // Whoever is gone has a reason of its own.
    let _ = find();
}

/// Decodes literals and sequences of one batch after another.
fn work(jobs: &Mutex<Receiver<Job>>) {
    let mut entropy = Entropy::new();
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { mut batch, done }) = job else {
            return;
        };
        entropy.decode(&mut batch);
        // Nobody may wait for it any more.
        let _ = done.send(batch);
    }
}

/// Makes content of batches, straight into chunks, or for a large window into memory that is kept
/// for it.
struct Phases {
    execution: Execution,
    window: Option<Window>,
}

impl Phases {
    fn run(&mut self, batch: &mut Batch, memory: &mut [u8], filled: usize) -> Result<Step, Error> {
        let Self { execution, window } = self;
        let Some(window) = window else {
            return execution.run(batch, memory, filled);
        };
        let needs = (execution.keep(), execution.room());
        let run = |memory: &mut [u8], filled| execution.run(batch, memory, filled);
        window.decode(needs, &mut memory[filled..], run)
    }
}

impl Fill for Phases {
    fn keep(&self) -> usize {
        match self.window {
            Some(_) => 0,
            None => self.execution.keep(),
        }
    }

    fn room(&self) -> usize {
        self.execution.room()
    }

    fn good(&self, decoded: u64) -> usize {
        good(self.keep(), decoded)
    }

    fn window(&mut self) -> Option<&mut Option<Window>> {
        Some(&mut self.window).filter(|window| window.is_none())
    }
}

/// Makes the content, and says whether the rest of the blob is wanted.
fn execute(
    turns: Receiver<Turn>,
    free: &Sender<Batch>,
    to: impl Fn(Arc<Chunk>) -> Result<(), Gone>,
) -> (Verdict, bool) {
    let phases = Phases {
        execution: Execution::new(),
        window: None,
    };
    let mut decoding = Decoding::new(phases, to);
    let mut verdict = Verdict::new();
    let mut wanted = true;
    for turn in turns {
        // A worker that is gone has panicked; that goes on where it is joined.
        let Ok(mut batch) = turn.recv() else {
            break;
        };
        let taken = loop {
            match decoding.step(|phases, memory, filled| phases.run(&mut batch, memory, filled)) {
                Ok(step) if step.status == Status::NeedOutput => {}
                Ok(_) => break Ok(()),
                Err(end) => break Err(end),
            }
        };
        match taken {
            Ok(()) => {}
            Err(End::Gone) => return (verdict, false),
            Err(End::Failed(failure)) => {
                verdict.add(*failure);
                wanted = !failure.stops();
                break;
            }
        }
        batch.clear();
        // There is no more to be filled at the end.
        let _ = free.send(batch);
    }
    // What was decoded before a failure may itself be refused, and that counts first.
    let _ = decoding.hand_on();
    (verdict, wanted)
}

#[cfg(test)]
mod tests {
    use super::super::Terms;
    use super::super::chunk::Pool;
    use super::super::decode;
    use super::*;
    use erofs_unpack_core::codec::Compression;
    use std::io::Write as _;

    /// Words, with parts that come again from far.
    fn content(size: usize) -> Vec<u8> {
        let mut state = 7_u64;
        let mut below = |bound: usize| {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % bound
        };
        let mut content = Vec::new();
        while content.len() < size {
            if content.len() > 5000 && below(20) == 0 {
                let from = below(content.len() - 4000);
                content.extend_from_within(from..from + below(4000));
            } else {
                let word = below(40) * below(40);
                content.extend(word.to_string().bytes());
                content.push(b' ');
            }
        }
        content.truncate(size);
        content
    }

    fn zstd(content: &[u8], window: u32) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(window).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// What came of a blob: by so many workers, or by one thread where there are none.
    fn run(workers: usize, blob: &[u8], limits: &Limits) -> (Verdict, Vec<u8>) {
        let (to, from) = channel();
        let pool = Pool::new();
        for piece in blob.chunks(300_000) {
            to.send(pool.chunk(piece.to_vec(), 0..piece.len())).unwrap();
        }
        drop(to);
        let all = Mutex::new(Vec::new());
        let take = |chunk: Arc<Chunk>| {
            all.lock().unwrap().extend_from_slice(chunk.content());
            Ok(())
        };
        let verdict = if workers == 0 {
            let unwrap = decode::Unwrap::new(Compression::Zstd, &Terms::from(limits));
            decode::decode(unwrap.unwrap().unwrap(), from, take)
        } else {
            decode(workers, limits, from, take).unwrap()
        };
        (verdict, all.into_inner().unwrap())
    }

    #[test]
    fn workers_change_nothing_in_what_comes() {
        let content = content(30 << 20);
        for window in [10, 17, 21, 24] {
            let mut blob = zstd(&content, window);
            blob.extend(zstd(&content[..100_000], 17));
            let mut limits = Limits::DEFAULT;
            limits.zstd_window = 1 << 24;
            for workers in [1, 2, 3] {
                let (verdict, all) = run(workers, &blob, &limits);
                assert_eq!(verdict, Verdict::new(), "{window}");
                assert!(all[..content.len()] == content, "{window}");
                assert!(all[content.len()..] == content[..100_000], "{window}");
            }
        }
    }

    #[test]
    fn workers_change_nothing_in_how_it_ends() {
        let content = content(3 << 20);
        let blob = zstd(&content, 21);
        let mut cases = vec![Vec::new(), b"nothing of the kind".to_vec()];
        for place in (0..blob.len()).step_by(blob.len() / 40) {
            let mut wrong = blob.clone();
            wrong[place] ^= 0x55;
            cases.push(wrong);
            cases.push(blob[..place].to_vec());
        }
        for case in cases {
            let one = run(0, &case, &Limits::DEFAULT);
            let two = run(2, &case, &Limits::DEFAULT);
            assert_eq!(one.0, two.0);
            assert!(one.1 == two.1, "{:?}", one.0);
        }
    }

    #[test]
    fn it_ends_where_nobody_wants_more() {
        let blob = zstd(&content(8 << 20), 21);
        let (to, from) = channel();
        let pool = Pool::new();
        for piece in blob.chunks(10_000) {
            to.send(pool.chunk(piece.to_vec(), 0..piece.len())).unwrap();
        }
        // The blob goes on: that is not waited for.
        let verdict = decode(2, &Limits::DEFAULT, from, |_| Err(Gone)).unwrap();
        assert_eq!(verdict, Verdict::new());
        drop(to);
    }
}
