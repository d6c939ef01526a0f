"""GPU kernels without a GPU: their bodies run as loops of a CPU module and must give the bits
of a plain NumPy oracle (and of hwgq-eval); their PTX must pass ptxas, where CUDA's compiler
is installed, without spills.
"""

import os
import re
import shutil
import subprocess

import numpy as np
import pytest

import programs
from kernelnets import Program, Window, conv_codes
from kernelchecks import code_conv, code_matmul, random_window

PTXAS = shutil.which("ptxas", path=os.environ.get("PATH", "") + ":/usr/local/cuda/bin")
CHIPS = ["sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120"]


def emulate(tmp_path, program, kernels):
    """Runs the program with its contractions as emulated GPU kernels, of which it has `kernels`."""
    source, gpu, loops, module = (tmp_path / name for name in ("net.mlir", "gpu.mlir", "loops.mlir", "net.so"))
    source.write_text(program.text())
    programs.run("hwgq-opt", source, "-o", gpu, "--hwgq-to-bitpack",
                 "--bitpack-select-kernels=target-features=nvptx", "--convert-bitpack-to-gpu")
    assert gpu.read_text().count("gpu.launch_func") == kernels
    programs.run("hwgq-opt", gpu, "-o", loops, "--gpu-to-loops", "--bitpack-to-loops=target=host")
    programs.run("hwgq-compile", loops, "-o", module)
    inputs = []
    for name, _, values in program.inputs:
        np.save(tmp_path / f"{name[1:]}.npy", values)
        inputs.append(f"{name[1:]}={tmp_path / (name[1:] + '.npy')}")
    programs.run("hwgq-run", module, *inputs, "-o", tmp_path / "out")
    programs.run("hwgq-eval", source, *inputs, "-o", tmp_path / "reference")
    for i, expected in enumerate(program.expected):
        for folder in ("reference", "out"):
            actual = np.load(tmp_path / folder / f"{i}_y{i}.npy")
            assert actual.shape == expected.shape
            differ = actual.view(np.int32) != expected.view(np.int32)
            assert not differ.any(), (
                f"{folder} y{i}: {differ.sum()} of {differ.size} differ, first at {np.argwhere(differ)[0]}: "
                f"{actual[differ][0]!r}, not {expected[differ][0]!r}\n{source}")
    assert any(np.unique(expected).size > 1 for expected in program.expected)
    return source


def assemble(source, chip):
    """The PTX of a program through ptxas: no spills, no stack, in any kernel."""
    ptx = source.with_suffix(f".{chip}.ptx")
    programs.run("hwgq-compile", source, f"--target=nvptx-{chip}", "--emit=ptx", "-o", ptx)
    done = subprocess.run([PTXAS, "-v", f"-arch={chip}", ptx, "-o", os.devnull],
                          capture_output=True, text=True, timeout=programs.TIMEOUT)
    assert done.returncode == 0, done.stderr
    stacks = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", done.stderr)
    assert len(stacks) == ptx.read_text().count(".entry")
    assert set(stacks) == {("0", "0", "0")}, done.stderr


# Output channels around bytes and words; input channels with tails.
CHANNELS = [(1, 1), (64, 8), (65, 9), (100, 64), (128, 65), (3, 130)]


@pytest.mark.parametrize("batch", [1, 3])
def test_bit_conv(tmp_path, batch):
    """1 bit times 1 bit: codes with and without a number 0 on either side."""
    program = Program(1000 + batch)
    rng = program.rng
    for c, k in CHANNELS:
        for a in ("b1", "u1"):
            size = tuple(int(v) for v in rng.integers(3, 9, 2))
            code_conv(program, batch, size, c, k, a, rng.choice(["b1", "b1", "u1"]), random_window(rng, size),
                      out=rng.choice([None, "b1", "u1", "u2", "s2"]))
    emulate(tmp_path, program, 2 * len(CHANNELS))


@pytest.mark.parametrize("seed", range(2))
def test_wide_conv(tmp_path, seed):
    """Codes of several planes, and results whose thresholds are many."""
    program = Program(1100 + seed)
    rng = program.rng
    pairs = [("u2", "b1"), ("s2", "u2, -1, 1"), ("u1, 3, 5", "b1"), ("u2, -3, 2", "s2"), ("u8", "s4"), ("s4", "b1")]
    for a, w in pairs:
        size = tuple(int(v) for v in rng.integers(3, 7, 2))
        c, k = CHANNELS[int(rng.integers(len(CHANNELS)))]
        code_conv(program, 2, size, c, k, a, w, random_window(rng, size), out=rng.choice([None, "u3", "u8", "s4"]))
    emulate(tmp_path, program, len(pairs))


def test_grouped_conv(tmp_path):
    """Groups of whole words and bytes have a GPU kernel, others stay with the CPU."""
    program = Program(1200)
    shapes = [(2, 128, 16), (3, 192, 72), (2, 256, 130), (2, 10, 6), (2, 128, 6)]
    for groups, c, k in shapes:
        code_conv(program, 2, (5, 4), c, k, "b1", "b1", Window((3, 3), pads=(1, 1, 1, 1)), groups, "u2")
    emulate(tmp_path, program, 2)


@pytest.mark.parametrize("rows", [1, 3, 33])
def test_matmul(tmp_path, rows):
    program = Program(1300 + rows)
    shapes = [(1, 1), (64, 10), (100, 64), (784, 100), (2100, 9)]
    for c, k in shapes:
        for a in ("b1", "u1"):
            code_matmul(program, rows, c, k, a, "b1", program.rng.choice([None, "b1", "u2"]))
    emulate(tmp_path, program, 2 * len(shapes))


def test_long_windows(tmp_path):
    """Every row and column class of a padded, strided and dilated window."""
    program = Program(1400)
    for window in (Window((3, 3), pads=(1, 1, 1, 1)), Window((5, 3), (2, 1), (2, 1, 2, 1)),
                   Window((3, 2), (1, 2), (0, 2, 1, 0), (2, 2)), Window((1, 1), (2, 2)), Window((9, 9))):
        code_conv(program, 2, (9, 9), 70, 20, "b1", "b1", window, out="b1")
        code_conv(program, 2, (9, 9), 70, 20, "b1", "b1", window)
    emulate(tmp_path, program, 10)


def test_chain(tmp_path):
    """Kernels that read what others write, halo and tails included."""
    program = Program(1450)
    y, n = program.quantize(*program.input((3, 7, 6, 5)), "b1")
    window = Window((3, 3), pads=(1, 1, 1, 1))
    kinds = (program.code("b1"), program.code("b1"))
    for channels in (70, 9, 13):
        weights = program.weights((channels, 3, 3, n.shape[3]), "b1")
        acc = conv_codes(n, weights[1], window, 1)
        y, n = program.threshold(*program.contraction((y, n), weights, acc, kinds, "i32", window), "b1")
    program.output(y, n, program.code("b1"))
    emulate(tmp_path, program, 3)


@pytest.mark.parametrize("chip", CHIPS)
def test_ptxas(tmp_path, chip):
    if not PTXAS:
        pytest.skip("ptxas (CUDA's compiler) is not installed")
    program = Program(1500)
    for a, w, out in (("b1", "b1", "b1"), ("b1", "b1", None), ("u1", "b1", "u2"), ("u2", "b1", "u2"),
                      ("u2", "u2, -1, 1", "s2")):
        code_conv(program, 2, (7, 7), 128, 72, a, w, Window((3, 3), pads=(1, 1, 1, 1)), out=out)
        code_matmul(program, 2, 300, 20, a, w, out)
    source = tmp_path / "net.mlir"
    source.write_text(program.text())
    assemble(source, chip)
