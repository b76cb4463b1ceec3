# What the tests of uploads to Ceph's gateway share; sourced with the path of db4 as first argument, as tests/cli/common.sh
# is, which it sources. There is a store, DB4_STORE, whose cold tier is a gateway of this test's own behind a proxy that
# counts (counting_proxy.py); ends the test with 77 and the reason where there is no Ceph.
unset "${!AWS_@}" "${!DB4_@}" 2>/dev/null || true
source "$(dirname "${BASH_SOURCE[0]}")/../cli/common.sh"
support=$source_folder/tests/support

stop_servers() {
  [ -z "${proxy_PID:-}" ] || eval "exec ${proxy[1]}>&-"  # it ends with its input
  [ ! -d ceph ] || "$support/servers/ceph.sh" stop ceph || true
}
trap 'stop_servers; finish' EXIT

"$support/servers/ceph.sh" start ceph >variables 2>why || { code=$?; tail -n 30 why; exit "$code"; }
. ./variables
export DB4_COLD_SECRET_KEY=$DB4_TEST_S3_SECRET_KEY
coproc proxy { exec python3 "$support/counting_proxy.py" "${DB4_TEST_S3_ENDPOINT##*:}" "$work/requests"; }
read -r proxy_port <&"${proxy[0]}"
# ask COMMAND...: of the proxy; what it answers.
ask() {
  local answer
  echo "$*" >&"${proxy[1]}"
  read -r answer <&"${proxy[0]}" || fail "the proxy is gone"
  echo "$answer"
}
# send ARGUMENTS...: db4 in the background; its process is in `pid`, for the proxy to kill, and what it says in `said`.
send() { bash -c 'echo $$ >pid; exec "$@"' - "$db4" "$@" --quiet >said 2>&1 & }
# killed WHERE: what was sent ends by a kill.
killed() {
  local code=0
  { wait "$!" || code=$?; } 2>/dev/null  # without the shell's own word of it
  [ "$code" -eq 137 ] || fail "it should have been killed $1, and ended with $code: $(cat said)"
}

"$db4" init s --set cold.type=s3 --set cold.bucket="$DB4_TEST_S3_BUCKET" --set cold.endpoint="http://127.0.0.1:$proxy_port" \
  --set cold.region="$DB4_TEST_S3_REGION" --set cold.access_key="$DB4_TEST_S3_ACCESS_KEY" >/dev/null
export DB4_STORE=s
