#!/usr/bin/env bash
# Expected: a composefs image, whose file contents lie elsewhere, is told from an ordinary EROFS image
#           by tools that read EROFS: something fails when contents are read.
# Happens:  fsck.erofs passes it, and extracts a file of the right size and time whose bytes are all
#           zeros, exit 0; so does a mount. A file of a few bytes is whole. The root folder holds 256
#           whiteouts more, 00 to ff, and a whiteout has become an empty regular file.
# Versions: composefs 1.0.8, erofs-utils 1.9.4.
# Source:   composefs' man page mkcomposefs(1) and Linux Documentation/filesystems/overlayfs.rst,
#           "Data-only lower layers", "Metadata only copy up", "Nesting overlayfs mounts": the xattrs
#           trusted.overlay.metacopy and .redirect say where contents are; EROFS sees holes.
# Users:    such an image as an ordinary layer passes every check of digest and structure, and gives
#           files of zeros. trusted.overlay.redirect on regular files is the sign of it.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
debian sid composefs=1.0.8-3 erofs-utils=1.9.4-1 -- mkcomposefs composefs-info fsck.erofs
cd "$work"
mkdir tree store
seq 1 1000 >tree/large
printf 'a few bytes' >tree/small
mknod tree/whiteout c 0 0 || skip "a temporary folder with device nodes"
mkcomposefs --digest-store=store tree composed.img
expect "files that composefs says lie elsewhere" 1 "$(composefs-info objects composed.img | wc -l)"
expect "exit code of fsck.erofs" 0 "$(status fsck.erofs composed.img)"
expect "exit code of fsck.erofs --extract" 0 "$(status fsck.erofs --extract=out composed.img)"
size=$(stat -c %s tree/large)
expect "size of the large file" "$size" "$(stat -c %s out/large)"
expect "bytes of it that are not zero" 0 "$(tr -d '\0' <out/large | wc -c)"
expect "the small file" "a few bytes" "$(cat out/small)"
expect "what the whiteout has become" "regular empty file" "$(stat -c %F out/whiteout)"
expect "whiteouts in the root folder" 256 "$(find out -maxdepth 1 -type c | wc -l)"
