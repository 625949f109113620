//! The cases while they are gathered, and the files that they need.

use std::collections::BTreeMap;

use erofs_unpack_core::{At, Code};
use serde_json::{Map, Value as Json};

use super::{gzip, zstd};
use crate::blob::{Blob, Content, Part, measure, sha256};
use crate::manifest::{
    Case, CheckInput, Demand, DocumentInput, Expected, Level, Limits, MediaTypeInput, Operation,
    PlanInput, Policy, ReadInput, Refusal, SeekInput, Text, UnpackInput,
};
use crate::native;

/// A wire form of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// The blob is the image.
    Plain,
    /// zstd.
    Zstd,
    /// gzip.
    Gzip,
}

impl Wire {
    /// All forms.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Zstd, Self::Gzip];

    /// The last part of the ids of cases in this form.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The media type of an image in this form: one family after another.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Plain => "application/vnd.erofs",
            Self::Zstd => "application/vnd.erofs.layer.v1+zstd",
            Self::Gzip => "application/vnd.erofs.layer.overlayfs.v1.erofs+gzip",
        }
    }

    /// The end of the names of files in this form.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Plain => "erofs",
            Self::Zstd => "erofs.zst",
            Self::Gzip => "erofs.gz",
        }
    }

    /// An image in this form, written by hand.
    #[must_use]
    pub fn wrap(self, image: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => image.to_vec(),
            Self::Zstd => zstd::wrap(image),
            Self::Gzip => gzip::wrap(image),
        }
    }
}

/// The cases so far.
#[derive(Debug, Default)]
pub struct Suite {
    cases: Vec<Case>,
    files: BTreeMap<String, Vec<u8>>,
    /// Files by the SHA-256 of their content, so that none is there twice.
    known: BTreeMap<String, String>,
}

impl Suite {
    /// Makes a file and gives its description.
    ///
    /// # Panics
    ///
    /// When there is another of that name.
    pub fn file(&mut self, path: &str, bytes: &[u8]) -> Blob {
        let digest = sha256(bytes);
        let blob = |path: &str| Blob {
            content: Content::File(path.into()),
            size: bytes.len() as u64,
            sha256: digest.clone(),
        };
        // A layout is a folder of its own; only cases share their files.
        if path.starts_with("cases/") {
            if let Some(path) = self.known.get(&digest) {
                return blob(path);
            }
            self.known.insert(digest.clone(), path.into());
        }
        let old = self.files.insert(path.into(), bytes.to_vec());
        assert!(old.is_none_or(|old| old == bytes), "{path} twice");
        blob(path)
    }

    /// Takes note of a file that is there already, so that cases name it.
    pub fn known(&mut self, path: &str, bytes: &[u8]) -> Blob {
        let digest = sha256(bytes);
        self.known.insert(digest.clone(), path.into());
        Blob {
            content: Content::File(path.into()),
            size: bytes.len() as u64,
            sha256: digest,
        }
    }

    /// The description of a recipe.
    ///
    /// # Panics
    ///
    /// Never: the parts were made from bytes.
    #[must_use]
    pub fn recipe(parts: Vec<Part>) -> Blob {
        let mut blob = Blob {
            content: Content::Parts(parts),
            size: 0,
            sha256: String::new(),
        };
        let folder = std::path::Path::new("");
        let reader = blob.open(folder).expect("parts are hex");
        let (size, sha256) = measure(reader).expect("parts are in memory");
        blob.size = size;
        blob.sha256 = sha256;
        blob
    }

    /// Adds a case.
    pub fn add(&mut self, case: Draft) {
        self.cases.push(case.case);
    }

    /// A layer's case, with its blob as a file.
    pub fn layer(&mut self, id: &str, description: &str, wire: Wire, blob: &[u8]) -> Draft {
        let blob = self.file(&format!("cases/{id}.{}", wire.extension()), blob);
        layer(id, description, wire, blob)
    }

    /// A case of checking an image.
    pub fn check(&mut self, id: &str, description: &str, file: &str, image: &[u8]) -> Draft {
        let input = CheckInput {
            image: self.file(&format!("cases/{file}.erofs"), image),
            level: Level::default(),
            policy: Policy::default(),
            allow: Vec::new(),
            devices: 0,
            kernel: None,
            limits: Limits::default(),
        };
        Draft::new(id, description, Operation::Check(input))
    }

    /// A case of reading an image.
    pub fn read(&mut self, id: &str, description: &str, image: &[u8]) -> Draft {
        let input = ReadInput {
            image: self.file(&format!("cases/{id}.erofs"), image),
            limits: Limits::default(),
        };
        Draft::new(id, description, Operation::Read(input))
    }

    /// A document's case of this operation.
    pub fn document(
        &mut self,
        id: &str,
        description: &str,
        text: &str,
        operation: fn(DocumentInput) -> Operation,
    ) -> Draft {
        let document = self.file(&format!("cases/{id}.json"), text.as_bytes());
        let input = DocumentInput {
            document,
            media_type: None,
            limits: Limits::default(),
        };
        Draft::new(id, description, operation(input))
    }

    /// A case of planning an image.
    pub fn plan(&mut self, id: &str, description: &str, manifest: &str, config: &str) -> Draft {
        let manifest = self.file(&format!("cases/{id}.manifest.json"), manifest.as_bytes());
        let config = (!config.is_empty())
            .then(|| self.file(&format!("cases/{id}.config.json"), config.as_bytes()));
        let input = PlanInput {
            manifest,
            config,
            policy: Policy::default(),
            limits: Limits::default(),
        };
        Draft::new(id, description, Operation::Plan(input))
    }

    /// The cases, sorted by id, and the files.
    ///
    /// # Panics
    ///
    /// When two cases have one id.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Case>, BTreeMap<String, Vec<u8>>) {
        self.cases.sort_by(|a, b| a.id.cmp(&b.id));
        for pair in self.cases.windows(2) {
            assert!(pair[0].id != pair[1].id, "{} twice", pair[0].id);
        }
        (self.cases, self.files)
    }
}

/// A layer's case.
#[must_use]
pub fn layer(id: &str, description: &str, wire: Wire, blob: Blob) -> Draft {
    let input = UnpackInput {
        blob,
        media_type: wire.media_type().into(),
        digest: None,
        size: None,
        diff_id: None,
        annotations: BTreeMap::new(),
        devices: None,
        limits: Limits::default(),
    };
    Draft::new(id, description, Operation::Unpack(input))
}

/// A case that is being described.
#[derive(Debug)]
pub struct Draft {
    case: Case,
}

impl Draft {
    /// A case that is valid with nothing said of it.
    #[must_use]
    pub fn new(id: &str, description: &str, operation: Operation) -> Self {
        Self {
            case: Case {
                id: id.into(),
                description: description.into(),
                flags: Vec::new(),
                origin: "generated".into(),
                demands: Vec::new(),
                differs_from: None,
                operation,
                expected: Expected::Valid {
                    outputs: Map::new(),
                },
            },
        }
    }

    /// A case of a text by itself.
    #[must_use]
    pub fn text(id: &str, description: &str, text: &str, operation: fn(Text) -> Operation) -> Self {
        Self::new(id, description, operation(Text { text: text.into() }))
    }

    /// A case of a media type.
    #[must_use]
    pub fn media_type(id: &str, description: &str, text: &str, device: bool) -> Self {
        let input = MediaTypeInput {
            text: text.into(),
            device,
        };
        Self::new(id, description, Operation::MediaType(input))
    }

    /// What is done with which input, to be changed.
    pub const fn operation(&mut self) -> &mut Operation {
        &mut self.case.operation
    }

    /// Gives it another id.
    #[must_use]
    pub fn renamed(mut self, id: &str) -> Self {
        self.case.id = id.into();
        self
    }

    /// States what demands the answer.
    #[must_use]
    pub fn demand(mut self, source: &str, section: &str) -> Self {
        self.case.demands.push(Demand {
            source: source.into(),
            section: section.into(),
        });
        self
    }

    /// States the valid case that this one differs from.
    #[must_use]
    pub fn differs_from(mut self, id: &str) -> Self {
        self.case.differs_from = Some(id.into());
        self
    }

    /// Sets a flag.
    #[must_use]
    pub fn flag(mut self, name: &str) -> Self {
        self.case.flags.push(name.into());
        self
    }

    /// States another origin.
    #[must_use]
    pub fn origin(mut self, name: &str) -> Self {
        self.case.origin = name.into();
        self
    }

    /// Changes what is stated of a layer.
    ///
    /// # Panics
    ///
    /// When it is no layer's case.
    #[must_use]
    pub fn stating(mut self, change: impl FnOnce(&mut UnpackInput)) -> Self {
        match &mut self.case.operation {
            Operation::Unpack(input) => change(input),
            other => panic!("{other:?}"),
        }
        self
    }

    /// Changes what is stated of a layer that is read at random.
    ///
    /// # Panics
    ///
    /// When it is no such case.
    #[must_use]
    pub fn seeking(mut self, change: impl FnOnce(&mut SeekInput)) -> Self {
        match &mut self.case.operation {
            Operation::Seek(input) => change(input),
            other => panic!("{other:?}"),
        }
        self
    }

    /// Changes what is asked of a check.
    ///
    /// # Panics
    ///
    /// When it is no check's case.
    #[must_use]
    pub fn with_input(mut self, change: impl FnOnce(&mut CheckInput)) -> Self {
        match &mut self.case.operation {
            Operation::Check(input) => change(input),
            other => panic!("{other:?}"),
        }
        self
    }

    /// Sets limits.
    ///
    /// # Panics
    ///
    /// When the operation knows none.
    #[must_use]
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(match &mut self.case.operation {
            Operation::Unpack(input) => &mut input.limits,
            Operation::Plan(input) => &mut input.limits,
            Operation::Layout(input) => &mut input.limits,
            Operation::Check(input) => &mut input.limits,
            Operation::Read(input) => &mut input.limits,
            Operation::Seek(input) => &mut input.limits,
            Operation::Tar(input) | Operation::Build(input) => &mut input.limits,
            Operation::LayoutMarker(input)
            | Operation::Document(input)
            | Operation::Config(input) => &mut input.limits,
            other => panic!("{other:?}"),
        });
        self
    }

    /// Sets the policy.
    ///
    /// # Panics
    ///
    /// When the operation knows none.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        match &mut self.case.operation {
            Operation::Plan(input) => input.policy = policy,
            Operation::Layout(input) => input.policy = policy,
            Operation::Check(input) => input.policy = policy,
            other => panic!("{other:?}"),
        }
        self
    }

    /// It passes, and this must be said of it.
    ///
    /// # Panics
    ///
    /// When that is no object.
    #[must_use]
    pub fn valid(mut self, outputs: Json) -> Self {
        let Json::Object(outputs) = outputs else {
            panic!("{outputs}");
        };
        self.case.expected = Expected::Valid { outputs };
        self
    }

    /// It is refused with this error.
    #[must_use]
    pub fn refused(mut self, code: Code, at: At) -> Self {
        self.case.expected = Expected::Invalid {
            error: Refusal {
                id: code.id().into(),
                kind: code.kind().id().into(),
                at: native::place(at),
            },
            outputs: Map::new(),
        };
        self
    }

    /// This must be said besides.
    ///
    /// # Panics
    ///
    /// When that is no object.
    #[must_use]
    pub fn with_outputs(mut self, said: Json) -> Self {
        let Json::Object(said) = said else {
            panic!("{said}");
        };
        match &mut self.case.expected {
            Expected::Valid { outputs } | Expected::Invalid { outputs, .. } => {
                outputs.extend(said);
            }
        }
        self
    }
}
