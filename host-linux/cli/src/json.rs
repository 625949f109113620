//! JSON that is written while it comes to be, for lists of any length.

use std::io::{self, Write};

use serde::Serialize;

/// Writes one JSON document, piece by piece. The caller keeps the pieces in order.
#[derive(Debug)]
pub(crate) struct JsonWriter<W> {
    out: W,
    /// Whether a comma is due before the next member or item.
    comma: bool,
    /// The brackets that end what is open.
    open: Vec<&'static str>,
}

impl<W: Write> JsonWriter<W> {
    pub(crate) const fn new(out: W) -> Self {
        Self {
            out,
            comma: false,
            open: Vec::new(),
        }
    }

    /// Starts an object, as an item or behind a name.
    pub(crate) fn object(&mut self) -> io::Result<()> {
        self.start("{", "}")
    }

    /// Starts a list, as an item or behind a name.
    pub(crate) fn list(&mut self) -> io::Result<()> {
        self.start("[", "]")
    }

    fn start(&mut self, bracket: &str, end: &'static str) -> io::Result<()> {
        self.separate()?;
        self.out.write_all(bracket.as_bytes())?;
        self.open.push(end);
        self.comma = false;
        Ok(())
    }

    /// Ends what was started last.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        if let Some(bracket) = self.open.pop() {
            self.out.write_all(bracket.as_bytes())?;
        }
        self.comma = true;
        Ok(())
    }

    /// Ends everything but the document itself.
    pub(crate) fn end_to_document(&mut self) -> io::Result<()> {
        while self.open.len() > 1 {
            self.end()?;
        }
        Ok(())
    }

    /// The name of a member; its value comes next.
    pub(crate) fn name(&mut self, name: &str) -> io::Result<()> {
        self.separate()?;
        write!(self.out, "{}:", text(&name))?;
        self.comma = false;
        Ok(())
    }

    /// A value, as an item on a line of its own or behind a name.
    pub(crate) fn value(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.separate()?;
        self.out.write_all(text(value).as_bytes())?;
        self.comma = true;
        Ok(())
    }

    /// The members of something that is an object by itself.
    pub(crate) fn members(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = text(value);
        let inner = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
            .unwrap_or_default();
        if !inner.is_empty() {
            self.separate()?;
            self.out.write_all(inner.as_bytes())?;
            self.comma = true;
        }
        Ok(())
    }

    /// Ends the document, with a line end behind it.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        while !self.open.is_empty() {
            self.end()?;
        }
        self.out.write_all(b"\n")?;
        self.out.flush()
    }

    fn separate(&mut self) -> io::Result<()> {
        let in_list = self.open.last() == Some(&"]");
        match (self.comma, in_list) {
            (false, _) => Ok(()),
            (true, true) => self.out.write_all(b",\n"),
            (true, false) => self.out.write_all(b","),
        }
    }
}

/// One value.
fn text(value: &impl Serialize) -> String {
    // Plain data with string keys always has a form in JSON.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn pieces_make_a_document() {
        let mut text = Vec::new();
        let mut writer = JsonWriter::new(&mut text);
        writer.object().unwrap();
        writer.members(&json!({"a": 1, "b": "\n"})).unwrap();
        writer.members(&json!({})).unwrap();
        writer.name("list").unwrap();
        writer.list().unwrap();
        writer.value(&1).unwrap();
        writer.object().unwrap();
        writer.name("empty").unwrap();
        writer.list().unwrap();
        writer.end().unwrap();
        writer.end().unwrap();
        writer.value(&"two").unwrap();
        writer.object().unwrap();
        writer.end_to_document().unwrap();
        writer.members(&json!({"end": null})).unwrap();
        writer.finish().unwrap();
        let document: Value = serde_json::from_slice(&text).unwrap();
        let expected = json!({
            "a": 1, "b": "\n", "list": [1, {"empty": []}, "two", {}], "end": null
        });
        assert_eq!(document, expected);
    }
}
