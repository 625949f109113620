//! Trees against those of `veritysetup`, and against their own pieces.

use super::*;
use crate::erofs::ReadError;
use crate::oci::{Algorithm, Digest};
use crate::{At, Code, Error, Value};
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

/// Gathers a tree in memory, as it lies on disk.
struct Disk<'a> {
    layout: &'a Layout,
    bytes: Vec<u8>,
    ends: [u64; LEVELS_MAX],
}

impl<'a> Disk<'a> {
    fn new(layout: &'a Layout) -> Self {
        Self {
            layout,
            bytes: vec![0; layout.end().try_into().unwrap()],
            ends: [0; LEVELS_MAX],
        }
    }
}

impl Sink for Disk<'_> {
    type Error = core::convert::Infallible;

    fn write(&mut self, level: usize, offset: u64, bytes: &[u8]) -> Result<(), Self::Error> {
        assert_eq!(self.ends[level], offset, "level {level} comes in order");
        self.ends[level] += bytes.len() as u64;
        let at = usize::try_from(self.layout.levels()[level].offset + offset).unwrap();
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// The lines of `seq 1 200000`, so many bytes of them.
fn lines(size: usize) -> Vec<u8> {
    let mut lines: Vec<u8> = (1..=200_000)
        .flat_map(|number| format!("{number}\n").into_bytes())
        .collect();
    lines.truncate(size);
    lines
}

/// A tree with its superblock, and the root.
fn build(params: &Params, data: &[u8], piece: usize) -> (Vec<u8>, Layout, Digest) {
    let layout = Layout::behind_superblock(params, 0).unwrap();
    let mut disk = Disk::new(&layout);
    let mut builder = Builder::new(params);
    for piece in data.chunks(piece) {
        let Ok(()) = builder.update(piece, &mut disk);
    }
    let Ok(root) = builder.finish(&mut disk);
    let root = root.unwrap();
    assert_eq!(root.data_blocks, params.data_blocks);
    for (level, end) in disk.layout.levels().iter().zip(disk.ends) {
        assert_eq!(end, level.blocks * u64::from(params.hash_block_size));
    }
    let superblock = Superblock {
        uuid: [
            0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd,
            0xee, 0xff,
        ],
        params: *params,
    };
    disk.bytes[..SUPERBLOCK_SIZE].copy_from_slice(&superblock.to_bytes());
    (disk.bytes, layout, root.digest)
}

fn params(algorithm: Algorithm, sizes: (u32, u32), blocks: u64, salt: &[u8], kind: u32) -> Params {
    Params {
        algorithm,
        hash_type: HashType::from_number(kind).unwrap(),
        data_block_size: sizes.0,
        hash_block_size: sizes.1,
        data_blocks: blocks,
        salt: Salt::new(salt).unwrap(),
    }
}

/// What `veritysetup format` of cryptsetup 2.6.1 made of the lines, with this UUID: how, the root,
/// and the digest of superblock and tree.
#[rustfmt::skip]
fn by_veritysetup() -> Vec<(Params, &'static str, &'static str)> {
    use Algorithm::{Sha256, Sha512};
    vec![
        (params(Sha256, (4096, 4096), 256, b"", 1),
            "418add77c04205c62e3fd33b5f2e35cd12da9f7c8bd949f43226e7d03c2d7592",
            "bf50571744afad42e3c346385f983d917a8886ad2f395b226fed1dc98de23843"),
        (params(Sha256, (4096, 4096), 256, &[0; 32], 1),
            "88c8a180fe72ba31d5a7d1fdbaa65d4fd7db843baec5976a54d21b580ed56c5c",
            "555e3fde8e3da401f56d5e8e25a4af2769348d4b778f9936f46f8cf3d257ac1c"),
        (params(Sha256, (512, 512), 2048, b"", 1),
            "b4b6575bc6f9b55d075259701369fba2ed4e7088a182cff3bb35bd48e21cf130",
            "3c72ad7da7c3141b45f32dfd7eef27a4b62fd7dc6098fa66be38d3aa4d5d668c"),
        (params(Sha512, (512, 512), 2048, &[1, 2], 1),
            "637c249f595fcc794c88e11af0104b23796ac5808f6eacd2dd63a33fdfa4897e8395a887a1e961f59dd54c9ad21d3d0088e35215d3e3ed5548d0d528f9d8c3ac",
            "05ef8d38e228994f89093f34a6b7d301377a4d9196fe34d126842af5a2254b50"),
        (params(Sha512, (4096, 4096), 129, b"", 1),
            "dfb9ae12b505ce7721499eb80bd5105e51cf17e5d4210698fbe2443a8570783a9e8a6c93e2a217a175a1bfbbf6c467813b433e7b4abdb07745d30e965811708d",
            "733822c431c8971c8f008d0ad5c05b5c4e3e4e64cc0eea0162f9db1f567c53b6"),
        (params(Sha256, (4096, 512), 256, &[0xab; 256], 0),
            "1ccea303be0f67f64a6eb3e2bea6ee6bede8a0b7b70fb1267dbbe890ed30842b",
            "140533f32c647b10b2089aab1832baefff9eed26a843d838a5fc1b09e5b392e6"),
        (params(Sha256, (512, 65536), 2048, &[0xff], 1),
            "8007d723ef5eeb68004f4508a287669624138def3d1f6fc680f40c020339f88b",
            "a74cf5cf2f1f36ec9f6b763f5742b3e97da5689266987ace0fccc148c45a6a86"),
        (params(Sha256, (65536, 512), 16, &[0xff], 1),
            "202c7a0e9b351637f6dc2620c30691be54d84fb6a8b98714cd6938b7f9ce8a4a",
            "834ec6358d1a91cb91f6bb9a8532f1204089849736b90e0f6083463975957567"),
        (params(Sha256, (4096, 4096), 1, &[0xff], 1),
            "a72556d9db72366b4bb975a2a03eaefbc2abbab86706413d7a15ad3ca5952273",
            "d9e84ef2a4a1f4aae14f3fb6b4d8640366e39f81d9a720d57b2fb5faf1055281"),
        (params(Sha256, (4096, 4096), 2, &[0xff], 1),
            "1fb723f7ac5a97a77557b252badd15f2792799e274abb8fed2db86a2122e9ca2",
            "e09949b524fae58d00b6d3667add7008ef452159300a38ac17767f3907a2ca4c"),
        // One full block of hashes, and one hash more.
        (params(Sha256, (4096, 4096), 128, &[0xff], 1),
            "d2e369b530b746cd241a999f5f0f08d80d7a3a0a60a21bd135c3d5ca3776afe8",
            "f74d58ba2d24a6e21b5f95c6cd3aa0893b6012188b8844616ff28ae298a259dd"),
        (params(Sha256, (4096, 4096), 129, &[0xff], 1),
            "4ce99c761f2774eeb759311dc23c79edc7f504072365dfb324568f0d8ccbc68b",
            "9545845bb35f6a0ccec67f04ef6ef252904a7b27441095a81ba5912daf466c01"),
        (params(Sha512, (1024, 2048), 1024, &[0xff], 0),
            "965f8f297c0513816f0ba4f248c3bfce6506e0877650488c87edbfee1dccf7ffd4fbbb251633444f7a08ab6a524bfbc40e3e1122f860f91bdd3f515e3bd47a6c",
            "c05a1e2aea29a17b1580d6286444961bdd624d46d320d6fc695aa60f785ca0d4"),
        (params(Sha256, (512, 512), 17, b"", 0),
            "240d85a218fdc70c132cb46d2ded610c36372298357c57bb703fd096b61b4b75",
            "5448fc413716940e89643b463652a5ac6bca5e448f27a74a74e178e5732fc4ff"),
    ]
}

/// The data that these trees are over.
fn data(params: &Params) -> Vec<u8> {
    lines(params.data_size().unwrap().try_into().unwrap())
}

#[test]
fn trees_are_those_of_veritysetup() {
    for (params, root, file) in by_veritysetup() {
        let data = data(&params);
        for piece in [data.len(), 300_000, 8192, 1000] {
            let (bytes, _, found) = build(&params, &data, piece);
            assert_eq!(found.hex().to_string(), root, "{params:?}");
            let digest = Algorithm::Sha256.digest(&bytes);
            assert_eq!(digest.hex().to_string(), file, "{params:?}, {piece}");
        }
        let (bytes, _, _) = build(&params, &data, data.len());
        let superblock = Superblock::parse(bytes.first_chunk().unwrap()).unwrap();
        assert_eq!(superblock.params, params);
        assert_eq!(superblock.to_bytes(), bytes[..SUPERBLOCK_SIZE]);
    }
}

/// The example of the draft's section 3.5, by hand: two blocks, no salt, one block of hashes.
#[test]
fn an_example_by_hand() {
    let mut data = vec![1; 4096];
    data.extend([2; 4096]);
    let mut block = Vec::new();
    for half in data.chunks(4096) {
        block.extend_from_slice(Algorithm::Sha256.digest(half).as_bytes());
    }
    block.resize(4096, 0);
    let params = Params::new(Algorithm::Sha256, 4096, 2);
    let (bytes, layout, root) = build(&params, &data, 1 << 20);
    assert_eq!((layout.start(), layout.end()), (4096, 8192));
    assert_eq!(bytes[4096..], block);
    assert_eq!(root, Algorithm::Sha256.digest(&block));
}

#[test]
fn the_last_block_is_filled_up() {
    let params = Params::new(Algorithm::Sha256, 512, 3);
    let mut data = lines(1025);
    let (_, _, root) = build(&params, &data, 100);
    data.resize(1536, 0);
    assert_eq!(build(&params, &data, 1536).2, root);
    let nothing = Builder::new(&params).finish(&mut ());
    assert_eq!(nothing, Ok(None));
}

#[test]
fn impossible_trees() {
    let with = |change: fn(&mut Params)| {
        let mut params = Params::new(Algorithm::Sha512, 512, 1);
        change(&mut params);
        Layout::behind_superblock(&params, 512).map_err(|error| error.code())
    };
    for size in [0, 1, 256, 513, 1000, 131_072] {
        let mut params = Params::new(Algorithm::Sha256, 4096, 1);
        params.data_block_size = size;
        assert_eq!(
            params.data_size().unwrap_err().code(),
            Code::VerityBlockSize
        );
        params = Params::new(Algorithm::Sha256, 4096, 1);
        params.hash_block_size = size;
        assert_eq!(
            params.data_size().unwrap_err().code(),
            Code::VerityBlockSize
        );
    }
    assert_eq!(with(|params| params.data_blocks = 0), Err(Code::VeritySize));
    assert_eq!(
        with(|params| params.data_blocks = 1 << 54),
        Err(Code::VeritySize)
    );
    assert_eq!(
        with(|params| params.data_blocks = u64::MAX),
        Err(Code::VeritySize)
    );
    // The largest that there can be: its levels have a place each, wherever it lies.
    let layout = with(|params| params.data_blocks = (1 << 54) - 1).unwrap();
    assert_eq!(layout.levels().len(), LEVELS_MAX);
    assert_eq!(layout.levels()[LEVELS_MAX - 1].blocks, 1);
    let params = Params::new(Algorithm::Sha256, 4096, 2);
    for start in [u64::MAX, u64::MAX - 600, i64::MAX as u64 + 1] {
        let error = Layout::new(&params, start).unwrap_err();
        assert_eq!(error.code(), Code::VeritySize);
    }
    let error = Layout::behind_superblock(&params, u64::MAX - 600).unwrap_err();
    assert_eq!(error.code(), Code::VeritySize);
    let error = Salt::new(&[0; 257]).unwrap_err();
    assert_eq!(error.code(), Code::VeritySalt);
}

#[test]
fn superblocks_that_are_refused() {
    let (params, _, _) = by_veritysetup().swap_remove(0);
    let good = Superblock {
        uuid: [7; 16],
        params,
    }
    .to_bytes();
    let refused = |offset: usize, bytes: &[u8]| {
        let mut bad = good;
        bad[offset..offset + bytes.len()].copy_from_slice(bytes);
        let error = Superblock::parse(&bad).unwrap_err();
        (error.code(), error.at(), error.found_value())
    };
    let magic = |code| (code, At::Image(0));
    let (code, at, _) = refused(0, b"V");
    assert_eq!((code, at), magic(Code::VerityMagic));
    let (code, at, _) = refused(7, b"x");
    assert_eq!((code, at), magic(Code::VerityMagic));
    for (offset, bytes, code, found) in [
        (8, &[2][..], Code::VerityVersion, Value::Number(2)),
        (12, &[2], Code::VerityHashType, Value::Number(2)),
        (32, b"sha1\0\0", Code::VerityAlgorithm, Value::Text("sha1")),
        (32, b"SHA256", Code::VerityAlgorithm, Value::Text("another")),
        (38, b"x", Code::VerityAlgorithm, Value::Text("another")),
        (64, &[0, 1], Code::VerityBlockSize, Value::Number(256)),
        (68, &[1], Code::VerityBlockSize, Value::Number(4097)),
        (72, &[0, 0], Code::VeritySize, Value::Number(0)),
        (72, &[0xff; 8], Code::VeritySize, Value::Number(u64::MAX)),
        (80, &[1, 1], Code::VeritySalt, Value::Number(257)),
    ] {
        let refusal = refused(offset, bytes);
        let at = At::Image(match offset {
            38 => 32,
            offset => offset as u64,
        });
        assert_eq!(refusal, (code, at, found), "{offset}");
    }
    // Nobody looks at what no field has, as by cryptsetup.
    for unused in [82, 344, 511] {
        let mut other = good;
        other[unused] = 1;
        assert!(Superblock::parse(&other).is_ok());
    }
}

/// Data, superblock and tree one after another, or without a superblock.
fn stream(params: &Params, data: &[u8], superblock: bool) -> (Vec<u8>, Announced) {
    let (tree, layout, root) = build(params, data, data.len());
    let from = if superblock { 0 } else { layout.start() };
    let announced = Announced {
        hash_offset: data.len() as u64,
        block_size: params.data_block_size.into(),
        algorithm: params.algorithm,
        root: Some(root),
        guess: Guess {
            hash_type: params.hash_type,
            salt: params.salt,
        },
    };
    let bytes = [data, &tree[usize::try_from(from).unwrap()..]].concat();
    (bytes, announced)
}

/// What is said of a stream, which does not depend on how it is cut.
fn check(announced: &Announced, bytes: &[u8]) -> Result<Verified, Error> {
    let run = |piece: usize| {
        let mut check = StreamCheck::new(announced).unwrap();
        bytes.chunks(piece).for_each(|piece| check.update(piece));
        check.finish()
    };
    let whole = run(bytes.len().max(1));
    // With the hashes of whole blocks made beforehand, all of them or some.
    let run_hashed = |piece: usize, most: usize| {
        let mut check = StreamCheck::new(announced).unwrap();
        let (blocks, mut offset) = (check.data_blocks(), 0);
        for piece in bytes.chunks(piece) {
            let mut digests = Vec::new();
            blocks.digests(offset, piece, |digest| digests.push(digest));
            digests.truncate(most);
            check.update_hashed(piece, &digests);
            offset += piece.len() as u64;
        }
        check.finish()
    };
    for piece in [511, 4096, 5000, bytes.len().max(1)] {
        assert_eq!(run(piece), whole);
        assert_eq!(run_hashed(piece, usize::MAX), whole);
        assert_eq!(run_hashed(piece, 3), whole);
    }
    if bytes.len() < 20_000 {
        assert_eq!(run(1), whole);
    }
    whole
}

#[test]
fn streams_that_are_verified() {
    for (params, root, _) in by_veritysetup() {
        let data = data(&params);
        // A tree behind an image has blocks of one size.
        if params.data_block_size != params.hash_block_size {
            continue;
        }
        for superblock in [true, false] {
            let (bytes, mut announced) = stream(&params, &data, superblock);
            let expect = |announced: &Announced| match check(announced, &bytes).unwrap() {
                Verified::Tree {
                    root: found,
                    params: how,
                    layout,
                    has_superblock,
                } => {
                    assert_eq!(found.hex().to_string(), root);
                    assert_eq!((how, has_superblock), (params, superblock));
                    assert_eq!(layout.end(), bytes.len() as u64);
                }
                Verified::Again(_) => panic!("the guess is right"),
            };
            expect(&announced);
            announced.root = None;
            expect(&announced);
        }
    }
}

#[test]
fn another_salt_is_found_in_the_superblock() {
    let params = params(Algorithm::Sha256, (512, 512), 40, b"salt", 0);
    let (bytes, mut announced) = stream(&params, &lines(40 * 512), true);
    announced.guess = Guess::default();
    let Ok(Verified::Again(guess)) = check(&announced, &bytes) else {
        panic!("the guess is wrong");
    };
    announced.guess = guess;
    assert!(matches!(
        check(&announced, &bytes),
        Ok(Verified::Tree { .. })
    ));
    // Without a superblock nothing says it.
    let (bytes, mut announced) = stream(&params, &lines(40 * 512), false);
    announced.guess = Guess::default();
    let error = check(&announced, &bytes).unwrap_err();
    assert_eq!(error.code(), Code::VerityRoot);
}

fn refusal(announced: &Announced, bytes: &[u8]) -> (Code, At) {
    let error = check(announced, bytes).unwrap_err();
    (error.code(), error.at())
}

#[test]
fn streams_that_are_refused() {
    // Two levels: 3 blocks of hashes, and the root's.
    let params = params(Algorithm::Sha256, (512, 512), 40, b"", 1);
    let data = lines(40 * 512);
    let end = data.len() as u64;
    for superblock in [true, false] {
        let (good, announced) = stream(&params, &data, superblock);
        let tree = end + if superblock { 512 } else { 0 };
        let flipped = |at: u64| {
            let mut bad = good.clone();
            bad[usize::try_from(at).unwrap()] ^= 4;
            refusal(&announced, &bad)
        };
        for at in [0, 5000, end - 1] {
            assert_eq!(flipped(at), (Code::VerityRoot, At::Whole));
        }
        // The root's level, one below, and zeros that fill up a block.
        for (at, level) in [
            (tree, tree),
            (tree + 511, tree),
            (tree + 512, tree + 512),
            (tree + 4 * 512 - 1, tree + 512),
        ] {
            assert_eq!(
                flipped(at),
                (Code::VerityHash, At::Image(level)),
                "{superblock} {at}"
            );
        }
        let mut other = announced;
        other.root = Some(Algorithm::Sha256.digest(b"another"));
        assert_eq!(refusal(&other, &good), (Code::VerityRoot, At::Whole));
        for cut in [end, end + 8, tree + 4, good.len() as u64 - 1] {
            let cut = usize::try_from(cut).unwrap();
            let at = At::Image(cut as u64);
            assert_eq!(
                refusal(&announced, &good[..cut]),
                (Code::VerityTruncated, at),
                "{superblock} {cut}"
            );
        }
        let at = At::Image(end - 1);
        let cut = &good[..data.len() - 1];
        assert_eq!(refusal(&announced, cut), (Code::VerityTruncated, at));
        let mut longer = good.clone();
        longer.push(0);
        let at = At::Image(good.len() as u64);
        assert_eq!(refusal(&announced, &longer), (Code::ImageTrailing, at));
    }
    let (good, announced) = stream(&params, &data, true);
    let with = |offset: usize, byte: u8| {
        let mut bad = good.clone();
        bad[data.len() + offset] = byte;
        refusal(&announced, &bad)
    };
    for (offset, byte, code) in [
        (8, 2, Code::VerityVersion),
        (12, 2, Code::VerityHashType),
        (32, b'x', Code::VerityAlgorithm),
        (64, 1, Code::VerityBlockSize),
        (65, 4, Code::VerityParams),
        (69, 4, Code::VerityParams),
        (72, 41, Code::VerityBlocks),
        (81, 2, Code::VeritySalt),
    ] {
        let field = match offset {
            65 => 64,
            69 => 68,
            81 => 80,
            other => other,
        };
        let at = At::Image(end + field);
        let offset = usize::try_from(offset).unwrap();
        assert_eq!(with(offset, byte), (code, at), "{offset}");
    }
    // SHA-512 where SHA-256 is announced.
    let mut other = good.clone();
    other[data.len() + 35..data.len() + 38].copy_from_slice(b"512");
    assert_eq!(
        refusal(&announced, &other),
        (Code::VerityParams, At::Image(end + 32))
    );
}

#[test]
fn one_block_has_no_level() {
    let params = Params::new(Algorithm::Sha256, 4096, 1);
    let data = lines(4096);
    for superblock in [true, false] {
        let (mut bytes, announced) = stream(&params, &data, superblock);
        assert!(matches!(
            check(&announced, &bytes),
            Ok(Verified::Tree { .. })
        ));
        let end = bytes.len() as u64;
        let mut level = announced.root.unwrap().as_bytes().to_vec();
        level.resize(4096, 0);
        bytes.extend_from_slice(&level);
        // Whichever of the two is stated for a root.
        for root in [announced.root, Some(Algorithm::Sha256.digest(&level))] {
            let announced = Announced { root, ..announced };
            assert_eq!(
                refusal(&announced, &bytes),
                (Code::VerityLevel, At::Image(end))
            );
        }
        let place = usize::try_from(end).unwrap();
        bytes[place] ^= 1;
        assert_eq!(
            refusal(&announced, &bytes),
            (Code::ImageTrailing, At::Image(end))
        );
    }
}

#[test]
fn announcements_that_no_tree_can_have() {
    let announced = Announced {
        hash_offset: 8192,
        block_size: 4096,
        algorithm: Algorithm::Sha256,
        root: None,
        guess: Guess::default(),
    };
    let refused = |change: fn(&mut Announced)| {
        let mut announced = announced;
        change(&mut announced);
        StreamCheck::new(&announced).unwrap_err().code()
    };
    assert!(StreamCheck::new(&announced).is_ok());
    assert_eq!(refused(|a| a.block_size = 0), Code::VerityBlockSize);
    assert_eq!(refused(|a| a.block_size = 1000), Code::VerityBlockSize);
    assert_eq!(refused(|a| a.block_size = 1 << 32), Code::VerityBlockSize);
    assert_eq!(refused(|a| a.hash_offset = 0), Code::VeritySize);
    assert_eq!(refused(|a| a.hash_offset = 5000), Code::VeritySize);
    assert_eq!(refused(|a| a.hash_offset = 1 << 63), Code::VeritySize);
}

/// What a walk through the whole tree says of data and tree: the byte that is named, and what the
/// path of the data block says.
fn compared(params: &Params, data: &[u8], tree: &[u8], root: &Digest) -> Option<(u64, String)> {
    let layout = Layout::behind_superblock(params, 0).unwrap();
    let mut compare = Compare::new(params, &layout, tree);
    let mut builder = Builder::new(params);
    builder.update(data, &mut compare).unwrap();
    let found = builder.finish(&mut compare).unwrap().unwrap();
    let Some(difference) = compare.difference() else {
        assert_eq!(found.digest, *root);
        return None;
    };
    let said = match difference.data_block(params) {
        None => String::new(),
        Some(index) => {
            let size = u64::from(params.data_block_size);
            let start = usize::try_from(index * size).unwrap();
            let block = &data[start..start + usize::try_from(size).unwrap()];
            let mut memory = vec![0; params.hash_block_size.try_into().unwrap()];
            match check_block(params, &layout, root, tree, index, block, &mut memory) {
                Err(ReadError::Refused(error)) => format!("{} {}", error.id(), error.at()),
                other => panic!("{other:?}"),
            }
        }
    };
    Some((difference.position(params, &layout), said))
}

#[test]
fn a_flipped_bit_is_found_where_veritysetup_finds_it() {
    // 16 hashes in a block: three blocks of them, and the root's, which comes first.
    let params = params(Algorithm::Sha256, (512, 512), 40, b"x", 1);
    let data = lines(40 * 512);
    let (tree, layout, root) = build(&params, &data, data.len());
    assert_eq!(layout.levels()[1].offset, 512);
    assert_eq!(compared(&params, &data, &tree, &root), None);
    let in_data = |at: usize| {
        let mut bad = data.clone();
        bad[at] ^= 1;
        compared(&params, &bad, &tree, &root).unwrap()
    };
    assert_eq!(
        in_data(1000),
        (512, "verity-data at byte 512 of the image".into())
    );
    let in_tree = |at: usize| {
        let mut bad = tree.clone();
        bad[at] ^= 1;
        compared(&params, &data, &bad, &root).unwrap()
    };
    // The second hash of the second block of level 0: that of data block 17.
    assert_eq!(
        in_tree(1024 + 512 + 40),
        (17 * 512, "verity-hash at byte 1536 of the image".into())
    );
    // The root's block has the hash of the second block of level 0, and zeros.
    assert_eq!(in_tree(512 + 40), (1024 + 512, String::new()));
    assert_eq!(in_tree(512 + 200), (512 + 96, String::new()));
    // Of two differences that of the lower level counts.
    let mut bad = tree.clone();
    bad[512] ^= 1;
    bad[1024 + 512] ^= 1;
    assert_eq!(compared(&params, &data, &bad, &root).unwrap().0, 16 * 512);
}

#[test]
fn each_block_by_its_path() {
    for (params, _, _) in by_veritysetup() {
        let data = data(&params);
        let (tree, layout, root) = build(&params, &data, data.len());
        let mut memory = vec![0; params.hash_block_size.try_into().unwrap()];
        let size = params.data_block_size.try_into().unwrap();
        for (index, block) in (0..).zip(data.chunks(size)) {
            let mut check = |root, block| {
                check_block(&params, &layout, root, &tree[..], index, block, &mut memory)
            };
            check(&root, block).unwrap();
            let mut bad = block.to_vec();
            bad[size - 1] ^= 1;
            let Err(ReadError::Refused(error)) = check(&root, &bad) else {
                panic!("the block is another");
            };
            let at = At::Image(index * size as u64);
            assert_eq!((error.code(), error.at()), (Code::VerityData, at));
            if params.data_blocks > 1 {
                let other = params.algorithm.digest(b"another");
                let Err(ReadError::Refused(error)) = check(&other, block) else {
                    panic!("the root is another");
                };
                assert_eq!(error.code(), Code::VerityHash);
            }
        }
        let end = params.data_blocks;
        let check = |index, block: &[u8], memory: &mut [u8]| match check_block(
            &params,
            &layout,
            &root,
            &tree[..],
            index,
            block,
            memory,
        ) {
            Err(ReadError::Refused(error)) => Some(error.code()),
            _ => None,
        };
        let block = &data[..size];
        assert_eq!(check(end, block, &mut memory), Some(Code::VerityTruncated));
        assert_eq!(
            check(0, &block[1..], &mut memory),
            Some(Code::VerityTruncated)
        );
        if params.data_blocks > 1 {
            assert_eq!(
                check(0, block, &mut memory[1..]),
                Some(Code::MetadataMemory)
            );
        }
    }
}

#[test]
fn blocks_that_follow_each_other() {
    let params = params(Algorithm::Sha256, (512, 512), 40, b"x", 1);
    let data = lines(40 * 512);
    let (tree, layout, root) = build(&params, &data, data.len());
    let check = |tree: &[u8], data: &[u8], first: usize, count: usize| {
        let blocks = &data[first * 512..(first + count) * 512];
        let mut memory = vec![0; 512];
        match check_blocks(
            &params,
            &layout,
            &root,
            tree,
            first as u64,
            blocks,
            &mut memory,
        ) {
            Ok(()) => None,
            Err(ReadError::Refused(error)) => Some((error.code(), error.at())),
            Err(error) => panic!("{error:?}"),
        }
    };
    // 16 hashes in a block: within one, and over several.
    for (first, count) in [(0, 40), (0, 1), (3, 13), (15, 2), (15, 25), (39, 1)] {
        assert_eq!(check(&tree, &data, first, count), None);
        for wrong in first..first + count {
            let mut bad = data.clone();
            bad[wrong * 512 + 7] ^= 1;
            let at = At::Image(wrong as u64 * 512);
            assert_eq!(
                check(&tree, &bad, first, count),
                Some((Code::VerityData, at))
            );
        }
    }
    // The block of hashes of the blocks from 16 on.
    let mut bad = tree.clone();
    bad[1536] ^= 1;
    assert_eq!(check(&bad, &data, 0, 16), None);
    let expected = Some((Code::VerityHash, At::Image(1536)));
    assert_eq!(check(&bad, &data, 0, 17), expected);
    assert_eq!(
        check(&tree, &data, 0, 0),
        Some((Code::VerityTruncated, At::Whole))
    );
    let mut memory = vec![0; 512];
    let half = check_blocks(
        &params,
        &layout,
        &root,
        &tree[..],
        0,
        &data[..700],
        &mut memory,
    );
    assert!(
        matches!(half, Err(ReadError::Refused(error)) if error.code() == Code::VerityTruncated)
    );
}

/// The sizes of FEC devices that `veritysetup format --fec-device` of cryptsetup 2.6.1 made.
#[test]
fn sizes_of_parity() {
    for (roots, blocks, block_size, size) in [
        (2, 259, 4096, 16384),
        (2, 2185, 512, 9216),
        (3, 259, 4096, 24576),
        (3, 2185, 512, 13824),
        (24, 259, 4096, 196_608),
        (24, 2185, 512, 122_880),
    ] {
        assert_eq!(parity::size(roots, blocks, block_size), Some(size));
        assert_eq!(parity::roots(size, blocks, block_size), Some(roots));
    }
    assert_eq!(parity::size(1, 259, 4096), None);
    assert_eq!(parity::size(25, 259, 4096), None);
    assert_eq!(parity::size(24, u64::MAX, 65536), None);
    assert_eq!(parity::roots(0, 0, 512), None);
    assert_eq!(parity::roots(16385, 259, 4096), None);
}
