//! The program over every layer, layout and image of the vectors: exit code, error, and that a
//! refused one leaves nothing. In the sandbox it must say and write the very same.

#![allow(clippy::std_instead_of_core, reason = "this is a test")]

use core::time::Duration;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use erofs_unpack_conformance::blob::{Blob, Content, sha256};
use erofs_unpack_conformance::manifest::{
    Case, CheckInput, Expected, LayoutInput, Level, Limits, Operation, Place, Policy, UnpackInput,
};
use erofs_unpack_conformance::run::Vectors;
use erofs_unpack_ops::Sandbox;
use serde_json::{Value as Json, json};

/// A folder that is removed with its content, and where the program is to decode and check.
struct Dir {
    path: PathBuf,
    sandbox: &'static str,
}

impl Dir {
    fn new(name: &str, sandbox: &'static str) -> Self {
        let name = format!("vectors-{}-{name}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("out")).unwrap();
        Self { path, sandbox }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn output(&self) -> PathBuf {
        self.path("out")
    }

    /// The names in the output folder.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.output()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn vectors() -> Vectors {
    Vectors::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")).unwrap()
}

/// The flags for a case's limits. Those that it does not set are the core's own.
fn limits(command: &mut Command, limits: &Limits) {
    let mut flag = |name: &str, value: Option<u64>| {
        if let Some(value) = value {
            command.arg(format!("--max-{name}={value}"));
        }
    };
    flag("blob-size", limits.blob_size);
    flag("image-size", limits.image_size);
    // The program's own default is larger.
    flag("window", Some(limits.zstd_window.unwrap_or(8 << 20)));
    flag("frames", limits.frames);
    flag("skippable-size", limits.skippable_size);
    flag("expansion", limits.expansion_ratio);
    flag("json-size", limits.json_size);
    flag("json-depth", limits.json_depth.map(u64::from));
    flag("json-members", limits.json_members.map(u64::from));
    flag("index-depth", limits.index_depth.map(u64::from));
    flag("layers", limits.layers.map(u64::from));
}

fn program(dir: &Dir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_erofs-unpack"));
    command
        .arg("unpack")
        .arg("--quiet")
        // The cases of this operation say nothing of the inside of an image.
        .arg("--no-check")
        .arg(format!("--sandbox={}", dir.sandbox))
        .arg(format!("--json={}", dir.path("report.json").display()))
        .stdin(Stdio::null());
    command
}

/// An image that is checked.
fn checked(input: &CheckInput, vectors: &Vectors, dir: &Dir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_erofs-unpack"));
    command
        .arg("check")
        .arg(format!("--sandbox={}", dir.sandbox))
        .arg(format!("--json={}", dir.path("report.json").display()))
        .arg(match input.level {
            Level::Superblock => "--level=superblock",
            Level::Metadata => "--level=metadata",
            Level::Full => "--level=full",
            other => panic!("{other:?}"),
        })
        .arg(policy(input.policy))
        .arg(format!("--known-devices={}", input.devices))
        .args(input.allow.iter().map(|rule| format!("--allow={rule}")))
        .args(
            input
                .kernel
                .iter()
                .map(|version| format!("--kernel={version}")),
        )
        .arg(as_file(&input.image, vectors, dir))
        .stdin(Stdio::null());
    let mut flag = |name: &str, value: Option<u64>| {
        if let Some(value) = value {
            command.arg(format!("--max-{name}={value}"));
        }
    };
    let limits = &input.limits;
    flag("image-size", limits.image_size);
    flag("inodes", limits.inodes);
    flag("directory-entries", limits.directory_entries);
    flag("directory-depth", limits.directory_depth.map(u64::from));
    flag("symlink-length", limits.symlink_length.map(u64::from));
    flag("check-memory", limits.check_memory);
    flag("check-work", limits.check_work);
    command
}

fn policy(policy: Policy) -> &'static str {
    match policy {
        Policy::Any => "--policy=any",
        Policy::Strict => "--policy=strict",
        _ => "--policy=containerd",
    }
}

/// A file with the bytes of a blob.
fn as_file(blob: &Blob, vectors: &Vectors, dir: &Dir) -> PathBuf {
    if let Content::File(path) = &blob.content {
        return vectors.folder.join(path);
    }
    let path = dir.path("blob");
    let mut file = File::create(&path).unwrap();
    io::copy(&mut blob.open(&vectors.folder).unwrap(), &mut file).unwrap();
    path
}

/// One layer by itself: what is stated of it are flags.
fn lone(input: &UnpackInput, case: &Case, vectors: &Vectors, dir: &Dir) -> Command {
    let mut command = program(dir);
    let path = as_file(&input.blob, vectors, dir);
    if case.has_flag("size-unknown") {
        let blob = File::open(&path).unwrap();
        // A pipe, whose size nobody knows.
        let mut cat = Command::new("cat")
            .stdin(blob)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        command.arg("-").stdin(cat.stdout.take().unwrap());
        // It ends with its input.
        drop(std::thread::spawn(move || cat.wait()));
    } else {
        command.arg(path);
    }
    command
        .arg("-o")
        .arg(dir.output().join("layer.erofs"))
        .arg(format!("--media-type={}", input.media_type));
    if let Some(digest) = &input.digest {
        command.arg(format!("--digest={digest}"));
    }
    if let Some(diff_id) = &input.diff_id {
        command.arg(format!("--diff-id={diff_id}"));
    }
    limits(&mut command, &input.limits);
    command
}

/// One layer in a layout: what is stated of it stands in its descriptor and in the config.
///
/// Where the case states no diffID, the layout states the one that comes out; for a layer that
/// is refused, any, since a diffID is looked at last.
fn wrapped(input: &UnpackInput, case: &Case, vectors: &Vectors, dir: &Dir) -> Command {
    let root = dir.path("layout");
    let put = |digest: &str, bytes: &[u8]| {
        let path = root.join("blobs").join(digest.replacen(':', "/", 1));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let document = |media_type: &str, document: &Json| {
        let text = document.to_string();
        let digest = format!("sha256:{}", sha256(text.as_bytes()));
        put(&digest, text.as_bytes());
        json!({ "mediaType": media_type, "digest": digest, "size": text.len() })
    };
    let blob = fs::read(as_file(&input.blob, vectors, dir)).unwrap();
    let own = format!("sha256:{}", input.blob.sha256);
    let digest = input.digest.as_ref().unwrap_or(&own);
    put(digest, &blob);
    let comes_out = || match &case.expected {
        Expected::Valid { outputs } => outputs["diffId"].as_str().unwrap().to_owned(),
        _ => format!("sha256:{}", "0".repeat(64)),
    };
    let diff_id = input.diff_id.clone().unwrap_or_else(comes_out);
    let mut layers = vec![json!({
        "mediaType": input.media_type,
        "digest": digest,
        "size": input.size.unwrap_or(input.blob.size),
        "annotations": input.annotations,
    })];
    let mut diff_ids = vec![diff_id.clone()];
    if input.annotations.contains_key("org.erofs.role") {
        // Something that can be mounted must come last.
        let image = fs::read(vectors.folder.join("bases/small.erofs")).unwrap();
        let digest = format!("sha256:{}", sha256(&image));
        put(&digest, &image);
        layers.push(json!({
            "mediaType": "application/vnd.erofs", "digest": digest, "size": image.len(),
        }));
        diff_ids.push(digest);
    }
    let config = document(
        "application/vnd.oci.image.config.v1+json",
        &json!({
            "os": "linux", "architecture": "amd64", "os.features": ["erofs"],
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        }),
    );
    let manifest = document(
        "application/vnd.oci.image.manifest.v1+json",
        &json!({ "schemaVersion": 2, "config": config, "layers": layers }),
    );
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(root.join("index.json"), index.to_string()).unwrap();
    fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let mut command = program(dir);
    command.arg(&root).arg("-o").arg(dir.output());
    limits(&mut command, &input.limits);
    command
}

fn layout(input: &LayoutInput, vectors: &Vectors, dir: &Dir) -> Command {
    let mut command = program(dir);
    command
        .arg(vectors.folder.join(&input.folder))
        .arg("-o")
        .arg(dir.output());
    if let Some(platform) = &input.platform {
        command.arg(format!("--platform={platform}"));
    }
    if let Some(digest) = &input.digest {
        command.arg(format!("--digest={digest}"));
    }
    command.arg(policy(input.policy));
    limits(&mut command, &input.limits);
    command
}

/// Runs a command to its end, which must come soon: its exit code, how much it wrote to stdout,
/// and what it wrote to stderr.
fn finished(command: &mut Command, dir: &Dir) -> Result<(Option<i32>, u64, String), String> {
    let (stdout, stderr) = (dir.path("stdout"), dir.path("stderr"));
    let mut child = command
        .stdout(File::create(&stdout).unwrap())
        .stderr(File::create(&stderr).unwrap())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            return Err("does not come to an end".to_owned());
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let written = fs::metadata(&stdout).unwrap().len();
    let said = fs::read_to_string(&stderr).unwrap();
    Ok((status.code(), written, said))
}

/// How the report shows a place.
fn shown(place: Place) -> Json {
    match place {
        Place::Blob(offset) => json!(["blob", offset]),
        Place::Image(offset) => json!(["image", offset]),
        Place::Text(offset) => json!(["text", offset]),
        Place::Json(offset) => json!(["json", offset]),
        Place::Nid(nid) => json!(["nid", nid]),
        Place::Layer(number) => json!(["layer", number]),
        other => panic!("{other:?}"),
    }
}

/// All that came of a run: exit code, bytes on stdout, stderr, the report, and the files.
type Said = (Option<i32>, u64, String, String, Vec<String>);

/// Runs a case and says what is not as it must be, or what was said. `None` for operations that
/// are no layer's, no layout's and no image's.
fn answer(case: &Case, vectors: &Vectors, sandbox: &'static str) -> Option<Result<Said, String>> {
    let dir = Dir::new(&case.id.replace('/', "-"), sandbox);
    let mut command = match &case.operation {
        Operation::Unpack(input) => {
            let flags_say_all = input.annotations.is_empty()
                && input.devices.is_none()
                && input.size.is_none_or(|size| size == input.blob.size);
            if flags_say_all {
                lone(input, case, vectors, &dir)
            } else {
                wrapped(input, case, vectors, &dir)
            }
        }
        Operation::Layout(input) => layout(input, vectors, &dir),
        Operation::Check(input) => checked(input, vectors, &dir),
        _ => return None,
    };
    let (code, stdout, said) = match finished(&mut command, &dir) {
        Ok(output) => output,
        Err(text) => return Some(Err(text)),
    };
    let text = fs::read_to_string(dir.path("report.json")).unwrap_or_default();
    let report: Json = serde_json::from_str(&text).unwrap_or_default();
    // How chunks served is no answer: in a guest none do. The memory of a check is what it took: less
    // where addresses are of 32 bits.
    let mut shared = report.clone();
    for layer in shared["layers"].as_array_mut().into_iter().flatten() {
        layer.as_object_mut().map(|layer| layer.remove("chunks"));
    }
    let text = serde_json::to_string_pretty(&shared).unwrap_or_default();
    let is_memory = |line: &&str| line.trim_start().starts_with("\"memory\":");
    let text = text.lines().filter(|line| !is_memory(line)).collect();
    let names = dir.names();
    let is_check = matches!(case.operation, Operation::Check(_));
    let check = || {
        let equal = |what: &str, found: &Json, expected: &Json| {
            if found == expected {
                return Ok(());
            }
            Err(format!("{what}: expected {expected}, got {found}: {said}"))
        };
        if is_check {
            let valid = matches!(case.expected, Expected::Valid { .. });
            return equal("exit code", &json!(code), &json!(i32::from(!valid)));
        }
        if stdout != 0 {
            return Err(format!("{stdout} bytes on stdout"));
        }
        let code = json!(code);
        match &case.expected {
            Expected::Invalid { error, .. } => {
                // Which image is meant is for the caller to say.
                let refused = if error.id == "image-ambiguous" { 2 } else { 1 };
                equal("exit code", &code, &json!(refused))?;
                let found = &report["error"];
                equal("id", &found["id"], &json!(error.id))?;
                equal("kind", &found["kind"], &json!(error.kind))?;
                equal("at", &found["at"], &json!(error.at.map(shown)))?;
                equal("left behind", &json!(names), &json!([]))
            }
            Expected::Valid { outputs } => {
                equal("exit code", &code, &json!(0))?;
                equal("error", &report["error"], &Json::Null)?;
                match outputs.get("layers") {
                    Some(layers) => of_layers(layers, &report, &dir),
                    None => of_layer(outputs, &report, &dir),
                }
            }
            other => Err(format!("{other:?}")),
        }
    };
    let checked = check();
    Some(checked.map(|()| (code, stdout, said, text, names)))
}

/// Holds the report on one layer, and its file, against what must be said.
fn of_layer(
    outputs: &serde_json::Map<String, Json>,
    report: &Json,
    dir: &Dir,
) -> Result<(), String> {
    let layer = &report["layers"][0];
    for name in ["diffId", "imageSize"] {
        if let Some(expected) = outputs.get(name)
            && layer[name] != *expected
        {
            return Err(format!("{name}: expected {expected}, got {}", layer[name]));
        }
    }
    if let Some(expected) = outputs.get("superblock") {
        // A device has none.
        if expected.is_null() && !layer["superblock"].is_null() {
            return Err(format!("a superblock: {}", layer["superblock"]));
        }
        for (name, value) in expected.as_object().into_iter().flatten() {
            if layer["superblock"][name] != *value {
                return Err(format!(
                    "{name}: expected {value}, got {}",
                    layer["superblock"]
                ));
            }
        }
    }
    file_is(layer, dir)
}

/// Holds the report on an image's layers, and their files, against what must be said.
fn of_layers(layers: &Json, report: &Json, dir: &Dir) -> Result<(), String> {
    let layers = layers.as_array().unwrap();
    let found = report["layers"].as_array().cloned().unwrap_or_default();
    if found.len() != layers.len() {
        return Err(format!("{} layers", found.len()));
    }
    for (found, expected) in found.iter().zip(layers) {
        for (name, value) in expected.as_object().unwrap() {
            if found[name] != *value {
                return Err(format!("{name}: expected {value}, got {}", found[name]));
            }
        }
        file_is(found, dir)?;
    }
    // The layers and `image.json`.
    let names = dir.names();
    if names.len() != layers.len() + 1 {
        return Err(format!("{names:?}"));
    }
    Ok(())
}

/// Holds a layer's file against the diffID that the report states.
fn file_is(layer: &Json, dir: &Dir) -> Result<(), String> {
    let name = Path::new(layer["file"].as_str().unwrap_or_default());
    // A lone layer's is a path, an image's a name in its folder.
    let bytes = fs::read(dir.output().join(name)).map_err(|error| error.to_string())?;
    let diff_id = layer["diffId"].as_str().unwrap_or_default();
    let digest = if diff_id.starts_with("sha512:") {
        return Ok(());
    } else {
        format!("sha256:{}", sha256(&bytes))
    };
    if digest == diff_id {
        return Ok(());
    }
    Err(format!("the file has {digest}, the report says {diff_id}"))
}

/// Runs a share of the cases, so that the shares run at the same time.
fn run_share(share: usize, of: usize) {
    let vectors = vectors();
    let mut failures = Vec::new();
    let mut ran = 0;
    for case in vectors.manifest.cases.iter().skip(share).step_by(of) {
        let id = &case.id;
        let Some(native) = answer(case, &vectors, "none") else {
            continue;
        };
        ran += 1;
        if Sandbox::AVAILABLE {
            match (&native, answer(case, &vectors, "wasm")) {
                (Ok(native), Some(Ok(inside))) if *native != inside => {
                    failures.push(format!("{id}: {inside:?}, natively {native:?}"));
                }
                (_, Some(Err(text))) => failures.push(format!("{id}: sandbox: {text}")),
                _ => {}
            }
        }
        if let Err(text) = native {
            failures.push(format!("{id}: {text}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(ran > 100, "{ran}");
}

#[test]
fn the_program_answers_as_it_must_1() {
    run_share(0, 2);
}

#[test]
fn the_program_answers_as_it_must_2() {
    run_share(1, 2);
}
