//! Rules of extended attributes.

use erofs_unpack_core::{At, Code};

use super::super::super::erofs::Xattr;
use super::super::super::suite::Suite;
use super::breach::{Clean, Source, clean};
use super::trees::Trees;

const HEADER: Source = ("linux", "fs/erofs/xattr.c, erofs_init_inode_xattrs");
const ENTRIES: Source = ("linux", "fs/erofs/xattr.c, erofs_xattr_iter_inline");
const SHARED: Source = ("linux", "fs/erofs/xattr.c, erofs_xattr_iter_shared");
const LIST: Source = ("linux", "fs/erofs/xattr.c, erofs_listxattr_foreach");
const GET: Source = ("linux", "fs/erofs/xattr.c, erofs_getxattr");
const PREFIXES: Source = ("linux", "fs/erofs/xattr.c, erofs_xattr_prefixes_init");
const ORIGIN: Source = ("linux", "fs/overlayfs/util.c, ovl_path_check_origin_xattr");
const LENGTH: Source = ("linux", "fs/xattr.c, vfs_getxattr");
const ACL: Source = ("linux", "fs/posix_acl.c, posix_acl_from_xattr");
const METACOPY: Source = ("linux", "fs/overlayfs/util.c, ovl_check_metacopy_xattr");
const CAPABILITY: Source = ("linux", "security/commoncap.c, cap_inode_getsecurity");
const KNOWN: Source = ("linux", "fs/erofs/xattr.h, erofs_xattr_prefix");
/// Index of the prefix of what only the kernel and root see.
const TRUSTED: u8 = 4;
const RECORD: Source = (
    "linux",
    "fs/erofs/erofs_fs.h, struct erofs_xattr_ibody_header",
);

pub(super) fn add(suite: &mut Suite, trees: &Trees) {
    let xattrs = &trees.xattrs;
    let at = |path: &str| xattrs.nid(path);
    // The area of the file "bare" has its header and one id.
    for (name, text, image) in [
        (
            "header",
            "The xattrs of an inode have room for the header alone.",
            xattrs.edit().inode("bare", "i_xattr_icount", 1),
        ),
        (
            "header-ids",
            "The xattrs of an inode have no room for the ids of shared ones.",
            xattrs.edit().xattrs("bare", "h_shared_count", 2),
        ),
    ] {
        let id = format!("check-xattr/{name}");
        xattrs
            .breaks(&id, text, HEADER, Code::XattrHeader, at("bare"))
            .always(suite, &image.mended());
    }
    let entry = xattrs.made.at("xattr inline a");
    let capability = xattrs.made.at("xattr inline capability") + 4 + "capability".len();
    for (name, text, source, code, path, image) in [
        (
            "entry",
            "The last xattr goes beyond the area of its inode.",
            ENTRIES,
            Code::XattrEntry,
            "shared",
            xattrs.edit().xattr("shared", "own", "e_value_size", 6),
        ),
        (
            "bounds",
            "A shared xattr lies beyond the image.",
            SHARED,
            Code::MetadataBounds,
            "bare",
            xattrs
                .edit()
                .bytes(xattrs.made.at("xattrs bare") + 12, &[0xff; 4]),
        ),
        (
            "name",
            "The name of an xattr holds a NUL.",
            LIST,
            Code::XattrName,
            "inline",
            xattrs.edit().bytes(entry + 4, &[0]),
        ),
        (
            "prefix",
            "An xattr names a long prefix that is not there.",
            PREFIXES,
            Code::XattrPrefix,
            "long",
            xattrs.edit().xattr("long", "name", "e_name_index", 0x81),
        ),
        (
            "length",
            "The name of an xattr is a prefix alone.",
            LENGTH,
            Code::XattrLength,
            "inline",
            // The name becomes the first byte of the value.
            xattrs.edit().xattr("inline", "a", "e_name_len", 0).xattr(
                "inline",
                "a",
                "e_value_size",
                2,
            ),
        ),
        (
            "length-acl",
            "The name of an ACL goes on behind its prefix.",
            LENGTH,
            Code::XattrLength,
            "acl",
            // The ACL loses its last entry to the name, which has no NUL.
            xattrs
                .edit()
                .xattr("acl", "", "e_name_len", 8)
                .xattr("acl", "", "e_value_size", 36)
                .bytes(xattrs.made.at("xattr acl ") + 4, &renamed_acl()),
        ),
        (
            "duplicate",
            "An xattr is there twice behind its inode, with two values.",
            GET,
            Code::XattrDuplicate,
            "inline",
            xattrs
                .edit()
                .bytes(xattrs.made.at("xattr inline b") + 4, b"a"),
        ),
        (
            "filter",
            "The filter says that the name of an xattr is not there.",
            GET,
            Code::XattrFilter,
            "inline",
            xattrs.edit().xattrs("inline", "h_name_filter", 0xffff_ffff),
        ),
        (
            "acl",
            "An ACL has another version.",
            ACL,
            Code::XattrAcl,
            "mode",
            xattrs.edit().bytes(xattrs.made.at("xattr mode ") + 4, &[1]),
        ),
        (
            "acl-tag",
            "An ACL has an entry of a tag that there is not.",
            ACL,
            Code::XattrAcl,
            "mode",
            xattrs.edit().bytes(xattrs.made.at("xattr mode ") + 8, &[3]),
        ),
        (
            "acl-nobody",
            "An ACL names a user without a number.",
            ACL,
            Code::XattrAcl,
            "acl",
            xattrs
                .edit()
                .bytes(xattrs.made.at("xattr acl ") + 20, &[0xff; 4]),
        ),
        (
            "acl-cut",
            "An ACL ends in an entry.",
            ACL,
            Code::XattrAcl,
            "mode",
            xattrs.edit().xattr("mode", "", "e_value_size", 27),
        ),
        (
            "acl-empty",
            "An ACL has no entry.",
            ACL,
            Code::XattrAcl,
            "mode",
            // Without entries its inode has room for less.
            xattrs
                .edit()
                .xattr("mode", "", "e_value_size", 4)
                .inode("mode", "i_xattr_icount", 3),
        ),
        (
            "acl-id",
            "An ACL gives the owner's entry a number.",
            ACL,
            Code::XattrAcl,
            "mode",
            xattrs
                .edit()
                .bytes(xattrs.made.at("xattr mode ") + 12, &[0; 4]),
        ),
        (
            "capability",
            "A file capability is of revision 1.",
            CAPABILITY,
            Code::XattrCapability,
            "inline",
            xattrs.edit().bytes(capability + 3, &[1]),
        ),
    ] {
        let id = format!("check-xattr/{name}");
        xattrs
            .breaks(&id, text, source, code, at(path))
            .always(suite, &image.mended());
    }
    let objects = &trees.objects;
    let mark = objects.made.at("xattr far overlay.metacop-") + 4;
    let name = "overlay.metacopy".len();
    objects
        .breaks(
            "check-xattr/metacopy",
            "A file's content lies outside of the image, as in those of composefs.",
            METACOPY,
            Code::FileElsewhere,
            objects.nid("far"),
        )
        .said(suite, &objects.edit().bytes(mark + name - 1, b"y").mended());
    for (id, text, at) in [
        ("version", "version", 0),
        ("size", "size", 1),
        ("algorithm", "algorithm", 3),
    ] {
        objects
            .breaks(
                &format!("check-xattr/metacopy-{id}"),
                &format!("A mark of content outside of the image is of another {text}."),
                METACOPY,
                Code::XattrMetacopy,
                objects.nid("far"),
            )
            .container(
                suite,
                &objects
                    .edit()
                    .bytes(mark + name - 1, b"y")
                    .bytes(mark + name + at, &[9])
                    .mended(),
            );
    }
    let table = xattrs.made.at("prefixes");
    xattrs
        .breaks(
            "check-xattr/prefix-table",
            "A long prefix is empty.",
            PREFIXES,
            Code::XattrPrefix,
            At::Image(table as u64),
        )
        .always(suite, &xattrs.edit().bytes(table, &[0]).mended());
    repeated(suite, xattrs);
    for (name, text, source, code, image) in [
        (
            "unknown",
            "An xattr has a prefix that nobody knows.",
            KNOWN,
            Code::XattrUnknown,
            xattrs.edit().xattr("inline", "b", "e_name_index", 7),
        ),
        (
            "reserved",
            "A reserved byte in front of xattrs is not zero.",
            RECORD,
            Code::XattrReserved,
            xattrs.edit().xattrs("inline", "h_reserved2", 1),
        ),
    ] {
        let id = format!("check-xattr/{name}");
        xattrs
            .breaks(&id, text, source, code, at("inline"))
            .strict(suite, &image.mended());
    }
}

/// Xattrs that are there twice, where that changes nothing, and entries that are none.
fn repeated(suite: &mut Suite, xattrs: &Clean) {
    let at = xattrs.nid("inline");
    let second = xattrs.made.at("xattr inline b");
    let same = xattrs
        .edit()
        .bytes(second + 4, b"a1\0")
        .xattr("inline", "b", "e_value_size", 1);
    xattrs
        .breaks(
            "check-xattr/repeated",
            "An xattr is there twice behind its inode, with the same value.",
            GET,
            Code::XattrRepeated,
            at,
        )
        .said(suite, &same.mended());
    // Their entries and one that is free take the place of the three that were there.
    let origins = [
        Xattr::inline(TRUSTED, "overlay.origin", b"a handle"),
        Xattr::inline(TRUSTED, "overlay.origin", b""),
    ];
    let entries: Vec<u8> = origins.iter().flat_map(Xattr::record).collect();
    let place = xattrs.made.at("xattr inline a");
    let origins = xattrs
        .edit()
        .xattrs("inline", "h_name_filter", 0)
        .bytes(place, &[&entries[..], &[0; 4]].concat());
    xattrs
        .breaks(
            "check-xattr/repeated-origin",
            "An origin of overlayfs is there twice behind its inode: as it was copied up, and the empty \
             one that mkfs.erofs 1.9 puts on a directory with whiteouts.",
            ORIGIN,
            Code::XattrRepeated,
            at,
        )
        .said(suite, &origins.mended());
    let free = xattrs.edit().bytes(place, &[0; 16]);
    let draft = clean(
        suite,
        "check-clean/xattrs-free",
        "Zeros in front of an xattr, as mkfs.erofs leaves them where it has taken some away.",
        &free.mended(),
        [7, 1],
    );
    suite.add(draft);
}

/// A name of eight bytes, and an ACL of four entries behind it.
fn renamed_acl() -> Vec<u8> {
    let mode = [
        (1, 6, u32::MAX),
        (4, 4, u32::MAX),
        (0x10, 4, u32::MAX),
        (0x20, 4, u32::MAX),
    ];
    let acl = super::super::super::erofs::acl(&mode);
    [&b"longname"[..], &acl].concat()
}
