"""What the siblings session and rate_limit answer, and what of it can be right."""

import collections
import re
import time

# Requests of a window, and its seconds.
LIMIT, WINDOW = 20, 2


class Sessions:
    """Sessions that an application writes to the REST store, and that the sibling finds by their cookie."""

    name = "session"
    page = "/session"

    def __init__(self, port):
        self.port = port
        # IDs that were given to somebody.
        self.given = set()

    def key(self, _, rng):
        return f"session:{rng.getrandbits(128):032x}"

    def uri(self, key):
        return f"/kv/{key}"

    def get(self, key):
        return self.page, f"Cookie: sid={key.partition(':')[2]}\r\n"

    # It comes back in a header.
    def size(self, rng):
        return int(10 ** rng.uniform(0, 3))

    def read(self, answer, key):
        """As the store would have answered: who has none is given a new one. A string: what is wrong."""
        status, fields, _ = answer
        if status != 200:
            return status, b""
        asked, found = key.partition(":")[2], fields.get("x-id", "")
        if found == asked:
            return 200, fields.get("x-session", "").encode("latin-1")
        return self.new(answer) or (404, b"")

    def new(self, answer):
        """What is wrong with a new session; None: nothing."""
        _, fields, _ = answer
        found = fields.get("x-new", "")
        if not re.fullmatch("[0-9a-f]{32}", found) or not fields.get("set-cookie", "").startswith(f"sid={found};"):
            return f"{found!r} with the cookie {fields.get('set-cookie')!r} is no new session"
        if found in self.given:
            return f"session {found} was given to somebody else before"
        if fields.get("x-id") or fields.get("x-session"):
            return f"{fields.get('x-id')!r} and {fields.get('x-session')!r} beside a new session"
        self.given.add(found)
        return None


class Limits:
    """Counters that all clients share. The sibling refuses who cannot be counted, so whoever passes was.

    A memcached that restarts forgets its counters, which are then full again: how often that was is known, but not
    whose counters they were. A request whose window is not certain is not judged.
    """

    name = "limits"
    KEYS = 3

    def __init__(self, port):
        self.port = port
        # By key: beginnings of requests, and ends (infinite: it is under way, or nobody was told).
        self.asked = collections.defaultdict(list)
        # How often a pass was told so, by key, end of the window, and what is left.
        self.passes = collections.Counter()

    def uri(self, key):
        return f"/limit?k={key}"

    def begin(self, key):
        now = time.time()
        asked = self.asked[key]
        asked[:] = [request for request in asked if request[0] > now - 60]
        asked.append([now, float("inf")])
        return asked[-1]

    def judge(self, key, request, answer, losses):
        """What is wrong with the answer to a request; None: nothing. `losses`: when memcacheds were restarted."""
        status, fields, _ = answer
        request[1] = time.time()
        if status not in (200, 429):
            return None
        try:
            limit, left, reset = (int(fields[f"ratelimit-{name}"]) for name in ("limit", "remaining", "reset"))
        except (KeyError, ValueError):
            return f"status {status} without the headers of a limit: {fields}"
        if limit != LIMIT or not 0 <= left < LIMIT or not 1 <= reset <= WINDOW:
            return f"limit {limit}, remaining {left}, reset {reset}"
        # The clock of the worker was read meanwhile, and its window ended `reset` seconds later.
        ends = {now + reset for now in range(int(request[0]), int(request[1]) + 1) if (now + reset) % WINDOW == 0}
        if len(ends) != 1:
            return None
        end = ends.pop()
        if status == 429:
            others = sum(1 for began, done in self.asked[key] if began < end and done >= end - WINDOW)
            return f"refused, as one of {others}" if left or others <= LIMIT else None
        self.passes[key, end, left] += 1
        told = self.passes[key, end, left]
        lives = 1 + sum(1 for at in losses if at >= end - WINDOW)
        return f"{told} requests were told that {left} are left, in {lives} lives of a counter" if told > lives else None
