//! The arguments of `convert`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};
use erofs_unpack_cli::args::{ConfineArgs, LimitArgs, Select, Talk, exit_codes, size};
use erofs_unpack_core::oci::Family;
use erofs_unpack_ops::build::Uuid;
use erofs_unpack_ops::convert::Shard;

use super::build::uuid;
use super::{FormArgs, IndexName, VerityName, WrapName};

/// `convert`
#[derive(Debug, Args)]
#[command(
    after_help = exit_codes(),
    override_usage = "erofs-unpack convert [OPTIONS] <SRC> <DST>\n       \
                      erofs-unpack convert [OPTIONS] --from-file <LIST> <DST>"
)]
pub(crate) struct Convert {
    /// An OCI image layout or archive, plain or compressed, or - for an archive on stdin; with --from-file, DST
    #[arg(value_name = "SRC", value_hint = ValueHint::AnyPath)]
    source: PathBuf,

    /// The folder of the OCI image layout that the image goes into; others in it stay
    #[arg(
        value_name = "DST",
        value_hint = ValueHint::DirPath,
        required_unless_present = "from_file",
        conflicts_with = "from_file"
    )]
    destination: Option<PathBuf>,

    /// Convert the images that a list names, a line each: SRC, or SRC and the name of the image (- for stdin)
    ///
    /// A blank stands between the two, or a tab where SRC has blanks in it; lines that start with # are passed over.
    /// So are images that are in DST already, made of the same manifest with the same options. One that fails does
    /// not keep the others from being converted; the exit code is that of the worst.
    #[arg(
        long,
        value_name = "LIST",
        value_hint = ValueHint::FilePath,
        conflicts_with_all = ["reference", "digest"]
    )]
    pub(crate) from_file: Option<PathBuf>,

    /// Convert one part of N of the list: its Kth image, and every Nth after that
    // What requires something that conflicts with DST is not asked for it beside DST.
    #[arg(
        long,
        value_name = "K/N",
        requires = "from_file",
        conflicts_with = "destination"
    )]
    pub(crate) shard: Option<Shard>,

    /// Which image is meant.
    #[command(flatten)]
    pub(crate) select: Select,

    /// Convert all images, of all platforms
    #[arg(short, long, conflicts_with_all = ["reference", "platform", "digest"])]
    pub(crate) all: bool,

    /// Keep the image as it was beside the new one, in one index
    ///
    /// The new one comes first and asks for a feature, erofs: clients that have not got it take the old one. Those that
    /// do not look at os.features, such as skopeo 1.9 without --all, take the new one.
    #[arg(long)]
    pub(crate) keep_original: bool,

    /// How layers are compressed
    #[arg(long, value_enum, value_name = "KIND", default_value_t)]
    pub(crate) wrap: WrapName,

    /// What says where the chunks of a layer lie [default: erofs, for gzip none]
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) index: Option<IndexName>,

    /// Bytes of the image in each chunk, up to 64 MiB
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "2MiB")]
    pub(crate) chunk_size: u64,

    /// Level of the compression: 1 to 22 for zstd, 1 to 9 for gzip [default: 3 for zstd, 6 for
    /// gzip]
    #[arg(long, value_name = "N")]
    pub(crate) level: Option<i32>,

    /// Append a dm-verity tree to each image
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub(crate) verity: VerityName,

    /// Media types of the layers
    #[arg(long, value_enum, value_name = "FAMILY", default_value_t)]
    pub(crate) media_type: FamilyName,

    /// UUID of each image: content, containerd, or one in hex
    #[arg(short = 'U', long, value_name = "UUID", default_value = "content", value_parser = uuid)]
    pub(crate) uuid: Uuid,

    /// Form of the images.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Do not read the images back and compare each file with its source
    #[arg(long)]
    pub(crate) no_read_back: bool,

    /// Take layers that were converted before from this folder, and put new ones there
    ///
    /// Its blobs are verified by their digests, its entries are believed: it must be written by nobody else. It is
    /// made if it is missing.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) reuse: Option<PathBuf>,

    /// Layers at a time [default: the number of processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,

    /// Threads that compress a layer [default: the number of processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// Print a report as JSON, to stdout or to FILE
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "-",
        value_hint = ValueHint::FilePath
    )]
    pub(crate) json: Option<PathBuf>,

    /// What is said meanwhile.
    #[command(flatten)]
    pub(crate) talk: Talk,

    /// What is given up for it.
    #[command(flatten)]
    pub(crate) confine: ConfineArgs,

    /// What the source may ask for.
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

impl Convert {
    /// Where images come from, but for a list; and where they go.
    pub(crate) fn places(&self) -> (Option<&Path>, &Path) {
        match &self.destination {
            Some(destination) => (Some(&self.source), destination),
            None => (None, &self.source),
        }
    }
}

/// The names of families of media types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FamilyName {
    /// application/vnd.erofs.layer.v1, which containerd reads
    #[default]
    Containerd,
    /// application/vnd.erofs, of the EROFS image layer specification
    Draft,
    /// application/vnd.erofs.layer.overlayfs.v1.erofs
    Overlayfs,
}

impl From<FamilyName> for Family {
    fn from(name: FamilyName) -> Self {
        match name {
            FamilyName::Containerd => Self::Containerd,
            FamilyName::Draft => Self::Draft,
            FamilyName::Overlayfs => Self::Overlayfs,
        }
    }
}
