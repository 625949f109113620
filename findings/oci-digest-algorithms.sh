#!/usr/bin/env bash
# Expected: tools for OCI layouts read sha512 digests, which the specification registers beside
#           sha256; and an entry of the index whose algorithm they do not know keeps nobody from
#           reading the other entries.
# Happens:  of sha512 images, oras alone makes a right copy; umoci and crane call the algorithm
#           unsupported, and skopeo compares a sha256 digest with the sha512 one and reports a
#           mismatch. With an entry "blake3:..." in index.json, oras and crane refuse the whole
#           layout, while skopeo and umoci read the other image.
# Versions: skopeo 1.22.0, umoci 0.6.0, oras 1.3.3, crane 0.20.7.
# Source:   image-spec, descriptor.md, "Digests" (unknown algorithms should pass validation) and
#           "Registered algorithms"; umoci issue 323; go-containerregistry pull request 2427.
# Users:    no tool reads both layouts. For images that others shall read, write sha256 and keep
#           other algorithms out of index.json; skopeo's "does not match" need not mean damage.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
need tar python3 unshare
debian sid skopeo=1.22.0+ds1-1 umoci=0.6.0+ds-1+b1 oras=1.3.3-1 crane=0.20.7+ds1-5 -- skopeo umoci oras crane
cd "$work"
mkdir tree
echo content >tree/file
tar -cf layer.tar -C tree file
layout sha512 application/vnd.oci.image.layer.v1.tar layer.tar layer.tar sha512
layout unknown application/vnd.oci.image.layer.v1.tar layer.tar layer.tar
python3 - <<'PYTHON'
import json
index = json.load(open("unknown/index.json"))
index["manifests"].append(index["manifests"][0] | {
    "digest": "blake3:" + "0123456789abcdef" * 4,
    "annotations": {"org.opencontainers.image.ref.name": "other"}})
json.dump(index, open("unknown/index.json", "w"))
PYTHON
registry
oras_copy() { HOME=$work oras copy --from-oci-layout "$1:v1" --to-oci-layout "$2:v1"; }
umoci_unpack() { HOME=$work umoci unpack --rootless --image "$1:v1" "$1.bundle"; }
crane_push() { HOME=$work crane push --index "$1" "$registry/$1:v1"; }

expect "sha512: exit code of oras copy" 0 "$(status oras_copy sha512 sha512.copy)"
diff -r sha512/blobs sha512.copy/blobs || changed "oras copied other blobs"
expect "sha512: exit code of umoci unpack" 1 "$(status umoci_unpack sha512)"
say "    $(grep -o 'unsupported algorithm.*' said)"
expect "sha512: exit code of crane push" 1 "$(status crane_push sha512)"
say "    $(grep -o 'unsupported hash.*' said)"
expect "sha512: exit code of skopeo copy" 1 "$(status skopeo_copy oci:sha512:v1 oci:sha512.skopeo:v1)"
say "    $(grep -o 'digest sha256:.......\|does not match expected sha512:.......' said | paste -sd' ')"

expect "unknown: exit code of skopeo copy" 0 "$(status skopeo_copy oci:unknown:v1 oci:unknown.skopeo:v1)"
expect "unknown: exit code of umoci unpack" 0 "$(status umoci_unpack unknown)"
expect "unknown: names that umoci unpacks" file "$(ls unknown.bundle/rootfs)"
expect "unknown: exit code of oras copy" 1 "$(status oras_copy unknown unknown.copy)"
say "    $(grep -o 'Error: [^:]*' said) ... $(grep -o '[^:]*$' said | tail -n1)"
expect "unknown: exit code of crane push" 1 "$(status crane_push unknown)"
say "    $(grep -o 'unsupported hash.*' said)"
