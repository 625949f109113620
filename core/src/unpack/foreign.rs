//! Formats that are no layer's, told by their first bytes so that a refusal can name them. A guess:
//! nothing but the words of a message depends on it.

/// What stands where: the offset, the bytes, and what has them there.
const MAGICS: &[(usize, &[u8], &str)] = &[
    (0, b"hsqs", "a squashfs file system"),
    (0, b"XFSB", "an XFS file system"),
    (0, &[0x3a, 0xff, 0x26, 0xed], "an Android sparse image"),
    (0, &[0xfd, b'7', b'z', b'X', b'Z', 0], "an xz stream"),
    (0, &[0x04, 0x22, 0x4d, 0x18], "an LZ4 frame"),
    (
        0,
        &[0x02, 0x21, 0x4c, 0x18],
        "an LZ4 frame of the old format",
    ),
    (0, b"070701", "a cpio archive"),
    (0, b"070702", "a cpio archive"),
    (0, b"070707", "a cpio archive"),
    // Blocks of 512 and of 4096 bytes.
    (512, b"EFI PART", "a disk with a GPT partition table"),
    (4096, b"EFI PART", "a disk with a GPT partition table"),
    // `s_magic` of ext2 to ext4, in the superblock at 1024.
    (1080, &[0x53, 0xef], "an ext4 file system"),
];
/// Where a boot record has its own magic, and the type of its first partition.
const BOOT_MAGIC: (usize, &[u8]) = (510, &[0x55, 0xaa]);
const BOOT_TYPE: (usize, &[u8]) = (450, &[0xee]);

/// The name of the format that starts with `head`.
pub(super) fn foreign(head: &[u8]) -> Option<&'static str> {
    let has = |offset: usize, magic: &[u8]| {
        head.get(offset..)
            .is_some_and(|rest| rest.starts_with(magic))
    };
    // bzip2 is told by its magic, its level, and the magic of its first block.
    if has(0, b"BZh") && has(4, b"1AY&SY") {
        return Some("a bzip2 stream");
    }
    // The table itself may lie beyond `head`.
    if has(BOOT_MAGIC.0, BOOT_MAGIC.1) && has(BOOT_TYPE.0, BOOT_TYPE.1) {
        return Some("a disk with a GPT partition table");
    }
    MAGICS
        .iter()
        .find(|(offset, magic, _)| has(*offset, magic))
        .map(|(_, _, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// A head with these bytes at an offset.
    fn head(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; 8192];
        for (offset, bytes) in parts {
            head[*offset..*offset + bytes.len()].copy_from_slice(bytes);
        }
        head
    }

    #[test]
    fn formats_have_names() {
        for (offset, magic, name) in MAGICS {
            let head = head(&[(*offset, magic)]);
            assert_eq!(foreign(&head), Some(*name));
            assert_eq!(foreign(&head[..*offset + magic.len()]), Some(*name));
            assert_eq!(foreign(&head[..*offset + magic.len() - 1]), None, "{name}");
        }
        assert_eq!(foreign(b"BZh91AY&SY"), Some("a bzip2 stream"));
        assert_eq!(foreign(b"BZh91AY&S"), None);
        let disk = head(&[BOOT_MAGIC, BOOT_TYPE]);
        assert_eq!(
            foreign(&disk[..512]),
            Some("a disk with a GPT partition table")
        );
        assert_eq!(foreign(&head(&[BOOT_MAGIC])), None);
        assert_eq!(foreign(b""), None);
    }
}
