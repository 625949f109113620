#!/usr/bin/env bash
# Measures `erofs-unpack wrap` beside zstd: how large the blobs are, and how long they take. Prints
# Markdown tables with the machine and the date.
#
#   host-linux/benches/wrap.sh [OPTION]...
#
#     --cache DIR     where the image is made and kept (default $TMPDIR/erofs-unpack-bench)
#     --memory DIR    a folder on a tmpfs, from and to which blobs are made (default /dev/shm)
#     --size MB       size of the tar archive that the image is made of (default 100)
#     --from DIR      what that is made of (default /usr)
#     --levels LIST   levels of zstd (default "3 9 19")
#     --runs N        timed runs of each command at level 3 (default 5); other levels run once
#     --binary FILE   the program under test (default: built now, with cargo build --release)
#
# The image lies in memory, and so do the blobs. `zstd -N` makes one frame of all of it; with -B it
# would cut it, but not into frames. The commands of a comparison run in turn, after one run that
# is not counted; ratios of time are zstd's divided by ours, so that more is better; of size, ours
# divided by zstd's, so that less is better. Ours reads the blob back before it is done, and
# computes five digests for zstd's one checksum.
set -euo pipefail
export LC_ALL=C

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=host-linux/benches/common.sh
. "$project/host-linux/benches/common.sh"
cache=${TMPDIR:-/tmp}/erofs-unpack-bench
memory=/dev/shm
size=100
from=/usr
levels='3 9 19'
runs=5
binary=

while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || die "unknown argument, or one without a value: $1"
    case $1 in
    --cache) cache=$2 ;;
    --memory) memory=$2 ;;
    --size) size=$2 ;;
    --from) from=$2 ;;
    --levels) levels=$2 ;;
    --runs) runs=$2 ;;
    --binary) binary=$2 ;;
    *) die "unknown argument: $1" ;;
    esac
    shift 2
done
for tool in mkfs.erofs zstd tar; do
    command -v "$tool" >/dev/null || die "needs $tool; .ci/install-tools installs it"
done
[ "$(stat -f -c %T "$memory")" = tmpfs ] || die "--memory: $memory is not on a tmpfs"
if [ -z "$binary" ]; then
    (cd "$project" && cargo build --quiet --release --locked -p erofs-unpack)
    binary=${CARGO_TARGET_DIR:-$project/target}/release/erofs-unpack
fi
[ -x "$binary" ] || die "there is no program $binary"

mkdir -p "$cache"
work=$(mktemp -d "$memory/erofs-unpack-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT

# A plain image of files of the folder.
wrapped_image() {
    tar_of "$size" "$work/tar"
    mkfs.erofs --quiet --tar=f -Enoinline_data -b4096 -T0 -U "$uuid" "$partial" "$work/tar" \
        >/dev/null
    rm -f "$work/tar"
}
make "$cache/wrap-$size.erofs" wrapped_image
image=$work/image
cp "$cache/wrap-$size.erofs" "$image"
out=$work/blob

ours() { "$binary" wrap "$image" -o "$out" --force --quiet --level "$level" "$@"; }
one_thread() { ours --threads 1; }
two_threads() { ours --threads 2; }
zstd_one() { zstd -qf -T1 "-$level" "$image" -o "$out"; }
zstd_two() { zstd -qf -T2 "-$level" "$image" -o "$out"; }

# Microseconds of one run of a command.
timed() {
    local start
    rm -f "$out"
    start=${EPOCHREALTIME/./}
    "$1" >&2 || die "$1 failed"
    printf '%s\n' $((${EPOCHREALTIME/./} - start))
}

bytes() { stat -c %s "$1"; }
mib() { awk -v bytes="$1" 'BEGIN { printf "%.1f", bytes / 1048576 }'; }

printf 'Measured %s on %s, %s CPUs, Linux %s. %s; %s.\n' "$(date -u +%F)" "$(processor)" \
    "$(nproc)" "$(uname -r)" "$(zstd --version | grep -o 'v[0-9.]*[0-9]' | sed 's/^v/zstd /')" \
    "$("$binary" --version)"
printf 'Image: files of %s, %s MiB.\n\n' "$from" "$(mib "$(bytes "$image")")"

printf '| level | `zstd -N` of all | 2 MiB | | 512 KiB | | 8 MiB | |\n|---|---:|---:|---:|---:|---:|---:|---:|\n'
for level in $levels; do
    zstd_one
    whole=$(bytes "$out")
    printf '| %s | %s |' "$level" "$(mib "$whole")"
    for chunk in 2MiB 512KiB 8MiB; do
        ours --chunk-size "$chunk"
        zstd -dqc "$out" | cmp -s - "$image" || die "zstd makes something else of the blob"
        awk -v ours="$(bytes "$out")" -v whole="$whole" \
            'BEGIN { printf " %.1f | %.3f |", ours / 1048576, ours / whole }'
    done
    printf '\n'
done

printf '\n| level | threads | peer | ours | peer | ratio |\n|---|---:|---|---:|---:|---:|\n'
for level in $levels; do
    count=$runs
    [ "$level" = 3 ] || count=1
    for command in one_thread zstd_one two_threads zstd_two; do
        [ "$count" = 1 ] || timed "$command" >/dev/null
        : >"$work/$command.times"
    done
    for ((run = 0; run < count; run++)); do
        for command in one_thread zstd_one two_threads zstd_two; do
            timed "$command" >>"$work/$command.times"
        done
    done
    for threads in 1 2; do
        [ "$threads" = 1 ] && own=one_thread peer=zstd_one || own=two_threads peer=zstd_two
        awk -v level="$level" -v threads="$threads" -v own="$(median <"$work/$own.times")" \
            -v peer="$(median <"$work/$peer.times")" 'BEGIN {
                printf "| %s | %s | `zstd -T%s -%s` | %.2f | %.2f | %.2f |\n", level, threads,
                    threads, level, own / 1e6, peer / 1e6, peer / own
            }'
    done
done
