"""Settings of what the shop itself is asked: by which token, from where, and how often."""

import difflib
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bridge.setting_types import Duration, Every, Secret
from connectors.shopify.identity import TOPICS

_FROZEN = ConfigDict(frozen=True, extra="forbid", strict=True)


class Access(BaseModel):
    """How one shop's Admin API is entered: a lasting token, or the client-credentials grant of an app of the Dev
    Dashboard, whose tokens live 24 hours and are asked for anew (docs/contracts/shopify.md 8).
    """

    model_config = _FROZEN

    token: Secret | None = None
    client_id: str | None = Field(default=None, min_length=1)
    client_secret: Secret | None = None

    @model_validator(mode="after")
    def _is_one_way(self) -> "Access":
        lasting, granted = self.token is not None, (self.client_id is not None, self.client_secret is not None)
        if lasting == any(granted) or (any(granted) and not all(granted)):
            raise PydanticCustomError("access", "write either token, or client_id and client_secret")
        return self


class Upkeep(BaseModel):
    """What `run` does by itself for shops with `access`, and how they are asked.

    version        of the Admin API, and so of the webhooks that are subscribed through it
    orders         rest: the webhook's own document. graphql: for apps that may not use REST; each order costs a query
    subscriptions  repair: missing ones are made again (Shopify deletes them after eight failures); report: they are
                   only told; leave: not looked at
    topics         subscribed to besides those that the rules' documents need: for rules that read the topic
    overlap        how far back a reconciliation looks behind where the last one came to: the search index lags
    first          how far back the first one looks
    url            instead of https://SHOP, for tests and proxies
    """

    model_config = _FROZEN

    version: str = Field(default="2026-10", pattern=r"^(\d{4}-(01|04|07|10)|unstable)$")
    orders: Literal["rest", "graphql"] = "rest"
    subscriptions: Literal["repair", "report", "leave"] = "repair"
    topics: list[str] = []
    check_every: Every = timedelta(hours=1)
    reconcile: bool = True
    reconcile_every: Every = timedelta(hours=1)
    overlap: Duration = timedelta(minutes=10)
    first: Duration = timedelta(hours=24)
    url: str | None = Field(default=None, pattern=r"^https?://[^/]+$")

    @field_validator("topics")
    @classmethod
    def _are_known(cls, topics: list[str]) -> list[str]:
        for topic in topics:
            if TOPICS.get(topic) in (None, "compliance"):
                near = ", ".join(difflib.get_close_matches(topic, TOPICS)) or ", ".join(TOPICS)
                raise PydanticCustomError("topic", "{topic} cannot be subscribed to; there are: {near}",
                                          {"topic": topic, "near": near})  # fmt: skip
        return topics
