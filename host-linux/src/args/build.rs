//! The arguments of `build`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use erofs_unpack_cli::args::{ConfineArgs, LimitArgs, Talk, exit_codes, size};
use erofs_unpack_core::erofs::Release;
use erofs_unpack_ops::build::Uuid;

/// `build`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct Build {
    /// A folder, a tar archive, plain or compressed with gzip or zstd, or - for an archive on stdin
    #[arg(value_name = "DIR|TAR", value_hint = ValueHint::AnyPath)]
    pub(crate) source: PathBuf,

    /// The image: a file, or - for stdout
    #[arg(short, long, value_name = "IMAGE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,

    /// Its form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// UUID: content, containerd, or one in hex
    ///
    /// With content it follows from what is in the image: of an archive from its diffID, so that an archive
    /// gives the same image however it is compressed. With containerd it is what containerd makes of the
    /// digest of the archive as it comes, compressed or not.
    #[arg(short = 'U', long, value_name = "UUID", default_value = "content", value_parser = uuid)]
    pub(crate) uuid: Uuid,

    /// Name of the volume, up to 16 bytes
    #[arg(short = 'L', long, value_name = "NAME", value_parser = label, default_value = "")]
    pub(crate) label: [u8; 16],

    /// Leave out what matches, and all below, as `tar --exclude` does; may be repeated
    #[arg(long, value_name = "PATTERN", value_parser = glob::Pattern::new)]
    pub(crate) exclude: Vec<glob::Pattern>,

    /// Make root the owner of all files
    #[arg(long, conflicts_with_all = ["uid_map", "gid_map"])]
    pub(crate) all_root: bool,

    /// Make owner FROM the owner TO, and so on for COUNT of them; may be repeated
    #[arg(long, value_name = "FROM:TO:COUNT", value_parser = id_map)]
    pub(crate) uid_map: Vec<(u32, u32, u32)>,

    /// The same for groups
    #[arg(long, value_name = "FROM:TO:COUNT", value_parser = id_map)]
    pub(crate) gid_map: Vec<(u32, u32, u32)>,

    /// Take extended attributes from a list, as `getfattr --dump` writes it
    ///
    /// Paths count from the root of the image. What the list names has the attributes that it states, and
    /// no others; so a file can have a capability, or an SELinux label, without root.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) xattrs_from: Option<PathBuf>,

    /// Do not read the image back and compare each file with its source
    #[arg(long)]
    pub(crate) no_read_back: bool,

    /// Replace a file that exists; a symbolic link is replaced itself, never followed
    #[arg(long)]
    pub(crate) force: bool,

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

/// What images look like.
#[derive(Debug, Args)]
pub(crate) struct FormArgs {
    /// Size of a block: 512 to 65536 bytes
    ///
    /// Linux before 6.4 reads blocks of 4096 bytes alone, and no kernel such that are larger than its pages.
    #[arg(short = 'b', long, value_name = "BYTES", default_value = "4096", value_parser = block_size)]
    pub(crate) block_size: u32,

    /// Put the end of a file that does not fill a block behind its inode, where it fits
    ///
    /// The image gets smaller where there are many small files. Without it every file has blocks
    /// of its own, as containerd wants it (`mkfs.erofs -Enoinline_data`).
    #[arg(long)]
    pub(crate) inline_data: bool,

    /// Keep OCI's whiteouts as they are, files whose names start with .wh.
    ///
    /// Without it they become those of overlayfs, as with `mkfs.erofs --aufs`.
    #[arg(long)]
    pub(crate) no_aufs: bool,

    /// Give all files this time, in seconds since 1970
    #[arg(
        short = 'T',
        long,
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    pub(crate) all_time: Option<i64>,

    /// Refuse to make what this release of Linux does not read, such as 5.16
    #[arg(long, value_name = "RELEASE", value_parser = release)]
    pub(crate) kernel: Option<Release>,
}

fn release(text: &str) -> Result<Release, String> {
    Release::parse(text).ok_or_else(|| "expected a release of Linux, such as 6.12".to_owned())
}

fn block_size(text: &str) -> Result<u32, String> {
    size(text)
        .ok()
        .and_then(|size| u32::try_from(size).ok())
        .filter(|size| size.is_power_of_two() && (512..=65536).contains(size))
        .ok_or_else(|| "expected a power of two from 512 to 65536".to_owned())
}

fn label(text: &str) -> Result<[u8; 16], String> {
    let mut label = [0; 16];
    let bytes = text.as_bytes();
    let place = label.get_mut(..bytes.len());
    place
        .ok_or_else(|| "expected up to 16 bytes".to_owned())?
        .copy_from_slice(bytes);
    Ok(label)
}

pub(super) fn uuid(text: &str) -> Result<Uuid, String> {
    match text {
        "content" => return Ok(Uuid::Content),
        "containerd" => return Ok(Uuid::Containerd),
        _ => {}
    }
    let digits: String = text.chars().filter(|digit| *digit != '-').collect();
    if digits.len() == 32
        && let Ok(number) = u128::from_str_radix(&digits, 16)
    {
        return Ok(Uuid::Fixed(number.to_be_bytes()));
    }
    Err("expected content, containerd, or 32 hexadecimal digits".to_owned())
}

fn id_map(text: &str) -> Result<(u32, u32, u32), String> {
    let numbers: Vec<u32> = text.split(':').map_while(|id| id.parse().ok()).collect();
    match numbers[..] {
        [from, to, count] if text.split(':').count() == 3 => Ok((from, to, count)),
        _ => Err("expected three numbers, FROM:TO:COUNT".to_owned()),
    }
}
