"""`make check-commits`: commit subjects are as CONTRIBUTING.md wants them.

It looks at the commits that the upstream or main branch does not have, or at the last few where
that branch has them all. Commits from before this file was added are not judged. Where there is no
git, or no repository, there is nothing to look at.

    python tools/commits.py            these commits
    python tools/commits.py A..B       those of a range
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_LENGTH = 72
LAST = 10
# Where work goes to; the first one that does not have all commits yet is compared with.
BASES = ("@{upstream}", "origin/HEAD", "origin/main", "main")
ADVICE = "write an imperative, as in: Refuse a checkpoint of a newer schema"

# Imperatives that look like another form of a verb, or like a plural.
IMPERATIVES = frozenset(
    {
        *("embed", "exceed", "feed", "need", "proceed", "seed", "shed", "speed", "succeed"),
        *("bring", "ping", "ring", "spring", "string", "swing"),
        *("alias", "bias", "canvas", "focus"),
    }
)
# Words that begin a noun phrase or a clause.
NO_VERBS = frozenset(
    {
        *("a", "an", "the", "no", "one", "some", "all", "more", "this", "these", "that", "it"),
        *("what", "where", "when", "how", "why", "who", "which", "whose", "we"),
        *("made", "did", "went", "was", "were", "got", "gave", "took", "wrote", "kept", "built"),
    }
)


def faults(subject: str) -> list[str]:
    """What is wrong with a commit's subject; nothing if it is as it should be."""
    found = []
    if len(subject) > MAX_LENGTH:
        found.append(f"it has {len(subject)} characters; at most {MAX_LENGTH} are shown everywhere")
    if subject.endswith("."):
        found.append("it ends with a dot; leave it out")
    if not subject[:1].isupper():
        found.append("begin with a capital letter")
    if re.match(r"[\w./ -]{1,20}: ", subject):
        found.append(f"it begins with a topic and a colon; {ADVICE}")
    elif not _may_be_imperative(subject):
        found.append(f"{subject.partition(' ')[0]!r} is not an imperative; {ADVICE}")
    return found


def _may_be_imperative(subject: str) -> bool:
    word = re.split(r"[\s,;:]", subject.lower(), maxsplit=1)[0]
    if word in IMPERATIVES:
        return True
    other_form = word.endswith(("ed", "ing")) or (word.endswith("s") and not word.endswith("ss"))
    return bool(word) and not other_form and word not in NO_VERBS


def commits(root: Path = ROOT) -> str | None:
    """The range to look at, as git log takes it; None if there is none."""
    added = _git(root, "log", "--diff-filter=A", "--format=%H", "--", "tools/commits.py")
    if not added:
        return None  # no git, no repository, or this file is not committed yet
    since = f"^{added.split()[-1]}"
    head = _git(root, "rev-parse", "HEAD")
    for base in BASES:
        both = _git(root, "merge-base", "HEAD", base)
        if both and both != head:
            return f"HEAD ^{both} {since}"
    return f"-{LAST} HEAD {since}"


def subjects(commits: str, root: Path = ROOT) -> list[tuple[str, str]]:
    """The short name and subject of each of these commits, merges left out."""
    listed = _git(root, "log", "--no-merges", "--format=%h %s", *commits.split(), "--")
    parted = [line.partition(" ") for line in (listed or "").splitlines()]
    return [(name, subject) for name, _, subject in parted]


def _git(root: Path, *arguments: str) -> str | None:
    """What git says, without the last newline; None where it cannot say it."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def main(arguments: list[str]) -> int:
    """Print each fault; 1 if there is one."""
    looked_at = arguments[0] if arguments else commits()
    if looked_at is None:
        print("no commits to look at")
        return 0
    listed = subjects(looked_at)
    wrong = [(name, subject, faults(subject)) for name, subject in listed if faults(subject)]
    for name, subject, found in wrong:
        print(f"{name} {subject}", *(f"    {fault}" for fault in found), sep="\n", file=sys.stderr)
    print(f"{len(listed)} commit subjects looked at, {len(wrong)} to be written anew")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
