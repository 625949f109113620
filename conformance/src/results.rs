//! What came of a run, for people and for programs: lines, JSON, JUnit, and a page in Markdown
//! that shows all back ends side by side.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use erofs_unpack_core::check::{RULES, Reason};
use serde_json::{Value as Json, json};

use crate::manifest::{Case, Manifest};
use crate::run::Outcome;
use crate::suite::Column;

/// The outcomes of one back end.
#[derive(Debug)]
pub struct Results<'a> {
    /// The back end.
    pub column: &'a Column,
    /// What came of each case, in their order.
    pub outcomes: Vec<Outcome>,
}

/// How many cases ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// As they must.
    pub passed: usize,
    /// With another verdict.
    pub disagreed: usize,
    /// Without an answer, or with another one of the same verdict.
    pub failed: usize,
    /// They are not for this back end.
    pub unsupported: usize,
}

impl Counts {
    /// Of these outcomes.
    pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes {
            match outcome {
                Outcome::Passed => counts.passed += 1,
                Outcome::Disagreed(_) => counts.disagreed += 1,
                Outcome::Failed(_) => counts.failed += 1,
                Outcome::Skipped(_) => counts.unsupported += 1,
            }
        }
        counts
    }

    /// Whether every case that is for the back end ended as it must.
    #[must_use]
    pub const fn is_good(self) -> bool {
        self.disagreed == 0 && self.failed == 0
    }
}

/// The name of an outcome, and its text.
const fn words(outcome: &Outcome) -> (&'static str, &str) {
    match outcome {
        Outcome::Passed => ("pass", ""),
        Outcome::Disagreed(text) => ("disagree", text.as_str()),
        Outcome::Failed(text) => ("fail", text.as_str()),
        Outcome::Skipped(text) => ("unsupported", text.as_str()),
    }
}

/// A line for each case that did not end as it must, with the command that repeats it; then a
/// table of the numbers, by group and back end.
#[must_use]
pub fn table(cases: &[&Case], results: &[Results<'_>], folder: &Path) -> String {
    let mut text = String::new();
    for result in results {
        let name = result.column.name();
        for (case, outcome) in cases.iter().zip(&result.outcomes) {
            let (word, why) = words(outcome);
            if matches!(outcome, Outcome::Failed(_) | Outcome::Disagreed(_)) {
                let again = result.column.repeat(case, folder);
                let _ = writeln!(text, "{name}: {word}: {}: {why}\n    {again}", case.id);
            }
        }
    }
    let mut reasons: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for result in results {
        for outcome in &result.outcomes {
            if let Outcome::Skipped(reason) = outcome {
                *reasons.entry((result.column.name(), reason)).or_default() += 1;
            }
        }
    }
    for ((name, reason), count) in reasons {
        let _ = writeln!(text, "{name}: {count} unsupported: {reason}");
    }
    let _ = writeln!(
        text,
        "{:24} {:>7} {:>9} {:>7} {:>11}",
        "", "pass", "disagree", "fail", "unsupported"
    );
    for result in results {
        let counts = Counts::of(&result.outcomes);
        let _ = writeln!(
            text,
            "{:24} {:>7} {:>9} {:>7} {:>11}",
            result.column.name(),
            counts.passed,
            counts.disagreed,
            counts.failed,
            counts.unsupported
        );
    }
    text
}

/// The same as one JSON document.
#[must_use]
pub fn to_json(cases: &[&Case], results: &[Results<'_>], folder: &Path) -> Json {
    let backends: Vec<Json> = results
        .iter()
        .map(|result| {
            let counts = Counts::of(&result.outcomes);
            let cases: Vec<Json> = cases
                .iter()
                .zip(&result.outcomes)
                .map(|(case, outcome)| {
                    let (word, why) = words(outcome);
                    let mut entry = json!({"id": case.id, "outcome": word});
                    if !why.is_empty() {
                        entry["message"] = why.into();
                    }
                    if matches!(outcome, Outcome::Failed(_) | Outcome::Disagreed(_)) {
                        entry["command"] = result.column.repeat(case, folder).into();
                    }
                    entry
                })
                .collect();
            json!({
                "name": result.column.name(),
                "version": result.column.version(),
                "passed": counts.passed,
                "disagreed": counts.disagreed,
                "failed": counts.failed,
                "unsupported": counts.unsupported,
                "cases": cases,
            })
        })
        .collect();
    json!({"version": 1, "backends": backends})
}

/// The same as JUnit reads it: a suite for each back end.
#[must_use]
pub fn to_junit(cases: &[&Case], results: &[Results<'_>], folder: &Path) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for result in results {
        let counts = Counts::of(&result.outcomes);
        let _ = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">",
            xml(&result.column.name()),
            result.outcomes.len(),
            counts.disagreed + counts.failed,
            counts.unsupported
        );
        for (case, outcome) in cases.iter().zip(&result.outcomes) {
            let (word, why) = words(outcome);
            let open = format!(
                "    <testcase classname=\"{}\" name=\"{}\"",
                xml(case.group()),
                xml(&case.id)
            );
            let _ = match outcome {
                Outcome::Passed => writeln!(text, "{open}/>"),
                Outcome::Skipped(_) => {
                    writeln!(
                        text,
                        "{open}><skipped message=\"{}\"/></testcase>",
                        xml(why)
                    )
                }
                Outcome::Failed(_) | Outcome::Disagreed(_) => writeln!(
                    text,
                    "{open}><failure type=\"{word}\" message=\"{}\">{}</failure></testcase>",
                    xml(why),
                    xml(&result.column.repeat(case, folder))
                ),
            };
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

/// Text in an attribute or an element. XML has no way to write most control characters.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A page that shows all back ends side by side, and each case on which one of them differs with
/// a line of explanation.
#[must_use]
pub fn to_markdown(
    manifest: &Manifest,
    cases: &[&Case],
    results: &[Results<'_>],
    date: &str,
) -> String {
    let mut page = format!(
        "# What readers say of the vectors\n\n\
         Written by `erofs-unpack-conformance run --results FILE` on {date}. The numbers are cases.\n\n"
    );
    page.push_str("| back end | version | pass | disagree | fail | unsupported |\n");
    page.push_str("|---|---|---:|---:|---:|---:|\n");
    for result in results {
        let counts = Counts::of(&result.outcomes);
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} |",
            result.column.name(),
            result.column.version(),
            counts.passed,
            counts.disagreed,
            counts.failed,
            counts.unsupported
        );
    }
    page.push_str(
        "\nDisagree: the verdict, valid or not, is the other one. Fail: no answer (a crash, too much \
         time), or\nthe right verdict with another error or other bytes. Unsupported: the program has \
         no such operation, or\ncannot be told what the case states.\n\n## By group\n\nHow many of \
         the cases that are for a back end pass.\n\n| group |",
    );
    for result in results {
        let _ = write!(page, " {} |", result.column.name());
    }
    page.push_str("\n|---|");
    page.push_str(&"---:|".repeat(results.len()));
    page.push('\n');
    for group in manifest.groups.keys() {
        let _ = write!(page, "| {group} |");
        for result in results {
            let of_group = cases
                .iter()
                .zip(&result.outcomes)
                .filter(|(case, _)| case.group() == group)
                .map(|(_, outcome)| outcome);
            let counts = Counts::of(of_group);
            let asked = counts.passed + counts.disagreed + counts.failed;
            let _ = match asked {
                0 => write!(page, " |"),
                _ => write!(page, " {} of {asked} |", counts.passed),
            };
        }
        page.push('\n');
    }
    differences(&mut page, cases, results);
    page
}

fn differences(page: &mut String, cases: &[&Case], results: &[Results<'_>]) {
    page.push_str("\n## Where they differ\n\n| case | must be |");
    for result in results {
        let _ = write!(page, " {} |", result.column.name());
    }
    page.push_str(" why |\n|---|---|");
    page.push_str(&"---|".repeat(results.len()));
    page.push_str("---|\n");
    for (index, case) in cases.iter().enumerate() {
        let said: Vec<&Outcome> = results
            .iter()
            .filter_map(|result| result.outcomes.get(index))
            .collect();
        let differs =
            |outcome: &&Outcome| matches!(outcome, Outcome::Disagreed(_) | Outcome::Failed(_));
        if !said.iter().any(differs) {
            continue;
        }
        let must = case
            .refusal()
            .map_or("valid".into(), |error| format!("`{}`", error.id));
        let _ = write!(page, "| `{}` | {must} |", case.id);
        for outcome in &said {
            let word = match (outcome, case.refusal()) {
                (Outcome::Disagreed(_), Some(_)) => "takes it",
                (Outcome::Disagreed(_), None) => "refuses it",
                (Outcome::Passed, Some(_)) => "refuses it",
                (Outcome::Passed, None) => "takes it",
                (Outcome::Failed(_), _) => "**fails**",
                (Outcome::Skipped(_), _) => "",
            };
            let _ = write!(page, " {word} |");
        }
        let _ = writeln!(page, " {} |", why(case).replace('|', "\\|"));
    }
}

/// Why readers may differ on a case.
fn why(case: &Case) -> String {
    let reason = case
        .refusal()
        .and_then(|error| RULES.iter().find(|rule| rule.id() == error.id))
        .map(|rule| match rule.reason {
            Reason::Kernel => "the kernel or `fsck.erofs` refuses it",
            Reason::Ambiguity => "two readers could see two trees",
            Reason::Work => "it bounds the work of a reader",
            Reason::Policy => "no business of a container layer",
            Reason::Unused => "nobody reads it today",
        });
    match reason {
        Some(reason) => format!("{} ({reason})", case.description),
        None => case.description.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(id: &str) -> Case {
        serde_json::from_value(json!({
            "id": id, "description": "A <thing>.", "origin": "", "demands": [],
            "operation": "digest", "input": {"text": ""}, "expected": {"result": "valid"},
        }))
        .unwrap()
    }

    #[test]
    fn every_outcome_is_told_in_every_form() {
        let cases = ["g/a", "g/b", "g/c", "g/d"].map(case);
        let cases: Vec<&Case> = cases.iter().collect();
        let results = [Results {
            column: &Column::Native,
            outcomes: vec![
                Outcome::Passed,
                Outcome::Failed("a \"b\" <c>\n".into()),
                Outcome::Disagreed("other".into()),
                Outcome::Skipped("no way".into()),
            ],
        }];
        let folder = Path::new("vectors");
        let text = table(&cases, &results, folder);
        assert!(text.contains("native: fail: g/b: a \"b\""), "{text}");
        assert!(text.contains("run --backend native --id g/c vectors"));
        assert!(text.contains("native: 1 unsupported: no way"));
        let json = to_json(&cases, &results, folder);
        assert_eq!(json["backends"][0]["disagreed"], 1);
        assert_eq!(json["backends"][0]["cases"][3]["outcome"], "unsupported");
        let junit = to_junit(&cases, &results, folder);
        assert!(junit.contains("tests=\"4\" failures=\"2\" skipped=\"1\""));
        assert!(
            junit.contains("message=\"a &quot;b&quot; &lt;c&gt; \""),
            "{junit}"
        );
        assert!(!Counts::of(&results[0].outcomes).is_good());
    }
}
