#!/usr/bin/env bash
# Expected: skopeo copy of an image from one OCI layout to another keeps what the source's index.json
#           says of it: platform with os.features, annotations, artifactType.
# Happens:  the new entry has media type, digest, size and the name alone, with --all too. What lies
#           in a nested index is kept with --all, since that index is copied as bytes.
# Versions: skopeo 1.22.0 (Debian sid).
# Source:   image-spec, image-index.md, "platform" and "os.features"; skopeo issue 2784 (closed as
#           stale) and 1505.
# Users:    whoever chooses an EROFS image by os.features in the index does not find it in such a
#           copy: the config has os.features too, so look there, or publish a nested index and copy
#           with --all. oras copies an entry whole from a layout to a layout when it is named.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
need python3 unshare
debian sid skopeo=1.22.0+ds1-1 -- skopeo
cd "$work"
printf 'bytes of a layer' >layer.img
layout plain application/vnd.erofs layer.img layer.img
# The same image with what an index may say of it, and once more in an index inside the index.
cp -r plain nested
python3 - <<'PYTHON'
import hashlib, json
entry = json.load(open("plain/index.json"))["manifests"][0]
name = entry["annotations"]
entry |= {"platform": {"architecture": "amd64", "os": "linux", "os.features": ["erofs"]},
          "annotations": name | {"org.example.note": "kept?"}, "artifactType": "application/vnd.example"}
index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}
json.dump(index, open("plain/index.json", "w"))
inner = json.dumps(index).encode()
digest = hashlib.sha256(inner).hexdigest()
open("nested/blobs/sha256/" + digest, "wb").write(inner)
index["manifests"] = [{"mediaType": index["mediaType"], "digest": "sha256:" + digest, "size": len(inner),
                       "annotations": name}]
json.dump(index, open("nested/index.json", "w"))
PYTHON
say "$(skopeo --version)"
entry() {
    python3 -c '
import json, sys
entry = json.load(open(sys.argv[1]))["manifests"][0]
print(*sorted(entry), "|", *sorted(entry.get("annotations", {})))' "$1"
}
whole="annotations artifactType digest mediaType platform size | org.example.note org.opencontainers.image.ref.name"
expect "the entry in the source" "$whole" "$(entry plain/index.json)"
bare="annotations digest mediaType size | org.opencontainers.image.ref.name"
skopeo_copy oci:plain:v1 oci:copied:v1
expect "the entry after skopeo copy" "$bare" "$(entry copied/index.json)"
skopeo_copy oci:plain:v1 oci:all:v1 --all
expect "the entry after skopeo copy --all" "$bare" "$(entry all/index.json)"
skopeo_copy oci:nested:v1 oci:inner:v1 --all
inner=$(python3 -c 'import json; print(json.load(open("inner/index.json"))["manifests"][0]["digest"][7:])')
expect "the entry of a nested index after skopeo copy --all" "$whole" "$(entry "inner/blobs/sha256/$inner")"
