//! The bars themselves.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Layer;

/// How often the bars are drawn.
const TICK: Duration = Duration::from_millis(100);

/// The most bars at a time, the total apart. More would push each other off the screen.
const MOST: usize = 12;

/// The longest name before a bar, in characters. The rest of a line is of a fixed length.
const NAME: usize = 20;

/// Bars for the layers that are under way.
#[derive(Debug)]
pub struct Bars {
    stop: Arc<AtomicBool>,
    drawer: Option<JoinHandle<()>>,
}

impl Bars {
    /// Draws bars for these layers until this is dropped. Draws nothing when `quiet` or when
    /// stderr is no terminal.
    #[must_use]
    pub fn new(layers: Vec<Layer>, quiet: bool) -> Self {
        Self::drawn_by(quiet, move |stop| draw(&layers, stop))
    }

    /// Draws how many files are done, of a total if it is known, until this is dropped. Draws
    /// nothing when `quiet` or when stderr is no terminal.
    #[must_use]
    pub fn of_files(
        name: &str,
        total: Option<u64>,
        done: impl Fn() -> u64 + Send + 'static,
        quiet: bool,
    ) -> Self {
        let name = short(name);
        Self::drawn_by(quiet, move |stop| draw_files(name, total, done, stop))
    }

    /// Starts the thread that draws.
    fn drawn_by(quiet: bool, draw: impl FnOnce(&AtomicBool) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        if quiet || !std::io::stderr().is_terminal() {
            return Self { stop, drawer: None };
        }
        let stopped = Arc::clone(&stop);
        // Without a thread to be had there are no bars.
        let drawer = thread::Builder::new().spawn(move || draw(&stopped));
        Self {
            stop,
            drawer: drawer.ok(),
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(drawer) = self.drawer.take() {
            drawer.thread().unpark();
            let _ = drawer.join();
        }
    }
}

/// Draws until it is stopped, and clears the bars.
fn draw(layers: &[Layer], stop: &AtomicBool) {
    let multi = MultiProgress::new();
    let names: Vec<String> = layers.iter().map(|(name, ..)| short(name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or(0);
    let total = (layers.len() > 1).then(|| multi.add(bar("total", width, Some(0))));
    let mut bars: Vec<Option<ProgressBar>> = vec![None; layers.len()];
    while !stop.load(Ordering::Relaxed) {
        for ((_, _, progress), slot) in layers.iter().zip(&mut bars) {
            if let Some(bar) = slot.take_if(|_| !progress.is_running()) {
                bar.finish_and_clear();
                multi.remove(&bar);
            }
        }
        let mut shown = bars.iter().flatten().count();
        for (((_, size, progress), name), slot) in layers.iter().zip(&names).zip(&mut bars) {
            if let Some(bar) = slot {
                // What is kept is verified by its image, whose size is not that of the blob.
                if let Some(size) = progress.total() {
                    bar.set_length(size);
                }
                bar.set_position(progress.read());
            } else if progress.is_running() && shown < MOST {
                // It starts with nothing: what was read by now was not read in no time.
                let bar = bar(name, width, progress.total().or(*size));
                *slot = Some(match &total {
                    Some(total) => multi.insert_before(total, bar),
                    None => multi.add(bar),
                });
                shown += 1;
            }
        }
        if let Some(total) = &total {
            let size = |(_, size, progress): &Layer| progress.total().or(*size);
            total.set_length(layers.iter().filter_map(size).sum());
            total.set_position(layers.iter().map(|(_, _, progress)| progress.read()).sum());
        }
        thread::park_timeout(TICK);
    }
    // What was done is told by the report; the bars have served.
    let _ = multi.clear();
}

/// Draws a number of files until it is stopped, and clears the bar.
fn draw_files(name: String, total: Option<u64>, done: impl Fn() -> u64, stop: &AtomicBool) {
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
        bar.set_position(done());
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
