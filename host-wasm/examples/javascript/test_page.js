// Drives the page in headless Chromium, which is spoken to through a pipe:
//
//   node test_page.js CHROMIUM FOLDER VECTORS SCREENSHOT
//
// FOLDER is what the script `page` made, VECTORS the folder of that name.
"use strict";

const assert = require("node:assert");
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const { indexed, serve } = require("./test_server.js");

const [chromium, folder, vectors, screenshot] = process.argv.slice(2);
const base = (name) => path.resolve(vectors, "bases", name);
const work = fs.mkdtempSync(path.join(os.tmpdir(), "page-"));

const browser = spawn(
  chromium,
  ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
    `--user-data-dir=${work}/profile`, "--remote-debugging-pipe"],
  { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
);
const [out, back] = [browser.stdio[3], browser.stdio[4]];
let last = 0;
let session;
let rest = "";
const waiting = new Map();
back.on("data", (bytes) => {
  const messages = (rest + bytes).split("\0");
  rest = messages.pop();
  for (const message of messages.map((text) => JSON.parse(text))) {
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  }
});

// A command of the DevTools protocol.
function ask(method, params = {}) {
  const id = ++last;
  out.write(`${JSON.stringify({ id, method, params, sessionId: session })}\0`);
  return new Promise((done, failed) =>
    waiting.set(id, ({ result, error }) => (error ? failed(new Error(`${method}: ${error.message}`)) : done(result))));
}

async function evaluate(expression) {
  const { result, exceptionDetails } = await ask("Runtime.evaluate", { expression, awaitPromise: true });
  assert(!exceptionDetails, exceptionDetails?.exception?.description);
  return result.value;
}

// Waits until an expression is true.
async function until(expression) {
  for (let tries = 0; tries < 300; tries++) {
    if (await evaluate(expression)) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  assert.fail(`${expression}; the page says: ${await evaluate("document.body.innerText")}`);
}

async function choose(file) {
  await evaluate("document.getElementById('verdict').textContent = ''");
  const { root } = await ask("DOM.getDocument");
  const { nodeId } = await ask("DOM.querySelector", { nodeId: root.nodeId, selector: "#file" });
  await ask("DOM.setFileInputFiles", { nodeId, files: [file] });
}

const shown = () => evaluate("document.body.innerText");
const passed = "document.getElementById('verdict').textContent.includes('passes all checks')";
const refused = "document.getElementById('verdict').className === 'refused' && document.getElementById('verdict').textContent !== ''";

async function test() {
  const { targetId } = await ask("Target.createTarget", { url: `file://${path.resolve(folder)}/index.html` });
  await ask("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: work });
  session = (await ask("Target.attachToTarget", { targetId, flatten: true })).sessionId;
  const screen = { width: 900, height: 900, deviceScaleFactor: 1, mobile: false };
  await ask("Emulation.setDeviceMetricsOverride", screen);
  await until("document.readyState === 'complete' && typeof show === 'function'");

  // A layer is told apart, verified and listed.
  await choose(base("demo-3.erofs.gz"));
  await until(passed);
  const text = await shown();
  assert.match(text, /Compression\s+gzip/);
  assert.match(text, /diffID\s+sha256:fb0343305bd53d2f4db486811726ae227b5ad5c46a065df86dacc78b48a9b69c/);
  assert.match(text, /hello → etc\/greeting/);

  // A directory opens, and a file comes out of it.
  await evaluate("document.querySelector('#tree details').open = true");
  await until("document.querySelector('#tree details button') !== null");
  await evaluate("document.querySelector('#tree details button').click()");
  const name = await evaluate("document.querySelector('#tree details button').textContent");
  const size = await evaluate("parseInt(document.querySelector('#tree details .size').textContent)");
  const file = path.join(work, name);
  for (let tries = 0; tries < 100 && !(fs.existsSync(file) && fs.statSync(file).size === size); tries++) {
    await new Promise((done) => setTimeout(done, 100));
  }
  assert.strictEqual(fs.readFileSync(file).length, size);
  // Nothing is wider than the window.
  assert(await evaluate("document.documentElement.scrollWidth <= innerWidth"));
  // The whole page and no empty room below it, sharp on any screen.
  const height = await evaluate("document.body.getBoundingClientRect().bottom + 24");
  const clip = { x: 0, y: 0, width: screen.width, height, scale: 2 };
  const { data } = await ask("Page.captureScreenshot", { clip });
  fs.writeFileSync(screenshot, Buffer.from(data, "base64"));

  // The same by dropping it, plain and zstd.
  for (const name of ["small.erofs", "small.erofs.zst"]) {
    const bytes = fs.readFileSync(base(name)).toString("base64");
    await evaluate(`{
      document.getElementById('verdict').textContent = '';
      const bytes = Uint8Array.from(atob('${bytes}'), (sign) => sign.charCodeAt(0));
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([bytes], '${name}'));
      document.getElementById('drop').dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true }));
    }`);
    await until(passed);
    assert.match(await shown(), /etc\//);
  }

  // Another diffID than the stated one, and what is no layer.
  await evaluate("document.getElementById('diff-id').value = 'sha256:' + '0'.repeat(64)");
  await choose(base("small.erofs.zst"));
  await until(refused);
  assert.match(await shown(), /does not have the stated diffID/);
  assert.strictEqual(await evaluate("document.getElementById('tree').children.length"), 0);
  await evaluate("document.getElementById('diff-id').value = ''");
  await choose(path.join(vectors, "manifest.json"));
  await until(refused);

  // Layers at a URL, from a page that is a file and from one that is served.
  const plain = indexed(fs.readFileSync(base("demo-1.erofs")), 512);
  const changed = Buffer.from(plain.blob);
  changed[1100] ^= 1;
  const zstd = fs.readFileSync(path.resolve(vectors, "cases/chunk-index/embedded.erofs.zst"));
  const server = await serve({ "plain.erofs": plain.blob, "changed.erofs": changed, "indexed.erofs.zst": zstd }, folder);
  try {
    await remote(server, plain);
    await ask("Page.navigate", { url: `${server.url}/page/index.html` });
    await until("document.readyState === 'complete' && typeof browse === 'function'");
    await remote(server, plain);
  } finally {
    server.close();
  }
}

const fact = (name) => evaluate(`document.querySelector("[data-fact='${name}']").textContent`);
const verdict = "document.getElementById('verdict')";

// Opens a layer at a URL, and waits until an expression is true.
async function open(url, descriptor, unpinned, expected) {
  await evaluate(`{
    document.getElementById('url').value = ${JSON.stringify(url)};
    document.getElementById('descriptor').value = ${JSON.stringify(descriptor ? JSON.stringify(descriptor) : "")};
    document.getElementById('unpinned').checked = ${unpinned};
    ${verdict}.textContent = '';
    document.querySelector('#remote button').click();
  }`);
  await until(expected);
}

async function remote(server, { blob, descriptor }) {
  const parts = (name) => `${server.url}/parts/${name}`;
  const said = (className, text) => `${verdict}.className === '${className}' && ${verdict}.textContent.includes('${text}')`;

  // The root is listed, and what was fetched for it is shown.
  server.served = 0;
  await open(parts("plain.erofs"), descriptor, false, said("passed", "each is verified"));
  await until("document.querySelector('#tree details') !== null");
  assert.match(await fact("Index"), /32 chunks, vouched for by its digest/);
  const counted = async () => (await fact("Fetched")).match(/\d+/g).map(Number);
  const [first, size] = await counted();
  assert.deepStrictEqual([first, size], [server.served, blob.length]);
  assert(first < size / 2, `${first} of ${size}`);

  // A directory opens, and a file comes out of it.
  await evaluate("for (const below of document.querySelectorAll('#tree details')) below.open = true");
  const button = "document.querySelector('#tree details button')";
  await until(`${button} !== null && document.querySelector('#tree details .size') !== null`);
  const name = await evaluate(`${button}.textContent`);
  const length = await evaluate("parseInt(document.querySelector('#tree details .size').textContent)");
  const file = path.join(work, name);
  fs.rmSync(file, { force: true });
  await evaluate(`${button}.click()`);
  for (let tries = 0; tries < 100 && !(fs.existsSync(file) && fs.statSync(file).size === length); tries++) {
    await new Promise((done) => setTimeout(done, 100));
  }
  assert.strictEqual(fs.readFileSync(file).length, length);

  // Its metadata can be checked, which may take more of it.
  await evaluate("document.getElementById('check').click()");
  await until(said("passed", "whose metadata passes all checks"));
  const [all] = await counted();
  assert(all === server.served && all >= first && all < size, `${all} of ${size}`);
  assert(await evaluate("document.documentElement.scrollWidth <= innerWidth"));

  // An index that nothing vouches for, at the end of the blob.
  await open(parts("indexed.erofs.zst"), undefined, false, said("refused", "Refused: "));
  assert.strictEqual(await evaluate("document.getElementById('tree').children.length"), 0);
  await open(parts("indexed.erofs.zst"), undefined, true, said("doubtful", "Nobody vouches for its index"));
  await until("document.getElementById('tree').children.length > 0");
  assert.match(await fact("Index"), /3 chunks, vouched for by nobody/);

  // Another chunk than the stated one, a server that serves no parts, and one that has no such layer.
  await open(parts("changed.erofs"), descriptor, false, said("refused", "Refused: "));
  await open(`${server.url}/whole/plain.erofs`, descriptor, false, said("refused", "does not serve parts of it"));
  await open(parts("none"), descriptor, false, said("refused", "the server says 404"));
}

test().then(
  () => 0,
  (error) => {
    console.error(error);
    return 1;
  },
).then((code) => {
  browser.on("exit", () => {
    fs.rmSync(work, { recursive: true, force: true });
    process.exit(code);
  });
  browser.kill();
});
