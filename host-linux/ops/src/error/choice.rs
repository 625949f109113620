//! What is not clear of which image is meant, and what there is to choose from.

use erofs_unpack_core::Code;
use erofs_unpack_core::oci::Choice;

use crate::escape::Escaped;

/// The most lines that a list has on a terminal, but for the one that says how many more.
const LINES: usize = 20;

/// The most that is listed in one line.
const INLINE: usize = 4;

/// Why it is not clear which image is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChoiceFault {
    /// There are several, of different names.
    Names,
    /// The name that was asked for is that of several, which have different full names.
    FullNames(String),
    /// There are several without a name, or of the same one.
    SameName,
    /// The name that was asked for is on several manifests.
    NameTwice(String),
    /// Several are for the platform.
    SamePlatform(String),
    /// There are several, for different platforms, and nobody knows on what this runs.
    Platforms,
    /// None has the name that was asked for.
    NoSuchName(String),
}

impl ChoiceFault {
    /// The stable id, as `--json` uses it.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::NoSuchName(_) => "usage",
            _ => Code::ImageAmbiguous.id(),
        }
    }

    /// What is not clear and what to do, as a clause that the choices can follow.
    fn clause(&self, choices: &[Choice], count: usize) -> String {
        let all_named = choices.iter().all(|choice| !choice.names.is_empty());
        let text = match self {
            Self::Names if all_named => "holds several images: choose one with --ref".to_owned(),
            Self::Names => "holds several images: choose one with --ref or --digest".to_owned(),
            Self::FullNames(asked) => format!(
                "{asked} is the name of {count} images: choose one with --ref and its full name, \
                 or with --digest"
            ),
            Self::SameName => "holds several images without a name, or of the same one: choose \
                               one with --digest"
                .to_owned(),
            Self::NameTwice(asked) => {
                format!("the name {asked} is on {count} manifests: choose one with --digest")
            }
            Self::SamePlatform(platform) => {
                format!("holds {count} images for {platform}: choose one with --digest")
            }
            Self::Platforms => "is for several platforms: choose one with --platform".to_owned(),
            Self::NoSuchName(asked) if count == 0 => {
                format!("holds no image named {asked}, and none of any name")
            }
            Self::NoSuchName(asked) => format!("holds no image named {asked}: there are"),
        };
        Escaped::text(&text).to_string()
    }

    /// What tells a choice from the others, as far as one word does.
    fn word(&self, choice: &Choice) -> String {
        let name = choice.names.first();
        let platforms = || {
            let platforms = choice.platforms.iter().map(|it| it.full().to_string());
            platforms.collect::<Vec<_>>().join(", ")
        };
        let word = match self {
            Self::Names | Self::FullNames(_) | Self::NoSuchName(_) => name.cloned(),
            Self::Platforms => Some(platforms()).filter(|platforms| !platforms.is_empty()),
            _ => None,
        };
        let word = word.unwrap_or_else(|| choice.digest.to_string());
        Escaped::text(&word).to_string()
    }

    /// All in one line.
    pub(super) fn line(&self, choices: &[Choice], count: usize) -> String {
        let mut words: Vec<String> = choices
            .iter()
            .take(INLINE)
            .map(|choice| self.word(choice))
            .collect();
        let clause = self.clause(choices, count);
        match count.saturating_sub(words.len()) {
            0 => {}
            more => words.push(format!("and {more} more")),
        }
        if words.is_empty() {
            clause
        } else {
            format!("{clause}: {}", words.join(", "))
        }
    }

    /// With a line for each choice. Where they are few, and each has one name of its own or is
    /// for a platform of its own, one line in all is enough.
    pub(super) fn told(&self, choices: &[Choice], count: usize) -> String {
        let is_plain = match self {
            Self::NoSuchName(_) | Self::Platforms => true,
            Self::Names => choices.iter().all(|choice| choice.names.len() == 1),
            _ => false,
        };
        if is_plain && count <= INLINE {
            return self.line(choices, count);
        }
        let mut text = self.clause(choices, count);
        text.push(':');
        let mut lines: Vec<String> = choices.iter().take(LINES).map(line).collect();
        match count.saturating_sub(lines.len()) {
            0 => {}
            more => lines.push(format!("and {more} more")),
        }
        for line in lines {
            text.push_str("\n  ");
            text.push_str(&line);
        }
        text
    }
}

/// A line about one choice: its names, platforms and digest.
fn line(choice: &Choice) -> String {
    let mut platforms: Vec<String> = Vec::new();
    for platform in &choice.platforms {
        let platform = platform.full().to_string();
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    if platforms.len() > INLINE {
        let more = platforms.len().saturating_sub(INLINE);
        platforms.truncate(INLINE);
        platforms.push(format!("and {more} more"));
    }
    let names = match choice.names.as_slice() {
        [] => "(no name)".to_owned(),
        names => names.join(", "),
    };
    let mut columns = vec![names, platforms.join(", "), choice.digest.to_string()];
    if !choice.there {
        columns.push("(not in the layout)".to_owned());
    }
    columns.retain(|column| !column.is_empty());
    Escaped::text(&columns.join("  ")).to_string()
}
