"""Every wrong command: its exit code, the one line it gets, and that it stored nothing."""

from pathlib import Path

import pytest

from tests.cli.conftest import SAMPLE, CommandLine

USAGE = 2
CASES: list[tuple[str, int, str]] = [
    # usage
    ("lits", 2, "no such command 'lits'; did you mean 'list'?; see stepwell --help"),
    (
        "list --stauts x",
        2,
        "no such option '--stauts'; did you mean '--status'?; see stepwell list",
    ),
    ("list --limit 0", 2, "invalid value for '--limit': 0 is not in the range"),
    ("show", 2, "missing argument 'RUN'; see stepwell show --help"),
    ("show a b c", 2, "got unexpected extra argument (c); see stepwell show --help"),
    ("run", 2, "give either a PACKAGE or --resume RUN; see stepwell run --help"),
    ("run sample --resume last", 2, "give either a PACKAGE or --resume RUN; see stepwell run"),
    ("run --resume last --set a=1", 2, "--set does not go with --resume; see stepwell run --help"),
    ("run --resume last --tag a", 2, "--tag does not go with --resume; see stepwell run --help"),
    ("run sample --timeout 0", 2, "invalid value for '--timeout': must be a duration over 0s and"),
    ("run sample --timeout nan", 2, "invalid value for '--timeout': must be a duration over 0s"),
    ("worker --queues a,,b", 2, "invalid value for '--queues': must be names with commas between"),
    ("graph last --format gif", 2, "invalid value for '--format': 'gif' is not one of 'tree'"),
    ("events last --after -1", 2, "invalid value for '--after': -1 is not in the range"),
    ("db upgrad", 2, "no such command 'upgrad'"),
    # packages
    ("run smple", 3, "there is no package 'smple'; did you mean 'sample'?"),
    ("run sample:strat", 3, "package 'sample' has no entrypoint 'strat'; did you mean 'start'?"),
    ("run sample", 2, "package 'sample' has several entrypoints; choose one of 'start', 'two'"),
    ("--app nope run sample", 2, "--app 'nope': must be module:attribute or path/to/file.py:attri"),
    ("--app yrad:sample packages", 2, "--app 'yrad:sample': there is no module 'yrad'"),
    ("--app HERE.py:yrad packages", 2, "--app 'HERE.py:yrad': 'HERE.py' has no attribute 'yrad'; "),
    ("--app HERE.py:not_a_package packages", 2, "--app 'HERE.py:not_a_package': must be a Package"),
    ("--app nope.py:x packages", 2, "--app 'nope.py:x': there is no file 'nope.py'"),
    # input
    ("run sample:start --input 7", 2, "input: input should be an object, got 7"),
    ("run sample:start --input {", 2, "--input: not JSON: Expecting property name"),
    ('run sample:start --input {"a":1,"a":2}', 2, "--input: the key 'a' is given twice"),
    ("run sample:start --input NaN", 2, "--input: NaN is not JSON"),
    ("run sample:start --input @nope.json", 2, "--input: cannot read 'nope.json': No such file or"),
    ('run sample:start --input {"ok":"x"}', 2, "input.ok: input should be a valid integer, unable"),
    ("run sample:start --set ok", 2, "--set 'ok': must be a.b=value"),
    ("run sample:start --set =1", 2, "--set '=1': must be a.b=value"),
    ("run sample:start --set a..b=1", 2, "--set 'a..b': a part of the path is empty"),
    ("run sample:start --set ok=1 --set ok=2", 2, "input.ok: is set 2 times, but is of type integ"),
    (
        "run sample:start --set okk=1",
        2,
        "input.okk: there is no such field; did you mean 'ok'? see ",
    ),
    (
        "start sample:start --set ok.a=1",
        2,
        "input.ok.a: there is no such field; input.ok is of typ",
    ),
    ("start sample:start --set gates=1 --set ok=x", 2, "input.ok: input should be a valid integer"),
    ("start smple --help", 3, "there is no package 'smple'; did you mean 'sample'?"),
    ("start sample:strat --help", 3, "package 'sample' has no entrypoint 'strat'; did you mean 's"),
    ("run sample:start --set a.b=1 --set a=2", 2, "--set 'a': contradicts --set 'a.b'"),
    ('run sample:start --input {"a":1} --set a.b=1', 2, "--set 'a.b': 'a' is a number, not an obj"),
    (
        "run sample:start --input [] --set a=1",
        2,
        "--set: the input must be an object for that, got",
    ),
    ("start sample:start --set ok=x", 2, "input.ok: input should be a valid integer"),
    ("start sample:two --metadata a", 2, "--metadata 'a': must be key=value"),
    ("start sample:two --metadata a=1 --metadata a=2", 2, "--metadata 'a': is given twice"),
    (
        "start sample:two --run-id " + "x" * 201,
        2,
        "run_id: must have 1 to 200 bytes, got 201 bytes",
    ),
    ("start sample:start --set note=" + "x" * 99 + " --payload-limit 50", 2, "input: 110 bytes of"),
    (
        "start sample:two --run-id last",
        2,
        "--run-id: 'last' names the newest run in all commands; ",
    ),
    ("run sample:two --run-id last", 2, "--run-id: 'last' names the newest run in all commands; "),
    # messages and keys
    ("send", 2, "missing argument 'RUN'; see stepwell send --help"),
    ("send r go hello", 2, "payload: not JSON: Expecting value at line 1, column 1; a text has qu"),
    ("send r go {", 2, "payload: not JSON: Expecting property name"),
    ("send r go @nope.json", 2, "payload: cannot read 'nope.json': No such file or"),
    ("kv gte a", 2, "no such command 'gte'"),
    ("kv set a", 2, "missing argument 'JSON|@FILE|-'; see stepwell kv set --help"),
    ("kv set a NaN", 2, "value: NaN is not JSON"),
    ("kv set a 1 --expires-in 0", 2, "invalid value for '--expires-in': must be a duration over"),
    ("kv set a 1 --version -1", 2, "invalid value for '--version': -1 is not in the range"),
    ("kv list --limit 0", 2, "invalid value for '--limit': 0 is not in the range"),
    # settings
    ("worker --grace -1", 2, "--grace: must be a duration from 0s to 1d (seconds"),
    ("worker --threads many", 2, "--threads: must be a whole number of steps, got 'many'"),
    (
        "run sample:two --durability maybe",
        2,
        "--durability: must be 'full' or 'relaxed', got 'maybe'",
    ),
    ("--store engine.db worker", 2, "store: 'engine.db' is not a URL; write sqlite:///engine.db"),
    ("--store sqlit:///x worker", 2, "store: unknown kind of URL 'sqlit'; did you mean 'sqlite'?"),
    # no store
    *(
        (f"{command}", 8, "there is no store at sqlite:///.stepwell/engine.db; start a run first,")
        for command in (
            *("list", "show last", "graph last", "events last", "result last x", "records a b"),
            *("artifacts last", "artifact a", "retry last", "cancel last", "status", "queues"),
            *("workers", "db check", "run --resume last", "pause last", "resume last"),
            *("hold last a", "release last a", "send last go", "messages last", "approve last"),
            *("reject last", "values last", "kv get a", "kv delete a", "kv list"),
            *("checkpoint last a", "records a"),
        )
    ),
    ("--store memory:// kv set a 1", 8, "memory:// keeps nothing from one command to the next"),
    ("--store memory:// list", 8, "memory:// keeps nothing from one command to the next; name a"),
    ("--store sqlite:///nope.db list", 8, "there is no store at sqlite:///nope.db; start a run"),
]


@pytest.mark.parametrize(("command", "code", "line"), CASES, ids=[case[0][:60] for case in CASES])
def test_wrong_command(
    cli: CommandLine, tmp_path: Path, command: str, code: int, line: str
) -> None:
    sample = SAMPLE.removesuffix(".py:sample")
    words = [word.replace("HERE", sample) for word in command.split(" ")]
    line = line.replace("HERE", sample)

    result = cli.sample(*words)

    assert result.stderr.splitlines()[0].startswith(f"error: {line}")
    assert len(result.stderr.splitlines()) == 1
    assert result.exit_code == code
    assert result.stdout == ""
    assert nothing_stored(cli, tmp_path)


def nothing_stored(cli: CommandLine, folder: Path) -> bool:
    """No run; and where no store was needed, none was made."""
    if not (folder / ".stepwell" / "engine.db").exists():
        return list(folder.iterdir()) == []
    return bool(cli.json("list") == [])


STORED: list[tuple[str, int, str]] = [
    ("show nope", 3, "there is no run 'nope'"),
    ("show last nope", 3, "run 'run-two' has no step 'nope'"),
    ("show run-one ok:1", 3, "run 'run-one' has no step 'ok:1'; did you mean 'ok:0'?"),
    ("show run-", 2, "run 'run-' is how several begin ('run-two', 'run-one'); give more of it"),
    ("show run", 3, "there is no run 'run'"),
    ("show last --status sucede", 2, "status: there is no status 'sucede'; did you mean 'succeed"),
    ("list --status sucede", 2, "status: there is no status 'sucede'; did you mean 'succeeded'?"),
    ("list --before nope", 3, "there is no run 'nope'"),
    ("records sample notes nope", 3, "there is no record 'nope' in 'sample/notes'"),
    ("artifact nope", 3, "there is no artifact 'nope'"),
    ("retry run-one", 7, "run 'run-one' is succeeded and has no failed or canceled step to retry"),
    ("retry run-one --step ok:0", 7, "step 'ok:0' is succeeded"),
    ("cancel run-one", 7, "run 'run-one' is succeeded; it cannot be canceled any more"),
    ("cancel last --by x\ty", 2, "by: 'x\\ty' has the unprintable character '\\t'"),
    ("send nope go", 3, "there is no run 'nope'"),
    ("send run-one go", 7, "run 'run-one' is succeeded; it takes no messages any more"),
    ("send run-two stepwell.x", 2, "topic: 'stepwell.x' begins with 'stepwell.', which is the"),
    ("send run-two go 1 --key x\ty", 2, "key: 'x\\ty' has the unprintable character"),
    ("approve run-two", 7, "run 'run-two' is pending and does not wait for a decision"),
    ("approve run-two ok:0", 7, "step 'ok:0' is ready and does not wait for a decision"),
    ("reject run-two ok:1", 3, "run 'run-two' has no step 'ok:1'; did you mean 'ok:0'?"),
    ("pause run-one", 7, "run 'run-one' is succeeded; it cannot be paused any more"),
    ("resume run-two", 7, "run 'run-two' is pending, not paused"),
    ("hold run-one ok:0", 7, "step 'ok:0' is succeeded; only pending, ready and waiting steps"),
    ("release run-two ok:0", 7, "step 'ok:0' is ready and not held by itself"),
    ("hold run-two nope", 3, "run 'run-two' has no step 'nope'"),
    ("checkpoint run-one ok:0", 3, ""),
    ("checkpoint run-one nope", 3, "run 'run-one' has no step 'nope'"),
    ("values run-one nope", 3, "run 'run-one' has set no value for 'nope'"),
    ("kv get nope", 3, "there is no key 'nope'"),
    ("kv delete nope", 3, "there is no key 'nope'"),
    ("kv set nope 1 --version 3", 4, "kv 'nope': expected version 3, but there is none; nothing"),
    ("result run-two ok:0", 7, "step 'ok:0' is ready; it has no result yet"),
    ("start sample:two --run-id run-one", 4, "run 'run-one' exists already"),
    ("worker --queues slwo", 3, "there is no queue 'slwo'; did you mean 'slow'?"),
    ("graph last --output no/x.svg", 2, "--output: cannot write 'no/x.svg': No such file or dire"),
]


@pytest.mark.parametrize(("command", "code", "line"), STORED, ids=[case[0] for case in STORED])
def test_wrong_command_on_a_store(cli: CommandLine, command: str, code: int, line: str) -> None:
    cli.sample("run", "sample:start", "--run-id", "run-one", "--set", "ok=1")
    cli.sample("start", "sample:start", "--run-id", "run-two", "--set", "ok=1")
    before = cli.json("list")

    result = cli.sample(*command.split(" "))

    assert result.stderr.splitlines()[0].startswith(f"error: {line}")
    assert result.exit_code == code
    assert result.stdout == ""
    assert cli.json("list") == before


def test_with_json_the_error_is_an_object_too(cli: CommandLine) -> None:
    result = cli.sample("run", "smple", "--json")

    line, data = result.stderr.splitlines()
    assert line == "error: there is no package 'smple'; did you mean 'sample'?"
    assert data == (
        '{"error": {"code": "not_found", '
        "\"message\": \"there is no package 'smple'; did you mean 'sample'?\"}}"
    )
    assert result.exit_code == 3


def test_a_store_that_is_no_database(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "engine.db").write_bytes(b"not a database, but long enough to be looked at" * 30)

    result = cli("--store", "sqlite:///engine.db", "list")

    assert result.stderr.startswith("error: store sqlite:///engine.db: it is not a SQLite database")
    assert result.exit_code == 8


def test_an_unexpected_error_is_one_line(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by\nzero")

    monkeypatch.setattr("stepwell.connect", broken)

    result = cli.sample("run", "sample:two")

    assert result.stderr == (
        "error: unexpected ZeroDivisionError: division by\\nzero; "
        "set STEPWELL_DEBUG=1 for the traceback\n"
    )
    assert result.exit_code == 1


def test_the_traceback_on_request(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("stepwell.connect", broken)
    monkeypatch.setenv("STEPWELL_DEBUG", "1")

    result = cli.sample("run", "sample:two")

    assert "Traceback" in result.stderr
    assert result.stderr.endswith("error: unexpected ZeroDivisionError\n")
