//! containerd's configuration, as far as it concerns EROFS layers (`integrations/containerd`).
//!
//! The keys are those of containerd 2.1 to 2.4: `cmd/containerd/server/config/config.go`,
//! `plugins/snapshots/erofs/plugin/plugin.go`, `plugins/services/diff/local.go`,
//! `plugins/transfer/plugin.go`. They are the same in the versions 2 to 4 of the file.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Machine, Probe};
use crate::report::shown;

/// What a stream processor for EROFS layers must accept: the erofs differ asks for it by this.
const TAR_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1.erofs";
const DIFFER: &str = "io.containerd.differ.v1.erofs";
const DIFF_SERVICE: &str = "io.containerd.service.v1.diff-service";
const TRANSFER: &str = "io.containerd.transfer.v1.local";

/// The files that the configuration imports which `containerd config default` writes (2.2 and newer:
/// `DefaultConfigIncludePattern` in `defaults/defaults_unix.go`). Where the file that is there does
/// not say so, they are not read (`LoadConfig` in `cmd/containerd/server/config/config.go`).
const DROP_INS: &str = "/etc/containerd/conf.d/*.toml";

/// Most files that are read.
const FILES_MAX: usize = 256;

/// The files as containerd merges them: of tables by one key, the last.
#[derive(Default)]
struct Config {
    processors: Table,
    plugins: Table,
    disabled: Vec<String>,
    version: i64,
    files: Vec<PathBuf>,
}

/// The files that look as if they were a part of the configuration.
pub(super) fn drop_ins(machine: &Machine) -> Vec<PathBuf> {
    resolve(machine, Path::new("/"), DROP_INS)
}

pub(super) fn probes(machine: &Machine, path: &Path) -> Vec<Probe> {
    const NAME: &str = "containerd";
    let config = match read(machine, path) {
        Ok(config) => config,
        Err((path, why)) => {
            let advice = "see host-linux/integrations/containerd, or name it with --containerd";
            return vec![Probe::fail(
                NAME,
                format!("{}: {why}", shown(&path)),
                advice,
            )];
        }
    };
    let first = if (2..=4).contains(&config.version) {
        let found = format!("{}, version {}", shown(path), config.version);
        Probe::ok(NAME, found)
    } else {
        Probe::fail(
            NAME,
            format!("{}: version {}", shown(path), config.version),
            "expected version 2, 3 or 4: `containerd config migrate` writes the newest",
        )
    };
    let mut probes = vec![first, config.enabled(), config.processor(machine)];
    probes.extend(config.left_out(machine));
    probes.push(config.differ_order());
    probes.push(config.unpack());
    probes.extend(config.snapshotter(machine));
    probes
}

/// Reads a file and all that it imports.
fn read(machine: &Machine, path: &Path) -> Result<Config, (PathBuf, String)> {
    let mut config = Config::default();
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        if config.files.contains(&path) {
            continue;
        }
        if config.files.len() >= FILES_MAX {
            return Err((path, format!("more than {FILES_MAX} files are imported")));
        }
        let Some(text) = machine.text(&path) else {
            return Err((path, "cannot be read".to_owned()));
        };
        let table: Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                let error: toml::de::Error = error;
                return Err((path, error.message().to_owned()));
            }
        };
        let imports = strings(table.get("imports"));
        if config.files.is_empty() {
            config.version = table
                .get("version")
                .and_then(Value::as_integer)
                .unwrap_or(1);
        }
        let mut found: Vec<PathBuf> = imports
            .iter()
            .flat_map(|import| resolve(machine, &path, import))
            .collect();
        found.reverse();
        waiting.extend(found);
        for (key, value) in sub(&table, "stream_processors") {
            config.processors.insert(key.clone(), value.clone());
        }
        for (key, value) in sub(&table, "plugins") {
            config.plugins.insert(key.clone(), value.clone());
        }
        config
            .disabled
            .extend(strings(table.get("disabled_plugins")));
        config.files.push(path);
    }
    Ok(config)
}

/// The files that an import names: beside the file that imports them, or a pattern whose last
/// part has one `*`.
fn resolve(machine: &Machine, parent: &Path, import: &str) -> Vec<PathBuf> {
    let beside = parent.parent().unwrap_or(Path::new("/"));
    let path = beside.join(import);
    let name = path.file_name().and_then(|name| name.to_str());
    let (Some(folder), Some(name)) = (path.parent(), name) else {
        return Vec::new();
    };
    let Some((start, end)) = name.split_once('*') else {
        return vec![path];
    };
    let Ok(listing) = std::fs::read_dir(machine.path(folder)) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = listing
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.len() >= start.len() + end.len())
        .filter(|name| name.starts_with(start) && name.ends_with(end))
        .map(|name| folder.join(name))
        .collect();
    found.sort();
    found
}

impl Config {
    fn plugin(&self, id: &str) -> Table {
        let table = self.plugins.get(id).and_then(Value::as_table);
        table.cloned().unwrap_or_default()
    }

    fn enabled(&self) -> Probe {
        const NAME: &str = "containerd-plugins";
        let off: Vec<&str> = [SNAPSHOTTER, DIFFER]
            .into_iter()
            .filter(|id| self.disabled.iter().any(|disabled| disabled == id))
            .collect();
        if off.is_empty() {
            return Probe::ok(NAME, "erofs snapshotter and differ are not disabled");
        }
        let advice = "take them out of disabled_plugins";
        Probe::fail(NAME, format!("disabled: {}", off.join(", ")), advice)
    }

    fn processor(&self, machine: &Machine) -> Probe {
        const NAME: &str = "containerd-processor";
        let accepts = |it: &Table| strings(it.get("accepts")).iter().any(|one| one == TAR_ZSTD);
        let is_ours = |it: &Table| strings(it.get("args")).iter().any(|one| one == "stream");
        let ours = self
            .processors
            .iter()
            .filter_map(|(name, it)| Some((name, it.as_table()?)))
            .find(|(_, it)| accepts(it) && is_ours(it));
        let Some((name, ours)) = ours else {
            return Probe::warn(
                NAME,
                format!("no `erofs-unpack stream` for {TAR_ZSTD}"),
                "EROFS layers are not checked: merge integrations/containerd/config.toml",
            );
        };
        let path = Path::new(text(ours, "path"));
        if path.is_absolute() && !machine.is_program(path) {
            let found = format!("{name}: {}: no program", shown(path));
            return Probe::fail(NAME, found, "put erofs-unpack there: pulls fail without it");
        }
        let args = strings(ours.get("args"));
        let spool = args
            .iter()
            .position(|arg| arg == "--spool-dir")
            .and_then(|at| args.get(at + 1))
            .or_else(|| args.iter().find(|arg| arg.starts_with("--spool-dir=")));
        if let Some(spool) = spool {
            let spool = Path::new(spool.trim_start_matches("--spool-dir="));
            if !machine.path(spool).is_dir() {
                let found = format!("{name}: {}: no folder", shown(spool));
                return Probe::fail(NAME, found, "make it: EROFS layers cannot wait there");
            }
        }
        let returns = text(ours, "returns");
        if returns != "application/vnd.oci.image.layer.v1.tar" {
            let advice = "expected application/vnd.oci.image.layer.v1.tar, which ends the search \
                          for further processors";
            return Probe::fail(NAME, format!("{name}: returns {returns}"), advice);
        }
        Probe::ok(NAME, format!("{name} runs {}", shown(path)))
    }

    /// Files that look as if they were read.
    fn left_out(&self, machine: &Machine) -> Option<Probe> {
        let drop_ins = drop_ins(machine);
        let missed = drop_ins.iter().find(|path| !self.files.contains(path))?;
        Some(Probe::warn(
            "containerd-imports",
            format!("{}: not imported, so not read", shown(missed)),
            format!("imports = [\"{DROP_INS}\"]"),
        ))
    }

    fn differ_order(&self) -> Probe {
        const NAME: &str = "containerd-differ";
        let order = strings(self.plugin(DIFF_SERVICE).get("default"));
        if order.first().is_some_and(|first| first == "erofs") {
            return Probe::ok(NAME, format!("diff-service: {}", order.join(", ")));
        }
        Probe::warn(
            NAME,
            "diff-service does not begin with erofs",
            "clients that unpack by themselves need default = [\"erofs\", \"walking\"]",
        )
    }

    fn unpack(&self) -> Probe {
        const NAME: &str = "containerd-unpack";
        let transfer = self.plugin(TRANSFER);
        let Some(entries) = transfer.get("unpack_config").and_then(Value::as_array) else {
            return Probe::ok(
                NAME,
                "the transfer service's own (2.3: erofs for linux(+erofs))",
            );
        };
        let erofs = entries
            .iter()
            .filter_map(Value::as_table)
            .any(|entry| text(entry, "snapshotter") == "erofs");
        if erofs {
            return Probe::ok(NAME, "an unpack_config goes to the erofs snapshotter");
        }
        Probe::warn(
            NAME,
            "no unpack_config goes to the erofs snapshotter",
            "pulls go elsewhere: add one for linux(+erofs)/ARCH, snapshotter and differ erofs",
        )
    }

    /// The snapshotter's own keys, where something is wrong with them or they name a cache.
    fn snapshotter(&self, machine: &Machine) -> Vec<Probe> {
        const NAME: &str = "containerd-snapshotter";
        const CACHE: &str = "containerd-cache";
        let table = self.plugin(SNAPSHOTTER);
        let mut probes = Vec::new();
        let is_set = |key| table.get(key).and_then(Value::as_bool) == Some(true);
        if text(&table, "dmverity_mode") == "on" && !machine.exists("/sys/module/dm_verity") {
            let advice = "modprobe dm_verity: the snapshotter does not start without";
            probes.push(Probe::fail(
                NAME,
                "dmverity_mode is on, without dm-verity",
                advice,
            ));
        }
        let caches = strings(table.get("layer_content_caches"));
        for key in ["enable_fsverity", "set_immutable"] {
            if is_set(key) && !caches.is_empty() {
                let found = format!("{key} and layer_content_caches exclude each other");
                let advice = "the snapshotter does not start: use dm-verity for the cache";
                probes.push(Probe::fail(NAME, found, advice));
            }
        }
        for cache in &caches {
            let path = Path::new(cache);
            let shown = shown(path);
            probes.push(if !path.is_absolute() {
                let advice = "name it from / on: the snapshotter does not start";
                Probe::fail(CACHE, format!("{shown}: no absolute path"), advice)
            } else if machine.path(path).is_dir() {
                Probe::ok(CACHE, shown)
            } else {
                let advice = "fill it with `erofs-unpack cache put`; until then it holds nothing";
                Probe::warn(CACHE, format!("{shown}: not there"), advice)
            });
        }
        probes
    }
}

/// A table in another, or an empty one.
fn sub<'t>(table: &'t Table, key: &str) -> impl Iterator<Item = (&'t String, &'t Value)> {
    table
        .get(key)
        .and_then(Value::as_table)
        .into_iter()
        .flatten()
}

/// A text in a table, or an empty one.
fn text<'t>(table: &'t Table, key: &str) -> &'t str {
    table.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The texts in an array.
fn strings(value: Option<&Value>) -> Vec<String> {
    let array = value.and_then(Value::as_array);
    array
        .into_iter()
        .flatten()
        .filter_map(|one| one.as_str().map(str::to_owned))
        .collect()
}
