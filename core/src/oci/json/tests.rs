//! What the reader of documents takes and refuses, and where it places a fault.

use super::*;
use proptest::prelude::*;
use std::format;
use std::vec;
use std::vec::Vec;

/// Reads the fields `name` and `list`, to try the reader on.
#[derive(Default)]
struct Probe {
    name: Option<String>,
    list: Vec<u64>,
}

impl Fields for Probe {
    type Value = (Option<String>, Vec<u64>);
    const NAMES: &'static [&'static str] = &["name", "list", "ask"];

    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        members: &mut Members<'_, 'de, A>,
    ) -> Result<(), A::Error> {
        match name {
            "name" => self.name = Some(members.value(Text(owned))?),
            "list" => {
                self.list = members.value(List {
                    item: || {
                        Numeral(|number| match number {
                            Number::Unsigned(number) => Ok(number),
                            _ => Err(Error::new(Code::JsonType, At::Whole)),
                        })
                    },
                    most: members.limits().json_members,
                    code: Code::JsonMembers,
                })?;
            }
            _ => members.value(Skip)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<Self::Value, Error> {
        Ok((self.name, self.list))
    }
}

fn probe(document: &[u8]) -> Result<(Option<String>, Vec<u64>), Error> {
    read(document, &Limits::DEFAULT, Object::<Probe>::new())
}

fn refusal(document: &str) -> (Code, At) {
    let error = probe(document.as_bytes()).unwrap_err();
    (error.code(), error.at())
}

#[test]
fn reads_what_it_knows_and_skips_the_rest() {
    let document = br#" {"n\u0061me":"a\u00e9", "x": [1, -2, 0.5, 1e3, true, null, {"y": {}}],
        "list": [1, 18446744073709551615]} "#;
    let (name, list) = probe(document).unwrap();
    assert_eq!(name.as_deref(), Some("a\u{e9}"));
    assert_eq!(list, [1, u64::MAX]);
}

#[test]
fn a_key_comes_once_at_every_level() {
    for (document, at) in [
        (r#"{"a":1,"a":2}"#, 9),
        (r#"{"a":1,"\u0061":2}"#, 14),
        (r#"{"x":[{"y":{"a":1,"a":1}}]}"#, 20),
        ("{\n\"x\":\n {\"a\":{},\n\"b\":1,\"a\":3}}", 25),
    ] {
        assert_eq!(
            refusal(document),
            (Code::JsonDuplicateKey, At::Json(at)),
            "{document}"
        );
    }
    // Two keys may have one name in different objects, and different names in one.
    probe(br#"{"a":{"a":1},"b":{"a":1},"A":2}"#).unwrap();
}

#[test]
fn a_field_in_another_case_is_refused() {
    for key in ["Name", "NAME", "li\u{17f}t", "as\u{212a}", "LI\\u017fT"] {
        let (code, _) = refusal(&format!("{{\"{key}\":1}}"));
        assert_eq!(code, Code::JsonKeyCase, "{key}");
        // Where nobody reads fields, names mean nothing.
        probe(format!("{{\"x\":{{\"{key}\":1}}}}").as_bytes()).unwrap();
    }
    assert_eq!(
        refusal(r#"{"name":"a","NAME":"b"}"#),
        (Code::JsonKeyCase, At::Json(17))
    );
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    for (document, at) in [
        ("", 0),
        ("   ", 3),
        ("{", 1),
        ("{\"a\":", 5),
        ("{\"a\" 1}", 5),
        ("{\"a\":1,}", 7),
        ("{}x", 2),
        ("{}\n{}", 3),
        ("\u{feff}{}", 0),
        ("{'a':1}", 1),
        ("{\"a\":01}", 6),
        ("{\"a\":NaN}", 5),
        ("{\"a\":\"\n\"}", 6),
        ("{\"a\":\"\\ud800\"}", 12),
        ("{\"\\udc00\":1}", 7),
        ("// no\n{}", 0),
    ] {
        let (code, found) = refusal(document);
        assert_eq!(code, Code::JsonSyntax, "{document:?}");
        assert_eq!(found, At::Json(at), "{document:?}");
    }
    for document in [
        &b"{\"a\":\"\xff\"}"[..],
        b"{\"\xc3\":1}",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"\xff",
    ] {
        let error = probe(document).unwrap_err();
        assert_eq!(error.code(), Code::JsonSyntax, "{document:?}");
    }
}

#[test]
fn wrong_types_are_named() {
    for (document, found, expected) in [
        (r#"{"name":1}"#, "a number", "a string"),
        (r#"{"name":null}"#, "null", "a string"),
        (r#"{"name":true}"#, "true", "a string"),
        (r#"{"name":[]}"#, "an array", "a string"),
        (r#"{"name":{}}"#, "an object", "a string"),
        (r#"{"list":{}}"#, "an object", "an array"),
        (r#"{"list":["1"]}"#, "a string", "a number"),
        (r#"[]"#, "an array", "an object"),
        (r#""x""#, "a string", "an object"),
    ] {
        let error = probe(document.as_bytes()).unwrap_err();
        assert_eq!(error.code(), Code::JsonType, "{document}");
        assert_eq!(error.found_value(), Value::Text(found), "{document}");
        assert_eq!(error.expected_value(), Value::Text(expected), "{document}");
    }
}

#[test]
fn a_fault_is_placed_by_what_is_at_fault_and_not_by_what_follows_it() {
    let mut limits = Limits::DEFAULT;
    limits.json_members = 1;
    limits.json_depth = 3;
    for (document, code, at) in [
        // An array or object without a place there, whatever it holds: its first byte.
        ("[]", Code::JsonType, 0),
        ("[ 1]", Code::JsonType, 0),
        (r#"{"name":[]}"#, Code::JsonType, 8),
        (r#"{"name":{}}"#, Code::JsonType, 8),
        (r#"{"name":{ "a":1}}"#, Code::JsonType, 8),
        (r#"{"x":[[[]]]}"#, Code::JsonDepth, 7),
        (r#"{"x":[[[ 1]]]}"#, Code::JsonDepth, 7),
        (r#"{"x":[[{}]]}"#, Code::JsonDepth, 7),
        // The first item too many.
        (r#"{"list":[1,2]}"#, Code::JsonMembers, 11),
        (r#"{"list":[1,2,3]}"#, Code::JsonMembers, 11),
        (r#"{"list":[1,{}]}"#, Code::JsonMembers, 11),
        // A key, with and without white space behind it.
        (r#"{"Name":1}"#, Code::JsonKeyCase, 6),
        ("{\"Name\" \n :1}", Code::JsonKeyCase, 6),
    ] {
        let error = read(document.as_bytes(), &limits, Object::<Probe>::new()).unwrap_err();
        assert_eq!(
            (error.code(), error.at()),
            (code, At::Json(at)),
            "{document}"
        );
    }
}

#[test]
fn limits_hold() {
    let refused = |document: &str, limits: &Limits| {
        let error = read(document.as_bytes(), limits, Object::<Probe>::new()).unwrap_err();
        error.code()
    };
    let mut limits = Limits::DEFAULT;
    limits.json_size = 3;
    assert_eq!(refused("{  }", &limits), Code::JsonSize);
    assert!(read(b"{ }", &limits, Object::<Probe>::new()).is_ok());

    limits = Limits::DEFAULT;
    limits.json_depth = 3;
    assert!(read(br#"{"a":[{}]}"#, &limits, Object::<Probe>::new()).is_ok());
    assert_eq!(refused(r#"{"a":[{"b":[]}]}"#, &limits), Code::JsonDepth);
    // Siblings add nothing to the depth.
    assert!(read(br#"{"a":[[],{},[]]}"#, &limits, Object::<Probe>::new()).is_ok());

    limits.json_members = 2;
    assert_eq!(
        refused(r#"{"a":1,"b":2,"c":3}"#, &limits),
        Code::JsonMembers
    );
    assert_eq!(refused(r#"{"list":[1,2,3]}"#, &limits), Code::JsonMembers);
    assert!(read(br#"{"a":[1,2,3]}"#, &limits, Object::<Probe>::new()).is_ok());
}

#[test]
fn the_deepest_document_meets_our_limit_before_the_librarys() {
    let mut limits = Limits::DEFAULT;
    limits.json_depth = u32::MAX;
    for (depth, expected) in [
        (126, None),
        (127, Some(Code::JsonDepth)),
        (5000, Some(Code::JsonDepth)),
    ] {
        let mut document = vec![b'['; depth - 1];
        document.splice(0..0, *b"{\"a\":");
        document.extend(vec![b']'; depth - 1]);
        document.push(b'}');
        let result = read(&document, &limits, Object::<Probe>::new());
        assert_eq!(result.err().map(|error| error.code()), expected, "{depth}");
    }
}

#[test]
fn memory_that_cannot_be_had_is_a_refusal() {
    let error = Vec::<u64>::new().try_reserve(usize::MAX).map_err(no_memory);
    assert_eq!(error.unwrap_err().code(), Code::JsonMemory);
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused(document in any::<Vec<u8>>()) {
        let _ = probe(&document);
    }

    #[test]
    fn json_like_bytes_are_taken_or_refused(document in r#"[\[\]{}:,"a1\\u0-9. \n]{0,64}"#) {
        if let Err(error) = probe(document.as_bytes()) {
            prop_assert!(matches!(error.at(), At::Json(at) if at <= document.len() as u64));
        }
    }

    /// Whatever this reader takes, serde_json's own tree takes too.
    #[test]
    fn nothing_is_taken_that_is_not_json(document in r#"\{("[a-c]":([0-9]{1,3}|\[\]|"x"|\{\}),?){0,3}\}"#) {
        if probe(document.as_bytes()).is_ok() {
            let value: Result<serde_json::Value, _> = serde_json::from_str(&document);
            prop_assert!(value.is_ok());
        }
    }
}
