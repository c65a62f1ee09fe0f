"""Allocations and memory of our own, counted by a library in front of malloc."""

import os
import signal
import socket
import struct
import subprocess
import time

from . import load, ways
from .processes import Failed, Memcached, folder

IDLE = 100
CLIENTS = 2000


class Counted:
    """Options for a server whose allocations are counted, and the counts."""

    def __init__(self):
        path = folder()
        self.file = os.path.join(path, "counts")
        with open(self.file, "wb") as f:
            f.write(bytes(4096))
        os.chmod(self.file, 0o666)
        library = os.path.join(path, "allocations.so")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "allocations.c")
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
        self.tool = ["env", f"LD_PRELOAD={library}", f"ALLOCATIONS_FILE={self.file}",
                     "ALLOCATIONS_OBJECTS=ngx_http_memcache_module.so:ngx_http_memcache_bench_module.so"]

    def read(self):
        """Calls and bytes: of all, of the module, of the sibling with the crate in it."""
        with open(self.file, "rb") as f:
            numbers = struct.unpack("=QqQqQq", f.read(48))
        return list(zip(numbers[::2], numbers[1::2]))


def figures():
    return {"allocations": _allocations(), "connection_bytes": _idle(), **_pending()}


def _server(counted, memcached, parameters="", lines=""):
    return ways.start("ours", [memcached], tool=counted.tool, parameters=parameters, lines=lines)


def _allocations():
    """Heap allocations per get of the module and the crate; the handler's own copy of its key is not theirs."""
    counted, memcached = Counted(), Memcached()
    server = _server(counted, memcached)
    try:
        memcached.set("item", b"v" * 100)
        load.Wrk(server.url + "/get/item", 64, 1).result()
        before = counted.read()
        requests = load.Wrk(server.url + "/get/item", 64, 1).result()["requests"]
        after = counted.read()
        if after[1][0] == before[1][0] == 0:
            raise Failed("the allocations of the module are not seen")
        return sum(after[i][0] - before[i][0] for i in (1, 2)) / requests - 1
    finally:
        server.stop()
        memcached.stop()


def _idle():
    """Bytes of the module for each idle connection."""
    used = []
    for number in (1, 1 + IDLE):
        counted, memcached = Counted(), Memcached()
        server = _server(counted, memcached, f" min={number} smax={number} max={number} ttl=0")
        try:
            for _ in range(200):
                if memcached.connections() >= number:
                    break
                time.sleep(0.1)
            else:
                raise Failed(f"{memcached.connections()} of {number} idle connections")
            time.sleep(0.3)
            used.append(counted.read()[1][1])
        finally:
            server.stop()
            memcached.stop()
    return (used[1] - used[0]) / IDLE


def _pending():
    """Bytes for each get that is pending while memcached does not answer: of the module, and of the crate."""
    counted, memcached = Counted(), Memcached()
    server = _server(counted, memcached, " min=8 smax=8 max=8", "    memcache_timeout 60s;\n")
    sockets = []
    try:
        for number in range(CLIENTS):
            memcached.set(f"item{number}", b"v" * 100)
        while memcached.connections() < 8:
            time.sleep(0.1)
        load.ask(server, "/get/item0")
        used = [counted.read()]
        memcached.process.send_signal(signal.SIGSTOP)
        for number in range(CLIENTS):
            s = socket.create_connection(("127.0.0.1", server.port))
            s.sendall(f"GET /get/item{number} HTTP/1.1\r\nHost: b\r\n\r\n".encode())
            sockets.append(s)
        time.sleep(1)
        used.append(counted.read())
        memcached.process.send_signal(signal.SIGCONT)
        for s in sockets:
            s.settimeout(10)
            if not s.recv(65536).startswith(b"HTTP/1.1 200"):
                raise Failed("a pending request is not answered")
        module, sibling = ((used[1][i][1] - used[0][i][1]) / CLIENTS for i in (1, 2))
        return {"operation_bytes": module, "task_bytes": sibling}
    finally:
        memcached.process.send_signal(signal.SIGCONT)
        for s in sockets:
            s.close()
        server.stop()
        memcached.stop()
