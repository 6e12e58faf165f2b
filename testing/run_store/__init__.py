"""The conformance suite of run stores. It needs pytest, and knows nothing but the contract.

Subclass it in a test module, and provide how your store is opened::

    class TestMyRunStore(RunStoreSuite):
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda clock: MyRunStore.open(tmp_path / "store", clock=clock)

`open_store(clock)` opens the store with the clock that its leases expire by; called again within a
test, it opens the same data once more. A store whose data lives and dies with one object subclasses
`TransientRunStoreSuite`. Each test gets data of its own.
"""

from __future__ import annotations

from stepwell.testing.run_store.approvals import ApprovalTests
from stepwell.testing.run_store.cancels import CancelRunTests
from stepwell.testing.run_store.claims import ClaimTests, DueTests, OrderTests
from stepwell.testing.run_store.emissions import (
    DedupTests,
    EmissionTests,
    SubtreeTests,
)
from stepwell.testing.run_store.feed import FeedTests, SharedFeedTests, VersionTests
from stepwell.testing.run_store.graph import ConditionTests, CounterTests, RunEndTests
from stepwell.testing.run_store.holds import HoldTests
from stepwell.testing.run_store.late_joins import LateJoinTests
from stepwell.testing.run_store.leases import FencingTests, LeaseTests, SuspectTests
from stepwell.testing.run_store.messages import CommittedMessageTests, SendTests
from stepwell.testing.run_store.operators import RetryRunTests, RetryStepTests
from stepwell.testing.run_store.pauses import PauseTests
from stepwell.testing.run_store.queues import QueueTests, RateTests, WorkerRowTests
from stepwell.testing.run_store.receiving import ReceiveTests
from stepwell.testing.run_store.recoveries import DeadLetterTests, ManySleepersTests
from stepwell.testing.run_store.refusals import RefusedEmissionTests, UnfitOutcomeTests
from stepwell.testing.run_store.repeats import RepeatTests
from stepwell.testing.run_store.runs import RunListTests, RunTests
from stepwell.testing.run_store.settling import (
    ArtifactTests,
    DependencyReadTests,
    EventTests,
    RecordTests,
    RetryTests,
)
from stepwell.testing.run_store.sharing import SharedStoreTests, ThreadTests
from stepwell.testing.run_store.side_by_side import SideBySideTests
from stepwell.testing.run_store.values import KeyValueTests, ValueTests
from stepwell.testing.run_store.waits import WaitTests

__all__ = ["RunStoreSuite", "TransientRunStoreSuite"]


class TransientRunStoreSuite(
    RunTests,
    RunListTests,
    CounterTests,
    ConditionTests,
    RunEndTests,
    ClaimTests,
    OrderTests,
    DueTests,
    LeaseTests,
    SuspectTests,
    FencingTests,
    EmissionTests,
    SubtreeTests,
    DedupTests,
    RepeatTests,
    LateJoinTests,
    RefusedEmissionTests,
    UnfitOutcomeTests,
    RetryTests,
    RecordTests,
    ArtifactTests,
    DependencyReadTests,
    EventTests,
    WaitTests,
    SideBySideTests,
    SendTests,
    ReceiveTests,
    CommittedMessageTests,
    ApprovalTests,
    ValueTests,
    KeyValueTests,
    PauseTests,
    HoldTests,
    DeadLetterTests,
    ManySleepersTests,
    RetryStepTests,
    RetryRunTests,
    CancelRunTests,
    QueueTests,
    RateTests,
    WorkerRowTests,
    FeedTests,
    VersionTests,
    ThreadTests,
):
    """What every `RunStore` must do."""


class RunStoreSuite(TransientRunStoreSuite, SharedStoreTests, SharedFeedTests):
    """… and what one must do whose data outlives the object and is shared between several."""
