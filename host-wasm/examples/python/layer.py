#!/usr/bin/env python3
"""Says what a layer is, verifies it and lists its files, or writes one of them to stdout.

    layer.py MODULE LAYER [PATH]

MODULE is erofs_unpack.wasm, which host-wasm/build makes. It needs the package wasmtime. Exit
code 1: the layer is refused. host-wasm/ABI.md says what the calls mean.
"""

import struct
import sys

from wasmtime import Engine, Func, FuncType, Instance, Module, Store, ValType

UNPACKER, CHECK, READER = 1, 3, 4
TYPES = ["", "file", "directory", "character device", "block device", "pipe", "socket", "link"]


class Refused(Exception):
    """The layer or image is refused; the text says why."""


class Guest:
    """One instance of the module. Take a new one for each layer."""

    def __init__(self, wasm):
        engine = Engine()
        self.store = Store(engine)
        self.image = bytearray()
        imports = {
            "read_at": Func(
                self.store,
                FuncType([ValType.i64(), ValType.i32(), ValType.i32()], [ValType.i32()]),
                self.read_at,
            )
        }
        module = Module(engine, wasm)
        wanted = [imports[wanted.name] for wanted in module.imports]
        self.exports = Instance(self.store, module, wanted).exports(self.store)
        assert self.call("version") == 1

    def call(self, name, *arguments):
        return self.exports[f"eu_{name}"](self.store, *arguments)

    def read_at(self, offset, address, length):
        """The import: the guest reads from the image. Its numbers are unsigned."""
        offset, address, length = offset % 2**64, address % 2**32, length % 2**32
        if offset + length > len(self.image):
            return 1
        self.exports["memory"].write(self.store, self.image[offset : offset + length], address)
        return 0

    def buffer(self, name, length):
        start = self.call(f"{name}_address") % 2**32
        return bytes(self.exports["memory"].read(self.store, start, start + length))

    def put(self, data):
        assert len(data) <= self.call("input_size")
        self.exports["memory"].write(self.store, data, self.call("input_address") % 2**32)
        return len(data)

    def ok(self, handle, status):
        if status >= 0:
            return status
        if status == -1:
            raise Refused(self.buffer("answer", self.call("get_text", handle, 1)).decode())
        raise RuntimeError(f"status {status}")

    def text(self, handle, key):
        return self.buffer("answer", self.ok(handle, self.call("get_text", handle, key))).decode()

    def number(self, handle, key):
        self.ok(handle, self.call("get", handle, key))
        return self.call("value")

    def unpack(self, file, compression):
        """Unpacks a layer into `self.image`; gives its digest and diffID."""
        handle = self.call("open", UNPACKER)
        self.ok(handle, self.call("set", handle, 1, ["none", "gzip", "zstd"].index(compression)))
        self.ok(handle, self.call("start", handle))
        while piece := file.read(self.call("input_size")):
            start, status, length = 0, 0, self.put(piece)
            while start < length or status == 2:
                status = self.ok(handle, self.call("push", handle, start, length - start))
                start += self.call("consumed")
                self.image += self.buffer("output", self.call("produced"))
        self.ok(handle, self.call("finish", handle))
        return self.text(handle, 2), self.text(handle, 3)

    def check(self):
        """Checks the image; gives the findings' sentences, and whether it passed."""
        handle = self.call("open", CHECK)
        self.ok(handle, self.call("set", handle, 16, len(self.image)))
        self.ok(handle, self.call("start", handle))
        passed = self.ok(handle, self.call("check", handle)) == 0
        lengths = (
            self.ok(handle, self.call("finding_text", handle, index))
            for index in range(self.number(handle, 16))
        )
        return passed, [self.buffer("answer", length).decode() for length in lengths]

    def open(self):
        handle = self.call("open", READER)
        self.ok(handle, self.call("set", handle, 16, len(self.image)))
        self.ok(handle, self.call("start", handle))
        return handle

    def list(self, handle, nid):
        """The entries of a directory: nid, type, name."""
        place = None
        while place != 0:
            length = self.ok(handle, self.call("list", handle, nid, place or 0))
            place = self.call("value")
            entries = self.buffer("answer", length)
            at = 0
            while at < length:
                entry, kind, size = struct.unpack_from("<QBB", entries, at)
                yield entry, TYPES[kind], entries[at + 10 : at + 10 + size].decode(errors="replace")
                at += 10 + size

    def walk(self, handle, nid, path=""):
        for entry, kind, name in self.list(handle, nid):
            yield entry, kind, f"{path}/{name}"
            if kind == "directory":
                yield from self.walk(handle, entry, f"{path}/{name}")

    def link(self, handle, nid):
        length = self.ok(handle, self.call("link", handle, nid))
        return self.buffer("answer", length).decode(errors="replace")

    def content(self, handle, nid):
        """The content of a regular file, in pieces."""
        offset, size = 0, self.call("output_size")
        while length := self.ok(handle, self.call("read", handle, nid, offset, size)):
            yield self.buffer("output", length)
            offset += length


def compression(head):
    """How a layer looks to be compressed. The module has the last word."""
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    skippable = len(head) == 4 and head[0] & 0xF0 == 0x50 and head[1:] == b"\x2a\x4d\x18"
    return "zstd" if head == b"\x28\xb5\x2f\xfd" or skippable else "none"


def escaped(name):
    """Names come from strangers: no control character reaches the terminal."""
    return "".join(
        f"\\x{ord(sign):02x}" if ord(sign) < 32 or 127 <= ord(sign) < 160 or sign == "\\" else sign
        for sign in name
    )


def main(wasm, layer, path=None):
    with open(wasm, "rb") as file:
        guest = Guest(file.read())
    with open(layer, "rb") as file:
        kind = compression(file.read(4))
        file.seek(0)
        digest, diff_id = guest.unpack(file, kind)
    passed, findings = guest.check()
    for sentence in findings:
        print(sentence, file=sys.stderr)
    if not passed:
        return 1
    reader = guest.open()
    if path is not None:
        length = guest.put(path.encode())
        if guest.call("find", reader, length) != 0:
            print(f"{path}: no such file in the image", file=sys.stderr)
            return 3
        for piece in guest.content(reader, guest.call("value")):
            sys.stdout.buffer.write(piece)
        return 0
    print(f"compression: {kind}")
    print(f"digest: {digest}")
    print(f"diffID: {diff_id}")
    print(f"image: {len(guest.image)} bytes, {guest.number(reader, 5)} inodes")
    for nid, kind, name in guest.walk(reader, guest.number(reader, 6)):
        target = f" -> {guest.link(reader, nid)}" if kind == "link" else ""
        print(f"{kind:9} {escaped(name + target)}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except Refused as error:
        print(f"{sys.argv[2]}: {error}", file=sys.stderr)
        sys.exit(1)
