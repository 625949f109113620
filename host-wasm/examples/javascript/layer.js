#!/usr/bin/env node
// Says what a layer is, verifies it and lists its files, or writes one of them to stdout:
//
//   node layer.js MODULE LAYER [--digest=D] [--diff-id=D] [PATH]
//   node layer.js MODULE URL --index-digest=D [--index-range=R] [PATH]
//
// MODULE is erofs_unpack.wasm, which host-wasm/build makes. Of a layer at a URL the chunks are
// fetched that are needed, each verified by its chunk index; --allow-unpinned-index takes an index
// that no digest vouches for. Exit code 1: the layer is refused.
"use strict";

const fs = require("node:fs");
const { Module, Refused, Remote, compression } = require("./erofs_unpack.js");

const flag = (name) => process.argv.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3);
const [wasm, layer, path] = process.argv.slice(2).filter((word) => !word.startsWith("--"));

// Names come from strangers: no control character reaches the terminal.
const escaped = (name) => name.replace(/[\x00-\x1f\x7f-\x9f\\]/g, (sign) =>
  `\\x${sign.charCodeAt(0).toString(16).padStart(2, "0")}`);

function* pieces(file) {
  for (;;) {
    const buffer = Buffer.alloc(1 << 18);
    const length = fs.readSync(file, buffer);
    if (length === 0) return;
    yield buffer.subarray(0, length);
  }
}

// The image of a file, unpacked, verified and checked; and what is said of it.
async function local(module) {
  const file = fs.openSync(layer);
  const head = Buffer.alloc(4);
  fs.readSync(file, head, 0, 4, 0);
  const stated = {
    compression: compression(head),
    digest: flag("digest"),
    diffId: flag("diff-id"),
    size: fs.fstatSync(file).size,
  };
  const { image, digest, diffId } = await module.unpack(pieces(file), stated);
  const findings = await module.check(image);
  for (const finding of findings) console.error(`${finding.severity}: ${finding.message}`);
  if (findings.some((finding) => finding.severity === "error")) process.exit(1);
  return { image, said: `compression: ${stated.compression}\ndigest: ${digest}\ndiffID: ${diffId}\n` };
}

// The same of one at a URL, of which only the index is known.
async function remote() {
  const image = await Remote.open(layer, {
    indexRange: flag("index-range"),
    indexDigest: flag("index-digest"),
    allowUnpinned: process.argv.includes("--allow-unpinned-index"),
  });
  return { image, said: `compression: ${image.stated.compression}\n` };
}

async function main() {
  const module = await Module.load(fs.readFileSync(wasm));
  const { image, said } = await (/^https?:/.test(layer) ? remote() : local(module));
  const reader = await module.open(image);
  if (path === undefined) {
    process.stdout.write(`${said}image: ${reader.size} bytes, ${reader.facts().inodes} inodes\n`);
    for await (const { path, type, nid } of reader.walk()) {
      const shown = type === "link" ? `${path} -> ${await reader.link(nid)}` : path;
      console.log(`${type.padEnd(9)} ${escaped(shown)}`);
    }
  } else {
    const nid = await reader.find(path);
    if (nid === undefined) throw new Error(`${path}: no such file in the image`);
    for await (const bytes of reader.read(nid)) fs.writeSync(1, bytes);
  }
  if (image instanceof Remote) {
    console.error(`fetched ${image.fetched} of ${image.size} bytes; the index was vouched for by ${reader.vouched}`);
  }
}

main().catch((error) => {
  console.error(`${layer}: ${error.message}`);
  process.exit(error instanceof Refused ? 1 : 3);
});
