//! Compressed images made by mkfs.erofs, read in every way and held against what they were
//! made of; and damaged ones.
#![cfg(feature = "alloc")]

extern crate alloc;

#[path = "../compressed/support.rs"]
mod support;

use support::{Folder, compare_all, files, has_mkfs, mkfs, places};

#[test]
fn probe() {
    if !has_mkfs() {
        return;
    }
    let files = files();
    let folder = Folder::new("probe");
    folder.write(&files);
    let options = std::env::var("OPTS").unwrap_or("-zlz4".into());
    let options: Vec<_> = options.split(' ').collect();
    let image = mkfs(&folder, "image", &options).unwrap();
    println!("{} bytes: {:?}", image.len(), places(&image));
    compare_all(&image, &files, "probe");
}
#[test]
fn keep() {
    let files = files();
    let folder = Folder::new("keep");
    folder.write(&files);
    std::process::Command::new("cp")
        .args(["-a"])
        .arg(folder.0.join("tree"))
        .arg("/tmp/r2/")
        .status()
        .unwrap();
}
#[test]
fn dump() {
    let bytes = std::fs::read(std::env::var("IMG").unwrap()).unwrap();
    let image = support::open(&bytes);
    let inode = support::inodes(&image).unwrap()[&std::env::var("NAME").unwrap()];
    println!("{inode:?}");
    let mut at = 0;
    while at < inode.size {
        let e = image.extent(&inode, at).unwrap();
        println!("{e:?}");
        at += e.length;
    }
}
mod readall;
mod fuzz;
