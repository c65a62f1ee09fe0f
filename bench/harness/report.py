"""The results as text: tables for a terminal, which are Markdown as well."""

from . import targets
from .ratios import median, ratio, spread
from .ways import LONG

NAMES = {**LONG, "awaits": "our module, ten awaits"}


def markdown(lines):
    """A table with its columns aligned; the first line is its head."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    def one(line):
        cells = [line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        return "| " + " | ".join(cells) + " |"
    rule = "|" + "|".join(["-" * (widths[0] + 2)] + ["-" * (width + 1) + ":" for width in widths[1:]]) + "|"
    return "\n".join([one(lines[0]), rule] + [one(line) for line in lines[1:]])


def _time(micros):
    return f"{micros:.0f}" if micros < 10_000 else f"{micros / 1000:.1f}k"


def row_table(row, results):
    # The first way is compared with the others: ours, or one of ours.
    first = row.ways[0]
    lines = [["way", "requests/s", "spread", "p50 µs", "p99", "p99.9", "worker µs", "memcached µs", "conns", "MB", "errors",
              f"{first} ÷ it", "interval"]]
    ours = [r["rate"] for r in results.get(first, [])]
    for way, rounds in results.items():
        def mid(figure):
            return median([r[figure] for r in rounds])
        rates = [r["rate"] for r in rounds]
        low, high = spread(rates)
        compared = ratio(ours, rates) if ours and way != first else None
        lines.append([
            NAMES[way], f"{mid('rate'):.0f}", f"{low:.0f}–{high:.0f}", _time(mid("p50")), _time(mid("p99")),
            _time(mid("p999")), f"{mid('worker'):.2f}", f"{mid('memcached'):.2f}", f"{mid('connections'):.0f}",
            f"{mid('memory') / 2 ** 20:.0f}", str(sum(r["failed"] for r in rounds)),
            f"{compared[0]:.2f}" if compared else "", f"{compared[1]:.2f}–{compared[2]:.2f}" if compared else ""])
    return f"### {row.title}\n\n{markdown(lines)}\n"


def target_table(found):
    lines = [["target", "measured", "rounds", "aim", "met"]]
    for what, measured, interval, aim, met in targets.table(found):
        lines.append([what, measured, interval, aim, "yes" if met else "MISSED"])
    return "## Targets\n\n" + (markdown(lines) if len(lines) > 1 else "Nothing of what they need was measured.") + "\n"


def extras(found):
    parts = []
    if found.get("syscalls"):
        lines = [["way", "system calls per request"]]
        lines += [[NAMES[way], f"{count:.3f}"] for way, count in found["syscalls"].items()]
        parts.append(f"### System calls, get 100 B, 64 connections\n\nCounted by {found['counter']}.\n\n{markdown(lines)}\n")
    if found.get("instructions"):
        objects = sorted({name for cost in found["instructions"].values() for name in cost},
                         key=lambda name: -max(cost.get(name, 0) for cost in found["instructions"].values()))[:8]
        lines = [["way", "all", *objects]]
        for way, cost in found["instructions"].items():
            lines.append([NAMES[way], f"{sum(cost.values()):.0f}", *[f"{cost.get(name, 0):.0f}" for name in objects]])
        parts.append("### Instructions per request outside of the kernel, get 100 B, 64 connections\n\n"
                     f"By callgrind.\n\n{markdown(lines)}\n")
    if "dead" in found:
        lines = [["", "requests/s", "p50 µs", "p99", "p99.9"]]
        for name, rounds in zip(("three servers", "one of them dead"), found["dead"]):
            lines.append([name, *[f"{median([r[k] for r in rounds]):.0f}" for k in ("rate", "p50", "p99", "p999")]])
        parts.append("### One dead server of three, keys of the other two\n\n48 connections; 16 others ask for the third "
                     f"server's keys meanwhile.\n\n{markdown(lines)}\n")
    if "cold" in found:
        c = found["cold"]
        parts.append(f"### A cold key, {c['clients']} clients\n\nComputations: {c['computations']}. All served after "
                     f"{c['seconds'] * 1000:.0f} ms; one client alone waits {c['alone'] * 1000:.0f} ms for its own.\n")
    if "allocations" in found:
        lines = [["", ""], ["heap allocations per get, module and crate", f"{found['allocations']:.2f}"],
                 ["bytes of the module per idle connection", f"{found['connection_bytes']:.0f}"],
                 ["bytes of the module per pending operation", f"{found['operation_bytes']:.0f}"],
                 ["bytes of the crate per pending operation: the task with the handler's future", f"{found['task_bytes']:.0f}"]]
        parts.append(f"### Memory of our own\n\n{markdown(lines)}\n")
    return "\n".join(parts)


def whole(rows, found, head):
    tables = "\n".join(row_table(row, found["rows"][row.name]) for row in rows if row.name in found["rows"])
    pictures = "".join(f"![{title}](results/{name}.svg)\n\n" for name, title in found.get("pictures", []))
    return f"# Results\n\n{head}\n{target_table(found)}\n{pictures}## Rows\n\n{tables}\n{extras(found)}"
