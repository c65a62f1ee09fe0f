"""The ways to memcached that are compared, each configured as its own documentation recommends."""

import os
import subprocess

from .processes import WORKER_CPU, Failed, Server, folder, free_port, wait_for
from .processes import start as start_process

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NGINX = os.environ.get("NGINX_BINARY", "/usr/sbin/nginx")
MODULES = os.environ.get("MODULES_DIR", os.path.join(ROOT, "target/modules"))
DEBIAN_MODULES = "/usr/lib/nginx/modules"
LUA = "/usr/share/lua/5.1/nginx/memcached.lua"
# Connections that the peers keep, unless a row has more operations under way: fewer make them connect anew, more do not
# help them.
KEEP = 64

LONG = {
    "ours": "our module, Rust handler",
    "kv": "our module, kv example",
    "text": "our module, text protocol",
    "tls": "our module, TLS",
    "floor": "same handler, no memcached",
    "return": "return 200, no handler",
    "pass": "memcached_pass, keepalive",
    "stunnel": "memcached_pass, stunnel",
    "memc": "memc-nginx-module, keepalive",
    "lua": "lua-resty-memcached",
    "apache": "Apache event, apr_memcache",
    "naive": "tokio thread, memcache crate",
}
PEERS = ["pass", "memc", "lua", "apache", "naive"]


def nginx(name, locations, memcacheds, modules=(), http="", main="", keep=KEEP, single=False, tool=()):
    """nginx with one worker; `tool` is a command that it runs under."""
    path, port = folder(), free_port()
    temporary = "\n".join(f"    {kind}_temp_path {kind};" for kind in
                          ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    loads = "\n".join(f"load_module {module};" for module in modules)
    upstream = "".join(f" server {m.address};" for m in memcacheds)
    if len(memcacheds) > 1:
        upstream = " hash $uri consistent;" + upstream
    text = f"""{loads}
{main}
worker_processes 1;
{"master_process off;" if single else ""}
daemon off;
error_log error.log;
pid nginx.pid;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    default_type application/octet-stream;
    client_max_body_size 8m;
    client_body_buffer_size 1m;
{temporary}
    upstream memcached {{{upstream} keepalive {keep}; }}
{http}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
{locations}
    }}
}}
"""
    with open(os.path.join(path, "nginx.conf"), "w") as f:
        f.write(text)
    environment = dict(os.environ, BENCH_MEMCACHED=" ".join(m.address for m in memcacheds), BENCH_KEEP=str(keep))
    command = [*tool, NGINX, "-p", path, "-c", "nginx.conf", "-e", "error.log"]
    return Server(LONG.get(name, name), command, path, port, single, env=environment)


def _ours(name, memcacheds, parameters="", lines="", **options):
    modules = [f"{MODULES}/ngx_http_memcache_{m}.so" for m in ("module", "kv_module", "bench_module")]
    addresses = [m.tls_address if name == "tls" else m.address for m in memcacheds]
    lines += "".join(f"    memcache_server {address}{parameters};\n" for address in addresses)
    if name == "text":
        lines += "    memcache_protocol text;\n"
    elif name == "tls":
        lines += f"    memcache_ssl on;\n    memcache_ssl_trusted_certificate {memcacheds[0].certificate};\n"
    lines += "    memcache_max_value 4m;\n"
    if options.get("tool"):
        # It is forty times as slow.
        lines += "    memcache_connect_timeout 10s;\n    memcache_timeout 10s;\n"
    locations = {
        "kv": "        location /get/ { memcache_kv on; }\n        location /set/ { memcache_kv on; }\n",
        "return": f"        location / {{ return 200 \"{'v' * 100}\"; }}\n",
    }.get(name, "        location / { memcache_bench on; }\n")
    return nginx(name, locations, memcacheds, modules, http=lines, **options)


def _pass(memcacheds, **options):
    return nginx("pass", """
        location /get/ { set $memcached_key $uri; memcached_pass memcached; }
        location /part/ { set $memcached_key $uri; memcached_pass memcached; }
        location /multi/ { ssi on; ssi_types application/octet-stream; root html; try_files /page =404; }
""", memcacheds, **options)


class Stunnel:
    """A stunnel on the machine of the web server: it takes plain connections, and opens one of TLS to memcached for each."""

    def __init__(self, memcached):
        path, port = folder(), free_port()
        self.address = f"127.0.0.1:{port}"
        conf = os.path.join(path, "stunnel.conf")
        with open(conf, "w") as f:
            f.write(f"""foreground = yes
pid =
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[memcached]
client = yes
accept = {self.address}
connect = {memcached.tls_address}
CAfile = {memcached.certificate}
verifyChain = yes
checkIP = 127.0.0.1
""")
        self.log = os.path.join(path, "output")
        with open(self.log, "w") as output:
            self.process = start_process(["stunnel4", conf], WORKER_CPU, stdout=output, stderr=output)
        wait_for(self.process, port, "stunnel", self.log)


def _stunnel(memcacheds, **options):
    """Its CPU counts as the worker's: they do the same work as one that speaks TLS itself."""
    stunnels = [Stunnel(memcached) for memcached in memcacheds]
    server = _pass(stunnels, **options)
    server.needs += [stunnel.process for stunnel in stunnels]
    server.workers += [stunnel.process.pid for stunnel in stunnels]
    return server


def _memc(memcacheds, **options):
    return nginx("memc", """
        location /get/ { set $memc_key $uri; set $memc_cmd get; memc_pass memcached; }
        location /set/ { set $memc_key $uri; set $memc_cmd set; memc_pass memcached; }
""", memcacheds, [f"{DEBIAN_MODULES}/ngx_http_memc_module.so"], **options)


def _lua(memcacheds, keep=KEEP, **options):
    ports = ", ".join(str(m.port) for m in memcacheds)
    head = """
            local memcached = require "nginx.memcached"
            local memc = memcached:new{ key_transform = { function(k) return k end, function(k) return k end } }
            memc:set_timeout(1000)
            local ports = { %s }
            local port = ports[#ports > 1 and ngx.crc32_short(ngx.var.uri) %% #ports + 1 or 1]
            if not memc:connect("127.0.0.1", port) then return ngx.exit(502) end
""" % ports
    tail = "            memc:set_keepalive(60000, %d)\n" % keep
    locations = f"""
        location /get/ {{ content_by_lua_block {{{head}
            local value, flags, err = memc:get(ngx.var.uri)
            if err then return ngx.exit(502) end
{tail}
            if not value then return ngx.exit(404) end
            ngx.header["Content-Length"] = #value
            ngx.print(value)
        }} }}
        location /set/ {{ content_by_lua_block {{{head}
            ngx.req.read_body()
            if not memc:set(ngx.var.uri, ngx.req.get_body_data()) then return ngx.exit(502) end
{tail}
            ngx.status = 204
        }} }}
        location /multi/ {{ content_by_lua_block {{{head}
            local keys = {{}}
            for i = 0, 9 do keys[i + 1] = ngx.var.uri .. i end
            local found = memc:get(keys)
            if not found then return ngx.exit(502) end
{tail}
            local page, length = {{}}, 0
            for i = 1, 10 do
                page[i] = found[keys[i]][1]
                length = length + #page[i]
            end
            ngx.header["Content-Length"] = length
            ngx.print(page)
        }} }}
"""
    modules = [f"{DEBIAN_MODULES}/ndk_http_module.so", f"{DEBIAN_MODULES}/ngx_http_lua_module.so"]
    http = f"    lua_package_path \"/usr/share/lua/5.1/?.lua;;\";\n    lua_socket_pool_size {keep};\n"
    return nginx("lua", locations, memcacheds, modules, http=http, keep=keep, **options)


def _naive(memcacheds, **options):
    modules = [f"{MODULES}/ngx_http_memcache_{m}_module.so" for m in ("naive",)]
    modules.insert(0, f"{MODULES}/ngx_http_memcache_module.so")
    return nginx("naive", "        location / { memcache_naive on; }\n", memcacheds, modules,
                 main="env BENCH_MEMCACHED; env BENCH_KEEP;", **options)


def _apache(memcacheds, keep=KEEP, **_options):
    path, port = folder(), free_port()
    build = os.path.join(path, "build")
    os.mkdir(build)
    source = os.path.join(build, "mod_bench_memcache.c")
    with open(os.path.join(ROOT, "bench/peers/mod_bench_memcache.c")) as f, open(source, "w") as to:
        to.write(f.read())
    compiled = subprocess.run(["apxs", "-c", "-Wc,-O2", source], cwd=build, capture_output=True, text=True)
    if compiled.returncode:
        raise Failed(f"apxs: {compiled.stdout}{compiled.stderr}")
    modules = "/usr/lib/apache2/modules"
    user = "User nobody\nGroup nogroup\n" if os.geteuid() == 0 else ""
    text = f"""ServerRoot "{path}"
ServerName 127.0.0.1
Listen 127.0.0.1:{port} http
ListenBacklog 4096
PidFile httpd.pid
ErrorLog error.log
DefaultRuntimeDir {path}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule bench_memcache_module {build}/.libs/mod_bench_memcache.so
{user}StartServers 1
ServerLimit 1
ThreadLimit {keep}
ThreadsPerChild {keep}
MaxRequestWorkers {keep}
MinSpareThreads 1
MaxSpareThreads {keep}
AsyncRequestWorkerFactor 64
MaxConnectionsPerChild 0
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60
BenchMemcached {" ".join(m.address for m in memcacheds)}
<Location "/">
    SetHandler bench-memcache
</Location>
"""
    conf = os.path.join(path, "httpd.conf")
    with open(conf, "w") as f:
        f.write(text)
    return Server(LONG["apache"], ["apache2", "-f", conf, "-D", "FOREGROUND"], path, port)


def start(name, memcacheds, **options):
    makers = {"pass": _pass, "stunnel": _stunnel, "memc": _memc, "lua": _lua, "naive": _naive, "apache": _apache}
    if name in makers:
        server = makers[name](memcacheds, **options)
    else:
        server = _ours(name, memcacheds, **options)
    if name == "pass":
        # A page assembled from ten parts, each a subrequest: what nginx itself offers.
        html = os.path.join(server.folder, "html")
        os.mkdir(html)
        with open(os.path.join(html, "page"), "w") as f:
            f.write("".join(f'<!--# include virtual="/part/item{i}" -->' for i in range(10)))
    return server


def key(name, uri_key):
    """The key that a way makes of a path: nginx's own take the whole path."""
    return uri_key if name in ("pass", "stunnel", "memc", "lua") else uri_key.split("/", 2)[-1]


def versions():
    """What is compared, as it says itself."""
    def first(*command):
        try:
            out = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            return "missing"
        return (out.stdout + out.stderr).strip().splitlines()[0]

    def package(name):
        return first("dpkg-query", "-W", "-f", "${Package} ${Version}", name)

    commit = first("git", "-C", ROOT, "log", "-1", "--format=%h")
    return [
        f"ours {commit}", first(NGINX, "-v"), first("memcached", "-V"), first("apache2", "-v"),
        package("libnginx-mod-http-memc"), package("libnginx-mod-http-lua"), package("lua-nginx-memcached"),
        package("stunnel4"), package("libssl3"), package("libaprutil1"), "crate memcache " + _locked("memcache"), "crate tokio " + _locked("tokio"),
        first("wrk", "-v"), first("rustc", "-V"), "Linux " + os.uname().release,
    ]


def _locked(crate):
    with open(os.path.join(ROOT, "Cargo.lock")) as f:
        lines = f.read().splitlines()
    for line, after in zip(lines, lines[1:]):
        if line == f'name = "{crate}"':
            return after.split('"')[1]
    return "?"
