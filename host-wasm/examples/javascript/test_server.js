// What the tests of layers at a URL share: a server on this machine, and a layer to serve.
"use strict";

const { createHash } = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");

const sha256 = (bytes) => createHash("sha256").update(bytes).digest();

// A plain layer in chunks of so many bytes with its chunk index, and its descriptor: the EROFS image
// layer specification (draft), 3.4.
function indexed(image, size) {
  const count = Math.ceil(image.length / size);
  const header = Buffer.alloc(32);
  header.writeUInt32LE(0x67ece4cd, 0);
  header.writeUInt8(1, 4); // version; compression none, no flags
  header.writeBigUInt64LE(BigInt(image.length), 8);
  header.writeUInt32LE(count, 16);
  header.set([1, 32], 20); // SHA-256
  const entries = Array.from({ length: count }, (_, number) => {
    const entry = Buffer.alloc(48);
    entry.writeBigUInt64LE(BigInt(number * size), 0);
    entry.writeBigUInt64LE(BigInt(number * size), 8);
    entry.set(sha256(image.subarray(number * size, (number + 1) * size)), 16);
    return entry;
  });
  const index = Buffer.concat([header, ...entries]);
  const blob = Buffer.concat([image, index]);
  const annotations = {
    "org.erofs.chunk-index.range": `${image.length}:${blob.length}`,
    "org.erofs.chunk-index.digest": `sha256:${sha256(index).toString("hex")}`,
  };
  return { blob, descriptor: { mediaType: "application/vnd.erofs", size: blob.length, annotations } };
}

// Serves blobs by their names, below /parts as far as they are asked for, below /whole always whole,
// below /page the files of a folder. `served` counts the bytes that went out of /parts.
async function serve(blobs, folder) {
  const told = { served: 0 };
  const server = http.createServer((request, answer) => {
    const [, kind, name] = request.url.split("/");
    // Pages from elsewhere may ask too, and see where the part lies.
    answer.setHeader("Access-Control-Allow-Origin", "*");
    answer.setHeader("Access-Control-Expose-Headers", "Content-Range");
    if (kind === "page") {
      const file = path.join(folder, path.basename(name));
      if (name.endsWith(".html")) answer.setHeader("Content-Type", "text/html");
      if (name.endsWith(".js")) answer.setHeader("Content-Type", "text/javascript");
      return answer.end(fs.readFileSync(file));
    }
    const blob = blobs[name];
    if (!blob) return answer.writeHead(404).end();
    if (kind === "whole") return answer.end(blob);
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range).map(Number);
    if (first >= blob.length) return answer.writeHead(416).end();
    const part = blob.subarray(first, last + 1);
    told.served += part.length;
    const range = `bytes ${first}-${first + part.length - 1}/${blob.length}`;
    return answer.writeHead(206, { "Content-Range": range, "Content-Length": part.length }).end(part);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  told.url = `http://127.0.0.1:${server.address().port}`;
  told.close = () => {
    server.close();
    server.closeAllConnections();
  };
  return told;
}

module.exports = { indexed, serve };
