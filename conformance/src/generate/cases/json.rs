//! How JSON is read, whatever the document.

use erofs_unpack_core::{At, Code};

use super::super::suite::Suite;
use super::documents::{MANIFEST, end_of, manifest, plain};
use crate::manifest::Operation;

pub(super) fn add(suite: &mut Suite) {
    syntax(suite);
    limits(suite);
}

fn syntax(suite: &mut Suite) {
    let good = manifest(&[plain("")]);
    let source = ("rfc8259", "2 to 8");
    let mut refused = |id: &str, description: &str, text: &str, code, at| {
        let draft = suite.document(id, description, text, Operation::Document);
        suite.add(
            draft
                .demand(source.0, source.1)
                .differs_from("manifest/manifest")
                .refused(code, at),
        );
    };
    let length = good.len() as u64;
    refused(
        "json/empty",
        "Nothing at all.",
        "",
        Code::JsonSyntax,
        At::Json(0),
    );
    refused(
        "json/truncated",
        "The last brace is missing.",
        &good[..good.len() - 1],
        Code::JsonSyntax,
        At::Json(length - 1),
    );
    refused(
        "json/trailing",
        "A brace follows the document.",
        &format!("{good}}}"),
        Code::JsonSyntax,
        At::Json(length),
    );
    refused(
        "json/two",
        "Another document follows the first.",
        &format!("{good}{{}}"),
        Code::JsonSyntax,
        At::Json(length),
    );
    refused(
        "json/comma",
        "A comma follows the last member.",
        &format!("{},}}", &good[..good.len() - 1]),
        Code::JsonSyntax,
        At::Json(length),
    );
    let text = format!("{{// comment\n{}", &good[1..]);
    refused(
        "json/comment",
        "A comment stands before the first member.",
        &text,
        Code::JsonSyntax,
        At::Json(1),
    );
    let text = good.replacen("\"schemaVersion\":2", "\"schemaVersion\":02", 1);
    refused(
        "json/leading-zero",
        "A number starts with a zero.",
        &text,
        Code::JsonSyntax,
        end_of(&text, "\"schemaVersion\":02"),
    );
    let text = good.replacen("\"schemaVersion\"", "\"a\":\"\u{1}\",\"schemaVersion\"", 1);
    refused(
        "json/control",
        "A string holds a control character.",
        &text,
        Code::JsonSyntax,
        end_of(&text, "\u{1}"),
    );
    let text = good.replacen(
        "\"schemaVersion\"",
        "\"a\":\"\\ud800\",\"schemaVersion\"",
        1,
    );
    refused(
        "json/surrogate",
        "A string holds half a surrogate pair.",
        &text,
        Code::JsonSyntax,
        end_of(&text, "\\ud800\""),
    );
    refused(
        "json/array",
        "The document is an array.",
        "[]",
        Code::JsonType,
        At::Json(0),
    );
    let text = format!("{},\"layers\":[]}}", &good[..good.len() - 1]);
    refused(
        "json/duplicate-key",
        "The layers come twice, so that two readers may see two images.",
        &text,
        Code::JsonDuplicateKey,
        end_of(&text, "\"layers\""),
    );
    let text = format!("{},\"l\\u0061yers\":[]}}", &good[..good.len() - 1]);
    refused(
        "json/duplicate-key-escaped",
        "The layers come twice, once with an escape in the key.",
        &text,
        Code::JsonDuplicateKey,
        end_of(&text, "\"l\\u0061yers\""),
    );
    let text = format!("{},\"x\":{{\"a\":1,\"a\":1}}}}", &good[..good.len() - 1]);
    refused(
        "json/duplicate-key-unknown",
        "A key comes twice in an object that nobody reads.",
        &text,
        Code::JsonDuplicateKey,
        end_of(&text, "\"a\""),
    );
    let text = format!("{},\"Layers\":[]}}", &good[..good.len() - 1]);
    refused(
        "json/key-case",
        "A key is that of the layers but for its case, which readers in Go take for it.",
        &text,
        Code::JsonKeyCase,
        end_of(&text, "\"Layers\""),
    );
    let text = good.replacen("\"layers\":[", "\"layers\":null,\"x\":[", 1);
    refused(
        "json/null",
        "The layers are null, which is a list without any.",
        &text,
        Code::ManifestEmpty,
        At::Json(text.len() as u64 - 1),
    );
    let text = good.replacen(&format!("\"{MANIFEST}\""), "null", 1);
    refused(
        "json/null-text",
        "The media type is null, which is no text.",
        &text,
        Code::JsonType,
        end_of(&text, "\"mediaType\":null"),
    );
    let text = manifest(&[plain(",\"annotations\":{\"a\":null}")]);
    refused(
        "json/null-annotation",
        "An annotation is null, which some readers take for an empty text.",
        &text,
        Code::JsonType,
        end_of(&text, "\"a\":null"),
    );
    let text = good.replacen(
        &format!("\"mediaType\":\"{MANIFEST}\""),
        "\"mediaType\":7",
        1,
    );
    refused(
        "json/number-for-text",
        "The media type is a number.",
        &text,
        Code::JsonType,
        end_of(&text, "\"mediaType\":7"),
    );
}

fn limits(suite: &mut Suite) {
    let good = manifest(&[plain("")]);
    let source = ("security", "Limits");
    let deep = format!(
        "{{\"x\":{}{},{}",
        "[".repeat(32),
        "]".repeat(32),
        &good[1..]
    );
    let draft = suite.document(
        "json/depth",
        "Arrays are nested so that the innermost one is at depth 33.",
        &deep,
        Operation::Document,
    );
    suite.add(
        draft
            .demand(source.0, source.1)
            .differs_from("json/depth-limit")
            .refused(Code::JsonDepth, At::Json(5 + 31)),
    );
    let fits = format!(
        "{{\"x\":{}{},{}",
        "[".repeat(31),
        "]".repeat(31),
        &good[1..]
    );
    let draft = suite.document(
        "json/depth-limit",
        "Arrays are nested so that the innermost one is at depth 32, which is the limit.",
        &fits,
        Operation::Document,
    );
    suite.add(draft.demand(source.0, source.1));
    let draft = suite.document(
        "json/size",
        "The document is one byte larger than the limit.",
        &good,
        Operation::Document,
    );
    suite.add(
        draft
            .demand(source.0, source.1)
            .differs_from("manifest/manifest")
            .limits(|limits| limits.json_size = Some(good.len() as u64 - 1))
            .refused(Code::JsonSize, At::Whole),
    );
    let text = good.replacen('{', "{\"a\":1,\"b\":2,", 1);
    let draft = suite.document(
        "json/members",
        "An object has six members where the limit is five.",
        &text,
        Operation::Document,
    );
    suite.add(
        draft
            .demand(source.0, source.1)
            .differs_from("manifest/manifest")
            .limits(|limits| limits.json_members = Some(5))
            .refused(Code::JsonMembers, end_of(&text, "\"layers\"")),
    );
    let two = manifest(&[plain(""), plain("")]);
    let draft = suite.document(
        "manifest/layers-limit",
        "There are two layers where the limit is one.",
        &two,
        Operation::Document,
    );
    suite.add(
        draft
            .demand(source.0, source.1)
            .differs_from("manifest/manifest")
            .limits(|limits| limits.layers = Some(1))
            .refused(
                Code::ManifestLayers,
                At::Json((two.len() - 2 - plain("").len()) as u64),
            ),
    );
}
