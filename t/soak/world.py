"""nginx and the memcacheds, and what happens to them."""

import asyncio
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import time

from siblings import LIMIT, WINDOW

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVERS = 3
WORKERS = 2

# What every configuration here begins with, behind its modules.
HEAD = """
{user}
daemon off;
worker_processes {workers};
worker_shutdown_timeout 5s;
pid nginx.pid;
error_log error.log notice;

events {{
    worker_connections 1024;
}}

http {{
    access_log            off;
    client_body_temp_path client_body_temp;
    proxy_temp_path       proxy_temp;
    fastcgi_temp_path     fastcgi_temp;
    uwsgi_temp_path       uwsgi_temp;
    scgi_temp_path        scgi_temp;

    client_max_body_size    1m;
    client_body_buffer_size 256k;
    keepalive_requests      1000000;
"""

CONF = """
load_module {modules}/ngx_http_memcache_module.so;
load_module {modules}/ngx_http_memcache_kv_module.so;
load_module {modules}/ngx_http_memcache_session_module.so;
load_module {modules}/ngx_http_memcache_rate_limit_module.so;
load_module {dir}/abi.so;
""" + HEAD + """
    memcache_timeout         500ms;
    memcache_connect_timeout 200ms;
    {tls}
    memcache_retry           500ms;

    # as it comes
    server {{
        listen 127.0.0.1:{kv};
        {servers}

        location /kv/ {{ memcache_kv on; }}
        location /c {{ abi; }}
        location = /status {{ memcache_status; }}
    }}

    # with what holds operations up and lets them share
    server {{
        listen 127.0.0.1:{shared};
        {few}
        memcache_hash ketama;
        memcache_prefix s:;
        memcache_pipeline 4;
        memcache_queue 32;
        memcache_coalesce on;

        location /kv/ {{ memcache_kv on; }}
    }}

    # with siblings that work before a page
    server {{
        listen 127.0.0.1:{siblings};
        {servers}
        memcache_hash consistent;

        location /kv/ {{ memcache_kv on; }}
        location = /session {{
            memcache_session sid 1h required;
            add_header X-Id $memcache_session_id;
            add_header X-Session $memcache_session;
            add_header X-New $memcache_session_new;
            proxy_set_header Session-New $memcache_session_new;
            proxy_pass http://127.0.0.1:{application};
        }}
        location = /limit {{
            rate_limit $arg_k limit={limit} window={window}s;
            rate_limit_down refuse;
            empty_gif;
        }}
    }}

    # begins a session for everybody who has none
    server {{
        listen 127.0.0.1:{application};

        location / {{
            add_header X-Accel-Session new;
            empty_gif;
        }}
    }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def certificate(directory):
    """A certificate that is its own authority."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=soak",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", directory / "server.key", "-out",
                    directory / "server.pem"], check=True, stderr=subprocess.DEVNULL)
    (directory / "server.key").chmod(0o644)


class Memcached:
    def __init__(self, port, options):
        self.port, self.options, self.process, self.stopped = port, options, None, False
        self.start()

    def start(self):
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen(
            ["memcached", "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-m", "256", *user, *self.options])

    def end(self, sig):
        self.process.send_signal(sig)
        self.process.wait()


class World:
    def __init__(self, directory, nginx, modules, seed):
        self.dir, self.nginx_binary, self.rng = pathlib.Path(directory), nginx, random.Random(f"{seed}/faults")
        self.faults = []
        self.lost_at = self.upheaval_at = -1e9
        # The same as Unix times, all of them.
        self.losses = []
        self.stopped_workers = set()
        self.dir.chmod(0o755)
        # Copies: a build that replaces them must not come with a reload.
        modules = shutil.copytree(modules, self.dir / "modules")
        self.compile_sibling()
        options, tls = [], ""
        if os.environ.get("TLS"):
            certificate(self.dir)
            options = ["-Z", "-o", f"ssl_chain_cert={self.dir}/server.pem,ssl_key={self.dir}/server.key,ssl_session_cache"]
            tls = f"memcache_ssl on; memcache_ssl_trusted_certificate {self.dir}/server.pem;"
        self.memcached = [Memcached(free_port(), options) for _ in range(SERVERS)]
        self.kv_port, self.shared_port, self.siblings_port = free_port(), free_port(), free_port()
        lines = lambda rest: "\n".join(f"memcache_server 127.0.0.1:{m.port} {rest};" for m in self.memcached)
        (self.dir / "nginx.conf").write_text(CONF.format(
            dir=self.dir, tls=tls, modules=modules, workers=WORKERS, kv=self.kv_port, shared=self.shared_port,
            siblings=self.siblings_port, application=free_port(), limit=LIMIT, window=WINDOW,
            user="user root;" if os.geteuid() == 0 else "",
            servers=lines("min=1 smax=2 max=8 ttl=5s"), few=lines("max=1")))
        self.nginx = subprocess.Popen([nginx, "-p", str(self.dir), "-c", "nginx.conf", "-e", "error.log"])
        for port in [self.kv_port, self.shared_port, self.siblings_port, *(m.port for m in self.memcached)]:
            self.wait_for(port)

    def compile_sibling(self):
        source, objs = os.environ["NGINX_SOURCE_DIR"], os.environ["NGINX_BUILD_DIR"]
        nginx = subprocess.run(["bash", str(ROOT / "build/nginx-cflags.sh"), source, objs], check=True,
                               stdout=subprocess.PIPE, text=True).stdout.splitlines()
        subprocess.run(["gcc", "-O1", "-g", "-fPIC", "-shared", f"-I{ROOT}/include", *nginx, "-o",
                        str(self.dir / "abi.so"), str(ROOT / "t/siblings/abi.c")], check=True)

    def wait_for(self, port):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                return socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"soak: nothing listens on port {port}; see {self.dir}/error.log")

    # What the checker asks.

    def lost_since(self, at):
        """Whether a memcached has lost its memory since then."""
        return self.lost_at >= at

    def upheaval(self, since):
        """Whether workers have ended, or begun to, since then."""
        return self.upheaval_at >= since

    # Processes.

    def children(self):
        """Workers and their state; workers that exit gracefully are among them."""
        found = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, rest = stat.read_text().split(" (", 1)
            except OSError:
                continue
            state, parent = rest.rsplit(") ", 1)[1].split(" ")[:2]
            if int(parent) == self.nginx.pid and state != "Z":
                found.append(int(pid))
        return sorted(found)

    @staticmethod
    def memory(pid):
        """KiB of a process that are its own."""
        try:
            lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            return 0
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))

    @staticmethod
    def files(pid):
        try:
            return len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            return 0

    # Faults.

    async def trouble(self, until):
        """One fault after the other, each undone before the next."""
        kinds = [self.stop_memcached, self.kill_memcached, self.restart_memcached, self.reload, self.kill_worker,
                 self.stop_worker]
        weights = [4, 2, 2, 2, 1, 2]
        while time.monotonic() < until:
            await asyncio.sleep(0.5 + self.rng.random() * 3)
            kind = self.rng.choices(kinds, weights)[0]
            self.faults.append((time.monotonic(), kind.__name__))
            await kind()

    async def stop_memcached(self):
        process = self.rng.choice(self.memcached).process
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.2 + self.rng.random() * 2)
        process.send_signal(signal.SIGCONT)

    async def kill_memcached(self):
        await self.replace(signal.SIGKILL, 2)

    async def restart_memcached(self):
        await self.replace(signal.SIGTERM, 0)

    async def replace(self, sig, pause):
        memcached = self.rng.choice(self.memcached)
        memcached.end(sig)
        await asyncio.sleep(self.rng.random() * pause)
        memcached.start()
        # Also what was confirmed until now may be gone.
        self.lost_at = time.monotonic()
        self.losses.append(time.time())

    async def reload(self):
        self.upheaval_at = float("inf")
        before = set(self.children())
        self.nginx.send_signal(signal.SIGHUP)
        for _ in range(100):
            await asyncio.sleep(0.1)
            if not before & set(self.children()):
                break
        self.upheaval_at = time.monotonic()

    async def kill_worker(self):
        self.upheaval_at = float("inf")
        os.kill(self.rng.choice(self.children()), signal.SIGKILL)
        await asyncio.sleep(0.5)
        self.upheaval_at = time.monotonic()

    async def stop_worker(self):
        pid = self.rng.choice(self.children())
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(0.2 + self.rng.random() * 1.3)
        os.kill(pid, signal.SIGCONT)

    # The end.

    def stop_nginx(self):
        """Seconds that a graceful exit took."""
        began = time.monotonic()
        self.nginx.send_signal(signal.SIGQUIT)
        self.nginx.wait(60)
        return time.monotonic() - began

    def clean_up(self):
        for process in [self.nginx, *(m.process for m in self.memcached)]:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
