//! The shapes that documents are made of: texts, numbers, arrays, objects.

use alloc::vec::Vec;
use core::marker::PhantomData;

use serde::de::{MapAccess, SeqAccess};

use super::{Items, Members, Number, Shape, no_memory};
use crate::{At, Code, Error, Value};

/// Any value, read for its faults alone.
pub(in crate::oci) struct Skip;

impl<'de> Shape<'de> for Skip {
    type Value = ();
    const EXPECTED: &'static str = "any value";

    fn text(self, _: &str) -> Result<(), Error> {
        Ok(())
    }

    fn number(self, _: Number) -> Result<(), Error> {
        Ok(())
    }

    fn word(self, _: &'static str) -> Result<(), Error> {
        Ok(())
    }

    fn list<A: SeqAccess<'de>>(self, items: &mut Items<'_, A>) -> Result<(), A::Error> {
        while items.next(Self)?.is_some() {}
        Ok(())
    }

    fn object<A: MapAccess<'de>>(self, members: &mut Members<'_, 'de, A>) -> Result<(), A::Error> {
        while members.key(&[])?.is_some() {
            members.value(Self)?;
        }
        Ok(())
    }
}

/// A string, read by a function.
pub(in crate::oci) struct Text<F>(pub(in crate::oci) F);

impl<'de, T, F: FnOnce(&str) -> Result<T, Error>> Shape<'de> for Text<F> {
    type Value = T;
    const EXPECTED: &'static str = "a string";

    fn text(self, text: &str) -> Result<T, Error> {
        (self.0)(text)
    }
}

/// A number, read by a function.
pub(in crate::oci) struct Numeral<F>(pub(in crate::oci) F);

impl<'de, T, F: FnOnce(Number) -> Result<T, Error>> Shape<'de> for Numeral<F> {
    type Value = T;
    const EXPECTED: &'static str = "a number";

    fn number(self, number: Number) -> Result<T, Error> {
        (self.0)(number)
    }
}

/// An array of one shape, with its own limit.
pub(in crate::oci) struct List<F> {
    /// Makes the shape of the next item.
    pub(in crate::oci) item: F,
    /// Most items.
    pub(in crate::oci) most: u32,
    /// What to say of more.
    pub(in crate::oci) code: Code,
}

impl<'de, S: Shape<'de>, F: Fn() -> S> Shape<'de> for List<F> {
    type Value = Vec<S::Value>;
    const EXPECTED: &'static str = "an array";

    fn list<A: SeqAccess<'de>>(self, items: &mut Items<'_, A>) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        loop {
            if list.len() as u64 >= u64::from(self.most) {
                let fault = Error::new(self.code, At::Whole);
                // Refused at the first item too many, before anything of it is kept.
                items.next(Refuse(fault.expected(Value::AtMost(self.most.into()))))?;
                return Ok(list);
            }
            let array = items.reader.field.get();
            items.reader.field.set(array.item(list.len()));
            let item = items.next((self.item)())?;
            items.reader.field.set(array);
            let Some(item) = item else {
                return Ok(list);
            };
            if let Err(error) = list.try_reserve(1) {
                return items.fail(no_memory(error));
            }
            list.push(item);
        }
    }
}

/// A value that may be absent, which `null` says too: it is what writers in Go leave of a map,
/// list or struct without content, and what their readers take for that.
pub(in crate::oci) struct OrNull<S>(pub(in crate::oci) S);

impl<'de, S: Shape<'de>> Shape<'de> for OrNull<S> {
    type Value = Option<S::Value>;
    const EXPECTED: &'static str = S::EXPECTED;

    fn text(self, text: &str) -> Result<Self::Value, Error> {
        self.0.text(text).map(Some)
    }

    fn number(self, number: Number) -> Result<Self::Value, Error> {
        self.0.number(number).map(Some)
    }

    fn word(self, name: &'static str) -> Result<Self::Value, Error> {
        if name == "null" {
            return Ok(None);
        }
        self.0.word(name).map(Some)
    }

    fn list<A: SeqAccess<'de>>(self, items: &mut Items<'_, A>) -> Result<Self::Value, A::Error> {
        self.0.list(items).map(Some)
    }

    fn object<A: MapAccess<'de>>(
        self,
        members: &mut Members<'_, 'de, A>,
    ) -> Result<Self::Value, A::Error> {
        self.0.object(members).map(Some)
    }

    fn opening(self, name: &'static str) -> Error {
        self.0.opening(name)
    }
}

/// A value that has no place, whatever it is.
struct Refuse(Error);

impl<'de> Shape<'de> for Refuse {
    type Value = ();
    const EXPECTED: &'static str = "no value";

    fn text(self, _: &str) -> Result<(), Error> {
        Err(self.0)
    }

    fn number(self, _: Number) -> Result<(), Error> {
        Err(self.0)
    }

    fn word(self, _: &'static str) -> Result<(), Error> {
        Err(self.0)
    }

    fn opening(self, _: &'static str) -> Error {
        self.0
    }
}

/// An object whose members are all strings, each given to a function.
pub(in crate::oci) struct Entries<F>(pub(in crate::oci) F);

impl<'de, F: FnMut(&str, &str) -> Result<(), Error>> Shape<'de> for Entries<F> {
    type Value = ();
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(
        mut self,
        members: &mut Members<'_, 'de, A>,
    ) -> Result<(), A::Error> {
        while let Some(key) = members.key(&[])? {
            members.value(Text(|value: &str| (self.0)(&key, value)))?;
        }
        Ok(())
    }
}

/// What is gathered from an object with known fields.
pub(in crate::oci) trait Fields: Default {
    /// What becomes of it.
    type Value;
    /// The names of all fields that have a meaning to any reader.
    const NAMES: &'static [&'static str];

    /// Reads the value of one of [`Self::NAMES`], or skips it.
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        members: &mut Members<'_, 'de, A>,
    ) -> Result<(), A::Error>;

    /// Checks what the fields say together, at the object's end.
    fn finish(self) -> Result<Self::Value, Error>;
}

/// An object with known fields.
pub(in crate::oci) struct Object<T>(PhantomData<T>);

impl<T> Object<T> {
    pub(in crate::oci) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T: Fields> Shape<'de> for Object<T> {
    type Value = T::Value;
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(
        self,
        members: &mut Members<'_, 'de, A>,
    ) -> Result<T::Value, A::Error> {
        let mut fields = T::default();
        while let Some(key) = members.key(T::NAMES)? {
            match T::NAMES.iter().find(|name| **name == key) {
                Some(name) => {
                    let object = members.reader.field.get();
                    members.reader.field.set(object.field(name));
                    fields.field(name, members)?;
                    members.reader.field.set(object);
                }
                None => members.value(Skip)?,
            }
        }
        members.check(fields.finish())
    }
}
