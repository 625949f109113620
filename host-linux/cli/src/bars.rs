//! Progress bars.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use erofs_unpack_ops::Observer;
use erofs_unpack_ops::observer::{Counter, Part, Work};
use erofs_unpack_ops::system;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the bars are drawn.
const TICK: Duration = Duration::from_millis(100);

/// The most bars at a time, the total apart. More would push each other off the screen.
const MOST: usize = 12;

/// The longest name before a bar, in characters. The rest of a line is of a fixed length.
const NAME: usize = 20;

/// Draws bars on stderr while an operation goes on: one for each layer under way and one for all,
/// or one for the files of an image.
#[derive(Debug)]
pub struct Bars {
    /// Whether there is somebody to look at them.
    are_seen: bool,
    drawn: Mutex<Option<Drawing>>,
}

impl Bars {
    /// Bars, unless `quiet`, stderr is no terminal, or there can be no thread that draws them.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        Self {
            are_seen: system::THREADS && !quiet && std::io::stderr().is_terminal(),
            drawn: Mutex::new(None),
        }
    }

    /// Draws in the place of what was drawn before, which is cleared first.
    fn draw(&self, drawing: Option<Drawing>) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        drop(drawn.take());
        *drawn = drawing;
    }
}

impl Observer for Bars {
    fn begin(&self, work: Work) {
        if !self.are_seen {
            return;
        }
        self.draw(match work {
            Work::Layers(layers) => Some(Drawing::start(move |stop| draw(&layers, stop))),
            Work::Files { name, total, done } => {
                let name = short(&name);
                Some(Drawing::start(move |stop| {
                    draw_files(name, total, &done, stop);
                }))
            }
            _ => None,
        });
    }

    fn end(&self) {
        self.draw(None);
    }
}

/// A thread that draws until this is dropped.
#[derive(Debug)]
struct Drawing {
    stop: Arc<AtomicBool>,
    drawer: Option<JoinHandle<()>>,
}

impl Drawing {
    fn start(draw: impl FnOnce(&AtomicBool) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        // Without a thread to be had there are no bars.
        let drawer = thread::Builder::new().spawn(move || draw(&stopped));
        Self {
            stop,
            drawer: drawer.ok(),
        }
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(drawer) = self.drawer.take() {
            drawer.thread().unpark();
            let _ = drawer.join();
        }
    }
}

/// Draws until it is stopped, and clears the bars.
fn draw(layers: &[Part], stop: &AtomicBool) {
    let multi = MultiProgress::new();
    let names: Vec<String> = layers.iter().map(|layer| short(&layer.name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or(0);
    let total = (layers.len() > 1).then(|| multi.add(bar("total", width, Some(0))));
    let mut bars: Vec<Option<ProgressBar>> = vec![None; layers.len()];
    while !stop.load(Ordering::Relaxed) {
        for (layer, slot) in layers.iter().zip(&mut bars) {
            if let Some(bar) = slot.take_if(|_| !layer.progress.is_running()) {
                bar.finish_and_clear();
                multi.remove(&bar);
            }
        }
        let mut shown = bars.iter().flatten().count();
        for ((layer, name), slot) in layers.iter().zip(&names).zip(&mut bars) {
            let progress = &layer.progress;
            if let Some(bar) = slot {
                // What is kept is verified by its image, whose size is not that of the blob.
                if let Some(size) = progress.total() {
                    bar.set_length(size);
                }
                bar.set_position(progress.read());
            } else if progress.is_running() && shown < MOST {
                // It starts with nothing: what was read by now was not read in no time.
                let bar = bar(name, width, progress.total().or(layer.size));
                *slot = Some(match &total {
                    Some(total) => multi.insert_before(total, bar),
                    None => multi.add(bar),
                });
                shown += 1;
            }
        }
        if let Some(total) = &total {
            let size = |layer: &Part| layer.progress.total().or(layer.size);
            total.set_length(layers.iter().filter_map(size).sum());
            total.set_position(layers.iter().map(|layer| layer.progress.read()).sum());
        }
        thread::park_timeout(TICK);
    }
    // What was done is told by the report; the bars have served.
    let _ = multi.clear();
}

/// Draws a number of files until it is stopped, and clears the bar.
fn draw_files(name: String, total: Option<u64>, done: &Counter, stop: &AtomicBool) {
    let template = if total.is_some() {
        "{prefix:.bold} [{wide_bar}] {human_pos:>10}/{human_len} files {per_sec:>14} {eta:>4}"
    } else {
        "{prefix:.bold} {spinner} {human_pos:>10} files {per_sec:>14}"
    };
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let bar = bar.with_style(style).with_prefix(name);
    while !stop.load(Ordering::Relaxed) {
        bar.set_position(done.entries());
        thread::park_timeout(TICK);
    }
    bar.finish_and_clear();
}

/// A bar, or without a size a count.
fn bar(name: &str, width: usize, size: Option<u64>) -> ProgressBar {
    let template = if size.is_some() {
        "{prefix:.bold} [{wide_bar}] {binary_bytes:>10}/{binary_total_bytes} {binary_bytes_per_sec:>12} {eta:>4}"
    } else {
        "{prefix:.bold} {spinner} {binary_bytes:>10} {binary_bytes_per_sec:>12}"
    };
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    // Hidden until it has its place among the others: by itself it would draw at once.
    ProgressBar::with_draw_target(size, ProgressDrawTarget::hidden())
        .with_style(style)
        .with_prefix(format!("{name:width$}"))
}

/// The end of a name that is too long: the part that tells files apart.
fn short(name: &str) -> String {
    let count = name.chars().count();
    if count <= NAME {
        return name.to_owned();
    }
    let kept: String = name.chars().skip(count - NAME + 1).collect();
    format!("…{kept}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_their_end() {
        assert_eq!(short("layer 1"), "layer 1");
        assert_eq!(short(&"é".repeat(20)), "é".repeat(20));
        let long = short("/a/long/way/to/the/layer.erofs");
        assert_eq!(long, "…/to/the/layer.erofs");
        assert_eq!(long.chars().count(), NAME);
    }
}
