// The page: a layer comes in, what it is comes out.
"use strict";

const { Module, Refused, Remote, compression } = erofsUnpack;
const at = (id) => document.getElementById(id);
// The module, which module.js holds, so that the page works from a folder, without a server.
const wasm = Uint8Array.from(atob(erofsUnpackModule), (sign) => sign.charCodeAt(0));
// Whose turn it is: a layer that comes later ends the work on the one before.
let turn = 0;

// An element with a text. Names come from strangers and are never read as markup.
const element = (name, text = "", properties = {}) =>
  Object.assign(document.createElement(name), { textContent: text }, properties);

// Names of annotations that lead to a chunk index, and the type of those that are known.
const ANNOTATION = "org.erofs.chunk-index.";
const CHUNK_INDEX = "application/vnd.erofs.chunk-index.v1";

async function* pieces(file, mine) {
  const size = 1 << 20;
  for (let start = 0; start < file.size && mine === turn; start += size) {
    yield new Uint8Array(await file.slice(start, start + size).arrayBuffer());
    say("", `unpacking: ${Math.floor((100 * start) / file.size)} %`);
  }
}

function say(verdict, text) {
  Object.assign(at("verdict"), { className: verdict, textContent: text });
}

function facts(rows) {
  at("facts").replaceChildren(
    ...Object.entries(rows).map(([name, value]) => {
      const row = element("tr");
      const cell = element("td", String(value));
      cell.dataset.fact = name;
      row.append(element("th", name), cell);
      return row;
    }),
  );
}

// What was found, and whether it refuses the image.
function findings(found) {
  at("findings").replaceChildren(
    ...found.map(({ severity, message, path }) => element("li", `${severity}: ${message} ${path}`)),
  );
  return found.some(({ severity }) => severity === "error");
}

// Empties the page for another layer.
function clear() {
  for (const id of ["findings", "facts", "tree"]) at(id).replaceChildren();
  at("check").hidden = true;
  return ++turn;
}

// A file is taken out by a click on it.
async function save(reader, entry) {
  const pieces = [];
  for await (const bytes of reader.read(entry.nid)) pieces.push(bytes);
  // With a type, or the browser adds an ending to the name.
  const content = new Blob(pieces, { type: "application/octet-stream" });
  const link = element("a", "", {
    href: URL.createObjectURL(content),
    download: entry.name,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// A directory's entries; those below are read when it is opened.
async function tree(list, reader, nid) {
  const mine = turn;
  for await (const entry of reader.list(nid)) {
    if (mine !== turn) return;
    const item = element("li");
    if (entry.type === "directory") {
      const details = element("details");
      const below = element("ul");
      details.append(element("summary", `${entry.name}/`), below);
      const open = () => tree(below, reader, entry.nid);
      details.addEventListener("toggle", () => told(open), { once: true });
      item.append(details);
    } else if (entry.type === "file") {
      const button = element("button", entry.name, { type: "button" });
      button.addEventListener("click", () => told(() => save(reader, entry)));
      item.append(button, element("span", ` ${(await reader.file(entry.nid)).size} bytes`, { className: "size" }));
    } else if (entry.type === "link") {
      item.append(`${entry.name} → ${await reader.link(entry.nid)}`);
    } else {
      item.append(`${entry.name} (${entry.type})`);
    }
    list.append(item);
  }
}

// Runs something and says what it refuses, as long as nothing else was begun.
async function told(work) {
  const mine = turn;
  try {
    await work();
  } catch (error) {
    if (mine === turn) say("refused", error instanceof Refused ? `Refused: ${error.message}` : `Failed: ${error.message}`);
  }
}

async function show(file) {
  const mine = clear();
  await told(async () => {
    const head = new Uint8Array(await file.slice(0, 4).arrayBuffer());
    const stated = {
      compression: compression(head),
      size: file.size,
      digest: at("digest").value.trim(),
      diffId: at("diff-id").value.trim(),
    };
    const module = await Module.load(wasm);
    const layer = await module.unpack(pieces(file, mine), stated);
    if (mine !== turn) return;
    const isRefused = findings(await module.check(layer.image));
    facts({
      File: file.name,
      Compression: stated.compression,
      Digest: `${layer.digest}${stated.digest ? ", as stated" : ""}`,
      diffID: `${layer.diffId}${stated.diffId ? ", as stated" : ""}`,
      Image: `${layer.image.size} bytes, ${layer.blocks} blocks of ${layer.blockSize}, ${layer.inodes} inodes`,
    });
    if (isRefused) {
      say("refused", "Refused: the check of the image found errors");
      return;
    }
    say("passed", "An EROFS image that passes all checks");
    const reader = await module.open(layer.image);
    await tree(at("tree"), reader, reader.root);
  });
}

// What a descriptor says, as a manifest has it.
function described(text, allowUnpinned) {
  const { mediaType, size, annotations = {} } = text ? JSON.parse(text) : {};
  const [range, digest, type] = ["range", "digest", "media-type"].map((name) => annotations[ANNOTATION + name]);
  if (type !== undefined && type !== CHUNK_INDEX) throw new Error(`its index is none that is known here: ${type}`);
  return { mediaType, size, indexRange: range, indexDigest: digest, allowUnpinned };
}

// Opens a layer at a URL, and fetches of it what is looked at.
async function browse() {
  const mine = clear();
  say("", "opening");
  await told(async () => {
    const url = new URL(at("url").value.trim(), document.baseURI).href;
    const stated = described(at("descriptor").value.trim(), at("unpinned").checked);
    const module = await Module.load(wasm);
    const layer = await Remote.open(url, stated);
    const reader = await module.open(layer);
    if (mine !== turn) return;
    const { blockSize, blocks, inodes } = reader.facts();
    const fetched = () => `${layer.fetched} of ${layer.size} bytes, in ${layer.requests} requests`;
    facts({
      Layer: url,
      Type: stated.mediaType ?? stated.compression,
      Index: `${reader.chunks} chunks, vouched for by ${reader.vouched}`,
      Image: `${reader.size} bytes, ${blocks} blocks of ${blockSize}, ${inodes} inodes`,
      Fetched: fetched(),
    });
    layer.progress = () => {
      if (mine === turn) document.querySelector("[data-fact=Fetched]").textContent = fetched();
    };
    if (reader.vouched === "nobody") {
      say("doubtful", "An EROFS image, read in parts. Nobody vouches for its index: unpacked, it may be another");
    } else {
      say("passed", "An EROFS image, read in parts: each is verified when it is fetched");
    }
    at("check").hidden = false;
    at("check").onclick = () => told(async () => {
      const isRefused = findings(await module.check(layer));
      if (mine !== turn) return;
      if (isRefused) say("refused", "Refused: the check of the image's metadata found errors");
      else say(at("verdict").className, "An EROFS image, read in parts, whose metadata passes all checks");
    });
    await tree(at("tree"), reader, reader.root);
  });
}

const drop = at("drop");
drop.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer.files.length) show(event.dataTransfer.files[0]);
});
at("file").addEventListener("change", (event) => {
  if (event.target.files.length) show(event.target.files[0]);
  event.target.value = "";
});
at("remote").addEventListener("submit", (event) => {
  event.preventDefault();
  browse();
});
