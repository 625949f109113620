//! Progress bars: one for each layer, on a terminal only.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::pipeline::Progress;

/// How often the bars are drawn.
const TICK: Duration = Duration::from_millis(100);

/// Bars for the layers that are under way.
#[derive(Debug)]
pub struct Bars {
    stop: Arc<AtomicBool>,
    drawer: Option<JoinHandle<()>>,
}

impl Bars {
    /// Draws a bar for each layer, with its name and the size of its blob, until this is
    /// dropped. Draws nothing when `quiet` or when stderr is no terminal.
    #[must_use]
    pub fn new(layers: Vec<(String, Option<u64>, Arc<Progress>)>, quiet: bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        if quiet || !std::io::stderr().is_terminal() {
            return Self { stop, drawer: None };
        }
        let stopped = Arc::clone(&stop);
        let drawer = thread::spawn(move || draw(&layers, &stopped));
        Self {
            stop,
            drawer: Some(drawer),
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
fn draw(layers: &[(String, Option<u64>, Arc<Progress>)], stop: &AtomicBool) {
    let style = |known: bool| {
        let template = if known {
            "{prefix:.bold} [{bar:24}] {binary_bytes:>10}/{binary_total_bytes} {binary_bytes_per_sec:>12} {eta:>4}"
        } else {
            "{prefix:.bold} {spinner} {binary_bytes:>10} {binary_bytes_per_sec:>12}"
        };
        ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ")
    };
    let multi = MultiProgress::new();
    let bar = |name: &str, size: Option<u64>| {
        let bar = size.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let bar = multi.add(bar.with_style(style(size.is_some())));
        bar.set_prefix(name.to_owned());
        bar
    };
    let mut bars: Vec<_> = layers
        .iter()
        .map(|(name, size, progress)| (bar(name, *size), Some(progress)))
        .collect();
    if layers.len() > 1 {
        let total = layers.iter().filter_map(|(_, size, _)| *size).sum();
        bars.push((bar("total", Some(total)), None));
    }
    while !stop.load(Ordering::Relaxed) {
        for (bar, progress) in &bars {
            let read = match progress {
                Some(progress) => progress.read(),
                None => layers.iter().map(|(_, _, progress)| progress.read()).sum(),
            };
            bar.set_position(read);
        }
        thread::park_timeout(TICK);
    }
    // What was done is told by the report; the bars have served.
    let _ = multi.clear();
}
