// Holds layer.js against layers at a URL:
//
//   node test_remote.js MODULE VECTORS
"use strict";

const assert = require("node:assert");
const { execFile } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const { indexed, serve } = require("./test_server.js");

const [wasm, vectors] = process.argv.slice(2);
const read = (name) => fs.readFileSync(path.join(vectors, name));

// What the script says of a URL.
const layer = (...words) =>
  new Promise((done) => {
    const script = path.join(__dirname, "layer.js");
    execFile(process.execPath, [script, wasm, ...words], (error, stdout, stderr) =>
      done({ code: error?.code ?? 0, stdout, stderr }));
  });

async function test() {
  const plain = indexed(read("bases/demo-1.erofs"), 512);
  const changed = Buffer.from(plain.blob);
  changed[1100] ^= 1;
  const server = await serve({
    "plain.erofs": plain.blob,
    "changed.erofs": changed,
    "indexed.erofs.zst": read("cases/chunk-index/embedded.erofs.zst"),
    "small.erofs.zst": read("bases/small.erofs.zst"),
  });
  const parts = (name) => `${server.url}/parts/${name}`;
  const { annotations } = plain.descriptor;
  const range = `--index-range=${annotations["org.erofs.chunk-index.range"]}`;
  const digest = `--index-digest=${annotations["org.erofs.chunk-index.digest"]}`;
  try {
    // The tree is that of the image, and less than that was fetched.
    const listed = await layer(parts("plain.erofs"), range, digest);
    assert.strictEqual(listed.code, 0, listed.stderr);
    const local = await layer(path.join(vectors, "bases/demo-1.erofs"));
    const tree = (text) => text.slice(text.indexOf("image: "));
    assert.strictEqual(tree(listed.stdout), tree(local.stdout));
    const [, fetched, size] = /^fetched (\d+) of (\d+) bytes/.exec(listed.stderr).map(Number);
    assert.strictEqual(fetched, server.served);
    assert(size === plain.blob.length && fetched < size / 2, listed.stderr);
    assert.match(listed.stderr, /vouched for by its digest/);

    // A file of a zstd layer whose index is looked for.
    const small = "--index-digest=sha256:4ec31ba74e0fda9d494d04211ce4f2cddaaac5a1c9996d70a468d52fb5b8497c";
    for (const flag of [small, "--allow-unpinned-index"]) {
      const all = await layer(parts("indexed.erofs.zst"), flag);
      assert.strictEqual(all.code, 0, all.stderr);
      const [, file] = /^file +(\S+)$/m.exec(all.stdout);
      const taken = await layer(parts("indexed.erofs.zst"), flag, file);
      const expected = await layer(path.join(vectors, "bases/small.erofs"), file);
      assert.strictEqual(taken.code, 0, taken.stderr);
      assert.strictEqual(taken.stdout, expected.stdout);
      assert.notStrictEqual(taken.stdout, "");
    }

    // What nobody vouches for, another index than the stated one, and a chunk that is another.
    const refused = async (words, says) => {
      const said = await layer(...words);
      assert.strictEqual(said.code, 1, said.stderr);
      assert.match(said.stderr, says);
      assert.strictEqual(said.stdout.includes("file "), false);
    };
    await refused([parts("indexed.erofs.zst")], /has no digest that somebody vouches for/);
    await refused([parts("plain.erofs"), range, small], /does not have the digest/);
    await refused([parts("changed.erofs"), range, digest], /does not have the checksum that the index states/);

    // What is not served so, is no such layer, or is not there.
    const failed = async (words, says) => {
      const said = await layer(...words);
      assert.strictEqual(said.code, 3, said.stderr);
      assert.match(said.stderr, says);
    };
    await failed([`${server.url}/whole/plain.erofs`, range, digest], /does not serve parts of it/);
    await failed([parts("small.erofs.zst")], /has no chunk index/);
    await failed([parts("none")], /says 404/);
    await failed([parts("plain.erofs"), range, digest, "/no/such"], /no such file/);
  } finally {
    server.close();
  }
}

test().catch((error) => {
  console.error(error);
  process.exit(1);
});
