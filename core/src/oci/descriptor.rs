//! Content descriptors (OCI image specification 1.1, `descriptor.md`).

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use base64ct::{Base64, Encoding};
use serde::de::MapAccess;

use super::json::{
    Entries, Fields, List, Members, Number, Numeral, Object, OrNull, Text, missing, no_memory,
    owned,
};
use super::platform::{PlatformFields, strings};
use super::{Digest, ErofsAnnotations, MediaType, Platform};
use crate::{At, Code, Error, Value};

/// What a document says of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: MediaType,
    /// The digest of the blob.
    pub digest: Digest,
    /// The size of the blob in bytes, below 2^63.
    pub size: u64,
    /// Where else the blob may be found. Nothing here follows them.
    pub urls: Vec<String>,
    /// All annotations, by key.
    pub annotations: BTreeMap<String, String>,
    /// The blob itself, when it is embedded: it has the digest and the size.
    pub data: Option<Vec<u8>>,
    /// The type of the artifact that the blob describes, as written; not compared.
    pub artifact_type: Option<String>,
    /// The platform that the blob is for, in an index.
    pub platform: Option<Platform>,
    /// The annotations `org.erofs.*`, typed.
    pub erofs: ErofsAnnotations,
}

impl Descriptor {
    /// The annotation of this key.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str)
    }
}

/// What is gathered of a descriptor.
#[derive(Default)]
pub(super) struct DescriptorFields {
    media_type: Option<MediaType>,
    digest: Option<Digest>,
    size: Option<u64>,
    urls: Vec<String>,
    annotations: BTreeMap<String, String>,
    data: Option<Vec<u8>>,
    artifact_type: Option<String>,
    platform: Option<Platform>,
    erofs: ErofsAnnotations,
}

impl Fields for DescriptorFields {
    type Value = Descriptor;
    const NAMES: &'static [&'static str] = &[
        "mediaType",
        "digest",
        "size",
        "urls",
        "annotations",
        "data",
        "artifactType",
        "platform",
    ];

    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        members: &mut Members<'_, 'de, A>,
    ) -> Result<(), A::Error> {
        match name {
            "mediaType" => self.media_type = Some(members.value(Text(MediaType::parse))?),
            "digest" => self.digest = Some(members.value(Text(Digest::parse))?),
            "size" => self.size = Some(members.value(Numeral(size))?),
            "urls" => self.urls = strings(members)?,
            "annotations" => {
                let (annotations, erofs) = (&mut self.annotations, &mut self.erofs);
                members.value(OrNull(Entries(|key: &str, value: &str| {
                    erofs.set(key, value)?;
                    annotations.insert(owned(key)?, owned(value)?);
                    Ok(())
                })))?;
            }
            "data" => self.data = Some(members.value(Text(base64))?),
            "artifactType" => self.artifact_type = Some(members.value(Text(owned))?),
            _ => self.platform = members.value(OrNull(Object::<PlatformFields>::new()))?,
        }
        Ok(())
    }

    fn finish(self) -> Result<Descriptor, Error> {
        let digest = self.digest.ok_or(missing("digest"))?;
        let size = self.size.ok_or(missing("size"))?;
        if let Some(data) = &self.data {
            embedded(data, size, &digest)?;
        }
        Ok(Descriptor {
            media_type: self.media_type.ok_or(missing("mediaType"))?,
            digest,
            size,
            urls: self.urls,
            annotations: self.annotations,
            data: self.data,
            artifact_type: self.artifact_type,
            platform: self.platform,
            erofs: self.erofs,
        })
    }
}

/// Reads an array of descriptors, or `null` for none.
pub(super) fn descriptors<'de, A: MapAccess<'de>>(
    members: &mut Members<'_, 'de, A>,
    most: u32,
    code: Code,
) -> Result<Vec<Descriptor>, A::Error> {
    let list = List {
        item: Object::<DescriptorFields>::new,
        most,
        code,
    };
    members.value(OrNull(list)).map(Option::unwrap_or_default)
}

/// Reads a size: a whole number from 0 to 2^63 - 1, which is what Go's `int64` holds.
fn size(number: Number) -> Result<u64, Error> {
    const MOST: u64 = i64::MAX.unsigned_abs();
    let beyond = Error::new(Code::DescriptorSize, At::Whole).expected(Value::AtMost(MOST));
    match number {
        Number::Unsigned(size) if size <= MOST => Ok(size),
        Number::Unsigned(size) => Err(beyond.found(Value::Number(size))),
        Number::Signed(_) => Err(beyond.found(Value::Text("a negative number"))),
        // The numbers that serde_json gives as floats because they do not fit an integer.
        Number::Float(size) if !(0.0..9.2e18).contains(&size) => Err(beyond),
        Number::Float(_) => Err(Error::new(Code::JsonType, At::Whole)
            .found(Value::Text("a number with a fraction or an exponent"))
            .expected(Value::Text("a whole number"))),
    }
}

/// Decodes RFC 4648 base64 with padding, in the one canonical form.
fn base64(text: &str) -> Result<Vec<u8>, Error> {
    let mut data = Vec::new();
    let room = (text.len() / 4).saturating_add(1).saturating_mul(3);
    data.try_reserve_exact(room).map_err(no_memory)?;
    data.resize(room, 0);
    let length = Base64::decode(text, &mut data)
        .map_err(|_| Error::new(Code::DescriptorBase64, At::Whole))?
        .len();
    data.truncate(length);
    Ok(data)
}

/// Checks embedded data against what the descriptor says of the blob.
fn embedded(data: &[u8], size: u64, digest: &Digest) -> Result<(), Error> {
    if data.len() as u64 != size {
        return Err(Error::new(Code::DescriptorData, At::Whole)
            .found(Value::Number(data.len() as u64))
            .expected(Value::Number(size)));
    }
    let found = digest.algorithm().digest(data);
    if found != *digest {
        return Err(Error::new(Code::DescriptorData, At::Whole)
            .found(Value::Digest(found))
            .expected(Value::Digest(*digest)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::oci::json::read;
    use crate::oci::{Algorithm, Role};
    use proptest::prelude::*;
    use std::format;
    use std::string::ToString;

    fn parse(document: &str) -> Result<Descriptor, Error> {
        read(
            document.as_bytes(),
            &Limits::DEFAULT,
            Object::<DescriptorFields>::new(),
        )
    }

    /// A descriptor of `size` bytes with more fields.
    fn with(size: &str, more: &str) -> Result<Descriptor, Error> {
        let digest = Algorithm::Sha256.digest(b"hello");
        parse(&format!(
            r#"{{"mediaType":"a/b","digest":"{digest}","size":{size}{more}}}"#
        ))
    }

    fn code(result: Result<Descriptor, Error>) -> Code {
        let error = result.unwrap_err();
        assert!(matches!(error.at(), At::Json(_)), "{error}");
        error.code()
    }

    #[test]
    fn every_field_is_read() {
        let descriptor = with(
            "5",
            r#","urls":["https://example.org/x"],
                "annotations":{"org.erofs.role":"device","k":"v","org.erofs.later":"x"},
                "data":"aGVsbG8=","artifactType":"x/y","future":{"a":[1]},
                "platform":{"os":"linux","architecture":"arm64","variant":"v8","os.version":"1",
                "os.features":["erofs"],"features":["f"]}"#,
        )
        .unwrap();
        assert_eq!(descriptor.media_type, MediaType::parse("a/b").unwrap());
        assert_eq!(descriptor.digest, Algorithm::Sha256.digest(b"hello"));
        assert_eq!(descriptor.size, 5);
        assert_eq!(descriptor.urls, ["https://example.org/x"]);
        assert_eq!(descriptor.annotation("k"), Some("v"));
        assert_eq!(descriptor.annotations.len(), 3);
        assert_eq!(descriptor.data.as_deref(), Some(&b"hello"[..]));
        assert_eq!(descriptor.artifact_type.as_deref(), Some("x/y"));
        assert_eq!(descriptor.erofs.role, Some(Role::Device));
        let platform = descriptor.platform.unwrap();
        assert_eq!(platform.to_string(), "linux/arm64/v8");
        assert_eq!(platform.os_version, "1");
        assert_eq!(platform.features, ["f"]);
        assert!(platform.has_erofs());
    }

    #[test]
    fn sizes_are_whole_and_fit_63_bits() {
        assert_eq!(with("0", "").unwrap().size, 0);
        assert_eq!(
            with("9223372036854775807", "").unwrap().size,
            9_223_372_036_854_775_807
        );
        for size in [
            "-1",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775809",
            "1e300",
            "-0.5",
        ] {
            assert_eq!(code(with(size, "")), Code::DescriptorSize, "{size}");
        }
        for size in ["1.0", "1.5", "1e3", "-0", "\"5\"", "null", "[]"] {
            assert_eq!(code(with(size, "")), Code::JsonType, "{size}");
        }
    }

    #[test]
    fn what_is_required_is_missed() {
        let digest = Algorithm::Sha512.digest(b"");
        for (document, name) in [
            (format!(r#"{{"digest":"{digest}","size":0}}"#), "mediaType"),
            (r#"{"mediaType":"a/b","size":0}"#.into(), "digest"),
            (
                format!(r#"{{"mediaType":"a/b","digest":"{digest}"}}"#),
                "size",
            ),
        ] {
            let error = parse(&document).unwrap_err();
            assert_eq!(error.code(), Code::JsonMissing);
            assert_eq!(error.expected_value(), Value::Text(name));
            assert_eq!(error.at(), At::Json(document.len() as u64 - 1));
        }
        for platform in [r#"{"os":"linux"}"#, r#"{"architecture":"arm"}"#] {
            let more = format!(r#","platform":{platform}"#);
            assert_eq!(code(with("5", &more)), Code::JsonMissing);
        }
    }

    #[test]
    fn values_are_refused_with_their_own_codes() {
        for (more, expected) in [
            (
                r#","annotations":{"org.erofs.role":"x"}"#,
                Code::AnnotationRole,
            ),
            (
                r#","annotations":{"org.erofs.uncompressed-digest":"sha256:0"}"#,
                Code::DigestLength,
            ),
            (r#","annotations":{"k":1}"#, Code::JsonType),
            (r#","annotations":{"k":null}"#, Code::JsonType),
            (r#","artifactType":null"#, Code::JsonType),
            (r#","data":null"#, Code::JsonType),
            (
                r#","annotations":{"k":"1","k":"1"}"#,
                Code::JsonDuplicateKey,
            ),
            (r#","urls":"x""#, Code::JsonType),
            (r#","Size":5"#, Code::JsonKeyCase),
            (r#","size":5"#, Code::JsonDuplicateKey),
            (r#","data":"aGVsbG8""#, Code::DescriptorBase64),
            (r#","data":"aGVsbG9=""#, Code::DescriptorBase64),
            (r#","data":"aGVs bG8=""#, Code::DescriptorBase64),
            (r#","data":"aGVsbG8_""#, Code::DescriptorBase64),
            (r#","data":"""#, Code::DescriptorData),
            (r#","data":"aGVsbA==""#, Code::DescriptorData),
            (r#","data":"aGVsbGE=""#, Code::DescriptorData),
        ] {
            assert_eq!(code(with("5", more)), expected, "{more}");
        }
        let error = parse(r#"{"mediaType":"a"}"#).unwrap_err();
        assert_eq!(
            (error.code(), error.at()),
            (Code::MediaTypeSyntax, At::Json(15))
        );
        let error = parse(r#"{"digest":"md5:0"}"#).unwrap_err();
        assert_eq!(error.code(), Code::DigestAlgorithm);
    }

    #[test]
    fn null_is_no_map_and_no_list() {
        let descriptor = with("5", r#","annotations":null,"urls":null,"platform":null"#);
        assert_eq!(descriptor, with("5", ""));
        let platform = r#","platform":{"os":"a","architecture":"b","os.features":null}"#;
        assert!(with("5", platform).unwrap().platform.is_some());
    }

    #[test]
    fn limits_hold() {
        let mut limits = Limits::DEFAULT;
        limits.json_members = 3;
        let document = r#"{"annotations":{"a":"","b":"","c":"","d":""}}"#;
        let shape = Object::<DescriptorFields>::new;
        let error = read(document.as_bytes(), &limits, shape()).unwrap_err();
        assert_eq!(error.code(), Code::JsonMembers);
        let error = read(br#"{"urls":["","","",""]}"#, &limits, shape()).unwrap_err();
        assert_eq!(error.code(), Code::JsonMembers);
    }

    proptest! {
        #[test]
        fn embedded_data_is_what_it_was(data in any::<Vec<u8>>()) {
            let digest = Algorithm::Sha512.digest(&data);
            let mut buffer = std::vec![0; data.len() * 2 + 4];
            let text = Base64::encode(&data, &mut buffer).unwrap();
            let size = data.len();
            let descriptor = parse(&format!(
                r#"{{"data":"{text}","mediaType":"a/b","digest":"{digest}","size":{size}}}"#
            ));
            prop_assert_eq!(descriptor.unwrap().data, Some(data));
        }

        #[test]
        fn any_base64_is_taken_or_refused(text in any::<String>()) {
            let _ = base64(&text);
        }
    }
}
