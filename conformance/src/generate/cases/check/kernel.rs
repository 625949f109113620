//! Which releases of Linux read an image as it is meant.

use erofs_unpack_core::{At, Code};
use serde_json::json;

use super::super::super::erofs::{Node, Tree, Xattr, incompat};
use super::super::super::suite::Suite;
use super::breach::{Clean, Source};
use super::trees::Trees;
use crate::manifest::{Level, Policy};

const PREFIXES: Source = ("linux", "Documentation/filesystems/erofs.rst");
const PCLUSTERS: Source = ("linux", "commit 0ee3a0d59e00, merged for 6.8");
const WIDE: Source = ("linux", "commit 61ba89b57905, merged for 6.15");
const LINK: Source = ("linux", "commit 9ed50b8231e3, merged for 6.12");
const PADDING: Source = ("linux", "commit 7cef3c834194, merged for 7.0");

/// Index of the prefix `trusted.` of xattrs.
const TRUSTED: u8 = 4;
/// The superblock.
const START: At = At::Image(1024);

pub(super) fn add(suite: &mut Suite, trees: &Trees) {
    let Trees {
        tree,
        names,
        xattrs,
        compressed,
        ..
    } = trees;
    both(
        suite,
        "prefixes",
        "There are long prefixes of xattr names, and blocks of 512 bytes.",
        PREFIXES,
        &xattrs.made.image.0,
        ["6.3", "6.4"],
        START,
    );
    both(
        suite,
        "small-pclusters",
        "Files are compressed, in blocks of 512 bytes.",
        PCLUSTERS,
        &compressed.made.image.0,
        ["6.7", "6.8"],
        compressed.nid("big"),
    );
    both(
        suite,
        "hole",
        "A file that is no chunks is one hole.",
        WIDE,
        &tree.made.image.0,
        ["6.14", "6.15"],
        tree.nid("hole"),
    );
    both(
        suite,
        "dot-omitted",
        "The inode of a directory says that it has no entry for itself.",
        WIDE,
        &names.made.image.0,
        ["6.14", "6.15"],
        names.nid("e"),
    );
    both(
        suite,
        "compact-time",
        "A compact inode has a time of its own, where older kernels see none.",
        WIDE,
        &xattrs.edit().inode("bare", "i_mtime", 1).mended(),
        ["6.14", "6.15"],
        xattrs.nid("bare"),
    );
    let padded = u64::from(incompat::COMPR_CFGS | incompat::ZTAILPACKING);
    both(
        suite,
        "lz4-without-padding",
        "LZ4, and nothing says that its data is padded.",
        PADDING,
        &compressed
            .edit()
            .superblock("feature_incompat", padded)
            .mended(),
        ["7.0", "6.19"],
        START,
    );
    let made = Tree::new(vec![
        Node::dir(""),
        Node::symlink("s", "target").with(vec![Xattr::inline(TRUSTED, "long", &[b'x'; 470])]),
    ])
    .write();
    let across = Clean {
        id: "check-kernel/symlink".to_owned(),
        made,
        level: Level::Metadata,
        devices: 0,
    };
    both(
        suite,
        "symlink",
        "The target of a symbolic link lies in the block behind that of its inode.",
        LINK,
        &across.made.image.0,
        ["6.11", "6.12"],
        across.nid("s"),
    );
}

/// A release that does not read an image, and one that does.
fn both(
    suite: &mut Suite,
    name: &str,
    description: &str,
    demand: Source,
    image: &[u8],
    releases: [&str; 2],
    at: At,
) {
    let [without, with] = releases;
    let id = format!("check-kernel/{name}");
    let with_release = |release: &str| format!("{id}/{}", release.replace('.', "-"));
    let mut draft = |release: &str| {
        suite
            .check(&with_release(release), description, &id, image)
            .policy(Policy::Any)
            .with_input(|input| input.kernel = Some(release.to_owned()))
            .demand(demand.0, demand.1)
    };
    let refused = draft(without)
        .differs_from(&with_release(with))
        .refused(Code::KernelVersion, at)
        .with_outputs(json!({"errors": [Code::KernelVersion.id()], "warnings": []}));
    let passes = draft(with).valid(json!({"errors": [], "warnings": []}));
    suite.add(refused);
    suite.add(passes);
}
