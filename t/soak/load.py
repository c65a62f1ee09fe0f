"""The clients: they ask, and judge every answer.

A value says whose it is: `K|seq|len|crc|payload`. Each key has one client that writes it, one write after the other, so
it is known which values a get may find at any time; everybody reads every key.
"""

import asyncio
import collections
import random
import time
import zlib

# An answer that takes longer was none. No operation has a timeout near this, but a worker may be stopped for a while.
PATIENCE = 15
# For so long a write whose outcome is unknown may still be carried out: a server that is stopped has it in its socket.
LATE = 10
# So long after a reload, or the end of a worker, connections may end without an answer.
UPHEAVAL = 5
# Statuses that say that something failed and whose fault it is.
HONEST = {502, 503, 504}


class Key:
    """What is known of a key."""

    def __init__(self, name):
        self.name = name
        # The number of the last write that was begun; of the last one that was confirmed, and when that was begun.
        self.begun = 0
        self.confirmed = 0
        self.confirmed_at = 0.0
        # Writes that may be carried out, or may have been: number -> when it was begun.
        self.open = {}
        # Numbers of the writes that were deletes.
        self.deletes = set()

    def begin(self, delete):
        self.begun += 1
        self.open[self.begun] = time.monotonic()
        if delete:
            self.deletes.add(self.begun)
        return self.begun

    def confirm(self, seq):
        begun_at = self.open.pop(seq)
        self.confirmed, self.confirmed_at = seq, begun_at
        # What could have come late would have come before this one began.
        for late in [s for s, at in self.open.items() if at < begun_at - LATE]:
            del self.open[late]
        # A read that is under way may still find what was before.
        self.deletes = {s for s in self.deletes if s > seq - 100 or s in self.open}

    def value(self, seq, size, rng):
        payload = rng.choice(b"abcdefghijklmnopqrstuvwxyz").to_bytes(1, "big") * size
        head = b"%s|%d|%d|" % (self.name.encode(), seq, size)
        return head + b"%08x|" % zlib.crc32(head + payload) + payload


def parse(name, body):
    """The number of the write that the value is from; None: it is not a value of this key, whole and unchanged."""
    try:
        key, seq, size, crc, payload = body.split(b"|", 4)
        head = b"%s|%s|%s|" % (key, seq, size)
        if key != name.encode() or len(payload) != int(size) or int(crc, 16) != zlib.crc32(head + payload):
            return None
        return int(seq)
    except ValueError:
        return None


class Ended(Exception):
    """The connection ended before the answer did."""


class Connection:
    """HTTP/1.1 with keepalive, as much of it as nginx speaks here."""

    def __init__(self, port):
        self.port = port
        self.reader = self.writer = None

    async def open(self):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**16)

    def close(self):
        if self.writer is not None:
            self.writer.transport.abort()
            self.reader = self.writer = None

    async def send(self, method, uri, body=None, head=""):
        await self.open()
        head = f"{method} {uri} HTTP/1.1\r\nHost: soak\r\n{head}"
        if body is not None:
            head += f"Content-Length: {len(body)}\r\n"
        self.writer.write(head.encode() + b"\r\n" + (body or b""))
        await self.writer.drain()

    async def ask(self, method, uri, body=None, head=""):
        """Status, fields of the header, and body. Raises Ended, or TimeoutError."""
        try:
            await self.send(method, uri, body, head)
            return await asyncio.wait_for(self.answer(), PATIENCE)
        except (OSError, asyncio.IncompleteReadError, ValueError) as e:
            self.close()
            raise Ended from e
        except asyncio.TimeoutError:
            self.close()
            raise

    async def answer(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        fields = {name.lower(): text for name, _, text in (line.partition(": ") for line in head[1:])}
        body = b""
        if status not in (204, 304):
            body = await self.reader.readexactly(int(fields["content-length"]))
        if fields.get("connection") == "close":
            self.close()
        return status, fields, body


class Tally:
    """What came of it all."""

    def __init__(self):
        self.operations = collections.Counter()
        self.errors = collections.Counter()
        self.wrong = []

    def blame(self, what):
        self.wrong.append(what)
        if len(self.wrong) <= 20:
            print(f"soak: WRONG: {what}", flush=True)


class Client:
    """One client with its own keys, which reads those of others too."""

    def __init__(self, number, seed, places, keys, sessions, limits, world, tally):
        self.rng = random.Random(f"{seed}/{number}")
        self.places, self.keys, self.world, self.tally = places, keys, world, tally
        self.sessions, self.limits = sessions, limits
        self.mine = [(place, Key(place.key(f"{number}-{i}", self.rng))) for place in places for i in range(4)]
        for place, key in self.mine:
            keys[place].append(key)
        self.counters = {place: Counter(f"{place.name}-n{number}") for place in places}
        self.connections = {}

    def connection(self, place):
        return self.connections.setdefault(place, Connection(place.port))

    async def run(self, until):
        while time.monotonic() < until:
            dice = self.rng.random()
            if dice < 0.48:
                await self.read()
            elif dice < 0.72:
                await self.write()
            elif dice < 0.77:
                await self.write(delete=True)
            elif dice < 0.84:
                await self.count()
            elif dice < 0.86:
                await self.visit()
            elif dice < 0.93:
                await self.limit()
            else:
                await self.abort()
        for connection in self.connections.values():
            connection.close()

    async def ask(self, place, what, method, uri, body=None, head="", read=lambda answer: answer[::2]):
        """The answer, status and body; None: an error that was to be expected, or was counted as wrong.

        What `read` makes of the answer is such a pair, or says what is wrong.
        """
        began = time.monotonic()
        self.tally.operations[f"{place.name} {what}"] += 1
        try:
            answer = read(await self.connection(place).ask(method, uri, body, head))
        except Ended:
            self.tally.errors["connection ended"] += 1
            if not self.world.upheaval(began - UPHEAVAL):
                self.tally.blame(f"{method} {uri}: the connection ended, and no worker had")
            await asyncio.sleep(0.05)
            return None
        except asyncio.TimeoutError:
            self.tally.errors["no answer"] += 1
            self.tally.blame(f"{method} {uri}: no answer in {PATIENCE} s")
            return None
        if isinstance(answer, str):
            self.tally.blame(f"{method} {uri}: {answer}")
            return None
        if answer[0] in HONEST:
            self.tally.errors[f"{answer[0]}"] += 1
            await asyncio.sleep(0.02)
            return None
        return answer

    async def read(self):
        place = self.rng.choice(self.places)
        key = self.rng.choice(self.keys[place])
        began, floor, floor_at = time.monotonic(), key.confirmed, key.confirmed_at
        open_before = set(key.open)
        uri, head = place.get(key.name)
        answer = await self.ask(place, "get", "GET", uri, head=head, read=lambda answer: place.read(answer, key.name))
        if answer is None:
            return
        status, body = answer
        possible = open_before | set(key.open) | set(range(floor, key.begun + 1))
        if status == 404:
            lost = self.world.lost_since(floor_at)
            if floor and not lost and not possible & key.deletes:
                self.tally.blame(f"GET {key.name}: a miss, but {floor} was stored and no server has restarted")
        elif status == 200:
            seq = parse(key.name, body)
            if seq is None:
                self.tally.blame(f"GET {key.name}: not a value of this key: {body[:60]!r}")
            elif seq not in possible or seq in key.deletes:
                self.tally.blame(f"GET {key.name}: {seq} is old, {floor} was confirmed")
        else:
            self.tally.blame(f"GET {key.name}: status {status}")

    async def write(self, delete=False):
        place, key = self.rng.choice(self.mine)
        seq = key.begin(delete)
        if delete:
            answer = await self.ask(place, "delete", "DELETE", place.uri(key.name))
            right = (204, 404)
        else:
            body = key.value(seq, place.size(self.rng), self.rng)
            answer = await self.ask(place, "set", "PUT", place.uri(key.name), body)
            right = (204,)
        if answer is None:
            return
        if answer[0] in right:
            key.confirm(seq)
        else:
            self.tally.blame(f"write of {key.name}: status {answer[0]}")

    async def count(self):
        place = self.rng.choice(self.places)
        counter = self.counters[place]
        began = time.monotonic()
        counter.begun += 1
        answer = await self.ask(place, "incr", "POST", place.uri(counter.name) + "?incr=1&initial=1", b"")
        if answer is None:
            return
        status, body = answer
        number = int(body) if status == 200 and body.isdigit() else None
        least = 1 if self.world.lost_since(counter.at) else counter.last + 1
        if number is None or not least <= number <= counter.begun:
            self.tally.blame(f"incr of {counter.name}: status {status}, {body[:30]!r}, {least} to {counter.begun} is right")
        else:
            counter.last, counter.at = number, began

    async def visit(self):
        """Comes without a session."""
        place = self.sessions
        read = lambda answer: answer[0] == 200 and place.new(answer) or answer[::2]
        answer = await self.ask(place, "visit", "GET", place.page, read=read)
        if answer is not None and answer[0] != 200:
            self.tally.blame(f"GET {place.page}: status {answer[0]}")

    async def limit(self):
        key = f"limit-{self.rng.randrange(self.limits.KEYS)}"
        request = self.limits.begin(key)
        read = lambda answer: self.limits.judge(key, request, answer, self.world.losses) or answer[::2]
        answer = await self.ask(self.limits, "limit", "GET", self.limits.uri(key), read=read)
        if answer is not None and answer[0] not in (200, 429):
            self.tally.blame(f"limit {key}: status {answer[0]}")

    async def abort(self):
        """Asks and goes away."""
        connection = Connection(self.rng.choice(self.places).port)
        place, key = self.rng.choice(self.mine)
        connection.port = place.port
        self.tally.operations[f"{place.name} aborted"] += 1
        try:
            if self.rng.random() < 0.5:
                uri, head = place.get(self.rng.choice(self.keys[place]).name)
                await connection.send("GET", uri, head=head)
            else:
                seq = key.begin(False)
                await connection.send("PUT", place.uri(key.name), key.value(seq, place.size(self.rng), self.rng))
            await asyncio.sleep(self.rng.random() * 0.004)
        except OSError:
            pass
        connection.close()


class Counter:
    """A number that only its client increments."""

    def __init__(self, name):
        self.name, self.begun, self.last, self.at = name, 0, 0, 0.0
