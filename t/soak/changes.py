#!/usr/bin/env python3
"""changes.py: a cluster whose list changes again and again, under load on real nginx and real memcacheds. No change is a
reason for an error or for another key's value, and nothing may grow: memory, descriptors, connections. Ends with a result in
DIR/changes.json; fails when something was wrong.

    MINUTES=60 CHANGES=200 SEED=1 CLIENTS=8 python3 t/soak/changes.py DIR

It says nothing about values of the same key that are older: a key that moves and returns finds what was there.
"""

import asyncio
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import load
from world import HEAD, WORKERS, Memcached, World, free_port

NODES = 6
# What a worker may have more at the end than after the first tenth of the changes, in KiB: its pools fill meanwhile.
GROWTH = 4096

CONF = """
load_module {modules}/ngx_http_memcache_module.so;
load_module {modules}/ngx_http_memcache_kv_module.so;
""" + HEAD + """
    memcache_zone main:8m;

    server {{
        listen 127.0.0.1:{kv};
        memcache_server 127.0.0.1:{endpoint} discover;
        memcache_discover_interval 1s;
        memcache_hash consistent;

        location /kv/ {{ memcache_kv on; }}
        location = /status {{ memcache_status; }}
    }}
}}
"""


class Endpoint:
    """A configuration endpoint, and the nodes that it names."""

    def __init__(self, rng, nodes):
        self.rng, self.nodes, self.version, self.asked = rng, nodes, 1, 0
        self.current = set(nodes[:3])

    def answer(self):
        listed = sorted(self.current, key=lambda node: node.port)
        body = f"{self.version}\n" + " ".join(f"127.0.0.1|127.0.0.1|{node.port}" for node in listed) + "\n"
        return f"CONFIG cluster 0 {len(body)}\r\n{body}\r\nEND\r\n"

    async def serve(self, reader, writer):
        try:
            while line := await reader.readline():
                command = line.strip()
                if command == b"config get cluster":
                    self.asked += 1
                    writer.write(self.answer().encode())
                elif command == b"version":
                    writer.write(b"VERSION 1.4.14\r\n")
                elif command.startswith(b"get"):
                    writer.write(b"END\r\n")
                else:
                    writer.write(b"ERROR\r\n")
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def change(self):
        """One or two nodes come or go. Returns those that have gone."""
        before = set(self.current)
        for _ in range(self.rng.randint(1, 2)):
            node = self.rng.choice(self.nodes)
            if node not in self.current:
                self.current.add(node)
            elif len(self.current) > 1:
                self.current.remove(node)
        if before != self.current:
            self.version += 1
        return before - self.current


class Changes(World):
    """nginx, the endpoint and its nodes."""

    def __init__(self, directory, nginx, modules, seed):
        self.dir, self.nginx_binary = pathlib.Path(directory), nginx
        self.dir.chmod(0o755)
        modules = shutil.copytree(modules, self.dir / "modules")
        self.memcached = [Memcached(free_port(), []) for _ in range(NODES)]
        self.endpoint = Endpoint(random.Random(f"{seed}/changes"), self.memcached)
        self.kv_port, self.endpoint_port = free_port(), free_port()
        (self.dir / "nginx.conf").write_text(CONF.format(
            modules=modules, workers=WORKERS, kv=self.kv_port, endpoint=self.endpoint_port,
            user="user root;" if os.geteuid() == 0 else ""))
        for node in self.memcached:
            self.wait_for(node.port)

    async def begin(self):
        self.listening = await asyncio.start_server(self.endpoint.serve, "127.0.0.1", self.endpoint_port)
        self.nginx = subprocess.Popen([self.nginx_binary, "-p", str(self.dir), "-c", "nginx.conf", "-e", "error.log"])
        await asyncio.to_thread(self.wait_for, self.kv_port)

    def status(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.kv_port}/status?format=json", timeout=10) as answer:
            return json.load(answer)


async def ask(port, rng, tally, until, number):
    """One client: it writes and reads keys, and judges what comes."""
    connection, seqs = load.Connection(port), {}
    while time.monotonic() < until:
        key = load.Key(f"changes-{number}-{rng.randrange(200)}")
        if rng.random() < 0.3:
            seqs[key.name] = seqs.get(key.name, 0) + 1
            body = key.value(seqs[key.name], rng.choice([20, 200, 20_000]), rng)
            method, good = "PUT", {201, 204}
        else:
            body, method, good = None, "GET", {200, 404}
        try:
            status, _, answer = await connection.ask(method, f"/kv/{key.name}", body)
        except (load.Ended, asyncio.TimeoutError) as e:
            tally.append(f"{method} {key.name}: {type(e).__name__}")
            continue
        if status not in good:
            tally.append(f"{method} {key.name}: status {status}: {answer[:120]!r}")
        elif status == 200 and load.parse(key.name, answer) is None:
            tally.append(f"{method} {key.name}: not a value of this key: {answer[:80]!r}")
        ask.count += 1
    connection.close()


async def change(world, minutes, changes, samples):
    """The list changes at random moments."""
    pause = minutes * 60 / changes
    for number in range(changes):
        await asyncio.sleep(pause * (0.5 + world.endpoint.rng.random()))
        gone = world.endpoint.change()
        workers = world.children()
        samples.append({"workers": [world.memory(pid) for pid in workers], "files": [world.files(pid) for pid in workers]})
        if number % 20 == 19:
            print(f"changes: {number + 1} changes, {ask.count} operations, {world.endpoint.asked} times asked", flush=True)


async def run(world, seed, minutes, changes, clients, wrong, samples):
    await world.begin()
    await asyncio.sleep(2)
    ask.count = 0
    until = time.monotonic() + minutes * 60
    crowd = [ask(world.kv_port, random.Random(f"{seed}/{n}"), wrong, until, n) for n in range(clients)]
    changing = asyncio.create_task(change(world, minutes, changes, samples))
    await asyncio.gather(*crowd)
    changing.cancel()
    await asyncio.sleep(3)
    status = await asyncio.to_thread(world.status)
    shown = {server["address"] for client in status["clients"] for server in client["servers"]}
    due = {f"127.0.0.1:{node.port}" for node in world.endpoint.current}
    if shown != due:
        wrong.append(f"the list is {sorted(shown)} at the end, not {sorted(due)}")
    left = sum(client["pending"] for client in status["clients"])
    if left:
        wrong.append(f"{left} operations are still pending when all is quiet")


def grown(samples, what):
    """The most of a worker after the first tenth of the changes, and at the end."""
    at = min(len(samples) // 10, len(samples) - 1)
    return max(samples[at][what], default=0), max(samples[-1][what], default=0)


def main():
    target = pathlib.Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    minutes, seed = float(os.environ.get("MINUTES") or 5), int(os.environ.get("SEED") or time.time())
    changes, clients = int(os.environ.get("CHANGES") or 200), int(os.environ.get("CLIENTS") or 8)
    directory = tempfile.mkdtemp(prefix="ngx-memcache-changes.")
    wrong, samples, world = [], [], None
    print(f"changes: {changes} in {minutes:g} minutes, {clients} clients, SEED={seed}", flush=True)
    try:
        world = Changes(directory, os.environ["NGINX_BINARY"], os.environ["MODULES_DIR"], seed)
        asyncio.run(run(world, seed, minutes, changes, clients, wrong, samples))
        exit_time = world.stop_nginx()
        log = (world.dir / "error.log").read_text(errors="replace")
        wrong += [line for line in log.splitlines() if re.search(r"\[(alert|emerg|crit)\]|panicked", line)]
        shutil.copy(world.dir / "error.log", target / "changes.log")
    finally:
        if world:
            world.clean_up()
        shutil.rmtree(directory, ignore_errors=True)
    memory, files = grown(samples, "workers"), grown(samples, "files")
    if memory[1] > memory[0] + GROWTH:
        wrong.append(f"a worker's memory has grown from {memory[0]} to {memory[1]} KiB")
    result = {"minutes": minutes, "seed": seed, "clients": clients, "changes": world.endpoint.version - 1,
              "operations": ask.count, "asked": world.endpoint.asked, "wrong": len(wrong), "first_wrong": wrong[:20],
              "memory_kib": memory, "files": files, "exit_seconds": round(exit_time, 2)}
    (target / "changes.json").write_text(json.dumps({**result, "samples": samples}) + "\n")
    print(json.dumps(result, indent=2))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
