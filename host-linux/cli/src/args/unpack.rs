//! The arguments of `unpack`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use erofs_unpack_core::oci::Digest;
use erofs_unpack_ops::unpack::Verity;

use super::{CheckArgs, ConfineArgs, LimitArgs, SandboxArgs, Select, Talk};

/// What is done about dm-verity trees.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum VerityName {
    /// Verify a tree that the annotations of a layer announce
    #[default]
    Verify,
    /// And append one to images without, as containerd does, with a sidecar: their files are then
    /// longer than what the diffIDs name, and are not taken for them by another run
    Append,
    /// And write a sidecar, FILE.dmverity, for a tree that is announced
    Sidecar,
    /// Look at nothing but a tree's size
    None,
}

impl From<VerityName> for Verity {
    fn from(name: VerityName) -> Self {
        match name {
            VerityName::Verify => Self::Verify,
            VerityName::Append => Self::Append,
            VerityName::Sidecar => Self::Sidecar,
            VerityName::None => Self::None,
        }
    }
}

/// `unpack`
#[derive(Debug, Args)]
#[command(after_help = super::exit_codes())]
pub struct Unpack {
    /// An OCI image layout (a folder, or a tar archive of one), a layer blob, or - for stdin
    #[arg(value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub source: PathBuf,

    /// A folder for an image, a file (or - for stdout) for one layer
    ///
    /// A folder gets one file for each layer, `NN-<start of the diffID>.erofs` (.device for a
    /// device), and image.json. For one layer, FOLDER/ with a slash is a folder too; that layer
    /// is then named in the same way. What waits for stdout waits in TMPDIR, without a name.
    #[arg(
        short,
        long,
        value_name = "DEST",
        value_hint = ValueHint::AnyPath,
        required_unless_present = "verify_only",
        conflicts_with = "verify_only"
    )]
    pub output: Option<PathBuf>,

    /// Do everything but write
    ///
    /// For the check the image waits in TMPDIR, without a name.
    #[arg(long)]
    pub verify_only: bool,

    /// Which image, of a layout with several.
    #[command(flatten)]
    pub select: Select,

    /// Only this layer, counted from 1 in the order of the manifest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub layer: Option<u32>,

    /// Media type of a lone blob [default: by its content], or of --layer N whatever is stated
    #[arg(long, value_name = "TYPE")]
    pub media_type: Option<String>,

    /// Digest that the unpacked layer must have (its diffID)
    #[arg(long, value_name = "DIGEST")]
    pub diff_id: Option<Digest>,

    /// Replace files that exist; a symbolic link is replaced itself, never followed
    #[arg(long)]
    pub force: bool,

    /// Go on to the other layers after a bad one, and sum up; nothing is written then either
    #[arg(long)]
    pub keep_going: bool,

    /// Layers to unpack at the same time [default: half of the processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,

    /// Threads to decode one layer with, where it has an index of its chunks [default: all
    /// processors that --jobs leaves]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,

    /// Verify layers by the digests of their chunks alone, in parallel
    ///
    /// Only where the manifest states the digest of the chunk index, and that has a SHA-2 of each
    /// chunk. The digest of the blob and the diffID are then not computed, and said not to be.
    #[arg(long)]
    pub skip_serial_digests: bool,

    /// How the image is checked once its digests are verified.
    #[command(flatten)]
    pub check: CheckArgs,

    /// Do not check the inside of the image: only digests, streams and superblock
    #[arg(long, conflicts_with_all = ["level", "allow"])]
    pub no_check: bool,

    /// What is done about dm-verity trees
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub verity: VerityName,

    /// Take an image that a dm-verity tree follows though nothing announces one
    ///
    /// containerd appends such a tree. It must be that of the image; that its root is the right one
    /// nothing says, and a warning tells it. Without this flag nothing may follow an image.
    #[arg(long)]
    pub allow_unannounced_verity: bool,

    /// Print a report as JSON, to stdout or to FILE
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "-",
        value_hint = ValueHint::FilePath
    )]
    pub json: Option<PathBuf>,

    /// What is said meanwhile.
    #[command(flatten)]
    pub talk: Talk,

    /// Where it is done.
    #[command(flatten)]
    pub sandbox: SandboxArgs,

    /// What is given up for it.
    #[command(flatten)]
    pub confine: ConfineArgs,

    /// What a layer may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
}
