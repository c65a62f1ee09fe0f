#!/usr/bin/env python3
"""Memory of the worker with many clients that ask for a large value and do not read it: before, meanwhile, afterwards.

Ours is the example kv, beside memcached_pass. Other modules: MODULES_DIR.
"""

import os
import socket
import sys
import time

sys.dont_write_bytecode = True

from harness import ways
from harness.processes import Failed, Memcached, end_all, free_port

CLIENTS = 300
SIZE = 1_000_000


def main():
    print(f"{'way':18}{'before':>8}{'with them':>11}{'after':>8}{'served':>8}{'refused':>9}    MB, clients")
    for way in ("memcached_pass", "kv"):
        print("{:18}{:8.1f}{:11.1f}{:8.1f}{:8}{:9}".format(way, *run(way)), flush=True)


def run(way):
    memcached = Memcached()
    port = free_port()
    location = "memcache_kv on;" if way == "kv" else "set $memcached_key $uri; memcached_pass memcached;"
    lines = "" if way == "memcached_pass" else f"memcache_server {memcached.address};"
    lines += f" server {{ listen 127.0.0.1:{port} sndbuf=8k backlog=4096; location /get/ {{ {location} }} }}"
    modules = [f"{ways.MODULES}/ngx_http_memcache_{m}.so" for m in ("module", "kv_module")] if way == "kv" else []
    server = ways.nginx(way, "", [memcached], modules, lines)
    clients = []
    try:
        memcached.set("large" if way == "kv" else "/get/large", b"v" * SIZE)
        memcached.set("/get/large", b"v" * SIZE)
        for _ in range(20):
            read_all(ask(port))
        before = memory(server.workers[0])
        clients = [ask(port) for _ in range(CLIENTS)]
        meanwhile = settled(server.workers[0])
        statuses = [client.recv(12).decode() for client in clients]
        for client in clients:
            client.close()
        # What is kept of large values is freed when it was not used for 5 to 10 seconds (SPARE_TIME).
        time.sleep(12)
        return (before, meanwhile, settled(server.workers[0]),
                statuses.count("HTTP/1.1 200"), statuses.count("HTTP/1.1 503"))
    finally:
        for client in clients:
            client.close()
        server.stop()
        memcached.stop()


def ask(port):
    """A client with hardly any room for what comes."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(20)
    client.connect(("127.0.0.1", port))
    client.sendall(b"GET /get/large HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n")
    return client


def read_all(client):
    while client.recv(65536):
        pass
    client.close()


def settled(pid):
    """Its memory when that does not change any more."""
    last = memory(pid)
    for _ in range(40):
        time.sleep(0.5)
        now = memory(pid)
        if abs(now - last) < 0.1:
            return now
        last = now
    raise Failed("the memory of the worker does not settle")


def memory(pid):
    """Resident, of its own, in MB."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        lines = dict(line.split(":") for line in f.read().splitlines()[1:])
    return (int(lines["Private_Dirty"].split()[0]) + int(lines["Private_Clean"].split()[0])) / 1024


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"slow_readers: {failed}")
    finally:
        end_all()
