"""A bar chart as an SVG: a group of bars a workload, each as long as the time of a step relative to the group's longest."""

from html import escape

COLOURS = {"numpy": "#8a9ba8", "torch": "#e5793b", "jax": "#7b5ea7", "dynet": "#4f8f5b", "antiphon": "#19468f"}
WIDTH, NAME, BAR, GAP = 960, 240, 18, 30


def chart(comparisons, order, titles):
    parts, y = [], 20
    for comparison in comparisons:
        results = comparison["results"]
        longest = max(r["step_ms"] for r in results.values())
        parts.append(f'<text x="10" y="{y + 12}" font-weight="bold">{escape(comparison["workload"])}: milliseconds a step</text>')
        y += 20
        for opponent in order:
            if opponent in results:
                ms = results[opponent]["step_ms"]
                length = max(1, (WIDTH - NAME - 90) * ms / longest)
                colour = COLOURS[opponent.split()[0]]
                parts.append(f'<text x="{NAME - 8}" y="{y + 13}" text-anchor="end">{escape(titles[opponent])}</text>')
                parts.append(f'<rect x="{NAME}" y="{y}" width="{length:.1f}" height="{BAR - 3}" fill="{colour}"/>')
                parts.append(f'<text x="{NAME + length + 6:.1f}" y="{y + 13}">{ms:.3g}</text>')
                y += BAR
        y += GAP - BAR + 6
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" font-family="sans-serif" font-size="13">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{y}" fill="white"/>', *parts, "</svg>\n"])
