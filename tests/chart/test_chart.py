"""The chart: what it renders, by the schemas of Kubernetes and by what the program knows; and what it refuses."""

import itertools
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import click
import jsonschema
import kubernetes_validate
import pytest
import yaml
from prometheus_client import generate_latest

from bridge import monitoring
from bridge.config import read
from bridge.telemetry import REGISTRY
from tests.chart.conftest import SCENARIOS, only, pods
from tests.chart.generated import CHART, documented, paths, readme, values_schema

ENVIRON = {"SHOPIFY": "s", "TOKEN": "t"}
CUSTOM = json.loads((CHART.parents[1] / "tests" / "chart" / "custom_resources.json").read_text())
SWITCHES = {
    "ingress": ["ingress.enabled=true", "ingress.host=h.example"],
    "route": ["httpRoute.enabled=true", "httpRoute.parentRefs[0].name=g"],
    "policy": ["networkPolicy.enabled=true"],
    "monitor": ["metrics.serviceMonitor.enabled=true"],
    "rules": ["metrics.rules.enabled=true"],
    "dashboard": ["metrics.dashboard.enabled=true"],
    "nothing": ["check.enabled=false", "init.enabled=false", "serviceAccount.create=false", "topologySpread=false"],
    "secret": ["secret.existingSecret=", "secret.create.shopify=x"],
}


def _set(*switches):
    return [part for switch in switches for value in SWITCHES[switch] for part in ("--set", value)]


def _check(one, version):
    if one["apiVersion"].split("/")[0] in ("monitoring.coreos.com", "keda.sh", "gateway.networking.k8s.io"):
        jsonschema.validate(one, CUSTOM[one["kind"]])
    else:
        kubernetes_validate.validate(one, version, strict=True)


# -- what is rendered -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_passes_the_strict_linter(helm, scenario):
    done = helm("lint", "--strict", CHART, "-f", CHART / "ci" / f"{scenario}-values.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", ["1.27", "1.37"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_object_of_a_scenario_is_valid(rendered, scenario, version):
    for one in rendered(scenario):
        _check(one, version)


@pytest.mark.parametrize("shape", ["sqlite", "postgres"])
@pytest.mark.parametrize("switches", [*itertools.combinations(SWITCHES, 1), *itertools.combinations(SWITCHES, 2)])
def test_every_two_features_together_are_valid(rendered, shape, switches):
    objects = rendered(shape, *_set(*switches))
    for one in objects:
        _check(one, "1.37")
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_pods_have_no_privilege_no_token_and_write_into_volumes_alone(rendered, scenario):
    for pod in pods(rendered(scenario)):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert {"type": "RuntimeDefault"} == spec["securityContext"]["seccompProfile"]
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert (False, False) == (context["privileged"], context["allowPrivilegeEscalation"])
            assert ["ALL"] == context["capabilities"]["drop"]
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            claimed = {"journal"} if pod.get("kind") != "Pod" and "ports" in container else set()
            assert mounted <= {volume["name"] for volume in spec["volumes"]} | claimed


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_configuration_is_the_values_unchanged_and_good(rendered, scenario, tmp_path):
    objects = rendered(scenario)
    maps = [o["data"]["bridge.yaml"] for o in objects if o["kind"] == "ConfigMap" and "bridge.yaml" in o["data"]]
    given = yaml.safe_load((CHART / "ci" / f"{scenario}-values.yaml").read_text())["config"]
    for text in maps:
        written = yaml.safe_load(text)
        assert all(written[name] == given[name] for name in ("sources", "destinations"))
        for name in ("shopify", "hellotext"):
            (tmp_path / name).write_text("x")
        (tmp_path / "database").write_text("postgres://bridge@db/bridge")
        local = text.replace("/run/secrets/attribution-bridge", str(tmp_path))
        assert read(local, environ=ENVIRON).private.host == "0.0.0.0"


def test_sqlite_is_one_pod_with_a_volume_of_its_own(rendered):
    objects = rendered("sqlite")
    workload = only(objects, "StatefulSet")
    assert 1 == workload["spec"]["replicas"]
    assert "Parallel" == workload["spec"]["podManagementPolicy"], "else a bad revision stays, and a rollback waits"
    (claim,) = workload["spec"]["volumeClaimTemplates"]
    assert ["ReadWriteOncePod"] == claim["spec"]["accessModes"]
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["journal"] == container["workingDir"]


def test_postgres_is_any_number_of_pods_without_a_volume(rendered):
    objects = rendered("postgres")
    workload = only(objects, "Deployment")
    assert 3 == workload["spec"]["replicas"]
    assert "topologySpreadConstraints" in workload["spec"]["template"]["spec"]
    assert 1 == only(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"]
    volumes = workload["spec"]["template"]["spec"]["volumes"]
    assert {"config", "tmp", "secrets"} == {volume["name"] for volume in volumes}


def test_who_scales_sets_the_number_of_replicas_alone(rendered):
    for scenario, kind in (("autoscaled", "HorizontalPodAutoscaler"), ("everything", "ScaledObject")):
        objects = rendered(scenario)
        assert "replicas" not in only(objects, "Deployment")["spec"]
        assert only(objects, kind)["spec"]["scaleTargetRef"]["name"] == only(objects, "Deployment")["metadata"]["name"]


@pytest.mark.parametrize(("grace", "seconds"), [("25s", 40), ("1m", 75), ("1500ms", 17), ("2h", 7215)])
def test_the_grace_period_follows_the_programs_own(rendered, grace, seconds):
    objects = rendered("sqlite", "--set", f"config.delivery.grace={grace}")
    assert seconds == only(objects, "StatefulSet")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]


def test_ports_follow_the_configuration(rendered):
    objects = rendered("everything")
    (container,) = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert {"door": 8181, "private": 9191} == {port["name"]: port["containerPort"] for port in container["ports"]}


def test_only_the_door_is_routed_from_outside(rendered):
    objects = rendered("everything")
    (rule,) = only(objects, "Ingress")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert ("/webhooks/", "bridge", "door") == (
        path["path"],
        path["backend"]["service"]["name"],
        path["backend"]["service"]["port"]["name"],
    )
    (route,) = only(objects, "HTTPRoute")["spec"]["rules"]
    assert [("/webhooks/", "POST")] == [(match["path"]["value"], match["method"]) for match in route["matches"]]


def test_hooks_bring_what_they_need_and_run_in_order(rendered):
    objects = [one for one in rendered("everything") if "helm.sh/hook" in one["metadata"].get("annotations", {})]
    before = [one for one in objects if one["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"]
    weights = {
        (one["kind"], one["metadata"]["name"]): int(one["metadata"]["annotations"]["helm.sh/hook-weight"])
        for one in before
    }
    assert weights["ConfigMap", "bridge-hook"] == weights["Secret", "bridge-hook"] < weights["Job", "bridge-check"]
    assert weights["Job", "bridge-check"] < weights["Job", "bridge-init"]
    jobs = {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in before if one["kind"] == "Job"}
    named = {
        name: {
            v.get("configMap", v.get("secret", {})).get("name") or v.get("secret", {}).get("secretName")
            for v in spec["volumes"]
        }
        for name, spec in jobs.items()
    }
    assert {"bridge-hook", None, "ca"} == named["bridge-check"]
    assert "migrator" in named["bridge-init"]
    assert all("serviceAccountName" not in spec for spec in jobs.values())


def test_a_hook_that_fails_says_why_before_helm_gives_up_and_leaves_nothing_for_ever(rendered):
    jobs = [one for one in rendered("postgres") if one["kind"] == "Job"]
    assert 2 == len(jobs)
    for job in jobs:
        assert 120 == job["spec"]["activeDeadlineSeconds"], "Helm waits 300 seconds"
        assert 86400 == job["spec"]["ttlSecondsAfterFinished"]
        assert "hook-failed" == job["metadata"]["annotations"]["helm.sh/hook-output-log-policy"]


def test_hooks_run_as_an_account_that_is_there_before_them(rendered):
    def accounts(*given):
        objects = rendered("postgres", *[part for value in given for part in ("--set", value)])
        jobs = [one["spec"]["template"]["spec"] for one in objects if one["kind"] == "Job"]
        return {job.get("serviceAccountName") for job in jobs}

    assert {None} == accounts()
    assert {"ours"} == accounts("serviceAccount.create=false", "serviceAccount.name=ours")
    assert {"migrator"} == accounts("hooks.serviceAccountName=migrator")


def test_every_container_has_resources_so_that_a_quota_admits_it(rendered):
    for pod in pods(rendered("postgres")):
        assert all("memory" in each["resources"]["limits"] for each in pod["spec"]["containers"])


def test_an_upgrade_keeps_selectors_and_claims(rendered):
    old = rendered("sqlite")
    new = rendered("sqlite", "--set", "image.tag=9.9.9,commonLabels.more=x,podLabels.more=x,config.delivery.grace=9s")
    for field in ("selector", "volumeClaimTemplates", "serviceName"):
        assert only(old, "StatefulSet")["spec"][field] == only(new, "StatefulSet")["spec"][field]
    assert [one["spec"]["selector"] for one in old if one["kind"] == "Service"] == [
        one["spec"]["selector"] for one in new if one["kind"] == "Service"
    ]


class _Cluster(BaseHTTPRequestHandler):
    """An API server that has one StatefulSet, as far as Helm asks for it."""

    def do_GET(self):
        answer = _ANSWERS.get(self.path.partition("?")[0])
        body = json.dumps(answer or {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}).encode()
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Keep the output of tests clean."""


_RESOURCES = {
    "kind": "APIResourceList",
    "groupVersion": "apps/v1",
    "resources": [
        {"name": f"{kind.lower()}s", "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get"]}
        for kind in ("StatefulSet", "Deployment")
    ],
}
_PLACE = "/apis/apps/v1/namespaces/default/statefulsets/shop-attribution-bridge"
_ANSWERS = {
    "/version": {"major": "1", "minor": "31", "gitVersion": "v1.31.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            {
                "name": "apps",
                "versions": [{"groupVersion": "apps/v1", "version": "v1"}],
                "preferredVersion": {"groupVersion": "apps/v1", "version": "v1"},
            }
        ],
    },
    "/apis/apps/v1": _RESOURCES,
    _PLACE: {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "shop-attribution-bridge"}},
}


@pytest.fixture
def upgraded(helm):
    """Renders as an upgrade does, beside a cluster that has a StatefulSet: whether it is refused for that."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Cluster) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}"

        def render(scenario, *more):
            values = CHART / "ci" / f"{scenario}-values.yaml"
            done = helm("template", "shop", CHART, "-f", values, "--dry-run=server", "--kube-apiserver", address, *more)
            return "would stay there unsent" in done.stderr

        yield render
        server.shutdown()
        thread.join()


def test_orders_are_not_left_behind_in_the_journal_of_the_other_kind(upgraded):
    assert upgraded("postgres")
    assert not upgraded("postgres", "--set", "journalMoved=true")
    assert not upgraded("sqlite")


def test_a_changed_configuration_rolls_the_pods(rendered):
    sums = {
        only(rendered("sqlite", "--set", f"config.door.port={port}"), "StatefulSet")["spec"]["template"]["metadata"][
            "annotations"
        ]["checksum/config"]
        for port in (8080, 8081)
    }
    assert 2 == len(sums)


def test_a_changed_secret_rolls_the_pods_if_its_version_is_said_or_another_program_looks(rendered):
    def workload(*given):
        return only(rendered("sqlite", *given), "StatefulSet")

    before, after = (workload("--set", f"secret.version={version}")["spec"]["template"] for version in (1, 2))
    assert before != after
    reloader = "workloadAnnotations.secret\\.reloader\\.stakater\\.com/reload=shop-secrets"
    annotations = workload("--set", reloader)["metadata"]["annotations"]
    assert {"secret.reloader.stakater.com/reload": "shop-secrets"} == annotations


def test_what_a_platform_adds_stands_beside_the_bridge(rendered, tmp_path):
    more = {
        "extraContainers": [{"name": "proxy", "image": "proxy:1"}],
        "initContainers": [{"name": "before", "image": "before:1"}],
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["db"]}],
        "dnsPolicy": "ClusterFirst",
        "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
        "revisionHistoryLimit": 0,
        "strategy": {"type": "Recreate"},
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-one"}},
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}",
        ],
    }
    path = tmp_path / "more.yaml"
    path.write_text(yaml.safe_dump(more))
    objects = rendered("postgres", "-f", path)
    for one in objects:
        _check(one, "1.37")
    workload = only(objects, "Deployment")["spec"]
    pod = workload["template"]["spec"]
    assert ["bridge", "proxy"] == [each["name"] for each in pod["containers"]]
    assert {"type": "Recreate"} == workload["strategy"]
    usual = only(rendered("postgres"), "Deployment")["spec"]["strategy"]
    assert {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}} == usual
    assert 0 == workload["revisionHistoryLimit"]
    names = ("initContainers", "hostAliases", "dnsPolicy", "dnsConfig")
    assert [more[name] for name in names] == [pod[name] for name in names]
    assert {"shop-one", "two"} <= {one["metadata"]["name"] for one in objects}


def test_a_network_policy_lets_the_test_in_and_the_pods_out_to_their_database(rendered):
    objects = rendered("everything")
    policy, test = only(objects, "NetworkPolicy")["spec"], only(objects, "Pod")["metadata"]["labels"]
    for way in policy["ingress"]:
        selected = [each["podSelector"]["matchLabels"] for each in way["from"] if "podSelector" in each]
        assert any(labels.items() <= test.items() for labels in selected), way
    assert 5432 in [port["port"] for way in policy["egress"] for port in way["ports"]]
    usual = only(rendered("sqlite", "--set", "networkPolicy.enabled=true"), "NetworkPolicy")["spec"]
    assert 5432 not in [port["port"] for way in usual["egress"] for port in way["ports"]]


def test_as_a_dependency_it_can_be_switched_by_the_usual_condition(rendered):
    assert rendered("sqlite") == rendered("sqlite", "--set", "enabled=true")


def test_the_usual_rendering_is_the_one_that_was_read(helm):
    """Look at the difference; `make chart` takes the new one."""
    done = helm("template", "shop", CHART, "-f", CHART / "ci" / "sqlite-values.yaml")
    kept = CHART.parents[1] / "tests" / "chart" / "snapshot.yaml"
    assert list(yaml.safe_load_all(kept.read_text())) == list(yaml.safe_load_all(done.stdout))


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "given", "sentence"),
    [
        (None, (), "config.sources is empty: say where orders come from"),
        ("sqlite", ("replicaCount=2",), "the same order would be sent by each"),
        ("sqlite", ("autoscaling.enabled=true",), "a SQLite journal has one owner"),
        ("sqlite", ("keda.enabled=true", "keda.triggers[0].type=cpu"), "a SQLite journal has one owner"),
        ("sqlite", ("config.journal.path=/tmp/journal.db",), "would be gone with the pod"),
        ("sqlite", ("config.journal.path=../journal.db",), "would be gone with the pod"),
        (
            "sqlite",
            ("extraVolumeMounts[0].name=x", "extraVolumeMounts[0].mountPath=/var/lib/attribution-bridge"),
            "on nfs SQLite's locks do not hold",
        ),
        ("sqlite", ("config.private.host=127.0.0.1",), "probes and Prometheus could not reach it"),
        ("sqlite", ("image.repository=",), "image.repository is empty"),
        ("sqlite", ("httpRoute.enabled=true",), "httpRoute.parentRefs is empty"),
        ("sqlite", ("config.door.port=80",), "config.door.port 80 is below 1024"),
        ("postgres", ("config.private.port=443",), "config.private.port 443 is below 1024"),
        ("postgres", ("journalKind=sqlite",), "would stay there unsent"),
        ("sqlite", ("journalKind=postgres",), "keeps its journal in postgres"),
        ("sqlite", ("secret.create.x=y",), "exclude each other"),
        ("postgres", ("config.sources.shop.instance=here",), "instance is the same for every pod"),
        ("postgres", ("keda.enabled=true",), "keda.triggers is empty"),
        (
            "postgres",
            ("keda.enabled=true", "keda.triggers[0].type=cpu", "autoscaling.enabled=true"),
            "enable one of them",
        ),
        ("postgres", ("ingress.enabled=true",), "ingress.host is empty"),
    ],
)
def test_what_would_lose_orders_is_refused_with_a_sentence(refused, scenario, given, sentence):
    assert sentence in refused(scenario, *[part for value in given for part in ("--set", value)])


@pytest.mark.parametrize(
    ("scenario", "given", "place"),
    [
        ("sqlite", "replicaCount=2", "/replicaCount"),
        ("sqlite", "autoscaling.enabled=true", "/autoscaling/enabled"),
        ("sqlite", "persistence.accessMode=ReadWriteMany", "/persistence/accessMode"),
        ("sqlite", "extraVolumeMounts[0].mountPath=/var/lib/attribution-bridge", "/extraVolumeMounts/0"),
        ("sqlite", "replicacount=2", "replicacount"),
        ("sqlite", "image.tagg=x", "tagg"),
        ("sqlite", "config.dor.port=1", "dor"),
        ("sqlite", "config.destinations.hellotext.token=geheim", "/config/destinations/hellotext"),
        ("sqlite", "config.delivery.grace=5", "/config/delivery/grace"),
    ],
)
def test_the_schema_refuses_it_where_it_stands(refused, scenario, given, place):
    assert place in refused(scenario, "--set", given, schema=True)


# -- what is made, and what is named ----------------------------------------------------------------------------------


def test_schema_and_readme_are_up_to_date():
    assert values_schema() == json.loads((CHART / "values.schema.json").read_text()), "run `make chart`"
    assert readme() == (CHART / "README.md").read_text(), "run `make chart`"
    for name in (monitoring.ALERTS, monitoring.DASHBOARD):
        assert monitoring.source(name) == (CHART / name).read_text(), "run `make chart`"


def test_every_value_is_described_or_stands_under_one_that_is():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    described = {name for name, _, _ in documented()}
    for name in paths(values):
        parents = {name.rsplit(".", count)[0] for count in range(name.count(".") + 1)}
        assert parents & described or any(other.startswith(f"{name}.") for other in described), name


def test_every_value_is_used_and_every_used_value_is_there():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    templates = "".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())
    used = set(re.findall(r"\.Values\.([A-Za-z.]+[A-Za-z])", templates))
    for name in used:
        value = values
        for step in name.split("."):
            if step == "config" or not isinstance(value, dict) or not value:
                break
            assert step in value, f".Values.{name} is in no values.yaml"
            value = value[step]
    for name in paths(values):
        if not name.startswith("config."):
            whole = {name.rsplit(".", count)[0] for count in range(name.count(".") + 1)}
            assert whole & used or any(other.startswith(f"{name}.") for other in used), f"{name} is in no template"


def _alerts(rendered):
    return only(rendered("everything"), "PrometheusRule")["spec"]["groups"][0]["rules"]


def test_each_way_in_which_a_stream_can_stand_still_has_an_alert_and_a_panel(rendered):
    ways = {
        "bridge_stream_up",
        "bridge_stream_partition_stopped",
        "bridge_stream_lag_records",
        "bridge_record_waits_total",
        "bridge_stream_shared_groups_total",
    }
    board = json.loads((CHART / "dashboard.json").read_text())
    panels = " ".join(target["expr"] for panel in board["panels"] for target in panel["targets"])
    for asked in (" ".join(alert["expr"] for alert in _alerts(rendered)), panels):
        assert ways <= set(re.findall(r"\bbridge_\w+", asked))


def test_an_alert_for_a_held_rule_asks_what_is_so_and_not_what_has_happened(rendered):
    """A hold lasts, and a counter that was born with it has not increased."""
    (asked,) = [alert["expr"] for alert in _alerts(rendered) if alert["alert"].endswith("RuleHeld")]
    assert "bridge_rule_held" in asked
    assert "increase" not in asked


def _names_of_release(rendered, release):
    rules = only(rendered("everything", "--set", "fullnameOverride=", release=release), "PrometheusRule")
    return set(re.findall(r'job="([^"]+)"', json.dumps(rules["spec"]).replace('\\"', '"')))


def test_alerts_are_about_their_own_release(rendered):
    for alert in _alerts(rendered):
        for selector in re.findall(r"bridge_\w+(\{[^}]*\}|)", alert["expr"]):
            assert 'namespace="default", job="bridge-private"' in selector, alert["alert"]
    assert {"one-attribution-bridge-private"} == _names_of_release(rendered, "one")
    assert {"two-attribution-bridge-private"} == _names_of_release(rendered, "two")


def test_two_releases_have_two_dashboards_each_with_its_own_release_chosen(rendered):
    boards = []
    for release in ("one", "two"):
        objects = rendered("sqlite", "--set", "metrics.dashboard.enabled=true", release=release)
        (text,) = [o["data"][name] for o in objects if o["kind"] == "ConfigMap" for name in o["data"] if "json" in name]
        boards.append(json.loads(text))
    assert 2 == len({board["uid"] for board in boards})
    chosen = [{each["name"]: each.get("current") for each in board["templating"]["list"]} for board in boards]
    assert ["one-attribution-bridge-private", "two-attribution-bridge-private"] == [c["job"]["value"] for c in chosen]
    for panel in boards[0]["panels"]:
        for target in panel["targets"]:
            assert all('job=~"$job"' in found for found in re.findall(r"bridge_\w+(\{[^}]*\}|)", target["expr"])), (
                target["expr"]
            )


def test_the_panels_of_the_dashboard_do_not_lie_on_each_other():
    panels = json.loads((CHART / "dashboard.json").read_text())["panels"]
    assert len(panels) == len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels})
    assert len(panels) == len({panel["id"] for panel in panels})


def test_alerts_and_dashboard_name_metrics_that_the_program_has(rendered):
    there = set(re.findall(r"^# TYPE (bridge_\w+)", generate_latest(REGISTRY).decode(), flags=re.MULTILINE))
    there |= {f"{name}_bucket" for name in there}
    rules = only(rendered("everything"), "PrometheusRule")["spec"]["groups"][0]["rules"]
    board = json.loads((CHART / "dashboard.json").read_text())
    queries = [rule["expr"] for rule in rules]
    queries += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    named = {name for query in queries for name in re.findall(r"\bbridge_\w+", query)}
    assert named
    assert set() == named - there
    assert all(rule["annotations"]["description"].endswith(".") for rule in rules)


def test_alerts_say_commands_that_there_are(rendered):
    from bridge.cli import command  # noqa: PLC0415

    rules = only(rendered("everything"), "PrometheusRule")["spec"]["groups"][0]["rules"]
    said = re.findall(r"`attribution-bridge ([a-z]+)(?: ([a-z]+))?", json.dumps(rules))
    assert said
    for name, part in said:
        group = command.get_command(click.Context(command), name)
        assert not part or part in getattr(group, "commands", {part: None})


def test_the_values_that_the_page_shows_are_rendered(helm, tmp_path):
    page = (CHART.parents[1] / "docs" / "kubernetes.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    assert 2 == len(blocks)
    for block in blocks:
        (tmp_path / "values.yaml").write_text(block)
        done = helm("template", "shop", CHART, "-f", tmp_path / "values.yaml")
        assert done.returncode == 0, done.stderr


class _Strict(yaml.SafeLoader):
    """As kustomize reads: a key that stands twice is an error."""

    def construct_mapping(self, node, deep=False):  # noqa: FBT002  PyYAML's own signature
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key stands twice: {keys}"
        return super().construct_mapping(node, deep)


def test_no_label_stands_twice_and_the_standard_ones_win(helm, tmp_path):
    labels = {"team": "ours", "app.kubernetes.io/name": "stolen"}
    own = {"team": "theirs"}
    values = {
        "commonLabels": labels,
        "podLabels": own,
        "metrics": {kind: {"enabled": True, "labels": own} for kind in ("serviceMonitor", "rules", "dashboard")},
    }
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    done = helm("template", "shop", CHART, "-f", CHART / "ci" / "sqlite-values.yaml", "-f", tmp_path / "values.yaml")
    assert done.returncode == 0, done.stderr
    objects = [each for each in yaml.load_all(done.stdout, _Strict) if each]
    assert "stolen" not in {each["metadata"]["labels"]["app.kubernetes.io/name"] for each in objects}
    assert "theirs" == only(objects, "PrometheusRule")["metadata"]["labels"]["team"]
    assert "ours" == only(objects, "ServiceAccount")["metadata"]["labels"]["team"]
    assert "theirs" == only(objects, "StatefulSet")["spec"]["template"]["metadata"]["labels"]["team"]


def test_long_names_stay_apart_and_leave_room_for_a_suffix(rendered):
    begin = "a-release-whose-name-is-as-long-as-helm-lets-it"
    names = set()
    for end in ("one", "two"):
        objects = rendered("sqlite", "--set", f"nameOverride={'n' * 63}", release=f"{begin}-{end}")
        names.add(only(objects, "StatefulSet")["metadata"]["name"])
        values = [str(text) for each in objects for text in each["metadata"]["labels"].values()]
        values += [each["metadata"]["name"] for each in objects]
        assert [] == [text for text in values if len(text) > 63]
    assert 2 == len(names)


def _image(objects, kind="StatefulSet"):
    (container,) = only(objects, kind)["spec"]["template"]["spec"]["containers"]
    return container["image"]


@pytest.mark.parametrize(
    ("words", "image"),
    [
        ("image.repository=bridge,image.registry=registry.example", "registry.example/bridge:0.1.0"),
        ("image.repository=bridge,image.registry=a.example,global.imageRegistry=b.example", "b.example/bridge:0.1.0"),
        ("image.repository=bridge,image.digest=sha256:0a,global.imageRegistry=b.example", "b.example/bridge@sha256:0a"),
    ],
)
def test_an_image_comes_from_the_registry_of_a_chart_above(rendered, words, image):
    assert image == _image(rendered("sqlite", "--set", words))


def test_secrets_for_pulling_are_those_of_the_chart_above_and_our_own(rendered):
    objects = rendered("sqlite", "--set", "global.imagePullSecrets[0].name=above,imagePullSecrets[0].name=own")
    secrets = only(objects, "StatefulSet")["spec"]["template"]["spec"]["imagePullSecrets"]
    assert [{"name": "above"}, {"name": "own"}] == secrets


def test_the_service_has_what_a_load_balancer_wants(rendered, tmp_path):
    wanted = {"type": "LoadBalancer", "loadBalancerClass": "internal", "loadBalancerSourceRanges": ["203.0.113.0/24"],
              "externalTrafficPolicy": "Local", "ipFamilyPolicy": "PreferDualStack"}  # fmt: skip
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump({"service": {**wanted, "nodePort": 30080, "labels": {"edge": "public"}}}))
    services = [each for each in rendered("sqlite", "-f", path) if each["kind"] == "Service"]
    (door,) = [each for each in services if each["metadata"]["name"] == "shop-attribution-bridge"]
    assert wanted.items() <= door["spec"].items()
    assert 30080 == door["spec"]["ports"][0]["nodePort"]
    assert "public" == door["metadata"]["labels"]["edge"]


def test_an_alert_can_be_left_out_and_others_added(rendered, tmp_path):
    more = {"alert": "Ours", "expr": "vector(1)"}
    rules = {"enabled": True, "disabled": ["AttributionBridgeErrandsFail"], "extra": [more]}
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump({"metrics": {"rules": rules}}))
    found = only(rendered("sqlite", "-f", path), "PrometheusRule")["spec"]["groups"][0]["rules"]
    names = {rule["alert"] for rule in found}
    assert more in found
    assert "AttributionBridgeErrandsFail" not in names
    assert "AttributionBridgeGone" in names


def test_prometheus_is_told_how_long_to_wait_and_what_to_rename(rendered, tmp_path):
    wanted = {"scrapeTimeout": "5s", "relabelings": [{"targetLabel": "cell", "replacement": "one"}],
              "metricRelabelings": [{"action": "drop", "regex": "go_.*", "sourceLabels": ["__name__"]}]}  # fmt: skip
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump({"metrics": {"serviceMonitor": {"enabled": True, **wanted}}}))
    (endpoint,) = only(rendered("sqlite", "-f", path), "ServiceMonitor")["spec"]["endpoints"]
    assert wanted.items() <= endpoint.items()


@pytest.mark.parametrize(("told", "kept"), [("2", 2), ("50%", "50%")])
def test_how_many_pods_must_stay_can_be_said(rendered, told, kept):
    budget = {"minAvailable": told, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
    words = ",".join(["replicaCount=3", *(f"podDisruptionBudget.{name}={text}" for name, text in budget.items())])
    spec = only(rendered("postgres", "--set", words), "PodDisruptionBudget")["spec"]
    assert (kept, "AlwaysAllow") == (spec["minAvailable"], spec["unhealthyPodEvictionPolicy"])
    assert "maxUnavailable" not in spec


def test_pods_are_spread_as_somebody_says(rendered, tmp_path):
    zone = {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
    own = {**zone, "labelSelector": {"matchLabels": {"team": "ours"}}}
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump({"topologySpreadConstraints": [zone, own]}))
    pods = only(rendered("postgres", "-f", path), "Deployment")["spec"]["template"]
    first, second = pods["spec"]["topologySpreadConstraints"]
    assert first["labelSelector"]["matchLabels"].items() <= pods["metadata"]["labels"].items()
    assert own == second


def test_an_autoscaler_looks_at_more_than_the_processor(rendered, tmp_path):
    memory = {
        "type": "Resource",
        "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 80}},
    }
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump({"autoscaling": {"enabled": True, "extraMetrics": [memory]}}))
    metrics = only(rendered("postgres", "-f", path), "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert ["cpu", "memory"] == [each["resource"]["name"] for each in metrics]
