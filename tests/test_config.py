"""One file, read once: what is wrong is said all at once, what is right becomes frozen settings."""

import pytest

from bridge.config import journal_of, read, read_file
from bridge.errors import ConfigurationError

GOOD = """
sources:
  shop: {connector: shopify, shops: {example.myshopify.com: {secrets: [env:S]}}}
destinations:
  hellotext: {connector: hellotext, token: env:T}
include: [shopify/default]
"""
ENVIRON = {"S": "secret", "T": "token"}


def _problems(text, environ=ENVIRON, **options):
    with pytest.raises(ConfigurationError) as wrong:
        read(text, environ=environ, **options)
    return [str(problem) for problem in wrong.value.problems]


def test_the_smallest_configuration_has_every_default():
    settings = read(GOOD, environ=ENVIRON)
    assert (8080, 9090, "127.0.0.1") == (settings.door.port, settings.private.port, settings.private.host)
    assert "var/journal.db" == str(settings.journal.path)
    assert not settings.destinations["hellotext"].shadow


def test_no_secret_shows_in_the_settings():
    assert "secret'" not in repr(read(GOOD, environ=ENVIRON))
    assert "token'" not in repr(read(GOOD, environ=ENVIRON))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("env:S", "plain"), "a secret is written env:NAME or file:PATH, never as itself"),
        (("env:S", "env:NOPE"), "environment variable NOPE is not set"),
        (("env:S", "file:/no/such/file"), "cannot read /no/such/file: No such file or directory"),
        (
            ("connector: shopify", "connector: shopfy"),
            "there is no connector 'shopfy'; there are: hellotext, http, kafka, shopify",
        ),
        (("connector: shopify, ", ""), "`connector:` is missing; there are: hellotext, http, kafka, shopify"),
        (("connector: shopify", "connector: hellotext"), "unknown key"),
        (("[shopify/default]", "[shopify/defualt]"), "connector shopify has no such rules; there are: shopify/default"),
        (("[shopify/default]", "[]"), "there are no rules: write `include: [shopify/default]`"),
        (("token: env:T", "token: env:T, mode: test"), "mode is live or shadow"),
        (("[env:S]", "[]"), "secrets: is empty: at least 1 is needed here"),
        (("{example.myshopify.com: {secrets: [env:S]}}", "{}"), "shops: is empty: at least 1 is needed here"),
        (("include", "journal: {path: 5}\ninclude"), "journal.path: a text is expected here"),
        (("include", "logs: {level: loud}\ninclude"), "logs.level: write debug or info or warning or error"),
        (("include", "door: {max_body: 1}\ninclude"), "door.max_body: is too small: write 1024 or more"),
        (("[shopify/default]", "5"), "include: a list is expected here"),
        (("include", "door: {answer_within: 4}\ninclude"), "a duration is written as a number and a unit"),
        (("include", "delivery: {total_timeout: 0s}\ninclude"), "total_timeout: is too small: write 100ms or more"),
        (("include", "delivery: {first_wait: 0s}\ninclude"), "delivery.first_wait: is too small: write 10ms or more"),
        (("include", "delivery: {longest_wait: 9d}\ninclude"), "delivery.longest_wait: is too large: write 1d or less"),
        (("include", "journal: {keep: {keys: 99999d}}\ninclude"), "is too large: write 36500d, which is a hundred"),
        (("include", "journal: {kind: postgres, url: env:S, lease: 0s}\ninclude"), "is too small: write 1s or more"),
        (("include", "journal: {kind: postgres, url: env:S, poll: 0s}\ninclude"), "poll: is too small: write 10ms"),
        (
            ("include", "journal: {kind: postgres, url: env:S, timeout: 0s}\ninclude"),
            "timeout: is too small: write 100ms",
        ),
        (("include", "door: {port: 99999}\ninclude"), "door.port: is too large: write 65535 or less"),
        (("include", "journal: {kind: oracle}\ninclude"), "kind is sqlite or postgres"),
        (
            ("include", "journal: {keep: {keys: 20d, history: 20d, bodies: 9d}}\ninclude"),
            "keys must be kept longer than",
        ),
        (("include", "journal: {keep: {bodies: 999d}}\ninclude"), "bodies may not be kept longer than the history"),
        (("include", "logs: {levle: info}\ninclude"), "unknown key; did you mean `level`?"),
    ],
    ids=lambda value: value[1][:24] if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_said_with_its_place_and_a_cure(change, said):
    (*_, last) = problems = _problems(GOOD.replace(*change))
    assert any(said in problem for problem in problems), problems
    assert last.startswith("bridge.yaml:")


def test_a_core_section_that_is_wrong_does_not_hide_what_is_wrong_elsewhere():
    problems = _problems(GOOD.replace("env:S", "env:NOPE") + "door: {prt: 1}\n")
    assert 2 == len(problems)


WRONG_ALL_OVER = """
sources:
  shop: {connector: shopfy}
  other: {connector: shopify, shop: {a.myshopify.com: {secret: [env:S]}}}
destination:
  hellotext: {connector: hellotext, tokn: env:T}
include: [shopify/defalt]
jurnal: {}
door: {prt: 1}
"""


def _placed(problem):
    """Line and column, and what is said up to the cure that lists what there is."""
    _, line, column, said = problem.split(":", 3)
    return f"{line}:{column}", said.strip().split("; there are")[0].split(": connector")[0]


def test_misspelt_sections_do_not_hide_what_is_wrong_in_them_and_elsewhere():
    assert [
        ("2:1", "destinations: this key is missing"),
        ("3:21", "sources.shop.connector: there is no connector 'shopfy'"),
        ("4:10", "sources.other.shops: this key is missing"),
        ("4:37", "sources.other.shop: unknown key; did you mean `shops`?"),
        ("5:1", "destination: unknown key; did you mean `destinations`?"),
        ("6:14", "destinations.hellotext.token: this key is missing"),
        ("6:43", "destinations.hellotext.tokn: unknown key; did you mean `token`?"),
        ("7:11", "include.0: cannot include shopify/defalt"),
        ("8:9", "jurnal: unknown key; did you mean `journal`?"),
        ("9:13", "door.prt: unknown key; did you mean `port`?"),
    ] == [_placed(problem) for problem in _problems(WRONG_ALL_OVER)]


PLCD = "rules: {own: {for: order, give: {action: order.plcd, session: s, object: = order.totl}}}\n"


@pytest.mark.parametrize(
    ("change", "first"),
    [
        (("env:S", "env:NOPE"), "environment variable NOPE is not set"),
        (("env:T", "env:NOPE"), "environment variable NOPE is not set"),
        (("include", "door: {prt: 1}\ninclude"), "unknown key"),
        (("include", "journal: {keep: {keys: soon}}\ninclude"), "a duration is written"),
        (("[shopify/default]", "[shopify/defualt]"), "cannot include"),
        (("[shopify/default]", "5"), "a list is expected here"),
        (("sources:", "soruces:"), "did you mean `sources`?"),
        (("destinations:", "destination:"), "did you mean `destinations`?"),
    ],
    ids=lambda value: value[1][:24] if isinstance(value, tuple) else "",
)
def test_what_is_wrong_elsewhere_does_not_hide_what_is_wrong_in_rules(change, first):
    said = _problems(GOOD.replace(*change) + PLCD)
    assert any(first in problem for problem in said), said
    for rule in ("say when the fact became true", "did you mean order.placed?", "order.totl"):
        assert any(rule in problem for problem in said), said


OTHER = "  two: {connector: hellotext, token: env:T}\ninclude"


def test_rules_that_need_what_could_not_be_read_are_not_called_wrong():
    base = GOOD.replace("[shopify/default]", "[]")
    rule = "{for: %s, to: %s, at: = %s.created_at, give: {action: order.placed, session: = source.sesion}}"
    rules = "rules:\n  own: " + rule % ("order", "hellotext", "order") + "\n"
    assert ["there is no connector"] == [
        "there is no connector" if "there is no connector" in problem else problem
        for problem in _problems(
            base.replace("connector: shopify", "connector: shopfy") + "fields: {order.x: text}\n" + rules
        )
    ]
    (said,) = _problems(base.replace("connector: hellotext", "connector: helotext") + rules)
    assert "there is no connector 'helotext'" in said
    (said,) = _problems(
        base.replace("env:T", "plain") + rules.replace("sesion", "currency").replace("order.placed", "x")
    )
    assert "a secret is written" in said


@pytest.mark.parametrize("rule", ["{for: [{}], to: {}}", "{for: {}, to: [1]}", "{to: 1}", "5"])
def test_a_rule_of_any_form_is_refused_beside_what_could_not_be_read(rule):
    assert 2 <= len(
        _problems(GOOD.replace("env:S", "env:NOPE").replace("shopify,", "shopfy,") + f"rules: {{a: {rule}}}\n")
    )


def test_a_rule_that_may_override_what_could_not_be_included_is_not_called_incomplete():
    (said,) = _problems(GOOD.replace("default", "defualt") + "rules: {placed: {fact: order.made}, cancelled: false}\n")
    assert "cannot include" in said


def test_without_a_destination_to_go_to_the_rest_of_a_rule_is_checked():
    said = _problems(GOOD.replace("include", OTHER) + PLCD)
    assert any("say where it goes: to: hellotext or two" in problem for problem in said), said
    assert any("order.totl" in problem for problem in said), said


def test_what_is_no_yaml_says_that_there_may_be_more():
    with pytest.raises(ConfigurationError) as wrong:
        read(GOOD + "rules: {placed: [}\n", environ=ENVIRON)
    assert ["the text after it was not read: there may be more problems once this is right"] == wrong.value.__notes__


def test_a_rule_that_nobody_includes_cannot_be_switched_off():
    (said,) = _problems(GOOD + "rules: {confirmd: false}\n")
    assert said.endswith(
        "rules.confirmd: there is no included rule confirmd that could be switched off: did you mean confirmed?"
    )


@pytest.mark.parametrize("hosts", [("0.0.0.0", "127.0.0.1"), ("10.0.0.1", "10.0.0.1"), ("10.0.0.1", "::")])
def test_one_port_for_the_door_and_the_private_port_is_said(hosts):
    def listening(door, private, port):
        return GOOD + f'door: {{host: "{door}", port: {port}}}\nprivate: {{host: "{private}", port: {port}}}\n'

    (said,) = _problems(listening(*hosts, 8777))
    assert said.endswith("private.port: 8777 is the door's port too: give one of them another")
    (said,) = _problems(GOOD + "private: {port: 8777}\nconsole: {port: 8777}\n")
    assert said.endswith("console.port: 8777 is the port of `private` too: give one of them another")
    assert "door's port" not in " ".join(_problems(GOOD + "door: {port: x}\nprivate: {port: 8080}\n"))
    assert read(listening(*hosts, 0), environ=ENVIRON)
    assert read(listening("10.0.0.1", "10.0.0.2", 8777), environ=ENVIRON)


def test_a_misspelt_rule_that_is_included_is_no_rule_of_ones_own():
    (said,) = _problems(GOOD + "rules: {confirmd: {max_age: 120d}}\n")
    assert said.endswith("rules.confirmd: no included rule is called confirmd: did you mean confirmed?")
    assert "rules.big: say for which kind" in " ".join(_problems(GOOD + "rules: {big: {max_age: 120d}}\n"))


def test_a_rule_of_ones_own_is_not_switched_off_but_taken_out():
    (said,) = _problems(GOOD + "rules: {big: false}\n")
    assert said.endswith(
        "no included rule big that could be switched off: a rule of one's own is taken out of the file"
    )


def test_a_file_that_is_no_mapping_says_what_one_is():
    assert ["a configuration is a mapping" in problem for problem in _problems("- a\n- b\n")] == [True]


def test_an_empty_file_says_what_is_missing():
    assert {"sources", "destinations"} == {problem.split(": ")[1] for problem in _problems("")}


def test_a_rule_of_the_file_replaces_keys_of_an_included_one():
    settings = read(GOOD + "rules: {placed: {fact: order.made}}\n", environ=ENVIRON)
    assert "order.made" == settings.rules.facts("hellotext")["placed"]


def test_a_rule_is_switched_off_with_false():
    settings = read(GOOD + "rules: {placed: false}\n", environ=ENVIRON)
    assert "placed" not in settings.rules.facts("hellotext")
    assert {"placed": f"bridge.yaml:{GOOD.count(chr(10)) + 1}"} == settings.switched_off


def test_a_mistake_in_an_overridden_key_is_reported_where_it_stands():
    problems = _problems(GOOD + "rules:\n  placed:\n    at: = order.craeted_at\n")
    assert ["bridge.yaml:9:"] == [problem[:14] for problem in problems]
    assert "created_at" in problems[0]


def test_rules_can_be_included_from_a_file_beside(tmp_path):
    (tmp_path / "rules.yaml").write_text(
        "rules:\n  made: {for: order, at: = order.created_at, give: {action: order.placed, session: s}}\n"
    )
    (tmp_path / "bridge.yaml").write_text(GOOD.replace("shopify/default", "rules.yaml"))
    settings = read_file(tmp_path / "bridge.yaml", environ=ENVIRON)
    assert {"made": "order.placed"} == dict(settings.rules.facts("hellotext"))


UNSEEN = {
    "a byte order mark": ("\ufeffs3cr3t", "begins with a byte order mark"),
    "a second line end": ("s3cr3t\n\n", "has more than one line"),
    "a second line": ("s3cr3t\nother", "has more than one line"),
    "a blank behind it": ("s3cr3t ", "begins or ends with a blank"),
    "a tab before it": ("\ts3cr3t", "begins or ends with a blank"),
    "a blank of another kind": ("s3cr3t\u00a0", "begins or ends with a blank"),
    "a carriage return": ("s3cr3t\r", "holds a carriage return"),
    "quotes": ('"s3cr3t"', "stands in quotes"),
    "single quotes": ("'s3cr3t'", "stands in quotes"),
    "a zero-width space": ("s3c\u200br3t", "holds a sign that nobody sees"),
    "a soft hyphen": ("s3c\u00adr3t", "holds a sign that nobody sees"),
    "a control character": ("s3c\x07r3t", "holds a sign that nobody sees"),
}
PLACES = {
    "a webhook's secret": (GOOD, "env:S"),
    "a token": (GOOD, "env:T"),
    "a database": (f"{GOOD}journal: {{kind: postgres, url: env:U}}\n", "env:U"),
    "a password": (f"{GOOD}journal: {{kind: postgres, url: env:U, password: env:P}}\n", "env:P"),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(("value", "said"), UNSEEN.values(), ids=UNSEEN)
def test_what_nobody_sees_in_a_secret_is_refused_wherever_it_is(value, said, place):
    text, name = place
    environ = {**ENVIRON, "U": "postgres://db/bridge", "P": "password", name.removeprefix("env:"): value}
    (problem,) = _problems(text, environ=environ)
    assert f"{name} {said}" in problem
    assert "s3c" not in problem
    assert "bridge.yaml:" in problem


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_one_line_end_of_a_file_is_its_editors(tmp_path, end):
    (tmp_path / "secret").write_bytes(f"from-a-file{end}".encode())
    settings = read(GOOD.replace("env:T", f"file:{tmp_path / 'secret'}"), environ=ENVIRON)
    assert "from-a-file" == settings.destinations["hellotext"].destination.token.reveal()


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r"])
def test_more_than_one_is_not(tmp_path, end):
    (tmp_path / "secret").write_bytes(f"from-a-file{end}".encode())
    (problem,) = _problems(GOOD.replace("env:T", f"file:{tmp_path / 'secret'}"))
    assert "from-a-file" not in problem


def test_what_is_seen_in_a_secret_is_its_own():
    for value in ("two words", "it's", '5" wide', "p\u00e4ss", "#x@/:?"):
        assert read(GOOD, environ={**ENVIRON, "S": value})


def test_the_journals_path_is_found_without_any_secret(tmp_path):
    (tmp_path / "bridge.yaml").write_text(GOOD + "journal: {path: elsewhere.db}\n")
    assert "elsewhere.db" == str(journal_of(tmp_path / "bridge.yaml").path)


def test_a_configuration_without_a_journal_means_the_usual_one(tmp_path):
    (tmp_path / "bridge.yaml").write_text(GOOD)
    assert "var/journal.db" == str(journal_of(tmp_path / "bridge.yaml").path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "a configuration is a mapping"),
        (b"# nothing\n", "a configuration is a mapping"),
        (b"- journal\n", "a configuration is a mapping"),
        (b"journal: []\n", "journal: a mapping is expected here"),
        (b"\x7fELF\xff", "it is not UTF-8 text"),
    ],
)
def test_what_is_no_configuration_does_not_mean_the_usual_journal(tmp_path, content, said):
    (tmp_path / "bridge.yaml").write_bytes(content)
    with pytest.raises(ConfigurationError, match=said):
        journal_of(tmp_path / "bridge.yaml")


def test_a_destination_has_settings_of_delivery_of_its_own_beside_the_common_ones():
    own = "{connector: hellotext, token: env:T, delivery: {rate: 600/m, concurrency: 4}}"
    text = GOOD.replace("{connector: hellotext, token: env:T}", own) + "delivery: {concurrency: 8, slow_after: 1s}\n"
    settings = read(text, environ=ENVIRON)
    whole = settings.delivery.of(settings.destinations["hellotext"].delivery)
    assert (4, 10.0, 1.0) == (whole.concurrency, whole.rate, whole.slow_after.total_seconds())
    assert (8, None) == (settings.delivery.concurrency, settings.delivery.rate)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ("{rate: 20}", "a rate is written as a number above 0 and a unit: 20/s, 600/m or 5000/h"),
        ("{rate: 0/s}", "a rate is written as a number above 0"),
        ("{rate: 20/d}", "a rate is written as a number above 0"),
        ("{least_concurrency: 65}", "least_concurrency is greater than concurrency"),
        ("{grace: 1s}", "unknown key"),
        ("{concurency: 3}", "unknown key; did you mean `concurrency`?"),
    ],
)
def test_a_setting_of_delivery_that_is_wrong_is_said_with_its_place(own, said):
    text = GOOD.replace("token: env:T}", f"token: env:T, delivery: {own}}}")
    (problem,) = _problems(text)
    assert "destinations.hellotext.delivery" in problem
    assert said in problem


def test_the_common_settings_of_delivery_are_checked_too():
    (problem,) = _problems(GOOD + "delivery: {least_concurrency: 9, concurrency: 8}\n")
    assert "delivery.least_concurrency: least_concurrency is greater than concurrency" in problem


_TWO = GOOD.replace("  hellotext:", "  other: {connector: hellotext, token: env:T}\n  hellotext:")


def test_a_destination_that_no_rule_feeds_is_named():
    (told,) = read(_TWO, environ=ENVIRON).unfed()
    assert told.startswith("destination other: no rule sends it anything")
    assert not read(GOOD, environ=ENVIRON).unfed()


def test_a_topic_whose_documents_no_rule_is_for_is_named():
    topics = "{a: {tenant: erp, kind: erp_order, lane: = doc.n}, b: {tenant: erp, kind: erp_note, lane: = doc.n}}"
    kafka = f'  erp: {{connector: kafka, brokers: ["b:9092"], group: g, topics: {topics}}}\n'
    rule = """
rules:
  noted: {for: erp_note, to: hellotext, at: = doc.at, fact: noted, give: {action: order.placed, session: = doc.s}}
"""
    text = GOOD.replace("destinations", kafka + "destinations") + rule
    (told,) = read(text, environ=ENVIRON).unfed()
    assert told.startswith("source erp: no rule is for erp_order:")


STREAMS = """
sources:
  erp: {connector: kafka, brokers: ["b:9092"], group: g, topics: {orders: {tenant: shop.example}}ERP}
  till: {connector: kafka, brokers: ["b:9092"], group: g, topics: {sales: {tenant: shop.example}}TILL}
destinations: {hellotext: {connector: hellotext, token: env:HELLOTEXT_TOKEN}}
journal: JOURNAL
include: [shopify/default]
"""
POSTGRES = "{kind: postgres, url: env:DATABASE}"


def _streams(erp="", till="", journal="{path: a.db}"):
    text = STREAMS.replace("ERP", erp).replace("TILL", till).replace("JOURNAL", journal)
    environ = {"HELLOTEXT_TOKEN": "t", "DATABASE": "postgres://db/bridge", "HOSTNAME": "pod-0", "ODD": "a b"}
    return read(text, environ=environ)


def test_a_member_of_a_group_may_have_its_name_from_the_environment():
    found = _streams(", instance: env:HOSTNAME", journal=POSTGRES)
    assert ["pod-0", None] == [source.subscription().instance for source in found.sources.values()]
    assert "here" == _streams(", instance: here").sources["erp"].subscription().instance


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"erp": ", instance: here", "journal": POSTGRES}, "sources.erp.instance: with a journal in Postgres several"),
        ({"erp": ", instance: here", "till": ", instance: here"}, "sources.till.instance: is that of source erp"),
        ({"erp": ", instance: env:GONE"}, "sources.erp.instance: environment variable GONE is not set"),
        ({"erp": ", instance: env:ODD"}, "sources.erp.instance: is a name of letters, digits, '.', '_' and '-'"),
        ({"erp": ', instance: ""'}, "sources.erp.instance: is a name of letters"),
        ({"erp": ", instance: 7"}, "sources.erp.instance: is a name of letters"),
    ],
)
def test_a_members_name_that_another_has_too_or_that_is_none_is_refused(given, said):
    with pytest.raises(ConfigurationError) as refused:
        _streams(**given)
    assert said in str(refused.value)


KINDS = """
sources:
  rows:
    connector: kafka
    brokers: [127.0.0.1:9092]
    group: bridge
    topics: {rows: {tenant: a-shop, kind: row}}
    kinds: {row: {id: integer, SHAPE}}
destinations: {hellotext: {connector: hellotext, token: env:HELLOTEXT_TOKEN}}
"""


@pytest.mark.parametrize(
    "shape", ["a: null", "a: 7", "a: [1]", "a: {b}", "a: [{b}]", "a: {b: {c: [null]}}", "a: tekst", "a: []"]
)
def test_a_kind_that_is_described_by_no_shape_is_a_problem_with_its_place(shape):
    with pytest.raises(ConfigurationError) as wrong:
        read(KINDS.replace("SHAPE", shape), environ={"HELLOTEXT_TOKEN": "t"})
    (problem,) = (each for each in wrong.value.problems if each.path == "sources.rows.kinds.row")
    assert ("bridge.yaml", 8) == (problem.file, problem.line)
    assert "writ" in problem.message
