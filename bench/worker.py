#!/usr/bin/env python3
"""What a request costs in the worker, exactly: user instructions by callgrind, and system calls by strace.

Both are the difference of two runs, of FEW and of MANY requests, so that the start does not count. Requests come in
rounds. With several connections the worker is stopped, each of them gets one, and the worker goes on: so each turn of its
event loop has the same work in every run, and the figures hardly vary.

worker.py --write FILE keeps the figures, --check FILE compares with those (see harness/ratchet.py).
"""

import collections
import os
import re
import signal
import socket
import sys
import time

sys.dont_write_bytecode = True

from harness import meters, ratchet, ways
from harness.processes import Failed, Memcached, end_all

FEW, MANY = 640, 3840
CONNECTIONS = (1, 64)
WAYS = {"return": "/const/item", "pass": "/get/item", "ours": "/get/item", "kv": "/get/item", "text": "/get/item",
        "tls": "/get/item"}
OPENSSL = ("libssl.so.3", "libcrypto.so.3")
STRACE = ["strace", "-f", "-c", "-o", "strace.out"]


def main():
    mode, path = sys.argv[1:] if len(sys.argv) == 3 else (None, None)
    if mode == "--check":
        earlier = ratchet.read(path)
    figures = measure()
    if mode == "--write":
        ratchet.write(path, figures)
    elif mode == "--check":
        ratchet.check(earlier, figures, again=lambda name: figure_of(*name.split()))


def measure():
    # What the first run reads from disk has made it another one.
    per_request("return", 1, STRACE, syscalls)
    figures = {}
    print(f"{'way':8}{'connections':>12}{'instructions':>14}{'system calls':>14}    per request")
    for connections in CONNECTIONS:
        for way in WAYS:
            figure = figures[f"{way} {connections}"] = figure_of(way, connections)
            print(f"{way:8}{connections:12}{figure['instructions']:14}{figure['syscalls']:14.2f}", flush=True)
        for way in ("ours", "kv"):
            print(f"  {way} {added(figures, way, connections)}")
        base, ours, text, tls = (figures[f"{way} {connections}"] for way in ("return", "ours", "text", "tls"))
        print(f"  text {text_beside(ours, text)}")
        print(f"  tls {tls_beside(base, ours, tls)}")
    return figures


def figure_of(way, connections):
    """Instructions without those of OpenSSL."""
    found = per_request(way, int(connections), meters.CALLGRIND, instructions)
    calls = per_request(way, int(connections), STRACE, syscalls)["all"]
    openssl, records = found.pop("openssl", 0), found.pop("records", 0)
    figure = {"instructions": round(sum(found.values()) - openssl), "syscalls": round(calls, 2),
              "parts": {part: round(cost) for part, cost in sorted(found.items()) if cost >= 1}}
    if openssl:
        figure |= {"openssl": round(openssl), "records": round(records, 3)}
    return figure


def added(figures, way, connections):
    """What a way adds to an answer that is there, beside what memcached_pass adds to it."""
    base, peer, this = (figures[f"{name} {connections}"] for name in ("return", "pass", way))
    instructions, calls = (this[kind] - base[kind] for kind in ("instructions", "syscalls"))
    return (f"adds {instructions} instructions, {instructions / (peer['instructions'] - base['instructions']):.2f} of what "
            f"memcached_pass adds; {calls:.2f} system calls, {calls / (peer['syscalls'] - base['syscalls']):.2f} of its")


def text_beside(ours, text):
    """The text protocol beside ours, which is meta."""
    return (f"takes {text['instructions'] / ours['instructions']:.3f} of the instructions of ours, and "
            f"{text['syscalls'] / ours['syscalls']:.2f} of its system calls")


def tls_beside(base, ours, tls):
    """TLS beside ours, which is plain."""
    more, plain = tls["instructions"] - ours["instructions"], ours["instructions"] - base["instructions"]
    return (f"adds {more} instructions to ours beside the {tls['openssl']} of OpenSSL, {more / plain:.2f} of what ours adds; "
            f"{tls['syscalls'] - ours['syscalls']:.2f} system calls more; {tls['records']:.3f} records sent")


def per_request(way, connections, tool, read):
    few, many = (run(way, connections, number, tool, read) for number in (FEW, MANY))
    return {part: (count - few[part]) / (MANY - FEW) for part, count in many.items()}


def run(way, connections, requests, tool, read):
    """What the worker cost from its start to its end, with so many requests, by part."""
    memcached = Memcached(tls=way == "tls")
    server = ways.start(way, [memcached], single=True, tool=tool)
    try:
        memcached.set(ways.key(way, "/get/item"), b"v" * 100)
        pid = server.pid()
        send(server.port, WAYS[way], connections, requests, pid)
        server.quit()
        return read(server.folder, pid)
    finally:
        server.stop()
        memcached.stop()


def send(port, path, connections, requests, pid):
    """So many requests, in rounds of one for each connection. The first round opens what is opened once."""
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    request = f"GET {path} HTTP/1.1\r\nHost: b\r\n\r\n".encode()
    for _ in range(requests // connections):
        if connections > 1:
            stop(pid)
        for s in sockets:
            s.sendall(request)
        if connections > 1:
            os.kill(pid, signal.SIGCONT)
        for s in sockets:
            read_answer(s)
    for s in sockets:
        s.close()


def stop(pid):
    os.kill(pid, signal.SIGSTOP)
    for _ in range(10000):
        with open(f"/proc/{pid}/stat") as f:
            if f.read().rpartition(")")[2].split()[0] in "Tt":
                return
        time.sleep(0.0001)
    raise Failed("the worker does not stop")


def read_answer(s):
    s.settimeout(30)
    answer = b""
    while True:
        more = s.recv(65536)
        answer += more
        head, found, body = answer.partition(b"\r\n\r\n")
        if found:
            length = re.search(rb"\r\nContent-Length: (\d+)", head)
            if not head.startswith(b"HTTP/1.1 200") or not length:
                raise Failed(f"not the answer: {head!r}")
            if len(body) == int(length.group(1)):
                return
        if not more:
            raise Failed(f"closed behind {answer!r}")


def instructions(folder, pid):
    """By object; of OpenSSL, with what it calls; and how many TLS records were sent."""
    found = meters.Callgrind(os.path.join(folder, f"callgrind.{pid}"))
    costs = found.own
    costs["openssl"] = sum(cost for (caller, callee), cost in found.across.items()
                          if callee in OPENSSL and caller.startswith(("nginx", "ngx_")))
    costs["records"] = found.calls["SSL_write"]
    return costs


def syscalls(folder, _pid):
    with open(os.path.join(folder, "strace.out")) as f:
        return collections.Counter(all=meters.strace_total(f.read()))


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"worker: {failed}")
    finally:
        end_all()
