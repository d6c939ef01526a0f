"""ONNX's backend interface (`onnx.backend.base.Backend`) over hwgq.

    import hwgq.onnx_backend as backend

    outputs = backend.prepare(model).run([x])

A module is static but for its batch. Inputs that decide sizes (a shape, axes, the k of a TopK) are
therefore bound as constants when the model is run, and the model is compiled again when they, or
sizes that the model leaves open, change. Modules are cached.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper
from onnx.backend.base import Backend, BackendRep, namedtupledict

from ._arrays import checked
from ._compiler import compile
from ._module import Module

# Operands that must be known when compiling.
_STATIC = {
    "AffineGrid": {1},
    "CenterCropPad": {1},
    "ConstantOfShape": {0},
    "CumSum": {1},
    "Dropout": {1, 2},
    "Expand": {1},
    "OneHot": {1},
    "Pad": {1, 3},
    "Range": {0, 1, 2},
    "Reshape": {1},
    "Resize": {1, 2, 3},
    "Slice": {1, 2, 3, 4},
    "Split": {1},
    "Squeeze": {1},
    "Tile": {1},
    "TopK": {1},
    "Trilu": {1},
    "Unsqueeze": {1},
    "Upsample": {1},
}
# Results that are known when the operand's shape is: nothing behind them must be bound.
_SHAPE_ONLY = {"Shape", "Size"}
_CACHED = 16


def _static_operands(node: NodeProto) -> set[int]:
    if node.op_type.startswith("Reduce"):
        return {1}
    return _STATIC.get(node.op_type, set())


def _names_to_bind(graph: onnx.GraphProto, inputs: Iterable[str]) -> set[str]:
    """The inputs from which sizes are computed."""
    makers = {name: node for node in graph.node for name in node.output if name}
    pending = [
        node.input[index] for node in graph.node for index in _static_operands(node) if index < len(node.input)
    ]
    seen: set[str] = set()
    while pending:
        name = pending.pop()
        if not name or name in seen:
            continue
        seen.add(name)
        if name in makers and makers[name].op_type not in _SHAPE_ONLY:
            pending += makers[name].input
    return seen & set(inputs)


def _is_open(value: onnx.ValueInfoProto) -> bool:
    """Whether a size other than the batch, or the rank, is not fixed."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return True
    return any(not dim.HasField("dim_value") for dim in tensor.shape.dim[1:])


class HwgqRep(BackendRep):
    """A model that is compiled as its inputs need it."""

    def __init__(self, model: ModelProto, **options: Any):
        self._model = model
        self._options = options
        known = {tensor.name for tensor in model.graph.initializer}
        known |= {tensor.values.name for tensor in model.graph.sparse_initializer}
        self._values = [value for value in model.graph.input if value.name not in known]
        self._names = [value.name for value in self._values]
        self._bound = _names_to_bind(model.graph, self._names)
        self._open = any(_is_open(value) for value in self._values if value.name not in self._bound)
        self._outputs = [
            (value.name, value.type.tensor_type.elem_type) for value in model.graph.output
        ]
        self._modules: OrderedDict[Any, Module] = OrderedDict()
        if not self._bound and not self._open:
            self._module({})

    def _module(self, arrays: Mapping[str, np.ndarray]) -> Module:
        """The module for these inputs, compiled or from the cache."""
        bound = {name: arrays[name] for name in self._names if name in self._bound}
        free = [value.name for value in self._values if value.name not in self._bound]
        shapes = tuple(arrays[name].shape for name in free) if self._open else ()
        key = (shapes, tuple((array.dtype.str, array.shape, array.tobytes()) for array in bound.values()))
        if key in self._modules:
            self._modules.move_to_end(key)
            return self._modules[key]
        model = self._with_shapes(dict(zip(free, shapes))) if self._open else self._model
        module = compile(model, bind=bound, **self._options)
        self._modules[key] = module
        if len(self._modules) > _CACHED:
            self._modules.popitem(last=False)
        return module

    def _with_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> ModelProto:
        model = ModelProto()
        model.CopyFrom(self._model)
        for value in model.graph.input:
            if value.name in shapes:
                sizes = value.type.tensor_type.shape
                sizes.Clear()
                for size in shapes[value.name]:
                    sizes.dim.add().dim_value = size
        return model

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The outputs, a named tuple, of a sequence of inputs, a mapping by name, or one array.

        Raises ValueError for a wrong number of inputs and what `Module` and `hwgq.compile` raise.
        """
        if isinstance(inputs, Mapping):
            given = dict(inputs)
        else:
            arrays = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
            given = dict(zip(self._names, arrays))
            if len(arrays) > len(self._names):
                raise ValueError(f"{len(arrays)} inputs are too many; the model has {len(self._names)}")
        missing = [name for name in self._names if name not in given]
        if missing:
            raise ValueError(f"the input {missing[0]!r} is missing")
        arrays = {name: checked(given[name], name) for name in self._names}
        module = self._module(arrays)
        results = module(**{tensor.name: arrays[tensor.name] for tensor in module.inputs})
        results = results if isinstance(results, tuple) else (results,)
        names = [name for name, _ in self._outputs]
        return namedtupledict("Outputs", names)(
            *(_as_declared(array, kind) for array, (_, kind) in zip(results, self._outputs))
        )


def _as_declared(array: np.ndarray, kind: int) -> np.ndarray:
    """The array as the model's element type, which NumPy may not have by itself."""
    if kind == TensorProto.UNDEFINED:
        return array
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    if dtype.name.startswith(("bfloat16", "float8", "float4")):
        return array.view(dtype)
    return array.astype(dtype, copy=False)


class HwgqBackend(Backend):
    """ONNX's `Backend` on the host CPU. Keyword arguments are options of `hwgq.compile`."""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Only "CPU"."""
        return device.split(":")[0] == "CPU"

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether `prepare` takes the model."""
        try:
            cls.prepare(model, device, **kwargs)
        except ValueError:
            return False
        return True

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> HwgqRep:
        """A model that is ready to run. Raises hwgq.CompileError for one that is refused, now or,
        where sizes are inputs, at `run`; ValueError for another device."""
        if not cls.supports_device(device):
            raise ValueError(f"the device {device!r} is not supported; CPU is")
        return HwgqRep(model, **kwargs)

    @classmethod
    def run_model(cls, model: ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
        """The outputs of one run."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype, tuple[int, ...]]] | None = None,
        *,
        opset_version: int | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """The outputs of one operator of the newest opset, or that of `opset_version`."""
        names = [name for name in node.input if name]
        arrays = dict(inputs) if isinstance(inputs, Mapping) else dict(zip(names, inputs))
        values = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.asarray(array).dtype), np.shape(array))
            for name, array in arrays.items()
        ]
        results = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        for value, (dtype, shape) in zip(results, outputs_info or ()):
            value.CopyFrom(helper.make_tensor_value_info(value.name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape))
        graph = helper.make_graph([node], "node", values, results)
        opset = opset_version or onnx.defs.onnx_opset_version()
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid(node.domain, opset)])
        return cls.run_model(model, arrays, device, **kwargs)


is_compatible = HwgqBackend.is_compatible
prepare = HwgqBackend.prepare
run_model = HwgqBackend.run_model
run_node = HwgqBackend.run_node
supports_device = HwgqBackend.supports_device
