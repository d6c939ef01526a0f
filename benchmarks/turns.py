"""Turns of engines on a shared machine, and which of them were undisturbed.

While another guest works on the other hardware thread of a core, everything takes 1.3 to 1.6 times as
long, and AMX three times; that comes and goes within tenths of a second. So a probe of a few
milliseconds runs on the processors of a turn directly before and after it. A turn is undisturbed where
every loop of both probes is near the best of the run: the engine's own time never decides."""

import itertools
import json
import os
import subprocess
import time
from pathlib import Path

from engines import Unavailable

NEAR, NEAR_AMX = 0.85, 0.7  # of the best rate; AMX swings by a tenth by itself and falls to a third
LEAST = 3  # turns that a figure is built on where none was undisturbed
FIRST_LOOK = 1.0  # seconds of probes before the first turn on so many processors


def cores():
    """A processor of each core that this process may use."""
    found = {}
    for processor in sorted(os.sched_getaffinity(0)):
        siblings = Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
        found.setdefault(siblings.read_text() if siblings.exists() else processor, processor)
    return list(found.values())


class Probes:
    """A `hwgq-ceilings --probe` on each processor that turns run on. `best` holds the best rates,
    {number of processors probed at once: {loop: rate}}; `looks` counts the searches for processors,
    `quiet` those whose first probe was undisturbed."""

    def __init__(self, bin_dir):
        self.command, self.processes = [str(bin_dir / "hwgq-ceilings"), "--probe"], {}
        self.allowed, self.cores = os.sched_getaffinity(0), cores()
        self.best, self.last, self.looks, self.quiet = {}, None, 0, 0

    def ask(self, processors):
        """The rate of each loop on all these processors at once, of the slowest of them."""
        for p in processors:
            if p not in self.processes:
                self.processes[p] = subprocess.Popen(self.command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                os.sched_setaffinity(self.processes[p].pid, {p})
            self.processes[p].stdin.write("\n")
            self.processes[p].stdin.flush()
        answers = [self.processes[p].stdout.readline() for p in processors]
        if not all(answers):
            raise RuntimeError(f"{' '.join(self.command)} has ended: is it of another version?")
        answers = list(map(json.loads, answers))
        rates = {loop: min(answer[loop] for answer in answers) for loop in answers[0]}
        best = self.best.setdefault(len(processors), {})
        best.update({loop: max(rate, best.get(loop, 0)) for loop, rate in rates.items()})
        return rates

    def margin(self, processors, rates):
        """The least ratio of a loop's rate to what undisturbed asks of it: 1 and more is undisturbed."""
        best = self.best[len(processors)]
        return min((rate / best[loop] / (NEAR_AMX if "amx" in loop else NEAR) for loop, rate in rates.items()), default=1)

    def choices(self, threads):
        """The processors on which a turn may run: one of two cores, or so many of them; the last ones first."""
        if threads > len(self.cores):
            return [tuple(self.allowed)]
        found = [(p,) for p in self.cores[:2]] if threads == 1 else [tuple(self.cores[:threads])]
        return sorted(found, key=lambda processors: processors != self.last)

    def search(self, threads, until=0):
        """(processors, rates, whether undisturbed): the first undisturbed ones found; the best of the
        last look at all where there are none `until` then, by the monotonic clock."""
        choices = self.choices(threads)
        if len(choices[0]) not in self.best:
            end = time.monotonic() + FIRST_LOOK
            while time.monotonic() < end:
                for processors in choices:
                    self.ask(processors)
        self.looks += 1
        for look in itertools.count():
            found = []
            for processors in choices:
                rates = self.ask(processors)
                found.append((self.margin(processors, rates), processors, rates))
                self.quiet += not look and len(found) == 1 and found[0][0] >= 1
                if found[-1][0] >= 1 or time.monotonic() >= until and len(found) == len(choices):
                    margin, self.last, rates = max(found, key=lambda item: item[0])
                    return self.last, rates, margin >= 1

    def turn(self, timer, seconds, threads, until=None):
        """(what the timer found, processors, rates) of a turn on processors of its own; the rates are the
        lower ones of the probes before and after it. With `until`, None where no processors are undisturbed."""
        processors, before, found = self.search(threads, until or 0)
        if until and not found:
            return None
        os.sched_setaffinity(0, processors)  # programs that are started inherit it, peers follow
        try:
            value = timer(seconds)
        finally:
            os.sched_setaffinity(0, self.allowed)
        after = self.ask(processors)
        return value, processors, {loop: min(rate, after[loop]) for loop, rate in before.items()}

    def report(self):
        """For the JSON: the best rates, and the share of first probes that were undisturbed."""
        return {"best": self.best.get(1, {}), "near": NEAR, "near_amx": NEAR_AMX, "looks": self.looks,
                "undisturbed": self.quiet / self.looks if self.looks else None}


def interleave(bench, timers, seconds, rounds=None, threads=1, patience=None):
    """{key: [(what its timer found, margin)] or the text of its error}; see Probes.margin.

    Every timer gets a turn in each of the bench's `rounds`. Then those with fewer undisturbed turns get
    more, which begin when a probe finds the machine undisturbed, for at most `patience` times as long as
    the rounds took."""
    rounds, patience = rounds or bench.rounds, bench.patience if patience is None else patience
    probes, turns, start, until = bench.probes, {key: [] for key in timers}, time.monotonic(), None

    def judged(key):
        return [(value, probes.margin(processors, rates)) for value, processors, rates in turns[key]]

    for number in itertools.count():
        order = [key for key in turns if not isinstance(turns[key], str)
                 and (number < rounds or undisturbed(judged(key)) < rounds)]
        if number == rounds:
            until = time.monotonic() + patience * (time.monotonic() - start)
        if not order or until and time.monotonic() >= until:
            return {key: found if isinstance(found, str) else judged(key) for key, found in turns.items()}
        first = number % len(order)
        for key in order[first:] + order[:first]:
            try:
                turn = probes.turn(timers[key], seconds, threads, until)
                turns[key] += [turn] if turn else []
            except Unavailable as error:
                turns[key] = str(error)


def all_ran(turns):
    """The turns of interleave; raises Unavailable where a timer failed."""
    for failed in (found for found in turns.values() if isinstance(found, str)):
        raise Unavailable(failed)
    return turns


def undisturbed(turns):
    """How many turns were undisturbed."""
    return sum(margin >= 1 for _, margin in turns)


def counted(turns):
    """What counts: what was found in the undisturbed turns, or in the LEAST least disturbed where there are none."""
    best = sorted(turns, key=lambda turn: -turn[1])
    return [value for value, _ in best[:undisturbed(turns) or LEAST]]


def tally(*lists):
    """{"turns", "counted", "disturbed"} of lists of turns: how many there were, how many of them were
    undisturbed, and whether a list has none of these."""
    found = list(map(undisturbed, lists))
    return {"turns": sum(map(len, lists)), "counted": sum(found), "disturbed": 0 in found}
