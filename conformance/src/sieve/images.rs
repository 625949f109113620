//! The images whose bits are flipped: small ones of every layout.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::source::Tree;
use crate::generate::bases;

/// An image that is made.
#[derive(Debug)]
struct Recipe {
    name: &'static str,
    tree: Tree,
    /// Options of `mkfs.erofs`.
    options: &'static str,
}

const fn recipe(name: &'static str, tree: Tree, options: &'static str) -> Recipe {
    Recipe {
        name,
        tree,
        options,
    }
}

/// All of them, besides the image over a tar of the vectors' bases.
const RECIPES: [Recipe; 31] = [
    recipe("plain", Tree::Kinds, "-x-1"),
    recipe("compact", Tree::Kinds, "--all-time -x2"),
    recipe("extended", Tree::Kinds, "-Eforce-inode-extended"),
    recipe("no-inline", Tree::Kinds, "-E^inline_data"),
    recipe("xattrs-shared", Tree::Kinds, "-x1"),
    recipe(
        "xattrs-long",
        Tree::Kinds,
        "-x1 --xattr-prefix=user.prefix.of.",
    ),
    recipe(
        "xattrs-long-plain",
        Tree::Kinds,
        "--xattr-prefix=user.prefix. -Eplain-xattr-prefixes",
    ),
    recipe("48bit", Tree::Kinds, "-E48bit"),
    recipe("no-dot", Tree::Kinds, "-Edot-omitted"),
    recipe("no-checksum", Tree::Kinds, "-Enosbcrc --all-time"),
    recipe("names-512", Tree::Names, "-b512"),
    recipe("names-1024", Tree::Names, "-b1024 -E^inline_data"),
    recipe("chunks", Tree::Data, "--chunksize=4096"),
    recipe(
        "chunk-map",
        Tree::Data,
        "--chunksize=8192 -Eforce-inode-blockmap",
    ),
    recipe(
        "chunk-indexes",
        Tree::Data,
        "--chunksize=4096 -Eforce-chunk-indexes",
    ),
    recipe("chunks-48bit", Tree::Data, "--chunksize=4096 -E48bit"),
    recipe("lz4", Tree::Data, "-zlz4 -C4096"),
    recipe("lz4-full", Tree::Data, "-zlz4 -Elegacy-compress"),
    recipe("lz4-big", Tree::Data, "-zlz4hc,9 -C16384"),
    recipe(
        "lz4-extents",
        Tree::Data,
        "-zlz4 -E48bit --max-extent-bytes=8192",
    ),
    recipe("lz4-512", Tree::Data, "-zlz4 -b512"),
    recipe("ztail", Tree::Data, "-zlz4 -Eztailpacking"),
    recipe("fragments", Tree::Data, "-zlz4 -Efragments"),
    recipe("all-fragments", Tree::Data, "-zlz4 -Eall-fragments"),
    recipe("dedupe", Tree::Data, "-zlz4 -C16384 -Ededupe"),
    recipe("zstd", Tree::Data, "-zzstd -C16384"),
    recipe("deflate", Tree::Data, "-zdeflate -C8192 -Eztailpacking"),
    recipe("lzma", Tree::Data, "-zlzma,level=1 -C65536"),
    recipe("directories", Tree::Names, "-zlz4 --zD"),
    recipe(
        "metabox",
        Tree::Kinds,
        "-zlz4 -m4096 --MZ --xattr-prefix=user.prefix. -x1",
    ),
    recipe(
        "metabox-fragments",
        Tree::Data,
        "-zlz4 -m4096 --MZ -Efragments",
    ),
];

/// An image and its name.
#[derive(Clone, Debug)]
pub struct SieveImage {
    /// Its name.
    pub name: String,
    /// How it was made; empty when that is not known.
    pub made: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Makes all images in a folder.
///
/// # Errors
///
/// When `mkfs.erofs` fails or is missing, or a tree cannot be made.
pub fn make(folder: &Path) -> io::Result<Vec<SieveImage>> {
    for (tree, name) in [
        (Tree::Kinds, "kinds"),
        (Tree::Names, "names"),
        (Tree::Data, "data"),
    ] {
        let path = folder.join(name);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        tree.plant(&path)?;
    }
    let mut images = Vec::new();
    for recipe in &RECIPES {
        images.push(recipe.make(folder)?);
    }
    if let Some(base) = bases::IMAGES.iter().find(|base| base.name == "tar-index") {
        let made = base.make(folder)?;
        for (file, bytes) in made
            .into_iter()
            .filter(|(file, _)| file.ends_with(".erofs"))
        {
            images.push(SieveImage {
                name: file.trim_end_matches(".erofs").to_owned(),
                made: "--tar=i -b512".to_owned(),
                bytes,
            });
        }
    }
    Ok(images)
}

impl Recipe {
    fn make(&self, folder: &Path) -> io::Result<SieveImage> {
        let name = format!("{}.erofs", self.name);
        let source = match self.tree {
            Tree::Kinds => "kinds",
            Tree::Names => "names",
            Tree::Data => "data",
        };
        let mut arguments: Vec<&str> = self.options.split_whitespace().collect();
        if !arguments.contains(&"--all-time") {
            arguments.push("--preserve-mtime");
            arguments.push("--mkfs-time");
        }
        let made = arguments.join(" ");
        arguments.extend([
            "--quiet",
            "-T1700000123",
            "-U00000000-0000-4000-8000-000000000042",
        ]);
        arguments.extend([name.as_str(), source]);
        let output = Command::new("mkfs.erofs")
            .args(&arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| io::Error::new(error.kind(), format!("mkfs.erofs: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!(
                "mkfs.erofs {made}: {}",
                said.trim()
            )));
        }
        Ok(SieveImage {
            name: self.name.to_owned(),
            made,
            bytes: fs::read(folder.join(name))?,
        })
    }
}

/// The images that lie in a folder, by their names.
///
/// # Errors
///
/// When there is none or one cannot be read.
pub fn read(folder: &Path) -> io::Result<Vec<SieveImage>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "erofs")
    });
    paths.sort();
    let mut images = Vec::new();
    for path in paths {
        images.push(SieveImage {
            name: path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            made: String::new(),
            bytes: fs::read(&path)?,
        });
    }
    if images.is_empty() {
        let text = format!("{}: no file ends in .erofs", folder.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    Ok(images)
}
