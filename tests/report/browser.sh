#!/usr/bin/env bash
# Opens reports in a browser without a network: no script runs and nothing is asked for from outside, whatever the
# documents are called; nothing overflows a phone; by day and in the dark it can be read.
#
#     tests/report/browser.sh PATH_OF_DB4
set -euo pipefail

db4=$(realpath "$1")
command -v chromium >/dev/null || { echo "skipped: there is no chromium (scripts/packages.sh browser)"; exit 77; }
work=$(mktemp -d)
# The browser's last process may still be writing its profile.
trap 'rm -rf "$work" 2>/dev/null || true' EXIT
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
for name in "${names[@]}"; do printf '{"text": "some"}' | "$db4" put "$name" "$name" >/dev/null; done
"$db4" get "${names[0]}" "${names[0]}" >/dev/null
# And one whose figures are wide.
for tier in hot cold; do
  printf '{"id":"%s","text":"'"$long$long$long"'"}\n' $(seq 1700 | sed "s/^/$tier/") |
    "$db4" import introspection --id-field id --tier $tier >/dev/null
done
"$db4" demote "$long" "$long" >/dev/null
hostile="<img src=x onerror=document.title='owned'>"
mv "$DB4_STORE" "$work/$hostile"
"$db4" report --store "$work/$hostile" --output hostile.html >/dev/null
printf '{"id":"%s","text":"some text that is read now and then"}\n' $(seq 300) >corpus.jsonl
"$db4" demo --input corpus.jsonl --days 30 --reads 10 --writes 1 --dir demo >demo.log
grep -q "demo/report.html" demo.log || fail "the demo does not name its report"
mv demo/report.html demo.html
"$db4" init --store empty >/dev/null
"$db4" report --store empty --output empty.html >/dev/null

pages=(hostile demo empty)
for page in "${pages[@]}"; do
  browse --dump-dom "file://$work/$page.html" >$page.dom
  quiet
  ! grep -qiE '<(script|img|iframe)' $page.dom || fail "$page has a script or an image"
done
grep -q "<title>&lt;img src=x onerror=document.title='owned'&gt; – " hostile.dom || fail "the store's name is not its title"
! grep -q '<title>owned' *.dom || fail "a name ran as a script"

# Each in frames of a phone's width and of a desk's, with all its numbers open, in a page that says what it finds there.
{ echo '<!DOCTYPE html><meta charset="utf-8">'
  for page in "${pages[@]}"; do
    for width in 360 1100; do
      printf '<iframe title="%s" width="%s" height="9000" style="border:0" srcdoc="' "$page" $width
      sed 's/&/\&amp;/g; s/"/\&quot;/g' "$page.html"
      echo '"></iframe>'
    done
  done
  cat <<'END'
<pre></pre><script>
const look = (frame) => {
  const page = frame.contentDocument, root = page.documentElement;
  page.querySelectorAll('details').forEach(d => { d.open = true; });
  const wide = [...page.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > root.clientWidth + 1);
  const drawings = [...page.querySelectorAll('svg')];
  const unnamed = drawings.filter(s => !s.querySelector(':scope > title')?.textContent);
  const active = page.querySelectorAll('script,img,iframe,object,link,[onload],[onerror],[onmouseover]');
  return ['found', frame.title, 'in', root.clientWidth, 'wide', root.scrollWidth, [...new Set(wide.map(e => e.tagName))],
          'drawn', drawings.length > 0, 'unnamed', unnamed.length, 'active', active.length].join(' ');
};
addEventListener('load', () => {
  document.querySelector('pre').textContent = [...document.querySelectorAll('iframe')].map(look).join('\n') + '\n';
});
</script>
END
} >framed.html
browse --virtual-time-budget=5000 --dump-dom "file://$work/framed.html" | grep -oE 'found [a-z]+ in .*' >found.txt
quiet
for page in "${pages[@]}"; do
  drawn=$([ "$page" = empty ] && echo false || echo true)
  for width in 360 1100; do
    grep -qxF "found $page in $width wide $width  drawn $drawn unnamed 0 active 0" found.txt ||
      fail "$page in a width of $width: $(cat found.txt)"
  done
done

# Pictures by day and in the dark, looked at by the browser itself: the mean lightness, and how many colours.
{ printf '<pre></pre>'
  for page in "${pages[@]}"; do
    for light in day dark; do
      arguments=(--window-size=800,1600)
      [ $light = day ] || arguments+=(--force-dark-mode)
      browse "${arguments[@]}" --screenshot="$work/$page-$light.png" "file://$work/$page.html" >/dev/null
      printf '<img title="%s by %s" src="data:image/png;base64,%s">' "$page" $light "$(base64 -w 0 "$page-$light.png")"
    done
  done
  cat <<'END'
<script>
const look = (picture) => {
  const canvas = document.createElement('canvas'), context = canvas.getContext('2d'), seen = new Set();
  canvas.width = picture.width;
  canvas.height = picture.height;
  context.drawImage(picture, 0, 0);
  const p = context.getImageData(0, 0, canvas.width, canvas.height).data;
  let sum = 0;
  for (let i = 0; i < p.length; i += 4) {
    sum += p[i] + p[i + 1] + p[i + 2];
    seen.add(p[i] << 16 | p[i + 1] << 8 | p[i + 2]);
  }
  return picture.title + ' ' + Math.round(sum / p.length * 4 / 3) + ' ' + seen.size;
};
addEventListener('load', () => {
  document.querySelector('pre').textContent = [...document.querySelectorAll('img')].map(look).join('\n') + '\n';
});
</script>
END
} >look.html
browse --virtual-time-budget=5000 --dump-dom "file://$work/look.html" | grep -oE '[a-z]+ by (day|dark) [0-9]+ [0-9]+' >looks.txt
[ "$(wc -l <looks.txt)" -eq 6 ] || fail "not all pictures were taken: $(cat looks.txt)"
while read -r page _ light lightness colours; do
  [ "$colours" -ge 20 ] || fail "$page by $light is blank: $colours colours"
  if [ "$light" = day ]; then [ "$lightness" -gt 180 ]; else [ "$lightness" -lt 90 ]; fi ||
    fail "$page by $light has a mean lightness of $lightness"
done <looks.txt
[ -z "${KEEP_SCREENSHOTS:-}" ] || cp ./*.png "$KEEP_SCREENSHOTS"
echo "reports are harmless, whole and legible in a browser"
