#!/usr/bin/env python3
"""Every ```cpp block of the pages compiles. A whole program (it has a main) is one of examples/, word for word, which
other tests run; a declaration or an include is taken as it is; anything else is put into a function with a `store`.

    tests/documents/cpp_blocks.py COMPILER
"""
import subprocess
import sys
import tempfile

from pages import ROOT, all_blocks

PRELUDE = """#include <db4/storage.hpp>
#include <iostream>
using namespace std::chrono_literals;
using namespace db4::literals;
"""


def compiles(compiler, source):
    with tempfile.NamedTemporaryFile("w", suffix=".cpp") as file:
        file.write(source)
        file.flush()
        done = subprocess.run([compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror",
                               "-Wno-unused-variable", "-Wno-unused-but-set-variable", f"-I{ROOT}/include",
                               f"-I{ROOT}/src", f"-I{ROOT}/tests", f"-I{ROOT}", file.name], capture_output=True, text=True)
        return done.returncode == 0 or print(done.stderr) or False


def main(compiler):
    failed = []
    inside = ""
    examples = "\n".join(path.read_text() for path in (ROOT / "examples").glob("*.cpp"))
    found = all_blocks("cpp")
    for number, block in enumerate(found):
        if not block.is_run:
            continue
        if "int main(" in block.code:
            if block.code not in examples:
                failed.append(f"{block.place}: this program is none of examples/")
        elif "#include" in block.code or block.code.startswith(("class ", "struct ")):
            code = f"{PRELUDE}{block.before}#line {block.line + 1} \"{block.page}\"\n{block.code}"
            if not compiles(compiler, code):
                failed.append(f"{block.place}: it does not compile")
        else:
            store = "" if "TieredStore store(" in block.code else "[[maybe_unused]] db4::TieredStore& store"
            inside += (f"void block_{number}({store}) {{\n{block.before}"
                       f"#line {block.line + 1} \"{block.page}\"\n{block.code}}}\n")
    if not compiles(compiler, PRELUDE + inside):
        failed.append("a block does not compile, see above")
    if not found:
        failed.append("there are no C++ blocks: this test tests nothing")
    print(f"{len(found)} blocks of C++")
    return "\n".join(failed) or None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
