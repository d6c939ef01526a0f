"""Does the cost model choose well? The kernels that the compiler chose for a network against the
best of the forced ones, layer by layer, in paired runs."""

from engines import Unavailable
from measure import Column, compile_all, interleave, median, progress

TURNS = 3  # short turns for each of the bench's rounds


def cost_model(bench, model, x, target, forced):
    """{"chosen_ms", "best_ms", "ratio", "layers"} over the contractions on codes: the sum of the
    times of the kernels chosen, and the sum over layers of the best time of any of the `forced` families.

    The best family of a layer has the least median. The ratio is of one turn, in which all families
    ran within a second, and of many turns the median: a neighbour that slows the machine for seconds
    slows both sums alike."""
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
    profiles = interleave(timers, TURNS * bench.rounds, bench.seconds / 2)
    for failed in (p for p in profiles.values() if isinstance(p, str)):
        raise Unavailable(failed)
    layers = []
    for name in dict.fromkeys(names):
        times = {kernel: [p.get(name, 0) for p in profiles[kernel]] for kernel in profiles}
        found = {k: median(times[k]) for k in forced if k in times and median(times[k]) > 0}
        if not found or median(times["auto"]) <= 0:
            raise Unavailable(f"the profile does not name the layer {name}")
        best = min(found, key=found.get)
        layers.append({"name": name, "chosen_ms": median(times["auto"]), "best": best, "best_ms": found[best],
                       "turns_ms": list(zip(times["auto"], times[best]))})
    sums = [[sum(turn) for turn in zip(*pairs)] for pairs in zip(*(layer["turns_ms"] for layer in layers))]
    chosen, best = (median([turn[i] for turn in sums]) for i in (0, 1))
    return {"chosen_ms": chosen, "best_ms": best, "ratio": median([a / b for a, b in sums]), "layers": layers}
