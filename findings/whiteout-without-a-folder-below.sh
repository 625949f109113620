#!/usr/bin/env bash
# Expected: overlayfs never shows a whiteout (a character device 0/0) of a lower layer.
# Happens:  where the folder around the whiteout exists in one layer alone, overlayfs reads that
#           folder directly: the whiteout's name is listed, stat says ENOENT, and the folder cannot
#           be removed with rm -r. An empty xattr trusted.overlay.origin on the folder makes the
#           kernel filter; in a mount with userxattr (rootless) it takes user.overlay.origin.
#           mkfs.erofs adds the first from a folder and with --aufs, and neither with --tar=f where
#           the archive holds the character device itself.
# Versions: erofs-utils 1.9.4, Linux 6.18.
# Source:   linux-unionfs, September 2023, "whiteout shows up in merged directory"; the image
#           specification (layer.md, "Whiteouts") does not ask that something lies below one.
# Users:    a layer that was built without the xattrs is valid and leaves ghosts in a container; and
#           what looks like noise in an image must survive a conversion. To be safe write both.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
need tar python3 unshare mount
debian sid erofs-utils=1.9.4-1 -- mkfs.erofs
cd "$work"
mkdir -p folder/d base below/d
mknod folder/d/gone c 0 0
echo kept >folder/d/kept
tar -cf device.tar -C folder d
mkdir -p aufs/d
touch aufs/d/.wh.gone aufs/d/kept
tar -cf aufs.tar -C aufs d
mkfs.erofs --quiet folder.img folder
python3 -c 'import os; os.setxattr("folder/d", "user.overlay.origin", b"")' 2>/dev/null ||
    skip "a temporary folder with xattrs"
mkfs.erofs --quiet both.img folder
mkfs.erofs --quiet --tar=f device.img device.tar
mkfs.erofs --quiet --tar=f --aufs aufs.img aufs.tar

cat >look <<'LOOK'
mkdir -p lower union
mount -t erofs -o loop "$1" lower && mount -t overlay overlay -o "$3lowerdir=lower:$2" union || exit 77
printf '%s\n' $(ls union/d)
LOOK
# look IMAGE FOLDER_BELOW [OPTIONS]: the names in the folder d of the union.
look() {
    unshare -m sh look "$1" "$2" "${3-}" 2>/dev/null | paste -sd' '
}
[ "$(status unshare -m sh look folder.img base "")" = 0 ] || skip "a kernel with EROFS, overlayfs and loop devices"
say "$(mkfs.erofs -V | head -n1), Linux $(uname -r)"
expect "names, image made of the folder" "kept" "$(look folder.img base)"
expect "names, image made of a tar with .wh.gone" "kept" "$(look aufs.img base)"
expect "names, image made of a tar with the device" "gone kept" "$(look device.img base)"
expect "the last one over a layer that has the folder" "kept" "$(look device.img below)"
expect "userxattr, image made of the folder" "gone kept" "$(look folder.img base userxattr,)"
expect "userxattr, the same with user.overlay.origin" "kept" "$(look both.img base userxattr,)"
