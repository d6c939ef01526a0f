"""Runs the fuzz targets for a short while, from the project's own models and modules.

HWGQ_FUZZ_SECONDS sets how long (default 10, for each). The targets are built with
-DHWGQ_FUZZ=ON, as scripts/test.sh does.
"""

import os
import subprocess

import pytest

import onelayer
import programs

SECONDS = int(os.environ.get("HWGQ_FUZZ_SECONDS", "10"))


def small_models(folder):
    folder.mkdir()
    for net, form, output in (("conv", "hwgq", "round"), ("matmul", "sign_ge", "qdq"), ("pool_bn", "larq", "non_uniform")):
        layer = onelayer.Layer(net, form)
        model = onelayer.make_model(layer, [onelayer.Branch(layer, output)])
        (folder / f"{net}.onnx").write_bytes(model.SerializeToString())
    return folder


def fuzz(target, corpus, tmp_path):
    program = programs.BUILD / "test" / "bin" / target
    if not program.is_file():
        pytest.skip(f"{program} is not built (-DHWGQ_FUZZ=ON)")
    (tmp_path / "found").mkdir()
    done = subprocess.run(
        [program, f"-max_total_time={SECONDS}", "-timeout=20", "-rss_limit_mb=6000", "-seed=1", "-print_final_stats=1",
         "-close_fd_mask=3", f"-artifact_prefix={tmp_path}/", tmp_path / "found", corpus],
        capture_output=True, text=True, timeout=SECONDS + 120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]
    executed = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    assert executed and int(executed[0].split()[-1]) > 100, done.stderr[-2000:]


def test_importer(tmp_path):
    fuzz("fuzz-import", small_models(tmp_path / "models"), tmp_path)


def test_module_reader(tmp_path):
    models = small_models(tmp_path / "models")
    corpus = tmp_path / "modules"
    corpus.mkdir()
    for model in models.iterdir():
        programs.compile_model(model, corpus / f"{model.stem}.so")
    fuzz("fuzz-module", corpus, tmp_path)
