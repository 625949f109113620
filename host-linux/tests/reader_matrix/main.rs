//! The reader against the kernel and `fsck.erofs`, on images of `mkfs.erofs` with each feature.
//!
//! Each test makes one image, lists it through the kernel's mount and through the library, and
//! expects the same of every file: type, mode, owner, size, time, links, device numbers,
//! extended attributes, content. Then it reads files at random places, looks each path up, and
//! compares with what `fsck.erofs` extracts.
//!
//! Where the oracles differ, the kernel counts; what `fsck.erofs` does not restore is left out
//! in `case.rs`, with its reason. An image that this `mkfs.erofs` or kernel refuses, or that
//! `mkfs.erofs` made with damage on which kernel and library agree, is skipped.
#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "tests have std"
)]

mod case;
mod everything;
mod listing;
mod machine;
mod through;
mod tree;

use case::{Case, From, test};
use tree::Kind;

/// Declares the tests: one image each.
macro_rules! images {
    ($($name:ident: $case:expr;)+) => {
        $(#[test]
        fn $name() {
            test(stringify!($name), &$case);
        })+
    };
}

// --- Plain data -------------------------------------------------------------------------------

images! {
    plain: Case::new(&[]);
    plain_time_for_all: Case::new(&["--all-time"]);
    plain_not_inline: Case::new(&["-Enoinline_data"]);
    plain_compact: Case::new(&["-Eforce-inode-compact", "--all-root"]);
    plain_extended: Case::new(&["-Eforce-inode-extended"]);
    plain_no_checksum: Case::new(&["-Enosbcrc"]);
    plain_b512: Case::new(&["-b512"]);
    plain_b1024: Case::new(&["-b1024"]);
    plain_b2048: Case::new(&["-b2048"]);
    plain_48bit: Case::new(&["-E48bit"]);
    plain_dot_omitted: Case::new(&["-Edot-omitted"]);
    plain_wide: Case::new(&[]).tree(Kind::Wide);
    plain_wide_b512: Case::new(&["-b512", "-Edot-omitted"]).tree(Kind::Wide);
    plain_owners_moved: Case::new(&["--uid-offset=100000", "--gid-offset=65530"]);
    plain_links_apart: Case::new(&["--hard-dereference"]);
}

// --- Extended attributes ----------------------------------------------------------------------

images! {
    xattrs_off: Case::new(&["-x-1"]);
    xattrs_all_shared: Case::new(&["-x0"]);
    xattrs_one_inline: Case::new(&["-x1"]);
    xattrs_filter: Case::new(&["-Exattr-name-filter"]);
    xattrs_prefixes: Case::new(&[
        "--xattr-prefix=user.long.prefix.of.a.name.",
        "--xattr-prefix=trusted.overlay.",
        "-Exattr-name-filter",
    ]);
    xattrs_prefixes_shared: Case::new(&["--xattr-prefix=security.se", "-x0", "-b1024"]);
    xattrs_prefixes_plain: Case::new(&[
        "--xattr-prefix=user.long.", "-Eplain-xattr-prefixes,fragments", "-zlz4",
    ]);
    xattrs_prefixes_packed: Case::new(&["--xattr-prefix=user.long.", "-Efragments", "-zlz4"]);
    xattrs_inode_digest: Case::new(&["--xattr-inode-digest"]);
    xattrs_root_space: Case::new(&["--root-xattr-isize=512"]);
}

// --- Chunks and devices -----------------------------------------------------------------------

images! {
    chunks: Case::new(&["--chunksize=4096"]);
    chunks_indexes: Case::new(&["--chunksize=4096", "-Eforce-chunk-indexes"]);
    chunks_map: Case::new(&["--chunksize=8192", "-Eforce-inode-blockmap"]);
    chunks_large: Case::new(&["--chunksize=1048576"]);
    chunks_b512: Case::new(&["--chunksize=512", "-b512"]);
    chunks_aligned: Case::new(&["--chunksize=16384", "--dsunit=4"]);
    chunks_48bit: Case::new(&["--chunksize=16384", "-E48bit,force-chunk-indexes"]);
    chunks_huge: Case::new(&["--chunksize=1048576"]).tree(Kind::Huge).no_fsck("it writes holes out");
    device: Case::new(&["--chunksize=4096"]).blobdev();
    device_large: Case::new(&["--chunksize=65536"]).blobdev();
    device_b1024: Case::new(&["--chunksize=2048", "-b1024"]).blobdev();
    device_48bit: Case::new(&["--chunksize=4096", "-E48bit"]).blobdev();
    devices_merged: Case::new(&["--ovlfs-strip=0"]).from(From::Images);
}

// --- From tar archives ------------------------------------------------------------------------

images! {
    tar_containerd: Case::new(&["--aufs", "-Enoinline_data", "-b4096"]).from(From::Tar);
    tar_containerd_whiteouts: Case::new(&["--aufs", "-Enoinline_data", "-b4096"])
        .from(From::Tar)
        .tree(Kind::Whiteouts);
    tar_containerd_wide: Case::new(&["--aufs", "-Enoinline_data", "-b4096"])
        .from(From::Tar)
        .tree(Kind::Wide);
    tar_plain: Case::new(&[]).from(From::Tar);
    tar_stripped: Case::new(&["--aufs", "--ovlfs-strip=1"]).from(From::Tar).tree(Kind::Whiteouts);
    tar_behind: Case::new(&["--aufs"]).from(From::TarBehind);
    tar_device: Case::new(&["--aufs"]).from(From::TarDevice);
    tar_unsorted: Case::new(&["--sort=none"]).from(From::Tar);
    tar_zstd: Case::new(&["-zzstd,3", "-C65536"]).from(From::Tar);
}

// --- Compression ------------------------------------------------------------------------------

images! {
    lz4: Case::new(&["-zlz4"]);
    lz4_b512: Case::new(&["-zlz4", "-b512"]);
    lz4_b1024_c8192: Case::new(&["-zlz4", "-b1024", "-C8192"]);
    lz4_c16384: Case::new(&["-zlz4", "-C16384"]);
    lz4_c65536: Case::new(&["-zlz4", "-C65536"]);
    lz4_c1048576: Case::new(&["-zlz4", "-C1048576"]);
    lz4_compact: Case::new(&["-zlz4", "-Eforce-inode-compact", "--all-root"]);
    lz4_extended: Case::new(&["-zlz4", "-Eforce-inode-extended"]);
    lz4_legacy: Case::new(&["-zlz4", "-Elegacy-compress"]);
    lz4_legacy_c65536: Case::new(&["-zlz4", "-Elegacy-compress", "-C65536"]);
    lz4_short_extents: Case::new(&["-zlz4", "--max-extent-bytes=16384", "-C65536"]);
    lz4_48bit: Case::new(&["-zlz4", "-E48bit", "-C65536"]);
    lz4_directories: Case::new(&["-zlz4", "--zD"]);
    lz4_directories_wide: Case::new(&["-zlz4", "--zD", "-C65536"]).tree(Kind::Wide);
    lz4hc: Case::new(&["-zlz4hc"]);
    lz4hc_c65536: Case::new(&["-zlz4hc,12", "-C65536"]);
    lzma: Case::new(&["-zlzma"]);
    lzma_c65536: Case::new(&["-zlzma,9", "-C65536"]);
    lzma_small_dictionary: Case::new(&["-zlzma,level=6,dictsize=4096", "-C16384"]);
    lzma_b512: Case::new(&["-zlzma,1", "-b512", "-C4096"]);
    deflate: Case::new(&["-zdeflate"]);
    deflate_c65536: Case::new(&["-zdeflate,9", "-C65536"]);
    deflate_b1024: Case::new(&["-zdeflate", "-b1024"]);
    libdeflate: Case::new(&["-zlibdeflate,12", "-C32768"]);
    zstd: Case::new(&["-zzstd"]);
    zstd_c65536: Case::new(&["-zzstd,19", "-C65536"]);
    zstd_c1048576: Case::new(&["-zzstd,6", "-C1048576"]);
    zstd_b512: Case::new(&["-zzstd", "-b512", "-C16384"]);
    zstd_48bit: Case::new(&["-zzstd", "-E48bit", "-C65536"]);
    two_algorithms: Case::new(&["-zlz4:zstd", "-C65536"]);
    four_algorithms: Case::new(&["-zlz4:lzma:deflate:zstd", "-C16384"]);
}

// --- Tails, fragments, duplicates -------------------------------------------------------------
//
// `mkfs.erofs` leaves ztailpacking out where fragments or 48-bit addresses are asked for.

images! {
    tails_lz4: Case::new(&["-zlz4", "-Eztailpacking"]);
    tails_lz4_legacy: Case::new(&["-zlz4", "-Eztailpacking,legacy-compress"]);
    tails_lzma: Case::new(&["-zlzma", "-Eztailpacking", "-C65536"]);
    tails_deflate: Case::new(&["-zdeflate", "-Eztailpacking", "-C16384"]);
    tails_zstd: Case::new(&["-zzstd", "-Eztailpacking", "-C65536"]);
    fragments_lz4: Case::new(&["-zlz4", "-Efragments"]);
    fragments_lz4_c65536: Case::new(&["-zlz4", "-Efragments", "-C65536"]);
    fragments_legacy: Case::new(&["-zlz4", "-Efragments,legacy-compress"]);
    fragments_zstd_large: Case::new(&["-zzstd", "-Efragments=65536", "-C65536"]);
    fragments_lzma: Case::new(&["-zlzma", "-Efragments", "-C65536"]);
    fragments_deflate: Case::new(&["-zdeflate", "-Efragments,fragdedupe=full", "-C16384"]);
    fragments_48bit: Case::new(&["-zzstd", "-Efragments,48bit", "-C65536"]);
    all_fragments: Case::new(&["-zlz4", "-Eall-fragments"]);
    all_fragments_zstd: Case::new(&["-zzstd", "-Eall-fragments,fragdedupe=inode", "-C65536"]);
    all_fragments_b512: Case::new(&["-zlz4", "-Eall-fragments", "-b512"]);
    dedupe_lz4: Case::new(&["-zlz4", "-Ededupe"]);
    dedupe_zstd: Case::new(&["-zzstd", "-Ededupe,fragments", "-C65536"]);
    dedupe_tails: Case::new(&["-zlz4", "-Ededupe,ztailpacking", "-C16384"]);
    dedupe_all: Case::new(&["-zzstd", "-Ededupe,all-fragments", "-C65536"]);
    dedupe_48bit: Case::new(&["-zzstd", "-Ededupe,48bit", "-C16384"]);
}

// --- Metadata in the metabox --------------------------------------------------------------------

/// `fsck.erofs` 1.9.4 extracts other bytes than were put in; the kernel does not.
const INLINE: &str = "it reads inline data in the metabox wrongly";

images! {
    metabox: Case::new(&["-m4096", "-zlz4"]).no_fsck(INLINE);
    metabox_large: Case::new(&["-m65536", "-zzstd", "-C65536"]).no_fsck(INLINE);
    metabox_other_algorithm: Case::new(&["-m16384:zstd", "-zlz4", "-C16384"]).no_fsck(INLINE);
    metabox_of_plain_data: Case::new(&["-m4096:lz4"]).no_fsck(INLINE);
    metabox_not_inline: Case::new(&["-m4096:lz4", "-Enoinline_data"]);
    metabox_zones: Case::new(&["-m4096", "--MZ=id", "-zlz4"]).no_fsck(INLINE);
    metabox_wide: Case::new(&["-m16384", "-zzstd", "-C16384"]).tree(Kind::Wide).no_fsck(INLINE);
    metabox_prefixes: Case::new(&["-m4096", "-zlz4", "--xattr-prefix=user.long.", "-x0"])
        .no_fsck(INLINE);
    metabox_chunks: Case::new(&["-m4096:lz4", "--chunksize=4096", "-Eforce-chunk-indexes"])
        .no_fsck(INLINE);
    metabox_fragments: Case::new(&["-m4096", "-zzstd", "-Efragments,xattr-name-filter"])
        .no_fsck(INLINE);
    zone_of_inodes: Case::new(&["--MZ=i"]);
    zones: Case::new(&["--MZ=id", "-zlz4", "-Eztailpacking"]);
}
