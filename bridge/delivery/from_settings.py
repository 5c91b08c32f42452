"""What the settings of a destination mean to the parts of delivery. Defaults stand in bridge/config/sections.py."""

from bridge.config.sections import OwnDelivery
from bridge.delivery.concurrency import ConcurrencyBounds
from bridge.delivery.http import Timeouts
from bridge.delivery.policy import RetryPolicy


def timeouts_of(delivery: OwnDelivery) -> Timeouts:
    return Timeouts(
        connect=delivery.connect_timeout,
        read=delivery.read_timeout,
        total=delivery.total_timeout,
        keep_alive=delivery.keep_alive,
    )


def bounds_of(delivery: OwnDelivery) -> ConcurrencyBounds:
    return ConcurrencyBounds(
        least=delivery.least_concurrency, most=delivery.concurrency, slow=delivery.slow_after.total_seconds()
    )


def retry_of(delivery: OwnDelivery) -> RetryPolicy:
    return RetryPolicy(first_wait=delivery.first_wait, longest_wait=delivery.longest_wait, give_up=delivery.give_up)
