//! The operations as a library has them: their reports are what the program prints with `--json`,
//! their observers are told of the work, and nothing is printed.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use erofs_unpack_core::oci::Digest;
use erofs_unpack_ops::cache::{self, GcOptions, PutOptions, VerifyOptions};
use erofs_unpack_ops::check::{Checked, check};
use erofs_unpack_ops::image_file::ImageFileOptions;
use erofs_unpack_ops::observer::{Item, Work};
use erofs_unpack_ops::report::to_json;
use erofs_unpack_ops::unpack::{Destination, unpack};
use erofs_unpack_ops::{
    Checks, HostError, Observer, Sandbox, Select, extract, inspect, unpack as unpacking,
};
use erofs_unpack_ops::{check as checking, extract as extracting, inspect as inspecting};

use common::*;

fn vectors(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../vectors")
        .join(name)
}

/// Keeps what it is told.
#[derive(Default)]
struct Witness(Mutex<Vec<String>>);

impl Witness {
    fn add(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    fn told(self) -> Vec<String> {
        self.0.into_inner().unwrap()
    }
}

impl Observer for Witness {
    fn begin(&self, work: Work) {
        self.add(match work {
            Work::Layers(layers) => format!("begin {} layers", layers.len()),
            Work::Files { .. } => "begin files".to_owned(),
            _ => unreachable!(),
        });
    }

    fn end(&self) {
        self.add("end".to_owned());
    }

    fn checked(&self, checked: &Checked) {
        self.add(format!("{} errors", checked.summary.errors));
    }

    fn item(&self, item: &Item<'_>) -> Result<(), HostError> {
        self.add(item.status.to_owned());
        Ok(())
    }
}

/// What the program prints.
fn printed<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> String {
    String::from_utf8(run(arguments).stdout).unwrap()
}

#[test]
fn unpack_reports_what_the_program_prints() {
    let demo = vectors("layouts/demo");
    let options = unpacking::Options::default();
    let witness = Witness::default();
    let done = unpack(&demo, &Destination::Nowhere, &options, &witness);
    assert_eq!(
        to_json(&done.report),
        printed(args![
            "unpack",
            "--verify-only",
            "--json",
            "--sandbox=none",
            demo
        ])
    );
    assert_eq!(done.ok().unwrap().layers.len(), 3);
    let expected = ["begin 3 layers", "end", "0 errors", "0 errors", "0 errors"];
    assert_eq!(witness.told(), expected);
}

#[test]
fn a_refused_layer_has_a_report_and_an_error() {
    let dir = Dir::new();
    let layer = dir.write("layer", b"no image");
    let options = unpacking::Options::default();
    let folder = Destination::Path(dir.path("out"));
    let done = unpack(&layer, &folder, &options, &());
    assert_eq!(done.report.outcome, "refused");
    assert_eq!(
        to_json(&done.report),
        printed(args!["unpack", "--json", "-o", dir.path("out"), layer])
    );
    assert_eq!(done.ok().unwrap_err().exit_code(), 1);
    assert_eq!(dir.names(), ["layer"]);
}

#[test]
fn check_reports_what_the_program_prints() {
    for source in [vectors("layouts/demo"), vectors("bases/small.erofs.zst")] {
        let options = checking::Options::default();
        let done = check(&source, &options, &());
        assert_eq!(
            to_json(&done.report),
            printed(args!["check", "--json", "--sandbox=none", source])
        );
        assert!(done.ok().unwrap().passed());
    }
}

#[test]
fn a_broken_image_is_no_error_of_the_check() {
    let dir = Dir::new();
    let mut image = std::fs::read(vectors("bases/small.erofs")).unwrap();
    image.push(7);
    let image = dir.write("image", image);
    let options = checking::Options::default();
    let done = check(&image, &options, &());
    let report = done.ok().unwrap();
    assert!(!report.passed());
    assert_eq!(report.exit_code, 1);
}

#[test]
fn inspect_reports_what_the_program_prints() {
    for source in [vectors("layouts/demo"), vectors("bases/small.erofs.gz")] {
        let report = inspect(&source, &inspecting::Options::default()).unwrap();
        let program = printed(args!["inspect", "--json", source]);
        assert_eq!(to_json(&report), program);
    }
}

#[test]
fn extract_creates_the_files_or_writes_a_stream() {
    let dir = Dir::new();
    let image = vectors("bases/small.erofs");
    let opened = ImageFileOptions::default();
    let mut options = extracting::Options::new();
    options.everything = false;
    let witness = Witness::default();
    let to = extracting::Destination::Directory(dir.path("files"));
    let files = extract(&image, &[], to, &opened, &options, &witness)
        .ok()
        .unwrap();
    assert_eq!(witness.told(), ["begin files", "end"]);
    let mut stream = Vec::new();
    let to = extracting::Destination::Tar(&mut stream);
    let tar = extract(&image, &[], to, &opened, &options, &())
        .ok()
        .unwrap();
    assert!(files.files > 1, "{files:?}");
    assert!(tar.bytes <= stream.len() as u64, "{tar:?}");
    assert_eq!(
        stream,
        run(args!["extract", "--tar", image]).stdout,
        "the program's stream is another"
    );
}

#[test]
fn the_cache_is_filled_listed_verified_and_emptied() {
    let dir = Dir::new();
    let folder = dir.path("cache");
    let demo = vectors("layouts/demo");
    let put = PutOptions {
        select: Select::default(),
        media_type: None,
        diff_id: None,
        force: false,
        dm_verity: false,
        check: Some(Checks::default()),
        limits: erofs_unpack_core::Limits::DEFAULT,
        sandbox: Sandbox::NONE,
    };
    let witness = Witness::default();
    let done = cache::put(&folder, core::slice::from_ref(&demo), &put, &witness);
    assert_eq!(done.ok().unwrap().own.layers.len(), 3);
    let told = witness.told();
    let count = |what: &str| told.iter().filter(|told| *told == what).count();
    assert_eq!((count("put"), count("end")), (3, 3), "{told:?}");
    // The second time all is kept.
    let done = cache::put(&folder, core::slice::from_ref(&demo), &put, &());
    let program = printed(args!["cache", "put", "--json", folder, demo]);
    assert_eq!(to_json(&done.report), program);

    let listed = cache::list(&folder);
    let program = printed(args!["cache", "list", "--json", folder]);
    assert_eq!(to_json(&listed.report), program);

    let options = VerifyOptions {
        diff_ids: Vec::new(),
        check: Some(Checks::default()),
        policy: erofs_unpack_core::oci::Policy::default(),
        dm_verity: true,
        converted: false,
        limits: erofs_unpack_core::Limits::DEFAULT,
        sandbox: Sandbox::NONE,
    };
    let verified = cache::verify(&folder, &options, &());
    let program = printed(args!["cache", "verify", "--json", folder]);
    assert_eq!(to_json(&verified.report), program);

    let kept: Digest = listed.report.own.entries[0].diff_id.parse().unwrap();
    let mut options = GcOptions::default();
    options.keep.push(kept);
    options.dry_run = true;
    let found = cache::gc(&folder, &options);
    let program = printed(args![
        "cache",
        "gc",
        "--json",
        "-n",
        "--keep",
        kept.to_string(),
        folder
    ]);
    assert_eq!(to_json(&found.report), program);
    options.dry_run = false;
    let gone = cache::gc(&folder, &options).ok().unwrap();
    assert_eq!((gone.own.removed.len(), gone.own.kept), (2, 1));
}
