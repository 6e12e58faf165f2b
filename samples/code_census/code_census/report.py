"""The report: one self-contained HTML page."""

from collections.abc import Sequence
from datetime import datetime
from html import escape
from importlib.resources import files

from code_census.charts import package_bars, size_histogram
from code_census.readmodel import TOP_PACKAGES, Census, File, Package
from code_census.tree import printable

Cell = str | int | float


def page(census: Census, *, folder: str, run_id: str, at: datetime) -> str:
    """The page. Everything from files, names and errors is escaped."""
    style = files("code_census").joinpath("report.css").read_text("utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Code census of {_text(folder)}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>Code census</h1>
<p class="path">{_text(folder)}</p>
<p class="soft">Run {_text(run_id)},
<time datetime="{at.isoformat()}">{at:%Y-%m-%d %H:%M} UTC</time>.
Reading and counting took {census.seconds:.1f} s of work.</p>
</header>
<main>
{_figures(census)}
{_packages(census.packages)}
<section aria-labelledby="sizes">
<h2 id="sizes">Sizes of files, in lines</h2>
{_panel("Sizes of files", size_histogram(census.sizes))}
</section>
{_files("largest", "Largest files", "Those with the most lines", census.largest)}
{_files("slowest", "Slowest files", "Those that took longest to count", census.slowest)}
{_failures(census)}
</main>
<footer>
<p>All numbers are in the projection database, ready for more questions:</p>
<pre><code>SELECT path, branches FROM files WHERE run_id = '{_text(run_id)}'
ORDER BY branches DESC LIMIT 10;</code></pre>
</footer>
</body>
</html>
"""


def _figures(census: Census) -> str:
    figures = {
        "files": census.files,
        "lines": census.lines,
        "lines of code": census.code,
        "functions": census.functions,
        "classes": census.classes,
        "not counted": len(census.failures),
    }
    items = "".join(
        f"<div><dt>{name}</dt><dd>{count:,}</dd></div>" for name, count in figures.items()
    )
    return f"<dl>{items}</dl>"


def _packages(packages: Sequence[Package]) -> str:
    top = packages[:TOP_PACKAGES]
    keys = "".join(
        f'<span><span class="key {part}"></span>{label}</span>'
        for part, label in (
            ("code", "code"),
            ("notes", "comments and docstrings"),
            ("blank", "blank"),
        )
    )
    rows = [(each.name, each.files, each.lines, each.code, each.notes) for each in packages]
    table = _table(
        f"All {len(packages):,} top-level packages and modules",
        ("Package", "Files", "Lines", "Code", "Comments and docstrings"),
        rows,
    )
    return f"""<section aria-labelledby="packages">
<h2 id="packages">Largest packages, in lines</h2>
{_panel("Largest packages", f'<p class="keys">{keys}</p>{package_bars(top)}')}
<details><summary>All packages as a table</summary>{_panel("All packages", table)}</details>
</section>"""


def _files(anchor: str, title: str, caption: str, found: Sequence[File]) -> str:
    rows = [
        (file.path, file.lines, file.functions, file.branches, file.depth, f"{file.seconds:.3f}")
        for file in found
    ]
    head = ("File", "Lines", "Functions", "Branches", "Depth", "Seconds")
    return f"""<section aria-labelledby="{anchor}">
<h2 id="{anchor}">{title}</h2>
{_panel(title, _table(caption, head, rows))}
</section>"""


def _failures(census: Census) -> str:
    if census.failures:
        rows = [(failure.path, failure.code, failure.message) for failure in census.failures]
        body = _table("Files that are not in the numbers", ("File", "Code", "Reason"), rows, 0)
    else:
        body = "<p>Every file was counted.</p>"
    return f"""<section aria-labelledby="failures">
<h2 id="failures">Not counted</h2>
{_panel("Not counted", body)}
</section>"""


def _panel(label: str, content: str) -> str:
    """A box that scrolls sideways if necessary, also with the keyboard."""
    return f'<div class="panel" role="group" tabindex="0" aria-label="{label}">{content}</div>'


def _table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[Cell]], numbers: int | None = None
) -> str:
    """A table whose first column names the row; the others are numbers, or text."""
    style = "" if numbers == 0 else ' class="number"'
    titles = "".join(
        f'<th scope="col"{style if index else ""}>{escape(title)}</th>'
        for index, title in enumerate(head)
    )
    body = "".join(
        f'<tr><th scope="row" class="path">{_text(row[0])}</th>'
        + "".join(f"<td{style}>{_cell(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"
    )


def _cell(value: Cell) -> str:
    return f"{value:,}" if isinstance(value, int) else _text(value)


def _text(value: Cell) -> str:
    return escape(printable(str(value)))
