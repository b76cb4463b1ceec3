"""The pages that people read, and the blocks of code in them. Shared by the tests of this folder."""
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Each is a promise that nobody checks: it needs a reason beside it, and a place here.
MAX_NOT_RUN = 11


class Block:
    """A fenced block. `note` is the comment `<!-- test: ... -->` in the line before, `output` what a ```text block
    right behind a ```sh block says that it prints."""

    def __init__(self, page, line, language, code, note):
        self.page, self.line, self.language, self.code, self.note = page, line, language, code, note
        self.output = None

    @property
    def place(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_run(self):
        return not self.note.startswith("not run: ")

    @property
    def before(self):
        """Code that a reader need not see, to be run before this."""
        return self.note.removeprefix("with: ") + "\n" if self.note.startswith("with: ") else ""


def pages():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT,
                            capture_output=True, text=True)
    if listed.returncode == 0:
        return sorted(ROOT / name for name in listed.stdout.split())
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def blocks(page):
    out = []
    note, fence, lines, start = "", None, [], 0
    after_sh = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if fence is None and (opened := re.fullmatch(r"```(\w*)", line)):
            fence, lines, start = opened.group(1), [], number
        elif fence is not None and line == "```":
            code = "\n".join(lines) + "\n"
            if fence == "text" and after_sh:
                out[-1].output = lines
            else:
                out.append(Block(page, start, fence, code, note))
            after_sh = out[-1].language == "sh" and fence == "sh"
            note, fence = "", None
        elif fence is not None:
            lines.append(line)
        elif marked := re.fullmatch(r"<!-- test: (.*) -->", line):
            note = marked.group(1)
        elif line:
            note = ""
            after_sh = False
    if fence is not None:
        raise SystemExit(f"{page}:{start}: the block does not end")
    return out


def is_printed(page):
    """By the program itself, of which tests/cli/reference.sh makes sure: examples in it are those of the help."""
    return page.is_relative_to(ROOT / "docs/reference")


def all_blocks(language):
    """But for docs/reference, which the program prints: tests/cli/reference.sh runs the examples in it."""
    return [block for page in pages() if page.parent.name != "reference"
            for block in blocks(page) if block.language == language]
