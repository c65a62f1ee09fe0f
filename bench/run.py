#!/usr/bin/env python3
"""The same work on every way to memcached, side by side; see README.md.

Variables: QUICK=1; ROWS and WAYS, names with commas; ROUNDS; DURATION, seconds of each run; OUT, a folder for
RESULTS.md and results/ instead of bench/.
"""

import fnmatch
import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True

from harness import measure, memory, meters, plot, report, rows, ways
from harness.processes import OTHERS_CPU, WORKER_CPU, Failed, end_all

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    quick = bool(os.environ.get("QUICK"))
    wanted = list(filter(None, os.environ.get("ROWS", "").split(",")))
    only = list(filter(None, os.environ.get("WAYS", "").split(",")))
    rounds = int(os.environ.get("ROUNDS") or (2 if quick else 3))
    seconds = int(os.environ.get("DURATION") or (1 if quick else 2))
    out = os.environ.get("OUT", HERE)

    chosen = [row for row in rows.all_rows() if (any(fnmatch.fnmatch(row.name, name) for name in wanted) if wanted else
                                                 not row.extra and (row.quick or not quick))]
    unknown = {name for name in wanted if not fnmatch.filter([row.name for row in chosen], name)} - {
        "syscalls", "instructions", "dead", "cold", "memory"}
    if unknown:
        raise Failed(f"no such row: {', '.join(sorted(unknown))}; there are "
                     f"{', '.join(row.name for row in rows.all_rows())}, syscalls, instructions, dead, cold, memory")

    def wants(name, in_quick=True):
        return name in wanted if wanted else (in_quick or not quick)

    def plan(times):
        """Rounds of what has so many times as many as the others, and seconds of each."""
        return (rounds, seconds) if quick or times == 1 else (rounds * times, 1)

    started = time.time()
    found = {"rows": {}}
    failures = []

    def attempt(name, work):
        """A part that fails does not take the others along."""
        try:
            return work()
        except Failed as failed:
            failures.append(f"{name}: {failed}")
            print(f"  {failures[-1]}", flush=True)
            return None

    for row in chosen:
        results = attempt(row.name, lambda: measure.run(row, *plan(row.rounds), only))
        if results:
            found["rows"][row.name] = results
            print("\n" + report.row_table(row, results), flush=True)
    base = next(row for row in rows.all_rows() if row.name == "get-100-c64")
    names = [way for way in base.ways if not only or way in only]
    if wants("syscalls"):
        found["counter"] = "a tracepoint of the kernel" if meters.can_count_syscalls() else "strace"
        counts = {way: attempt(f"syscalls {way}", lambda: measure.syscalls(base, way, seconds)) for way in names}
        found["syscalls"] = {way: count for way, count in counts.items() if count}
    if wants("instructions", in_quick=False) and meters.has_callgrind():
        # Apache's threads and the naive way's thread are apart from their event loop: not comparable.
        costs = {way: attempt(f"instructions {way}", lambda: measure.instructions(base, way, 3))
                 for way in names if way not in ("apache", "naive")}
        found["instructions"] = {way: cost for way, cost in costs.items() if cost}
    for name, in_quick, work in (("dead", False, lambda: measure.one_dead(*plan(rows.MORE))),
                                 ("cold", True, measure.cold_key), ("memory", False, memory.figures)):
        result = attempt(name, work) if wants(name, in_quick) else None
        if result:
            found.update(result if name == "memory" else {name: result})

    head = heading(rounds, seconds, time.time() - started)
    pictures = os.path.join(out, "results")
    shutil.rmtree(pictures, ignore_errors=True)
    os.makedirs(pictures)
    found["pictures"] = plot.all_of(found, pictures, f"{machine()}; medians, whiskers from least to greatest")
    with open(os.path.join(out, "RESULTS.md"), "w") as f:
        f.write(report.whole(chosen, found, head))
    with open(os.path.join(pictures, "results.json"), "w") as f:
        json.dump(found, f)
    print(report.extras(found))
    print(report.target_table(found))
    print(f"Written: {os.path.relpath(out)}/RESULTS.md, {os.path.relpath(pictures)}/*.svg; "
          f"{time.time() - started:.0f} s")
    if failures:
        raise Failed("these parts failed:\n" + "\n".join(failures))


def machine():
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "?")
    return f"{model}, {os.cpu_count()} cores"


def heading(rounds, seconds, took):
    load = os.getloadavg()[0]
    versions = "\n".join(f"- {version}" for version in ways.versions())
    return f"""{time.strftime("%Y-%m-%d")}, {machine()}. {rounds} rounds of {seconds} s, in which the ways take turns; \
{took / 60:.0f} minutes. Load average at the end: {load:.1f}.

Pinned: the web server's one worker to core {WORKER_CPU}; memcached (one thread) and wrk (one thread) to core \
{OTHERS_CPU}. Medians of the rounds; an interval is the least and the greatest of the ratios round by round.

{versions}
"""


if __name__ == "__main__":
    def stop(number, _frame):
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except Failed as failed:
        sys.exit(f"bench: {failed}")
    except subprocess.CalledProcessError as failed:
        sys.exit(f"bench: {failed}")
    finally:
        end_all()
