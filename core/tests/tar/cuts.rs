//! Archives in pieces, and archives of any bytes: the same is said however they are cut.

use erofs_unpack_core::Limits;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{Head, Said, Tar, read_cut};

/// Limits that are reached.
fn limits() -> Limits {
    let mut limits = Limits::DEFAULT;
    (limits.tar_header, limits.tar_extents) = (4000, 40);
    limits
}

/// Something that an archive may hold, made by a few numbers.
fn part(tar: Tar, (what, length, seed): (u8, usize, u8)) -> Tar {
    let content: Vec<u8> = (0..length)
        .map(|index| (index as u8).wrapping_mul(31) ^ seed)
        .collect();
    let name = format!("name-{seed}");
    match what {
        0 => tar.sized(&Head::new(&name, b'0'), &content),
        1 => tar.add(&Head::new(&name, b'5'), b""),
        2 => tar.add(&Head::link(&name, b'2', "to"), b""),
        3 => tar.pax(&[("path", name.as_bytes()), ("SCHILY.xattr.user.a", &content)]),
        4 => tar.sized(&Head::gnu("L", b'L'), &content),
        5 => tar.sized(&Head::link(&name, b'1', "to"), &content),
        6 => tar.global(&[("mtime", b"1.5")]),
        7 => {
            let mut all = format!("2\n{seed}\n{length}\n2000\n0\n").into_bytes();
            all.resize(512, 0);
            all.extend_from_slice(&content);
            tar.pax(&[
                ("GNU.sparse.major", b"1"),
                ("GNU.sparse.minor", b"0"),
                ("GNU.sparse.name", name.as_bytes()),
                ("GNU.sparse.realsize", b"2000"),
            ])
            .sized(&Head::new("x", b'0'), &all)
        }
        8 => {
            let pieces = format!("{seed:011o}\0{length:011o}\0");
            let head = Head::gnu(&name, b'S')
                .put(386, pieces.as_bytes())
                .put(482, &[seed & 1]);
            let tar = tar.add(&head.put(483, b"00000004000\0").size(length as u64), b"");
            let tar = if seed & 1 == 1 {
                tar.raw(&[0; 512])
            } else {
                tar
            };
            tar.raw(&content)
        }
        9 => tar.raw(&[0; 512]),
        _ => tar.raw(&content),
    }
}

/// Makes the checksums right again.
fn mend(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(512) {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

fn archive() -> impl Strategy<Value = Vec<u8>> {
    let parts = vec((0_u8..11, 0_usize..1100, any::<u8>()), 0..7);
    let edits = vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (parts, edits, 0_usize..700, any::<bool>()).prop_map(|(parts, edits, cut, mended)| {
        let mut all = parts.into_iter().fold(Tar::default(), part).ended();
        for (at, byte) in edits {
            let at = at.index(all.len());
            all[at] = byte;
        }
        if mended {
            mend(&mut all);
        }
        // In half of the cases all of it.
        all.truncate(all.len().saturating_sub(cut.saturating_sub(350)));
        all
    })
}

fn check(said: &Said) {
    for member in &said.members {
        let entry = &member.entry;
        assert!(!entry.path.is_empty() && !entry.path.contains(&0));
        let mut end = 0;
        for (offset, bytes) in &member.pieces {
            assert!(*offset >= end);
            end = offset + bytes.len() as u64;
        }
        assert!(end <= entry.size);
        if member.is_complete {
            let stored: usize = member.pieces.iter().map(|(_, bytes)| bytes.len()).sum();
            assert_eq!(stored as u64, entry.stored);
        }
    }
    if said.end.is_ok() {
        assert!(said.members.iter().all(|member| member.is_complete));
    }
}

proptest! {
    #[test]
    fn cuts_change_nothing(archive in archive(), sizes in vec(0_usize..900, 1..20)) {
        let whole = read_cut(&archive, &limits(), || usize::MAX);
        check(&whole);
        let mut sizes = sizes.iter().copied().chain([1]).cycle();
        let cut = read_cut(&archive, &limits(), || sizes.next().unwrap());
        prop_assert_eq!(&cut, &whole);
        let bytes = read_cut(&archive, &limits(), || 1);
        prop_assert_eq!(&bytes, &whole);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..3000)) {
        let whole = read_cut(&bytes, &limits(), || usize::MAX);
        prop_assert!(whole.end.is_err());
    }
}
