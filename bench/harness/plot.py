"""Pictures as SVG, each readable on its own."""

import math
from html import escape

from .ratios import median, spread
from .report import NAMES

COLOURS = {"ours": "#0b6e4f", "awaits": "#46a07f", "kv": "#7cc4a5", "floor": "#8a8f98", "return": "#b9bdc4",
           "pass": "#c8553d", "memc": "#e08e45", "lua": "#3d6fb6", "apache": "#8e5ea2", "naive": "#a67c2d"}
INK, FAINT = "#20242a", "#d9dce1"
WIDTH = 820


class Picture:
    def __init__(self, title, subtitle, height):
        self.height = height
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            'font-family="system-ui, sans-serif" font-size="13">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        ]
        self.text(20, 30, title, size=16, weight="bold")
        self.text(20, 50, subtitle, fill="#5b626c")

    def text(self, x, y, text, anchor="start", size=13, fill=INK, weight="normal"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{fill}" '
                          f'font-weight="{weight}">{escape(str(text))}</text>')

    def line(self, x1, y1, x2, y2, colour=INK, width=1.0):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
                          f'stroke-width="{width}"/>')

    def bar(self, x, y, width, height, colour):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}" '
                          f'fill="{colour}"/>')

    def save(self, path):
        with open(path, "w") as f:
            f.write("\n".join([*self.parts, "</svg>", ""]))


def _number(value):
    return f"{value:,.0f}".replace(",", " ") if value >= 100 or not value else f"{value:.2f}"


def _round_up(value):
    """To two digits that four divides."""
    step = 10 ** max(0, math.floor(math.log10(value)) - 1) * 4
    return math.ceil(value / step) * step


def bars(path, title, subtitle, results, figure):
    """A bar for each way, the best first, with the spread of the rounds."""
    values = {way: [r[figure] for r in rounds] for way, rounds in results.items()}
    order = sorted(values, key=lambda way: median(values[way]), reverse=figure == "rate")
    left, right, top, step = 250, 120, 75, 34
    picture = Picture(title, subtitle, top + step * len(order) + 20)
    scale = (WIDTH - left - right) / max(max(v) for v in values.values())
    for number, way in enumerate(order):
        y = top + number * step
        middle, (low, high) = median(values[way]), spread(values[way])
        ours = "bold" if way in ("ours", "awaits") else "normal"
        picture.text(left - 10, y + 16, NAMES[way], anchor="end", weight=ours)
        picture.bar(left, y, middle * scale, 22, COLOURS[way])
        picture.line(left + low * scale, y + 11, left + high * scale, y + 11, INK, 1.5)
        for end in (low, high):
            picture.line(left + end * scale, y + 7, left + end * scale, y + 15, INK, 1.5)
        picture.text(left + max(middle, high) * scale + 8, y + 16, _number(middle), weight=ours)
    picture.save(path)


def lines(path, title, subtitle, series, figure, unit):
    """A line for each way over the number of connections: {way: {connections: rounds}}."""
    points = {way: {c: median([r[figure] for r in rounds]) for c, rounds in by.items()} for way, by in series.items()}
    counts = sorted({c for by in points.values() for c in by})
    left, right, top, bottom, height = 80, 220, 75, 50, 420
    picture = Picture(title, subtitle, height)
    most = _round_up(max(v for by in points.values() for v in by.values()))
    x = {c: left + i * (WIDTH - left - right) / max(1, len(counts) - 1) for i, c in enumerate(counts)}
    def y(value):
        return height - bottom - value / most * (height - top - bottom)
    for part in range(5):
        value = most * part / 4
        picture.line(left, y(value), WIDTH - right, y(value), FAINT)
        picture.text(left - 8, y(value) + 4, _number(value), anchor="end")
    for c in counts:
        picture.text(x[c], height - bottom + 20, c, anchor="middle")
    picture.text((left + WIDTH - right) / 2, height - 10, "connections", anchor="middle")
    picture.text(left - 8, height - 10, unit, anchor="end", fill="#5b626c")
    labels = []
    for way, by in points.items():
        path_points = " ".join(f"{x[c]:.1f},{y(v):.1f}" for c, v in sorted(by.items()))
        width = 3 if way == "ours" else 1.8
        picture.parts.append(f'<polyline points="{path_points}" fill="none" stroke="{COLOURS[way]}" stroke-width="{width}"/>')
        for c, v in by.items():
            picture.parts.append(f'<circle cx="{x[c]:.1f}" cy="{y(v):.1f}" r="3" fill="{COLOURS[way]}"/>')
        labels.append([y(by[max(by)]), way])
    # Names beside the ends of their lines, not one on the other.
    labels.sort()
    for previous, label in zip(labels, labels[1:]):
        label[0] = max(label[0], previous[0] + 16)
    for at, way in labels:
        picture.text(WIDTH - right + 12, at + 4, NAMES[way], fill=COLOURS[way], weight="bold" if way == "ours" else "normal")
    picture.save(path)


def all_of(found, folder, machine):
    """Writes the pictures that the results have something for; their names and titles."""
    rows, drawn = found["rows"], []

    def add(name, title, draw, *arguments):
        draw(f"{folder}/{name}.svg", title, machine, *arguments)
        drawn.append((name, title))

    if "get-100-c64" in rows:
        add("throughput", "One get of 100 bytes per request, 64 connections: requests per second", bars,
            rows["get-100-c64"], "rate")
        add("cpu", "One get of 100 bytes per request, 64 connections: worker CPU per request, µs", bars,
            rows["get-100-c64"], "worker")
        memcached = {way: rounds for way, rounds in rows["get-100-c64"].items() if way not in ("floor", "return")}
        add("memcached", "One get of 100 bytes per request, 64 connections: memcached's CPU per get, µs", bars,
            memcached, "memcached")
        add("p99", "One get of 100 bytes per request, 64 connections: 99th percentile of latency, µs", bars,
            rows["get-100-c64"], "p99")
    if "ten" in rows:
        add("ten", "Ten gets of 100 bytes per request, 64 connections: requests per second", bars, rows["ten"], "rate")
    if "set-100" in rows:
        add("set", "One set of 100 bytes per request, 64 connections: requests per second", bars, rows["set-100"], "rate")
    series = {}
    for connections in (1, 16, 64, 256, 1024):
        for way, rounds in rows.get(f"get-100-c{connections}", {}).items():
            if way not in ("kv", "return"):
                series.setdefault(way, {})[connections] = rounds
    series = {way: by for way, by in series.items() if len(by) > 1}
    if series:
        add("connections", "One get of 100 bytes per request: requests per second by connections", lines, series, "rate",
            "requests/s")
    return drawn
