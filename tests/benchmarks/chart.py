"""A bar chart as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH = 860
ROW = 30
BAR = 18
LABELS = 330
NUMBERS = 90
MARGIN = 20
STYLE = """
    text { font: 13px system-ui, sans-serif; fill: #24292f; }
    .title { font-size: 16px; font-weight: 600; }
    .ours { fill: #2f6feb; }
    .others { fill: #9aa4b2; }
    .background { fill: #ffffff; }
    @media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .background { fill: #0d1117; } }
"""


def bar_chart(title: str, bars: Sequence[tuple[str, float, bool]]) -> str:
    """Returns an SVG with a bar for each (label, value, ours): ours in colour, what they are compared with in grey."""
    height = 2 * MARGIN + ROW * (len(bars) + 1)
    scale = (WIDTH - 2 * MARGIN - LABELS - NUMBERS) / max(value for _, value, _ in bars)
    rows = [_row(MARGIN + ROW * (place + 1), *bar, scale) for place, bar in enumerate(bars)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
    background = f'<rect class="background" width="{WIDTH}" height="{height}"/>'
    heading = f'<text class="title" x="{MARGIN}" y="{MARGIN + 8}">{escape(title)}</text>'
    return "\n".join([head, f"<style>{STYLE}</style>", background, heading, *rows, "</svg>", ""])


def _row(top: int, label: str, value: float, ours: bool, scale: float) -> str:
    left, middle, width = MARGIN + LABELS, top + BAR - 5, max(1.0, value * scale)
    name = f'<text x="{left - 10}" y="{middle}" text-anchor="end">{escape(label)}</text>'
    bar = f'<rect class="{"ours" if ours else "others"}" x="{left}" y="{top}" width="{width:.1f}" height="{BAR}" rx="2"/>'
    return f'{name}{bar}<text x="{left + width + 8:.1f}" y="{middle}">{value:,.0f}</text>'
