//! The arguments of `cache`.

use core::time::Duration;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use erofs_unpack_core::oci::Digest;

use erofs_unpack_cli::args::{
    CheckArgs, ConfineArgs, LimitArgs, PolicyName, SandboxArgs, Select, Talk, exit_codes,
};

/// `cache`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct Cache {
    /// What to do with it.
    #[command(subcommand)]
    pub(crate) command: CacheCommand,
}

/// The commands of `cache`.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Verify layers and put their images into the cache
    ///
    /// Each image appears under its name when it has passed. One that is there already is
    /// verified again and kept. Several writers, and containerd, may use the cache meanwhile.
    Put(Box<CachePut>),
    /// List what is in the cache
    List(CacheList),
    /// Verify the entries of the cache: digest, inside of the image, dm-verity tree
    Verify(Box<CacheVerify>),
    /// Remove what killed writers left, and entries that nothing needs
    ///
    /// Without LAYOUT, --keep and --older-than no entry is removed. With them, an entry goes if
    /// it is a layer of no image in the layouts, is not named by --keep, is old enough, and no
    /// snapshot links to it. Names of another form are never touched.
    Gc(Box<CacheGc>),
}

/// `cache put`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct CachePut {
    /// The cache; it is made if it is missing
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,

    /// OCI image layouts (folders, or tar archives of them), or one layer blob
    #[arg(value_name = "SOURCE", required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) sources: Vec<PathBuf>,

    /// Which image, of a layout with several.
    #[command(flatten)]
    pub(crate) select: Select,

    /// Media type of a lone blob [default: by its content]
    #[arg(long, value_name = "TYPE")]
    pub(crate) media_type: Option<String>,

    /// DiffID of a lone blob: the digest that its image must have, and its name in the cache
    #[arg(long, value_name = "DIGEST")]
    pub(crate) diff_id: Option<Digest>,

    /// Append a dm-verity tree to each image, and write a sidecar, as containerd does
    ///
    /// An image that is there without is replaced by one that has both.
    #[arg(long)]
    pub(crate) dm_verity: bool,

    /// Replace entries that do not verify
    ///
    /// Where snapshots use such an entry with dm-verity, --dm-verity must be given too.
    #[arg(long)]
    pub(crate) force: bool,

    /// How an image is checked before it gets its name.
    #[command(flatten)]
    pub(crate) check: CheckArgs,

    /// Do not check the inside of images: only digests, streams and superblock
    #[arg(long, conflicts_with_all = ["level", "allow"])]
    pub(crate) no_check: bool,

    /// Print a report as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// What is said meanwhile.
    #[command(flatten)]
    pub(crate) talk: Talk,

    /// Where it is done.
    #[command(flatten)]
    pub(crate) sandbox: SandboxArgs,

    /// What is given up for it.
    #[command(flatten)]
    pub(crate) confine: ConfineArgs,

    /// What a layer may ask for.
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// `cache list`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct CacheList {
    /// The cache
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// What is given up for it.
    #[command(flatten)]
    pub(crate) confine: ConfineArgs,
}

/// `cache verify`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct CacheVerify {
    /// The cache
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,

    /// Only the entries of these diffIDs [default: all]
    #[arg(value_name = "DIFFID")]
    pub(crate) diff_ids: Vec<Digest>,

    /// Let images pass that were made from tar layers
    ///
    /// `ctr images build-erofs-cache` puts them under the diffID of the tar archive, which
    /// cannot be found in the image. They are checked, and their dm-verity trees are verified;
    /// that they are the right ones is not known.
    #[arg(long)]
    pub(crate) converted: bool,

    /// Leave dm-verity trees alone
    #[arg(long)]
    pub(crate) no_dm_verity: bool,

    /// How strictly an image is checked where readers disagree
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    pub(crate) policy: PolicyName,

    /// How an image is checked.
    #[command(flatten)]
    pub(crate) check: CheckArgs,

    /// Do not check the inside of images: only digests and dm-verity trees
    #[arg(long, conflicts_with_all = ["level", "allow"])]
    pub(crate) no_check: bool,

    /// Print a report as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// What is said besides errors.
    #[command(flatten)]
    pub(crate) talk: Talk,

    /// Where it is done.
    #[command(flatten)]
    pub(crate) sandbox: SandboxArgs,

    /// What is given up for it.
    #[command(flatten)]
    pub(crate) confine: ConfineArgs,

    /// What an image may ask for.
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// `cache gc`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct CacheGc {
    /// The cache
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,

    /// OCI image layouts (folders, or tar archives of them) whose layers stay: those of all
    /// images in them, for all platforms
    #[arg(value_name = "LAYOUT", value_hint = ValueHint::AnyPath)]
    pub(crate) layouts: Vec<PathBuf>,

    /// Of the layouts, only images of this name (org.opencontainers.image.ref.name or
    /// io.containerd.image.name); can be given several times
    #[arg(long = "ref", value_name = "NAME", requires = "layouts")]
    pub(crate) references: Vec<String>,

    /// DiffID of an entry that stays; can be given several times
    #[arg(long, value_name = "DIFFID")]
    pub(crate) keep: Vec<Digest>,

    /// Keep entries that were put there less long ago: 30d, 12h, 90m, 45s
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) older_than: Option<Duration>,

    /// Root of a containerd erofs snapshotter, to whose snapshots' layers entries stay; can be
    /// given several times [default: /var/lib/containerd/io.containerd.snapshotter.v1.erofs, if
    /// it is there]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) snapshots: Vec<PathBuf>,

    /// Remove nothing, say what would be removed
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,

    /// Print a report as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// What is given up for it.
    #[command(flatten)]
    pub(crate) confine: ConfineArgs,

    /// What is said besides errors.
    #[command(flatten)]
    pub(crate) talk: Talk,

    /// What a layout may ask for.
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Reads a time: seconds, or with a unit.
fn age(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 's')) => (text.get(..at), 1),
        Some((at, 'm')) => (text.get(..at), 60),
        Some((at, 'h')) => (text.get(..at), 3600),
        Some((at, 'd')) => (text.get(..at), 86_400),
        _ => (Some(text), 1),
    };
    digits
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse::<u64>().ok()?.checked_mul(unit))
        .map(Duration::from_secs)
        .ok_or_else(|| "expected a number with d, h, m or s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("45s", Some(45)),
            ("90m", Some(5400)),
            ("12h", Some(43_200)),
            ("30d", Some(2_592_000)),
            ("", None),
            ("d", None),
            ("-1d", None),
            ("+1d", None),
            ("1.5d", None),
            ("1w", None),
            ("1 d", None),
            ("99999999999999999d", None),
            ("1µ", None),
        ] {
            assert_eq!(age(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
