"""The errands of a WooCommerce source: its orders read again, its webhooks, a look at all that must be right. Pure."""

from collections.abc import Collection, Sequence
from datetime import datetime

from bridge.errand import Errand, Finding, Schedule
from bridge.errors import ErrandFailed
from connectors.woocommerce import Woocommerce, subscriptions
from connectors.woocommerce.doctor import Examination
from connectors.woocommerce.orders import Rereading
from connectors.woocommerce.rest_api import Asking


class WoocommerceErrands:
    """Implements bridge.errand.Admin."""

    def __init__(self, source: str, woocommerce: Woocommerce) -> None:
        self._source = source
        self._woocommerce = woocommerce

    @property
    def schedule(self) -> Schedule:
        upkeep = self._woocommerce.upkeep
        return Schedule(
            check=upkeep.check_every if upkeep.subscriptions != "leave" else None,
            repair=upkeep.subscriptions == "repair",
            reconcile=upkeep.reconcile_every if upkeep.reconcile else None,
            overlap=upkeep.overlap,
            first=upkeep.first,
        )

    def tenants(self) -> Sequence[str]:
        return [name for name, shop in self._woocommerce.shops.items() if shop.access is not None]

    def documents(self, tenant: str, *, since: datetime, until: datetime, now: datetime) -> Errand[None]:
        """Read the orders again, those in the bin excepted."""
        reading = Rereading(
            asking=self._asking(tenant),
            named=lambda raw: self._woocommerce.found(raw, source=self._source, tenant=tenant, now=now),
        )
        return reading.made(since, until)

    def subscribe(
        self, tenant: str, *, kinds: Collection[str], dry_run: bool, elsewhere: bool = True
    ) -> Errand[Sequence[Finding]]:
        if self._woocommerce.address is None:
            raise ErrandFailed("write `address:` in the source: the public https address that the shop posts to")
        aligned = subscriptions.Alignment(
            asking=self._asking(tenant),
            topics=self._topics(kinds),
            url=self._woocommerce.address,
            secret=self._woocommerce.shops[tenant].secrets[0].reveal(),
            dry_run=dry_run,
            elsewhere=elsewhere,
        )
        return aligned.made()

    def examine(self, tenant: str, *, kinds: Collection[str], now: datetime) -> Errand[Sequence[Finding]]:
        examination = Examination(
            woocommerce=self._woocommerce, asking=self._asking(tenant), topics=self._topics(kinds), now=now
        )
        return examination.made()

    def _topics(self, kinds: Collection[str]) -> Sequence[str]:
        return tuple(dict.fromkeys((*subscriptions.wanted(kinds), *self._woocommerce.upkeep.topics)))

    def _asking(self, tenant: str) -> Asking:
        shop = self._woocommerce.shops.get(tenant)
        if shop is None or shop.access is None:
            raise ErrandFailed(f"shop {tenant} has no `access:`; with it: {', '.join(self.tenants()) or 'none'}")
        return Asking(shop=tenant, access=shop.access)


ADMIN = WoocommerceErrands
