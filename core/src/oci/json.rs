//! The one strict reader of JSON documents (RFC 8259), on serde_json.
//!
//! Every object goes through [`Members`], those in fields that nobody reads included. It
//! refuses what makes two readers see two documents: a key that comes twice (compared after
//! escapes are resolved), and a key that is a field's name in another letter case. The second
//! is because the decoder of Go's standard library, which most registries' clients use,
//! matches names without regard to case (`encoding/json`, "preferring exact matches"), so
//! that `Layers` means `layers` to it and nothing to others.
//!
//! `null` stands for a map or a list that may be absent ([`OrNull`]); for every other field that
//! is read it is a wrong type. Size, depth and members are bounded by
//! [`Limits`]; so the memory is too: strings are taken from the document, and what is not read
//! leaves only the keys of the objects that are open.

mod shapes;

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::string::String;
use core::cell::Cell;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

pub(super) use self::shapes::{Entries, Fields, List, Numeral, Object, OrNull, Skip, Text};
use crate::{At, Code, Error, FieldPath, Limits, Value};

/// The depth that serde_json itself refuses, less what it takes to name our limit first.
const DEEPEST: u32 = 126;

/// Reads a whole document in the given shape.
///
/// # Errors
///
/// The first fault, at its byte of the document: the last byte of the text, number, word or key
/// at fault; of an array or object that has no place there, its first byte; of an object that
/// lacks something, its last byte.
pub(super) fn read<'de, S: Shape<'de>>(
    document: &'de [u8],
    limits: &Limits,
    shape: S,
) -> Result<S::Value, Error> {
    let size = document.len() as u64;
    if size > limits.json_size {
        return Err(Error::new(Code::JsonSize, At::Whole)
            .found(Value::Number(size))
            .expected(Value::AtMost(limits.json_size)));
    }
    let reader = Reader {
        limits,
        document,
        depth: Cell::new(0),
        field: Cell::new(FieldPath::ROOT),
        fault: Cell::new(None),
    };
    reader.run(document, shape)
}

/// Whether a fault is one of the document as a whole, wherever in it: another reader would see
/// another document, or none, or our limits are broken.
const fn is_of_document(code: Code) -> bool {
    matches!(
        code,
        Code::JsonSyntax
            | Code::JsonDuplicateKey
            | Code::JsonKeyCase
            | Code::JsonSize
            | Code::JsonDepth
            | Code::JsonMembers
            | Code::JsonMemory
    )
}

/// What a fault of ours is at.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// What was read last.
    Last,
    /// The array or object whose first byte was read last.
    Opening,
    /// This byte.
    Byte(u64),
}

impl Place {
    /// The byte of the fault, when serde_json stands at `at`. It may have gone on: before it
    /// places an error in an array or object, it passes over white space and over the end.
    fn before(self, document: &[u8], at: u64) -> u64 {
        let read = usize::try_from(at.saturating_add(1)).unwrap_or(usize::MAX);
        let read = document.get(..read).unwrap_or(document);
        let is_there = |byte: &u8| match self {
            Self::Last => !byte.is_ascii_whitespace(),
            Self::Opening => matches!(byte, b'[' | b'{'),
            Self::Byte(_) => true,
        };
        if let Self::Byte(place) = self {
            return place;
        }
        read.iter()
            .rposition(is_there)
            .map_or(at, |place| place as u64)
    }
}

/// The byte of the document that an error's line and column stand for.
fn offset(document: &[u8], error: &serde_json::Error) -> u64 {
    if error.classify() == Category::Eof {
        return document.len() as u64;
    }
    let before = error.line().saturating_sub(1);
    let start = match before.checked_sub(1) {
        None => 0,
        Some(nth) => {
            let mut ends = document
                .iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'\n');
            ends.nth(nth).map_or(0, |(end, _)| end.saturating_add(1))
        }
    };
    // The column counts the bytes of the line up to and with the one at fault; it is 0 when
    // that one is the newline before.
    let read = start.saturating_add(error.column());
    read.saturating_sub(1).min(document.len()) as u64
}

/// What all values of one document share.
struct Reader<'l> {
    limits: &'l Limits,
    document: &'l [u8],
    depth: Cell<u32>,
    /// The field that is being read. After a fault it stays where that is.
    field: Cell<FieldPath>,
    /// The first fault that is ours, which serde's errors cannot carry.
    fault: Cell<Option<(Error, Place)>>,
}

impl Reader<'_> {
    /// Reads all of the document.
    fn run<'de, S: Shape<'de>>(&self, document: &'de [u8], shape: S) -> Result<S::Value, Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(document);
        let seed = Seed {
            reader: self,
            shape,
        };
        let result = seed.deserialize(&mut deserializer);
        let result = result.and_then(|value| deserializer.end().map(|()| value));
        result.map_err(|error| {
            let at = offset(document, &error);
            match self.fault.get() {
                Some((fault, place)) => fault.moved(At::Json(place.before(document, at))),
                None => Error::new(Code::JsonSyntax, At::Json(at)).in_field(self.field.get()),
            }
        })
    }

    /// Reads a value of the document by itself: what is wrong with it, and not with the document,
    /// is given back beside what it was to be read into.
    fn apart<'de, S: Shape<'de>, E: serde::de::Error>(
        &self,
        value: Apart<'de>,
        shape: S,
    ) -> Result<Result<S::Value, Error>, E> {
        let text = value.0.get().as_bytes();
        let start = self.start_of(value);
        let inner = Reader {
            limits: self.limits,
            document: text,
            depth: Cell::new(self.depth.get()),
            field: Cell::new(self.field.get()),
            fault: Cell::new(None),
        };
        let error = match inner.run(text, shape) {
            Ok(value) => return Ok(Ok(value)),
            Err(error) => error,
        };
        let at = match error.at() {
            At::Json(at) => at.saturating_add(start),
            _ => start,
        };
        if is_of_document(error.code()) {
            return Err(self.fail(error, Place::Byte(at)));
        }
        Ok(Err(error.moved(At::Json(at))))
    }

    /// The byte of the document where a value starts: its text is a part of the document's.
    fn start_of(&self, value: Apart<'_>) -> u64 {
        let text = value.0.get().as_ptr().addr();
        text.saturating_sub(self.document.as_ptr().addr()) as u64
    }

    fn fail<E: serde::de::Error>(&self, fault: Error, place: Place) -> E {
        let field = match fault.field() {
            FieldPath::ROOT => self.field.get(),
            known => known,
        };
        let fault = fault.in_field(field);
        self.fault.set(self.fault.get().or(Some((fault, place))));
        E::custom("refused")
    }

    fn check<T, E: serde::de::Error>(&self, result: Result<T, Error>) -> Result<T, E> {
        result.map_err(|fault| self.fail(fault, Place::Last))
    }

    fn enter<E: serde::de::Error>(&self) -> Result<(), E> {
        let most = self.limits.json_depth.min(DEEPEST);
        let depth = self.depth.get().saturating_add(1);
        self.depth.set(depth);
        if depth > most {
            let fault = Error::new(Code::JsonDepth, At::Whole).expected(Value::AtMost(most.into()));
            return Err(self.fail(fault, Place::Opening));
        }
        Ok(())
    }

    fn leave(&self) {
        self.depth.set(self.depth.get().saturating_sub(1));
    }
}

/// The refusal of a value of the wrong type.
fn wrong_type(found: &'static str, expected: &'static str) -> Error {
    Error::new(Code::JsonType, At::Whole)
        .found(Value::Text(found))
        .expected(Value::Text(expected))
}

/// The refusal of an object that lacks a field.
pub(super) fn missing(name: &'static str) -> Error {
    Error::new(Code::JsonMissing, At::Whole).expected(Value::Text(name))
}

/// A copy of the document's text.
pub(super) fn owned(text: &str) -> Result<String, Error> {
    let mut copy = String::new();
    copy.try_reserve_exact(text.len()).map_err(no_memory)?;
    copy.push_str(text);
    Ok(copy)
}

/// Any failure to reserve memory.
#[allow(clippy::needless_pass_by_value, reason = "the form that map_err wants")]
pub(super) fn no_memory(_: alloc::collections::TryReserveError) -> Error {
    Error::new(Code::JsonMemory, At::Whole)
}

/// A JSON number, as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// A whole number from 0 up to 64 bits.
    Unsigned(u64),
    /// A whole number below 0.
    Signed(i64),
    /// A number with a fraction or an exponent, or beyond 64 bits.
    Float(f64),
}

/// What a value must look like, and what it is read into. The defaults refuse.
pub(super) trait Shape<'de>: Sized {
    /// What it is read into.
    type Value;
    /// Its name in a refusal.
    const EXPECTED: &'static str;

    /// Reads a string.
    fn text(self, _: &str) -> Result<Self::Value, Error> {
        Err(wrong_type("a string", Self::EXPECTED))
    }

    /// Reads a number.
    fn number(self, _: Number) -> Result<Self::Value, Error> {
        Err(wrong_type("a number", Self::EXPECTED))
    }

    /// Reads `true`, `false` or `null`, whose name is given.
    fn word(self, name: &'static str) -> Result<Self::Value, Error> {
        Err(wrong_type(name, Self::EXPECTED))
    }

    /// Reads an array, to its end.
    fn list<A: SeqAccess<'de>>(self, items: &mut Items<'_, A>) -> Result<Self::Value, A::Error> {
        items.refuse(self.opening("an array"))
    }

    /// Reads an object, to its end.
    fn object<A: MapAccess<'de>>(
        self,
        members: &mut Members<'_, 'de, A>,
    ) -> Result<Self::Value, A::Error> {
        members.refuse(self.opening("an object"))
    }

    /// The refusal of an array or object, whose name is given.
    fn opening(self, name: &'static str) -> Error {
        wrong_type(name, Self::EXPECTED)
    }
}

/// The items of an array that is being read.
pub(super) struct Items<'r, A> {
    reader: &'r Reader<'r>,
    items: A,
}

impl<'de, A: SeqAccess<'de>> Items<'_, A> {
    fn fail<T>(&self, fault: Error) -> Result<T, A::Error> {
        Err(self.reader.fail(fault, Place::Last))
    }

    /// Refuses the whole array, of which nothing was read.
    fn refuse<T>(&self, fault: Error) -> Result<T, A::Error> {
        Err(self.reader.fail(fault, Place::Opening))
    }

    fn next<S: Shape<'de>>(&mut self, shape: S) -> Result<Option<S::Value>, A::Error> {
        self.items.next_element_seed(Seed {
            reader: self.reader,
            shape,
        })
    }

    /// The next item as it is written.
    pub(super) fn next_apart(&mut self) -> Result<Option<Apart<'de>>, A::Error> {
        self.items.next_element().map(|item| item.map(Apart))
    }

    /// Refuses the document for an item of which nothing was read, at its first byte.
    pub(super) fn refuse_apart<T>(&self, item: Apart<'de>, fault: Error) -> Result<T, A::Error> {
        let at = self.reader.start_of(item);
        Err(self.reader.fail(fault, Place::Byte(at)))
    }

    pub(super) fn check<T>(&self, result: Result<T, Error>) -> Result<T, A::Error> {
        self.reader.check(result)
    }

    /// Reads an item by itself; see [`Reader::apart`].
    pub(super) fn read_apart<S: Shape<'de>>(
        &self,
        number: usize,
        item: Apart<'de>,
        shape: S,
    ) -> Result<Result<S::Value, Error>, A::Error> {
        let array = self.reader.field.get();
        self.reader.field.set(array.item(number));
        let read = self.reader.apart(item, shape)?;
        self.reader.field.set(array);
        Ok(read)
    }
}

/// A value of the document that is read by itself, perhaps more than once.
#[derive(Clone, Copy)]
pub(super) struct Apart<'de>(&'de RawValue);

/// The members of an object that is being read.
pub(super) struct Members<'r, 'de, A> {
    reader: &'r Reader<'r>,
    map: A,
    seen: BTreeSet<Cow<'de, str>>,
}

impl<'de, A: MapAccess<'de>> Members<'_, 'de, A> {
    fn fail<T>(&self, fault: Error) -> Result<T, A::Error> {
        Err(self.reader.fail(fault, Place::Last))
    }

    /// Refuses the whole object, of which nothing was read.
    fn refuse<T>(&self, fault: Error) -> Result<T, A::Error> {
        Err(self.reader.fail(fault, Place::Opening))
    }

    fn check<T>(&self, result: Result<T, Error>) -> Result<T, A::Error> {
        self.reader.check(result)
    }

    /// The next key, checked against those before it and against the names of the fields that
    /// are read here.
    fn key(&mut self, names: &[&str]) -> Result<Option<Cow<'de, str>>, A::Error> {
        let Some(key) = self.map.next_key_seed(Key)? else {
            return Ok(None);
        };
        let most = self.reader.limits.json_members;
        if self.seen.len() as u64 >= u64::from(most) {
            return self.fail(
                Error::new(Code::JsonMembers, At::Whole).expected(Value::AtMost(u64::from(most))),
            );
        }
        if names
            .iter()
            .any(|name| *name != key && folded(name).eq(folded(&key)))
        {
            return self.fail(Error::new(Code::JsonKeyCase, At::Whole));
        }
        if !self.seen.insert(key.clone()) {
            return self.fail(Error::new(Code::JsonDuplicateKey, At::Whole));
        }
        Ok(Some(key))
    }

    /// The value of the key that was read last.
    pub(super) fn value<S: Shape<'de>>(&mut self, shape: S) -> Result<S::Value, A::Error> {
        self.map.next_value_seed(Seed {
            reader: self.reader,
            shape,
        })
    }

    /// The same, when what is wrong with the value is not wrong with the document; see
    /// [`Reader::apart`].
    pub(super) fn value_apart<S: Shape<'de>>(
        &mut self,
        shape: S,
    ) -> Result<Result<S::Value, Error>, A::Error> {
        let value = self.map.next_value().map(Apart)?;
        self.reader.apart(value, shape)
    }

    /// The limits that the document is read with.
    pub(super) fn limits(&self) -> &Limits {
        self.reader.limits
    }
}

/// The characters of a key as Go's decoder compares them: without case, in which two letters
/// outside ASCII fold to ASCII ones, the long s and the Kelvin sign.
fn folded(key: &str) -> impl Iterator<Item = char> {
    key.chars().map(|character| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    })
}

/// Reads a key, borrowed from the document where it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Self::Value, E> {
        owned(key).map(Cow::Owned).map_err(E::custom)
    }
}

/// A [`Shape`] with the [`Reader`] that every value needs.
struct Seed<'r, S> {
    reader: &'r Reader<'r>,
    shape: S,
}

impl<'de, S: Shape<'de>> DeserializeSeed<'de> for Seed<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: Shape<'de>> Visitor<'de> for Seed<'_, S> {
    type Value = S::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(S::EXPECTED)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<S::Value, E> {
        self.reader.check(self.shape.text(text))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<S::Value, E> {
        self.reader
            .check(self.shape.number(Number::Unsigned(number)))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<S::Value, E> {
        self.reader.check(self.shape.number(Number::Signed(number)))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<S::Value, E> {
        self.reader.check(self.shape.number(Number::Float(number)))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<S::Value, E> {
        let name = if value { "true" } else { "false" };
        self.reader.check(self.shape.word(name))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<S::Value, E> {
        self.reader.check(self.shape.word("null"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<S::Value, A::Error> {
        self.reader.enter::<A::Error>()?;
        let mut items = Items {
            reader: self.reader,
            items,
        };
        let value = self.shape.list(&mut items)?;
        self.reader.leave();
        Ok(value)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<S::Value, A::Error> {
        self.reader.enter::<A::Error>()?;
        let mut members = Members {
            reader: self.reader,
            map,
            seen: BTreeSet::new(),
        };
        let value = self.shape.object(&mut members)?;
        self.reader.leave();
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
