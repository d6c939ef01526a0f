#!/usr/bin/env python3
"""Adds up the JUnit files in a folder and prints `N passed, N failed, N skipped`.

Status 1 when a test failed, or when one of the expected files is missing or unreadable:
a runner that did not get to its end is a failure, not silence.
"""

import os
import pathlib
import sys
import xml.etree.ElementTree as xml


def count(path):
    passed = failed = skipped = 0
    for case in xml.parse(path).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"} or case.get("status") == "fail":
            failed += 1
        elif "skipped" in kinds or case.get("status") in ("notrun", "disabled"):
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main():
    folder = pathlib.Path(sys.argv[1])
    files = sorted(folder.glob("*.xml"))
    total = [0, 0, 0]
    for kind in ("lit", "units", "e2e") + (() if "HWGQ_SANITIZED" in os.environ else ("python",)):
        found = [path for path in files if path.stem.split("-")[0] == kind]
        logs = [path for path in folder.glob(f"{kind}-*.log") if path.with_suffix(".xml") not in found]
        before = sum(total)
        for path in found:
            try:
                total = [a + b for a, b in zip(total, count(path))]
            except xml.ParseError as error:
                print(f"{path}: {error}")
                total[1] += 1
        if sum(total) == before or logs:
            print(f"{kind}: no test ran, or a runner gave no results")
            total[1] += 1
    print("{} passed, {} failed, {} skipped".format(*total))
    sys.exit(1 if total[1] else 0)


if __name__ == "__main__":
    main()
