#!/usr/bin/env python3
"""Runs clang-tidy over the sources of a build folder, several at once, and remembers what it found clean.

usage: tools/tidy.py BUILD_FOLDER [FILE...]

A file is looked at again when it, a header of ours it includes (as ninja knows from the last build), .clang-tidy or the
program itself has changed. Prints findings as they come and exits 1 when there are any.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("src", "sandbox", "tests", "bench")


def sources(build):
    """Sources of ours in the compilation database, relative to the root."""
    found = set()
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file = pathlib.Path(entry["directory"], entry["file"]).resolve()
        if file.is_relative_to(ROOT) and file.relative_to(ROOT).parts[0] in FOLDERS:
            found.add(str(file.relative_to(ROOT)))
    return sorted(found)


def headers_of(build):
    """Source -> the headers of ours it includes, from ninja's log of dependencies."""
    answer = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True, check=True).stdout
    found, block = {}, []
    for line in answer.splitlines() + [""]:
        if line.startswith("    "):
            file = pathlib.Path(build, line.strip()).resolve()
            if file.is_relative_to(ROOT) and not file.is_relative_to(build):
                block.append(str(file.relative_to(ROOT)))
        elif block:
            found[block[0]] = sorted(block[1:])
            block = []
    return found


class Digests:
    def __init__(self):
        self.known = {}

    def of(self, file):
        if file not in self.known:
            path = ROOT / file
            self.known[file] = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "gone"
        return self.known[file]


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    stamps = ROOT / "build" / "tidy"
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, text=True, check=True).stdout
    headers, digests = headers_of(build), Digests()

    def stamp_of(file):
        parts = [version] + [f"{name} {digests.of(name)}" for name in [".clang-tidy", file] + headers.get(file, [])]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def place_of(file):
        return stamps / (file.replace("/", "-") + ".clean")

    def is_clean(file):
        # A file ninja knows no headers of was not built: nothing is known of what it includes.
        return file in headers and place_of(file).exists() and place_of(file).read_text() == stamp_of(file)

    chosen = [str(pathlib.Path(f).resolve().relative_to(ROOT)) for f in sys.argv[2:]] or sources(build)
    due = [file for file in chosen if not is_clean(file)]
    stamps.mkdir(parents=True, exist_ok=True)
    began, bad = time.monotonic(), 0

    def look(file):
        run = subprocess.run(["clang-tidy", "-p", build, "--quiet", ROOT / file], capture_output=True, text=True,
                             cwd=ROOT)
        return file, run

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, (file, run) in enumerate(pool.map(look, due), 1):
            if run.returncode == 0:
                place_of(file).write_text(stamp_of(file))
            else:
                bad += 1
                print(run.stdout + (run.stderr if not run.stdout else ""), flush=True)
            if sys.stderr.isatty():
                print(f"\r\033[Kclang-tidy {done}/{len(due)} {file}", end="", file=sys.stderr, flush=True)
    if due and sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    print(f"clang-tidy: {len(due)} of {len(chosen)} files looked at in {time.monotonic() - began:.0f} s, "
          f"{bad} with findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
