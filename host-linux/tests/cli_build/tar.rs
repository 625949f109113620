//! Archives made by hand: every form of header that the tests need.

/// Size of a header, and what members are filled up to, in bytes.
pub(crate) const BLOCK: usize = 512;

/// An archive that is being made.
#[derive(Clone, Default)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

impl Tar {
    /// Adds a member with its content. A name or a target that is too long for its field goes into a
    /// header of its own, in the form that the member has.
    pub(crate) fn add(&mut self, head: &Head, content: &[u8]) -> &mut Self {
        if head.name.len() > 100 || head.link.len() > 100 {
            if head.gnu {
                for (kind, text) in [(b'K', &head.link), (b'L', &head.name)] {
                    if text.len() > 100 {
                        let text = [text, &b"\0"[..]].concat();
                        self.member(&Head::new("././@LongLink", kind).gnu(), &text);
                    }
                }
            } else {
                let mut records: Vec<(&str, &[u8])> = Vec::new();
                for (key, text) in [("path", &head.name), ("linkpath", &head.link)] {
                    if text.len() > 100 {
                        records.push((key, text));
                    }
                }
                self.pax(&records);
            }
        }
        self.member(head, content)
    }

    fn member(&mut self, head: &Head, content: &[u8]) -> &mut Self {
        self.0.extend_from_slice(&head.block(content.len() as u64));
        self.raw(content)
    }

    /// Adds bytes, and zeros up to a whole block.
    pub(crate) fn raw(&mut self, content: &[u8]) -> &mut Self {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    /// Adds a `pax` header, which speaks of the next member.
    pub(crate) fn pax(&mut self, records: &[(&str, &[u8])]) -> &mut Self {
        let mut text = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            text.extend_from_slice(format!("{length} {key}=").as_bytes());
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        self.member(&Head::new("PaxHeaders/x", b'x'), &text)
    }

    /// Adds a file with these pieces of data, without its holes.
    pub(crate) fn sparse(&mut self, head: &Head, size: u64, pieces: &[Piece], how: Holes) {
        // Where the last of it is a hole, a piece without bytes stands at its end, as GNU tar has it.
        let mut pieces = pieces.to_vec();
        let end = pieces
            .last()
            .map_or(0, |(offset, data)| offset + data.len() as u64);
        if end < size {
            pieces.push((size, Vec::new()));
        }
        let pieces = &pieces[..];
        let content: Vec<u8> = pieces.iter().flat_map(|(_, data)| data.clone()).collect();
        let numbers = pieces
            .iter()
            .map(|(offset, data)| (offset.to_string(), data.len().to_string()));
        let numbers: Vec<(String, String)> = numbers.collect();
        let size_text = size.to_string();
        let count = pieces.len().to_string();
        match how {
            Holes::Old => self.old_sparse(head, size, pieces, &content),
            Holes::Pax00 => {
                let mut records = vec![
                    ("GNU.sparse.size", size_text.as_bytes()),
                    ("GNU.sparse.numblocks", count.as_bytes()),
                ];
                for (offset, length) in &numbers {
                    records.push(("GNU.sparse.offset", offset.as_bytes()));
                    records.push(("GNU.sparse.numbytes", length.as_bytes()));
                }
                self.pax(&records).add(head, &content);
            }
            Holes::Pax01 => {
                let map: Vec<String> = numbers.iter().map(|(a, b)| format!("{a},{b}")).collect();
                let map = map.join(",");
                self.pax(&[
                    ("GNU.sparse.size", size_text.as_bytes()),
                    ("GNU.sparse.numblocks", count.as_bytes()),
                    ("GNU.sparse.name", &head.name),
                    ("GNU.sparse.map", map.as_bytes()),
                ]);
                self.add(&head.renamed("GNUSparseFile.1/x"), &content);
            }
            Holes::Pax10 => {
                let mut stored = format!("{count}\n");
                for (offset, length) in &numbers {
                    stored += &format!("{offset}\n{length}\n");
                }
                let mut stored = stored.into_bytes();
                stored.resize(stored.len().next_multiple_of(BLOCK), 0);
                stored.extend_from_slice(&content);
                self.pax(&[
                    ("GNU.sparse.major", b"1"),
                    ("GNU.sparse.minor", b"0"),
                    ("GNU.sparse.name", &head.name),
                    ("GNU.sparse.realsize", size_text.as_bytes()),
                ]);
                self.add(&head.renamed("GNUSparseFile.1/x"), &stored);
            }
        }
    }

    /// The form with the type `S`: four pieces in the header, 21 in each block behind it.
    fn old_sparse(&mut self, head: &Head, size: u64, pieces: &[Piece], content: &[u8]) {
        let mut block = Head {
            kind: b'S',
            ..head.clone().gnu()
        }
        .block(content.len() as u64);
        let fields: Vec<u8> = pieces
            .iter()
            .flat_map(|(offset, data)| [number(*offset, 12), number(data.len() as u64, 12)])
            .flatten()
            .collect();
        let (first, rest) = fields.split_at(fields.len().min(4 * 24));
        block[386..386 + first.len()].copy_from_slice(first);
        block[482] = u8::from(!rest.is_empty());
        block[483..495].copy_from_slice(&number(size, 12));
        seal(&mut block);
        self.0.extend_from_slice(&block);
        let mut rest = rest.chunks(21 * 24).peekable();
        while let Some(fields) = rest.next() {
            let mut block = [0; BLOCK];
            block[..fields.len()].copy_from_slice(fields);
            block[504] = u8::from(rest.peek().is_some());
            self.0.extend_from_slice(&block);
        }
        self.raw(content);
    }

    /// The archive with its end marker.
    pub(crate) fn ended(&self) -> Vec<u8> {
        let mut all = self.0.clone();
        all.resize(all.len() + 2 * BLOCK, 0);
        all
    }
}

/// Offset and bytes of data in a file with holes.
pub(crate) type Piece = (u64, Vec<u8>);

/// How a file with holes is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holes {
    Old,
    Pax00,
    Pax01,
    Pax10,
}

/// A header that is being made: a file of root's, mode 0644, in POSIX' form.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: i64,
    pub(crate) link: Vec<u8>,
    pub(crate) device: (u32, u32),
    pub(crate) prefix: Vec<u8>,
    pub(crate) gnu: bool,
}

impl Head {
    pub(crate) fn new(name: impl AsRef<[u8]>, kind: u8) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            kind,
            mode: 0o644,
            owner: (0, 0),
            mtime: 1_700_000_000,
            link: Vec::new(),
            device: (0, 0),
            prefix: Vec::new(),
            gnu: false,
        }
    }

    pub(crate) fn file(name: impl AsRef<[u8]>) -> Self {
        Self::new(name, b'0')
    }

    pub(crate) fn folder(name: impl AsRef<[u8]>) -> Self {
        Self::new(name, b'5').mode(0o755)
    }

    pub(crate) fn symlink(name: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Self {
        Self {
            link: to.as_ref().to_vec(),
            ..Self::new(name, b'2').mode(0o777)
        }
    }

    pub(crate) fn hard_link(name: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Self {
        Self {
            link: to.as_ref().to_vec(),
            ..Self::new(name, b'1')
        }
    }

    pub(crate) fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    pub(crate) fn owner(self, uid: u32, gid: u32) -> Self {
        Self {
            owner: (uid, gid),
            ..self
        }
    }

    pub(crate) fn mtime(self, mtime: i64) -> Self {
        Self { mtime, ..self }
    }

    pub(crate) fn device(self, major: u32, minor: u32) -> Self {
        Self {
            device: (major, minor),
            ..self
        }
    }

    /// In GNU tar's form.
    pub(crate) fn gnu(self) -> Self {
        Self { gnu: true, ..self }
    }

    fn renamed(&self, name: &str) -> Self {
        Self {
            name: name.into(),
            ..self.clone()
        }
    }

    /// The block of a member with so much content.
    fn block(&self, size: u64) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| block[at..][..bytes.len()].copy_from_slice(bytes);
        put(0, self.name.get(..100).unwrap_or(&self.name));
        put(100, &number(self.mode.into(), 8));
        put(108, &number(self.owner.0.into(), 8));
        put(116, &number(self.owner.1.into(), 8));
        put(124, &number(size, 12));
        match u64::try_from(self.mtime) {
            Ok(mtime) => put(136, &number(mtime, 12)),
            Err(_) => {
                // In base 256, with its sign.
                put(136, &[0xff; 4]);
                put(140, &self.mtime.to_be_bytes());
            }
        }
        put(156, &[self.kind]);
        put(157, self.link.get(..100).unwrap_or(&self.link));
        put(
            257,
            if self.gnu {
                b"ustar  \0"
            } else {
                b"ustar\x0000"
            },
        );
        put(329, &number(self.device.0.into(), 8));
        put(337, &number(self.device.1.into(), 8));
        put(345, &self.prefix);
        seal(&mut block);
        block
    }
}

/// A number in a field: in octal digits, or where they do not do, in base 256.
fn number(number: u64, width: usize) -> Vec<u8> {
    let digits = format!("{number:0width$o}\0", width = width - 1);
    if digits.len() <= width {
        return digits.into_bytes();
    }
    let mut field = vec![0; width];
    field[0] = 0x80;
    let bytes = number.to_be_bytes();
    let bytes = &bytes[bytes.len().saturating_sub(width - 1)..];
    field[width - bytes.len()..].copy_from_slice(bytes);
    field
}

/// Makes the checksum right.
pub(crate) fn seal(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
