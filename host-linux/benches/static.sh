#!/usr/bin/env bash
# Measures two builds of the program side by side, such as the static one that is given to users and
# the one that cargo builds by itself, and prints a Markdown table with the machine and the date.
#
#   host-linux/benches/static.sh [OPTION]... [FIRST SECOND]
#
#     --cache DIR    where the layers are made and kept (default $TMPDIR/erofs-unpack-bench).
#                    Takes up to about 2 GB.
#     --memory DIR   a folder on a tmpfs, for output (default /dev/shm)
#     --size MB      decoded size of the layers (default 300)
#     --inodes N     inodes of the image that is checked, and of the one that is listed
#                    (default 200000)
#     --from DIR     what the layers are made of (default /usr)
#     --runs N       timed runs of each command, at least 5 (default 7)
#     --starts N     timed starts of the programs (default 100)
#
# FIRST and SECOND are programs (default: target/release/erofs-unpack, and what `.ci/package build`
# makes for this machine's processor). mkfs.erofs makes the images. The two run in turn, N times each,
# after one run that is not counted; the input is in the page cache, output goes to the tmpfs. Wall time
# is the median of the whole command, memory the largest resident set of all runs. A ratio is the time
# of the first divided by that of the second, so that more is better for the second. On a machine that
# does other work too, run this under `chrt -f 10`.
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
starts=100

while [ $# -gt 0 ] && [ "${1#--}" != "$1" ]; do
    [ $# -ge 2 ] || die "unknown argument, or one without a value: $1"
    case $1 in
    --cache) cache=$2 ;;
    --memory) memory=$2 ;;
    --size) size=$2 ;;
    --inodes) inodes=$2 ;;
    --from) from=$2 ;;
    --runs) runs=$2 ;;
    --starts) starts=$2 ;;
    *) die "unknown argument: $1" ;;
    esac
    shift 2
done
[ "$runs" -ge 5 ] || die "--runs: a median of fewer than 5 runs says little"
for tool in mkfs.erofs zstd gzip openssl tar /usr/bin/time; do
    command -v "$tool" >/dev/null || die "needs $tool; .ci/install-tools installs it"
done
[ "$(stat -f -c %T "$memory")" = tmpfs ] || die "--memory: $memory is not on a tmpfs"
case $# in
0)
    target=${CARGO_TARGET_DIR:-$project/target}
    first=$target/release/erofs-unpack
    second=$target/$(uname -m)-unknown-linux-musl/release/erofs-unpack
    (cd "$project" && cargo build --quiet --release --locked -p erofs-unpack)
    [ -x "$second" ] || (cd "$project" && .ci/package tools build)
    ;;
2) first=$1 second=$2 ;;
*) die 'give two programs, or none' ;;
esac
for program in "$first" "$second"; do
    [ -x "$program" ] || die "there is no program $program"
done

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
zstd_of() { zstd -q "-$2" "$1" -o "$partial"; }
gzip_6() { gzip -6nc "$1" >"$partial"; }

# --- Commands, each of the program $1 ---------------------------------------------------------

unpack() {
    "$1" unpack "$blob" --media-type "application/vnd.erofs+$kind" --digest "$digest" \
        -o "$work/out" --force --quiet "--sandbox=$sandbox"
}
check() { "$1" check "$many" --quiet "--sandbox=$sandbox"; }
check_full() { "$1" check "$plain" --quiet --level full --jobs 1 "--sandbox=$sandbox"; }
# Much that is small is taken and given back, by one thread.
list() { "$1" tree "$many" >"$work/out"; }
tar_stream() { "$1" extract --tar --quiet "$many" >"$work/out"; }
start() { "$1" check "$project/vectors/bases/small.erofs" --quiet "--sandbox=$sandbox"; }

# once WHICH COMMAND: its wall time in microseconds, and its memory in KiB, in $work/WHICH.*.
once() {
    local which=$1 command=$2 begun
    begun=${EPOCHREALTIME/./}
    "$command" "${!which}" 2>"$work/said" || die "$command of ${!which} failed: $(tail -n3 "$work/said")"
    printf '%s\n' $((${EPOCHREALTIME/./} - begun)) >>"$work/$which.wall"
    rm -f "$work/out"
}
# rss WHICH COMMAND: the largest resident set of a run.
rss() {
    printf '#!/bin/sh\nexec /usr/bin/time -f %%M -a -o "%s" "%s" "$@"\n' "$work/$1.rss" "${!1}" >"$work/timed"
    chmod +x "$work/timed"
    "$2" "$work/timed" 2>"$work/said" || die "$2 of ${!1} failed: $(tail -n3 "$work/said")"
    rm -f "$work/out"
}

# compare WORDS COMMAND [RUNS]: a row.
compare() {
    local which run
    rm -f "$work"/*.wall "$work"/*.rss
    for which in first second; do
        once $which "$2"
        rm -f "$work/$which.wall"
    done
    for ((run = 0; run < ${3-$runs}; run++)); do
        once first "$2"
        once second "$2"
    done
    for which in first second first second; do
        rss $which "$2"
    done
    awk -v words="$1" -v first="$(median <"$work/first.wall")" -v second="$(median <"$work/second.wall")" \
        -v first_rss="$(sort -n "$work/first.rss" | tail -n1)" \
        -v second_rss="$(sort -n "$work/second.rss" | tail -n1)" 'BEGIN {
            printf "| %s | %.1f | %.1f | %.2f | %.1f | %.1f |\n",
                words, first / 1e3, second / 1e3, first / second, first_rss / 1024, second_rss / 1024 }'
}

# --- Table ------------------------------------------------------------------------------------

plain=$cache/$size.sandbox.erofs
make "$plain" image
make "$plain.zst" zstd_of "$plain" 3
make "$plain.gz" gzip_6 "$plain"
many=$cache/$inodes-inodes.erofs
make "$many" many_inodes "$inodes" "$cache/tree"
cat "$plain" "$many" >/dev/null

printf 'Measured %s on %s, %s CPUs, Linux %s.\n' "$(date -u +%F)" "$(processor)" "$(nproc)" "$(uname -r)"
for which in first second; do
    printf '%s: %s, %s bytes.\n' "$which" "$("${!which}" --version)" "$(stat -L -c %s "${!which}")"
done
printf 'Medians of %s alternating runs (of starts: %s), in milliseconds. Layers of %s MiB, decoded.\n\n' \
    "$runs" "$starts" $(($(stat -c %s "$plain") >> 20))
printf '| | first | second | ratio | first, MiB | second, MiB |\n|---|---:|---:|---:|---:|---:|\n'
for sandbox in none wasm; do
    for kind in zstd gzip; do
        blob=$plain.zst
        [ "$kind" = zstd ] || blob=$plain.gz
        digest=sha256:$(openssl dgst -sha256 -r "$blob" | cut -d' ' -f1)
        cat "$blob" >/dev/null
        compare "\`unpack --sandbox=$sandbox\`, $kind" unpack
    done
    compare "\`check --sandbox=$sandbox\`, $inodes inodes" check
    compare "\`check --sandbox=$sandbox --level full\`, the layer" check_full
    compare "\`check --sandbox=$sandbox\`, a tiny image" start "$starts"
done
compare "\`tree\`, $inodes inodes" list
compare "\`extract --tar\`, $inodes inodes" tar_stream
