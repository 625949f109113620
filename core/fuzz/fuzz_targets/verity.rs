//! dm-verity: a superblock that is read is written the same; a tree that is made of data passes every
//! way of verifying it, and none after a change; a stream says the same however it is cut.
#![no_main]

#[path = "pieces.rs"]
mod pieces;

use erofs_unpack_core::oci::Algorithm;
use erofs_unpack_core::verity::{
    Announced, Builder, Compare, Guess, HashType, Layout, Params, SUPERBLOCK_SIZE, Salt, Sink,
    StreamCheck, Superblock, Verified, check_block,
};
use erofs_unpack_core::Error;
use libfuzzer_sys::fuzz_target;

/// A tree in memory.
struct Disk<'a>(&'a Layout, Vec<u8>);

impl Sink for Disk<'_> {
    type Error = ();

    fn write(&mut self, level: usize, offset: u64, bytes: &[u8]) -> Result<(), ()> {
        let at = (self.0.levels()[level].offset + offset) as usize;
        self.1[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// What is said of a stream that is cut so.
fn check(
    announced: &Announced,
    bytes: &[u8],
    mut cut: impl FnMut() -> usize,
) -> Result<Verified, Error> {
    let mut check = StreamCheck::new(announced)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(cut().clamp(1, rest.len()));
        check.update(piece);
        rest = more;
    }
    check.finish()
}

fuzz_target!(|data: &[u8]| {
    if let Some(head) = data.first_chunk::<SUPERBLOCK_SIZE>()
        && let Ok(superblock) = Superblock::parse(head)
    {
        let written = superblock.to_bytes();
        assert_eq!(Superblock::parse(&written), Ok(superblock));
        let _ = Layout::behind_superblock(&superblock.params, 0);
    }

    // What is announced of any bytes, whether it is there or not.
    let mut cuts = pieces::Cuts::of(data, 0);
    let algorithm = [Algorithm::Sha256, Algorithm::Sha512][cuts.next() & 1];
    let any = Announced {
        hash_offset: 512 * (cuts.next() as u64 & 15),
        block_size: 512 << (cuts.next() & 3),
        algorithm,
        root: None,
        guess: Guess::default(),
    };
    let whole = check(&any, data, || usize::MAX);
    assert_eq!(check(&any, data, || cuts.next()), whole);

    // A tree over the data.
    let Some((head, content)) = data.split_first_chunk::<4>() else {
        return;
    };
    let block = 512 << (head[0] & 3);
    if content.is_empty() {
        return;
    }
    let mut content = content.to_vec();
    content.resize(content.len().next_multiple_of(block), 0);
    let params = Params {
        algorithm,
        hash_type: if head[1] & 1 == 0 { HashType::Chrome } else { HashType::Normal },
        data_block_size: block as u32,
        hash_block_size: block as u32,
        data_blocks: (content.len() / block) as u64,
        salt: Salt::new(&content[..usize::from(head[2]).min(content.len())]).unwrap(),
    };
    let layout = Layout::behind_superblock(&params, 0).unwrap();
    let mut disk = Disk(&layout, vec![0; layout.end() as usize]);
    let mut builder = Builder::new(&params);
    let mut rest = &content[..];
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(cuts.next().clamp(1, rest.len()));
        builder.update(piece, &mut disk).unwrap();
        rest = more;
    }
    let root = builder.finish(&mut disk).unwrap().unwrap().digest;
    let mut tree = disk.1;
    let superblock = Superblock { uuid: [7; 16], params };
    tree[..SUPERBLOCK_SIZE].copy_from_slice(&superblock.to_bytes());
    let announced = Announced {
        hash_offset: content.len() as u64,
        block_size: block as u64,
        algorithm,
        root: Some(root),
        guess: Guess { hash_type: params.hash_type, salt: params.salt },
    };
    let mut all = [&content[..], &tree].concat();
    assert!(matches!(check(&announced, &all, || cuts.next()), Ok(Verified::Tree { .. })));
    let mut memory = vec![0; block];
    let index = cuts.next() % (content.len() / block);
    let one = &content[index * block..][..block];
    check_block(&params, &layout, &root, &tree[..], index as u64, one, &mut memory).unwrap();

    // A bit of the data, or of the tree behind its superblock.
    let ends = content.len() + layout.start() as usize;
    let place = cuts.next() % (all.len() - (ends - content.len()));
    let place = if place < content.len() { place } else { ends + place - content.len() };
    all[place] ^= 1 << (head[3] & 7);
    assert!(check(&announced, &all, || cuts.next()).is_err());
    let (content, tree) = all.split_at(content.len());
    let mut compare = Compare::new(&params, &layout, tree);
    let mut builder = Builder::new(&params);
    builder.update(content, &mut compare).unwrap();
    let made = builder.finish(&mut compare).unwrap().unwrap();
    assert!(compare.difference().is_some() || made.digest != root);
});
