"""Bad input: a clear error and status 1, nothing half-written, within 8 GB and 20 s, and
never a signal or a dump (programs.run checks those on every call)."""

import os
import pathlib
import random
import subprocess

import numpy as np
import pytest

import hostile
import onelayer
import programs

MEMORY = 8 << 30
LIMITS = {"timeout": 20, "memory": MEMORY}

HOSTILE = hostile.hostile_models()


def small_model():
    layer = onelayer.Layer("conv", "hwgq")
    return onelayer.make_model(layer, [onelayer.Branch(layer, "round")]).SerializeToString()


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A folder with a good model, its module with dynamic batch, and an input."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "model.onnx").write_bytes(small_model())
    np.save(folder / "x.npy", np.zeros((2, 1, 3, 3), np.float32))
    programs.compile_model(folder / "model.onnx", folder / "model.so")
    programs.run("hwgq-run", folder / "model.so", folder / "x.npy", "-o", folder / "out")
    return folder


def compile_any(content, folder):
    """Compiles bytes that may or may not be a model: a module, or an error and no file."""
    path, output = folder / "model.onnx", folder / "model.so"
    path.write_bytes(content)
    result = programs.run("hwgq-compile", path, "-o", output, status=None, **LIMITS)
    if result.status:
        assert "error:" in result.stderr, result
        assert not programs.leftovers(output), result
    else:
        assert output.stat().st_size > 0
        output.unlink()
    return result


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_model(name, tmp_path):
    content, says = HOSTILE[name]
    path, output = tmp_path / "model.onnx", tmp_path / "module.so"
    path.write_bytes(content)
    result = programs.refused("hwgq-compile", path, "-o", output, says=says, outputs=[output], **LIMITS)
    assert "model.onnx" in result.stderr, f"the file is not named\n{result}"


def test_hostile_for_the_interpreter(tmp_path):
    """hwgq-eval reads the same files with the same care."""
    for name in ("text", "cycle", "dims overflow", "2 GB claimed in dims", "channels differ", "quant scale NaN"):
        path = tmp_path / "model.onnx"
        path.write_bytes(HOSTILE[name][0])
        np.save(tmp_path / "x.npy", np.zeros((1, 3, 8, 8), np.float32))
        out = tmp_path / "out"
        programs.refused("hwgq-eval", path, tmp_path / "x.npy", "-o", out, outputs=[out], **LIMITS)


def test_file_beyond_protobuf(tmp_path):
    with open(tmp_path / "model.onnx", "wb") as file:
        file.truncate(2**31)
    output = tmp_path / "model.so"
    programs.refused("hwgq-compile", tmp_path / "model.onnx", "-o", output, says="larger than 2 GB.*external data", outputs=[output], **LIMITS)


def test_cut_models(tmp_path):
    content = small_model()
    step = 1 if programs.EXHAUSTIVE else max(1, len(content) // 40)
    refused = sum(compile_any(content[:cut], tmp_path).status for cut in range(0, len(content), step))
    assert refused


@pytest.mark.parametrize("seed", range(400 if programs.EXHAUSTIVE else 60))
def test_changed_models(seed, tmp_path):
    """A few bytes changed; many of these are still models, which then must compile."""
    rng = random.Random(seed)
    content = bytearray(small_model())
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at = rng.randrange(len(content))
        content[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, content[at] ^ 1 << rng.randrange(8)])
    compile_any(bytes(content), tmp_path)


def test_long_chain(tmp_path):
    """Depth is no reason to run out of stack."""
    nodes, value = [], "x"
    for index in range(5000):
        nodes.append(hostile.node("Relu" if index % 2 else "Neg", [value], [f"t{index}"], name=f"n{index}"))
        value = f"t{index}"
    nodes.append(hostile.node("Relu", [value], name="last"))
    assert compile_any(hostile.model(nodes, {"x": ["n", 4]}).SerializeToString(), tmp_path).status == 0


def test_missing_files(tmp_path):
    output = tmp_path / "model.so"
    programs.refused("hwgq-compile", tmp_path / "nothing.onnx", "-o", output, says="nothing.onnx", outputs=[output])
    programs.refused("hwgq-compile", tmp_path, "-o", output, says=tmp_path.name, outputs=[output])
    programs.refused("hwgq-run", tmp_path / "nothing.so", "--info", says="nothing.so")
    programs.refused("hwgq-run", tmp_path, "--info", says=tmp_path.name)
    programs.refused("hwgq-eval", tmp_path / "nothing.onnx", "-o", tmp_path / "out", says="nothing.onnx")


@pytest.mark.parametrize(
    "option",
    ["--target=z80", "--emit=poem", "--to=nowhere", "--kernel=magic", "--batch=0", "--batch=-3", "--batch=x",
     "--batch=99999999999999999999", "--straight-through=maybe", "--bind=x", "--bind=x=nothing.npy",
     "--input=nobody:u8,nhwc", "--input=x:u8,scale=0", "--input=x:u8,scale=nan", "--frobnicate"],
)  # fmt: skip
def test_bad_options(option, good, tmp_path):
    output = tmp_path / "model.so"
    result = programs.run("hwgq-compile", good / "model.onnx", "-o", output, option, status=1, **LIMITS)
    assert option.split("=")[0].lstrip("-") in result.stderr or option.split("=")[-1] in result.stderr, result
    assert "error: ---" not in result.stderr and "--'" not in result.stderr, result
    assert not programs.leftovers(output)


def test_unwritable_outputs(good, tmp_path):
    model, module, x = good / "model.onnx", good / "model.so", good / "x.npy"
    (tmp_path / "file").write_text("keep")
    (tmp_path / "folder").mkdir()
    for output in (tmp_path / "absent" / "model.so", tmp_path / "file" / "model.so", tmp_path / "folder"):
        programs.refused("hwgq-compile", model, "-o", output, says=output.name)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
        assert not list((tmp_path / "folder").iterdir())
    report = tmp_path / "absent" / "r.json"
    programs.refused("hwgq-compile", model, "-o", tmp_path / "m.so", f"--report={report}", says="r.json", outputs=[tmp_path / "m.so"])
    report = tmp_path / "r.json"
    programs.refused("hwgq-compile", model, "-o", tmp_path / "folder", f"--report={report}", says="folder", outputs=[report])
    programs.refused("hwgq-run", module, x, "-o", tmp_path / "file", says="file")
    programs.refused("hwgq-run", module, x, "-o", tmp_path / "file" / "out", says="file")
    programs.refused("hwgq-eval", model, x, "-o", tmp_path / "file" / "out", says="file")
    assert (tmp_path / "file").read_text() == "keep"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("emit", ("so", "asm", "header"))
def test_full_device(emit, good):
    model = good / "model.onnx"
    programs.refused("hwgq-compile", model, "-o", "/dev/full", f"--emit={emit}", says="cannot write '/dev/full': No space left")
    if emit != "so":
        with open("/dev/full", "w") as full:
            command = [programs.BIN / "hwgq-compile", model, "-o", "-", f"--emit={emit}"]
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 1 and "error: cannot write standard output: No space left" in done.stderr


def test_failure_keeps_the_old_output(good, tmp_path):
    """A failing compile does not touch what stood at the output's place."""
    output = tmp_path / "model.so"
    output.write_text("old")
    (tmp_path / "model.onnx").write_bytes(HOSTILE["channels differ"][0])
    programs.run("hwgq-compile", tmp_path / "model.onnx", "-o", output, status=1)
    assert output.read_text() == "old" and len(programs.leftovers(output)) == 1


def npy(array, path, version=None, cut=None):
    with open(path, "wb") as file:
        np.lib.format.write_array(file, np.asarray(array), version=version)
    if cut is not None:
        os.truncate(path, os.path.getsize(path) + cut)
    return path


def npy_header(text, path, payload=b"\0" * 72):
    header = text.encode() + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + payload)
    return path


def bad_arrays():
    zeros = np.zeros((2, 1, 3, 3), np.float32)
    f4 = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }"
    return {
        "float64": lambda p: npy(zeros.astype(np.float64), p),
        "int32": lambda p: npy(zeros.astype(np.int32), p),
        "rank 3": lambda p: npy(zeros[0], p),
        "rank 0": lambda p: npy(np.float32(1), p),
        "wide": lambda p: npy(np.zeros((2, 1, 3, 4), np.float32), p),
        "channels": lambda p: npy(np.zeros((2, 2, 3, 3), np.float32), p),
        "no rows": lambda p: npy(zeros[:0], p),
        "complex": lambda p: npy(zeros.astype(np.complex64), p),
        "records": lambda p: npy(np.zeros(2, [("a", "<f4"), ("b", "<i4")]), p),
        "cut": lambda p: npy(zeros, p, cut=-4),
        "too long": lambda p: npy(zeros, p, cut=4),
        "head only": lambda p: npy(zeros, p, cut=-72),
        "empty": lambda p: p.write_bytes(b"") and p or p,
        "text": lambda p: p.write_text("1 2 3") and p,
        "absent": lambda p: p,
        "folder": lambda p: p.mkdir() or p,
        "version 9": lambda p: p.write_bytes(b"\x93NUMPY\x09\x00" + bytes(200)) and p,
        "header length": lambda p: p.write_bytes(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{") and p,
        "no header": lambda p: npy_header("", p),
        "no shape": lambda p: npy_header("{'descr': '<f4', 'fortran_order': False}", p),
        "shape overflow": lambda p: npy_header(f4 % "(4294967296, 4294967296, 4294967296, 1)", p),
        "huge shape": lambda p: npy_header(f4 % "(4611686018427387904, 1, 3, 3)", p),
        "negative shape": lambda p: npy_header(f4 % "(-2, 1, 3, 3)", p),
        "shape of text": lambda p: npy_header(f4 % "'two'", p),
        "shape unfinished": lambda p: npy_header(f4 % "(2, 1, 3", p),
        "many axes": lambda p: npy_header(f4 % f"({'1, ' * 100})", p),
        "descr unknown": lambda p: npy_header("{'descr': '<q9', 'fortran_order': False, 'shape': (2, 1, 3, 3), }", p),
        "nested header": lambda p: npy_header("{" * 60000, p),
    }


@pytest.mark.parametrize("program", ["hwgq-run", "hwgq-eval"])
@pytest.mark.parametrize("name", bad_arrays())
def test_bad_array(name, program, good, tmp_path):
    path, out = tmp_path / "bad.npy", tmp_path / "out"
    bad_arrays()[name](path)
    subject = good / ("model.so" if program == "hwgq-run" else "model.onnx")
    programs.refused(program, subject, path, "-o", out, outputs=[out], says="bad.npy|[xX]", **LIMITS)


def test_wrong_inputs(good, tmp_path):
    module, x, out = good / "model.so", good / "x.npy", tmp_path / "out"
    programs.refused("hwgq-run", module, "-o", out, says="x", outputs=[out])
    programs.refused("hwgq-run", module, x, x, "-o", out, outputs=[out])
    programs.refused("hwgq-run", module, f"nobody={x}", "-o", out, says="nobody", outputs=[out])
    programs.refused("hwgq-run", module, f"x={x}", f"x={x}", "-o", out, says="x", outputs=[out])
    programs.refused("hwgq-run", module, x, "-o", out, "--threads=0", says="threads", outputs=[out])
    programs.refused("hwgq-run", module, x, "-o", out, "--threads=many", says="threads", outputs=[out])
    programs.refused("hwgq-run", module, x, "-o", out, "--device=toaster", says="toaster|device", outputs=[out])
    programs.refused("hwgq-run", module, x, "-o", out, f"--labels={tmp_path / 'nothing.npy'}", says="nothing.npy", outputs=[out])
    fixed = programs.compile_model(good / "model.onnx", tmp_path / "fixed.so", "--batch=3")
    programs.refused("hwgq-run", fixed, x, "-o", out, says="3", outputs=[out])


def places(size, count):
    """The head of a file whole, then evenly spread offsets, then its end."""
    return sorted({*range(0, 64, 4), *range(64, size, max(1, size // count)), size - 1})


def test_cut_modules(good, tmp_path):
    content = (good / "model.so").read_bytes()
    for cut in places(len(content), 400 if programs.EXHAUSTIVE else 24):
        (tmp_path / "cut.so").write_bytes(content[:cut])
        programs.refused("hwgq-run", tmp_path / "cut.so", "--info", says="cut.so", **LIMITS)
    (tmp_path / "cut.so").write_bytes(content + b"\0")
    programs.refused("hwgq-run", tmp_path / "cut.so", "--info", says="cut.so", **LIMITS)


def test_changed_modules(good, tmp_path):
    """Any byte changed: refused, before anything is loaded."""
    content = bytearray((good / "model.so").read_bytes())
    rng = random.Random(1)
    for at in places(len(content), 2000 if programs.EXHAUSTIVE else 60):
        old = content[at]
        content[at] ^= 1 << rng.randrange(8)
        (tmp_path / "changed.so").write_bytes(content)
        programs.refused("hwgq-run", tmp_path / "changed.so", good / "x.npy", "-o", tmp_path / "out", outputs=[tmp_path / "out"], **LIMITS)
        content[at] = old


def test_files_that_are_no_modules(good, tmp_path):
    for path in (pathlib.Path("/bin/true"), good / "model.onnx", good / "x.npy", pathlib.Path("/dev/null")):
        programs.refused("hwgq-run", path, "--info", says=path.name, **LIMITS)


def test_module_for_another_machine(good, tmp_path):
    x, out = good / "x.npy", tmp_path / "out"
    module = programs.compile_model(good / "model.onnx", tmp_path / "arm.so", "--target=aarch64")
    programs.refused("hwgq-run", module, x, "-o", out, says="aarch64|AArch64|arm64", outputs=[out])
    assert "aarch64" in programs.run("hwgq-run", module, "--info").stdout


@pytest.mark.skipif(programs.SANITIZED, reason="QEMU has no room for the sanitizer's shadow memory")
def test_module_for_features_that_are_missing(good, tmp_path):
    """On a CPU without AVX, which QEMU plays."""
    module = programs.compile_model(good / "model.onnx", tmp_path / "m.so", "--target=x86-64-v3")
    old = ("qemu-x86_64", "-cpu", "Nehalem")
    out = tmp_path / "out"
    programs.refused("hwgq-run", module, good / "x.npy", "-o", out, says="avx", outputs=[out], prefix=old)
    programs.run("hwgq-run", module, "--info", prefix=old)
