#!/usr/bin/env python3
"""The ONNX backend test suite on hwgq.onnx_backend.

    PYTHONPATH=build/python .venv/bin/python test/python/conformance.py [NAME ...]

prints the table of docs/Status.md, operator by operator, and what fails; with names, only the
cases whose names contain one of them. test_onnx_backend.py runs the same cases one by one.
"""

import collections
import fnmatch
import functools
import pathlib
import sys
import warnings

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

import hwgq.onnx_backend

# What hwgq claims; a case counts when every node of it is one of these.
OPERATORS = set(
    """
    Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast CastLike Ceil Celu Clip Concat Constant
    ConstantOfShape Conv ConvInteger ConvTranspose DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear
    Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements Gelu Gemm GlobalAveragePool GlobalLpPool
    GlobalMaxPool Greater GreaterOrEqual GroupNormalization HardSigmoid HardSwish Identity InstanceNormalization
    IsNaN LRN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpPool MatMul MatMulInteger Max MaxPool
    Mean Min Mish Mod Mul Neg Not Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization Range
    Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
    ReduceSumSquare Relu Reshape Resize Round Selu Shape Sigmoid Sign Size Slice Softmax Softplus Softsign
    SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Upsample Where
    Xor
    """.split()
)
DEBIAN = pathlib.Path("/usr/share/libonnx-testdata/data")
LIST = pathlib.Path(__file__).with_name("conformance.txt")


@functools.cache
def expected_failures():
    """[(pattern, reason)] of the tracked list."""
    lines = (line.split("#")[0].strip() for line in LIST.read_text().splitlines())
    return [tuple(part.strip() for part in line.split(":", 1)) for line in lines if line]


def reason(name):
    """Why a case is expected to fail, or None."""
    return next((why for pattern, why in expected_failures() if fnmatch.fnmatchcase(name, pattern)), None)


class Case:
    """One case: a model with inputs and outputs, and the operator that it is for."""

    def __init__(self, test, source):
        self.test = test
        self.name = test.name if source == "node" else f"{source}/{test.name}"
        self.model = test.model or onnx.load(pathlib.Path(test.model_dir) / "model.onnx")
        nodes = self.model.graph.node
        self.operator = nodes[0].op_type if len(nodes) == 1 else "graphs of several"
        self.claimed = all(node.op_type in OPERATORS and node.domain in ("", "ai.onnx") for node in nodes)

    def data(self):
        if self.test.data_sets is not None:
            yield from self.test.data_sets
            return
        for folder in sorted(pathlib.Path(self.test.model_dir).glob("test_data_set_*")):
            yield tuple(
                [
                    onnx.load_tensor(folder / f"{kind}_{i}.pb")
                    for i in range(len(list(folder.glob(f"{kind}_*.pb"))))
                ]
                for kind in ("input", "output")
            )

    def run(self):
        """Raises what goes wrong."""
        prepared = hwgq.onnx_backend.prepare(self.model, "CPU", threads=1)
        for inputs, outputs in self.data():
            results = prepared.run([_array(value) for value in inputs])
            Runner.assert_similar_outputs([_array(value) for value in outputs], results, self.test.rtol, self.test.atol)


def _array(value):
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _folder(path):
    return TestCase(path.name, path.name, None, str(path), None, None, "node", rtol=1e-3, atol=1e-7)


@functools.cache
def cases():
    """The cases of the claimed operators: PyPI's, and those of Debian's libonnx-testdata where it is installed."""
    tests = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the formulas that make the expected outputs
        for kind in ("node", "simple", "pytorch-converted", "pytorch-operator"):
            tests += [(test, kind) for test in load_model_tests(kind=kind) if test.model or test.model_dir]
    if DEBIAN.is_dir():
        tests += [(_folder(folder), "debian") for folder in sorted(DEBIAN.glob("node/test_*"))]
    return [case for case in (Case(*test) for test in tests) if case.claimed]


def main():
    passed, total, failures = collections.Counter(), collections.Counter(), []
    for case in cases():
        if sys.argv[1:] and not any(name in case.name for name in sys.argv[1:]):
            continue
        row = case.operator if "/" not in case.name else case.name.split("/")[0] + " of the suite"
        total[row] += 1
        try:
            case.run()
            passed[row] += 1
        except Exception as error:
            failures.append(f"{case.name}: {type(error).__name__}: {str(error).strip()[:300]}")
    print("| operator | passed / total |\n|---|---|")
    for row in sorted(total, key=lambda row: (row[0].islower(), row)):
        print(f"| {row} | {passed[row]} / {total[row]} |")
    print(f"| all | {sum(passed.values())} / {sum(total.values())} |")
    print("\n".join(["", *failures]))


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
