"""Modules on NumPy arrays."""

import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import hwgq
import networks


@pytest.fixture(scope="module")
def digits():
    return hwgq.compile(networks.DIGITS / "model.onnx")


@pytest.fixture(scope="module")
def images():
    return np.load(networks.DIGITS / "test_images.npy")


@pytest.fixture(scope="module")
def pair():
    return hwgq.compile(networks.two_inputs())


def test_digits(digits, images):
    """The bundled network reads its images right, and as the reference, bit for bit."""
    scores = digits(images)
    assert scores.dtype == np.float32 and scores.shape == (len(images), 10)
    labels = np.load(networks.DIGITS / "test_labels.npy")
    assert (scores.argmax(1) == labels).mean() > 0.98
    reference = hwgq.evaluate(networks.DIGITS / "model.onnx", images[:7], to="hwgq")
    assert reference.tobytes() == scores[:7].tobytes()


def test_description(digits, pair):
    (image,) = digits.inputs
    assert (image.name, image.dtype, image.shape) == ("image", np.float32, (None, 1, 8, 8))
    assert digits.batch is None and digits.target == "host"
    assert "f32[?x1x8x8]" in repr(digits)
    assert [tensor.name for tensor in pair.inputs] == ["a", "b"]
    assert [tensor.name for tensor in pair.outputs] == ["sum", "product"]
    assert digits.report["batch"] == "dynamic"
    assert digits.report["file_bytes"] == len(digits._file)
    assert any(layer["kernel"] != "f32" for layer in digits.report["layers"])


def test_arguments(pair):
    """By position, by name and mixed; several outputs are a tuple."""
    a, b = networks.floats(4, 3, seed=1), networks.floats(4, 3, seed=2)
    for sums, products in (pair(a, b), pair(b=b, a=a), pair(a, b=b)):
        np.testing.assert_array_equal(sums, (a + a) + b)
        np.testing.assert_array_equal(products, a * b)


@pytest.mark.parametrize(
    "arguments, named, error, text",
    [
        ([], {}, TypeError, "input 'a' is missing"),
        ([0], {}, TypeError, "input 'b' is missing"),
        ([0, 0, 0], {}, TypeError, "3 arrays are too many"),
        ([0, 0], {"a": 0}, TypeError, "input 'a' is given twice"),
        ([0, 0], {"c": 0}, TypeError, "there is no input 'c'; the inputs are 'a', 'b'"),
    ],
)
def test_wrong_arguments(pair, arguments, named, error, text):
    array = networks.floats(2, 3)
    with pytest.raises(error, match=text):
        pair(*[array for _ in arguments], **{name: array for name in named})


@pytest.mark.parametrize(
    "wrong, error",
    [
        (np.zeros((2, 3)), TypeError),
        (np.zeros((2, 3), np.int32), TypeError),
        (np.array([["x"] * 3] * 2), TypeError),
        (np.zeros((2, 3), object), TypeError),
        (np.zeros(3, np.float32), ValueError),
        (np.zeros((2, 4), np.float32), ValueError),
        (np.zeros((3, 3), np.float32), ValueError),
        (np.zeros((0, 3), np.float32), ValueError),
        (np.float32(1), ValueError),
    ],
    ids=str,
)
def test_wrong_arrays(pair, wrong, error):
    """The type and the shape of an array are checked, and that batches agree."""
    with pytest.raises(error, match="input 'b' takes"):
        pair(networks.floats(2, 3), wrong)


def test_layouts(pair):
    """Arrays of any layout, alignment and byte order hold the same numbers."""
    a, b = networks.floats(4, 3), networks.floats(4, 3, seed=5)
    unaligned = np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(np.float32).reshape(4, 3)
    assert not unaligned.flags.aligned
    read_only = a.copy()
    read_only.flags.writeable = False
    wide = np.zeros((8, 6), np.float32)
    wide[::2, 1::2] = a
    for same in (np.asfortranarray(a), a[::-1].copy()[::-1], unaligned, read_only, wide[::2, 1::2], a.astype(">f4"), a.tolist()):
        if isinstance(same, list):
            same = np.array(same, np.float32)
        np.testing.assert_array_equal(pair(same, b)[1], a * b)


def test_contiguous_arrays_are_not_copied(pair):
    from hwgq import _arrays

    array = networks.floats(4, 3)
    assert _arrays.plain(array) is array
    assert _arrays.plain(np.float32(2)).shape == ()


def test_fixed_batch():
    module = hwgq.compile(networks.two_inputs(), batch=3)
    assert module.batch == 3 and module.inputs[0].shape == (3, 3)
    assert module(networks.floats(3, 3), networks.floats(3, 3))[0].shape == (3, 3)
    with pytest.raises(ValueError, match=r"takes f32\[3x3\], not an array of shape \[4x3\]"):
        module(networks.floats(4, 3), networks.floats(4, 3))
    assert hwgq.compile(networks.two_inputs(3), batch="dynamic").batch is None


def test_save_and_load(digits, images, tmp_path):
    """A saved module opens in Python and in hwgq-run, and computes the same bits."""
    path = tmp_path / "digits.so"
    digits.save(path)
    expected = digits(images).tobytes()
    assert hwgq.Module.load(path)(images).tobytes() == expected
    runner = networks.BUILD / "bin" / "hwgq-run"
    subprocess.run([runner, path, networks.DIGITS / "test_images.npy", "-o", tmp_path / "out"], check=True)
    assert np.load(tmp_path / "out" / "0_scores.npy").tobytes() == expected
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    with pytest.raises(RuntimeError, match="checksum|damaged|changed"):
        hwgq.Module(bytes(damaged))
    with pytest.raises(RuntimeError):
        hwgq.Module(b"no module")
    with pytest.raises(OSError):
        hwgq.Module.load(tmp_path / "none.so")
    with pytest.raises(OSError):
        digits.save(tmp_path / "none" / "digits.so")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.so", "out"]


def test_special_files(digits):
    """They are neither read to their end, which some do not have, nor replaced."""
    with pytest.raises(OSError, match="not a regular file"):
        hwgq.Module.load("/dev/zero")
    digits.save("/dev/null")
    assert not os.path.isfile("/dev/null")


def test_pickle(digits, images):
    again = pickle.loads(pickle.dumps(digits))
    assert again.threads == digits.threads and again.inputs == digits.inputs
    assert again(images[:3]).tobytes() == digits(images[:3]).tobytes()


def test_another_machine(tmp_path):
    """A module for another machine can be saved and asked, not called."""
    module = hwgq.compile(networks.two_inputs(), target="aarch64")
    assert module.target == "aarch64" and module.report["target"] == "aarch64"
    module.save(tmp_path / "arm.so")
    assert hwgq.Module.load(tmp_path / "arm.so").inputs == module.inputs
    array = networks.floats(1, 3)
    with pytest.raises(RuntimeError, match="AArch64"):
        module(array, array)


def test_threads_of_a_call(digits, images):
    expected = digits(images).tobytes()
    for threads in (1, 2, 3, 0):
        digits.threads = threads
        assert digits(images).tobytes() == expected
    digits.threads = -1
    with pytest.raises(RuntimeError, match="threads"):
        digits(images)
    digits.threads = 0


def test_calls_at_the_same_time(digits, pair, images):
    """Several threads share modules and compile others meanwhile, with different batches."""
    expected = digits(images)
    errors = []

    def work(seed):
        try:
            for round in range(20):
                count = 1 + (seed * 31 + round * 7) % len(images)
                assert digits(images[:count]).tobytes() == expected[:count].tobytes()
                a = networks.floats(count, 3, seed=seed)
                assert pair(a, a)[1].tobytes() == (a * a).tobytes()
            module = hwgq.compile(networks.two_inputs(seed + 1))
            a = networks.floats(seed + 1, 3)
            assert module(a, a)[1].tobytes() == (a * a).tobytes()
            with pytest.raises(hwgq.CompileError):
                hwgq.compile(b"\x00" * seed + b"junk")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def test_fork(digits, images):
    """A child of a process that has run a module runs it, too."""
    digits.threads = 2
    expected = digits(images).tobytes()
    child = os.fork()
    if child == 0:
        os._exit(0 if digits(images).tobytes() == expected else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_nothing_leaks():
    """nanobind tells on exit of objects that are still referred to."""
    program = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np, hwgq, networks
module = hwgq.compile(networks.two_inputs())
a = np.ones((2, 3), np.float32)
module(a, a)
for wrong in (lambda: module(a), lambda: module(a, a[0]), lambda: hwgq.compile(b"x")):
    try:
        wrong()
    except (TypeError, ValueError):
        pass
def resident():
    return int(open("/proc/self/statm").read().split()[1])
def churn(count):
    for _ in range(count):
        hwgq.Module(module._file)(a, a)
        hwgq.evaluate(networks.two_inputs(), [a, a])
        hwgq.PassManager("cse").run("func.func @f() { return }")
churn(20)
before = resident()
churn(100)
print((resident() - before) * 4096 // 100)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, os.path.dirname(__file__)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert int(done.stdout) < 4096, "bytes a round"


def test_diagnostics_travel():
    with pytest.raises(hwgq.CompileError) as caught:
        hwgq.compile("nowhere.onnx")
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.diagnostics == caught.value.diagnostics and str(again) == str(caught.value)
