#!/usr/bin/env bash
# OpenStack Swift with its S3 API on the loopback, of Debian's packages (scripts/packages.sh servers): one of
# each of its servers. Prints where it is and its keys, as lines for a shell; with the bucket `db4`.
#
#     swift.sh start FOLDER        swift.sh stop FOLDER
#
# Exit 77: it cannot be started here, and the reason.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/common.sh"
[ $# -eq 2 ] || die "usage: swift.sh start|stop FOLDER"
mkdir -p "$2"
folder=$(cd "$2" && pwd)
servers=(account container object)

stop() {
  for name in proxy "${servers[@]}" memcached; do stop_pid "$folder/$name.pid"; done
}
if [ "$1" = stop ]; then
  stop
  exit 0
fi
[ "$1" = start ] || die "usage: swift.sh start|stop FOLDER"
for program in swift-proxy-server swift-account-server swift-container-server swift-object-server \
  swift-ring-builder memcached python3; do
  command -v "$program" >/dev/null || skip "there is no $program: scripts/packages.sh servers"
done

# run NAME COMMAND...: in the background, its id and its log in the folder.
run() {
  local name=$1
  shift
  "$@" >"$folder/$name.log" 2>&1 3>&- </dev/null &
  echo $! >"$folder/$name.pid"
}

start() {
  local cache_port proxy_port user
  user=$(id -un)
  rm -rf "$folder"/{conf,devices}
  mkdir -p "$folder"/conf "$folder"/devices/d
  cache_port=$(free_port)
  proxy_port=$(free_port)
  cat >"$folder/conf/swift.conf" <<END
[swift-hash]
swift_hash_path_prefix = db4
swift_hash_path_suffix = db4
[storage-policy:0]
name = default
default = yes
END
  run memcached memcached -l 127.0.0.1 -p "$cache_port" -u "$user" -m 32
  for name in "${servers[@]}"; do
    local port
    port=$(free_port)
    cat >"$folder/conf/$name.conf" <<END
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $port
user = $user
swift_dir = $folder/conf
devices = $folder/devices
mount_check = false
workers = 0
log_name = $name
log_level = WARNING
[pipeline:main]
pipeline = $name-server
[app:$name-server]
use = egg:swift#$name
replication_server = false
END
    (
      cd "$folder/conf"
      swift-ring-builder "$name.builder" create 4 1 1
      swift-ring-builder "$name.builder" add --region 1 --zone 1 --ip 127.0.0.1 --port "$port" --device d --weight 1
      swift-ring-builder "$name.builder" rebalance
    )
    run "$name" env SWIFT_DIR="$folder/conf" "swift-$name-server" "$folder/conf/$name.conf" --verbose
  done
  cat >"$folder/conf/proxy.conf" <<END
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $proxy_port
user = $user
swift_dir = $folder/conf
workers = 0
log_level = WARNING
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$cache_port
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
[filter:symlink]
use = egg:swift#symlink
END
  run proxy swift-proxy-server "$folder/conf/proxy.conf" --verbose
  S3_ENDPOINT=http://127.0.0.1:$proxy_port
  wait_for 30 python3 "$here/s3_request.py" "$S3_ENDPOINT" us-east-1 test:tester testing PUT /db4
}

trap 'stop; tail -n 20 "$folder"/*.log >&2' ERR
exec 3>&1 >"$folder/start.log" 2>&1
start || { stop; start; }  # once more: another process may have taken a port
trap - ERR
exec >&3
cat <<END
DB4_TEST_S3_ENDPOINT=$S3_ENDPOINT
DB4_TEST_S3_REGION=us-east-1
DB4_TEST_S3_BUCKET=db4
DB4_TEST_S3_ACCESS_KEY=test:tester
DB4_TEST_S3_SECRET_KEY=testing
DB4_TEST_S3_CONDITIONS=none
END
