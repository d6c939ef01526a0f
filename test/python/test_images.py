"""Images as they are: preprocessing in the network equals the same by hand, bit for bit."""

import re

import numpy as np
import pytest
from onnx import TensorProto, helper

import hwgq
import networks

CHANNELS = 3
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def network(batch="N"):
    """A padded first layer of floats, with bias and ReLU."""
    return networks.model(
        [
            helper.make_node("Conv", ["image", "w", "b"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
            helper.make_node("Relu", ["c"], ["y"]),
        ],
        [("image", TensorProto.FLOAT, [batch, CHANNELS, 13, 9])],
        [("y", TensorProto.FLOAT, [batch, 8, 7, 5])],
        [("w", networks.floats(8, CHANNELS, 3, 3)), ("b", networks.floats(8))],
    )


def images(count, nhwc):
    shape = (count, 13, 9, CHANNELS) if nhwc else (count, CHANNELS, 13, 9)
    pixels = np.random.default_rng(4).integers(0, 256, shape, np.uint8)
    pixels.flat[:256] = np.arange(256)
    return pixels


def by_hand(pixels, nhwc, scale, mean, std):
    """f32(f32(f32(u8 / scale) - mean) / std), constants the nearest float32, as NCHW."""
    x = pixels.transpose(0, 3, 1, 2) if nhwc else pixels
    x = x.astype(np.float32)
    per_channel = lambda values: np.float32(values).reshape(-1, 1, 1)
    if scale is not None:
        x = x / np.float32(scale)
    if mean is not None:
        x = x - per_channel(mean)
    if std is not None:
        x = x / per_channel(std)
    assert x.dtype == np.float32
    return np.ascontiguousarray(x)


def slashes(values):
    return "/".join(map(repr, values))


@pytest.mark.parametrize("kernel", [None, "generic"])
@pytest.mark.parametrize(
    "nhwc, scale, mean, std",
    [
        (True, 255, MEAN, STD),
        (False, 255, MEAN, STD),
        (True, None, (104, 117, 123), None),
        (True, 127.5, (1,), None),
        (False, 0.1, None, (3,)),
        (True, None, None, None),
    ],
    ids=str,
)
def test_preprocessing(nhwc, scale, mean, std, kernel):
    form = "u8," + ("nhwc" if nhwc else "nchw")
    form += f",scale={scale}" if scale is not None else ""
    form += f",mean={slashes(mean)}" if mean else ""
    form += f",std={slashes(std)}" if std else ""
    pixels = images(5, nhwc)
    module = hwgq.compile(network(), input={"image": form}, kernel=kernel)
    assert module.inputs[0].dtype == np.uint8
    assert module.inputs[0].shape == (None, *pixels.shape[1:])
    expected = hwgq.compile(network(), kernel=kernel)(by_hand(pixels, nhwc, scale, mean, std))
    assert module(pixels).tobytes() == expected.tobytes()
    assert hwgq.evaluate(network(), pixels, to="hwgq", input=f"image:{form}").tobytes() == expected.tobytes()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(
    "channels, height, width, kernel, stride, pads",
    [
        (3, 64, 40, 7, 2, (3, 3, 3, 3)),  # several tasks an image
        (3, 23, 19, 3, 1, (0, 2, 1, 0)),
        (1, 34, 33, 5, 1, (0, 0, 0, 0)),
        (20, 18, 35, 3, 1, (1, 1, 1, 1)),  # transposed in registers
        (4, 9, 3001, 3, 2, (1, 1, 1, 1)),  # rows too wide for a task's own memory
        (3, 2, 2, 2, 1, (4, 4, 4, 4)),
    ],
    ids=str,
)
@pytest.mark.parametrize("nhwc", [False, True])
def test_rows(channels, height, width, kernel, stride, pads, batch, nhwc):
    """First layers of many shapes on bytes equal those on floats that are no graph input."""
    conv = lambda source: helper.make_node("Conv", [source, "w"], ["y"], pads=pads, strides=[stride, stride])
    shape = [batch, channels, height, width]
    constants = [("w", networks.floats(20, channels, kernel, kernel)), ("zero", np.zeros(1, np.float32))]
    inputs = [("image", TensorProto.FLOAT, shape)]
    size = lambda x, d: (x + pads[d] + pads[d + 2] - kernel) // stride + 1
    outputs = [("y", TensorProto.FLOAT, [batch, 20, size(height, 0), size(width, 1)])]
    pixels = np.random.default_rng(5).integers(0, 256, shape, np.uint8)
    given = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)) if nhwc else pixels
    model = networks.model([conv("image")], inputs, outputs, constants)
    form = f"u8,{'nhwc' if nhwc else 'nchw'},scale=255,mean=0.4,std=0.25"
    x = by_hand(pixels, False, 255, (0.4,), (0.25,))
    module = hwgq.compile(model, input={"image": form})
    expected = hwgq.evaluate(model, x, to="hwgq")
    assert module(given).tobytes() == expected.tobytes()
    assert hwgq.compile(model)(x).tobytes() == expected.tobytes()
    assert hwgq.compile(model, input={"image": form}, target="x86-64-v3")(given).tobytes() == expected.tobytes()


def quantiser(source, result, bits=2, step=0.25):
    """round(clip(source / step, low, high)) * step."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    constants = [("step", np.float32(step)), ("low", np.float32(low)), ("high", np.float32(high))]
    nodes = [
        helper.make_node("Div", [source, "step"], [source + "_d"]),
        helper.make_node("Clip", [source + "_d", "low", "high"], [source + "_c"]),
        helper.make_node("Round", [source + "_c"], [source + "_r"]),
        helper.make_node("Mul", [source + "_r", "step"], [result]),
    ]
    return nodes, constants


def first_layer(name, channels, height=12, width=10):
    """A network, with dynamic batch, whose first layer is no convolution of floats; `rows` flatten first."""
    size = channels * height * width
    signs = lambda *shape: np.sign(floats(*shape))
    floats = networks.floats
    conv = lambda x: [helper.make_node("Conv", [x, "w"], ["y"], pads=[1, 1, 1, 1])]
    matmul = lambda x: [helper.make_node("MatMul", [x, "w"], ["y"])]
    flatten = lambda x: [helper.make_node("Flatten", [x], ["flat"])]
    two, constants = quantiser("image", "q")
    flat_two, _ = quantiser("flat", "q")
    eight, constants_of_eight = quantiser("image", "q", 8, 1 / 64)
    kernel, image = ["N", 6, height, width], ["N", channels, height, width]
    nodes, constants, shape = {
        "quantiser": (two + conv("q"), [*constants, ("w", signs(6, channels, 3, 3))], kernel),
        "eight bits": (eight + conv("q"), [*constants_of_eight, ("w", signs(6, channels, 3, 3))], kernel),
        "sign": ([helper.make_node("Sign", ["image"], ["q"])] + conv("q"), [("w", signs(6, channels, 3, 3))], kernel),
        "product": (flatten("image") + matmul("flat"), [("w", floats(size, 6))], ["N", 6]),
        "wide product": (flatten("image") + matmul("flat"), [("w", floats(size, 300))], ["N", 300]),
        "flat codes": (flatten("image") + flat_two + matmul("q"), [*constants, ("w", signs(size, 6))], ["N", 6]),
        "codes, flat": (two + flatten("q") + matmul("flat"), [*constants, ("w", signs(size, 6))], ["N", 6]),
        "codes, flat, floats": (two + flatten("q") + matmul("flat"), [*constants, ("w", floats(size, 6))], ["N", 6]),
        "max pool": (
            [helper.make_node("MaxPool", ["image"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])],
            [],
            ["N", channels, height // 2, width // 2],
        ),
        "pool, quantiser": (
            [helper.make_node("MaxPool", ["image"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2])]
            + quantiser("pooled", "q")[0]
            + conv("q"),
            [*constants, ("w", signs(6, channels, 3, 3))],
            ["N", 6, height // 2, width // 2],
        ),
        "average pool": (
            [helper.make_node("AveragePool", ["image"], ["y"], kernel_shape=[3, 2], strides=[3, 2], dilations=[1, 1])],
            [],
            ["N", channels, height // 3, width // 2],
        ),
        "all of it": ([helper.make_node("GlobalAveragePool", ["image"], ["y"])], [], ["N", channels, 1, 1]),
        "mean": ([helper.make_node("ReduceMean", ["image", "axes"], ["y"])], [("axes", np.int64([1]))], ["N", 1, height, width]),
        "transpose": ([helper.make_node("Transpose", ["image"], ["y"], perm=[0, 3, 2, 1])], [], ["N", width, height, channels]),
        "sigmoid": ([helper.make_node("Sigmoid", ["image"], ["y"])], [], image),
    }[name]
    return networks.model(nodes, [("image", TensorProto.FLOAT, image)], [("y", TensorProto.FLOAT, shape)], constants)


FIRST_LAYERS = ["quantiser", "eight bits", "sign", "product", "wide product", "flat codes", "codes, flat", "codes, flat, floats"]
FIRST_LAYERS += ["max pool", "pool, quantiser", "average pool", "all of it", "mean", "transpose", "sigmoid"]


@pytest.mark.parametrize(
    "layer, channels",
    [(layer, 3) for layer in FIRST_LAYERS]
    + [(layer, 1) for layer in ("quantiser", "product", "flat codes", "pool, quantiser")]
    + [(layer, 20) for layer in ("quantiser", "product", "flat codes", "max pool")],
)
def test_first_layers(layer, channels):
    """Bytes in either order give the bits of floats made by hand, whatever reads them first."""
    model = first_layer(layer, channels)
    mean, std = np.linspace(0.3, 0.6, channels), np.linspace(0.2, -0.3, channels) if layer == "quantiser" else [0.25]
    pixels = np.random.default_rng(8).integers(0, 256, (5, channels, 12, 10), np.uint8)
    pixels.flat[:256] = np.arange(256)
    x = by_hand(pixels, False, 255, mean, std)
    expected = hwgq.compile(model)(x)
    for nhwc in (False, True):
        form = f"u8,{'nhwc' if nhwc else 'nchw'},scale=255,mean={slashes(mean.tolist())},std={slashes(list(map(float, std)))}"
        given = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)) if nhwc else pixels
        for target in ("host", "x86-64-v2") if layer != "eight bits" else ("host",):
            module = hwgq.compile(model, target=target, input={"image": form}, verify_folding=True)
            assert module(given).tobytes() == expected.tobytes(), (form, target)
            assert module(given[1:2]).tobytes() == expected[1:2].tobytes(), (form, target)
        assert hwgq.evaluate(model, given, to="hwgq", input=f"image:{form}").tobytes() == expected.tobytes()


@pytest.mark.parametrize("nhwc", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "layer, loops",
    [
        ("quantiser", 3),  # its codes, the convolution, its result to channels first
        ("eight bits", 3),
        ("product", 1),
        ("flat codes", 2),
        ("max pool", 2),  # the pool, its result to channels first
        ("pool, quantiser", 4),  # codes are pooled
        ("all of it", 1),
        ("transpose", 1),
    ],
)
def test_no_loop_before_the_first_layer(layer, loops, channels, nhwc):
    """The first layer reads the bytes: no other loop, and no tensor of the image."""
    form = f"u8,{'nhwc' if nhwc else 'nchw'},scale=255,mean=0.4,std=0.25"
    text = hwgq.lower(first_layer(layer, channels), to="loops", target="x86-64-v2", input={"image": form})
    body = text[text.index("func.func @main") :]
    assert body.count("scf.forall") == (1 if layer == "max pool" and channels == 1 else loops)
    sizes = [np.prod(list(map(int, shape.split("x")))) for shape in re.findall(r"memref<\?x([0-9x]+)x[fi]32>", body)]
    assert layer == "transpose" or 12 * 10 * channels not in sizes


def test_digits_as_bytes():
    """The bundled network on bytes."""
    model, floats, labels = networks.load_digits()
    pixels = np.rint(floats * 16).astype(np.uint8).transpose(0, 2, 3, 1)
    module = hwgq.compile(model, input=["image:u8,nhwc,scale=16"])
    scores = module(pixels)
    assert scores.tobytes() == hwgq.compile(model)(pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(16)).tobytes()
    assert (scores.argmax(1) == labels).mean() > 0.98


def test_floats_channels_last():
    """f32,nhwc only moves the channels."""
    x = networks.floats(2, 13, 9, CHANNELS)
    module = hwgq.compile(network(), input={"image": "f32,nhwc"})
    expected = hwgq.compile(network())(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    assert module(x).tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "form, text",
    [
        ("u8,nhwc,mean=1/2", "2 values for 3 channels"),
        ("u8,std=0", "std must not be 0"),
        ("u8,scale=x", "'x' is not a finite number"),
        ("u8,nope", "unknown part 'nope'"),
        ("", "takes NAME:"),
    ],
)
def test_wrong_forms(form, text):
    with pytest.raises(hwgq.CompileError, match=text):
        hwgq.compile(network(), input={"image": form})
    with pytest.raises(hwgq.CompileError, match="no input called 'other'"):
        hwgq.compile(network(), input={"other": "u8,nhwc"})
