"""What all end-to-end tests share: the programs must be built, and the head of the report
says which parts of the outside world are there."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import programs  # noqa: E402


def pytest_report_header(config):
    lines = [f"programs: {programs.BIN}"]
    if programs.MODELS.is_dir():
        lines.append(f"models: {programs.MODELS}")
    else:
        lines.append(f"models: {programs.MODELS} is absent; the tests of public models are skipped")
    lines.append("full products" if programs.EXHAUSTIVE else "products in pairs (HWGQ_TEST_ALL=1 takes all)")
    return lines


@pytest.fixture(scope="session", autouse=True)
def built_programs():
    for name in ("hwgq-compile", "hwgq-run", "hwgq-eval", "hwgq-opt"):
        if not (programs.BIN / name).is_file():
            pytest.exit(f"{programs.BIN / name} is missing: build first", returncode=2)


def pytest_addoption(parser):
    parser.addoption("--shard", default="0/1", metavar="I/N", help="only every N-th test, from the I-th")


def pytest_collection_modifyitems(config, items):
    index, count = map(int, config.getoption("--shard").split("/"))
    kept = [item for number, item in enumerate(items) if number % count == index]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept
