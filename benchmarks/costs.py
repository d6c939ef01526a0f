"""Does the cost model choose well? The kernels that the compiler chose for a network against the
best of the forced ones, layer by layer, in paired runs."""

from engines import Unavailable
from measure import Column, compile_all, median, progress

FORCED = ("popcount", "lookup", "dot8")


def cost_model(bench, model, x, target="host"):
    """{"chosen_ms", "best_ms", "ratio", "layers"} over the contractions on codes: the sum of the
    times of the kernels chosen, and the sum over layers of the best time of any forced family."""
    columns = [Column("hwgq", target, kernel) for kernel in ("auto", *FORCED)]
    compile_all(bench, columns, lambda column: [lambda: (model, x)])
    engines = {c.kernel: bench.engine(c, 1) for c in columns}
    report = engines["auto"].compile(model)[1]
    for kernel in FORCED:
        try:
            engines[kernel].compile(model)
        except Unavailable as error:  # a family that this target does not have
            progress(f"{kernel}: {error}")
            del engines[kernel]
    names = [layer["name"] for layer in report["layers"] if "f32" not in (layer["act"], layer["weight"])]
    rounds = [{kernel: engine.profile(model, x, 2 * bench.seconds) for kernel, engine in engines.items()}
              for _ in range(bench.rounds)]
    times = {name: {kernel: median([r[kernel][name] for r in rounds if name in r[kernel]]) for kernel in engines}
             for name in dict.fromkeys(names)}
    layers = []
    for name, by_kernel in times.items():
        forced = {k: by_kernel[k] for k in FORCED if by_kernel.get(k)}
        if not forced or not by_kernel["auto"]:
            raise Unavailable(f"the profile does not name the layer {name}")
        best = min(forced, key=forced.get)
        layers.append({"name": name, "chosen_ms": by_kernel["auto"], "best": best, "best_ms": forced[best]})
    chosen, best = (sum(layer[key] for layer in layers) for key in ("chosen_ms", "best_ms"))
    return {"chosen_ms": chosen, "best_ms": best, "ratio": chosen / best, "layers": layers}
