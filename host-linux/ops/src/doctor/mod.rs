//! The operation `doctor`: what an operator would look at on a machine that is to mount EROFS layers, with or without
//! containerd.
//!
//! Nothing is changed or started. All files are looked for below one root, so that another system
//! (or a test) can be looked at; only what concerns a folder is tried out in that folder.

mod containerd;
mod folder;
mod kernel;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::HostError;
use crate::report::{VERSION, outcome_name};

/// How much of a file is read at most, in bytes.
const FILE_MAX: u64 = 4 << 20;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Health {
    /// As it should be.
    Ok,
    /// Something will not work, or cannot be found out.
    Warn,
    /// Nothing that depends on it will work.
    Fail,
}

impl Health {
    /// The word in front of a line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Probe {
    /// What it is: a stable name in kebab-case.
    pub name: &'static str,
    /// How it is.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do; empty where there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

impl Probe {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            health: Health::Ok,
            found: found.into(),
            advice: String::new(),
        }
    }

    fn warn(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            name,
            health: Health::Warn,
            found: found.into(),
            advice: advice.into(),
        }
    }

    fn fail(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            health: Health::Fail,
            ..Self::warn(name, found, advice)
        }
    }
}

/// Where containerd's configuration lies, unless it is named.
const CONTAINERD: &str = "/etc/containerd/config.toml";

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Options {
    /// What stands for `/`: another system, as it lies in a folder.
    pub root: PathBuf,
    /// Folders whose file systems are tried, with files that get no name.
    pub folders: Vec<PathBuf>,
    /// containerd's configuration; the usual one, if it is there, where none is given.
    pub containerd: Option<PathBuf>,
}

/// What was found: what `--json` prints.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// `doctor`.
    pub command: &'static str,
    /// `done` or `failed`.
    pub outcome: &'static str,
    /// The exit code of a program that ends so: 3 when something fails, since then the
    /// environment does.
    pub exit_code: u8,
    /// Everything that was looked at.
    pub probes: Vec<Probe>,
}

/// Says what a machine lacks for EROFS layers. Nothing is changed.
///
/// # Errors
///
/// [`HostError::Environment`] when the root cannot be listed.
pub fn doctor(options: &Options) -> Result<Report, HostError> {
    fs::read_dir(&options.root)
        .map_err(|error| HostError::environment(&options.root, "open the directory", error))?;
    let mut machine = Machine::new(&options.root);
    machine.folders.clone_from(&options.folders);
    match &options.containerd {
        None => machine.look_for_containerd(Path::new(CONTAINERD)),
        // Of this system it is named as any file is, of another from its / on.
        Some(path) if options.root == Path::new("/") => {
            let path = std::path::absolute(path)
                .map_err(|error| HostError::environment(path, "find", error))?;
            machine.containerd = Some(path);
        }
        Some(path) => machine.containerd = Some(path.clone()),
    }
    let probes = machine.probe();
    let failed = probes.iter().any(|probe| probe.health == Health::Fail);
    let exit_code = if failed { 3 } else { 0 };
    Ok(Report {
        version: VERSION,
        command: "doctor",
        outcome: outcome_name(exit_code),
        exit_code,
        probes,
    })
}

/// Where things are looked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Machine {
    /// What stands for `/`.
    pub root: PathBuf,
    /// containerd's configuration below the root, if it is to be looked at.
    pub containerd: Option<PathBuf>,
    /// Folders, as they are named outside of the root.
    pub folders: Vec<PathBuf>,
    /// Where programs are looked for, below the root.
    pub path: Vec<PathBuf>,
}

impl Machine {
    /// The system below a root, with nothing else to look at.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];
        Self {
            root: root.into(),
            containerd: None,
            folders: Vec::new(),
            path: std::env::split_paths(&path)
                .chain(folders.map(PathBuf::from))
                .collect(),
        }
    }

    /// Looks at containerd's configuration at this path too, if it or a file that it might import
    /// is there.
    pub fn look_for_containerd(&mut self, path: &Path) {
        if self.exists(path) || !containerd::drop_ins(self).is_empty() {
            self.containerd = Some(path.to_owned());
        }
    }

    /// Looks at everything.
    #[must_use]
    pub fn probe(&self) -> Vec<Probe> {
        let kernel = kernel::Kernel::of(self);
        let mut probes = kernel.probes(self);
        probes.push(self.program(
            "mkfs-erofs",
            "mkfs.erofs",
            "containerd's erofs differ needs it: install erofs-utils 1.7 or newer",
        ));
        probes.push(self.program(
            "veritysetup",
            "veritysetup",
            "cache put --dm-verity needs it: install cryptsetup-bin",
        ));
        probes.extend(self.folders.iter().map(|folder| folder::probe(folder)));
        if let Some(config) = &self.containerd {
            probes.extend(containerd::probes(self, config));
        }
        probes
    }

    /// A path below the root.
    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A file below the root as text; `None` when it is not there, cannot be read or is large.
    fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = self.bytes(path)?;
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    fn bytes(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let path = self.path(path);
        // A pipe would be waited for.
        if !fs::metadata(&path).ok()?.is_file() {
            return None;
        }
        let mut content = Vec::new();
        let file = fs::File::open(path).ok()?;
        file.take(FILE_MAX).read_to_end(&mut content).ok()?;
        Some(content)
    }

    fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).exists()
    }

    /// Whether a program can be run.
    fn is_program(&self, path: &Path) -> bool {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = fs::metadata(self.path(path));
        metadata.is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    }

    fn program(&self, name: &'static str, program: &str, advice: &str) -> Probe {
        let found = self
            .path
            .iter()
            .map(|folder| folder.join(program))
            .find(|path| path.is_absolute() && self.is_program(path));
        match found {
            Some(path) => Probe::ok(name, path.display().to_string()),
            None => Probe::warn(name, format!("{program}: not found"), advice),
        }
    }
}
