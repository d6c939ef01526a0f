"""Does the cost model choose well? The kernels that the compiler chose for a network against the
best of the forced ones, layer by layer, in paired runs."""

from engines import Unavailable
from measure import Column, compile_all, interleave, median, progress


def cost_model(bench, model, x, target, forced):
    """{"chosen_ms", "best_ms", "ratio", "layers"} over the contractions on codes: the sum of the
    times of the kernels chosen, and the sum over layers of the best time of any of the `forced` families."""
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
    profiles = interleave(timers, bench.rounds, 2 * bench.seconds)
    for failed in (p for p in profiles.values() if isinstance(p, str)):
        raise Unavailable(failed)
    times = {name: {kernel: median([p[name] for p in profiles[kernel] if name in p]) for kernel in profiles}
             for name in dict.fromkeys(names)}
    layers = []
    for name, by_kernel in times.items():
        found = {k: by_kernel[k] for k in forced if by_kernel.get(k)}
        if not found or not by_kernel["auto"]:
            raise Unavailable(f"the profile does not name the layer {name}")
        best = min(found, key=found.get)
        layers.append({"name": name, "chosen_ms": by_kernel["auto"], "best": best, "best_ms": found[best]})
    chosen, best = (sum(layer[key] for layer in layers) for key in ("chosen_ms", "best_ms"))
    return {"chosen_ms": chosen, "best_ms": best, "ratio": chosen / best, "layers": layers}
