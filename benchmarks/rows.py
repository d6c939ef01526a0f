"""Rows of the tables: times of all engines, the best peers, shares of the ceilings."""

import shares
from engines import FLOAT, INT8


def peers_that_ran(times, names, key, amx=None):
    """[(label, outcome)]; `times` is {column: outcome}; `amx` takes only peers with it or only peers without."""
    return [(column.label, outcome) for column, outcome in times.items()
            if column.engine in names and amx in (None, column.amx) and outcome.get(key, 0) > 0]


def best_peer(times, names, key, amx=None):
    """(label, milliseconds) of the fastest peer that ran, or None."""
    found = [(label, outcome[key]) for label, outcome in peers_that_ran(times, names, key, amx)]
    return min(found, key=lambda item: item[1]) if found else None


def layer_share(ceilings, report, macs, ms):
    """What one contraction reached: its kernel, and the best loop of all and of its family."""
    layer = report["layers"][-1]
    result = {"kernel": layer["kernel"], "storage": layer["storage"]}
    rate = macs / ms * 1e-6 if ms > 0 else None
    result["rate"], features = rate, shares.features_of(ceilings, report)
    for name, kernel in (("best", None), ("own", layer["kernel"])):
        found = shares.best(ceilings, features, layer["act"], layer["weight"], kernel)
        if found and rate:
            result[name] = {"loop": found[0], "ceiling": found[1], "share": rate / found[1]}
    return result


def layer_row(layer, form, threads, batch, times, reports, ceilings):
    """One row of a layer. Shares stand at one thread only: the ceilings are those of one core."""
    row = {"name": layer.name, "form": form, "threads": threads, "batch": batch, "macs": layer.macs(batch),
           "times": {c.label: t for c, t in times.items()}, "hwgq": {}}
    for column, outcome in times.items():
        if column.engine != "hwgq" or "error" in outcome:
            continue
        ours = layer_share(ceilings, reports[column], layer.macs(batch), outcome["layer_ms"] * threads)
        if column.valid:
            peer = best_peer(times, ("OV bin",), "layer_ms")
            ours.update({"times_binary": peer[1] / outcome["layer_ms"]} if peer else {})
        else:
            compare(ours, times, outcome, "layer_ms")
        row["hwgq"][column.label] = ours
    return row


def network_row(name, threads, batch, times, reports, ceilings):
    """One row of a network; its share is (work of each layer / best ceiling) / measured time."""
    row = {"name": name, "threads": threads, "batch": batch,
           "times": {c.label: t for c, t in times.items()}, "hwgq": {}}
    for column, outcome in times.items():
        if column.engine != "hwgq" or "error" in outcome:
            continue
        report = reports[column]
        least = shares.least_ms(ceilings, report) * batch / threads
        kernels = sorted({layer["kernel"] for layer in report["layers"]})
        ours = {"kernel": "+".join(kernels), "least_ms": least, "share": least / outcome["ms"],
                "file_bytes": report["file_bytes"], "workspace_bytes": report["workspace_bytes"]}
        compare(ours, times, outcome, "ms")
        row["hwgq"][column.label] = ours
    return row


def compare(ours, times, outcome, key):
    """Adds how many times faster than the best peers it is."""
    for name, engines in (("f32", FLOAT), ("int8", INT8)):
        peer = best_peer(times, engines, key)
        if peer and outcome[key] > 0:
            ours[f"times_{name}"] = peer[1] / outcome[key]
            ours[f"best_{name}"] = peer[0]


def cell(value, text):
    return "-" if value is None else format(value, text)


def layer_lines(rows):
    """A table of layers: a line for each row and module."""
    lines, labels = [], peer_labels(rows)
    lines.append(["layer", "form", "T", "B", "hwgq", "ms", "one", "kernel", "best %", "own %",
                  *labels, "x f32", "x int8", "x bin", "turns"])
    for row in rows:
        for label, outcome in row["times"].items():
            if not label.startswith("hwgq"):
                continue
            ours = row["hwgq"].get(label, {})
            lines.append([
                row["name"], row["form"], str(row["threads"]), str(row["batch"]), label[5:] or "host",
                time_cell(outcome, "layer_ms"), time_cell(outcome, "one_ms"), ours.get("kernel", "-"),
                cell(ours.get("best", {}).get("share"), ".0%"), cell(ours.get("own", {}).get("share"), ".0%"),
                *(time_cell(row["times"].get(p, {}), "layer_ms") for p in labels),
                *(cell(ours.get(f"times_{p}"), ".2f") for p in ("f32", "int8", "binary")), turns_cell(row["times"])])
    return lines


def network_lines(rows):
    lines, labels = [], peer_labels(rows)
    lines.append(["network", "T", "B", "hwgq", "ms", "kernels", "best %", *labels, "x f32", "x int8", "turns"])
    for row in rows:
        for label, outcome in row["times"].items():
            if not label.startswith("hwgq"):
                continue
            ours = row["hwgq"].get(label, {})
            lines.append([
                row["name"], str(row["threads"]), str(row["batch"]), label[5:] or "host", time_cell(outcome, "ms"),
                ours.get("kernel", "-"), cell(ours.get("share"), ".0%"),
                *(time_cell(row["times"].get(p, {}), "ms") for p in labels),
                cell(ours.get("times_f32"), ".1f"), cell(ours.get("times_int8"), ".2f"), turns_cell(row["times"])])
    return lines


def peer_labels(rows):
    labels = []
    for row in rows:
        labels += [label for label in row["times"] if not label.startswith("hwgq") and label not in labels]
    return labels


def rate_cell(ceiling):
    """A rate of hwgq-ceilings, with a star where no turn was undisturbed."""
    return f"{ceiling['best']:.0f}{'*' * ceiling['disturbed']}" if ceiling["present"] else "absent"


def turns_cell(times):
    """How many turns of all engines counted, of how many."""
    return "/".join(str(sum(outcome.get(key, 0) for outcome in times.values())) for key in ("counted", "turns"))


def time_cell(outcome, key):
    """Milliseconds, with a star where no turn was undisturbed, or why there are none."""
    if key in outcome:
        if outcome[key] <= 0:  # noise left no difference between the chains
            return "noise"
        return format(outcome[key], ".3f" if outcome[key] < 100 else ".1f") + "*" * outcome.get("disturbed", False)
    error = outcome.get("error", "-")
    return next((word for word in ("not installed", "wrong output", "crashed") if word in error), "fails" if error != "-" else "-")


def print_table(title, lines):
    """Aligned columns: text to the left, numbers to the right."""
    print(f"\n{title}")
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        cells = (text.rjust(w) if i and line is not lines[0] and text[:1].isdigit() else text.ljust(w)
                 for i, (text, w) in enumerate(zip(line, widths)))
        print("  ".join(cells).rstrip())


def print_errors(rows):
    """What did not run, each once, with its reason."""
    seen = {(label, outcome["error"]) for row in rows for label, outcome in row["times"].items() if "error" in outcome}
    for label, error in sorted(seen):
        print(f"  {label}: {error}")
