//! OCI image layouts that tests make.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;

/// A layer of an image that is to be made.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) media_type: String,
    pub(crate) blob: Vec<u8>,
    pub(crate) diff_id: String,
    pub(crate) annotations: Value,
}

impl Layer {
    /// A layer with this content, wrapped as its media type says.
    pub(crate) fn new(media_type: &str, content: &[u8]) -> Self {
        let blob = match media_type.rsplit_once('+') {
            Some((_, "zstd")) => zstd(content),
            Some((_, "gzip")) => gzip(content),
            _ => content.to_vec(),
        };
        Self {
            media_type: media_type.to_owned(),
            blob,
            diff_id: sha256(content),
            annotations: json!({}),
        }
    }

    pub(crate) fn role(mut self, role: &str) -> Self {
        self.annotations["org.erofs.role"] = json!(role);
        self
    }

    /// The name of its file in a folder of layers.
    pub(crate) fn file(&self, number: u32) -> String {
        format!("{number:02}-{}.erofs", prefix(&self.diff_id))
    }
}

/// Three layers, one of each compression.
pub(crate) fn three_layers() -> [Layer; 3] {
    [
        Layer::new(EROFS, &image(1, 40)),
        Layer::new(EROFS_ZSTD, &image(2, 300)),
        Layer::new(EROFS_GZIP, &image(3, 1)),
    ]
}

/// An OCI image layout that grows.
pub(crate) struct Layout {
    pub(crate) path: PathBuf,
    /// The entries of its `index.json`.
    pub(crate) entries: Vec<Value>,
}

impl Layout {
    pub(crate) fn new(path: PathBuf) -> Self {
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        fs::create_dir_all(path.join("blobs/sha512")).unwrap();
        fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let layout = Self {
            path,
            entries: Vec::new(),
        };
        layout.save();
        layout
    }

    /// One image with these layers and no name.
    pub(crate) fn of(path: PathBuf, layers: &[Layer]) -> Self {
        let mut layout = Self::new(path);
        layout.add(layers, json!({}));
        layout
    }

    /// Writes `index.json`.
    pub(crate) fn save(&self) {
        let index = index(&self.entries);
        fs::write(self.path.join("index.json"), index.to_string()).unwrap();
    }

    /// Where a blob lies.
    pub(crate) fn blob_path(&self, digest: &str) -> PathBuf {
        let (algorithm, hex) = digest.split_once(':').unwrap();
        self.path.join("blobs").join(algorithm).join(hex)
    }

    /// Puts a blob there and gives its descriptor.
    pub(crate) fn blob(&self, media_type: &str, content: &[u8]) -> Value {
        let digest = sha256(content);
        fs::write(self.blob_path(&digest), content).unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": content.len()})
    }

    /// Puts a JSON document there and gives its descriptor.
    pub(crate) fn document(&self, media_type: &str, document: &Value) -> Value {
        self.blob(media_type, document.to_string().as_bytes())
    }

    /// Puts an image there and gives its descriptor.
    pub(crate) fn image(&self, layers: &[Layer]) -> Value {
        self.image_for("amd64", layers)
    }

    pub(crate) fn image_for(&self, architecture: &str, layers: &[Layer]) -> Value {
        let config = json!({
            "os": "linux",
            "architecture": architecture,
            "os.features": ["erofs"],
            "rootfs": {
                "type": "layers",
                "diff_ids": layers.iter().map(|layer| &layer.diff_id).collect::<Vec<_>>(),
            },
        });
        let config = self.document(CONFIG, &config);
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| {
                let mut descriptor = self.blob(&layer.media_type, &layer.blob);
                descriptor["annotations"] = layer.annotations.clone();
                descriptor
            })
            .collect();
        self.document(
            MANIFEST,
            &json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": config,
                "layers": layers,
            }),
        )
    }

    /// Adds an image to the index, with more members for its entry, and gives its digest.
    pub(crate) fn add(&mut self, layers: &[Layer], more: Value) -> String {
        let entry = self.image(layers);
        self.add_entry(entry, more)
    }

    /// Adds an entry to the index and gives its digest.
    pub(crate) fn add_entry(&mut self, mut entry: Value, more: Value) -> String {
        let Value::Object(more) = more else {
            panic!("{more}");
        };
        entry.as_object_mut().unwrap().extend(more);
        let digest = entry["digest"].as_str().unwrap().to_owned();
        self.entries.push(entry);
        self.save();
        digest
    }

    /// The layout as a tar archive: its index last, as some writers have it, or first.
    pub(crate) fn archive(&self, index_last: bool) -> Vec<u8> {
        let mut files = vec!["oci-layout".to_owned()];
        for algorithm in ["sha256", "sha512"] {
            let dir = format!("blobs/{algorithm}");
            files.extend(
                names(&self.path.join(&dir))
                    .into_iter()
                    .map(|name| format!("{dir}/{name}")),
            );
        }
        let place = if index_last { files.len() } else { 1 };
        files.insert(place, "index.json".to_owned());
        let mut archive = Vec::new();
        for name in files {
            archive.extend(tar_member(&name, &fs::read(self.path.join(&name)).unwrap()));
        }
        archive.extend([0; 1024]);
        archive
    }
}

/// An index of these entries.
pub(crate) fn index(entries: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
}

/// A regular file in a tar archive. Names beyond 100 bytes are split.
pub(crate) fn tar_member(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    let (start, name) = match name.len() {
        ..100 => ("", name),
        _ => name.rsplit_once('/').unwrap(),
    };
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[345..345 + start.len()].copy_from_slice(start.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend(content);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

/// Every way in which a layout can be brought: its folder, two archives, two pipes.
pub(crate) fn run_all_ways(layout: &Layout, dir: &Dir, check: impl Fn(&dyn Fn(&[&str]) -> Run)) {
    let first = dir.write("first.tar", layout.archive(false));
    let last = dir.write("last.tar", layout.archive(true));
    for path in [&layout.path, &first, &last] {
        check(&|more: &[&str]| {
            let mut arguments = crate::args!["unpack", path];
            arguments.extend(more.iter().map(Into::into));
            run(arguments)
        });
    }
    for archive in [first, last] {
        let archive = content(&archive);
        check(&|more: &[&str]| run_with(program().args(["unpack", "-"]).args(more), &archive));
    }
}
