#!/usr/bin/env python3
"""hwgq and its peers, measured in one run.

Every engine gets the same graph, from float32 input to float32 output, and its output is compared
with hwgq-eval before it is timed. A layer's time is (a chain of five - a chain of one) / 4; the
chain of one, float to float, stands beside it. Peers get ReLU where the low-bit file has its
quantiser (f32), the same quantised to bytes by ONNX Runtime's tool (int8), the file as it is
(ORT file), or BinaryConvolution (OV bin: chains without padding, scaled by area). Engines take
turns, round after round; figures are medians over the turns in which the machine was undisturbed.

    benchmarks/compare.py                            all layers and networks, 1 and 2 threads, batch 1 and 8
    benchmarks/compare.py --layers 3x3 --networks resnet18 --threads 1 --batch 1 --svg chart.svg
    benchmarks/compare.py --layers 256@14 --networks none --target host x86-64-v3 --kernel auto popcount
    benchmarks/compare.py --bars                     what is asked of this machine; status 1 on a shortfall
    benchmarks/compare.py --bars --quick             the layers and ResNet-18 of it, within 5 minutes

scripts/setup.sh installs ONNX Runtime and OpenVINO; IREE comes by .venv/bin/pip install -r
benchmarks/requirements.txt. A peer that is not installed is said to be so in its column.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = ["alexnet", "resnet18", "resnet34", "resnet50", "vgg-variant", "googlenet", "xnor-resnet18", "dorefa-alexnet-w1a2"]


def use_own_python():
    """Goes on in the checkout's environment when NumPy is not in this one."""
    python = ROOT / ".venv" / "bin" / "python"
    try:
        import numpy  # noqa: F401
        import onnx  # noqa: F401
    except ModuleNotFoundError:
        if Path(sys.prefix) == python.parent.parent or not python.exists():
            sys.exit("error: NumPy and onnx are missing: run scripts/setup.sh")
        os.execv(python, [str(python), *sys.argv])


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--build", type=Path, default=ROOT / "build", help="the build folder (default: build)")
    add("--layers", nargs="*", default=["all"], metavar="TEXT",
        help='layers whose name holds one of these, such as 3x3, 512@7, "fc"; all; none')
    add("--forms", nargs="*", default=["1w1a", "1w2a"], choices=["1w1a", "1w2a"], help="bits of weights and activations")
    add("--networks", nargs="*", default=NETWORKS, metavar="NAME",
        help=f"networks of hwgq.networks (default: {' '.join(NETWORKS)}); none")
    add("--target", nargs="*", default=["host"], help="targets of hwgq-compile, a line for each")
    add("--kernel", nargs="*", default=["auto"], help="kernel families of hwgq-compile, a line for each")
    add("--peers", nargs="*", metavar="NAME", help='peers to run, such as "ORT f32" "OV int8"; none (default: all)')
    add("--threads", nargs="*", type=int, default=[1, 2])
    add("--batch", nargs="*", type=int, default=[1, 8])
    add("--rounds", type=int, help="turns that every engine gets, undisturbed ones if the machine allows (default: 7; 5 for quick bars)")
    add("--seconds", type=float, default=0.05, help="of a turn; those of networks are twice as long (default: 0.05)")
    add("--patience", type=float, metavar="TIMES",
        help="times as long as the rounds take that disturbed turns are tried again (default: 2; 0.5 for quick bars)")
    add("--no-amx", action="store_true", help="hold the peers to a machine without AMX")
    add("--models", type=Path, help="where graphs are kept between runs (default: a folder in BUILD/benchmarks)")
    add("--json", metavar="FILE", help="write everything measured")
    add("--svg", metavar="FILE", help="write a chart: times as fast as the best float32 peer")
    add("--bars", action="store_true", help="judge this machine's figures against what is asked; 1 on a shortfall")
    add("--quick", action="store_true", help="with --bars: the layers and ResNet-18 only")
    arguments = parser.parse_args()
    if arguments.quick and not arguments.bars:
        parser.error("--quick goes with --bars")
    return parser, arguments


def chosen_layers(parser, names):
    import graphs

    if names == ["none"]:
        return []
    found = [l for l in graphs.LAYERS if names == ["all"] or any(n in l.name for n in names)]
    if not found:
        parser.error(f"no layer is named so; there are: {', '.join(l.name for l in graphs.LAYERS)}")
    return found


def chosen_networks(parser, names):
    from hwgq import networks

    names = [] if names == ["none"] else names
    for name in names:
        if name not in networks.NETWORKS:
            parser.error(f"no network is named {name}; there are: {', '.join(networks.NETWORKS)}")
    return names


def chosen_peers(parser, names):
    from engines import KINDS

    known = [k.name for k in KINDS]
    names = known if names is None else [] if names == ["none"] else names
    for name in names:
        if name not in known:
            parser.error(f"no peer is named {name}; there are: {', '.join(known)}")
    return names


def tables(bench, arguments, layers, networks, peers, ceilings):
    """Measures every layer and network in every configuration."""
    from measure import BINARY, Column, measure_graph, measure_layer, progress
    from rows import layer_row, network_row

    hwgq = [Column("hwgq", target, kernel) for target in arguments.target for kernel in arguments.kernel]
    others = [Column(name, amx=not arguments.no_amx) for name in peers if name != BINARY.engine]
    layer_rows, network_rows = [], []
    for threads in arguments.threads:
        for batch in arguments.batch:
            for layer in layers:
                for form in arguments.forms:
                    progress(f"{layer.name} {form}, {threads} thread{'s' * (threads > 1)}, batch {batch}")
                    columns = hwgq + others
                    if BINARY.engine in peers and form == "1w1a" and layer.size and layer.kernel > 1:
                        columns = columns + [BINARY, *(Column("hwgq", h.target, h.kernel, valid=True) for h in hwgq)]
                    times, reports = measure_layer(bench, layer, form, threads, batch, columns)
                    layer_rows.append(layer_row(layer, form, threads, batch, times, reports, ceilings))
                bench.close_peers()
            for name in networks:
                progress(f"{name}, {threads} thread{'s' * (threads > 1)}, batch {batch}")
                graph_of = lambda form: bench.network(name, form, batch)
                times, reports = measure_graph(bench, graph_of, threads, hwgq + others, 2 * bench.seconds)
                network_rows.append(network_row(name, threads, batch, times, reports, ceilings))
                bench.close_peers()
    return {"layers": layer_rows, "networks": network_rows}


def machine(ceilings):
    """The date, the processor and what it has."""
    flags = []
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = next((l.split(":")[1].split() for l in lines if l.startswith(("flags", "Features"))), [])
    except OSError:
        pass
    return {"date": time.strftime("%Y-%m-%d"), "cpu": ceilings["cpu"], "processors": os.cpu_count(),
            "features": [f for f in flags if f.startswith(("ssse3", "avx", "amx", "fma", "asimd", "sve"))]}


def models_folder(build):
    """Where graphs are kept: a folder for each version of what makes them."""
    sources = [ROOT / "benchmarks" / "graphs.py", *sorted((ROOT / "python" / "hwgq" / "networks").glob("*.py"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    return build / "benchmarks" / digest[:12]


def probes_line(probes):
    """How disturbed the machine was."""
    best = ", ".join(f"{loop} {rate:.0f}" for loop, rate in probes["best"].items())
    return (f"undisturbed: {probes['undisturbed']:.0%} of the first probes of {probes['looks']} turns "
            f"(at least {probes['near']:.0%}, AMX {probes['near_amx']:.0%}, of the best: {best})")


def print_tables(report):
    from rows import layer_lines, network_lines, print_errors, print_table, rate_cell

    print(f"{report['cpu']}, {report['processors']} processors, {report['date']}; "
          + ", ".join(f"{name} {version}" for name, version in sorted(report["versions"].items())))
    print(probes_line(report["probes"]))
    print_table("ceilings, one core, 1e9 multiply-accumulates a second (a product of two bits is one)",
                [["loop", "needs", "rate"]] + [[c["name"], c["isa"], rate_cell(c)] for c in report["ceilings"]])
    for title, lines in (("layers", layer_lines(report["layers"])), ("networks", network_lines(report["networks"]))):
        if len(lines) > 1:
            print_table(f"{title}, ms (T threads, B batch; best %, own %: of the best ceiling, of the kernel's family; "
                        "turns: undisturbed ones of all engines' turns; *: none was)", lines)
    from engines import KINDS

    for kind in KINDS:
        print(f"  {kind.name}: {kind.note}")
    print("what did not run:")
    print_errors(report["layers"] + report["networks"])


def main():
    use_own_python()
    sys.path.insert(0, str(ROOT / "python"))
    parser, arguments = parse()
    import shares
    from bars import run_bars
    from chart import write_chart
    from measure import Bench, progress

    layers = chosen_layers(parser, arguments.layers)
    networks = chosen_networks(parser, arguments.networks)
    peers = chosen_peers(parser, arguments.peers)
    bin_dir = arguments.build / "bin"
    if not (bin_dir / "hwgq-ceilings").exists():
        sys.exit(f"error: {bin_dir}/hwgq-ceilings is missing: build first (scripts/demo.sh builds)")
    patience = (0.5 if arguments.quick else 2) if arguments.patience is None else arguments.patience
    rounds = arguments.rounds or (5 if arguments.quick else 7)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(bin_dir, folder, arguments.models or models_folder(arguments.build),
                      rounds, arguments.seconds, patience)
        load = os.getloadavg()[0]
        if load > 0.5 * os.cpu_count():
            progress(f"warning: the load is {load:.1f} on {os.cpu_count()} processors; figures need a quiet machine")
        progress("ceilings")
        ceilings = shares.measure(bench)
        failed = 0
        if arguments.bars:
            result, failed = run_bars(bench, arguments.quick, ceilings)
        else:
            result = tables(bench, arguments, layers, networks, peers, ceilings)
        bench.close_peers()
        report = {**machine(ceilings), "command": " ".join(sys.argv), "load": load, "versions": bench.versions,
                  "probes": bench.probes.report(), "ceilings": ceilings["ceilings"],
                  "minutes": (time.monotonic() - start) / 60, **result}
    if arguments.bars:
        print(probes_line(report["probes"]))
    else:
        print_tables(report)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n")
    if arguments.svg:
        Path(arguments.svg).write_text(write_chart(report))
    print(f"took {report['minutes']:.1f} minutes")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
