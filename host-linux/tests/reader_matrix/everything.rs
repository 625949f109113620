//! The tree with one of everything.

use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileExt as _, symlink};
use std::os::unix::net::UnixListener;

use rustix::fs::FileType;

use crate::machine::Skip;
use crate::tree::{Maker, noise, text};

/// An access control list as the kernel takes it: version 2, then tag, permissions and id of
/// each entry.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

const NOBODY: u32 = u32::MAX;

impl Maker {
    /// About 2000 files with 6 MB of content.
    pub(crate) fn everything(&mut self) -> Result<(), Skip> {
        self.contents();
        self.specials();
        self.names();
        self.links();
        self.owners_and_times();
        self.xattrs()
    }

    /// Sizes around the borders of blocks, and content of every kind.
    fn contents(&self) {
        self.dir("sizes");
        for size in [
            0_usize, 1, 2, 63, 511, 512, 513, 1023, 1024, 1025, 2047, 2048, 2049, 4095, 4096, 4097,
            8191, 8192, 8193, 12_288, 16_385, 65_535, 65_536, 65_537, 131_072, 200_001,
        ] {
            self.file(format!("sizes/text-{size}"), &text(size as u64, size));
            self.file(format!("sizes/noise-{size}"), &noise(size as u64 + 7, size));
        }
        self.dir("content");
        self.file("content/zeros", &vec![0; 300_000]);
        self.file("content/period", &b"abc".repeat(100_000));
        self.file("content/text", &text(1, 1_500_000));
        self.file("content/noise", &noise(2, 400_000));
        // Parts that compress between parts that do not, of sizes that fit no block.
        let mut mixed = Vec::new();
        for part in 0..60 {
            mixed.extend(text(part, 9_000));
            mixed.extend(noise(part, 7_001));
        }
        self.file("content/mixed", &mixed);
        // What deduplication finds: whole files, parts at the same and at other places, ends.
        self.dir("same");
        let shared = text(99, 150_000);
        self.file("same/one", &shared);
        self.file("same/two", &shared);
        self.file("same/shifted", &[&noise(3, 5_000)[..], &shared].concat());
        self.file(
            "same/tail",
            &[&text(4, 40_000)[..], &shared[100_000..]].concat(),
        );
        self.file("same/longer", &[&shared[..], &text(5, 30_000)].concat());
        for number in 0..40_u64 {
            self.file(
                format!("same/small-{number}"),
                &text(number % 7, 900 + 31 * (number as usize % 9)),
            );
        }
        self.dir("sparse");
        let sparse = |name: &str, size: u64, data: &[(u64, &[u8])]| {
            let file = File::create(self.path(name)).unwrap();
            file.set_len(size).unwrap();
            for (offset, bytes) in data {
                file.write_all_at(bytes, *offset).unwrap();
            }
        };
        sparse("sparse/hole", 1 << 20, &[]);
        sparse("sparse/start", 700_001, &[(0, &noise(11, 9_000))]);
        sparse("sparse/end", 700_001, &[(699_900, b"the end")]);
        let middle = text(12, 70_000);
        sparse(
            "sparse/middle",
            1_000_000,
            &[(123_456, &middle), (600_000, &middle)],
        );
    }

    fn specials(&self) {
        self.dir("special");
        self.node("special/null", FileType::CharacterDevice, 0o666, 1, 3);
        self.node("special/whiteout", FileType::CharacterDevice, 0o000, 0, 0);
        self.node("special/disk", FileType::BlockDevice, 0o660, 8, 17);
        self.node(
            "special/large",
            FileType::BlockDevice,
            0o600,
            4095,
            1_048_575,
        );
        self.node("special/fifo", FileType::Fifo, 0o644, 0, 0);
        drop(UnixListener::bind(self.path("special/socket")).unwrap());
        self.dir("special/empty");
        for (name, mode) in [
            ("setuid", 0o4755),
            ("setgid", 0o2755),
            ("sticky", 0o1644),
            ("all", 0o7777),
            ("none", 0o0000),
        ] {
            self.file(format!("special/{name}"), name.as_bytes());
            self.mode(&format!("special/{name}"), mode);
        }
        self.dir("special/tmp");
        self.mode("special/tmp", 0o1777);
        self.dir("special/group");
        self.mode("special/group", 0o2770);
    }

    fn names(&self) {
        self.dir("names");
        self.file(
            b"names/"
                .iter()
                .copied()
                .chain([b'n'; 255])
                .collect::<Vec<_>>(),
            b"long",
        );
        let mut long_dir = b"names/".to_vec();
        long_dir.extend([b'd'; 255]);
        self.dir(&long_dir);
        long_dir.push(b'/');
        long_dir.extend([0xff; 255]);
        self.file(&long_dir, b"long in long");
        for name in [
            &b"\xff\xfe\x80 no utf-8"[..],
            b"latin \xe9t\xe9",
            b"new\nline",
            b"bell\x07\x1b[2J",
            b"\x01",
            b"\x7f",
            b" ",
            b"-",
            b"--help",
            b"back\\slash",
            b"...",
            b".hidden",
            b"*?[",
            "été ☃ 𝄞".as_bytes(),
        ] {
            self.file([b"names/", name].concat(), name);
        }
        // Several blocks of entries, whatever the size of a block.
        self.dir("many");
        let target = self.file("many/first", b"many");
        for number in 0..1500 {
            let name = format!("many/{:x}-{number}", number * 7919 % 4001);
            fs::hard_link(&target, self.path(name)).unwrap();
        }
        let mut deep = b"deep".to_vec();
        self.dir(&deep);
        for level in 0..100 {
            deep.extend(format!("/{}", level % 10).as_bytes());
            self.dir(&deep);
            if level % 10 == 0 {
                self.file(
                    [&deep[..], b"/file"].concat(),
                    format!("{level}").as_bytes(),
                );
            }
        }
    }

    fn links(&self) {
        self.dir("links");
        let first = self.file("links/a", &text(20, 5_000));
        fs::hard_link(&first, self.path("links/b")).unwrap();
        fs::hard_link(&first, self.path("special/linked")).unwrap();
        self.node("links/pipe", FileType::Fifo, 0o600, 0, 0);
        fs::hard_link(self.path("links/pipe"), self.path("links/pipe-again")).unwrap();
        for length in [1, 31, 59, 60, 255, 511, 512, 1000, 2047, 4000, 4095] {
            let target = "t/".repeat(length / 2 + 1)[..length].to_owned();
            symlink(target, self.path(format!("links/to-{length}"))).unwrap();
        }
        symlink("a", self.path("links/to-a")).unwrap();
        symlink("/", self.path("links/to-root")).unwrap();
        symlink("../links", self.path("links/to-itself")).unwrap();
        let target = std::ffi::OsString::from_vec(b"\xff\n".to_vec());
        symlink(target, self.path("links/to-no-utf-8")).unwrap();
    }

    fn owners_and_times(&mut self) {
        self.dir("owners");
        for (uid, gid) in [
            (0, 0),
            (1000, 100),
            (65_535, 65_535),
            (65_536, 1),
            (70_000, 80_000),
            (u32::MAX - 1, u32::MAX - 1),
        ] {
            let name = format!("owners/{uid}-{gid}");
            self.file(&name, name.as_bytes());
            self.owner(&name, uid, gid);
        }
        symlink("nowhere", self.path("owners/link")).unwrap();
        self.owner("owners/link", 12, 34);
        self.dir("times");
        for (name, seconds, nanoseconds) in [
            ("1970", 0, 0),
            ("1970-ns", 0, 1),
            ("1969", -1, 999_999_999),
            ("1900", -2_208_988_800, 123_456_789),
            ("2038", 2_147_483_648, 5),
            ("2200", 7_258_118_400, 500_000_000),
            ("2600", 19_880_899_200, 7),
            ("ns", 1_600_000_000, 987_654_321),
            // As the image itself is made with.
            ("epoch", 1_700_000_000, 0),
        ] {
            let name = format!("times/{name}");
            self.file(&name, name.as_bytes());
            self.time(&name, seconds, nanoseconds);
        }
        self.time("times", -5, 5);
    }

    fn xattrs(&self) -> Result<(), Skip> {
        self.dir("xattrs");
        let overlay = [
            ("trusted.overlay.opaque", &b"y"[..]),
            ("trusted.overlay.redirect", b"/other/place"),
            ("trusted.overlay.metacopy", b""),
        ];
        self.dir("xattrs/overlay");
        for (key, value) in overlay {
            self.xattr("xattrs/overlay", key, value)?;
        }
        self.file("xattrs/one", b"x");
        self.xattr("xattrs/one", "user.mime_type", b"text/plain")?;
        self.file("xattrs/all", &text(30, 9_000));
        // A file capability of version 2: cap_net_raw, permitted and effective.
        let capability = [
            1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        for (key, value) in [
            ("user.empty", &b""[..]),
            ("user.binary", b"\0\xff\n\0"),
            ("trusted.md5sum", b"d41d8cd98f00b204e9800998ecf8427e"),
            ("security.test", b"label\0"),
            ("security.capability", &capability),
            ("user.long.prefix.of.a.name.number.1", b"1"),
            ("user.long.prefix.of.a.name.number.2", b"2"),
            ("user.long.prefix.of.a.name.", b"3"),
        ] {
            self.xattr("xattrs/all", key, value)?;
        }
        self.file("xattrs/large", b"large");
        self.xattr("xattrs/large", "user.large", &text(31, 3_000))?;
        self.xattr(
            "xattrs/large",
            &format!("user.{}", "k".repeat(250)),
            b"long name",
        )?;
        self.file("xattrs/many", b"many");
        for number in 0..40 {
            let value = noise(number, number as usize);
            self.xattr("xattrs/many", &format!("user.key{number}"), &value)?;
        }
        // Shared ones, once they are enough.
        for number in 0..12 {
            let name = format!("xattrs/shared-{number}");
            self.file(&name, &text(number, 100 * number as usize));
            self.xattr(&name, "security.selinux", b"system_u:object_r:usr_t:s0\0")?;
            self.xattr(&name, "user.shared", b"the same for all of them")?;
            if number % 2 == 0 {
                self.xattr(&name, "user.own", format!("{number}").as_bytes())?;
            }
        }
        symlink("nowhere", self.path("xattrs/link")).unwrap();
        self.xattr("xattrs/link", "trusted.link", b"on a link")?;
        self.node("xattrs/fifo", FileType::Fifo, 0o600, 0, 0);
        self.xattr("xattrs/fifo", "trusted.fifo", b"on a fifo")?;
        // user::rw-, user:1000:r--, group::r--, mask::r--, other::---
        let access = acl(&[
            (1, 6, NOBODY),
            (2, 4, 1000),
            (4, 4, NOBODY),
            (0x10, 4, NOBODY),
            (0x20, 0, NOBODY),
        ]);
        self.file("xattrs/acl", b"acl");
        self.xattr("xattrs/acl", "system.posix_acl_access", &access)?;
        self.dir("xattrs/acl-dir");
        self.xattr("xattrs/acl-dir", "system.posix_acl_access", &access)?;
        self.xattr("xattrs/acl-dir", "system.posix_acl_default", &access)?;
        self.xattr("", "trusted.root", b"on the root")
    }
}
