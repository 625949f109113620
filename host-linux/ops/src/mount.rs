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
    /// The commands for a POSIX shell: to be run in order, as root, in the folder of the
    /// layers, with `MNT` set to an empty folder. The image's root is then `$MNT/root`. Each
    /// fails by itself when it fails.
    pub commands: Vec<String>,
    /// The commands that take all of that away again, loop devices included.
    pub undo: Vec<String>,
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

/// The name of a layer's file: its place in the manifest and the start of its diffID, or of
/// its digest where no diffID is stated (a plain blob, whose digest names the same bytes).
///
/// Chunk indexes are not written: nothing mounts them.
#[must_use]
pub fn file_name(layer: &Layer) -> String {
    let kind = match layer.role {
        LayerRole::Device => "device",
        LayerRole::ChunkIndex => "chunk-index",
        _ => "erofs",
    };
    let digest = layer.diff_id.unwrap_or(layer.digest);
    format!("{:02}-{:.12}.{kind}", layer.number, digest.hex())
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
        let mut undo = vec!["umount \"$MNT/root\"".to_owned()];
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
            commands.push(mount(file, &attached));
            undo.insert(1, format!("umount \"$MNT/{dir}\""));
            if !attached.is_empty() {
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
            undo,
        }
    }
}

/// The command that mounts an image with the devices that are attached to it.
fn mount(file: &str, devices: &[String]) -> String {
    let dir = dir(file);
    if devices.is_empty() {
        return format!("mount -t erofs -o ro,loop {file} \"$MNT/{dir}\"");
    }
    // With device= the image has to be a block device too. The kernel holds the loop devices
    // while they are mounted: detaching them takes effect when that ends. Without the mount it
    // takes effect at once.
    let attach = |file: &String| format!("d=$(losetup -f --show -r {file}); l=\"$l $d\"; ");
    let attached: String = devices
        .iter()
        .map(|file| format!("{}o=$o,device=$d; ", attach(file)))
        .collect();
    format!(
        "(set -e; o=ro; l=; trap 'losetup -d $l' EXIT; {attached}{}mount -t erofs -o $o $d \"$MNT/{dir}\")",
        attach(&file.to_owned())
    )
}

/// The folder that a file's image is mounted on.
fn dir(file: &str) -> &str {
    file.split('.').next().unwrap_or(file)
}

/// The command that puts the image's root together.
fn root(lowerdirs: &[String], data_only: &[String]) -> String {
    if let ([one], []) = (lowerdirs, data_only) {
        return format!("mount --bind \"$MNT/{}\" \"$MNT/root\"", dir(one));
    }
    let lower: Vec<&str> = lowerdirs.iter().map(|file| dir(file)).collect();
    let data: Vec<String> = data_only
        .iter()
        .map(|file| format!("::{}", dir(file)))
        .collect();
    // Only overlayfs with metacopy looks into layers that hold nothing but data.
    let metacopy = if data.is_empty() { "" } else { ",metacopy=on" };
    // Relative names, so that neither the length of $MNT nor a colon or a comma in it matters:
    // the options of a mount are one page at most.
    format!(
        "(cd \"$MNT\" && mount -t overlay overlay -o ro{metacopy},lowerdir={}{} root)",
        lower.join(":"),
        data.concat()
    )
}
