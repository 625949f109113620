//! Sparse files: holes where they save something, zeros elsewhere.

use crate::support::{Kind, build, build_in, read, told};
use erofs_unpack_core::build::Options;
use erofs_unpack_core::erofs::{Image, Layout};
use erofs_unpack_core::{Code, Limits};

/// Size of a file, and its data with their offsets.
type Case = (u64, Vec<(u64, Vec<u8>)>);

/// The content that a file with these data has.
fn whole(size: u64, data: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut content = vec![0; usize::try_from(size).unwrap()];
    for (offset, bytes) in data {
        let start = usize::try_from(*offset).unwrap();
        content[start..start + bytes.len()].copy_from_slice(bytes);
    }
    content
}

#[test]
fn content_is_as_it_was_whatever_the_holes() {
    let cases: Vec<Case> = vec![
        (0, vec![]),
        (1, vec![]),
        (5000, vec![(0, vec![1; 5000])]),
        (100_000, vec![]),
        (100_000, vec![(99_999, vec![7])]),
        (
            100_000,
            vec![(0, vec![7]), (50_000, vec![8; 5000]), (55_000, vec![9; 10])],
        ),
        (
            1 << 22,
            vec![
                (4096, vec![1; 4096]),
                (1 << 20, vec![2; 70_000]),
                (4_190_000, vec![3; 4304]),
            ],
        ),
        (10_000, vec![(100, vec![1; 10]), (9000, vec![2; 10])]),
    ];
    for bits in [9, 12, 16] {
        for inline_data in [false, true] {
            let options = Options {
                block_bits: bits,
                inline_data,
                ..Options::DEFAULT
            };
            let entries: Vec<_> = cases
                .iter()
                .enumerate()
                .map(|(number, (size, data))| {
                    told(&format!("f{number}"), Kind::Sparse(*size, data.clone()))
                })
                .collect();
            let image = build(&entries, &options).unwrap();
            let tree = read(&image);
            for (number, (size, data)) in cases.iter().enumerate() {
                let content = &tree[&format!("f{number}")].content;
                assert!(*content == whole(*size, data), "{number}, {bits} bits");
            }
            for piece in [1, 4095, 4097] {
                let (again, _) = build_in(&entries, &options, &Limits::DEFAULT, piece).unwrap();
                assert!(again == image, "pieces of {piece}");
            }
        }
    }
}

#[test]
fn holes_take_no_room() {
    let data = vec![(1 << 30, vec![1; 4096])];
    let image = build(&[told("f", Kind::Sparse(1 << 40, data))], &Options::DEFAULT).unwrap();
    // Half of it is the map, half the one chunk that has data.
    assert!(image.len() < 5 << 20, "{}", image.len());
    let opened = Image::open(image.as_slice(), image.len() as u64, &Limits::DEFAULT).unwrap();
    let entry = opened
        .lookup(&opened.root().unwrap(), b"f")
        .unwrap()
        .unwrap();
    let inode = opened.inode(entry.nid).unwrap();
    assert_eq!(inode.layout, Layout::ChunkBased);
    let mut buf = [0; 2];
    assert_eq!(opened.read(&inode, (1 << 30) + 4095, &mut buf).unwrap(), 2);
    assert_eq!(buf, [1, 0]);
}

#[test]
fn content_that_does_not_fit_its_holes_is_refused() {
    // Behind the size, in a hole, the first run left out.
    let refused = |kind| {
        build(&[told("f", kind)], &Options::DEFAULT)
            .unwrap_err()
            .code()
    };
    let far = Kind::Sparse(10, vec![(8, vec![1; 4])]);
    assert_eq!(refused(far), Code::BuildContent);
    let backwards = Kind::Sparse(1 << 20, vec![(500_000, vec![1]), (0, vec![1])]);
    assert_eq!(refused(backwards), Code::BuildContent);
}
