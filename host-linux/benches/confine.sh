#!/usr/bin/env bash
# Measures what it costs to give up what is not needed: the program confined and with
# `--no-confine`, in turn. Prints a Markdown table with the machine and the date.
#
#   host-linux/benches/confine.sh [OPTION]...
#
#     --memory DIR   a folder on a tmpfs (default /dev/shm). Takes about 100 MB.
#     --runs N       timed runs of each command on a tiny image; of the others a tenth (default 300)
#     --files N      number of files that are extracted, a multiple of 500 (default 20000)
#     --binary FILE  the program under test (default: built now, with cargo build --release)
#
# The figures are medians of the wall time of the whole command, after one run that is not counted.
set -euo pipefail
export LC_ALL=C

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=host-linux/benches/common.sh
. "$project/host-linux/benches/common.sh"
memory=/dev/shm
runs=300
files=20000
binary=

while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || die "unknown argument, or one without a value: $1"
    case $1 in
    --memory) memory=$2 ;;
    --runs) runs=$2 ;;
    --files) files=$2 ;;
    --binary) binary=$2 ;;
    *) die "unknown argument: $1" ;;
    esac
    shift 2
done
[ "$runs" -ge 50 ] || die "--runs: expected at least 50"
command -v mkfs.erofs >/dev/null || die "needs mkfs.erofs; .ci/install-tools installs it"
[ "$(stat -f -c %T "$memory")" = tmpfs ] || die "--memory: $memory is not on a tmpfs"
if [ -z "$binary" ]; then
    (cd "$project" && cargo build --quiet --release --locked -p erofs-unpack)
    binary=${CARGO_TARGET_DIR:-$project/target}/release/erofs-unpack
fi
[ -x "$binary" ] || die "there is no program $binary"

work=$(mktemp -d "$memory/erofs-unpack-confine.XXXXXX")
trap 'rm -rf "$work"' EXIT
tiny=$project/vectors/bases/small.erofs
make "$work/many.erofs" many_inodes "$files" "$work/tree"

inside=$("$binary" check -v "$tiny" 2>&1 >/dev/null)
say "$inside"

# What is done before a run, and is not timed.
prepare=
# once ARGUMENT...: milliseconds of one run.
once() {
    [ -z "$prepare" ] || rm -rf "$prepare"
    local start=$EPOCHREALTIME end
    "$binary" "$@" </dev/null >/dev/null || die "$* failed"
    end=$EPOCHREALTIME
    awk -v start="$start" -v end="$end" 'BEGIN { printf "%.3f\n", (end - start) * 1000 }'
}

# row NAME RUNS ARGUMENT...
row() {
    local name=$1 times=$2 run with without
    shift 2
    once "$@" >/dev/null
    : >"$work/with"
    : >"$work/without"
    for ((run = 0; run < times; run++)); do
        if ((run % 2)); then
            once "$@" >>"$work/with"
            once "$@" --no-confine >>"$work/without"
        else
            once "$@" --no-confine >>"$work/without"
            once "$@" >>"$work/with"
        fi
    done
    with=$(median <"$work/with")
    without=$(median <"$work/without")
    awk -v name="$name" -v with="$with" -v without="$without" 'BEGIN {
        printf "| %s | %.2f | %.2f | %.2f |\n", name, with, without, with - without }'
}

printf '%s, %s CPUs, Linux %s, %s. Medians, in milliseconds.\n\n' \
    "$(processor)" "$(nproc)" "$(uname -r)" "$(date -u +%F)"
printf '| command | confined | `--no-confine` | difference |\n|---|---:|---:|---:|\n'
row '`check --sandbox=none` of a tiny image' "$runs" check --sandbox=none "$tiny"
row '`check` of it' "$runs" check "$tiny"
row "\`check --sandbox=none\` of $files inodes" $((runs / 10)) check --sandbox=none "$work/many.erofs"
prepare=$work/out
row "\`extract\` of $files files to a tmpfs" $((runs / 10)) \
    extract -q -C "$prepare" "$work/many.erofs"
