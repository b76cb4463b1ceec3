#!/usr/bin/env bash
# Builds the documents into build/docs: the pages as a site (site/index.html) and the reference of the public headers
# (api/index.html). Any warning of doxygen or mkdocs is a failure.
#
#     scripts/docs.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

say "Packages"
scripts/packages.sh docs

say "Reference of the public headers"
mkdir -p build/docs
doxygen Doxyfile

say "Pages"
# As they stand in the tree, with what they link to, so that the links work. A tree without git takes them all.
rm -rf build/docs/pages
mkdir -p build/docs/pages
{ git ls-files --cached --others --exclude-standard -- '*.md' examples include 2>/dev/null || find . -path ./build -prune -o \( -name '*.md' -o -path './examples/*' \
  -o -path './include/*' \) -type f -print; } | while IFS= read -r file; do
  [ ! -f "$file" ] || { mkdir -p "build/docs/pages/$(dirname "$file")" && cp "$file" "build/docs/pages/$file"; }
done
mkdocs build --strict --quiet
echo "build/docs/site/index.html and build/docs/api/index.html"
