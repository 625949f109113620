#!/usr/bin/env bash
# Expected: mkfs.erofs keeps the nanoseconds of every file, or of none.
# Happens:  it keeps them but for files whose second is that of the image's build time. Those get a
#           32-byte inode, which has no time of its own and shows the superblock's, whose
#           nanoseconds are 0; all others get a 64-byte inode with a time.
# Versions: erofs-utils 1.9.4.
# Source:   mkfs.erofs(1), -T with --mkfs-time; Linux Documentation/filesystems/erofs.rst, compact
#           and extended inodes; -Eforce-inode-extended is the way round.
# Users:    an image is not a faithful copy of times even when mkfs.erofs was given none to set, and
#           whether it is depends on the second it ran in: compare whole seconds, or force extended
#           inodes.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need tar
debian sid erofs-utils=1.9.4-1 -- mkfs.erofs dump.erofs
cd "$work"
mkdir tree
touch -d @1700000000.123456789 tree/same-second
touch -d @1700000001.123456789 tree/next-second
tar -H posix -cf layer.tar -C tree same-second next-second
say "$(mkfs.erofs -V | head -n1)"

times() {
    rm -f layer.img
    mkfs.erofs --quiet -T1700000000 --mkfs-time "$@"
    local name
    for name in same-second next-second; do
        dump.erofs --path="/$name" layer.img |
            awk '/^Inode size:/ { size = $3 } /^Timestamp:/ { sub(/.*\./, ""); print size ":" $0 }'
    done | paste -sd' '
}
kept=64:123456789
expect "inode size and nanoseconds, from a tar" "32:000000000 $kept" "$(times --tar=f layer.img layer.tar)"
expect "inode size and nanoseconds, from the folder" "32:000000000 $kept" "$(times layer.img tree)"
expect "the same with -Eforce-inode-extended" "$kept $kept" \
    "$(times -Eforce-inode-extended --tar=f layer.img layer.tar)"
