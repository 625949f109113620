#!/usr/bin/env node
// Runs the WASI program under Node: `node run_in_node.js MODULE ARGUMENT...`. It may use all of the file
// system that the user may; WASI knows no folder to be in, so paths are best absolute.
"use strict";

// Its warning that WASI is experimental would stand among the program's own words.
process.removeAllListeners("warning");
process.on("warning", () => {});
const fs = require("node:fs");
const { WASI } = require("node:wasi");

const [file, ...rest] = process.argv.slice(2);
const wasi = new WASI({
  version: "preview1",
  args: ["erofs-unpack", ...rest],
  env: process.env.TMPDIR ? { TMPDIR: process.env.TMPDIR } : {},
  preopens: { "/": "/" },
});
const program = new WebAssembly.Module(fs.readFileSync(file));
process.exitCode = wasi.start(new WebAssembly.Instance(program, wasi.getImportObject()));
