"""A chart of one run as SVG: how many times faster than the best float32 peer each engine is."""

from html import escape

from engines import FLOAT, INT8

WIDTH, LEFT, RIGHT = 960, 190, 170  # of the picture, of the names, of the figures
BAR, GAP, TOP = 15, 14, 112
OURS = ["#0b5fa5", "#3d9be0", "#8cc7f2", "#1b7f79"]
BINARY = "OpenVINO BinaryConvolution"
THEIRS = {"best float32 peer": "#9a9a9a", "best int8 peer": "#e08a2e", "best int8 peer, no AMX": "#f3c48d", BINARY: "#8a5fb0"}


def peers(times):
    """[(name, ms)] of the best peers of a row: {label: ms}."""
    def best(names, no_amx):
        return min((ms for label, ms in times.items() if label.startswith(names) and label.endswith("no AMX") == no_amx),
                   default=None)

    found = [("best float32 peer", min(filter(None, (best(FLOAT, False), best(FLOAT, True))), default=None)),
             ("best int8 peer", best(INT8, False)), ("best int8 peer, no AMX", best(INT8, True))]
    found += [(BINARY, ms) for label, ms in times.items() if label.startswith("OV bin")]
    return [(name, ms) for name, ms in found if ms]


def groups(report):
    """[(title, [(engine, times faster, ms)])] of the smallest number of threads and batch, with
    the targets of the first row: kernels that are forced on single layers are left to the tables."""
    found = []
    for kind, key in (("layers", "layer_ms"), ("networks", "ms")):
        rows = report.get(kind, [])
        least = min(((r["threads"], r["batch"]) for r in rows), default=None)
        for row in (r for r in rows if (r["threads"], r["batch"]) == least):
            times = {label: t[key] for label, t in row["times"].items() if t.get(key, 0) > 0}
            bars = peers(times)
            if not bars or bars[0][0] != "best float32 peer":
                continue
            bars += [(label, times[label]) for label in rows[0]["times"]
                     if label in times and label.startswith("hwgq") and not label.endswith("valid")]
            title = " ".join(str(row[k]) for k in ("name", "form") if k in row)
            found.append((title, [(label, bars[0][1] / ms, ms) for label, ms in bars]))
    return found


def colours(found):
    ours = dict.fromkeys(label for _, bars in found for label, _, _ in bars if label.startswith("hwgq"))
    return {**THEIRS, **{label: OURS[i % len(OURS)] for i, label in enumerate(ours)}}


def configuration(report):
    """Threads and batch of the rows that the chart shows."""
    least = min((r["threads"], r["batch"]) for kind in ("layers", "networks") for r in report[kind])
    return f"{least[0]} thread{'s' * (least[0] > 1)}, batch {least[1]}"


def text(x, y, content, **attributes):
    extra = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in attributes.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{extra}>{escape(content)}</text>'


def step_of(top):
    """A round distance of grid lines, 5 to 10 of them."""
    return next(s for s in (0.5, 1, 2, 5, 10, 20, 50, 100, 1e9) if top / s <= 10)


def write_chart(report):
    """The SVG text; `report` is what compare.py writes as JSON."""
    found = groups(report)
    colour = colours(found)
    height = TOP + sum(len(bars) * BAR + GAP for _, bars in found) + 40
    top = max((value for _, bars in found for _, value, _ in bars), default=1)
    unit, step = (WIDTH - LEFT - RIGHT) / top, step_of(top)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
           f'viewBox="0 0 {WIDTH} {height}" font-family="Helvetica, Arial, DejaVu Sans, sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
           text(16, 26, "Times as fast as the best float32 engine on the same core", font_size=17, font_weight="bold"),
           text(16, 46, f"{report['cpu']}, {report['date']}, {configuration(report)}", fill="#555")]
    x, y = 16, 60
    for label in colour:
        if any(label == b[0] for _, bars in found for b in bars):
            if x + 17 + 7 * len(label) > WIDTH:
                x, y = 16, y + 18
            out += [f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colour[label]}"/>', text(x + 17, y + 10.5, label)]
            x += 34 + 7 * len(label)
    for k in range(int(top / step) + 1):
        at = LEFT + k * step * unit
        out += [f'<line x1="{at:.1f}" y1="{TOP - 10}" x2="{at:.1f}" y2="{height - 30}" stroke="#e4e4e4"/>',
                text(at, height - 14, f"{k * step:g}x", text_anchor="middle", fill="#555")]
    y = TOP
    for title, bars in found:
        out.append(text(LEFT - 12, y + len(bars) * BAR / 2 + 4, title, text_anchor="end"))
        for label, value, ms in bars:
            out += [f'<rect x="{LEFT}" y="{y}" width="{max(value * unit, 0.5):.1f}" height="{BAR - 2}" fill="{colour[label]}"/>',
                    text(LEFT + value * unit + 6, y + BAR - 4.5, f"{value:.1f}x, {ms:.3g} ms", font_size=11)]
            y += BAR
        y += GAP
    return "\n".join(out + ["</svg>"]) + "\n"
