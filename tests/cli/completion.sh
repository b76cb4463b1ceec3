#!/usr/bin/env bash
# Completion in shells: what bash, zsh and fish make of what is typed.
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

# zsh, on a terminal of its own: what a line becomes by the tabulator.
if command -v zsh >/dev/null; then
  mkdir zfunc && db4 completion zsh >zfunc/_db4
  zsh -n zfunc/_db4 || fail "zsh cannot read its script"
  cat >ask.zsh <<'END'
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1= PS2=; unsetopt zle_bracketed_paste; fpath=($PWD/zfunc \$fpath); autoload -U compinit; compinit -D -u"
zpty -w shell 'told() { print -r -- "<""<$BUFFER>"">"; BUFFER=; zle reset-prompt }; zle -N told; bindkey "^X" told; bindkey "^I" complete-word'
# What is typed may come back late: no line that is typed has what is waited for.
zpty -w shell 'print read''y'
zpty -r shell said '*ready*'
for line in "$@"; do
  zpty -n -w shell "$line"$'\t\030'
  zpty -r shell said '*<<*>>*'
  said=${said##*<<}
  print -r -- "${said%%>>*}"
done
zpty -d shell
END
  becomes() { # LINE WANTED
    out=$(TERM=dumb timeout 30 zsh -f ask.zsh "$1") || fail "zsh did not answer for '$1'"
    [ "$out" = "$2" ] || fail "zsh makes '$out' of '$1', not '$2'"
  }
  becomes 'db4 expl' 'db4 explain '
  becomes 'db4 tier pl' 'db4 tier plan '
  becomes 'db4 tier run --max-o' 'db4 tier run --max-operations='
  becomes 'db4 put users 1 --tier w' 'db4 put users 1 --tier warm '
  becomes 'db4 --store shop ls orders' 'db4 --store shop ls orders '
  becomes 'db4 --store=shop ls orders' 'db4 --store=shop ls orders '
  becomes 'db4 --store shop ls "order ' 'db4 --store shop ls "order lines" '
  becomes 'db4 put users 1 orders.j' 'db4 put users 1 orders.jsonl '
  becomes 'db4 completion fi' 'db4 completion fish '
else
  echo "skipped: the completion of zsh, it is not installed"
fi

if command -v fish >/dev/null; then
  db4 completion fish >db4.fish
  fish --no-config -n db4.fish || fail "fish cannot read its script"
  # offered LINE: the words alone, without what they mean.
  offered() { out=$(fish --no-config -c 'source db4.fish; complete -C $argv[1]' -- "$1" | cut -f1 | sort); }
  offered 'db4 pi'; is pin pins
  offered 'db4 --store shop expl'; is explain
  offered 'db4 tier r'; is run
  offered 'db4 tier run --max-o'; is --max-operations
  offered 'db4 put users 1 --tier '; is cold hot warm
  offered 'db4 --store shop ls or'; is 'order lines' orders
  offered 'db4 --store=shop ls or'; is 'order lines' orders
  offered 'db4 ls --store shop --tier cold or'; is 'order lines' orders
  offered 'db4 put users 1 orders.j'; is orders.jsonl
  offered 'db4 completion '; is bash fish zsh
  offered 'db4 --store oth'; is other/
else
  echo "skipped: the completion of fish, it is not installed"
fi
echo "shells complete what is typed"
