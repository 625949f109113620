//! Rules of fingerprints, which state the content of files.

use erofs_unpack_core::Code;
use erofs_unpack_core::oci::Algorithm;

use super::super::super::erofs::{
    Index, Node, Tree, Xattr, compat, full, header, incompat, lz4_run, padded,
};
use super::super::super::suite::Suite;
use super::breach::{Clean, Source, clean};
use super::trees::lz4_tree;
use crate::manifest::Level;

const SHARE: Source = ("linux", "fs/erofs/ishare.c, erofs_ishare_fill_inode");
const FORM: Source = ("erofs-utils", "lib/inode.c, erofs_set_inode_fingerprint");
const GET: Source = (
    "linux",
    "fs/erofs/xattr.c, erofs_xattr_fill_inode_fingerprint",
);
/// The first long prefix, and a short one that there is not.
const LONG: u8 = 0x80;
const NONE: u8 = 0;
const USER: u8 = 1;
/// Where the digest starts in the value of a fingerprint.
const DIGEST: usize = 7;

pub(super) fn add(suite: &mut Suite) {
    let id = "check-clean/fingerprints";
    let made = tree().write();
    let draft = clean(
        suite,
        id,
        "A plain and a compressed file with fingerprints, under a name that the kernel does not list.",
        &made.image.0,
        [3, 1],
    );
    suite.add(draft);
    let prints = Clean {
        id: id.to_owned(),
        made,
        level: Level::Full,
        devices: 0,
    };
    for path in ["compressed", "plain"] {
        let value = prints.made.at(&format!("xattr {path} ")) + 4;
        prints
            .breaks(
                &format!("check-content/fingerprint-{path}"),
                "The fingerprint of a file is that of another content.",
                SHARE,
                Code::FingerprintContent,
                prints.nid(path),
            )
            .always(
                suite,
                &prints.edit().bytes(value + DIGEST, &[0; 4]).mended(),
            );
    }
    let value = prints.made.at("xattr plain ") + 4;
    prints
        .breaks(
            "check-content/fingerprint-form",
            "The fingerprint of a file is not a digest in the form of mkfs.erofs.",
            FORM,
            Code::FingerprintForm,
            prints.nid("plain"),
        )
        .strict(suite, &prints.edit().bytes(value, b"S").mended());
    // The xattr beside it takes the same name.
    let note = prints.made.at("xattr plain erofs.fingerprint.v1");
    prints
        .breaks(
            "check-xattr/duplicate-fingerprint",
            "A file has two fingerprints.",
            GET,
            Code::XattrDuplicate,
            prints.nid("plain"),
        )
        .always(suite, &prints.edit().bytes(note + 1, &[NONE]).mended());
}

fn fingerprint(content: &[u8]) -> Xattr {
    let digest = Algorithm::Sha256.digest(content);
    Xattr::inline(LONG, "", &[b"sha256:", digest.as_bytes()].concat())
}

fn tree() -> Tree {
    let map = vec![Index::Head(1, 0, 0), Index::Rest(1, 1)];
    let mut tree = lz4_tree(vec![
        Node::dir(""),
        Node::compressed(
            "compressed",
            1,
            1000,
            full(header(0, 0, 0, 0), map),
            padded(&lz4_run(b'c', 1, 1000), 512),
        )
        .with(vec![fingerprint(&[b'c'; 1000])]),
        Node::inline("plain", b"content\n").with(vec![
            fingerprint(b"content\n"),
            Xattr::inline(USER, "erofs.fingerprint.v1", b"a note"),
        ]),
    ])
    .compat(compat::XATTR_FILTER | compat::PLAIN_XATTR_PFX | compat::ISHARE_XATTRS)
    .incompat(incompat::XATTR_PREFIXES);
    tree.prefixes = vec![(NONE, "erofs.fingerprint.v1")];
    tree
}
