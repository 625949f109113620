// The page: a layer comes in, what it is comes out.
"use strict";

const { Module, Refused, compression } = erofsUnpack;
const at = (id) => document.getElementById(id);
// The module, which module.js holds, so that the page works from a folder, without a server.
const wasm = Uint8Array.from(atob(erofsUnpackModule), (sign) => sign.charCodeAt(0));
// Whose turn it is: a layer that comes later ends the work on the one before.
let turn = 0;

// An element with a text. Names come from strangers and are never read as markup.
const element = (name, text = "", properties = {}) =>
  Object.assign(document.createElement(name), { textContent: text }, properties);

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
      row.append(element("th", name), element("td", String(value)));
      return row;
    }),
  );
}

// A file is taken out by a click on it.
function save(reader, entry) {
  // With a type, or the browser adds an ending to the name.
  const content = new Blob([...reader.read(entry.nid)], { type: "application/octet-stream" });
  const link = element("a", "", {
    href: URL.createObjectURL(content),
    download: entry.name,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// A directory's entries; those below are read when it is opened.
function tree(list, reader, nid) {
  for (const entry of reader.list(nid)) {
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
      item.append(button, element("span", ` ${reader.file(entry.nid).size} bytes`, { className: "size" }));
    } else if (entry.type === "link") {
      item.append(`${entry.name} → ${reader.link(entry.nid)}`);
    } else {
      item.append(`${entry.name} (${entry.type})`);
    }
    list.append(item);
  }
}

// Runs something and says what it refuses.
async function told(work) {
  try {
    await work();
  } catch (error) {
    say("refused", error instanceof Refused ? `Refused: ${error.message}` : `Failed: ${error.message}`);
  }
}

async function show(file) {
  const mine = ++turn;
  for (const id of ["findings", "facts", "tree"]) at(id).replaceChildren();
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
    const findings = module.check(layer.image);
    at("findings").append(
      ...findings.map(({ severity, message, path }) => element("li", `${severity}: ${message} ${path}`)),
    );
    facts({
      File: file.name,
      Compression: stated.compression,
      Digest: `${layer.digest}${stated.digest ? ", as stated" : ""}`,
      diffID: `${layer.diffId}${stated.diffId ? ", as stated" : ""}`,
      Image: `${layer.image.size} bytes, ${layer.blocks} blocks of ${layer.blockSize}, ${layer.inodes} inodes`,
    });
    if (findings.some(({ severity }) => severity === "error")) {
      say("refused", "Refused: the check of the image found errors");
      return;
    }
    say("passed", "An EROFS image that passes all checks");
    const reader = module.open(layer.image);
    tree(at("tree"), reader, reader.root);
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
