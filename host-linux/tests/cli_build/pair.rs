//! Two archives that mean the same: one with all that we take, the other in words that `mkfs.erofs`
//! understands as well.

use crate::common::noise;
use crate::tar::{Head, Holes, Piece, Tar};

/// The two archives.
#[derive(Default)]
pub(crate) struct Pair {
    pub(crate) ours: Tar,
    pub(crate) theirs: Tar,
}

impl Pair {
    /// Adds a member to both.
    pub(crate) fn both(&mut self, head: &Head, content: &[u8]) {
        self.ours.add(head, content);
        self.theirs.add(head, content);
    }

    /// Adds a `pax` header to both.
    pub(crate) fn pax(&mut self, records: &[(&str, &[u8])]) {
        self.ours.pax(records);
        self.theirs.pax(records);
    }

    /// Adds a member under one name to ours, and under another to theirs.
    fn named(&mut self, ours: &Head, theirs: &str, content: &[u8]) {
        self.ours.add(ours, content);
        let theirs = Head {
            name: theirs.into(),
            ..ours.clone()
        };
        self.theirs.add(&theirs, content);
    }

    /// All of it.
    pub(crate) fn everything() -> Self {
        let mut pair = Self::default();
        pair.both(&Head::folder("./"), b"");
        pair.random();
        pair.numbers();
        pair.long_names();
        pair.xattrs();
        pair.hard_links();
        pair.below_symlinks();
        pair.whiteouts();
        pair.implied();
        pair.holes();
        pair
    }

    /// Members of all types under few names, so that they replace each other.
    fn random(&mut self) {
        for folder in ["a", "b", "c"] {
            self.both(&Head::folder(folder).mtime(1_600_000_000), b"");
        }
        let mut dice = noise(1, 1 << 16).into_iter();
        let mut roll =
            || usize::from(dice.next().unwrap()) << 8 | usize::from(dice.next().unwrap());
        for number in 0..400 {
            let folder = ["a", "b", "c"][roll() % 3];
            let name = format!(
                "{folder}/{}{}",
                ["x", ".y", "-z", "~"][roll() % 4],
                roll() % 40
            );
            let owner = ([0, 1000, 70_000][roll() % 3], [0, 5, 1 << 20][roll() % 3]);
            let head = |kind| {
                let time = [1, 1_234_567_890, 1_700_000_000][number % 3];
                Head::new(&name, kind).owner(owner.0, owner.1).mtime(time)
            };
            match roll() % 9 {
                0 => self.both(&head(b'5').mode(0o750), b""),
                1 => {
                    let target = vec![b'x'; 1 + roll() % 300];
                    self.both(
                        &Head {
                            link: target,
                            ..head(b'2')
                        },
                        b"",
                    );
                }
                2 => self.both(&head(b'6'), b""),
                3 => {
                    let (major, minor) = (roll() as u32 % 300, roll() as u32);
                    self.both(&head(b'3').device(major, minor), b"");
                }
                4 => self.both(&head(b'4').device(8, roll() as u32 % 9), b""),
                5 => self.both(&head(b'0').mode(0o4755), &vec![b'z'; roll() % 9000]),
                _ => {
                    let length = [0, 1, 4095, 4096, 4097, 20_000][roll() % 6];
                    self.both(&head(b'0'), &noise(number as u64, length));
                }
            }
        }
        // A directory that comes again keeps what it names; one that is replaced does not.
        self.both(&Head::folder("kept"), b"");
        self.both(&Head::file("kept/inside"), b"inside");
        self.both(&Head::folder("kept").mode(0o711).owner(7, 8).mtime(9), b"");
        self.both(&Head::folder("lost"), b"");
        self.both(&Head::file("lost/inside"), b"inside");
        self.both(&Head::file("lost"), b"a file now");
    }

    fn numbers(&mut self) {
        self.both(
            &Head::file("ids").gnu().owner(3_000_000, 4_000_000_000),
            b"1",
        );
        self.both(&Head::file("early").gnu().mtime(-5), b"2");
        self.both(&Head::file("late").gnu().mtime(1 << 35), b"3");
        self.pax(&[
            ("mtime", b"1700000000.123456789"),
            ("uid", b"3000001"),
            ("gid", b"3000002"),
        ]);
        self.both(&Head::file("pax"), b"4");
        self.both(
            &Head::new("device", b'3').gnu().device(4095, 1_048_575),
            b"",
        );
        self.both(&Head::file("set-ids").mode(0o6755), b"5");
    }

    fn long_names(&mut self) {
        let long = |letter: &str| format!("kept/{}", letter.repeat(200));
        self.both(&Head::file(long("g")).gnu(), b"1");
        self.both(&Head::file(long("p")), b"2");
        self.both(&Head::symlink(long("h"), "t".repeat(400)).gnu(), b"");
        self.both(&Head::symlink(long("q"), "t".repeat(4095)), b"");
        self.both(&Head::file("n".repeat(255)), b"3");
        self.both(&Head::hard_link("linked", long("g")).gnu(), b"");
        self.both(&Head::hard_link("linked-too", long("p")), b"");
        let prefixed = Head {
            prefix: "kept".into(),
            ..Head::file("prefixed")
        };
        self.both(&prefixed, b"4");
        self.both(&Head::file("./kept//dots/./\u{fc}\n"), b"5");
        self.both(&Head::folder("kept/dots"), b"");
        self.both(&Head::file("/absolute"), b"6");
    }

    fn xattrs(&mut self) {
        for number in 0..30_u8 {
            let value = format!("value {}", number % 3);
            self.pax(&[
                ("SCHILY.xattr.user.shared", value.as_bytes()),
                ("SCHILY.xattr.user.own", &[number; 9]),
                ("SCHILY.xattr.trusted.some", b"\0\n=\xff"),
            ]);
            self.both(&Head::file(format!("kept/x{number}")), b"x");
        }
        self.pax(&[("SCHILY.xattr.security.capability", CAPABILITY)]);
        self.both(&Head::file("ping").mode(0o755), b"ping");
        self.pax(&[("SCHILY.xattr.user.long", &noise(2, 3000))]);
        self.both(&Head::folder("with"), b"");
    }

    fn hard_links(&mut self) {
        self.both(&Head::file("one"), b"one");
        self.both(&Head::hard_link("./two", "one"), b"");
        self.both(&Head::hard_link("/three", "./two"), b"");
        self.both(&Head::symlink("symlink", "nowhere"), b"");
        self.both(&Head::hard_link("symlink-too", "symlink"), b"");
        self.both(&Head::new("pipe", b'6'), b"");
        self.both(&Head::hard_link("pipe-too", "pipe"), b"");
        // What a name led to stays where it has another one.
        self.both(&Head::file("old"), b"old");
        self.both(&Head::hard_link("old-too", "old"), b"");
        self.both(&Head::file("old"), b"new");
        self.both(&Head::file("self"), b"self");
        self.both(&Head::hard_link("self", "self"), b"");
        // To what comes later, through another link, and from below.
        self.ours
            .add(&Head::hard_link("early-two", "early-one"), b"");
        self.ours
            .add(&Head::hard_link("early-one", "with/target"), b"");
        self.both(&Head::file("with/target"), b"comes last");
        self.theirs
            .add(&Head::hard_link("early-one", "with/target"), b"");
        self.theirs
            .add(&Head::hard_link("early-two", "early-one"), b"");
    }

    /// What lies below symbolic links goes where they lead.
    fn below_symlinks(&mut self) {
        for folder in ["usr", "usr/lib", "usr/lib/deep"] {
            self.both(&Head::folder(folder), b"");
        }
        self.both(&Head::symlink("lib", "usr/lib"), b"");
        self.both(&Head::symlink("all", "/usr"), b"");
        self.both(&Head::symlink("usr/lib/up", "../../all/lib/deep"), b"");
        self.named(&Head::file("lib/one"), "usr/lib/one", b"1");
        self.named(&Head::file("all/lib/two"), "usr/lib/two", b"2");
        self.named(&Head::file("lib/up/three"), "usr/lib/deep/three", b"3");
        let (ours, theirs) = ("lib/up/three", "usr/lib/deep/three");
        self.ours.add(&Head::hard_link("lib/four", ours), b"");
        self.theirs
            .add(&Head::hard_link("usr/lib/four", theirs), b"");
    }

    fn whiteouts(&mut self) {
        self.both(&Head::folder("layer"), b"");
        self.both(&Head::file("layer/.wh.gone").owner(5, 6).mtime(7), b"");
        self.both(&Head::file("layer/.wh.also").mode(0o600), b"");
        self.both(&Head::folder("opaque"), b"");
        self.both(&Head::file("opaque/before"), b"1");
        self.both(&Head::file("opaque/.wh..wh..opq"), b"");
        self.both(&Head::file("opaque/after"), b"2");
        self.both(&Head::file(".wh.root"), b"");
        self.both(&Head::new("layer/device", b'3').mode(0), b"");
        // Whiteouts speak of lower layers alone, wherever they stand; a directory that takes the place of
        // another covers it.
        self.both(&Head::folder("fresh"), b"");
        self.both(&Head::file("fresh/inside"), b"3");
        self.ours.add(&Head::file(".wh.fresh"), b"");
        self.theirs.add(&Head::file("fresh/.wh..wh..opq"), b"");
        self.both(&Head::file("layer/file"), b"4");
        self.ours.add(&Head::file("layer/.wh.file"), b"");
        // What AUFS kept for itself.
        self.ours.add(&Head::folder(".wh..wh.plnk"), b"");
        self.ours.add(&Head::file(".wh..wh.plnk/1.2"), b"x");
        self.ours.add(&Head::file(".wh..wh.aufs"), b"x");
    }

    /// Directories without a member of their own: they are root's, with mode 0755.
    fn implied(&mut self) {
        let time = 1_500_000_000;
        for folder in ["implied", "implied/deep"] {
            self.theirs.add(&Head::folder(folder).mtime(time), b"");
        }
        let file = Head::file("implied/deep/file").owner(1000, 1000);
        self.both(&file.mtime(time), b"1");
    }

    fn holes(&mut self) {
        let forms = [Holes::Old, Holes::Pax00, Holes::Pax01, Holes::Pax10];
        for how in forms {
            let names = format!("{how:?}");
            for (name, size, pieces) in holed() {
                let head = Head::file(format!("{names}-{name}")).owner(1, 2);
                self.ours.sparse(&head, size, &pieces, how);
                let mut whole = vec![0; usize::try_from(size).unwrap()];
                for (offset, data) in &pieces {
                    let offset = usize::try_from(*offset).unwrap();
                    whole[offset..][..data.len()].copy_from_slice(data);
                }
                self.theirs.add(&head, &whole);
            }
        }
    }
}

/// `VFS_CAP_REVISION_2` with `CAP_NET_RAW`.
pub(crate) const CAPABILITY: &[u8] = &[
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// Files with holes: their sizes, and where they have data.
fn holed() -> Vec<(&'static str, u64, Vec<Piece>)> {
    let many = |count: u64| {
        let pieces = (0..count).map(|number| (number * 20_000, noise(number, 700)));
        pieces.collect::<Vec<_>>()
    };
    vec![
        ("all", 500_000, vec![]),
        ("behind", 100_000, vec![(90_000, noise(11, 10_000))]),
        ("before", 100_001, vec![(0, noise(12, 5_000))]),
        ("small", 700, vec![(512, noise(13, 100))]),
        ("whole", 5_000, vec![(0, noise(14, 5_000))]),
        ("many", 1_000_000, many(50)),
        (
            "edges",
            1 << 20,
            vec![(4095, vec![1, 2]), ((1 << 20) - 1, vec![3])],
        ),
    ]
}
