"""What was aimed at, beside what was measured."""

from .ratios import median, ratio


def _values(results, row, way, figure):
    return [result[figure] for result in results.get(row, {}).get(way, [])]


def table(found):
    """Lines of (what, measured, interval, target, met), as far as it was measured."""
    rows, lines = found["rows"], []

    def compare(what, row, figure, ours, theirs, target, at_least):
        a, b = _values(rows, row, ours, figure), _values(rows, row, theirs, figure)
        if not a or not b:
            return
        r, low, high = ratio(a, b)
        met = r >= target if at_least else r <= target
        lines.append((what, f"{r:.2f}", f"{low:.2f} to {high:.2f}", f"{'≥' if at_least else '≤'} {target}", met))

    def number(what, value, target, met, digits=2):
        lines.append((what, f"{value:.{digits}f}", "", target, met))

    base = "get-100-c64"
    for peer, least in (("pass", 1.6), ("memc", 1.6), ("lua", 2.2), ("apache", 5), ("naive", 3), ("floor", 0.8)):
        compare(f"requests/s ÷ {peer}", base, "rate", "ours", peer, least, True)
    compare("worker CPU per request ÷ pass", base, "worker", "ours", "pass", 0.55, False)

    cpu = {way: _values(rows, base, way, "worker") for way in ("ours", "floor", "pass", "return")}
    if all(cpu.values()):
        # Ours over the same handler without memcached; memcached_pass over nginx's own constant.
        adds = [(o - f) / (p - r) for o, f, p, r in zip(cpu["ours"], cpu["floor"], cpu["pass"], cpu["return"])]
        m = {way: median(values) for way, values in cpu.items()}
        value = (m["ours"] - m["floor"]) / (m["pass"] - m["return"])
        lines.append(("CPU that memcached adds over the floor ÷ what it adds in pass", f"{value:.2f}",
                      f"{min(adds):.2f} to {max(adds):.2f}", "≤ 0.2", value <= 0.2))
    compare("memcached CPU per operation ÷ pass", base, "memcached", "ours", "pass", 0.35, False)

    calls = found.get("syscalls", {})
    if "ours" in calls and "floor" in calls:
        beyond = calls["ours"] - calls["floor"]
        number("system calls per request beyond the floor's", beyond, "≤ 0.2", beyond <= 0.2, 3)
    compare("one connection: p50 ÷ pass", "get-100-c1", "p50", "ours", "pass", 1, False)

    ten = rows.get("ten", {})
    peers = [way for way in ten if way not in ("ours", "awaits")]
    if peers and "ours" in ten:
        best = max(peers, key=lambda way: median(_values(rows, "ten", way, "rate")))
        compare(f"ten gets per request ÷ best peer ({best})", "ten", "rate", "ours", best, 4, True)

    if "dead" in found:
        healthy, dead = ([result["p99"] for result in results] for results in found["dead"])
        r, low, high = ratio(dead, healthy)
        lines.append(("one dead of three: p99 of the others' keys ÷ healthy", f"{r:.2f}", f"{low:.2f} to {high:.2f}",
                      "≤ 1.1", r <= 1.1))
    if "cold" in found:
        n = found["cold"]["computations"]
        number(f"computations of a cold key for {found['cold']['clients']} clients", n, "1", n == 1, 0)
    compare("1 MiB: requests/s ÷ pass", "get-1m-c16", "rate", "ours", "pass", 1, True)

    few, many = (_values(rows, f"get-100-c{n}", "ours", "worker") for n in (16, 1024))
    if few and many:
        r, low, high = ratio(many, few)
        lines.append(("CPU per request, 1024 ÷ 16 connections", f"{r:.2f}", f"{low:.2f} to {high:.2f}", "≤ 1.1", r <= 1.1))
    for what, key, most in (("heap allocations per get, module and api", "allocations", 3),
                            ("own bytes per idle connection", "connection_bytes", 8192),
                            ("own bytes per pending operation", "operation_bytes", 300)):
        if key in found:
            number(what, found[key], f"≤ {most}", found[key] <= most, 1)
    return lines
