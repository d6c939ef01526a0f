"""ONNX graphs under construction, evaluated on a batch of images while they grow.

Every tensor carries its value, so that batch-norm statistics are measured where they are
needed. Standard operators are evaluated by ONNX Runtime, one node a session, QONNX operators
by the functions of `qonnx`.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from . import qonnx

OPSET = 17
IR_VERSION = 8


@dataclasses.dataclass(eq=False)
class Tensor:
    """A value of the graph: its name and what it is on the batch (constants: what it is)."""

    name: str
    value: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape


class Graph:
    """Nodes and initialisers of one ONNX graph whose inputs are the float32 arrays `inputs`."""

    def __init__(self, name: str, inputs: dict[str, np.ndarray]):
        self.name = name
        self.inputs = {key: Tensor(key, value) for key, value in inputs.items()}
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.names: set[str] = set(inputs)
        self.quantisers: list[tuple[str, str, int]] = []  # Input, output and number of levels of each.
        self.low_bit: list[str] = []  # Layers with quantised weights.
        self.scalars: dict[tuple, Tensor] = {}

    def unique(self, name: str) -> str:
        """`name`, or with a number behind it where it is taken."""
        candidate, count = name, 1
        while candidate in self.names:
            count += 1
            candidate = f"{name}_{count}"
        self.names.add(candidate)
        return candidate

    def constant(self, value: np.ndarray, name: str) -> Tensor:
        """An initialiser."""
        tensor = Tensor(self.unique(name), np.asarray(value))
        self.initializers.append(numpy_helper.from_array(tensor.value, tensor.name))
        return tensor

    def scalar(self, value: float, dtype=np.float32) -> Tensor:
        """A constant of rank 0; equal ones are shared."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.tobytes())
        if key not in self.scalars:
            self.scalars[key] = self.constant(array, f"c{len(self.scalars)}")
        return self.scalars[key]

    def add(self, op: str, *inputs: Tensor, name: str | None = None, value: np.ndarray | None = None, **attributes) -> Tensor:
        """Appends a node and returns its only output; `value` is it where that is known already."""
        output = self.unique(name or f"{op.lower()}{len(self.nodes)}")
        domain = qonnx.DOMAIN if op in qonnx.OPERATORS else ""
        node = helper.make_node(op, [i.name for i in inputs], [output], name=output, domain=domain, **attributes)
        self.nodes.append(node)
        return Tensor(output, evaluate(node, [i.value for i in inputs]) if value is None else value)

    def model(self, outputs: list[Tensor], batch: int | str = "N") -> onnx.ModelProto:
        """The finished model; the first dimension of inputs and outputs is `batch`. Its properties are JSON:
        `quantisers` lists [input, output, number of levels] of each, `low_bit` the layers with quantised weights."""

        def info(tensor):
            kind = helper.np_dtype_to_tensor_dtype(tensor.value.dtype)
            return helper.make_tensor_value_info(tensor.name, kind, [batch, *tensor.shape[1:]])

        graph = helper.make_graph(
            self.nodes, self.name, [info(i) for i in self.inputs.values()], [info(o) for o in outputs], self.initializers
        )
        opsets = [helper.make_opsetid("", OPSET)]
        if any(node.domain for node in self.nodes):
            opsets.append(helper.make_opsetid(qonnx.DOMAIN, 1))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="hwgq.networks")
        helper.set_model_props(model, {"quantisers": json.dumps(self.quantisers), "low_bit": json.dumps(self.low_bit)})
        return model


def evaluate(node: onnx.NodeProto, inputs: list[np.ndarray]) -> np.ndarray:
    """The only output of a node."""
    if node.op_type in qonnx.OPERATORS:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        return qonnx.OPERATORS[node.op_type](*inputs, **attributes)
    names = list(dict.fromkeys(node.input))
    arrays = dict(zip(node.input, inputs))
    infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(arrays[n].dtype), arrays[n].shape) for n in names]
    output = onnx.ValueInfoProto(name=node.output[0])
    graph = helper.make_graph([node], "node", infos, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {n: np.ascontiguousarray(arrays[n]) for n in names})[0]
