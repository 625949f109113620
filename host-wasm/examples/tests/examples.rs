//! Each example does what it says, and all say the same.
#![allow(clippy::std_instead_of_core, reason = "this is a test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The layer that is shown, and what must be said of it.
const LAYER: &str = "vectors/bases/demo-3.erofs.gz";
const SHOWN: &str = "\
compression: gzip
digest: sha256:4532fd946fc3831abd45fda233965c8c173dd4662c9ebb06917d88ce9d75f832
diffID: sha256:fb0343305bd53d2f4db486811726ae227b5ad5c46a065df86dacc78b48a9b69c
image: 8192 bytes, 4 inodes
directory /etc
file      /etc/greeting
link      /hello -> etc/greeting
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The module, built when it is first asked for.
fn module() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = Command::new(root().join("host-wasm/build"))
            .arg("small")
            .output();
        let built = built.unwrap();
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{said}");
        root().join("target/wasm/small/erofs_unpack.wasm")
    })
}

/// A program with its first arguments, where it is there.
fn program(name: &str, arguments: &[&str]) -> Option<Command> {
    if Command::new(name).arg("--version").output().is_err() {
        println!("skipped: needs {name}");
        assert!(
            std::env::var_os("EROFS_UNPACK_REQUIRE_TOOLS").is_none(),
            "{name} must be there"
        );
        return None;
    }
    let mut command = Command::new(name);
    command.current_dir(root()).args(arguments);
    Some(command)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Holds an example against what it must say of a layer, of a file in it, and of what is none.
fn compare(mut example: impl FnMut() -> Command) {
    let mut run = |arguments: &[&str]| -> Output {
        let mut command = example();
        command.current_dir(root()).arg(module()).args(arguments);
        command.output().unwrap()
    };
    let listed = run(&[LAYER]);
    assert!(listed.status.success(), "{}", text(&listed.stderr));
    assert_eq!(text(&listed.stdout), SHOWN);

    let taken = run(&[LAYER, "/etc/greeting"]);
    assert!(taken.status.success(), "{}", text(&taken.stderr));
    assert_eq!(text(&taken.stdout), "hello from layer 3\n");

    // Compressed by what only the module knows, and its numbers with the highest bit set.
    let metabox = run(&["vectors/bases/metabox.erofs"]);
    assert!(metabox.status.success(), "{}", text(&metabox.stderr));
    assert!(text(&metabox.stdout).ends_with("file      /zeros\n"));

    let none = run(&[LAYER, "/no/such"]);
    assert_eq!(none.status.code(), Some(3));
    assert_eq!(text(&none.stdout), "");

    let refused = run(&["vectors/manifest.json"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    let said = text(&refused.stderr);
    assert!(said.contains("does not have the EROFS magic"), "{said}");
    assert_eq!(text(&refused.stdout), "");
}

#[test]
fn rust_with_wasmi() {
    compare(|| Command::new(env!("CARGO_BIN_EXE_layer")));
}

#[test]
fn javascript_in_node() {
    let script = "host-wasm/examples/javascript/layer.js";
    if program("node", &[]).is_some() {
        compare(|| program("node", &[script]).unwrap());
        // The digests that are stated are looked at.
        for flag in ["--digest", "--diff-id"] {
            let other = format!("{flag}=sha256:{:064}", 0);
            let mut command = program("node", &[script]).unwrap();
            let refused = command
                .arg(module())
                .args([LAYER, &other])
                .output()
                .unwrap();
            assert_eq!(refused.status.code(), Some(1));
            assert!(text(&refused.stderr).contains("does not have the stated"));
        }
    }
}

#[test]
fn layers_at_a_url_in_node() {
    let script = "host-wasm/examples/javascript/test_remote.js";
    let Some(mut node) = program("node", &[script]) else {
        return;
    };
    let vectors = root().join("vectors");
    let tested = node.args([module(), &vectors]).output().unwrap();
    assert!(tested.status.success(), "{}", text(&tested.stderr));
}

#[test]
fn python_with_wasmtime() {
    // Python with the package wasmtime, as .ci/install-tools puts it together.
    let python = "python3-wasmtime";
    if program(python, &[]).is_some() {
        compare(|| program(python, &["host-wasm/examples/python/layer.py"]).unwrap());
    }
}

#[test]
fn go_with_wazero() {
    // Go with the module wazero, as .ci/install-tools puts it together.
    let Some(mut build) = program("go-wazero", &["build", "-o", "target/wasm/layer-go"]) else {
        return;
    };
    module();
    let built = build.arg("host-wasm/examples/go/layer.go").output();
    let built = built.unwrap();
    assert!(built.status.success(), "{}", text(&built.stderr));
    compare(|| Command::new(root().join("target/wasm/layer-go")));
    let vetted = program("go-wazero", &["vet", "host-wasm/examples/go/layer.go"]);
    let vetted = vetted.unwrap().output().unwrap();
    assert!(vetted.status.success(), "{}", text(&vetted.stderr));
}

#[test]
fn a_page_in_chromium() {
    let (Some(mut node), Some(_)) = (
        program("node", &["host-wasm/examples/javascript/test_page.js"]),
        program("chromium", &[]),
    ) else {
        return;
    };
    let folder = root().join("target/wasm/page");
    let made = Command::new(root().join("host-wasm/examples/javascript/page"))
        .args([module(), &folder])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    // The screenshot stays there, to be looked at.
    let tested = node
        .args([Path::new("chromium"), &folder, &root().join("vectors")])
        .arg(root().join("target/wasm/page.png"))
        .output()
        .unwrap();
    assert!(tested.status.success(), "{}", text(&tested.stderr));
}
