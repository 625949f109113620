#!/usr/bin/env bash
# Expected: Python's tarfile reads a compressed tar in stream mode ("r|zst", "r|gz", "r|*") as it does
#           in the mode with seeking ("r:zst"): all zstd frames, all gzip members.
# Happens:  in stream mode it reads the first frame or member alone. What follows a gzip member is
#           missing without an error, as in a tar whose files are members of their own (eStargz). What
#           follows a zstd frame raises EOFError, as in a zstd:chunked layer made by skopeo; but it is
#           missing without an error, too, when it lies within the same 10 KiB of input. A skippable
#           frame counts as such a first frame.
# Versions: Python 3.14.10 (gzip alike in 3.11), skopeo 1.22.0.
# Source:   RFC 8878, section 3.1, and RFC 1952, section 2.2: a file is a series of frames or members;
#           Python's documentation of tarfile.open, table of modes, names no such limit.
# Users:    chunked layers are many frames. A Python program that streams a layer from a registry
#           loses files: use "r:" on a spooled file, or decompress with compression.zstd.open first.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
need tar python3 gzip unshare
debian sid python3.14=3.14.10-1 skopeo=1.22.0+ds1-1 -- python3.14 skopeo
cd "$work"
mkdir tree
for n in 1 2 3; do echo $n >"tree/file$n"; done
tar -b 1 -cf small.tar -C tree file1 file2 file3
for n in 1 2 3; do seq $n 20000 >"tree/file$n"; done
tar -b 1 -cf layer.tar -C tree file1 file2 file3
layout plain application/vnd.oci.image.layer.v1.tar layer.tar layer.tar
skopeo_copy oci:plain:v1 oci:chunked:v1 --dest-compress-format zstd:chunked
chunked=$(find chunked/blobs -type f -size +8k)

cat >read.py <<'PYTHON'
import gzip, sys, tarfile
from compression import zstd

def names(file, mode):
    found = []
    try:
        with tarfile.open(file, mode) as tar:
            for member in tar:
                found.append(member.name)
    except Exception as error:
        found.append(f"{type(error).__name__}({error})")
    print(*found)

def pieces(name):
    # A piece for each file, cut where the next one's header begins, and one for the end.
    with tarfile.open(name) as tar:
        cuts = [member.offset for member in tar][1:]
        cuts.append(tar.offset)
    content = open(name, "rb").read()
    for start, end in zip([0] + cuts, cuts + [len(content)]):
        yield content[start:end]

kind, mode, file = sys.argv[1:]
if kind == "skippable":
    whole = zstd.compress(open("layer.tar", "rb").read())
    open(file, "wb").write(b"\x50\x2a\x4d\x18\x04\0\0\0note" + whole)
elif kind != "file":
    pack = gzip.compress if mode.endswith("gz") else zstd.compress
    open(file, "wb").write(b"".join(map(pack, pieces(kind))))
names(file, mode)
PYTHON
read_as() { PYTHONHOME=$work/sid/usr python3.14 read.py "$@"; }
all="file1 file2 file3"
say "$(PYTHONHOME=$work/sid/usr python3.14 --version), $(skopeo --version)"
expect "zstd:chunked of skopeo, r:zst" "$all" "$(read_as file r:zst "$chunked")"
expect "zstd:chunked of skopeo, r|zst" "file1 EOFError(Already at the end of a Zstandard frame.)" \
    "$(read_as file 'r|zst' "$chunked")"
expect "a zstd frame for each file, r:zst" "$all" "$(read_as layer.tar r:zst zst)"
expect "a zstd frame for each file, r|zst" "file1 EOFError(Already at the end of a Zstandard frame.)" \
    "$(read_as layer.tar 'r|zst' zst)"
expect "the same with small files, r:zst" "$all" "$(read_as small.tar r:zst zst)"
expect "the same with small files, r|zst" "file1" "$(read_as small.tar 'r|zst' zst)"
expect "a gzip member for each file, r:gz" "$all" "$(read_as layer.tar r:gz gz)"
expect "a gzip member for each file, r|gz" "file1" "$(read_as layer.tar 'r|gz' gz)"
expect "a skippable frame first, r:zst" "$all" "$(read_as skippable r:zst skip)"
expect "a skippable frame first, r|zst" "EOFError(Already at the end of a Zstandard frame.)" \
    "$(read_as skippable 'r|zst' skip)"
