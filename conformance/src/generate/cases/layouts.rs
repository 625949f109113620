//! OCI layouts: the demo, and layouts of one small layer with one thing wrong.

use std::collections::BTreeMap;

use erofs_unpack_core::oci::Algorithm;
use erofs_unpack_core::{At, Code};
use serde_json::{Value as Json, json};

use super::super::bases::Bases;
use super::super::image::{Image, SUPERBLOCK};
use super::super::suite::{Draft, Suite, Wire};
use super::documents::{CONFIG, EROFS, INDEX, MANIFEST, config, digest};
use crate::manifest::{LayoutInput, Limits, Operation, Policy};

const LAYOUT: (&str, &str) = ("oci", "image-layout.md");
/// The type of a plain image.
const IMAGE: &str = "application/vnd.erofs";
const DIGESTS: (&str, &str) = ("oci", "descriptor.md, Digests");

pub(super) fn add(suite: &mut Suite, bases: &Bases) {
    demo(suite, bases);
    small(suite, bases);
    chains(suite, bases);
    foreign(suite, bases);
    choices(suite, bases);
    tags(suite, bases);
}

/// An image and the tar that is its device, as layers of their own: what the device slot is tagged
/// with.
fn tags(suite: &mut Suite, bases: &Bases) {
    let whole = Image(bases.get("tar-index.erofs").to_vec());
    let number = |at: usize| {
        let bytes = whole
            .0
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok());
        u32::from_le_bytes(bytes.unwrap_or_default()) as usize
    };
    let table = (number(SUPERBLOCK + 88) & 0xffff) * 128;
    let end = number(SUPERBLOCK + 36) * 512;
    let (image, tar) = whole.0.split_at(end);
    let right = sha256(tar).replace("sha256:", "");
    let source = ("erofs-image-spec", "8.1 Producer Requirements, 12");
    let other = "ab".repeat(32);
    for (id, description, tag, warns) in [
        (
            "device-tag",
            "The slot of a device is tagged with the digest of the layer that is attached for it.",
            right.as_str(),
            false,
        ),
        (
            "device-tag-name",
            "The slot of a device is tagged with a name that is no digest.",
            "tar",
            false,
        ),
        (
            "device-tag-other",
            "The slot of a device is tagged with the digest of something else.",
            &other,
            true,
        ),
    ] {
        let mut field = [0; 64];
        field[..tag.len()].copy_from_slice(tag.as_bytes());
        let tagged = Image(image.to_vec()).put(table, &field).mend().0;
        let mut layout = Layout::new();
        let device = layout.blob("application/octet-stream", tar);
        let device = with(device, "annotations", json!({ "org.erofs.role": "device" }));
        let layer = layout.blob(IMAGE, &tagged);
        let diff_ids = [sha256(tar), sha256(&tagged)];
        let manifest = layout.manifest(&config(EROFS, &diff_ids), &[device, layer]);
        layout.index(std::slice::from_ref(&manifest));
        let warnings: &[&str] = if warns { &["device-tag"] } else { &[] };
        let draft = case(suite, id, description, &layout);
        suite.add(
            draft
                .demand(source.0, source.1)
                .valid(json!({ "warnings": warnings })),
        );
        if warns {
            let draft = case(suite, id, description, &layout).renamed("layout/device-tag-strict");
            suite.add(
                with_input(draft, |input| input.policy = Policy::Strict)
                    .demand(source.0, source.1)
                    .differs_from("layout/device-tag")
                    .refused(Code::DeviceTag, At::Layer(2)),
            );
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    Algorithm::Sha256.digest(bytes).to_string()
}

/// A layout that is being put together: its blobs by their digests, and `index.json`.
#[derive(Clone, Default)]
struct Layout {
    files: BTreeMap<String, Vec<u8>>,
}

impl Layout {
    fn new() -> Self {
        let mut layout = Self::default();
        layout.put("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        layout
    }

    fn put(&mut self, path: &str, bytes: &[u8]) {
        self.files.insert(path.into(), bytes.to_vec());
    }

    /// Adds a blob and gives its descriptor.
    fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Json {
        let digest = sha256(bytes);
        self.put(&path(&digest), bytes);
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    /// Adds a document and gives its descriptor.
    fn document(&mut self, media_type: &str, document: &Json) -> Json {
        self.blob(media_type, &text(document))
    }

    /// Adds a manifest over layers, with this config, and gives its descriptor.
    fn manifest(&mut self, config: &str, layers: &[Json]) -> Json {
        let config = self.blob(CONFIG, config.as_bytes());
        self.document(
            MANIFEST,
            &json!({
                "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
            }),
        )
    }

    fn index(&mut self, entries: &[Json]) {
        self.put("index.json", &text(&index(entries)));
    }
}

fn index(entries: &[Json]) -> Json {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries })
}

/// A document as it lies in a layout.
fn text(document: &Json) -> Vec<u8> {
    document.to_string().into_bytes()
}

/// Where a blob lies.
fn path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

/// The descriptor with another member.
fn with(mut descriptor: Json, name: &str, value: Json) -> Json {
    descriptor[name] = value;
    descriptor
}

fn case(suite: &mut Suite, id: &str, description: &str, layout: &Layout) -> Draft {
    let folder = format!("layouts/{id}");
    let files = layout
        .files
        .iter()
        .map(|(path, bytes)| {
            let blob = suite.file(&format!("{folder}/{path}"), bytes);
            (path.clone(), blob)
        })
        .collect();
    let input = LayoutInput {
        folder,
        files,
        platform: None,
        digest: None,
        policy: Policy::default(),
        limits: Limits::default(),
    };
    Draft::new(
        &format!("layout/{id}"),
        description,
        Operation::Layout(input),
    )
}

/// Changes what is asked of a layout.
fn with_input(mut draft: Draft, change: impl FnOnce(&mut LayoutInput)) -> Draft {
    if let Operation::Layout(input) = draft.operation() {
        change(input);
    }
    draft
}

const LINUX: &str = r#"{"os":"linux","architecture":"amd64","os.features":["erofs"]}"#;

fn platform() -> Json {
    serde_json::from_str(LINUX).unwrap_or(Json::Null)
}

fn demo(suite: &mut Suite, bases: &Bases) {
    let mut layout = Layout::new();
    let mut layers = Vec::new();
    let mut diff_ids = Vec::new();
    let mut said = Vec::new();
    for (number, wire, blob, image) in [
        (1, Wire::Plain, "demo-1.erofs", "demo-1.erofs"),
        (2, Wire::Zstd, "demo-2.erofs.zst", "demo-2.erofs"),
        (3, Wire::Gzip, "demo-3.erofs.gz", "demo-3.erofs"),
    ] {
        let image = bases.get(image);
        layers.push(layout.blob(wire.media_type(), bases.get(blob)));
        diff_ids.push(sha256(image));
        said.push(json!({
            "number": number, "role": "overlay-lower",
            "diffId": sha256(image), "imageSize": image.len(),
        }));
    }
    let manifest = layout.manifest(&config(EROFS, &diff_ids), &layers);
    let entry = with(manifest.clone(), "platform", platform());
    let name = json!({ "org.opencontainers.image.ref.name": "demo" });
    layout.index(&[with(entry, "annotations", name)]);
    let draft = case(
        suite,
        "demo",
        "An image of three layers, plain, zstd and gzip, each of another family of media types.",
        &layout,
    );
    suite.add(
        draft
            .origin("programs")
            .demand(LAYOUT.0, LAYOUT.1)
            .valid(json!({
                "manifest": manifest["digest"], "layers": said, "warnings": [],
            })),
    );
}

/// The layers of the layouts with one thing wrong: one small zstd layer.
struct Small {
    image: Vec<u8>,
    blob: Vec<u8>,
}

impl Small {
    fn new(bases: &Bases) -> Self {
        Self {
            image: bases.get("small.erofs").to_vec(),
            blob: bases.get("small.erofs.zst").to_vec(),
        }
    }

    /// A layout with its layer and no document, and the layer's descriptor.
    fn layout(&self) -> (Layout, Json) {
        let mut layout = Layout::new();
        let layer = layout.blob(Wire::Zstd.media_type(), &self.blob);
        (layout, layer)
    }

    /// A config with its diffID.
    fn config(&self) -> String {
        config(EROFS, &[sha256(&self.image)])
    }

    /// A right layout, and the descriptor of its manifest.
    fn good(&self) -> (Layout, Json) {
        let (mut layout, layer) = self.layout();
        let manifest = layout.manifest(&self.config(), &[layer]);
        layout.index(std::slice::from_ref(&manifest));
        (layout, manifest)
    }

    fn outputs(&self) -> Json {
        json!([{
            "number": 1, "role": "overlay-lower",
            "diffId": sha256(&self.image), "imageSize": self.image.len(),
        }])
    }
}

fn small(suite: &mut Suite, bases: &Bases) {
    let small = Small::new(bases);
    let (good, manifest) = small.good();
    let good_digest = manifest["digest"].as_str().unwrap_or_default().to_owned();
    let draft = case(suite, "small", "An image of one small layer.", &good);
    let valid = json!({ "manifest": manifest["digest"], "layers": small.outputs() });
    suite.add(draft.demand(LAYOUT.0, LAYOUT.1).valid(valid.clone()));
    let draft = case(
        suite,
        "small",
        "The digest of the manifest is given.",
        &good,
    );
    let anchored = with_input(draft, |input| input.digest = Some(good_digest.clone()));
    suite.add(
        anchored
            .renamed("layout/anchored")
            .demand(DIGESTS.0, DIGESTS.1)
            .valid(valid.clone()),
    );
    let draft = case(
        suite,
        "small",
        "The digest that is given is that of another manifest.",
        &good,
    );
    let anchored = with_input(draft, |input| input.digest = Some(digest('a')));
    suite.add(
        anchored
            .renamed("layout/anchored-other")
            .demand(DIGESTS.0, DIGESTS.1)
            .differs_from("layout/anchored")
            .refused(Code::BlobDigest, At::Whole),
    );

    let mut refused =
        |id: &str, description: &str, layout: &Layout, source: (&str, &str), code, at| {
            let draft = case(suite, id, description, layout);
            suite.add(
                draft
                    .demand(source.0, source.1)
                    .differs_from("layout/small")
                    .refused(code, at),
            );
        };
    let mut layout = good.clone();
    let marker = br#"{"imageLayoutVersion":"2.0.0"}"#;
    layout.put("oci-layout", marker);
    refused(
        "version",
        "The layout is of a version that does not exist.",
        &layout,
        LAYOUT,
        Code::LayoutVersion,
        At::Json(marker.len() as u64 - 2),
    );
    let mut layout = good.clone();
    let mut changed = layout.files[&path(&good_digest)].clone();
    let space = changed.len() - 1;
    changed.splice(space..space, *b" ");
    layout.put(&path(&good_digest), &changed);
    refused(
        "manifest-size",
        "The manifest is a byte longer than its descriptor states.",
        &layout,
        DIGESTS,
        Code::BlobSize,
        At::Whole,
    );
    let mut layout = good.clone();
    let changed = String::from_utf8_lossy(&layout.files[&path(&good_digest)]).replacen(
        "\"schemaVersion\":2",
        "\"schemaVersion\":3",
        1,
    );
    layout.put(&path(&good_digest), changed.as_bytes());
    refused(
        "manifest-digest",
        "The manifest does not have the digest that its descriptor states.",
        &layout,
        DIGESTS,
        Code::BlobDigest,
        At::Whole,
    );
    let mut layout = good.clone();
    let place = path(&sha256(small.config().as_bytes()));
    layout.put(
        &place,
        small.config().replacen("amd64", "amd65", 1).as_bytes(),
    );
    refused(
        "config-digest",
        "The config does not have the digest that its descriptor states.",
        &layout,
        DIGESTS,
        Code::BlobDigest,
        At::Whole,
    );
    let mut layout = good.clone();
    let place = path(&sha256(&small.blob));
    let mut blob = small.blob.clone();
    blob[4] |= 8;
    layout.put(&place, &blob);
    refused(
        "layer-changed",
        "A bit of the layer's blob is changed, which the codec sees before the digest can.",
        &layout,
        ("unpack", "Which error counts"),
        Code::ZstdReserved,
        At::Blob(0),
    );
    let mut layout = good.clone();
    let mut blob = small.blob.clone();
    if let Some(last) = blob.last_mut() {
        *last ^= 1;
    }
    layout.put(&place, &blob);
    refused(
        "layer-digest",
        "A bit of the layer's checksum is changed, which its digest tells first.",
        &layout,
        ("unpack", "Which error counts"),
        Code::BlobDigest,
        At::Whole,
    );
    let mut layout = good.clone();
    layout.put(&place, &small.blob[..100]);
    refused(
        "layer-size",
        "The layer's blob is cut off.",
        &layout,
        ("unpack", "Which error counts"),
        Code::BlobSize,
        At::Blob(100),
    );
    let (mut layout, layer) = small.layout();
    let entry = layout.manifest(&config(EROFS, &[digest('a')]), &[layer]);
    layout.index(&[entry]);
    refused(
        "diff-id",
        "The config states the diffID of another image.",
        &layout,
        ("erofs-image-spec", "5.2 rootfs.diff_ids"),
        Code::DiffId,
        At::Whole,
    );
    let (mut layout, layer) = small.layout();
    let entry = layout.manifest(&small.config(), &[layer]);
    layout.index(&[with(entry, "mediaType", INDEX.into())]);
    refused(
        "manifest-type",
        "The descriptor of the manifest says that it is an index.",
        &layout,
        LAYOUT,
        Code::DocumentMediaType,
        At::Whole,
    );
    let (mut layout, layer) = small.layout();
    let tar = "application/vnd.oci.image.layer.v1.tar+zstd";
    let layer = with(layer, "mediaType", tar.into());
    let entry = layout.manifest(&small.config(), &[layer]);
    layout.index(&[entry]);
    refused(
        "tar",
        "The layer's media type is that of a tar.",
        &layout,
        ("erofs-image-spec", "2.1 application/vnd.erofs and +zstd"),
        Code::MediaTypeTar,
        At::Layer(1),
    );
    let (mut layout, layer) = small.layout();
    let entry = layout.manifest(&config("", &[sha256(&small.image)]), &[layer]);
    layout.index(&[entry]);
    let draft = case(
        suite,
        "os-features",
        "The config does not name erofs, and the draft's rule for producers is asked for.",
        &layout,
    );
    suite.add(
        draft
            .policy(Policy::Strict)
            .demand("erofs-image-spec", "5.4 Platform OS Features")
            .differs_from("layout/small")
            .refused(Code::OsFeatures, At::Whole),
    );
}

/// Entries of `index.json` whose digests are of an algorithm that is not known.
fn foreign(suite: &mut Suite, bases: &Bases) {
    let small = Small::new(bases);
    let (good, manifest) = small.good();
    let digest = format!("blake3:{}", "ab".repeat(32));
    let of = |architecture: &str| {
        let entry = with(manifest.clone(), "digest", digest.clone().into());
        with(
            entry,
            "platform",
            json!({ "os": "linux", "architecture": architecture }),
        )
    };
    let mut layout = good.clone();
    layout.index(&[of("s390x"), manifest.clone()]);
    let draft = case(
        suite,
        "foreign-digest",
        "An entry for another platform has a digest of another algorithm, and one beside it is \
         an image.",
        &layout,
    );
    let valid = json!({ "manifest": manifest["digest"], "layers": small.outputs() });
    suite.add(draft.demand(DIGESTS.0, DIGESTS.1).valid(valid));
    for (id, description, entries) in [
        (
            "foreign-digest-needed",
            "The only entry has a digest of another algorithm.",
            vec![of("amd64")],
        ),
        (
            "foreign-digest-rival",
            "An entry that may be meant as well as the image has a digest of another algorithm.",
            vec![of("amd64"), manifest],
        ),
    ] {
        let mut layout = good.clone();
        layout.index(&entries);
        let text = String::from_utf8_lossy(&layout.files["index.json"]).into_owned();
        let at = text.find(&digest).unwrap_or(0) + digest.len();
        let draft = case(suite, id, description, &layout);
        suite.add(
            draft
                .demand(DIGESTS.0, DIGESTS.1)
                .differs_from("layout/foreign-digest")
                .refused(Code::DigestAlgorithm, At::Json(at as u64)),
        );
    }
}

/// Indexes between `index.json` and the manifest.
fn chains(suite: &mut Suite, bases: &Bases) {
    let small = Small::new(bases);
    let (mut layout, layer) = small.layout();
    let entry = layout.manifest(&small.config(), &[layer]);
    let manifest = entry["digest"].clone();
    let mut entry = with(entry, "platform", platform());
    // index.json counts as one of the four.
    for _ in 0..3 {
        entry = layout.document(INDEX, &index(&[entry]));
    }
    let mut deepest = layout.clone();
    layout.index(std::slice::from_ref(&entry));
    let draft = case(
        suite,
        "indexes",
        "Four indexes, index.json among them, lead to the manifest, which is the limit.",
        &layout,
    );
    let draft = with_input(draft, |input| input.platform = Some("linux/amd64".into()));
    suite.add(
        draft
            .demand("security", "Limits")
            .valid(json!({ "manifest": manifest, "layers": small.outputs() })),
    );
    let entry = deepest.document(INDEX, &index(&[entry]));
    deepest.index(&[entry]);
    let draft = case(
        suite,
        "indexes-limit",
        "Five indexes lead to the manifest, one more than the limit.",
        &deepest,
    );
    let draft = with_input(draft, |input| input.platform = Some("linux/amd64".into()));
    suite.add(
        draft
            .demand("security", "Limits")
            .differs_from("layout/indexes")
            .refused(Code::IndexDepth, At::Whole),
    );
    let draft = case(
        suite,
        "indexes",
        "No entry of the innermost index is for the platform that is asked for.",
        &layout,
    )
    .renamed("layout/platform-none");
    let draft = with_input(draft, |input| input.platform = Some("linux/s390x".into()));
    suite.add(
        draft
            .demand("oci", "image-index.md")
            .differs_from("layout/indexes")
            .refused(Code::PlatformNone, At::Whole),
    );
}

/// Layouts with several manifests, of which one is meant, or none.
fn choices(suite: &mut Suite, bases: &Bases) {
    const DUPLICATES: (&str, &str) = ("oci", "image-layout.md, index.json file");
    let small = Small::new(bases);
    let (mut base, layer) = small.layout();
    let amd = base.manifest(&small.config(), std::slice::from_ref(&layer));
    // The same layer with other configs: other images.
    let on = |text: &str| small.config().replacen("amd64", text, 1);
    let arm = base.manifest(&on("arm64"), std::slice::from_ref(&layer));
    let more = small.config().replacen('{', "{\"author\":\"a\",", 1);
    let other = base.manifest(&more, std::slice::from_ref(&layer));
    let name = |entry: &Json, name: &str| {
        let names = json!({ "org.opencontainers.image.ref.name": name });
        with(entry.clone(), "annotations", names)
    };
    let empty = base.blob("application/vnd.oci.empty.v1+json", b"{}");
    let signature = base.blob("application/jose+json", b"signature");
    let document = json!({
        "schemaVersion": 2, "config": empty, "layers": [signature],
        "artifactType": "application/vnd.cncf.notary.signature",
    });
    let artifact = base.document(MANIFEST, &document);
    let absent = json!({ "mediaType": MANIFEST, "digest": digest('a'), "size": 2 });
    let nested = base.document(INDEX, &index(&[absent.clone(), amd.clone(), arm.clone()]));
    let twice = base.document(INDEX, &index(&[amd.clone(), other.clone()]));
    let layout = |entries: &[Json]| {
        let mut layout = base.clone();
        layout.index(entries);
        layout
    };
    for (id, description, entries, platform, chosen) in [
        (
            "two-names",
            "One manifest has two names: it is one image.",
            vec![name(&amd, "a"), name(&amd, "b")],
            None,
            &amd,
        ),
        (
            "platforms-by-config",
            "Entries of one name do not state their platforms, which their configs do, and differ.",
            vec![name(&amd, "a"), name(&arm, "a")],
            Some("linux/arm64"),
            &arm,
        ),
        (
            "nested-by-config",
            "The entries of a nested index state no platforms, and one of them is not there.",
            vec![nested],
            Some("linux/arm64"),
            &arm,
        ),
        (
            "artifact",
            "A signature is listed before the image.",
            vec![artifact.clone(), amd.clone()],
            None,
            &amd,
        ),
    ] {
        let draft = case(suite, id, description, &layout(&entries));
        let draft = with_input(draft, |input| input.platform = platform.map(Into::into));
        suite.add(
            draft
                .demand(LAYOUT.0, LAYOUT.1)
                .valid(json!({ "manifest": chosen["digest"], "layers": small.outputs() })),
        );
    }
    for (id, description, entries, platform, code) in [
        (
            "unnamed",
            "Two images for one platform have no names: the first is not taken.",
            vec![amd.clone(), other.clone()],
            None,
            Code::ImageAmbiguous,
        ),
        (
            "name-twice",
            "Two images for one platform have the same name.",
            vec![name(&amd, "a"), name(&other, "a")],
            None,
            Code::ImageAmbiguous,
        ),
        (
            "names",
            "Two images have different names, and none is asked for.",
            vec![name(&amd, "a"), name(&arm, "b")],
            Some("linux/amd64"),
            Code::ImageAmbiguous,
        ),
        (
            "platform-unknown",
            "Nobody knows what an entry without a name is for, and its manifest is not there.",
            vec![amd.clone(), absent],
            None,
            Code::ImageAmbiguous,
        ),
        (
            "nested-twice",
            "A nested index has two images for the platform.",
            vec![twice],
            Some("linux/amd64"),
            Code::ImageAmbiguous,
        ),
        (
            "only-artifact",
            "The only manifest is that of a signature.",
            vec![artifact],
            None,
            Code::PlatformNone,
        ),
        (
            "os-feature",
            "The only image needs a feature of the operating system that nobody knows.",
            vec![with(
                amd,
                "platform",
                json!({ "os": "linux", "architecture": "amd64", "os.features": ["later"] }),
            )],
            None,
            Code::PlatformNone,
        ),
    ] {
        let draft = case(suite, id, description, &layout(&entries));
        let draft = with_input(draft, |input| input.platform = platform.map(Into::into));
        suite.add(
            draft
                .demand(DUPLICATES.0, DUPLICATES.1)
                .differs_from("layout/small")
                .refused(code, At::Whole),
        );
    }
}
