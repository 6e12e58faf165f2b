"""Ctrl-C between the start of a run and the start of the work on it."""

import signal
from pathlib import Path

import pytest

from stepwell import connect
from stepwell.cli.run_loop import work_until_end
from stepwell.cli.session import Session
from stepwell.cli.signals import Interrupted
from tests.cli.sample_package import sample


def test_it_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # given: a run that was just started, and a signal that came before anybody works on it
    session = Session()
    session.interrupts.append(signal.SIGINT)
    with connect(home=tmp_path, packages=[sample]) as runtime:
        started = runtime.start_run("sample", entrypoint="two", run_id="r")

        # when
        with pytest.raises(Interrupted) as interrupted:
            work_until_end(session, runtime, started.id, None, quiet=True)

        # then: nothing was done
        assert runtime.progress("r").open == runtime.progress("r").total
    assert interrupted.value.exit_code == 130
    assert "run r is interrupted; go on with: " in capsys.readouterr().err
