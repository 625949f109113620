//! Landlock: which files can be opened, and no network.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, AddRuleError, AddRulesError, BitFlags, CompatLevel,
    Compatible as _, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::State;
use crate::system::{Openings, Use};

/// The newest version that the tests have run with. What it does not know is not restricted.
const TESTED: ABI = ABI::V7;

impl Use {
    /// The accesses that it takes.
    fn accesses(self) -> BitFlags<AccessFs> {
        let spool = make_bitflags!(AccessFs::{
            ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile
        });
        // Unnamed files get their names through /proc, which counts as moving them where the
        // folder is not the one that they were made in.
        let publish = spool | AccessFs::Refer;
        match self {
            Self::Read => AccessFs::ReadFile | AccessFs::ReadDir,
            Self::List => AccessFs::ReadDir.into(),
            Self::Spool => spool,
            Self::Publish => publish,
            Self::Make => publish | AccessFs::MakeDir | AccessFs::RemoveDir,
            Self::Extract => AccessFs::from_all(TESTED) & !(AccessFs::Execute | AccessFs::IoctlDev),
            Self::Rewrite => AccessFs::WriteFile | AccessFs::Truncate,
            Self::Create => AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg,
        }
    }
}

/// Restricts this thread, and those that it starts, to these files.
pub(super) fn restrict(openings: &Openings) -> Result<State, RulesetError> {
    let mut ruleset = Ruleset::default()
        // The first version refuses all moves between folders, and so to publish a folder
        // together with its files: then none of it.
        .set_compatibility(CompatLevel::SoftRequirement)
        .handle_access(AccessFs::Refer)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(TESTED))?
        .handle_access(AccessNet::from_all(TESTED))?
        .scope(Scope::from_all(TESTED))?
        .create()?;
    for (path, meant) in openings.iter() {
        // What is not there, or may not be reached, is said by whoever opens it.
        let Ok(path) = PathFd::new(path) else {
            continue;
        };
        let mut accesses = meant.accesses();
        if !is_folder(&path) {
            accesses &= AccessFs::from_file(TESTED);
        }
        if accesses.is_empty() {
            continue;
        }
        match (&mut ruleset).add_rule(PathBeneath::new(path, accesses)) {
            Ok(_) => {}
            // Pipes, and all else that no path leads to, are open to whoever holds them.
            Err(error) if is_without_path(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let status = ruleset.restrict_self()?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::Available { .. }) => {
            State::Absent("the kernel's is too old")
        }
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => {
            State::Absent("the kernel has it switched off")
        }
        (_, LandlockStatus::Available { effective_abi, .. }) => {
            State::InForce(Some(effective_abi as u32))
        }
        _ => State::Absent("the kernel does not offer it"),
    })
}

fn is_folder(path: &PathFd) -> bool {
    rustix::fs::fstat(path)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// Whether no rule can be made for this file, because it lies in no file system that has paths.
fn is_without_path(error: &RulesetError) -> bool {
    let RulesetError::AddRules(AddRulesError::Fs(AddRuleError::AddRuleCall { source, .. })) = error
    else {
        return false;
    };
    Errno::from_io_error(source) == Some(Errno::BADFD)
}
