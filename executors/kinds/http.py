"""The kind `http.fetch`: one HTTP request, whose response body becomes an artifact."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

import stepwell.executors as executors
from stepwell.engine.errors import Permanent, StoreError
from stepwell.engine.package import ExecutorFunction
from stepwell.engine.payloads.types import UNSHOWN
from stepwell.engine.step.context import StepContext
from stepwell.executors.kinds import BUILT_IN
from stepwell.executors.kinds.seconds import AS_SECONDS
from stepwell.executors.kinds.shortage import passing
from stepwell.executors.kinds.sources import Source

MAX_URL = 8_000

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = {chr(code) for code in (*range(32), 127)} - {"\t"}


class HttpFetch(BaseModel):
    """A request. `timeout` (a duration) covers all of it; `ok_statuses` None means 200 to 399.

    `body_artifact` is sent instead of `body`: an artifact's id, or a step and a name.
    With `allow_private=False` only public addresses are connected to, also in redirects.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    url: str
    method: str = Field(default="GET", pattern=r"^[A-Z]{1,20}$")
    headers: dict[str, str] = Field(default_factory=dict)
    body: str | None = None
    body_artifact: Source | None = None
    json_body: Any = Field(default=None, alias="json")
    timeout: Annotated[float, AS_SECONDS] = Field(default=60.0, gt=0, le=86_400)
    max_bytes: int = Field(default=10 * 1024 * 1024, ge=0)
    follow_redirects: bool = True
    allow_private: bool = True
    ok_statuses: list[int] | None = None

    # No message quotes a value that may contain secrets.

    @field_validator("url", mode="before")
    @classmethod
    def _http_only(cls, url: Any) -> Any:
        scheme, mark, rest = url.partition("://") if isinstance(url, str) else ("", "", "")
        if scheme.lower() not in ("http", "https") or not mark or not rest.strip("/"):
            raise PydanticCustomError(UNSHOWN, "must be an http:// or https:// URL")
        if len(url) > MAX_URL:
            raise PydanticCustomError(
                UNSHOWN, "must have at most {most} characters", {"most": MAX_URL}
            )
        return url

    @field_validator("headers", mode="before")
    @classmethod
    def _one_line(cls, headers: Any) -> Any:
        if not isinstance(headers, dict) or not all(
            isinstance(text, str) for pair in headers.items() for text in pair
        ):
            raise PydanticCustomError(UNSHOWN, "must be texts by name")
        for name, value in headers.items():
            if not _NAME.fullmatch(name):
                raise PydanticCustomError(
                    UNSHOWN, "{name} cannot be the name of a header", {"name": ascii(name)}
                )
            if _CONTROL & set(value):
                raise PydanticCustomError(
                    UNSHOWN,
                    "the value of {name} must not contain line breaks or other control characters",
                    {"name": name},
                )
        return headers

    @model_validator(mode="after")
    def _one_body(self) -> HttpFetch:
        if sum(body is not None for body in (self.body, self.json_body, self.body_artifact)) > 1:
            raise PydanticCustomError(UNSHOWN, "takes one of body, json and body_artifact")
        return self

    def accepts(self, status: int) -> bool:
        """Whether a response of this status is a success."""
        return 200 <= status < 400 if self.ok_statuses is None else status in self.ok_statuses


async def fetch_url(step: StepContext, request: HttpFetch) -> dict[str, Any]:
    """Send the request; the response's body becomes the artifact `body`."""
    try:
        session = executors.http_session
    except ImportError:
        raise Permanent(
            "http_missing", "http.fetch needs aiohttp: install stepwell[http]"
        ) from None
    try:
        result: dict[str, Any] = await session.fetch(step, request)
    except (OSError, StoreError) as error:
        short = passing(error, "http.fetch")
        if short is None:
            raise
        raise short from error
    return result


fetch = ExecutorFunction("http.fetch", fetch_url, BUILT_IN["http.fetch"].options)
