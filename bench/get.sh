#!/bin/bash
# get.sh: one get per request, side by side: the kv sibling, memcached_pass with keepalive, and a constant (the floor),
# in alternating rounds on the same nginx and the same memcached. Prints medians and ratios, and the memory of the
# worker after the first round of kv and at the end.
# $NGINX_BINARY, $MODULES_DIR: as for build/run.sh; $ROUNDS and $DURATION (seconds of each run): how long it takes;
# $CONNECTIONS of the load generator, $VALUE: bytes of the value.
#
# The worker has the first core, memcached (one thread) and wrk (one thread) share the second.

set -euo pipefail

: "${ROUNDS:=5}" "${DURATION:=4}" "${CONNECTIONS:=64}" "${VALUE:=100}"
dir=$(mktemp -d "${TMPDIR:-/tmp}/ngx-memcache-bench.XXXXXX")
pids=()

clean_up() {
    ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
    wait
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

free_port() {
    perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'
}

mc=$(free_port)
port=$(free_port)
url=http://127.0.0.1:$port
user=()
((EUID != 0)) || user=(-u nobody)
taskset -c 1 memcached -l 127.0.0.1 -p "$mc" -U 0 -m 64 -t 1 "${user[@]}" &
pids+=($!)

chmod 755 "$dir"
cat >"$dir/nginx.conf" <<EOF
load_module $MODULES_DIR/ngx_http_memcache_module.so;
load_module $MODULES_DIR/ngx_http_memcache_kv_module.so;
worker_processes 1;
worker_cpu_affinity 01;
error_log error.log;
pid nginx.pid;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    default_type application/octet-stream;
    client_body_buffer_size 1m;
    memcache_server 127.0.0.1:$mc;
    upstream mc { server 127.0.0.1:$mc; keepalive 64; }
    server {
        listen 127.0.0.1:$port;
        location /kv/ { memcache_kv on; }
        location /pass/ { set \$memcached_key item; memcached_pass mc; }
        location /floor/ { return 200 "$(head -c "$VALUE" /dev/zero | tr '\0' v)"; }
        location /status { memcache_status json; }
    }
}
EOF
"$NGINX_BINARY" -p "$dir" -c nginx.conf -e error.log -g 'daemon off;' &
pids+=($!)
for _ in {1..100}; do curl -s -o /dev/null "$url/status" && break; sleep 0.1; done

head -c "$VALUE" /dev/zero | tr '\0' v | curl -sSf -X PUT -H 'Content-Type:' --data-binary @- "$url/kv/item"

ways=(kv pass floor)
declare -A path=([kv]=/kv/item [pass]=/pass/item [floor]=/floor/) runs=()
for way in "${ways[@]}"; do
    length=$(curl -sSf "$url${path[$way]}" | wc -c)
    ((length == VALUE)) || { echo "get.sh: $way answers $length bytes instead of $VALUE" >&2; exit 1; }
done

worker_memory() {
    local worker gets
    worker=$(pgrep -P "${pids[1]}")
    gets=$(curl -sSf "$url/status" | grep -o '"get":[0-9]*')
    echo "worker memory after ${gets#*:} gets: $(awk '/^VmRSS/ { print $2 }' "/proc/$worker/status") kB"
}

"$NGINX_BINARY" -v
memcached -V
echo "$CONNECTIONS connections, $VALUE bytes, $ROUNDS rounds of $DURATION s; requests/s"
for ((round = 1; round <= ROUNDS; round++)); do
    for way in "${ways[@]}"; do
        out=$(taskset -c 1 wrk -t1 -c"$CONNECTIONS" -d"${DURATION}s" "$url${path[$way]}")
        if grep -qE 'Non-2xx|Socket errors' <<<"$out"; then
            printf '%s\n' "$out" >&2
            exit 1
        fi
        rate=$(awk '/Requests\/sec/ { print int($2) }' <<<"$out")
        runs[$way]+="$rate "
        printf '  %-6s %8d\n' "$way" "$rate"
        ((round > 1)) || [[ $way != kv ]] || worker_memory
    done
done
worker_memory

median() { tr ' ' '\n' <<<"$1" | grep . | sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
kv=$(median "${runs[kv]}") pass=$(median "${runs[pass]}") floor=$(median "${runs[floor]}")
awk -v kv="$kv" -v pass="$pass" -v floor="$floor" 'BEGIN {
    printf "medians: kv %d, memcached_pass %d, floor %d\n", kv, pass, floor
    printf "kv / memcached_pass = %.2f, kv / floor = %.2f\n", kv / pass, kv / floor }'
echo "connections that our client opened: $(curl -sSf "$url/status" | grep -o '"opened":[0-9]*')"
