//! How the unpacked layers of an image are mounted together.
//!
//! Follows the EROFS image layer specification (draft), section 7, steps 2 to 6, with the
//! mount options of Linux (`filesystems/erofs.rst`, `filesystems/overlayfs.rst`).

use erofs_unpack_core::oci::{Layer, LayerRole};
use serde::Serialize;

/// What to mount, and how.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// The lower directories' images, the topmost first, as overlayfs wants them.
    pub lowerdirs: Vec<String>,
    /// The images that only hold data for those, in overlayfs' order.
    pub data_only: Vec<String>,
    /// The devices that an image needs.
    pub devices: Vec<Devices>,
    /// The commands: to be run as root in the folder of the layers, with `MNT` set to an
    /// empty folder. The image's root is then `$MNT/root`.
    pub commands: Vec<String>,
}

/// The devices of an image, in the order of its device table.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Devices {
    /// The image's file.
    pub image: String,
    /// The devices' files.
    pub devices: Vec<String>,
}

/// The name of a layer's file: its place in the manifest and the start of its diffID.
///
/// Chunk indexes are not written: nothing mounts them.
#[must_use]
pub fn file_name(layer: &Layer, diff_id: &erofs_unpack_core::oci::Digest) -> String {
    let kind = match layer.role {
        LayerRole::Device => "device",
        LayerRole::ChunkIndex => "chunk-index",
        _ => "erofs",
    };
    format!("{:02}-{:.12}.{kind}", layer.number, diff_id.hex())
}

impl Mount {
    /// How these layers, with their files, are mounted together.
    #[must_use]
    pub fn new(layers: &[(&Layer, String)]) -> Self {
        let of_role = |role: LayerRole| {
            layers
                .iter()
                .rev()
                .filter(move |(layer, _)| layer.role == role)
                .map(|(_, file)| file.clone())
                .collect::<Vec<_>>()
        };
        let lowerdirs = of_role(LayerRole::Lower);
        let data_only = of_role(LayerRole::Data);
        let mut devices = Vec::new();
        let mut commands = Vec::new();
        for (image, file) in layers {
            if !matches!(image.role, LayerRole::Lower | LayerRole::Data) {
                continue;
            }
            let attached: Vec<String> = layers
                .iter()
                .filter(|(layer, _)| {
                    layer.role == LayerRole::Device && layer.consumer == Some(image.number)
                })
                .map(|(_, file)| file.clone())
                .collect();
            let dir = dir(file);
            commands.push(format!("mkdir -p \"$MNT/{dir}\""));
            if attached.is_empty() {
                commands.push(format!("mount -t erofs -o ro,loop {file} \"$MNT/{dir}\""));
            } else {
                // With device= the image has to be a block device too.
                let options: Vec<String> = attached
                    .iter()
                    .map(|file| format!(",device=$(losetup -f --show -r {file})"))
                    .collect();
                commands.push(format!(
                    "mount -t erofs -o ro{} $(losetup -f --show -r {file}) \"$MNT/{dir}\"",
                    options.concat()
                ));
                devices.push(Devices {
                    image: file.clone(),
                    devices: attached,
                });
            }
        }
        commands.push("mkdir -p \"$MNT/root\"".to_owned());
        commands.push(root(&lowerdirs, &data_only));
        Self {
            lowerdirs,
            data_only,
            devices,
            commands,
        }
    }
}

/// The folder that a file's image is mounted on.
fn dir(file: &str) -> &str {
    file.split('.').next().unwrap_or(file)
}

/// The command that puts the image's root together.
fn root(lowerdirs: &[String], data_only: &[String]) -> String {
    let mounted = |file: &String| format!("$MNT/{}", dir(file));
    if let ([one], []) = (lowerdirs, data_only) {
        return format!("mount --bind \"{}\" \"$MNT/root\"", mounted(one));
    }
    let lower: Vec<String> = lowerdirs.iter().map(mounted).collect();
    let data: Vec<String> = data_only
        .iter()
        .map(|file| format!("::{}", mounted(file)))
        .collect();
    // Only overlayfs with metacopy looks into layers that hold nothing but data.
    let metacopy = if data.is_empty() { "" } else { ",metacopy=on" };
    format!(
        "mount -t overlay overlay -o \"ro{metacopy},lowerdir={}{}\" \"$MNT/root\"",
        lower.join(":"),
        data.concat()
    )
}
