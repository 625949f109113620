//! The image config (OCI image specification 1.1, `config.md`), as far as layers need it.

use alloc::string::String;
use alloc::vec::Vec;

use serde::de::MapAccess;

use super::json::{Fields, List, Members, Object, OrNull, Skip, Text, missing, owned};
use super::platform::strings;
use super::{Digest, FEATURE_EROFS, Platform};
use crate::{At, Code, Error, Limits, Value};

/// An image config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The operating system; empty when not stated.
    pub os: String,
    /// The CPU architecture; empty when not stated.
    pub architecture: String,
    /// The variant of the architecture; empty when not stated.
    pub variant: String,
    /// Features of the operating system that the image needs.
    pub os_features: Vec<String>,
    /// The diffIDs of all layers, in their order. The draft specification (5.2) lets an image
    /// leave them out.
    pub diff_ids: Option<Vec<Digest>>,
}

impl Config {
    /// Reads a config.
    ///
    /// # Errors
    ///
    /// A JSON error; [`Code::RootfsType`] for a `rootfs` of another type than `layers`.
    pub fn parse(document: &[u8], limits: &Limits) -> Result<Self, Error> {
        super::json::read(document, limits, Object::<ConfigFields>::new())
    }

    /// The platform that the config states, normalised.
    #[must_use]
    pub fn platform(&self) -> Platform {
        let mut platform = Platform::default();
        platform.os.clone_from(&self.os);
        platform.architecture.clone_from(&self.architecture);
        platform.variant.clone_from(&self.variant);
        platform.os_features.clone_from(&self.os_features);
        platform.normalized()
    }

    /// Whether the config says that the image needs EROFS, as the draft (5.4) demands.
    #[must_use]
    pub fn has_erofs(&self) -> bool {
        self.os_features.iter().any(|name| name == FEATURE_EROFS)
    }
}

/// What is gathered of a config.
#[derive(Default)]
struct ConfigFields(Config);

impl Fields for ConfigFields {
    type Value = Config;
    const NAMES: &'static [&'static str] = &[
        "os",
        "architecture",
        "variant",
        "os.version",
        "os.features",
        "rootfs",
        "config",
        "history",
        "created",
        "author",
    ];

    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        members: &mut Members<'_, 'de, A>,
    ) -> Result<(), A::Error> {
        match name {
            "os" => self.0.os = members.value(Text(owned))?,
            "architecture" => self.0.architecture = members.value(Text(owned))?,
            "variant" => self.0.variant = members.value(Text(owned))?,
            "os.features" => self.0.os_features = strings(members)?,
            "rootfs" => {
                let rootfs = members.value(OrNull(Object::<RootfsFields>::new()))?;
                self.0.diff_ids = rootfs.flatten();
            }
            _ => members.value(Skip)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<Config, Error> {
        Ok(self.0)
    }
}

/// What is gathered of `rootfs`.
#[derive(Default)]
struct RootfsFields {
    layers: bool,
    diff_ids: Option<Vec<Digest>>,
}

impl Fields for RootfsFields {
    type Value = Option<Vec<Digest>>;
    const NAMES: &'static [&'static str] = &["type", "diff_ids"];

    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        members: &mut Members<'_, 'de, A>,
    ) -> Result<(), A::Error> {
        if name == "type" {
            self.layers = members.value(Text(|kind: &str| match kind {
                "layers" => Ok(true),
                _ => Err(Error::new(Code::RootfsType, At::Whole).expected(Value::Text("layers"))),
            }))?;
        } else {
            let most = members.limits().layers;
            self.diff_ids = members.value(OrNull(List {
                item: || Text(Digest::parse),
                most,
                code: Code::ManifestLayers,
            }))?;
        }
        Ok(())
    }

    fn finish(self) -> Result<Self::Value, Error> {
        if !self.layers {
            return Err(missing("type"));
        }
        Ok(self.diff_ids)
    }
}
