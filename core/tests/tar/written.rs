//! What is written is read as it was.

use erofs_unpack_core::tar::{EntryKind, Headers, Member, pad};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::members;

/// A name without NULs, of parts, of up to some hundred bytes.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let part = vec(prop_oneof![Just(b'a'), 1_u8..=255], 1..120);
    vec(part, 1..6).prop_map(|parts| parts.join(&b'/'))
}

fn kind() -> impl Strategy<Value = EntryKind> {
    prop_oneof![
        Just(EntryKind::File),
        Just(EntryKind::HardLink),
        Just(EntryKind::Symlink),
        Just(EntryKind::CharDevice),
        Just(EntryKind::BlockDevice),
        Just(EntryKind::Directory),
        Just(EntryKind::Fifo),
    ]
}

/// Numbers that fit their fields, and those that do not.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(0o7_777_777), Just(0o10_000_000), any::<u32>()]
}

fn seconds() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(i64::MIN),
        Just(-1),
        Just(0o77_777_777_777),
        any::<i64>()
    ]
}

proptest! {
    #[test]
    fn members_are_read_as_they_were_written(
        (mut path, kind, link) in (name(), kind(), name()),
        (mode, uid, gid) in (0_u16..=0o7777, number(), number()),
        mtime in (seconds(), prop_oneof![Just(0), 0_u32..1_000_000_000]),
        device in (number(), number()),
        content in vec(any::<u8>(), 0..700),
        xattrs in prop::collection::btree_map(vec(1_u8..=255, 1..30), vec(any::<u8>(), 0..50), 0..3),
    ) {
        match kind {
            EntryKind::Directory => path.push(b'/'),
            _ => while path.last() == Some(&b'/') { path.pop(); },
        }
        prop_assume!(!path.is_empty() && mtime != (i64::MIN, 1));
        let is_link = matches!(kind, EntryKind::HardLink | EntryKind::Symlink);
        let is_device = matches!(kind, EntryKind::CharDevice | EntryKind::BlockDevice);
        let content = if kind == EntryKind::File { content } else { Vec::new() };
        let member = Member {
            path: &path,
            kind,
            link: if is_link { &link } else { b"" },
            mode,
            uid,
            gid,
            size: content.len() as u64,
            mtime,
            device: if is_device { device } else { (0, 0) },
        };
        let mut archive = Vec::new();
        let mut headers = Headers::default();
        for (name, value) in &xattrs {
            headers.add_xattr(name, value);
        }
        headers.write(&member, &mut archive);
        archive.extend_from_slice(&content);
        pad(&mut archive);
        // Nothing of it is left for the next.
        headers.write(&Member { path: b"next", kind: EntryKind::Fifo, mode: 0, mtime: (0, 0), uid: 0, gid: 0,
            size: 0, device: (0, 0), link: b"" }, &mut archive);
        archive.extend_from_slice(&[0; 1024]);
        let read = members(&archive);
        prop_assert_eq!(read.len(), 2);
        prop_assert!(read[1].entry.xattrs.is_empty() && read[1].entry.offset == read[1].entry.header);
        let entry = &read[0].entry;
        prop_assert_eq!((&entry.path, entry.kind, &*entry.link), (&path, kind, member.link));
        prop_assert_eq!((entry.mode, entry.uid, entry.gid, entry.mtime), (mode, uid, gid, mtime));
        prop_assert_eq!(entry.device, member.device);
        prop_assert_eq!(read[0].file(), content);
        let xattrs: Vec<_> = xattrs.into_iter().collect();
        prop_assert_eq!(&entry.xattrs, &xattrs);
    }
}
