#!/usr/bin/env python3
"""Every ```sh block of the pages runs, a page's blocks in turn in one shell and one empty folder, with `db4` on PATH. A
```text block right behind one says what it prints, line by line; `...` stands for anything, and alone in a line for any
number of lines.

    tests/documents/sh_blocks.py PATH_OF_DB4
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from pages import MAX_NOT_RUN, all_blocks, blocks, is_printed, pages

MARK = "=== end of block "


def spaced(line):
    """Columns are as wide as what stands in them: any run of spaces is one."""
    return " ".join(line.split())


def pattern_of(lines):
    out = ""
    for line in map(spaced, lines):
        if line == "...":
            out += r"(?:.*\n)*?"
        else:
            out += ".*".join(re.escape(part) for part in line.split("...")) + r"\n"
    return re.compile(out)


def run_page(page, db4):
    """Problems of one page."""
    todo = [block for block in blocks(page) if block.language == "sh" and block.is_run]
    script = "set -euo pipefail\n"
    for number, block in enumerate(todo):
        # Where a block prints no end of line, the mark stands on a line of its own all the same.
        script += f"{block.before}{block.code}echo; echo '{MARK}{number}'\n"
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PATH": f"{pathlib.Path(db4).parent}:{os.environ['PATH']}", "HOME": folder}
        environment.pop("DB4_STORE", None)
        done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL, timeout=300)
    printed = re.split(rf"\n?\n{MARK}\d+\n", "\n" + done.stdout)
    if done.returncode != 0:
        failed = todo[min(len(printed) - 1, len(todo) - 1)]
        return [f"{failed.place}: it ended with {done.returncode}: {printed[-1].strip()}"]
    out = []
    for block, text in zip(todo, printed):
        text = "".join(spaced(line) + "\n" for line in text.strip("\n").split("\n"))
        if block.output is not None and not pattern_of(block.output).fullmatch(text):
            out.append(f"{block.place}: it printed something else:\n{text}")
    return out


def main(db4):
    failed = []
    count = 0
    for page in pages():
        if is_printed(page):
            continue
        count += sum(block.language == "sh" and block.is_run for block in blocks(page))
        failed += run_page(page, os.path.realpath(db4))
    left_out = [block for language in ("sh", "cpp") for block in all_blocks(language) if not block.is_run]
    if len(left_out) > MAX_NOT_RUN:
        failed.append("too many blocks are not run: " + ", ".join(block.place for block in left_out))
    for block in left_out:
        if len(block.note.removeprefix("not run: ")) < 10:
            failed.append(f"{block.place}: say why it is not run")
    if count == 0:
        failed.append("there are no blocks to run: this test tests nothing")
    print(f"{count} blocks ran, {len(left_out)} are not run")
    return "\n".join(failed) or None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
