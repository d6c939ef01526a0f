"""hwgq-run on modules that are written by hand in C (test/unit/runtime/modules): arrays of
all types and forms in and out, hostile arrays, options, and what it prints."""

import io
import json
import os
import platform
import shutil
import subprocess

import numpy as np
import pytest
from programs import AARCH64_ROOT, AARCH64_RUN, BIN, BUILD, execute, outputs_of, refused, run

MODULES = BUILD / "test" / "modules"
SCALE, FIXED, TYPES = (MODULES / f"{name}.so" for name in ("scale", "fixed", "types"))
DTYPES = {
    "f32": np.float32, "f64": np.float64, "f16": np.float16, "i8": np.int8, "i16": np.int16, "i32": np.int32,
    "i64": np.int64, "u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64, "bool": np.bool_,
}  # fmt: skip


def hwgq_run(*arguments, **options):
    return run("hwgq-run", *arguments, **options)


def samples(batch, seed=0):
    return np.random.default_rng(seed).standard_normal((batch, 4, 8)).astype(np.float32)


def every_type():
    rng = np.random.default_rng(1)
    arrays = {}
    for name, dtype in DTYPES.items():
        bits = rng.integers(0, 256, 30 * np.dtype(dtype).itemsize, dtype=np.uint8)
        arrays[f"in_{name}"] = (bits & 1 if name == "bool" else bits).view(dtype).reshape(2, 3, 5)
    return arrays


def same_bytes(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch", [1, 3, 64])
def test_dynamic_batch(tmp_path, batch, threads):
    x = samples(batch)
    y, state, rows, pairs = execute("hwgq-run", SCALE, {"x": x}, tmp_path / "out", f"--threads={threads}")
    assert same_bytes(y, 2 * x + 1)
    assert rows.shape == () and rows.dtype == np.int64 and rows == 4 * batch
    assert np.array_equal(pairs, np.arange(2 * batch, dtype=np.uint8))
    assert state.tolist() == [2.0**-149, 1, 2.0**-149, 1]
    assert sorted(os.listdir(tmp_path / "out")) == ["0_out_y_0.npy", "1_state.npy", "2_rows.npy", "3_pairs.npy"]


def test_every_type(tmp_path):
    arrays = every_type()
    results = execute("hwgq-run", TYPES, arrays, tmp_path / "out")
    for result, array in zip(results, arrays.values()):
        assert same_bytes(result, array)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("form", ["plain", "fortran", "swapped", "both"])
def test_npy_forms(tmp_path, form, version):
    arrays = every_type()
    arguments = []
    for name, array in arrays.items():
        if form in ("swapped", "both"):
            array = array.astype(array.dtype.newbyteorder(">"))
        if form in ("fortran", "both"):
            array = np.asfortranarray(array)
        with open(tmp_path / f"{name}.npy", "wb") as file:
            np.lib.format.write_array(file, array, version=version)
        arguments.append(f"{name}={tmp_path / name}.npy")
    hwgq_run(TYPES, *arguments, "-o", tmp_path / "out")
    for result, array in zip(outputs_of(tmp_path / "out"), arrays.values()):
        assert same_bytes(result, array)


def test_inputs_by_name_and_position(tmp_path):
    a = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    b = np.array([[1, 1, 1], [-1, -1, -1]], np.int64)
    np.save(tmp_path / "a.npy", a)
    np.save(tmp_path / "b.npy", b)
    np.save(tmp_path / "x=y.npy", a)
    want = [(a * b).sum(1), (a * b).sum(1) > 0]
    for arguments in (
        ["a.npy", "b.npy"],
        ["b=c=b.npy", "a.npy"],
        ["a.npy", "b=c=b.npy"],
        ["b=c=b.npy", "a=a.npy"],
        ["x=y.npy", "b.npy"],
    ):
        hwgq_run(FIXED, *arguments, "-o", tmp_path / "out", cwd=tmp_path)
        for result, expected in zip(outputs_of(tmp_path / "out"), want):
            assert same_bytes(result, expected)
        shutil.rmtree(tmp_path / "out")
    refused("hwgq-run", FIXED, "a=a.npy", "a=a.npy", says="given twice", cwd=tmp_path)
    refused("hwgq-run", FIXED, "z=a.npy", says="no input of that name; its inputs are: a, b=c", cwd=tmp_path)
    refused("hwgq-run", FIXED, "a.npy", says=r"input 'b=c' is missing.*i64\[2x3\]", cwd=tmp_path)
    refused("hwgq-run", FIXED, "a.npy", "b.npy", "a.npy", says="too many arrays", cwd=tmp_path)


def test_wrong_arrays(tmp_path):
    def check(array, says):
        np.save(tmp_path / "x.npy", array)
        refused("hwgq-run", SCALE, tmp_path / "x.npy", "-o", tmp_path / "out", says=says, outputs=[tmp_path / "out"])

    check(samples(2).astype(np.float64), r"needs f32\[\?x4x8\], the array is f64\[2x4x8\].*astype\(numpy.float32\)")
    check(samples(2)[:, :, :7], r"needs f32\[\?x4x8\], the array is f32\[2x4x7\]")
    check(samples(2)[0], r"the array is f32\[4x8\]")
    check(samples(0), r"the array is f32\[0x4x8\]")
    check(np.float32(1), r"the array is f32\[\]")
    check(samples(1).astype(np.complex64), "element type '<c8' is not supported")
    check(np.zeros(3, [("a", "f4")]), "records")
    check(np.array(["text"]), "element type '<U4' is not supported")
    np.save(tmp_path / "b.npy", np.zeros((3, 3), np.uint8))
    refused("hwgq-run", FIXED, tmp_path / "b.npy", says="--batch=dynamic")


def npy_text(header, data=b"", version=1):
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


GOOD = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4, 8), }\n"
HOSTILE = {
    "empty": b"",
    "magic": b"\x93NUMPX" + npy_text(GOOD)[6:],
    "version": npy_text(GOOD, bytes(128), version=4),
    "no header": npy_text(GOOD)[:9],
    "cut header": npy_text(GOOD)[:40],
    "huge header": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + GOOD,
    "no data": npy_text(GOOD),
    "short data": npy_text(GOOD, bytes(127)),
    "long data": npy_text(GOOD, bytes(129)),
    "claims 2 GB": npy_text(GOOD.replace(b"(1,", b"(16777216,"), bytes(128)),
    "overflow": npy_text(GOOD.replace(b"(1,", b"(4611686018427387904,"), bytes(128)),
    "number": npy_text(GOOD.replace(b"(1,", b"(99999999999999999999999,"), bytes(128)),
    "negative": npy_text(GOOD.replace(b"(1,", b"(-1,"), bytes(128)),
    "rank": npy_text(GOOD.replace(b"(1,", b"(" + b"1," * 33), bytes(128)),
    "no shape": npy_text(b"{'descr': '<f4', 'fortran_order': False}", bytes(128)),
    "twice": npy_text(GOOD.replace(b"{", b"{'descr': '<f4', "), bytes(128)),
    "unknown key": npy_text(GOOD.replace(b"{", b"{'other': 1, "), bytes(128)),
    "open string": npy_text(b"{'descr': '<f4", bytes(128)),
    "open tuple": npy_text(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4, 8", bytes(128)),
    "after": npy_text(GOOD + b"x", bytes(128)),
    "bad order": npy_text(GOOD.replace(b"False", b"Maybe"), bytes(128)),
    "no type": npy_text(GOOD.replace(b"<f4", b""), bytes(128)),
    "long type": npy_text(GOOD.replace(b"<f4", b"<f4" * 40), bytes(128)),
    "NUL": npy_text(GOOD.replace(b"shape", b"sh\0pe"), bytes(128)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_arrays(tmp_path, name):
    (tmp_path / "x.npy").write_bytes(HOSTILE[name])
    refused("hwgq-run", SCALE, tmp_path / "x.npy", "-o", tmp_path / "out", outputs=[tmp_path / "out"], memory=1 << 30)


def test_hostile_base_is_good(tmp_path):
    (tmp_path / "x.npy").write_bytes(npy_text(GOOD, bytes(128)))
    hwgq_run(SCALE, tmp_path / "x.npy")


def test_every_flip_of_an_array(tmp_path):
    file = io.BytesIO()
    np.save(file, samples(1))
    good = file.getvalue()
    path = tmp_path / "x.npy"
    for at in range(0, 128, 3):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x11]) + good[at + 1 :])
        hwgq_run(SCALE, path, status=None)
    for size in range(0, len(good), 7):
        path.write_bytes(good[:size])
        refused("hwgq-run", SCALE, path)


def test_unwritable(tmp_path):
    np.save(tmp_path / "x.npy", samples(1))
    (tmp_path / "file").write_text("x")
    refused("hwgq-run", SCALE, tmp_path / "x.npy", "-o", tmp_path / "file", says="error:")
    refused("hwgq-run", SCALE, tmp_path / "x.npy", "-o", tmp_path / "file" / "below", says="file")
    # The second output cannot take its place, so the first gives its own back.
    (tmp_path / "out" / "1_state.npy" / "x").mkdir(parents=True)
    refused("hwgq-run", SCALE, tmp_path / "x.npy", "-o", tmp_path / "out", says="1_state.npy")
    assert os.listdir(tmp_path / "out") == ["1_state.npy"]


def test_makes_all_folders(tmp_path):
    np.save(tmp_path / "x.npy", samples(1))
    run("hwgq-run", SCALE, tmp_path / "x.npy", "-o", f"{tmp_path}/a/b//c/")
    assert len(os.listdir(tmp_path / "a" / "b" / "c")) == 4
    # What cannot be written leaves no folder behind, and those that were there stay.
    (tmp_path / "kept").mkdir()
    long = "n" * 300
    refused("hwgq-run", SCALE, tmp_path / "x.npy", "-o", tmp_path / "kept" / "new" / long, says="too long")
    assert os.listdir(tmp_path / "kept") == []


def test_full_disk(tmp_path):
    np.save(tmp_path / "x.npy", samples(1))
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w") as full:
            done = subprocess.run([BIN / "hwgq-run", SCALE, tmp_path / "x.npy"], stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 1 and b"error: cannot write" in done.stderr


def test_printing(tmp_path):
    np.save(tmp_path / "x.npy", samples(2))
    text = hwgq_run(SCALE, tmp_path / "x.npy", "--threads=2").stdout
    assert "out/y:0  f32[2x4x8]" in text and "rows  i64[]\n  8\n" in text and "batch 2, 2 threads" in text
    found = json.loads(hwgq_run(SCALE, tmp_path / "x.npy", "--json").stdout)
    assert [output["name"] for output in found["outputs"]] == ["out/y:0", "state", "rows", "pairs"]
    assert found["outputs"][0]["shape"] == [2, 4, 8] and found["outputs"][2]["first"] == [8]
    x = samples(1)
    x[0, 0, :3] = [np.nan, np.inf, -np.inf]
    np.save(tmp_path / "x.npy", x)
    found = json.loads(hwgq_run(SCALE, tmp_path / "x.npy", "--json").stdout)
    assert found["outputs"][0]["first"][:3] == [None, None, None]


def test_random(tmp_path):
    def result(*options):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        hwgq_run(SCALE, *options, "-o", tmp_path / "out")
        return outputs_of(tmp_path / "out")[0]

    a = result("--random")
    assert a.shape == (1, 4, 8) and len(np.unique(a)) > 20 and np.all((a >= -1) & (a < 3))
    assert same_bytes(a, result("--random=0")) and not np.array_equal(a, result("--random=1"))
    assert result("--random", "--batch=5").shape == (5, 4, 8)
    hwgq_run(TYPES, "--random=7", "-o", tmp_path / "types")
    for array, dtype in zip(outputs_of(tmp_path / "types"), DTYPES.values()):
        assert array.dtype == dtype and len(np.unique(array)) > 1 and np.all(np.isfinite(array.astype(np.float64)))
        if np.issubdtype(dtype, np.floating):
            assert np.abs(array).max() <= 1 and np.all(array * 1024 == np.round(array * 1024))
    refused("hwgq-run", SCALE, says="input 'x' is missing")
    refused("hwgq-run", SCALE, "--batch=3", says="--random")
    refused("hwgq-run", FIXED, "--random", "--batch=3", says="compiled for batch 2")


def test_info():
    found = json.loads(hwgq_run(SCALE, "--info", "--json").stdout)
    assert found["inputs"] == [{"name": "x", "type": "f32", "shape": [-1, 4, 8]}]
    assert [output["name"] for output in found["outputs"]] == ["out/y:0", "state", "rows", "pairs"]
    assert found["batch"] == "dynamic" and found["file_bytes"] == SCALE.stat().st_size
    assert found["workspace_bytes"] == 224 and found["target"] != "other"
    assert [layer["name"] for layer in found["layers"]] == ["multiply", 'add "}']
    assert found["folded"] == 3 and isinstance(found["features"], list)
    assert json.loads(hwgq_run(FIXED, "--info", "--json").stdout)["batch"] == 2
    text = hwgq_run(SCALE, "--info").stdout
    assert "x  f32[?x4x8]" in text and "pairs  u8[2*?]" in text and "multiply" in text


def test_benchmark():
    found = json.loads(hwgq_run(SCALE, "--benchmark=0.1", "--threads=2", "--json").stdout)
    assert set(found) == {"median_ms", "min_ms", "runs", "threads", "device"}
    assert 0 < found["min_ms"] <= found["median_ms"] < 100 and found["runs"] > 10
    assert found["threads"] == 2 and found["device"] == "cpu"
    assert "median" in hwgq_run(SCALE, "--benchmark=0.05").stdout


def test_profile(tmp_path):
    found = json.loads(hwgq_run(SCALE, "--random", "--profile", "--benchmark=0.1", "--json").stdout)
    assert [layer["name"] for layer in found["layers"]] == ["multiply", "add"]
    assert all(layer["ms"] > 0 for layer in found["layers"])
    assert "multiply" in hwgq_run(SCALE, "--random", "--profile").stdout


def test_labels(tmp_path):
    x = samples(40, seed=3)
    scores = x.reshape(40, 32)
    labels = scores.argmax(1)
    labels[:10] = (-scores[:10]).argmax(1)  # wrong, and last
    labels[10:14] = np.argsort(-scores[10:14])[:, 4]  # the fifth
    labels[14:16] = np.argsort(-scores[14:16])[:, 5]  # the sixth
    np.save(tmp_path / "x.npy", x)
    for dtype in (np.int64, np.uint8, np.int32, np.uint64):
        np.save(tmp_path / "l.npy", labels.astype(dtype))
        found = json.loads(hwgq_run(SCALE, tmp_path / "x.npy", f"--labels={tmp_path}/l.npy", "--json").stdout)
        assert found["samples"] == 40 and found["top1"] == 24 / 40 and found["top5"] == 28 / 40
    text = hwgq_run(SCALE, tmp_path / "x.npy", f"--labels={tmp_path}/l.npy").stdout
    assert "top-1      60.00 % (24 of 40)" in text and "top-5      70.00 % (28 of 40)" in text

    def wrong(array, says):
        np.save(tmp_path / "l.npy", array)
        refused("hwgq-run", SCALE, tmp_path / "x.npy", f"--labels={tmp_path}/l.npy", says=says)

    wrong(labels[:39], "39 labels for 40 samples")
    wrong(labels.astype(np.float32), "integer type")
    wrong(labels + 32, "is none of 32 classes")
    wrong(labels - 40, "is none of 32 classes")


def test_options(tmp_path):
    assert "usage: hwgq-run" in hwgq_run("--help").stdout
    assert "hwgq-run" in hwgq_run("--version").stdout
    refused("hwgq-run", says="which module")
    refused("hwgq-run", SCALE, "--wat", says="--wat")
    refused("hwgq-run", SCALE, "-x", says="-x")
    refused("hwgq-run", SCALE, "-o", says="needs a value")
    refused("hwgq-run", SCALE, "--device=cuda", says="this build runs on CPUs only")
    refused("hwgq-run", SCALE, "--device=cuda:1", says="CPUs only")
    refused("hwgq-run", SCALE, "--device=abacus", says="no such device")
    for value in ("0", "-1", "x", "99999999999999999999", "513", ""):
        refused("hwgq-run", SCALE, f"--threads={value}", says="--threads")
    for value in ("0", "-1", "x", "nan", "inf"):
        refused("hwgq-run", SCALE, f"--benchmark={value}", says="--benchmark")
    refused("hwgq-run", SCALE, "--random=-1", says="--random")
    hwgq_run(SCALE, "--random", "--device=cpu")


def test_damaged_modules(tmp_path):
    good = SCALE.read_bytes()
    np.save(tmp_path / "x.npy", samples(1))
    path = tmp_path / "bad.so"
    for at in range(0, len(good), len(good) // 40):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x20]) + good[at + 1 :])
        refused("hwgq-run", path, tmp_path / "x.npy", "-o", tmp_path / "out", outputs=[tmp_path / "out"])
        refused("hwgq-run", path, "--info")
    for size in range(0, len(good), len(good) // 20):
        path.write_bytes(good[:size])
        refused("hwgq-run", path, "--random")
    refused("hwgq-run", tmp_path, "--random", says="not a regular file")
    refused("hwgq-run", tmp_path / "none.so", "--random", says="No such file")


def test_executable(tmp_path):
    """hwgq-run with a module at its end runs that module."""
    np.save(tmp_path / "x.npy", samples(3))
    run("../test/modules/scale", tmp_path / "x.npy", "-o", tmp_path / "out")
    assert same_bytes(outputs_of(tmp_path / "out")[0], 2 * samples(3) + 1)
    assert json.loads(run("../test/modules/scale", "--info", "--json").stdout)["batch"] == "dynamic"


@pytest.mark.skipif(not (BIN / AARCH64_RUN).is_file(), reason="hwgq-run is not built for AArch64")
@pytest.mark.skipif(platform.machine() == "aarch64", reason="this machine is AArch64")
def test_aarch64(tmp_path):
    emulator = ("qemu-aarch64", "-L", AARCH64_ROOT)
    module = MODULES / "aarch64" / "scale.so"
    for threads in (1, 3):
        y, state, rows, _ = execute(
            AARCH64_RUN, module, {"x": samples(3)}, tmp_path / "out", f"--threads={threads}", prefix=emulator
        )
        assert same_bytes(y, 2 * samples(3) + 1) and rows == 12
        assert state.tolist() == [2.0**-149, 1, 2.0**-149, 1]
    refused("hwgq-run", module, "--random", says="module is for AArch64, this machine is x86-64")
    refused(AARCH64_RUN, SCALE, "--random", says="module is for x86-64, this machine is AArch64", prefix=emulator)
    assert "aarch64" in hwgq_run(module, "--info").stdout
