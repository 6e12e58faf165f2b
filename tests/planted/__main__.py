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

TABLE = "{:9} {:>7}  {:32} {}"


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

    def tell(*cells: object) -> None:
        print(TABLE.format(*cells), file=sys.stderr if options.json else sys.stdout, flush=True)

    def tell_of(finding: Finding) -> None:
        tell(finding.verdict, f"{finding.seconds:.1f}", finding.name, finding.by)

    tell("", "seconds", "fault", "found by")
    found = plant_all(chosen, max(1, min(options.jobs, len(chosen))), tell_of)
    if options.json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
    good = sum(finding.is_good for finding in found)
    print(f"{good} of {len(chosen)} planted faults were found", file=sys.stderr)
    return 0 if good == len(chosen) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
