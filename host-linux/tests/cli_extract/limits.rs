//! What ends an extraction, and what it leaves.

use std::fs;
use std::path::Path;

use super::support::{Dir, Mount, extract_to, extract_with, has, image, is_root, list, said};

/// A tree of a small and a large file, and its image.
fn two_files(dir: &Dir) -> std::path::PathBuf {
    fs::create_dir(dir.join("tree")).unwrap();
    fs::write(dir.join("tree/a"), "small").unwrap();
    fs::write(dir.join("tree/b"), vec![1; 3 << 20]).unwrap();
    image(&dir.join("tree"), dir.join("image"), &[])
}

#[test]
fn a_full_disk_leaves_no_half_file() {
    if !has("mkfs.erofs") || !is_root() {
        return;
    }
    let dir = Dir::new();
    let image = two_files(&dir);
    let options = ["-t", "tmpfs", "-o", "size=1m"];
    let Some(small) = Mount::new(&options, "none".as_ref(), dir.join("small")) else {
        println!("skipped: needs the right to mount a tmpfs");
        return;
    };
    for jobs in ["1", "2"] {
        let to = small.0.join("to");
        let output = extract_with(&image, &to, &["--jobs", jobs]);
        assert_eq!(output.status.code(), Some(3));
        let said = said(&output);
        assert!(said.contains("to/b: cannot write: No space left"), "{said}");
        assert_eq!(fs::read(to.join("a")).unwrap(), b"small");
        assert!(!to.join("b").exists());
        fs::remove_dir_all(&to).unwrap();
    }
}

#[test]
fn content_is_bounded() {
    if !has("mkfs.erofs") {
        return;
    }
    let dir = Dir::new();
    let image = two_files(&dir);
    let to = dir.join("to");
    let options = ["--max-extracted-size", "3MiB", "--as-user"];
    let output = extract_with(&image, &to, &options);
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(
        said.contains("image:/b: ") && said.contains("(raise it with --max-extracted-size)"),
        "{said}"
    );
    assert!(!to.join("b").exists());
    let enough = ["--max-extracted-size", "3145733", "--force", "--as-user"];
    extract_to(&image, &to, &enough);
}

#[test]
fn holes_cost_nothing() {
    if !has("mkfs.erofs") {
        return;
    }
    let dir = Dir::new();
    fs::create_dir(dir.join("tree")).unwrap();
    let file = fs::File::create(dir.join("tree/hole")).unwrap();
    file.set_len(8 << 30).unwrap();
    let image = image(
        &dir.join("tree"),
        dir.join("image"),
        &["--chunksize=1048576"],
    );
    let to = dir.join("to");
    extract_to(&image, &to, &["--max-extracted-size", "0", "--as-user"]);
    assert_eq!(fs::metadata(to.join("hole")).unwrap().len(), 8 << 30);
}

#[test]
fn waiting_links_are_bounded() {
    if !has("mkfs.erofs") {
        return;
    }
    let dir = Dir::new();
    for sub in ["tree/one", "tree/two"] {
        fs::create_dir_all(dir.join(sub)).unwrap();
    }
    for name in ["a", "b", "c"] {
        let first = dir.join("tree/one").join(name);
        fs::write(&first, name).unwrap();
        fs::hard_link(first, dir.join("tree/two").join(name)).unwrap();
    }
    let image = image(&dir.join("tree"), dir.join("image"), &[]);
    let refused = extract_with(&image, &dir.join("no"), &["--max-links", "2", "--as-user"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("--max-links"), "{}", said(&refused));
    extract_to(&image, &dir.join("to"), &["--max-links", "3", "--as-user"]);
    let listing = list(&dir.join("to"));
    let first = &listing.get(Path::new("two/c")).unwrap().first;
    assert_eq!(first, Path::new("one/c"));
}

#[test]
fn the_target_is_made_but_not_its_parents() {
    if !has("mkfs.erofs") {
        return;
    }
    let dir = Dir::new();
    let image = two_files(&dir);
    let output = extract_with(&image, &dir.join("no/to"), &["--as-user"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(!dir.join("no").exists());
    fs::write(dir.join("file"), "").unwrap();
    let output = extract_with(&image, &dir.join("file"), &["--as-user"]);
    assert_eq!(output.status.code(), Some(3));
    // The user may name a link.
    fs::create_dir(dir.join("real")).unwrap();
    std::os::unix::fs::symlink("real", dir.join("link")).unwrap();
    extract_to(&image, &dir.join("link"), &["--as-user"]);
    assert!(dir.join("real/b").exists());
}
