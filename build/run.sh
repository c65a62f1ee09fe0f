#!/bin/bash
# run.sh [once]: nginx-conf/kv.conf at work on real parts. Starts memcached and nginx on free ports, in a folder of its
# own, uses them, and stays until Ctrl-C; with "once" it ends by itself. Fails when an answer is not the right one.
# $NGINX_BINARY is the nginx to run (NGINX is a variable of its own), $MODULES_DIR the folder of our modules.

set -euo pipefail

once=${1:-}
dir=$(mktemp -d "${TMPDIR:-/tmp}/ngx-memcache.XXXXXX")
pids=()
wrong=0

main() {
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP

    start_memcached
    start_nginx
    use_the_store
    show_the_status

    if ((wrong)); then
        echo "run: $wrong of the answers were wrong; the end of $dir/error.log:"
        tail -n 20 "$dir/error.log"
        exit 1
    fi
    if [[ $once ]]; then
        printf '\nEvery answer was right.\n'
        exit 0
    fi

    printf '\nStore:         %s/kv/KEY\nStatus page:   %s/status\nConfiguration: %s\nError log:     %s\n' \
        "$url" "$url" "$dir/nginx.conf" "$dir/error.log"
    printf 'memcached:     127.0.0.1:%s\nnginx and memcached run until you press Ctrl-C.\n' "$memcached_port"
    wait -n "${pids[@]}" || true
    echo "run: nginx or memcached ended by itself" >&2
    exit 1
}

start_memcached() {
    memcached_port=$(free_port)
    local user=()
    ((EUID != 0)) || user=(-u nobody)
    memcached -l 127.0.0.1 -p "$memcached_port" -U 0 -m 64 "${user[@]}" &
    pids+=($!)
    wait_for memcached "$memcached_port"
}

start_nginx() {
    local port
    port=$(free_port)
    url=http://127.0.0.1:$port

    # The workers of an nginx that root started are another user: let them pass.
    chmod 755 "$dir"
    ln -s "$MODULES_DIR" "$dir/modules"
    sed -e "s/127\.0\.0\.1:8080/127.0.0.1:$port/" -e "s/127\.0\.0\.1:11211/127.0.0.1:$memcached_port/" \
        nginx-conf/kv.conf >"$dir/nginx.conf"

    "$NGINX_BINARY" -p "$dir" -c nginx.conf -e error.log -g 'daemon off;' &
    pids+=($!)
    wait_for nginx "$port"
}

use_the_store() {
    title "Store a value, read it"
    try 204 '' -X PUT --data moo "$url/kv/cow"
    try 200 'moo' "$url/kv/cow"
    try 200 '*X-Memcache-Flags: 0*ETag: "*"*' -I "$url/kv/cow"

    title "Count"
    try 200 1 -X POST "$url/kv/hits?incr=1&initial=1"
    try 200 42 -X POST "$url/kv/hits?incr=41"
    try 200 40 -X POST "$url/kv/hits?decr=2"

    title "Several keys at once"
    try 200 moo40 "$url/kv/?keys=cow,nothing,hits"

    title "What memcached itself has, as any other client sees it"
    ask_memcached 'VALUE kv:cow 0 3*moo*END*' 'get kv:cow'

    title "Delete"
    try 204 '' -X DELETE "$url/kv/cow"
    try 404 '*' "$url/kv/cow"

    title "The servers"
    try 200 "127.0.0.1:$memcached_port*live min=1 smax=2 max=8*" "$url/kv/?servers"
}

show_the_status() {
    title "The status of the worker's client"
    try 200 '*"state":"live"*' "$url/status?format=json"
}

# try STATUS BODY CURL-ARGUMENT...: prints the command and its answer, and compares: BODY is a pattern.
try() {
    local status=$1 body=$2 answer
    shift 2

    print_command curl "$@"
    answer=$(curl -sS -m 10 -w '\n%{http_code}' "$@") || true

    local got_status=${answer##*$'\n'} got_body=${answer%$'\n'*}
    if [[ $got_body == '{'* ]] && command -v perl >/dev/null; then
        brief_json <<<"$got_body"
    elif [[ $got_body ]]; then
        printf '%s\n' "$got_body"
    fi
    echo "[$got_status]"

    [[ $got_status == "$status" && $got_body == $body ]] || is_wrong "[$status] $body"
}

# A part of the JSON of the status, which has much more: what most look at first.
brief_json() {
    perl -MJSON::PP -0e '
        my $all = decode_json(<STDIN>);
        my @clients = map { my $client = $_; +{ name => $client->{name}, servers => [map { my $server = $_; +{
            (map { $_ => $server->{$_} } qw/ address state version hits misses connections /),
            operations => { map { $server->{operations}{$_} ? ($_ => $server->{operations}{$_}) : () }
                keys %{$server->{operations}} },
        } } @{$client->{servers}}] } } @{$all->{clients}};
        print JSON::PP->new->pretty->canonical->encode({ clients => \@clients })'
    echo "(and more, which is left out here)"
}

# ask_memcached ANSWER COMMAND: the same with memcached's own protocol.
ask_memcached() {
    local pattern=$1 command=$2 answer

    printf 'to memcached: %s\n' "$command"
    exec {socket}<>"/dev/tcp/127.0.0.1/$memcached_port"
    printf '%s\r\nquit\r\n' "$command" >&"$socket"
    answer=$(tr -d '\r' <&"$socket")
    exec {socket}>&-
    printf '%s\n' "$answer"

    [[ $answer == $pattern ]] || is_wrong "$pattern"
}

print_command() {
    local word
    printf '$'
    for word in "$@"; do
        case $word in
            *[!A-Za-z0-9_./:=-]*) printf ' %s' "${word@Q}" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
    echo
}

is_wrong() {
    wrong=$((wrong + 1))
    echo "run: that is wrong, due was: $1"
}

title() {
    printf '\n# %s\n' "$1"
}

# Below the range that the system itself takes ports from.
free_port() {
    local port
    while :; do
        port=$((RANDOM % 20000 + 10000))
        listens "$port" || break
    done
    echo "$port"
}

listens() {
    (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# wait_for NAME PORT: until the process started last listens.
wait_for() {
    local i
    for ((i = 0; i < 100; i++)); do
        kill -0 "${pids[-1]}" 2>/dev/null || break
        listens "$2" && return
        sleep 0.1
    done
    echo "run: $1 does not come up" >&2
    exit 1
}

clean_up() {
    local pid
    trap '' INT TERM HUP
    for pid in "${pids[@]}"; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    wait
    rm -rf "$dir"
}

main
