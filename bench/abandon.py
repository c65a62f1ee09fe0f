#!/usr/bin/env python3
"""Small gets beside clients that ask the example kv for many large items and go away: how many are served, and how soon.

SECONDS=8 per row, ROW=name for one. Other modules: MODULES_DIR.
"""

import multiprocessing
import os
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True

from harness import ways
from harness.processes import Failed, Memcached, end_all, free_port
from harness.relay import Relay

SECONDS = float(os.environ.get("SECONDS", 8))
KEYS = 100
CLIENTS = 8
# The small gets pause for so many seconds after each.
PAUSE = 0.002
TIMEOUT = "100ms"

# Bytes of an item, seconds that a client stays (None: until it is served), parameters of the server, what it asks for, the
# clients, and bytes a second from memcached, if a link bounds them.
ROWS = {
    "nobody": (100, 0, "", "multi", 0),
    "60 KB": (60_000, 0.005, "", "multi", CLIENTS),
    "60 KB, at once": (60_000, 0.001, "", "multi", CLIENTS),
    "60 KB, max=1": (60_000, 0.005, " max=1", "multi", CLIENTS),
    "60 KB, in pulses": (60_000, 0.005, "", "pulses", CLIENTS),
    "60 KB, 60 clients": (60_000, 0.02, "", "multi", 60),
    "60 KB, 25 MB/s": (60_000, 0.005, "", "multi", CLIENTS, 25_000_000),
    "60 KB, one by one": (60_000, 0.002, "", "single", CLIENTS),
    "60 KB, who stay": (60_000, None, "", "multi", CLIENTS),
    "1 MB": (1_000_000, 0.005, "", "multi", CLIENTS),
    "1 MB, max=1": (1_000_000, 0.005, " max=1", "multi", CLIENTS),
    "1 KB": (1_000, 0.005, "", "multi", CLIENTS),
    "incr": (1, 0.002, "", "incr", CLIENTS),
}


def main():
    print("small items: served, failed, ms for the client, ms in nginx; clients that went away; connections; MB from memcached")
    print(f"{'':18}{'served':>7}{'failed':>7}{'p50':>7}{'p99':>8}{'p50':>7}{'p99':>7}{'gone':>8}{'conns':>6}{'MB':>7}")
    for name, row in ROWS.items():
        if os.environ.get("ROW", name) == name:
            print("{:18}{:7}{:7}{:7.1f}{:8.1f}{:7}{:7}{:8}{:6}{:7.0f}".format(name, *run(*row)), flush=True)


def run(size, stay, parameters, kind, clients, rate=None):
    memcached = Memcached()
    relay = Relay(memcached, rate) if rate else None
    port = free_port()
    lines = f"memcache_server {(relay or memcached).address}{parameters}; memcache_timeout {TIMEOUT};"
    lines += " map $uri $is_small { default 0; /kv/small 1; } log_format times '$request_time';"
    lines += f" server {{ listen 127.0.0.1:{port} backlog=4096; location /kv/ {{ memcache_kv on;"
    lines += " access_log small.log times if=$is_small; } }"
    modules = [f"{ways.MODULES}/ngx_http_memcache_{m}.so" for m in ("module", "kv_module")]
    server = ways.nginx("kv", "", [memcached], modules, lines)
    small, asked = multiprocessing.Queue(), multiprocessing.Queue()
    try:
        memcached.set("small", b"s" * 100)
        for n in range(KEYS):
            memcached.set(f"large{n}", b"1" * size)
        before = memcached.stats()
        processes = [multiprocessing.Process(target=read_small, args=(port, small))]
        processes += [multiprocessing.Process(target=go_away, args=(port, stay, kind, asked)) for _ in range(clients)]
        for process in processes:
            process.start()
        times, failed = small.get()
        total = sum(asked.get() for _ in range(clients))
        for process in processes:
            process.join()
        after = memcached.stats()
        came = lambda name: int(after[name]) - int(before[name])
        with open(os.path.join(server.folder, "small.log")) as log:
            inside = sorted(round(float(line) * 1000) for line in log)
        at = lambda times, part: times[min(len(times) - 1, int(len(times) * part))] if times else 0
        # The last connection is that which asks.
        return (len(times), failed, at(times, 0.5), at(times, 0.99), at(inside, 0.5), at(inside, 0.99), total,
                came("total_connections") - 1, came("bytes_written") / 1e6)
    finally:
        server.stop()
        if relay:
            relay.stop()
        memcached.stop()


def read_small(port, result):
    times, failed = [], 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        start = time.monotonic()
        client = ask(port, "GET", "/kv/small")
        if client.recv(12) == b"HTTP/1.1 200":
            times.append((time.monotonic() - start) * 1000)
        else:
            failed += 1
        client.close()
        time.sleep(PAUSE)
    result.put((sorted(times), failed))


def go_away(port, stay, kind, result):
    keys = ",".join(f"large{n}" for n in range(KEYS))
    end = time.monotonic() + SECONDS
    asked = 0
    while time.monotonic() < end:
        asked += 1
        if kind == "incr":
            client = ask(port, "POST", f"/kv/large{asked % KEYS}?incr=1")
        elif kind == "single":
            client = ask(port, "GET", f"/kv/large{asked % KEYS}")
        else:
            client = ask(port, "GET", f"/kv/?keys={keys}")
        if stay is None:
            while client.recv(1 << 20):
                pass
        else:
            time.sleep(stay)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        if kind == "pulses" and asked % 10 == 0:
            time.sleep(0.5)
    result.put(asked)


def ask(port, method, uri):
    client = socket.socket()
    client.settimeout(20)
    client.connect(("127.0.0.1", port))
    client.sendall(f"{method} {uri} HTTP/1.1\r\nHost: b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
    return client


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"abandon: {failed}")
    finally:
        end_all()
