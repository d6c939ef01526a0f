"""The programs' contract: help, reports, emitted files, phases as text, arrays, threads."""

import json
import re
import shutil
import subprocess

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import hostile
import onelayer
import programs
from hostile import model, node, tensor

DIGITS = programs.DIGITS / "model.onnx"
IMAGES = programs.DIGITS / "test_images.npy"
LABELS = programs.DIGITS / "test_labels.npy"

OPTIONS = {
    "hwgq-compile": ["--target", "--emit", "--to", "--dump-phases-to", "--kernel", "--batch", "--bind", "--input",
                     "--straight-through", "--verify-folding", "--report", "--remarks", "--dump-constants"],
    "hwgq-run": ["--random", "--info", "--threads", "--device", "--benchmark", "--profile", "--labels", "--json"],
    "hwgq-eval": ["--to", "-o"],
    "hwgq-opt": ["--hwgq-legalize-onnx", "--hwgq-fold-thresholds", "--hwgq-to-bitpack", "--bitpack-select-kernels",
                 "--bitpack-to-loops", "--hwgq-cpu"],
    "hwgq-lsp-server": [],
    "hwgq-reduce": [],
}  # fmt: skip
PHASES = ("import", "hwgq", "bitpack", "kernel", "loops", "target")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder with the compiled digits, their report, and the output for all images."""
    folder = tmp_path_factory.mktemp("digits")
    programs.compile_model(DIGITS, folder / "digits.so", f"--report={folder / 'report.json'}")
    programs.run("hwgq-run", folder / "digits.so", IMAGES, "-o", folder / "out")
    return folder


@pytest.fixture(scope="module")
def scores(digits):
    return programs.outputs_of(digits / "out")[0]


def constants(arrays):
    return [numpy_helper.from_array(array, name) for name, array in arrays.items()]


def save_model(content, path):
    path.write_bytes(content.SerializeToString())
    return path


@pytest.mark.parametrize("program", OPTIONS)
def test_help(program):
    text = programs.run(program, "--help").stdout
    for option in OPTIONS[program]:
        assert option in text, f"{option} is not in {program} --help"


def test_no_arguments():
    for program in ("hwgq-compile", "hwgq-run", "hwgq-eval"):
        assert programs.run(program, status=1).stderr.strip()


REPORT = {
    "target": str, "features": (list, str), "batch": (int, str, type(None)), "file_bytes": int, "workspace_bytes": (int, dict),
    "inputs": list, "outputs": list, "layers": list,
}  # fmt: skip
LAYER = ("name", "op", "act", "weight", "out", "kernel", "storage", "macs", "weight_bytes", "weight_bytes_in_memory",
         "channels", "channels_folded", "reason", "predicted_ms", "ceiling_gmacs", "predicted_share")  # fmt: skip


def test_report(digits):
    report = programs.read_json(digits / "report.json")
    for key, kind in REPORT.items():
        assert isinstance(report[key], kind), (key, report[key])
    assert report["file_bytes"] == (digits / "digits.so").stat().st_size
    assert [(t["name"], t["type"]) for t in report["inputs"]] == [("image", "f32")]
    assert [(t["name"], t["type"]) for t in report["outputs"]] == [("scores", "f32")]
    assert report["inputs"][0]["shape"][1:] == [1, 8, 8] and report["outputs"][0]["shape"][1:] == [10]
    for layer in report["layers"]:
        assert not [key for key in LAYER if key not in layer], layer
    contractions = [layer for layer in report["layers"] if layer["macs"]]
    assert [(layer["act"], layer["weight"]) for layer in contractions[1:4]] == [("u2", "b1")] * 3
    assert contractions[0]["act"] == contractions[0]["weight"] == "f32" and contractions[4]["weight"] == "f32"
    assert [layer["macs"] for layer in contractions] == [64 * 9 * 32, 49 * 9 * 32 * 64, 9 * 9 * 64 * 64, 576 * 128, 1280]
    assert contractions[1]["weight_bytes"] == 9 * 32 * 64 // 8
    assert [layer["channels"] for layer in contractions[1:4]] == [64, 64, 128]
    assert [layer["channels_folded"] for layer in contractions[1:4]] == [64, 64, 128]
    assert contractions[0]["reason"]


def test_info_equals_report(digits):
    info = json.loads(programs.run("hwgq-run", digits / "digits.so", "--info", "--json").stdout)
    report = programs.read_json(digits / "report.json")
    assert {key: info[key] for key in REPORT} == {key: report[key] for key in REPORT}
    text = programs.run("hwgq-run", digits / "digits.so", "--info").stdout
    assert "image" in text and "scores" in text


def test_labels(digits, scores, tmp_path):
    labels = np.load(LABELS)
    expected = 100 * np.mean(scores.argmax(1) == labels)
    text = programs.run("hwgq-run", digits / "digits.so", IMAGES, "-o", tmp_path / "out", f"--labels={LABELS}").stdout
    top1 = re.search(r"top-1\D*([\d.]+)", text)
    top5 = re.search(r"top-5\D*([\d.]+)", text)
    assert top1 and top5, text
    value = float(top1[1])
    assert abs((value if value > 1 else 100 * value) - expected) < 0.06 and expected > 96, text
    assert float(top5[1]) >= value


def test_benchmark(digits):
    text = programs.run("hwgq-run", digits / "digits.so", "--random", "--benchmark=0.2", "--json").stdout
    result = json.loads(text)
    assert set(result) >= {"median_ms", "min_ms", "runs", "threads", "device"}, result
    assert 0 < result["min_ms"] <= result["median_ms"] < 1000 and result["runs"] > 1


def test_profile(digits):
    text = programs.run("hwgq-run", digits / "digits.so", IMAGES, "--profile").stdout
    for layer in ("/4/Conv", "/8/Conv"):
        assert layer in text, text
    assert "hwgq-ceilings" in text  # whose ceiling it is
    profile = json.loads(programs.run("hwgq-run", digits / "digits.so", IMAGES, "--profile", "--json").stdout)["layers"]
    report = {layer["name"]: layer for layer in programs.read_json(digits / "report.json")["layers"]}
    found = {layer["name"]: layer for layer in profile if layer["name"] in report}
    assert set(found) == set(report), f"the profile names {set(found)} of {set(report)}"
    for name, layer in found.items():
        assert layer["kernel"] == report[name]["kernel"] and layer["storage"] == report[name]["storage"]
        assert (layer["share"] > 0) == (report[name]["ceiling_gmacs"] > 0)


def test_random_is_seeded(digits, tmp_path):
    def go(option, folder):
        programs.run("hwgq-run", digits / "digits.so", option, "-o", tmp_path / folder)
        return programs.outputs_of(tmp_path / folder)

    first = go("--random=7", "a")
    programs.assert_same_bits(go("--random=7", "b"), first)
    assert not np.array_equal(go("--random=8", "c")[0], first[0])


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_threads(threads, digits, scores, tmp_path):
    images = np.load(IMAGES)
    actual = programs.run_module(digits / "digits.so", {None: images}, tmp_path / "run", f"--threads={threads}")
    programs.assert_same_bits(actual, [scores])


@pytest.mark.parametrize("rows", [1, 2, 5, 17, 65])
def test_dynamic_batch(rows, digits, scores, tmp_path):
    images = np.load(IMAGES)[:rows]
    programs.assert_same_bits(programs.run_module(digits / "digits.so", {"image": images}, tmp_path / "run"), [scores[:rows]])


def test_names_of_outputs(tmp_path):
    """<index>_<name>.npy, characters outside [A-Za-z0-9._-] as _."""
    nodes = [node("Relu", ["in put/x:0"], ["y/1:é"]), node("Neg", ["in put/x:0"], ["../z"], name="other")]
    path = save_model(model(nodes, {"in put/x:0": ["n", 4]}, ["y/1:é", "../z"]), tmp_path / "m.onnx")
    x = np.array([[-1, 0, 1, 2]], np.float32)
    module = programs.compile_model(path, tmp_path / "m.so")
    programs.run_module(module, {"in put/x:0": x}, tmp_path / "out")
    files = programs.result_files(tmp_path / "out")
    assert files[1][0] == ".._z"
    assert re.fullmatch(r"y_1__+", files[0][0])
    assert np.array_equal(files[0][1], np.maximum(x, 0)) and np.array_equal(files[1][1], -x)


# Phases -------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", PHASES)
def test_phase_as_text(phase, digits, scores, tmp_path):
    """What --to writes is text that hwgq-compile takes up again, to the same bits."""
    text = tmp_path / f"{phase}.mlir"
    programs.run("hwgq-compile", DIGITS, f"--to={phase}", "-o", text)
    module = programs.compile_model(text, tmp_path / "m.so")
    programs.assert_same_bits(programs.run_module(module, {None: np.load(IMAGES)}, tmp_path / "run"), [scores])


def test_pipeline_in_hwgq_opt(scores, tmp_path):
    """hwgq-opt with the full pipeline over --to=import text gives the bits of hwgq-compile."""
    imported, lowered = tmp_path / "import.mlir", tmp_path / "target.mlir"
    programs.run("hwgq-compile", DIGITS, "--to=import", "-o", imported)
    programs.run("hwgq-opt", imported, "--hwgq-cpu=target=host", "-o", lowered)
    module = programs.compile_model(lowered, tmp_path / "m.so")
    programs.assert_same_bits(programs.run_module(module, {None: np.load(IMAGES)}, tmp_path / "run"), [scores])


def test_large_weights(tmp_path):
    """Float weights lie in a module once; text with large constants is written as it is printed."""
    weights = np.random.default_rng(3).standard_normal((2048, 4096), dtype=np.float32)
    path = save_model(model([node("MatMul", ["x", "w"], ["y"])], {"x": ["n", 2048]}, ["y"], constants({"w": weights})), tmp_path / "m.onnx")
    module = programs.compile_model(path, tmp_path / "m.so")
    assert module.stat().st_size < 1.1 * weights.nbytes
    programs.run("hwgq-compile", path, "--to=import", "-o", tmp_path / "m.mlir")
    assert (tmp_path / "m.mlir").stat().st_size > 2 * weights.nbytes


def test_chain_of_several_loops(tmp_path):
    """A chain longer than what becomes one loop."""
    nodes = [node("Add", [f"t{i - 1}" if i else "x", "c"], [f"t{i}" if i < 699 else "y"], name=f"n{i}") for i in range(700)]
    path = save_model(model(nodes, {"x": ["n", 3]}, ["y"], constants({"c": np.float32(0.5)})), tmp_path / "m.onnx")
    module = programs.compile_model(path, tmp_path / "m.so")
    (y,) = programs.run_module(module, {"x": np.array([[1, 2, -3]], np.float32)}, tmp_path / "run")
    assert y.tolist() == [[351, 352, 347]]


def test_text_is_streamed(tmp_path):
    """The text of the import of many constants takes memory for one at a time."""
    weights = {f"w{i}": np.random.default_rng(i).standard_normal((1024, 1024), dtype=np.float32) for i in range(32)}
    nodes = [node("MatMul", ["x" if i == 0 else f"w{i - 1}y", f"w{i}"], [f"w{i}y"]) for i in range(32)]
    path = save_model(model(nodes, {"x": ["n", 1024]}, ["w31y"], constants(weights)), tmp_path / "m.onnx")
    limit = 2 * path.stat().st_size + (64 << 20)
    programs.run("hwgq-compile", path, "--to=import", "-o", tmp_path / "m.mlir", memory=limit)
    assert (tmp_path / "m.mlir").stat().st_size > 2 * path.stat().st_size


def test_phases_one_by_one(tmp_path):
    """Each phase from the text of the one before gives what the compiler dumps for it."""
    dump = tmp_path / "dump"
    programs.compile_model(DIGITS, tmp_path / "m.so", f"--dump-phases-to={dump}", "--dump-constants")
    files = sorted(path.name for path in dump.iterdir())
    assert len(files) == len(PHASES), files
    for phase in PHASES:
        (path,) = [dump / name for name in files if phase in name]
        programs.run("hwgq-opt", path, "-o", tmp_path / "again.mlir")
        assert (tmp_path / "again.mlir").stat().st_size > 100


@pytest.mark.parametrize("phase", PHASES)
def test_evaluation(phase, scores, tmp_path):
    """The reference after each phase: the same bits from `hwgq` on, close before it."""
    images = np.load(IMAGES)[:8]
    (actual,) = programs.evaluate(DIGITS, {"image": images}, tmp_path / phase, phase)
    if phase == "import":
        assert np.allclose(actual, scores[:8], atol=1e-4) and np.array_equal(actual.argmax(1), scores[:8].argmax(1))
    else:
        programs.assert_same_bits([actual], [scores[:8]], phase)


def test_evaluation_of_text(scores, tmp_path):
    text = tmp_path / "hwgq.mlir"
    programs.run("hwgq-compile", DIGITS, "--to=hwgq", "-o", text)
    actual = programs.execute("hwgq-eval", text, {None: np.load(IMAGES)[:4]}, tmp_path / "out")
    programs.assert_same_bits(actual, [scores[:4]])


def test_no_output_twice(tmp_path):
    """Compiling is deterministic: the same file, byte for byte."""
    first = programs.compile_model(DIGITS, tmp_path / "a.so").read_bytes()
    assert programs.compile_model(DIGITS, tmp_path / "b.so").read_bytes() == first


# Emitted files ------------------------------------------------------------------------------


def test_emit_text(tmp_path):
    expected = {"asm": r"hwgq_module", "llvm": r"define ", "mlir": r"llvm\.func|module", "header": r"hwgq_module"}
    for kind, pattern in expected.items():
        output = tmp_path / f"model.{kind}"
        programs.compile_model(DIGITS, output, f"--emit={kind}")
        assert re.search(pattern, output.read_text()), kind


def test_emit_object(tmp_path):
    """No undefined symbols, and one that is visible."""
    programs.compile_model(DIGITS, tmp_path / "model.o", "--emit=obj", "--symbol-prefix=digits")
    nm = subprocess.run(["/usr/lib/llvm-22/bin/llvm-nm", tmp_path / "model.o"], capture_output=True, text=True, check=True)
    symbols = [line.split()[-2:] for line in nm.stdout.splitlines()]
    assert not [name for kind, name in symbols if kind == "U"], nm.stdout
    assert [name for kind, name in symbols if kind.isupper()] == ["digits_hwgq_module"], nm.stdout


def test_emit_library_needs_nothing(digits):
    readelf = subprocess.run(
        ["/usr/lib/llvm-22/bin/llvm-readelf", "-d", digits / "digits.so"], capture_output=True, text=True, check=True
    )
    assert "NEEDED" not in readelf.stdout and "TEXTREL" not in readelf.stdout


def test_emit_executable(scores, tmp_path):
    program = programs.compile_model(DIGITS, tmp_path / "digits", "--emit=exe")
    done = subprocess.run([program, IMAGES, "-o", tmp_path / "out"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    programs.assert_same_bits(programs.outputs_of(tmp_path / "out"), [scores])


def test_aarch64_executable_runs_emulated(scores, tmp_path):
    """A module for AArch64 gives the same bits under emulation."""
    module = programs.compile_model(DIGITS, tmp_path / "m.so", "--target=aarch64")
    actual = programs.run_module(module, {None: np.load(IMAGES)[:16]}, tmp_path / "run", target="aarch64")
    programs.assert_same_bits(actual, [scores[:16]])


# Options ------------------------------------------------------------------------------------


def test_fixed_batch(scores, tmp_path):
    module = programs.compile_model(DIGITS, tmp_path / "m.so", "--batch=3")
    programs.assert_same_bits(programs.run_module(module, {None: np.load(IMAGES)[:3]}, tmp_path / "run"), [scores[:3]])


def test_batch_of_a_file_with_fixed_batch(tmp_path):
    """--batch overrides the file's, the constant of its Reshape included."""
    nodes = [node("Reshape", ["x", "s"], ["r"]), node("Relu", ["r"], name="after")]
    content = model(nodes, {"x": [2, 2, 3]}, constants=[tensor("s", [2, 6], np.int64)])
    path = save_model(content, tmp_path / "m.onnx")
    x = np.arange(-15, 15, dtype=np.float32).reshape(5, 2, 3)
    for batch in ("5", "dynamic"):
        module = programs.compile_model(path, tmp_path / "m.so", f"--batch={batch}")
        (y,) = programs.run_module(module, {None: x}, tmp_path / "run")
        assert np.array_equal(y, np.maximum(x, 0).reshape(5, 6))


def test_preprocessing(digits, tmp_path):
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (5, 8, 8, 1), np.uint8)
    module = programs.compile_model(DIGITS, tmp_path / "m.so", "--input=image:u8,nhwc,scale=255,mean=0.25,std=0.5")
    actual = programs.run_module(module, {"image": pixels}, tmp_path / "run")
    f = np.float32
    x = ((pixels.astype(f) / f(255) - f(0.25)) / f(0.5)).transpose(0, 3, 1, 2)
    expected = programs.run_module(digits / "digits.so", {"image": np.ascontiguousarray(x)}, tmp_path / "plain")
    programs.assert_same_bits(actual, expected)


@pytest.mark.parametrize("form", ["u8,nhwc,scale=255,mean=0.4/0.5/0.6,std=0.2", "u8,nchw,scale=255", "f32,nchw"])
@pytest.mark.parametrize("pad", [0, 1])
def test_preprocessing_is_fused(tmp_path, form, pad):
    """No loop before that of the first layer, and no tensor in front of it."""
    weights = np.random.default_rng(7).standard_normal((8, 3, 3, 3)).astype(np.float32)
    content = model(
        [node("Conv", ["x", "w"], pads=[pad] * 4)],
        {"x": [1, 3, 32, 32]},
        constants=[numpy_helper.from_array(weights, "w")],
    )
    path = save_model(content, tmp_path / "m.onnx")
    loops = programs.run("hwgq-compile", path, f"--input=x:{form}", "--to=loops", "--emit=mlir", "-o", "-").stdout
    rest = loops[loops.index("func.func @main") :]
    # That of the first layer (the result turns to channels first in a single task).
    assert rest.count("scf.forall") == 1
    assert "memref<1x32x32x3xf32>" not in rest
    report = tmp_path / "r.json"
    programs.compile_model(path, tmp_path / "m.so", f"--input=x:{form}", f"--report={report}")
    size = 32 - 2 + 2 * pad
    assert json.loads(report.read_text())["workspace_bytes"] <= 8 * size * size * 4 + 64


def test_bind(tmp_path):
    """An input becomes a constant, a shape among them."""
    nodes = [node("Reshape", ["x", "shape"], ["r"]), node("Mul", ["r", "factor"], name="scale")]
    content = model(nodes, {"x": [2, 6], "factor": [3]})
    content.graph.input.append(onnx.helper.make_tensor_value_info("shape", onnx.TensorProto.INT64, [3]))
    path = save_model(content, tmp_path / "m.onnx")
    np.save(tmp_path / "shape.npy", np.array([2, 2, 3]))
    np.save(tmp_path / "factor.npy", np.array([1, 2, -3], np.float32))
    module = programs.compile_model(
        path, tmp_path / "m.so", f"--bind=shape={tmp_path / 'shape.npy'}", f"--bind=factor={tmp_path / 'factor.npy'}"
    )
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    (y,) = programs.run_module(module, {"x": x}, tmp_path / "run")
    assert np.array_equal(y, x.reshape(2, 2, 3) * np.array([1, 2, -3], np.float32))


def test_remarks(tmp_path):
    result = programs.run("hwgq-compile", DIGITS, "-o", tmp_path / "m.so", "--remarks")
    assert "remark" in result.stderr, result


def test_external_data(tmp_path):
    """Initialisers in files beside the model, each at its own offset."""
    proto = onnx.load(DIGITS)
    onnx.save_model(proto, tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=64)
    assert (tmp_path / "weights.bin").stat().st_size > 100000
    inline = programs.compile_model(DIGITS, tmp_path / "a.so")
    external = programs.compile_model(tmp_path / "m.onnx", tmp_path / "b.so")
    images = np.load(IMAGES)[:3]
    programs.assert_same_bits(
        programs.run_module(external, {None: images}, tmp_path / "b"), programs.run_module(inline, {None: images}, tmp_path / "a")
    )


def test_nodes_in_any_order(tmp_path, scores):
    proto = onnx.load(DIGITS)
    nodes = list(proto.graph.node)
    np.random.default_rng(5).shuffle(nodes)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    module = programs.compile_model(save_model(proto, tmp_path / "m.onnx"), tmp_path / "m.so")
    programs.assert_same_bits(programs.run_module(module, {None: np.load(IMAGES)}, tmp_path / "run"), [scores])


# Arrays -------------------------------------------------------------------------------------


def identity(dtype, path, shape=("n", 4)):
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    x = onnx.helper.make_tensor_value_info("x", kind, shape)
    y = onnx.helper.make_tensor_value_info("y", kind, shape)
    graph = onnx.helper.make_graph([hostile.node("Identity", ["x"])], "g", [x], [y])
    return save_model(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"])
def test_element_types(dtype, tmp_path):
    module = programs.compile_model(identity(dtype, tmp_path / "m.onnx"), tmp_path / "m.so")
    x = np.random.default_rng(1).integers(0, 256, 12 * np.dtype(dtype).itemsize, np.uint8)
    x = (x % 2).astype(bool) if dtype == "?" else x.view(dtype)
    x = x[: x.size // 4 * 4].reshape(-1, 4)
    (y,) = programs.run_module(module, {None: x}, tmp_path / "run")
    assert y.dtype == x.dtype and y.tobytes() == x.tobytes()


def test_scalars_stay_scalars(tmp_path):
    module = programs.compile_model(identity("f4", tmp_path / "m.onnx", ()), tmp_path / "m.so")
    (y,) = programs.run_module(module, {None: np.float32(2.5)}, tmp_path / "run")
    assert y.shape == () and y == np.float32(2.5)


def test_numpy_forms(digits, scores, tmp_path):
    """Versions of the format, Fortran order, and other byte orders: read right, or refused."""
    images = np.load(IMAGES)[:5]

    def go(array, version=None):
        with open(tmp_path / "x.npy", "wb") as file:
            np.lib.format.write_array(file, array, version=version)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        result = programs.run("hwgq-run", digits / "digits.so", tmp_path / "x.npy", "-o", tmp_path / "out", status=None)
        if result.status == 0:
            programs.assert_same_bits(programs.outputs_of(tmp_path / "out"), [scores[:5]])
        else:
            assert "error:" in result.stderr and "x.npy" in result.stderr, result
        return result.status

    for version in ((1, 0), (2, 0), (3, 0)):
        assert go(images, version) == 0, version
    go(np.asfortranarray(np.arange(320, dtype=np.float32).reshape(5, 1, 8, 8)) * 0 + np.asfortranarray(images))
    go(images.astype(">f4"))


def test_special_values(tmp_path):
    """NaN, infinities, denormals and signed zeros pass through float code unharmed."""
    nodes = [node("Relu", ["x"], ["relu"]), node("Neg", ["x"], ["neg"], name="neg"), node("Abs", ["x"], ["abs"], name="abs")]
    path = save_model(model(nodes, {"x": ["n", 8]}, ["relu", "neg", "abs"]), tmp_path / "m.onnx")
    x = np.array([[np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 3.4e38]], np.float32)
    module = programs.compile_model(path, tmp_path / "m.so")
    relu, neg, absolute = programs.run_module(module, {None: x}, tmp_path / "run")
    programs.assert_same_bits([neg, absolute], [-x, np.abs(x)])
    assert np.array_equal(relu, np.maximum(x, 0), equal_nan=True)
    programs.assert_same_bits([relu, neg, absolute], programs.evaluate(path, {None: x}, tmp_path / "eval"))


def test_nan_through_a_quantiser(tmp_path):
    """NaN takes the code that the chain gives: comparisons are false, so the lowest level."""
    layer = onelayer.Layer("matmul", "hwgq")
    content = onelayer.make_model(layer, [onelayer.Branch(layer, "hwgq")])
    path = save_model(content, tmp_path / "m.onnx")
    x = layer.inputs()[:4]
    x[:, ::3] = np.nan
    module = programs.compile_model(path, tmp_path / "m.so")
    zeroed = np.where(np.isnan(x), np.float32(0), x)
    programs.assert_same_bits(
        programs.run_module(module, {None: x}, tmp_path / "nan"), programs.run_module(module, {None: zeroed}, tmp_path / "zero")
    )
