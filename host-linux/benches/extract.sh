#!/usr/bin/env bash
# Measures `erofs-unpack extract` of whole images, side by side with `tar -xf` of the same tree
# and `fsck.erofs --extract` of the same image, and prints a Markdown table with the machine and
# the date.
#
#   host-linux/benches/extract.sh [OPTION]...
#
#     --memory DIR   a folder on a tmpfs, where all of it happens (default /dev/shm). Takes
#                    about six times SIZE.
#     --size MB      size of the tree of mixed files (default 300)
#     --files N      number of files of the tree of small ones (default 50000)
#     --from DIR     what the tree of mixed files is made of (default /usr)
#     --runs N       timed runs of each command, at least 5 (default 7)
#     --jobs LIST    values of --jobs that are timed (default: "1 N", the number of processors)
#     --binary FILE  the program under test (default: built now, with cargo build --release)
#
# All commands write to an empty directory on the tmpfs and read from it. They run in turn, N times
# each, after one run that is not counted. The figures are medians of the wall time of the whole
# command, and of the processor time of all its threads; a ratio is the peer's wall time divided
# by ours, so that more is better. As root all of them restore owners, modes and times.
set -euo pipefail
export LC_ALL=C

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=host-linux/benches/common.sh
. "$project/host-linux/benches/common.sh"
memory=/dev/shm
size=300
files=50000
from=/usr
runs=7
jobs="1 $(nproc)"
binary=
aim=1.2


while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || die "unknown argument, or one without a value: $1"
    case $1 in
    --memory) memory=$2 ;;
    --size) size=$2 ;;
    --files) files=$2 ;;
    --from) from=$2 ;;
    --runs) runs=$2 ;;
    --jobs) jobs=$2 ;;
    --binary) binary=$2 ;;
    *) die "unknown argument: $1" ;;
    esac
    shift 2
done
[ "$runs" -ge 5 ] || die "--runs: a median of fewer than 5 runs says little"
for tool in mkfs.erofs fsck.erofs tar /usr/bin/time; do
    command -v "$tool" >/dev/null || die "needs $tool; .ci/install-tools installs it"
done
[ "$(stat -f -c %T "$memory")" = tmpfs ] || die "--memory: $memory is not on a tmpfs"
if [ -z "$binary" ]; then
    (cd "$project" && cargo build --quiet --release --locked -p erofs-unpack)
    binary=${CARGO_TARGET_DIR:-$project/target}/release/erofs-unpack
fi
[ -x "$binary" ] || die "there is no program $binary"

work=$(mktemp -d "$memory/erofs-unpack-extract.XXXXXX")
trap 'rm -rf "$work"' EXIT
out=$work/out

# --- Trees ----------------------------------------------------------------------------------

# Files of a folder in an order that is mixed and always the same, up to so many MB, where they
# lie, with their directories and links.
mixed() {
    find "$from" -xdev \( -type f -readable -o -type l \) -printf '%s %p\0' | sort -z |
        sort -zR --random-source=<(yes) |
        awk -v RS='\0' -v ORS='\0' -v left=$((size * 1000000)) '
            left <= 0 { exit }
            { left -= $1; sub(/^[0-9]+ /, ""); print }' >"$work/list" || true
    tar --create --no-recursion --null --files-from "$work/list" 2>/dev/null |
        tar --extract --directory "$1"
}

# Directories of 500 files each, of 1 to 2000 bytes.
small() {
    awk -v files="$files" -v root="$1" 'BEGIN {
        for (i = 0; i < 2000; i++)
            text = text sprintf("%c", 33 + i * 7 % 90)
        for (i = 0; i < files; i++) {
            dir = root "/" int(i / 500)
            if (i % 500 == 0)
                system("mkdir " dir)
            file = dir "/file" i
            printf "%s", substr(text, 1, 1 + i * 37 % 2000) >file
            close(file)
        }
    }'
}

# --- Commands, each from $image or $tar to $out -----------------------------------------------

ours() { "$binary" extract --quiet "$image" -C "$out" --jobs "$1"; }
tar_x() { tar -xf "$tar" -C "$out"; }
fsck_x() { fsck.erofs --extract="$out" "$image"; }
words() {
    case $1 in
    tar_x) printf 'tar -xf' ;;
    fsck_x) printf 'fsck.erofs --extract' ;;
    esac
}
export -f ours tar_x fsck_x
export binary out image tar

# One run of a command: seconds of wall time, and of processor time.
timed() {
    local start
    rm -rf "$out"
    mkdir "$out"
    start=${EPOCHREALTIME/./}
    /usr/bin/time -o "$work/time" -f '%U %S' bash -c '"$@"' - "$@" >/dev/null ||
        die "$* failed"
    awk -v wall=$((${EPOCHREALTIME/./} - start)) '{ print wall / 1e6, $1 + $2 }' "$work/time"
}

# compare TREE OPTIONS PEER...: the rows of one image of the tree.
compare() {
    local kind=$1 options=$2 run command job peer own
    shift 2
    local commands=("$@")
    image=$work/image.erofs
    # shellcheck disable=SC2086  # the options are split on purpose
    mkfs.erofs --quiet $options "$image" "$work/tree" >/dev/null
    for job in $jobs; do
        commands+=("ours $job")
    done
    for command in "${commands[@]}"; do
        # shellcheck disable=SC2086
        timed $command >/dev/null
        diff -r --no-dereference "$work/tree" "$out" >&2 || die "$command: not the same tree"
        : >"$work/${command// /}.times"
    done
    for ((run = 0; run < runs; run++)); do
        for command in "${commands[@]}"; do
            # shellcheck disable=SC2086
            timed $command >>"$work/${command// /}.times"
        done
    done
    for job in $jobs; do
        own=$(cut -d' ' -f1 "$work/ours$job.times" | median)
        for peer in "$@"; do
            printf '%s %s %s %s\n' "$own" "$(cut -d' ' -f1 "$work/$peer.times" | median)" \
                "$(cut -d' ' -f2 "$work/ours$job.times" | median)" \
                "$(cut -d' ' -f2 "$work/$peer.times" | median)" |
                awk -v kind="$kind" -v peer="$(words $peer)" -v jobs="$job" -v aim="$aim" '{
                    printf "| %s | `%s` | %s | %.3f | %.3f | %.2f | %s | %s | %.2f | %.2f |\n",
                        kind, peer, jobs, $1, $2, $2 / $1, aim, ($2 / $1 >= aim) ? "met" : "missed",
                        $3, $4
                }'
        done
    done
    rm -f "$image"
}

# --- Table ----------------------------------------------------------------------------------

printf 'Measured %s on %s, %s CPUs, Linux %s, tmpfs. %s; %s; %s.\n' "$(date -u +%F)" \
    "$(processor)" \
    "$(nproc)" "$(uname -r)" "$(tar --version | head -n1)" \
    "$(fsck.erofs -V 2>&1 | head -n1)" "$("$binary" --version)"
printf 'Medians of %s alternating runs, in seconds.\n\n' "$runs"
printf '| tree | peer | --jobs | ours | peer | ratio | aim | | CPU ours | CPU peer |\n'
printf '|---|---|---:|---:|---:|---:|---:|---|---:|---:|\n'
for tree in mixed small; do
    say "making a tree: $tree"
    rm -rf "$work/tree" "$out"
    mkdir "$work/tree"
    $tree "$work/tree"
    tar=$work/tree.tar
    tar --create --file "$tar" --directory "$work/tree" .
    count=$(find "$work/tree" -type f | wc -l)
    compare "$tree, $count files, $(du -sm --apparent-size "$work/tree" | cut -f1) MiB" '' \
        tar_x fsck_x
    [ $tree = mixed ] || continue
    for options in -zlz4 '-zzstd -C65536'; do
        compare "$tree, $options" "$options" fsck_x
    done
done
