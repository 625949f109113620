//! The arguments that bound what an input may ask for.

use clap::Args;
use erofs_unpack_core::Limits;
use erofs_unpack_core::codec::Zstd;
use indicatif::BinaryBytes;

use super::{LIMITS, size};

/// Limits, with the defaults of `zstd -d` for the window and the core's for all else.
#[derive(Clone, Copy, Debug, Args)]
pub struct LimitArgs {
    /// Largest blob
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = size, default_value = "64GiB")]
    pub max_blob_size: u64,
    /// Largest image, everything that follows it included
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = size, default_value = "64GiB")]
    pub max_image_size: u64,
    /// Largest window of a zstd frame: up to 2 GiB, in the sandbox up to 1 GiB
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = window, default_value = "128MiB")]
    pub max_window: u64,
    /// Most zstd frames or gzip members in a blob
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.frames)]
    pub max_frames: u64,
    /// Most bytes in the skippable zstd frames of a blob
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = size, default_value = "64MiB")]
    pub max_skippable_size: u64,
    /// Largest ratio of image to blob [default: none]
    #[arg(long, help_heading = LIMITS, value_name = "RATIO")]
    pub max_expansion: Option<u64>,
    /// Largest manifest, index or config
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = size, default_value = "4MiB")]
    pub max_json_size: u64,
    /// Most members of an object or an array in a manifest, index or config
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.json_members)]
    pub max_json_members: u32,
    /// Deepest nesting in a manifest, index or config
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.json_depth)]
    pub max_json_depth: u32,
    /// Deepest nesting of image indexes
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.index_depth)]
    pub max_index_depth: u32,
    /// Most layers in an image
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.layers)]
    pub max_layers: u32,
    /// Most files in an image
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.inodes)]
    pub max_inodes: u64,
    /// Most entries of a directory in an image
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.directory_entries)]
    pub max_directory_entries: u64,
    /// Most directories above a file in an image
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.directory_depth)]
    pub max_directory_depth: u32,
    /// Longest target of a symbolic link in an image, in bytes
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.symlink_length)]
    pub max_symlink_length: u32,
    /// Most memory that the check keeps, of all its threads together
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = size, default_value = "512MiB")]
    pub max_check_memory: u64,
    /// Most metadata that the check looks at, and most bytes that each of its threads decodes
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = size, default_value = "64GiB")]
    pub max_check_work: u64,
    /// Largest extended headers of one member of a tar archive
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = size, default_value = "1MiB")]
    pub max_tar_header: u64,
    /// Most pieces of a sparse file in a tar archive
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = 1 << 18)]
    pub max_tar_extents: u64,
    /// Most memory for the inodes, names and attributes of an image that is made
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = size, default_value = "1GiB")]
    pub max_build_memory: u64,
    /// Largest index of a layer's chunks
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = size, default_value = "64MiB")]
    pub max_chunk_index: u64,
    /// Largest chunk of a layer with an index, in the blob and in the image; larger ones are read in
    /// one piece with all others
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = size, default_value = "64MiB")]
    pub max_chunk: u64,
}

/// Reads a limit for windows. What is larger than can be decoded would only be refused later.
fn window(text: &str) -> Result<u64, String> {
    let window = size(text)?;
    if window > Zstd::WINDOW {
        return Err(format!(
            "no window of more than {} can be decoded",
            BinaryBytes(Zstd::WINDOW)
        ));
    }
    Ok(window)
}

impl LimitArgs {
    /// The limits as the core takes them.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::DEFAULT;
        limits.blob_size = self.max_blob_size;
        limits.image_size = self.max_image_size;
        limits.zstd_window = self.max_window;
        limits.frames = self.max_frames;
        limits.skippable_size = self.max_skippable_size;
        limits.expansion_ratio = self.max_expansion;
        limits.json_size = self.max_json_size;
        limits.json_members = self.max_json_members;
        limits.json_depth = self.max_json_depth;
        limits.index_depth = self.max_index_depth;
        limits.layers = self.max_layers;
        limits.check_memory = self.max_check_memory;
        limits.check_work = self.max_check_work;
        limits.inodes = self.max_inodes;
        limits.directory_entries = self.max_directory_entries;
        limits.directory_depth = self.max_directory_depth;
        limits.symlink_length = self.max_symlink_length;
        limits.build_memory = self.max_build_memory;
        limits.tar_header = self.max_tar_header;
        limits.tar_extents = self.max_tar_extents;
        limits.chunk_index = self.max_chunk_index;
        limits.chunk = self.max_chunk;
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        limits: LimitArgs,
    }

    #[test]
    fn windows_that_cannot_be_decoded_are_no_limit() {
        assert_eq!(window("2GiB"), Ok(2 << 30));
        let error = window("2147483649").unwrap_err();
        assert_eq!(error, "no window of more than 2.00 GiB can be decoded");
    }

    #[test]
    fn defaults_are_those_of_the_core_but_for_the_window() {
        let mut expected = Limits::DEFAULT;
        expected.zstd_window = 128 << 20;
        let program = Program::parse_from(["program"]);
        assert_eq!(program.limits.limits(), expected);
    }
}
