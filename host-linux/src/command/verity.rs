//! `erofs-unpack verity`: dm-verity trees.

use erofs_unpack_cli::output::{exit_code, print, write_json};
use erofs_unpack_ops::HostError;
use erofs_unpack_ops::system::{Openings, Purpose, processors};
use erofs_unpack_ops::verity::{FormatOptions, Place, Report, VerifyOptions, format, info, verify};

use crate::args::{Saying, Verity, VerityCommand, VerityFormat, VerityInfo, VerityVerify, hex};

/// Most bytes of a file with a root hash that are looked at.
const ROOT_MAX: usize = 256;

/// Runs the command and gives its exit code.
pub(crate) fn run(args: &Verity) -> u8 {
    exit_code(
        match &args.command {
            VerityCommand::Format(args) => run_format(args),
            VerityCommand::Verify(args) => run_verify(args),
            VerityCommand::Info(args) => run_info(args),
        }
        .map(|()| 0),
    )
}

/// Gives up what is not needed.
fn confine(openings: &Openings, saying: Saying) -> Result<(), HostError> {
    let nothing = || Ok(());
    saying
        .confine
        .confine(openings, Purpose::Verify, saying.verbose, nothing)
}

/// Prints the report, as JSON or in the words of `veritysetup`.
fn output(report: &Report, saying: Saying) -> Result<(), HostError> {
    if saying.json {
        write_json(report, "-".as_ref())
    } else {
        print(&report.text())
    }
}

/// How many threads are meant.
fn threads(threads: Option<u16>) -> usize {
    threads.map_or_else(processors, usize::from)
}

fn run_format(args: &VerityFormat) -> Result<(), HostError> {
    let place = Place {
        data: args.files.image.clone(),
        hashes: args.hashes.clone(),
        offset: args.files.hash_offset,
    };
    let making = &args.making;
    let options = FormatOptions {
        hash: making.hash.into(),
        format: making.hash_type(),
        data_block_size: making.data_block_size,
        hash_block_size: making.hash_block_size,
        data_blocks: making.data_blocks,
        salt: making.salt,
        uuid: args.uuid,
        superblock: !making.no_superblock,
        threads: threads(args.threads),
    };
    let mut openings = Openings::new();
    openings.read(&place.data);
    openings.report(place.hashes());
    if let Some(path) = &args.root_hash_file {
        openings.report(path);
    }
    confine(&openings, args.saying)?;
    let report = format(&place, &options)?;
    if let (Some(path), Some(root)) = (&args.root_hash_file, &report.root_hash) {
        std::fs::write(path, root).map_err(|error| HostError::environment(path, "write", error))?;
    }
    output(&report, args.saying)
}

fn run_verify(args: &VerityVerify) -> Result<(), HostError> {
    let (hashes, root) = args.rest()?;
    let place = Place {
        data: args.files.image.clone(),
        hashes,
        offset: args.files.hash_offset,
    };
    let mut openings = Openings::new();
    openings.read(&place.data);
    openings.read(place.hashes());
    if let Some(path) = &args.root_hash_file {
        openings.read(path);
    }
    confine(&openings, args.saying)?;
    let root = match (root, &args.root_hash_file) {
        (Some(root), _) => root,
        (None, Some(path)) => read_root(path)?,
        (None, None) => {
            return Err(HostError::Usage(
                "expected a root hash, or --root-hash-file: without one nothing is verified".into(),
            ));
        }
    };
    let root = hex(&root).ok_or_else(|| {
        HostError::Usage("the root hash: expected hex digits, two for each byte".into())
    })?;
    let options = VerifyOptions {
        root,
        without_superblock: args.making.params(),
        threads: threads(args.threads),
    };
    let report = verify(&place, &options)?;
    if args.saying.json {
        return write_json(&report, "-".as_ref());
    }
    // veritysetup says nothing where all is well.
    if args.saying.verbose {
        print(&report.text())?;
    }
    Ok(())
}

/// The root hash in a file, with or without a newline at its end.
fn read_root(path: &std::path::Path) -> Result<String, HostError> {
    use std::io::Read as _;
    let failed = |error| HostError::environment(path, "read", error);
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(ROOT_MAX as u64).read_to_string(&mut text))
        .map_err(failed)?;
    Ok(text.trim_end().to_owned())
}

fn run_info(args: &VerityInfo) -> Result<(), HostError> {
    let mut openings = Openings::new();
    openings.read(&args.image);
    confine(&openings, args.saying)?;
    output(&info(&args.place())?, args.saying)
}
