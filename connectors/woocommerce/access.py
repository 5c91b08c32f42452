"""Settings for asking the shop itself: by which keys, at which address, and how often."""

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bridge.setting_types import Duration, Every, Secret

_FROZEN = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Access(BaseModel):
    """Access to a shop's REST API: the two parts of a key (WooCommerce, Settings, Advanced, REST API)."""

    model_config = _FROZEN

    key: Secret
    """Consumer key, `ck_...`. It needs the permission Read; Read/Write, if the bridge is to make webhooks."""
    secret: Secret
    """Consumer secret, `cs_...`."""
    send: Literal["header", "query"] = "header"
    """How the key is sent. `query` is for hosts that take the header `Authorization` away."""
    url: str | None = Field(default=None, pattern=r"^https?://[^/\s?#]+(/[^\s?#]*[^/\s?#])?$")
    """Address of the site, if the bridge reaches it by another than https://SHOP."""


class Upkeep(BaseModel):
    """What `run` does by itself for shops with `access`."""

    model_config = _FROZEN

    subscriptions: Literal["repair", "report", "leave"] = "repair"
    """What is done about missing webhooks, which WooCommerce switches off after seven failures: make them again, log
    them only, or do not look."""
    topics: list[str] = []
    """Topics to subscribe to besides those that the rules' documents need, for rules that read the topic."""
    check_every: Every = timedelta(hours=1)
    """Time between two looks at the webhooks."""
    reconcile: bool = True
    """Whether the bridge fetches orders whose webhook never came. WooCommerce sends each webhook once."""
    reconcile_every: Every = timedelta(hours=1)
    """Time between two reconciliations."""
    overlap: Duration = timedelta(hours=1)
    """Time that a reconciliation looks back behind the end of the last one."""
    first: Duration = timedelta(hours=24)
    """Time that the first reconciliation looks back."""
