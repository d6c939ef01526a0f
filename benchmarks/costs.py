"""Does the cost model choose well? The kernels that the compiler chose for a network against the
best of the forced ones, layer by layer, in turns of one run."""

from engines import Unavailable
from measure import Column, compile_all, median, progress
from turns import all_ran, counted, interleave, tally

TURNS = 2  # for each of the bench's rounds


def cost_model(bench, model, x, target, forced):
    """{"chosen_ms", "best_ms", "ratio", "layers"} and the tally of turns over the contractions on codes:
    the sum of the times of the kernels chosen, and the sum over layers of the least time of any of the
    `forced` families; times are medians over the undisturbed turns."""
    columns = [Column("hwgq", target, kernel) for kernel in ("auto", *forced)]
    compile_all(bench, columns, lambda column: [lambda: (model, x)])
    engines = {c.kernel: bench.engine(c, 1) for c in columns}
    report = engines["auto"].compile(model)[1]
    for kernel in forced:
        try:
            engines[kernel].compile(model)
        except Unavailable as error:  # a family that this target does not have
            progress(f"{kernel}: {error}")
            del engines[kernel]
    names = [layer["name"] for layer in report["layers"] if "f32" not in (layer["act"], layer["weight"])]
    timers = {kernel: lambda seconds, e=engine: e.profile(model, x, seconds) for kernel, engine in engines.items()}
    turns = all_ran(interleave(bench, timers, bench.seconds, TURNS * bench.rounds))
    profiles = {kernel: counted(found) for kernel, found in turns.items()}
    layers = []
    for name in dict.fromkeys(names):
        times = {kernel: median([p.get(name, 0) for p in found]) for kernel, found in profiles.items()}
        chosen = times.pop("auto")
        found = {kernel: ms for kernel, ms in times.items() if ms > 0}
        if not found or chosen <= 0:
            raise Unavailable(f"the profile does not name the layer {name}")
        best = min(found, key=found.get)
        layers.append({"name": name, "chosen_ms": chosen, "best": best, "best_ms": found[best]})
    chosen, best = (sum(layer[key] for layer in layers) for key in ("chosen_ms", "best_ms"))
    return {"chosen_ms": chosen, "best_ms": best, "ratio": chosen / best, "layers": layers, **tally(*turns.values())}
