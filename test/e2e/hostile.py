"""Model files that must be refused: {name: (bytes, what the error must say)}.

A broken node is called `bad`, and the error names it.
"""

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

F32 = TensorProto.FLOAT


def tensor(name, value, dtype=np.float32):
    return numpy_helper.from_array(np.asarray(value, dtype), name)


def model(nodes, inputs=None, outputs=("y",), constants=(), opset=17, imports=None, functions=(), ir=8):
    """A model of some nodes; inputs {name: shape} are float32, as are the outputs."""
    inputs = {"x": ["n", 3, 8, 8]} if inputs is None else inputs
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, F32, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, F32, None) for name in outputs],
        list(constants),
    )
    imports = [helper.make_opsetid("", opset)] if imports is None else imports
    return helper.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=ir)


def node(kind, inputs, outputs=("y",), name="bad", **attributes):
    return helper.make_node(kind, list(inputs), list(outputs), name=name, **attributes)


def _raw_tensor(dims, raw=b"", dtype=F32, name="w"):
    t = TensorProto(name=name, data_type=dtype, dims=dims)
    t.raw_data = raw
    return t


def _external(**fields):
    t = TensorProto(name="w", data_type=F32, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in fields.items():
        t.external_data.add(key=key, value=value)
    return t


def _add_constant(t):
    return model([node("Add", ["x", "w"])], {"x": ["n", 4]}, constants=[t])


def _conv(weight=(4, 3, 3, 3), x=("n", 3, 8, 8), bias=None, **attributes):
    constants = [tensor("w", np.ones(weight))]
    names = ["x", "w"]
    if bias is not None:
        constants.append(tensor("b", np.ones(bias)))
        names.append("b")
    return model([node("Conv", names, **attributes)], {"x": list(x)}, constants=constants)


def _quant(scale=1.0, zero=0.0, width=2.0, **attributes):
    constants = [tensor("s", scale), tensor("z", zero), tensor("b", width)]
    attributes = {"signed": 0, "narrow": 0, "rounding_mode": "ROUND", **attributes}
    nodes = [node("Quant", ["x", "s", "z", "b"], domain="qonnx.custom_op.general", **attributes)]
    imports = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
    return model(nodes, constants=constants, imports=imports)


def _quantize_linear(scale, zero, kind="QuantizeLinear", dtype=np.uint8, **attributes):
    constants = [tensor("s", scale), tensor("z", zero, dtype)]
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"], **attributes)]
    nodes.append(node("DequantizeLinear", ["q", "s", "z"], name="after", **attributes))
    return model(nodes, constants=constants)


def _batch_norm(lengths):
    names = ["g", "b", "m", "v"]
    constants = [tensor(name, np.ones(length)) for name, length in zip(names, lengths)]
    return model([node("BatchNormalization", ["x", *names])], constants=constants)


def _function(name, calls, domain="local"):
    """A function of one input that applies the functions `calls` one after the other."""
    nodes, value = [], "a"
    for index, callee in enumerate(calls):
        where = "" if callee == "Relu" else domain
        nodes.append(helper.make_node(callee, [value], [f"t{index}"], name=f"{name}_{index}", domain=where))
        value = f"t{index}"
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)]
    return helper.make_function(domain, name, ["a"], [value], nodes, imports)


def _functions(functions, called):
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    return model([node(called, ["x"], domain="local")], functions=functions, imports=imports)


def _doubling(depth):
    """Each function calls the one before twice: 2^depth nodes when inlined."""
    functions = [_function("f0", ["Relu"])]
    functions += [_function(f"f{i}", [f"f{i - 1}"] * 2) for i in range(1, depth + 1)]
    return _functions(functions, f"f{depth}")


def _branch(kind="If"):
    body = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["t"])], "body", [], [helper.make_tensor_value_info("t", F32, None)]
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["c"], to=TensorProto.BOOL),
        node("If", ["c"], then_branch=body, else_branch=body),
    ]
    return model(nodes)


def _shape_node(kind, *shapes, x=("n", 3, 8, 8), **attributes):
    constants = [tensor(f"s{i}", s, np.int64) for i, s in enumerate(shapes)]
    names = [c.name for c in constants]
    return model([node(kind, ["x", *names], **attributes)], {"x": list(x)}, constants=constants)


def _folded(kind, *operands, **attributes):
    """An operator on constants alone whose result is far too large, added to the input."""
    constants = [tensor(f"k{i}", value, dtype) for i, (value, dtype) in enumerate(operands)]
    nodes = [
        node(kind, [c.name for c in constants], ["huge"], **attributes),
        helper.make_node("ReduceMax", ["huge"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["f"], to=F32),
        helper.make_node("Add", ["x", "f"], ["y"]),
    ]
    return model(nodes, constants=constants)


def _wrong_attribute():
    m = _conv()
    m.graph.node[0].attribute.append(helper.make_attribute("strides", "two"))
    return m






def hostile_models():
    cases = {
        # files that are no models
        "empty file": (b"", None),
        "text": (b"this is no model\n" * 50, None),
        "zeros": (bytes(4096), None),
        "a length of 2 GB": (b"\x08\x08\x3a\xff\xff\xff\xff\x07abc", None),
        "a length beyond 2^63": (b"\x3a" + b"\xff" * 9 + b"\x01abc", None),
        "no graph": (ModelProto(ir_version=8), None),
        # graphs
        "cycle": (model([node("Relu", ["b"], ["a"]), node("Relu", ["a"], ["b"], "second"), node("Add", ["x", "b"], name="c")]), "cycle|bad|second"),
        "own input": (model([node("Add", ["x", "y"])]), "bad|y"),
        "missing input": (model([node("Add", ["x", "nowhere"])]), "nowhere"),
        "missing output": (model([node("Relu", ["x"], ["z"])]), "y"),
        "two producers": (model([node("Relu", ["x"], name="first"), node("Abs", ["x"])]), "y"),
        "no outputs": (model([node("Relu", ["x"])], outputs=[]), None),
        "unknown operator": (model([node("Frobnicate", ["x"])]), "bad.*Frobnicate|Frobnicate.*bad"),
        "unknown domain": (model([node("Relu", ["x"], domain="nobody.knows")]), "nobody.knows|Relu"),
        "opset 0": (model([node("Relu", ["x"])], opset=0), None),
        "opset 9999": (model([node("Relu", ["x"])], opset=9999), "9999|opset"),
        "IR version 99": (model([node("Relu", ["x"])], ir=99), "99|IR"),
        "too many inputs": (model([node("Relu", ["x", "x", "x"])]), "bad"),
        "too few inputs": (model([node("Add", ["x"])]), "bad"),
        "If": (_branch(), "bad.*If|If.*bad"),
        "function calls itself": (_functions([_function("f", ["f"])], "f"), "recursi|itself|cycle|depth"),
        "functions in a circle": (_functions([_function("f", ["h"]), _function("h", ["f"])], "f"), "recursi|itself|cycle|depth"),
        "functions that double 40 times": (_doubling(40), None),
        # tensors
        "dims overflow": (_add_constant(_raw_tensor([2**32, 2**32, 2**32], b"abcd")), "w"),
        "negative dim": (_add_constant(_raw_tensor([-4], b"abcd" * 4)), "w"),
        "2 GB claimed in dims": (_add_constant(_raw_tensor([2**29], b"abcd")), "w"),
        "2^40 zero-size claim": (_add_constant(_raw_tensor([0, 2**62, 2**62], b"")), None),
        "raw data too short": (_add_constant(_raw_tensor([4], b"abcd")), "w"),
        "raw data too long": (_add_constant(_raw_tensor([4], b"abcd" * 5)), "w"),
        "unknown element type": (_add_constant(_raw_tensor([4], b"abcd" * 4, dtype=99)), "w"),
        "string tensor": (_add_constant(TensorProto(name="w", data_type=TensorProto.STRING, dims=[4], string_data=[b"a"] * 4)), "w"),
        "external data missing": (_add_constant(_external(location="nowhere.bin")), "nowhere.bin"),
        "external data absolute": (_add_constant(_external(location="/etc/passwd")), "w|/etc/passwd"),
        "external data outside": (_add_constant(_external(location="../../../../etc/passwd")), "w|passwd"),
        "external data without place": (_add_constant(_external(offset="0")), "w|location"),
        "external offset beyond": (_add_constant(_external(location="model.onnx", offset="99999999999")), "w"),
        "external length of 2 GB": (_add_constant(_external(location="model.onnx", offset="0", length="2147483648")), "w"),
        "external offset no number": (_add_constant(_external(location="model.onnx", offset="zero")), "w"),
        "int4 too short": (model([node("Cast", ["w"], ["c"], to=F32), node("Add", ["x", "c"], name="add")], {"x": ["n", 4]}, constants=[_raw_tensor([4], b"a", TensorProto.INT4)], opset=21), "w"),
        # convolutions
        "weights of rank 2": (_conv((4, 3)), "bad"),
        "weights of rank 0": (_conv(()), "bad"),
        "input of rank 2": (_conv(x=("n", 3)), "bad"),
        "channels differ": (_conv((4, 5, 3, 3)), "bad"),
        "group 0": (_conv(group=0), "bad"),
        "group negative": (_conv(group=-1), "bad"),
        "group does not divide": (_conv((4, 1, 3, 3), group=3), "bad"),
        "stride 0": (_conv(strides=[0, 1]), "bad"),
        "stride negative": (_conv(strides=[1, -1]), "bad"),
        "dilation 0": (_conv(dilations=[0, 0]), "bad"),
        "dilation 2^62": (_conv(dilations=[2**62, 1]), "bad"),
        "pads 2^62": (_conv(pads=[2**62] * 4), "bad"),
        "pads 2^20": (_conv(pads=[2**20] * 4), None),
        "pads negative": (_conv(pads=[-9, -9, -9, -9]), "bad"),
        "pads of length 3": (_conv(pads=[1, 1, 1]), "bad"),
        "kernel_shape differs": (_conv(kernel_shape=[5, 5]), "bad"),
        "kernel larger than image": (_conv((4, 3, 11, 11)), "bad"),
        "empty kernel": (_conv((4, 3, 0, 0)), "bad"),
        "auto_pad unknown": (_conv(auto_pad="SIDEWAYS"), "bad"),
        "bias of wrong length": (_conv(bias=(5,)), "bad"),
        "bias of rank 2": (_conv(bias=(4, 1)), "bad"),
        "strides is a string": (_wrong_attribute(), "bad"),
        "pool without kernel_shape": (model([node("MaxPool", ["x"])]), "bad"),
        "pool pads beyond kernel": (model([node("MaxPool", ["x"], kernel_shape=[2, 2], pads=[5, 5, 5, 5])]), "bad"),
        # shapes
        "matmul sizes differ": (model([node("MatMul", ["x", "w"])], {"x": ["n", 5]}, constants=[tensor("w", np.ones((4, 3)))]), "bad"),
        "gemm of rank 3": (model([node("Gemm", ["x", "w"])], {"x": ["n", 2, 4]}, constants=[tensor("w", np.ones((4, 3)))]), "bad"),
        "add does not broadcast": (model([node("Add", ["x", "w"])], constants=[tensor("w", np.ones((5,)))]), "bad"),
        "batch norm lengths": (_batch_norm((3, 3, 2, 3)), "bad"),
        "batch norm of rank 0": (_batch_norm(((), (), (), ())), "bad"),
        "reshape product": (_shape_node("Reshape", [2, 5], x=(1, 3, 8, 8)), "bad"),
        "reshape two unknowns": (_shape_node("Reshape", [-1, -1]), "bad"),
        "reshape negative": (_shape_node("Reshape", [-7, 3]), "bad"),
        "reshape overflow": (_shape_node("Reshape", [2**62, 2**62, -1], x=(1, 3, 8, 8)), "bad"),
        "transpose repeats": (model([node("Transpose", ["x"], perm=[0, 0, 1, 2])]), "bad"),
        "transpose beyond": (model([node("Transpose", ["x"], perm=[0, 1, 2, 9])]), "bad"),
        "concat axis": (model([node("Concat", ["x", "x"], axis=17)]), "bad"),
        "flatten axis": (model([node("Flatten", ["x"], axis=-9)]), "bad"),
        "squeeze of 3": (_shape_node("Squeeze", [1]), "bad"),
        "softmax axis": (model([node("Softmax", ["x"], axis=4)]), "bad"),
        "gather beyond": (model([node("Gather", ["w", "i"], ["t"]), node("Add", ["x", "t"], name="add")], constants=[tensor("w", np.ones(4)), tensor("i", [77], np.int64)]), "bad"),
        "slice axis": (_shape_node("Slice", [0], [1], [9]), "bad"),
        "pad of wrong length": (_shape_node("Pad", [1, 1, 1]), "bad"),
        "cast to nothing": (model([node("Cast", ["x"], to=77)]), "bad"),
        # quantisers
        "quant scale NaN": (_quant(scale=np.nan), "bad"),
        "quant scale 0": (_quant(scale=0.0), "bad"),
        "quant scale per pixel of wrong shape": (_quant(scale=np.ones((7,))), "bad"),
        "quant of NaN bits": (_quant(width=np.nan), "bad"),
        "quant of 0 bits": (_quant(width=0.0), "bad"),
        "quant of -3 bits": (_quant(width=-3.0), "bad"),
        "quant of 2.5 bits": (_quant(width=2.5), "bad"),
        "quant of 4e9 bits": (_quant(width=4e9), "bad"),
        "quant rounding mode": (_quant(rounding_mode="SIDEWAYS"), "bad"),
        "QuantizeLinear scale NaN": (_quantize_linear(np.nan, 0), "bad"),
        "QuantizeLinear scale 0": (_quantize_linear(0.0, 0), "bad"),
        "QuantizeLinear zero points": (_quantize_linear([1.0, 1.0, 1.0], [0, 0], axis=1), "bad"),
        "QuantizeLinear scales": (_quantize_linear([1.0, 1.0], [0, 0], axis=1), "bad"),
        "QuantizeLinear axis": (_quantize_linear([1.0, 1.0, 1.0], [0, 0, 0], axis=9), "bad"),
        "QuantizeLinear zero point type": (_quantize_linear(1.0, 0, dtype=np.float64), "bad"),
        "thresholds of rank 1": (model([node("MultiThreshold", ["x", "w"], domain="qonnx.custom_op.general", out_dtype="UINT2")], constants=[tensor("w", np.ones(3))]), "bad"),
        "thresholds of wrong channels": (model([node("MultiThreshold", ["x", "w"], domain="qonnx.custom_op.general", out_dtype="UINT2")], constants=[tensor("w", np.ones((5, 3)))]), "bad"),
        # constants that would fill the memory
        "40 GB by ConstantOfShape": (_folded("ConstantOfShape", ([100000, 100000], np.int64)), "bad"),
        "2^60 by Expand": (_folded("Expand", (1.0, np.float32), ([2**30, 2**30], np.int64)), "bad"),
        "10^12 by Range": (_folded("Range", (0, np.int64), (10**12, np.int64), (1, np.int64)), "bad"),
        "Range with step 0": (_folded("Range", (0, np.int64), (10, np.int64), (0, np.int64)), "bad"),
        "2^50 by Tile": (_folded("Tile", ([1.0, 2.0], np.float32), ([2**50], np.int64)), "bad"),
        "input of 2^62 elements": (model([node("Relu", ["x"])], {"x": [1, 2**31, 2**31]}), None),
        "input of 2^80 elements": (model([node("Relu", ["x"])], {"x": [1, 2**40, 2**40]}), None),
        "symbol beside the batch": (model([node("Relu", ["x"])], {"x": ["n", "width"]}), "width"),
    }
    encode = lambda m: m if isinstance(m, bytes) else m.SerializeToString()  # noqa: E731
    return {name: (encode(content), says) for name, (content, says) in cases.items()}
