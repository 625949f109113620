#!/usr/bin/env bash
# Measures `erofs-unpack build` beside `mkfs.erofs`: how long each takes, how large the images are, and
# how much memory that needs. Prints Markdown tables with the machine and the date.
#
#   host-linux/benches/build.sh [OPTION]...
#
#     --cache DIR     where the archives are made and kept (default $TMPDIR/erofs-unpack-bench)
#     --memory DIR    a folder on a tmpfs, for input and output (default /dev/shm)
#     --size MB       size of the archive of large and small files (default 500)
#     --from DIR      what that is made of (default /usr)
#     --files N       how many files of 100 bytes the other archive, and the folder, hold (default 200000)
#     --runs N        timed runs of each command, at least 5 (default 7)
#     --binary FILE   the program under test (default: built now, with cargo build --release)
#
# Both have the same options: blocks of 4096 bytes, no time of the build, the same UUID, and the ends of
# files in blocks of their own, as containerd has them, or behind the inodes. The commands of a comparison
# run in turn, after one run that is not counted. Input and output lie in memory. A ratio is the time of
# mkfs.erofs divided by ours, so that more is better; that of sizes ours divided by theirs, so that less
# is better. `build` computes the digest of the archive, checks the image by the strictest policy and reads
# every file in it back; `mkfs.erofs` does none of that. On a machine that does other work too, run this
# under `chrt -f 10`.
set -euo pipefail
export LC_ALL=C

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=host-linux/benches/common.sh
. "$project/host-linux/benches/common.sh"
cache=${TMPDIR:-/tmp}/erofs-unpack-bench
memory=/dev/shm
size=500
from=/usr
files=200000
runs=7
binary=

while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || die "unknown argument, or one without a value: $1"
    case $1 in
    --cache) cache=$2 ;;
    --memory) memory=$2 ;;
    --size) size=$2 ;;
    --from) from=$2 ;;
    --files) files=$2 ;;
    --runs) runs=$2 ;;
    --binary) binary=$2 ;;
    *) die "unknown argument: $1" ;;
    esac
    shift 2
done
[ "$runs" -ge 5 ] || die "--runs: a median of fewer than 5 runs says little"
for tool in mkfs.erofs tar /usr/bin/time; do
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

# A folder of so many files of 100 bytes, 500 in a folder.
many_files() {
    local number
    for ((number = 0; number < files / 500; number++)); do
        mkdir -p "$work/many/$((number / 20))/$number"
        # The pipe is closed before seq is done.
        { seq 100000 2>/dev/null || true; } | head -c 50000 |
            split -b 100 -a 3 - "$work/many/$((number / 20))/$number/file-"
    done
}
whole_archive() { tar_of "$size" "$partial"; }
many_archive() {
    many_files
    tar --create --file "$partial" --sort=name --owner=0 --group=0 --directory "$work/many" .
    rm -rf "$work/many"
}
make "$cache/build-$size.tar" whole_archive
make "$cache/build-many-$files.tar" many_archive
cp "$cache/build-$size.tar" "$work/whole.tar"
cp "$cache/build-many-$files.tar" "$work/many.tar"
mkdir "$work/many"
tar --extract --file "$work/many.tar" --directory "$work/many"
tar --create --file "$work/empty.tar" --files-from /dev/null

# run NAME COMMAND...: runs it once, and notes time and memory.
run() {
    local name=$1 start end
    shift
    rm -f "$work/out"
    start=${EPOCHREALTIME/./}
    /usr/bin/time -f %M -o "$work/held" "$@" >"$work/said" 2>&1 ||
        die "$name failed: $(tail -n3 "$work/said")"
    end=${EPOCHREALTIME/./}
    printf '%s %s %s\n' $((end - start)) "$(tail -n1 "$work/held")" "$(stat -c %s "$work/out")" \
        >>"$work/of-$name"
}
ours() {
    local name=$1
    shift
    run "$name" "$binary" build --quiet -U "$uuid" -o "$work/out" "$@"
}
theirs() {
    local name=$1
    shift
    run "$name" mkfs.erofs --quiet -b4096 -U "$uuid" "$@"
}
once() {
    local tar
    for tar in whole many; do
        theirs "$tar-peer" -Enoinline_data --tar=f "$work/out" "$work/$tar.tar"
        ours "$tar-own" "$work/$tar.tar"
        ours "$tar-unread" --no-read-back "$work/$tar.tar"
        theirs "$tar-inline-peer" --tar=f "$work/out" "$work/$tar.tar"
        ours "$tar-inline-own" --inline-data "$work/$tar.tar"
    done
    theirs folder-peer -Enoinline_data "$work/out" "$work/many"
    ours folder-own "$work/many"
    ours empty-own "$work/empty.tar"
}
say "one run that is not counted"
once
rm "$work"/of-*
for ((round = 1; round <= runs; round++)); do
    say "round $round of $runs"
    once
done

took() { cut -d' ' -f1 "$work/of-$1" | median; }
best() { cut -d' ' -f1 "$work/of-$1" | sort -n | head -n1; }
held() { cut -d' ' -f2 "$work/of-$1" | sort -n | tail -n1; }
bytes() { cut -d' ' -f3 "$work/of-$1" | head -n1; }

printf 'Measured %s on %s, %s CPUs, Linux %s. %s; %s; %s runs.\n\n' "$(date -u +%F)" "$(processor)" \
    "$(nproc)" "$(uname -r)" "$(mkfs.erofs -V | head -n1)" "$("$binary" --version)" "$runs"
printf '| source | options | ours, s | best | mkfs.erofs, s | best | ratio | of the best | size | memory: ours, MiB | mkfs.erofs, MiB |\n'
printf '|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n'
whole="$size MB of $from"
many="$files small files"
while IFS='|' read -r source options own peer; do
    awk -v source="$source" -v options="$options" -v own="$(took "$own")" -v peer="$(took "$peer")" \
        -v own_best="$(best "$own")" -v peer_best="$(best "$peer")" -v own_size="$(bytes "$own")" \
        -v peer_size="$(bytes "$peer")" -v own_held="$(held "$own")" -v peer_held="$(held "$peer")" 'BEGIN {
            printf "| %s | %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.3f | %.1f | %.1f |\n", source,
                options, own / 1e6, own_best / 1e6, peer / 1e6, peer_best / 1e6, peer / own,
                peer_best / own_best, own_size / peer_size, own_held / 1024, peer_held / 1024
        }'
done <<ROWS
$whole||whole-own|whole-peer
$whole|\`--no-read-back\`|whole-unread|whole-peer
$whole|\`--inline-data\`|whole-inline-own|whole-inline-peer
$many||many-own|many-peer
$many|\`--no-read-back\`|many-unread|many-peer
$many|\`--inline-data\`|many-inline-own|many-inline-peer
$many, a folder||folder-own|folder-peer
ROWS

# What an inode takes, names included.
inodes=$("$binary" build --quiet --force --json -o "$work/out" "$work/many.tar" |
    sed -n 's/^ *"inodes": *\([0-9]*\).*/\1/p')
names=$(tar --list --file "$work/many.tar" | sed 's/\/$//; s/.*\///' | tr -d '\n' | wc -c)
awk -v inodes="$inodes" -v names="$names" -v own="$(held many-own)" -v peer="$(held many-peer)" \
    -v empty="$(held empty-own)" 'BEGIN {
        printf "\nMemory for each of %d inodes: %.0f bytes above the %.1f MiB that an empty archive takes, ", inodes,
            (own - empty) * 1024 / inodes, empty / 1024
        printf "%.0f of them for its name; mkfs.erofs %.0f in all.\n", names / inodes, peer * 1024 / inodes
    }'
