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
