//! What a run found: counts for each image, and every mutant that did not come out right.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::breach::Breach;
use super::judge::Judgement;
use super::mutant::Mutant;
use super::pool::Answers;

/// Counts of an image's mutants.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// The image.
    pub image: String,
    /// How it was made.
    pub made: String,
    /// Its size in bytes.
    pub size: usize,
    /// How many mutants were asked about.
    pub mutants: u32,
    /// Refused by us.
    pub refused: u32,
    /// Refused by the kernel, at the mount or when it was read.
    pub kernel_refused: u32,
    /// Refused by the kernel because it was built without a feature.
    pub kernel_unsupported: u32,
    /// What the kernel was not asked about, since it would crash.
    pub spared: u32,
    /// Rejected by `fsck.erofs`.
    pub fsck_rejected: u32,
    /// Refused by the kernel, and found good by `fsck.erofs`.
    pub fsck_missed: u32,
    /// `fsck.erofs` crashed.
    pub fsck_crashed: u32,
    /// `fsck.erofs` took too long.
    pub fsck_timed_out: u32,
    /// Passed by us, and read to the tree of the original.
    pub passed_same: u32,
    /// Passed by us, and read to another tree by us and the kernel alike.
    pub passed_other: u32,
    /// Refused by us alone.
    pub refused_alone: u32,
    /// Not read for a reason that is no fault of the image: see the quirks.
    pub quirks: u32,
    /// Requirements that are not met.
    pub breaches: u32,
}

/// A mutant that did not come out right.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    /// The image.
    pub image: String,
    /// What was flipped.
    pub mutant: Mutant,
    /// What was not met; none for one that a quirk excuses.
    pub breach: Option<Breach>,
    /// The quirk.
    pub quirk: Option<&'static str>,
    /// The answers.
    pub answers: Answers,
}

/// What a run found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Seconds since 1970 when it started.
    pub started: u64,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// The release of the kernel.
    pub kernel: String,
    /// The version of `fsck.erofs`.
    pub fsck: String,
    /// The version of this program.
    pub version: String,
    /// A row for each image.
    pub images: Vec<Counts>,
    /// Mutants that did not come out right, and those that a quirk excuses.
    pub cases: Vec<Case>,
    /// Mutants that we alone refuse, by the rule.
    pub refused_alone: BTreeMap<String, u32>,
    /// Why the run ended early.
    pub stopped: Option<String>,
}

impl Counts {
    /// Adds a mutant.
    pub fn add(&mut self, judgement: &Judgement) {
        let counted = [
            (&mut self.mutants, true),
            (&mut self.refused, !judgement.passed),
            (
                &mut self.kernel_refused,
                !judgement.kernel && !judgement.unsupported && !judgement.spared,
            ),
            (&mut self.spared, judgement.spared),
            (&mut self.kernel_unsupported, judgement.unsupported),
            (
                &mut self.fsck_rejected,
                !judgement.fsck && !judgement.crashed && !judgement.timed_out,
            ),
            (
                &mut self.fsck_missed,
                !judgement.kernel && !judgement.unsupported && !judgement.spared && judgement.fsck,
            ),
            (&mut self.fsck_crashed, judgement.crashed),
            (&mut self.fsck_timed_out, judgement.timed_out),
            (
                &mut self.passed_same,
                judgement.passed && judgement.same_tree,
            ),
            (
                &mut self.passed_other,
                judgement.passed && judgement.kernel && !judgement.same_tree,
            ),
            (
                &mut self.refused_alone,
                !judgement.passed && judgement.kernel && judgement.fsck,
            ),
            (&mut self.quirks, judgement.quirk.is_some()),
            (&mut self.breaches, judgement.breach.is_some()),
        ];
        for (count, counts) in counted {
            *count += u32::from(counts);
        }
    }

    fn numbers(&self) -> [u32; 14] {
        [
            self.mutants,
            self.kernel_refused,
            self.kernel_unsupported,
            self.spared,
            self.fsck_rejected,
            self.fsck_missed,
            self.fsck_crashed,
            self.fsck_timed_out,
            self.refused,
            self.refused_alone,
            self.passed_same,
            self.passed_other,
            self.quirks,
            self.breaches,
        ]
    }
}

/// The heads of the table's columns of numbers.
const COLUMNS: [&str; 14] = [
    "mutants",
    "kernel refuses",
    "kernel lacks feature",
    "kernel not asked",
    "fsck rejects",
    "fsck misses",
    "fsck crashes",
    "fsck too slow",
    "we refuse",
    "we alone",
    "pass, same tree",
    "pass, other tree",
    "explained",
    "breaches",
];

impl Report {
    /// How many requirements are not met.
    #[must_use]
    pub fn breaches(&self) -> u32 {
        self.images.iter().map(|counts| counts.breaches).sum()
    }

    /// The table, in Markdown.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = format!("| image | {} |\n|---|", COLUMNS.join(" | "));
        table.push_str(&"--:|".repeat(COLUMNS.len()));
        table.push('\n');
        let mut all = [0; 14];
        for counts in &self.images {
            let numbers = counts.numbers();
            for (sum, number) in all.iter_mut().zip(numbers) {
                *sum += number;
            }
            row(&mut table, &counts.image, numbers);
        }
        row(&mut table, "all", all);
        table
    }

    /// How many cases are alike: by requirement or quirk, and by what was said.
    #[must_use]
    pub fn classes(&self) -> BTreeMap<String, (u32, String)> {
        let mut classes = BTreeMap::new();
        for case in &self.cases {
            let answers = &case.answers;
            let kernel = answers
                .kernel
                .as_ref()
                .and_then(|kernel| kernel.refused.clone());
            let fsck = answers.fsck.as_ref().and_then(|fsck| fsck.rejected.clone());
            let unread = answers.ours.as_ref().and_then(|ours| ours.unread.clone());
            let what = match (case.quirk, case.breach) {
                (Some(quirk), _) => format!("quirk {quirk}"),
                (None, Some(breach)) => format!("{breach:?}"),
                (None, None) => continue,
            };
            let said = [
                answers.missing.clone(),
                unread,
                kernel,
                fsck.map(|line| words(&line)),
            ];
            let said: Vec<String> = said.into_iter().flatten().collect();
            let key = format!("{what}: {}", said.join("; "));
            let Mutant { offset, bit } = case.mutant;
            let first = format!("{}:{offset}:{bit}", case.image);
            classes.entry(key).or_insert((0, first)).0 += 1;
        }
        classes
    }
}

fn row(table: &mut String, name: &str, numbers: [u32; 14]) {
    let _ = write!(table, "| {name} |");
    for number in numbers {
        let _ = write!(table, " {number} |");
    }
    table.push('\n');
}

/// A message without its numbers, so that messages of one kind are alike.
fn words(line: &str) -> String {
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        let number = word.chars().any(|c| c.is_ascii_digit());
        words.push(if number { "#" } else { word });
    }
    words.join(" ")
}
