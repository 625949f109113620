//! `erofs-unpack doctor`: what it says of machines that tests make.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use common::*;
use serde_json::Value;

/// The snippet of the integration, which must be in order.
const CONFIG_FILE: &str = include_str!("../integrations/containerd/config.toml");

/// All options that are asked for.
const OPTIONS: &str = "\
CONFIG_EROFS_FS=y
CONFIG_EROFS_FS_BACKED_BY_FILE=y
CONFIG_EROFS_FS_ZIP=y
CONFIG_EROFS_FS_ZIP_LZMA=y
CONFIG_EROFS_FS_ZIP_DEFLATE=y
CONFIG_EROFS_FS_ZIP_ZSTD=y
CONFIG_OVERLAY_FS=y
CONFIG_DM_VERITY=m
CONFIG_FS_VERITY=y
";

/// A machine that lacks nothing.
struct Machine(Dir);

impl Machine {
    fn new() -> Self {
        let machine = Self(Dir::new());
        machine.write("proc/sys/kernel/osrelease", "6.12.0-test\n");
        machine.write(
            "proc/filesystems",
            "nodev\tsysfs\nnodev\toverlay\n\terofs\n\text4\n",
        );
        machine.write("proc/config.gz", gzip(OPTIONS.as_bytes()));
        machine.page_size(4096);
        for feature in [
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
        ] {
            machine.write(&format!("sys/fs/erofs/features/{feature}"), "supported\n");
        }
        fs::create_dir_all(machine.0.path("sys/module/dm_verity")).unwrap();
        for program in [
            "usr/bin/mkfs.erofs",
            "usr/sbin/veritysetup",
            "usr/local/bin/erofs-unpack",
        ] {
            let path = machine.write(program, "#!/bin/sh\n");
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        machine.write("etc/containerd/config.toml", CONFIG_FILE);
        fs::create_dir_all(machine.0.path("var/lib/containerd")).unwrap();
        machine
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        self.0.write(name, content)
    }

    /// What the kernel hands to a process, the size of a page among it.
    fn page_size(&self, size: usize) {
        let words = [16, 0x178b_fbff, 6, size, 17, 100, 0, 0_usize];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.write("proc/self/auxv", bytes);
    }

    fn remove(&self, name: &str) {
        let path = self.0.path(name);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    fn run(&self, more: &[&str]) -> Run {
        let mut arguments = args!["doctor", "--root", self.0.0];
        arguments.extend(more.iter().map(Into::into));
        run(arguments)
    }

    /// The health of one probe and what was found; the exit code must fit all of them.
    #[track_caller]
    fn probe(&self, name: &str) -> (String, String) {
        let run = self.run(&["--json"]);
        let report = run.json();
        let probes = report["probes"].as_array().unwrap();
        let failed = probes.iter().any(|probe| probe["health"] == "fail");
        assert_eq!(run.code(), if failed { 3 } else { 0 });
        assert_eq!(report["exitCode"], run.code());
        for probe in probes {
            let has_advice = probe["advice"].as_str().is_some_and(|it| !it.is_empty());
            assert_eq!(has_advice, probe["health"] != "ok", "{probe}");
        }
        let found: Vec<&Value> = probes.iter().filter(|it| it["name"] == name).collect();
        assert_eq!(found.len(), 1, "{name}: {report}");
        let text = |key: &str| found[0][key].as_str().unwrap().to_owned();
        (text("health"), text("found"))
    }

    #[track_caller]
    fn expect(&self, name: &str, health: &str, part: &str) {
        let (is, found) = self.probe(name);
        assert_eq!(is, health, "{name}: {found}");
        assert!(found.contains(part), "{name}: {found}");
    }
}

#[test]
fn a_machine_that_lacks_nothing() {
    let machine = Machine::new();
    let run = machine.run(&[]);
    assert_eq!(run.stderr, "");
    for line in run.done().lines() {
        assert!(line.starts_with("ok   "), "{line}");
    }
    assert_eq!(run.text().lines().count(), 16);
    assert!(run.text().starts_with("ok   kernel: Linux 6.12.0-test\n"));
}

#[test]
fn pages() {
    let machine = Machine::new();
    machine.expect("page-size", "ok", "4096 bytes");
    machine.page_size(16384);
    machine.expect("page-size", "ok", "16384 bytes");
    for (release, health) in [("6.8.0", "ok"), ("6.7.0", "warn"), ("6.3.0", "warn")] {
        machine.write("proc/sys/kernel/osrelease", release);
        machine.expect("page-size", health, "16384 bytes");
    }
    // Without it nothing is said.
    machine.remove("proc/self/auxv");
    assert!(!machine.run(&[]).text().contains("page-size"));
}

#[test]
fn kernels() {
    let machine = Machine::new();
    machine.write("proc/filesystems", "nodev\tsysfs\n");
    machine.remove("sys/module/dm_verity");
    let config = |text: &str| machine.write("proc/config.gz", gzip(text.as_bytes()));
    config(&OPTIONS.replace("_FS=y", "_FS=m"));
    machine.expect("erofs", "warn", "module that is not loaded");
    machine.expect("overlayfs", "warn", "module");
    machine.expect("dm-verity", "warn", "module that is not loaded");
    config("# CONFIG_EROFS_FS is not set\n");
    machine.expect("erofs", "fail", "no EROFS");
    machine.expect("overlayfs", "fail", "none");
    machine.expect("dm-verity", "warn", "the kernel has none");
    machine.expect("fs-verity", "warn", "the kernel has none");
    machine.expect("file-backed-mounts", "warn", "loop devices");
    machine.expect(
        "erofs-compression",
        "warn",
        "none; not LZ4, LZMA, DEFLATE, zstd",
    );
    config(&OPTIONS.replace("CONFIG_EROFS_FS_ZIP_ZSTD=y", "# none"));
    machine.expect("erofs-compression", "warn", "LZ4, LZMA, DEFLATE; not zstd");
    machine.remove("sys/fs/erofs/features/48bit");
    machine.expect("erofs-features", "warn", "unknown to this kernel: 48bit");
    // Where the configuration lies elsewhere.
    machine.remove("proc/config.gz");
    for place in ["lib/modules/6.12.0-test/config", "boot/config-6.12.0-test"] {
        machine.write(place, OPTIONS);
        machine.expect("kernel", "ok", "6.12.0-test");
        machine.expect("fs-verity", "ok", "");
        machine.remove(place);
    }
    // Nowhere: the release tells.
    machine.expect("kernel", "warn", "its configuration not found");
    machine.expect("erofs", "warn", "perhaps as a module");
    machine.expect("file-backed-mounts", "ok", "by the release");
    machine.expect("erofs-compression", "ok", "by the release");
    for (release, backed, algorithms) in [
        ("6.11.9", "warn", "LZ4, LZMA, DEFLATE, zstd"),
        (
            "6.9.0-rc1",
            "warn",
            "LZ4, LZMA, DEFLATE, by the release; not zstd",
        ),
        ("5.10.1", "warn", "LZ4, by the release"),
        ("4.19", "warn", "none"),
        ("../../x", "warn", "none"),
    ] {
        machine.write("proc/sys/kernel/osrelease", release);
        machine.expect("file-backed-mounts", backed, "");
        let (_, found) = machine.probe("erofs-compression");
        assert!(found.starts_with(algorithms), "{release}: {found}");
    }
    machine.expect("erofs", "fail", "no EROFS");
    machine.expect("kernel", "warn", "not to be found");
    // A file that is no configuration is passed over.
    machine.write("proc/sys/kernel/osrelease", "6.12.0-test");
    for bad in [b"no gzip".as_slice(), &gzip(OPTIONS.as_bytes())[..40]] {
        machine.write("proc/config.gz", bad);
        machine.expect("kernel", "warn", "its configuration not found");
    }
}

#[test]
fn programs() {
    let machine = Machine::new();
    let plain = fs::Permissions::from_mode(0o644);
    fs::set_permissions(machine.0.path("usr/bin/mkfs.erofs"), plain).unwrap();
    machine.remove("usr/sbin/veritysetup");
    machine.expect("mkfs-erofs", "warn", "not found");
    machine.expect("veritysetup", "warn", "not found");
}

#[test]
fn folders() {
    let machine = Machine::new();
    let dir = Dir::new();
    let missing = run(args!["doctor", "--root", machine.0.0, dir.path("absent")]);
    assert_eq!(missing.code(), 3);
    assert!(missing.text().contains("fail folder: "));
    let disk = dir.path("btrfs.img");
    fs::File::create(&disk).unwrap().set_len(256 << 20).unwrap();
    let made = Command::new("mkfs.btrfs")
        .env("PATH", path_with_sbin())
        .arg("-q")
        .arg(&disk)
        .output();
    let btrfs = made
        .is_ok_and(|made| made.status.success())
        .then(|| Mounted::new(["-o".as_ref(), "loop".as_ref(), disk.as_os_str()]))
        .flatten();
    let (Some(btrfs), Some(tmpfs)) = (btrfs, Mounted::tmpfs("1m")) else {
        println!("skipped: needs mkfs.btrfs and the right to mount");
        return;
    };
    let run = run(args!["doctor", "--root", machine.0.0, btrfs.0.0, tmpfs.0.0]);
    let lines: Vec<&str> = run
        .done()
        .lines()
        .filter(|it| it.contains(" folder: "))
        .collect();
    assert!(
        lines[0].starts_with("ok ") && lines[0].contains("reflink"),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("warn ") && lines[1].contains("no reflink"),
        "{lines:?}"
    );
    assert_eq!((btrfs.0.names().len(), tmpfs.0.names().len()), (0, 0));
}

#[test]
fn containerd_configurations() {
    let machine = Machine::new();
    let path = "etc/containerd/config.toml";
    let with = |from: &str, to: &str| {
        assert!(CONFIG_FILE.contains(from), "{from}");
        machine.write(path, CONFIG_FILE.replace(from, to))
    };
    for (version, health) in [
        ("2", "ok"),
        ("3", "ok"),
        ("4", "ok"),
        ("1", "fail"),
        ("5", "fail"),
    ] {
        with("version = 4", &format!("version = {version}"));
        machine.expect("containerd", health, &format!("version {version}"));
    }
    with(
        "version = 4",
        "disabled_plugins = [\"io.containerd.differ.v1.erofs\"]\nversion = 4",
    );
    machine.expect(
        "containerd-plugins",
        "fail",
        "io.containerd.differ.v1.erofs",
    );
    with(".tar+zstd\"]", ".tar+gzip\"]");
    machine.expect("containerd-processor", "warn", "no `erofs-unpack stream`");
    with("/usr/local/bin/erofs-unpack", "/opt/erofs-unpack");
    machine.expect(
        "containerd-processor",
        "fail",
        "/opt/erofs-unpack: no program",
    );
    with("/var/lib/containerd\"", "/var/absent\"");
    machine.expect("containerd-processor", "fail", "/var/absent: no folder");
    with("layer.v1.tar\"", "layer.v1.tar+gzip\"");
    machine.expect("containerd-processor", "fail", "returns");
    with(
        "default = [\"erofs\", \"walking\"]",
        "default = [\"walking\", \"erofs\"]",
    );
    machine.expect("containerd-differ", "warn", "does not begin");
    with("snapshotter = \"erofs\"", "snapshotter = \"native\"");
    machine.expect("containerd-unpack", "warn", "no unpack_config");
    machine.write(path, "version = 3\n");
    machine.expect(
        "containerd-unpack",
        "ok",
        "its own".trim_start_matches("its "),
    );
    for bad in ["version = ", "version = 3\nversion = 4\n", "\u{1b}", "[a"] {
        machine.write(path, bad);
        let run = machine.run(&[]);
        assert_eq!(run.code(), 3);
        assert!(
            run.text()
                .contains("fail containerd: /etc/containerd/config.toml: ")
        );
        assert!(run.text().chars().all(|it| it == '\n' || !it.is_control()));
    }
    // The snapshotter's own keys.
    let own = |keys: &str| {
        let table = "[plugins.\"io.containerd.snapshotter.v1.erofs\"]";
        machine.write(path, format!("{CONFIG_FILE}\n{table}\n{keys}\n"))
    };
    own("layer_content_caches = [\"/var/cache/erofs\"]");
    machine.expect("containerd-cache", "warn", "/var/cache/erofs: not there");
    fs::create_dir_all(machine.0.path("var/cache/erofs")).unwrap();
    machine.expect("containerd-cache", "ok", "/var/cache/erofs");
    own("layer_content_caches = [\"var/cache\"]");
    machine.expect("containerd-cache", "fail", "no absolute path");
    own("layer_content_caches = [\"/var/cache/erofs\"]\nset_immutable = true");
    machine.expect("containerd-snapshotter", "fail", "set_immutable");
    own("dmverity_mode = \"on\"");
    machine.remove("sys/module/dm_verity");
    machine.expect("containerd-snapshotter", "fail", "without dm-verity");
}

#[test]
fn files_that_the_configuration_imports() {
    let machine = Machine::new();
    let path = "etc/containerd/config.toml";
    machine.write(
        path,
        "version = 3\nimports = [\"more/*.toml\", \"one.toml\"]\n",
    );
    let missing = machine.probe("containerd");
    assert!(
        missing.1.contains("one.toml: cannot be read"),
        "{missing:?}"
    );
    machine.write(
        "etc/containerd/one.toml",
        "imports = [\"config.toml\", \"one.toml\"]\n",
    );
    machine.expect("containerd-processor", "warn", "");
    let place = "etc/containerd/more/x.toml";
    machine.write(place, CONFIG_FILE);
    let runs = "runs /usr/local/bin/erofs-unpack";
    machine.expect("containerd-processor", "ok", runs);
    machine.expect("containerd-differ", "ok", "erofs, walking");
    machine.remove(place);
    // containerd reads no file by itself but the first.
    machine.write("etc/containerd/conf.d/erofs.conf", CONFIG_FILE);
    machine.write("etc/containerd/conf.d/erofs.toml", CONFIG_FILE);
    machine.expect("containerd-processor", "warn", "");
    let missed = "/etc/containerd/conf.d/erofs.toml: not imported";
    machine.expect("containerd-imports", "warn", missed);
    let imports = "imports = [\"/etc/containerd/conf.d/*.toml\"]\n";
    machine.write(path, format!("version = 4\n{imports}"));
    machine.expect("containerd-processor", "ok", runs);
    assert!(!machine.run(&[]).text().contains("containerd-imports"));
    machine.remove("etc/containerd/conf.d/erofs.toml");
    // Named elsewhere, and not there at all.
    machine.write("srv/containerd.toml", CONFIG_FILE);
    let named = machine.run(&["--containerd", "/srv/containerd.toml"]);
    assert!(
        named.text().contains("ok   containerd-processor"),
        "{}",
        named.text()
    );
    let absent = machine.run(&["--containerd", "/srv/absent.toml"]);
    assert_eq!(absent.code(), 3);
    machine.remove(path);
    let without = machine.run(&[]);
    assert!(!without.done().contains("containerd"));
    // A file for it to import is of no use without it.
    machine.write("etc/containerd/conf.d/erofs.toml", CONFIG_FILE);
    machine.expect("containerd", "fail", "config.toml: cannot be read");
}

#[test]
fn the_machine_that_runs_this() {
    let here = run(args!["doctor", "--json"]);
    assert!(matches!(here.code(), 0 | 3));
    let report = here.json();
    assert_eq!(
        (&report["version"], &report["command"]),
        (&1.into(), &"doctor".into())
    );
    assert!(report["probes"].as_array().unwrap().len() >= 9);
    run(args!["doctor", "--root", "/absent"]).line(3);
    // A path without a slash is one from here on.
    let dir = Dir::new();
    dir.write("config.toml", CONFIG_FILE);
    let mut command = program();
    command.current_dir(&dir.0);
    let arguments = ["doctor", "--containerd", "config.toml"];
    let said = run_with(command.args(arguments), b"");
    let line = format!(
        "ok   containerd: {}, version 4\n",
        dir.path("config.toml").display()
    );
    assert!(said.text().contains(&line), "{}", said.text());
}
