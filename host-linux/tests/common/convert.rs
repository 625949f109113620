//! Images with tar layers, and their conversion.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::*;
use crate::args;

pub(crate) const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const TAR_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const TAR_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
pub(crate) const DOCKER_TAR: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// A tar archive of these files, in this order.
pub(crate) fn tar(dir: &Dir, files: &[(&str, &[u8])]) -> Vec<u8> {
    let folder = dir.path("tree");
    let _ = fs::remove_dir_all(&folder);
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let output = Command::new("tar")
        .arg("-C")
        .arg(&folder)
        .args([
            "--sort=name",
            "--mtime=@1700000000",
            "--owner=0",
            "--group=0",
        ])
        .args(["--numeric-owner", "-cf", "-", "."])
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}

/// A layout with an image of three tar layers, the second of which covers a file of the first.
pub(crate) fn layout(dir: &Dir) -> Layout {
    let base = tar(
        dir,
        &[
            ("etc/passwd", b"root"),
            ("usr/bin/tool", &noise(1, 300_000)),
        ],
    );
    let top = tar(dir, &[("etc/.wh.passwd", b""), ("etc/hosts", b"localhost")]);
    let last = tar(dir, &[("last", &noise(2, 5000))]);
    let layers = [
        Layer::new(TAR_GZIP, &base),
        Layer::new(TAR_ZSTD, &top),
        Layer::new(TAR, &last),
    ];
    let mut layout = Layout::new(dir.path("source"));
    layout.add(&layers, json!({"annotations": {REF_NAME: "v1"}}));
    layout
}

pub(crate) fn convert(source: &Path, destination: &Path, options: &[&str]) -> Value {
    let mut arguments = args![
        "convert",
        source,
        destination,
        "--json",
        "--chunk-size",
        "64KiB"
    ];
    arguments.extend(options.iter().map(Into::into));
    let run = run(arguments);
    run.done();
    run.json()
}

/// A document of a layout, by its descriptor.
pub(crate) fn document(layout: &Path, descriptor: &Value) -> Value {
    let digest = descriptor["digest"].as_str().unwrap();
    let hex = digest.strip_prefix("sha256:").unwrap();
    let bytes = content(&layout.join("blobs/sha256").join(hex));
    assert_eq!(sha256(&bytes), digest);
    assert_eq!(descriptor["size"], bytes.len());
    serde_json::from_slice(&bytes).unwrap()
}

pub(crate) fn index_of(layout: &Path) -> Value {
    serde_json::from_slice(&content(&layout.join("index.json"))).unwrap()
}
