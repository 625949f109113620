//! Which directory and which name a path means, and what replaces what.

use crate::support::{Kind, build, code, directory, file, link, symlink, told, tree};
use erofs_unpack_core::Code;
use erofs_unpack_core::build::Options;
use erofs_unpack_core::erofs::FileType;

#[test]
fn directories_that_are_only_implied_are_made() {
    let mut deep = file("a/b/c", b"x");
    deep.owner = (7, 8);
    let tree = tree(&[deep]);
    for path in ["a", "a/b"] {
        let made = &tree[path];
        assert_eq!(
            (made.kind, made.mode),
            (FileType::Directory, 0o755),
            "{path}"
        );
        assert_eq!(made.owner, (0, 0));
        assert_eq!(made.mtime, (1_700_000_000, 0));
    }
    assert_eq!(tree["a/b/c"].owner, (7, 8));
    assert_eq!(tree[""].nlink, 3);
}

#[test]
fn roots_have_many_names() {
    for path in ["", "/", "./", ".", "//./"] {
        let mut root = directory(path);
        root.mode = 0o1777;
        let tree = tree(&[root, file("/./etc//passwd", b"root")]);
        assert_eq!(tree[""].mode, 0o1777, "{path}");
        assert_eq!(tree["etc/passwd"].content, b"root");
    }
}

#[test]
fn the_last_of_a_path_wins_and_directories_keep_what_they_name() {
    let mut again = directory("d");
    again.mode = 0o700;
    again.xattrs = vec![(b"user.x".to_vec(), b"y".to_vec())];
    let read = tree(&[
        directory("d"),
        file("d/kept", b"kept"),
        file("f", b"first, and longer than the second"),
        file("f", b"second"),
        again,
    ]);
    assert_eq!(read["f"].content, b"second");
    assert_eq!(read["d/kept"].content, b"kept");
    assert_eq!(read["d"].mode, 0o700);
    assert_eq!(read["d"].xattrs["user.x"], b"y");

    // Of another kind: what was below is gone, also when it is a directory again later.
    let read = tree(&[
        file("d/gone", b"x"),
        symlink("d", "elsewhere"),
        directory("d"),
        file("d/new", b"y"),
    ]);
    assert_eq!(read.keys().collect::<Vec<_>>(), ["", "d", "d/new"]);
}

#[test]
fn nothing_of_what_was_replaced_stays_in_the_image() {
    let secret = b"a secret that must not stay".repeat(1000);
    let other = b"what comes behind it".repeat(3000);
    for inline_data in [false, true] {
        let options = Options {
            inline_data,
            ..Options::DEFAULT
        };
        let replaced = build(
            &[
                file("before", b"before"),
                file("secret", &secret),
                file("other", &other),
                file("secret", b"harmless"),
                file("behind", &other),
            ],
            &options,
        )
        .unwrap();
        let never = build(
            &[
                file("before", b"before"),
                file("other", &other),
                file("secret", b"harmless"),
                file("behind", &other),
            ],
            &options,
        )
        .unwrap();
        assert!(replaced == never, "inline: {inline_data}");
    }
}

#[test]
fn below_a_symbolic_link_is_where_it_leads() {
    let tree = tree(&[
        directory("usr/lib"),
        symlink("lib", "usr/lib"),
        file("lib/a", b"a"),
        symlink("abs", "/usr"),
        file("abs/lib/b", b"b"),
        symlink("usr/up", "../../../usr/lib/."),
        file("usr/up/c", b"c"),
        // What it leads to may be missing yet.
        symlink("later", "opt/x"),
        file("later/d", b"d"),
        symlink("twice", "later"),
        file("twice/e", b"e"),
    ]);
    assert_eq!(tree["usr/lib/a"].content, b"a");
    assert_eq!(tree["usr/lib/b"].content, b"b");
    assert_eq!(tree["usr/lib/c"].content, b"c");
    assert_eq!(tree["opt/x/d"].content, b"d");
    assert_eq!(tree["opt/x/e"].content, b"e");
    assert_eq!(tree["lib"].kind, FileType::Symlink);
}

#[test]
fn a_symbolic_link_itself_is_replaced_and_not_followed() {
    let tree = tree(&[
        file("target", b"t"),
        symlink("l", "target"),
        file("l", b"l"),
        symlink("m", "d"),
        directory("m"),
        file("m/x", b"x"),
    ]);
    assert_eq!(tree["target"].content, b"t");
    assert_eq!(tree["l"].content, b"l");
    assert_eq!(tree["m/x"].content, b"x");
    assert!(!tree.contains_key("d"));
}

#[test]
fn hard_links_to_what_was_and_to_what_comes() {
    let tree = tree(&[
        link("early", "dir/file"),
        link("earlier", "early"),
        symlink("s", "dir"),
        file("dir/file", b"content"),
        link("late", "s/file"),
        link("late", "late"),
        link("to-link", "s"),
    ]);
    let file = &tree["dir/file"];
    assert_eq!(file.nlink, 4);
    for name in ["early", "earlier", "late"] {
        assert_eq!(&tree[name], file, "{name}");
    }
    assert_eq!(tree["to-link"].nid, tree["s"].nid);
    assert_eq!(tree["s"].nlink, 2);
}

#[test]
fn a_hard_link_keeps_what_it_was_made_to() {
    let tree = tree(&[file("a", b"old"), link("b", "a"), file("a", b"new")]);
    assert_eq!(tree["a"].content, b"new");
    assert_eq!(tree["b"].content, b"old");
    assert_eq!(tree["b"].nlink, 1);
}

#[test]
fn hostile_paths_are_refused() {
    assert_eq!(code(&[file("../x", b"")]), Code::BuildPath);
    assert_eq!(code(&[file("a/../../x", b"")]), Code::BuildPath);
    assert_eq!(code(&[told("a\0b", Kind::Fifo)]), Code::BuildPath);
    assert_eq!(code(&[link("a", "../b")]), Code::BuildPath);
    assert_eq!(code(&[file(&"n".repeat(256), b"")]), Code::BuildName);
    assert_eq!(code(&[file(".", b"")]), Code::BuildNotDirectory);
    assert_eq!(
        code(&[file("f", b""), file("f/x", b"")]),
        Code::BuildNotDirectory
    );
    assert_eq!(
        code(&[symlink("a", "b"), symlink("b", "a"), file("a/x", b"")]),
        Code::BuildLoop
    );
    assert_eq!(
        code(&[symlink("a", "a"), file("a/x", b"")]),
        Code::BuildLoop
    );
    assert_eq!(code(&[symlink("a", "")]), Code::BuildTarget);
    assert_eq!(code(&[symlink("a", "b\0")]), Code::BuildTarget);
    assert_eq!(
        code(&[symlink("a", &"t".repeat(4096))]),
        Code::SymlinkLength
    );
    assert_eq!(code(&[link("a", "nothing")]), Code::BuildLink);
    assert_eq!(code(&[link("a", "a")]), Code::BuildLink);
    assert_eq!(code(&[link("a", "b"), link("b", "a")]), Code::BuildLink);
    assert_eq!(code(&[directory("d"), link("a", "d")]), Code::BuildLink);
    assert_eq!(code(&[link("a", "d"), directory("d")]), Code::BuildLink);
    assert_eq!(code(&[link("a", "/")]), Code::BuildLink);
    let deep = "d/".repeat(300);
    assert_eq!(code(&[directory(&deep)]), Code::DirectoryDepth);
}
