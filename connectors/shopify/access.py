"""Settings for asking the shop itself: by which token, at which address, and how often."""

import difflib
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bridge.setting_types import Duration, Every, Secret
from connectors.shopify.identity import TOPICS

_FROZEN = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Access(BaseModel):
    """Access to a shop's Admin API: `token`, or `client_id` with `client_secret` (docs/contracts/shopify.md 8)."""

    model_config = _FROZEN

    token: Secret | None = None
    """Token that lasts, of an app made in the shop's admin."""
    client_id: str | None = Field(default=None, min_length=1)
    """Client id of an app of the Dev Dashboard."""
    client_secret: Secret | None = None
    """Client secret of that app. With both the bridge asks for a token, which lives 24 hours, and renews it."""

    @model_validator(mode="after")
    def _is_one_way(self) -> "Access":
        lasting, granted = self.token is not None, (self.client_id is not None, self.client_secret is not None)
        if lasting == any(granted) or (any(granted) and not all(granted)):
            raise PydanticCustomError("access", "write either token, or client_id and client_secret")
        return self


class Upkeep(BaseModel):
    """What `run` does by itself for shops with `access`."""

    model_config = _FROZEN

    version: str = Field(default="2026-10", pattern=r"^(\d{4}-(01|04|07|10)|unstable)$")
    """Version of the Admin API, and of the webhooks that are subscribed through it."""
    orders: Literal["rest", "graphql"] = "rest"
    """API that orders are read by. `rest` gives the webhook's own document. `graphql` is for apps that may not use
    REST; each order costs one query."""
    subscriptions: Literal["repair", "report", "leave"] = "repair"
    """What is done about missing subscriptions, which Shopify deletes after eight failures: make them again, log them
    only, or do not look."""
    topics: list[str] = []
    """Topics to subscribe to besides those that the rules' documents need, for rules that read the topic."""
    check_every: Every = timedelta(hours=1)
    """Time between two looks at the subscriptions."""
    reconcile: bool = True
    """Whether the bridge fetches orders whose webhook never came."""
    reconcile_every: Every = timedelta(hours=1)
    """Time between two reconciliations."""
    overlap: Duration = timedelta(minutes=10)
    """Time that a reconciliation looks back behind the end of the last one, because the shop's search index lags."""
    first: Duration = timedelta(hours=24)
    """Time that the first reconciliation looks back."""
    url: str | None = Field(default=None, pattern=r"^https?://[^/]+$")
    """Address of the Admin API for tests and proxies. Default: https://SHOP."""

    @field_validator("topics")
    @classmethod
    def _are_known(cls, topics: list[str]) -> list[str]:
        for topic in topics:
            if TOPICS.get(topic) in (None, "compliance"):
                near = ", ".join(difflib.get_close_matches(topic, TOPICS)) or ", ".join(TOPICS)
                raise PydanticCustomError("topic", "{topic} cannot be subscribed to; there are: {near}",
                                          {"topic": topic, "near": near})  # fmt: skip
        return topics
