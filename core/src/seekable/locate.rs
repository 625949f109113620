//! Which index a layer has, by what its manifest says.
//!
//! Follows the EROFS image layer specification (draft), `spec.md` 2.3 (annotations) and 3.4.3 (an
//! index in the blob, an index as a layer).

use crate::oci::{ByteRange, Digest, Layer, LayerRole, MediaKind};

/// Where the index of a layer's chunks is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Located {
    /// The manifest leads to none.
    Nowhere,
    /// In the layer's blob ([`Section`](super::Section)).
    Embedded {
        /// Where.
        range: ByteRange,
        /// The digest of its header and entries, where the manifest states it.
        digest: Option<Digest>,
    },
    /// It is the layer behind: all of its blob, whose digest the manifest states.
    Standalone,
}

/// Where the index of a layer is; `next` is the layer behind it.
///
/// What an annotation names as another format is no index here, and a layer may have the other
/// form all the same. With both, the one in the blob counts: it comes with the layer.
#[must_use]
pub fn locate(layer: &Layer, next: Option<&Layer>) -> Located {
    if layer.role == LayerRole::ChunkIndex {
        return Located::Nowhere;
    }
    if let Some(range) = layer.erofs.chunk_index_range
        && is_known(layer)
    {
        return Located::Embedded {
            range,
            digest: layer.erofs.chunk_index_digest,
        };
    }
    match next {
        Some(next)
            if next.role == LayerRole::ChunkIndex
                && next.consumer == Some(layer.number)
                && is_known(next) =>
        {
            Located::Standalone
        }
        _ => Located::Nowhere,
    }
}

/// Whether the index that a descriptor tells of is of the format that is known.
fn is_known(layer: &Layer) -> bool {
    let stated = layer.erofs.chunk_index_media_type;
    stated.is_none_or(|stated| stated.kind() == MediaKind::ChunkIndex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::oci::{Algorithm, Manifest, Policy, keys, plan};
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    const IMAGE: &str = "application/vnd.erofs+zstd";
    const INDEX: &str = "application/vnd.erofs.chunk-index.v1";
    const OTHER: &str = "application/vnd.erofs.chunk-index.v2";

    /// Where the index of the first layer is, of an image with these layers and one more.
    fn located(layers: &[(&str, &[(&str, &str)])]) -> Located {
        let digest = Algorithm::Sha256.digest(b"a");
        let descriptor = |media_type: &str, annotations: &[(&str, &str)]| {
            let mut pairs = format!("\"{}\": \"{digest}\"", keys::UNCOMPRESSED_DIGEST);
            for (key, value) in annotations {
                pairs += &format!(", \"{key}\": \"{value}\"");
            }
            format!(
                "{{\"mediaType\": \"{media_type}\", \"digest\": \"{digest}\", \"size\": 9000, \
                 \"annotations\": {{{pairs}}}}}"
            )
        };
        let all: Vec<String> = layers
            .iter()
            .chain(&[(IMAGE, [].as_slice())])
            .map(|(media_type, annotations)| descriptor(media_type, annotations))
            .collect();
        let config = descriptor("application/vnd.oci.image.config.v1+json", &[]);
        let manifest = format!(
            "{{\"schemaVersion\": 2, \"config\": {config}, \"layers\": [{}]}}",
            all.join(", ")
        );
        let manifest = Manifest::parse(manifest.as_bytes(), &Limits::DEFAULT).unwrap();
        let plan = plan(&manifest, None, Policy::Any, &Limits::DEFAULT).unwrap();
        locate(&plan.layers[0], plan.layers.get(1))
    }

    #[test]
    fn an_index_is_in_the_blob_or_behind_it() {
        let range = (keys::CHUNK_INDEX_RANGE, "8000");
        let digest = Algorithm::Sha256.digest(b"b");
        let text = format!("{digest}");
        let embedded = |digest| Located::Embedded {
            range: ByteRange {
                offset: 8000,
                end: None,
            },
            digest,
        };
        assert_eq!(located(&[(IMAGE, &[])]), Located::Nowhere);
        assert_eq!(located(&[(IMAGE, &[range])]), embedded(None));
        let pinned = [range, (keys::CHUNK_INDEX_DIGEST, text.as_str())];
        assert_eq!(located(&[(IMAGE, &pinned)]), embedded(Some(digest)));
        let layers = [(IMAGE, [].as_slice()), (INDEX, &[])];
        assert_eq!(located(&layers), Located::Standalone);
        let ranges = [range];
        let both = [(IMAGE, ranges.as_slice()), (INDEX, &[])];
        assert_eq!(located(&both), embedded(None));
        // A digest alone leads nowhere.
        assert_eq!(located(&[(IMAGE, &pinned[1..])]), Located::Nowhere);
    }

    #[test]
    fn another_format_is_none() {
        let range = (keys::CHUNK_INDEX_RANGE, "8000");
        let of = |media_type| (keys::CHUNK_INDEX_MEDIA_TYPE, media_type);
        let known = [range, of(INDEX)];
        assert_ne!(located(&[(IMAGE, &known)]), Located::Nowhere);
        let later = [range, of(OTHER)];
        assert_eq!(located(&[(IMAGE, &later)]), Located::Nowhere);
        let both = [(IMAGE, later.as_slice()), (INDEX, &[])];
        assert_eq!(located(&both), Located::Standalone);
        let neither = [(IMAGE, later.as_slice()), (INDEX, &[of(OTHER)])];
        assert_eq!(located(&neither), Located::Nowhere);
    }

    #[test]
    fn an_index_has_none() {
        let layers = [(IMAGE, [].as_slice()), (INDEX, &[])];
        let range = [(keys::CHUNK_INDEX_RANGE, "8000")];
        assert_eq!(located(&[layers[0], (INDEX, &range)]), Located::Standalone);
        // The layer behind is another image's index, or none at all.
        assert_eq!(located(&[(IMAGE, &[]), (IMAGE, &[])]), Located::Nowhere);
    }
}
