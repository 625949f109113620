//! OCI's whiteouts, in the form that overlayfs knows.

use crate::support::{build, code, directory, file, read, tree};
use erofs_unpack_core::Code;
use erofs_unpack_core::build::Options;
use erofs_unpack_core::erofs::FileType;

#[test]
fn a_whiteout_is_a_device_and_marks_its_directory() {
    let mut mark = file("d/.wh.gone", b"what it holds is of no interest");
    mark.owner = (3, 4);
    let tree = tree(&[directory("d"), mark]);
    let gone = &tree["d/gone"];
    assert_eq!(
        (gone.kind, gone.device),
        (FileType::CharDevice, Some((0, 0)))
    );
    assert_eq!((gone.mode, gone.owner), (0, (3, 4)));
    assert_eq!(tree["d"].xattrs["trusted.overlay.origin"], b"");
    assert!(tree[""].xattrs.is_empty());
}

#[test]
fn an_opaque_directory_keeps_what_this_layer_has() {
    for first in [true, false] {
        let mut entries = vec![directory("d"), file("d/x", b"x")];
        entries.insert(if first { 0 } else { 2 }, file("d/.wh..wh..opq", b""));
        let tree = tree(&entries);
        assert_eq!(tree["d"].xattrs["trusted.overlay.opaque"], b"y");
        assert_eq!(tree["d/x"].content, b"x");
        assert_eq!(tree.len(), 3);
    }
}

#[test]
fn a_whiteout_speaks_of_lower_layers_alone() {
    for first in [true, false] {
        let mut entries = vec![directory("d"), file("d/x", b"x"), file("f", b"f")];
        for mark in [".wh.d", ".wh.f"] {
            entries.insert(if first { 0 } else { entries.len() }, file(mark, b""));
        }
        let tree = tree(&entries);
        assert_eq!(tree["f"].content, b"f");
        assert_eq!(tree["d/x"].content, b"x");
        // What lower layers have below that name stays covered.
        assert_eq!(tree["d"].xattrs["trusted.overlay.opaque"], b"y");
        assert!(tree[""].xattrs.is_empty());
        assert_eq!(tree.len(), 4);
    }
    // Also where the directory is only implied.
    let tree = tree(&[file(".wh.d", b""), file("d/x", b"x")]);
    assert_eq!(tree["d"].xattrs["trusted.overlay.opaque"], b"y");
}

#[test]
fn names_of_aufs_are_left_out() {
    let tree = tree(&[
        directory(".wh..wh.plnk"),
        file(".wh..wh.plnk/1.2", b"x"),
        file(".wh..wh.aufs", b"x"),
        file("kept", b"x"),
    ]);
    assert_eq!(tree.keys().collect::<Vec<_>>(), ["", "kept"]);
}

#[test]
fn without_whiteouts_these_are_names_like_others() {
    let options = Options {
        whiteouts: false,
        ..Options::DEFAULT
    };
    let tree = read(&build(&[file(".wh.x", b"x"), file(".wh..wh..opq", b"")], &options).unwrap());
    assert_eq!(tree[".wh.x"].content, b"x");
    assert_eq!(tree.len(), 3);
}

#[test]
fn a_whiteout_of_nothing_is_refused() {
    assert_eq!(code(&[file("d/.wh.", b"")]), Code::BuildWhiteout);
    assert_eq!(code(&[file(".wh..", b"")]), Code::BuildWhiteout);
    assert_eq!(code(&[file(".wh...", b"")]), Code::BuildWhiteout);
}
