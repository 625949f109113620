# shellcheck shell=bash
# What the scripts of this folder share. A script sources this file first; it gets a temporary
# folder $work, which is removed at the end with all that was installed, and $PATH begins with the
# commands that were installed there.
set -euo pipefail

work=$(mktemp -d)
started=()
bye() {
    local process
    for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
    rm -rf "$work"
}
trap bye EXIT
# apt fetches as a user of its own, who must get in.
chmod 755 "$work"
mkdir "$work/bin"
PATH=$work/bin:$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*"; }
# skip REASON: what the script needs is not there.
skip() { say "skipped: needs $*"; exit 77; }
# changed WHAT: the behaviour is no longer as the script states it.
changed() { say "changed: $*"; exit 1; }
# expect WHAT WANTED GOT
expect() {
    [ "$2" = "$3" ] || changed "$1: expected '$2', got '$3'"
    say "$1: $3"
}
# status COMMAND...: prints its exit code; what the command says goes to $work/said.
status() {
    local code=0
    "$@" >"$work/said" 2>&1 </dev/null || code=$?
    printf '%s\n' "$code"
}
need() {
    local command
    for command; do command -v "$command" >/dev/null || skip "$command"; done
}
need_root() { [ "$(id -u)" = 0 ] || skip "root"; }
need_x86_64() { [ "$(uname -m)" = x86_64 ] || skip "an x86-64 machine, for which the packages are built"; }

# The mirror of this machine's own release, as its apt knows it.
mirror() {
    local release
    # shellcheck source=/dev/null
    release=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME-}")
    # shellcheck disable=SC2016  # apt fills these in
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v release="$release" '$2 == release && $3 == "main" && !seen { print $1; seen = 1 }'
}

# debian SUITE PACKAGE=VERSION... -- COMMAND...: unpacks the packages of a suite, with all that they
# need, into $work/SUITE, and makes their commands callable through the C library that came along.
# Where the mirror has gone on to another version, takes that and says so.
debian() {
    local suite=$1 from package version candidate root loader libraries command path closure=() keyring
    shift
    need apt-get dpkg-deb
    from=$(mirror)
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    if [ -z "$from" ] || [ ! -e "$keyring" ]; then skip "Debian, with a mirror in apt's configuration"; fi
    root=$work/$suite
    mkdir -p "$root" "$work/apt/lists/partial" "$work/apt/archives/partial"
    # With an empty status file nothing counts as installed, so that all they need comes.
    : >"$work/apt/status"
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$from" "$suite" >"$work/apt/sources.list"
    local apt=(-qq -o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
        -o Dir::State::Lists="$work/apt/lists" -o Dir::State::Status="$work/apt/status"
        -o Dir::Cache="$work/apt" -o APT::Install-Recommends=false -o APT::Update::Error-Mode=any)
    apt-get "${apt[@]}" update >/dev/null 2>&1 || apt-get "${apt[@]}" update >/dev/null 2>&1 ||
        skip "the network: apt-get update failed for $suite"
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        package=${1%%=*} version=${1#*=}
        shift
        candidate=$(apt-cache "${apt[@]}" policy "$package" | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }')
        [ -n "$candidate" ] || skip "the package $package, which $suite does not have"
        [ "$candidate" = "$version" ] || say "$suite has gone on from $package $version, which was seen before"
        say "Debian $suite: $package $candidate"
        closure+=("$package=$candidate")
    done
    shift
    apt-get "${apt[@]}" install -y --download-only "${closure[@]}" >/dev/null 2>&1 ||
        skip "the network: could not download ${closure[*]}"
    for package in "$work"/apt/archives/*.deb; do dpkg-deb -x "$package" "$root"; done
    rm -rf "$work/apt"
    loader=$(find "$root" -path '*/ld-linux*.so.*' -print -quit)
    libraries=$(find "$root" -name libc.so.6 -printf '%h' -quit)
    for command; do
        path=$(find "$root/usr" -path "*bin/$command" -print -quit)
        [ -n "$path" ] || skip "$command, which the packages of $suite no longer hold"
        printf '#!/bin/sh\nexec %q --library-path %q %q "$@"\n' "$loader" "$libraries" "$path" >"$work/bin/$command"
        chmod 755 "$work/bin/$command"
    done
}

# npm_packages PACKAGE@VERSION...: into $work/npm/node_modules.
npm_packages() {
    need npm
    npm install --silent --no-audit --no-fund --cache "$work/npm-cache" --prefix "$work/npm" "$@" >/dev/null 2>&1 ||
        skip "the network: npm could not install $*"
    say "npm: $*"
}

# apart COMMAND...: runs a program of the containers' world with a home, a /var/lib and a /run of
# its own, so that it leaves no caches behind.
apart() {
    # shellcheck disable=SC2016  # the inner shell fills these in
    HOME=$work unshare -m sh -c 'mount -t tmpfs tmpfs /var/lib && mount -t tmpfs tmpfs /run && exec "$@"' sh "$@"
}

# layout FOLDER MEDIATYPE BLOB PLAIN [ALGORITHM]: an OCI layout of one image with one layer, tagged
# v1. PLAIN is the layer without compression, whose digest is the diffID.
layout() {
    python3 - "$@" <<'PYTHON'
import hashlib, json, os, sys

folder, kind, blob, plain, algorithm = (sys.argv[1:] + ["sha256"])[:5]
oci = "application/vnd.oci.image."

def put(media_type, content):
    digest = hashlib.new(algorithm, content).hexdigest()
    os.makedirs(f"{folder}/blobs/{algorithm}", exist_ok=True)
    with open(f"{folder}/blobs/{algorithm}/{digest}", "wb") as file:
        file.write(content)
    return {"mediaType": media_type, "digest": f"{algorithm}:{digest}", "size": len(content)}

def put_json(media_type, content):
    return put(media_type, json.dumps(content).encode())

def read(name):
    with open(name, "rb") as file:
        return file.read()

config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {
    "type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(read(plain)).hexdigest()]}}
manifest = {"schemaVersion": 2, "mediaType": oci + "manifest.v1+json",
            "config": put_json(oci + "config.v1+json", config), "layers": [put(kind, read(blob))]}
entry = put_json(oci + "manifest.v1+json", manifest)
entry["annotations"] = {"org.opencontainers.image.ref.name": "v1"}
index = {"schemaVersion": 2, "mediaType": oci + "index.v1+json", "manifests": [entry]}
for name, content in (("index.json", index), ("oci-layout", {"imageLayoutVersion": "1.0.0"})):
    with open(f"{folder}/{name}", "w") as file:
        json.dump(content, file)
PYTHON
}

# skopeo_copy SOURCE DESTINATION [OPTION...]
skopeo_copy() {
    printf '{"default": [{"type": "insecureAcceptAnything"}]}' >"$work/policy.json"
    apart skopeo --policy "$work/policy.json" --tmpdir "$work" copy --quiet "${@:3}" "$1" "$2"
}

# registry: a registry on this machine for crane and others; $registry is its address.
registry() {
    local port tries
    need python3
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    registry=127.0.0.1:$port
    crane registry serve --address "$registry" >/dev/null 2>&1 &
    started+=($!)
    for tries in 1 2 3 4 5 6 7 8 9 10; do
        HOME=$work crane catalog "$registry" >/dev/null 2>&1 && return
        sleep "$tries"
    done
    skip "a registry on this machine, which did not start"
}
