"""A made-up folder of sources, and what a person counts in it."""

from pathlib import Path
from textwrap import dedent

PLAIN = '''\
"""A module.

With two paragraphs."""
# a comment
import os, sys
from json import loads as read  # beside code


class Thing:
    """A thing."""

    def size(self, many):
        """How large."""
        # indented
        if many and os.name or sys.platform:
            for one in many:
                if one: return 1
        elif many is None:
            pass
        return [x for x in many if x if read]


async def wait():
    text = """
    # not a comment

    """
    while text: text = ""
'''
NAMES = (
    *("lines", "code", "comments", "docstrings", "blank"),
    *("functions", "classes", "imports", "branches", "depth"),
)
# Counted by hand. Branches of plain.py: two operators, if, for, if, elif, a comprehension with
# two conditions, while. Depth: class, def, if, for, if.
EXPECTED = {
    "bom.py": (1, 1, 0, 0, 0, 0, 0, 0, 0, 0),
    "empty.py": (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    "latin.py": (2, 1, 1, 0, 0, 0, 0, 0, 0, 0),
    "pkg/<i>odd & ends.py": (1, 1, 0, 0, 0, 0, 0, 0, 0, 0),
    "pkg/__init__.py": (3, 0, 1, 0, 2, 0, 0, 0, 0, 0),
    "pkg/inner/deep/down.py": (2, 2, 0, 0, 0, 1, 0, 0, 0, 1),
    "pkg/naïve 名前.py": (1, 1, 0, 0, 0, 0, 0, 1, 0, 0),
    "plain.py": (28, 16, 2, 5, 5, 2, 1, 3, 10, 5),
}
FAILED = {"broken.py", "pkg/bad bytes.py"}


def make_tree(root: Path) -> Path:
    """Write the folder; returns it."""
    texts = {
        "broken.py": "def f(:\n",
        "empty.py": "",
        "pkg/<i>odd & ends.py": "x = 1",
        "pkg/__init__.py": "\n# nothing here\n\n",
        "pkg/inner/deep/down.py": "def down():\n    return 1\n",
        "pkg/naïve 名前.py": "import this\n",
        "plain.py": dedent(PLAIN),
        # Not part of it: no source, or somebody else's.
        "notes.txt": "x = 1\n",
        "__pycache__/cached.py": "x = 1\n",
        "site-packages/other.py": "x = 1\n",
        ".hidden/secret.py": "x = 1\n",
    }
    for path, text in texts.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (root / "bom.py").write_bytes(b"\xef\xbb\xbfx = 1\n")
    (root / "latin.py").write_bytes("# -*- coding: latin-1 -*-\nname = 'é'\n".encode("latin-1"))
    (root / "pkg" / "bad bytes.py").write_bytes(b"x = '\xff'\n")
    (root / "pkg" / "loop").symlink_to(root, target_is_directory=True)
    (root / "again.py").symlink_to(root / "plain.py")
    return root
