"""Runs that wait: what `show` says of them, and what gets them going again."""

from __future__ import annotations

import getpass
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from stepwell.engine.clock import SystemClock, VirtualClock, to_datetime
from stepwell.engine.exchange import ClaimRequest, PoolRequest
from stepwell.stores import opening
from stepwell.testing.builders import new_run, new_step
from tests.cli.conftest import WAITING, CommandLine


def status_of(cli: CommandLine, step: str) -> str:
    return str(cli.json("show", "r", step)["step"]["status"])


# --- messages ---------------------------------------------------------------------------------


def test_a_message_wakes_the_step_that_waits_for_it(cli: CommandLine) -> None:
    cli.waiting(topics={"a": "go"})
    assert status_of(cli, "a") == "waiting"

    result = cli("send", "r", "go", '{"n": 1}')

    assert (result.stdout, result.stderr) == ("", "step a was waiting for it\n")
    cli.work()
    assert cli.json("result", "r", "a")["value"] == {"n": 1}


@pytest.mark.parametrize(
    ("payload", "stdin", "value"),
    [((), None, None), (("@p.json",), None, [1]), (("-",), '"in"', "in"), (('"é"',), None, "é")],
)
def test_payloads(
    cli: CommandLine, tmp_path: Path, payload: tuple[str, ...], stdin: str | None, value: object
) -> None:
    (tmp_path / "p.json").write_text("[1]")
    cli.waiting(topics={"a": "go"})

    cli("send", "r", "go", *payload, input=stdin)

    (message,) = cli.json("messages", "r")
    assert message["payload"] == value


def test_send_names_the_topics_that_are_waited_for(cli: CommandLine) -> None:
    cli.waiting(topics={"a": "approved", "b": "other"}, approvals=["ask"])

    result = cli("send", "r", "aproved", "1")

    assert result.exit_code == 0
    assert result.stderr == (
        "no step waits on topic 'aproved' now; the message is kept for the first that does; "
        "steps wait on 'approved', 'other'; did you mean 'approved'?\n"
    )


def test_send_says_when_a_decision_is_waited_for(cli: CommandLine) -> None:
    cli.waiting(approvals=["ask"])

    assert cli("send", "r", "ok").stderr.endswith(
        "; step ask waits for a decision: stepwell approve r ask\n"
    )


def test_a_key_is_sent_once(cli: CommandLine) -> None:
    cli.waiting(topics={"a": "go"})

    first = cli.json("send", "r", "go", "1", "--key", "k")
    again = cli("send", "r", "go", "2", "--key", "k", "--json")

    told = {"run_id": "r", "topic": "go", "key": "k"}
    assert first == {**told, "sent": True, "step_id": "a"}
    assert json.loads(again.stdout) == {**told, "sent": False, "step_id": None}
    assert again.exit_code == 0
    assert "was sent to run r before; this one is not sent" in again.stderr
    assert len(cli.json("messages", "r")) == 1


def test_refused_messages(cli: CommandLine) -> None:
    cli("--app", WAITING, "start", "waiting:picky", "--run-id", "r")
    cli("send", "r", "numbers", '"seven"')
    cli.work()

    assert " picky (refused) " in cli("messages", "r").stdout
    assert cli.json("messages", "r")[0]["refused"] is True


def test_messages(cli: CommandLine) -> None:
    cli.waiting(topics={"a": "go"})
    assert cli("messages", "r").stderr == "no messages to run r\n"
    cli("send", "r", "go", "1")
    cli("send", "r", "more", '"x\\u001b"')
    cli.work()

    listed = cli.json("messages", "r")
    assert [(m["topic"], m["received_by"]) for m in listed] == [("go", "a"), ("more", None)]
    assert listed[0]["created_at"].endswith("Z")
    assert cli.json("messages", "r", "--topic", "more") == listed[1:]
    text = cli("messages", "r").stdout
    assert text.splitlines()[1].startswith("1   go     a            -")
    assert "\x1b" not in text


# --- decisions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "verb", "approved"), [("approve", "approved", True), ("reject", "rejected", False)]
)
def test_a_decision(cli: CommandLine, word: str, verb: str, approved: bool) -> None:
    cli.waiting(approvals=["ask"])

    result = cli(word, "r", "--by", "ada", "--comment", "I looked")

    assert result.stdout == f"step ask of run r is {verb}\n"
    cli.work()
    answer = cli.json("result", "r", "ask")["value"]
    assert (answer["approved"], answer["by"], answer["comment"]) == (approved, "ada", "I looked")


def test_a_decision_of_several_is_named_and_made_once(cli: CommandLine) -> None:
    cli.waiting(approvals=["ask", "check"])

    unnamed = cli("approve", "r")
    made = cli.json("reject", "r", "check", "--by", "bob")
    again = cli("approve", "r", "check")

    assert unnamed.exit_code == 2
    assert "wait for a decision ('ask', 'check'); name one of them" in unnamed.stderr
    who = {"by": "bob", "comment": ""}
    assert made == {"run_id": "r", "step_id": "check", "approved": False, **who}
    assert again.exit_code == 4
    assert "was rejected by bob before; that stands" in again.stderr


# --- what show says -----------------------------------------------------------------------------


def test_show_says_what_is_waited_for_and_how_to_give_it(cli: CommandLine) -> None:
    cli.waiting(topics={"a b": "go on"}, approvals=["ask"], naps=["nap"])

    run = cli("show", "r").stdout
    message = cli("show", "r", "a b").stdout
    decision = cli("show", "r", "ask").stdout
    nap = cli("show", "r", "nap").stdout

    told = "a message on topic 'go on'; send one: stepwell send r 'go on' JSON\n"
    assert f"waits for  {told}" in message
    assert f"waiting     step a b waits for {told}" in run
    told = "a decision; give it: stepwell approve r ask, or: stepwell reject r ask\n"
    assert f"waits for  {told}" in decision
    assert f"step ask waits for {told}" in run
    assert "waits for  a time, until 20" in nap


def test_waits_as_json(cli: CommandLine) -> None:
    cli.waiting(topics={"a": "go"}, naps=["nap"])

    message = cli.json("show", "r", "a")["step"]["wait"]
    nap = cli.json("show", "r", "nap")["step"]["wait"]

    assert (message["kind"], message["topic"], message["until"]) == ("message", "go", None)
    assert (nap["kind"], nap["left"]) == ("sleep", None)
    assert nap["until"].endswith("Z")
    assert cli.json("show", "r", "gather")["step"]["wait"] is None


def test_show_names_the_first_of_many(cli: CommandLine) -> None:
    cli.waiting(approvals=[f"ask:{number}" for number in range(12)])

    text = cli("show", "r").stdout

    assert text.count("waits for a decision") == 10
    assert "… and more: stepwell show r --status waiting\n" in text


# --- holding back -------------------------------------------------------------------------------


def test_pause_and_resume_a_run(cli: CommandLine) -> None:
    cli.waiting(naps=["nap"])
    cli("--app", WAITING, "start", "waiting:start", "--run-id", "other", "--set", "many=2")

    paused = cli("pause", "other", "--by", "ada", "--reason", "a look")

    assert paused.stdout == "run other is paused, with 2 ready steps held back\n"
    assert paused.stderr == "let it go on with: stepwell resume other\n"
    shown = cli("show", "other").stdout
    told = r"by ada since 20\S+ \S+Z \(a look\)"
    go_on = "let it go on: stepwell resume other\n"
    assert re.search(f"paused      {told}; no step is claimed; {go_on}", shown)
    step = cli("show", "other", "note:0").stdout
    assert re.search(f"held      its run is paused {told}; {go_on}", step)
    paused_by = cli.json("show", "other")["paused"]
    assert (paused_by["by"], paused_by["reason"]) == ("ada", "a look")
    assert paused_by["at"].endswith("Z")
    assert cli.json("show", "other", "note:0")["paused"] == paused_by
    cli.work()
    assert cli.json("show", "other")["progress"]["open"] == 3
    assert cli("resume", "other").stdout == "run other goes on, with 2 ready steps\n"
    cli.work()
    assert cli.json("show", "other")["run"]["status"] == "succeeded"
    acts = [event["data"] for event in cli.json("events", "other") if event["data"].get("by")]
    assert (acts[0]["by"], acts[0]["reason"]) == ("ada", "a look")


def test_a_pause_freezes_a_wait(cli: CommandLine) -> None:
    cli.waiting(naps=["nap"])

    assert cli.json("pause", "r") == {"run_id": "r", "steps": 0}

    assert "a time, with 23 h 59 min left\n" in cli("show", "r", "nap").stdout
    wait = cli.json("show", "r", "nap")["step"]["wait"]
    assert wait["until"] is None
    assert timedelta(hours=23).total_seconds() < wait["left"] <= 86_400
    assert cli.json("resume", "r") == {"run_id": "r", "steps": 0}


def test_hold_and_release_a_step(cli: CommandLine) -> None:
    cli("--app", WAITING, "start", "waiting:start", "--run-id", "r", "--set", "many=1")

    held = cli("hold", "r", "note:0", "--by", "ada")

    assert held.stdout == "step note:0 of run r is held\n"
    assert held.stderr == "let it go on with: stepwell release r note:0\n"
    told = "let it go on: stepwell release r note:0\n"
    by = r"by ada since 20\S+ \S+Z"
    assert re.search(f"held      {by}; {told}", cli("show", "r", "note:0").stdout)
    assert re.search(f"waiting     step note:0 is held {by}; {told}", cli("show", "r").stdout)
    assert cli.json("show", "r", "note:0")["held"]["by"] == "ada"
    assert cli.json("show", "r", "note:0")["step"]["held"] is True
    assert cli.json("release", "r", "note:0") == {"run_id": "r", "step_id": "note:0"}
    assert status_of(cli, "note:0") == "ready"


def test_a_waiting_step_that_is_held_is_found_among_the_held(cli: CommandLine) -> None:
    cli.waiting(naps=["nap"], approvals=["ask"])
    cli("hold", "r", "nap", "--by", "ada", "--reason", "not at night")

    found = cli.json("show", "r", "--status", "held")["steps"]

    assert [(step["id"], step["status"]) for step in found] == [("nap", "waiting")]
    assert "; it is held by ada since 20" in cli("show", "r").stdout


@pytest.mark.parametrize("name", ["ada", None])
def test_the_login_name_acts(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    # given a user whose name the system knows, or one without an entry
    def getuser() -> str:
        if name is None:
            raise KeyError("getpwuid(): uid not found: 4711")
        return name

    monkeypatch.setattr(getpass, "getuser", getuser)
    cli.waiting(naps=["nap"], approvals=["ask"])

    # when
    cli("pause", "r")
    cli("resume", "r")
    cli("approve", "r")
    cli("cancel", "r")

    # then
    acts = [e["data"]["by"] for e in cli.json("events", "r") if e["data"].get("by")]
    assert set(acts) == {name or "operator"}
    assert len(acts) >= 3


def test_a_step_released_in_a_paused_run_is_still_held_back(cli: CommandLine) -> None:
    cli("--app", WAITING, "start", "waiting:start", "--run-id", "r")
    cli("hold", "r", "gather")
    cli("pause", "r")

    released = cli("release", "r", "gather")

    assert released.stderr == ("its run is paused; let that go on with: stepwell resume r\n")
    assert status_of(cli, "gather") == "held"


# --- values and checkpoints -----------------------------------------------------------------------


def order(cli: CommandLine) -> None:
    """An order that has been asked for its payment."""
    started = cli("--app", WAITING, "start", "waiting:order", "--run-id", "r", "--input", '"pen"')
    assert started.exit_code == 0, started.stderr
    cli.work()


def test_values(cli: CommandLine) -> None:
    order(cli)

    last = cli.json("values", "r")
    history = cli.json("values", "r", "state")

    assert [(v["key"], v["value"]) for v in last] == [("price", {"cents": 5}), ("state", "asked")]
    assert [(v["number"], v["value"]) for v in history] == [(1, "reserved"), (2, "asked")]
    assert history[1] == last[1]
    assert cli("values", "r").stdout.splitlines()[1].startswith("price  1       order")
    wrong = cli("values", "r", "sate")
    assert (wrong.exit_code, wrong.stderr) == (
        3,
        "error: run 'r' has set no value for 'sate'; did you mean 'state'?\n",
    )


def test_checkpoint(cli: CommandLine) -> None:
    order(cli)

    text = cli("checkpoint", "r", "order").stdout
    data = cli.json("checkpoint", "r", "order")

    assert "waits for  message of receive on paid\n" in text
    assert 'variables  {"item": "pen"}\n' in text
    assert "\nreserve      do         1         0.0" in text
    assert "\nset_value    set_value  1         - " in text
    assert text.count('"PEN"') == 1
    assert data["execution_id"] == "r/order"
    assert data["operations"][0]["value"] == "PEN"
    assert data["checkpoint_at"].endswith("Z")


def test_dead_runs(cli: CommandLine, tmp_path: Path) -> None:
    # given a run that failed, and one whose step lost its lease once too often
    assert cli("list", "--dead").exit_code == 8
    cli.run("fail=1", code=1)
    clock = VirtualClock(to_datetime(SystemClock().micros()))
    store = opening.open_run_store(f"sqlite:///{tmp_path}/.stepwell/engine.db", clock=clock)
    store.create_run(new_run("dead", new_step("a")))
    store.exchange([], ClaimRequest("w", None, (PoolRequest(("work",), 1),), lease=1_000_000))
    assert cli("list", "--dead").stderr == "no dead runs\n"
    clock.advance(timedelta(seconds=2))
    store.reap(1)
    store.close()

    # then
    assert [run["id"] for run in cli.json("list", "--dead")] == ["dead"]
    assert len(cli.json("list")) == 2
    assert cli("retry", "dead").stdout == "1 step of run dead to run again\n"
    assert cli.json("list", "--dead") == []
