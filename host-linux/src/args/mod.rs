//! The command line, as clap reads it.

mod build;
mod cache;
mod convert;
mod doctor;
mod extract;
mod index;
mod rules;
mod stream;
mod unwrap;
mod verity;
mod wrap;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueHint};
use erofs_unpack_cli::args::exit_codes;
use erofs_unpack_cli::command::Command as Shared;

pub(crate) use build::{Build, FormArgs};
pub(crate) use cache::{Cache, CacheCommand, CacheGc, CacheList, CachePut, CacheVerify};
pub(crate) use convert::Convert;
pub(crate) use doctor::Doctor;
pub(crate) use extract::Extract;
pub(crate) use index::{Index, IndexAdd, IndexArgs, IndexCommand, IndexShow, IndexVerify};
pub(crate) use rules::Rules;
pub(crate) use stream::Stream;
pub(crate) use unwrap::Unwrap;
pub(crate) use verity::{
    Saying, Verity, VerityCommand, VerityFormat, VerityInfo, VerityVerify, hex,
};
pub(crate) use wrap::{IndexName, VerityName, Wrap, WrapName};

/// Unpacks and verifies the EROFS layers of container images.
#[derive(Debug, Parser)]
#[command(
    name = "erofs-unpack",
    version,
    about,
    after_help = exit_codes(),
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Those that all hosts have.
    #[command(flatten)]
    Shared(Shared),
    /// Decode a layer from stdin to stdout, as a stream processor of containerd
    ///
    /// An EROFS image, plain, +zstd or +gzip, is unpacked in full and checked before its first
    /// byte goes to stdout; when it is refused, no byte does. A tar archive passes through as it
    /// is decoded. Digests are containerd's to verify: it does so before and after.
    Stream(Box<Stream>),
    /// Make an EROFS image of a folder or a tar archive
    ///
    /// The same source gives the same bytes, on every machine. Before the image gets its name it passes
    /// `check --policy strict`, and every file in it is read back and compared with what came.
    Build(Box<Build>),
    /// Convert an image with tar layers to one with EROFS layers
    ///
    /// Each layer is verified, made an EROFS image that passes `check --policy strict` and is read back file
    /// by file, and wrapped in chunks. Nothing has a name in DST before all layers have passed.
    Convert(Box<Convert>),
    /// Make the blob of a layer out of an EROFS image, in chunks for reading at random
    ///
    /// The image is checked at the level of its superblock. The blob is the same however many
    /// threads there are, and is read back before it gets its name. What the layer's descriptor is
    /// to say is printed.
    Wrap(Box<Wrap>),
    /// Unpack and verify the blob of one layer
    ///
    /// As `unpack` does with a lone blob. Nothing appears under its final name or on stdout before
    /// all checks have passed.
    Unwrap(Box<Unwrap>),
    /// Show, verify or make the index of a layer's chunks
    Index(Index),
    /// Fill and look after a cache of layer content, from which containerd takes layers
    ///
    /// It is a folder that `layer_content_caches` of containerd's erofs snapshotter names (2.4 and
    /// newer). The image of a layer lies in it under its diffID: ALGORITHM/XX/DIGITS.erofs.
    Cache(Cache),
    /// Make, verify and show dm-verity hash trees, with the words of veritysetup
    Verity(Verity),
    /// Create the files of an image in a directory, or write them as a tar stream
    ///
    /// The blob of a layer is verified as a whole before anything is extracted. As root
    /// everything is restored; what another user may not restore is left out, with a warning.
    /// Parents of a PATH are made as `mkdir -p` does. No symbolic link in DIR is followed. After
    /// an error DIR holds a part of the files, each of them whole.
    Extract(Box<Extract>),
    /// Say what this machine lacks for EROFS layers, and what to do
    ///
    /// One line for each thing: the kernel's EROFS and what it can read, dm-verity, fs-verity,
    /// programs, the file systems of folders, and containerd's configuration. Nothing is changed.
    /// It ends with exit code 3 when a line says fail.
    Doctor(Doctor),
    /// List the rules of the check
    Rules(Rules),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        #[arg(value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_configuration_for_containerd_calls_it_rightly() {
        let config = include_str!("../../integrations/containerd/config.toml");
        let value = |key: &str| {
            let line = config.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|line| line.strip_prefix(" = ")).unwrap()
        };
        // An array of strings is the same in JSON.
        let arguments: Vec<String> = serde_json::from_str(value("args")).unwrap();
        let path: String = serde_json::from_str(value("path")).unwrap();
        let cli = Cli::try_parse_from([path].iter().chain(&arguments)).unwrap();
        assert!(matches!(cli.command, Command::Stream(_)));
    }
}
