//! As root everything is restored.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::support::{
    Bytes, Dir, Mount, acl, assert_same, extract_to, extract_with, has, image, is_root, list,
    make_everything, said, xattr,
};

/// Ways to lay an image out.
const LAYOUTS: &[&[&str]] = &[
    &[],
    &["-Enoinline_data"],
    &["-b512", "--chunksize=512"],
    &["--chunksize=65536", "-Eforce-inode-extended"],
    &["-zlz4hc", "-C65536"],
    &["-zzstd", "-C1048576", "-Efragments"],
    &["-zdeflate", "-Eztailpacking"],
    &["-zlzma", "-C131072", "-Eall-fragments"],
];

#[test]
fn what_the_kernel_shows_is_what_is_created() {
    if !has("mkfs.erofs") || !is_root() {
        return;
    }
    let dir = Dir::new();
    make_everything(&dir.join("tree"));
    for (index, layout) in LAYOUTS.iter().enumerate() {
        let image = image(
            &dir.join("tree"),
            dir.join(format!("{index}.erofs")),
            layout,
        );
        let Some(mount) = Mount::image(&image, dir.join("mount")) else {
            return;
        };
        let expected = list(&mount.0);
        let jobs: &[&str] = if index == 0 { &["1", "2", "9"] } else { &["2"] };
        for jobs in jobs {
            let to = dir.join(format!("{index}-{jobs}"));
            assert_eq!(extract_to(&image, &to, &["--jobs", jobs]), "");
            assert_same(&list(&to), &expected);
        }
    }
}

#[test]
fn what_is_there_is_replaced_only_if_that_is_wanted() {
    if !has("mkfs.erofs") || !is_root() {
        return;
    }
    let dir = Dir::new();
    make_everything(&dir.join("tree"));
    let image = image(&dir.join("tree"), dir.join("image"), &[]);
    let to = dir.join("to");
    extract_to(&image, &to, &[]);
    let expected = list(&to);
    for jobs in ["1", "3"] {
        // Directories are entered in any case.
        let again = extract_with(&image, &to, &["--jobs", jobs]);
        assert_eq!(again.status.code(), Some(3));
        assert!(said(&again).contains("exists already"), "{}", said(&again));
        extract_to(&image, &to, &["--jobs", jobs, "--force"]);
        assert_same(&list(&to), &expected);
    }
}

#[test]
fn holes_stay_holes_and_zeros_become_some() {
    if !has("mkfs.erofs") || !is_root() {
        return;
    }
    let dir = Dir::new();
    make_everything(&dir.join("tree"));
    for layout in LAYOUTS {
        let image = image(&dir.join("tree"), dir.join("image"), layout);
        let to = dir.join("to");
        extract_to(&image, &to, &[]);
        let blocks = |name| fs::metadata(to.join(name)).unwrap().blocks() * 512;
        assert_eq!(blocks("zeros"), 0);
        assert!(blocks("sparse") <= 24 << 10, "{}", blocks("sparse"));
        assert!(blocks("large") >= 3_000_000);
        assert_eq!(fs::metadata(to.join("sparse")).unwrap().len(), 5 << 20);
        fs::remove_dir_all(&to).unwrap();
    }
}

#[test]
fn nothing_is_inherited_from_the_target() {
    if !has("mkfs.erofs") || !is_root() {
        return;
    }
    let dir = Dir::new();
    make_everything(&dir.join("tree"));
    let image = image(&dir.join("tree"), dir.join("image"), &[]);
    let Some(mount) = Mount::image(&image, dir.join("mount")) else {
        return;
    };
    let to = dir.join("to");
    // A group and ACLs that new files would get.
    fs::create_dir_all(to.join("dir")).unwrap();
    for path in [&to, &to.join("dir")] {
        std::os::unix::fs::chown(path, None, Some(77)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o2777)).unwrap();
        xattr(path, "system.posix_acl_default", &acl(0o7));
    }
    extract_to(&image, &to, &[]);
    let mut found = list(&to);
    for path in ["", "dir"] {
        // The directories were there: what they had and the image does not have stays.
        let seen = found.get_mut(Path::new(path)).unwrap();
        let default = seen
            .xattrs
            .remove(&Bytes(b"system.posix_acl_default".into()));
        assert_eq!(default, Some(Bytes(acl(0o7))), "{path}");
    }
    assert_same(&found, &list(&mount.0));
}

#[test]
fn a_part_of_the_image() {
    if !has("mkfs.erofs") || !is_root() {
        return;
    }
    let dir = Dir::new();
    make_everything(&dir.join("tree"));
    let image = image(&dir.join("tree"), dir.join("image"), &[]);
    let Some(mount) = Mount::image(&image, dir.join("mount")) else {
        return;
    };
    let mut expected = list(&mount.0);
    let to = dir.join("to");
    let paths = [
        "/dir/deep",
        "small",
        "dir/deep/er",
        "dir/small-too",
        "//shared/./file",
    ];
    extract_to(&image, &to, &paths);
    let mut found = list(&to);
    for parent in ["", "dir", "shared"] {
        // Made like any directory.
        let seen = found.remove(Path::new(parent)).unwrap();
        assert_eq!((seen.kind, seen.owner), ('d', (0, 0)));
        assert!(seen.xattrs.is_empty());
    }
    expected.retain(|path, _| {
        path.starts_with("dir/deep")
            || ["small", "dir/small-too", "shared/file"].contains(&path.to_str().unwrap_or(""))
    });
    for seen in expected.values_mut() {
        // Its other names were not asked for.
        match seen.first.to_str() {
            Some("large") => seen.first = "dir/deep/large-too".into(),
            Some("read-only/file") => seen.first = "shared/file".into(),
            _ => {}
        }
    }
    assert_same(&found, &expected);

    let missing = extract_with(&image, &to, &["dir/none"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(
        said(&missing).contains("image:/dir/none: "),
        "{}",
        said(&missing)
    );
    let through = extract_with(&image, &to, &["link/none"]);
    assert_eq!(through.status.code(), Some(3));
    let up = extract_with(&image, &to, &["dir/../small"]);
    assert_eq!(up.status.code(), Some(2));
}
