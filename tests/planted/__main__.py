"""`make mutants`: plants each fault in a copy of the tree; exits 1 unless the tests find all."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from fnmatch import fnmatch

from tests.planted.faults import faults
from tests.planted.planting import Finding, plant_all


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="only faults whose names match; all without")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trees at a time")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    options = parser.parse_args()
    wanted = [f"*{name}*" for name in options.names] or ["*"]
    chosen = [fault for fault in faults() if any(fnmatch(fault.name, name) for name in wanted)]
    if not chosen:
        parser.error("no planted fault has such a name")

    def tell(finding: Finding) -> None:
        line = f"{finding.verdict:9}{finding.seconds:6.1f} s  {finding.name:34} {finding.by}\n"
        (sys.stderr if options.json else sys.stdout).write(line)
        sys.stdout.flush()

    found = plant_all(chosen, max(1, min(options.jobs, len(chosen))), tell)
    if options.json:
        sys.stdout.write(json.dumps([asdict(finding) for finding in found], indent=2) + "\n")
    good = sum(finding.is_good for finding in found)
    sys.stderr.write(f"{good} of {len(chosen)} planted faults were found\n")
    return 0 if good == len(chosen) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
