#!/usr/bin/env bash
# Measures how a layer with a chunk index is unpacked, beside `zstd -d`, and prints a Markdown table
# with the machine and the date.
#
#   host-linux/benches/indexed.sh [OPTION]...
#
#     --cache DIR    where the layer is made and kept (default $TMPDIR/erofs-unpack-bench). Takes up to
#                    about 1 GB.
#     --memory DIR   a folder on a tmpfs, for input and output (default /dev/shm)
#     --size MB      decoded size of the layer (default 300)
#     --chunk BYTES  size of its chunks (default 2097152)
#     --level N      zstd's level (default 3)
#     --from DIR     what the layer is made of (default /usr)
#     --runs N       timed runs of each command, at least 5 (default 7)
#
# The program is target/release/erofs-unpack; the example indexed_layout makes the layer, mkfs.erofs
# the image in it. The commands run in turn, N times each, after one run that is not counted; the input
# is in the page cache, output goes to the tmpfs. Wall time is the median of the whole command, memory
# the largest resident set of all runs. `zstd -d` verifies the frames' checksums alone. A ratio is its
# time divided by ours. On a machine that does other work too, run this under `chrt -f 10`.
#
# A second table is about more processors than there are, and is computed: of the processor time that
# each thread of `--threads 1` takes, what cannot be divided stays, and that of the worker is divided by
# the number of workers. The time is that of the longest stage, and what the main thread does alone.
set -euo pipefail
export LC_ALL=C

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=host-linux/benches/common.sh
. "$project/host-linux/benches/common.sh"
cache=${TMPDIR:-/tmp}/erofs-unpack-bench
memory=/dev/shm
size=300
chunk=2097152
level=3
from=/usr
runs=7

while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || die "unknown argument, or one without a value: $1"
    case $1 in
    --cache) cache=$2 ;;
    --memory) memory=$2 ;;
    --size) size=$2 ;;
    --chunk) chunk=$2 ;;
    --level) level=$2 ;;
    --from) from=$2 ;;
    --runs) runs=$2 ;;
    *) die "unknown argument: $1" ;;
    esac
    shift 2
done
[ "$runs" -ge 5 ] || die "--runs: a median of fewer than 5 runs says little"
for tool in mkfs.erofs zstd tar /usr/bin/time; do
    command -v "$tool" >/dev/null || die "needs $tool; .ci/install-tools installs it"
done
[ "$(stat -f -c %T "$memory")" = tmpfs ] || die "--memory: $memory is not on a tmpfs"
target=${CARGO_TARGET_DIR:-$project/target}
ours=$target/release/erofs-unpack
maker=$target/release/examples/indexed_layout
[ -x "$ours" ] || die "build it first: cargo build --release"
[ -x "$maker" ] || die "build it first: cargo build --release -p erofs-unpack --example indexed_layout"

mkdir -p "$cache"
work=$(mktemp -d "$memory/erofs-unpack-indexed.XXXXXX")
trap 'rm -rf "$work"' EXIT

image_of() {
    tar_of "$size" "$work/tar"
    mkfs.erofs --quiet -T0 -U "$uuid" --tar=f "$partial" "$work/tar" >/dev/null
    rm "$work/tar"
}
layout_of() { "$maker" "$cache/indexed-$size.erofs" "$partial" "$chunk" "$level"; }
make "$cache/indexed-$size.erofs" image_of
layout=$cache/indexed-$size-$chunk-$level
make "$layout" layout_of
cp -r "$layout" "$work/layout"
blob=$(ls -S "$work"/layout/blobs/sha256/* | head -n1)

# run NAME COMMAND...: runs it once, and notes time and memory.
run() {
    local name=$1
    shift
    rm -rf "$work/out"
    mkdir "$work/out"
    /usr/bin/time -f '%e %M' -o "$work/time" "$@" >"$work/said" 2>&1 ||
        die "$name failed: $(tail -n3 "$work/said")"
    cat "$work/time" >>"$work/of-$name"
}
unpack() {
    local name=$1
    shift
    run "$name" "$ours" unpack --quiet --no-check --layer 1 "$@" -o "$work/out/image" "$work/layout"
}
once() {
    run zstd zstd -q -d -f "$blob" -o "$work/out/image"
    unpack one --threads 1
    unpack two --threads 2
    unpack eight --threads 8
    unpack skip-one --threads 1 --skip-serial-digests
    unpack skip-two --threads 2 --skip-serial-digests
    unpack skip-eight --threads 8 --skip-serial-digests
}

# stages NAME COMMAND...: runs it once, and notes the processor time of its threads: the main one, the one
# that hashes, the one that writes, and the workers together, in milliseconds. A thread is read every few
# milliseconds, so what it did last may be missing.
stages() {
    local name=$1 pid task time
    shift
    rm -rf "$work/out"
    mkdir "$work/out"
    "$@" >"$work/said" 2>&1 &
    pid=$!
    local -A took=()
    while [ -d "/proc/$pid/task" ] && kill -0 "$pid" 2>/dev/null; do
        for task in "/proc/$pid/task"/*; do
            # It may have ended.
            { read -r time _ <"$task/schedstat"; } 2>/dev/null && took[${task##*/}]=$time
        done
        read -rt 0.002 <>"$work/never" || true
    done
    wait "$pid" || die "$name failed: $(tail -n3 "$work/said")"
    for task in "${!took[@]}"; do
        echo "$task ${took[$task]}"
    done | sort -n | awk '
        NR <= 3 { printf "%d ", $2 / 1e6 }
        NR > 3 { workers += $2 / 1e6 }
        END { printf "%d\n", workers }' >>"$work/stages-$name"
}
mkfifo "$work/never"

say "one run that is not counted"
once
rm "$work"/of-*
for ((round = 1; round <= runs; round++)); do
    say "round $round of $runs"
    once
    stages whole "$ours" unpack --quiet --no-check --layer 1 --threads 1 -o "$work/out/image" \
        "$work/layout"
    stages skip "$ours" unpack --quiet --no-check --layer 1 --threads 1 --skip-serial-digests \
        -o "$work/out/image" "$work/layout"
done

took() { cut -d' ' -f1 "$work/of-$1" | median; }
held() { cut -d' ' -f2 "$work/of-$1" | sort -n | tail -n1; }
reference=$(took zstd)
echo "$(stat -c %s "$cache/indexed-$size.erofs") bytes in chunks of $chunk, level $level:" \
    "$(stat -c %s "$blob") bytes; $(processor), $(nproc) processors, $(date -u +%F)"
echo
echo "| command | seconds | of zstd -d | resident, MiB |"
echo "|---|---|---|---|"
for row in "zstd:\`zstd -d\`" "one:\`unpack --threads 1\`" "two:\`unpack --threads 2\`" \
    "eight:\`unpack --threads 8\`" "skip-one:\`--skip-serial-digests --threads 1\`" \
    "skip-two:\`--skip-serial-digests --threads 2\`" \
    "skip-eight:\`--skip-serial-digests --threads 8\`"; do
    name=${row%%:*}
    awk -v text="${row#*:}" -v time="$(took "$name")" -v reference="$reference" \
        -v memory="$(held "$name")" \
        'BEGIN { printf "| %s | %.3f | %.2f | %.1f |\n", text, time, reference / time, memory / 1024 }'
done

# stage NAME COLUMN: the median of a stage, in milliseconds.
stage() { cut -d' ' -f"$2" "$work/stages-$1" | median; }
echo
echo "Computed, not measured: of the processor time of the threads of \`--threads 1\`, in milliseconds."
echo
echo "| | main | hash | write | workers | zstd -d / 4 threads | 8 | 16 |"
echo "|---|---|---|---|---|---|---|---|"
for row in "whole:both digests" "skip:\`--skip-serial-digests\`"; do
    name=${row%%:*}
    awk -v text="${row#*:}" -v main="$(stage "$name" 1)" -v hash="$(stage "$name" 2)" \
        -v write="$(stage "$name" 3)" -v workers="$(stage "$name" 4)" -v reference="$reference" '
        function ratio(threads, longest) {
            longest = workers / threads
            if (hash > longest) longest = hash
            if (write > longest) longest = write
            return reference * 1000 / (main + longest)
        }
        BEGIN { printf "| %s | %d | %d | %d | %d | %.2f | %.2f | %.2f |\n", text, main, hash, write,
            workers, ratio(4), ratio(8), ratio(16) }'
done
