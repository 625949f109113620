//! An image as the library shows it.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use erofs_unpack_core::Limits;
use erofs_unpack_core::check::{Level, Options, Severity, check_image};
use erofs_unpack_core::erofs::{Data, FileType, Image, Inode, Place, ReadError};

use erofs_unpack_core::oci::Policy;
use erofs_unpack_ops::image_file::FileAt;

use crate::listing::{Bytes, Content, Entry, Listing, Sum, Unreadable};
use crate::tree::noise;

/// Opens an image with its devices.
pub(crate) fn open(path: &Path, devices: &[PathBuf]) -> Result<Image<FileAt>, String> {
    let (file, size) = FileAt::open(path).map_err(|error| error.to_string())?;
    let mut image = Image::open(file, size, &Limits::DEFAULT).map_err(|error| error.to_string())?;
    for device in devices {
        let (file, size) = FileAt::open(device).map_err(|error| error.to_string())?;
        assert!(image.attach(file, size), "more devices than slots");
    }
    Ok(image)
}

/// Images that hold what the strict policy refuses, by what they were asked to hold: no checksum,
/// xattrs of `mkfs.erofs`' own, whiteouts as AUFS has them.
const NOT_STRICT: [&str; 4] = [
    "plain_no_checksum",
    "xattrs_inode_digest",
    "xattrs_root_space",
    "devices_merged",
];

/// The check has nothing to say of an image that `mkfs.erofs` made: at the full level, by the
/// strict policy.
pub(crate) fn passes(name: &str, image: &Image<FileAt>) {
    let mut options = Options::default();
    options.level = Level::Full;
    let strict = !NOT_STRICT.contains(&name);
    options.policy = if strict { Policy::Strict } else { Policy::Any };
    let mut said = Vec::new();
    check_image(image, &options, &mut |finding| {
        if !strict && finding.severity == Severity::Warning {
            return;
        }
        said.push(format!("{}: {}", finding.severity.name(), finding.error));
    })
    .unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(said.is_empty(), "{name}: {said:#?}");
}

/// The tree, in the form that the kernel's is in.
pub(crate) fn list(image: &Image<FileAt>) -> Listing {
    let mut listing = Listing::default();
    let mut inodes = HashMap::new();
    let mut sums = HashMap::new();
    let mut walk = image.walk().unwrap();
    loop {
        let (path, inode) = match walk.next() {
            Ok(None) => break,
            Ok(Some(visit)) => (Bytes(visit.path.to_vec()), visit.inode),
            Err(error) => {
                let path = Bytes(walk.path().to_vec());
                listing.0.insert(path, Err(unreadable(error)));
                continue;
            }
        };
        inodes.insert(path.clone(), inode.nid);
        let entry = entry(image, &inode, &mut sums);
        let before = listing.0.insert(path.clone(), Ok(entry));
        assert!(before.is_none(), "{path:?} came twice");
    }
    listing.group(&inodes);
    listing
}

fn entry(
    image: &Image<FileAt>,
    inode: &Inode,
    sums: &mut HashMap<u64, Result<String, Unreadable>>,
) -> Entry {
    let content = match (inode.file_type, inode.data) {
        (FileType::Regular, _) => Content::File(
            sums.entry(inode.nid)
                .or_insert_with(|| sum_of(image, inode).map_err(unreadable))
                .clone(),
        ),
        (FileType::Symlink, _) => {
            Content::Link(image.read_link(inode).map(Bytes).map_err(unreadable))
        }
        (FileType::Directory, _) => Content::Directory(directory(image, inode).map_err(unreadable)),
        (_, Data::Device(major, minor)) => Content::Device(major, minor),
        _ => Content::Nothing,
    };
    Entry {
        mode: inode.mode.into(),
        uid: inode.uid,
        gid: inode.gid,
        size: inode.size,
        mtime: (inode.mtime, inode.mtime_ns),
        nlink: inode.nlink.into(),
        first: Bytes(Vec::new()),
        xattrs: xattrs(image, inode).map_err(unreadable),
        content,
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: ReadError<std::io::Error>) -> Unreadable {
    Unreadable(error.to_string())
}

fn sum_of(image: &Image<FileAt>, inode: &Inode) -> Result<String, ReadError<std::io::Error>> {
    let mut sum = Sum::new();
    let mut buffer = vec![0; 1 << 17];
    let mut offset = 0;
    loop {
        match image.read(inode, offset, &mut buffer)? {
            0 => break,
            read => {
                sum.add(&buffer[..read]);
                offset += read as u64;
            }
        }
    }
    assert_eq!(offset, inode.size);
    Ok(sum.finish())
}

fn directory(
    image: &Image<FileAt>,
    inode: &Inode,
) -> Result<(usize, String), ReadError<std::io::Error>> {
    let mut sum = Sum::new();
    let mut count = 0;
    let mut entries = image.entries(inode)?;
    while let Some(entry) = entries.next()? {
        if entry.name != b"." && entry.name != b".." {
            sum.add(entry.name);
            sum.add(b"\0");
            count += 1;
            // What cannot be read is noticed at its own path.
            if let Ok(inode) = image.inode(entry.nid) {
                assert_eq!(entry.file_type, Some(inode.file_type));
            }
        }
    }
    Ok((count, sum.finish()))
}

fn xattrs(
    image: &Image<FileAt>,
    inode: &Inode,
) -> Result<BTreeMap<Bytes, Bytes>, ReadError<std::io::Error>> {
    let mut found = BTreeMap::new();
    let mut xattrs = image.xattrs(inode)?;
    while let Some(xattr) = xattrs.next()? {
        let name = Bytes(xattr.name.to_vec());
        let twice = found.insert(name, Bytes(xattr.value.to_vec()));
        assert!(twice.is_none(), "an xattr is listed twice");
    }
    // Each is found by its name, and nothing else is.
    for (name, value) in &found {
        assert_eq!(image.xattr(inode, &name.0)?.as_ref(), Some(&value.0));
    }
    assert_eq!(image.xattr(inode, b"user.not-there")?, None);
    Ok(found)
}

/// Whether a file has nothing but a hole from here on.
pub(crate) fn ends_in_hole(image: &Image<FileAt>, path: &[u8], mut offset: u64) -> bool {
    let inode = image.resolve(path).unwrap().unwrap();
    while offset < inode.size {
        let extent = image.extent(&inode, offset).unwrap();
        if extent.place != Place::Hole {
            return false;
        }
        offset = extent.offset + extent.length;
    }
    true
}

/// Reads each file of the tree at random places, as the kernel does, and finds each path.
pub(crate) fn check_at_random(image: &Image<FileAt>, listing: &Listing, mounted: &Path) {
    let mut seen = std::collections::HashSet::new();
    for (path, entry) in &listing.0 {
        let Ok(entry) = entry else { continue };
        let inode = image.resolve(&path.0).unwrap();
        let inode = inode.unwrap_or_else(|| panic!("{path:?} is not found"));
        let mut absent = path.0.clone();
        absent.extend(if path.0.is_empty() {
            &b"\x01\x02"[..]
        } else {
            b"\x02"
        });
        assert_eq!(image.resolve(&absent).unwrap(), None, "{path:?}");
        if !matches!(entry.content, Content::File(Ok(_))) || !seen.insert(inode.nid) {
            continue;
        }
        let file = File::open(mounted.join(std::ffi::OsStr::from_bytes(&path.0))).unwrap();
        let places = if inode.size > 4096 { 6 } else { 2 };
        let numbers = noise(inode.nid, places * 16);
        for number in numbers.chunks_exact(16) {
            let (start, length) = number.split_at(8);
            let start = u64::from_le_bytes(start.try_into().unwrap()) % (inode.size + 2);
            let length = u16::from_le_bytes([length[0], length[1]]) % 20_000;
            let mut ours = vec![1; length.into()];
            let mut theirs = vec![2; length.into()];
            let read = image.read(&inode, start, &mut ours).unwrap();
            let mut expected = 0;
            while expected < theirs.len() {
                let at = start + expected as u64;
                match file.read_at(&mut theirs[expected..], at).unwrap() {
                    0 => break,
                    read => expected += read,
                }
            }
            assert_eq!(read, expected, "{path:?}: {length} bytes at {start}");
            assert!(
                ours[..read] == theirs[..read],
                "{path:?}: {length} bytes at {start} differ"
            );
        }
    }
}
