#!/usr/bin/env python3
"""Large and small items over a link that is full: 25 MB a second from memcached, 30 clients that read items of 1 MiB all
the time and two that read items of 100 bytes. memcached_pass on the same link, one after the other.

link.py [SECONDS] [CLIENTS]: MEMCACHE_TIMEOUT=1s for ours (and for memcached_pass, of which it is the time between two
reads). COLD=1 does not read each item once before.
"""

import http.client
import os
import statistics
import sys
import threading
import time

sys.dont_write_bytecode = True

from harness import ways
from harness.processes import Memcached, end_all
from harness.relay import Relay

RATE = 25_000_000
LARGE, ITEMS = 1024 * 1024, 40
SMALL_CLIENTS = 2


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    clients = int(sys.argv[2]) if len(sys.argv) > 2 else 30
    timeout = os.environ.get("MEMCACHE_TIMEOUT", "1s")
    print(f"{clients} clients on items of 1 MiB, {SMALL_CLIENTS} on 100 bytes, {RATE // 1_000_000} MB/s, {timeout}")
    print(f"{'way':6}{'large ok':>10}{'failed':>8}{'p50 ms':>9}{'small ok':>10}{'failed':>8}{'p50 ms':>9}{'p99 ms':>9}")
    for way in ("pass", "kv", "pass", "kv"):
        large, small = run(way, seconds, clients, timeout)
        print(f"{way:6}{len(large.times):10}{large.failed:8}{large.quantile(50):9.1f}"
              f"{len(small.times):10}{small.failed:8}{small.quantile(50):9.1f}{small.quantile(99):9.1f}", flush=True)


class Tally:
    def __init__(self):
        self.times = []
        self.failed = 0
        self.lock = threading.Lock()

    def count(self, ok, took):
        with self.lock:
            if ok:
                self.times.append(took)
            else:
                self.failed += 1

    def quantile(self, percent):
        return statistics.quantiles(self.times, n=100)[percent - 1] * 1e3 if len(self.times) > 1 else float("nan")


def run(way, seconds, clients, timeout):
    memcached = Memcached()
    relay = Relay(memcached, RATE)
    server = start(way, relay, timeout)
    try:
        prefix = "/get/" if way == "pass" else ""
        for n in range(ITEMS):
            memcached.set(f"{prefix}large{n}", b"v" * LARGE)
        memcached.set(f"{prefix}small", b"v" * 100)
        if os.environ.get("COLD") != "1":
            # Once each, so that it is known what is large.
            warm = Tally()
            for n in range(ITEMS):
                read(server.port, n, warm, 0)
        large, small = Tally(), Tally()
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=read, args=(server.port, n, large, until)) for n in range(clients)]
        threads += [threading.Thread(target=read, args=(server.port, None, small, until)) for _ in range(SMALL_CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return large, small
    finally:
        server.stop()
        relay.stop()
        memcached.stop()


def start(way, relay, timeout):
    if way == "pass":
        return ways.nginx("pass", f"""
        location /get/ {{ set $memcached_key $uri; memcached_pass memcached; memcached_read_timeout {timeout}; }}
""", [relay])
    modules = [f"{ways.MODULES}/ngx_http_memcache_{m}.so" for m in ("module", "kv_module")]
    return ways.nginx("kv", "        location /get/ { memcache_kv on; }\n", [relay], modules,
                      http=f"    memcache_server {relay.address};\n    memcache_timeout {timeout};\n"
                           "    memcache_max_value 4m;\n")


def read(port, n, tally, until):
    """Reads an item after the other: of the large ones another one each time."""
    connection = None
    once = until == 0
    while (now := time.monotonic()) < until or once:
        once = False
        try:
            connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/get/small" if n is None else f"/get/large{n % ITEMS}")
            response = connection.getresponse()
            size = len(response.read())
            ok = response.status == 200 and size == (100 if n is None else LARGE)
        except (OSError, http.client.HTTPException):
            connection, ok = None, False
        tally.count(ok, time.monotonic() - now)
        if not ok:
            # A client that is refused does not ask again at once.
            time.sleep(0.01)
        if n is None:
            time.sleep(0.005)
        else:
            n += 1


if __name__ == "__main__":
    try:
        main()
    finally:
        end_all()
