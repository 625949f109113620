//! Content: flat, inline, in chunks, on devices; links and compression configurations.

use erofs_unpack_core::erofs::{Extent, Image, Place, Space};
use erofs_unpack_core::{At, Code, Limits};

use crate::build::{Build, Record, code, refusal};

const FILE: u16 = 0o10_0644;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

fn content(build: &Build) -> Vec<u8> {
    let (image, inode) = build.file();
    let mut whole = vec![0xee; inode.size as usize + 9];
    let read = image.read(&inode, 0, &mut whole).unwrap();
    assert_eq!(read, inode.size as usize);
    whole.truncate(read);
    // The same in pieces of all sorts of sizes.
    for step in [1, 7, 511, 512, 513, 5000] {
        let mut pieces: Vec<u8> = Vec::new();
        while pieces.len() < whole.len() {
            let mut piece = vec![0xee; step];
            let read = image.read(&inode, pieces.len() as u64, &mut piece).unwrap();
            assert!(read == step || pieces.len() + read == whole.len());
            pieces.extend(&piece[..read]);
        }
        assert_eq!(pieces, whole);
    }
    assert_eq!(image.read(&inode, inode.size, &mut [0]).unwrap(), 0);
    assert_eq!(image.read(&inode, u64::MAX, &mut [0]).unwrap(), 0);
    assert_eq!(image.read(&inode, 0, &mut []).unwrap(), 0);
    whole
}

#[test]
fn plain_in_consecutive_blocks() {
    let data = pattern(1300);
    let mut build = Build::new(9, 16);
    build.put(10 * 512, &data);
    build.inode(64, Record::new(0, FILE, 1300, 10));
    assert_eq!(content(&build), data);
    let (image, inode) = build.file();
    let place = Place::Raw {
        device: 0,
        offset: 5120,
    };
    let whole = Extent {
        offset: 0,
        length: 1300,
        place,
    };
    assert_eq!(image.extent(&inode, 1299).unwrap(), whole);
    let end = Extent {
        offset: 1300,
        length: 0,
        place: Place::Hole,
    };
    assert_eq!(image.extent(&inode, 1300).unwrap(), end);
}

#[test]
fn a_plain_file_without_an_address_is_a_hole() {
    let mut build = Build::new(9, 16);
    let mut record = Record::new(0, FILE, 1300, u32::MAX);
    record.high = u16::MAX;
    build.inode(64, record);
    assert_eq!(content(&build), vec![0; 1300]);
}

#[test]
fn the_tail_lies_behind_the_inode() {
    let data = pattern(1300);
    let mut build = Build::new(9, 16);
    build.put(10 * 512, &data[..1024]);
    build.inode(64, Record::new(2, FILE, 1300, 10));
    build.put(64 * 32 + 64, &data[1024..]);
    assert_eq!(content(&build), data);
    let (image, inode) = build.file();
    let tail = Extent {
        offset: 1024,
        length: 276,
        place: Place::Metadata {
            space: Space::Image,
            offset: 2112,
        },
    };
    assert_eq!(image.extent(&inode, 1299).unwrap(), tail);
    // One byte more than the block has room for is 449 bytes.
    build.inode(64, Record::new(2, FILE, 1024 + 448, 10));
    assert_eq!(content(&build).len(), 1024 + 448);
    build.inode(64, Record::new(2, FILE, 1024 + 449, 10));
    let (image, inode) = build.file();
    let mut buf = [0; 1];
    assert_eq!(image.read(&inode, 0, &mut buf).unwrap(), 1);
    let refused = code(image.read(&inode, 1400, &mut buf));
    assert_eq!(refused, (Code::InlineBounds, At::Nid(64)));
}

#[test]
fn a_block_map_has_holes_and_runs() {
    let data = pattern(2048);
    let mut build = Build::new(9, 16);
    build.put(8 * 512, &data);
    // Chunks of two blocks; the last one is cut off.
    build.inode(64, Record::new(4, FILE, 5 * 1024 - 24, 1));
    for (index, block) in [8, 10, u32::MAX, u32::MAX, 8].into_iter().enumerate() {
        build.put(64 * 32 + 64 + index * 4, &u32::to_le_bytes(block));
    }
    let mut expected = data.clone();
    expected.resize(4096, 0);
    expected.extend(&data[..1000]);
    assert_eq!(content(&build), expected);
    let (image, inode) = build.file();
    let mut extents = Vec::new();
    let mut offset = 0;
    while offset < inode.size {
        let extent = image.extent(&inode, offset).unwrap();
        offset = extent.offset + extent.length;
        extents.push((extent.offset, extent.length, extent.place));
    }
    let raw = |offset| Place::Raw { device: 0, offset };
    assert_eq!(
        extents,
        [
            (0, 2048, raw(4096)),
            (2048, 2048, Place::Hole),
            (4096, 1000, raw(4096)),
        ]
    );
    let second = image.extent(&inode, 1024).unwrap();
    assert_eq!((second.offset, second.place), (1024, raw(5120)));
}

/// A chunk index of 8 bytes.
fn index(device: u16, block: u64) -> [u8; 8] {
    let mut index = [0; 8];
    index[..2].copy_from_slice(&((block >> 32) as u16).to_le_bytes());
    index[2..4].copy_from_slice(&device.to_le_bytes());
    index[4..].copy_from_slice(&(block as u32).to_le_bytes());
    index
}

/// An image with a device table at 12 * 128 and a chunk-based file with these indexes.
fn with_devices(slots: &[(u32, u32)], format: u32, indexes: &[[u8; 8]]) -> Build {
    let mut build = Build::new(9, 16);
    build
        .field(80, &8_u32.to_le_bytes())
        .field(86, &(slots.len() as u16).to_le_bytes())
        .field(88, &12_u16.to_le_bytes());
    for (number, (blocks, start)) in slots.iter().enumerate() {
        let slot = (12 + number) * 128;
        build
            .put(slot + 64, &blocks.to_le_bytes())
            .put(slot + 68, &start.to_le_bytes());
    }
    let mut record = Record::new(4, FILE, 512 * indexes.len() as u64, format);
    // The indexes start at a multiple of 8, 4 bytes behind the xattrs.
    record.xattr_count = 2;
    build.inode(80, record);
    for (number, index) in indexes.iter().enumerate() {
        build.put(80 * 32 + 64 + 16 + number * 8, index);
    }
    build
}

#[test]
fn indexes_name_devices() {
    // Bits beyond the number of devices do not count: 5 & 3 is 1.
    let indexes = [
        index(0, 8),
        index(5, 1),
        index(2, 0),
        index(1, u64::from(u32::MAX)),
        index(0, 0xffff_0000_0008),
        index(0, 21),
    ];
    let mut build = with_devices(&[(4, 0), (4, 20)], 0x20, &indexes);
    build.put(8 * 512, &[1; 512]);
    let first = [2_u8; 2048];
    let second = [3_u8; 2048];
    let mut image = build.open();
    let inode = image.inode(80).unwrap();
    let mut buf = vec![0xee; 6 * 512];
    let missing = code(image.read(&inode, 512, &mut buf[..512]));
    assert_eq!(missing, (Code::DeviceMissing, At::File(80, 512)));
    let missing = code(image.read(&inode, 5 * 512, &mut buf[..512]));
    assert_eq!(missing, (Code::DeviceMissing, At::File(80, 2560)));
    assert!(image.attach(&first, 2048));
    assert!(image.attach(&second, 2048));
    assert!(!image.attach(&second, 2048));
    assert_eq!(image.read(&inode, 0, &mut buf).unwrap(), buf.len());
    let blocks: Vec<u8> = buf.chunks(512).map(|block| block[0]).collect();
    assert_eq!(blocks, [1, 2, 3, 0, 1, 3]);
}

#[test]
fn a_device_that_was_appended_to_the_image_is_found_there() {
    let mut build = with_devices(&[(4, 16)], 0x20, &[index(1, 2), index(0, 18)]);
    build.bytes.resize(20 * 512, 9);
    let image = build.open();
    let inode = image.inode(80).unwrap();
    let mut buf = [0; 1024];
    assert_eq!(image.read(&inode, 0, &mut buf).unwrap(), 1024);
    assert_eq!(buf, [9; 1024]);
}

#[test]
fn the_block_behind_a_device_is_that_of_the_next() {
    let indexes = [index(0, 19), index(0, 20), index(0, 23)];
    let build = with_devices(&[(4, 16), (4, 20)], 0x20, &indexes);
    let (first, second) = ([2_u8; 2048], [3_u8; 2048]);
    let mut image = build.open();
    assert!(image.attach(&first, 2048) && image.attach(&second, 2048));
    let inode = image.inode(80).unwrap();
    let mut buf = [0; 3 * 512];
    assert_eq!(image.read(&inode, 0, &mut buf).unwrap(), buf.len());
    assert_eq!([buf[0], buf[512], buf[1024]], [2, 3, 3]);
}

#[test]
fn a_device_that_is_not_in_the_table_is_refused() {
    let build = with_devices(&[(4, 0), (4, 0)], 0x20, &[index(0, 8), index(3, 1)]);
    let image = build.open();
    let inode = image.inode(80).unwrap();
    assert_eq!(image.extent(&inode, 0).unwrap().length, 512);
    let error = code(image.extent(&inode, 600));
    assert_eq!(error, (Code::ChunkDevice, At::File(80, 512)));
    assert_eq!(code(image.read_raw(3, 0, &mut [0])).0, Code::ChunkDevice);
}

#[test]
fn indexes_may_have_48_bits() {
    let far = 0x1_0000_0008;
    let hole = (1 << 48) - 1;
    let build = with_devices(
        &[(4, 0)],
        0x60,
        &[index(0, far), index(0, hole), index(0, u64::from(u32::MAX))],
    );
    let image = build.open();
    let inode = image.inode(80).unwrap();
    let place = |offset| image.extent(&inode, offset).unwrap().place;
    let raw = |offset| Place::Raw { device: 0, offset };
    assert_eq!(place(0), raw(far * 512));
    assert_eq!(place(512), Place::Hole);
    assert_eq!(place(1024), raw(u64::from(u32::MAX) * 512));
    let error = refusal(image.read(&inode, 0, &mut [0; 4]));
    assert_eq!(
        (error.code(), error.at()),
        (Code::FileBounds, At::File(80, 0))
    );
}

#[test]
fn content_beyond_the_end_is_refused() {
    let mut build = Build::new(9, 16);
    build.inode(64, Record::new(0, FILE, 1024, 15));
    let (image, inode) = build.file();
    let mut buf = [0; 1024];
    assert_eq!(image.read(&inode, 0, &mut buf[..512]).unwrap(), 512);
    let error = code(image.read(&inode, 512, &mut buf));
    assert_eq!(error, (Code::FileBounds, At::File(64, 512)));
    // An address whose bytes do not fit 64 bits: the size reaches over the end.
    let mut record = Record::new(0, FILE, u64::MAX, 1);
    build.inode(64, record);
    let (image, inode) = build.file();
    assert_eq!(code(image.extent(&inode, 0)).0, Code::FileBounds);
    record.layout = 2;
    build.inode(64, record);
    let (image, inode) = build.file();
    assert_eq!(code(image.extent(&inode, 0)).0, Code::FileBounds);
    assert_eq!(
        code(image.read(&inode, u64::MAX - 1, &mut buf)).0,
        Code::InlineBounds
    );
    // A table of chunks that is longer than the image.
    build.inode(64, Record::new(4, FILE, u64::MAX, 0));
    let (image, inode) = build.file();
    let error = code(image.extent(&inode, u64::MAX - 600));
    assert_eq!(error, (Code::MetadataBounds, At::Nid(64)));
}

#[test]
fn what_has_no_content_is_no_file() {
    let mut build = Build::new(9, 16);
    build.inode(64, Record::new(0, 0o02_0644, 5, 0x0103));
    let (image, inode) = build.file();
    assert_eq!(code(image.read(&inode, 0, &mut [0])).0, Code::InodeType);
    assert_eq!(code(image.entries(&inode)).0, Code::InodeType);
    assert_eq!(code(image.lookup(&inode, b"a")).0, Code::InodeType);
    assert_eq!(code(image.read_link(&inode)).0, Code::InodeType);
}

#[test]
fn links_have_a_longest_target_and_no_nul() {
    let mut build = Build::new(12, 16);
    build.inline(64, 0o12_0777, b"../some/where");
    let (image, inode) = build.file();
    assert_eq!(image.read_link(&inode).unwrap(), b"../some/where");
    build.inline(64, 0o12_0777, b"a\0b");
    let (image, inode) = build.file();
    let error = code(image.read_link(&inode));
    assert_eq!(error, (Code::SymlinkTarget, At::File(64, 1)));
    build.put(8 * 4096, &[b'x'; 4096]);
    build.inode(64, Record::new(0, 0o12_0777, 4095, 8));
    let (image, inode) = build.file();
    assert_eq!(image.read_link(&inode).unwrap(), [b'x'; 4095]);
    build.inode(64, Record::new(0, 0o12_0777, 4096, 8));
    let (image, inode) = build.file();
    assert_eq!(
        code(image.read_link(&inode)),
        (Code::SymlinkLength, At::Nid(64))
    );
}

/// An image with these configurations behind its superblock.
fn configured(algorithms: u16, records: &[&[u8]]) -> Build {
    let mut build = Build::new(12, 4);
    build.field(80, &2_u32.to_le_bytes());
    build.field(84, &algorithms.to_le_bytes());
    // Behind the superblock lies the root, which is not looked at.
    let mut at = 1152;
    for record in records {
        build.put(at, &(record.len() as u16).to_le_bytes());
        build.put(at + 2, record);
        at = (at + 2 + record.len()).next_multiple_of(4);
    }
    build
}

#[test]
fn compression_configurations_follow_the_superblock() {
    let plain = Build::new(12, 4);
    let lz4 = plain.open().compression_configs().lz4.unwrap();
    assert_eq!((lz4.max_distance, lz4.max_pcluster_blocks), (0, 1));

    let mut lz4 = [0; 14];
    lz4[..4].copy_from_slice(&[0xff, 0xff, 16, 0]);
    let mut lzma = [0; 14];
    lzma[2] = 8;
    let build = configured(
        0b1111,
        &[&lz4, &lzma, &[15, 0, 0, 0, 0, 0], &[0, 10, 0, 0, 0, 0, 7]],
    );
    let image = build.open();
    let configs = image.compression_configs();
    let lz4 = configs.lz4.unwrap();
    assert_eq!((lz4.max_distance, lz4.max_pcluster_blocks), (0xffff, 16));
    assert_eq!(configs.lzma_dictionary, Some(8 << 16));
    assert_eq!(configs.deflate_window_bits, Some(15));
    assert_eq!(configs.zstd_window_bits, Some(20));
    let build = configured(0b1000, &[&[0, 0, 0, 0, 0, 0]]);
    let image = build.open();
    assert_eq!(image.compression_configs().lz4, None);
    assert_eq!(image.compression_configs().zstd_window_bits, Some(10));
}

#[test]
fn wrong_compression_configurations_are_refused() {
    let mut wide = [0; 14];
    wide[2..4].copy_from_slice(&257_u16.to_le_bytes());
    let mut small = [0; 14];
    small[1] = 15;
    let mut large = [0; 14];
    large[..4].copy_from_slice(&((8 << 20) + 1_u32).to_le_bytes());
    let mut format = [0; 14];
    format[2] = 8;
    format[4] = 1;
    let cases: [(u16, &[u8]); 10] = [
        (1, &[0; 13]),
        (1, &wide),
        (2, &[0; 13]),
        (2, &small),
        (2, &large),
        (2, &format),
        (4, &[16, 0, 0, 0, 0, 0]),
        (8, &[1, 0, 0, 0, 0, 0]),
        (8, &[0, 11, 0, 0, 0, 0]),
        (8, &[0, 0, 0, 0, 0]),
    ];
    for (algorithm, record) in cases {
        let refused = code(configured(algorithm, &[record]).open_with(&Limits::DEFAULT));
        assert_eq!(refused, (Code::CompressionConfig, At::Image(1152)));
    }
    let cut = configured(1, &[]);
    let cut: &[u8] = &cut.bytes[..1153];
    assert_eq!(
        code(Image::open(cut, 1153, &Limits::DEFAULT)).0,
        Code::MetadataBounds
    );
}

#[test]
fn a_device_table_behind_the_place_it_states() {
    let mut build = Build::new(9, 16);
    // The root makes room for the table, slot 9, and the superblock states slot 8: itself.
    build
        .put(1152, &[0; 128])
        .put(1152 + 64, &2_u32.to_le_bytes())
        .field(14, &64_u16.to_le_bytes())
        .field(80, &12_u32.to_le_bytes())
        .field(86, &1_u16.to_le_bytes())
        .field(88, &8_u16.to_le_bytes());
    let mut record = Record::new(4, FILE, 1000, 0x20);
    record.xattr_count = 2;
    build
        .dir(64, &[(b"file", 80)])
        .inode(80, record)
        .put(80 * 32 + 80, &index(1, 1))
        .put(80 * 32 + 88, &index(1, 0));
    let stated = (Code::DeviceTable, At::Image(1024 + 88));
    assert_eq!(code(build.open_with(&Limits::DEFAULT)), stated);
    let open = |build: &Build| {
        // Leaked, so that the image can leave: these are tests.
        let bytes: &'static [u8] = build.bytes.clone().leak();
        Image::open_despite_table(bytes, bytes.len() as u64, &Limits::DEFAULT)
    };
    let mut image = open(&build).unwrap();
    assert_eq!(image.devices().next().unwrap().blocks, 2);
    let device: &'static [u8] = pattern(1024).leak();
    assert!(image.attach(device, 1024));
    let inode = image.resolve(b"file").unwrap().unwrap();
    let mut found = vec![0; 1000];
    assert_eq!(image.read(&inode, 0, &mut found).unwrap(), 1000);
    assert_eq!(found, [&device[512..], &device[..488]].concat());
    // Who takes the superblock for the slot must see no address either, nor a tag.
    for at in [1024 + 64, 1024 + 68, 1024 + 72, 1024 + 74, 1152, 1152 + 68] {
        let mut other = build.clone();
        other.put(at, &[1]);
        assert_eq!(code(open(&other)), stated, "{at}");
    }
    // Any other place is none, and the right one is one.
    let mut other = build.clone();
    other.field(88, &7_u16.to_le_bytes());
    assert_eq!(code(open(&other)), stated);
    other.field(88, &9_u16.to_le_bytes());
    assert_eq!(open(&other).unwrap().devices().count(), 1);
    // Behind an extension of the superblock lies no table.
    other.field(88, &8_u16.to_le_bytes()).field(13, &[1]);
    assert_eq!(code(open(&other)), stated);
}
