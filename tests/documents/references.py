#!/usr/bin/env python3
"""What the pages refer to is there: pages and headings behind links, options and enumerators in the public headers, texts
of errors in the sources, and every page in mkdocs.yml. And every type of the public headers says what it is."""
import re
import sys

from pages import ROOT, pages

def everything_in(folder, *endings):
    return "\n".join(path.read_text() for path in sorted((ROOT / folder).rglob("*")) if path.suffix in endings)


HEADERS = everything_in("include", ".hpp")
SOURCES = everything_in("src", ".cpp", ".hpp")
INSIDE = HEADERS + SOURCES
# Parts of db4, such as `kv` and `catalog`; other scopes in lower case are other people's.
PARTS = {path.name for path in (ROOT / "src").iterdir()}


def without_blocks(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def slug(heading):
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower())


def headings(page):
    return {slug(line.lstrip("# ")) for line in without_blocks(page.read_text()).splitlines() if line.startswith("#")}


def broken_links():
    for page in pages():
        for target in re.findall(r"\]\(([^)\s]+)\)", without_blocks(page.read_text())):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            if not file.exists():
                yield f"{page}: {target} is not there"
            elif anchor and anchor not in headings(file):
                yield f"{page}: {target} has no such heading"


def members_of(struct):
    found = re.search(rf"^struct {struct} {{\n(.*?)^}};", HEADERS, re.M | re.S)
    return set(re.findall(r"\b(\w+)(?: = [^;]*|\{\})?;", found.group(1))) if found else set()


def unknown_names():
    """Options (`hot.max_size`), figures (`hot.waits`) and qualified names (`Durability::disk`) in code spans."""
    sections = dict(re.findall(r"(\w+)Config (\w+) = \{\};", HEADERS))
    options = {section: members_of(name + "Config") for name, section in sections.items()}
    options["tracker"] = members_of("AccessPatternTrackerConfig")
    figures = set(re.findall(r'\{"(\w+)"', SOURCES))
    for page in pages():
        for code in re.findall(r"`([^`\n]+)`", without_blocks(page.read_text())):
            for section, name in re.findall(r"(?<![\w./])(\w+)\.(\w+)(?![\w./(])", code):
                if section in options and name not in options[section] | figures | {"sock"}:
                    yield f"{page}: there is no option {section}.{name}"
            for scope, name in re.findall(r"\b(\w+)::(\w+)", code):
                if scope.islower() and scope not in PARTS | {"db4"}:
                    continue
                where = INSIDE if scope in PARTS else HEADERS
                if not all(re.search(rf"\b{word}\b", where) for word in (scope, name)):
                    yield f"{page}: there is no {scope}::{name}"


def unknown_texts():
    """Titles of docs/troubleshooting.md, and code spans in it that are sentences: each stands in the sources, where a
    literal may go on over several lines and `...` stands for what is put in."""
    text = re.sub(r'"\s*"', "", SOURCES + HEADERS)

    def said(part):
        """In one literal, or begun in one and ended in another."""
        return part in text or any(f'{part[:i]}"' in text and f'"{part[i:]}' in text for i in range(3, len(part) - 2))

    page = ROOT / "docs/troubleshooting.md"
    for code in re.findall(r"`([^`\n]+)`", page.read_text()):
        if code.count(" ") < 2 or code.startswith("db4 "):
            continue
        for part in code.split("..."):
            if part.strip() and not said(part.strip("() ;:,")):
                yield f"{page}: no error says '{part.strip()}'"


def pages_out_of_reach():
    listed = (ROOT / "mkdocs.yml").read_text()
    for page in pages():
        if str(page.relative_to(ROOT)) not in listed:
            yield f"{page} is not in mkdocs.yml"


def undocumented_types():
    for header in sorted((ROOT / "include/db4").glob("*.hpp")):
        before = ""
        for line in header.read_text().splitlines():
            if re.match(r"(struct|class|enum class) .*{", line) and "//" not in before:
                yield f"{header}: say in front of it what this is: {line}"
            before = line


def main():
    problems = [*broken_links(), *unknown_names(), *unknown_texts(), *pages_out_of_reach(), *undocumented_types()]
    return "\n".join(problem.removeprefix(f"{ROOT}/") for problem in problems) or None


if __name__ == "__main__":
    sys.exit(main())
