"""Addresses of databases: what a driver cannot read is said before it tries, and nothing of it is shown."""

import pytest

from bridge.config import read
from bridge.database_url import complaint
from bridge.errors import ConfigurationError

CONFIG = """
sources: {shop: {connector: shopify, shops: {example.myshopify.com: {secrets: [env:S]}}}}
destinations: {hellotext: {connector: hellotext, token: env:T}}
journal: {kind: postgres, url: env:DATABASE_URL}
include: [shopify/default]
"""


@pytest.mark.parametrize(
    "url",
    [
        "postgres://bridge@host/db",
        "postgresql://bridge:s3cr3t@host:5432/db?sslmode=verify-full",
        "postgres://bridge:s3%23cr%40t%25@host/db",
        "postgres://bridge@one:5432,two:5433/db?target_session_attrs=primary",
        "postgres://bridge@[::1]:5432/db",
        "postgres:///db?host=/var/run/postgresql&user=bridge",
        "postgres://bridge@/db",
    ],
)
def test_an_address_as_libpq_has_it_is_fit(url):
    assert complaint(url) is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgres://bridge:s3cr3t#x@host/db", "# as %23"),
        ("postgres://bridge:s3cr3t#", "# as %23"),
        ("postgres://bridge:s3cr3t/x@host/db", "/ as %2F"),
        ("postgres://bridge:s3cr3t?x@host/db", "? as %3F"),
        ("postgres://bridge:s3cr3t@x@host/db", "@ as %40"),
        ("postgres://bridge:s3cr3t%x@host/db", "% as %25"),
        ("postgres://bridge:s3cr3t[x@host/db", "its host cannot be read"),
        ("postgres://bridge@host:s3cr3t/db", "a port that is no number"),
        ("postgres://bridge@host:99999/db", "a port that is no number"),
        ("postgres://bridge@host:0/db", "a port that is no number"),
        ("mysql://bridge:s3cr3t@host/db", "write postgres://user@host:port/database"),
        ("host=db user=bridge password=s3cr3t", "write postgres://user@host:port/database"),
        ("s3cr3t", "write postgres://user@host:port/database"),
        ("postgres://bridge:s3cr3t@host/db?sslmode=s3cr3t", "unknown sslmode; there are: disable, allow"),
    ],
)
def test_what_is_unfit_is_said_without_a_word_of_it(url, said):
    with pytest.raises(ConfigurationError) as refused:
        read(CONFIG, environ={"S": "x", "T": "x", "DATABASE_URL": url})
    (problem,) = refused.value.problems
    assert "journal.url" == problem.path
    assert said in problem.message
    assert "env:DATABASE_URL" in problem.message
    assert "s3cr3t" not in f"{problem}{refused.value!r}"
    assert refused.value.__cause__ is None
