#!/usr/bin/env bash
# Measures the sandbox against the same program without it, and prints Markdown tables with the
# machine and the date.
#
#   host-linux/benches/sandbox.sh [OPTION]...
#
#     --cache DIR    where the layers are made and kept (default $TMPDIR/erofs-unpack-bench).
#                    Takes up to about 2 GB.
#     --memory DIR   a folder on a tmpfs, for output (default /dev/shm)
#     --size MB      decoded size of the layers (default 300)
#     --inodes N     inodes of the image that is checked (default 200000)
#     --from DIR     what the layers are made of (default /usr)
#     --runs N       timed runs of each command, at least 5 (default 7)
#     --starts N     timed starts of the program (default 200)
#     --binary FILE  the program under test (default: built now, with cargo build --release)
#     --alone FILE   the guest alone (default: built now, host-wasm/sandbox/examples/compare.rs)
#
# mkfs.erofs makes the images. The two commands of a comparison run in turn, N times each, after
# one run that is not counted; the input is in the page cache, output goes to the tmpfs. Wall time
# is the median of the whole command, CPU time that of all its threads, memory the largest resident
# set of all runs. A ratio is the time without the sandbox divided by that with it, so that more
# is better. On a machine that does other work too, run this under `chrt -f 10`.
set -euo pipefail
export LC_ALL=C

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=host-linux/benches/common.sh
. "$project/host-linux/benches/common.sh"
cache=${TMPDIR:-/tmp}/erofs-unpack-bench
memory=/dev/shm
size=300
inodes=200000
from=/usr
runs=7
starts=200
binary=
alone=


while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || die "unknown argument, or one without a value: $1"
    case $1 in
    --cache) cache=$2 ;;
    --memory) memory=$2 ;;
    --size) size=$2 ;;
    --inodes) inodes=$2 ;;
    --from) from=$2 ;;
    --runs) runs=$2 ;;
    --starts) starts=$2 ;;
    --binary) binary=$2 ;;
    --alone) alone=$2 ;;
    *) die "unknown argument: $1" ;;
    esac
    shift 2
done
[ "$runs" -ge 5 ] || die "--runs: a median of fewer than 5 runs says little"
for tool in mkfs.erofs zstd gzip openssl tar /usr/bin/time; do
    command -v "$tool" >/dev/null || die "needs $tool; .ci/install-tools installs it"
done
[ "$(stat -f -c %T "$memory")" = tmpfs ] || die "--memory: $memory is not on a tmpfs"
release=${CARGO_TARGET_DIR:-$project/target}/release
if [ -z "$binary" ]; then
    (cd "$project" && cargo build --quiet --release --locked -p erofs-unpack)
    binary=$release/erofs-unpack
fi
if [ -z "$alone" ]; then
    (cd "$project" && cargo build --quiet --release --locked -p erofs-unpack-sandbox --example compare \
        --features embedded)
    alone=$release/examples/compare
fi
[ -x "$binary" ] || die "there is no program $binary"

mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
work=$(mktemp -d "$memory/erofs-unpack-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT

# --- Layers ---------------------------------------------------------------------------------

# A plain image of about so many MB, as containerd's differ makes it of a tar.
image() {
    tar_of "$size" "$partial.tar"
    mkfs.erofs --tar=f --aufs --quiet -Enoinline_data -b4096 -U "$uuid" "$partial" "$partial.tar" \
        >/dev/null
    rm -f "$partial.tar"
}

# The same files in an image that is compressed by an algorithm.
compressed() {
    tar_of "$size" "$partial.tar"
    mkfs.erofs --tar=f --quiet "-z$1" -U "$uuid" "$partial" "$partial.tar" >/dev/null
    rm -f "$partial.tar"
}

zstd_of() { zstd -q "-$2" "$1" -o "$partial"; }
gzip_6() { gzip -6nc "$1" >"$partial"; }

# --- Commands, each with --sandbox=$1 ---------------------------------------------------------

unpack() {
    "$binary" unpack "$blob" --media-type "application/vnd.erofs+$kind" --digest "$digest" \
        -o "$work/out" --force --quiet "--sandbox=$1"
}
unpack_unchecked() {
    "$binary" unpack "$blob" --media-type "application/vnd.erofs+$kind" --digest "$digest" \
        -o "$work/out" --force --quiet --no-check "--sandbox=$1"
}
check() { "$binary" check "$image" --quiet "--sandbox=$1"; }
check_full() { "$binary" check "$image" --quiet --level full --jobs 1 "--sandbox=$1"; }

largest() { sort -n | tail -n1; }

# once COMMAND SANDBOX: its wall time in microseconds, CPU time in seconds, memory in KiB, in
# $work/SANDBOX.*.
once() {
    local start
    start=${EPOCHREALTIME/./}
    # In a shell of its own, whose children's time is that of the command alone.
    (
        "$1" "$2" >"$work/said" 2>&1 || die "$1 --sandbox=$2 failed: $(tail -n3 "$work/said")"
        times >"$work/times"
    )
    printf '%s\n' $((${EPOCHREALTIME/./} - start)) >>"$work/$2.wall"
    # Minutes and seconds, of the user and of the system.
    awk 'NR == 2 { gsub(/[ms]/, " "); print $1 * 60 + $2 + $3 * 60 + $4 }' "$work/times" \
        >>"$work/$2.cpu"
    rm -f "$work/out"
}

# rss SANDBOX COMMAND...: the largest resident set of the program in a run.
rss() {
    local sandbox=$1
    shift
    local direct=$binary
    printf '#!/bin/sh\nexec /usr/bin/time -f %%M -a -o "%s" "%s" "$@"\n' "$work/$sandbox.rss" "$direct" \
        >"$work/timed"
    chmod +x "$work/timed"
    binary=$work/timed
    "$@" "$sandbox" >"$work/said" 2>&1 || die "$* failed: $(tail -n3 "$work/said")"
    binary=$direct
    rm -f "$work/out"
}

# compare WORDS COMMAND AIM: a row.
compare() {
    local words=$1 command=$2 aim=$3 run sandbox
    rm -f "$work"/*.wall "$work"/*.cpu "$work"/*.rss
    for sandbox in none wasm; do
        once "$command" "$sandbox"
        rm -f "$work/$sandbox.wall" "$work/$sandbox.cpu"
    done
    for ((run = 0; run < runs; run++)); do
        for sandbox in none wasm; do
            once "$command" "$sandbox"
        done
    done
    for sandbox in none wasm none wasm; do
        rss "$sandbox" "$command"
    done
    awk -v words="$words" -v aim="$aim" \
        -v native="$(median <"$work/none.wall")" -v inside="$(median <"$work/wasm.wall")" \
        -v native_cpu="$(median <"$work/none.cpu")" -v inside_cpu="$(median <"$work/wasm.cpu")" \
        -v native_rss="$(largest <"$work/none.rss")" -v inside_rss="$(largest <"$work/wasm.rss")" \
        'BEGIN {
            met = aim == "-" ? "" : (native / inside >= aim ? "met" : "missed")
            printf "| %s | %.3f | %.3f | %.2f | %s | %s | %.2f | %.2f | %.1f | %.1f |\n",
                words, native / 1e6, inside / 1e6, native / inside, aim, met,
                native_cpu, inside_cpu, native_rss / 1024, inside_rss / 1024 }'
}

# --- Tables -----------------------------------------------------------------------------------

plain=$cache/$size.sandbox.erofs
make "$plain" image
make "$plain.zst" zstd_of "$plain" 3
make "$plain.gz" gzip_6 "$plain"
many=$cache/$inodes-inodes.erofs
make "$many" many_inodes "$inodes" "$cache/tree"
mib=$(($(stat -c %s "$plain") >> 20))

printf 'Measured %s on %s, %s CPUs, Linux %s. %s.\n' \
    "$(date -u +%F)" \
    "$(processor)" \
    "$(nproc)" "$(uname -r)" "$("$binary" --version)"
printf 'Medians of %s alternating runs. Layers of %s MiB, decoded.\n\n' "$runs" "$mib"
printf '| | native, s | sandbox, s | ratio | aim | | native, CPU s | sandbox, CPU s | native, MiB | sandbox, MiB |\n'
printf '|---|---:|---:|---:|---:|---|---:|---:|---:|---:|\n'
for kind in zstd gzip; do
    blob=$plain.zst aim=0.8
    [ "$kind" = zstd ] || { blob=$plain.gz aim=0.75; }
    digest=sha256:$(openssl dgst -sha256 -r "$blob" | cut -d' ' -f1)
    cat "$blob" >/dev/null
    compare "\`unpack\`, $kind" unpack "$aim"
    compare "\`unpack --no-check\`, $kind" unpack_unchecked -
done
image=$many
cat "$image" >/dev/null
compare "\`check\`, $inodes inodes" check 0.6
image=$plain
compare "\`check\`, the layer" check -
for algorithm in lz4 zstd deflate lzma; do
    image=$cache/$size.$algorithm.erofs
    make "$image" compressed "$algorithm"
    cat "$image" >/dev/null
    compare "\`check --level full\`, files by $algorithm" check_full -
done

printf '\nDecoding alone, on one thread, and what a guest costs:\n\n'
printf '| | native, MB/s | sandbox, MB/s | ratio | loading, µs | a guest, µs | aim |\n|---|---:|---:|---:|---:|---:|---|\n'
for kind in zstd gzip; do
    blob=$plain.zst
    [ "$kind" = zstd ] || blob=$plain.gz
    "$alone" "$blob" "$runs" embedded | awk -F ' *[|] *' -v kind="$kind" '
        $2 == "native" { native = $4 }
        $2 == "embedded" {
            printf "| %s | %d | %d | %.2f | %d | %.1f | a guest 50 µs: %s |\n", kind, native, $4,
                $5, $6, $7, $7 <= 50 ? "met" : "missed" }'
done

# The program from its start to its end, on a layer of a few kilobytes.
blob=$project/vectors/bases/small.erofs.zst
start_of() {
    "$binary" unpack "$blob" --media-type application/vnd.erofs+zstd --verify-only --no-check \
        --quiet "--sandbox=$1" 2>/dev/null
}
rm -f "$work"/*.wall
for ((run = 0; run < starts; run++)); do
    for sandbox in none wasm; do
        start=${EPOCHREALTIME/./}
        start_of "$sandbox"
        printf '%s\n' $((${EPOCHREALTIME/./} - start)) >>"$work/$sandbox.wall"
    done
done
awk -v native="$(median <"$work/none.wall")" -v inside="$(median <"$work/wasm.wall")" \
    -v starts="$starts" 'BEGIN {
        more = (inside - native) / 1000
        printf "\nA whole run on a layer of a few kilobytes: %.2f ms, in the sandbox %.2f ms (medians of %s); ",
            native / 1000, inside / 1000, starts
        printf "%.2f ms more, aim 2 ms: %s.\n", more, more <= 2 ? "met" : "missed" }'
