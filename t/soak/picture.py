"""The picture of a soak: four curves over the same time, and a tick for each fault."""

from html import escape

WIDTH, HEIGHT, LEFT, TOP, GAP = 960, 120, 70, 84, 44
COLOURS = {
    "stop_memcached": "#e69f00", "kill_memcached": "#d55e00", "restart_memcached": "#cc79a7",
    "reload": "#0072b2", "kill_worker": "#000000", "stop_worker": "#009e73",
}


def scale(most):
    """A round number that is not below."""
    step = 1
    while step * 10 < most:
        step *= 10
    return next(n * step for n in (1, 2, 3, 4, 5, 6, 8, 10) if n * step >= most)


def text(x, y, words, size=12, anchor="start", colour="#333"):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'


def panel(number, title, curves, end):
    """One diagram; `curves` are colour, and points of time and value."""
    top = TOP + number * (HEIGHT + GAP)
    most = scale(max([v for _, points in curves for _, v in points] + [1]))
    x = lambda at: LEFT + at / end * (WIDTH - LEFT - 20)
    y = lambda value: top + HEIGHT - value / most * HEIGHT
    parts = [text(LEFT, top - 8, title, 13),
             f'<rect x="{LEFT}" y="{top}" width="{WIDTH - LEFT - 20}" height="{HEIGHT}" fill="#fff" stroke="#ccc"/>']
    for part in (0, 0.5, 1):
        parts.append(text(LEFT - 6, y(most * part) + 4, f"{most * part:g}", 11, "end"))
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y(most * part):.1f}" y2="{y(most * part):.1f}" stroke="#eee"/>')
    for minute in range(0, int(end / 60) + 1, max(1, int(end / 600))):
        parts.append(text(x(minute * 60), top + HEIGHT + 15, f"{minute} min", 10, "middle"))
    for colour, points in curves:
        line = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.2"/>')
    return "\n".join(parts), x, top


def draw(result, samples, faults):
    end = max(samples[-1]["at"], 1)
    series = lambda value: [(s["at"], value(s)) for s in samples]
    panels = [
        ("operations per second", [("#0072b2", series(lambda s: s["rate"]))]),
        ("memory, MiB: the largest worker (blue), all workers (grey), the master (orange)", [
            ("#999", series(lambda s: sum(s["workers"]) / 1024)),
            ("#0072b2", series(lambda s: max(s["workers"], default=0) / 1024)),
            ("#e69f00", series(lambda s: s["master"] / 1024))]),
        ("open files: the worker with most (blue), all workers (grey)", [
            ("#999", series(lambda s: sum(s["files"]))),
            ("#0072b2", series(lambda s: max(s["files"], default=0)))]),
        ("honest errors so far", [("#d55e00", series(lambda s: s["errors"]))]),
    ]
    height = TOP + len(panels) * (HEIGHT + GAP) + 34
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
           ' font-family="sans-serif">', f'<rect width="{WIDTH}" height="{height}" fill="#fafafa"/>',
           text(LEFT, 26, f"{result['operations']} operations in {result['minutes']:g} minutes, {result['faults']} faults,"
                f" {result['wrong']} wrong answers", 17),
           text(LEFT, 46, f"seed {result['seed']}, {result['clients']} clients, honest errors: "
                + (", ".join(f"{n} × {kind}" for kind, n in sorted(result["errors"].items())) or "none"), 12)]
    for number, (title, curves) in enumerate(panels):
        drawn, x, top = panel(number, title, curves, end)
        out.append(drawn)
        for at, kind in faults:
            out.append(f'<line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{top + HEIGHT - 6}" y2="{top + HEIGHT}"'
                       f' stroke="{COLOURS.get(kind, "#f00")}" stroke-width="1.5"/>')
    at = LEFT
    for kind, count in result["faults_by_kind"].items():
        label = f"{count} × {kind.replace('_', ' ')}"
        out.append(f'<rect x="{at}" y="{height - 26}" width="10" height="10" fill="{COLOURS.get(kind, "#f00")}"/>')
        out.append(text(at + 14, height - 17, label, 11))
        at += 34 + 6.2 * len(label)
    return "\n".join(out) + "\n</svg>\n"
