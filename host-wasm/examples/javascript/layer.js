#!/usr/bin/env node
// Says what a layer is, verifies it and lists its files, or writes one of them to stdout:
//
//   node layer.js MODULE LAYER [--digest=D] [--diff-id=D] [PATH]
//
// MODULE is erofs_unpack.wasm, which host-wasm/build makes. Exit code 1: the layer is refused.
"use strict";

const fs = require("node:fs");
const { Module, Refused, compression } = require("./erofs_unpack.js");

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

async function main() {
  const module = await Module.load(fs.readFileSync(wasm));
  const file = fs.openSync(layer);
  const head = Buffer.alloc(4);
  fs.readSync(file, head, 0, 4, 0);
  const stated = {
    compression: compression(head),
    digest: flag("digest"),
    diffId: flag("diff-id"),
    size: fs.fstatSync(file).size,
  };
  const unpacked = await module.unpack(pieces(file), stated);
  const findings = module.check(unpacked.image);
  for (const finding of findings) console.error(`${finding.severity}: ${finding.message}`);
  if (findings.some((finding) => finding.severity === "error")) process.exit(1);

  const reader = module.open(unpacked.image);
  if (path === undefined) {
    console.log(`compression: ${stated.compression}`);
    console.log(`digest: ${unpacked.digest}`);
    console.log(`diffID: ${unpacked.diffId}`);
    console.log(`image: ${unpacked.image.size} bytes, ${unpacked.inodes} inodes`);
    for (const { path, type, nid } of reader.walk()) {
      const shown = type === "link" ? `${path} -> ${reader.link(nid)}` : path;
      console.log(`${type.padEnd(9)} ${escaped(shown)}`);
    }
    return;
  }
  const nid = reader.find(path);
  if (nid === undefined) throw new Error(`${path}: no such file in the image`);
  for (const bytes of reader.read(nid)) fs.writeSync(1, bytes);
}

main().catch((error) => {
  console.error(`${layer}: ${error.message}`);
  process.exit(error instanceof Refused ? 1 : 3);
});
