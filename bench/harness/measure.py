"""Runs a row: all its ways in alternating rounds, on the same memcached."""

import time

from . import load, meters, ways
from .processes import Failed, Memcached, end

# The way of ours that awaits ten gets one after the other is the same server.
SAME = {"awaits": "ours"}


def run(row, rounds, seconds, only=None, say=print):
    """Results of a row: by way a list of what each round came to."""
    memcacheds = [Memcached(tls=row.tls) for _ in range(row.servers)]
    names = [way for way in row.ways if not only or way in only]
    servers = {}
    try:
        for way in names:
            servers[way] = ways.start(SAME.get(way, way), memcacheds, keep=row.keep(way))
            _fill(row, way, memcacheds)
            _check(row, way, servers[way])
        results = {way: [] for way in names}
        for number in range(rounds):
            # Whoever comes first in one round comes last in another.
            turn = number % max(1, len(names))
            for way in names[turn:] + names[:turn]:
                if number == 0:
                    load.Wrk(servers[way].url + row.path(way), row.connections, 1, row.script).wait()
                try:
                    result = _round(row, way, servers[way], memcacheds, seconds)
                except Failed as failed:
                    # Once more, and longer: the machine may have had no time for it.
                    say(f"  {row.name} {way}: again, {str(failed).splitlines()[-1]}")
                    try:
                        result = _round(row, way, servers[way], memcacheds, 3 * seconds)
                    except Failed as failed:
                        say(f"  {row.name} {way}: left out, {failed}")
                        names.remove(way)
                        del results[way]
                        continue
                results[way].append(result)
                say(f"  {row.name} {number + 1}/{rounds} {way:7} {results[way][-1]['rate']:9.0f} requests/s")
        return results
    finally:
        for server in servers.values():
            server.stop()
        for memcached in memcacheds:
            memcached.stop()


def _round(row, way, server, memcacheds, seconds):
    pids = [memcached.pid for memcached in memcacheds]
    before = meters.cpu(server.workers), meters.cpu(pids)
    wrk = load.Wrk(server.url + row.path(way), row.connections, seconds, row.script)
    time.sleep(seconds * 0.7)
    ports = {port for memcached in memcacheds for port in (memcached.port, memcached.tls_port)}
    connections = meters.connections(server.workers, ports)
    result = wrk.result(statuses=row.status == 404, closes=way == "apache")
    result["worker"] = (meters.cpu(server.workers) - before[0]) / result["requests"] * 1e6
    result["memcached"] = (meters.cpu(pids) - before[1]) / result["requests"] / row.operations * 1e6
    result["connections"] = connections
    result["memory"] = meters.memory(server.workers)
    return result


def _fill(row, way, memcacheds):
    """Stores what the way asks for. With several servers, each of them has all keys: where a key goes is the way's to
    choose."""
    value = b"v" * row.size
    for memcached in memcacheds:
        memcached.set(ways.key(way, "/get/item"), value)
        for number in range(row.keys):
            for prefix in ("/get/item", "/multi/item", "/part/item"):
                memcached.set(ways.key(way, f"{prefix}{number}"), value)


def _check(row, way, server):
    body = b"v" * row.size if row.method == "PUT" else None
    # Twice: the second is on connections that are there.
    for _ in range(2):
        status, answer = load.ask(server, row.path(way), row.method, body)
    wanted = [row.status] if row.status else [200, 201, 204]
    if status not in wanted or (row.status == 200 and len(answer) != row.expected(way)):
        raise Failed(f"{server.name}: {row.name}: status {status}, {len(answer)} bytes")


def syscalls(row, way, seconds):
    """System calls per request."""
    memcached = Memcached()
    server = ways.start(SAME.get(way, way), [memcached])
    try:
        _fill(row, way, [memcached])
        load.Wrk(server.url + row.path(way), row.connections, 1, row.script).result(closes=True)
        counter = meters.Syscalls(server.workers)
        requests = load.Wrk(server.url + row.path(way), row.connections, seconds, row.script).result(closes=True)["requests"]
        return counter.count() / requests
    finally:
        server.stop()
        memcached.stop()


def instructions(row, way, seconds):
    """Instructions per request outside of the kernel, by object."""
    memcached = Memcached()
    server = ways.start(SAME.get(way, way), [memcached], single=True, tool=meters.CALLGRIND_OFF)
    try:
        _fill(row, way, [memcached])
        path = server.url + row.path(way)
        load.Wrk(path, row.connections, 1, row.script).result()
        requests, cost = meters.instructions(
            server, lambda: load.Wrk(path, row.connections, seconds, row.script).result()["requests"])
        return {name: count / requests for name, count in cost.items() if count / requests >= 1}
    finally:
        server.stop()
        memcached.stop()


def one_dead(rounds, seconds):
    """Latency of the keys of two servers, with the third in order and dead, which other clients go on asking for."""
    keys = [f"item{number}" for number in range(300)]
    memcacheds, servers = {}, {}
    try:
        for state in ("healthy", "dead"):
            memcacheds[state] = [Memcached() for _ in range(3)]
            servers[state] = ways.start("ours", memcacheds[state])
            for memcached in memcacheds[state]:
                for key in keys:
                    memcached.set(key, b"v" * 100)
        end(memcacheds["dead"][2].process)
        statuses = {}
        for _ in range(3):
            statuses = {key: load.ask(servers["dead"], "/get/" + key)[0] for key in keys}
        good = ["/get/" + key for key in keys if statuses[key] == 200][:100]
        bad = ["/get/" + key for key in keys if statuses[key] != 200][:100]
        if not good or not bad:
            raise Failed("one dead server of three: all keys are alike")
        results = {state: [] for state in servers}
        for number in range(rounds):
            for state in sorted(servers, reverse=number % 2 == 1):
                results[state].append(_others(servers[state], good, bad, seconds))
        return results["healthy"], results["dead"]
    finally:
        for server in servers.values():
            server.stop()
        for memcached in sum(memcacheds.values(), []):
            memcached.stop()


def _others(server, good, bad, seconds):
    # Those who ask for the third server's keys come at the same pace whether it answers or not.
    others = load.Wrk(server.url, 16, seconds + 1, load.cycle(bad, pause=2))
    time.sleep(0.5)
    result = load.Wrk(server.url, 48, seconds, load.cycle(good)).result()
    others.result(statuses=True)
    return result


def cold_key(clients=200):
    """Computations of a key that is missing when so many clients ask for it, and seconds until all are served."""
    memcached = Memcached()
    server = ways.start("ours", [memcached])
    try:
        load.ask(server, "/get/warm")
        seconds = load.at_once(server, "/fetch/cold", clients)
        computations = int(load.ask(server, "/computations/")[1])
        alone = load.at_once(server, "/fetch/other", 1)
        return {"computations": computations, "seconds": seconds, "alone": alone, "clients": clients}
    finally:
        server.stop()
        memcached.stop()
