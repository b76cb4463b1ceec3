#!/usr/bin/env bash
# Completion in shells: what bash offers after words, and that zsh and fish read their scripts.
#
#     tests/cli/completion.sh PATH_OF_DB4
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

mkdir bin
ln -s "$db4" bin/db4
PATH="$work/bin:$PATH"
db4 init --store shop >/dev/null
echo '{}' | db4 --store shop put orders 1 >/dev/null
echo '{}' | db4 --store shop put 'order lines' 1 >/dev/null
echo '{}' | db4 --store shop put $'line\nbreak' 1 >/dev/null
touch orders.jsonl
mkdir other

expect 0 db4 --store shop __complete collections
[ "$(sort <<<"$out")" = $'order lines\norders' ] || fail "the collections offered are: $out"
expect 0 db4 --store nowhere __complete collections; [ -z "$out" ] || fail "it is not silent: $out"
expect 0 db4 __complete collections; [ -z "$out" ] || fail "it is not silent: $out"
expect 0 db4 --help; lacks __complete

# offers WORD...: what bash offers for the last of them; an = stands alone, as bash splits a line.
offers() {
  out=$(bash --norc -c '
    source <(db4 completion bash)
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _db4
    printf "%s\n" "${COMPREPLY[@]}"' bash "$@" | sort)
}
is() { [ "$out" = "$(printf '%s\n' "$@" | sort)" ] || fail "offered is: $out; not: $*"; }

offers db4 pi; is pin pins
offers db4 --store shop expl; is explain
offers db4 tier ru; is run
offers db4 tier run --max-o; is --max-operations
offers db4 put --content; is --content-type
offers db4 put --col; is --color
offers db4 put users 1 --tier ""; is hot warm cold
offers db4 put users 1 --tier = w; is warm
offers db4 ls --color = ""; is auto always never
offers db4 --store shop ls or; is 'order\ lines' orders
offers db4 ls --store shop --tier cold or; is 'order\ lines' orders
offers db4 --store = shop ls ord; is 'order\ lines' orders
offers db4 --store shop tier r; is run
offers db4 put users 1 ord; is orders.jsonl
offers db4 --store oth; is other
offers db4 get users 1 --output ord; is orders.jsonl
offers db4 --set hot.max_s; is hot.max_size=
offers db4 config explain hot.max_s; is hot.max_size
offers db4 completion ""; is bash zsh fish
offers db4 help unp; is unpin
offers db4 put users ""; [ -z "$out" ] || fail "ids are not offered: $out"

for shell in zsh fish; do
  if command -v $shell >/dev/null; then
    db4 completion $shell >script
    $shell -n script || fail "$shell cannot read its script"
  else
    echo "skipped: the completion of $shell is not read, it is not installed"
  fi
done
if command -v fish >/dev/null; then
  out=$(fish --no-config -c 'source script; complete -C "db4 tier run --max-o"')
  has --max-operations
  out=$(fish --no-config -c 'source script; complete -C "db4 --store shop ls or"')
  has orders
  out=$(fish --no-config -c 'source script; complete -C "db4 put users 1 --tier "')
  has warm
fi
echo "shells complete what is typed"
