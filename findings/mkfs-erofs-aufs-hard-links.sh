#!/usr/bin/env bash
# Expected: mkfs.erofs --tar=f --aufs leaves out what aufs kept for itself in old Docker layers: the
#           folder .wh..wh.plnk, in which it had the names of files with several links.
# Happens:  it takes the folder for a whiteout of a name .wh.plnk, and writes that as a character
#           device 0/0. Where a member is in the folder, the folder itself stays as well, visible and
#           with mode 0777.
# Versions: erofs-utils 1.9.4.
# Source:   seen; layer.md of the image specification and aufs' own documentation (mount options)
#           name the prefix; containerd (pkg/archive/tar.go) passes over these names.
# Users:    images of the time of aufs have such layers. A layer made of them holds names with .wh. that
#           overlayfs does not hide, and a folder that all may write to.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3
debian sid erofs-utils=1.9.4-1 -- mkfs.erofs dump.erofs
cd "$work"
python3 - <<'PYTHON'
import io, tarfile

def member(tar, name, kind=tarfile.REGTYPE, data=b"", link=""):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(data), link
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    tar.addfile(info, io.BytesIO(data))

for name, inside in ("empty.tar", False), ("linked.tar", True):
    with tarfile.open(name, "w") as tar:
        member(tar, ".wh..wh.plnk", tarfile.DIRTYPE)
        member(tar, "file", data=b"content\n")
        if inside:
            member(tar, ".wh..wh.plnk/1.2", tarfile.LNKTYPE, link="file")
PYTHON
say "$(mkfs.erofs -V | head -n1)"
for name in empty linked; do
    mkfs.erofs --quiet --tar=f --aufs "$name.img" "$name.tar"
done
# names IMAGE: what the root holds, without its own names.
names() { dump.erofs --path=/ --ls "$1" | awk '$NF ~ /^(\.wh|file)/ { print $NF }' | sort | paste -sd' '; }
# says IMAGE PATH FIELD
mode() { dump.erofs --path="$2" "$1" | sed -n 's/.*Access: \([0-7]*\).*/\1/p'; }
expect "names, the folder is empty" ".wh.plnk file" "$(names empty.img)"
expect "names, a hard link is in the folder" ".wh..wh.plnk .wh.plnk file" "$(names linked.img)"
expect "mode of that folder" 0777 "$(mode linked.img /.wh..wh.plnk)"
