#!/usr/bin/env python3
"""Runs the WASI program in wasmtime: `run_in_wasmtime.py MODULE ARGUMENT...`.

It may use all of the file system that the user may; paths are absolute. The module is
compiled when it is first used and kept beside itself.
"""

import os
import sys

from wasmtime import Engine, ExitTrap, Linker, Module, Store, WasiConfig


def load(engine, path):
    """The compiled module; only this user writes where it is kept."""
    kept = path + ".compiled"
    try:
        if os.path.getmtime(kept) > os.path.getmtime(path):
            return Module.deserialize_file(engine, kept)
    except Exception:  # Not there, or of another version.
        pass
    module = Module.from_file(engine, path)
    with open(f"{kept}.{os.getpid()}", "wb") as file:
        file.write(module.serialize())
    os.rename(file.name, kept)
    return module


def main(path, *arguments):
    engine = Engine()
    linker = Linker(engine)
    linker.define_wasi()
    store = Store(engine)
    config = WasiConfig()
    config.argv = ["erofs-unpack", *arguments]
    if "TMPDIR" in os.environ:
        config.env = [("TMPDIR", os.environ["TMPDIR"])]
    config.inherit_stdin()
    config.inherit_stdout()
    config.inherit_stderr()
    config.preopen_dir("/", "/")
    store.set_wasi(config)
    instance = linker.instantiate(store, load(engine, path))
    try:
        instance.exports(store)["_start"](store)
    except ExitTrap as ended:
        return ended.code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
