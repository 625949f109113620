//! The module, for the tests of what runs it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The project's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The module with these decoders, built when it is first asked for.
pub(crate) fn module(form: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = Command::new(root().join("host-wasm/build"))
            .args(["small", "fast"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{said}");
    });
    root()
        .join("target/wasm")
        .join(form)
        .join("erofs_unpack.wasm")
}
