"""The programs that measure run, check what they time, and print what their readers need. No test looks
at a time: machines differ and are shared."""

import json
import subprocess

import pytest

from programs import BIN, DIGITS, SANITIZED, run

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
    assert "no loop is named x87" in run("hwgq-ceilings", "--loop", "x87", status=1).stderr


def test_one_loop_alone():
    report = json.loads(run("hwgq-ceilings", "--json", "--quick").stdout)
    name = next(c["name"] for c in report["ceilings"] if c["present"])
    alone = json.loads(run("hwgq-ceilings", "--json", "--quick", "--loop", name).stdout)
    assert [c["name"] for c in alone["ceilings"]] == [name]


def test_a_probe_answers_each_line():
    """The widest loops of floats and of tables that the machine has, and that of AMX."""
    present = [c["name"] for c in json.loads(run("hwgq-ceilings", "--json", "--quick").stdout)["ceilings"] if c["present"]]
    answers = subprocess.run([BIN / "hwgq-ceilings", "--probe"], input="\n\n", text=True, capture_output=True, check=True, timeout=60).stdout.splitlines()
    assert len(answers) == 2
    for rates in map(json.loads, answers):
        assert set(rates) <= set(present) and min(rates.values()) > 0
        assert {name.split()[0] for name in rates} >= {"f32", "lookup"}
        assert any("amx" in name for name in rates) == any("amx" in name for name in present)


def test_contexts_cost_little_and_runs_allocate_nothing(tmp_path):
    run("hwgq-compile", DIGITS / "model.onnx", "-o", tmp_path / "digits.so")
    costs = json.loads(run("hwgq-contexts", tmp_path / "digits.so").stdout)
    assert costs["allocations_before"] > 0, "allocations are counted"
    assert costs["allocations"] == 0 and costs["runs"] > 0 and costs["create_ms"] > 0
    assert "usage" in run("hwgq-contexts", status=1).stderr
