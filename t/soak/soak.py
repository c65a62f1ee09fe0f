#!/usr/bin/env python3
"""soak.py: mixed load on real nginx and real memcacheds, with faults, and a checker that every answer is right or an
honest error. Ends with a result in DIR/result.json and a picture in DIR/soak.svg; fails when an answer was wrong.

    MINUTES=30 SEED=1 CLIENTS=12 python3 t/soak/soak.py DIR
"""

import asyncio
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
import urllib.request

import load
import picture
import siblings
import world as worlds

# The rest of the time is quiet: everything has to be right again, and memory and files back to where they were.
QUIET = 15


class Store:
    """The REST store."""

    def __init__(self, name, port):
        self.name, self.port = name, port

    def key(self, suffix, _):
        return f"{self.name}-{suffix}"

    def uri(self, key):
        return f"/kv/{key}"

    def get(self, key):
        """URI, and more lines of the header."""
        return self.uri(key), ""

    def read(self, answer, key):
        """Status and value."""
        return answer[::2]

    def size(self, rng):
        """Most values are small, and a few are large enough to have to be sent in pieces."""
        return int(min(10 ** rng.uniform(0, 5.6), rng.choice([200, 5000, 100_000, 400_000])))


class ThroughC(Store):
    """The same store, read by a sibling in C."""

    def get(self, key):
        return f"/c?op=1&key={key}", ""

    def read(self, answer, key):
        status, body = answer[::2]
        found = re.match(rb"size=\d+ status=(\d+) .*? value=(.*)", body, re.S)
        refused = re.match(rb"refused=(\d+)$", body)
        code = int((found or refused)[1]) if found or refused else -1
        if status != 200 or code < 0:
            return status, body
        if found and code in (0, 1):
            return (200, found[2]) if code == 0 else (404, b"")
        # The numbers of operations that failed, or were refused for a reason that is not the caller's.
        return (502 if 16 <= code <= 24 else 500), body


async def watch(world, tally, samples, until):
    """What the picture is made of."""
    began, before, then = time.monotonic(), 0, time.monotonic()
    while time.monotonic() < until:
        await asyncio.sleep(1)
        now, done = time.monotonic(), sum(tally.operations.values())
        workers = world.children()
        samples.append({
            "at": round(now - began, 1), "rate": round((done - before) / (now - then)),
            "errors": sum(tally.errors.values()),
            "master": world.memory(world.nginx.pid), "workers": [world.memory(pid) for pid in workers],
            "files": [world.files(pid) for pid in workers],
        })
        before, then = done, now
        if len(samples) % 60 == 0:
            print(f"soak: {len(samples) // 60} min, {done} operations, {len(world.faults)} faults,"
                  f" {sum(tally.errors.values())} errors, {len(tally.wrong)} wrong", flush=True)


def pending(world):
    """Operations that the clients of a worker think are under way."""
    with urllib.request.urlopen(f"http://127.0.0.1:{world.kv_port}/status?format=json", timeout=10) as answer:
        return sum(client["pending"] for client in json.load(answer)["clients"])


async def calm(places, keys, tally):
    """After the faults: every key is read again, and no error is excused."""
    reader = load.Connection(0)
    for place in places:
        reader.close()
        reader.port = place.port
        for key in keys[place]:
            uri, head = place.get(key.name)
            answer = place.read(await reader.ask("GET", uri, head=head), key.name)
            status, body = answer if isinstance(answer, tuple) else (answer, b"")
            if status not in (200, 404) or (status == 200 and load.parse(key.name, body) is None):
                tally.blame(f"GET {key.name} when all is quiet: status {status}")
    reader.close()


async def run(world, tally, samples, seed, minutes, clients):
    sessions, limits = siblings.Sessions(world.siblings_port), siblings.Limits(world.siblings_port)
    places = [Store("kv", world.kv_port), ThroughC("c", world.kv_port), Store("shared", world.shared_port), sessions]
    keys = {place: [] for place in places}
    until = time.monotonic() + minutes * 60
    crowd = [load.Client(n, seed, places, keys, sessions, limits, world, tally) for n in range(clients)]
    watcher = asyncio.create_task(watch(world, tally, samples, until + QUIET - 3))
    trouble = asyncio.create_task(world.trouble(until - 5))
    await asyncio.gather(*(client.run(until) for client in crowd))
    await trouble
    await asyncio.sleep(QUIET / 2)
    await calm(places, keys, tally)
    await watcher
    left = pending(world)
    if left:
        tally.blame(f"{left} operations are still pending when all is quiet")


def check_log(world, tally):
    """Lines of the error log that no fault explains."""
    log = (world.dir / "error.log").read_text(errors="replace").splitlines()
    for line in log:
        if re.search(r"\[(alert|emerg)\]|Sanitizer|panicked", line) and "exited on signal 9" not in line:
            tally.blame(f"the error log: {line}")
    return len(log)


def main():
    target = pathlib.Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    minutes, seed = float(os.environ.get("MINUTES") or 5), int(os.environ.get("SEED") or time.time())
    clients = int(os.environ.get("CLIENTS") or 12)
    directory = tempfile.mkdtemp(prefix="ngx-memcache-soak.")
    tally, samples, world = load.Tally(), [], None
    print(f"soak: {minutes:g} minutes, {clients} clients, SEED={seed}", flush=True)
    try:
        world = worlds.World(directory, os.environ["NGINX_BINARY"], os.environ["MODULES_DIR"], seed)
        began = time.monotonic()
        asyncio.run(run(world, tally, samples, seed, minutes, clients))
        exit_time = world.stop_nginx()
        lines = check_log(world, tally)
        shutil.copy(world.dir / "error.log", target / "error.log")
    finally:
        if world:
            world.clean_up()
        shutil.rmtree(directory, ignore_errors=True)

    faults = [(round(at - began, 1), kind) for at, kind in world.faults]
    kinds = {kind: sum(1 for _, k in faults if k == kind) for kind in sorted({k for _, k in faults})}
    result = {
        "minutes": minutes, "seed": seed, "clients": clients, "operations": sum(tally.operations.values()),
        "by_kind": dict(sorted(tally.operations.items())), "faults": len(faults), "faults_by_kind": kinds,
        "errors": dict(tally.errors), "wrong": len(tally.wrong), "first_wrong": tally.wrong[:20],
        "exit_seconds": round(exit_time, 2), "log_lines": lines,
        "memory_kib": {"master_first": samples[0]["master"], "master_last": samples[-1]["master"],
                       "workers_first": samples[0]["workers"], "workers_last": samples[-1]["workers"],
                       "workers_most": max(max(s["workers"], default=0) for s in samples)},
        "files": {"first": samples[0]["files"], "last": samples[-1]["files"],
                  "most": max(max(s["files"], default=0) for s in samples)},
    }
    (target / "result.json").write_text(json.dumps({**result, "timeline": faults, "samples": samples}) + "\n")
    (target / "soak.svg").write_text(picture.draw(result, samples, faults))
    print(json.dumps(result, indent=2))
    print(f"soak: {result['operations']} operations, {len(faults)} faults, {sum(tally.errors.values())} honest errors,"
          f" {len(tally.wrong)} wrong answers; {target}/soak.svg")
    sys.exit(1 if tally.wrong else 0)


if __name__ == "__main__":
    main()
