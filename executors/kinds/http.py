"""The kind `http.fetch`: one HTTP request, its body kept as an artifact."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

import stepwell.executors as executors
from stepwell.engine.context import StepContext
from stepwell.engine.errors import Permanent
from stepwell.engine.package import ExecutorFunction
from stepwell.executors.kinds import BUILT_IN


class HttpFetch(BaseModel):
    """A request. `timeout` is seconds for all of it; `ok_statuses` None means 200 to 399."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    url: str = Field(max_length=8_000)
    method: str = Field(default="GET", pattern=r"^[A-Z]{1,20}$")
    headers: dict[str, str] = Field(default_factory=dict)
    body: str | None = None
    json_body: Any = Field(default=None, alias="json")
    timeout: float = Field(default=60.0, gt=0, le=86_400)
    max_bytes: int = Field(default=10 * 1024 * 1024, ge=0)
    follow_redirects: bool = True
    ok_statuses: list[int] | None = None

    @field_validator("url")
    @classmethod
    def _http_only(cls, url: str) -> str:
        scheme, mark, rest = url.partition("://")
        if scheme.lower() not in ("http", "https") or not mark or not rest.strip("/"):
            raise ValueError("must be an http:// or https:// URL")
        return url

    @field_validator("headers")
    @classmethod
    def _one_line(cls, headers: dict[str, str]) -> dict[str, str]:
        if any(set("\r\n\0") & set(name + value) for name, value in headers.items()):
            raise ValueError("must not contain line breaks")
        return headers

    @model_validator(mode="after")
    def _one_body(self) -> HttpFetch:
        if self.body is not None and self.json_body is not None:
            raise ValueError("takes body or json, not both")
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
    result: dict[str, Any] = await session.fetch(step, request)
    return result


fetch = ExecutorFunction("http.fetch", fetch_url, BUILT_IN["http.fetch"].options)
