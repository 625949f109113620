# What the benchmarks of this folder share. Sourced, not run.
# shellcheck shell=bash

# What is said is said by the script that was started.
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }
say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# The median of the numbers on stdin.
median() {
    sort -n | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

# The name of this machine's processor.
processor() { awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo; }

# make FILE COMMAND...: runs the command, which writes to "$partial", unless FILE is there.
make() {
    local file=$1
    shift
    [ ! -e "$file" ] || return 0
    say "making ${file##*/}"
    partial=$file.partial
    rm -f "$partial"
    "$@"
    mv "$partial" "$file"
}

# The UUID of images that are made.
# shellcheck disable=SC2034  # for who sources this
uuid=00000000-0000-4000-8000-000000000001

# tar_of MB FILE: a tar of about so many MB: files of the folder $from in an order that is mixed
# and always the same. What it notes meanwhile lies in $work.
tar_of() {
    find "$from" -xdev -type f -readable -size +0 -printf '%s %p\0' | sort -z |
        sort -zR --random-source=<(yes) |
        awk -v RS='\0' -v ORS='\0' -v left="$(($1 * 1000000))" '
            left <= 0 { exit }
            { left -= $1; sub(/^[0-9]+ /, ""); print }' >"$work/list" || true
    [ -s "$work/list" ] || die "found no files in $from"
    tar --create --file "$2" --no-recursion --hard-dereference --owner=0 --group=0 \
        --null --files-from "$work/list" 2>"$work/said" ||
        [ $? -eq 1 ] || die "tar failed: $(tail -n3 "$work/said")"
}

# many_inodes N TREE: an image of N inodes, small files, 499 in a directory, with their content
# behind their inodes. TREE is a folder for them meanwhile.
many_inodes() {
    local number
    for ((number = 0; number < $1 / 500; number++)); do
        mkdir -p "$2/$((number / 20))/$number"
        # The pipe is closed before seq is done.
        { seq 100000 2>/dev/null || true; } | head -c 49900 |
            split -b 100 -a 3 - "$2/$((number / 20))/$number/file-"
    done
    mkfs.erofs --quiet -T0 -U "$uuid" --all-root "$partial" "$2" >/dev/null
    rm -rf "$2"
}
