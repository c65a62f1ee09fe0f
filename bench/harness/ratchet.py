"""Keeps figures in a file, and compares with those: what we do may not cost more than TOLERANCE above them.

callgrind counts what nginx, libc and the compiler's code do, too, and libc chooses its functions by the CPU. (valgrind
shows a CPU of its own, which depends on that of the machine by what vectors it has.) So the file says what it was measured
with. Where that is not the same, its figures are not used: the commit that has changed the file last is built, and
measured here.
"""

import json
import os
import platform
import re
import subprocess

from . import ways
from .processes import Failed

TOLERANCE = 0.02
# What may be more in any case: it varies how many turns, and so system calls and TLS records, 64 requests take. With one
# connection they are always the same.
NOISE = {"instructions": 0, "syscalls": 0.2, "records": 0.05}
OURS = ("ours", "kv", "text", "tls")


def write(path, figures):
    with open(path, "w") as f:
        json.dump({"measured with": surroundings(), "per request": figures}, f, indent=1)
        f.write("\n")


def read(path):
    """The figures to compare with: those of the file, or of the code that they were of, measured here."""
    with open(path) as f:
        kept = json.load(f)
    here = surroundings()
    others = [f"{name}: {kept['measured with'].get(name)}, here {value}" for name, value in here.items()
              if kept["measured with"].get(name) != value]
    if not others:
        return kept["per request"]
    name = os.path.relpath(path, ways.ROOT)
    print(f"{name} was measured with something else, so the code that it is of is built and measured first:\n  "
          + "\n  ".join(others), flush=True)
    return measured_here(name)


def surroundings():
    """What the figures depend on, besides our code."""
    def first(*command):
        out = subprocess.run(command, capture_output=True, text=True)
        return (out.stdout + out.stderr).strip().splitlines()[0]

    with open("/proc/cpuinfo") as f:
        has = set(re.findall(r"\w+", "".join(line for line in f if re.match("flags|Features", line))))
    vectors = [name for name in ("avx2", "avx", "sse4_2", "sve", "asimd") if name in has][:1]
    return {"nginx": first(ways.NGINX, "-v"), "rustc": first("rustc", "-V"), "libc": " ".join(platform.libc_ver()),
            "valgrind": first("valgrind", "--version"), "cpu": " ".join([platform.machine(), *vectors])}


def measured_here(name):
    """What the commit costs that has changed the file last."""
    def git(*command):
        done = subprocess.run(["git", "-C", ways.ROOT, *command], capture_output=True)
        if done.returncode:
            raise Failed(f"git {' '.join(command)}: {done.stderr.decode()}")
        return done.stdout

    commit = git("log", "-1", "--format=%H", "--", name).decode().strip()
    if not commit:
        raise Failed(f"no commit has {name}")
    folder = os.path.join(ways.ROOT, "target/instructions", commit)
    figures = os.path.join(folder, "figures.json")
    if not os.path.exists(figures):
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["tar", "-x", "-C", folder], input=git("archive", commit), check=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        environment |= {"TEST_NGINX_BINARY": ways.NGINX, "MODULES_DIR": os.path.join(folder, "modules"),
                        "CARGO_TARGET_DIR": os.path.join(folder, "target")}
        done = subprocess.run(["make", "-C", folder, "instructions", "KEEP=figures.json"], env=environment)
        if done.returncode:
            raise Failed(f"{commit} cannot be built and measured in {folder}")
    with open(figures) as f:
        return json.load(f)["per request"]


def check(earlier, figures, again):
    """What is above is measured once more by `again`, and is a failure if it still is."""
    for name in figures:
        if is_above(earlier, figures, name):
            print(f"  {name} is measured again", flush=True)
            figures[name] = again(name)
    worse = [f"{kind} of {name}" for name in figures for kind in is_above(earlier, figures, name)]
    for name in figures:
        print(f"  {name:10} " + "".join(f"{kind} {change(earlier[name][kind], figures[name][kind]):32}"
                                         for kind in NOISE if kind in figures[name]))
    if not worse:
        return
    lines = [f"more than {TOLERANCE:.0%} above bench/worker.json: {', '.join(worse)}"]
    for name in dict.fromkeys(each.partition(" of ")[2] for each in worse):
        lines.append(f"where, of {name.split()[0]} at {name.split()[1]} connections:")
        before, after = earlier[name]["parts"], figures[name]["parts"]
        parts = sorted({*before, *after}, key=lambda part: before.get(part, 0) - after.get(part, 0))
        lines += [f"  {part}: {change(before.get(part, 0), after.get(part, 0))}" for part in parts
                  if before.get(part, 0) != after.get(part, 0)]
    lines.append("If it is worth that, say so in the commit, with the file that `make instructions KEEP=1` writes anew.")
    raise Failed("\n".join(lines))


def is_above(earlier, figures, name):
    """Of which kind too much is spent."""
    return [kind for kind in NOISE if name.split()[0] in OURS
            and kind in figures[name] and figures[name][kind] > earlier[name][kind] * (1 + TOLERANCE) + NOISE[kind]]


def change(before, after):
    return f"{before} -> {after} ({after / before - 1:+.1%})" if before else f"{after}"
