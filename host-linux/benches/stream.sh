#!/usr/bin/env bash
# Measures `erofs-unpack stream` side by side with `zstd -dc` and the decoder alone, and prints
# a Markdown table with the machine and the date.
#
#   host-linux/benches/stream.sh [OPTION]... [FOLDER]...
#
#     --size MB      size of the tree that the layers are made of (default 300)
#     --from DIR     what the tree is made of (default /usr)
#     --runs N       timed runs of each command, at least 5 (default 7)
#     --binary FILE  the program under test (default: built now, with cargo build --release)
#     --decoder FILE the decoder alone (default: built now, core/examples/decode_alone.rs)
#
# In each FOLDER (default: /dev/shm) lie the blobs, the output and the spool. Takes about six
# times SIZE in each. The check of stream is the default one. All is measured with --sandbox=none
# and in the sandbox.
#
#   file   stdout is a new regular file
#   pipe   stdout is a pipe that is read in pieces of 32 KiB and thrown away; the peer decodes
#          into a file and then copies that into such a pipe: decoding plus one copy
#   tar    a tar layer, passed through to /dev/null
#
# The commands run in turn, N times each, after one run that is not counted. The figures are
# medians of the wall time; a ratio is the peer's time divided by ours: more is better.
set -euo pipefail
export LC_ALL=C

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=host-linux/benches/common.sh
. "$project/host-linux/benches/common.sh"
size=300
from=/usr
runs=7
binary=
decoder=
folders=()


while [ $# -gt 0 ]; do
    case $1 in
    --*)
        [ $# -ge 2 ] || die "unknown argument, or one without a value: $1"
        case $1 in
        --size) size=$2 ;;
        --from) from=$2 ;;
        --runs) runs=$2 ;;
        --binary) binary=$2 ;;
        --decoder) decoder=$2 ;;
        *) die "unknown argument: $1" ;;
        esac
        shift 2
        ;;
    *)
        folders+=("$1")
        shift
        ;;
    esac
done
[ ${#folders[@]} -gt 0 ] || folders=(/dev/shm)
[ "$runs" -ge 5 ] || die "--runs: a median of fewer than 5 runs says little"
for tool in mkfs.erofs zstd tar dd cmp; do
    command -v "$tool" >/dev/null || die "needs $tool; .ci/install-tools installs it"
done
target=${CARGO_TARGET_DIR:-$project/target}
if [ -z "$binary" ]; then
    (cd "$project" && cargo build --quiet --release --locked -p erofs-unpack)
    binary=$target/release/erofs-unpack
fi
if [ -z "$decoder" ]; then
    (cd "$project" && cargo build --quiet --release --locked -p erofs-unpack-core --example decode_alone)
    decoder=$target/release/examples/decode_alone
fi
[ -x "$binary" ] || die "there is no program $binary"
[ -x "$decoder" ] || die "there is no program $decoder"
works=()
trap 'rm -rf "${works[@]}"' EXIT

# --- Layers ---------------------------------------------------------------------------------

# A tar archive of files of a folder in an order that is mixed and always the same.
archive() {
    find "$from" -xdev -type f -readable -printf '%s %p\0' | sort -z |
        sort -zR --random-source=<(yes) |
        awk -v RS='\0' -v ORS='\0' -v left=$((size * 1000000)) '
            left <= 0 { exit }
            { left -= $1; sub(/^[0-9]+ /, ""); print }' >"$1.list" || true
    tar --create --no-recursion --null --files-from "$1.list" 2>/dev/null >"$1"
    rm "$1.list"
}

# --- Commands -------------------------------------------------------------------------------

pipe() { dd of=/dev/null bs=32k status=none; }
# With --sandbox=$sandbox.
stream() { "$binary" stream --spool-dir "$work" "--sandbox=$sandbox" <"$1"; }
ours_file() { stream "$work/erofs.zst" >"$work/out"; }
zstd_file() { zstd -dcq "$work/erofs.zst" >"$work/out"; }
ours_pipe() { stream "$work/erofs.zst" | pipe; }
zstd_pipe() { zstd -dcq "$work/erofs.zst" >"$work/out" && cat "$work/out" | pipe; }
ours_tar() { stream "$work/tar.zst" >/dev/null; }
alone_tar() { "$decoder" "$work/tar.zst" >/dev/null; }

timed() {
    local start
    rm -f "$work/out"
    start=${EPOCHREALTIME/./}
    "$@" || die "$* failed"
    awk -v wall=$((${EPOCHREALTIME/./} - start)) 'BEGIN { print wall / 1e6 }'
}

# row KIND OURS PEER WORDS AIM
row() {
    local run command
    for command in "$2" "$3"; do
        timed "$command" >/dev/null
        : >"$work/$command.times"
    done
    for ((run = 0; run < runs; run++)); do
        for command in "$2" "$3"; do
            timed "$command" >>"$work/$command.times"
        done
    done
    printf '%s %s\n' "$(median <"$work/$2.times")" "$(median <"$work/$3.times")" |
        awk -v kind="$1" -v where="$(stat -f -c %T "$work")" -v sandbox="$sandbox" -v words="$4" -v aim="$5" '{
            printf "| %s | %s | %s | `%s` | %.3f | %.3f | %.2f | %s | %s |\n", kind, sandbox, where, words,
                $1, $2, $2 / $1, aim, ($2 / $1 >= aim) ? "met" : "missed"
        }'
}

# --- Table ----------------------------------------------------------------------------------

printf 'Measured %s on %s, %s CPUs, Linux %s. zstd %s; %s. Medians of %s alternating runs, in seconds.\n\n' \
    "$(date -u +%F)" "$(processor)" \
    "$(nproc)" "$(uname -r)" "$(zstd -V | grep -oE '[0-9]+(\.[0-9]+)+' | head -n1)" \
    "$("$binary" --version)" "$runs"
printf '| stdout | sandbox | file system | peer | ours | peer | ratio | aim | |\n'
printf '|---|---|---|---|---:|---:|---:|---:|---|\n'
for folder in "${folders[@]}"; do
    work=$(mktemp -d "$folder/erofs-unpack-stream.XXXXXX")
    works+=("$work")
    say "making layers in $folder"
    archive "$work/tar"
    mkfs.erofs --quiet --tar=f "$work/erofs" "$work/tar" >/dev/null
    zstd -q -3 --check "$work/erofs" "$work/tar"
    for sandbox in none wasm; do
        stream "$work/erofs.zst" | cmp - "$work/erofs" || die "not the same image"
        stream "$work/tar.zst" | cmp - "$work/tar" || die "not the same archive"
    done
    say "$(du -m --apparent-size "$work/erofs" | cut -f1) MiB"
    rm "$work/erofs" "$work/tar"
    for sandbox in none wasm; do
        row file ours_file zstd_file 'zstd -dc BLOB > OUT' 0.8
        row pipe ours_pipe zstd_pipe 'zstd -dc BLOB > OUT && cat OUT' 0.91
        row tar ours_tar alone_tar 'the zstd decoder alone, no output' 0.95
    done
done
