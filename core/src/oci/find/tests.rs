//! Which manifest is meant, of layouts in memory.

use std::collections::BTreeMap;
use std::string::ToString as _;
use std::vec::Vec;

use serde_json::{Value as Json, json};

use super::*;
use crate::oci::Algorithm;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const EROFS: &str = "application/vnd.erofs+zstd";
const TAR: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const SIGNATURE: &str = "application/jose+json";

/// Blobs by their digests, and how many were read.
#[derive(Default)]
struct Blobs {
    blobs: BTreeMap<Digest, Vec<u8>>,
    reads: usize,
}

impl Documents for Blobs {
    fn read(&mut self, descriptor: &Descriptor) -> Fetched {
        self.reads += 1;
        match self.blobs.get(&descriptor.digest) {
            Some(blob) => Fetched::Document(blob.clone()),
            None => Fetched::Absent,
        }
    }

    fn has(&mut self, descriptor: &Descriptor) -> bool {
        self.blobs.contains_key(&descriptor.digest)
    }
}

impl Blobs {
    fn put(&mut self, media_type: &str, document: &Json) -> Json {
        let bytes = document.to_string().into_bytes();
        let digest = Algorithm::Sha256.digest(&bytes);
        let size = bytes.len();
        self.blobs.insert(digest, bytes);
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": size})
    }

    /// A manifest with one layer, told apart by a name.
    fn manifest(&mut self, name: &str, config: &(&str, Json), layer: &str) -> Json {
        let config = self.put(config.0, &config.1);
        let digest = Algorithm::Sha256.digest(name.as_bytes()).to_string();
        let layer = json!({"mediaType": layer, "digest": digest, "size": 1});
        let document = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
        self.put(MANIFEST, &document)
    }

    /// An image for a platform that its config states.
    fn image(&mut self, name: &str, platform: &str) -> Json {
        self.manifest(name, &(CONFIG, platform_of(platform)), EROFS)
    }

    fn index(&mut self, entries: &[Json]) -> Json {
        self.put(INDEX, &index(entries))
    }

    fn remove(&mut self, entry: &Json) {
        self.blobs.remove(&digest(entry));
    }

    fn find(&mut self, entries: &[Json], wanted: &Wanted<'_>) -> Result<Digest, NotFound> {
        self.found(entries, wanted)
            .map(|found| found.descriptor.digest)
    }

    fn found(&mut self, entries: &[Json], wanted: &Wanted<'_>) -> Result<Found, NotFound> {
        let document = index(entries).to_string();
        let index = Index::parse(document.as_bytes(), &Limits::DEFAULT).unwrap();
        find(&index, wanted, &Limits::DEFAULT, self)
    }
}

fn index(entries: &[Json]) -> Json {
    json!({"schemaVersion": 2, "manifests": entries})
}

fn platform_of(text: &str) -> Json {
    let platform = Platform::parse(text).unwrap();
    json!({
        "os": platform.os, "architecture": platform.architecture, "variant": platform.variant,
        "os.features": platform.os_features,
    })
}

/// The entry, stating a platform.
fn on(entry: &Json, platform: &str) -> Json {
    with(entry, "platform", platform_of(platform))
}

/// The entry, with a name of the specification.
fn named(entry: &Json, name: &str) -> Json {
    with(entry, "annotations", json!({super::super::REF_NAME: name}))
}

fn with(entry: &Json, key: &str, value: Json) -> Json {
    let mut entry = entry.clone();
    entry[key] = value;
    entry
}

fn digest(entry: &Json) -> Digest {
    Digest::parse(entry["digest"].as_str().unwrap()).unwrap()
}

/// Asks as a machine of amd64 does, for nothing.
fn nothing<'a>(host: &'a Platform) -> Wanted<'a> {
    Wanted {
        host: Some(host),
        ..Wanted::default()
    }
}

fn host() -> Platform {
    Platform::parse("linux/amd64").unwrap()
}

/// Why several images could be meant, and the names or digests of them.
fn several(found: Result<Digest, NotFound>) -> (Several, usize) {
    match found {
        Err(NotFound::Several {
            why,
            choices,
            count,
        }) => {
            assert_eq!(choices.len(), count);
            (why, count)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn entries_of_one_name_are_one_image_if_their_platforms_differ() {
    let mut blobs = Blobs::default();
    let host = host();
    let ask = nothing(&host);
    let amd = blobs.image("amd", "linux(+erofs)/amd64");
    let other = blobs.image("other", "linux(+erofs)/amd64");
    let arm = blobs.image("arm", "linux(+erofs)/arm64");
    for name in [None, Some("v1")] {
        let name = |entry: &Json| name.map_or(entry.clone(), |name| named(entry, name));
        assert_eq!(
            blobs.find(&[name(&arm), name(&amd)], &ask),
            Ok(digest(&amd))
        );
        let twice = blobs.find(&[name(&amd), name(&other)], &ask);
        assert_eq!(several(twice), (Several::SameName, 2));
        // Also where the one that is given twice is not the one for this machine.
        let arm_too = blobs.image("arm too", "linux(+erofs)/arm64");
        let twice = blobs.find(&[name(&amd), name(&arm), name(&arm_too)], &ask);
        assert_eq!(several(twice), (Several::SameName, 3));
        // What an entry states counts, features included.
        let tar = blobs.manifest("tar", &(CONFIG, json!({})), TAR);
        let tar = on(&name(&tar), "linux/amd64");
        assert_eq!(blobs.find(&[tar, name(&amd)], &ask), Ok(digest(&amd)));
    }
    // Nobody knows what an entry is for whose documents are not there.
    let unknown = blobs.image("unknown", "linux/s390x");
    blobs.remove(&unknown);
    let found = blobs.find(&[amd.clone(), unknown], &ask);
    assert_eq!(several(found), (Several::SameName, 2));
    // An index is as much as what it leads to.
    let amd_index = blobs.index(std::slice::from_ref(&amd));
    let arm_index = blobs.index(std::slice::from_ref(&arm));
    let entries = [amd_index.clone(), arm_index];
    assert_eq!(blobs.find(&entries, &ask), Ok(digest(&amd)));
    let entries = [amd_index, other];
    assert_eq!(several(blobs.find(&entries, &ask)), (Several::SameName, 2));
}

#[test]
fn names_tell_images_apart() {
    let mut blobs = Blobs::default();
    let host = host();
    let ask = nothing(&host);
    let amd = blobs.image("amd", "linux/amd64");
    let arm = blobs.image("arm", "linux/arm64");
    let entries = [named(&amd, "a"), named(&arm, "b")];
    assert_eq!(several(blobs.find(&entries, &ask)), (Several::Names, 2));
    let entries = [named(&amd, "a"), arm.clone()];
    assert_eq!(several(blobs.find(&entries, &ask)), (Several::Names, 2));
    // One digest under several names is one image.
    let entries = [named(&amd, "a"), amd.clone(), named(&amd, "b")];
    let found = blobs.found(&entries, &ask).unwrap();
    assert_eq!(found.names, ["a", "b"]);
    assert_eq!(found.descriptor.digest, digest(&amd));
    // So are two that lead to the same manifests, and one listed beside its index.
    let both = blobs.index(&[amd.clone(), arm.clone()]);
    let turned = blobs.index(&[arm.clone(), amd.clone()]);
    let entries = [named(&both, "a"), named(&turned, "b")];
    assert_eq!(blobs.find(&entries, &ask), Ok(digest(&amd)));
    let entries = [amd.clone(), arm.clone(), named(&both, "a")];
    assert_eq!(blobs.find(&entries, &ask), Ok(digest(&amd)));
    // The full name is the one that counts.
    let full = |entry: &Json, name: &str| {
        let names = json!({
            super::super::REF_NAME: "1", super::super::CONTAINERD_NAME: name,
        });
        with(entry, "annotations", names)
    };
    let entries = [full(&amd, "x.org/a:1"), full(&arm, "x.org/b:1")];
    let named = |name| Wanted {
        reference: Some(name),
        ..ask
    };
    let found = blobs.find(&entries, &named("1"));
    assert_eq!(several(found), (Several::Names, 2));
    assert_eq!(blobs.find(&entries, &named("x.org/b:1")), Ok(digest(&arm)));
    match blobs.find(&entries, &named("b:1")) {
        Err(NotFound::Name { choices, count: 2 }) => {
            assert_eq!(choices[1].names, ["x.org/b:1", "1"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn artifacts_are_passed_over() {
    let mut blobs = Blobs::default();
    let host = host();
    let ask = nothing(&host);
    let image = blobs.image("image", "linux/amd64");
    let empty = || (EMPTY, json!({}));
    let signature = blobs.manifest("signature", &empty(), SIGNATURE);
    let chart = ("application/vnd.cncf.helm.config.v1+json", json!({}));
    let chart = blobs.manifest(
        "chart",
        &chart,
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
    );
    let parts = blobs.manifest("parts", &(CONFIG, json!({})), "text/spdx");
    // An older signature has a config as if it were an image.
    let simple = "application/vnd.dev.cosign.simplesigning.v1+json";
    let cosign = blobs.manifest("cosign", &(CONFIG, platform_of("linux/amd64")), simple);
    let stated = with(&signature, "artifactType", json!("x/y"));
    for artifact in [
        &signature,
        &chart,
        &cosign,
        &stated,
        &parts,
        &named(&cosign, "s.sig"),
    ] {
        for entries in [
            [artifact.clone(), image.clone()],
            [on(artifact, "linux/amd64"), on(&image, "linux/amd64")],
        ] {
            assert_eq!(blobs.find(&entries, &ask), Ok(digest(&image)), "{artifact}");
            let nested = blobs.index(&entries);
            assert_eq!(blobs.find(&[nested], &ask), Ok(digest(&image)));
        }
        let alone = blobs.find(std::slice::from_ref(artifact), &ask);
        match alone {
            Err(NotFound::Nothing { artifacts }) => assert_eq!(artifacts.len(), 1),
            other => panic!("{other:?}"),
        }
    }
    // The descriptor of an image may state the type of its config.
    let entry = with(&image, "artifactType", json!(CONFIG));
    assert_eq!(blobs.find(&[entry], &ask), Ok(digest(&image)));
    // Layers make an image, whatever the config is; beside one an artifact stays one.
    let bare = blobs.manifest("bare", &empty(), EROFS);
    let stated = with(&bare, "artifactType", json!("x/y"));
    for entry in [&bare, &stated] {
        let alone = std::slice::from_ref(entry);
        assert_eq!(blobs.find(alone, &ask), Ok(digest(&bare)));
    }
    assert_eq!(
        blobs.find(&[stated, image.clone()], &ask),
        Ok(digest(&image))
    );
    // Who gives its digest means it.
    let pinned = Wanted {
        digest: Some(digest(&signature)),
        ..ask
    };
    assert_eq!(
        blobs.find(&[signature.clone(), image], &pinned),
        Ok(digest(&signature))
    );
}

#[test]
fn of_equals_the_one_with_erofs_is_chosen_or_none() {
    let mut blobs = Blobs::default();
    let host = host();
    let ask = nothing(&host);
    let config = (CONFIG, json!({"os": "linux", "architecture": "amd64"}));
    let tar = blobs.manifest("tar", &config, TAR);
    let erofs = blobs.manifest("erofs", &config, EROFS);
    let said = blobs.image("said", "linux(+erofs)/amd64");
    let amd = |entry: &Json| on(entry, "linux/amd64");
    // By the config where the entry does not say it, by the layers where neither does.
    for entries in [
        [amd(&tar), amd(&said)],
        [amd(&tar), amd(&erofs)],
        [tar.clone(), erofs.clone()],
        [amd(&tar), said.clone()],
    ] {
        let image = digest(&entries[1]);
        let nested = blobs.index(&entries);
        assert_eq!(blobs.find(&[nested], &ask), Ok(image));
    }
    for entries in [[amd(&erofs), amd(&said)], [erofs.clone(), said.clone()]] {
        let nested = blobs.index(&entries);
        let found = blobs.find(std::slice::from_ref(&nested), &ask);
        assert_eq!(several(found), (Several::SamePlatform, 2));
        let pinned = Wanted {
            digest: Some(digest(&said)),
            ..ask
        };
        assert_eq!(blobs.find(&[nested], &pinned), Ok(digest(&said)));
    }
    // One for another platform does not matter here: it is one image all the same.
    let (one, two) = (on(&erofs, "linux/arm64"), on(&tar, "linux/arm64"));
    let nested = blobs.index(&[one, said.clone(), two]);
    assert_eq!(blobs.find(&[nested], &ask), Ok(digest(&said)));
}

#[test]
fn unknown_features_are_told() {
    let mut blobs = Blobs::default();
    let host = host();
    let image = blobs.image("image", "linux(+erofs+later)/amd64");
    let stated = on(&image, "linux(+later)/amd64");
    let amd = Platform::parse("linux/amd64").unwrap();
    let later = Platform::parse("linux(+later)/amd64").unwrap();
    for entry in [&image, &stated] {
        let entries = std::slice::from_ref(entry);
        for platform in [None, Some(&amd)] {
            let ask = Wanted {
                platform,
                ..nothing(&host)
            };
            match blobs.find(entries, &ask) {
                Err(NotFound::Platform { needs, .. }) => assert_eq!(needs, ["later"]),
                other => panic!("{other:?}"),
            }
        }
        let ask = Wanted {
            platform: Some(&later),
            ..nothing(&host)
        };
        assert_eq!(blobs.find(entries, &ask), Ok(digest(&image)));
    }
}

#[test]
fn what_is_there_is_used() {
    let mut blobs = Blobs::default();
    let host = host();
    let arm_host = Platform::parse("linux/arm64").unwrap();
    let ask = nothing(&host);
    let amd = blobs.image("amd", "linux/amd64");
    let arm = blobs.image("arm", "linux/arm64");
    let riscv = blobs.image("riscv", "linux/riscv64");
    let entries = [
        on(&amd, "linux/amd64"),
        on(&arm, "linux/arm64"),
        on(&riscv, "linux/riscv64"),
    ];
    let nested = [blobs.index(&entries)];
    blobs.remove(&amd);
    // Asked for, or one of several that are there.
    let asked = Wanted {
        platform: Some(&host),
        ..ask
    };
    for (wanted, count) in [(&ask, 2), (&asked, 2)] {
        match blobs.find(&nested, wanted) {
            Err(NotFound::Absent {
                descriptor,
                platform,
                there,
            }) => {
                assert_eq!(descriptor.digest, digest(&amd));
                assert_eq!(platform.as_deref(), Some(&host));
                assert_eq!(there.len(), count);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(blobs.find(&nested, &nothing(&arm_host)), Ok(digest(&arm)));
    blobs.remove(&riscv);
    assert!(matches!(
        blobs.find(&nested, &ask),
        Err(NotFound::Absent { there, .. }) if there.len() == 1
    ));
    // Those of which nobody knows the platform are passed over where another fits.
    let bare = blobs.index(&[amd.clone(), arm.clone(), riscv]);
    let bare = std::slice::from_ref(&bare);
    assert_eq!(blobs.find(bare, &nothing(&arm_host)), Ok(digest(&arm)));
    // One of them is the one that is wanted.
    match blobs.find(bare, &asked) {
        Err(NotFound::Absent {
            descriptor,
            platform,
            there,
        }) => {
            assert_eq!(descriptor.digest, digest(&amd));
            assert_eq!(platform.as_deref(), Some(&host));
            assert_eq!(there.len(), 1);
        }
        other => panic!("{other:?}"),
    }
    let nowhere = Wanted { host: None, ..ask };
    let found = blobs.find(&nested, &nowhere);
    assert_eq!(several(found), (Several::Platforms, 3));
}

#[test]
fn a_digest_leads_to_its_image() {
    let mut blobs = Blobs::default();
    let host = host();
    let ask = nothing(&host);
    let amd = blobs.image("amd", "linux/amd64");
    let arm = blobs.image("arm", "linux/arm64");
    let deep = blobs.index(std::slice::from_ref(&arm));
    let nested = blobs.index(&[amd.clone(), deep.clone()]);
    let other = blobs.image("other", "linux/amd64");
    let entries = [named(&other, "a"), named(&nested, "b")];
    let arm_host = Platform::parse("linux/arm64").unwrap();
    for (pin, image, host) in [
        (&arm, &arm, &host),
        (&deep, &arm, &arm_host),
        (&nested, &arm, &arm_host),
        (&nested, &amd, &host),
        (&other, &other, &host),
    ] {
        let pinned = Wanted {
            digest: Some(digest(pin)),
            ..nothing(host)
        };
        assert_eq!(blobs.find(&entries, &pinned), Ok(digest(image)));
    }
    let absent = Wanted {
        digest: Some(Algorithm::Sha256.digest(b"")),
        ..ask
    };
    let error = blobs.find(&entries, &absent).unwrap_err().error();
    assert_eq!(error.code(), Code::BlobDigest);
    let error = blobs.find(&entries[..1], &absent).unwrap_err().error();
    assert_eq!(error.found_value(), Value::Digest(digest(&other)));
}

#[test]
fn no_more_is_read_than_may_be() {
    let mut blobs = Blobs::default();
    let host = host();
    let images: Vec<Json> = (0..40)
        .map(|number| blobs.image(&number.to_string(), "linux/amd64"))
        .collect();
    let mut limits = Limits::DEFAULT;
    limits.json_size = 8192;
    let text = index(&images[..30]).to_string();
    let index = Index::parse(text.as_bytes(), &limits).unwrap();
    let found = find(&index, &nothing(&host), &limits, &mut blobs);
    assert_eq!(
        several(found.map(|found| found.descriptor.digest)),
        (Several::SameName, 30)
    );
    // Four times 8 KiB, and 4 KiB at least for a document.
    assert_eq!(blobs.reads, 8);
    // What is longer than is said counts as what it is.
    for entry in &images {
        let long = std::vec![b' '; 32 << 10];
        blobs.blobs.insert(digest(entry), long);
    }
    blobs.reads = 0;
    assert!(find(&index, &nothing(&host), &limits, &mut blobs).is_err());
    assert_eq!(blobs.reads, 1);
    let images: Vec<Json> = (0..40)
        .map(|number| blobs.image(&number.to_string(), "linux/amd64"))
        .collect();
    // An index that lists the same ones over and over is read once.
    let mut entry = images[0].clone();
    for _ in 0..3 {
        entry = blobs.index(&[entry.clone(), entry.clone(), entry]);
    }
    blobs.reads = 0;
    assert_eq!(
        blobs.find(&[entry], &nothing(&host)),
        Ok(digest(&images[0]))
    );
    // Three indexes, the manifest and its config, and the manifest once more.
    assert_eq!(blobs.reads, 6);
}

/// The entry with a digest of an algorithm that is not known.
fn foreign(entry: &Json) -> Json {
    with(entry, "digest", "blake3:00".into())
}

/// How many entries were passed over for the manifest that was found.
fn passed(found: Result<Found, NotFound>) -> (Digest, usize) {
    let found = found.unwrap();
    (found.descriptor.digest, found.passed_over.len())
}

/// Where the entry is that cannot be used and is refused, and what could be taken else.
fn unusable(found: Result<Found, NotFound>) -> (Option<Digest>, Option<Digest>) {
    match found {
        Err(NotFound::Unusable(entry)) => {
            assert_eq!(entry.error.code(), Code::DigestAlgorithm);
            (entry.within, entry.other)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_used_is_passed_over_where_it_is_not_meant() {
    let mut blobs = Blobs::default();
    let host = host();
    let ask = nothing(&host);
    let amd = blobs.image("amd", "linux/amd64");
    let stated = on(&amd, "linux/amd64");
    let erofs = on(&amd, "linux(+erofs)/amd64");
    let arm = on(&foreign(&amd), "linux/arm64");
    let here = on(&foreign(&amd), "linux/amd64");
    let v1 = Wanted {
        reference: Some("v1"),
        ..ask
    };
    let attestation = json!({"vnd.docker.reference.type": "attestation-manifest"});
    for (entries, ask) in [
        // For another platform, of another name, of a platform that nobody knows.
        ([stated.clone(), arm.clone()], ask),
        ([named(&stated, "v1"), named(&here, "v2")], v1),
        ([amd.clone(), foreign(&amd)], ask),
        // It fits worse by what is stated.
        ([here.clone(), erofs], ask),
        // No image.
        (
            [stated.clone(), with(&here, "artifactType", "a/b".into())],
            ask,
        ),
        (
            [stated.clone(), with(&here, "annotations", attestation)],
            ask,
        ),
        (
            [stated.clone(), with(&here, "mediaType", "a/b".into())],
            ask,
        ),
    ] {
        let found = blobs.found(&entries, &ask);
        assert_eq!(passed(found), (digest(&amd), 1), "{entries:?}");
        let nested = blobs.index(&entries);
        if ask.reference.is_none() {
            let found = blobs.found(&[nested], &ask);
            assert_eq!(passed(found), (digest(&amd), 1), "{entries:?}");
        }
    }
    // Nothing beside what a digest names is told, nor counts.
    let pinned = Wanted {
        digest: Some(digest(&amd)),
        ..ask
    };
    let found = blobs.found(&[here.clone(), amd.clone()], &pinned);
    assert_eq!(passed(found), (digest(&amd), 0));
    let nested = blobs.index(std::slice::from_ref(&amd));
    let pinned = Wanted {
        digest: Some(digest(&nested)),
        ..ask
    };
    let found = blobs.found(&[here, nested], &pinned);
    assert_eq!(passed(found), (digest(&amd), 0));
    // Only artifacts are no image.
    let artifact = with(&foreign(&amd), "artifactType", "a/b".into());
    match blobs.found(&[artifact], &ask) {
        Err(NotFound::Nothing { artifacts }) => assert_eq!(artifacts, ["a/b"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_used_and_may_be_meant_is_refused() {
    let mut blobs = Blobs::default();
    let host = host();
    let ask = nothing(&host);
    let amd = blobs.image("amd", "linux/amd64");
    let mips = blobs.image("mips", "linux/mips64le");
    let bad = foreign(&amd);
    let here = on(&bad, "linux/amd64");
    let stated = on(&amd, "linux/amd64");
    let v1 = Wanted {
        reference: Some("v1"),
        ..ask
    };
    let v2 = Wanted {
        reference: Some("v2"),
        ..ask
    };
    let arm = Platform::parse("linux/arm64").unwrap();
    let asked = Wanted {
        platform: Some(&arm),
        ..ask
    };
    for (entries, ask, other) in [
        // No other is meant.
        ([bad.clone(), bad.clone()], ask, None),
        ([named(&amd, "v1"), named(&bad, "v2")], v2, None),
        ([amd.clone(), on(&bad, "linux/arm64")], asked, None),
        // It fits as well, or better.
        ([amd.clone(), here.clone()], ask, Some(&amd)),
        ([stated.clone(), here.clone()], ask, Some(&amd)),
        ([mips.clone(), here.clone()], ask, Some(&mips)),
        ([named(&stated, "v1"), named(&here, "v2")], ask, Some(&amd)),
        ([named(&stated, "v1"), named(&bad, "v1")], v1, Some(&amd)),
        ([named(&stated, "v1"), named(&bad, "v1")], ask, Some(&amd)),
    ] {
        let found = unusable(blobs.found(&entries, &ask));
        assert_eq!(found, (None, other.map(digest)), "{entries:?}");
    }
    // In an index below, or below an entry that leads to nothing else.
    let both = blobs.index(&[stated.clone(), here.clone()]);
    let alone = blobs.index(std::slice::from_ref(&here));
    for (entries, nested) in [
        (std::vec![both.clone()], &both),
        (std::vec![stated.clone(), alone.clone()], &alone),
    ] {
        let found = unusable(blobs.found(&entries, &ask));
        assert_eq!(found, (Some(digest(nested)), Some(digest(&amd))));
    }
    // Several that can be used are to choose from all the same.
    let other = blobs.image("other", "linux/amd64");
    let found = blobs.find(&[amd.clone(), other, here], &ask);
    assert_eq!(several(found), (Several::SameName, 2));
    // The digest of what cannot be used for another reason.
    let sizeless = with(&on(&amd, "linux/arm64"), "size", json!(-1));
    let pinned = Wanted {
        digest: Some(digest(&amd)),
        ..ask
    };
    match blobs.found(&[mips, sizeless], &pinned) {
        Err(NotFound::Unusable(entry)) => {
            assert_eq!(entry.error.code(), Code::DescriptorSize);
        }
        other => panic!("{other:?}"),
    }
}
