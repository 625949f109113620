#!/usr/bin/env bash
# Measures the reader of `core` on one thread, side by side with `fsck.erofs` on the same images,
# and prints a Markdown table with the machine and the date: a walk over all metadata of an image
# of many inodes, and a walk with all content (`fsck.erofs --extract`, which reads and decodes
# everything and writes nothing).
#
#   host-linux/benches/read.sh [OPTION]...
#
#     --memory DIR   a folder on a tmpfs, where all of it happens (default /dev/shm). Takes
#                    about three times SIZE.
#     --size MB      size of the tree of which images with content are made (default 300)
#     --from DIR     what that tree is made of (default /usr)
#     --inodes N     files of the image whose metadata is walked, about (default 200000)
#     --runs N       timed runs of each command, at least 5 (default 7)
#     --program FILE the reader (default: examples/walk_alone.rs, built now for release)
#
# The two commands run in turn, N times each, after one run that is not counted. The figures are
# medians of the wall time of the whole command; a ratio is the peer's time divided by ours, so
# that more is better. Both walk the same entries; of content, ours must read as many bytes as
# the tree has.
set -euo pipefail
export LC_ALL=C

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=host-linux/benches/common.sh
. "$project/host-linux/benches/common.sh"
memory=/dev/shm
size=300
from=/usr
inodes=200000
runs=7
program=


while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || die "unknown argument, or one without a value: $1"
    case $1 in
    --memory) memory=$2 ;;
    --size) size=$2 ;;
    --from) from=$2 ;;
    --inodes) inodes=$2 ;;
    --runs) runs=$2 ;;
    --program) program=$2 ;;
    *) die "unknown argument: $1" ;;
    esac
    shift 2
done
[ "$runs" -ge 5 ] || die "--runs: a median of fewer than 5 runs says little"
for tool in mkfs.erofs fsck.erofs; do
    command -v "$tool" >/dev/null || die "needs $tool; .ci/install-tools installs it"
done
[ "$(stat -f -c %T "$memory")" = tmpfs ] || die "--memory: $memory is not on a tmpfs"
if [ -z "$program" ]; then
    (cd "$project" && cargo build --quiet --release --locked -p erofs-unpack --example walk_alone)
    program=${CARGO_TARGET_DIR:-$project/target}/release/examples/walk_alone
fi
[ -x "$program" ] || die "there is no program $program"

work=$(mktemp -d "$memory/erofs-unpack-read.XXXXXX")
trap 'rm -rf "$work"' EXIT
image=$work/image.erofs

# Files of a folder in an order that is mixed and always the same, up to so many MB, where they
# lie, with their directories and links.
mixed() {
    find "$from" -xdev \( -type f -readable -o -type l \) -printf '%s %p\0' | sort -z |
        sort -zR --random-source=<(yes) |
        awk -v RS='\0' -v ORS='\0' -v left=$((size * 1000000)) '
            left <= 0 { exit }
            { left -= $1; sub(/^[0-9]+ /, ""); print }' >"$work/list" || true
    tar --create --no-recursion --null --files-from "$work/list" 2>/dev/null |
        tar --extract --directory "$work/tree"
}

# Directories of 1000 empty files each.
many() {
    local dir count
    for ((dir = 0; dir * 1000 < inodes; dir++)); do
        mkdir "$work/tree/$dir"
        (cd "$work/tree/$dir" && seq -f 'file-%g' 1000 | xargs touch)
    done
    count=$(find "$work/tree" | wc -l)
    [ "$count" -ge "$inodes" ] || die "the tree has $count files only"
}

seconds() {
    local start=${EPOCHREALTIME/./}
    "$@" >"$work/said" 2>&1 || die "$* failed: $(tail -n1 "$work/said")"
    awk -v us=$((${EPOCHREALTIME/./} - start)) 'BEGIN { print us / 1e6 }'
}

# compare WHAT AIM MKFS-OPTIONS OURS PEER...: one row.
compare() {
    local what=$1 aim=$2 options=$3 ours=$4 run
    shift 4
    # shellcheck disable=SC2086  # the options are split on purpose
    mkfs.erofs --quiet $options "$image" "$work/tree" >/dev/null
    seconds "$program" "$ours" "$image" >/dev/null
    [ "$ours" = metadata ] || grep -q " $bytes bytes$" "$work/said" ||
        die "$what: not all content was read: $(cat "$work/said"), of $bytes"
    seconds "$@" "$image" >/dev/null
    : >"$work/ours"
    : >"$work/peer"
    for ((run = 0; run < runs; run++)); do
        seconds "$program" "$ours" "$image" >>"$work/ours"
        seconds "$@" "$image" >>"$work/peer"
    done
    printf '%s %s\n' "$(median <"$work/ours")" "$(median <"$work/peer")" |
        awk -v what="$what" -v peer="$*" -v aim="$aim" '{
            printf "| %s | `%s` | %.3f | %.3f | %.2f | %s | %s |\n",
                what, peer, $1, $2, $2 / $1, aim, ($2 / $1 >= aim) ? "met" : "missed"
        }'
    rm -f "$image"
}

printf 'Measured %s on %s, %s CPUs, Linux %s, tmpfs, one thread. %s; erofs-unpack %s.\n' \
    "$(date -u +%F)" "$(processor)" \
    "$(nproc)" "$(uname -r)" "$(fsck.erofs -V 2>&1 | head -n1)" \
    "$(sed -n 's/^version = "\(.*\)"/\1/p' "$project/Cargo.toml" | head -n1)"
printf 'Medians of %s alternating runs, in seconds.\n\n' "$runs"
printf '| image | peer | ours | peer | ratio | aim | |\n'
printf '|---|---|---:|---:|---:|---:|---|\n'
say "making a tree of $inodes files"
mkdir "$work/tree"
many
compare "metadata of $(find "$work/tree" | wc -l) inodes" 2.0 '' metadata fsck.erofs
rm -rf "$work/tree"
say "making a tree of $size MB"
mkdir "$work/tree"
mixed
# Of each name of a file, and of the targets of links, as the walk counts them.
bytes=$(find "$work/tree" \( -type f -o -type l \) -printf '%s\n' | awk '{ sum += $1 } END { print sum }')
tree="content of $(find "$work/tree" -type f | wc -l) files, $(du -sm --apparent-size "$work/tree" | cut -f1) MiB"
for row in '1.0|' '0.8|-zlz4' '0.8|-zlz4hc,12 -C65536' '0.8|-zzstd' '0.8|-zzstd -C65536'; do
    options=${row#*|}
    compare "$tree${options:+, $options}" "${row%%|*}" "$options" content fsck.erofs --extract
done
