#!/usr/bin/env python3
"""What a request costs in the worker, exactly: user instructions by callgrind, and system calls by strace.

Both are the difference of two runs, of FEW and of MANY requests, so that the start does not count. Requests come in
rounds. With several connections the worker is stopped, each of them gets one, and the worker goes on: so each turn of its
event loop has the same work in every run, and the figures hardly vary.

worker.py --write FILE keeps the figures. worker.py --check FILE compares with those: one of ours that is more than
TOLERANCE higher is a failure.
"""

import json
import os
import re
import signal
import socket
import sys
import time

sys.dont_write_bytecode = True

from harness import ways
from harness.processes import Failed, Memcached, end_all

FEW, MANY = 640, 3840
CONNECTIONS = (1, 64)
WAYS = {"return": "/const/item", "pass": "/get/item", "ours": "/get/item", "kv": "/get/item"}
TOLERANCE = 0.02
# How many system calls a request in a turn of 64 has more or less, from run to run.
NOISE = {"instructions": 0, "syscalls": 0.05}

CALLGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=callgrind.out"]
STRACE = ["strace", "-f", "-c", "-o", "strace.out"]


def main():
    figures = {}
    print(f"{'way':8}{'connections':>12}{'instructions':>14}{'system calls':>14}    per request")
    for connections in CONNECTIONS:
        for way in WAYS:
            figure = {"instructions": round(per_request(way, connections, CALLGRIND, instructions)),
                      "syscalls": round(per_request(way, connections, STRACE, syscalls), 2)}
            figures[f"{way} {connections}"] = figure
            print(f"{way:8}{connections:12}{figure['instructions']:14}{figure['syscalls']:14.2f}", flush=True)
        base, peer = figures[f"return {connections}"], figures[f"pass {connections}"]
        for way in ("ours", "kv"):
            added = [figures[f"{way} {connections}"][n] - base[n] for n in base]
            of_peer = [peer[n] - base[n] for n in base]
            print(f"  {way} adds {added[0]} instructions, {added[0] / of_peer[0]:.2f} of what memcached_pass adds; "
                  f"{added[1]:.2f} system calls, {added[1] / of_peer[1]:.2f} of its")
    if len(sys.argv) == 3:
        compare(figures, sys.argv[1], sys.argv[2])


def per_request(way, connections, tool, read):
    few, many = (run(way, connections, number, tool, read) for number in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def run(way, connections, requests, tool, read):
    """What the worker cost from its start to its end, with so many requests."""
    memcached = Memcached()
    server = ways.start(way, [memcached], single=True, tool=tool)
    try:
        memcached.set(ways.key(way, "/get/item"), b"v" * 100)
        send(server.port, WAYS[way], connections, requests, server.pid())
        server.quit()
        return read(server.folder)
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


def instructions(folder):
    return number_in(os.path.join(folder, "callgrind.out"), r"^(?:summary|totals): (\d+)")


def syscalls(folder):
    return number_in(os.path.join(folder, "strace.out"), r"^\S+\s+\S+\s+\S*\s*(\d+)\s.*total$")


def number_in(path, pattern):
    with open(path) as f:
        found = re.search(pattern, f.read(), re.M)
    if not found:
        raise Failed(f"{path} has no figure")
    return int(found.group(1))


def compare(figures, mode, path):
    if mode == "--write":
        with open(path, "w") as f:
            json.dump(figures, f, indent=1)
            f.write("\n")
        return
    with open(path) as f:
        earlier = json.load(f)
    worse = [f"{name}: {kind} {earlier[name][kind]} -> {figure[kind]}" for name, figure in figures.items()
             for kind in figure if name.split()[0] in ("ours", "kv")
             and figure[kind] > earlier[name][kind] * (1 + TOLERANCE) + NOISE[kind]]
    if worse:
        raise Failed("more than before:\n" + "\n".join(worse))


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"worker: {failed}")
    finally:
        end_all()
