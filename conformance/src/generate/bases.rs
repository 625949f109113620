//! What only other programs can make: images by `mkfs.erofs` and their compressed forms by
//! `zstd` and `gzip`. They are stored with the vectors and are the generator's input; this
//! makes them again, to compare or after a deliberate change.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::tar::{self, Entry, TIME};
use crate::blob::sha256;
use crate::manifest::Base;

/// The program that images are made with, and its version.
pub const MKFS: &str = "mkfs.erofs (erofs-utils) 1.9.4";
/// The program that zstd blobs are made with.
pub const ZSTD: &str = "zstd 1.5.4";
/// The program that gzip blobs are made with.
pub const GZIP: &str = "gzip 1.12";

/// An image that is made from a stated tree.
#[derive(Debug)]
pub struct BaseImage {
    /// The name of its file, without `.erofs`.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// The tree.
    pub tree: &'static [Entry],
    /// Options of `mkfs.erofs` besides those that all images share.
    options: &'static [&'static str],
    /// The last two digits of its UUID.
    uuid: u8,
    /// Whether the tar follows the image, because it holds the data (`--tar=i`).
    indexes_tar: bool,
    /// Compressed forms that are stored too.
    forms: &'static [Form],
}

/// A compressed form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Zstd,
    Gzip,
}

/// The images.
pub const IMAGES: [BaseImage; 14] = [
    BaseImage {
        name: "small",
        description: "One block with two files inline: what most broken images are made from",
        tree: &[
            Entry::dir("./"),
            Entry::dir("etc"),
            Entry::file("etc/greeting", b"hello from an EROFS layer\n"),
            Entry::file("readme", b"A test image. See vectors/README.md.\n"),
        ],
        options: &[],
        uuid: 1,
        indexes_tar: false,
        forms: &[Form::Zstd, Form::Gzip],
    },
    BaseImage {
        name: "tar-index",
        description: "An image of 512-byte blocks over a tar that follows it and is its device",
        tree: &[
            Entry::dir("./"),
            Entry::file("greeting", b"hello from a tar behind an EROFS image\n"),
        ],
        options: &["--tar=i", "-b512"],
        uuid: 2,
        indexes_tar: true,
        forms: &[],
    },
    BaseImage {
        name: "demo-1",
        description: "The lowest layer of the demo layout",
        tree: &[
            Entry::dir("./"),
            Entry::dir("cache"),
            Entry::file(
                "cache/stale",
                b"from layer 1, hidden by the opaque cache of layer 2\n",
            ),
            Entry::dir("etc"),
            Entry::file("etc/greeting", b"hello from layer 1\n"),
            Entry::file("etc/removed", b"from layer 1, removed by layer 2\n"),
        ],
        options: &["-Enoinline_data"],
        uuid: 3,
        indexes_tar: false,
        forms: &[],
    },
    BaseImage {
        name: "demo-2",
        description: "The middle layer of the demo layout: a whiteout and an opaque folder",
        tree: &[
            Entry::dir("./"),
            Entry::dir("cache"),
            Entry::file("cache/.wh..wh..opq", b""),
            Entry::file("cache/fresh", b"from layer 2\n"),
            Entry::dir("etc"),
            Entry::file("etc/.wh.removed", b""),
        ],
        options: &["-Enoinline_data"],
        uuid: 4,
        indexes_tar: false,
        forms: &[Form::Zstd],
    },
    BaseImage {
        name: "demo-3",
        description: "The highest layer of the demo layout: a changed file and a link",
        tree: &[
            Entry::dir("./"),
            Entry::dir("etc"),
            Entry {
                owner: 1000,
                mode: 0o600,
                ..Entry::file("etc/greeting", b"hello from layer 3\n")
            },
            Entry::link("hello", "etc/greeting"),
        ],
        options: &["-Enoinline_data"],
        uuid: 5,
        indexes_tar: false,
        forms: &[Form::Gzip],
    },
    content("lz4", "LZ4, compact indexes", &["-b512", "-zlz4"], 6),
    content(
        "tail",
        "LZ4, tails behind the indexes",
        &["-b512", "-zlz4hc", "-Eztailpacking"],
        7,
    ),
    content(
        "fragments",
        "LZ4, pclusters of two blocks, tails in the packed inode, extents that are shared",
        &["-b512", "-zlz4", "-Efragments,dedupe", "-C1024"],
        8,
    ),
    content(
        "extents",
        "LZ4, encoded extents and addresses of 48 bits",
        &["-b512", "-zlz4", "-E48bit", "-C2048"],
        9,
    ),
    content(
        "lzma",
        "LZMA, pclusters of four blocks",
        &["-b512", "-zlzma", "-C2048"],
        10,
    ),
    content(
        "deflate",
        "DEFLATE, pclusters of four blocks",
        &["-b512", "-zdeflate", "-C2048"],
        11,
    ),
    content(
        "zstd",
        "zstd, pclusters of four blocks",
        &["-b512", "-zzstd", "-C2048"],
        12,
    ),
    content(
        "chunks",
        "Chunks of two blocks",
        &["-b512", "--chunksize=1024"],
        13,
    ),
    content(
        "metabox",
        "Inodes in a metabox that is compressed with zstd",
        &["-b512", "-zzstd", "-C2048", "-m1024:zstd", "--MZ=i"],
        14,
    ),
];

/// An image of blocks of 512 bytes with files that can be compressed.
const fn content(
    name: &'static str,
    description: &'static str,
    options: &'static [&'static str],
    uuid: u8,
) -> BaseImage {
    BaseImage {
        name,
        description,
        tree: CONTENT,
        options,
        uuid,
        indexes_tar: false,
        forms: &[],
    }
}

/// Files of several blocks, of which one begins as another does, and one of a few bytes.
const CONTENT: &[Entry] = &[
    Entry::dir("./"),
    Entry::file("few", b"too few to be compressed\n"),
    Entry::file("lines", &LINES),
    Entry::file("some", LINES.first_chunk::<3000>().expect("more")),
    Entry::file("zeros", &[0; 5000]),
];

/// Lines that begin with their number.
const LINES: [u8; 4800] = {
    let text = b"0000 a line of a file that compresses ok\n";
    let mut lines = [b'\n'; 4800];
    let mut at = 0;
    while at < lines.len() {
        let (line, column) = (at / text.len(), at % text.len());
        lines[at] = match column {
            1 => b'0' + (line / 100 % 10) as u8,
            2 => b'0' + (line / 10 % 10) as u8,
            3 => b'0' + (line % 10) as u8,
            _ => text[column],
        };
        at += 1;
    }
    lines
};

/// The stored bases, each with the digest that it must have.
pub const DIGESTS: [(&str, &str); 18] = [
    (
        "chunks.erofs",
        "e88edfd19e6265dedd9f5853b6cafba500ac46ed8a77cfd067ea999b96b6c502",
    ),
    (
        "deflate.erofs",
        "959cedbfe2061d0d74fa325089103e2bf8c15cc794f457367ca8fcdd63e6ab86",
    ),
    (
        "demo-1.erofs",
        "8c3111d450ed18261e698e27e6743785211b354e5411eabed097225ea4f00e1c",
    ),
    (
        "demo-2.erofs",
        "4a1e87fa14a7c41e7bc740c381c6a06707a8ccf690920e69bc78e68f7a2bfa40",
    ),
    (
        "demo-2.erofs.zst",
        "a315ccc86f791b4d35017ad3456a61e284c3dc8468536e25cb3edee46d7191e0",
    ),
    (
        "demo-3.erofs",
        "fb0343305bd53d2f4db486811726ae227b5ad5c46a065df86dacc78b48a9b69c",
    ),
    (
        "demo-3.erofs.gz",
        "4532fd946fc3831abd45fda233965c8c173dd4662c9ebb06917d88ce9d75f832",
    ),
    (
        "extents.erofs",
        "cd11a506661dac0c0136ff14514168049a474341649e0d9e4e0343462156ab6d",
    ),
    (
        "fragments.erofs",
        "026f2539a7bc6f389706c95f27f2f99794cca7ec4b6bcf5478cda28103baa356",
    ),
    (
        "lz4.erofs",
        "4fe86c2e489f541b2b01bb299b298fdd5e81ca4c2fc1cc0d011c4a1cb5090864",
    ),
    (
        "lzma.erofs",
        "e8d42328e8c0b7f009699e1dd6c78365ee8c95a43a3aff6def179e02cb61c827",
    ),
    (
        "metabox.erofs",
        "56c9128c3a4a69c0de185d7c436bf05a405b41f06668e2d006d5edc5f77a0694",
    ),
    (
        "small.erofs",
        "e1725d1a6a2e6f7761ee6cb7cf4624ebbd36db2794a3790e94161340cd85b683",
    ),
    (
        "small.erofs.gz",
        "8da3c3473bd775c6c0240a0474b57f1e7e0662ba13ffcf1e4c4ec4ee29569c1c",
    ),
    (
        "small.erofs.zst",
        "06a3b1f7d1338ccd11930474d4f3a79a0e24f235b8eab63a786db3d0fc925d7f",
    ),
    (
        "tail.erofs",
        "6945ca77a8be2324a31036369e68a3870f5c0b218ba1ed2058fab0f14a9bb59f",
    ),
    (
        "tar-index.erofs",
        "bc5d122af65521d6a3790f7b471636bb3eecc872185e2dea201b08ba0eb0158b",
    ),
    (
        "zstd.erofs",
        "597eb585a62002a70aff2f94e91c02eaceb11c95e38e7965381ec52b9b34e337",
    ),
];

/// The stored bases, by the names of their files.
#[derive(Debug)]
pub struct Bases(BTreeMap<String, Vec<u8>>);

impl Bases {
    /// Reads the bases in the folder of the vectors and holds them against [`DIGESTS`].
    ///
    /// # Errors
    ///
    /// When one is missing or is another.
    pub fn read(vectors: &Path) -> io::Result<Self> {
        let mut bases = BTreeMap::new();
        for (name, digest) in DIGESTS {
            let path = vectors.join("bases").join(name);
            let named = |text: &str| format!("{}: {text}", path.display());
            let bytes = fs::read(&path)
                .map_err(|error| io::Error::new(error.kind(), named(&error.to_string())))?;
            if sha256(&bytes) != digest {
                let text = named("does not have the digest that the generator knows");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            bases.insert(name.to_owned(), bytes);
        }
        Ok(Self(bases))
    }

    /// The bytes of a base.
    ///
    /// # Panics
    ///
    /// When there is none of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> &[u8] {
        self.0.get(name).unwrap_or_else(|| panic!("no base {name}"))
    }

    /// What the manifest says of the bases.
    #[must_use]
    pub fn listed(&self) -> Vec<Base> {
        let mut listed = Vec::new();
        for image in &IMAGES {
            for (name, description, made_by, command) in image.files() {
                let bytes = self.get(&name);
                listed.push(Base {
                    file: format!("bases/{name}"),
                    description,
                    made_by: made_by.into(),
                    command,
                    size: bytes.len() as u64,
                    sha256: sha256(bytes),
                });
            }
        }
        listed
    }
}

impl BaseImage {
    fn uuid(&self) -> String {
        format!("00000000-0000-4000-8000-0000000000{:02}", self.uuid)
    }

    /// The arguments of `mkfs.erofs`, without image and tar.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--quiet".to_owned(), "--aufs".to_owned()];
        if !self.indexes_tar {
            arguments.extend(["--tar=f".to_owned(), "-b4096".to_owned()]);
        }
        arguments.extend(self.options.iter().map(|option| (*option).to_owned()));
        arguments.push(format!("-T{TIME}"));
        arguments.push(format!("-U{}", self.uuid()));
        arguments
    }

    /// Names, descriptions, programs and commands of all files that are made of it.
    fn files(&self) -> Vec<(String, String, &'static str, String)> {
        let name = format!("{}.erofs", self.name);
        let tar = format!("{}.tar", self.name);
        let mut command = format!("mkfs.erofs {} {name} {tar}", self.arguments().join(" "));
        if self.indexes_tar {
            command.push_str(&format!(" && cat {tar} >> {name}"));
        }
        let mut files = vec![(name.clone(), self.description.to_owned(), MKFS, command)];
        for form in self.forms {
            let (suffix, program, arguments) = form.command();
            let command = format!("{} {name}", arguments.join(" "));
            let description = format!("{name}, compressed");
            files.push((format!("{name}.{suffix}"), description, program, command));
        }
        files
    }

    /// Makes the image and its forms in a folder.
    ///
    /// # Errors
    ///
    /// When a program is missing or fails.
    pub fn make(&self, folder: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
        let name = format!("{}.erofs", self.name);
        let tar_name = format!("{}.tar", self.name);
        let archive = tar::archive(self.tree);
        fs::write(folder.join(&tar_name), &archive)?;
        let mut arguments = self.arguments();
        arguments.extend([name.clone(), tar_name]);
        run(folder, "mkfs.erofs", &arguments)?;
        let mut image = fs::read(folder.join(&name))?;
        if self.indexes_tar {
            image.extend_from_slice(&archive);
            fs::write(folder.join(&name), &image)?;
        }
        let mut made = BTreeMap::from([(name.clone(), image)]);
        for form in self.forms {
            let (suffix, _, command) = form.command();
            let [program, arguments @ ..] = command else {
                continue;
            };
            let mut arguments: Vec<String> =
                arguments.iter().map(|text| (*text).to_owned()).collect();
            arguments.push(name.clone());
            run(folder, program, &arguments)?;
            let compressed = format!("{name}.{suffix}");
            let bytes = fs::read(folder.join(&compressed))?;
            made.insert(compressed, bytes);
        }
        Ok(made)
    }
}

impl Form {
    /// The suffix of its files, the program, and the command without the file.
    const fn command(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Self::Zstd => ("zst", ZSTD, &["zstd", "-q", "-k", "-19"]),
            Self::Gzip => ("gz", GZIP, &["gzip", "-k", "-n", "-9"]),
        }
    }
}

fn run(folder: &Path, program: &str, arguments: &[String]) -> io::Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{program}: {}", said.trim())))
}
