"""The READMEs of the samples, followed as those who read them would."""

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Block, blocks, links, name_of
from tests.docs.reader import Reader

# The census has a page of its own to follow: `make demo`.
PAGES = [
    ROOT / "samples" / sample / "README.md"
    for sample in ("hello", "shop", "connector", "onboarding", "approval")
]

each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def no_database() -> str:
    raise AssertionError("no sample asks for a database")


@each_page
def test_what_a_sample_tells_to_do_works(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(tmp_path, name_of(page), monkeypatch, no_database)
    sample = page.parent.relative_to(ROOT).as_posix()
    try:
        reader.follow(Block(name_of(page), 1, "", "", {"copy": sample}))
        for block in blocks(name_of(page), page.read_text("utf-8")):
            if block.language == "console":
                reader.follow(block)
    finally:
        reader.close()


@each_page
def test_links_of_a_sample_lead_somewhere(page: Path) -> None:
    broken = [
        f"{name_of(page)}:{line}: {target}"
        for line, target in links(page.read_text("utf-8"))
        if "://" not in target and not (page.parent / target.partition("#")[0]).exists()
    ]

    assert broken == []


@each_page
def test_code_shown_by_a_sample_is_in_it(page: Path) -> None:
    sources = "".join(path.read_text("utf-8") for path in page.parent.glob("*.py"))
    written = {line.strip() for line in sources.splitlines()}

    strange = [
        line
        for block in blocks(name_of(page), page.read_text("utf-8"))
        if block.language == "python"
        for line in block.text.splitlines()
        if line.strip() not in written
    ]

    assert strange == []
