"""Takes one picture out of a page that cooee has written, with its legend, as an SVG that stands alone.

    python3 picture.py PAGE TITLE > picture.svg

It keeps the page's own colours, light and dark, and stands on a ground of its own, so it can be read on any page.
"""

import html
import re
import sys

ROW = 22  # a line of the legend


def between(text, first, last):
    """What stands between two texts, without them."""
    start = text.index(first) + len(first)
    return text[start : text.index(last, start)]


page, title = open(sys.argv[1], encoding="utf-8").read(), sys.argv[2]
figure = between(page, f"<h3>{html.escape(title)}</h3>", "</figure>")
svg = between(figure, '<div class="picture wide"', "</div>")
width, height = map(int, re.search(r'<svg width="(\d+)" height="(\d+)"', svg).groups())
drawing = between(svg[svg.index("<svg") :], ">", "</svg>")

style = between(page, "<style>", "</style>")
colours = re.match(r"(?s).*?(:root.*?)@media print", style).group(1)
roles = "\n".join(line for line in style.splitlines() if line.startswith("svg ["))

names = re.findall(r'stroke="(#\w+)"[^>]*>\s*</polyline></svg>(.*?)</li>', figure)
legend = "".join(
    f'<polyline fill="none" stroke="{ink}" stroke-width="3" points="72,{y - 4} 100,{y - 4}"/>'
    f'<text x="108" y="{y}" fill="#010101">{name}</text>'
    for y, (ink, name) in ((ROW * (row + 1), entry) for row, entry in enumerate(names))
)
top, bottom = ROW * len(names) + 8, 8
full = top + height + bottom
print(
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {full}" width="{width}" height="{full}" '
    f'role="img" aria-label="{html.escape(title)}">\n'
    f"<style>\n{colours}{roles}\ntext {{ font: 13px system-ui, sans-serif; }}\n</style>\n"
    f'<rect width="100%" height="100%" rx="6" style="fill: var(--paper)"/>\n'
    f"{legend}\n"
    f'<g transform="translate(0 {top})">{drawing}</g>\n</svg>'
)
