#!/usr/bin/env bash
# Starts a real PostgreSQL server for tests, on loopback. Needs no network. Started by root, it runs as the user postgres or nobody.
#   apt-get install -y --no-install-recommends postgresql
#   postgres.sh start DIR [PORT]    prints its URL; PORT 0, the default, takes a free port
#   postgres.sh stop DIR            stops the server and removes its data
# Its data is in memory, and is not synced: it survives the death of its processes, but not of the machine.
# `TIDEWATER_POSTGRES_BIN` names the folder of its programs; by default the newest of Debian's.
set -euo pipefail
command=${1:?start or stop} dir=$(mkdir -p "${2:?a folder}" && cd "$2" && pwd) port=${3:-0}

as_owner=()
if [ "$(id -u)" = 0 ]; then
  owner=postgres
  id "$owner" >/dev/null 2>&1 || owner=nobody
  as_owner=(setpriv --reuid="$owner" --regid="$(id -g "$owner")" --clear-groups)
fi

bin=${TIDEWATER_POSTGRES_BIN:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)}
[ -x "${bin:-/nowhere}/postgres" ] || { echo "PostgreSQL is needed (Debian: apt-get install postgresql)" >&2; exit 1; }

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Prints a folder in memory if there is one with 4 GiB of room.
quick_folder() {
  local free_kib
  free_kib=$(df --output=avail /dev/shm 2>/dev/null | tail -n 1) || free_kib=0
  if [ "${free_kib:-0}" -gt $((4 << 20)) ]; then echo /dev/shm; else echo "${TMPDIR:-/tmp}"; fi
}

start() {
  [ "$port" != 0 ] || port=$(free_port)
  local data
  # Outside of DIR, which the owner may not be allowed to enter.
  data=$(mktemp -d "$(quick_folder)/tidewater-postgres-XXXXXX")
  [ ${#as_owner[@]} = 0 ] || chown "$owner" "$data"
  echo "$data" > "$dir/data"
  cd "$data"
  "${as_owner[@]}" "$bin/initdb" --pgdata "$data/pg" --username postgres --auth trust --encoding UTF8 --locale C \
    --no-sync --no-instructions >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; exit 1; }
  cat >> "$data/pg/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
max_connections = 500
shared_buffers = 64MB
fsync = off
full_page_writes = off
autovacuum_naptime = 10s
CONF
  "${as_owner[@]}" "$bin/pg_ctl" start --pgdata "$data/pg" --silent --wait --timeout 120 --log "$data/log" \
    </dev/null >/dev/null 2>&1 || { cat "$data/log" >&2; exit 1; }
  echo "postgres://postgres@127.0.0.1:$port/postgres"
}

stop() {
  local data
  [ -f "$dir/data" ] || return 0
  data=$(cat "$dir/data")
  cd /
  "${as_owner[@]}" "$bin/pg_ctl" stop --pgdata "$data/pg" --silent --mode immediate --timeout 60 || true
  rm -rf "$data" "$dir/data"
}

"$command"
