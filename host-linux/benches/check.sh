#!/usr/bin/env bash
# Measures `erofs-unpack check` side by side with fsck.erofs, and what the check adds to
# `unpack`, and prints Markdown tables with the machine and the date.
#
#   host-linux/benches/check.sh [OPTION]...
#
#     --cache DIR    where the images are made and kept (default $TMPDIR/erofs-unpack-bench).
#                    Takes up to about 2 GB.
#     --inodes N     inodes of the image for the level metadata (default 200000)
#     --size MB      decoded size of the images for the level full (default 300)
#     --jobs N       threads at the level full, beside a run with one (default 2)
#     --from DIR     what the images are made of (default /usr)
#     --runs N       timed runs of each command, at least 5 (default 7)
#     --binary FILE  the program under test (default: built now, with cargo build --release)
#
# mkfs.erofs makes the images. The commands of a comparison run in turn, N times each, after one
# run that is not counted; the image is in the page cache. The figures are medians of the wall
# time of the whole command; a ratio is the peer's time divided by ours, so that more is better.
# fsck.erofs has one thread. With --extract it reads the content of plain files too, of which ours
# only looks where it lies: for plain files the two do not do the same. The share of the check in
# `unpack` is the time of `check` alone, program start included, divided by that of `unpack` with
# the check: the difference of two runs of `unpack` is lost in what syncing the disk takes. On a
# machine that does other work too, run this under `chrt -f 10`.
set -euo pipefail
export LC_ALL=C

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=host-linux/benches/common.sh
. "$project/host-linux/benches/common.sh"
cache=${TMPDIR:-/tmp}/erofs-unpack-bench
inodes=200000
size=300
jobs=2
from=/usr
runs=7
binary=


while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || die "unknown argument, or one without a value: $1"
    case $1 in
    --cache) cache=$2 ;;
    --inodes) inodes=$2 ;;
    --size) size=$2 ;;
    --jobs) jobs=$2 ;;
    --from) from=$2 ;;
    --runs) runs=$2 ;;
    --binary) binary=$2 ;;
    *) die "unknown argument: $1" ;;
    esac
    shift 2
done
[ "$runs" -ge 5 ] || die "--runs: a median of fewer than 5 runs says little"
for tool in mkfs.erofs fsck.erofs tar zstd openssl; do
    command -v "$tool" >/dev/null || die "needs $tool; .ci/install-tools installs it"
done
if [ -z "$binary" ]; then
    (cd "$project" && cargo build --quiet --release --locked -p erofs-unpack)
    binary=${CARGO_TARGET_DIR:-$project/target}/release/erofs-unpack
fi
[ -x "$binary" ] || die "there is no program $binary"

mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# --- Images ---------------------------------------------------------------------------------

files() { tar_of "$size" "$partial"; }

# packed OPTION...: an image of that tar.
packed() { mkfs.erofs --quiet --tar=f -T0 -U "$uuid" "$@" "$partial" "$tar" >/dev/null; }

# As containerd's differ makes a layer of a tar.
layer_packed() {
    mkfs.erofs --tar=f --aufs --quiet -Enoinline_data -b4096 -U "$uuid" "$partial" "$tar" >/dev/null
}

zstd_3() { zstd -q -3 "$1" -o "$partial"; }

# --- Commands, on $image ----------------------------------------------------------------------

metadata() { "$binary" check "$image" --quiet --sandbox=none; }
full_one() { "$binary" check "$image" --quiet --level full --jobs 1 --sandbox=none; }
full_jobs() { "$binary" check "$image" --quiet --level full --jobs "$jobs" --sandbox=none; }
fsck() { fsck.erofs "$image"; }
fsck_extract() { fsck.erofs --extract "$image"; }
unpack() { "$binary" unpack "$layer" --digest "$digest" -o "$work/out" --force --quiet --sandbox=none; }
unpack_unchecked() {
    "$binary" unpack "$layer" --digest "$digest" -o "$work/out" --force --quiet --no-check --sandbox=none
}

words() {
    case $1 in
    metadata) printf 'check' ;;
    full_one) printf -- 'check --level full --jobs 1' ;;
    full_jobs) printf -- 'check --level full --jobs %s' "$jobs" ;;
    fsck) printf 'fsck.erofs' ;;
    fsck_extract) printf -- 'fsck.erofs --extract' ;;
    esac
}

# Microseconds of one run of a command.
timed() {
    local start
    start=${EPOCHREALTIME/./}
    "$1" >"$work/said" 2>&1 || die "$1 failed on $image: $(tail -n3 "$work/said")"
    printf '%s\n' $((${EPOCHREALTIME/./} - start))
}

# alternate COMMAND...: the times of each, in $work/COMMAND.
alternate() {
    local command run
    cat "$image" >/dev/null
    for command in "$@"; do
        timed "$command" >/dev/null
        : >"$work/$command"
    done
    for ((run = 0; run < runs; run++)); do
        for command in "$@"; do
            timed "$command" >>"$work/$command"
        done
    done
}

# row IMAGE OURS PEER AIM: what the two took.
row() {
    local own peer
    own=$(median <"$work/$2")
    peer=$(median <"$work/$3")
    awk -v own="$own" -v peer="$peer" -v image="$1" -v ours="$(words "$2")" \
        -v words="$(words "$3")" -v aim="$4" 'BEGIN {
            met = peer / own >= aim ? "met" : "missed"
            printf "| %s | `%s` | `%s` | %.3f | %.3f | %.2f | %s | %s |\n",
                image, ours, words, own / 1e6, peer / 1e6, peer / own, aim, met }'
}

# --- Tables -----------------------------------------------------------------------------------

many=$cache/$inodes-inodes.erofs
make "$many" many_inodes "$inodes" "$work/tree"
tar=$cache/$size.tar
make "$tar" files
make "$cache/$size.check-plain.erofs" packed
make "$cache/$size.check-lz4.erofs" packed -zlz4
make "$cache/$size.check-lz4hc-64k.erofs" packed -zlz4hc,9 -C65536
make "$cache/$size.check-zstd.erofs" packed -zzstd,3 -C65536
mib=$(($(stat -c %s "$tar") >> 20))

printf 'Measured %s on %s, %s CPUs, Linux %s. %s; %s.\n' \
    "$(date -u +%F)" \
    "$(processor)" \
    "$(nproc)" "$(uname -r)" \
    "$(fsck.erofs --version 2>&1 | head -n1)" \
    "$("$binary" --version)"
printf 'Medians of %s alternating runs, in seconds.\n\n' "$runs"
printf '| image | ours | peer | ours | peer | ratio | aim | |\n|---|---|---|---:|---:|---:|---:|---|\n'
image=$many
alternate metadata fsck
row "$inodes inodes" metadata fsck 1
for kind in plain lz4 lz4hc-64k zstd; do
    image=$cache/$size.check-$kind.erofs
    alternate full_one full_jobs fsck_extract
    row "$mib MiB, $kind" full_one fsck_extract 1
    row "$mib MiB, $kind" full_jobs fsck_extract 1
done

printf '\nWhat the check at level metadata is of `unpack`, which copies or decodes the layer, hashes it and\n'
printf 'syncs it, in seconds. A layer is as containerd makes it (`-Enoinline_data`); with inline data, and\n'
printf 'with hardly anything but inodes, the metadata is more of the image.\n\n'
printf '| layer | wrapped | `unpack` | `--no-check` | `check` alone | share | < 2 %% |\n'
printf '|---|---|---:|---:|---:|---:|---|\n'
usual=$cache/$size.check-layer.erofs
make "$usual" layer_packed
plain=$cache/$size.check-plain.erofs
for image in "$usual" "$plain" "$many"; do
    make "$image.zst" zstd_3 "$image"
done
for layer in "$usual" "$usual.zst" "$plain" "$plain.zst" "$many" "$many.zst"; do
    image=${layer%.zst}
    case $image in
    "$usual") name="$mib MiB, a usual layer" ;;
    "$plain") name="$mib MiB, inline data" ;;
    *) name="$inodes inodes" ;;
    esac
    [ "$layer" = "$image" ] && wrapped=plain || wrapped='zstd -3'
    digest=sha256:$(openssl dgst -sha256 -r "$layer" | cut -d' ' -f1)
    cat "$layer" >/dev/null
    alternate unpack unpack_unchecked metadata
    on=$(median <"$work/unpack")
    off=$(median <"$work/unpack_unchecked")
    alone=$(median <"$work/metadata")
    awk -v on="$on" -v off="$off" -v alone="$alone" -v name="$name" -v wrapped="$wrapped" 'BEGIN {
        share = 100 * alone / on
        met = name !~ /usual/ ? "no aim" : share < 2 ? "met" : "missed"
        printf "| %s | %s | %.3f | %.3f | %.4f | %.1f %% | %s |\n",
            name, wrapped, on / 1e6, off / 1e6, alone / 1e6, share, met }'
done
