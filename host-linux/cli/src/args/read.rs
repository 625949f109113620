//! The arguments of the commands that read in one EROFS image.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use erofs_unpack_core::Error;
use erofs_unpack_core::oci::{Digest, Platform};
use erofs_unpack_ops::image::Selection;
use erofs_unpack_ops::image_file::ImageFileOptions;
use erofs_unpack_ops::system::{self, Openings};

use super::{ConfineArgs, LimitArgs, exit_codes, size};

/// One EROFS image, and what is known of it.
#[derive(Debug, Args)]
pub struct ImageArgs {
    /// An EROFS image, the blob of a layer, an OCI image layout, or - for stdin
    ///
    /// What is compressed is unpacked and verified first, unless it is a layer of a layout with a
    /// chunk index whose digest the manifest states: then only the chunks are read that are needed,
    /// each verified. Where the manifest states the root of a dm-verity tree, each block is verified
    /// by its path to it; then chunks need no checksums, and a plain layer is read where it is.
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub image: PathBuf,

    /// Layer of the image in a layout, counted from 1 [default: its only EROFS image]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub layer: Option<u32>,

    /// Name of the image in a layout with several (org.opencontainers.image.ref.name or
    /// io.containerd.image.name)
    #[arg(long = "ref", value_name = "NAME")]
    pub reference: Option<String>,

    /// Platform that the image must have [default: the host's, where there is a choice]
    #[arg(long, value_name = "OS[(+FEATURE)]/ARCH[/VARIANT]", value_parser = platform)]
    pub platform: Option<Platform>,

    /// Read a compressed layer at random even if nobody vouches for its index, or its chunks
    /// cannot be verified one by one
    ///
    /// Such an index decides what is shown: whoever made the blob can show one thing here, and
    /// another where the layer is unpacked.
    #[arg(long)]
    pub allow_unpinned_index: bool,

    /// A file or block device with a device of the image, in the order of its device table; can
    /// be given several times
    #[arg(long = "device", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub devices: Vec<PathBuf>,

    /// Byte of the file where the image starts, as after mkfs.erofs --offset; not for compressed
    /// blobs
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub offset: Option<u64>,

    /// Digest that the blob, or the manifest or an index of the layout, must have
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<Digest>,

    /// Digest that the image must have
    #[arg(long, value_name = "DIGEST")]
    pub diff_id: Option<Digest>,

    /// What is given up for it.
    #[command(flatten)]
    pub confine: ConfineArgs,

    /// What the image may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
}

impl ImageArgs {
    /// The files that opening it takes.
    pub fn openings(&self) -> Openings {
        let mut openings = Openings::new();
        openings.source(&self.image);
        self.devices.iter().for_each(|path| openings.read(path));
        // What is compressed, or has to have a digest, is unpacked there.
        openings.spool(&system::temp_dir());
        openings
    }

    /// How it is opened.
    pub fn options(&self) -> ImageFileOptions {
        ImageFileOptions {
            digest: self.digest,
            diff_id: self.diff_id,
            devices: self.devices.clone(),
            misplaced_devices: true,
            offset: self.offset,
            image: Selection {
                reference: self.reference.clone(),
                platform: self.platform.clone(),
                digest: None,
            },
            layer: self.layer,
            allow_unpinned_index: self.allow_unpinned_index,
            limits: self.limits.limits(),
            ..ImageFileOptions::default()
        }
    }
}

/// A platform as containerd writes it.
fn platform(text: &str) -> Result<Platform, Error> {
    Platform::parse(text)
}

/// What is said on stderr besides errors.
#[derive(Debug, Args)]
pub struct VerboseArgs {
    /// Say which protection is in force, and how much of a compressed layer was read
    #[arg(short, long)]
    pub verbose: bool,
}

/// Where content is taken from that the image does not hold.
#[derive(Debug, Args)]
pub struct ObjectArgs {
    /// A folder of objects: what files contain whose content lies outside of the image
    ///
    /// These are metacopy files of overlayfs, of which images of composefs consist. Each says where
    /// in the folder its content lies (trusted.overlay.redirect); nothing outside of it is read.
    /// Size and, where it is stated, fs-verity digest must be right. Without it such files are
    /// refused.
    #[arg(long, value_name = "OBJECTS", value_hint = ValueHint::DirPath)]
    pub basedir: Option<PathBuf>,
}

/// What `--help` says of paths in an image, and of the exit codes that they lead to.
fn notes() -> String {
    format!(
        "A PATH starts at the root of the image. Symbolic links on the way to its last name are \
         followed inside the image. Names that are no plain text are shown with escapes: \\n, \
         \\x1b, and a backslash as two. Each name of a PATH is first looked for as it stands, and \
         where there is none, without its escapes. A PATH that is not there is a missing file: exit code 3.\
         \n\n{}",
        exit_codes()
    )
}

/// `ls`
#[derive(Debug, Args)]
#[command(after_help = notes())]
pub struct Ls {
    /// Which image, and what is known of it.
    #[command(flatten)]
    pub image: ImageArgs,

    /// What is said besides errors.
    #[command(flatten)]
    pub talk: VerboseArgs,

    /// What to list [default: /]
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,

    /// With types, permissions, links, owners, sizes and times (UTC)
    #[arg(short, long)]
    pub long: bool,

    /// Directories with all that is below them
    #[arg(short = 'R', long)]
    pub recursive: bool,

    /// Directories themselves, not their entries
    #[arg(short, long, conflicts_with = "recursive")]
    pub directory: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tree`
#[derive(Debug, Args)]
#[command(after_help = notes())]
pub struct Tree {
    /// Which image, and what is known of it.
    #[command(flatten)]
    pub image: ImageArgs,

    /// What is said besides errors.
    #[command(flatten)]
    pub talk: VerboseArgs,

    /// Where to start [default: /]
    #[arg(value_name = "PATH")]
    pub path: Option<OsString>,

    /// How many levels of directories to go down
    #[arg(short = 'L', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub level: Option<u32>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `stat`
#[derive(Debug, Args)]
#[command(after_help = notes())]
pub struct Stat {
    /// Which image, and what is known of it.
    #[command(flatten)]
    pub image: ImageArgs,

    /// What is said besides errors.
    #[command(flatten)]
    pub talk: VerboseArgs,

    /// The files
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<OsString>,

    /// Follow a symbolic link at the end of a path too
    #[arg(short = 'L', long)]
    pub dereference: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `cat`
#[derive(Debug, Args)]
#[command(after_help = notes())]
pub struct Cat {
    /// Which image, and what is known of it.
    #[command(flatten)]
    pub image: ImageArgs,

    /// What is said besides errors.
    #[command(flatten)]
    pub talk: VerboseArgs,

    /// The files; a symbolic link at the end of a path is followed too
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<OsString>,

    /// Where content is taken from that the image does not hold.
    #[command(flatten)]
    pub objects: ObjectArgs,
}

/// `dump`
#[derive(Debug, Args)]
#[command(after_help = notes())]
pub struct Dump {
    /// Which image, and what is known of it.
    #[command(flatten)]
    pub image: ImageArgs,

    /// What is said besides errors.
    #[command(flatten)]
    pub talk: VerboseArgs,

    /// The inode and the extents of the file at this path
    #[arg(long, value_name = "PATH", conflicts_with = "nid")]
    pub path: Option<OsString>,

    /// The inode of this number, and its extents
    #[arg(long, value_name = "N")]
    pub nid: Option<u64>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
