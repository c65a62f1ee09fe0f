#!/usr/bin/env python3
"""A module that asks 100 times a second, beside one that keeps thousands of gets under way: with and without the flood, and
with and without modules that say who they are. In a worker, over memcached itself and over a link that is full.

    python3 bench/shares.py [SECONDS] [FLOOD]: the seconds of each row, and how many gets the flood keeps under way.
"""

import os
import subprocess
import sys
import time
import urllib.request

sys.dont_write_bytecode = True

from harness import ways
from harness.processes import Memcached, end_all, folder
from harness.relay import Relay

# Bytes a second of the link. The items have 1000 bytes.
RATE = 10_000_000
PER_SECOND = 100
SOURCE = os.environ.get("NGINX_SOURCE_DIR", "/usr/share/nginx/src")
BUILD = os.environ.get("NGINX_BUILD_DIR", os.path.join(ways.ROOT, "target/nginx/debian"))


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    flood = int(sys.argv[2]) if len(sys.argv) > 2 else 9000
    sibling = compiled()
    print(f"one module asks {PER_SECOND} times a second, the other keeps {flood} gets under way")
    print(f"{'to memcached':14}{'flood':12}{'asked':>7}{'errors':>8}{'p50 ms':>9}{'p99 ms':>9}{'flood/s':>10}{'refused':>10}")
    for link in ("loopback", "full link"):
        for kind in ("none", "no names", "names"):
            numbers = run(sibling, link, kind, seconds, flood)
            print(f"{link:14}{kind:12}{numbers['asked']:7}{numbers['errors']:8}{numbers['p50'] / 1e3:9.2f}"
                  f"{numbers['p99'] / 1e3:9.2f}{numbers['flooded'] // seconds:10}{numbers['refused']:10}", flush=True)


def compiled():
    """The sibling of the tests."""
    path = os.path.join(folder(), "shares.so")
    options = subprocess.run(["bash", f"{ways.ROOT}/build/nginx-cflags.sh", SOURCE, BUILD], check=True, text=True,
                             stdout=subprocess.PIPE).stdout.split("\n")
    subprocess.run(["gcc", "-O2", "-fPIC", "-shared", f"-I{ways.ROOT}/include", *filter(None, options), "-o", path,
                    f"{ways.ROOT}/t/siblings/shares.c"], check=True)
    return path


def run(sibling, link, kind, seconds, flood):
    memcached = Memcached()
    target = Relay(memcached, RATE) if link == "full link" else memcached
    server = ways.nginx("shares", "        location /shares { shares; }\n", [target],
                        [f"{ways.MODULES}/ngx_http_memcache_module.so", sibling],
                        http=f"    memcache_server {target.address};\n    memcache_timeout 10s;\n")
    try:
        for key in ("ask", "flood"):
            memcached.set(key, b"v" * 1000)
        names = kind != "no names"
        if kind != "none":
            said(server, f"do=flood&who={'flood' if names else 'none'}&n={flood}")
            time.sleep(1)
        said(server, f"do=ask&who={'ask' if names else 'none'}&n={PER_SECOND * seconds}")
        time.sleep(seconds + 1)
        return said(server, "do=stop")
    finally:
        server.stop()
        if target is not memcached:
            target.stop()
        memcached.stop()


def said(server, query):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/shares?{query}", timeout=60) as answer:
        words = answer.read().decode().split()
    return {name: int(number) for name, number in (word.split("=") for word in words)}


if __name__ == "__main__":
    try:
        main()
    finally:
        end_all()
