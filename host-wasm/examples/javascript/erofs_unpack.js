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
  const PLACES = ["", "blob", "image", "text", "document", "inode", "file", "layer", "index"];
  const VOUCHED = ["nobody", "whoever verified the blob", "its digest"];
  const TYPES = ["", "file", "directory", "character device", "block device", "pipe", "socket", "link"];
  // How much of a layer at a URL is kept, in bytes.
  const KEPT = 32 << 20;
  // How much of its image a check keeps decoded, in bytes: it begins anew with each part that has to
  // be fetched, and what it has read before is not to be decoded again.
  const CHECKED = 512 << 20;
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

    // Makes a call that reads it: all of it is here.
    async reading(call) {
      return call();
    }
  }

  // The blob of a layer at a URL, of which no more is fetched than what is read. `stated` says what
  // is known of it: mediaType or compression, size, indexRange and indexDigest (the annotations
  // org.erofs.chunk-index.range and .digest), and allowUnpinned, to read it without those.
  class Remote {
    // What was fetched last, so that a check after a reader does not fetch it again.
    kept = [];
    fetched = 0;
    requests = 0;

    static async open(url, stated = {}) {
      const remote = Object.assign(new Remote(), { url, stated });
      // How it begins says how it is compressed, and the answer how long it is.
      const { bytes, size } = await remote.fetch({ offset: 0, length: 4 });
      remote.size = stated.size ?? size;
      if (remote.size === undefined) throw new Error("the server does not say how long it is: state its size");
      if (!stated.mediaType) stated.compression ??= compression(bytes);
      return remote;
    }

    async fetch({ offset, length }) {
      const last = offset + length - 1;
      this.requests++;
      const part = () => fetch(this.url, { headers: { Range: `bytes=${offset}-${last}` } });
      // The server may have closed the connection meanwhile: once more, over a new one.
      const answer = await part().catch(part);
      if (answer.status !== 206) {
        // What comes is not wanted: all of it, or a page that says what is wrong.
        await answer.body?.cancel();
        throw new Error(answer.ok
          ? "the server does not serve parts of it (HTTP ranges): it would have to be fetched whole"
          : `the server says ${answer.status} ${answer.statusText}`);
      }
      const bytes = new Uint8Array(await answer.arrayBuffer());
      this.fetched += bytes.length;
      // A server of another origin may keep this header from us.
      const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.headers.get("Content-Range") ?? "");
      if (bytes.length !== length || (range && Number(range[1]) !== offset)) {
        throw new Error(`the server gave other bytes than ${offset} to ${last}`);
      }
      this.progress?.();
      return { offset, bytes, size: range ? Number(range[2]) : undefined };
    }

    // Fills `to` from byte `offset` on; false when that has to be fetched first.
    read(offset, to) {
      for (const piece of [...this.own, ...this.kept]) {
        const from = offset - piece.offset;
        if (from >= 0 && from + to.length <= piece.bytes.length) {
          to.set(piece.bytes.subarray(from, from + to.length));
          return true;
        }
      }
      this.missing = { offset, length: to.length };
      return false;
    }

    keep(piece) {
      this.kept.push(piece);
      let size = this.kept.reduce((sum, { bytes }) => sum + bytes.length, 0);
      while (size > KEPT) size -= this.kept.shift().bytes.length;
    }

    // Makes a call that reads it, again and again until all that it needs was fetched: that stays
    // here until the call has come to its end.
    async reading(call) {
      const own = [];
      for (;;) {
        Object.assign(this, { own, missing: undefined });
        let missing;
        try {
          return call();
        } catch (error) {
          ({ missing } = this);
          if (!missing) throw error;
        }
        if (missing.offset + missing.length > this.size) throw new Error("the blob ends before that");
        const piece = await this.fetch(missing);
        own.push(piece);
        this.keep(piece);
      }
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

    set(handle, key, value) {
      if (value !== undefined) this.ok(handle, this.eu.eu_set(handle, key, BigInt(value)));
    }

    setText(handle, key, value) {
      if (!value) return;
      const length = this.put(new TextEncoder().encode(value));
      this.ok(handle, this.eu.eu_set_text(handle, key, length));
    }

    // Unpacks a layer from an iterable of its bytes. `stated` says what must be true of it:
    // compression or mediaType, and digest, diffId, size where they are known.
    async unpack(pieces, stated = {}) {
      const { eu } = this;
      const handle = eu.eu_open(UNPACKER);
      const image = new Image();
      try {
        this.layer(handle, stated);
        this.setText(handle, 3, stated.digest);
        this.setText(handle, 4, stated.diffId);
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

    // What the blob of a layer is.
    layer(handle, { mediaType, compression, size }) {
      this.setText(handle, 1, mediaType);
      this.set(handle, 1, mediaType ? undefined : COMPRESSION[compression]);
      this.set(handle, 3, size);
    }

    // Starts what looks at an image, or at that in the chunks of a blob.
    async start(handle, image) {
      this.image = image;
      if (image instanceof Remote) {
        const { stated, size } = image;
        this.layer(handle, { ...stated, size });
        this.set(handle, 27, 1);
        this.set(handle, 28, stated.allowUnpinned ? 2 : 0);
        this.setText(handle, 8, stated.indexRange);
        this.setText(handle, 9, stated.indexDigest);
      } else {
        this.set(handle, 16, image.size);
      }
      await image.reading(() => {
        const status = this.eu.eu_start(handle);
        if (status === -6) throw new Error("it has no chunk index: it can only be fetched and unpacked whole");
        this.ok(handle, status);
      });
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
    async check(image, level = 1) {
      const { eu } = this;
      const handle = eu.eu_open(CHECK);
      try {
        this.set(handle, 17, level);
        this.set(handle, 47, image instanceof Remote ? CHECKED : undefined);
        await this.start(handle, image);
        await image.reading(() => this.ok(handle, eu.eu_check(handle)));
        const findings = [];
        for (let index = 0; index < Number(this.number(handle, 16)); index++) {
          const finding = this.refused(
            this.ok(handle, eu.eu_finding(handle, index)),
            () => eu.eu_finding_text(handle, index),
          );
          finding.path = await image.reading(() =>
            text(this.answer(this.ok(handle, eu.eu_finding_path(handle, index)))));
          findings.push(finding);
        }
        return findings;
      } finally {
        eu.eu_close(handle);
      }
    }

    // A reader of an image.
    async open(image) {
      const handle = this.eu.eu_open(READER);
      await this.start(handle, image);
      return new Reader(this, handle, image);
    }
  }

  // Each call is one that may have to be made again: what it gives is copied before the next one.
  class Reader {
    constructor(module, handle, image) {
      Object.assign(this, { module, handle, image, eu: module.eu });
      this.root = module.number(handle, 6);
      this.size = module.number(handle, 2);
      if (!(image instanceof Remote)) return;
      this.chunks = module.number(handle, 11);
      this.vouched = VOUCHED[Number(module.number(handle, 12))];
    }

    facts() {
      return this.module.facts(this.handle);
    }

    // Makes a call and gives what it puts into the answer buffer.
    asked(call) {
      return this.image.reading(() => this.module.answer(this.module.ok(this.handle, call())).slice());
    }

    // The number of the file at a path.
    find(path) {
      return this.image.reading(() => {
        const length = this.module.put(new TextEncoder().encode(path));
        const status = this.eu.eu_find(this.handle, length);
        return status === -6 ? undefined : (this.module.ok(this.handle, status), this.eu.eu_value());
      });
    }

    async file(nid) {
      const record = await this.asked(() => this.eu.eu_file(this.handle, nid));
      const view = new DataView(record.buffer);
      const [, mode, uid, gid, links, major, minor] =
        [24, 28, 32, 36, 40, 44, 48].map((at) => view.getUint32(at, true));
      const size = view.getBigUint64(8, true), time = view.getBigInt64(16, true);
      return { nid, size, time, mode, uid, gid, links, major, minor };
    }

    // The entries of a directory.
    async *list(nid) {
      let place = 0n;
      do {
        let next;
        const entries = await this.asked(() => {
          const length = this.eu.eu_list(this.handle, nid, place);
          next = this.eu.eu_value();
          return length;
        });
        place = next;
        const view = new DataView(entries.buffer);
        for (let at = 0; at < entries.length; at += 10 + entries[at + 9]) {
          yield {
            nid: view.getBigUint64(at, true),
            type: TYPES[entries[at + 8]],
            name: text(entries.subarray(at + 10, at + 10 + entries[at + 9])),
          };
        }
      } while (place !== 0n);
    }

    // All below a directory, with paths.
    async *walk(nid = this.root, path = "") {
      for await (const entry of this.list(nid)) {
        const below = `${path}/${entry.name}`;
        yield { ...entry, path: below };
        if (entry.type === "directory") yield* this.walk(entry.nid, below);
      }
    }

    // The content of a regular file, in pieces.
    async *read(nid) {
      const size = this.eu.eu_output_size();
      for (let offset = 0n; ; ) {
        const bytes = await this.image.reading(() => {
          const length = this.module.ok(this.handle, this.eu.eu_read(this.handle, nid, offset, size));
          return this.module.memory(this.eu.eu_output_address(), length).slice();
        });
        if (bytes.length > 0) yield bytes;
        if (bytes.length < size) return;
        offset += BigInt(bytes.length);
      }
    }

    // The target of a symbolic link.
    async link(nid) {
      return text(await this.asked(() => this.eu.eu_link(this.handle, nid)));
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

  return { Module, Image, Remote, Refused, compression };
})();

if (typeof module !== "undefined") module.exports = erofsUnpack;
