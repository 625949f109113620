#!/usr/bin/env bash
# Expected: tools that know only tar layers refuse a layer of EROFS, by its media type or content.
# Happens:  an EROFS image begins with 1024 zero bytes, which is how an empty tar archive ends, so
#           GNU tar, bsdtar and Python list nothing and succeed. crane export does not look at the
#           media type and writes an empty archive, exit 0; crane flatten replaces the layer by an
#           empty tar (of Docker's type) and pushes that, exit 0. umoci looks, and refuses.
# Versions: crane 0.20.7, umoci 0.6.0, libarchive 3.8.10, erofs-utils 1.9.4 (all of Debian sid).
# Source:   Linux Documentation/filesystems/erofs.rst (superblock at 1024); POSIX pax, "ustar", two
#           blocks of zeros as end; image-spec, manifest.md, "layers": who copies must not
#           fail on an unknown type.
# Users:    a container that starts with an empty root, or a flattened image without files, comes
#           from a tool in the chain that took EROFS for tar. Exit codes show nothing.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need tar python3
debian sid erofs-utils=1.9.4-1 crane=0.20.7+ds1-5 umoci=0.6.0+ds-1+b1 libarchive-tools=3.8.10-2 \
    -- mkfs.erofs crane umoci bsdtar
cd "$work"
mkdir tree
echo content >tree/file
mkfs.erofs --quiet layer.img tree
layout image application/vnd.erofs layer.img layer.img

list='import sys, tarfile; print(*tarfile.open(sys.argv[1]).getnames())'
expect "names that GNU tar lists" "" "$(tar -tf layer.img)"
expect "names that bsdtar lists" "" "$(bsdtar -tf layer.img)"
expect "names that Python's tarfile lists" "" "$(python3 -c "$list" layer.img)"

registry
export HOME=$work
crane push image "$registry/image:v1" >/dev/null 2>&1
crane export "$registry/image:v1" exported.tar
expect "names in what crane export wrote" "" "$(tar -tf exported.tar)"
crane flatten "$registry/image:v1" -t "$registry/image:flat" >/dev/null 2>&1
expect "media type of the layer after crane flatten" application/vnd.docker.image.rootfs.diff.tar.gzip \
    "$(crane manifest "$registry/image:flat" | python3 -c '
import json, sys
print(*(layer["mediaType"] for layer in json.load(sys.stdin)["layers"]))')"
expect "names in the flattened image" "" "$(crane export "$registry/image:flat" - | tar -t)"
expect "exit code of umoci unpack" 1 "$(status umoci unpack --rootless --image image:v1 bundle)"
