//! What the commands share that read in one EROFS image: `ls`, `tree`, `stat`, `cat`, `dump`.

mod out;
mod show;

pub(super) use out::{Out, run, run_with};
pub(super) use show::{Widths, mode_text, row};
