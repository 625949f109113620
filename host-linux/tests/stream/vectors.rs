//! Every layer and image of the vectors, through the processor.

use std::path::Path;

use erofs_unpack_conformance::manifest::{Case, Expected, Level, Limits, Operation, Policy};
use erofs_unpack_conformance::run::Vectors;
use erofs_unpack_core::Code;

use crate::common::{Dir, one_line};
use crate::processor::{Processed, Processor, command, mimicked};

/// What the processor is never told: containerd verifies these by itself.
const NOT_TOLD: [&str; 3] = ["blob-size", "blob-digest", "diff-id"];

/// The largest blob that is held in memory here.
const LARGEST: u64 = 64 << 20;

fn flags(limits: &Limits) -> Vec<String> {
    let named = [
        ("blob-size", limits.blob_size),
        ("image-size", limits.image_size),
        // The program's own default is larger.
        ("window", Some(limits.zstd_window.unwrap_or(8 << 20))),
        ("frames", limits.frames),
        ("skippable-size", limits.skippable_size),
        ("inodes", limits.inodes),
        ("directory-entries", limits.directory_entries),
        ("directory-depth", limits.directory_depth.map(u64::from)),
        ("symlink-length", limits.symlink_length.map(u64::from)),
        ("check-memory", limits.check_memory),
        ("check-work", limits.check_work),
    ];
    named
        .into_iter()
        .filter_map(|(name, value)| Some(format!("--max-{name}={}", value?)))
        .collect()
}

/// Whether the line says what this error says.
fn says(line: &str, id: &str) -> bool {
    let code = Code::ALL.iter().find(|code| code.id() == id);
    line.contains(code.unwrap_or_else(|| panic!("{id}")).text())
}

/// What must come of a case.
enum Must {
    /// Its decoded bytes, whose SHA-256 is known where it is stated.
    Pass(Option<String>),
    /// No byte, and an error with this id where it is stated.
    Refuse(Option<String>),
}

fn holds(must: &Must, processed: &Processed) -> Result<(), String> {
    let code = processed.code();
    let (bytes, said) = (processed.stdout.len(), &processed.stderr);
    match must {
        Must::Pass(digest) => {
            if code != 0 || !said.is_empty() {
                return Err(format!("expected to pass, got {code}: {said}"));
            }
            let found = crate::common::sha256(&processed.stdout);
            match digest {
                Some(digest) if *digest != found => Err(format!("expected {digest}, got {found}")),
                _ => Ok(()),
            }
        }
        Must::Refuse(id) => {
            if code != 1 || bytes != 0 {
                return Err(format!(
                    "expected a refusal, got {code}, {bytes} bytes: {said}"
                ));
            }
            match id {
                Some(id) if !says(one_line(said), id) => Err(format!("expected {id}: {said}")),
                _ => Ok(()),
            }
        }
    }
}

/// A case through the processor, under a media type.
fn run(dir: &Dir, media_type: &str, arguments: &[String], blob: &[u8]) -> Processed {
    let mut command = command(&dir.0, arguments);
    Processor::start(&mut command, media_type, blob.to_vec()).whole()
}

/// What is wrong with the answer to a case; `None` for one that says nothing here.
fn answer(case: &Case, vectors: &Vectors, dir: &Dir) -> Option<Result<(), String>> {
    let folder: &Path = &vectors.folder;
    match &case.operation {
        Operation::Unpack(input) if input.blob.size <= LARGEST => {
            let blob = input.blob.read(folder).unwrap();
            let suffix = input
                .media_type
                .find('+')
                .map_or("", |at| &input.media_type[at..]);
            // No annotation reaches the processor: what stands behind an image is unknown to it.
            let unknown_rest = !input.annotations.is_empty() || input.devices.is_some();
            let mut arguments = flags(&input.limits);
            // The cases of this operation say nothing of the inside of an image.
            arguments.push("--level=superblock".to_owned());
            let as_erofs = run(dir, &input.media_type, &arguments, &blob);
            let as_tar = run(dir, &mimicked(suffix), &arguments, &blob);
            let all = |must: &Must| holds(must, &as_erofs).and_then(|()| holds(must, &as_tar));
            match &case.expected {
                Expected::Valid { .. } if unknown_rest => None,
                Expected::Valid { outputs } => {
                    let digest = outputs.get("diffId").and_then(|id| id.as_str());
                    let digest = digest.filter(|digest| digest.starts_with("sha256:"));
                    Some(all(&Must::Pass(digest.map(str::to_owned))))
                }
                Expected::Invalid { error, .. } => {
                    let id = error.id.as_str();
                    if NOT_TOLD.contains(&id) || id == "expansion-limit" || unknown_rest {
                        return None;
                    }
                    let refuse = Must::Refuse(Some(id.to_owned()));
                    match id {
                        // Under the tar type these bytes are at their place.
                        "content-tar" | "content-zeros" | "content-empty" => Some(
                            holds(&refuse, &as_erofs)
                                .and_then(|()| holds(&Must::Pass(None), &as_tar)),
                        ),
                        // Nothing at all is an empty archive.
                        _ if blob.is_empty() => Some(
                            holds(&refuse, &as_erofs)
                                .and_then(|()| holds(&Must::Pass(None), &as_tar)),
                        ),
                        // The plain tar type leaves the compression to the content.
                        "content-compressed" if suffix.is_empty() => {
                            Some(holds(&refuse, &as_erofs))
                        }
                        // The type itself is refused. The tar type has its own suffixes.
                        _ if id.starts_with("media-type") => Some(holds(&refuse, &as_erofs)),
                        _ => Some(all(&refuse)),
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        // There is no flag for the kernel: it is the one that the layer is for.
        Operation::Check(input)
            if input.devices == 0 && input.kernel.is_none() && input.image.size <= LARGEST =>
        {
            let mut arguments = flags(&input.limits);
            arguments.push(format!(
                "--level={}",
                match input.level {
                    Level::Superblock => "superblock",
                    Level::Full => "full",
                    _ => "metadata",
                }
            ));
            arguments.push(format!(
                "--policy={}",
                match input.policy {
                    Policy::Any => "any",
                    Policy::Strict => "strict",
                    _ => "containerd",
                }
            ));
            arguments.extend(input.allow.iter().map(|rule| format!("--allow={rule}")));
            let image = input.image.read(folder).unwrap();
            let processed = run(dir, &mimicked(""), &arguments, &image);
            let refuse = match &case.expected {
                Expected::Invalid { .. } => true,
                Expected::Valid { outputs } => outputs["errors"] != serde_json::json!([]),
                other => panic!("{other:?}"),
            };
            // While the image streams past nothing may follow it, whatever the policy: a tree
            // or an index is only known from annotations.
            let trailing = says(&processed.stderr, "image-trailing");
            Some(if refuse || trailing {
                holds(&Must::Refuse(None), &processed)
            } else {
                holds(&Must::Pass(Some(crate::common::sha256(&image))), &processed)
            })
        }
        _ => None,
    }
}

/// Runs a share of the cases, so that the shares run at the same time.
fn run_share(share: usize, of: usize) {
    let vectors = Vectors::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")).unwrap();
    let dir = Dir::new();
    let mut failures = Vec::new();
    let mut ran = 0;
    for case in vectors.manifest.cases.iter().skip(share).step_by(of) {
        match answer(case, &vectors, &dir) {
            None => continue,
            Some(Ok(())) => {}
            Some(Err(text)) => failures.push(format!("{}: {text}", case.id)),
        }
        ran += 1;
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(ran > 300, "{ran}");
    assert_eq!(dir.names(), [""; 0]);
}

#[test]
fn every_layer_and_image_1() {
    run_share(0, 2);
}

#[test]
fn every_layer_and_image_2() {
    run_share(1, 2);
}
