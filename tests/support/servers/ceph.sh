#!/usr/bin/env bash
# Ceph's S3 gateway on the loopback: one monitor, one OSD in memory, one gateway, of Debian's packages
# (scripts/packages.sh servers), over HTTP and over TLS with a certificate of its own. Prints where it is and its keys, as
# lines for a shell; with the bucket `db4`.
#
#     ceph.sh start FOLDER        ceph.sh stop FOLDER
#
# Exit 77: it cannot be started here, and the reason.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/common.sh"
[ $# -eq 2 ] || die "usage: ceph.sh start|stop FOLDER"
mkdir -p "$2"
folder=$(cd "$2" && pwd)
conf=$folder/ceph.conf

stop() {
  # In this order: whoever needs another one goes first.
  for name in rgw osd mon; do stop_pid "$folder/$name.pid"; done
}
if [ "$1" = stop ]; then
  stop
  exit 0
fi
[ "$1" = start ] || die "usage: ceph.sh start|stop FOLDER"
for program in ceph-mon ceph-osd ceph radosgw radosgw-admin monmaptool openssl python3; do
  command -v "$program" >/dev/null || skip "there is no $program: scripts/packages.sh servers"
done

start() {
  local mon_port rgw_port tls_port fsid osd
  rm -rf "$folder"/{mon,osd,run,map}
  mkdir -p "$folder"/{mon,osd,run}
  : >"$folder/keyring"
  mon_port=$(free_port)
  rgw_port=$(free_port)
  tls_port=$(free_port)
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
    -keyout "$folder/key.pem" -out "$folder/ca.pem"
  cat "$folder/key.pem" "$folder/ca.pem" >"$folder/server.pem"
  fsid=$(python3 -c 'import uuid; print(uuid.uuid4())')
  cat >"$conf" <<END
[global]
fsid = $fsid
mon_host = v2:127.0.0.1:$mon_port
public_addr = 127.0.0.1
ms_bind_msgr1 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
run_dir = $folder/run
admin_socket = $folder/run/\$name.\$pid.asok
log_file = $folder/\$name.log
keyring = $folder/keyring
mon_data = $folder/mon
osd_data = $folder/osd
osd_objectstore = memstore
memstore_device_bytes = 8589934592
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_osd_full_ratio = 0.99
[mon.m]
pid_file = $folder/mon.pid
[osd.0]
pid_file = $folder/osd.pid
[client.rgw]
pid_file = $folder/rgw.pid
rgw_frontends = beast endpoint=127.0.0.1:$rgw_port ssl_endpoint=127.0.0.1:$tls_port ssl_certificate=$folder/server.pem
# What is overwritten goes at once, not after two hours: it is all in memory.
rgw_gc_obj_min_wait = 1
rgw_gc_processor_period = 1
rgw_gc_processor_max_time = 1
END
  local options=(-c "$conf" --setuser "$(id -un)" --setgroup "$(id -gn)")
  monmaptool --create --fsid "$fsid" --addv m "[v2:127.0.0.1:$mon_port]" "$folder/map" >/dev/null
  ceph-mon "${options[@]}" --mkfs -i m --monmap "$folder/map"
  ceph-mon "${options[@]}" -i m
  wait_for 30 ceph -c "$conf" --connect-timeout 2 mon stat || return 1
  osd=$(python3 -c 'import uuid; print(uuid.uuid4())')
  ceph -c "$conf" osd new "$osd" >/dev/null
  ceph-osd "${options[@]}" -i 0 --mkfs --osd-uuid "$osd"
  ceph-osd "${options[@]}" -i 0
  wait_for 30 bash -c "ceph -c '$conf' osd stat | grep -q '1 up'" || return 1
  radosgw-admin -c "$conf" -n client.rgw user create --uid=db4 --display-name=db4 --access-key=DB4TESTKEY \
    --secret-key=db4testsecret >/dev/null
  radosgw "${options[@]}" -n client.rgw
  wait_for 30 python3 -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$rgw_port')" || return 1
  S3_ENDPOINT=http://127.0.0.1:$rgw_port
  S3_TLS_ENDPOINT=https://127.0.0.1:$tls_port
  python3 "$here/s3_request.py" "$S3_ENDPOINT" default DB4TESTKEY db4testsecret PUT /db4
}

trap 'stop; tail -n 20 "$folder/start.log" >&2' ERR
exec 3>&1 >"$folder/start.log" 2>&1
start || { stop; start; }  # once more: another process may have taken a port
trap - ERR
exec >&3
cat <<END
DB4_TEST_S3_ENDPOINT=$S3_ENDPOINT
DB4_TEST_S3_TLS_ENDPOINT=$S3_TLS_ENDPOINT
DB4_TEST_S3_CA_FILE=$folder/ca.pem
DB4_TEST_S3_REGION=default
DB4_TEST_S3_BUCKET=db4
DB4_TEST_S3_ACCESS_KEY=DB4TESTKEY
DB4_TEST_S3_SECRET_KEY=db4testsecret
END
