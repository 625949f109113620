//! Manifests, indexes, configs and the plan over them: what is taken, what is refused, where.
#![cfg(feature = "alloc")]

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::erofs::{SUPERBLOCK_MAGIC, SUPERBLOCK_SIZE, Superblock};
use erofs_unpack_core::oci::{
    Algorithm, Config, DiffIdSource, Digest, Document, Index, LayerRole, Manifest, MediaType, Plan,
    Platform, Policy, Warning, device_tags, parse_layout, plan,
};
use erofs_unpack_core::unpack::{Content, Devices};
use erofs_unpack_core::{At, Code, Error, Limits};
use proptest::prelude::*;

const LIMITS: Limits = Limits::DEFAULT;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const EROFS: &str = "application/vnd.erofs";
const ZSTD: &str = "application/vnd.erofs+zstd";
const CHUNK_INDEX: &str = "application/vnd.erofs.chunk-index.v1";

fn digest(name: &str) -> Digest {
    Algorithm::Sha256.digest(name.as_bytes())
}

/// A descriptor of the blob `name` with annotations.
fn descriptor(media_type: &str, name: &str, annotations: &[(&str, &str)]) -> String {
    let annotations: Vec<_> = annotations
        .iter()
        .map(|(key, value)| format!(r#""org.erofs.{key}":"{value}""#))
        .collect();
    format!(
        r#"{{"mediaType":"{media_type}","digest":"{}","size":7,"annotations":{{{}}}}}"#,
        digest(name),
        annotations.join(",")
    )
}

fn manifest_of(layers: &[String]) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{},"layers":[{}]}}"#,
        descriptor("application/vnd.oci.image.config.v1+json", "config", &[]),
        layers.join(",")
    )
}

fn config_of(diff_ids: &[Digest]) -> Config {
    let diff_ids: Vec<_> = diff_ids
        .iter()
        .map(|digest| format!("\"{digest}\""))
        .collect();
    let document = format!(
        r#"{{"os":"linux","architecture":"amd64","os.features":["erofs"],
            "rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        diff_ids.join(",")
    );
    Config::parse(document.as_bytes(), &LIMITS).unwrap()
}

fn planned(layers: &[String], config: Option<&Config>, policy: Policy) -> Result<Plan, Error> {
    let manifest = Manifest::parse(manifest_of(layers).as_bytes(), &LIMITS).unwrap();
    plan(&manifest, config, policy, &LIMITS)
}

fn refusal(layers: &[String]) -> (Code, At) {
    let error = planned(layers, None, Policy::Any).unwrap_err();
    (error.code(), error.at())
}

fn document_refusal(document: &str) -> Code {
    Document::parse(document.as_bytes(), None, &LIMITS)
        .unwrap_err()
        .code()
}

#[test]
fn the_composite_example_of_the_draft() {
    // Section 11.3: a device, overlay data, its chunk index, and the layer that uses them.
    let data = digest("data");
    let layers = [
        descriptor("application/octet-stream", "model", &[("role", "device")]),
        descriptor(
            ZSTD,
            "data",
            &[
                ("role", "overlay-data"),
                ("uncompressed-digest", &digest("data image").to_string()),
            ],
        ),
        descriptor(
            CHUNK_INDEX,
            "index",
            &[("chunk-index.target", &data.to_string())],
        ),
        descriptor(
            ZSTD,
            "meta",
            &[
                ("uncompressed-digest", &digest("meta image").to_string()),
                ("dmverity.hash_offset", "8192"),
                ("dmverity.root_digest", &digest("root").to_string()),
            ],
        ),
    ];
    let plan = planned(&layers, None, Policy::Containerd).unwrap();
    let roles: Vec<_> = plan.layers.iter().map(|layer| layer.role).collect();
    assert_eq!(
        roles,
        [
            LayerRole::Device,
            LayerRole::Data,
            LayerRole::ChunkIndex,
            LayerRole::Lower
        ]
    );
    let consumers: Vec<_> = plan.layers.iter().map(|layer| layer.consumer).collect();
    assert_eq!(consumers, [Some(2), Some(4), Some(2), None]);
    let devices: Vec<_> = plan.layers.iter().map(|layer| layer.devices).collect();
    assert_eq!(devices, [0, 1, 0, 0]);
    assert!(plan.warnings.is_empty());

    let meta = plan.layers[3].expectations();
    assert_eq!(meta.compression, Compression::Zstd);
    assert_eq!(meta.content, Content::Erofs);
    assert_eq!(meta.devices, Devices::Attached(0));
    assert_eq!(meta.diff_id, Some(digest("meta image")));
    assert_eq!(meta.verity.unwrap().hash_offset, 8192);
    assert_eq!(plan.layers[1].expectations().devices, Devices::Attached(1));
    assert_eq!(plan.layers[0].expectations().content, Content::Bytes);
}

#[test]
fn tags_of_device_slots_are_digests_of_the_layers_or_nothing() {
    let device = |name| descriptor("application/octet-stream", name, &[("role", "device")]);
    let layers = [
        device("one"),
        device("two"),
        descriptor(EROFS, "image", &[]),
    ];
    let plan = planned(&layers, None, Policy::Containerd).unwrap();
    let image = &plan.layers[2];
    let tag = |text: &str| {
        let mut tag = [0; 64];
        tag[..text.len()].copy_from_slice(text.as_bytes());
        tag
    };
    let hex = |name| tag(&digest(name).hex().to_string());
    let found = |tags: &[[u8; 64]], policy| device_tags(image, &plan.layers, tags, policy);
    for tags in [
        vec![],
        vec![hex("one"), hex("two")],
        vec![tag(""), hex("two")],
        vec![tag("one"), tag("sha256:ab")],
        vec![tag(&digest("one").hex().to_string().to_uppercase())],
        // A slot without a layer of its own.
        vec![hex("one"), hex("two"), hex("three")],
    ] {
        assert_eq!(found(&tags, Policy::Strict), Ok(vec![]));
    }
    let swapped = [hex("two"), hex("one")];
    for policy in [Policy::Any, Policy::Containerd] {
        let said = [Warning::DeviceTag(3, 1), Warning::DeviceTag(3, 2)];
        assert_eq!(found(&swapped, policy).unwrap(), said);
    }
    let error = found(&[hex("one"), hex("one")], Policy::Strict).unwrap_err();
    assert_eq!((error.code(), error.at()), (Code::DeviceTag, At::Layer(3)));
}

#[test]
fn a_device_serves_the_first_image_above_it() {
    // Section 11.4, and two devices for one image.
    let lower = descriptor(EROFS, "lower", &[("role", "overlay-lower")]);
    let device = descriptor(EROFS, "device", &[("role", "device")]);
    let layers = [device.clone(), device, lower.clone(), lower.clone(), lower];
    let plan = planned(&layers, None, Policy::Any).unwrap();
    let consumers: Vec<_> = plan.layers.iter().map(|layer| layer.consumer).collect();
    assert_eq!(consumers, [Some(3), Some(3), None, None, None]);
    assert_eq!(plan.layers[2].devices, 2);
    assert_eq!(plan.layers[3].devices, 0);
}

#[test]
fn order_and_roles_are_ruled() {
    let image = descriptor(EROFS, "image", &[]);
    let index = descriptor(CHUNK_INDEX, "index", &[]);
    let wrong = digest("other").to_string();
    for (layers, code, layer) in [
        (vec![index.clone(), image.clone()], Code::ChunkIndexFirst, 1),
        (vec![image.clone(), index.clone()], Code::LayerLast, 2),
        (
            vec![descriptor(EROFS, "x", &[("role", "device")])],
            Code::LayerLast,
            1,
        ),
        (
            vec![
                image.clone(),
                descriptor(EROFS, "x", &[("role", "overlay-data")]),
            ],
            Code::LayerLast,
            2,
        ),
        (
            vec![
                image.clone(),
                descriptor(CHUNK_INDEX, "x", &[("chunk-index.target", &wrong)]),
                image.clone(),
            ],
            Code::ChunkIndexTarget,
            2,
        ),
        (
            vec![
                descriptor(CHUNK_INDEX, "x", &[("role", "overlay-lower")]),
                image.clone(),
            ],
            Code::RoleMediaType,
            1,
        ),
        (
            vec![
                descriptor("application/vnd.oci.image.layer.v1.tar", "x", &[]),
                image.clone(),
            ],
            Code::MediaTypeTar,
            1,
        ),
        (
            vec![descriptor("text/plain", "x", &[]), image.clone()],
            Code::MediaTypeUnknown,
            1,
        ),
        (
            vec![
                descriptor("application/vnd.erofs+xz", "x", &[]),
                image.clone(),
            ],
            Code::MediaTypeSuffix,
            1,
        ),
        (
            vec![descriptor(ZSTD, "x", &[]), image.clone()],
            Code::DiffIdMissing,
            1,
        ),
        (
            vec![
                descriptor(EROFS, "x", &[("uncompressed-digest", &wrong)]),
                image,
            ],
            Code::DiffIdNotDigest,
            1,
        ),
        (
            vec![descriptor(
                EROFS,
                "x",
                &[
                    ("dmverity.hash_offset", "4095"),
                    ("dmverity.root_digest", &wrong),
                ],
            )],
            Code::AnnotationVerity,
            1,
        ),
    ] {
        assert_eq!(refusal(&layers), (code, At::Layer(layer)), "{layers:?}");
    }
}

#[test]
fn diff_ids_come_from_where_they_are_stated() {
    let annotated = digest("annotated").to_string();
    let layers = [
        descriptor(ZSTD, "one", &[("uncompressed-digest", &annotated)]),
        descriptor(ZSTD, "two", &[]),
        descriptor(EROFS, "three", &[]),
    ];
    let config = config_of(&[digest("annotated"), digest("stated"), digest("three")]);
    let plan = planned(&layers, Some(&config), Policy::Strict).unwrap();
    let sources: Vec<_> = plan
        .layers
        .iter()
        .map(|layer| (layer.diff_id_source, layer.diff_id))
        .collect();
    assert_eq!(
        sources,
        [
            (DiffIdSource::Annotation, Some(digest("annotated"))),
            (DiffIdSource::Config, Some(digest("stated"))),
            (DiffIdSource::Config, Some(digest("three"))),
        ]
    );
    let plan = planned(&layers[2..], None, Policy::Any).unwrap();
    assert_eq!(plan.layers[0].diff_id_source, DiffIdSource::Digest);
    assert_eq!(plan.layers[0].diff_id, Some(digest("three")));

    let conflict = config_of(&[digest("other"), digest("stated"), digest("three")]);
    for policy in [Policy::Containerd, Policy::Strict] {
        let error = planned(&layers, Some(&conflict), policy).unwrap_err();
        assert_eq!(
            (error.code(), error.at()),
            (Code::DiffIdConflict, At::Layer(1))
        );
    }
    let plan = planned(&layers, Some(&conflict), Policy::Any).unwrap();
    assert_eq!(plan.layers[0].diff_id, Some(digest("annotated")));
    assert_eq!(plan.warnings, [Warning::DiffIds(1)]);

    let short = config_of(&[digest("annotated")]);
    let error = planned(&layers, Some(&short), Policy::Any).unwrap_err();
    assert_eq!((error.code(), error.at()), (Code::DiffIdCount, At::Whole));
}

#[test]
fn a_plain_blob_with_a_sha512_digest_may_have_no_diff_id() {
    let layer = format!(
        r#"{{"mediaType":"{EROFS}","digest":"{}","size":7}}"#,
        Algorithm::Sha512.digest(b"x")
    );
    let plan = planned(&[layer], None, Policy::Any).unwrap();
    assert_eq!(plan.layers[0].diff_id_source, DiffIdSource::Nowhere);
    assert_eq!(plan.layers[0].diff_id, None);
}

#[test]
fn the_config_should_name_erofs() {
    let layers = [descriptor(EROFS, "x", &[])];
    let config = Config::parse(br#"{"os":"linux"}"#, &LIMITS).unwrap();
    let plan = planned(&layers, Some(&config), Policy::Containerd).unwrap();
    assert_eq!(plan.warnings, [Warning::OsFeatures]);
    let error = planned(&layers, Some(&config), Policy::Strict).unwrap_err();
    assert_eq!(error.code(), Code::OsFeatures);
}

#[test]
fn too_many_layers_are_over_the_limit() {
    let layers = vec![descriptor(EROFS, "x", &[]); 3];
    let mut limits = LIMITS;
    limits.layers = 2;
    let document = manifest_of(&layers);
    let error = Manifest::parse(document.as_bytes(), &limits).unwrap_err();
    assert_eq!(error.code(), Code::ManifestLayers);
    let manifest = Manifest::parse(document.as_bytes(), &LIMITS).unwrap();
    let error = plan(&manifest, None, Policy::Any, &limits).unwrap_err();
    assert_eq!(error.code(), Code::ManifestLayers);
    limits.layers = 3;
    let manifest = Manifest::parse(document.as_bytes(), &limits).unwrap();
    assert!(plan(&manifest, None, Policy::Any, &limits).is_ok());
}

#[test]
fn documents_are_one_thing() {
    let layer = descriptor(EROFS, "x", &[]);
    let right = manifest_of(&[layer]);
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[]}}"#);
    assert!(matches!(
        Document::parse(right.as_bytes(), None, &LIMITS),
        Ok(Document::Manifest(_))
    ));
    assert!(matches!(
        Document::parse(index.as_bytes(), None, &LIMITS),
        Ok(Document::Index(_))
    ));
    let version = |number: &str| {
        right.replace(
            "\"schemaVersion\":2",
            &format!("\"schemaVersion\":{number}"),
        )
    };
    for (document, code) in [
        (version("1"), Code::SchemaVersion),
        (version("2.5"), Code::SchemaVersion),
        (version("-2"), Code::SchemaVersion),
        (version("\"2\""), Code::JsonType),
        (right.replace("\"schemaVersion\":2,", ""), Code::JsonMissing),
        (
            right.replace("\"layers\"", "\"manifests\":[],\"layers\""),
            Code::DocumentAmbiguous,
        ),
        (
            index.replace("\"manifests\"", "\"fsLayers\":[],\"manifests\""),
            Code::DocumentAmbiguous,
        ),
        (r#"{"schemaVersion":2}"#.into(), Code::DocumentUnknown),
        (right.replace(MANIFEST, INDEX), Code::DocumentMediaType),
        (index.replace(INDEX, MANIFEST), Code::DocumentMediaType),
        (manifest_of(&[]), Code::ManifestEmpty),
        (right.replace("\"layers\"", "\"Layers\""), Code::JsonKeyCase),
        (
            right.replace("\"layers\":", "\"layers\":[],\"layers\":"),
            Code::JsonDuplicateKey,
        ),
        (
            right.replace("\"layers\":", "\"x\":{\"y\":1,\"\\u0079\":2},\"layers\":"),
            Code::JsonDuplicateKey,
        ),
        (
            right.replace("\"config\"", "\"configuration\""),
            Code::JsonMissing,
        ),
        (format!("{right} x"), Code::JsonSyntax),
        (format!("\u{feff}{right}"), Code::JsonSyntax),
        (String::new(), Code::JsonSyntax),
    ] {
        assert_eq!(document_refusal(&document), code, "{document}");
    }
    let types = |media_type: &str| MediaType::parse(media_type).unwrap();
    assert!(Document::parse(right.as_bytes(), Some(&types(MANIFEST)), &LIMITS).is_ok());
    let error = Document::parse(right.as_bytes(), Some(&types(INDEX)), &LIMITS).unwrap_err();
    assert_eq!(error.code(), Code::DocumentMediaType);
    assert_eq!(
        Index::parse(right.as_bytes(), &LIMITS).unwrap_err().code(),
        Code::DocumentMediaType
    );
    assert_eq!(
        Manifest::parse(index.as_bytes(), &LIMITS)
            .unwrap_err()
            .code(),
        Code::DocumentMediaType
    );
}

#[test]
fn documents_are_bounded() {
    let mut limits = LIMITS;
    limits.json_size = 10;
    let error = Document::parse(b"{\"a\":\"1234\"}", None, &limits).unwrap_err();
    assert_eq!(error.code(), Code::JsonSize);
    let subject = |text: &str| {
        let manifest = manifest_of(&[descriptor(EROFS, "x", &[])]);
        let document = manifest.replacen('{', &format!("{{\"subject\":{text},"), 1);
        Document::parse(document.as_bytes(), None, &LIMITS).map_err(|error| error.code())
    };
    for text in [r#"{"digest":"blake3:00"}"#, "{}", "null"] {
        assert!(subject(text).is_ok(), "{text}");
    }
    for (text, code) in [
        (r#"{"digest":"a","digest":"a"}"#, Code::JsonDuplicateKey),
        (r#"{"Digest":"a"}"#, Code::JsonKeyCase),
        ("5", Code::JsonType),
    ] {
        assert_eq!(subject(text), Err(code), "{text}");
    }
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    assert_eq!(document_refusal(&deep), Code::JsonDepth);
    // No stack is used up, whatever the limit says.
    limits = LIMITS;
    limits.json_depth = u32::MAX;
    let deep = format!("{{\"x\":{}", "[".repeat(1 << 20));
    let error = Document::parse(deep.as_bytes(), None, &limits).unwrap_err();
    assert_eq!(error.kind(), Code::JsonDepth.kind(), "{error}");
    limits.json_members = 2;
    let error = Document::parse(br#"{"a":1,"b":1,"c":1}"#, None, &limits).unwrap_err();
    assert_eq!(error.code(), Code::JsonMembers);
}

#[test]
fn configs_have_layers() {
    let code = |document: &str| {
        Config::parse(document.as_bytes(), &LIMITS)
            .unwrap_err()
            .code()
    };
    assert_eq!(code(r#"{"rootfs":{"type":"snapshots"}}"#), Code::RootfsType);
    assert_eq!(code(r#"{"rootfs":{"diff_ids":[]}}"#), Code::JsonMissing);
    assert_eq!(
        code(r#"{"rootfs":{"type":"layers","diff_ids":["x"]}}"#),
        Code::DigestSyntax
    );
    assert_eq!(code(r#"{"rootfs":[]}"#), Code::JsonType);
    assert!(Config::parse(br#"{"config":{"Entrypoint":["/x"]}}"#, &LIMITS).is_ok());
}

#[test]
fn the_marker_of_a_layout_states_a_version() {
    let code = |document: &str| parse_layout(document.as_bytes(), &LIMITS).map_err(|e| e.code());
    assert_eq!(code(r#"{"imageLayoutVersion":"1.0.0"}"#), Ok(()));
    assert_eq!(code(r#"{"imageLayoutVersion":"1.1.0","x":1}"#), Ok(()));
    assert_eq!(
        code(r#"{"imageLayoutVersion":"2.0.0"}"#),
        Err(Code::LayoutVersion)
    );
    assert_eq!(
        code(r#"{"imageLayoutVersion":"10"}"#),
        Err(Code::LayoutVersion)
    );
    assert_eq!(code("{}"), Err(Code::JsonMissing));
}

/// An index entry for a platform, by its name.
fn entry(name: &str, platform: &str, more: &str) -> String {
    format!(
        r#"{{"mediaType":"{MANIFEST}","digest":"{}","size":7{more}{}}}"#,
        digest(name),
        if platform.is_empty() {
            String::new()
        } else {
            format!(",\"platform\":{platform}")
        },
    )
}

fn selected(entries: &[String], wanted: &str) -> Result<Digest, Code> {
    let document = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        entries.join(",")
    );
    let index = Index::parse(document.as_bytes(), &LIMITS).unwrap();
    let platform = Platform::parse(wanted).unwrap();
    let found = index.select(&platform).map(|found| found.digest);
    found.map_err(|error| error.code())
}

#[test]
fn the_entry_for_the_platform_is_chosen() {
    let platform = |architecture: &str, features: &str| {
        format!(r#"{{"os":"linux","architecture":"{architecture}","os.features":[{features}]}}"#)
    };
    let artifact = r#","artifactType":"application/vnd.example""#;
    let attestation = r#","annotations":{"vnd.docker.reference.type":"attestation-manifest"}"#;
    let entries = [
        entry("attestation", &platform("amd64", ""), attestation),
        entry("none", "", ""),
        entry("tar", &platform("amd64", ""), ""),
        entry("odd", &platform("amd64", "\"erofs\",\"other\""), ""),
        entry("erofs", &platform("amd64", "\"erofs\""), ""),
        entry("erofs", &platform("amd64", "\"erofs\""), ""),
        entry("artifact", &platform("amd64", "\"erofs\""), artifact),
        entry("arm", &platform("arm64", "\"erofs\""), ""),
    ];
    assert_eq!(selected(&entries, "linux/amd64"), Ok(digest("erofs")));
    assert_eq!(selected(&entries, "linux/x86_64"), Ok(digest("erofs")));
    assert_eq!(selected(&entries, "linux/arm64/v8"), Ok(digest("arm")));
    assert_eq!(selected(&entries[..3], "linux/amd64"), Ok(digest("tar")));
    assert_eq!(selected(&entries, "linux/riscv64"), Ok(digest("none")));
    assert_eq!(
        selected(&entries[2..], "linux/riscv64"),
        Err(Code::PlatformNone)
    );
    assert_eq!(
        selected(&entries[..1], "linux/amd64"),
        Err(Code::PlatformNone)
    );
    assert_eq!(
        selected(&entries[3..4], "linux/amd64"),
        Err(Code::PlatformNone)
    );
    // Of two that fit equally well none is chosen, stated or not.
    let second = entry("second", &platform("amd64", "\"erofs\""), "");
    let entries = [entries.as_slice(), &[second, entry("nothing", "", "")]].concat();
    assert_eq!(selected(&entries, "linux/amd64"), Err(Code::ImageAmbiguous));
    assert_eq!(
        selected(&entries, "linux/riscv64"),
        Err(Code::ImageAmbiguous)
    );
    assert_eq!(selected(&entries, "linux/arm64"), Ok(digest("arm")));
}

#[test]
fn entries_have_names() {
    let document = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        entry(
            "x",
            "",
            r#","annotations":{"org.opencontainers.image.ref.name":"v1","io.containerd.image.name":"r/n:v1"}"#
        )
    );
    let index = Index::parse(document.as_bytes(), &LIMITS).unwrap();
    let names: Vec<_> = index.manifests[0].names().collect();
    assert_eq!(names, ["v1", "r/n:v1"]);
}

#[test]
fn a_document_is_verified_by_its_descriptor() {
    let document = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        entry("1234567", "", "")
    );
    let index = Index::parse(document.as_bytes(), &LIMITS).unwrap();
    let entry = &index.manifests[0];
    assert_eq!(entry.verify(b"1234567"), Ok(()));
    assert_eq!(entry.verify(b"123456").unwrap_err().code(), Code::BlobSize);
    assert_eq!(
        entry.verify(b"1234568").unwrap_err().code(),
        Code::BlobDigest
    );
}

#[test]
fn an_entry_that_cannot_be_used_says_nothing_of_its_siblings() {
    let good = entry("good", "", "");
    let index = |entries: &str| {
        let document = format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#);
        Index::parse(document.as_bytes(), &LIMITS)
    };
    let foreign = format!("blake3:{}", "ab".repeat(32));
    let bad = format!(
        r#"{{"mediaType":"{MANIFEST}","digest":"{foreign}","size":2,
        "platform":{{"os":"linux","architecture":"arm64"}},
        "annotations":{{"org.opencontainers.image.ref.name":"v2"}}}}"#
    );
    let found = index(&format!("{good},{bad}")).unwrap();
    assert_eq!(found.manifests.len(), 1);
    let [unusable] = &found.unusable[..] else {
        panic!("{:?}", found.unusable);
    };
    assert_eq!(
        (unusable.number, &unusable.names[..]),
        (1, &["v2".to_owned()][..])
    );
    let error = unusable.error;
    assert_eq!(error.code(), Code::DigestAlgorithm);
    assert_eq!(error.field().to_string(), "manifests[1].digest");
    let text = format!(r#"{{"schemaVersion":2,"manifests":[{good},{bad}]}}"#);
    let end = text.find(&foreign).unwrap() + foreign.len();
    assert_eq!(error.at(), At::Json(end as u64));
    // It is refused where it is the one that is meant.
    let platform = |text| Platform::parse(text).unwrap();
    assert_eq!(found.unusable_for(Some("v2"), None), Some(error));
    assert_eq!(found.unusable_for(Some("v1"), None), None);
    assert_eq!(
        found.unusable_for(None, Some(&platform("linux/amd64"))),
        None
    );
    let alone = index(&bad).unwrap();
    let refused = |text| alone.select(&platform(text)).unwrap_err().code();
    assert_eq!(refused("linux/arm64"), Code::DigestAlgorithm);
    assert_eq!(refused("linux/amd64"), Code::PlatformNone);
    // What cannot be told of it is no reason to pass it by.
    let other = r#"{"digest":5,"platform":"x","annotations":{"a":1}}"#;
    let found = index(other).unwrap();
    assert_eq!(found.unusable[0].names, [""; 0]);
    assert_eq!(found.unusable[0].platform, None);
    assert_eq!(found.unusable[0].error.code(), Code::JsonType);
    // What makes two readers see two documents, or breaks a limit, refuses the index.
    for (entries, code) in [
        (r#"{"digest":"a","digest":"b"}"#, Code::JsonDuplicateKey),
        (r#"{"Digest":"a"}"#, Code::JsonKeyCase),
        (r#"{"platform":{"a":1,"a":1}}"#, Code::JsonDuplicateKey),
        (r#"{"digest":"\ud800"}"#, Code::JsonSyntax),
        // Also behind its own first fault, whatever that is.
        (
            r#"{"digest":"a","x":[{"a":1,"a":1}]}"#,
            Code::JsonDuplicateKey,
        ),
        (r#"{"digest":"a","Size":1}"#, Code::JsonKeyCase),
        (
            r#"{"annotations":{"a":1},"platform":{"os":1},"x":"\ud800"}"#,
            Code::JsonSyntax,
        ),
        (
            r#"{"annotations":{"a":1,"a":1},"platform":5}"#,
            Code::JsonDuplicateKey,
        ),
    ] {
        let error = index(&format!("{good},{entries}")).unwrap_err();
        assert_eq!(error.code(), code, "{entries}");
        assert!(
            error.field().to_string().starts_with("manifests[1]"),
            "{error}"
        );
    }
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(30), "]".repeat(30));
    assert_eq!(index(&deep).unwrap_err().code(), Code::JsonDepth);
    let mut limits = LIMITS;
    limits.json_members = 9;
    let many = ["null"; 10].join(",");
    let document = format!(r#"{{"schemaVersion":2,"manifests":[{many}]}}"#);
    let error = Index::parse(document.as_bytes(), &limits).unwrap_err();
    assert_eq!(error.code(), Code::JsonMembers);
    assert_eq!(error.at(), At::Json(32 + 9 * 5));
}

#[test]
fn an_error_names_its_field() {
    let named = |document: &str| {
        let error = Document::parse(document.as_bytes(), None, &LIMITS).unwrap_err();
        error.field().to_string()
    };
    let layer = descriptor(ZSTD, "x", &[]);
    let bad = layer.replacen("sha256:", "md5:", 1);
    assert_eq!(
        named(&manifest_of(&[layer.clone(), bad])),
        "layers[1].digest"
    );
    let bad = layer.replacen("\"size\"", "\"annotations\":{\"a\":[]},\"size\"", 1);
    assert_eq!(named(&manifest_of(&[bad])), "layers[0].annotations");
    assert_eq!(named(r#"{"schemaVersion":"2"}"#), "schemaVersion");
    assert_eq!(named(r#"{"x":{"y":}}"#), "");
    assert_eq!(named(r#"{"layers":[{"size":}]}"#), "layers[0].size");
    let error = Config::parse(br#"{"rootfs":{"diff_ids":["sha256:0"]}}"#, &LIMITS);
    assert_eq!(error.unwrap_err().field().to_string(), "rootfs.diff_ids[0]");
}

#[test]
fn null_is_an_empty_list() {
    let index = Index::parse(br#"{"schemaVersion":2,"manifests":null}"#, &LIMITS).unwrap();
    assert_eq!((index.manifests.len(), index.unusable.len()), (0, 0));
    let layers = manifest_of(&[]).replacen("[]", "null", 1);
    let error = Document::parse(layers.as_bytes(), None, &LIMITS).unwrap_err();
    assert_eq!(error.code(), Code::ManifestEmpty);
    // It is there all the same: who looks for the key sees an index.
    let both = layers.replacen("\"layers\":", "\"manifests\":null,\"layers\":", 1);
    let error = Document::parse(both.as_bytes(), None, &LIMITS).unwrap_err();
    assert_eq!(error.code(), Code::DocumentAmbiguous);
    let config = Config::parse(br#"{"rootfs":{"type":"layers","diff_ids":null}}"#, &LIMITS);
    assert_eq!(config.unwrap().diff_ids, None);
    let config = Config::parse(br#"{"rootfs":null,"os.features":null}"#, &LIMITS);
    assert_eq!(config.unwrap(), Config::default());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Document::parse(&bytes, None, &LIMITS);
        let _ = Config::parse(&bytes, &LIMITS);
        let _ = parse_layout(&bytes, &LIMITS);
    }

    #[test]
    fn no_edit_of_a_manifest_panics(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut document = manifest_of(&[descriptor(ZSTD, "x", &[("role", "overlay-lower")])]).into_bytes();
        let place = place.index(document.len());
        document[place] = byte;
        if let Ok(Document::Manifest(manifest)) = Document::parse(&document, None, &LIMITS) {
            let _ = plan(&manifest, None, Policy::Any, &LIMITS);
        }
    }
}

#[test]
fn what_the_reader_of_containerd_refuses_is_told_to_containerd_alone() {
    let mut record = [0; SUPERBLOCK_SIZE];
    record[..4].copy_from_slice(&SUPERBLOCK_MAGIC.to_le_bytes());
    record[12] = 12;
    let said = |features: u32, algorithms: u16, policy| {
        let mut record = record;
        record[80..84].copy_from_slice(&features.to_le_bytes());
        record[84..86].copy_from_slice(&algorithms.to_le_bytes());
        let superblock = Superblock::parse(&record).unwrap();
        Warning::of_image(2, &superblock, policy)
    };
    let warned = |what| Some(Warning::ContainerdReader(2, what));
    for (features, algorithms, expected) in [
        (0, 0, None),
        // Chunks, devices and prefixes it reads.
        (0x4c, 0, None),
        (0x1, 0, warned("compressed files")),
        (0x2, 0x8, warned("compressed files")),
        (0, 0xffff, warned("compressed files")),
        (0x80, 0, warned("48-bit addresses")),
        (0x100, 0, warned("a metabox")),
    ] {
        assert_eq!(said(features, algorithms, Policy::Containerd), expected);
        assert_eq!(said(features, algorithms, Policy::Any), None);
        assert_eq!(said(features, algorithms, Policy::Strict), None);
    }
}
