"""Kernels made of one target's instructions: each emulated, and natively where this machine has them."""

import platform
import sys

import numpy as np
import pytest

import programs
from kernelchecks import OUTPUTS, can_run, check_forced, check_variants, code_conv, code_matmul, conv_of, random_window
from kernelnets import CODES, Program, Window, conv_floats, dense

sys.path.insert(0, str(programs.ROOT / "benchmarks"))

import inner_loops  # noqa: E402

# Targets whose instructions differ, with the kernels that use them.
VARIANTS = {
    "dot8-amx": ["sapphirerapids"],
    "dot8": ["x86-64-v2", "x86-64-v3", "alderlake", "x86-64-v4", "icelake-server",
             "aarch64", "aarch64+dotprod", "aarch64+dotprod+i8mm"],
}


@pytest.mark.parametrize("kernel, seed", [(kernel, seed) for kernel in VARIANTS for seed in range(4)])
def test_dot8(tmp_path, kernel, seed):
    """Products of bytes: pixels of 4 to 192 bytes, tiles of AMX and their neighbours, all codes."""
    program = Program(700 + seed)
    rng = program.rng
    weights = list(CODES)
    batch = int(rng.choice([1, 2, 15, 16, 17, 33])) if seed == 3 else 2
    for _ in range(12 if programs.EXHAUSTIVE else 4):
        a, w = rng.choice(list(CODES)), rng.choice(weights)
        c, k = int(rng.choice([1, 3, 4, 8, 16, 20, 31, 32, 33, 64, 65, 128, 200])), int(rng.choice(OUTPUTS))
        out = rng.choice([None, "b1", "u2", "s4", "u8"])
        if seed == 3 or rng.random() < 0.2:
            code_matmul(program, batch, c, k, a, w, out)
            continue
        size = tuple(int(v) for v in rng.integers(3, 18, 2))
        groups = int(rng.choice([1, 1, 1, 2, 3]))
        if groups > 1:
            c, k = groups * int(rng.choice([4, 12, 64])), 16 * groups * int(rng.choice([1, 2, 3]))
        same = Window((3, 3), (1, 1), (1, 1, 1, 1))
        code_conv(program, batch, size, c, k, a, w, same if rng.random() < 0.4 else random_window(rng, size), groups, out)
    if seed == 0:  # one block of tiles: bits are expanded beside the products
        code_conv(program, batch, (7, 7), 64, 130, "u2", "b1", Window((3, 3), (1, 1), (1, 1, 1, 1)), out="u2")
        code_conv(program, batch, (4, 4), 64, 32, "s4", "u1, 3, 5", Window((1, 3), (1, 1), (0, 1, 0, 1), (1, 2)))
    if seed == 1:  # 1x1: strips, each of all channels; planes, so rows without borders; rows of whole and part tiles
        code_conv(program, batch, (24, 28), 96, 600, "u2", "b1", Window((1, 1), (1, 1), (0, 0, 0, 0)), out="u2")
        code_conv(program, batch, (9, 35), 64, 80, "u2", "b1", Window((1, 1), (2, 2), (0, 0, 0, 0)), out="b1")
        code_conv(program, batch, (7, 5), 64, 48, "s4", "s4", Window((1, 1), (1, 1), (0, 0, 0, 0)))
    if seed == 2:  # numbers that no byte holds: sums of windows
        code_conv(program, batch, (9, 6), 48, 32, "u8", "u8, -255, 2", Window((3, 3), (1, 2), (1, 1, 1, 1)), 2, "u8")
        code_conv(program, batch, (5, 4), 70, 20, "s8", "u8, -255, 2", Window((3, 2), (1, 1), (1, 0, 2, 1), (2, 1)))
        code_matmul(program, batch, 67, 21, "u4, -15, 2", "u8")
    targets = VARIANTS[kernel]
    count = len(targets) if programs.EXHAUSTIVE else 2
    check_variants(tmp_path, program, kernel, [targets[(2 * seed + i) % len(targets)] for i in range(min(count, len(targets)))])


LOOKUP_TARGETS = ["icelake-server", "x86-64-v4", "x86-64-v3", "x86-64-v2", "aarch64"]


@pytest.mark.parametrize("target", LOOKUP_TARGETS)
def test_lookup(tmp_path, target):
    """Tables of all shuffles: rests of tiles and words, several strips, and sums that need 8, 16 and 32 bits."""
    program = Program(1000 + LOOKUP_TARGETS.index(target))
    same = Window((3, 3), pads=(1, 1, 1, 1))
    code_conv(program, 2, (3, 57), 64, 64, "u2", "b1", same, out="u2")
    code_conv(program, 2, (9, 8), 130, 70, "b1", "b1", same, out="b1")
    code_conv(program, 2, (3, 57), 64, 64, "u1", "b1", same)  # pairs of pixels, the last strip a part
    code_conv(program, 2, (5, 7), 65, 20, "b1", "u2, -1, 1", Window((3, 3), (2, 1), (1, 1, 1, 1)))
    code_conv(program, 2, (5, 13), 65, 9, "u3", "u2, -1, 1", Window((3, 3), (2, 2), (1, 0, 1, 1)), out="s2")
    code_conv(program, 2, (7, 6), 3, 33, "s2", "s2", Window((2, 3), dilations=(2, 2)))
    code_conv(program, 2, (8, 7), 70, 40, "u2, -1, 1", "b1", Window((1, 1), (2, 2)), out="u2")
    code_conv(program, 2, (6, 12), 64, 16, "u4, -15, 2", "b1", Window((5, 5), pads=(2, 2, 2, 2)), out="u2")
    code_conv(program, 2, (12, 13), 20, 8, "u1", "b1", Window((7, 11), (1, 2), (3, 5, 3, 5)))
    code_conv(program, 2, (4, 9), 128, 128, "u2", "b1", same, groups=2, out="u2")
    check_forced(tmp_path, program, "lookup", target)


@pytest.mark.parametrize("rows", [1, 17])
def test_lookup_matmul(tmp_path, rows):
    program = Program(1050 + rows)
    code_matmul(program, rows, 200, 100, "u2", "b1", "u2")
    code_matmul(program, rows, 100, 10, "b1", "s4")
    code_matmul(program, rows, 64, 64, "u2", "b1", "b1")
    code_matmul(program, rows, 64 * 70, 9, "u4, -15, 2", "b1")
    code_matmul(program, rows, 40, 130, "u1", "b1", "u2")
    code_matmul(program, rows, 70000, 8, "u2", "b1")  # more addresses of rows than the stack has room for
    check_forced(tmp_path, program, "lookup", "host")


@pytest.mark.parametrize("target", LOOKUP_TARGETS)
def test_lookup_one_by_one(tmp_path, target):
    """Tables in registers: shared by 1 to 4 registers of channels, the last of them a part or padding; groups, planes
    of weights, sums of all widths."""
    program = Program(1060 + LOOKUP_TARGETS.index(target))
    code_conv(program, 2, (5, 7), 200, 300, "u2", "b1", Window((1, 1)), out="u2")
    code_conv(program, 2, (3, 23), 70, 64, "b1", "u2, -1, 1", Window((1, 1), pads=(1, 1, 1, 1)), out="b1")
    code_conv(program, 2, (9, 8), 33, 140, "u3", "u2, -3, 2", Window((1, 1), (2, 3)), out="s2")
    code_conv(program, 2, (4, 5), 256, 384, "u2", "b1", Window((1, 1)), groups=2, out="u2")
    code_conv(program, 2, (1, 2), 64 * 70, 30, "u4, -15, 2", "b1", Window((1, 1)))
    check_forced(tmp_path, program, "lookup", target)


def test_lookup_tasks(tmp_path):
    """Layers of several tasks, of rows and of channels, which images share."""
    program = Program(1070)
    same = Window((3, 3), pads=(1, 1, 1, 1))
    code_conv(program, 3, (7, 7), 256, 256, "u2", "b1", same, out="u2")
    code_conv(program, 3, (26, 30), 64, 64, "u2", "b1", same, out="u2")
    code_conv(program, 3, (26, 28), 64, 128, "b1", "b1", Window((3, 3), (2, 2), (1, 1, 1, 1)))
    check_forced(tmp_path, program, "lookup", "host")


def test_long_lookup(tmp_path):
    """More lookups than 16-bit sums hold, within a filter row and over rows."""
    program = Program(1100)
    code_conv(program, 1, (3, 3), 64 * 33, 8, "u4, -15, 2", "u2, -1, 1", Window((3, 3), pads=(1, 1, 1, 1)))
    check_forced(tmp_path, program, "lookup", "host")


LONG = "sve-default-vector-length=256"  # bytes, the longest there are: longer than any block
# Targets of AArch64 with the kernel that uses them, and processors that qemu takes for them.
ARM = [("dot8", "aarch64", "max"), ("dot8", "aarch64+dotprod", "max"), ("dot8", "aarch64+i8mm", "max"),
       ("popcount", "aarch64+sve", "max,sve256=on"), ("popcount", "aarch64+sve", f"max,sve2048=on,{LONG}")]
if programs.EXHAUSTIVE:
    ARM += [("popcount", "aarch64", "max"), ("popcount", "aarch64+sve", "max,sve128=on"),
            ("popcount", "aarch64+sve", "max,sve512=on"),
            ("popcount", "a64fx", "a64fx"), ("dot8", "neoverse-v1", "max,sve256=on"),
            ("dot8", "neoverse-n1", "neoverse-n1")]


@pytest.mark.parametrize("kernel, target, cpu", ARM)
def test_arm(tmp_path, kernel, target, cpu):
    """Rests of tiles, single and odd pixels, places that are no whole step, under qemu as this processor."""
    program = Program(740)
    same = Window((3, 3), pads=(1, 1, 1, 1))
    code_conv(program, 3, (3, 7), 70, 33, "u2", "b1", same, out="u2")
    code_conv(program, 3, (4, 5), 8, 16, "u8", "s8", Window((2, 3), (1, 2), (0, 1, 1, 0)))
    code_conv(program, 3, (3, 13), 3, 9, "u4, -15, 2", "u2, -1, 1", Window((3, 2), pads=(1, 0, 1, 1)), out="b1")
    code_conv(program, 3, (5, 6), 3, 8, "s2", "s2", Window((3, 3), dilations=(1, 2)), out="s4")
    code_conv(program, 3, (3, 5), 128, 64, "u1", "b1", same, groups=2, out="u2")
    code_conv(program, 3, (2, 4), 128, 16, "s2", "s4", Window((1, 3), dilations=(1, 1)), groups=2)
    code_conv(program, 3, (3, 4), 32, 32, "u2", "b1", same, groups=8, out="u2")
    code_conv(program, 3, (3, 4), 9, 18, "s2", "u2, -3, 2", same, groups=3)
    code_matmul(program, 3, 200, 10, "u2", "b1")
    code_matmul(program, 3, 64 * 33, 17, "u8", "s8", "u2")
    source, module = tmp_path / "net.mlir", tmp_path / "net.so"
    source.write_text(program.text())
    programs.run("hwgq-compile", source, "-o", module, f"--target={target}", f"--kernel={kernel}")
    inputs = {name[1:]: values for name, _, values in program.inputs}
    actual = programs.run_module(module, inputs, tmp_path / "out", target="aarch64", cpu=cpu)
    programs.assert_same_bits(actual, program.expected, f"{target} {kernel} of {source}")
    programs.KERNELS_RUN["natively"] += 1


@pytest.mark.parametrize("kernel, target", [("popcount", "host"), ("popcount", "x86-64-v3"), ("lookup", "host"), ("lookup", "x86-64-v3")])
def test_groups_within_words(tmp_path, kernel, target):
    """Groups of channels that begin within words, with borders and rows of several images."""
    program = Program(640)
    code_conv(program, 2, (9, 7), 96, 128, "u2", "b1", Window((5, 5), pads=(2, 2, 2, 2)), 2, "u2")
    code_conv(program, 2, (6, 5), 3 * 70, 3 * 64, "s2", "b1", Window((3, 2), (2, 1), (1, 0, 2, 1)), 3)
    code_conv(program, 2, (4, 4), 4 * 33, 4 * 64, "b1", "u2, -3, 2", Window((3, 3), pads=(1, 1, 1, 1)), 4, "b1")
    code_conv(program, 2, (5, 3), 2 * 130, 2 * 64, "u3", "b1", Window((1, 1)), 2, "u3")
    check_forced(tmp_path, program, kernel, target)


@pytest.mark.parametrize("kernel", ["auto", "lookup", "popcount", "dot8"])
def test_stack(tmp_path, kernel):
    """Tasks keep within the stack that hwgq_run promises, on threads of their own, too."""
    program = Program(1300)
    code_conv(program, 1, (7, 9), 512, 128, "u2", "b1", Window((3, 3), pads=(1, 1, 1, 1)), out="u2")
    code_conv(program, 1, (3, 90), 128, 64, "u3", "b1", Window((3, 3), pads=(1, 1, 1, 1)), out="u2")
    source = tmp_path / "net.mlir"
    source.write_text(program.text())
    module = tmp_path / "net.so"
    programs.run("hwgq-compile", source, "-o", module, f"--kernel={kernel}")
    inputs = {name[1:]: values for name, _, values in program.inputs}
    limited = ("bash", "-c", 'ulimit -s 384 && exec "$@"', "bash")
    actual = programs.run_module(module, inputs, tmp_path / "out", "--threads=2", prefix=limited)
    programs.assert_same_bits(actual, program.expected, kernel)


@pytest.mark.parametrize("target", ["host", "x86-64-v3"])
def test_joined_tasks(tmp_path, target):
    """Tasks that are one where a thread takes several: of rows, of rows and halves of the channels, of groups, of several images."""
    if not can_run(target):
        pytest.skip(f"this machine is no {target}")
    program = Program(1310)
    pads = (1, 1, 1, 1)
    code_conv(program, 3, (33, 9), 128, 64, "u2", "b1", Window((3, 3), pads=pads), out="u2")
    code_conv(program, 3, (7, 7), 256, 512, "u2", "b1", Window((3, 3), pads=pads))
    code_conv(program, 3, (7, 7), 512, 520, "b1", "b1", Window((3, 3), pads=pads), out="b1")
    code_conv(program, 3, (21, 11), 256, 192, "u2", "b1", Window((5, 3), (2, 1), (2, 1, 2, 1)), 2, "u2")
    source, module = tmp_path / "net.mlir", tmp_path / "net.so"
    source.write_text(program.text())
    programs.run("hwgq-compile", source, "-o", module, f"--target={target}", "--kernel=lookup")
    inputs = {name[1:]: values for name, _, values in program.inputs}
    for threads in (1, 2, 3, 5):
        actual = programs.run_module(module, inputs, tmp_path / f"out{threads}", f"--threads={threads}")
        programs.assert_same_bits(actual, program.expected, f"{threads} threads")


@pytest.mark.parametrize("a", ["u1", "b1", "u2", "s2", "u2, -3, 2"])
@pytest.mark.parametrize("share", [0, 0.6, 1])
def test_sparse_popcount(tmp_path, a, share):
    """One output position that reads many weights of one bit: a share of the inputs has the code 0, the others any."""
    program = Program(1320)
    same = Window((3, 3), pads=(1, 1, 1, 1))
    for size, c, k, window, out in [(None, 4100, 520, None, None), (None, 1030, 2100, None, "u2"),
                                    ((3, 3), 130, 1800, Window((3, 3)), "b1"), ((1, 1), 1100, 2050, same, None)]:
        name, x = program.input((1, *(size or ()), c))
        least = x.min()
        x[program.rng.random(x.shape) < share] = least
        codes = program.quantize(name, x, a)
        if window:
            y = conv_of(program, codes, k, a, "b1", window)
        else:
            weights = program.weights((k, c), "b1")
            acc = codes[1] @ weights[1].T
            y = program.contraction(codes, weights, acc, (program.code(a), program.code("b1")), "i32")
        if out:
            program.output(*program.threshold(*y, out), program.code(out))
        else:
            program.output(*y, "i32")
    source = tmp_path / "net.mlir"
    source.write_text(program.text().replace("<?x", "<1x"))
    programs.run("hwgq-compile", source, "-o", tmp_path / "loops.mlir", "--to=loops", "--kernel=popcount")
    assert (tmp_path / "loops.mlir").read_text().count("math.cttz") == 4, "which lists the inputs of a code"
    inputs = {name[1:]: values for name, _, values in program.inputs}
    targets = ["host", "x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64"]
    for target in filter(can_run, targets if programs.EXHAUSTIVE or (a, share) == ("u2", 0.6) else targets[:1]):
        module = tmp_path / f"{target}.so"
        programs.run("hwgq-compile", source, "-o", module, f"--target={target}", "--kernel=popcount")
        for threads in (1, 3):
            actual = programs.run_module(module, inputs, tmp_path / f"{target}{threads}", f"--threads={threads}", target=target)
            programs.assert_same_bits(actual, program.expected, f"{target}, {threads} threads")


@pytest.mark.parametrize("rows", [1, 2, 33])
@pytest.mark.parametrize("batch", ["dynamic", "fixed"])
def test_inputs_of_zero(tmp_path, rows, batch):
    """One row of a wide float product leaves out its zeros: not where the sign of a zero, an infinity or a NaN would tell."""
    program = Program(590)
    special = {"none": [], "infinite": [np.nan, np.inf, -np.inf], "tiny": [1e-44, -1e-44, 1e-40, 1e-17]}
    for inputs, weights in [("none", "none"), ("infinite", "none"), ("tiny", "none"), ("none", "infinite"), ("none", "tiny"),
                            ("none", "zeros"), ("zeros", "none"), ("tiny", "zeros"),
                            ("one", "none")]:
        name, x = program.input((rows, 1100))
        x[program.rng.random(x.shape) < 0.5] = 0
        x[program.rng.random(x.shape) < 0.1] *= -0.0
        if inputs == "zeros":
            x *= 0
        if special.get(inputs):
            x[:, 500:] = program.rng.choice(np.array([0.0, -0.0, *special[inputs]], np.float32), (rows, 600))
        if inputs == "tiny":
            x[:, :500] = 0
        if inputs == "one":
            x[:], x[:, 77] = 0, 1e-44
        w = program.rng.standard_normal((72, 1100)).astype(np.float32)
        w[:, ::7] *= 0 if weights == "zeros" else 2.0 ** -20
        if special.get(weights):
            w[:60, 3::50] = program.rng.choice(special[weights], (60, 22))
            x[:, 3::50] *= rows != 1 or weights != "infinite"
        constant = program.name()
        program.lines.append(f"{constant} = arith.constant {dense(w, 'f32')}")
        y = conv_floats(x[:, None, None], w[:, None, None], Window((1, 1)), 1)[:, 0, 0]
        program.output(*program.contraction((name, x), (constant, w), y, ("f32", "f32"), "f32"), "f32")
    source = tmp_path / "net.mlir"
    source.write_text(program.text().replace("?x", f"{rows}x" if batch == "fixed" else "?x"))
    inputs = {name[1:]: values for name, _, values in program.inputs}
    for target in filter(can_run, ["host", "x86-64-v3", "x86-64-v2", "aarch64"][:4 if programs.EXHAUSTIVE or rows == 1 else 2]):
        module = tmp_path / f"{target}.so"
        programs.run("hwgq-compile", source, "-o", module, f"--target={target}")
        for threads in (1, 2):
            actual = programs.run_module(module, inputs, tmp_path / f"{target}{threads}", f"--threads={threads}", target=target)
            programs.assert_same_bits(actual, program.expected, f"{target} of {source}")


# The instruction that computes, how many an inner loop has, and the most that there may be in all.
LOOPS = [("aarch64", "popcount", "cnt", 8, 34), ("aarch64+sve", "popcount", "cnt", 16, 70),
         ("aarch64+dotprod", "dot8", "sdot", 24, 48), ("aarch64+i8mm", "dot8", "usmmla", 24, 45)]


@pytest.mark.parametrize("target, kernel, instruction, least, most", LOOPS)
def test_arm_loops(tmp_path, target, kernel, instruction, least, most):
    """Instructions of the inner loop, which docs/Performance.md states: no machine at hand would tell of more."""
    program = Program(742)
    code_conv(program, 1, (6, 6), 64, 64, "u2", "b1", Window((3, 3), pads=(1, 1, 1, 1)), out="u2")
    source = tmp_path / "net.mlir"
    source.write_text(program.text())
    programs.run("hwgq-compile", source, "-o", tmp_path / "net.s", f"--target={target}", f"--kernel={kernel}", "--emit=asm")
    body = inner_loops.innermost((tmp_path / "net.s").read_text(), instruction)
    assert inner_loops.counts(body)[instruction] == least and len(body) <= most, body


@pytest.mark.parametrize("target, codes, kernel", [
    ("aarch64", "u1", "lookup"), ("aarch64", "u2", "lookup"), ("neoverse-v2", "u1", "lookup"),
    ("neoverse-v1", "u1", "popcount"), ("neoverse-v1", "u2", "dot8"), ("a64fx", "u2", "popcount"),
    ("apple-m1", "u2", "lookup"), ("cortex-a76", "u8", "dot8")])
def test_arm_choice(tmp_path, target, codes, kernel):
    """The kernel that the counts of instructions and the scheduling models speak for; SVE where it is longer than NEON."""
    program = Program(743)
    code_conv(program, 1, (6, 6), 64, 64, codes, "b1", Window((3, 3), pads=(1, 1, 1, 1)), out="u2")
    source, report = tmp_path / "net.mlir", tmp_path / "report.json"
    source.write_text(program.text())
    programs.run("hwgq-compile", source, "-o", tmp_path / "net.so", f"--target={target}", f"--report={report}")
    report = programs.read_json(report)
    assert [layer["kernel"] for layer in report["layers"]] == [kernel]
    assert ("sve" in report["features"]) == (target in ("neoverse-v1", "a64fx"))


def test_arm_lacks_sve(tmp_path):
    """Scalable code is refused where a machine has no such registers, by reading the module."""
    program = Program(741)
    code_matmul(program, 1, 64, 8, "u2", "b1")
    source, module = tmp_path / "net.mlir", tmp_path / "net.so"
    source.write_text(program.text())
    programs.run("hwgq-compile", source, "-o", module, "--target=aarch64+sve", "--kernel=popcount")
    if platform.machine() != "aarch64":
        result = programs.run(programs.AARCH64_RUN, module, "--random", status=1,
                              prefix=("qemu-aarch64", "-cpu", "neoverse-n1", "-L", programs.AARCH64_ROOT))
        assert "needs sve, this CPU lacks it" in result.stderr


@pytest.mark.parametrize("kernel, target", [("popcount", "host"), ("popcount", "x86-64-v3"), ("lookup", "host"), ("lookup", "x86-64-v3"),
                                            ("dot8", "x86-64-v3"), ("dot8", "icelake-server"), ("dot8-amx", "sapphirerapids")])
def test_joined_groups(tmp_path, kernel, target):
    """Groups narrower than the kernel's, on all kinds of weights that have a 0 or get one."""
    program = Program(660)
    same = Window((3, 3), pads=(1, 1, 1, 1))
    code_conv(program, 2, (9, 7), 128, 128, "u2", "b1", same, 32, "u2")
    code_conv(program, 2, (6, 5), 30, 10, "s2", "u1, 3, 5", Window((3, 2), (2, 1), (1, 0, 2, 1)), 5)
    code_conv(program, 2, (4, 4), 72, 144, "u2, -1, 1", "u4, -15, 2", same, 72, "b1")
    code_conv(program, 2, (5, 3), 36, 24, "b1", "u2, -3, 2", Window((2, 3), dilations=(1, 1)), 6, "u3")
    if kernel in VARIANTS:
        check_variants(tmp_path, program, kernel, [target])
    else:
        check_forced(tmp_path, program, kernel, target)


@pytest.mark.parametrize("kernel, target", [("generic", "x86-64-v3"), ("popcount", "host"), ("popcount", "x86-64-v2"), ("popcount", "aarch64"),
                                            ("lookup", "host"), ("lookup", "x86-64-v3"), ("dot8", "x86-64-v3"), ("dot8", "icelake-server"),
                                            ("dot8-amx", "sapphirerapids")])
def test_shared_sides(tmp_path, kernel, target):
    """Rows that share their borders: one image a window, one image that all windows read, and results in between."""
    program = Program(680)
    windows = [Window((3, 3), pads=(1, 1, 1, 1)), Window((5, 4), pads=(2, 2, 1, 1)), Window((3, 3), pads=(0, 1, 0, 1)),
               Window((3, 2), (2, 1), (1, 1, 2, 1)), Window((2, 3), (1, 2), (0, 1, 1, 2), (1, 2)),
               Window((3, 3), pads=(2, 2, 2, 2)),  # no output between the rows
               Window((1, 1), pads=(0, 2, 1, 1)), Window((1, 2), pads=(1, 2, 0, 2))]  # more outputs than a row has pixels
    a, w = ("u2", "b1") if kernel == "lookup" else ("s2", "u2, -1, 1")
    for window in windows:
        code_conv(program, 2, (13, 13), 33, 17, a, w, window, out="u2")
    image = program.quantize(*program.input((2, 9, 6, 64)), "b1")
    for window in windows:
        program.output(*conv_of(program, image, 20, "b1", "b1", window), "i32")
    chain = program.quantize(*program.input((2, 7, 7, 40)), "u1")
    for window in windows[:3]:
        chain = program.threshold(*conv_of(program, chain, 70, "u1", "b1", window), "u1")
    program.output(*chain, program.code("u1"))
    if kernel in VARIANTS:
        check_variants(tmp_path, program, kernel, [target])
    else:
        check_forced(tmp_path, program, kernel, target)
    text = programs.run("hwgq-compile", tmp_path / "net.mlir", "--to=bitpack", "-o", "/dev/stdout").stdout
    assert "halo = [2, 2, 3, 0]" in text and "halo = [1, 1, 2, 0]" in text
