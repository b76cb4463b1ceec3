# A PostgreSQL server on loopback, in a folder of its own; sourced.
#
#     postgres_start FOLDER    sets postgres_url; 77 where there is no server to start
#     postgres_stop FOLDER     by its pid

postgres_start() {
  local folder=$1 bin port
  bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
  [ -x "$bin/postgres" ] || { echo "skipped: PostgreSQL's server is not installed (postgresql)"; return 77; }
  mkdir -p "$folder"
  postgres_as=()
  if [ "$(id -u)" -eq 0 ]; then  # it refuses to run as root
    id postgres >/dev/null 2>&1 || { echo "skipped: there is no user postgres to run the server as"; return 77; }
    chmod 755 "$(dirname "$folder")"
    chown postgres "$folder"
    postgres_as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
  fi
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  (
    cd "$folder"
    "${postgres_as[@]}" "$bin/initdb" -D "$folder/data" -U db4 -A trust -E UTF8 --locale=C --no-sync
    "${postgres_as[@]}" "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/log" \
      -o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$folder -c fsync=${postgres_fsync:-off}" start
  ) >"$folder.out" 2>&1 || { cat "$folder.out" >&2; return 1; }
  postgres_url="postgresql://db4@127.0.0.1:$port/postgres"
}

postgres_stop() {
  local pid _
  pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) || return 0
  kill -INT "$pid" || return 0
  # It removes the file at its end. Its process may stay in the table, where nobody waits for it.
  for _ in $(seq 400); do
    [ -e "$1/data/postmaster.pid" ] || return 0
    read -rt 0.05 <> <(:) || true
  done
  kill -QUIT "$pid"
}
