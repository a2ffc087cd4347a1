#!/usr/bin/env python3
"""Holds every #include of ours against layers.txt; prints each one that is not allowed and exits 1."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#include\s+"([a-z_]+)/', re.M)
# Only tests may use what tests share.
TEST = re.compile(r"(_test\.cpp|_fixture\.h)$")


def allowed_by_folder():
    rules = {}
    for line in (ROOT / "layers.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            folder, _, names = line.partition(":")
            rules[folder.strip()] = set(names.split())
    return rules


def main():
    rules = allowed_by_folder()
    wrong = []
    for folder, allowed in rules.items():
        place = ROOT / folder if folder == "sandbox" else ROOT / "src" / folder
        for file in sorted(place.rglob("*")):
            if file.suffix not in (".h", ".cpp"):
                continue
            here = allowed | {folder} | ({"tests"} if TEST.search(file.name) else set())
            for used in INCLUDE.findall(file.read_text()):
                if used not in here:
                    wrong.append(f"{file.relative_to(ROOT)}: {folder}/ may not include {used}/")
    print("\n".join(wrong) if wrong else f"layers: {len(rules)} folders keep to layers.txt")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
