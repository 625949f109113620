#!/usr/bin/env bash
# Expected: fsck.erofs --extract=DIR --xattrs restores every xattr, or fails.
# Happens:  at the first xattr with an empty value it prints an error, leaves out that xattr and all
#           that follow it on the same file, and exits 0.
# Versions: erofs-utils 1.9.4 (Debian sid) and 1.8.6 (trixie).
# Source:   setxattr(2) allows a value of size 0; mkfs.erofs itself writes one, trusted.overlay.origin,
#           on the parents of whiteouts.
# Users:    do not take the extracted tree for the image where xattrs count (capabilities, labels):
#           mount it, or read it with something else. The exit code says nothing.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3
debian sid erofs-utils=1.9.4-1 -- mkfs.erofs fsck.erofs
cd "$work"
mkdir tree
touch tree/empty tree/full
set_all='
import os, sys
path, middle = sys.argv[1:]
for name, value in (("user.a", "A"), ("user.b", middle), ("user.c", "C")):
    os.setxattr(path, name, value.encode())'
python3 -c "$set_all" tree/empty "" 2>/dev/null || skip "a temporary folder with xattrs"
python3 -c "$set_all" tree/full B
names() { python3 -c 'import os, sys; print(*sorted(n for n in os.listxattr(sys.argv[1]) if n.startswith("user.")))' "$1"; }
expect "xattrs of the source" "user.a user.b user.c" "$(names tree/empty)"
mkfs.erofs --quiet layer.img tree
say "$(fsck.erofs -V | head -n1)"
expect "exit code of fsck.erofs --extract --xattrs" 0 "$(status fsck.erofs --extract=out --xattrs layer.img)"
say "it said: $(head -n1 "$work/said")"
expect "xattrs of the file whose values are all full" "user.a user.b user.c" "$(names out/full)"
expect "xattrs of the file with an empty value in the middle" "user.a" "$(names out/empty)"
