#!/usr/bin/env bash
# Expected: tools that go from index.json to an index, as for every image of several platforms, go on
#           to one more index inside that.
# Happens:  umoci, oras and crane do; so does skopeo inspect, while skopeo copy of the same reference
#           fails, with --all too.
# Versions: skopeo 1.22.0, umoci 0.6.0, oras 1.3.3, crane 0.20.7.
# Source:   image-spec, image-index.md, "manifests": an index may hold indexes, and readers should
#           take them.
# Users:    an index in an index (as for variants of one platform, tar and EROFS) is valid and cannot
#           be moved with skopeo. One index below index.json is what all take.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
need tar python3 unshare
debian sid skopeo=1.22.0+ds1-1 umoci=0.6.0+ds-1+b1 oras=1.3.3-1 crane=0.20.7+ds1-5 -- skopeo umoci oras crane
cd "$work"
mkdir tree
echo content >tree/file
tar -cf layer.tar -C tree file
layout image application/vnd.oci.image.layer.v1.tar layer.tar layer.tar
# deepen LEVELS: index.json names an index that holds what index.json held, so many times.
deepen() {
    python3 - "$1" <<'PYTHON'
import hashlib, json, sys
path = "image/index.json"
for _ in range(int(sys.argv[1])):
    index = json.load(open(path))
    name = index["manifests"][0].pop("annotations")
    index["manifests"][0].setdefault("platform", {"architecture": "amd64", "os": "linux"})
    inner = json.dumps(index).encode()
    digest = hashlib.sha256(inner).hexdigest()
    open("image/blobs/sha256/" + digest, "wb").write(inner)
    index["manifests"] = [{"mediaType": index["mediaType"], "digest": "sha256:" + digest,
                           "size": len(inner), "annotations": name}]
    json.dump(index, open(path, "w"))
PYTHON
}
registry
skopeo_inspect() { apart skopeo --tmpdir "$work" inspect "oci:image:v1"; }
for levels in 1 2; do
    deepen 1
    rm -rf bundle copy
    HOME=$work umoci unpack --rootless --image image:v1 bundle >/dev/null 2>&1
    expect "$levels: names that umoci unpacks" file "$(ls bundle/rootfs)"
    expect "$levels: exit code of oras manifest fetch" 0 \
        "$(status oras manifest fetch --oci-layout --platform linux/amd64 image:v1)"
    HOME=$work crane push --index image "$registry/image:$levels" >/dev/null 2>&1
    expect "$levels: names that crane exports" file "$(HOME=$work crane export "$registry/image:$levels" - | tar -t)"
    expect "$levels: exit code of skopeo inspect" 0 "$(status skopeo_inspect)"
    wanted=$((levels - 1))
    expect "$levels: exit code of skopeo copy" $wanted "$(status skopeo_copy oci:image:v1 oci:copy:v1)"
    expect "$levels: exit code of skopeo copy --all" $wanted "$(status skopeo_copy oci:image:v1 oci:copy:v1 --all)"
done
say "skopeo said: $(grep -o 'msg=.*' said)"
