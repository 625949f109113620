#!/usr/bin/env bash
# Expected: with a fixed time and UUID, the number of worker threads changes how fast mkfs.erofs is,
#           and not what it writes.
# Happens:  --workers=1, 2 and 4 write the same bytes; --workers=0, which compresses in the main
#           thread, writes others as soon as a file has more than 16 MiB. The other switches make no
#           such difference: with -Ededupe all write what --workers=0 writes.
# Versions: erofs-utils 1.9.4.
# Source:   seen; mkfs.erofs(1), --workers, says nothing of it. A build of erofs-utils without
#           threads has no other mode than that of 0.
# Users:    a diffID can be made again only with the same kind of build and with --workers either 0
#           or not: -T and -U alone do not make an image reproducible.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
debian sid erofs-utils=1.9.4-1 -- mkfs.erofs
cd "$work"
mkdir small large
seq 1 6000000 >numbers
head -c 16777216 numbers >small/file
head -c 16777217 numbers >large/file
say "$(mkfs.erofs -V | head -n1)"
fixed=(--quiet --all-root -T0 -U 00000000-0000-0000-0000-000000000001 -C65536)
# digest FOLDER OPTION...
digest() {
    rm -f layer.img
    mkfs.erofs "${fixed[@]}" "${@:2}" layer.img "$1" 2>/dev/null
    sha256sum layer.img | cut -c1-16
}
for options in -zlz4 -zzstd; do
    none=$(digest large $options --workers=0)
    one=$(digest large $options --workers=1)
    say "$options, a file of 16 MiB and a byte: --workers=0 $none, --workers=1 $one"
    [ "$none" != "$one" ] || changed "$options: --workers=0 and 1 write the same bytes"
    expect "$options --workers=0 again" "$none" "$(digest large $options --workers=0)"
    expect "$options --workers=4" "$one" "$(digest large $options --workers=4)"
    none=$(digest small $options --workers=0)
    expect "$options --workers=4, a file of 16 MiB, as --workers=0" "$none" "$(digest small $options --workers=4)"
done
none=$(digest large -zlz4 -Ededupe --workers=0)
expect "-zlz4 -Ededupe --workers=4, as --workers=0" "$none" "$(digest large -zlz4 -Ededupe --workers=4)"
