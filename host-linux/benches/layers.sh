#!/usr/bin/env bash
# Measures `erofs-unpack unpack` on whole layers, side by side with what a person would
# otherwise type, and prints Markdown tables with the machine and the date.
#
#   host-linux/benches/layers.sh [OPTION]...
#
#     --cache DIR    where the layers are made and kept (default $TMPDIR/erofs-unpack-bench);
#                    also the disk that is written to. Takes up to about 12 GB.
#     --memory DIR   a folder on a tmpfs (default /dev/shm)
#     --size MB      decoded size of the layer that is timed (default 320)
#     --rss LIST     decoded sizes for the table of memory, in MB (default "30 300 3000",
#                    "" leaves the table out)
#     --from DIR     what the layers are made of (default /usr)
#     --runs N       timed runs of each command, at least 5 (default 7)
#     --binary FILE  the program under test (default: built now, with cargo build --release)
#
# mkfs.erofs makes the layers of the files of that folder. The commands of a comparison run
# in turn, N times each, after one run that is not counted; the blob is in the page cache. The
# figures are medians of the wall time of the whole command; a ratio is the peer's time divided
# by ours, so that more is better. Ours always verifies blob digest, diffID and superblock. On
# disk, our fsync is part of our time, and the peers are followed by `sync OUT`. Beside gzip run
# igzip and libdeflate-gunzip where they are installed.
set -euo pipefail
export LC_ALL=C

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=host-linux/benches/common.sh
. "$project/host-linux/benches/common.sh"
cache=${TMPDIR:-/tmp}/erofs-unpack-bench
memory=/dev/shm
size=320
rss='30 300 3000'
runs=7
from=/usr
binary=


while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || die "unknown argument, or one without a value: $1"
    case $1 in
    --cache) cache=$2 ;;
    --memory) memory=$2 ;;
    --size) size=$2 ;;
    --rss) rss=$2 ;;
    --from) from=$2 ;;
    --runs) runs=$2 ;;
    --binary) binary=$2 ;;
    *) die "unknown argument: $1" ;;
    esac
    shift 2
done
[ "$runs" -ge 5 ] || die "--runs: a median of fewer than 5 runs says little"
for tool in mkfs.erofs zstd gzip openssl tar /usr/bin/time; do
    command -v "$tool" >/dev/null || die "needs $tool; .ci/install-tools installs it"
done
[ "$(stat -f -c %T "$memory")" = tmpfs ] || die "--memory: $memory is not on a tmpfs"
if [ -z "$binary" ]; then
    (cd "$project" && cargo build --quiet --release --locked -p erofs-unpack)
    binary=${CARGO_TARGET_DIR:-$project/target}/release/erofs-unpack
fi
[ -x "$binary" ] || die "there is no program $binary"

mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
out_memory=$(mktemp -d "$memory/erofs-unpack-bench.XXXXXX")
out_disk=$(mktemp -d "$cache/out.XXXXXX")
trap 'rm -rf "$out_memory" "$out_disk"' EXIT

# --- Layers -------------------------------------------------------------------------------

# A plain image of about so many MB: files of the folder in an order that is mixed and always the
# same, as often as it takes.
image() {
    local wanted=$1 list=$partial.list tar=$partial.tar copy=0 left
    left=$((wanted * 1000000))
    rm -f "$tar"
    while [ "$left" -gt 0 ]; do
        copy=$((copy + 1))
        find "$from" -xdev -type f -readable -size +0 -printf '%s %p\0' | sort -z |
            sort -zR --random-source=<(yes) |
            awk -v RS='\0' -v ORS='\0' -v left="$left" '
                left <= 0 { exit }
                { left -= $1; sub(/^[0-9]+ /, ""); print }' >"$list" || true
        [ -s "$list" ] || die "found no files in $from"
        tar --append --file "$tar" --null --files-from "$list" --no-recursion \
            --hard-dereference --owner=0 --group=0 --transform "s,^,$copy/,S" 2>/dev/null
        left=$((wanted * 1000000 - $(stat -c %s "$tar")))
    done
    mkfs.erofs --quiet --tar=f -Enoinline_data -b4096 -T0 \
        -U "$uuid" "$partial" "$tar" >/dev/null
    rm -f "$tar" "$list"
}
zstd_3() { zstd -q -3 "$1" -o "$partial"; }
zstd_19() { zstd -q -19 -T0 "$1" -o "$partial"; }
gzip_6() { gzip -6nc "$1" >"$partial"; }
digest() { openssl dgst -sha256 -r "$1" >"$partial"; }

# layer MB KIND: makes a layer; sets blob, type, blob_digest, diff_id and plain.
layer() {
    plain=$cache/$1.erofs
    make "$plain" image "$1"
    case $2 in
    plain) blob=$plain type= ;;
    'zstd -3') blob=$plain.3.zst type=+zstd; make "$blob" zstd_3 "$plain" ;;
    'zstd -19') blob=$plain.19.zst type=+zstd; make "$blob" zstd_19 "$plain" ;;
    'gzip -6') blob=$plain.gz type=+gzip; make "$blob" gzip_6 "$plain" ;;
    esac
    make "$plain.sha256" digest "$plain"
    make "$blob.sha256" digest "$blob"
    diff_id=sha256:$(cut -d' ' -f1 "$plain.sha256")
    blob_digest=sha256:$(cut -d' ' -f1 "$blob.sha256")
    type=application/vnd.erofs$type
    cat "$blob" >/dev/null
}

# --- Commands, each from $blob to $out -----------------------------------------------------

ours() {
    "$binary" unpack "$blob" --media-type "$type" --digest "$blob_digest" \
        --diff-id "$diff_id" -o "$out" --force --quiet
}
zstd_alone() { zstd -dqf "$blob" -o "$out"; }
zstd_piped() { zstd -dqc "$blob" | tee "$out" | openssl dgst -sha256 >/dev/null; }
igzip_alone() { igzip -dqfo "$out" "$blob"; }
libdeflate_alone() { libdeflate-gunzip -c "$blob" >"$out"; }
gzip_piped() { gzip -dc "$blob" | tee "$out" | openssl dgst -sha256 >/dev/null; }
openssl_alone() { openssl dgst -sha256 "$blob" >/dev/null; }
openssl_piped() { tee "$out" <"$blob" | openssl dgst -sha256 >/dev/null; }

words() {
    case $1 in
    zstd_alone) printf '%s' 'zstd -d BLOB -o OUT' ;;
    zstd_piped) printf '%s' 'zstd -dc BLOB \| tee OUT \| openssl dgst -sha256' ;;
    gzip_piped) printf '%s' 'gzip -dc BLOB \| tee OUT \| openssl dgst -sha256' ;;
    igzip_alone) printf '%s' 'igzip -d BLOB -o OUT' ;;
    libdeflate_alone) printf '%s' 'libdeflate-gunzip -c BLOB > OUT' ;;
    openssl_alone) printf '%s' 'openssl dgst -sha256 BLOB' ;;
    openssl_piped) printf '%s' 'tee OUT < BLOB \| openssl dgst -sha256' ;;
    esac
}

# Microseconds of one run of a command, whose output is thrown away before and after.
timed() {
    local command=$1 start
    rm -f "$out"
    # What earlier runs left for the disk must not be written during this one.
    [ "$where" = tmpfs ] || sync -f "$out_disk"
    start=${EPOCHREALTIME/./}
    "$command" >&2 || die "$command failed on $blob"
    if [ "$where" = disk ] && [ "$command" != ours ] && [ -e "$out" ]; then
        sync "$out"
    fi
    printf '%s\n' $((${EPOCHREALTIME/./} - start))
    rm -f "$out"
}

# compare KIND PEER=AIM...: the rows of one layer at one place. An aim of - is none.
compare() {
    local kind=$1 command run
    shift
    layer "$size" "$kind"
    local commands=(ours "${@%%=*}")
    for where in tmpfs disk; do
        out=$([ $where = tmpfs ] && echo "$out_memory" || echo "$out_disk")/image
        ours || die "the program under test refuses $blob"
        cmp -s "$plain" "$out" || die "the program under test decoded $blob wrongly"
        for command in "${commands[@]}"; do
            timed "$command" >/dev/null
            : >"$out_disk/$command.times"
        done
        for ((run = 0; run < runs; run++)); do
            for command in "${commands[@]}"; do
                timed "$command" >>"$out_disk/$command.times"
            done
        done
        local own peer
        own=$(median <"$out_disk/ours.times")
        for peer in "$@"; do
            median <"$out_disk/${peer%%=*}.times" | awk -v own="$own" -v kind="$kind" \
                -v where="$where" -v aim="${peer##*=}" -v words="$(words "${peer%%=*}")" '{
                    met = aim == "-" ? "" : ($1 / own >= aim ? "met" : "missed")
                    printf "| %s | %s | `%s` | %.3f | %.3f | %.2f | %s | %s |\n",
                        kind, where, words, own / 1e6, $1 / 1e6, $1 / own, aim, met
                }'
        done
    done
}

mib() { awk -v bytes="$1" 'BEGIN { printf "%.1f", bytes / 1048576 }'; }

# --- Tables -------------------------------------------------------------------------------

# The two fastest that there are for gzip check nothing but the CRC-32.
gzip_peers=(gzip_piped=3.0) others='' skipped=()
for peer in 'igzip igzip_alone=0.9 isal' 'libdeflate-gunzip libdeflate_alone=0.9 libdeflate-tools'; do
    read -r tool comparison package <<<"$peer"
    if command -v "$tool" >/dev/null; then
        gzip_peers+=("$comparison")
        others+="; $tool $("$tool" -V 2>&1 | grep -oE '[0-9]+(\.[0-9]+)+' | head -n1)"
    else
        skipped+=("$tool (Debian's $package)")
    fi
done

printf 'Measured %s on %s, %s CPUs, Linux %s; disk: %s. %s; %s%s; OpenSSL %s; %s.\n' \
    "$(date -u +%F)" \
    "$(processor)" \
    "$(nproc)" "$(uname -r)" "$(stat -f -c %T "$cache")" \
    "$(zstd --version | grep -o 'v[0-9.]*[0-9]' | sed 's/^v/zstd /')" \
    "$(gzip --version | head -n1)" "$others" \
    "$(openssl version | cut -d' ' -f2)" \
    "$("$binary" --version)"
layer "$size" plain
printf 'Layer: files of %s, %s MiB decoded. Medians of %s alternating runs, in seconds.\n\n' \
    "$from" "$(mib "$(stat -c %s "$plain")")" "$runs"
printf '| layer | output to | peer | ours | peer | ratio | aim | |\n'
printf '|---|---|---|---:|---:|---:|---:|---|\n'
compare 'zstd -3' zstd_alone=1.0 zstd_piped=1.6
compare 'zstd -19' zstd_alone=1.0 zstd_piped=1.6
compare 'gzip -6' "${gzip_peers[@]}"
# openssl alone writes nothing; the second peer does all of the job.
compare plain openssl_alone=0.95 openssl_piped=-
[ ${#skipped[@]} -eq 0 ] || printf '\nskipped: needs %s\n' "${skipped[@]}"

[ -n "$rss" ] || exit 0
printf '\nPeak resident memory by decoded size, with --jobs 1 and output to disk, in MiB.\n\n'
printf '| layer |'
# shellcheck disable=SC2086  # the list is split on purpose
printf ' %s MB |' $rss
printf ' zstd window |\n|---|'
for _ in $rss; do printf -- '---:|'; done
printf -- '---:|\n'
out=$out_disk/image
for kind in plain 'gzip -6' 'zstd -3' 'zstd -19'; do
    printf '| %s |' "$kind"
    window=
    for megabytes in $rss; do
        # Level 19 takes minutes for each gigabyte, and its window no longer grows.
        if [ "$kind" = 'zstd -19' ] && [ "$megabytes" -gt 1000 ]; then
            printf ' not made |'
            continue
        fi
        layer "$megabytes" "$kind"
        rm -f "$out"
        /usr/bin/time -f %M -o "$out_disk/rss" "$binary" unpack "$blob" --media-type "$type" \
            --digest "$blob_digest" --diff-id "$diff_id" -o "$out" --force --quiet --jobs 1 >&2
        printf ' %s |' "$(mib "$(($(tail -n1 "$out_disk/rss") * 1024))")"
        case $kind in
        zstd*) window=$(zstd -lv "$blob" 2>/dev/null | sed -n 's/^Window Size: *\([^(]*[^( ]\).*/\1/p') ;;
        esac
    done
    printf ' %s |\n' "$window"
done
