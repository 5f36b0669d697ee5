"""One SVG of the medians: a panel of bars for each figure that was measured."""

from dataclasses import dataclass
from html import escape

from .report import middle

WIDTH, COLUMN, GAP, MARGIN = 1120, 520, 40, 20
BAR, STEP, HEAD = 16, 24, 52
LABEL, VALUE = 205, 95
FONT = 'font-family="system-ui, sans-serif"'
COLOURS = {"sidegate": "#0f766e", "nginx": "#64748b", "haproxy": "#94a3b8", "envoy": "#b45309", "direct": "#d4d4d8"}
SYSTEM = 0.45


@dataclass
class Bar:
    """Parts are stacked: user and system time."""

    label: str
    peer: str
    parts: tuple
    text: str


@dataclass
class Panel:
    title: str
    unit: str
    bars: list

    @property
    def height(self):
        return HEAD + STEP * len(self.bars) + GAP


def draw(scenarios, results, caption):
    """The picture as text, or None if there is nothing to show."""
    panels = [panel for scenario in scenarios for panel in panels_of(scenario, results) if panel.bars]
    if not panels:
        return None
    # Each panel goes into the shorter column.
    heights, placed = [MARGIN + 40, MARGIN + 40], []
    for panel in panels:
        column = 0 if heights[0] <= heights[1] else 1
        placed.append((panel, MARGIN + column * (COLUMN + GAP), heights[column]))
        heights[column] += panel.height
    height = max(heights) + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" {FONT}>',
        "<title>Sidegate beside other proxies</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        text(MARGIN, MARGIN + 8, caption, size=13, fill="#525252"),
    ]
    for panel, x, y in placed:
        lines += draw_panel(panel, x, y)
    return "\n".join([*lines, "</svg>"]) + "\n"


def panels_of(scenario, results):
    rows = [row for row in results if row.scenario == scenario.name and not row.failure]
    if scenario.idle_connections:
        return [panel_of(scenario.title, "KiB of memory per connection", rows, "idle", ("per_connection",), 1 / 1024,
                         ",.1f")]
    proxies = [row for row in rows if row.contestant.peer != "direct"]
    panels = [panel_of(scenario.title, "requests/s", rows, "saturation", ("rps",), 1, ",.0f")]
    if scenario.latency:
        panels.append(panel_of(scenario.title, "CPU µs per request: user, system (light)", proxies, "saturation",
                               ("user_us", "system_us"), 1, ".1f"))
        panels.append(panel_of(scenario.title, "p99 in µs, open loop", rows, "latency", ("p99",), 1, ",.0f"))
    return panels


def panel_of(title, unit, rows, runs, figures, factor, form):
    bars = []
    for row in rows:
        measured = getattr(row, runs)
        if measured:
            parts = tuple(middle(measured, figure) * factor for figure in figures)
            shown = " + ".join(format(part, form) for part in parts)
            bars.append(Bar(row.contestant.label, row.contestant.peer, parts, shown))
    return Panel(title, unit, bars)


def draw_panel(panel, x, y):
    longest = max(sum(bar.parts) for bar in panel.bars) or 1
    scale = (COLUMN - LABEL - VALUE) / longest
    lines = [
        text(x, y + 16, panel.title, size=15, weight=600),
        text(x, y + 34, panel.unit, size=12, fill="#525252"),
    ]
    for index, bar in enumerate(panel.bars):
        top, left = y + HEAD + index * STEP, x + LABEL
        lines.append(text(x + LABEL - 8, top + 12, bar.label, size=12, anchor="end"))
        for number, part in enumerate(bar.parts):
            width = max(part * scale, 0.5)
            opacity = 1 if number == 0 else SYSTEM
            lines.append(f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{BAR}" '
                         f'fill="{COLOURS[bar.peer]}" fill-opacity="{opacity}"/>')
            left += width
        lines.append(text(left + 6, top + 12, bar.text, size=12))
    return lines


def text(x, y, content, size, fill="#171717", weight=400, anchor="start"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{fill}" '
            f'text-anchor="{anchor}">{escape(content)}</text>')
