#!/usr/bin/env bash
# Opens reports in a browser without a network: no script runs and nothing is asked for from outside, whatever the
# documents are called; nothing overflows a phone; by day and in the dark it can be read.
#
#     tests/report/browser.sh PATH_OF_DB4
set -euo pipefail

db4=$(realpath "$1")
command -v chromium >/dev/null || { echo "skipped: there is no chromium (scripts/packages.sh browser)"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export HOME=$work DB4_STORE=$work/store

fail() { echo "FAILED: $*" >&2; exit 1; }
# browse ARGUMENTS...: a run of the browser, with what pages say to the console in console.log.
browse() {
  timeout 120 chromium --headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
    --disable-component-update --disable-dev-shm-usage --hide-scrollbars --host-resolver-rules="MAP * ~NOTFOUND" \
    --user-data-dir="$work/profile" --enable-logging=stderr "$@" 2>browser.log
  grep CONSOLE browser.log >console.log || true
}
quiet() { [ ! -s console.log ] || fail "the page complains: $(head -c 2000 console.log)"; }

echo '<p>works' >probe.html
browse --dump-dom "file://$work/probe.html" >probe.dom || true
grep -q works probe.dom || { echo "skipped: chromium does not run here: $(tail -n 3 browser.log)"; exit 77; }

# A store whose documents, collections and folder are called what breaks a page that takes names for markup.
"$db4" init >/dev/null
long=$(head -c 200 /dev/zero | tr '\0' W)
names=("<script>document.title='owned'</script>" "\"><img src=x onerror=\"document.title='owned'\">"
       "</style></title><svg onload=\"document.title='owned'\">" "' onmouseover='alert(1)" '🦆 👩‍🚀' $'\u202eback'
       $'line\nbreak\x01' '&lt;b&gt;&#0;' 'http://example.com/' "$long")
for name in "${names[@]}"; do
  for text in one two three; do printf '{"text": "%s"}' "$text" | "$db4" put "$name" "$name" >/dev/null; done
  "$db4" get "$name" "$name" >/dev/null
done
"$db4" demote "$long" "$long" >/dev/null
hostile="</title><script>document.title='owned'"
cp -r "$DB4_STORE" "$work/${hostile//\//∕}"
"$db4" report --store "$work/${hostile//\//∕}" --output hostile.html >/dev/null
"$db4" report --store "$work/${hostile//\//∕}" --output - | cmp -s - /dev/null && fail "nothing on standard output"
printf '{"id":"%s","text":"some text that is read now and then"}\n' $(seq 300) >corpus.jsonl
"$db4" demo --input corpus.jsonl --days 30 --reads 10 --writes 1 --dir demo >demo.log
grep -q "demo/report.html" demo.log || fail "the demo does not name its report"
mv demo/report.html demo.html
"$db4" init --store empty >/dev/null
"$db4" report --store empty --output empty.html >/dev/null

# frame PAGE WIDTH: wraps it in a frame of that width, which says what it found when it is loaded.
frame() {
  { printf '<!DOCTYPE html><meta charset="utf-8"><iframe width="%s" height="9000" style="border:0" srcdoc="' "$2"
    sed 's/&/\&amp;/g; s/"/\&quot;/g' "$1"
    cat <<'END'
"></iframe><p id="found"></p><script>
addEventListener('load', () => {
  const page = document.querySelector('iframe').contentDocument, root = page.documentElement;
  page.querySelectorAll('details').forEach(d => { d.open = true; });
  const wide = [...page.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > root.clientWidth + 1);
  const unnamed = [...page.querySelectorAll('svg')].filter(s => !s.querySelector(':scope > title')?.textContent);
  document.getElementById('found').textContent = [
    'client=' + root.clientWidth, 'scroll=' + root.scrollWidth, 'wide=' + wide.map(e => e.tagName + '.' + e.className).slice(0, 5),
    'scripts=' + page.querySelectorAll('script,img,iframe,object,link,[onload],[onerror],[onmouseover]').length,
    'svg=' + (page.querySelectorAll('svg').length > 0), 'unnamed=' + unnamed.length,
    'ink=' + getComputedStyle(page.body).color, 'title=' + page.title].join('\n');
});
</script>
END
  } >framed.html
}
found() { grep -qxF "$1" framed.dom || fail "$page in $width: no $1: $(grep -E "^(client|scroll|wide|scripts|svg|unnamed|ink|title)=" framed.dom || head -c 500 framed.dom)"; }

for page in hostile demo empty; do
  browse --dump-dom "file://$work/$page.html" >$page.dom
  quiet
  ! grep -qiE '<(script|img|iframe)' $page.dom || fail "$page has a script or an image"
  for width in 360 1100; do
    frame $page.html $width
    browse --virtual-time-budget=5000 --dump-dom "file://$work/framed.html" | sed 's/^<p id="found">//; s/^.*<p id="found">//' >framed.dom
    quiet
    found "client=$width"
    found "scroll=$width"
    found "wide="
    found "scripts=0"
    found "unnamed=0"
  done
  [ $page = empty ] || found "svg=true"
done
grep -q "<title>&lt;/title&gt;&lt;script&gt;document.title='owned'" hostile.dom || grep -q 'owned' hostile.dom ||
  fail "the names are not there"
! grep -q '<title>owned' hostile.dom || fail "a name ran as a script"

# Pictures by day and in the dark, each looked at by the browser itself: its mean lightness, and how many colours.
for page in hostile demo empty; do
  for light in day dark; do
    arguments=(--window-size=800,1600)
    [ $light = day ] || arguments+=(--force-dark-mode)
    browse "${arguments[@]}" --screenshot="$work/$page-$light.png" "file://$work/$page.html"
    { printf '<canvas></canvas><p></p><script>const i = new Image(); i.onload = () => {
        const c = document.querySelector("canvas"), d = c.getContext("2d"); c.width = i.width; c.height = i.height;
        d.drawImage(i, 0, 0); const p = d.getImageData(0, 0, c.width, c.height).data, seen = new Set(); let sum = 0;
        for (let k = 0; k < p.length; k += 4) { sum += p[k] + p[k+1] + p[k+2]; seen.add(p[k] << 16 | p[k+1] << 8 | p[k+2]); }
        document.querySelector("p").textContent = "light " + Math.round(sum / p.length * 4 / 3) + " colours " + seen.size;
      }; i.src = "data:image/png;base64,'
      base64 -w 0 "$page-$light.png"
      printf '";</script>'; } >look.html
    browse --virtual-time-budget=5000 --dump-dom "file://$work/look.html" >look.dom
    seen=$(sed -nE 's/.*light ([0-9]+) colours ([0-9]+).*/\1 \2/p' look.dom)
    read -r lightness colours <<<"$seen"
    [ "${colours:-0}" -ge 20 ] || fail "$page by $light is blank: $seen"
    if [ $light = day ]; then [ "$lightness" -gt 180 ]; else [ "$lightness" -lt 90 ]; fi ||
      fail "$page by $light has a mean lightness of $lightness"
  done
done
[ -z "${KEEP_SCREENSHOTS:-}" ] || cp ./*.png "$KEEP_SCREENSHOTS"
echo "reports are harmless, whole and legible in a browser"
