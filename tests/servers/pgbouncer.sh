#!/usr/bin/env bash
# Starts a real PgBouncer in transaction mode before a PostgreSQL server for tests, on loopback. Started by root, it runs as the user postgres
# or nobody.
#   apt-get install -y --no-install-recommends pgbouncer
#   pgbouncer.sh start DIR URL    prints the URL through it; URL is that of the server, as postgres.sh prints it
#   pgbouncer.sh stop DIR         stops it
set -euo pipefail
command=${1:?start or stop} dir=$(mkdir -p "${2:?a folder}" && cd "$2" && pwd)

as_owner=()
if [ "$(id -u)" = 0 ]; then
  owner=postgres
  id "$owner" >/dev/null 2>&1 || owner=nobody
  as_owner=(setpriv --reuid="$owner" --regid="$(id -g "$owner")" --clear-groups)
fi

program=$(command -v pgbouncer || echo /usr/sbin/pgbouncer)
[ -x "$program" ] || { echo "PgBouncer is needed (Debian: apt-get install pgbouncer)" >&2; exit 1; }

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

start() {
  local url=$1 port data upstream
  upstream=${url##*:} upstream=${upstream%%/*} port=$(free_port)
  # Outside of DIR, which the owner may not be allowed to enter.
  data=$(mktemp -d "${TMPDIR:-/tmp}/tidewater-pgbouncer-XXXXXX")
  [ ${#as_owner[@]} = 0 ] || chown "$owner" "$data"
  echo "$data" > "$dir/pgbouncer"
  # Each server under test has a database, so each has a pool.
  cat > "$data/pgbouncer.ini" <<CONF
[databases]
* = host=127.0.0.1 port=$upstream user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = any
pool_mode = transaction
max_client_conn = 2000
default_pool_size = 4
server_idle_timeout = 5
ignore_startup_parameters = extra_float_digits
pidfile = $data/pid
logfile = $data/log
CONF
  "${as_owner[@]}" "$program" --daemon --quiet "$data/pgbouncer.ini" </dev/null >/dev/null 2>&1 \
    || { cat "$data/log" >&2; exit 1; }
  echo "postgres://postgres@127.0.0.1:$port/postgres"
}

stop() {
  local data
  [ -f "$dir/pgbouncer" ] || return 0
  data=$(cat "$dir/pgbouncer")
  [ ! -f "$data/pid" ] || kill -INT "$(cat "$data/pid")" || true
  rm -rf "$data" "$dir/pgbouncer"
}

"$command" "${@:3}"
