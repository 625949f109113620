#!/usr/bin/env bash
# Expected: a folder that is only implied by a member's path gets mode 0755, as GNU tar makes it.
# Happens:  mkfs.erofs --tar=f gives it mode 0777, the image's root too.
# Versions: erofs-utils 1.9.4 (Debian sid) and 1.8.6 (trixie).
# Source:   seen; mkfs.erofs(1) does not say. Build tools write layers that hold a file and not its
#           folders.
# Users:    under overlayfs the topmost layer's folder gives the mode, so a converted layer that adds
#           one file to /etc turns /etc into 0777. Add the folders' entries to the tar, or look at
#           the modes of an image that another tool has made.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need tar
debian sid erofs-utils=1.9.4-1 -- mkfs.erofs dump.erofs
cd "$work"
mkdir -p tree/opt/app plain
echo x >tree/opt/app/file
tar -cf layer.tar -C tree opt/app/file
expect "members of the tar" "opt/app/file" "$(tar -tf layer.tar)"
(umask 022 && tar -xf layer.tar -C plain)
mkfs.erofs --quiet --tar=f layer.img layer.tar
say "$(mkfs.erofs -V | head -n1)"
mode() { dump.erofs --path="$1" layer.img | sed -n 's/.*Access: \([0-7]*\).*/\1/p'; }
expect "mode of /opt/app after tar -x" 755 "$(stat -c %a plain/opt/app)"
for folder in / /opt /opt/app; do
    expect "mode of $folder in the image" 0777 "$(mode "$folder")"
done
