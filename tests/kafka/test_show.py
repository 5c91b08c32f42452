"""What `make run-kafka` shows, with fewer orders."""

from tests.kafka import show


async def test_every_order_is_accounted_for_though_the_broker_is_killed(had, cluster, capsys):
    assert 0 == await show.main(150), capsys.readouterr().out
    told = capsys.readouterr().out
    assert "147  placed and confirmed at the API" in told
    assert "3  skipped: no identity" in told
    assert "dead, kept with its bytes: erp.orders partition" in told
    assert "every one of 150 orders is accounted for" in told
