#!/usr/bin/env bash
# Encryption at rest from the command line: turned on, keys in every state, the master key changed, lost and found.
#
#     tests/cli/keys.sh PATH_OF_DB4
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

canary='the canary sang at dawn'
put() { echo "{\"text\": \"$canary\"}" | "$db4" put "$@" >/dev/null; }
# hidden FOLDER: no file in it has the text of a document.
hidden() { ! grep -rqaF "$canary" "$1" || fail "plain text in $(grep -rlaF "$canary" "$1")"; }
# key STATE: the ids of the keys in that state, one a line.
key() {
  "$db4" keys list --json | tr -d ' \n' | grep -oE '\{[^{}]*"state":"[a-z_]+"[^{}]*\}' | grep "\"state\":\"$1\"" |
    sed -nE 's/.*"id":"([0-9a-f]{16})".*/\1/p'
}
place() { "$db4" config explain encryption.master_key --json | sed -nE 's/.*"value": "(.*)".*/\1/p'; }
mode() { stat -c %a "$1"; }

# A new store, with a new master key beside its folder.
expect 0 "$db4" init shop --encrypt
has "A NEW MASTER KEY is in $work/shop.master-key"; has "safe place NOW"
[ "$(mode shop.master-key)" = 600 ] || fail "others may read the master key: $(mode shop.master-key)"
secret=$(cat shop.master-key)
lacks "$secret"
export DB4_STORE=shop
[ "$(place)" = "file:$work/shop.master-key" ] || fail "the place is $(place)"
for id in 1 2 3; do put users $id; done
put videos cold --tier cold
hidden shop
expect 0 "$db4" get users 1; has "$canary"
expect 0 "$db4" keys list; has "active"; lacks "$secret"
first=$(key active)
expect 0 "$db4" stat users 1; has "sealed    with key $first"
expect 0 "$db4" stat; has ", encrypted"
expect 0 "$db4" stats; has "Encryption"; has "$first"
expect 0 "$db4" explain users 1; has "sealed     with key $first"

# Nothing of it is overwritten.
expect 3 "$db4" keys init; has "is set already"
expect 3 "$db4" init shop --encrypt; has "is a store already"
mkdir other-place && touch other-place/again.master-key
expect 3 "$db4" init other-place/again --encrypt; has "there is a file"
[ ! -s other-place/again.master-key ] || fail "a file was overwritten"
[ ! -e other-place/again/db4.toml ] || fail "a store that could not be encrypted was left"

# Rotation, re-encryption, destruction.
expect 0 "$db4" keys rotate; has "still opens"
second=$(key active)
[ "$second" != "$first" ] && [ "$(key decrypt_only)" = "$first" ] || fail "the keys are: $("$db4" keys list)"
expect 0 "$db4" keys list; has "older keys: 4 copies"
expect 0 "$db4" doctor --no-uploads; has "older keys"
expect 2 "$db4" keys destroy "$first"; has "is needed by 4 documents"
expect 2 "$db4" keys destroy "$second"; has "is the active one"
expect 4 "$db4" keys destroy 0000000000000000; has "db4 keys list"
expect 4 "$db4" keys cancel "" ; has "there is no key"
expect 0 "$db4" keys reencrypt users 1; has "users/1 is sealed anew"
expect 0 "$db4" keys reencrypt users 1; has "users/1 is as it should be"
expect 4 "$db4" keys reencrypt users 2 nobody; has "users/2 is sealed anew"; has "there is no document users/nobody"
expect 2 "$db4" keys reencrypt users; has "ID"
expect 0 "$db4" keys reencrypt --max-documents 1; has "sealed anew 1 document"; has "left: 1 copy"
expect 0 "$db4" keys reencrypt; has "nothing is left"
expect 0 "$db4" stat users 3; has "$second"
for id in 1 2 3; do expect 0 "$db4" get users $id; has "$canary"; done
expect 0 "$db4" keys destroy "${first:0:6}"; has "db4 keys cancel $first"
[ "$(key pending_destruction)" = "$first" ] || fail "$first does not await its destruction"
expect 0 "$db4" keys cancel "$first"; has "stays"
expect 2 "$db4" keys cancel "$first"; has "is not pending"
expect 0 "$db4" --set encryption.destruction_grace_period=0s keys destroy "$first"

# A document under a key that is to be destroyed is an alarm.
expect 2 "$db4" keys rotate --force; has "--destroy-old"
expect 2 "$db4" keys rotate --destroy-old; has "is needed by"
expect 0 "$db4" keys rotate --destroy-old --force; has "opens nothing any more"
expect 1 "$db4" get users 1; has "awaits its destruction"
expect 1 "$db4" doctor --no-uploads; has "keys to be destroyed"; has "not in order"
expect 0 "$db4" keys cancel "$second"
expect 0 "$db4" get users 1; has "$canary"
expect 0 "$db4" keys reencrypt

# The master key is elsewhere, wrong or open to others.
mv shop.master-key away
expect 1 "$db4" get users 1; has "is not there"
expect 1 "$db4" doctor --no-uploads; has "is not there"
openssl rand -base64 32 >shop.master-key && chmod 600 shop.master-key
expect 1 "$db4" get users 1; has "another master key"; lacks "$(cat shop.master-key)"
expect 1 "$db4" put users 4 <<<'{}'
mv away shop.master-key
chmod 644 shop.master-key
expect 1 "$db4" get users 1; has "chmod 600"
expect 1 "$db4" doctor --no-uploads; has "others may read or write it"
chmod 600 shop.master-key
cp shop.master-key shop/inside && chmod 600 shop/inside
expect 0 "$db4" --set "encryption.master_key=file:$work/shop/inside" doctor --no-uploads; has "in the data's folder"
rm shop/inside
expect 0 "$db4" doctor --no-uploads; has "apart from the data"
expect 0 "$db4" --set encryption.writes=false doctor --no-uploads; has "are written plain"

# A key is never said where a place is to be.
for wrong in "$secret" "file:$secret" "env:$secret" "passphrase swordfish" "file:" "key:x"; do
  expect 2 "$db4" --set "encryption.master_key=$wrong" ls; has "file:PATH"; lacks "$secret"; lacks swordfish
  DB4_ENCRYPTION_MASTER_KEY=$wrong expect 2 "$db4" ls; has DB4_ENCRYPTION_MASTER_KEY; lacks "$secret"; lacks swordfish
  expect 2 "$db4" keys rewrap --to "$wrong"; lacks "$secret"; lacks swordfish
done
DB4_ENCRYPTION_MASTER_KEY=env:SHOP_KEY SHOP_KEY=$secret expect 0 "$db4" get users 1; has "$canary"

# Another master key: the documents stay as they are.
expect 0 "$db4" keys rewrap --to "file:$work/second.key" --create
has "A NEW MASTER KEY is in $work/second.key"; has "no document was touched"
[ "$(place)" = "file:$work/second.key" ] || fail "the place is $(place)"
grep -q '^# where the master key is' shop/db4.toml || fail "db4.toml lost its comments"
expect 0 "$db4" get users 1; has "$canary"
expect 1 "$db4" --set "encryption.master_key=file:$work/shop.master-key" ls; has "another master key"
expect 3 "$db4" keys rewrap --to "file:$work/second.key" --create; has "exists"
expect 0 "$db4" get users 1
# Killed between the ring and db4.toml: the same command goes on.
cp shop/db4.toml before.toml
expect 0 "$db4" keys rewrap --to "file:$work/third.key" --create
cp before.toml shop/db4.toml
expect 1 "$db4" ls
expect 0 "$db4" keys rewrap --to "file:$work/third.key"; has "third.key"
expect 0 "$db4" get users 1; has "$canary"
# What overrides db4.toml has to be changed by hand.
DB4_ENCRYPTION_MASTER_KEY=file:$work/third.key expect 0 "$db4" keys rewrap --to "file:$work/second.key"
has "SET DB4_ENCRYPTION_MASTER_KEY TO"
expect 1 "$db4" ls
expect 0 "$db4" keys rewrap --to "file:$work/second.key"
expect 0 "$db4" ls
# A relative path in db4.toml counts from the store's folder, wherever one is.
sed -i 's|^master_key = .*|master_key = "file:../second.key"|' shop/db4.toml
(cd other-place && expect 0 "$db4" --store ../shop get users 1 && has "$canary") || exit 1

# Recovery: by a passphrase, and by another key.
printf 'correct horse battery staple\n' >words && chmod 600 words
expect 0 "$db4" keys export-recovery saved --passphrase-file words; has "Keep the two apart"; lacks staple
[ "$(mode saved)" = 600 ] || fail "others may read the copy of the key ring"
expect 3 "$db4" keys export-recovery saved --passphrase-file words; has "exists"
expect 2 "$db4" keys export-recovery saved2; has "--passphrase-file"
openssl rand -base64 32 >recovery.key && chmod 600 recovery.key
expect 0 "$db4" keys export-recovery saved.key --to file:recovery.key
expect 0 "$db4" keys import-recovery saved --passphrase-file words; has "it stays as it is"
rm second.key
expect 1 "$db4" get users 1
printf 'wrong horse\n' >wrong-words && chmod 600 wrong-words
expect 1 "$db4" keys import-recovery saved --passphrase-file wrong-words --master-key "file:$work/new.key" --create
has "another master key"; lacks "wrong horse"; has "new.key"
rm new.key
expect 0 "$db4" keys import-recovery saved --passphrase-file words --master-key "file:$work/new.key" --create
has "is back"; has "A NEW MASTER KEY"
expect 0 "$db4" get users 1; has "$canary"
expect 0 "$db4" get videos cold; has "$canary"
# A key that the copy does not know is not given up unasked.
expect 0 "$db4" keys rotate
rm new.key
expect 3 "$db4" keys import-recovery saved.key --from file:recovery.key --master-key "file:$work/newer.key" --create
has "newer than the copy"
expect 0 "$db4" keys import-recovery saved.key --from file:recovery.key --master-key "file:$work/newer.key" --force
has "Given up for good"
expect 0 "$db4" get users 1; has "$canary"

# A store that was plain.
unset DB4_STORE
export DB4_STORE=plain
"$db4" init plain >/dev/null
put users 1
put users 2 --tier cold
expect 0 "$db4" keys list; has "is not encrypted"
for words in rotate reencrypt "destroy 0" "cancel 0" "rewrap --to env:X" "export-recovery x --to env:X"; do
  # shellcheck disable=SC2086 # the words of a command
  expect 2 "$db4" keys $words; has "not encrypted"; has "db4 keys init"
done
expect 0 "$db4" stat users 1; lacks sealed
expect 0 "$db4" keys init; has "A NEW MASTER KEY is in $work/plain.master-key"
put users 3
expect 0 "$db4" keys list; has "plain documents"
expect 0 "$db4" keys reencrypt; has "sealed anew 2 documents"; has "nothing is left"
for id in 1 2 3; do
  expect 0 "$db4" get users $id; has "$canary"
  expect 0 "$db4" stat users $id; has "sealed"
done
# Broken off before db4.toml was written: said again, it goes on.
cp plain/db4.toml done.toml
sed -i 's/^master_key = .*/master_key = ""/' plain/db4.toml
expect 1 "$db4" ls; has "master key"
expect 3 "$db4" keys init; has "--master-key file:$work/plain.master-key"
expect 0 "$db4" keys init --master-key "file:$work/plain.master-key"
cmp plain/db4.toml done.toml || fail "db4.toml is another one"
# And out of encryption again.
expect 0 "$db4" --set encryption.writes=false keys reencrypt; has "made plain 3 documents"
for id in 1 2 3; do expect 0 "$db4" stat users $id; lacks sealed; done
# With the copy of the key ring in cold still there, what is plain is rebuilt without a key.
expect 0 "$db4" --set encryption.writes=false demote users 1
mv plain/hot lost
expect 1 "$db4" --set encryption.master_key= rebuild; has "rebuild it without keys"
expect 2 "$db4" rebuild --without-keys; has "a master key is configured"
code=0
out=$("$db4" --set encryption.master_key= rebuild --without-keys) || code=$?
[ "$code" -le 1 ] || fail "it ended with $code: $out"
has "rebuilt 2 documents"
expect 0 "$db4" --set encryption.master_key= get users 1; has "$canary"
rm -r plain/hot
mv lost plain/hot

# A db4.toml of before there was encryption, and one that nobody can put a line into.
sed -i '/^\[encryption\]/,/^$/d' plain/db4.toml
! grep -q encryption plain/db4.toml || fail "the section is still there"
expect 0 "$db4" keys init --master-key "file:$work/plain.master-key"
[ "$(place)" = "file:$work/plain.master-key" ] || fail "the place is $(place)"
sed -i '/^\[encryption\]/,$d' plain/db4.toml
sed -i '1i encryption = {writes = true}' plain/db4.toml
expect 2 "$db4" keys init --master-key "file:$work/plain.master-key"; has "by hand"

# Through the socket of a process that holds the store: keys yes, the master key no.
export DB4_STORE=shop
mkfifo pipe
start bash -c 'exec "$0" import lines - <pipe >/dev/null' "$db4"
holder=$started_pid
exec 9>pipe
echo '{"id": "1", "text": "'"$canary"'"}' >&9
until_true [ -S shop/hot/live.sock ]
expect 0 "$db4" keys list; has "active"
old=$(key active)
expect 0 "$db4" keys rotate; has "still opens"
expect 0 "$db4" keys reencrypt; has "nothing is left"
expect 0 "$db4" keys destroy "$old"; expect 0 "$db4" keys cancel "$old"
expect 0 "$db4" stat users 1; has "$(key active)"
expect 0 "$db4" doctor --no-uploads; has "active key"
for words in "rewrap --to file:$work/recovery.key" "export-recovery x --to file:$work/recovery.key" \
  "import-recovery saved --passphrase-file words"; do
  # shellcheck disable=SC2086
  expect 5 "$db4" keys $words; has "process $holder holds the store"; has "end it first"
done
[ ! -e x ] || fail "a copy of the ring was written"
exec 9>&-
wait "$holder" || fail "the import failed"
hidden shop

# What an init was given is used; what does not work leaves nothing.
unset DB4_STORE
SHOP_KEY=$secret expect 0 "$db4" init given --encrypt --master-key env:SHOP_KEY; lacks "NEW MASTER KEY"; lacks "$secret"
expect 1 "$db4" --store given ls; has SHOP_KEY
SHOP_KEY=$secret expect 0 "$db4" --store given ls
expect 0 "$db4" init relative --encrypt --master-key file:relative.key --create; has "$work/relative.key"
(cd other-place && expect 0 "$db4" --store ../relative ls) || exit 1
expect 1 "$db4" init never --encrypt --master-key file:nowhere; has "is not there"
[ ! -e never/db4.toml ] || fail "a store that could not be made left its settings"
expect 2 "$db4" init never --master-key env:SHOP_KEY; has "--encrypt"
expect 2 "$db4" init never --encrypt --create; has "--master-key"
DB4_ENCRYPTION_MASTER_KEY=env:SHOP_KEY SHOP_KEY=$secret expect 2 "$db4" init never --encrypt; has "unset DB4_ENCRYPTION_MASTER_KEY"
DB4_ENCRYPTION_MASTER_KEY=env:SHOP_KEY SHOP_KEY=$secret expect 0 "$db4" init by-variable; has "is sealed"
echo "encryption is turned on, looked after, lost and found"
