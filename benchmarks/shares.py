"""What the inner products of hwgq-ceilings allow a layer, for the features that its module uses."""

import json

from engines import call
from turns import all_ran, interleave, tally


def measure(bench):
    """The table of hwgq-ceilings: of each loop the best of all turns (nothing makes a loop faster
    than it is), with their tally; two are to be undisturbed."""
    table = json.loads(call(bench.bin, "hwgq-ceilings", "--json", "--quick"))
    present = {loop["name"]: loop for loop in table["ceilings"] if loop["present"]}

    def timer(name):
        return lambda _: json.loads(call(bench.bin, "hwgq-ceilings", "--json", "--loop", name))["ceilings"][0]["best"]

    for name, turns in all_ran(interleave(bench, {name: timer(name) for name in present}, 0, min(2, bench.rounds))).items():
        present[name].update(best=max(best for best, _ in turns), **tally(turns))
        del present[name]["median"]
    return table


def bits(code_type):
    """Planes of a code type such as u2, s4, b1 or u2,-1,1."""
    return int("".join(c for c in code_type.split(",")[0] if c.isdigit()))


def features_of(measured, report):
    """The instruction sets that the compiler could have used for a module: its report leaves out
    AMX where no kernel took it."""
    if report["target"] == "host":
        return {c["isa"] for c in measured["ceilings"] if c["present"]}
    with_amx = report["target"].split("+")[0] in ("sapphirerapids", "emeraldrapids", "graniterapids")
    return set(report["features"]) | ({"amx-int8"} if with_amx else set())


def rates(measured, features, act, weight):
    """{loop: 1e9 multiply-accumulates a second} of the loops that `features` allow on such codes: a
    product of wider codes takes several popcounts, and a lookup for each plane of the weights."""
    found = {}
    for loop in measured["ceilings"]:
        if not loop["present"] or loop["isa"] not in features:
            continue
        family = loop["name"].split()[0]
        if "f32" in (act, weight):
            if family == "f32":
                found[loop["name"]] = loop["best"]
        elif family == "popcount":
            found[loop["name"]] = loop["best"] / (bits(act) * bits(weight))
        elif family == "lookup" and (not loop["name"].endswith("pairs") or bits(act) == 1):
            found[loop["name"]] = loop["best"] / bits(weight)
        elif family == "dot8" and (not loop["name"].endswith("small") or bits(act) <= 2):
            found[loop["name"]] = loop["best"]
    return found


def best(measured, features, act, weight, kernel=None):
    """(loop, rate) of the fastest loop of all, or of those that a kernel is built on; None where there is none."""
    found = {name: rate for name, rate in rates(measured, features, act, weight).items()
             if kernel is None or is_built_on(kernel, name)}
    return max(found.items(), key=lambda item: item[1]) if found else None


def is_built_on(kernel, loop):
    """A kernel's name begins with its family, as the loop's does; tiles of AMX are a kernel of their own."""
    return kernel.split("-")[0] == loop.split()[0] and ("amx" in kernel) == ("amx" in loop)


def least_ms(measured, report):
    """Milliseconds of all layers of a report if each ran at the best ceiling."""
    total = 0.0
    features = features_of(measured, report)
    for layer in report["layers"]:
        found = best(measured, features, layer["act"], layer["weight"])
        if found:
            total += layer["macs"] / found[1] * 1e-6
    return total
