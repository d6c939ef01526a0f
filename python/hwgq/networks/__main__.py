"""Writes a network: python -m hwgq.networks NAME -o x.onnx"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import onnx

from . import ENCODINGS, FLOAT, FORMS, OWN, NETWORKS, generate, inputs


def listing() -> str:
    rows = [("network", "encodings", "weights", "input")]
    for name, network in NETWORKS.items():
        rows.append((name, " ".join(network.encodings), " ".join(network.forms), "x".join(map(str, network.shape))))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hwgq.networks", description="Writes a low-bit network as an ONNX file.")
    parser.add_argument("name", nargs="?", metavar="NAME", help="one of --list")
    parser.add_argument("--list", action="store_true", help="name the networks and what they can be written with")
    parser.add_argument("--encoding", choices=(*ENCODINGS, OWN, FLOAT), help="of activations; default: the network's first; own: as its training code exports it; float: no quantisers")
    parser.add_argument("--weights", choices=FORMS, help="how binarised weights are stored; default: the network's first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, help="height and width of the images")
    parser.add_argument("--width", type=float, default=1.0, help="fraction of channels of the inner layers")
    parser.add_argument("--batch", default="N", help="first dimension: a number or a name (default N)")
    parser.add_argument("--inputs", metavar="FILE.npy", help="also write seeded images that the network takes")
    parser.add_argument("--count", type=int, default=1, help="how many images (default 1)")
    parser.add_argument("-o", "--output", metavar="FILE.onnx")
    options = parser.parse_args(arguments)
    if options.list:
        print(listing())
        return 0
    if not options.name or not (options.output or options.inputs):
        parser.error("NAME and -o FILE.onnx are needed, or --list")
    batch = int(options.batch) if options.batch.isdigit() else options.batch
    try:
        if options.output:
            model = generate(options.name, options.encoding, options.weights, options.seed, options.size, options.width, batch)
            onnx.save(model, options.output)
        if options.inputs:
            np.save(options.inputs, inputs(options.name, options.count, options.seed, options.size))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
