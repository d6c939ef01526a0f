"""The benchmarks run, check what they time, and print what their readers need. No test looks
at a time: machines differ and are shared."""

import json
import subprocess
import sys

import pytest

from programs import BIN, BUILD, ROOT, SANITIZED, run

pytestmark = pytest.mark.skipif(SANITIZED, reason="sanitizers time nothing that matters")


@pytest.fixture(autouse=True)
def built():
    assert (BIN / "hwgq-ceilings").is_file(), "hwgq-ceilings is missing: build with HWGQ_BENCHMARKS=ON"


def test_ceilings_as_table_and_json():
    """Each loop is checked against a scalar loop before it is timed; a wrong one ends in 1."""
    report = json.loads(run("hwgq-ceilings", "--json", "--quick").stdout)
    assert report["unit"] == "1e9 MAC/s" and report["threads"] == 1
    names = [c["name"] for c in report["ceilings"]]
    assert any(n.startswith("popcount") for n in names) and any(n.startswith("f32 fma") for n in names)
    present = [c for c in report["ceilings"] if c["present"]]
    assert present and all(c["best"] >= c["median"] > 0 for c in present)
    table = run("hwgq-ceilings", "--quick").stdout
    for ceiling in report["ceilings"]:
        line = next(l for l in table.splitlines() if l.startswith(ceiling["name"] + " "))
        assert ("absent" in line) == (not ceiling["present"])


def test_ceilings_refuse_unknown_options():
    assert "usage" in run("hwgq-ceilings", "--nonsense", status=1).stderr


@pytest.mark.parametrize("target", ["host", "x86-64-v3"])
def test_layers(target, tmp_path):
    out = tmp_path / "layers.json"
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "layers.py", f"--build={BUILD}", f"--target={target}",
         "--channels", "512", "--seconds=0.02", f"--json={out}"],
        capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    assert [row["form"] for row in report["layers"]] == ["1w1a", "1w2a"]
    assert report["popcount_ceiling"]["rate"] > 0
    assert len(done.stdout.splitlines()) == 2 + len(report["layers"])
    for row in report["layers"]:
        assert (row["channels"], row["size"]) == (512, 7)
        for engine in ("hwgq", "ort_f32", "ort_int8"):
            assert row[engine]["one"]["median_ms"] > 0
