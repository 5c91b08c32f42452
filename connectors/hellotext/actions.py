"""The names of actions: those that a server may send, and those that the API makes by itself."""

BUILT_IN = frozenset(
    (
        "order.placed",
        "order.confirmed",
        "order.cancelled",
        "order.shipped",
        "order.delivered",
        "refund.requested",
        "refund.received",
        "coupon.redeemed",
        "product.purchased",
        "product.viewed",
        "cart.added",
        "cart.removed",
        "cart.viewed",
        "cart.abandoned",
        "checkout.started",
        "page.viewed",
        "form.completed",
        "app.installed",
        "app.removed",
        "app.spent",
    )
)
"""Built-in actions that an integration may send (docs/contracts/hellotext.md 2.1)."""

CONSENT = frozenset(("subscribed", "unsubscribed"))
"""Facts about consent. They need real evidence, so they are sent only if the setting `actions` names them."""

GENERATED = frozenset(
    ("short_link.clicked", "product.browse_abandoned", "product.price_changed", "order.printed_label")
)
"""Actions that the API makes itself. Sending them could start automations or falsify reports
(docs/contracts/hellotext.md 2.2)."""
