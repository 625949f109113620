//! What the kernel can do.

use core::fmt::Write as _;

use erofs_unpack_core::Limits;
use erofs_unpack_core::codec::{Decoder as _, Gzip};

use super::{FILE_MAX, Machine, Probe};

/// The algorithms of compressed images: option of the kernel's configuration, and the release that
/// has it first (`fs/erofs/Kconfig`).
const ALGORITHMS: [(&str, &str, (u32, u32)); 4] = [
    ("LZ4", "CONFIG_EROFS_FS_ZIP", (5, 3)),
    ("LZMA", "CONFIG_EROFS_FS_ZIP_LZMA", (5, 16)),
    ("DEFLATE", "CONFIG_EROFS_FS_ZIP_DEFLATE", (6, 6)),
    ("zstd", "CONFIG_EROFS_FS_ZIP_ZSTD", (6, 10)),
];

/// The features of `/sys/fs/erofs/features` (`fs/erofs/sysfs.c`) that images may need.
const FEATURES: [&str; 11] = [
    "zero_padding",
    "compr_cfgs",
    "big_pcluster",
    "chunked_file",
    "device_table",
    "compr_head2",
    "ztailpacking",
    "fragments",
    "dedupe",
    "48bit",
    "metabox",
];

/// An option of the kernel's configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    BuiltIn,
    Module,
    No,
    /// There is no configuration to be found.
    Unknown,
}

/// The running kernel.
pub(super) struct Kernel {
    release: String,
    /// Major and minor number.
    version: Option<(u32, u32)>,
    /// Its configuration, if it is to be found.
    config: Option<String>,
}

impl Kernel {
    pub(super) fn of(machine: &Machine) -> Self {
        let release = machine.text("/proc/sys/kernel/osrelease");
        let release = release.as_deref().unwrap_or_default().trim().to_owned();
        let mut numbers = release.split(|byte: char| !byte.is_ascii_digit());
        let mut number = || numbers.next()?.parse().ok();
        let version = number().zip(number());
        // A name that is no release would lead anywhere.
        let config = machine.bytes("/proc/config.gz").and_then(|gz| gunzip(&gz));
        let elsewhere = || {
            let plain = !release.is_empty() && !release.contains('/');
            plain.then(|| {
                machine
                    .text(format!("/boot/config-{release}"))
                    .or_else(|| machine.text(format!("/lib/modules/{release}/config")))
            })?
        };
        Self {
            config: config.or_else(elsewhere),
            version,
            release,
        }
    }

    fn choice(&self, option: &str) -> Choice {
        let Some(config) = &self.config else {
            return Choice::Unknown;
        };
        let value = config
            .lines()
            .find_map(|line| line.strip_prefix(option)?.strip_prefix('='));
        match value {
            Some("y") => Choice::BuiltIn,
            Some("m") => Choice::Module,
            _ => Choice::No,
        }
    }

    fn since(&self, version: (u32, u32)) -> bool {
        self.version.is_some_and(|own| own >= version)
    }

    pub(super) fn probes(&self, machine: &Machine) -> Vec<Probe> {
        let mut probes = vec![self.release(), self.erofs(machine)];
        probes.extend(self.features(machine));
        probes.push(self.file_backed());
        probes.push(self.compression());
        probes.extend(self.page_size(machine));
        probes.push(overlay(machine, self));
        probes.push(self.dm_verity(machine));
        probes.push(self.fs_verity());
        probes
    }

    fn release(&self) -> Probe {
        const NAME: &str = "kernel";
        if self.version.is_none() {
            let advice = "mount /proc; what follows is found as far as it can be";
            return Probe::warn(NAME, "its release is not to be found", advice);
        }
        let found = format!("Linux {}", self.release);
        if self.config.is_none() {
            let advice = "look at its options yourself: no /proc/config.gz or /boot/config-*";
            return Probe::warn(
                NAME,
                format!("{found}, its configuration not found"),
                advice,
            );
        }
        Probe::ok(NAME, found)
    }

    fn erofs(&self, machine: &Machine) -> Probe {
        const NAME: &str = "erofs";
        if has_file_system(machine, "erofs") {
            return Probe::ok(NAME, "EROFS can be mounted");
        }
        match self.choice("CONFIG_EROFS_FS") {
            Choice::Module => Probe::warn(
                NAME,
                "EROFS is a module that is not loaded",
                "modprobe erofs, and at every start: a file in /etc/modules-load.d",
            ),
            Choice::Unknown if self.since((5, 4)) => Probe::warn(
                NAME,
                "EROFS is not there, perhaps as a module",
                "modprobe erofs; where that fails, a kernel with CONFIG_EROFS_FS",
            ),
            _ => Probe::fail(
                NAME,
                "the kernel has no EROFS",
                "use a kernel from 5.4 on, with CONFIG_EROFS_FS",
            ),
        }
    }

    /// The features that the kernel names, where it is loaded.
    fn features(&self, machine: &Machine) -> Option<Probe> {
        const NAME: &str = "erofs-features";
        let folder = "/sys/fs/erofs/features";
        if !machine.exists(folder) {
            return None;
        }
        let missing: Vec<&str> = FEATURES
            .into_iter()
            .filter(|feature| !machine.exists(format!("{folder}/{feature}")))
            .collect();
        Some(if missing.is_empty() {
            Probe::ok(NAME, "all features of images that are known here")
        } else {
            Probe::warn(
                NAME,
                format!("unknown to this kernel: {}", missing.join(", ")),
                "images that need them do not mount: make them without, or use a newer kernel",
            )
        })
    }

    fn file_backed(&self) -> Probe {
        const NAME: &str = "file-backed-mounts";
        match self.choice("CONFIG_EROFS_FS_BACKED_BY_FILE") {
            Choice::BuiltIn | Choice::Module => {
                Probe::ok(NAME, "images are mounted without loop devices")
            }
            Choice::Unknown if self.since((6, 12)) => Probe::ok(
                NAME,
                "images are mounted without loop devices, by the release",
            ),
            _ => Probe::warn(
                NAME,
                "images need loop devices",
                "Linux 6.12 or newer with CONFIG_EROFS_FS_BACKED_BY_FILE does without",
            ),
        }
    }

    fn compression(&self) -> Probe {
        const NAME: &str = "erofs-compression";
        let mut has = Vec::new();
        let mut lacks = Vec::new();
        for (name, option, since) in ALGORITHMS {
            match self.choice(option) {
                Choice::BuiltIn | Choice::Module => has.push(name),
                // Which of them a release has does not say which of them were chosen.
                Choice::Unknown if self.since(since) => has.push(name),
                Choice::Unknown | Choice::No => lacks.push(name),
            }
        }
        let mut found = match has.as_slice() {
            [] => "none".to_owned(),
            has => has.join(", "),
        };
        if self.config.is_none() {
            found.push_str(", by the release");
        }
        if lacks.is_empty() {
            return Probe::ok(NAME, found);
        }
        let _ = write!(found, "; not {}", lacks.join(", "));
        let advice = "compressed images mount only with their algorithm: CONFIG_EROFS_FS_ZIP*";
        Probe::warn(NAME, found, advice)
    }

    /// How large a page is, which no block may exceed; where it is to be found.
    fn page_size(&self, machine: &Machine) -> Option<Probe> {
        const NAME: &str = "page-size";
        let size = page_size(&machine.bytes("/proc/self/auxv")?)?;
        let found = format!("{size} bytes: blocks of images may be as large, and no larger");
        // What mkfs.erofs writes here and nearly everywhere.
        const BLOCK: u64 = 4096;
        let lacks = [
            (
                (6, 4),
                "images with blocks of 4096 bytes need Linux 6.4 or newer here",
            ),
            (
                (6, 8),
                "compressed images with blocks of 4096 bytes need Linux 6.8 or newer here",
            ),
        ];
        let lack = lacks.into_iter().find(|(release, _)| !self.since(*release));
        Some(match lack {
            Some((_, advice)) if size > BLOCK => Probe::warn(NAME, found, advice),
            _ => Probe::ok(NAME, found),
        })
    }

    fn dm_verity(&self, machine: &Machine) -> Probe {
        const NAME: &str = "dm-verity";
        // Where containerd looks (`IsSupported` in `internal/dmverity/dmverity_linux.go`).
        if machine.exists("/sys/module/dm_verity") {
            return Probe::ok(NAME, "layers with hash trees can be mounted verified");
        }
        match self.choice("CONFIG_DM_VERITY") {
            Choice::Module => Probe::warn(
                NAME,
                "a module that is not loaded",
                "modprobe dm_verity, where layers have hash trees",
            ),
            Choice::Unknown => Probe::warn(
                NAME,
                "not there, perhaps as a module",
                "modprobe dm_verity, where layers have hash trees",
            ),
            _ => Probe::warn(
                NAME,
                "the kernel has none",
                "layers with hash trees need CONFIG_DM_VERITY, or dmverity_mode = \"off\"",
            ),
        }
    }

    fn fs_verity(&self) -> Probe {
        const NAME: &str = "fs-verity";
        match self.choice("CONFIG_FS_VERITY") {
            Choice::BuiltIn | Choice::Module => {
                Probe::ok(NAME, "the kernel has it; the file system must have it too")
            }
            Choice::Unknown if self.since((5, 4)) => Probe::warn(
                NAME,
                "not known",
                "containerd's enable_fsverity needs CONFIG_FS_VERITY",
            ),
            _ => Probe::warn(
                NAME,
                "the kernel has none",
                "containerd's enable_fsverity needs CONFIG_FS_VERITY",
            ),
        }
    }
}

/// The page size in what the kernel hands to a process (`AT_PAGESZ` in `include/uapi/linux/auxvec.h`):
/// pairs of a kind and a value, each a machine word of this program.
fn page_size(auxv: &[u8]) -> Option<u64> {
    const PAGE_SIZE: usize = 6;
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| Some(usize::from_ne_bytes(bytes.try_into().ok()?));
    let mut pairs = auxv.chunks_exact(2 * WORD).map(|pair| pair.split_at(WORD));
    let (_, value) = pairs.find(|(kind, _)| word(kind) == Some(PAGE_SIZE))?;
    word(value)?.try_into().ok()
}

fn overlay(machine: &Machine, kernel: &Kernel) -> Probe {
    const NAME: &str = "overlayfs";
    if has_file_system(machine, "overlay") {
        return Probe::ok(NAME, "layers can be mounted together");
    }
    match kernel.choice("CONFIG_OVERLAY_FS") {
        Choice::Module | Choice::Unknown => Probe::warn(
            NAME,
            "not there, perhaps as a module",
            "modprobe overlay, to mount several layers together",
        ),
        _ => Probe::fail(
            NAME,
            "the kernel has none",
            "several layers are mounted together by CONFIG_OVERLAY_FS",
        ),
    }
}

fn has_file_system(machine: &Machine, name: &str) -> bool {
    let list = machine.text("/proc/filesystems").unwrap_or_default();
    list.lines()
        .any(|line| line.split_whitespace().next_back() == Some(name))
}

/// The text in a gzip file, as far as it is no larger than any configuration.
fn gunzip(mut gz: &[u8]) -> Option<String> {
    let mut decoder = Gzip::new(&Limits::DEFAULT);
    let mut text = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    while text.len() as u64 <= FILE_MAX {
        let step = decoder.decode(gz, &mut buffer).ok()?;
        text.extend_from_slice(buffer.get(..step.produced)?);
        gz = gz.get(step.consumed..)?;
        if gz.is_empty() && step.produced < buffer.len() {
            decoder.finish().ok()?;
            return Some(String::from_utf8_lossy(&text).into_owned());
        }
    }
    None
}
