"""`make demo-postgres`, interrupted: nothing of it stays."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "code_census"


def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path) -> None:
    # given: the demo, with its server and its workers
    demo = subprocess.Popen(
        [sys.executable, str(ROOT / "tools" / "demo_postgres.py"), str(tmp_path / "home")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SAMPLE), "STEPWELL_APP": "code_census:census"},
    )
    with demo:
        assert demo.stdout is not None
        lines = [demo.stdout.readline() for _ in range(5)]
        assert [re.sub(r"postgresql://\S+", "URL", line) for line in lines if line[0] == "$"] == [
            "$ stepwell --store URL db upgrade\n",
            "$ stepwell --store URL worker    # 1 of 2\n",
            "$ stepwell --store URL worker    # 2 of 2\n",
            "$ stepwell --store URL start code_census\n",
        ]
        (folder,) = {found for line in lines for found in re.findall(r"host=([^\s:]+)", line)}

        # when: somebody presses Ctrl-C
        demo.send_signal(signal.SIGINT)
        _, errors = demo.communicate(timeout=60)

    # then: it says so, and neither server nor store are there
    assert demo.returncode == 130
    assert errors.endswith("stopped; the server and its store are gone\n")
    assert "Traceback" not in errors
    assert not Path(folder).exists()
    assert folder not in subprocess.check_output(["ps", "-A", "-o", "args"], text=True)
