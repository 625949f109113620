//! Output files that bad input cannot leave behind.
//!
//! A file is written without a name (`O_TMPFILE`), verified, synced and only then linked
//! under its final name. A failure, a signal or a loss of power before that leaves nothing.
//! Where a name cannot be avoided it is a temporary one of a strict form (see [`sweep`]):
//!
//! - Replacing an existing file links the complete file under a temporary name and renames
//!   it over the old one, since a link cannot replace.
//! - A file system without `O_TMPFILE` gets a file with a temporary name from the start. It
//!   is removed when it is dropped, and by the next [`sweep`] after a kill; until it is
//!   published nobody but its owner may open it.
//! - Under WASI every file has a temporary name. There is no lock that would say whether its
//!   program still runs, so no sweep takes it after a kill.
//!
//! [`Folder`] is where files go, [`Target`] one name in it, [`Unpublished`] a file on its way
//! there, [`Group`] several that appear together.

mod folder;
mod group;
mod partial;
mod scratch;
mod sparse;
mod target;
mod unpublished;

pub use folder::{Folder, FolderLock};
pub use group::Group;
pub use partial::{is_partial, sweep, sweep_name, sweep_those};
pub use scratch::scratch;
pub use sparse::{SparseWriter, data_runs};
pub use target::Target;
pub use unpublished::Unpublished;
