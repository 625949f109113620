//! A real containerd that takes layers through `stream` and out of a cache that `cache put`
//! filled: what it commits is, byte by byte, what the diffIDs name.
//!
//! It runs where `EROFS_UNPACK_CONTAINERD` and `EROFS_UNPACK_CTR` name the two programs, of 2.3 or
//! newer, as root and with `mkfs.erofs` (containerd's erofs differ asks for it). The configuration
//! is that of `integrations/containerd`, with paths of this machine, and with a script around the
//! program that keeps what it says.

mod common;

use core::time::Duration;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use common::*;
use serde_json::json;

const CONFIG_FILE: &str = include_str!("../integrations/containerd/config.toml");

/// containerd's names for the types that it knows as EROFS.
const LAYER: &str = "application/vnd.erofs.layer.v1";
const LAYER_ZSTD: &str = "application/vnd.erofs.layer.v1+zstd";

/// The two programs, or why there is nothing to do.
fn programs() -> Option<(OsString, OsString)> {
    let (Some(containerd), Some(ctr)) = (
        std::env::var_os("EROFS_UNPACK_CONTAINERD"),
        std::env::var_os("EROFS_UNPACK_CTR"),
    ) else {
        println!(
            "skipped: needs containerd 2.3 or newer, in EROFS_UNPACK_CONTAINERD and \
             EROFS_UNPACK_CTR"
        );
        return None;
    };
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        println!("skipped: needs the right to run containerd");
        return None;
    }
    if !has("mkfs.erofs") {
        println!("skipped: needs mkfs.erofs");
        return None;
    }
    Some((containerd, ctr))
}

/// The architecture as containerd names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// A containerd with folders of its own, stopped when it is dropped.
struct Containerd {
    child: Child,
    ctr: OsString,
    root: PathBuf,
    /// Paths of sockets are short.
    socket: PathBuf,
    log: PathBuf,
    /// What the stream processors have said.
    processors: PathBuf,
}

impl Containerd {
    /// Starts it, and waits until it answers.
    fn start(programs: &(OsString, OsString), dir: &Dir, more: &str) -> Self {
        let processors = dir.write("processors", "");
        let script = dir.write(
            "processor",
            format!(
                "#!/bin/sh\nexec '{}' \"$@\" --verbose 2>>'{}'\n",
                env!("CARGO_BIN_EXE_erofs-unpack"),
                processors.display()
            ),
        );
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let mut config = CONFIG_FILE
            .replace("/usr/local/bin/erofs-unpack", script.to_str().unwrap())
            .replace("/var/lib/containerd", dir.0.to_str().unwrap())
            .replace("amd64", architecture());
        config.push_str(more);
        let config = dir.write("config.toml", config);
        let name = format!("erofs-unpack-{}", std::process::id());
        let socket = std::env::temp_dir().join(name).with_extension("sock");
        let log = dir.path("log");
        let (root, state) = (dir.path("root"), dir.path("state"));
        let child = Command::new(&programs.0)
            .env("PATH", path_with_sbin())
            .arg("--config")
            .arg(config)
            .arg("--address")
            .arg(&socket)
            .arg("--root")
            .arg(&root)
            .arg("--state")
            .arg(state)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut containerd = Self {
            child,
            ctr: programs.1.clone(),
            root,
            socket,
            log,
            processors,
        };
        let start = Instant::now();
        while containerd.ctr(args!["version"]).status.code() != Some(0) {
            let ended = containerd.child.try_wait().unwrap();
            let late = start.elapsed() > Duration::from_secs(60);
            assert!(ended.is_none() && !late, "{}", containerd.said());
            std::thread::sleep(Duration::from_millis(100));
        }
        containerd
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What the stream processors have said since this was asked last, sorted. Each says first
    /// what it has given up, which is left out here.
    fn processors_said(&self) -> Vec<String> {
        let said = fs::read_to_string(&self.processors).unwrap();
        fs::write(&self.processors, "").unwrap();
        let lines = said
            .lines()
            .filter_map(|line| line.strip_prefix("erofs-unpack: "));
        let (confined, mut said): (Vec<_>, Vec<_>) =
            lines.partition(|line| line.starts_with("confinement: "));
        assert_eq!(confined.len(), said.len(), "{said:?}");
        println!("{}", confined.first().unwrap_or(&"no processor ran"));
        said.sort_unstable();
        said.into_iter().map(ToOwned::to_owned).collect()
    }

    fn ctr(&self, arguments: Vec<OsString>) -> Run {
        let mut ctr = Command::new(&self.ctr);
        run_with(ctr.arg("--address").arg(&self.socket).args(arguments), b"")
    }

    /// Imports an archive, which unpacks its image.
    fn import(&self, archive: &Path) -> Run {
        self.import_with(&["--snapshotter", "erofs"], archive)
    }

    fn import_with(&self, flags: &[&str], archive: &Path) -> Run {
        let mut all = args!["images", "import", "--base-name", "example.com/test"];
        all.push("--platform".into());
        all.push(format!("linux(+erofs)/{}", architecture()).into());
        all.extend(flags.iter().map(Into::into));
        all.push(archive.into());
        self.ctr(all)
    }

    fn snapshotter(&self) -> PathBuf {
        self.root.join("io.containerd.snapshotter.v1.erofs")
    }

    /// How many snapshots are committed.
    fn committed(&self) -> usize {
        let snapshots = self.ctr(args!["snapshots", "--snapshotter", "erofs", "list"]);
        snapshots.text().matches("Committed").count()
    }

    /// The layers of all snapshots. One that was refused may leave a snapshot with an empty file,
    /// which is never committed, until containerd collects it.
    fn layers(&self) -> Vec<PathBuf> {
        let snapshots = self.snapshotter().join("snapshots");
        let layers = names(&snapshots)
            .into_iter()
            .map(|name| snapshots.join(name).join("layer.erofs"));
        layers
            .filter(|layer| fs::metadata(layer).is_ok_and(|layer| layer.len() > 0))
            .collect()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.socket);
        let _ = fs::remove_file(self.socket.with_extension("sock.ttrpc"));
    }
}

/// An archive of an image for containerd.
fn archive(dir: &Dir, name: &str, layers: &[Layer]) -> PathBuf {
    let mut layout = Layout::new(dir.path(name));
    let mut entry = layout.image_for(architecture(), layers);
    entry["platform"] = json!({
        "os": "linux",
        "architecture": architecture(),
        "os.features": ["erofs"],
    });
    layout.add_entry(entry, json!({"annotations": {REF_NAME: name}}));
    dir.write(&format!("{name}.tar"), layout.archive(true))
}

#[test]
fn layers_through_the_stream_processor_and_out_of_a_cache() {
    let Some(programs) = programs() else {
        return;
    };
    let dir = Dir::new();
    let cache = dir.path("cache");
    let layers = [
        Layer::new(LAYER_ZSTD, &image(1, 300)),
        Layer::new(LAYER, &image(2, 40)),
        Layer::new(LAYER_ZSTD, &image(3, 3000)),
    ];
    let good = archive(&dir, "good", &layers);
    let more = format!(
        "\n[plugins.\"io.containerd.snapshotter.v1.erofs\"]\nlayer_content_caches = [{cache:?}]\n"
    );
    // With an empty cache everything comes through the processor.
    let containerd = Containerd::start(&programs, &dir, &more);
    let plugins = containerd.ctr(args!["plugins", "ls"]);
    assert!(plugins.text().contains("erofs"), "{}", containerd.said());
    let imported = containerd.import(&good);
    assert_eq!(
        imported.code(),
        0,
        "{}{}",
        imported.stderr,
        containerd.said()
    );
    let mut committed: Vec<String> = containerd
        .layers()
        .iter()
        .map(|layer| sha256(&content(layer)))
        .collect();
    committed.sort();
    let mut stated: Vec<String> = layers.iter().map(|layer| layer.diff_id.clone()).collect();
    stated.sort();
    assert_eq!(committed, stated);
    let mut expected = [300, 3000].map(|size| {
        let size = image(1, size).len();
        format!("stdin: EROFS image, checked: {size} bytes from zstd")
    });
    expected.sort();
    assert_eq!(containerd.processors_said(), expected);

    // A layer that the check refuses: containerd tells that it got nothing.
    let mut bad = image(4, 300);
    bad[1152 + 4..1152 + 6].copy_from_slice(&0o100_755_u16.to_le_bytes());
    let bad = Layer::new(LAYER_ZSTD, &mended(bad));
    let refused = containerd.import(&archive(&dir, "bad", core::slice::from_ref(&bad)));
    assert_ne!(refused.code(), 0);
    let expected = format!(
        "wrong diff id \"{}\" calculated on extraction \"{}\"",
        sha256(b""),
        bad.diff_id
    );
    assert!(refused.stderr.contains(&expected), "{}", refused.stderr);
    assert_eq!(containerd.layers().len(), 3);
    assert_eq!(containerd.committed(), 3);
    // The processor has said why, once, and went on with nothing.
    let said = containerd.processors_said();
    assert!(said.len() == 1 && said[0].starts_with("stdin:"), "{said:?}");
    assert!(!said[0].contains("checked"), "{said:?}");
    // The README's way to see why: content that is only fetched stays in the content store.
    let kept = containerd.import_with(&["--no-unpack"], &dir.path("bad.tar"));
    assert_eq!(kept.code(), 0, "{}", kept.stderr);
    let blob = containerd.ctr(args!["content", "get", sha256(&bad.blob)]);
    let why = run_with(program().arg("stream"), &blob.stdout);
    assert_eq!(why.line(1), said[0]);

    // A tar layer goes through it as well, to mkfs.erofs.
    let tar = [tar_member("file", &noise(7, 9000)), vec![0; 1024]].concat();
    let tar = Layer::new("application/vnd.oci.image.layer.v1.tar+zstd", &tar);
    let imported = containerd.import(&archive(&dir, "tar", &[tar]));
    assert_eq!(
        imported.code(),
        0,
        "{}{}",
        imported.stderr,
        containerd.said()
    );
    assert_eq!(containerd.layers().len(), 4);
    assert_eq!(containerd.committed(), 4);
    let expected = "stdin: tar archive, passed through: 10752 bytes from zstd";
    assert_eq!(containerd.processors_said(), [expected]);
    drop(containerd);

    // With a cache that `cache put` filled, containerd links to it. Up to 2.4 that is so for
    // layers without a parent only.
    let mut put = program();
    put.env("PATH", path_with_sbin());
    let trees = has("veritysetup");
    if trees {
        put.arg("cache").arg("put").arg("--dm-verity");
    } else {
        put.arg("cache").arg("put");
    }
    run_with(put.arg(&cache).arg(dir.path("good")), b"").done();
    fs::remove_dir_all(dir.path("root")).unwrap();
    let containerd = Containerd::start(&programs, &dir, &more);
    let imported = containerd.import(&good);
    assert_eq!(
        imported.code(),
        0,
        "{}{}",
        imported.stderr,
        containerd.said()
    );
    let is_link = |layer: &&PathBuf| layer.symlink_metadata().unwrap().is_symlink();
    let all = containerd.layers();
    let linked: Vec<_> = all.iter().filter(is_link).collect();
    if linked.is_empty() {
        println!("skipped: needs containerd 2.4 or newer for its layer_content_caches");
        return;
    }
    for layer in &linked {
        let target = fs::canonicalize(layer).unwrap();
        assert!(target.starts_with(fs::canonicalize(&cache).unwrap()));
        let beside = layer.with_extension("erofs.dmverity");
        assert_eq!(beside.exists(), trees, "the sidecar is copied");
    }
    let gc = run(args![
        "cache",
        "gc",
        cache,
        "--older-than",
        "0",
        "--snapshots",
        containerd.snapshotter()
    ]);
    let stay = match linked.len() {
        1 => "1 entry stays".to_owned(),
        more => format!("{more} entries stay"),
    };
    let end = format!("; {stay}\n");
    assert!(gc.done().ends_with(&end), "{}", gc.text());
    assert!(linked.iter().all(|layer| layer.exists()));
}
