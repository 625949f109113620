//! Encoded extents in every size of record, and of files that no test can hold.

use erofs_unpack_core::erofs::{Encoding, Place, ReadError};
use erofs_unpack_core::{At, Code};

use super::builder::*;

/// A record of this size: encoded length and flags, physical offset, start.
fn record(size: usize, plen: u32, offset: u64, start: u64) -> Vec<u8> {
    let mut record = [0; 32];
    record[..4].copy_from_slice(&plen.to_le_bytes());
    record[4..12].copy_from_slice(&offset.to_le_bytes());
    record[12..20].copy_from_slice(&start.to_le_bytes());
    record[..size].to_vec()
}

/// An inode with extents in records of `size` bytes.
fn with_extents(size: usize, length: u64, flags: u16, records: &[(u32, u64, u64)]) -> Made {
    let mut made = Made::new(1, length);
    let bits = u16::try_from(size.ilog2() - 2).unwrap();
    let count = u32::try_from(records.len()).unwrap();
    // In the short forms the place of the upper bits of the count has the cluster size.
    made.header(
        if size > 8 { count } else { 0 },
        EXTENTS | bits << 1 | flags,
        0,
        u8::from(size <= 8),
    );
    let mut at = (HEADER + 8).next_multiple_of(size);
    if size == 4 {
        made.put(at, &records[0].1.to_le_bytes());
        at += 8;
    }
    for (plen, offset, start) in records {
        made.put(at, &record(size, *plen, *offset, *start));
        at += size;
    }
    made
}

#[test]
fn extents_one_after_the_other() {
    // 4 bytes each, clusters of 8 KiB: 8192, a hole, 8192, 1000 bytes.
    let start = u64::from(DATA) * 4096 + 123;
    let records = [(8192, start, 0), (0, 0, 0), (8200, 0, 0), (1000, 0, 0)];
    let made = with_extents(4, 3 * 8192 + 1000, 0, &records);
    let at = usize::try_from(start).unwrap();
    let mut content = run(at, 8192);
    content.extend([0; 8192]);
    content.extend(run(at + 8192, 8192));
    content.extend(run(at + 8192 + 8200, 1000));
    assert_eq!(made.read(0, 99_999), content);
    // Backwards, so that the cursor has to start again.
    let (image, inode) = made.open();
    for at in (0..content.len()).rev().step_by(1111) {
        let mut buf = [0; 700];
        let read = image.read(&inode, at as u64, &mut buf).unwrap();
        assert_eq!(buf[..read], content[at..at + read]);
    }
    assert_eq!(made.extents()[1], (8192, 8192, Place::Hole));
}

#[test]
fn extents_with_places() {
    // 8 bytes each, clusters of 8 KiB; the last one in the packed inode, whose offset has its
    // upper half in the place of the address.
    let base = u64::from(DATA) * 4096;
    let records = [(8192, base + 8192, 0), (8192, base + 1, 0), (55, 0, 0)];
    let mut made = with_extents(8, 2 * 8192 + 1000, FRAGMENT, &records);
    with_packed(&mut made);
    let base = DATA as usize * BLOCK;
    let mut content = run(base + 8192, 8192);
    content.extend(run(base + 1, 8192));
    content.extend(run(base + 20 * BLOCK + 55, 1000));
    assert_eq!(made.read(0, 99_999), content);
    assert_eq!(made.read(9000, 10), content[9000..9010]);
}

#[test]
fn extents_with_starts() {
    // 16 bytes each. The content begins with a hole; the second is interlaced.
    let base = u64::from(DATA) * 4096;
    let records = [(5000, base + 7, 100), (4096, base, 5000), (0, 0, 6000)];
    let made = with_extents(16, 7000, INTERLACED, &records);
    let at = DATA as usize * BLOCK;
    let mut content = vec![0; 100];
    content.extend(run(at + 7, 4900));
    content.extend(run(at + 5000 % BLOCK, 1000));
    content.extend([0; 1000]);
    assert_eq!(made.read(0, 99_999), content);
    let extents = made.extents();
    assert_eq!(extents[0], (0, 100, Place::Hole));
    assert_eq!(encoded(extents[1].2), (Encoding::Shifted, base + 7, 5000));
    assert_eq!(encoded(extents[2].2).0, Encoding::Interlaced);
    assert_eq!(extents[3], (6000, 1000, Place::Hole));
    // Out of order, and beyond the content.
    let made = with_extents(
        16,
        7000,
        0,
        &[(9, base, 6900), (9, base, 6800), (9, base, 6950)],
    );
    assert_eq!(made.refused(10).0, Code::MapExtents);
    let made = with_extents(16, 7000, 0, &[(9, base, 7001)]);
    assert_eq!(made.refused(10), (Code::MapExtents, At::File(NID, 10)));
}

#[test]
fn extents_beyond_four_gib() {
    // 32 bytes each, of a file that is nearly all holes.
    let base = u64::from(DATA) * 4096;
    let far = (5 << 30) + 17;
    let records = [(0, 0, 0), (6000, base + 3, far), (0, 0, far + 6000)];
    let made = with_extents(32, 20 << 30, 0, &records);
    let at = DATA as usize * BLOCK;
    let mut content = vec![0; 20];
    content.extend(run(at + 3, 6000));
    content.extend([0; 30]);
    assert_eq!(made.read(far - 20, 6050), content);
    assert_eq!(
        made.extents()
            .iter()
            .map(|e| (e.0, e.1))
            .collect::<Vec<_>>(),
        [(0, far), (far, 6000), (far + 6000, (20 << 30) - far - 6000)]
    );
}

#[test]
fn extents_that_cannot_be() {
    let base = u64::from(DATA) * 4096;
    let refused = |plen: u32, offset: u64, length: u64| {
        let made = with_extents(16, length, 0, &[(plen, offset, 0)]);
        let (image, inode) = made.open();
        match image.read(&inode, 0, &mut [0; 4096]) {
            Err(ReadError::Refused(error)) => error.code(),
            other => panic!("{other:?}"),
        }
    };
    let format = |algorithm: u32| (algorithm + 1) << 28;
    assert_eq!(refused(4095, base, 4096), Code::PclusterPlain);
    assert_eq!(refused(4096, 64 * 4096 - 4095, 4096), Code::FileBounds);
    assert_eq!(refused(4096, u64::MAX - 5, 4096), Code::FileBounds);
    assert_eq!(refused((1 << 20) + 1, base, 4096), Code::PclusterSize);
    assert_eq!(refused(4096, base, (12 << 20) + 1), Code::PclusterSize);
    assert_eq!(
        refused(4096 | format(1), base, 4096),
        Code::PclusterAlgorithm
    );
    assert_eq!(refused(4096 | format(9), base, 4096), Code::PclusterUnknown);
    assert_eq!(refused(4096 | format(3), base, 4096), Code::PclusterData);
}
