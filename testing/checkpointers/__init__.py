"""The conformance suite of checkpointers. It needs pytest.

Subclass it in a test module, and say how the checkpointer is opened::

    class TestMyCheckpointer(CheckpointerSuite):
        @pytest.fixture
        def open_checkpointer(self, tmp_path):
            return partial(MyCheckpointer, tmp_path)

Each test starts without any checkpoint. Called again, `open_checkpointer` returns another object
over the same checkpoints, or the same object. Tests of `atomic_update` and `record` are skipped if
the checkpointer has no such method.

For a checkpointer that other processes can reach, subclass `SharedCheckpointerSuite`; its
`open_checkpointer` must be picklable, because it is called in other processes as well.
"""

from stepwell.testing.checkpointers.atomic import AtomicTests
from stepwell.testing.checkpointers.case import OpenCheckpointer
from stepwell.testing.checkpointers.fencing import FenceTests
from stepwell.testing.checkpointers.journal import JournalTests
from stepwell.testing.checkpointers.keeping import IdTests, KeepingTests
from stepwell.testing.checkpointers.pausing import PauseTests
from stepwell.testing.checkpointers.refusing import RefusalTests
from stepwell.testing.checkpointers.sharing import SharedTests
from stepwell.testing.checkpointers.versions import VersionTests

__all__ = ["CheckpointerSuite", "OpenCheckpointer", "SharedCheckpointerSuite"]


class CheckpointerSuite(
    KeepingTests,
    IdTests,
    RefusalTests,
    VersionTests,
    AtomicTests,
    JournalTests,
    FenceTests,
    PauseTests,
):
    """What every `Checkpointer` must do; the contract has the rules."""


class SharedCheckpointerSuite(CheckpointerSuite, SharedTests):
    """What a checkpointer must do in addition if other processes can reach its checkpoints."""
