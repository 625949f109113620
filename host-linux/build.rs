//! With the feature `sandbox`: builds the module `host-wasm/guest` and compiles it for the
//! target, so that the program holds machine code of it and no compiler.

#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this runs on the machine that builds"
)]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "sandbox")]
    guest::embed();
}

#[cfg(feature = "sandbox")]
mod guest {
    use std::env;
    use std::ffi::OsString;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::{Command, exit};

    use erofs_unpack_sandbox::{Cpu, Interruption, Room, Sandbox};

    const TARGET: &str = "wasm32-unknown-unknown";

    /// What the module is made from, below the project's root.
    const SOURCES: [&str; 6] = [
        "Cargo.lock",
        "Cargo.toml",
        "core/Cargo.toml",
        "core/src",
        "host-wasm/guest/Cargo.toml",
        "host-wasm/guest/src",
    ];

    /// The forms that are embedded, by the names that `src/isolation/embedded.rs` has for them.
    const FORMS: [(&str, Cpu, Room); 3] = [
        ("any", Cpu::Any, Room::Reserved),
        ("haswell", Cpu::Haswell, Room::Reserved),
        ("tight", Cpu::Any, Room::Tight),
    ];

    /// Ends the build with what there is to do.
    fn fail(text: &str) -> ! {
        println!("cargo::error=the sandbox: {text}; or build without it: --no-default-features");
        exit(1);
    }

    fn variable(name: &str) -> OsString {
        env::var_os(name).unwrap_or_else(|| fail(&format!("cargo does not say {name}")))
    }

    pub(super) fn embed() {
        let root = Path::new(&variable("CARGO_MANIFEST_DIR")).join("..");
        for source in SOURCES {
            println!("cargo::rerun-if-changed={}", root.join(source).display());
        }
        if !root.join("host-wasm/guest/Cargo.toml").is_file() {
            fail("needs the sources of host-wasm/guest: build in a clone of the repository");
        }
        let out = PathBuf::from(variable("OUT_DIR"));
        let module = build(&root, &out.join("guest"));
        let module = fs::read(&module)
            .unwrap_or_else(|error| fail(&format!("cannot read {}: {error}", module.display())));
        let target = variable("TARGET");
        let target = target.to_string_lossy();
        for (name, cpu, room) in FORMS {
            let code = Sandbox::precompile(&module, &target, cpu, room, Interruption::Watchdog)
                .unwrap_or_else(|error| fail(&error.to_string()));
            let path = out.join(format!("{name}.cwasm"));
            fs::write(&path, code).unwrap_or_else(|error| {
                fail(&format!("cannot write {}: {error}", path.display()));
            });
        }
    }

    /// Builds the module in a folder of its own, since cargo holds a lock on the one in which
    /// this runs.
    fn build(root: &Path, folder: &Path) -> PathBuf {
        let rustc = variable("RUSTC");
        let library = Command::new(&rustc)
            .args(["--print", "target-libdir", "--target", TARGET])
            .output();
        let library = library
            .ok()
            .and_then(|output| String::from_utf8(output.stdout).ok());
        if !library.is_some_and(|library| Path::new(library.trim()).is_dir()) {
            fail(&format!("needs a Rust target: rustup target add {TARGET}"));
        }
        // Tests want the build to be short, users the program.
        let profile = match variable("PROFILE").to_str() {
            Some("release") => "wasm",
            _ => "wasm-dev",
        };
        let built = Command::new(variable("CARGO"))
            .current_dir(root)
            .args([
                "build",
                "--quiet",
                "--locked",
                "--package",
                "erofs-unpack-wasm",
            ])
            .args(["--lib", "--target", TARGET, "--profile", profile])
            .args(["--no-default-features", "--features", "check,fast"])
            .arg("--target-dir")
            .arg(folder)
            // Vector instructions: inflating is a tenth faster with them. Calls are dear in the
            // sandbox, so more functions are inlined: a check is a tenth faster. Flags of the
            // environment are meant for the program, not for the module.
            .env(
                "RUSTFLAGS",
                "-C target-feature=+simd128 -C llvm-args=-inline-threshold=1000",
            )
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("RUSTC_WORKSPACE_WRAPPER")
            .status();
        match built {
            Ok(status) if status.success() => {}
            Ok(status) => fail(&format!("the module could not be built: {status}")),
            Err(error) => fail(&format!("cannot run cargo for the module: {error}")),
        }
        folder
            .join(TARGET)
            .join(profile)
            .join("erofs_unpack_wasm.wasm")
    }
}
