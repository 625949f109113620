//! What was done, as JSON: the fields of the Linux program's report that there are here.

use erofs_unpack_core::check::Rule;
use erofs_unpack_core::erofs::Superblock;
use erofs_unpack_core::{At, Value};
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::error::{HostError, shown};
use crate::escape::Escaped;
use crate::examine::{Breach, Examined, Place};

/// Version of the schema, the Linux program's.
pub(crate) const VERSION: u32 = 1;

/// The name of an exit code in the report.
pub(crate) const fn outcome_name(code: u8) -> &'static str {
    match code {
        0 => "done",
        1 => "refused",
        _ => "failed",
    }
}

/// An error.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorReport {
    id: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
}

impl ErrorReport {
    pub(crate) fn of(error: &HostError) -> Self {
        let said = |value: Value| (value != Value::None).then(|| value.to_string());
        let refusal = error.refusal();
        Self {
            id: error.id(),
            kind: refusal.map(|error| error.kind().id()),
            message: error.to_string(),
            place: error.place().map(shown),
            at: refusal.and_then(|error| at(error.at())),
            found: refusal.and_then(|error| said(error.found_value())),
            expected: refusal.and_then(|error| said(error.expected_value())),
        }
    }
}

fn at(at: At) -> Option<Json> {
    Some(match at {
        At::Blob(offset) => json!(["blob", offset]),
        At::Image(offset) => json!(["image", offset]),
        At::Text(offset) => json!(["text", offset]),
        At::Json(offset) => json!(["json", offset]),
        At::Nid(nid) => json!(["nid", nid]),
        At::Layer(number) => json!(["layer", number]),
        At::File(nid, offset) => json!(["file", nid, offset]),
        _ => return None,
    })
}

/// What a check saw and found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FoundReport {
    inodes: u64,
    directories: u64,
    errors: u64,
    warnings: u64,
    decoded: u64,
    memory: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Json>,
}

impl FoundReport {
    pub(crate) fn of(examined: &Examined) -> Self {
        let summary = &examined.summary;
        let breaches = examined.breaches.iter();
        Self {
            inodes: summary.inodes,
            directories: summary.directories,
            errors: summary.errors,
            warnings: summary.warnings,
            decoded: summary.decoded,
            memory: summary.memory,
            findings: breaches.map(|breach| finding(breach, examined)).collect(),
        }
    }
}

fn finding(breach: &Breach, examined: &Examined) -> Json {
    let rule = Rule::of(breach.first.error.code());
    let place = |place: &Place| {
        let error = HostError::refused(place.place_in(&examined.place), place.error);
        let mut report = json!(ErrorReport::of(&error));
        if let (Some(path), Json::Object(report)) = (&place.path, &mut report) {
            report.insert("path".into(), json!(format!("/{}", Escaped::name(path))));
        }
        report
    };
    let mut report = json!({
        "rule": breach.first.error.id(),
        "severity": breach.severity.name(),
        "count": breach.count,
        "places": breach.places().map(place).collect::<Vec<_>>(),
    });
    if let (Some(rule), Json::Object(report)) = (rule, &mut report) {
        report.insert("demand".into(), json!(rule.demand));
        report.insert("reason".into(), json!(rule.reason.name()));
    }
    report
}

/// A superblock, as far as it matters to who unpacks.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SuperblockReport {
    pub(crate) block_size: u64,
    pub(crate) blocks: u64,
    pub(crate) inodes: u64,
    pub(crate) root_nid: u64,
    pub(crate) compatible_features: Vec<&'static str>,
    pub(crate) incompatible_features: Vec<&'static str>,
    pub(crate) algorithms: Vec<&'static str>,
    pub(crate) extra_devices: u16,
}

impl SuperblockReport {
    pub(crate) fn of(superblock: &Superblock) -> Self {
        Self {
            block_size: superblock.block_size(),
            blocks: superblock.blocks,
            inodes: superblock.inodes,
            root_nid: superblock.root_nid,
            compatible_features: superblock.compat.names().collect(),
            incompatible_features: superblock.incompat.names().collect(),
            algorithms: superblock.algorithms().collect(),
            extra_devices: superblock.device_table().map_or(0, |(_, slots)| slots),
        }
    }
}
