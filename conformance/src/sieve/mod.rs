//! The sieve: images of every layout with one bit flipped, and what four readers say of each.
//!
//! | who | how |
//! |---|---|
//! | we | the check at its full level, and our reader |
//! | the kernel | the file is mounted, and everything in it read |
//! | `fsck.erofs` | its exit code and its error lines, all data decoded |
//! | the tree | as we and the kernel read it, against each other and the original's |
//!
//! Required of every mutant that we pass: the kernel reads all of it, `fsck.erofs` rejects it
//! at most for one of the [`quirks`], and the kernel and we read the same tree, byte for byte.

pub mod breach;
pub mod fsck;
pub mod images;
pub mod judge;
pub mod kernel;
pub mod kmsg;
pub mod listing;
pub mod mutant;
pub mod ours;
pub mod pool;
pub mod quirks;
pub mod report;
pub mod source;
pub mod worker;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Instant, SystemTime};

use self::images::SieveImage;
use self::judge::{Judgement, judge};
use self::kmsg::Log;
use self::mutant::Mutant;
use self::pool::{Answers, Scratch, Starter, Worker};
use self::report::{Case, Counts, Report};
use self::worker::Request;

/// After how many mutants the kernel's log is looked at.
const LOOK: usize = 64;
/// What the kernel says to the mount of a file on a file system that it mounts no files from,
/// such as tmpfs: `ENOTBLK`.
const NO_FILES: &str = "mount 15";

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program that workers run: `erofs-unpack-conformance` itself.
    pub program: PathBuf,
    /// The folder of the images; none to make them.
    pub images: Option<PathBuf>,
    /// Only images whose name begins so.
    pub filter: String,
    /// How many mutants; none for all.
    pub sample: Option<usize>,
    /// Which of them.
    pub seed: u64,
    /// How many are asked about at the same time.
    pub jobs: usize,
    /// Where to put files; on a file system from which the kernel mounts files.
    pub scratch: PathBuf,
}

/// A sieve with its images, ready to run.
#[derive(Debug)]
pub struct Sieve {
    scratch: Scratch,
    starter: Starter,
    images: Vec<SieveImage>,
    /// The digest of each image's tree.
    trees: Vec<String>,
}

impl Sieve {
    /// Makes or reads the images, and asks about each as it is.
    ///
    /// # Errors
    ///
    /// When a tool or a right is missing, or an image is not clean;
    /// [`io::ErrorKind::Unsupported`] when the kernel mounts no files from the scratch folder.
    pub fn new(options: &Options) -> io::Result<Self> {
        let scratch = Scratch::new(&options.scratch)?;
        let folder = scratch.path().join("images");
        fs::create_dir_all(&folder)?;
        let mut images = match &options.images {
            Some(folder) => images::read(folder)?,
            None => images::make(scratch.path())?,
        };
        images.retain(|image| image.name.starts_with(&options.filter));
        for image in &images {
            fs::write(folder.join(format!("{}.erofs", image.name)), &image.bytes)?;
        }
        let starter = Starter {
            program: options.program.clone(),
            images: folder,
            scratch: scratch.path().to_owned(),
        };
        let mut sieve = Self {
            scratch,
            starter,
            images,
            trees: Vec::new(),
        };
        sieve.originals()?;
        Ok(sieve)
    }

    /// Asks about the images as they are: all must find them good.
    fn originals(&mut self) -> io::Result<()> {
        let mut worker = self.starter.start(0)?;
        for image in &self.images {
            let answers = worker.query(&Request {
                image: image.name.clone(),
                mutant: None,
                with_listing: false,
            })?;
            let refused = answers
                .kernel
                .as_ref()
                .and_then(|kernel| kernel.refused.as_deref());
            if refused == Some(NO_FILES) {
                let text = "a file system that the kernel mounts files from";
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
            let tree = answers
                .kernel
                .as_ref()
                .and_then(|kernel| kernel.tree.clone());
            let judgement = judge(&answers, tree.as_deref().unwrap_or_default());
            match tree {
                Some(tree) if judgement.passed && judgement.fsck && judgement.breach.is_none() => {
                    self.trees.push(tree);
                }
                _ => {
                    let text = format!("{} is not clean to begin with: {answers:?}", image.name);
                    return Err(io::Error::other(text));
                }
            }
        }
        Ok(())
    }

    /// Where the images lie while the sieve is there.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.scratch.path().join("images")
    }

    /// Asks about one mutant, or about an image as it is, with the trees.
    ///
    /// # Errors
    ///
    /// When the environment fails.
    pub fn show(&self, image: &str, mutant: Option<Mutant>) -> io::Result<Answers> {
        self.starter.start(0)?.query(&Request {
            image: image.to_owned(),
            mutant,
            with_listing: true,
        })
    }

    /// Asks about the mutants, and says now and then how many are done.
    ///
    /// # Errors
    ///
    /// When the environment fails.
    pub fn run(
        &self,
        options: &Options,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> io::Result<Report> {
        let mut mutants = Vec::new();
        for (number, image) in self.images.iter().enumerate() {
            mutants.extend(
                mutant::all(&image.bytes)?
                    .into_iter()
                    .map(|mutant| (number, mutant)),
            );
        }
        if let Some(count) = options.sample {
            mutants = mutant::sample(mutants, count, options.seed);
        }
        let start = Instant::now();
        let mut report = self.empty_report()?;
        let shared = Shared {
            sieve: self,
            mutants: &mutants,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            log: Mutex::new(Log::open()?),
            found: Mutex::new(&mut report),
            progress,
        };
        let failures = thread::scope(|scope| {
            let threads: Vec<_> = (0..options.jobs.max(1))
                .map(|number| {
                    let shared = &shared;
                    scope.spawn(move || shared.work(number))
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|_| Err(io::Error::other("panicked")))
                })
                .collect::<Vec<_>>()
        });
        failures.into_iter().collect::<io::Result<Vec<()>>>()?;
        report.seconds = start.elapsed().as_secs();
        report
            .cases
            .sort_by(|one, other| (&one.image, one.mutant).cmp(&(&other.image, other.mutant)));
        Ok(report)
    }

    fn empty_report(&self) -> io::Result<Report> {
        let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let fsck = Command::new("fsck.erofs").arg("--version").output()?;
        let fsck = String::from_utf8_lossy(&fsck.stdout);
        Ok(Report {
            started: started.map_or(0, |since| since.as_secs()),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
                .trim()
                .to_owned(),
            fsck: fsck.lines().next().unwrap_or_default().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            images: self
                .images
                .iter()
                .map(|image| Counts {
                    image: image.name.clone(),
                    made: image.made.clone(),
                    size: image.bytes.len(),
                    ..Counts::default()
                })
                .collect(),
            ..Report::default()
        })
    }
}

/// What the threads of a run share.
struct Shared<'a> {
    sieve: &'a Sieve,
    mutants: &'a [(usize, Mutant)],
    next: AtomicUsize,
    stop: AtomicBool,
    log: Mutex<Log>,
    found: Mutex<&'a mut Report>,
    progress: &'a (dyn Fn(usize, usize) + Sync),
}

impl Shared<'_> {
    fn work(&self, number: usize) -> io::Result<()> {
        let mut worker: Option<Worker> = None;
        let mut asked = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((image, mutant)) = self.mutants.get(place) else {
                break;
            };
            let asking = match &mut worker {
                Some(worker) => worker,
                none => none.insert(self.sieve.starter.start(number)?),
            };
            let answers = asking.query(&Request {
                image: self.sieve.images[*image].name.clone(),
                mutant: Some(*mutant),
                with_listing: false,
            });
            let answers = answers.inspect_err(|_| self.stop.store(true, Ordering::Relaxed))?;
            if answers.missing.is_some() {
                worker = None;
            }
            asked += 1;
            self.take(*image, *mutant, answers);
            if asked % LOOK == 0 {
                self.look()?;
            }
            (self.progress)(place + 1, self.mutants.len());
        }
        self.look()
    }

    /// Puts the answers into the report.
    fn take(&self, image: usize, mutant: Mutant, answers: Answers) {
        let judgement: Judgement = judge(&answers, &self.sieve.trees[image]);
        let mut report = self
            .found
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let counts = &mut report.images[image];
        counts.add(&judgement);
        let name = counts.image.clone();
        let alone = !judgement.passed && judgement.kernel && judgement.fsck;
        if let Some(ours) = answers.ours.as_ref().filter(|_| alone) {
            *report
                .refused_alone
                .entry(ours.refused.join(" "))
                .or_default() += 1;
        }
        if answers.kernel.is_none() && answers.ours.is_some() {
            report.stopped = Some(format!("the kernel gave no answer to {name} {mutant:?}"));
            self.stop.store(true, Ordering::Relaxed);
        }
        if judgement.breach.is_some() || judgement.quirk.is_some() || judgement.crashed {
            report.cases.push(Case {
                image: name,
                mutant,
                breach: judgement.breach,
                quirk: judgement.quirk,
                answers,
            });
        }
    }

    /// Looks at the kernel's log, and ends the run when the kernel is in trouble.
    fn look(&self) -> io::Result<()> {
        let mut log = self
            .log
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(line) = log.trouble()? {
            self.stop.store(true, Ordering::Relaxed);
            let mut report = self
                .found
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            report.stopped = Some(format!("the kernel is in trouble: {line}"));
        }
        Ok(())
    }
}

/// What lacks for a run, in the words of a skipped test; none when all is there.
#[must_use]
pub fn lacks() -> Option<&'static str> {
    for tool in ["mkfs.erofs", "fsck.erofs"] {
        if Command::new(tool).arg("--version").output().is_err() {
            return Some(tool);
        }
    }
    let mounts = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let is_root = rustix::process::geteuid().is_root();
    let there = Command::new("unshare").args(["--mount", "true"]).output();
    if !is_root || !there.is_ok_and(|output| output.status.success()) {
        return Some("root");
    }
    if !mounts.contains("erofs") || Log::open().is_err() {
        return Some("a kernel with EROFS");
    }
    None
}
