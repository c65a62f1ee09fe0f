"""Starts memcached, nginx and Apache on free ports, each in a folder of its own, and ends them all."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

# The worker has the first core; memcached (one thread) and the load generator (one thread) share the second.
WORKER_CPU = os.environ.get("WORKER_CPU", "0")
OTHERS_CPU = os.environ.get("OTHERS_CPU", "1")

_running = []
_folders = []


class Failed(Exception):
    """Something that the benchmark needs does not work."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def folder():
    path = tempfile.mkdtemp(prefix="ngx-memcache-bench.")
    # The workers of an nginx that root started are another user: let them pass.
    os.chmod(path, 0o755)
    _folders.append(path)
    return path


def start(command, cpu, **options):
    process = subprocess.Popen(["taskset", "-c", cpu, *command], stdin=subprocess.DEVNULL, **options)
    _running.append(process)
    return process


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process in _running:
        _running.remove(process)


def end_all():
    for process in list(reversed(_running)):
        end(process)
    for path in _folders:
        shutil.rmtree(path, ignore_errors=True)
    _folders.clear()


def wait_for(process, port, name, log=None):
    for _ in range(1200):
        if process.poll() is not None:
            break
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    text = ""
    if log and os.path.exists(log):
        with open(log, errors="replace") as f:
            text = "\n" + "".join(f.readlines()[-10:])
    raise Failed(f"{name} does not come up{text}")


def certificate():
    """A folder with a new certificate of 127.0.0.1, which is its own authority, and its key."""
    path = folder()
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                           "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{path}/key.pem",
                           "-out", f"{path}/certificate.pem"], capture_output=True, text=True)
    if made.returncode:
        raise Failed(f"openssl: {made.stderr}")
    # memcached reads it as another user.
    os.chmod(f"{path}/key.pem", 0o644)
    return path


class Memcached:
    """One memcached with one thread. With `tls`, it also has a port for that, and `certificate` is what it shows there."""

    def __init__(self, tls=False):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.tls_port = None
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        listen, secure = "127.0.0.1", []
        if tls:
            path, self.tls_port = certificate(), free_port()
            self.tls_address = f"127.0.0.1:{self.tls_port}"
            self.certificate = f"{path}/certificate.pem"
            listen = f"notls:{self.address},{self.tls_address}"
            secure = ["-Z", "-o", f"ssl_chain_cert={self.certificate},ssl_key={path}/key.pem"]
        command = ["memcached", "-l", listen, "-p", str(self.port), "-U", "0", "-t", "1", "-m", "256",
                   "-I", "4m", "-c", "8192", *secure, *user]
        self.process = start(command, OTHERS_CPU)
        wait_for(self.process, self.port, "memcached")
        self.pid = self.process.pid

    def ask(self, request, until):
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.sendall(request)
            answer = b""
            while not answer.endswith(until):
                more = s.recv(65536)
                if not more:
                    raise Failed(f"memcached answers {answer[:80]!r}")
                answer += more
            return answer

    def set(self, key, value):
        self.ask(b"set %s 0 0 %d\r\n%s\r\n" % (key.encode(), len(value), value), b"STORED\r\n")

    def stats(self):
        lines = self.ask(b"stats\r\n", b"END\r\n").decode().splitlines()
        return {name: value for _, name, value in (line.split(" ", 2) for line in lines if line.startswith("STAT"))}

    def connections(self):
        """Those of others: the one that asks does not count."""
        return int(self.stats()["curr_connections"]) - 1

    def stop(self):
        end(self.process)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(child) for child in f.read().split()]


class Server:
    """A web server with one worker. `workers` are the processes whose CPU and memory count."""

    def __init__(self, name, command, path, port, single=False, **options):
        self.name, self.folder, self.port = name, path, port
        self.url = f"http://127.0.0.1:{port}"
        self.log = os.path.join(path, "error.log")
        with open(os.path.join(path, "output"), "w") as output:
            self.process = start(command, WORKER_CPU, cwd=path, stdout=output, stderr=output, **options)
        wait_for(self.process, port, name, self.log)
        self.workers = [self.process.pid] if single else self._children()
        # What ends with it.
        self.needs = []

    def _children(self):
        # The master listens before it has its worker.
        for _ in range(100):
            found = children(self.process.pid)
            if found:
                return found
            time.sleep(0.05)
        raise Failed(f"{self.name} has no worker")

    def pid(self):
        """Of nginx, which may run under a tool. It listens before it writes that."""
        for _ in range(200):
            try:
                with open(os.path.join(self.folder, "nginx.pid")) as f:
                    return int(f.read())
            except (FileNotFoundError, ValueError):
                time.sleep(0.05)
        raise Failed(f"{self.name} has no pid")

    def quit(self):
        """Ends by itself, so that a tool that it runs under writes what it has counted."""
        pid = self.pid()
        # A signal that comes just before nginx waits for events is seen with the next one.
        for _ in range(100):
            try:
                os.kill(pid, signal.SIGQUIT)
                self.process.wait(0.5)
                return
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
        raise Failed(f"{self.name} does not end")

    def stop(self):
        for process in [self.process, *self.needs]:
            end(process)
