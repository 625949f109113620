//! `erofs-unpack cache` says and does the same in the sandbox and without.

mod common;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use common::*;
use erofs_unpack_ops::Sandbox;

/// Where an entry lies.
fn entry(cache: &Path, diff_id: &str) -> PathBuf {
    let hex = diff_id.strip_prefix("sha256:").unwrap();
    cache
        .join("sha256")
        .join(&hex[..2])
        .join(format!("{hex}.erofs"))
}

/// What runs on two caches of their own came to, in the sandbox and without: exit code, stdout
/// and stderr. `arguments` makes the command for a cache.
fn both(caches: &[PathBuf; 2], arguments: impl Fn(&Path) -> Vec<OsString>) -> (i32, String) {
    let [inside, native] = ["wasm", "none"].map(|kind| {
        let cache = &caches[usize::from(kind == "none")];
        let mut all = arguments(cache);
        all.push(format!("--sandbox={kind}").into());
        let run = run(all);
        let said = format!("{}{}", run.text(), run.stderr);
        (run.code(), said.replace(cache.to_str().unwrap(), "CACHE"))
    });
    assert_eq!(inside, native);
    native
}

#[test]
fn the_sandbox_changes_nothing_in_what_is_said() {
    if !Sandbox::AVAILABLE {
        println!("skipped: needs the feature sandbox");
        return;
    }
    let dir = Dir::new();
    let caches = ["inside", "native"].map(|name| dir.path(name));
    let layers = three_layers();
    let good = Layout::of(dir.path("good"), &layers);
    for status in ["put", "kept"] {
        let (code, said) = both(&caches, |cache| args!["cache", "put", cache, good.path]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(said.matches(&format!("{status} sha256:")).count(), 3);
    }
    // A stream that ends early, and an image that is not the stated one.
    let whole = Layer::new(EROFS_ZSTD, &image(4, 300));
    let cut = Layer {
        blob: whole.blob[..whole.blob.len() - 9].to_vec(),
        ..whole.clone()
    };
    let other = Layer {
        diff_id: sha256(b"another"),
        ..whole
    };
    for (name, layer) in [("cut", cut), ("other", other)] {
        let bad = Layout::of(dir.path(name), &[layer]);
        let (code, said) = both(&caches, |cache| args!["cache", "put", cache, bad.path]);
        assert_eq!(code, 1, "{said}");
    }
    // The root directory says that it is a file.
    let mut bad = image(5, 40);
    bad[1152 + 4..1152 + 6].copy_from_slice(&0o100_755_u16.to_le_bytes());
    let bad = Layer::new(EROFS_ZSTD, &mended(bad));
    let refused = Layout::of(dir.path("refused"), core::slice::from_ref(&bad));
    let (code, said) = both(&caches, |cache| args!["cache", "put", cache, refused.path]);
    assert_eq!(code, 1, "{said}");
    both(&caches, |cache| {
        args!["cache", "put", "--no-check", cache, refused.path]
    });
    // Beside the one that the check refuses, one that has changed.
    for cache in &caches {
        let path = entry(cache, &layers[0].diff_id);
        let mut content = content(&path);
        *content.last_mut().unwrap() ^= 1;
        fs::write(path, content).unwrap();
    }
    for more in [&[][..], &["--json"], &["--level", "full"]] {
        let (code, said) = both(&caches, |cache| {
            let mut all = args!["cache", "verify", "-v", cache];
            all.extend(more.iter().map(Into::into));
            all
        });
        assert_eq!(code, 1, "{said}");
    }
}

/// A program without the sandbox says so, and does nothing.
#[test]
fn asked_for_where_it_is_not() {
    if Sandbox::AVAILABLE {
        println!("skipped: needs a program without the feature sandbox");
        return;
    }
    let dir = Dir::new();
    let layout = Layout::of(dir.path("good"), &three_layers());
    let cache = dir.path("cache");
    run(args!["cache", "put", "--sandbox", cache, layout.path]).line(2);
    assert!(!cache.exists());
}
