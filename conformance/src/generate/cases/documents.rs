//! JSON documents by themselves: manifests, indexes, configs, and the marker file of a layout.

use erofs_unpack_core::{At, Code};
use serde_json::json;

use super::super::suite::{Draft, Suite};
use crate::manifest::{Operation, SelectInput};

/// The media type of a manifest.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an index.
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The media type of a config.
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Some digest, told apart by a hex digit.
pub(super) fn digest(digit: char) -> String {
    format!("sha256:{}", String::from(digit).repeat(64))
}

/// A descriptor with more members, which start with a comma.
pub(super) fn descriptor(media_type: &str, digest: &str, size: &str, more: &str) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}{more}}}"#)
}

/// A manifest over these layers, with the config of digest `c`.
pub(super) fn manifest(layers: &[String]) -> String {
    let config = descriptor(CONFIG, &digest('c'), "2", "");
    let layers = layers.join(",");
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[{layers}]}}"#
    )
}

/// The byte at which the last occurrence of a piece of a document ends.
pub(super) fn end_of(document: &str, piece: &str) -> At {
    let start = document
        .rfind(piece)
        .unwrap_or_else(|| panic!("{piece} is not in {document}"));
    At::Json((start + piece.len() - 1) as u64)
}

pub(super) fn add(suite: &mut Suite) {
    manifests(suite);
    nulls(suite);
    entries(suite);
    configs(suite);
    markers(suite);
    selections(suite);
}

/// A layer of a plain image.
pub(super) fn plain(more: &str) -> String {
    descriptor("application/vnd.erofs", &digest('a'), "4096", more)
}

fn manifests(suite: &mut Suite) {
    let good = manifest(&[plain("")]);
    let entry = descriptor(MANIFEST, &digest('b'), "2", "");
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{entry}]}}"#);
    let draft = suite.document(
        "manifest/manifest",
        "A manifest with a config and one layer.",
        &good,
        Operation::Document,
    );
    suite.add(
        stated(draft, MANIFEST)
            .demand("oci", "manifest.md")
            .valid(json!({ "document": "manifest", "layers": 1 })),
    );
    let draft = suite.document(
        "manifest/index",
        "An index with one entry.",
        &index,
        Operation::Document,
    );
    suite.add(
        stated(draft, INDEX)
            .demand("oci", "image-index.md")
            .valid(json!({ "document": "index", "manifests": 1 })),
    );
    let last = |text: &str| At::Json(text.len() as u64 - 1);
    let with = |text: &str, member: &str| format!("{},{member}}}", &text[..text.len() - 1]);
    let without = |member: &str| good.replacen(member, "", 1);
    let own_type = format!("\"mediaType\":\"{MANIFEST}\",");
    let untyped = without(&own_type);
    let config = format!("\"config\":{},", descriptor(CONFIG, &digest('c'), "2", ""));
    for (id, description, text, code) in [
        (
            "schema-version",
            "The version of the schema is 1.",
            good.replacen(":2,", ":1,", 1),
            Code::SchemaVersion,
        ),
        (
            "no-schema-version",
            "The version of the schema is missing.",
            good.replacen("\"schemaVersion\":2,", "", 1),
            Code::JsonMissing,
        ),
        (
            "ambiguous",
            "The document has layers and manifests.",
            with(&untyped, &format!("\"manifests\":[{entry}]")),
            Code::DocumentAmbiguous,
        ),
        (
            "neither",
            "The document has neither layers nor manifests.",
            "{\"schemaVersion\":2}".to_owned(),
            Code::DocumentUnknown,
        ),
        (
            "own-media-type",
            "The document says that it is an index.",
            good.replacen(MANIFEST, INDEX, 1),
            Code::DocumentMediaType,
        ),
        (
            "no-config",
            "The config is missing.",
            without(&config),
            Code::JsonMissing,
        ),
        (
            "no-layers",
            "The list of layers is empty.",
            manifest(&[]),
            Code::ManifestEmpty,
        ),
    ] {
        let draft = suite.document(
            &format!("manifest/{id}"),
            description,
            &text,
            Operation::Document,
        );
        suite.add(
            draft
                .demand("oci", "manifest.md")
                .differs_from("manifest/manifest")
                .refused(code, last(&text)),
        );
    }
    for (id, description, text, media_type, positive) in [
        (
            "stated-index",
            "The descriptor says index, and the content is a manifest.",
            &good,
            INDEX,
            "manifest/manifest",
        ),
        (
            "stated-manifest",
            "The descriptor says manifest, and the content is an index.",
            &index,
            MANIFEST,
            "manifest/index",
        ),
    ] {
        let draft = suite.document(
            &format!("manifest/{id}"),
            description,
            text,
            Operation::Document,
        );
        suite.add(
            stated(draft, media_type)
                .demand("oci", "manifest.md")
                .differs_from(positive)
                .refused(Code::DocumentMediaType, At::Whole),
        );
    }
}

/// What may be absent may be `null`, which is what writers in Go leave of an empty map or list.
fn nulls(suite: &mut Suite) {
    let all = ",\"annotations\":null,\"urls\":null,\"platform\":null";
    let text = manifest(&[plain(all)]);
    let text = text.replacen('{', "{\"subject\":null,\"annotations\":null,", 1);
    let draft = suite.document(
        "json/null-absent",
        "Maps and lists that may be absent are null.",
        &text,
        Operation::Document,
    );
    suite.add(
        draft
            .demand("oci", "manifest.md")
            .valid(json!({ "document": "manifest", "layers": 1 })),
    );
    let draft = suite.document(
        "json/null-manifests",
        "The entries are null, which is a list without any.",
        &format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":null}}"#),
        Operation::Document,
    );
    suite.add(
        draft
            .demand("oci", "image-index.md")
            .valid(json!({ "document": "index", "manifests": 0 })),
    );
}

/// Entries of an index that cannot be used, beside one that can.
fn entries(suite: &mut Suite) {
    let good = descriptor(MANIFEST, &digest('b'), "2", "");
    let of = |entry: &str| format!(r#"{{"schemaVersion":2,"manifests":[{entry},{good}]}}"#);
    let foreign = format!("blake3:{}", "ab".repeat(32));
    let upper = digest('a').to_uppercase().replacen("SHA", "sha", 1);
    let platform = |text: &str| descriptor(MANIFEST, &digest('a'), "2", text);
    for (id, description, entry) in [
        (
            "algorithm",
            "An entry has a digest of another algorithm.",
            descriptor(MANIFEST, &foreign, "2", ""),
        ),
        (
            "upper-case",
            "The digest of an entry is in upper case.",
            descriptor(MANIFEST, &upper, "2", ""),
        ),
        (
            "media-type",
            "The media type of an entry is empty.",
            descriptor("", &digest('a'), "2", ""),
        ),
        (
            "platform",
            "The platform of an entry is empty.",
            platform(r#","platform":{}"#),
        ),
        (
            "size",
            "The size of an entry is negative.",
            descriptor(MANIFEST, &digest('a'), "-1", ""),
        ),
        (
            "annotation",
            "An entry has an annotation that must be understood and cannot be.",
            platform(r#","annotations":{"org.erofs.role":"overlay-upper"}"#),
        ),
        ("null", "An entry is null.", "null".to_owned()),
    ] {
        let draft = suite.document(
            &format!("index/entry-{id}"),
            &format!("{description} It says nothing of its sibling, which is used."),
            &of(&entry),
            Operation::Document,
        );
        suite.add(
            draft
                .demand("oci", "descriptor.md, Digests")
                .valid(json!({ "document": "index", "manifests": 1 })),
        );
    }
    for (id, description, digest) in [
        (
            "duplicate-key",
            "A key comes twice in an entry, so that two readers may see two indexes.",
            &digest('a'),
        ),
        (
            "duplicate-key-behind",
            "A key comes twice in an entry that cannot be used, behind what is wrong with it.",
            &foreign,
        ),
    ] {
        let text = of(&descriptor(MANIFEST, digest, "2", r#","size":3"#));
        let at = text.find(r#""size":3"#).unwrap_or(0) + r#""size""#.len() - 1;
        let draft = suite.document(
            &format!("index/entry-{id}"),
            description,
            &text,
            Operation::Document,
        );
        suite.add(
            draft
                .demand("oci", "image-index.md")
                .differs_from("index/entry-algorithm")
                .refused(Code::JsonDuplicateKey, At::Json(at as u64)),
        );
    }
    let subject = descriptor(MANIFEST, &foreign, "2", "");
    let text = manifest(&[plain("")]).replacen('{', &format!("{{\"subject\":{subject},"), 1);
    let draft = suite.document(
        "manifest/subject-algorithm",
        "The subject, which nobody follows, has a digest of another algorithm.",
        &text,
        Operation::Document,
    );
    suite.add(
        draft
            .demand("oci", "descriptor.md, Digests")
            .valid(json!({ "document": "manifest", "layers": 1 })),
    );
}

/// States the media type of a document.
fn stated(mut draft: Draft, media_type: &str) -> Draft {
    if let Operation::Document(input) = draft.operation() {
        input.media_type = Some(media_type.into());
    }
    draft
}

/// A config with these diffIDs.
pub(super) fn config(features: &str, diff_ids: &[String]) -> String {
    let diff_ids: Vec<String> = diff_ids.iter().map(|id| format!("\"{id}\"")).collect();
    let diff_ids = diff_ids.join(",");
    format!(
        r#"{{"architecture":"amd64","os":"linux"{features},"rootfs":{{"type":"layers","diff_ids":[{diff_ids}]}}}}"#
    )
}

/// The feature that an image with EROFS layers must name.
pub(super) const EROFS: &str = r#","os.features":["erofs"]"#;

fn configs(suite: &mut Suite) {
    let good = config(EROFS, &[digest('a')]);
    let draft = suite.document(
        "manifest/config",
        "A config with one diffID.",
        &good,
        Operation::Config,
    );
    suite.add(draft.demand("oci", "config.md").valid(json!({
        "os": "linux", "architecture": "amd64", "erofs": true, "diffIds": 1,
    })));
    let draft = suite.document(
        "manifest/config-without-rootfs",
        "A config without diffIDs, as the draft lets an image have whose layers state them.",
        r#"{"architecture":"amd64","os":"linux","os.features":["erofs"]}"#,
        Operation::Config,
    );
    suite.add(
        draft
            .demand("erofs-image-spec", "5.2 rootfs.diff_ids")
            .valid(json!({ "diffIds": null })),
    );
    let broken = good.replacen("\"layers\"", "\"layerz\"", 1);
    let untyped = good.replacen("\"type\":\"layers\",", "", 1);
    let short = config(EROFS, &[digest('a')[..20].to_owned()]);
    for (id, description, text, code, at) in [
        (
            "rootfs-type",
            "The type of the root file system is another.",
            &broken,
            Code::RootfsType,
            end_of(&broken, "\"layerz\""),
        ),
        (
            "rootfs-no-type",
            "The type of the root file system is missing.",
            &untyped,
            Code::JsonMissing,
            At::Json(untyped.len() as u64 - 2),
        ),
        (
            "config-diff-id",
            "A diffID is too short.",
            &short,
            Code::DigestLength,
            end_of(&short, &format!("\"{}\"", &digest('a')[..20])),
        ),
    ] {
        let draft = suite.document(
            &format!("manifest/{id}"),
            description,
            text,
            Operation::Config,
        );
        suite.add(
            draft
                .demand("oci", "config.md")
                .differs_from("manifest/config")
                .refused(code, at),
        );
    }
}

fn markers(suite: &mut Suite) {
    let source = ("oci", "image-layout.md, oci-layout file");
    let draft = suite.document(
        "layout/marker",
        "The marker file of a layout.",
        r#"{"imageLayoutVersion":"1.0.0"}"#,
        Operation::LayoutMarker,
    );
    suite.add(draft.demand(source.0, source.1));
    let text = r#"{"imageLayoutVersion":"2.0.0"}"#;
    let draft = suite.document(
        "layout/marker-version",
        "The layout is of a version that does not exist.",
        text,
        Operation::LayoutMarker,
    );
    suite.add(
        draft
            .demand(source.0, source.1)
            .differs_from("layout/marker")
            .refused(Code::LayoutVersion, At::Json(text.len() as u64 - 2)),
    );
    let draft = suite.document(
        "layout/marker-empty",
        "The version of the layout is missing.",
        "{}",
        Operation::LayoutMarker,
    );
    suite.add(
        draft
            .demand(source.0, source.1)
            .differs_from("layout/marker")
            .refused(Code::JsonMissing, At::Json(1)),
    );
}

fn selections(suite: &mut Suite) {
    let entry = |digit: char, platform: &str| {
        descriptor(
            MANIFEST,
            &digest(digit),
            "2",
            &format!(",\"platform\":{{{platform}}}"),
        )
    };
    let plain = r#""os":"linux","architecture":"amd64""#;
    let entries = [
        entry('1', plain),
        entry('2', &format!("{plain}{EROFS}")),
        entry('3', &format!(r#"{plain},"os.features":["erofs","later"]"#)),
        entry('4', r#""os":"linux","architecture":"arm64""#),
        entry('5', r#""os":"linux","architecture":"arm","variant":"v6""#),
    ];
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#,
        entries.join(",")
    );
    let mut select = |id: &str, description: &str, platform: &str| {
        let index = suite.file("cases/platform/select.json", index.as_bytes());
        let input = SelectInput {
            index,
            platform: platform.into(),
        };
        Draft::new(
            &format!("platform/{id}"),
            description,
            Operation::Select(input),
        )
        .demand("containerd", "github.com/containerd/platforms, Only")
        .demand("erofs-image-spec", "5.4 Platform OS Features")
    };
    let mut drafts = vec![
        select(
            "select-erofs",
            "Among equal entries the one that names erofs wins, and one with an unknown feature is passed over.",
            "linux/amd64",
        )
        .valid(json!({ "entry": 2, "digest": digest('2') })),
        select(
            "select-older",
            "An older variant runs on a newer one, another architecture's does after its own.",
            "linux/arm/v7",
        )
        .valid(json!({ "entry": 5, "digest": digest('5') })),
        select("select-none", "No entry is for the platform.", "linux/s390x")
            .differs_from("platform/select-erofs")
            .refused(Code::PlatformNone, At::Whole),
        select(
            "select-feature",
            "An entry needs a feature that is asked for by name.",
            "linux(+later)/amd64",
        )
        .valid(json!({ "entry": 3, "digest": digest('3') })),
    ];
    let twice = index.replacen(
        "\"manifests\":[",
        &format!("\"manifests\":[{},", entry('6', &format!("{plain}{EROFS}"))),
        1,
    );
    let input = SelectInput {
        index: suite.file("cases/platform/select-twice.json", twice.as_bytes()),
        platform: "linux/amd64".into(),
    };
    drafts.push(
        Draft::new(
            "platform/select-twice",
            "Two entries of different digests fit equally well: the first is not taken.",
            Operation::Select(input),
        )
        .demand("oci", "image-index.md, platform")
        .differs_from("platform/select-erofs")
        .refused(Code::ImageAmbiguous, At::Whole),
    );
    let artifact = descriptor(
        MANIFEST,
        &digest('7'),
        "2",
        &format!(",\"artifactType\":\"application/vnd.example\",\"platform\":{{{plain}{EROFS}}}"),
    );
    let with_artifact =
        index.replacen("\"manifests\":[", &format!("\"manifests\":[{artifact},"), 1);
    let input = SelectInput {
        index: suite.file(
            "cases/platform/select-artifact.json",
            with_artifact.as_bytes(),
        ),
        platform: "linux/amd64".into(),
    };
    drafts.push(
        Draft::new(
            "platform/select-artifact",
            "An entry says with artifactType that it is no image, and is passed over.",
            Operation::Select(input),
        )
        .demand("oci", "descriptor.md, artifactType")
        .valid(json!({ "entry": 3, "digest": digest('2') })),
    );
    for draft in drafts {
        suite.add(draft);
    }
}
