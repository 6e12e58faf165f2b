"""The conformance suite of run stores. It needs pytest, and uses only the contract.

Subclass it in a test module, and provide how your store is opened::

    class TestMyRunStore(RunStoreSuite):
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda clock: MyRunStore.open(tmp_path / "store", clock=clock)

`open_store(clock)` opens the store with the clock by which its leases expire; called again within
a test, it opens the same data again. For a store whose data lives only as long as one object,
subclass `TransientRunStoreSuite`. Each test gets its own data.
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
from stepwell.testing.run_store.starts import DedupKeyTests, RunOptionTests, SameRunTests
from stepwell.testing.run_store.time_limits import RunErrorTests, TimeLimitTests
from stepwell.testing.run_store.values import KeyValueTests, ValueTests
from stepwell.testing.run_store.waits import WaitTests

__all__ = ["RunStoreSuite", "TransientRunStoreSuite"]


class TransientRunStoreSuite(
    RunTests,
    RunListTests,
    RunOptionTests,
    SameRunTests,
    DedupKeyTests,
    TimeLimitTests,
    RunErrorTests,
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
    """What a store must do in addition if its data outlives the object and several share it."""
