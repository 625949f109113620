//! Content descriptors, as those of layers in a manifest.

use erofs_unpack_core::{At, Code};

use super::super::suite::Suite;
use super::documents::{descriptor, digest, end_of, manifest, plain};
use crate::manifest::Operation;

pub(super) fn add(suite: &mut Suite) {
    descriptors(suite);
}

fn descriptors(suite: &mut Suite) {
    let source = ("oci", "descriptor.md");
    // sha256 of "hello".
    let hello = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let embedded = |size: &str, data: &str| {
        descriptor(
            "application/vnd.erofs",
            hello,
            size,
            &format!(r#","data":"{data}""#),
        )
    };
    let mut document = |id: &str, description: &str, layer: &str| {
        let text = manifest(&[layer.to_owned()]);
        let draft = suite.document(id, description, &text, Operation::Document);
        (draft.demand(source.0, source.1), text)
    };
    let mut drafts = Vec::new();
    let (draft, _) = document(
        "descriptor/data",
        "The blob is embedded.",
        &embedded("5", "aGVsbG8="),
    );
    drafts.push(draft);
    let (draft, _) = document(
        "descriptor/size-largest",
        "The size is the largest that fits 63 bits.",
        &descriptor(
            "application/vnd.erofs",
            &digest('a'),
            "9223372036854775807",
            "",
        ),
    );
    drafts.push(draft);
    for (id, description, layer, code, piece) in [
        (
            "data-digest",
            "The embedded data has another digest.",
            embedded("5", "aGVsbGE="),
            Code::DescriptorData,
            "}",
        ),
        (
            "data-size",
            "The embedded data has another size.",
            embedded("4", "aGVsbG8="),
            Code::DescriptorData,
            "}",
        ),
        (
            "data-base64",
            "The embedded data is not padded.",
            embedded("5", "aGVsbG8"),
            Code::DescriptorBase64,
            "\"aGVsbG8\"",
        ),
        (
            "data-base64-bits",
            "The last base64 digit holds bits that belong to no byte.",
            embedded("5", "aGVsbG9="),
            Code::DescriptorBase64,
            "\"aGVsbG9=\"",
        ),
    ] {
        let (draft, text) = document(&format!("descriptor/{id}"), description, &layer);
        let end = text.rfind(&layer).unwrap_or(0);
        let inside = layer.rfind(piece).unwrap_or(0) + piece.len() - 1;
        drafts.push(
            draft
                .differs_from("descriptor/data")
                .refused(code, At::Json((end + inside) as u64)),
        );
    }
    let of = |size: &str| descriptor("application/vnd.erofs", &digest('a'), size, "");
    for (id, description, size, code) in [
        (
            "size-negative",
            "The size is negative.",
            "-1",
            Code::DescriptorSize,
        ),
        (
            "size-64-bits",
            "The size needs the 64th bit.",
            "9223372036854775808",
            Code::DescriptorSize,
        ),
        (
            "size-fraction",
            "The size has a fraction.",
            "4096.5",
            Code::JsonType,
        ),
        (
            "size-text",
            "The size is a text.",
            "\"4096\"",
            Code::JsonType,
        ),
    ] {
        let (draft, text) = document(&format!("descriptor/{id}"), description, &of(size));
        let at = end_of(&text, &format!("\"size\":{size}"));
        drafts.push(draft.differs_from("manifest/manifest").refused(code, at));
    }
    let of = |role: &str| plain(&format!(r#","annotations":{{"org.erofs.role":"{role}"}}"#));
    let (draft, text) = document(
        "descriptor/annotation",
        "An annotation that must be understood has a value that cannot be.",
        &of("overlay-upper"),
    );
    let at = end_of(&text, "\"overlay-upper\"");
    drafts.push(
        draft
            .differs_from("manifest/manifest")
            .refused(Code::AnnotationRole, at),
    );
    for name in ["mediaType", "digest", "size"] {
        let value = match name {
            "mediaType" => "\"mediaType\":\"application/vnd.erofs\",".to_owned(),
            "digest" => format!("\"digest\":\"{}\",", digest('a')),
            _ => ",\"size\":4096".to_owned(),
        };
        let layer = plain("").replacen(&value, "", 1);
        let (draft, text) = document(
            &format!("descriptor/no-{}", name.to_ascii_lowercase()),
            &format!("The layer's {name} is missing."),
            &layer,
        );
        let at = At::Json((text.rfind(&layer).unwrap_or(0) + layer.len() - 1) as u64);
        drafts.push(
            draft
                .differs_from("manifest/manifest")
                .refused(Code::JsonMissing, at),
        );
    }
    for draft in drafts {
        suite.add(draft);
    }
}
