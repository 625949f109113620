//! The arguments that say which image is meant.

use clap::{Args, ValueEnum};
use erofs_unpack_core::oci::{Digest, Platform, Policy};
use erofs_unpack_ops::HostError;
use erofs_unpack_ops::image::Selection;
use erofs_unpack_ops::source::SourceOptions;

use super::{LIMITS, size};

/// Which image of a layout is meant, and which layer is one by itself.
#[derive(Debug, Args)]
pub struct Select {
    /// Name of the image in a layout with several (org.opencontainers.image.ref.name or
    /// io.containerd.image.name)
    #[arg(long = "ref", value_name = "NAME")]
    pub reference: Option<String>,

    /// Platform that the image must have [default: the host's, where there is a choice]
    #[arg(long, value_name = "OS[(+FEATURE)]/ARCH[/VARIANT]")]
    pub platform: Option<String>,

    /// Digest that the blob, or the manifest or an index of the layout, must have
    ///
    /// Every document and layer below a manifest or index is verified by a digest that it
    /// states, so this one is an anchor for all of them.
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<Digest>,

    /// How strictly a manifest is read and an image is checked where readers disagree
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    pub policy: PolicyName,

    /// Largest archive that is spooled when it comes from a pipe or is compressed
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = size,
        default_value = "64GiB",
        help_heading = LIMITS
    )]
    pub max_archive_size: u64,

    /// Most members of an archive
    #[arg(long, value_name = "N", default_value_t = 1 << 16, help_heading = LIMITS)]
    pub max_archive_members: u64,
}

impl Select {
    /// What is meant, as operations take it.
    ///
    /// # Errors
    ///
    /// [`HostError::Usage`] when the platform is none.
    pub fn options(&self) -> Result<erofs_unpack_ops::Select, HostError> {
        let platform = match &self.platform {
            None => None,
            Some(text) => Some(
                Platform::parse(text)
                    .map_err(|error| HostError::Usage(format!("--platform {text}: {error}")))?,
            ),
        };
        Ok(erofs_unpack_ops::Select {
            image: Selection {
                reference: self.reference.clone(),
                platform,
                digest: self.digest,
            },
            policy: self.policy.into(),
            source: SourceOptions {
                archive_size: self.max_archive_size,
                archive_members: self.max_archive_members,
                ..SourceOptions::default()
            },
        })
    }
}

/// The names of [`Policy`].
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum PolicyName {
    /// What the specification or the kernel takes
    Any,
    /// What containerd reads in the same way
    #[default]
    Containerd,
    /// What the draft specification demands of a producer
    Strict,
}

impl From<PolicyName> for Policy {
    fn from(name: PolicyName) -> Self {
        match name {
            PolicyName::Any => Self::Any,
            PolicyName::Containerd => Self::Containerd,
            PolicyName::Strict => Self::Strict,
        }
    }
}
