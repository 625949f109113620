//! Lays a tree out: superblock, configurations, device table, prefixes, shared xattrs, inodes,
//! and from the next block on the data.

use std::collections::BTreeMap;

use super::super::image::{Image, SUPERBLOCK};
use super::super::tar::TIME;
use super::incompat;
use super::labelled::LabelledImage;
use super::node::{Content, Node, Tree};

/// Set in the nid of what lies in the metabox.
const METABOX: u64 = 1 << 63;
/// Size of a slot of the inode table.
const SLOT: usize = 32;
/// Start of a file that is one hole.
const HOLE: u32 = u32::MAX;

/// A run of metadata that grows: the image's own, or the metabox.
#[derive(Debug, Default)]
struct Space {
    bytes: Vec<u8>,
}

impl Space {
    fn align(&mut self, to: usize) -> usize {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
        self.bytes.len()
    }
}

/// Where an inode was put, and where its parts are, all counted in its space.
#[derive(Clone, Copy, Debug, Default)]
struct Put {
    inode: usize,
    xattrs: usize,
    behind: usize,
    /// The first block of its data.
    block: u32,
}

impl Tree {
    /// Writes the image.
    ///
    /// # Panics
    ///
    /// When the tree makes no sense: a path without its directory, inline data that is larger
    /// than a block.
    #[must_use]
    pub fn write(&self) -> LabelledImage {
        Writer::new(self).write()
    }

    fn block(&self) -> usize {
        1 << self.block_bits
    }

    /// The path of the directory that names a node.
    fn parent(path: &str) -> &str {
        path.rsplit_once('/').map_or("", |(parent, _)| parent)
    }

    /// What a directory names, in the order of the names, itself and its parent included.
    fn entries(&self, dir: &str, dot_omitted: bool) -> Vec<(String, String)> {
        let named = |node: &&Node| node.is_named() && Self::parent(&node.path) == dir;
        let mut entries: Vec<(String, String)> = self
            .nodes
            .iter()
            .filter(named)
            .map(|node| {
                let name = node.path.rsplit('/').next().unwrap_or_default();
                let leads_to = match node.content {
                    Content::Link(to) => to.to_owned(),
                    _ => node.path.clone(),
                };
                (name.to_owned(), leads_to)
            })
            .collect();
        if !dot_omitted {
            entries.push((".".to_owned(), dir.to_owned()));
        }
        entries.push(("..".to_owned(), Self::parent(dir).to_owned()));
        entries.sort();
        entries
    }

    /// How many entries lead to a node; of a directory those in it that lead back too.
    fn links(&self, node: &Node) -> u32 {
        let links = if matches!(node.content, Content::Directory { .. }) {
            let below = |other: &&Node| {
                other.is_named()
                    && Self::parent(&other.path) == node.path
                    && matches!(other.content, Content::Directory { .. })
            };
            2 + self.nodes.iter().filter(below).count()
        } else {
            let same =
                |other: &&Node| matches!(other.content, Content::Link(to) if to == node.path);
            1 + self.nodes.iter().filter(same).count()
        };
        u32::try_from(links).expect("few links")
    }
}

/// An image on its way.
struct Writer<'a> {
    tree: &'a Tree,
    image: Space,
    metabox: Space,
    puts: BTreeMap<String, Put>,
    /// Blocks of data, and the block where they start.
    data: Vec<u8>,
    first: u32,
    places: BTreeMap<String, usize>,
    nids: BTreeMap<String, u64>,
}

impl<'a> Writer<'a> {
    fn new(tree: &'a Tree) -> Self {
        Self {
            tree,
            image: Space {
                bytes: vec![0; SUPERBLOCK + 128],
            },
            metabox: Space::default(),
            puts: BTreeMap::new(),
            data: Vec::new(),
            first: 0,
            places: BTreeMap::new(),
            nids: BTreeMap::new(),
        }
    }

    fn write(mut self) -> LabelledImage {
        let slots = self.head();
        let shared = self.shared();
        self.place(&shared);
        self.image.align(self.tree.block());
        self.first = u32::try_from(self.image.bytes.len() >> self.tree.block_bits).expect("small");
        self.fill(&shared);
        self.metabox_content();
        let mut bytes = self.image.bytes;
        bytes.extend(&self.data);
        let blocks = bytes.len() >> self.tree.block_bits;
        let named = |path: &str| self.nids.get(path).copied();
        let inodes = self.nids.keys().filter(|path| !path.starts_with('#'));
        let mut image = Image(bytes)
            .set("magic", 0xe0f5_e1e2)
            .set("feature_compat", self.tree.compat.into())
            .set("feature_incompat", self.tree.incompat.into())
            .set("blkszbits", self.tree.block_bits.into())
            .set("inos", inodes.count() as u64)
            .set("epoch", TIME.into())
            .set("blocks_lo", blocks as u64);
        let root = named("").expect("a root");
        image = if root < 1 << 16 {
            image.set("rootnid_2b", root)
        } else {
            image.set("rootnid_8b", root)
        };
        if let Some(packed) = named("#packed") {
            image = image.set("packed_nid", packed);
        }
        if let Some(metabox) = named("#metabox") {
            image = image.set("sb_extslots", 1).set("metabox_nid", metabox);
        }
        if !self.tree.devices.is_empty() {
            image = image
                .set("extra_devices", self.tree.devices.len() as u64)
                .set("devt_slotoff", (slots / 128) as u64);
        }
        if let Some(prefixes) = self.places.get("prefixes") {
            image = image
                .set("xattr_prefix_count", self.tree.prefixes.len() as u64)
                .set("xattr_prefix_start", (prefixes / 4) as u64);
        }
        for (name, value) in &self.tree.fields {
            image = image.set(name, *value);
        }
        LabelledImage::new(image.mend(), self.tree.block(), self.places, self.nids)
    }

    /// What follows the superblock; gives the place of the device table.
    fn head(&mut self) -> usize {
        let bytes = &mut self.image;
        if self.tree.incompat & incompat::METABOX != 0 {
            bytes.bytes.resize(SUPERBLOCK + 128 + 16, 0);
        }
        self.places.insert("configs".into(), bytes.bytes.len());
        bytes.bytes.extend(&self.tree.configs);
        let slots = if self.tree.devices.is_empty() {
            0
        } else {
            bytes.align(128)
        };
        for (number, (blocks, start)) in self.tree.devices.iter().enumerate() {
            self.places
                .insert(format!("device {}", number + 1), bytes.bytes.len());
            let mut slot = [0; 128];
            slot[0] = b'1' + u8::try_from(number).expect("few devices");
            slot[64..68].copy_from_slice(&blocks.to_le_bytes());
            slot[68..72].copy_from_slice(&start.to_le_bytes());
            bytes.bytes.extend(slot);
        }
        if !self.tree.prefixes.is_empty() {
            let start = bytes.align(4);
            self.places.insert("prefixes".into(), start);
        }
        for (base, infix) in &self.tree.prefixes {
            let length = u16::try_from(infix.len() + 1).expect("short");
            bytes.bytes.extend(length.to_le_bytes());
            bytes.bytes.push(*base);
            bytes.bytes.extend(infix.as_bytes());
            bytes.align(4);
        }
        slots
    }

    /// The shared xattrs: gives the id of each record.
    fn shared(&mut self) -> BTreeMap<Vec<u8>, u32> {
        let mut ids = BTreeMap::new();
        for xattr in self.tree.nodes.iter().flat_map(|node| &node.xattrs) {
            let record = xattr.record();
            if xattr.shared && !ids.contains_key(&record) {
                // The area starts with block 0.
                let place = self.image.align(4);
                self.places.insert(format!("shared {}", xattr.name), place);
                self.image.bytes.extend(&record);
                ids.insert(record, u32::try_from(place / 4).expect("small"));
            }
        }
        ids
    }

    /// Says where each inode is put.
    fn place(&mut self, shared: &BTreeMap<Vec<u8>, u32>) {
        for node in &self.tree.nodes {
            if matches!(node.content, Content::Link(_)) {
                continue;
            }
            let record = if node.extended { 64 } else { 32 };
            let xattrs = xattr_area(node, shared).len();
            let (align, behind) = self.behind(node, 0);
            let block = self.tree.block();
            let space = if node.metabox {
                &mut self.metabox
            } else {
                &mut self.image
            };
            let mut inode = space.align(SLOT);
            let start = |inode: usize| (inode + record + xattrs).next_multiple_of(align);
            // What is inline ends in the block where it starts.
            while align == 1 && start(inode) % block + behind.len() > block {
                inode += SLOT;
            }
            let put = Put {
                inode,
                xattrs: inode + record,
                behind: start(inode),
                block: 0,
            };
            space.bytes.resize(put.behind + behind.len(), 0);
            let nid = (inode / SLOT) as u64 | if node.metabox { METABOX } else { 0 };
            self.nids.insert(node.path.clone(), nid);
            self.puts.insert(node.path.clone(), put);
        }
        // Data follows, node after node.
        let mut block = 0;
        for node in &self.tree.nodes {
            let blocks = self.blocks(node).len() >> self.tree.block_bits;
            if let Some(put) = self.puts.get_mut(&node.path) {
                put.block = block;
                block += u32::try_from(blocks).expect("small");
            }
        }
    }

    /// What lies behind an inode and its xattrs, and what it is aligned to: inline content (1),
    /// or a table.
    fn behind(&self, node: &Node, first: u32) -> (usize, Vec<u8>) {
        match &node.content {
            Content::Inline(bytes) => (1, self.cut(bytes).1.to_vec()),
            Content::Directory { inline: true, .. } => {
                let content = self.directory(node);
                (1, self.cut(&content).1.to_vec())
            }
            Content::Table { align, behind, .. } => (*align, behind(first)),
            _ => (1, Vec::new()),
        }
    }

    /// The blocks of a node, filled up with zeros.
    fn blocks(&self, node: &Node) -> Vec<u8> {
        let mut blocks = match &node.content {
            Content::Inline(bytes) => self.cut(bytes).0.to_vec(),
            Content::Plain(bytes) => bytes.clone(),
            Content::Directory { inline, .. } => {
                let content = self.directory(node);
                let inline = if *inline {
                    self.cut(&content).1.len()
                } else {
                    0
                };
                content[..content.len() - inline].to_vec()
            }
            Content::Table { blocks, .. } => blocks.clone(),
            _ => Vec::new(),
        };
        blocks.resize(blocks.len().next_multiple_of(self.tree.block()), 0);
        blocks
    }

    /// Content as its whole blocks and the inline rest, which holds one block at most.
    fn cut<'b>(&self, content: &'b [u8]) -> (&'b [u8], &'b [u8]) {
        let block = self.tree.block();
        content.split_at(content.len().div_ceil(block).saturating_sub(1) * block)
    }

    /// The content of a directory: entries, then names, block by block. Before the inodes have
    /// their places all nids are zero.
    fn directory(&self, node: &Node) -> Vec<u8> {
        let mut content = Vec::new();
        for (start, entries) in self.directory_blocks(node) {
            content.resize(start, 0);
            let mut name = entries.len() * 12;
            for (entry, leads_to) in &entries {
                let nid = self.nids.get(leads_to).copied().unwrap_or(0);
                content.extend(nid.to_le_bytes());
                content.extend(u16::try_from(name).expect("in a block").to_le_bytes());
                content.extend([self.file_type(leads_to), 0]);
                name += entry.len();
            }
            for (entry, _) in &entries {
                content.extend(entry.as_bytes());
            }
        }
        content
    }

    /// The entries of a directory, dealt out to blocks, each with where it starts.
    fn directory_blocks(&self, node: &Node) -> Vec<(usize, Vec<(String, String)>)> {
        let dot_omitted = matches!(
            node.content,
            Content::Directory {
                dot_omitted: true,
                ..
            }
        );
        let mut blocks: Vec<(usize, Vec<(String, String)>)> = Vec::new();
        let mut left = 0;
        for entry in self.tree.entries(&node.path, dot_omitted) {
            let size = 12 + entry.0.len();
            if size > left {
                blocks.push((blocks.len() * self.tree.block(), Vec::new()));
                left = self.tree.block();
            }
            left -= size;
            blocks.last_mut().expect("there is one").1.push(entry);
        }
        blocks
    }

    /// The number that entries have for the type of a node.
    fn file_type(&self, path: &str) -> u8 {
        let node = self.tree.nodes.iter().find(|node| node.path == path);
        let node = node.unwrap_or_else(|| panic!("no {path:?}"));
        match node.mode >> 12 {
            0o10 => 1,
            0o04 => 2,
            0o02 => 3,
            0o06 => 4,
            0o01 => 5,
            0o14 => 6,
            0o12 => 7,
            other => panic!("{path}: type {other:o}"),
        }
    }

    /// Writes the inodes and the data.
    fn fill(&mut self, shared: &BTreeMap<Vec<u8>, u32>) {
        for (number, node) in self.tree.nodes.iter().enumerate() {
            let Some(put) = self.puts.get(&node.path).copied() else {
                continue;
            };
            let first = self.first + put.block;
            let blocks = self.blocks(node);
            let count = u32::try_from(blocks.len() >> self.tree.block_bits).expect("small");
            let (_, behind) = self.behind(node, first);
            let record = self.inode(node, number, first, count, xattr_area(node, shared).len());
            let xattrs = xattr_area(node, shared);
            let space = if node.metabox {
                &mut self.metabox
            } else {
                &mut self.image
            };
            for (at, bytes) in [
                (put.inode, &record),
                (put.xattrs, &xattrs),
                (put.behind, &behind),
            ] {
                space.bytes[at..][..bytes.len()].copy_from_slice(bytes);
            }
            self.data.extend(&blocks);
            self.name_places(node, put, first);
        }
    }

    /// The record of an inode.
    fn inode(&self, node: &Node, number: usize, first: u32, count: u32, xattrs: usize) -> Vec<u8> {
        let (layout, size, union) = match &node.content {
            Content::Directory { inline, .. } => {
                let size = self.directory(node).len() as u64;
                (if *inline { 2 } else { 0 }, size, first)
            }
            Content::Plain(bytes) => (0, bytes.len() as u64, first),
            Content::Inline(bytes) => (2, bytes.len() as u64, first),
            Content::Hole(size) => (0, u64::from(*size), HOLE),
            Content::Special(device) => (0, 0, *device),
            Content::Table {
                layout,
                size,
                union,
                ..
            } => (*layout, *size, union.unwrap_or(count)),
            Content::Link(_) => panic!("a link has no inode"),
        };
        let dot_omitted = matches!(
            node.content,
            Content::Directory {
                dot_omitted: true,
                ..
            }
        );
        let format = u16::from(node.extended) | layout << 1 | u16::from(dot_omitted) << 4;
        let icount = match xattrs {
            0 => 0,
            size => u16::try_from((size - 8) / 4).expect("small"),
        };
        let links = self.tree.links(node);
        let ino = u32::try_from(number + 1).expect("few inodes");
        let mut record = Vec::new();
        record.extend(format.to_le_bytes());
        record.extend(icount.to_le_bytes());
        record.extend(node.mode.to_le_bytes());
        if node.extended {
            record.extend([0; 2]);
            record.extend(size.to_le_bytes());
            record.extend(union.to_le_bytes());
            record.extend(ino.to_le_bytes());
            record.extend(u32::from(node.owner).to_le_bytes());
            record.extend(u32::from(node.owner).to_le_bytes());
            record.extend(u64::from(TIME).to_le_bytes());
            record.extend([0; 4]);
            record.extend(links.to_le_bytes());
            record.extend([0; 16]);
        } else {
            record.extend(u16::try_from(links).expect("few links").to_le_bytes());
            record.extend(u32::try_from(size).expect("small").to_le_bytes());
            record.extend([0; 4]);
            record.extend(union.to_le_bytes());
            record.extend(ino.to_le_bytes());
            record.extend(node.owner.to_le_bytes());
            record.extend(node.owner.to_le_bytes());
            record.extend([0; 4]);
        }
        record
    }

    /// Gives names to the parts of a node. Places in the metabox are counted in it until its
    /// own place is known.
    fn name_places(&mut self, node: &Node, put: Put, first: u32) {
        let prefix = if node.metabox { "metabox " } else { "" };
        let path = &node.path;
        let mut name = |what: String, at: usize| {
            self.places.insert(format!("{prefix}{what}"), at);
        };
        name(format!("inode {path}"), put.inode);
        name(format!("behind {path}"), put.behind);
        if !node.xattrs.is_empty() {
            name(format!("xattrs {path}"), put.xattrs);
        }
        let ids = node.xattrs.iter().filter(|xattr| xattr.shared).count();
        let mut at = put.xattrs + 12 + ids * 4;
        for xattr in node.xattrs.iter().filter(|xattr| !xattr.shared) {
            name(format!("xattr {path} {}", xattr.name), at);
            at += xattr.record().len();
        }
        let blocks = (first as usize) << self.tree.block_bits;
        self.places.insert(format!("blocks {path}"), blocks);
        if let Content::Directory { inline, .. } = node.content {
            self.name_entries(node, put, blocks, inline);
        }
    }

    /// Gives names to the entries of a directory: where each lies in the image, and where in
    /// the directory.
    fn name_entries(&mut self, node: &Node, put: Put, blocks: usize, inline: bool) {
        let path = &node.path;
        let all = self.directory_blocks(node);
        let last = all.len() - 1;
        for (number, (start, entries)) in all.iter().enumerate() {
            // The last block is inline, where there is an inline one.
            let (at, prefix) = match inline && number == last {
                true if node.metabox => (put.behind, "metabox "),
                true => (put.behind, ""),
                false => (blocks + start, ""),
            };
            let mut place = at + entries.len() * 12;
            for (index, (entry, _)) in entries.iter().enumerate() {
                let names = [
                    (format!("{prefix}dirent {path} {entry}"), at + index * 12),
                    (format!("{prefix}name {path} {entry}"), place),
                    (format!("offset {path} {entry}"), start + index * 12),
                ];
                self.places.extend(names);
                place += entry.len();
            }
        }
    }

    /// Makes the metabox the content of its inode, which has blocks for it.
    fn metabox_content(&mut self) {
        let bytes = &self.metabox.bytes;
        if bytes.is_empty() {
            return;
        }
        let at = self.places["blocks #metabox"] - self.image.bytes.len();
        self.data[at..][..bytes.len()].copy_from_slice(bytes);
        let start = self.image.bytes.len() + at;
        let within: Vec<(String, usize)> = self
            .places
            .iter()
            .filter_map(|(name, at)| Some((name.strip_prefix("metabox ")?.to_owned(), start + at)))
            .collect();
        self.places.extend(within);
    }
}

/// The xattrs behind an inode: header, ids of shared ones, entries.
fn xattr_area(node: &Node, shared: &BTreeMap<Vec<u8>, u32>) -> Vec<u8> {
    if node.xattrs.is_empty() {
        return Vec::new();
    }
    let ids: Vec<u32> = node
        .xattrs
        .iter()
        .filter(|xattr| xattr.shared)
        .map(|xattr| shared[&xattr.record()])
        .collect();
    // The filter says of no name that it is absent.
    let mut area = vec![0; 12];
    area[4] = u8::try_from(ids.len()).expect("few");
    for id in ids {
        area.extend(id.to_le_bytes());
    }
    for xattr in node.xattrs.iter().filter(|xattr| !xattr.shared) {
        area.extend(xattr.record());
    }
    area
}
