#!/usr/bin/env python3
"""How long the worker serves nothing while a sibling goes on at once, whatever comes of what it does.

t/siblings/loops.c submits again from its handlers, with a memcached and without one, and meanwhile a client asks for a
page that has nothing to do with it, one request after the other: the longest of them is the figure.

Other modules, and the header that they came with: MODULES_DIR, INCLUDE_DIR.
"""

import http.client
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True

from harness import ways
from harness.processes import Failed, Memcached, end_all, folder, free_port

LOOPS = ("submit&n=1", "submit&n=50000", "many&n=1", "many&n=100", "many&n=1&keys=1000", "cancel&n=1")
SECONDS = 3
PATIENCE = 10


def main():
    module = compile_sibling()
    print(f"{'loop':24}{'longest, ms':>12}{'requests':>10}")
    for up in (False, True):
        for loop in LOOPS:
            longest, requests = run(module, loop, up)
            name = loop + (", a server" if up else ", no server")
            print(f"{name:24}{longest * 1000:12.1f}{requests:10}", flush=True)


def compile_sibling():
    path = os.path.join(folder(), "loops.so")
    source = os.environ.get("NGINX_SOURCE_DIR", "/usr/share/nginx/src")
    objs = os.environ.get("NGINX_BUILD_DIR", os.path.join(ways.ROOT, "target/nginx/debian"))
    include = os.environ.get("INCLUDE_DIR", os.path.join(ways.ROOT, "include"))
    flags = subprocess.run(["bash", os.path.join(ways.ROOT, "build/nginx-cflags.sh"), source, objs], check=True,
                           capture_output=True, text=True).stdout.split("\n")
    subprocess.run(["gcc", "-O1", "-fPIC", "-shared", "-Wno-unused-parameter", f"-I{include}",
                    *filter(None, flags), "-o", path, os.path.join(ways.ROOT, "t/siblings/loops.c")], check=True)
    return path


def run(module, loop, up):
    memcached = Memcached() if up else None
    address = memcached.address if up else f"127.0.0.1:{free_port()}"
    modules = [os.path.join(ways.MODULES, "ngx_http_memcache_module.so"), module]
    http_lines = f"memcache_server {address}; memcache_queue 100000; memcache_max_fails 1;"
    locations = "location /loops { loops; } location /page { return 200 page; }"
    # An upstream block has to have a server, which nobody uses.
    server = ways.nginx("loops", locations, [NoServer()], modules, http_lines)
    try:
        # The first one finds out whether there is a server.
        ask(server.port, "/loops?do=many")
        ask(server.port, "/loops?do=stop")
        time.sleep(0.5)
        ask(server.port, f"/loops?do={loop}")
        longest, requests, end = 0, 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            begun = time.monotonic()
            if not ask(server.port, "/page"):
                return PATIENCE, requests
            longest = max(longest, time.monotonic() - begun)
            requests += 1
        return longest, requests
    finally:
        server.stop()
        if memcached:
            memcached.stop()


class NoServer:
    address = "127.0.0.1:1"


def ask(port, path):
    """Whether there was an answer while one is patient."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    except OSError:
        return None
    finally:
        connection.close()


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"loops: {failed}")
    finally:
        end_all()
