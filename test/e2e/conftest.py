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


def pytest_terminal_summary(terminalreporter):
    counts = programs.KERNELS_RUN
    if any(counts.values()):
        terminalreporter.write_line("kernels of other targets run: " +
                                    ", ".join(f"{count} {how}" for how, count in counts.items()))
