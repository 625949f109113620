#!/usr/bin/env bash
# Expected: in a layer that deletes a folder and creates it anew, a whiteout .wh.b beside the folder b hides
#           what lower layers have in b, and nothing of its own layer, wherever it stands in the tar.
# Happens:  mkfs.erofs --tar=f --aufs, exit 0: where the whiteout comes first the folder takes its place, and
#           what the lower layer has shows through; where it comes last it takes the folder's, and what the
#           layer has is gone. Between the folder and what is in it, it makes the whole layer fail.
# Versions: erofs-utils 1.9.4, Linux 6.18.
# Source:   layer.md of the image specification, "Whiteouts": they apply to lower layers alone, and first,
#           whatever the order. canonical/rockcraft issue 30 has layers with such whiteouts.
# Users:    files that were deleted, secrets among them, are back, or files that were added are missing, while
#           image and tar have the digests that they should have. In place of .wh.b, a file .wh..wh..opq inside
#           of b says the same and is understood.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
need python3 unshare mount
debian sid erofs-utils=1.9.4-1 -- mkfs.erofs
cd "$work"
python3 - <<'PYTHON'
import tarfile

layers = {
    "lower": ["a/", "a/b/", "a/b/deleted"],
    "first": ["a/", "a/.wh.b", "a/b/", "a/b/added"],
    "last": ["a/", "a/b/", "a/b/added", "a/.wh.b"],
    "between": ["a/", "a/b/", "a/.wh.b", "a/b/added"],
    "opaque": ["a/", "a/b/", "a/b/added", "a/b/.wh..wh..opq"],
}
for name, members in layers.items():
    with tarfile.open(name + ".tar", "w") as tar:
        for member in members:
            info = tarfile.TarInfo(member)
            info.mode = 0o644
            if member.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
PYTHON
mkfs() { mkfs.erofs --quiet --tar=f --aufs "$1.img" "$1.tar"; }
cat >look <<'LOOK'
mkdir -p lower upper union
mount -t erofs -o loop lower.img lower && mount -t erofs -o loop "$1.img" upper || exit 77
mount -t overlay overlay -o lowerdir=upper:lower union || exit 77
(cd union && find a | sort | paste -sd' ')
LOOK
look() { unshare -m sh look "$1" 2>/dev/null; }
mkfs lower
mkfs opaque
[ "$(status unshare -m sh look opaque)" = 0 ] || skip "a kernel with EROFS, overlayfs and loop devices"
say "$(mkfs.erofs -V | head -n1), Linux $(uname -r)"
for name in first last; do expect "exit code, the whiteout comes $name" 0 "$(status mkfs "$name")"; done
expect "files, it comes first" "a a/b a/b/added a/b/deleted" "$(look first)"
expect "files, it comes last" "a" "$(look last)"
expect "files, with .wh..wh..opq in the folder" "a a/b a/b/added" "$(look opaque)"
expect "exit code, it comes between" 1 "$(status mkfs between)"
say "$(cat said)"
