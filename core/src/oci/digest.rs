//! Content digests: `sha256:…` and `sha512:…`.
//!
//! Follows the OCI image specification 1.1, `descriptor.md`, section "Digests": the grammar,
//! and the two registered algorithms, whose hex is lower case and of full length. Any other
//! algorithm is an error here, because a digest that cannot be checked protects nothing.

use core::fmt;

use sha2::{Digest as _, Sha256, Sha512};

use crate::bytes;
use crate::{At, Code, Error, Value};

/// A digest algorithm of the OCI registry of algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl Algorithm {
    /// The name before the colon.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The size of the digest in bytes.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// The digest of `content`.
    #[must_use]
    pub fn digest(self, content: &[u8]) -> Digest {
        let mut hasher = Hasher::new(self);
        hasher.update(content);
        hasher.finish()
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A content digest in constant, bounded storage.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    /// The first [`Algorithm::size`] bytes count; the rest is zero.
    bytes: [u8; 64],
}

impl Digest {
    /// Reads `algorithm:hex`.
    ///
    /// # Errors
    ///
    /// [`Code::DigestSyntax`] without a colon, [`Code::DigestAlgorithm`] for an algorithm
    /// other than sha256 and sha512, [`Code::DigestLength`] and [`Code::DigestCase`] for the
    /// hex; each with the position in the text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let Some((name, hex)) = text.split_once(':') else {
            return Err(Error::new(Code::DigestSyntax, At::Text(text.len() as u64))
                .expected(Value::Byte(b':')));
        };
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => {
                return Err(Error::new(Code::DigestAlgorithm, At::Text(0))
                    .expected(Value::Text("sha256 or sha512")));
            }
        };
        let start = name.len().saturating_add(1);
        let digits = hex.as_bytes();
        let mut bytes = [0; 64];
        for (position, digit) in digits.iter().enumerate() {
            let nibble = match digit {
                b'0'..=b'9' => digit.wrapping_sub(b'0'),
                b'a'..=b'f' => digit.wrapping_sub(b'a').wrapping_add(10),
                _ => {
                    let at = At::Text(start.saturating_add(position) as u64);
                    return Err(Error::new(Code::DigestCase, at).found(Value::Byte(*digit)));
                }
            };
            // A digit past the longest digest has no place here; the length check names it.
            if let Some(byte) = bytes.get_mut(position / 2) {
                *byte = (*byte << 4) | nibble;
            }
        }
        let expected = algorithm.size().saturating_mul(2);
        if digits.len() != expected {
            return Err(Error::new(Code::DigestLength, At::Text(start as u64))
                .found(Value::Number(digits.len() as u64))
                .expected(Value::Number(expected as u64)));
        }
        Ok(Self { algorithm, bytes })
    }

    /// The digest with these bytes, if there are as many as the algorithm has.
    #[must_use]
    pub fn from_bytes(algorithm: Algorithm, from: &[u8]) -> Option<Self> {
        let mut bytes = [0; 64];
        if from.len() != algorithm.size() {
            return None;
        }
        bytes::copy(from, &mut bytes);
        Some(Self { algorithm, bytes })
    }

    /// The algorithm before the colon.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The digest's own bytes, as many as its algorithm has.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.algorithm.size()).unwrap_or(&[])
    }

    /// The hex after the colon ("encoded" in the OCI grammar), for example as the file name
    /// under `blobs/sha256/`.
    #[must_use]
    pub const fn hex(&self) -> Hex<'_> {
        Hex(self)
    }
}

/// The hex digits of a [`Digest`], to be displayed; a precision (`{:.12}`) shortens them.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(&'a Digest);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(usize::MAX);
        let nibbles = self
            .0
            .as_bytes()
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15]);
        for nibble in nibbles.take(digits) {
            write!(f, "{nibble:x}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl core::str::FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

/// The block of SHA-256, in bytes (FIPS 180-4, section 5.2.1).
const BLOCK: usize = 64;

/// Computes a [`Digest`] over content that arrives in any pieces.
#[derive(Clone, Debug)]
pub struct Hasher {
    state: State,
    /// How many bytes of the content have come, modulo [`BLOCK`].
    over: usize,
}

/// The running state, by algorithm.
#[derive(Clone, Debug)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// A hasher that has seen nothing yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        };
        Self { state, over: 0 }
    }

    /// The algorithm that it computes.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.state {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Adds the next bytes of the content.
    pub fn update(&mut self, content: &[u8]) {
        match &mut self.state {
            State::Sha256(hasher) => hasher.update(content),
            State::Sha512(hasher) => hasher.update(content),
        }
        self.over = self.over.wrapping_add(content.len()) % BLOCK;
    }

    /// Adds the next bytes of two contents, each to its hasher. The digests are those that
    /// [`Self::update`] gives.
    ///
    /// Two SHA-256 go block by block in turn. A block waits for the one before it of the same
    /// content, but not for one of the other: so a processor with instructions for SHA-256 works
    /// on two at once, and is about a seventh faster as far as both contents go.
    pub fn update_both(&mut self, content: &[u8], other: &mut Self, of_other: &[u8]) {
        let content = self.fill_block(content);
        let of_other = other.fill_block(of_other);
        let (mut rest, mut rest_of_other) = (content, of_other);
        if let (State::Sha256(first), State::Sha256(second)) = (&mut self.state, &mut other.state) {
            let (blocks, _) = content.as_chunks::<BLOCK>();
            let (blocks_of_other, _) = of_other.as_chunks::<BLOCK>();
            for (block, block_of_other) in blocks.iter().zip(blocks_of_other) {
                first.update(block);
                second.update(block_of_other);
            }
            let done = blocks
                .len()
                .min(blocks_of_other.len())
                .saturating_mul(BLOCK);
            rest = content.get(done..).unwrap_or_default();
            rest_of_other = of_other.get(done..).unwrap_or_default();
        }
        self.update(rest);
        other.update(rest_of_other);
    }

    /// Adds what the block that has begun lacks, and gives the rest.
    fn fill_block<'a>(&mut self, content: &'a [u8]) -> &'a [u8] {
        let missing = BLOCK.wrapping_sub(self.over) % BLOCK;
        let (head, rest) = content.split_at_checked(missing).unwrap_or((content, &[]));
        self.update(head);
        rest
    }

    /// The digest of everything that was added.
    #[must_use]
    pub fn finish(self) -> Digest {
        let algorithm = self.algorithm();
        let mut bytes = [0; 64];
        match self.state {
            State::Sha256(hasher) => bytes::copy(&hasher.finalize(), &mut bytes),
            State::Sha512(hasher) => bytes::copy(&hasher.finalize(), &mut bytes),
        };
        Digest { algorithm, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    /// SHA-256 of nothing, from FIPS 180-4's example values.
    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn parses_what_it_prints() {
        let digest = Digest::parse(EMPTY).unwrap();
        assert_eq!(digest, Algorithm::Sha256.digest(b""));
        assert_eq!(digest.to_string(), EMPTY);
        assert_eq!(format!("{:.12}", digest.hex()), "e3b0c44298fc");
        let long = Algorithm::Sha512.digest(b"abc");
        assert_eq!(Digest::parse(&long.to_string()).unwrap(), long);
        assert_eq!(long.as_bytes().len(), 64);
        assert_eq!(
            Digest::from_bytes(Algorithm::Sha512, long.as_bytes()),
            Some(long)
        );
        assert_eq!(Digest::from_bytes(Algorithm::Sha256, long.as_bytes()), None);
    }

    #[test]
    fn two_at_once_are_as_one_after_the_other() {
        let content: std::vec::Vec<u8> = (0..1500_u32).map(|n| (n * n % 251) as u8).collect();
        let algorithms = [Algorithm::Sha256, Algorithm::Sha512];
        for (one, two) in algorithms
            .map(|one| algorithms.map(|two| (one, two)))
            .as_flattened()
        {
            for step in [1, 63, 64, 65, 200, 1500] {
                for step_of_other in [0, 1, 64, 100, 640] {
                    let (mut first, mut second) = (Hasher::new(*one), Hasher::new(*two));
                    let mut other = &content[7..];
                    for piece in content.chunks(step) {
                        let (piece_of_other, rest) = other.split_at(step_of_other.min(other.len()));
                        first.update_both(piece, &mut second, piece_of_other);
                        other = rest;
                    }
                    second.update(other);
                    assert_eq!(first.finish(), one.digest(&content), "{step}");
                    assert_eq!(
                        second.finish(),
                        two.digest(&content[7..]),
                        "{step_of_other}"
                    );
                }
            }
        }
    }

    #[test]
    fn refuses_with_the_position() {
        let refusal = |text: &str| {
            let error = Digest::parse(text).unwrap_err();
            (error.code(), error.at())
        };
        assert_eq!(refusal(""), (Code::DigestSyntax, At::Text(0)));
        assert_eq!(refusal("sha256"), (Code::DigestSyntax, At::Text(6)));
        assert_eq!(refusal("md5:00"), (Code::DigestAlgorithm, At::Text(0)));
        assert_eq!(refusal("SHA256:00"), (Code::DigestAlgorithm, At::Text(0)));
        assert_eq!(refusal("sha256:00"), (Code::DigestLength, At::Text(7)));
        assert_eq!(refusal("sha256:0G"), (Code::DigestCase, At::Text(8)));
        assert_eq!(
            refusal(&EMPTY.to_uppercase().replace("SHA256", "sha256")),
            (Code::DigestCase, At::Text(7))
        );
        assert_eq!(
            refusal(&format!("{EMPTY}00")),
            (Code::DigestLength, At::Text(7))
        );
        assert_eq!(
            refusal(&format!("sha512:{}", "0".repeat(127))),
            (Code::DigestLength, At::Text(7))
        );
        assert_eq!(refusal("sha256:\u{e9}"), (Code::DigestCase, At::Text(7)));
    }
}
