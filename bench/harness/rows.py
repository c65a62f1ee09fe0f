"""The work: a row of the table each."""

from dataclasses import dataclass, field

from . import load
from .ways import KEEP

KIB = 1024
# So many times the rounds, of a second each: where the targets are, and one round differs from the next.
MORE = 4
GET = ["ours", "kv", "floor", "pass", "memc", "lua", "apache", "naive"]
SET = ["ours", "memc", "lua", "apache", "naive"]
# These speak text, as all of nginx's own do; ours beside them speaks meta.
TEXT = ["text", "ours", "pass", "memc", "lua"]
# Ours and memcached_pass beside them are without TLS.
TLS = ["tls", "ours", "stunnel", "pass"]


@dataclass
class Row:
    name: str
    title: str
    ways: list
    connections: int = 64
    size: int = 100
    # Paths by way; "*" for those that are not named.
    paths: dict = field(default_factory=dict)
    script: str = ""
    # The status that is right, and how many bytes come with it.
    status: int = 200
    length: int = None
    method: str = "GET"
    servers: int = 1
    keys: int = 10
    # Operations of memcached in a request.
    operations: int = 1
    quick: bool = False
    # Only for those who ask for it by name.
    extra: bool = False
    # Whether memcached speaks TLS, too.
    tls: bool = False
    # Rounds for each that the others have; 1 or MORE.
    rounds: int = 1

    def path(self, way):
        return self.paths.get(way, self.paths.get("*", "/get/item"))

    def keep(self, way):
        """Connections to memcached that a peer needs, one for each operation that is under way."""
        at_once = self.operations if way == "pass" else 1
        return max(KEEP, self.connections * at_once * self.servers)

    def expected(self, way):
        if self.status == 200 and self.length is None:
            return self.size
        return self.length


def get(name, title, size, connections, ways=GET, **options):
    paths = {"floor": "/const/item", "return": "/const/item"}
    ways = ways if size == 100 else [way for way in ways if way not in ("floor", "return")]
    return Row(name, title, ways, connections, size, paths, **options)


def all_rows():
    rows = [
        get("get-100-c1", "get 100 B, 1 connection", 100, 1, quick=True, rounds=MORE),
        get("get-100-c16", "get 100 B, 16 connections", 100, 16),
        get("get-100-c64", "get 100 B, 64 connections", 100, 64, quick=True, rounds=MORE, ways=[*GET[:3], "return", *GET[3:]]),
        get("get-100-c256", "get 100 B, 256 connections", 100, 256),
        get("get-100-c1024", "get 100 B, 1024 connections", 100, 1024),
        get("get-4k-c64", "get 4 KiB, 64 connections", 4 * KIB, 64),
        get("get-100k-c64", "get 100 KiB, 64 connections", 100 * KIB, 64),
        get("get-1m-c16", "get 1 MiB, 16 connections", 1024 * KIB, 16, quick=True),
        Row("miss", "get, miss, 64 connections", [way for way in GET if way != "floor"], status=404,
            paths={"*": "/get/nothing"}),
        _set("set-100", "set 100 B, 64 connections", 100, quick=True),
        _set("set-4k", "set 4 KiB, 64 connections", 4 * KIB),
        Row("ten", "10 gets of 100 B per request, 64 connections", ["ours", "awaits", "pass", "lua", "apache", "naive"],
            paths={"*": "/multi/item", "awaits": "/ten/item"}, length=1000, operations=10, quick=True),
        Row("mixed", "9 gets, 1 set of 100 B, 3 servers", ["ours", "memc", "lua", "apache", "naive"], servers=3,
            keys=1000, script=load.mixed(1000, 100)),
        get("text-100-c1", "text: get 100 B, 1 connection", 100, 1, TEXT),
        get("text-100-c64", "text: get 100 B, 64 connections", 100, 64, TEXT),
        _set("text-set-100", "text: set 100 B, 64 connections", 100, ["text", "ours", "memc", "lua"]),
        Row("text-ten", "text: 10 gets of 100 B per request, 64 connections", ["text", "ours", "pass", "lua"],
            paths={"*": "/multi/item"}, length=1000, operations=10),
        get("tls-100-c1", "TLS: get 100 B, 1 connection", 100, 1, TLS, tls=True),
        get("tls-100-c64", "TLS: get 100 B, 64 connections", 100, 64, TLS, tls=True),
        get("tls-100k-c64", "TLS: get 100 KiB, 64 connections", 100 * KIB, 64, TLS, tls=True),
    ]
    # Every other pair of size and connections, for those who ask for it by name.
    named = {row.name for row in rows}
    for label, size in (("4k", 4 * KIB), ("100k", 100 * KIB), ("1m", 1024 * KIB)):
        for connections in (1, 16, 64, 256, 1024):
            name = f"get-{label}-c{connections}"
            if name not in named:
                row = get(name, f"get {size // KIB} KiB, {connections} connections", size, connections, ["ours", "pass"])
                row.extra = True
                rows.append(row)
    return rows


def _set(name, title, size, ways=SET, **options):
    return Row(name, title, ways, size=size, paths={"*": "/set/item"}, script=load.put(size), method="PUT",
               status=None, length=None, **options)
