//! Platforms: what an image is for, and which of several fits best.
//!
//! The fields are those of the OCI image specification 1.1, `image-index.md`. Names are
//! normalised, and variants compared, as containerd does (github.com/containerd/platforms:
//! `normalizeArch`, `normalizeOS`, `Only`).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::MapAccess;

use super::json::{Fields, List, Members, OrNull, Text, missing, owned};
use crate::{At, Code, Error, Value};

/// The feature of the operating system that says "can mount EROFS layers" (draft, 5.4).
pub const FEATURE_EROFS: &str = "erofs";

/// The platform that an image is for, or that one is wanted for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Platform {
    /// The operating system, a `GOOS` value.
    pub os: String,
    /// The CPU architecture, a `GOARCH` value.
    pub architecture: String,
    /// The variant of the architecture; empty when there is none.
    pub variant: String,
    /// The version of the operating system; empty when not stated. It is not compared: only
    /// Windows has images that depend on it.
    pub os_version: String,
    /// Features of the operating system that an image needs, or that are there.
    pub os_features: Vec<String>,
    /// Reserved by the specification; not compared.
    pub features: Vec<String>,
}

impl Platform {
    /// Reads `os[(+feature…)]/architecture[/variant]` and normalises it.
    ///
    /// The features of the operating system stand as containerd prints them: each after a `+`,
    /// what cannot stand there itself as `%` and two hex digits. A version of the operating
    /// system, which containerd puts before them, is refused: it is not compared.
    ///
    /// # Errors
    ///
    /// [`Code::PlatformSyntax`] with the position; a part consists of ASCII letters, digits,
    /// `_`, `.` and `-`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut parts = ["", "", ""];
        let mut os_features = Vec::new();
        let mut start = 0_usize;
        let mut given = 0_usize;
        for part in text.split('/') {
            let Some(place) = parts.get_mut(given) else {
                return Err(syntax(start.saturating_sub(1)).found(Value::Byte(b'/')));
            };
            let name = match part.split_once("(+") {
                Some((os, features)) if given == 0 => {
                    os_features = parse_features(features, os.len().saturating_add(2))?;
                    os
                }
                _ => part,
            };
            let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            if let Some(bad) = name.bytes().position(|byte| !good(byte)) {
                let found = name.as_bytes().get(bad).copied().unwrap_or_default();
                return Err(syntax(start.saturating_add(bad)).found(Value::Byte(found)));
            }
            if name.is_empty() {
                return Err(syntax(start));
            }
            *place = name;
            given = given.saturating_add(1);
            start = start.saturating_add(part.len()).saturating_add(1);
        }
        let [os, architecture, variant] = parts;
        if given < 2 {
            return Err(syntax(text.len()));
        }
        Ok(Self {
            os: owned(os)?,
            architecture: owned(architecture)?,
            variant: owned(variant)?,
            os_features,
            ..Self::default()
        }
        .normalized())
    }

    /// The same platform with the names that Go uses: `x86_64` is `amd64`, `aarch64` is
    /// `arm64`, `armhf` is `arm/v7`, `macos` is `darwin`; the variants that all have (`v1` of
    /// amd64, `v8` of arm64) are left out, and `arm` without a variant is `arm/v7`.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        self.os.make_ascii_lowercase();
        self.architecture.make_ascii_lowercase();
        self.variant.make_ascii_lowercase();
        if self.os == "macos" {
            replace(&mut self.os, "darwin");
        }
        let variant = match (self.architecture.as_str(), self.variant.as_str()) {
            ("i386", _) => Some(("386", "")),
            ("x86_64" | "x86-64" | "amd64", "v1") => Some(("amd64", "")),
            ("aarch64" | "arm64", "8" | "v8") => Some(("arm64", "")),
            ("armhf", _) | ("arm", "" | "7") => Some(("arm", "v7")),
            ("armel", _) | ("arm", "6") => Some(("arm", "v6")),
            ("arm", "5") => Some(("arm", "v5")),
            ("arm", "8") => Some(("arm", "v8")),
            ("x86_64" | "x86-64", _) => {
                replace(&mut self.architecture, "amd64");
                None
            }
            ("aarch64", _) => {
                replace(&mut self.architecture, "arm64");
                None
            }
            _ => None,
        };
        if let Some((architecture, variant)) = variant {
            replace(&mut self.architecture, architecture);
            replace(&mut self.variant, variant);
        }
        self
    }

    /// Whether [`FEATURE_EROFS`] is among the features of the operating system.
    #[must_use]
    pub fn has_erofs(&self) -> bool {
        self.os_features.iter().any(|name| name == FEATURE_EROFS)
    }

    /// The platform with the version and the features of the operating system, in the form of
    /// containerd's commands: `linux(+erofs)/amd64`. Features are sorted.
    #[must_use]
    pub const fn full(&self) -> FullPlatform<'_> {
        FullPlatform(self)
    }

    /// The features of `offered`, which an image needs, that this platform has not: those other
    /// than [`FEATURE_EROFS`] that are not among its own.
    pub fn lacks<'a>(&'a self, offered: &'a Self) -> impl Iterator<Item = &'a str> {
        let names = offered.os_features.iter().map(String::as_str);
        names.filter(|name| {
            *name != FEATURE_EROFS && !self.os_features.iter().any(|there| there == name)
        })
    }

    /// How well an image for `offered` fits a machine of this platform; the lowest rank fits
    /// best, none does not fit.
    ///
    /// The order is containerd's. First the same variant, then lower ones down to the oldest
    /// (v1 of amd64, v5 of arm, v8 of arm64; v9.x of arm64 runs v8.(x+5) too), then what the
    /// machine runs beside its own: 386 on amd64, arm from v8 down on arm64. Other
    /// architectures need the same variant, or an image that states none.
    ///
    /// The features of the operating system are for the caller to compare.
    #[must_use]
    pub fn rank(&self, offered: &Self) -> Option<Rank> {
        let wanted = self.clone().normalized();
        let offered = offered.clone().normalized();
        if wanted.os != offered.os || wanted.os.is_empty() {
            return None;
        }
        let tier = |tier| move |step| Rank { tier, step };
        match (wanted.architecture.as_str(), offered.architecture.as_str()) {
            ("", _) => None,
            ("amd64", "amd64") => steps(&wanted.variant, &offered.variant, "v1", 1).map(tier(0)),
            ("amd64", "386") if offered.variant.is_empty() => Some(Rank { tier: 1, step: 0 }),
            ("arm", "arm") => steps(&wanted.variant, &offered.variant, "v7", 5).map(tier(0)),
            ("arm64", "arm64") => arm64_steps(&wanted.variant, &offered.variant).map(tier(0)),
            ("arm64", "arm") => steps("v8", &offered.variant, "v7", 5).map(tier(1)),
            (same, other) if same == other => {
                if wanted.variant == offered.variant {
                    Some(Rank { tier: 0, step: 0 })
                } else if offered.variant.is_empty() {
                    Some(Rank { tier: 1, step: 0 })
                } else {
                    None
                }
            }
            _ => None,
        }
    }
}

/// How well an image fits a machine; see [`Platform::rank`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// 0 for the machine's own architecture, 1 for another that it runs.
    tier: u32,
    /// How many variants lie between.
    step: u32,
}

/// How many variants lie between what is wanted and what is offered, when the offered one is
/// the same or older, but not older than the oldest. Variants that are not `v` and a number
/// match themselves alone.
fn steps(wanted: &str, offered: &str, base: &str, oldest: u32) -> Option<u32> {
    let (wanted, offered) = (or(wanted, base), or(offered, base));
    if wanted == offered {
        return Some(0);
    }
    let level = level(offered).filter(|level| *level >= oldest)?;
    self::level(wanted)?.checked_sub(level)
}

/// The same for arm64, whose variants have two numbers: v9.x is followed by the older v9
/// ones, and then by v8.(x+5), whose features it has too.
fn arm64_steps(wanted: &str, offered: &str) -> Option<u32> {
    let (wanted, offered) = (or(wanted, "v8"), or(offered, "v8"));
    if wanted == offered {
        return Some(0);
    }
    let ((new, newest), (old, minor)) = (arm64_level(wanted)?, arm64_level(offered)?);
    match (new, old) {
        (8, 8) | (9, 9) => newest.checked_sub(minor),
        (9, 8) => newest
            .checked_add(5)?
            .checked_sub(minor)?
            .checked_add(newest)?
            .checked_add(1),
        _ => None,
    }
}

/// The variant that is meant when none is stated.
fn or<'a>(variant: &'a str, base: &'a str) -> &'a str {
    if variant.is_empty() { base } else { variant }
}

/// `v8.1` as 8 and 1, `v9` as 9 and 0.
fn arm64_level(variant: &str) -> Option<(u32, u32)> {
    let number = variant.strip_prefix('v')?;
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    Some((decimal(major)?, decimal(minor)?))
}

/// `v` and a number.
fn level(variant: &str) -> Option<u32> {
    decimal(variant.strip_prefix('v')?)
}

/// A number of at most four digits, which is more than any variant has.
fn decimal(text: &str) -> Option<u32> {
    if text.len() > 4 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Puts other text into a string.
fn replace(string: &mut String, text: &str) {
    string.clear();
    string.push_str(text);
}

/// The refusal at a position.
fn syntax(position: usize) -> Error {
    Error::new(Code::PlatformSyntax, At::Text(position as u64))
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

/// Displays a platform with all that tells it from others; see [`Platform::full`].
#[derive(Clone, Copy, Debug)]
pub struct FullPlatform<'a>(&'a Platform);

impl fmt::Display for FullPlatform<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let platform = self.0;
        f.write_str(&platform.os)?;
        if !platform.os_version.is_empty() || !platform.os_features.is_empty() {
            f.write_str("(")?;
            write_option(f, &platform.os_version)?;
            let mut features: Vec<&str> = platform.os_features.iter().map(String::as_str).collect();
            features.sort_unstable();
            features.dedup();
            for feature in features {
                f.write_str("+")?;
                write_option(f, feature)?;
            }
            f.write_str(")")?;
        }
        write!(f, "/{}", platform.architecture)?;
        if !platform.variant.is_empty() {
            write!(f, "/{}", platform.variant)?;
        }
        Ok(())
    }
}

/// Writes a version or a feature, with what would be read as the form itself in hex.
fn write_option(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for character in text.chars() {
        match character {
            '%' | '+' | '(' | ')' | '/' => write!(f, "%{:02X}", u32::from(character))?,
            _ => write!(f, "{character}")?,
        }
    }
    Ok(())
}

/// Reads features up to the closing parenthesis, which ends the text. The first starts at this
/// position.
fn parse_features(text: &str, start: usize) -> Result<Vec<String>, Error> {
    let mut features = Vec::new();
    let end = start.saturating_add(text.len());
    let Some(inner) = text.strip_suffix(')') else {
        return Err(syntax(end));
    };
    let mut start = start;
    for feature in inner.split('+') {
        if feature.is_empty() {
            return Err(syntax(start));
        }
        features.try_reserve(1).map_err(super::json::no_memory)?;
        features.push(parse_option(feature, start)?);
        start = start.saturating_add(feature.len()).saturating_add(1);
    }
    Ok(features)
}

/// Reads one feature at a position.
fn parse_option(text: &str, start: usize) -> Result<String, Error> {
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(text.len())
        .map_err(super::json::no_memory)?;
    let mut rest = text.bytes().enumerate();
    while let Some((place, byte)) = rest.next() {
        let wrong = |at: usize, byte| syntax(start.saturating_add(at)).found(Value::Byte(byte));
        match byte {
            b'%' => {
                let mut value = 0_u32;
                for digit in 1..=2_usize {
                    let found = rest.next().map(|(_, byte)| byte);
                    let digit = found
                        .and_then(|byte| char::from(byte).to_digit(16))
                        .ok_or(syntax(start.saturating_add(place).saturating_add(digit)))?;
                    value = value.saturating_mul(16).saturating_add(digit);
                }
                bytes.push(u8::try_from(value).unwrap_or_default());
            }
            _ if byte.is_ascii_alphanumeric() || b"_.-".contains(&byte) => bytes.push(byte),
            _ => return Err(wrong(place, byte)),
        }
    }
    String::from_utf8(bytes).map_err(|_| syntax(start))
}

/// The fields of a platform in an index; those of a config that mean the same.
#[derive(Default)]
pub(super) struct PlatformFields {
    os: Option<String>,
    architecture: Option<String>,
    rest: Platform,
}

impl Fields for PlatformFields {
    type Value = Platform;
    const NAMES: &'static [&'static str] = &[
        "os",
        "architecture",
        "variant",
        "os.version",
        "os.features",
        "features",
    ];

    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        members: &mut Members<'_, 'de, A>,
    ) -> Result<(), A::Error> {
        match name {
            "os" => self.os = Some(members.value(Text(owned))?),
            "architecture" => self.architecture = Some(members.value(Text(owned))?),
            "variant" => self.rest.variant = members.value(Text(owned))?,
            "os.version" => self.rest.os_version = members.value(Text(owned))?,
            "os.features" => self.rest.os_features = strings(members)?,
            _ => self.rest.features = strings(members)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<Platform, Error> {
        Ok(Platform {
            os: self.os.ok_or(missing("os"))?,
            architecture: self.architecture.ok_or(missing("architecture"))?,
            ..self.rest
        })
    }
}

/// Reads an array of strings, or `null` for none.
pub(super) fn strings<'de, A: MapAccess<'de>>(
    members: &mut Members<'_, 'de, A>,
) -> Result<Vec<String>, A::Error> {
    let most = members.limits().json_members;
    let list = List {
        item: || Text(owned),
        most,
        code: Code::JsonMembers,
    };
    members.value(OrNull(list)).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::string::ToString;

    fn platform(text: &str) -> Platform {
        Platform::parse(text).unwrap()
    }

    #[test]
    fn names_are_normalised() {
        for (text, normal) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/x86-64/v3", "linux/amd64/v3"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64/v9.2", "linux/arm64/v9.2"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/arm/5", "linux/arm/v5"),
            ("linux/arm/8", "linux/arm/v8"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("macos/arm64", "darwin/arm64"),
            ("linux/ppc64le/power9", "linux/ppc64le/power9"),
        ] {
            assert_eq!(platform(text).to_string(), normal);
        }
    }

    #[test]
    fn features_stand_as_containerd_prints_them() {
        for (text, normal, features) in [
            ("linux(+erofs)/amd64", "linux(+erofs)/amd64", &["erofs"][..]),
            ("linux(+b+a)/arm64/v8", "linux(+a+b)/arm64", &["b", "a"]),
            ("linux(+a%2Bb%25)/386", "linux(+a%2Bb%25)/386", &["a+b%"]),
            ("Linux/x86_64", "linux/amd64", &[]),
        ] {
            let parsed = platform(text);
            assert_eq!(parsed.full().to_string(), normal);
            assert_eq!(parsed.os_features, features);
        }
        let versioned = Platform {
            os_version: "10.0".into(),
            ..platform("windows(+win32k)/amd64")
        };
        assert_eq!(versioned.full().to_string(), "windows(10.0+win32k)/amd64");
        let needs = platform("linux(+erofs+x+y)/amd64");
        let lacks = |wanted: &str| platform(wanted).lacks(&needs).collect::<Vec<_>>().join(",");
        assert_eq!(lacks("linux/amd64"), "x,y");
        assert_eq!(lacks("linux(+x)/amd64"), "y");
    }

    #[test]
    fn refuses_with_the_position() {
        for (text, at) in [
            ("linux(+)/amd64", 7),
            ("linux(+a", 8),
            ("linux(+a/amd64", 8),
            ("linux(+a+)/amd64", 9),
            ("linux(+a b)/amd64", 8),
            ("linux(+a%2)/amd64", 10),
            ("linux(+%ff)/amd64", 7),
            ("linux(10.0+a)/amd64", 5),
            ("linux/amd64(+a)", 11),
            ("(+a)/amd64", 0),
            ("linux(+a)/", 10),
            ("", 0),
            ("linux", 5),
            ("linux/", 6),
            ("/amd64", 0),
            ("linux//v1", 6),
            ("linux/arm/v7/", 12),
            ("linux/arm/v7/x", 12),
            ("linux/a b", 7),
            ("linux(1)/amd64", 5),
            ("linux/\u{e9}", 6),
        ] {
            let error = Platform::parse(text).unwrap_err();
            assert_eq!(error.code(), Code::PlatformSyntax, "{text}");
            assert_eq!(error.at(), At::Text(at), "{text}");
        }
    }

    /// Every platform that runs on the wanted one, best first, by containerd's order.
    #[test]
    fn older_variants_follow_newer_ones() {
        let all = [
            "linux/amd64",
            "linux/amd64/v2",
            "linux/amd64/v3",
            "linux/386",
            "linux/arm64",
            "linux/arm64/v8.5",
            "linux/arm64/v8.7",
            "linux/arm64/v9",
            "linux/arm64/v9.2",
            "linux/arm/v5",
            "linux/arm/v6",
            "linux/arm/v7",
            "linux/arm/v8",
            "linux/ppc64le",
            "linux/ppc64le/power9",
            "windows/amd64",
            "linux/amd64/foo",
        ];
        for (wanted, expected) in [
            ("linux/amd64", &["linux/amd64", "linux/386"][..]),
            (
                "linux/amd64/v3",
                &[
                    "linux/amd64/v3",
                    "linux/amd64/v2",
                    "linux/amd64",
                    "linux/386",
                ],
            ),
            ("linux/amd64/foo", &["linux/amd64/foo", "linux/386"]),
            ("linux/386", &["linux/386"]),
            ("linux/arm/v6", &["linux/arm/v6", "linux/arm/v5"]),
            (
                "linux/arm64",
                &[
                    "linux/arm64",
                    "linux/arm/v8",
                    "linux/arm/v7",
                    "linux/arm/v6",
                    "linux/arm/v5",
                ],
            ),
            (
                "linux/arm64/v9.1",
                &[
                    "linux/arm64/v9",
                    "linux/arm64/v8.5",
                    "linux/arm64",
                    "linux/arm/v8",
                    "linux/arm/v7",
                    "linux/arm/v6",
                    "linux/arm/v5",
                ],
            ),
            (
                "linux/arm64/v8.7",
                &[
                    "linux/arm64/v8.7",
                    "linux/arm64/v8.5",
                    "linux/arm64",
                    "linux/arm/v8",
                    "linux/arm/v7",
                    "linux/arm/v6",
                    "linux/arm/v5",
                ],
            ),
            (
                "linux/ppc64le/power9",
                &["linux/ppc64le/power9", "linux/ppc64le"],
            ),
            ("linux/ppc64le", &["linux/ppc64le"]),
            ("freebsd/amd64", &[]),
        ] {
            let wanted_platform = platform(wanted);
            let mut fitting: Vec<_> = all
                .into_iter()
                .filter_map(|text| Some((wanted_platform.rank(&platform(text))?, text)))
                .collect();
            fitting.sort();
            let names: Vec<_> = fitting.into_iter().map(|(_, text)| text).collect();
            assert_eq!(names, expected, "for {wanted}");
        }
        let empty = Platform::default();
        assert_eq!(empty.rank(&empty), None);
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_again(text in "[a-z0-9_.-]{1,8}(/[a-z0-9_.-]{1,8}){1,2}") {
            let first = platform(&text);
            prop_assert_eq!(platform(&first.to_string()), first);
        }

        #[test]
        fn any_text_is_taken_or_refused(text in any::<String>(), variant in "v?[0-9.]{0,12}") {
            let _ = Platform::parse(&text);
            let wanted = platform("linux/arm64/v9.4");
            let _ = wanted.rank(&Platform { variant, ..wanted.clone() });
        }

        #[test]
        fn a_platform_fits_itself_best(text in "linux/(amd64|arm64|arm|mips)(/v[1-9](\\.[0-9])?)?") {
            let wanted = platform(&text);
            prop_assert_eq!(wanted.rank(&wanted), Some(Rank { tier: 0, step: 0 }));
            let _ = format!("{wanted}");
        }
    }
}
