//! Media types by themselves: which are those of layers or devices, and which are not.

use erofs_unpack_core::{At, Code};
use serde_json::json;

use super::super::suite::{Draft, Suite, Wire};

/// What media types are demanded by.
const TYPES: (&str, &str) = ("erofs-image-spec", "2.1 application/vnd.erofs and +zstd");

pub(super) fn add(suite: &mut Suite) {
    media_types(suite);
    refused_media_types(suite);
}

fn media_types(suite: &mut Suite) {
    for (family, base, sentence) in [
        ("draft", "application/vnd.erofs", "The type of the draft"),
        (
            "containerd",
            "application/vnd.erofs.layer.v1",
            "The type of containerd",
        ),
        (
            "overlayfs",
            "application/vnd.erofs.layer.overlayfs.v1.erofs",
            "The type named in containerd pull request 12506",
        ),
    ] {
        for wire in Wire::ALL {
            let (suffix, compression) = match wire {
                Wire::Plain => ("", "none"),
                Wire::Zstd => ("+zstd", "zstd"),
                Wire::Gzip => ("+gzip", "gzip"),
            };
            let text = format!("{base}{suffix}");
            let id = format!("media-type/{family}/{}", wire.name());
            let description = format!("{sentence} for a layer whose form is {}.", wire.name());
            suite.add(
                Draft::media_type(&id, &description, &text, false)
                    .demand(TYPES.0, TYPES.1)
                    .valid(json!({
                        "mediaType": text, "content": "erofs", "compression": compression,
                    })),
            );
        }
    }
    let mut valid = |id, description, text, device, content, compression| {
        suite.add(
            Draft::media_type(id, description, text, device)
                .demand("rfc6838", "4.2 Naming Requirements")
                .demand(TYPES.0, TYPES.1)
                .valid(json!({ "content": content, "compression": compression })),
        );
    };
    valid(
        "media-type/case",
        "Letters in upper case mean the same.",
        "Application/VND.EROFS+ZSTD",
        false,
        "erofs",
        "zstd",
    );
    valid(
        "media-type/parameters",
        "Parameters are kept apart and ignored.",
        "application/vnd.erofs; note=\"a b\"",
        false,
        "erofs",
        "none",
    );
    valid(
        "media-type/chunk-index",
        "A chunk index as a layer of its own.",
        "application/vnd.erofs.chunk-index.v1",
        false,
        "chunk-index",
        "none",
    );
    valid(
        "media-type/device-tar-gzip",
        "A compressed tar as a device: its suffix says how to decode it.",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        true,
        "bytes",
        "gzip",
    );
    valid(
        "media-type/device-any",
        "Any type can be a device, and is taken as it lies.",
        "application/octet-stream",
        true,
        "bytes",
        "none",
    );
}

fn refused_media_types(suite: &mut Suite) {
    let long = format!("application/{}", "x".repeat(128));
    let draft = "media-type/draft/plain";
    let rfc = ("rfc6838", "4.2 Naming Requirements");
    for (id, description, text, device, code, at, source) in [
        (
            "empty",
            "Nothing at all.",
            "",
            false,
            Code::MediaTypeSyntax,
            At::Text(0),
            rfc,
        ),
        (
            "no-slash",
            "There is no slash.",
            "application",
            false,
            Code::MediaTypeSyntax,
            At::Text(11),
            rfc,
        ),
        (
            "no-type",
            "Nothing stands before the slash.",
            "/vnd.erofs",
            false,
            Code::MediaTypeSyntax,
            At::Text(0),
            rfc,
        ),
        (
            "no-subtype",
            "Nothing follows the slash.",
            "application/",
            false,
            Code::MediaTypeSyntax,
            At::Text(12),
            rfc,
        ),
        (
            "space",
            "A space stands inside the subtype.",
            "application/vnd erofs",
            false,
            Code::MediaTypeSyntax,
            At::Text(15),
            rfc,
        ),
        (
            "control",
            "A line feed follows the type.",
            "application/vnd.erofs\n",
            false,
            Code::MediaTypeSyntax,
            At::Text(21),
            rfc,
        ),
        (
            "long",
            "The subtype has 128 characters.",
            &long,
            false,
            Code::MediaTypeLength,
            At::Text(139),
            rfc,
        ),
        (
            "suffix-unknown",
            "The suffix names a compression that no reader has.",
            "application/vnd.erofs+lz4",
            false,
            Code::MediaTypeSuffix,
            At::Text(22),
            TYPES,
        ),
        (
            "suffix-two",
            "A second suffix follows a known one.",
            "application/vnd.erofs+zstd+encrypted",
            false,
            Code::MediaTypeSuffix,
            At::Text(22),
            TYPES,
        ),
        (
            "suffix-empty",
            "Nothing follows the plus sign.",
            "application/vnd.erofs+",
            false,
            Code::MediaTypeSuffix,
            At::Text(22),
            TYPES,
        ),
        (
            "version",
            "A version of containerd's type that does not exist.",
            "application/vnd.erofs.layer.v2",
            false,
            Code::MediaTypeUnknown,
            At::Whole,
            TYPES,
        ),
        (
            "other",
            "A type that is no layer's.",
            "application/octet-stream",
            false,
            Code::MediaTypeUnknown,
            At::Whole,
            TYPES,
        ),
        (
            "stacker",
            "The type that stacker has for an EROFS image; its suffix is not about the blob.",
            "application/vnd.stacker.image.layer.erofs+zstd",
            false,
            Code::MediaTypeUnknown,
            At::Whole,
            TYPES,
        ),
        (
            "nydus",
            "The type of data of nydus, which is no image by itself.",
            "application/vnd.oci.image.layer.nydus.blob.v1",
            false,
            Code::MediaTypeUnknown,
            At::Whole,
            TYPES,
        ),
        (
            "config",
            "The type of an image config.",
            "application/vnd.oci.image.config.v1+json",
            false,
            Code::MediaTypeUnknown,
            At::Whole,
            TYPES,
        ),
        (
            "tar",
            "A tar layer of OCI.",
            "application/vnd.oci.image.layer.v1.tar",
            false,
            Code::MediaTypeTar,
            At::Whole,
            TYPES,
        ),
        (
            "tar-zstd",
            "A compressed tar layer of OCI, the type that containerd's stream processors see.",
            "application/vnd.oci.image.layer.v1.tar+zstd",
            false,
            Code::MediaTypeTar,
            At::Whole,
            TYPES,
        ),
        (
            "tar-docker",
            "A compressed tar layer of Docker.",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            false,
            Code::MediaTypeTar,
            At::Whole,
            TYPES,
        ),
        (
            "device-suffix",
            "A tar as a device, with a compression that no reader has.",
            "application/vnd.oci.image.layer.v1.tar+xz",
            true,
            Code::MediaTypeSuffix,
            At::Text(39),
            ("erofs-image-spec", "2.4 Roles"),
        ),
    ] {
        let positive = if device {
            "media-type/device-tar-gzip"
        } else {
            draft
        };
        suite.add(
            Draft::media_type(&format!("media-type/{id}"), description, text, device)
                .demand(source.0, source.1)
                .differs_from(positive)
                .refused(code, at),
        );
    }
}
