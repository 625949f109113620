//! What is published is complete, and what is not published leaves nothing.

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use erofs_unpack_ops::publish::{Folder, Group, Target, Unpublished, sweep};
use erofs_unpack_ops::system::{Way, clone_or_copy};
use erofs_unpack_ops::{HostError, TargetFault};

/// A directory that is removed with its content.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("publish-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn names(&self) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The two ways in which a file is made: without a name, and with a temporary one.
const MAKERS: [fn(Target) -> Result<Unpublished, HostError>; 2] =
    [Unpublished::create, Unpublished::create_named];

fn fault(outcome: Result<impl core::fmt::Debug, HostError>) -> TargetFault {
    match outcome {
        Err(HostError::Target { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn appears_only_when_published() {
    for make in MAKERS {
        let dir = Dir::new();
        let path = dir.0.join("a.erofs");
        let file = make(Target::new(&path, false).unwrap()).unwrap();
        file.file().write_all_at(b"complete", 0).unwrap();
        assert!(!path.exists());
        file.publish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"complete");
        assert_eq!(dir.names(), ["a.erofs"]);
        // The umask of the test is not known, but it never adds a bit.
        let plain = dir.0.join("plain");
        File::create(&plain).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&path), mode(&plain) & 0o644);
    }
}

#[test]
fn a_dropped_file_leaves_nothing() {
    for make in MAKERS {
        let dir = Dir::new();
        let file = make(Target::new(&dir.0.join("a"), false).unwrap()).unwrap();
        file.file().write_all_at(b"half", 0).unwrap();
        drop(file);
        assert!(dir.names().is_empty());
    }
}

#[test]
fn a_temporary_name_hides_its_content() {
    let dir = Dir::new();
    let file = Unpublished::create_named(Target::new(&dir.0.join("a"), false).unwrap()).unwrap();
    let [name] = &dir.names()[..] else {
        panic!("{:?}", dir.names());
    };
    let mode = fs::metadata(dir.0.join(name)).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o600);
    drop(file);
}

#[test]
fn an_existing_name_needs_force() {
    let dir = Dir::new();
    let path = dir.0.join("a");
    fs::write(&path, "old").unwrap();
    assert_eq!(fault(Target::new(&path, false)), TargetFault::Exists);
    for make in MAKERS {
        let file = make(Target::new(&path, true).unwrap()).unwrap();
        file.file().write_all_at(b"new", 0).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        file.publish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(dir.names(), ["a"]);
        fs::write(&path, "old").unwrap();
    }
}

#[test]
fn a_name_that_appears_meanwhile_is_kept() {
    for make in MAKERS {
        let dir = Dir::new();
        let path = dir.0.join("a");
        let file = make(Target::new(&path, false).unwrap()).unwrap();
        fs::write(&path, "theirs").unwrap();
        assert_eq!(fault(file.publish()), TargetFault::Exists);
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        assert_eq!(dir.names(), ["a"]);
        // With force it is replaced, but not by a directory's name.
        let file = make(Target::new(&dir.0.join("b"), true).unwrap()).unwrap();
        fs::create_dir(dir.0.join("b")).unwrap();
        assert_eq!(fault(file.publish()), TargetFault::Directory);
        assert_eq!(dir.names(), ["a", "b"]);
    }
}

#[test]
fn a_symbolic_link_is_never_followed() {
    for make in MAKERS {
        let dir = Dir::new();
        let path = dir.0.join("link");
        fs::write(dir.0.join("victim"), "precious").unwrap();
        symlink("victim", &path).unwrap();
        assert_eq!(fault(Target::new(&path, false)), TargetFault::Symlink);
        let file = make(Target::new(&path, true).unwrap()).unwrap();
        file.file().write_all_at(b"new", 0).unwrap();
        file.publish().unwrap();
        assert_eq!(fs::read(dir.0.join("victim")).unwrap(), b"precious");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(fs::read(&path).unwrap(), b"new");
        // A link that leads nowhere is a link all the same.
        let broken = dir.0.join("broken");
        symlink("nowhere", &broken).unwrap();
        assert_eq!(fault(Target::new(&broken, false)), TargetFault::Symlink);
        assert_eq!(fault(Folder::open_or_plan(broken)), TargetFault::Symlink);
    }
}

#[test]
fn directories_and_devices_are_never_replaced() {
    let dir = Dir::new();
    for force in [false, true] {
        assert_eq!(fault(Target::new(&dir.0, force)), TargetFault::Directory);
        let null = Target::new(Path::new("/dev/null"), force);
        assert_eq!(fault(null), TargetFault::Special);
    }
}

#[test]
fn only_names_of_files_are_targets() {
    let dir = Dir::new();
    for path in ["", "/", "..", "a/..", "."] {
        let outcome = Target::new(Path::new(path), true);
        assert!(matches!(outcome, Err(HostError::Usage(_))), "{path}");
    }
    for end in ["a/", "a/."] {
        let outcome = Target::new(&dir.0.join(end), true);
        assert!(matches!(outcome, Err(HostError::Usage(_))), "{end}");
    }
    let folder = Folder::open(&dir.0).unwrap();
    for name in ["", ".", "..", "a/b"] {
        let outcome = Target::inside(&folder, OsStr::new(name), true);
        assert!(matches!(outcome, Err(HostError::Usage(_))), "{name}");
    }
    let missing = Target::new(&dir.0.join("none/a"), true).unwrap_err();
    assert_eq!(missing.exit_code(), 3);
}

#[test]
fn any_name_works_and_messages_stay_on_one_line() {
    for make in MAKERS {
        let dir = Dir::new();
        let name = OsStr::from_bytes(b"a\nb\x1b[2J\xff\\");
        let path = dir.0.join(name);
        make(Target::new(&path, false).unwrap())
            .unwrap()
            .publish()
            .unwrap();
        assert_eq!(dir.names(), [name]);
        let message = Target::new(&path, false).unwrap_err().to_string();
        assert!(
            message.contains(r"/a\nb\x1b[2J\xff\\: exists already"),
            "{message}"
        );
        assert!(!message.chars().any(char::is_control));
        // The longest name leaves no room for the temporary one, which is cut.
        let long = dir.0.join("x".repeat(255));
        for force in [false, true] {
            make(Target::new(&long, force).unwrap())
                .unwrap()
                .publish()
                .unwrap();
        }
    }
}

#[test]
fn a_folder_is_made_when_its_first_file_is_published() {
    for make in MAKERS {
        let dir = Dir::new();
        let path = dir.0.join("out");
        let folder = Folder::open_or_plan(path.join("")).unwrap();
        let target = |name: &str| Target::inside(&folder, OsStr::new(name), false).unwrap();
        let file = make(target("a")).unwrap();
        assert!(!path.exists());
        drop(file);
        assert!(dir.names().is_empty());
        make(target("a")).unwrap().publish().unwrap();
        make(target("b")).unwrap().publish().unwrap();
        assert_eq!(dir.names(), ["out"]);
        assert!(path.join("a").exists() && path.join("b").exists());
        assert_eq!(
            fault(Target::inside(&folder, OsStr::new("a"), false)),
            TargetFault::Exists
        );
        let mut existing = folder.existing(OsStr::new("a")).unwrap().unwrap();
        assert_eq!(existing.read(&mut [0]).unwrap(), 0);
        assert!(folder.existing(OsStr::new("c")).unwrap().is_none());
        symlink("a", path.join("l")).unwrap();
        let linked = folder.existing(OsStr::new("l"));
        assert_eq!(fault(linked), TargetFault::Symlink);
    }
    let missing = Folder::open_or_plan("/nonexistent/a").unwrap_err();
    assert_eq!(missing.exit_code(), 3);
}

#[test]
fn a_group_appears_whole_with_its_document_last() {
    for make in MAKERS {
        let dir = Dir::new();
        let folder = Folder::open_or_plan(dir.0.join("out")).unwrap();
        let target = |name: &str| Target::inside(&folder, OsStr::new(name), false).unwrap();
        let group = |names: &[&str]| {
            let mut group = Group::new();
            for name in names {
                group.push(make(target(name)).unwrap());
            }
            group
        };
        let last = make(target("image.json")).unwrap();
        last.file().write_all_at(b"{}", 0).unwrap();
        let first = group(&["01", "02"]);
        assert!(!dir.0.join("out").exists());
        first.publish(Some(last)).unwrap();
        let out = dir.0.join("out");
        for name in ["01", "02", "image.json"] {
            assert!(out.join(name).exists(), "{name}");
        }
        // The order: each name is younger than the one before it. A link sets the change time.
        let changed = |name: &str| {
            let meta = fs::metadata(out.join(name)).unwrap();
            (meta.ctime(), meta.ctime_nsec())
        };
        assert!(changed("01") <= changed("02"));
        assert!(changed("02") <= changed("image.json"));

        // A name that is taken at the last moment takes the others with it.
        let second = group(&["03", "04"]);
        let document = make(target("image2.json")).unwrap();
        fs::write(out.join("image2.json"), "theirs").unwrap();
        assert_eq!(fault(second.publish(Some(document))), TargetFault::Exists);
        assert!(!out.join("03").exists() && !out.join("04").exists());
        assert_eq!(fs::read(out.join("image2.json")).unwrap(), b"theirs");
    }
}

#[test]
fn a_group_takes_names_back_when_a_later_one_fails() {
    let dir = Dir::new();
    let folder = Folder::open(&dir.0).unwrap();
    let target = |name: &str| Target::inside(&folder, OsStr::new(name), false).unwrap();
    // Two members with one name: the look before passes, the second link does not.
    let mut group = Group::new();
    group.push(Unpublished::create(target("01")).unwrap());
    group.push(Unpublished::create(target("02")).unwrap());
    group.push(Unpublished::create(target("02")).unwrap());
    assert_eq!(group.len(), 3);
    assert_eq!(fault(group.publish(None)), TargetFault::Exists);
    assert!(dir.names().is_empty(), "{:?}", dir.names());
    // A folder that was made for them goes as well.
    let folder = Folder::open_or_plan(dir.0.join("out")).unwrap();
    let mut group = Group::new();
    for name in ["01", "01"] {
        let target = Target::inside(&folder, OsStr::new(name), false).unwrap();
        group.push(Unpublished::create(target).unwrap());
    }
    assert_eq!(fault(group.publish(None)), TargetFault::Exists);
    assert!(dir.names().is_empty(), "{:?}", dir.names());
}

#[test]
fn sweeps_only_what_a_killed_run_left() {
    let dir = Dir::new();
    let folder = Folder::open(&dir.0).unwrap();
    let stale = dir.0.join(".a.erofs.0123456789abcdef.partial");
    fs::write(&stale, "half").unwrap();
    for name in [".a.erofs.partial", ".0123456789abcdef.partial", "a.erofs"] {
        fs::write(dir.0.join(name), "theirs").unwrap();
    }
    fs::create_dir(dir.0.join(".d.0123456789abcdef.partial")).unwrap();
    symlink("a.erofs", dir.0.join(".l.0123456789abcdef.partial")).unwrap();
    let running = Unpublished::create_named(Target::new(&dir.0.join("b"), false).unwrap()).unwrap();
    assert_eq!(dir.names().len(), 7);
    assert_eq!(sweep(&folder).unwrap(), 1);
    assert!(!stale.exists());
    assert_eq!(dir.names().len(), 6);
    running.publish().unwrap();
    assert_eq!(sweep(&folder).unwrap(), 0);
    assert!(dir.0.join("b").exists());
}

#[test]
fn zeros_become_holes() {
    for reserve in [false, true] {
        let dir = Dir::new();
        let path = dir.0.join("a");
        let file = Unpublished::create(Target::new(&path, false).unwrap()).unwrap();
        // 1 MiB of ones, 7 MiB of zeros, one byte, zeros to the end.
        let mut content = vec![0; 16 << 20];
        content[..1 << 20].fill(1);
        content[(8 << 20) + 5] = 1;
        let length = content.len() as u64;
        let mut writer = file.writer();
        if reserve {
            writer.reserve(length).unwrap();
        }
        assert_eq!(file.file().metadata().unwrap().len(), 0);
        // Pieces that are no multiple of a block.
        for piece in content.chunks(100_003) {
            writer.write_all(piece).unwrap();
        }
        assert_eq!(writer.position(), length);
        assert_eq!(writer.finish().unwrap(), length);
        file.publish().unwrap();
        assert!(fs::read(&path).unwrap() == content);
        let allocated = fs::metadata(&path).unwrap().blocks() * 512;
        assert!(
            allocated <= (1 << 20) + (256 << 10),
            "{reserve} {allocated}"
        );
    }
}

#[test]
fn copies_whole_and_part_of_a_file() {
    let dir = Dir::new();
    let path = dir.0.join("source");
    let source = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    let content: Vec<u8> = (0..3_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    source.write_all_at(&content, 0).unwrap();
    // A hole of 4 MiB, a byte, and a hole at the end.
    source.write_all_at(b"x", 8 << 20).unwrap();
    source.set_len(9 << 20).unwrap();
    let all = fs::read(&path).unwrap();
    for (offset, length) in [
        (0, all.len()),
        (0, 5000),
        (512, 2_000_000),
        (4096, 9 << 20),
        (2 << 20, 7 << 20),
        (10 << 20, 5),
    ] {
        let copy = Unpublished::create(Target::new(&dir.0.join("copy"), true).unwrap()).unwrap();
        let copied = clone_or_copy(&source, offset, length as u64, copy.file()).unwrap();
        let from = (offset as usize).min(all.len());
        let expected = &all[from..(from + length).min(all.len())];
        assert_eq!(copied.length, expected.len() as u64, "{offset} {length}");
        copy.publish().unwrap();
        assert!(
            fs::read(dir.0.join("copy")).unwrap() == expected,
            "{offset} {length}"
        );
        let blocks = fs::metadata(dir.0.join("copy")).unwrap().blocks() * 512;
        assert!(blocks <= 3_200_000, "{blocks}");
    }
    let beyond = clone_or_copy(&source, u64::MAX, 1, &source).unwrap_err();
    assert_eq!(beyond.kind(), std::io::ErrorKind::InvalidInput);
    // From procfs the kernel copies nothing; the buffer does.
    let odd = File::open("/proc/self/status").unwrap();
    let copy = Unpublished::create(Target::new(&dir.0.join("odd"), true).unwrap()).unwrap();
    let copied = clone_or_copy(&odd, 0, 64, copy.file()).unwrap();
    assert_eq!((copied.way, copied.length), (Way::Buffer, 64));
}

/// A file system of its own, where the test may mount one.
struct Mount(Dir);

impl Mount {
    fn new(arguments: &[&OsStr]) -> Option<Self> {
        let dir = Dir::new();
        let mounted = Command::new("mount")
            .args(arguments)
            .arg(&dir.0)
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(dir))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0.0).status();
    }
}

#[test]
fn a_full_disk_leaves_nothing() {
    let arguments = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"].map(OsStr::new);
    let Some(mount) = Mount::new(&arguments) else {
        println!("skipped: needs the right to mount a tmpfs");
        return;
    };
    let dir = &mount.0;
    for make in MAKERS {
        let path = dir.0.join("a");
        let file = make(Target::new(&path, false).unwrap()).unwrap();
        let mut writer = file.writer();
        let written = (0..2 << 10).try_for_each(|_| writer.write_all(&[1; 1 << 10]));
        assert_eq!(written.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
        drop(file);
        assert!(dir.names().is_empty());
        // The space is free again, and zeros need none of it.
        let file = make(Target::new(&path, false).unwrap()).unwrap();
        let mut writer = file.writer();
        (0..8).for_each(|_| writer.write_all(&[0; 1 << 20]).unwrap());
        writer.write_all(&[1; 1 << 19]).unwrap();
        writer.finish().unwrap();
        file.publish().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), (8 << 20) + (1 << 19));
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn clones_where_the_file_system_can() {
    let dir = Dir::new();
    let image = dir.0.join("btrfs.img");
    File::create(&image).unwrap().set_len(256 << 20).unwrap();
    let made = Command::new("mkfs.btrfs")
        .arg("-q")
        .arg(&image)
        .stderr(Stdio::null())
        .status();
    let arguments = [OsStr::new("-o"), OsStr::new("loop"), image.as_os_str()];
    let mount = made
        .is_ok_and(|status| status.success())
        .then(|| Mount::new(&arguments))
        .flatten();
    let Some(mount) = mount else {
        println!("skipped: needs mkfs.btrfs and the right to mount");
        return;
    };
    let content: Vec<u8> = (0..=255).cycle().take(3_000_001).collect();
    let path = mount.0.0.join("source");
    fs::write(&path, &content).unwrap();
    let source = File::open(&path).unwrap();
    for make in MAKERS {
        for (offset, length, way) in [
            (0, content.len(), Way::Clone),
            (4096, 8192, Way::Kernel),
            (512, 100_000, Way::Kernel),
        ] {
            let target = mount.0.0.join("copy");
            let copy = make(Target::new(&target, true).unwrap()).unwrap();
            let copied = clone_or_copy(&source, offset, length as u64, copy.file()).unwrap();
            assert_eq!((copied.way, copied.length), (way, length as u64));
            copy.publish().unwrap();
            let from = offset as usize;
            assert!(fs::read(&target).unwrap() == content[from..from + length]);
        }
    }
}

/// How the child of the next test publishes: without names, with temporary names, and over
/// existing files.
const KILLED: [&str; 3] = ["unnamed", "named", "force"];

/// What a file of this number holds: enough to be killed in.
fn killed_content(number: u32) -> Vec<u8> {
    let word = number.wrapping_mul(2_654_435_761).to_le_bytes();
    word.repeat(1 << 18)
}

/// Publishes one file after the other until it is killed.
fn publish_until_killed(dir: &Path, how: &str) {
    let folder = Folder::open(dir).unwrap();
    for number in 0.. {
        let name = match how {
            "force" => String::from("same"),
            _ => format!("{number}"),
        };
        let target = Target::inside(&folder, OsStr::new(&name), how == "force").unwrap();
        let file = match how {
            "named" => Unpublished::create_named(target),
            _ => Unpublished::create(target),
        };
        let file = file.unwrap();
        let mut writer = file.writer();
        for piece in killed_content(number).chunks(1 << 16) {
            writer.write_all(piece).unwrap();
        }
        writer.finish().unwrap();
        file.publish().unwrap();
    }
}

#[test]
fn a_killed_run_leaves_only_complete_files() {
    if let Some(dir) = std::env::var_os("PUBLISH_UNTIL_KILLED") {
        let how = std::env::var("PUBLISH_HOW").unwrap();
        publish_until_killed(Path::new(&dir), &how);
    }
    let mut published = 0;
    let mut swept = 0;
    for (number, how) in KILLED.iter().cycle().take(30).enumerate() {
        let dir = Dir::new();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_killed_run_leaves_only_complete_files"])
            .env("PUBLISH_UNTIL_KILLED", &dir.0)
            .env("PUBLISH_HOW", how)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while dir.names().is_empty() && started.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(number as u64 * 1_237));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        let left = sweep(&Folder::open(&dir.0).unwrap()).unwrap();
        assert!(*how != "unnamed" || left == 0, "{how}");
        swept += left;
        for name in dir.names() {
            let name = name.to_str().unwrap();
            let found = fs::read(dir.0.join(name)).unwrap();
            let complete = match name {
                "same" => found.len() == 1 << 20 && found.chunks(4).all(|word| word == &found[..4]),
                number => found == killed_content(number.parse().unwrap()),
            };
            assert!(complete, "{how}: {name}");
            published += 1;
        }
    }
    println!("{published} files were published, {swept} temporary names swept");
    assert!(published > 0, "the children were killed too early to tell");
}
