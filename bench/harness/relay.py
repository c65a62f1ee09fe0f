"""A link of so many bytes a second from memcached to the web server, fair between its connections.

Only what memcached sends is slowed down. Connections take turns with pieces of at most PIECE bytes, and hold little
besides, so that the link is where bytes wait.
"""

import asyncio
import multiprocessing
import socket
import time

from .processes import free_port

PIECE = 16384


class Relay:
    """Stands for the memcached behind it."""

    def __init__(self, memcached, rate):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        ready = multiprocessing.Event()
        self._process = multiprocessing.Process(target=_run, args=(self.port, memcached.port, rate, ready), daemon=True)
        self._process.start()
        ready.wait(10)

    def stop(self):
        self._process.terminate()
        self._process.join()


def _run(port, target, rate, ready):
    asyncio.run(_serve(port, target, rate, ready))


async def _serve(port, target, rate, ready):
    # A lock is given to those who wait in the order in which they came: so they take turns.
    link = _Link(rate)

    async def connected(reader, writer):
        far = socket.socket()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * PIECE)
        far.setblocking(False)
        await asyncio.get_running_loop().sock_connect(far, ("127.0.0.1", target))
        far_reader, far_writer = await asyncio.open_connection(sock=far, limit=PIECE)
        await asyncio.gather(_pump(reader, far_writer, None), _pump(far_reader, writer, link))

    server = await asyncio.start_server(connected, "127.0.0.1", port, limit=PIECE, backlog=1024)
    ready.set()
    async with server:
        await server.serve_forever()


class _Link:
    def __init__(self, rate):
        self._rate = rate
        self._turn = asyncio.Lock()
        self._free = 0.0

    async def take(self, size):
        async with self._turn:
            now = time.monotonic()
            self._free = max(self._free, now) + size / self._rate
            # Sleeping for less is not worth it, and what is slept too long is made up for.
            if self._free - now > 0.002:
                await asyncio.sleep(self._free - now)


async def _pump(reader, writer, link):
    try:
        while data := await reader.read(PIECE):
            if link:
                await link.take(len(data))
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
