"""Counts what is in one source file."""

import ast
import io
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

# Nodes at which the program can branch. A BoolOp counts once for each operator, a comprehension
# once for itself and once for each of its conditions.
BRANCHES = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.match_case,
    ast.Assert,
)
BLOCKS = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
    *(ast.If, ast.For, ast.AsyncFor, ast.While),
    *(ast.Try, ast.TryStar, ast.With, ast.AsyncWith, ast.Match),
)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
LAYOUT = {
    tokenize.ENCODING,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


@dataclass(slots=True)
class Counts:
    """What was counted in one source text; the names are those of `FileMetrics`."""

    lines: int = 0
    code: int = 0
    comments: int = 0
    docstrings: int = 0
    blank: int = 0
    functions: int = 0
    classes: int = 0
    imports: int = 0
    branches: int = 0
    depth: int = 0
    documentation: set[int] = field(default_factory=set, repr=False)


def measure(source: bytes) -> Counts:
    """Count what is in a source file, given as its bytes.

    Raises SyntaxError, ValueError, tokenize.TokenError, RecursionError or MemoryError for a file
    that Python would not compile either.
    """
    counts = Counts()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the census does not judge the code
        tree = ast.parse(source)
    _count_nodes(tree, counts)
    _count_lines(decode(source), counts)
    return counts


def decode(source: bytes) -> str:
    """The text of a source file, by its byte order mark or coding line, with plain newlines."""
    stream = io.BytesIO(source)
    encoding, _ = tokenize.detect_encoding(stream.readline)
    stream.seek(0)
    return io.TextIOWrapper(stream, encoding, newline=None).read()


def _count_nodes(tree: ast.Module, counts: Counts) -> None:
    # An explicit stack, because expressions can be nested deeper than calls.
    stack: list[tuple[ast.AST, int]] = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            counts.functions += 1
        elif isinstance(node, ast.ClassDef):
            counts.classes += 1
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            counts.imports += len(node.names)
        elif isinstance(node, ast.BoolOp):
            counts.branches += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            counts.branches += 1 + len(node.ifs)
        if isinstance(node, BRANCHES):
            counts.branches += 1
        if isinstance(node, DOCUMENTED):
            counts.documentation.update(_docstring_lines(node))
        counts.depth = max(counts.depth, depth)
        stack.extend(_children(node, depth))


def _children(node: ast.AST, depth: int) -> Iterator[tuple[ast.AST, int]]:
    """The children of a node, each with its depth of nested blocks."""
    for child in ast.iter_child_nodes(node):
        # `elif` is an `if` in the else branch of an `if`, but not deeper for a reader.
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and _is_elif(node, child)
        yield child, depth + (isinstance(child, BLOCKS) and not is_elif)


def _is_elif(node: ast.If, child: ast.If) -> bool:
    return node.orelse == [child] and child.col_offset == node.col_offset


def _docstring_lines(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> range:
    first = node.body[0] if node.body else None
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        return range(first.lineno, (first.end_lineno or first.lineno) + 1)
    return range(0)


def _count_lines(text: str, counts: Counts) -> None:
    """Count each line once: as code, docstring, comment or blank."""
    counts.lines = text.count("\n") + (text != "" and not text.endswith("\n"))
    code: set[int] = set()
    comments: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            comments.add(token.start[0])
        elif token.type not in LAYOUT:
            code.update(range(token.start[0], token.end[0] + 1))
    code -= counts.documentation
    comments -= code | counts.documentation
    counts.code, counts.comments = len(code), len(comments)
    counts.docstrings = len(counts.documentation)
    counts.blank = counts.lines - counts.code - counts.comments - counts.docstrings
