//! What a manifest and its config say together: roles, order, diffIDs.

use erofs_unpack_core::{At, Code};
use serde_json::{Value as Json, json};

use super::super::suite::Suite;
use super::documents::{EROFS, config, descriptor, digest, manifest};
use crate::manifest::Policy;

/// The sections of the draft that rule what is here.
const ORDER: (&str, &str) = ("erofs-image-spec", "3.8 Layer Ordering");
const DIFF_ID: (&str, &str) = ("erofs-image-spec", "5.2 rootfs.diff_ids");

/// A layer with annotations, which are given without `org.erofs.`.
fn layer(suffix: &str, digit: char, annotations: &[(&str, &str)]) -> String {
    typed(
        &format!("application/vnd.erofs{suffix}"),
        digit,
        annotations,
    )
}

fn typed(media_type: &str, digit: char, annotations: &[(&str, &str)]) -> String {
    let members: Vec<String> = annotations
        .iter()
        .map(|(key, value)| format!(r#""org.erofs.{key}":"{value}""#))
        .collect();
    let more = match members.as_slice() {
        [] => String::new(),
        members => format!(r#","annotations":{{{}}}"#, members.join(",")),
    };
    descriptor(media_type, &digest(digit), "4096", &more)
}

pub(super) fn add(suite: &mut Suite) {
    orders(suite);
    diff_ids(suite);
    features(suite);
}

fn orders(suite: &mut Suite) {
    let data = || layer("", 'a', &[("role", "overlay-data")]);
    let device = || layer("", 'b', &[("role", "device")]);
    let tar_device = || {
        typed(
            "application/vnd.oci.image.layer.v1.tar",
            'b',
            &[("role", "device")],
        )
    };
    let index_of = |digit: char| {
        typed(
            "application/vnd.erofs.chunk-index.v1",
            'd',
            &[("chunk-index.target", &digest(digit))],
        )
    };
    let lower = || layer("", 'e', &[]);
    let said = |role: &str, digit: char, consumer: Option<u32>, devices: u16| {
        json!({
            "role": role, "compression": "none", "diffId": digest(digit),
            "consumer": consumer, "devices": devices,
        })
    };
    let draft = suite.plan(
        "manifest/roles",
        "Data, a device, an image with a chunk index, and an image, in an order that fits.",
        &manifest(&[
            data(),
            tar_device(),
            layer("", 'f', &[("role", "overlay-lower")]),
            index_of('f'),
            lower(),
        ]),
        "",
    );
    suite.add(draft.demand(ORDER.0, ORDER.1).valid(json!({
        "layers": [
            said("overlay-data", 'a', Some(3), 0),
            said("device", 'b', Some(3), 0),
            said("overlay-lower", 'f', None, 1),
            said("chunk-index", 'd', Some(3), 0),
            said("overlay-lower", 'e', None, 0),
        ],
        "warnings": [],
    })));
    for (id, description, layers, code, number) in [
        (
            "device-last",
            "The last layer is a device.",
            vec![lower(), device()],
            Code::LayerLast,
            2,
        ),
        (
            "data-last",
            "The last layer holds data for one that does not come.",
            vec![lower(), data()],
            Code::LayerLast,
            2,
        ),
        (
            "chunk-index-last",
            "The last layer is a chunk index.",
            vec![lower(), index_of('e')],
            Code::LayerLast,
            2,
        ),
        (
            "chunk-index-first",
            "The first layer is a chunk index.",
            vec![index_of('e'), lower()],
            Code::ChunkIndexFirst,
            1,
        ),
        (
            "chunk-index-target",
            "A chunk index names another layer than the one before it.",
            vec![layer("", 'f', &[]), index_of('e'), lower()],
            Code::ChunkIndexTarget,
            2,
        ),
        (
            "role-of-chunk-index",
            "A chunk index has the role of an image.",
            vec![
                lower(),
                typed(
                    "application/vnd.erofs.chunk-index.v1",
                    'd',
                    &[("role", "overlay-lower")],
                ),
                lower(),
            ],
            Code::RoleMediaType,
            2,
        ),
        (
            "tar",
            "A layer is a tar.",
            vec![
                typed("application/vnd.oci.image.layer.v1.tar+gzip", 'b', &[]),
                lower(),
            ],
            Code::MediaTypeTar,
            1,
        ),
        (
            "type-unknown",
            "A layer is of a type that nobody knows.",
            vec![typed("application/octet-stream", 'b', &[]), lower()],
            Code::MediaTypeUnknown,
            1,
        ),
        (
            "verity-incomplete",
            "A layer states where its dm-verity tree is, and not its root.",
            vec![layer("", 'e', &[("dmverity.hash_offset", "8192")])],
            Code::AnnotationVerity,
            1,
        ),
    ] {
        let draft = suite.plan(
            &format!("manifest/{id}"),
            description,
            &manifest(&layers),
            "",
        );
        suite.add(
            draft
                .demand(ORDER.0, ORDER.1)
                .differs_from("manifest/roles")
                .refused(code, At::Layer(number)),
        );
    }
}

/// What is said of one compressed image.
fn one(diff_id: char) -> Json {
    json!([{
        "role": "overlay-lower", "compression": "zstd", "diffId": digest(diff_id),
        "consumer": null, "devices": 0,
    }])
}

fn diff_ids(suite: &mut Suite) {
    let zstd = |annotated: &[(&str, &str)]| manifest(&[layer("+zstd", 'a', annotated)]);
    let annotation = digest('1');
    let annotated = zstd(&[("uncompressed-digest", &annotation)]);
    let mut drafts = Vec::new();
    {
        let mut plan = |id: &str, description: &str, manifest: &str, config: &str| {
            suite.plan(&format!("manifest/{id}"), description, manifest, config)
        };
        let agreed = config(EROFS, &[digest('1')]);
        let other = config(EROFS, &[digest('2')]);
        drafts.push(
            plan(
                "diff-id-config",
                "The config states the diffID.",
                &zstd(&[]),
                &agreed,
            )
            .valid(json!({ "layers": one('1'), "warnings": [] })),
        );
        drafts.push(
            plan(
                "diff-id-annotation",
                "An annotation states the diffID.",
                &annotated,
                "",
            )
            .valid(json!({ "layers": one('1'), "warnings": [] })),
        );
        drafts.push(
            plan(
                "diff-id-both",
                "Annotation and config state the same diffID.",
                &annotated,
                &agreed,
            )
            .valid(json!({ "layers": one('1'), "warnings": [] })),
        );
        drafts.push(
            plan(
                "diff-id-differ-any",
                "Annotation and config differ, and the draft's rule is asked for: the annotation counts.",
                &annotated,
                &other,
            )
            .policy(Policy::Any)
            .valid(json!({ "layers": one('1'), "warnings": ["diff-ids"] })),
        );
        drafts.push(
            plan(
                "diff-id-missing",
                "Nothing states the diffID.",
                &zstd(&[]),
                "",
            )
            .differs_from("manifest/diff-id-config")
            .refused(Code::DiffIdMissing, At::Layer(1)),
        );
        drafts.push(
            plan(
                "diff-id-conflict",
                "Annotation and config differ, and containerd reads the config alone.",
                &annotated,
                &other,
            )
            .differs_from("manifest/diff-id-both")
            .refused(Code::DiffIdConflict, At::Layer(1)),
        );
        drafts.push(
            plan(
                "diff-id-count-few",
                "The config states a diffID less than there are layers.",
                &zstd(&[]),
                &config(EROFS, &[]),
            )
            .differs_from("manifest/diff-id-config")
            .refused(Code::DiffIdCount, At::Whole),
        );
        drafts.push(
            plan(
                "diff-id-count-many",
                "The config states a diffID more than there are layers.",
                &zstd(&[]),
                &config(EROFS, &[digest('1'), digest('2')]),
            )
            .differs_from("manifest/diff-id-config")
            .refused(Code::DiffIdCount, At::Whole),
        );
        drafts.push(
            plan(
                "diff-id-not-digest",
                "A layer that is not compressed has a diffID that is not its digest.",
                &manifest(&[layer("", 'a', &[])]),
                &config(EROFS, &[digest('1')]),
            )
            .differs_from("manifest/diff-id-config")
            .refused(Code::DiffIdNotDigest, At::Layer(1)),
        );
    }
    for draft in drafts {
        suite.add(draft.demand(DIFF_ID.0, DIFF_ID.1));
    }
}

fn features(suite: &mut Suite) {
    let source = ("erofs-image-spec", "5.4 Platform OS Features");
    let manifest = manifest(&[layer("+zstd", 'a', &[])]);
    let without = config("", &[digest('1')]);
    let draft = suite.plan(
        "manifest/os-features-strict",
        "The config does not name erofs, and the draft's rule for producers is asked for.",
        &manifest,
        &without,
    );
    suite.add(
        draft
            .demand(source.0, source.1)
            .differs_from("manifest/diff-id-config")
            .policy(Policy::Strict)
            .refused(Code::OsFeatures, At::Whole),
    );
    let draft = suite.plan(
        "manifest/os-features",
        "The config does not name erofs, which is worth a warning.",
        &manifest,
        &without,
    );
    suite.add(
        draft
            .demand(source.0, source.1)
            .valid(json!({ "layers": one('1'), "warnings": ["os-features"] })),
    );
}
