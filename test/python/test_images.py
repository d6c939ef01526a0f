"""Images as they are: preprocessing in the network equals the same by hand, bit for bit."""

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
