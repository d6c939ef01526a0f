"""Layers and networks measured: every engine in turn, round after round; a figure is the median over
the turns in which the machine was undisturbed."""

import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

import graphs
from engines import KINDS, Hwgq, Peer, Reference, Unavailable
from turns import Probes, counted, interleave, tally

CHAIN = 5  # layers of the long chain
MARGIN = 6  # pixels by which the input of a long chain without padding is larger than the layer


@dataclass(frozen=True)
class Column:
    """What is measured: a peer by name, or hwgq ("hwgq") with a target and a kernel family.

    `amx` false holds a peer to a machine without AMX; `valid` takes chains without padding,
    whose times are scaled to the area of the layer.
    """

    engine: str
    target: str = "host"
    kernel: str = "auto"
    amx: bool = True
    valid: bool = False

    @property
    def label(self):
        parts = [self.engine]
        if self.engine == "hwgq":
            parts += [p for p, default in ((self.target, "host"), (self.kernel, "auto")) if p != default]
        return " ".join(parts + ["no AMX"] * (not self.amx) + ["valid"] * self.valid)

    def graph(self, form):
        """The graph that this engine gets where the file is of `form`."""
        kind = next((k for k in KINDS if k.name == self.engine), None)
        return kind.graph if kind and kind.graph != "file" else form


BINARY = Column("OV bin", valid=True)


def progress(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def median(values):
    return statistics.median(values) if values else None


class Bench:
    """The options of a run (see `interleave`), the processes of the peers, and the files in
    `folder`; graphs that take long to make stay in `models`."""

    def __init__(self, bin_dir, folder, models, rounds, seconds, patience=0):
        self.bin, self.folder, self.models = bin_dir, Path(folder), Path(models)
        self.rounds, self.seconds, self.patience = rounds, seconds, patience
        self.probes = Probes(bin_dir)
        self.reference, self.peers, self.versions = Reference(bin_dir, self.folder), {}, {}
        self.models.mkdir(parents=True, exist_ok=True)
        self.pool = ThreadPoolExecutor(os.cpu_count())

    def engine(self, column, threads):
        """What prepares graphs for a column; raises Unavailable where it cannot be had."""
        if column.engine == "hwgq":
            return Hwgq(self.bin, self.folder, self.reference, column.target, column.kernel, threads)
        return self.peer(column.engine, threads, column.amx)

    def peer(self, name, threads=1, amx=True):
        """The process of an engine; raises Unavailable again where it could not start."""
        kind = next(k for k in KINDS if k.name == name)
        key = (name, threads, amx)
        if key not in self.peers or isinstance(self.peers[key], Peer) and self.peers[key].process.poll() is not None:
            try:
                self.peers[key] = Peer(kind, self.folder, self.reference, threads, amx)
                self.versions[kind.engine.split("-")[0]] = self.peers[key].version
            except Unavailable as error:
                self.peers[key] = error
                progress(f"{name}: {error}")
        if isinstance(self.peers[key], Unavailable):
            raise self.peers[key]
        return self.peers[key]

    def close_peers(self):
        """Ends the peers' processes, with all that they have loaded."""
        for peer in self.peers.values():
            if isinstance(peer, Peer):
                peer.close()
        self.peers = {k: p for k, p in self.peers.items() if isinstance(p, Unavailable)}

    def model(self, name, make):
        """The file of a graph, made when it is not there; `make` writes it."""
        path = self.models / f"{name}.onnx"
        if not path.exists():
            partial = path.with_suffix(".partial")
            make(partial)
            partial.rename(path)
        return path

    def input(self, name, array):
        path = self.folder / f"{name}.npy"
        if not path.exists():
            np.save(path, array)
        return path

    def chain(self, form, layer, count, batch, pad=True):
        """The file of a chain and its input. Without padding the input is larger by what
        the layers take away: 2 for one layer, MARGIN for a long chain."""
        size = layer.size + (0 if pad else 2 if count == 1 else MARGIN)
        stem = f"{layer.name.replace(' ', '-').replace('²', '')}-n{count}-b{batch}{'' if pad else '-valid'}"
        x = np.random.default_rng(3).standard_normal(layer.input_shape(batch, size), np.float32)
        x[:] = x[:1]  # all images are alike: what is checked for one is checked for all
        x_path = self.input(f"x-{stem}", x)
        if form == "int8":
            plain, _ = self.chain("plain", layer, count, batch)
            return self.model(f"int8-{stem}", lambda path: graphs.int8(plain, path, x)), x_path
        return self.model(f"{form}-{stem}", lambda path: onnx.save(graphs.chain(form, layer, count, batch, size, pad), path)), x_path

    def network(self, name, form, batch):
        """The file of a network of hwgq.networks and its input."""
        from hwgq import networks

        x = networks.inputs(name, 1).repeat(batch, 0)
        x_path = self.input(f"x-{name}-b{batch}", x)
        if form == "int8":
            plain, _ = self.network(name, "plain", batch)
            return self.model(f"int8-{name}-b{batch}", lambda path: graphs.int8(plain, path, x)), x_path
        options = {"encoding": networks.FLOAT} if form == "plain" else {"weights": "plain"}
        return self.model(f"{form}-{name}-b{batch}",
                          lambda path: onnx.save(networks.generate(name, batch=batch, **options), path)), x_path


def compile_all(bench, columns, graphs_of):
    """Compiles what hwgq's columns need, on all processors; failures show up in `prepare`."""
    jobs = []
    for column in columns:
        if column.engine == "hwgq":
            jobs += [bench.pool.submit(bench.engine(column, 1).compile, graph()[0]) for graph in graphs_of(column)]
    for job in jobs:
        job.exception()


def stem(bench):
    """The first layer of a ResNet as a graph of its own, float32 for all engines."""
    x = np.random.default_rng(3).standard_normal((1, 3, 224, 224), np.float32)
    return bench.model("stem", lambda path: onnx.save(graphs.stem(), path)), bench.input("x-stem", x)


def prepare(bench, column, threads, graph, errors):
    """The timer of one column on a graph (model and input) and, of hwgq, the report; what
    fails goes to `errors`."""
    try:
        return bench.engine(column, threads).prepare(*graph())
    except Unavailable as error:
        errors[column] = str(error)
        progress(f"{column.label}: {error}")
        return None, None


def measure_layer(bench, layer, form, threads, batch, columns):
    """Times of one layer in one form, {column: {"layer_ms", "one_ms"} or {"error"}}, and the
    compiler's reports {column: report}."""
    def graphs_of(column):
        return [lambda n=n: bench.chain(column.graph(form), layer, n, batch, not column.valid) for n in (1, CHAIN)]

    timers, reports, errors = {}, {}, {}
    compile_all(bench, columns, graphs_of)
    for column in columns:
        pair = {}
        for count, graph in zip((1, CHAIN), graphs_of(column)):
            if column not in errors:
                pair[column, count], reports[column] = prepare(bench, column, threads, graph, errors)
        if column not in errors:
            timers.update(pair)
    times = interleave(bench, timers, bench.seconds, threads=threads)
    rows = {}
    for column in columns:
        pair = [times.get((column, count), errors.get(column)) for count in (1, CHAIN)]
        failed = next((t for t in pair if isinstance(t, str)), None)
        if failed:
            rows[column] = {"error": failed}
            continue
        one, long = map(milliseconds, pair)
        rows[column] = {"layer_ms": (long["ms"] - one["ms"]) * scale(layer, column), "one_ms": one["ms"],
                        **tally(*pair), "turns_ms": [one["turns_ms"], long["turns_ms"]]}
    return rows, reports


def milliseconds(turns):
    """The median of what counts, and all that there was."""
    return {"ms": median([turn["median_ms"] for turn in counted(turns)]), **tally(turns),
            "turns_ms": [[turn["median_ms"], round(margin, 3)] for turn, margin in turns]}


def scale(layer, column):
    """What turns (long chain - chain of one) into the time of one layer."""
    if not column.valid:
        return 1 / (CHAIN - 1)
    area = sum((layer.size + MARGIN - 2 * k) ** 2 for k in range(1, CHAIN + 1))
    return layer.size**2 / (area - layer.size**2)


def measure_graph(bench, graph_of, threads, columns, seconds):
    """Times of whole graphs, {column: {"ms"} or {"error"}}, and the reports of hwgq; graph_of
    gives the model and input of a form."""
    timers, reports, errors = {}, {}, {}
    compile_all(bench, columns, lambda column: [lambda: graph_of(column.graph("file"))])
    for column in columns:
        timer, report = prepare(bench, column, threads, lambda: graph_of(column.graph("file")), errors)
        if timer:
            timers[column], reports[column] = timer, report
    # Turns are longer than those of layers, so undisturbed ones are rarer.
    outcome = {**interleave(bench, timers, seconds, threads=threads, patience=2 * bench.patience), **errors}
    return {c: {"error": outcome[c]} if isinstance(outcome[c], str) else milliseconds(outcome[c]) for c in columns}, reports
