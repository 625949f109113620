// erofs_unpack.wasm bound to JavaScript: a plain script for browsers and Node, without
// dependencies. host-wasm/ABI.md says what the calls mean.
"use strict";

const erofsUnpack = (() => {
  const UNPACKER = 1, CHECK = 3, READER = 4;
  const COMPRESSION = { none: 0n, gzip: 1n, zstd: 2n };
  const STATUS = {
    "-1": "refused", "-2": "no such handle", "-3": "out of order", "-4": "out of range",
    "-5": "no such key", "-6": "no such value", "-7": "no memory", "-8": "busy",
    "-9": "the image cannot be read",
  };
  const KINDS = ["", "truncated", "malformed", "unsupported", "limit", "mismatch", "memory", "usage"];
  const PLACES = ["", "blob", "image", "text", "document", "inode", "file", "layer"];
  const TYPES = ["", "file", "directory", "character device", "block device", "pipe", "socket", "link"];
  const text = (bytes) => new TextDecoder().decode(bytes);

  // The layer or image is refused: `id`, `kind` and `at` as in the vectors, the message for people.
  class Refused extends Error {}

  // Bytes that come in pieces and are read at any place.
  class Image {
    pieces = [];
    size = 0;

    add(bytes) {
      this.pieces.push({ start: this.size, bytes });
      this.size += bytes.length;
    }

    // Fills `to` from byte `offset` on; false when the image ends before.
    read(offset, to) {
      if (offset + to.length > this.size) return false;
      // The last piece that starts at or before the offset.
      let low = 0, high = this.pieces.length;
      while (low + 1 < high) {
        const middle = (low + high) >> 1;
        if (this.pieces[middle].start <= offset) low = middle; else high = middle;
      }
      for (let done = 0; done < to.length; low++) {
        const { start, bytes } = this.pieces[low];
        const from = offset + done - start;
        const part = bytes.subarray(from, from + to.length - done);
        to.set(part, done);
        done += part.length;
      }
      return true;
    }
  }

  // One instance of the module. Take a new one for each layer.
  class Module {
    static async load(wasm) {
      const module = new Module();
      const read_at = (offset, address, length) => {
        const bytes = module.memory(address >>> 0, length >>> 0);
        return module.image.read(Number(BigInt.asUintN(64, offset)), bytes) ? 0 : 1;
      };
      const { instance } = await WebAssembly.instantiate(wasm, { erofs_unpack: { read_at } });
      module.eu = instance.exports;
      if (module.eu.eu_version() !== 1) throw new Error("another version of the interface");
      return module;
    }

    // A view that holds until the next call, since memory may move when it grows.
    memory(address, length) {
      return new Uint8Array(this.eu.memory.buffer, address, length);
    }

    answer(length) {
      return this.memory(this.eu.eu_answer_address(), length);
    }

    // Puts bytes into the input buffer.
    put(bytes) {
      if (bytes.length > this.eu.eu_input_size()) throw new RangeError("too long");
      this.memory(this.eu.eu_input_address(), bytes.length).set(bytes);
      return bytes.length;
    }

    // A status, or what it stands for when it says that something failed.
    ok(handle, status) {
      if (status >= 0) return status;
      if (status !== -1) throw new Error(STATUS[status]);
      throw this.refused(this.eu.eu_error(handle), () => this.eu.eu_get_text(handle, 1));
    }

    // What a record says.
    refused(length, sentence) {
      const record = this.answer(length);
      const view = new DataView(record.buffer, record.byteOffset, length);
      const refused = {
        id: text(record.subarray(40, 40 + record[2])),
        kind: KINDS[record[0]],
        at: { [PLACES[record[1]]]: view.getBigUint64(8, true) },
        severity: length > 232 && view.getUint32(232, true) === 1 ? "warning" : "error",
      };
      return Object.assign(new Refused(text(this.answer(sentence()))), refused);
    }

    number(handle, key) {
      const status = this.eu.eu_get(handle, key);
      // What does not begin with a superblock has no number of that.
      return status === -6 ? undefined : (this.ok(handle, status), this.eu.eu_value());
    }

    facts(handle) {
      const [blockSize, blocks, inodes, root] = [3, 4, 5, 6].map((key) => this.number(handle, key));
      return { blockSize, blocks, inodes, root };
    }

    // Unpacks a layer from an iterable of its bytes. `stated` says what must be true of it:
    // compression or mediaType, and digest, diffId, size where they are known.
    async unpack(pieces, stated = {}) {
      const { eu } = this;
      const handle = eu.eu_open(UNPACKER);
      const image = new Image();
      const set = (key, value) => {
        if (value !== undefined) this.ok(handle, eu.eu_set(handle, key, BigInt(value)));
      };
      const setText = (key, value) => {
        if (!value) return;
        const length = this.put(new TextEncoder().encode(value));
        this.ok(handle, eu.eu_set_text(handle, key, length));
      };
      try {
        setText(1, stated.mediaType);
        set(1, stated.mediaType ? undefined : COMPRESSION[stated.compression]);
        set(3, stated.size);
        setText(3, stated.digest);
        setText(4, stated.diffId);
        this.ok(handle, eu.eu_start(handle));
        for await (const bytes of pieces) {
          for (let at = 0; at < bytes.length; at += eu.eu_input_size()) {
            this.push(handle, bytes.subarray(at, at + eu.eu_input_size()), image);
          }
        }
        this.ok(handle, eu.eu_finish(handle));
        // From here on the image is verified.
        return {
          image,
          digest: text(this.answer(this.ok(handle, eu.eu_get_text(handle, 2)))),
          diffId: text(this.answer(this.ok(handle, eu.eu_get_text(handle, 3)))),
          ...this.facts(handle),
        };
      } finally {
        eu.eu_close(handle);
      }
    }

    push(handle, bytes, image) {
      const { eu } = this;
      const length = this.put(bytes);
      let start = 0, status;
      do {
        status = this.ok(handle, eu.eu_push(handle, start, length - start));
        start += eu.eu_consumed();
        // A copy: the buffer is used again.
        if (eu.eu_produced()) image.add(this.memory(eu.eu_output_address(), eu.eu_produced()).slice());
      } while (start < length || status === 2);
    }

    // Checks an image; the findings, of which one with severity "error" refuses it.
    check(image, level = 1) {
      const { eu } = this;
      this.image = image;
      const handle = eu.eu_open(CHECK);
      try {
        this.ok(handle, eu.eu_set(handle, 16, BigInt(image.size)));
        this.ok(handle, eu.eu_set(handle, 17, BigInt(level)));
        this.ok(handle, eu.eu_start(handle));
        this.ok(handle, eu.eu_check(handle));
        const findings = [];
        for (let index = 0; index < Number(this.number(handle, 16)); index++) {
          const finding = this.refused(
            this.ok(handle, eu.eu_finding(handle, index)),
            () => eu.eu_finding_text(handle, index),
          );
          finding.path = text(this.answer(this.ok(handle, eu.eu_finding_path(handle, index))));
          findings.push(finding);
        }
        return findings;
      } finally {
        eu.eu_close(handle);
      }
    }

    // A reader of an image.
    open(image) {
      const { eu } = this;
      this.image = image;
      const handle = eu.eu_open(READER);
      this.ok(handle, eu.eu_set(handle, 16, BigInt(image.size)));
      this.ok(handle, eu.eu_start(handle));
      return new Reader(this, handle);
    }
  }

  class Reader {
    constructor(module, handle) {
      Object.assign(this, { module, handle, eu: module.eu });
      this.root = module.number(handle, 6);
    }

    // The number of the file at a path.
    find(path) {
      const length = this.module.put(new TextEncoder().encode(path));
      const status = this.eu.eu_find(this.handle, length);
      return status === -6 ? undefined : (this.module.ok(this.handle, status), this.eu.eu_value());
    }

    file(nid) {
      const length = this.module.ok(this.handle, this.eu.eu_file(this.handle, nid));
      const record = this.module.answer(length);
      const view = new DataView(record.buffer, record.byteOffset, length);
      const [, mode, uid, gid, links, major, minor] =
        [24, 28, 32, 36, 40, 44, 48].map((at) => view.getUint32(at, true));
      const size = view.getBigUint64(8, true), time = view.getBigInt64(16, true);
      return { nid, size, time, mode, uid, gid, links, major, minor };
    }

    // The entries of a directory.
    *list(nid) {
      let place = 0n;
      do {
        const length = this.module.ok(this.handle, this.eu.eu_list(this.handle, nid, place));
        place = this.eu.eu_value();
        // A copy, since whoever takes an entry may call the module before the next one.
        const entries = this.module.answer(length).slice();
        const view = new DataView(entries.buffer);
        for (let at = 0; at < length; at += 10 + entries[at + 9]) {
          yield {
            nid: view.getBigUint64(at, true),
            type: TYPES[entries[at + 8]],
            name: text(entries.subarray(at + 10, at + 10 + entries[at + 9])),
          };
        }
      } while (place !== 0n);
    }

    // All below a directory, with paths.
    *walk(nid = this.root, path = "") {
      for (const entry of this.list(nid)) {
        const below = `${path}/${entry.name}`;
        yield { ...entry, path: below };
        if (entry.type === "directory") yield* this.walk(entry.nid, below);
      }
    }

    // The content of a regular file, in pieces.
    *read(nid) {
      const size = this.eu.eu_output_size();
      for (let offset = 0n; ; ) {
        const length = this.module.ok(this.handle, this.eu.eu_read(this.handle, nid, offset, size));
        if (length > 0) yield this.module.memory(this.eu.eu_output_address(), length).slice();
        if (length < size) return;
        offset += BigInt(length);
      }
    }

    // The target of a symbolic link.
    link(nid) {
      return text(this.module.answer(this.module.ok(this.handle, this.eu.eu_link(this.handle, nid))));
    }

    close() {
      this.eu.eu_close(this.handle);
    }
  }

  // How a layer looks to be compressed. The module has the last word.
  const compression = (head) => {
    const starts = (...bytes) => bytes.every((byte, at) => head[at] === byte);
    if (starts(0x1f, 0x8b)) return "gzip";
    // A frame, or a skippable one before it.
    if (starts(0x28, 0xb5, 0x2f, 0xfd)) return "zstd";
    if ((head[0] & 0xf0) === 0x50 && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18) return "zstd";
    return "none";
  };

  return { Module, Image, Refused, compression };
})();

if (typeof module !== "undefined") module.exports = erofsUnpack;
