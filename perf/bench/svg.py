"""The table as a picture: a panel of horizontal bars for each row, readable on light and dark."""

from html import escape

WIDTH = 760
LABEL = 190
VALUE = 150
BAR = 16
STEP = 24
PANEL_TOP = 34
PANEL_GAP = 22
MARGIN = 20

STYLE = """
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #57606a }
  .title { font-weight: 600; fill: #24292f }
  .value { font-variant-numeric: tabular-nums }
  .peer { fill: #afb8c1 } .floor { fill: #8c959f; fill-opacity: .55 } .ours { fill: #0f8a6c }
  .rule { stroke: #8c959f; stroke-opacity: .5; stroke-dasharray: 3 3 } .range { stroke: #57606a }
  @media (prefers-color-scheme: dark) {
    text { fill: #9da7b3 } .title { fill: #e6edf3 } .peer { fill: #57606a } .ours { fill: #2fbf98 }
    .range { stroke: #c9d1d9 }
  }
"""


def draw(rows):
    """The rows that have figures, as one SVG document."""
    parts, top = [], MARGIN
    for row in rows:
        if row["proxies"]:
            panel, height = _panel(row, top)
            parts += panel
            top += height + PANEL_GAP
    height = top - PANEL_GAP + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-label="CPU time and memory of proxies, less is better">'
    )
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>", ""])


def _panel(row, top):
    proxies = [proxy for proxy in row["proxies"] if not proxy["name"].endswith("-again")]
    proxies.sort(key=lambda proxy: proxy["estimate"]["value"])
    # Memory may come out a little below zero where a candidate holds nothing for a stream.
    longest = max(max(proxy["estimate"]["high"] for proxy in proxies), 1e-9)
    scale = (WIDTH - LABEL - VALUE - 2 * MARGIN) / longest
    left = MARGIN + LABEL
    title = f"{row['title']}: {row['unit']}"
    parts = [f'<text class="title" x="{MARGIN}" y="{top + 14}">{escape(title)}</text>']
    floor = next((proxy for proxy in proxies if proxy["name"] == "null-relay"), None)
    bottom = top + PANEL_TOP + STEP * len(proxies)
    for index, proxy in enumerate(proxies):
        parts += _bar(proxy, floor, left, top + PANEL_TOP + STEP * index, scale)
    if floor and floor["estimate"]["value"] > 0:
        x = left + floor["estimate"]["value"] * scale
        parts.append(
            f'<line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="{top + PANEL_TOP - 6}" y2="{bottom - 2}"/>'
        )
    return parts, bottom - top


def _bar(proxy, floor, left, y, scale):
    estimate = proxy["estimate"]
    width = max(estimate["value"], 0) * scale
    role = {"null": "floor", "ring": "ours"}.get(proxy["name"][:4], "peer")
    text = f"{estimate['value']:,.0f}" if abs(estimate["value"]) >= 100 else f"{estimate['value']:.2f}"
    if floor and proxy is not floor and floor["estimate"]["value"] > 0 and "null-relay" in proxy["ratios"]:
        text += f"  ({proxy['ratios']['null-relay']['value']:.2f} x floor)"
    baseline, middle = y + BAR - 3, y + BAR / 2
    low, high = (left + max(estimate[end], 0) * scale for end in ("low", "high"))
    return [
        f'<text x="{left - 10}" y="{baseline}" text-anchor="end">{escape(proxy["label"])}</text>',
        f'<rect class="{role}" x="{left}" y="{y}" width="{width:.1f}" height="{BAR}" rx="3"/>',
        f'<line class="range" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>',
        f'<text class="value" x="{max(left + width, high) + 8:.1f}" y="{baseline}">{escape(text)}</text>',
    ]
