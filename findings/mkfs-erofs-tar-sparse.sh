#!/usr/bin/env bash
# Expected: mkfs.erofs --tar=f reads the sparse members that GNU tar -S writes, or refuses them.
# Happens:  exit 0 for all four formats. In the old GNU format the member is missing; in pax 0.0 it
#           has the right name and holds the data regions without the holes; in pax 0.1 and 1.0 the
#           same stands under the placeholder GNUSparseFile.PID/NAME, in 1.0 with the map before it.
# Versions: erofs-utils 1.9.4 (Debian sid) and 1.8.6 (trixie), GNU tar 1.34 to 1.35.
# Source:   GNU tar's manual, "Sparse Formats"; the size that the file has is in the pax records
#           GNU.sparse.size and GNU.sparse.realsize.
# Users:    an image made from such a layer passes fsck.erofs and any check of structure, with other
#           content than the tar. Only a tar reader that knows the formats, or refuses them, helps.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need tar
debian sid erofs-utils=1.9.4-1 -- mkfs.erofs fsck.erofs
cd "$work"
mkdir tree
# A block of data, ten megabytes of hole, a block of data.
head -c 4096 /dev/zero | tr '\0' A >tree/disk
truncate -s 10M tree/disk
head -c 4096 /dev/zero | tr '\0' B >>tree/disk
expect "size of the file" 10489856 "$(stat -c %s tree/disk)"
say "$(mkfs.erofs -V | head -n1), $(tar --version | head -n1)"

for format in gnu "posix --sparse-version=0.0" "posix --sparse-version=0.1" "posix --sparse-version=1.0"; do
    # shellcheck disable=SC2086  # the format is two words
    tar -S -H $format -cf layer.tar -C tree disk
    rm -rf layer.img out
    mkdir back out
    tar -xf layer.tar -C back
    cmp -s tree/disk back/disk || skip "a file system with holes that tar sees"
    rm -r back
    expect "exit code of mkfs.erofs, $format" 0 "$(status mkfs.erofs --quiet --tar=f layer.img layer.tar)"
    fsck.erofs --extract=out layer.img >/dev/null
    found=$(find out -type f -printf '%s %P' | sed 's/GNUSparseFile\.[0-9]*/GNUSparseFile.PID/')
    case $format in
    gnu) wanted="" ;;
    *0.0) wanted="8192 disk" ;;
    *0.1) wanted="8192 GNUSparseFile.PID/disk" ;;
    *1.0) wanted="8704 GNUSparseFile.PID/disk" ;;
    esac
    expect "files in the image, $format" "$wanted" "$found"
done
