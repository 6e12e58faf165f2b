"""One call of the command line: its flags, its settings, and the store it works on."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import stepwell
import stepwell.cli as cli
import stepwell.stores as stores
from stepwell.cli.deadline import Deadline
from stepwell.cli.output import Output
from stepwell.cli.settings import URLS, Configuration, configure
from stepwell.cli.signals import check_received
from stepwell.defaults import DEFAULT_HOME, DEFAULT_STORE, MEMORY
from stepwell.engine.clock import pause
from stepwell.engine.errors import InvalidInput, InvalidPackage, NotFound, StoreError, nearest
from stepwell.engine.settings import Settings
from stepwell.stores.sqlite_url import PREFIX as SQLITE
from stepwell.stores.sqlite_url import file_of

if TYPE_CHECKING:
    from stepwell.cli.apps import Apps
    from stepwell.engine.runtime.runtime import Runtime

# The shortest and longest delay before an unreachable server is tried again, in seconds.
FIRST_WAIT, LONGEST_WAIT = 0.05, 2.0
# Kinds of URLs that name a file, in which any character may be.
_WITHOUT_LOGIN = ("sqlite", "file", "memory")
# Commands in messages of the rooms below, which know no flags.
_HINT = re.compile(r"(?<![\w/.-])(?<!-m )stepwell (verify|db upgrade|run PACKAGE)\b")


class Session:
    """What commands share. Nothing is read, loaded or opened before a command needs it."""

    def __init__(self, deadline: Deadline | None = None) -> None:
        # None if the process is not only for the command line, as in a test.
        self.deadline = deadline
        self.flags: dict[str, Any] = {}
        self.output = Output()
        self.exit_code = 0
        # How to see the output again, for a command that changed something: the change is done even
        # if nobody reads the output.
        self.told = ""
        # Signals that asked the program to end before it began to work.
        self.interrupts: list[int] = []

    @cached_property
    def configuration(self) -> Configuration:
        """Flags over environment over file over defaults. Raises InvalidSettings."""
        return configure(self.flags, self.output.warn)

    @cached_property
    def apps(self) -> Apps:
        """All packages; broken installed ones are reported and left out.

        From here on, code of packages may run, and whatever it prints goes to stderr.
        """
        self.output.set_apart(descriptors=self.deadline is not None)
        if self.deadline is not None:
            self.deadline.watch(Settings())
        return cli.apps.load_apps(self.configuration.app, self.output.warn)

    @property
    def store_url(self) -> str:
        """The store's URL, whether it was given or follows from home."""
        config = self.configuration
        if config.store is not None:
            return config.store
        return f"{SQLITE}{Path(config.home or DEFAULT_HOME) / DEFAULT_STORE}"

    def typed(self, *command: str) -> str:
        """A command, with the flags to act on the same store."""
        return self._typed(command, ())

    def again(self, *command: str) -> str:
        """A command, with the flags to work on the same store with the same packages."""
        return self._typed(command, self.flags.get("app", ()))

    def with_hints(self, message: str) -> str:
        """A message of the rooms below, with flags for this store added to its commands."""
        return _HINT.sub(lambda found: self.typed(*found.group(1).split()), message)

    def _typed(self, command: Sequence[str], apps: Sequence[str]) -> str:
        called, words = Path(sys.argv[0]), ["stepwell"]
        if called.name == "__main__.py":
            words = ["python", "-m", "stepwell"]
        elif called.name == "stepwell" and shutil.which("stepwell") is None:
            words = [sys.argv[0]]  # such as .venv/bin/stepwell
        for name in URLS:
            if self.flags.get(name) is not None:
                words += [f"--{name}", without_secrets(self.flags[name])]
        if self.flags.get("home") is not None:
            words += ["--home", self.flags["home"]]
        for app in apps:
            words += ["--app", app]
        return shlex.join(map(str, [*words, *command]))

    def check_store_exists(self) -> None:
        """Raises StoreError if there is no store to read; creates nothing."""
        url = self.store_url
        self.check_store_lasts()
        if not url.startswith(SQLITE):
            return  # opening it reports what is wrong with the URL
        path = file_of(url)
        try:
            empty = path.is_file() and path.stat().st_size == 0
            missing = not path.exists()
        except OSError as error:
            raise StoreError(f"store {url}: cannot be opened: {error.strerror}") from None
        if missing or empty:
            raise StoreError(
                f"there is no store at {url}; start a run first, or name one with --store or --home"
            )

    def check_store_lasts(self) -> None:
        """Raises StoreError for a store that does not outlast the command."""
        if self.store_url == MEMORY:
            raise StoreError(
                "memory:// keeps nothing from one command to the next; name a store with "
                "--store or --home"
            )

    def make_home(self) -> None:
        """Create the home folder if the store will be in it. Raises StoreError."""
        if self.configuration.store is not None:
            return
        stepwell.composition.make_home(Path(self.configuration.home or DEFAULT_HOME))

    def check_package(self, name: str) -> None:
        """Raises NotFound, before anything is opened, if the package is not loaded."""
        known = self.apps.names
        if name not in known:
            none = "" if known else "; none is installed, name one with --app module:attribute"
            raise NotFound(f"there is no package {name!r}{nearest(name, known)}{none}")

    @contextmanager
    def reading(self) -> Iterator[Runtime]:
        """A runtime on an existing store, without packages."""
        self.check_store_exists()
        with self._connect(()) as runtime:
            yield runtime

    @contextmanager
    def writing(self) -> Iterator[Runtime]:
        """A runtime without packages; creates the store if there is none."""
        self.check_store_lasts()
        with self._connect(()) as runtime:
            yield runtime

    @contextmanager
    def working(self, *, patient: bool = False) -> Iterator[Runtime]:
        """A runtime with all packages; creates the store if there is none.

        With `patient`, waits for a server that cannot be reached.
        """
        with self._opened(patient=patient) as runtime:
            check_received(self.interrupts)
            yield runtime

    def _opened(self, *, patient: bool) -> Runtime:
        wait = 0.0
        while True:
            try:
                return self._with_packages()
            except StoreError as error:
                if not patient or not error.unreachable:
                    raise
                if not wait:
                    self.output.warn(f"{error}; trying again")
            wait = min(max(FIRST_WAIT, 2 * wait), LONGEST_WAIT)
            pause(wait)

    def _with_packages(self) -> Runtime:
        apps = self.apps
        with ExitStack() as on_failure:
            runtime = on_failure.enter_context(self._connect(apps.named))
            if self.deadline is not None:
                self.deadline.watch(runtime.settings)
            for entry, package in apps.installed:
                try:
                    runtime.register_package(package)
                except InvalidPackage as error:
                    self.output.warn(f"package {entry!r} is left out: {error}")
            on_failure.pop_all()
        return runtime

    def _connect(self, packages: Any) -> Runtime:
        config = self.configuration
        return stepwell.connect(
            config.store,
            packages=packages,
            home=config.home,
            artifacts=config.artifacts,
            projections=config.projections,
            checkpoints=config.checkpoints,
            settings=config.engine,
        )


def without_secrets(url: str) -> str:
    """A URL in a form that can be typed, with stars in place of a password."""
    if not url.startswith(("postgresql://", "postgres://")):
        scheme, _, rest = url.partition("://")
        is_secret = scheme not in _WITHOUT_LOGIN and ("@" in rest or "password" in url)
        return f"{scheme}://…" if is_secret else url
    try:
        shown: str = stores.postgres_url.typed(url)
    except (ImportError, InvalidInput):
        return "postgresql://…"
    return shown
