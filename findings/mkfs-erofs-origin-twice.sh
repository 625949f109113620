#!/usr/bin/env bash
# Expected: an inode of an image has an extended attribute of a name once.
# Happens:  mkfs.erofs adds an empty trusted.overlay.origin to a folder with a whiteout, also where
#           the folder has one already, as the upper folder of an overlay mount has. The image has
#           both: a mount lists the name twice and gives one value, here the empty one, so that what
#           the folder had is out of reach.
# Versions: erofs-utils 1.9.4, Linux 6.18.
# Source:   seen; containerd's EROFS differ makes its layers of upper folders in this way.
# Users:    a checker that refuses what is there twice refuses layers that containerd makes; and a
#           reader that takes the last of two values says something else than the kernel. Overlayfs
#           starts all the same: an origin that is empty or wrong means none.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
need python3 unshare mount
debian sid erofs-utils=1.9.4-1 -- mkfs.erofs
cd "$work"
cat >make <<'MAKE'
set -e
mkdir space && mount -t tmpfs tmpfs space && cd space
mkdir -p lower/d upper work union
echo a >lower/d/a
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work union
rm union/d/a
echo c >union/d/c
umount union
python3 -c 'import os; print("of the folder", os.listxattr("upper/d").count("trusted.overlay.origin"))' >"$1/names"
mkfs.erofs --quiet -Enoinline_data "$1/layer.img" upper
MAKE
[ "$(status unshare -m sh make "$work")" = 0 ] || skip "a kernel with overlayfs and tmpfs with xattrs"
cat >look <<'LOOK'
mkdir -p image && mount -t erofs -o loop,ro layer.img image || exit 77
python3 - <<'PYTHON'
import os
name = "trusted.overlay.origin"
print("in the image", os.listxattr("image/d").count(name))
print("length of its value", len(os.getxattr("image/d", name)))
PYTHON
LOOK
[ "$(status unshare -m sh look)" = 0 ] || skip "a kernel with EROFS and loop devices"
say "$(mkfs.erofs -V | head -n1), Linux $(uname -r)"
expect "trusted.overlay.origin" "of the folder 1" "$(cat names)"
expect "the same" "in the image 2" "$(sed -n 1p said)"
# A file handle: its length depends on the file system.
length=$(sed -n 's/^length of its value //p' said)
if [ "$length" -gt 0 ]; then first="the folder's own"; else first="the empty one"; fi
expect "which value a mount gives" "the empty one" "$first"
