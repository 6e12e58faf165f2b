"""What hostile callers hand over: texts and values that have hurt programs before."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

DIGITS = "7" * 5_000
NASTY_TEXTS = [
    "",
    " ",
    "-",
    "--",
    "-1",
    "0",
    "=",
    "a=",
    "=b",
    ".",
    "..",
    "/",
    "../../etc/passwd",
    "%2e%2e%2f",
    "a/b%2Fc",
    "\x00",
    "a\x00b",
    "\n",
    "\x1b[31m",
    "\u202e",
    "\ufeff",
    "\ud800",
    "a\udfffb",
    "é" * 100,
    "x" * 201,
    "\U0001d518" * 100,
    "last",
    "null",
    "None",
    "%s%n{}{0}",
    "'; DROP TABLE runs; --",
    "' OR 1=1 --",
    "%",
    "_",
    "*",
    "\\",
    "١٢٣",
    "1e999",
    "nan",
    "9" * 25,
    str(2**63),
    str(-(2**63) - 1),
]
NASTY_JSON = [
    *("", "{", "[", '"', "{]", "nul", "tru", "'a'", "{a:1}", "[1,]", '{"a":1,}', "// x\n1"),
    *("NaN", "Infinity", "-Infinity", "[NaN]", '{"a":[1,{"b":-Infinity}]}', "1e999", "-1e999"),
    *('{"a":1,"a":2}', '[{"a":{"b":1,"b":1}}]', '{"":1,"":1}', '{"a":1,"\\u0061":2}'),
    *(DIGITS, f"-{DIGITS}", f'{{"n":[{DIGITS}]}}', f"0.{DIGITS}", f"1e{DIGITS}", "7" * 4_300),
    *('"\\ud800"', '"a\\udfff"', '{"\\ud800":1}', '["\\ud83d\\ude00"]', '"\\u0000"', '"\x00"'),
    *("[" * 100_000, '{"a":' * 100_000, "[" * 201 + "]" * 201, "[" * 199 + "]" * 199),
    *("[[],{}]" * 3, "[" + "[]," * 100_000 + "[]]", '"' + "x" * 2_000_000 + '"'),
    *('{"' + "k" * 1_000_000 + '":1}', "\ufeff1", "1 2", "\x1f1", "0x10", "01", "+1", ".5", "1."),
    *("true", "null", "0", '"text"', "[]", "{}", '{"a":{"b":[1,2,3]}}', "-0", "1e5", "12"),
]


class Cold:
    """An object that JSON knows nothing of, and that refuses to be looked at."""

    def __repr__(self) -> str:
        raise RuntimeError("do not look")

    def __iter__(self) -> Any:
        raise RuntimeError("do not look")


def cycle() -> list[Any]:
    """A list that contains itself."""
    inside: list[Any] = [1]
    inside.append({"again": inside})
    return inside


def nested(levels: int) -> Any:
    """Lists in lists."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


NASTY_VALUES: list[Any] = [
    math.nan,
    math.inf,
    -math.inf,
    [1.0, {"a": math.nan}],
    10**5_000,
    -(10**5_000),
    2**64,
    -(2**63) - 1,
    [2**200],
    "\ud800",
    {"\ud800": 1},
    {"a": ["\udfff"]},
    "\x00",
    {"\x00": "\x00"},
    {1: 2},
    {None: 1},
    {(1, 2): 3},
    {"a": {2.5: 1}},
    {1, 2},
    frozenset(),
    b"bytes",
    bytearray(b"x"),
    1j,
    object,
    Cold(),
    [Cold()],
    {"cold": Cold()},
    cycle(),
    nested(201),
    nested(199),
    nested(100_000),
    "x" * 2_000_000,
    ["x" * 1000] * 2_000,
    range(3),
    iter([1]),
    lambda: None,
    NotImplemented,
    ...,
]

texts = st.sampled_from(NASTY_TEXTS) | st.text(max_size=30)
json_texts = (
    st.sampled_from(NASTY_JSON)
    | st.text(alphabet='{}[]",:0123456789.eE+-truefalsnN\\u \x00\ud800', max_size=40)
    | st.recursive(
        st.sampled_from(["1", '"a"', "null", "NaN", "1e9", '"\\udc00"']),
        lambda inner: (
            st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]")
            | st.lists(inner, max_size=4).map(
                lambda items: "{" + ",".join(f'"k{len(item) % 2}":{item}' for item in items) + "}"
            )
        ),
        max_leaves=10,
    )
)
# By number, as some of them cannot be shown.
nasty = st.integers(0, len(NASTY_VALUES) - 1).map(lambda number: NASTY_VALUES[number])
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | nasty,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
values = nasty | plain
numbers = st.sampled_from([0, 1, -1, 2**31, 2**63, -(2**63) - 1, 10**30]) | st.integers()
