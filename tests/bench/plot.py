"""A bar chart as SVG: one group of bars per case, logarithmic from the least to the greatest of the group."""
import dataclasses
import html
import math

COLOURS = {"shutterfs": "#c2410c", "plain directory": "#64748b", "rclone mount": "#2563eb", "s3fs": "#16a34a",
           "rclone copy": "#7c3aed"}
LEFT, BAR, ROW, WIDTH = 190, 430, 18, 720


@dataclasses.dataclass
class Group:
    title: str
    bars: list  # (name, value)


def _text(x, y, text, anchor="start", weight="normal"):
    return (f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" fill="currentColor">'
            f"{html.escape(text)}</text>")


def _length(value, least, most):
    """A tenth of the room for the least, all of it for the greatest."""
    if most <= least:
        return BAR
    return BAR * (0.1 + 0.9 * math.log(value / least) / math.log(most / least))


def bars(groups):
    parts, y = [], 24
    for g in groups:
        values = [v for _, v in g.bars if v]
        if not values:
            continue
        parts.append(_text(8, y, g.title, weight="bold"))
        for name, value in g.bars:
            y += ROW
            parts.append(_text(LEFT - 8, y, name, "end"))
            if value:
                length = _length(value, min(values), max(values))
                parts.append(f'<rect x="{LEFT}" y="{y - 11}" width="{length:.0f}" height="13" '
                             f'fill="{COLOURS.get(name, "#a16207")}"/>')
                parts.append(_text(LEFT + round(length) + 6, y, f"{value:,.3g}" if value < 100 else f"{value:,.0f}"))
        y += 2 * ROW
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" '
            f'font-family="sans-serif" font-size="12">\n' + "\n".join(parts) + "\n</svg>\n")
