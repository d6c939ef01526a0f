"""What is asked of hwgq on this machine, each bar with its figure: one thread, batch 1, medians."""

import json
import math
import time
from dataclasses import dataclass

import shares
from costs import cost_model
from engines import FLOAT, INT8, Unavailable, call
from graphs import THREE_BY_THREE
from measure import BINARY, Column, measure_graph, measure_layer, milliseconds, progress, stem
from rows import layer_row, network_row, peers_that_ran
from turns import all_ran, interleave

HOST = Column("hwgq")
AVX2 = Column("hwgq", "x86-64-v3")
FLOATS = [Column("ORT f32"), Column("OV f32")]
SHARES = {"popcount": 0.8, "lookup": 0.7, "dot8": 0.7}  # asked of a kernel family's own ceiling
LIMIT = {False: 25, True: 5}  # minutes


@dataclass
class Bar:
    """One demand: `figure` must be at least (or, with `most`, at most) `need`; None: not measured.
    `limit` is the figure if every layer ran at the best ceiling of the target. `built_on` are the outcomes
    with the turns that it comes from: it is disturbed where one of them had no undisturbed turn."""

    text: str
    figure: float | None
    need: float
    unit: str = "x"
    most: bool = False
    summit: float | None = None
    reason: str = ""
    limit: float | None = None
    built_on: tuple = ()

    @property
    def disturbed(self):
        return any(outcome.get("disturbed") for outcome in self.built_on)

    @property
    def reached(self):
        if self.figure is None:
            return False
        return self.figure <= self.need if self.most else self.figure >= self.need

    def number(self, value):
        if self.unit == "%":
            return f"{100 * value:.0f} %"
        return f"{value:.3g}{'' if self.unit == 'x' else ' '}{self.unit}"

    def __str__(self):
        asked = f"at {'most' if self.most else 'least'} {self.number(self.need)}"
        if self.summit:
            asked += f"; summit {self.number(self.summit)}"
        if self.limit:
            asked += f"; at the whole ceiling {self.number(self.limit)}"
        found = self.number(self.figure) if self.figure is not None else f"not measured: {self.reason or 'nothing ran'}"
        return f"{'pass     ' if self.reached else 'SHORTFALL'}  {self.text}: {found}{', disturbed' * self.disturbed} ({asked})"


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


class Judge:
    """Measures what the bars need on a machine and collects them. `noted` are the outcomes that the
    next bar is built on."""

    def __init__(self, bench, ceilings, quick):
        self.bench, self.ceilings, self.quick, self.bars = bench, ceilings, quick, []
        self.layers, self.reports, self.layer_rows, self.network_rows = {}, {}, [], []
        self.noted = {}
        isas = {c["isa"] for c in ceilings["ceilings"] if c["present"]}
        self.amx, self.avx2 = "amx-int8" in isas, "avx2" in isas
        # The machine without AMX is this one without it, for hwgq and for the peers.
        self.vbmi = (Column("hwgq", "icelake-server") if self.amx else HOST) if "avx512vbmi" in isas else None
        self.int8 = [Column("ORT int8"), Column("OV int8")]
        self.int8_plain = [Column(c.engine, amx=not self.amx) for c in self.int8]
        self.targets = [c for c in (HOST if self.amx or not self.vbmi else None, self.vbmi,
                                    AVX2 if self.avx2 else None) if c]

    def add(self, *arguments, **options):
        bar = Bar(*arguments, **options, built_on=tuple(self.noted.values()))
        self.noted = {}
        self.bars.append(bar)
        print(bar, flush=True)

    def note(self, outcome):
        """The outcome, for the bar that is built on it."""
        self.noted[id(outcome)] = outcome
        return outcome

    # Layers.

    def measure_layers(self):
        for layer in THREE_BY_THREE:
            forced = [Column("hwgq", c.target, k) for c in self.targets for k in SHARES] \
                if layer.channels == 256 or layer.channels > 64 and not self.quick else []
            for form in ("1w1a", "1w2a"):
                progress(f"{layer.name} {form}")
                columns = self.targets + FLOATS + list(dict.fromkeys(self.int8 + self.int8_plain))
                if form == "1w2a" or layer.channels == 256 and not self.quick:
                    columns = columns + forced
                if form == "1w1a" and self.vbmi:
                    columns = columns + [BINARY, Column("hwgq", self.vbmi.target, valid=True)]
                self.layers[layer, form], self.reports[layer, form] = measure_layer(self.bench, layer, form, 1, 1, columns)
        self.bench.close_peers()
        self.layer_rows = [layer_row(*key, 1, 1, times, self.reports[key], self.ceilings)
                           for key, times in self.layers.items()]

    def rate(self, loop):
        """The ceiling of a loop in 1e9 multiply-accumulates a second."""
        return self.note(next(c for c in self.ceilings["ceilings"] if c["name"] == loop))["best"]

    def over_layers(self, form, figure):
        """figure(layer, times) of the four layers, or the reason why one is missing."""
        found = []
        for layer in THREE_BY_THREE:
            try:
                found.append(figure(layer, self.layers[layer, form]))
            except Unavailable as error:
                return None, f"{layer.name}: {error}"
        return found, ""

    def layer_ms(self, times, column):
        if "error" in times[column]:
            raise Unavailable(f"{column.label}: {times[column]['error']}")
        if times[column]["layer_ms"] <= 0:
            raise Unavailable(f"{column.label}: noise left no difference between the chains")
        return self.note(times[column])["layer_ms"]

    def fastest(self, times, engines, key, amx=None):
        found = peers_that_ran(times, engines, key, amx)
        if not found:
            raise Unavailable("no peer ran")
        return min(self.note(outcome)[key] for _, outcome in found)

    def mean_bar(self, text, form, need, figure, **options):
        found, reason = self.over_layers(form, figure)
        self.add(f"{form} {text}, geometric mean over 3x3 layers", found and geometric_mean(found), need,
                 reason=reason, **options)

    def against(self, text, form, need, column, engines, amx=None, **options):
        """The bar of a target's layers against the best of some peers."""
        def ceiling_ms(layer, times):
            self.layer_ms(times, column)  # raises where the column failed
            report = self.reports[layer, form][column]
            codes = report["layers"][-1]
            loop = shares.best(self.ceilings, shares.features_of(self.ceilings, report), codes["act"], codes["weight"])
            return layer.macs() / loop[1] * 1e-6

        def times_faster(ours):
            return lambda layer, times: self.fastest(times, engines, "layer_ms", amx) / ours(layer, times)

        limit, _ = self.over_layers(form, times_faster(ceiling_ms))
        self.mean_bar(text, form, need, times_faster(lambda layer, times: self.layer_ms(times, column)),
                      limit=limit and geometric_mean(limit), **options)

    def judge_layers(self):
        if self.amx:
            for form in ("1w2a", "1w1a"):
                self.against("with AMX against the best float32 peer", form, 16, HOST, FLOAT, summit=24)
            self.amx_share()
        if self.vbmi:
            self.vbmi_layers()
        if self.avx2:
            ceiling = self.rate("f32 fma 256")
            for form in ("1w2a", "1w1a"):
                self.mean_bar("AVX2 code against the AVX2 FMA ceiling", form, 8, summit=12,
                              figure=lambda layer, times: layer.macs() / self.layer_ms(times, AVX2) * 1e-6 / ceiling)
        self.family_shares()

    def amx_share(self):
        ceiling = self.rate("dot8 amx tdpbusd")
        for form in ("1w2a", "1w1a"):
            found, reason = self.over_layers(
                form, lambda layer, times: layer.macs() / self.layer_ms(times, HOST) * 1e-6 / ceiling)
            self.add(f"{form} least share of the AMX ceiling over 3x3 layers of at least 128 channels",
                     found and min(found[1:]), 0.45, "%", reason=reason)

    def vbmi_layers(self):
        column, plain = self.vbmi, not self.amx
        machine = f"with AVX-512 VBMI ({column.target})"
        self.against(f"{machine} against the best float32 peer", "1w2a", 13, column, FLOAT, summit=20)
        self.against(f"{machine} against the best int8 peer, no AMX", "1w2a", 3.5, column, INT8, plain, summit=5)
        self.against(f"{machine} against the best float32 peer", "1w1a", 16, column, FLOAT)
        valid = Column("hwgq", column.target, valid=True)
        found, reason = self.over_layers("1w1a", lambda layer, times: self.layer_ms(times, BINARY) / self.layer_ms(times, valid))
        self.add(f"1w1a {machine} against OpenVINO's BinaryConvolution, geometric mean", found and geometric_mean(found), 1,
                 reason=reason)
        self.add("the same on the worst layer", found and min(found), 1 / 1.1, reason=reason)

    def family_shares(self):
        """The best layer of each family on each target, chosen or forced."""
        for column in self.targets:
            for family, need in SHARES.items():
                forced = Column("hwgq", column.target, family).label
                found = [(ours["own"]["share"], row["name"], row["form"], ours["own"]["loop"], row["times"][label])
                         for row in self.layer_rows for label in (column.label, forced)
                         for ours in [row["hwgq"].get(label, {})]
                         if ours.get("kernel", "").startswith(family) and "own" in ours]
                if found:
                    share, name, form, loop, outcome = max(found, key=lambda item: (not item[4].get("disturbed"), item[0]))
                    self.note(outcome)
                    self.rate(loop)
                    self.add(f"{family} kernel ({column.target}) on its best layer, {name} {form}, of its ceiling ({loop})", share, need, "%")
                else:
                    self.add(f"{family} kernel ({column.target}) on its best layer, of its ceiling", None, need, "%",
                             reason=self.why_no(forced, family))

    def why_no(self, label, family):
        for row in self.layer_rows:
            if "error" in row["times"].get(label, {}):
                return row["times"][label]["error"]
        return f"no layer ran with a {family} kernel"

    # Networks.

    def measure_network(self, name):
        progress(name)
        targets = [c for c in self.targets if c != AVX2]
        columns = targets + FLOATS + list(dict.fromkeys(self.int8 + self.int8_plain))
        graph_of = lambda form: self.bench.network(name, form, 1)
        times, reports = measure_graph(self.bench, graph_of, 1, columns, 2 * self.bench.seconds)
        self.bench.close_peers()
        self.network_rows.append(network_row(name, 1, 1, times, reports, self.ceilings))
        return targets, times

    def network_bar(self, name, column, times, engines, need, amx=None, **options):
        text = f"{name} ({column.target}) against the best {'float32' if engines == FLOAT else 'int8'} peer"
        figure, reason = None, times[column].get("error", "")
        if not reason:
            try:
                figure = self.fastest(times, engines, "ms", amx) / self.note(times[column])["ms"]
            except Unavailable as error:
                reason = str(error)
        self.add(text + (", no AMX" if amx is False else ""), figure, need, reason=reason, **options)

    def judge_network(self, name):
        targets, times = self.measure_network(name)
        for column in targets:
            amx = self.amx and column == HOST
            if name == "resnet18":
                self.network_bar(name, column, times, FLOAT, 8 if amx else 6, summit=None if amx else 7.5)
                self.network_bar(name, column, times, INT8, 2 if amx else 1.5, amx=column == HOST, summit=None if amx else 2)
            elif name == "alexnet":
                self.network_bar(name, column, times, FLOAT, 7, summit=8.5)
            else:
                self.network_bar(name, column, times, FLOAT, 10)
            share = self.network_rows[-1]["hwgq"].get(column.label, {}).get("share")
            for outcome in (times[column], *self.ceilings["ceilings"]):
                self.note(outcome)
            self.add(f"{name} ({column.target}) sum over layers of (work / best ceiling) of the measured time", share, 0.6, "%",
                     reason=times[column].get("error", ""))
        progress(f"{name}: cost model")
        for column in targets:
            try:
                ratio = self.note(cost_model(self.bench, *self.bench.network(name, "file", 1), column.target, SHARES))["ratio"]
                self.add(f"{name} ({column.target}) chosen kernels' times, of the best forced ones", ratio, 1.1, most=True)
            except Unavailable as error:
                self.add(f"{name} ({column.target}) chosen kernels' times, of the best forced ones", None, 1.1, most=True, reason=str(error))

    def judge_stem(self):
        progress("first layer")
        times, reports = measure_graph(self.bench, lambda form: stem(self.bench), 1, [HOST] + FLOATS, self.bench.seconds)
        self.network_rows.append(network_row("first layer 7x7/2", 1, 1, times, reports, self.ceilings))
        self.network_bar("first layer 7x7/2 float32", HOST, times, FLOAT, 1)

    def judge_threads(self):
        text = "resnet18 on two threads against one"
        try:
            model, x = self.bench.network("resnet18", "file", 1)
            timers = {n: self.bench.engine(HOST, n).prepare(model, x)[0] for n in (1, 2)}
            # Both take their turns while both processors are undisturbed, which is rarer.
            turns = all_ran(interleave(self.bench, timers, self.bench.seconds, threads=2, patience=20 * self.bench.patience))
            one, two = (self.note(milliseconds(turns[n])) for n in (1, 2))
            if one["disturbed"] or two["disturbed"]:  # a ratio of unequal machines
                raise Unavailable("both processors were never undisturbed at once")
            ratio = one["ms"] / two["ms"]
            if ratio > 2.1:  # two caches may gain a little more than 2
                raise Unavailable(f"{ratio:.3g}x is of unequal machines")
            self.add(text, ratio, 1.8)
        except Unavailable as error:
            self.add(text, None, 1.8, reason=str(error))

    def judge_sizes(self):
        """ResNet-18's module, workspace, contexts and allocations."""
        try:
            module, report = self.bench.engine(HOST, 1).compile(self.bench.network("resnet18", "file", 1)[0])
            costs = json.loads(call(self.bench.bin, "hwgq-contexts", module))
        except Unavailable as error:
            self.add("resnet18 module, workspace and contexts", None, 0, reason=str(error))
            return
        floats = self.bench.network("resnet18", "plain", 1)[0].stat().st_size
        self.add("resnet18 allocations in 20 runs", costs["allocations"], 0, "calls", most=True)
        self.add("resnet18 workspace", report["workspace_bytes"] / 2**20, 6, "MiB", most=True)
        self.add("resnet18 making a context", costs["create_ms"], 5, "ms", most=True)
        self.add("resnet18 module against its float32 ONNX file", report["file_bytes"] / floats, 0.1, most=True)


def run_bars(bench, quick, ceilings):
    """Prints each bar; returns everything measured and the number of shortfalls."""
    start = time.monotonic()
    judge = Judge(bench, ceilings, quick)
    judge.measure_layers()
    judge.judge_layers()
    judge.judge_network("resnet18")
    judge.judge_stem()
    judge.judge_threads()
    judge.judge_sizes()
    left_out = ["alexnet", "vgg-variant"] if quick else []
    for name in ("alexnet", "vgg-variant"):
        if name not in left_out:
            judge.judge_network(name)
    minutes = (time.monotonic() - start) / 60
    if minutes > LIMIT[quick]:
        judge.add("minutes that the bars took", minutes, LIMIT[quick], "min", most=True)
    failed = sum(not bar.reached for bar in judge.bars)
    print(f"{len(judge.bars) - failed} of {len(judge.bars)} bars reached, {sum(bar.disturbed for bar in judge.bars)} of them all disturbed")
    if quick:
        print(f"left out by --quick: the bars of {' and '.join(left_out)}; kernel families on other layers than {THREE_BY_THREE[2].name}")
    if not judge.amx:
        print("left out: the bars of machines with AMX")
    if not judge.vbmi:
        print("left out: the bars of machines with AVX-512 VBMI")
    bars = [{"text": b.text, "figure": b.figure, "need": b.need, "most": b.most, "unit": b.unit, "reached": b.reached,
             "reason": b.reason, "limit": b.limit, "disturbed": b.disturbed,
             **{key: sum(outcome.get(key, 0) for outcome in b.built_on) for key in ("counted", "turns")}} for b in judge.bars]
    return {"ceilings": judge.ceilings["ceilings"], "layers": judge.layer_rows, "networks": judge.network_rows, "bars": bars}, failed
