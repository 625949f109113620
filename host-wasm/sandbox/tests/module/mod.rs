//! Modules in text form that have all entry points, of which some do something else.

use std::collections::BTreeMap;

use erofs_unpack_sandbox::{Late, Sandbox};

/// Where the answer buffer lies.
pub(crate) const ANSWER: u32 = 196_608;

/// Every entry point that the host asks for: name, parameters, result, and a body that is right
/// for a guest to which all is well.
const ENTRIES: [(&str, &str, &str, &str); 21] = [
    ("eu_version", "", "i32", "i32.const 1"),
    ("eu_input_address", "", "i32", "i32.const 65536"),
    ("eu_input_size", "", "i32", "i32.const 4096"),
    ("eu_output_address", "", "i32", "i32.const 131072"),
    ("eu_output_size", "", "i32", "i32.const 4096"),
    ("eu_answer_address", "", "i32", "i32.const 196608"),
    ("eu_answer_size", "", "i32", "i32.const 4096"),
    ("eu_open", "i32", "i32", "i32.const 1"),
    ("eu_set", "i32 i32 i64", "i32", "i32.const 0"),
    ("eu_set_text", "i32 i32 i32", "i32", "i32.const 0"),
    ("eu_start", "i32", "i32", "i32.const 0"),
    ("eu_push", "i32 i32 i32", "i32", "i32.const 0"),
    ("eu_consumed", "", "i32", "global.get $given"),
    ("eu_produced", "", "i32", "i32.const 0"),
    ("eu_crc", "i32 i32", "i32", "i32.const 0"),
    ("eu_finish", "i32", "i32", "i32.const 0"),
    ("eu_error", "i32", "i32", "i32.const 232"),
    ("eu_check", "i32", "i32", "i32.const 0"),
    ("eu_get", "i32 i32", "i32", "i32.const 0"),
    ("eu_get_text", "i32 i32", "i32", "i32.const 3"),
    ("eu_value", "", "i64", "i64.const 0"),
];

/// A module.
#[derive(Clone, Default)]
pub(crate) struct Module {
    bodies: BTreeMap<&'static str, String>,
    start: Option<String>,
    data: Option<(u32, Vec<u8>)>,
    pages: u32,
}

impl Module {
    /// One that does no harm, and decodes everything to nothing.
    pub(crate) fn new() -> Self {
        Self {
            pages: 16,
            ..Self::default()
        }
    }

    /// The same with another body of an entry point.
    pub(crate) fn with(mut self, name: &str, body: &str) -> Self {
        let (name, ..) = ENTRIES.iter().find(|entry| entry.0 == name).unwrap();
        self.bodies.insert(name, body.to_owned());
        self
    }

    /// The same with something that is done when an instance is made.
    pub(crate) fn with_start(mut self, body: &str) -> Self {
        self.start = Some(body.to_owned());
        self
    }

    /// The same with bytes in its memory.
    pub(crate) fn with_data(mut self, at: u32, bytes: &[u8]) -> Self {
        self.data = Some((at, bytes.to_vec()));
        self
    }

    /// The same with so much memory.
    pub(crate) fn with_pages(mut self, pages: u32) -> Self {
        self.pages = pages;
        self
    }

    /// Its text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::from(
            "(module
            (import \"erofs_unpack\" \"read_at\" (func $read_at (param i64 i32 i32) (result i32)))
            (table 8 funcref)
            (global $given (mut i32) (i32.const 0))
            (global $n (mut i32) (i32.const 0))\n",
        );
        text += &format!("(memory (export \"memory\") {})\n", self.pages);
        for (name, parameters, result, body) in ENTRIES {
            let body = self.bodies.get(name).map_or(body, String::as_str);
            // What was given is remembered, for the answer to how much of it was used.
            let first = if name == "eu_push" {
                "(global.set $given (local.get 2))"
            } else {
                ""
            };
            let parameters = match parameters {
                "" => String::new(),
                _ => format!("(param {parameters})"),
            };
            text += &format!(
                "(func ${name} (export \"{name}\") {parameters} (result {result}) {first} {body})\n"
            )
            .replace(") )", "))");
        }
        text += "(func (export \"eu_finding\") (param i32 i32) (result i32) i32.const 264)\n";
        if let Some(body) = &self.start {
            text += &format!("(func $start {body})\n(start $start)\n");
        }
        if let Some((at, bytes)) = &self.data {
            let bytes: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
            text += &format!("(data (i32.const {at}) \"{bytes}\")\n");
        }
        text + ")"
    }

    /// Its bytes.
    fn binary(&self) -> Vec<u8> {
        let text = self.text();
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }
}

/// A sandbox with a module.
pub(crate) fn sandbox(module: &Module) -> Sandbox {
    Sandbox::compile(&module.binary()).unwrap()
}

/// The same, with guests that do not look at a clock.
pub(crate) fn watched(module: &Module, late: Late) -> Sandbox {
    Sandbox::compile_watched(&module.binary(), late).unwrap()
}

/// The record of an error without a place.
pub(crate) fn record(id: &str) -> Vec<u8> {
    let mut record = vec![0; 232];
    record[2] = u8::try_from(id.len()).unwrap();
    record[40..40 + id.len()].copy_from_slice(id.as_bytes());
    record
}
