"""What the pages say is true: snippets run, commands end as shown, links lead somewhere."""

import re
from pathlib import Path

import pytest

from stepwell.cli.main import COMMANDS
from tests.docs.pages import ALONE, ROOT, anchors, blocks, links, name_of, pages, prose
from tests.docs.reader import Reader, alike

PAGES = pages()
WRITTEN_BY_THE_CLI = "docs/cli.md"
LANGUAGES = {"python", "console", "toml", "text", "ini", "mermaid", "json"}
README = ROOT / "README.md"

each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@each_page
def test_what_a_page_tells_to_do_works(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    def database() -> str:
        return str(request.getfixturevalue("postgres_url"))

    reader = Reader(tmp_path, name_of(page), monkeypatch, database)
    try:
        for block in blocks(name_of(page), page.read_text("utf-8")):
            reader.follow(block)
    finally:
        reader.close()


@pytest.mark.parametrize("page", [page for page in PAGES if name_of(page) != WRITTEN_BY_THE_CLI])
def test_every_block_has_a_language_that_is_looked_at(page: Path) -> None:
    found = blocks(name_of(page), page.read_text("utf-8"))

    strange = [
        block.place
        for block in found
        if not ALONE & block.marks.keys() and block.language not in LANGUAGES
    ]

    assert strange == []


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for line, target in links(page.read_text("utf-8")):
        if "://" in target:
            continue
        place, _, anchor = target.partition("#")
        found = (page.parent / place).resolve() if place else page
        is_there = found.exists() and found.is_relative_to(ROOT)
        if is_there and anchor:
            is_there = found.suffix == ".md" and anchor in anchors(found.read_text("utf-8"))
        if not is_there:
            broken.append(f"{name_of(page)}:{line}: {target}")

    assert broken == []


@each_page
def test_commands_named_in_the_text_exist(page: Path) -> None:
    named = re.compile(r"`stepwell ([a-z][a-z-]*)")

    unknown = [
        f"{name_of(page)}:{number}: {command}"
        for number, line in prose(page.read_text("utf-8"))
        for command in named.findall(line)
        if command not in COMMANDS
    ]

    assert unknown == []


def test_every_page_is_reached_from_the_readme() -> None:
    seen = set()
    to_see = [README]
    while to_see:
        page = to_see.pop()
        seen.add(page)
        for _, target in links(page.read_text("utf-8")):
            found = (page.parent / target.partition("#")[0]).resolve()
            if found.suffix == ".md" and found.is_file() and found not in seen:
                to_see.append(found)

    assert sorted(map(name_of, set(PAGES) - seen)) == []


def test_the_first_program_of_the_readme_is_complete_by_line_25() -> None:
    first = next(block for block in blocks("README.md", README.read_text("utf-8")))

    assert first.language == "python"
    assert "print(" in first.text.splitlines()[-1]
    assert first.last_line <= 25


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_the_readme_names_both_commands_by_line_40(command: str) -> None:
    lines = README.read_text("utf-8").splitlines()[:40]

    assert any(line.startswith(f"$ {command}") for line in lines)


def test_ids_times_and_ellipses_are_all_that_may_differ() -> None:
    printed = "run 1m7xy90hpmq9wq6anj ended  2026-11-21 02:16:59Z\nb\nc\n"

    assert alike(printed, "run 1aaaaaaaaaaaaaaaaa ended 2020-01-01 00:00:00Z\n…")
    assert not alike(printed, "run 1aaaaaaaaaaaaaaaaa failed 2020-01-01 00:00:00Z\n…")
    assert not alike(printed, "run 1m7xy90hpmq9wq6anj ended 2026-11-21 02:16:59Z\nb")
