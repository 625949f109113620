//! What is refused in confinement. It cannot be left again, so each test runs itself once more,
//! and confines a process of its own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, id};

use rustix::io::Errno;

use super::{Confinement, State};
use crate::system::{Openings, Purpose};

/// Says to the second process that it is the one, and which folder it has.
const FOLDER: &str = "EROFS_UNPACK_CONFINE_TEST";

/// Runs this test again, with a folder in which `inside`, `outside` and two files are.
///
/// In the second process this is `Some`.
fn behind(test: &str) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return Some(folder.into());
    }
    let folder = std::env::temp_dir().join(format!("confine-{}-{}", id(), test.replace(':', "-")));
    for name in ["inside", "outside"] {
        fs::create_dir_all(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("file"), name).unwrap();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("system::linux::confine::tests::{test}"),
            "--nocapture",
        ])
        .env(FOLDER, &folder)
        .output()
        .unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("1 passed"), "{said}\n{errors}");
    if let Some(line) = said.lines().find(|line| line.starts_with("skipped: ")) {
        println!("{line}");
    }
    None
}

/// Whether a half is in force. It may only be missing where the kernel says so.
fn is_there(half: &State, name: &str) -> bool {
    match half {
        State::InForce(_) => true,
        State::Absent(why) => {
            println!("skipped: needs {name}: {why}");
            false
        }
    }
}

fn refused<T, E>(result: Result<T, E>) -> E {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error,
    }
}

fn denied<T>(result: io::Result<T>) {
    let error = refused(result);
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}

/// Moves between folders have an answer of their own.
fn not_moved(result: io::Result<()>) {
    let error = refused(result);
    let kinds = [ErrorKind::PermissionDenied, ErrorKind::CrossesDevices];
    assert!(kinds.contains(&error.kind()), "{error}");
}

fn no_such_call<T>(result: Result<T, impl Into<io::Error>>) {
    let error: io::Error = refused(result).into();
    assert_eq!(Errno::from_io_error(&error), Some(Errno::NOSYS), "{error}");
}

fn open_to_write(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}

#[test]
fn only_the_openings_can_be_opened() {
    let Some(folder) = behind("only_the_openings_can_be_opened") else {
        return;
    };
    let (inside, outside) = (folder.join("inside"), folder.join("outside"));
    let mut openings = Openings::new();
    openings.read(&inside);
    openings.spool(&folder.join("nowhere"));
    let mut kept = open_to_write(&outside.join("file")).unwrap();
    let confinement = Confinement::files(&openings).unwrap();
    if !is_there(&confinement.files, "Landlock") {
        return;
    }
    assert_eq!(fs::read(inside.join("file")).unwrap(), b"inside");
    denied(open_to_write(&inside.join("file")));
    denied(fs::write(inside.join("new"), "new"));
    denied(fs::remove_file(inside.join("file")));
    denied(fs::create_dir(inside.join("new")));
    denied(File::open(outside.join("file")));
    denied(fs::read_dir(&outside));
    denied(fs::read_dir(&folder));
    denied(File::open("/proc/self/maps"));
    denied(Command::new("/proc/self/exe").spawn());
    // Threads have the same, and what is open stays open.
    let file = outside.join("file");
    std::thread::spawn(move || denied(File::open(file)))
        .join()
        .unwrap();
    kept.write_all(b"kept").unwrap();
    // What is missing is missing still.
    let missing = File::open(outside.join("missing")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    if matches!(confinement.files, State::InForce(Some(4..))) {
        denied(TcpListener::bind("127.0.0.1:0"));
        denied(TcpStream::connect("127.0.0.1:9"));
    } else {
        println!("skipped: needs Landlock 4 for the network");
    }
}

#[test]
fn output_goes_where_it_was_meant_to() {
    let Some(folder) = behind("output_goes_where_it_was_meant_to") else {
        return;
    };
    let (inside, outside) = (folder.join("inside"), folder.join("outside"));
    let mut openings = Openings::new();
    // Which of the two it will be is not known yet: one layer, or the files of an image.
    openings.output(&inside);
    openings.report(&outside.join("file"));
    let confinement = Confinement::files(&openings).unwrap();
    if !is_there(&confinement.files, "Landlock") {
        return;
    }
    fs::write(inside.join("new"), "new").unwrap();
    fs::rename(inside.join("new"), inside.join("file")).unwrap();
    fs::remove_file(inside.join("file")).unwrap();
    fs::read_dir(&folder).unwrap();
    fs::write(outside.join("file"), "report").unwrap();
    denied(File::open(outside.join("file")));
    denied(fs::write(outside.join("other"), ""));
    denied(fs::write(folder.join("other"), ""));
    denied(fs::create_dir(inside.join("folder")));
    denied(std::os::unix::fs::symlink("a", inside.join("link")));
    not_moved(fs::rename(outside.join("file"), inside.join("file")));
    not_moved(fs::hard_link(outside.join("file"), inside.join("file")));
}

#[test]
fn only_calls_of_the_work_can_be_made() {
    let Some(_) = behind("only_calls_of_the_work_can_be_made") else {
        return;
    };
    let path = std::env::temp_dir().join(format!("confine-{}.socket", id()));
    let (reader, _writer) = io::pipe().unwrap();
    // As where the kernel has no Landlock.
    let mut confinement = Confinement {
        files: State::Absent("not asked for"),
        calls: State::Absent("not yet"),
    };
    let parent = rustix::process::getppid();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let earlier = std::thread::spawn(move || {
        gone.recv().unwrap();
        no_such_call(UnixStream::pair());
    });
    confinement.calls(Purpose::Verify).unwrap();
    if !is_there(&confinement.calls, "seccomp") {
        go.send(()).unwrap_or_default();
        return;
    }
    // Threads that were there have it too.
    go.send(()).unwrap();
    earlier.join().unwrap();
    no_such_call(TcpListener::bind("127.0.0.1:0"));
    no_such_call(UnixListener::bind(path));
    no_such_call(UnixStream::pair());
    no_such_call(Command::new("/bin/true").spawn());
    no_such_call(Err::<(), _>(Command::new("/bin/true").exec()));
    no_such_call(std::os::unix::fs::symlink("a", "/nonexistent/b"));
    no_such_call(std::os::unix::fs::chown("/nonexistent", Some(0), None));
    no_such_call(fs::set_permissions(
        "/nonexistent",
        PermissionsExt::from_mode(0o4755),
    ));
    no_such_call(rustix::io::ioctl_fionread(&reader));
    if let Some(parent) = parent {
        no_such_call(rustix::process::test_kill_process(parent));
    }
    rustix::process::test_kill_process(rustix::process::getpid()).unwrap();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    no_such_call(rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        limit,
    ));
    // New machine code is what the sandbox is made of.
    #[cfg(feature = "sandbox")]
    {
        let sandbox = crate::sandbox::Sandbox::wasm(|_| {});
        let error = refused(sandbox).to_string();
        assert!(error.contains("not implemented"), "{error}");
    }
    // All the rest goes on: threads, memory, files, a panic with its message.
    let vector = std::thread::spawn(|| vec![1_u8; 64 << 20]).join().unwrap();
    assert_eq!(vector.len(), 64 << 20);
    File::open("/proc/self/status").unwrap();
    assert!(
        std::thread::spawn(|| panic!("as it should"))
            .join()
            .is_err()
    );
}

#[test]
fn an_abort_ends_it_as_ever() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "system::linux::confine::tests::an_abort_ends_it_as_ever",
            ])
            .env(FOLDER, "none")
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(6), "{output:?}");
        return;
    };
    assert_eq!(folder, "none");
    let mut confinement = Confinement::files(&Openings::new()).unwrap();
    confinement.calls(Purpose::Verify).unwrap();
    std::process::abort();
}

#[test]
fn switched_off_nothing_is_refused() {
    let Some(folder) = behind("switched_off_nothing_is_refused") else {
        return;
    };
    let mut confinement = Confinement::NONE;
    confinement.calls(Purpose::Verify).unwrap();
    File::open(folder.join("outside/file")).unwrap();
    UnixStream::pair().unwrap();
    assert_eq!(
        confinement.to_string(),
        "confinement: Landlock not in force: switched off; seccomp not in force: switched off"
    );
}
