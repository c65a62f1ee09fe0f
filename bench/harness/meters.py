"""What processes cost: CPU time, memory, connections, system calls, instructions."""

import collections
import os
import re
import shutil
import signal
import subprocess
import time

from .processes import Failed, folder


def cpu(pids):
    """Seconds on a CPU of all threads, as the scheduler counts them."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                total += int(f.read().split()[0])
    return total / 1e9


def memory(pids):
    """Resident bytes."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status") as f:
            total += int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1)) * 1024
    return total


def connections(pids, ports):
    """Established connections of the processes to these ports."""
    inodes = set()
    for pid in pids:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                inodes.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
            except OSError:
                pass
    count = 0
    with open("/proc/net/tcp") as f:
        for line in list(f)[1:]:
            fields = line.split()
            port = int(fields[2].split(":")[1], 16)
            if port in ports and fields[3] == "01" and f"socket:[{fields[9]}]" in inodes:
                count += 1
    return count


def can_count_syscalls():
    try:
        out = subprocess.run(["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "true"], capture_output=True, text=True)
    except FileNotFoundError:
        return False
    return bool(re.search(r"^\d+,", out.stderr, re.M))


class Syscalls:
    """Counts system calls: by a tracepoint of the kernel, which slows nothing down, or by strace, which does."""

    def __init__(self, pids):
        self.path = os.path.join(folder(), "syscalls")
        self.perf = can_count_syscalls()
        if self.perf:
            command = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-o", self.path,
                       "-p", ",".join(map(str, pids))]
        else:
            command = ["strace", "-c", "-f", "-o", self.path, *[x for pid in pids for x in ("-p", str(pid))]]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)

    def count(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        with open(self.path) as f:
            text = f.read()
        return number_in(text, r"^(\d+),") if self.perf else strace_total(text)


def strace_total(text):
    """All system calls in what `strace -c` has written."""
    return number_in(text, r"^\S+\s+\S+\s+\S*\s*(\d+)\s.*total$")


def number_in(text, pattern):
    found = re.search(pattern, text, re.M)
    if not found:
        raise Failed(f"no count of system calls: {text}")
    return int(found.group(1))


# Writes a file for each process into the server's folder.
CALLGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=callgrind.%p"]
# Counts nothing until it is told to.
CALLGRIND_OFF = [*CALLGRIND, "--instr-atstart=no"]


def has_callgrind():
    return shutil.which("valgrind") is not None


def instructions(server, load):
    """Instructions of a server that was started under CALLGRIND_OFF while `load` runs, by the file that they are in."""
    pid = server.workers[0]
    for state in ("on", "off"):
        done = subprocess.run(["callgrind_control", "-i", state, str(pid)], capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"callgrind_control: {done.stdout}{done.stderr}")
        if state == "on":
            requests = load()
    server.stop()
    return requests, by_object(os.path.join(server.folder, f"callgrind.{pid}"))


def by_object(path):
    """Own cost by object, from callgrind's output."""
    return Callgrind(path).own


class Callgrind:
    """What callgrind has written."""

    def __init__(self, path):
        # By object; by the objects of a caller and of what it calls, with all that this calls; by the name of a function.
        self.own, self.across, self.calls = collections.Counter(), collections.Counter(), collections.Counter()
        self._names = {}
        with open(path) as f:
            self._read(f)

    def _read(self, lines):
        current = callee = function = "?"
        number = 0
        for line in lines:
            field, _, text = line.partition("=")
            if field == "ob":
                current = callee = self._name("ob", text)
            elif field == "cob":
                callee = self._name("ob", text)
            elif field in ("fn", "cfn"):
                function = self._name("fn", text)
            elif field == "calls":
                number = int(text.split()[0])
            elif line[0].isdigit() or line[0] in "+-*":
                cost = int(line.split()[1])
                if number:
                    self.across[current, callee] += cost
                    self.calls[function] += number
                    number, callee = 0, current
                else:
                    self.own[current] += cost

    def _name(self, kind, text):
        """A name is spelled out once, and is a number from then on."""
        number, _, name = text.strip().partition(" ")
        if name:
            self._names[kind, number] = os.path.basename(name) if kind == "ob" else name
        return self._names.get((kind, number), number)
