"""Who looks for a fault sees what the program does inside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.cli.sender import example

ROOT = Path(__file__).parents[1]
CONFIG = """
sources:
  shop: {connector: shopify, shops: {example.myshopify.com: {secrets: [env:SHOPIFY_SECRET]}}}
destinations:
  hellotext: {connector: hellotext, token: env:HELLOTEXT_TOKEN}
include: [shopify/default]
"""
KAFKA = """
sources:
  erp:
    connector: kafka
    brokers: ["127.0.0.1:{port}"]
    group: bridge
    topics: {{orders: {{tenant: shop, kind: sale, lane: = doc.id}}}}
    kinds: {{sale: {{id: text, at: time}}}}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN}}
door: {{host: 127.0.0.1, port: 0}}
private: {{port: 0}}
rules:
  placed: {{for: sale, at: = sale.at, give: {{action: page.viewed, session: = sale.id, url: a}}}}
"""


@pytest.fixture
def look(tmp_path, environ):
    """Runs a command under a look, in a folder with a configuration, to its end or until it said something."""

    def run(*words, config=CONFIG, until=None):
        (tmp_path / "bridge.yaml").write_text(config)
        command = ["timeout", "60", sys.executable, "-m", "tests.look", *words]
        known = {**os.environ, **environ, "PYTHONPATH": str(ROOT)}
        said = []
        with subprocess.Popen(command, cwd=tmp_path, env=known, stderr=subprocess.PIPE, text=True) as process:
            for line in process.stderr:
                said.append(line)
                if until is not None and until in line:
                    process.terminate()
        return "".join(said)

    return run


def test_the_python_of_each_rule(look, tmp_path):
    (tmp_path / "order.json").write_bytes(example("shopify", "order.json"))
    assert ".get('total_price')" in look("rules", "preview", "order.json")


def test_the_statements_of_a_journal_in_a_file_with_their_values(look):
    assert "PRAGMA journal_mode = WAL" in look("sql", "journal", "init", "--journal", "journal.db")
    assert "alias.hash = x'" in look("sql", "orders", "show", "1042", "--journal", "journal.db")


def test_the_statements_of_a_journal_in_postgres(look, postgres_place, environ):
    environ["DATABASE_URL"] = postgres_place.dsn
    journal = f"journal: {{kind: postgres, url: env:DATABASE_URL, schema: {postgres_place.schema}}}\n"
    assert "SELECT" in look("sql", "journal", "stats", config=CONFIG + journal)


def test_what_the_client_of_kafka_says(look, unused_tcp_port):
    said = "aiokafka ERROR Unable connect"
    assert said in look("aiokafka", "run", config=KAFKA.format(port=unused_tcp_port), until=said)
