#!/usr/bin/env python3
"""Holds the JSON on standard input to the members that docs/cli-json.md lists for a command.

    db4 ls --json | tests/cli/json_members.py docs/cli-json.md "db4 ls"
"""
import json
import re
import sys


def listed(document, command):
    """The paths of the table below the command's heading, and of those the optional ones."""
    section = re.search(rf"^### {re.escape(command)}\n(.*?)(?=^##|\Z)", document, re.M | re.S)
    if not section:
        sys.exit(f"docs/cli-json.md does not know {command}")
    paths, optional = set(), set()
    for place, members in re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section.group(1), re.M):
        prefix = place.split("`")[1] + "." if "`" in place else ""
        for name, mark in re.findall(r"`([^`]+)`( \*\(optional\)\*)?", members):
            paths.add(prefix + name)
            if mark or "optional" in place:
                optional.add(prefix + name)
    return paths, optional


def walk(value, path, known, found, empty):
    """Collects the paths of all members; a member that is listed as a whole is not looked into."""
    for name, member in value.items():
        here = f"{path}{name}"
        objects = isinstance(member, list) and all(isinstance(entry, dict) for entry in member)
        if here in known:
            found.add(here)
        elif isinstance(member, dict):
            walk(member, here + ".", known, found, empty)
        elif objects and member:
            for entry in member:
                walk(entry, here + "[].", known, found, empty)
        elif objects:
            empty.add(here + "[].")
        else:
            found.add(here)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        known, optional = listed(file.read(), sys.argv[2])
    found, empty = set(), set()
    walk(json.load(sys.stdin), "", known, found, empty)
    missing = {path for path in known - found - optional if not any(path.startswith(start) for start in empty)}
    unlisted = (found - known) | {start for start in empty if not any(path.startswith(start) for path in known)}
    if missing or unlisted:
        sys.exit(f"{sys.argv[2]}: lacks {sorted(missing)}, has unlisted {sorted(unlisted)}")


main()
