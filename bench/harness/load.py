"""Load by wrk, and one request at a time to see that an answer is right."""

import http.client
import json
import os
import selectors
import socket
import subprocess
import time

from .processes import OTHERS_CPU, Failed, folder

_REPORT = """
function done(summary, latency, requests)
    local e = summary.errors
    print(string.format('RESULT {"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "p999": %f, "failed": %d,'
        .. ' "statuses": %d}', summary.requests, summary.duration / 1e6, latency:percentile(50),
        latency:percentile(99), latency:percentile(99.9), e.connect + e.read + e.write + e.timeout, e.status))
end
"""


class Wrk:
    """A load that is under way."""

    def __init__(self, url, connections, seconds, script=""):
        path = os.path.join(folder(), "wrk.lua")
        with open(path, "w") as f:
            f.write(script + _REPORT)
        self.process = subprocess.Popen(
            ["taskset", "-c", OTHERS_CPU, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
             "-s", path, url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait(self):
        """Whatever it comes to."""
        self.process.communicate()

    def result(self, statuses=False, closes=False):
        """What it came to; `statuses`: answers other than 2xx and 3xx are right; `closes`: so is to close a connection
        instead of answering, as Apache does when it has no thread to spare."""
        output, _ = self.process.communicate()
        lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
        if not lines:
            raise Failed(f"wrk: {output}")
        result = json.loads(lines[0][len("RESULT "):])
        if not result["requests"]:
            raise Failed("wrk: not one request was answered")
        if (result["failed"] and not closes) or (result["statuses"] and not statuses):
            raise Failed(f"wrk: {output.strip()}")
        result["rate"] = result["requests"] / result["seconds"]
        return result


def put(size):
    """Every request stores a value."""
    return f'wrk.method = "PUT"\nwrk.body = string.rep("v", {size})\n'


def mixed(keys, size):
    """Nine gets and one set, of many keys."""
    return f"""
local n, body = 0, string.rep("v", {size})
function request()
    n = n + 1
    local key = "item" .. (n * 7919 % {keys})
    if n % 10 == 0 then return wrk.format("PUT", "/set/" .. key, nil, body) end
    return wrk.format("GET", "/get/" .. key)
end
"""


def cycle(paths, pause=0):
    """Gets of these paths in turn, each connection with a pause of so many milliseconds before the next."""
    table = ", ".join(f'"{path}"' for path in paths)
    return f"""
local paths, n = {{ {table} }}, 0
function request()
    n = n % #paths + 1
    return wrk.format("GET", paths[n])
end
function delay() return {pause} end
"""


def ask(server, path, method="GET", body=None):
    """Status and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{server.name}: {path}: {error}") from error
    finally:
        connection.close()


def at_once(server, path, clients):
    """Seconds until so many clients, who ask together, have all been answered 200."""
    selector = selectors.DefaultSelector()
    sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(clients)]
    time.sleep(0.2)
    request = f"GET {path} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n".encode()
    begin = time.monotonic()
    for s in sockets:
        s.sendall(request)
        selector.register(s, selectors.EVENT_READ, bytearray())
    left, wrong = clients, 0
    while left and time.monotonic() - begin < 30:
        for ready, _ in selector.select(1):
            more = ready.fileobj.recv(65536)
            ready.data.extend(more)
            if not more:
                selector.unregister(ready.fileobj)
                wrong += not ready.data.startswith(b"HTTP/1.1 200")
                left -= 1
    seconds = time.monotonic() - begin
    for s in sockets:
        s.close()
    if left or wrong:
        raise Failed(f"{server.name}: {path}: {left} of {clients} not answered, {wrong} wrongly")
    return seconds
