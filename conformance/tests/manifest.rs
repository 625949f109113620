//! The manifest is well kept: it is what its schema says, its names lead somewhere, its cases
//! tell apart what they say they do, and its files are what the generator makes.

#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this is a test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use boon::{Compiler, Schemas};
use erofs_unpack_conformance::coverage::{self, NOT_REACHED};
use erofs_unpack_conformance::generate;
use erofs_unpack_conformance::manifest::{Case, Expected, Operation, Policy};
use erofs_unpack_conformance::run::Vectors;
use erofs_unpack_core::Code;
use erofs_unpack_core::check::{RULES, Reason, Severity};
use erofs_unpack_core::oci;
use serde_json::Value as Json;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")
}

fn vectors() -> Vectors {
    Vectors::open(folder()).unwrap()
}

fn json(name: &str) -> Json {
    let text = std::fs::read(folder().join(name)).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn the_files_are_what_the_generator_makes() {
    let wrong = generate::check(&folder()).unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Says whether the schema takes a manifest.
fn is_valid(manifest: &Json) -> Result<(), String> {
    let mut schemas = Schemas::new();
    let mut compiler = Compiler::new();
    compiler
        .add_resource("schema.json", json("schema.json"))
        .unwrap();
    let schema = compiler.compile("schema.json", &mut schemas).unwrap();
    schemas
        .validate(manifest, schema)
        .map_err(|error| format!("{error:#}"))
}

#[test]
fn the_manifest_is_what_its_schema_says() {
    is_valid(&json("manifest.json")).unwrap();
}

#[test]
fn the_schema_refuses_what_is_not_so() {
    let good = json("manifest.json");
    is_valid(&good).unwrap();
    type Edit = fn(&mut Json);
    let edits: [(&str, Edit); 9] = [
        ("another version", |manifest| manifest["version"] = 2.into()),
        ("an unknown field", |manifest| manifest["x"] = 2.into()),
        ("no id", |manifest| {
            manifest["cases"][0].as_object_mut().unwrap().remove("id");
        }),
        ("an id without a group", |manifest| {
            manifest["cases"][0]["id"] = "alone".into();
        }),
        ("an unknown operation", |manifest| {
            manifest["cases"][0]["operation"] = "guess".into();
        }),
        ("the input of another operation", |manifest| {
            manifest["cases"][0]["operation"] = "select".into();
        }),
        ("neither valid nor invalid", |manifest| {
            manifest["cases"][0]["expected"]["result"] = "acceptable".into();
        }),
        ("nothing demands it", |manifest| {
            manifest["cases"][0]["demands"] = Json::Array(Vec::new());
        }),
        ("a digest of another length", |manifest| {
            manifest["bases"][0]["sha256"] = "00".into();
        }),
    ];
    for (what, edit) in edits {
        let mut manifest = good.clone();
        edit(&mut manifest);
        assert!(is_valid(&manifest).is_err(), "{what}");
    }
}

#[test]
fn every_name_leads_somewhere_and_none_is_there_for_nothing() {
    let manifest = vectors().manifest;
    let mut used: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut use_name = |list: &'static str, name| {
        used.entry(list).or_default().insert(name);
    };
    for case in &manifest.cases {
        use_name("groups", case.group());
        use_name("origins", case.origin.as_str());
        for flag in &case.flags {
            use_name("flags", flag.as_str());
        }
        for demand in &case.demands {
            use_name("sources", demand.source.as_str());
        }
    }
    let named: [(&str, BTreeSet<&str>); 4] = [
        (
            "groups",
            manifest.groups.keys().map(String::as_str).collect(),
        ),
        (
            "origins",
            manifest.origins.keys().map(String::as_str).collect(),
        ),
        ("flags", manifest.flags.keys().map(String::as_str).collect()),
        (
            "sources",
            manifest.sources.keys().map(String::as_str).collect(),
        ),
    ];
    for (list, names) in named {
        assert_eq!(used.get(list), Some(&names), "{list}");
    }
}

#[test]
fn every_refused_case_differs_from_a_valid_one() {
    let manifest = vectors().manifest;
    let by_id: BTreeMap<&str, _> = manifest
        .cases
        .iter()
        .map(|case| (case.id.as_str(), case))
        .collect();
    assert_eq!(by_id.len(), manifest.cases.len(), "ids are unique");
    for case in &manifest.cases {
        match (&case.expected, &case.differs_from) {
            (Expected::Invalid { .. }, Some(other)) => {
                let other = by_id
                    .get(other.as_str())
                    .unwrap_or_else(|| panic!("{}: {other} is not there", case.id));
                assert!(other.refusal().is_none(), "{}: {}", case.id, other.id);
            }
            // Golden files and streams of others stand by themselves.
            (Expected::Invalid { .. }, None) if matches!(case.origin.as_str(), "zlib" | "zstd") => {
            }
            (Expected::Invalid { .. }, None) => panic!("{}: differs from nothing", case.id),
            _ => {}
        }
    }
}

#[test]
fn every_error_is_reached() {
    let manifest = vectors().manifest;
    let reached: BTreeSet<&str> = coverage::reached(&manifest).into_keys().collect();
    let excused: BTreeSet<&str> = NOT_REACHED.iter().map(|(code, _)| code.id()).collect();
    let known: BTreeMap<&str, &Code> = Code::ALL.iter().map(|code| (code.id(), code)).collect();
    for id in &reached {
        assert!(known.contains_key(id), "{id} is no error's id");
    }
    let missing: Vec<&str> = known
        .keys()
        .copied()
        .filter(|id| !reached.contains(id) && !excused.contains(id))
        .collect();
    assert!(missing.is_empty(), "no case reaches {missing:?}");
    let needless: Vec<_> = excused.intersection(&reached).collect();
    assert!(needless.is_empty(), "reached after all: {needless:?}");
}

/// The ids of the rules that a case says are broken: errors, or warnings.
fn said<'a>(case: &'a Case, name: &str) -> BTreeSet<&'a str> {
    let (Expected::Valid { outputs } | Expected::Invalid { outputs, .. }) = &case.expected else {
        panic!("{}", case.id);
    };
    let ids = outputs.get(name).and_then(Json::as_array);
    ids.into_iter().flatten().filter_map(Json::as_str).collect()
}

#[test]
fn every_rule_is_broken_alone_under_each_policy_that_grades_it() {
    let manifest = vectors().manifest;
    let mut broken: BTreeSet<(&str, Policy, Severity)> = BTreeSet::new();
    for case in &manifest.cases {
        let Operation::Check(input) = &case.operation else {
            continue;
        };
        let (errors, warnings) = (said(case, "errors"), said(case, "warnings"));
        // The first error is all that there is.
        if let Some(error) = case.refusal().filter(|error| error.kind != "limit") {
            assert_eq!(errors, BTreeSet::from([error.id.as_str()]), "{}", case.id);
        }
        assert!(errors.len() + warnings.len() <= 1, "{}", case.id);
        let of = |severity| move |id| (id, input.policy, severity);
        broken.extend(errors.into_iter().map(of(Severity::Error)));
        broken.extend(warnings.into_iter().map(of(Severity::Warning)));
    }
    let reached_otherwise: BTreeSet<&str> = manifest
        .cases
        .iter()
        .filter_map(|case| Some(case.refusal()?.id.as_str()))
        .chain(NOT_REACHED.iter().map(|(code, _)| code.id()))
        .collect();
    for rule in RULES {
        let policies = [
            (Policy::Any, oci::Policy::Any),
            (Policy::Containerd, oci::Policy::Containerd),
            (Policy::Strict, oci::Policy::Strict),
        ];
        let grades = policies.map(|(policy, core)| (policy, rule.severity(core)));
        if grades
            .iter()
            .all(|(_, grade)| *grade == Some(Severity::Error))
        {
            let checked = broken.contains(&(rule.id(), Policy::Containerd, Severity::Error));
            assert!(
                checked || reached_otherwise.contains(rule.id()),
                "{}",
                rule.id()
            );
            continue;
        }
        for (policy, grade) in grades {
            let Some(severity) = grade else { continue };
            assert!(
                broken.contains(&(rule.id(), policy, severity)),
                "{}, {policy:?}: no case",
                rule.id()
            );
        }
    }
}

/// Rules whose reason is the kernel, though no case has been refused by it or by `fsck.erofs`.
const NOT_ASKED: [(Code, &str); 11] = [
    (Code::ContentEmpty, NO_MAGIC),
    (Code::ContentTar, NO_MAGIC),
    (Code::ContentZeros, NO_MAGIC),
    (Code::ContentForeign, NO_MAGIC),
    (Code::ContentCompressed, NO_MAGIC),
    (
        Code::InodeTruncated,
        "needs a caller with a record in parts; in an image it is inode-offset",
    ),
    (Code::ChunkDevice, DEVICES),
    (
        Code::InodeInternal,
        "Linux 6.18 takes these, and crashes where the metabox inode is a socket",
    ),
    (
        Code::MapIndex,
        "the last line of defence: no reader asks for what is beyond the content",
    ),
    (
        Code::CompressionUnavailable,
        "only in builds without a decoder for LZMA",
    ),
    (
        Code::KernelVersion,
        "the kernel that was asked reads what another would not",
    ),
];
/// What these images lack is what the kernel asks for: the case of superblock-magic.
const NO_MAGIC: &str = "has no magic, which only unpack tells apart";
/// Devices are not given to the kernel and `fsck.erofs`.
const DEVICES: &str = "its image has devices";

#[test]
fn what_the_kernel_is_the_reason_for_is_refused_by_it() {
    let manifest = vectors().manifest;
    let refused: BTreeSet<&str> = manifest
        .cases
        .iter()
        .filter(|case| case.has_flag("kernel-rejects") || case.has_flag("fsck-rejects"))
        .filter_map(|case| Some(case.refusal()?.id.as_str()))
        .collect();
    let mut unasked: BTreeSet<&str> = NOT_ASKED.iter().map(|(code, _)| code.id()).collect();
    for rule in RULES.iter().filter(|rule| rule.reason == Reason::Kernel) {
        let excused = unasked.remove(rule.id());
        assert_ne!(refused.contains(rule.id()), excused, "{}", rule.id());
    }
    assert!(unasked.is_empty(), "no such rules: {unasked:?}");
}
