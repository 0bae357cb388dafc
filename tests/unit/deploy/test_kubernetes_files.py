"""deploy/kubernetes/ as kustomize builds it, against the schemas of several releases."""

import base64
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.cli.server import Queue
from pipeline.broker.names import ALL_QUEUES
from pipeline.settings import Settings
from pipeline.webhooks.addresses import _NOT_PUBLIC

DEPLOY = Path(__file__).parents[3] / "deploy"
PROGRAMS = Path(sys.executable).parent
KUBERNETES = DEPLOY / "kubernetes"
BUILDS = {"base": KUBERNETES / "base", "production": KUBERNETES / "overlays" / "production"}
ROLES = ("api", "worker", "sweep")
WORKERS = {f"worker-{queue}": str(queue) for queue in Queue}
COMPONENTS = {"api", "sweep", *WORKERS}
#: The oldest release whose schema is looked at, and the newest that there is here.
RELEASES = ("1.30", "1.37")
pytestmark = pytest.mark.skipif(
    not (PROGRAMS / "kubectl").exists(), reason="no kubectl; `make deploy-tools` installs it"
)


@pytest.fixture(scope="module", params=BUILDS)
def built(request: pytest.FixtureRequest) -> str:
    return build(BUILDS[request.param])


@pytest.fixture(scope="module")
def production() -> list[dict[str, Any]]:
    return [*yaml.safe_load_all(build(BUILDS["production"]))]


@pytest.fixture(scope="module")
def uncommented(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The overlay, built with all that is commented in it."""
    root = tmp_path_factory.mktemp("deploy") / "kubernetes"
    shutil.copytree(KUBERNETES, root)
    for path in (root / "overlays" / "production").iterdir():
        text = path.read_text("utf-8")
        lines = r"^( *)# ( *(?:- |to:|ports:|patch:).*|[A-Z_]+=.*)$"
        path.write_text(re.sub(lines, r"\1\2", text, flags=re.MULTILINE), "utf-8")
    return build(root / "overlays" / "production")


def build(directory: Path) -> str:
    done = run("kubectl", "kustomize", directory)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAMS / command[0], *command[1:]],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def of_kind(documents: list[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    return (document for document in documents if document["kind"] == kind)


def component(document: dict[str, Any]) -> str:
    return str(document["metadata"]["name"]).removeprefix("qrmill-")


@pytest.mark.parametrize("release", RELEASES)
def test_the_schemas_take_what_is_built(built: str, release: str, tmp_path: Path) -> None:
    file = tmp_path / "built.yaml"
    file.write_text(built, "utf-8")
    done = run("kubernetes-validate", "--strict", "-k", release, file)
    unknown = re.findall(r"find schema for kind (\w+)", done.stdout + done.stderr)
    assert set(unknown) <= {"ScaledObject"}  # KEDA's, which the test below looks at
    assert (done.returncode, "passed" in done.stdout + done.stderr) == (0, True), done.stderr
    file.write_text(built.replace("terminationGracePeriodSeconds", "gracePeriod"), "utf-8")
    assert run("kubernetes-validate", "--strict", "-k", release, file).returncode != 0


@pytest.mark.parametrize("release", RELEASES)
def test_what_is_commented_can_be_used(uncommented: str, release: str, tmp_path: Path) -> None:
    file = tmp_path / "built.yaml"
    file.write_text(uncommented, "utf-8")
    done = run("kubernetes-validate", "--strict", "-k", release, file)
    assert done.returncode == 0, done.stderr
    documents = [*yaml.safe_load_all(uncommented)]
    (settings,) = of_kind(documents, "ConfigMap")
    assert {"QRMILL_BROKER_URL_FILE", "FORWARDED_ALLOW_IPS"} <= set(settings["data"])
    bound = {
        component(row): row["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
        for row in of_kind(documents, "ServiceAccount")
    }
    assert {role: arn.rpartition("/")[2] for role, arn in bound.items()} == {
        role: f"qrmill-{role}" for role in ROLES
    }
    private = reached(documents, "worker-webhook")
    own = {
        "169.254.20.10/32",
        "10.0.1.0/24",
        "10.0.2.0/24",
        "10.0.3.0/24",
        "10.1.0.0/16",
        "169.254.170.23/32",
        "169.254.169.254/32",
    }
    assert {where for where, _ in private} == own | {"kube-system", "0.0.0.0/0", "2000::/3"}
    assert {port for _, port in private} == {53, 80, 443, 5671, 5672, 6379, 6380, 9000, 26379, None}


def test_every_part_is_confined(production: list[dict[str, Any]]) -> None:
    found = {component(row): row["spec"] for row in of_kind(production, "Deployment")}
    assert set(found) == COMPONENTS
    for name, spec in found.items():
        pod = spec["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["serviceAccountName"] == f"qrmill-{name.partition('-')[0]}", name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert set(container["resources"]) == {"requests", "limits"}, name
        # Nobody is sent away before all is finished: 30 seconds, and 5 before an API's end.
        assert pod["terminationGracePeriodSeconds"] >= 30 + 5 + 5, name
        assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0, name
        assert "livenessProbe" in container, name
    accounts = {component(row): row for row in of_kind(production, "ServiceAccount")}
    assert set(accounts) == set(ROLES)
    assert not [row for row in accounts.values() if row["automountServiceAccountToken"]]


def test_pods_stay_in_the_service_when_redis_or_s3_is_away(
    production: list[dict[str, Any]],
) -> None:
    (api,) = (row for row in of_kind(production, "Deployment") if component(row) == "api")
    (container,) = api["spec"]["template"]["spec"]["containers"]
    probes = {
        name: probe["httpGet"]["path"] for name, probe in container.items() if "Probe" in name
    }
    assert probes == dict.fromkeys(("readinessProbe", "livenessProbe", "startupProbe"), "/healthz")


def secrets_of_the_page(directory: Path) -> dict[str, dict[str, str]]:
    """What each Secret has, made as the page says, by kubectl itself."""
    page = (DEPLOY / "containers.md").read_text("utf-8")
    (found,) = re.findall(r"^ *for role in .*?^ *done$", page, re.MULTILINE | re.DOTALL)
    loop = textwrap.dedent(found)
    for role in ROLES:
        (directory / f"redis-url-{role}").write_text(f"redis://qrmill-{role}@redis", "utf-8")
        (directory / f"s3-access-key-id-{role}").write_text(f"id-{role}", "utf-8")
        (directory / f"s3-secret-access-key-{role}").write_text(f"secret-{role}", "utf-8")
    dry = loop.replace("create secret", "create --dry-run=client --output=yaml secret")
    done = subprocess.run(
        ["sh", "-euc", dry.replace("\ndone", "\necho ---\ndone")],
        cwd=directory,
        env={"PATH": f"{PROGRAMS}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {
        row["metadata"]["name"]: {
            key: base64.b64decode(value).decode() for key, value in row["data"].items()
        }
        for row in yaml.safe_load_all(done.stdout)
        if row
    }


def settings_of(documents: list[dict[str, Any]], directory: Path) -> dict[str, Settings]:
    """What the parts read when they start, with the files of their Secrets below ``directory``."""
    secrets = secrets_of_the_page(directory)
    (config,) = of_kind(documents, "ConfigMap")
    found = {}
    for row in of_kind(documents, "Deployment"):
        pod, role = row["spec"]["template"]["spec"], row["metadata"]["labels"]["qrmill/part"]
        (name,) = (each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each)
        assert name == f"qrmill-{role}"
        (mounts,) = (container["volumeMounts"] for container in pod["containers"])
        (where,) = (each["mountPath"] for each in mounts if each["name"] == "secrets")
        seen = directory / component(row)
        seen.mkdir()
        for key, value in secrets[name].items():
            (seen / key).write_text(value, "utf-8")
        environ = {name: value.replace(where, str(seen)) for name, value in config["data"].items()}
        found[component(row)] = Settings.from_environment(environ)
    assert set(found) == COMPONENTS
    return found


def test_every_part_reads_the_secret_of_its_own_role(tmp_path: Path) -> None:
    documents = [*yaml.safe_load_all(build(BUILDS["base"]))]
    for name, settings in settings_of(documents, tmp_path).items():
        role = name.partition("-")[0]
        assert settings.redis_url == f"redis://qrmill-{role}@redis"
        assert settings.s3_access_key_id == f"id-{role}"
        assert settings.s3_secret_access_key == f"secret-{role}"


def test_the_overlay_leaves_credentials_to_the_roles_of_aws(
    production: list[dict[str, Any]], tmp_path: Path
) -> None:
    for name, settings in settings_of(production, tmp_path).items():
        assert settings.redis_url == f"redis://qrmill-{name.partition('-')[0]}@redis"
        assert settings.s3_endpoint_url is None
        assert (settings.s3_access_key_id, settings.s3_secret_access_key) == (None, None)
        # With a dot, a bucket's name would go into the path of its URLs.
        assert "." not in settings.bucket + settings.staging_bucket


def test_the_upgrade_replaces_workers_then_the_sweep_then_the_api(
    production: list[dict[str, Any]],
) -> None:
    """The selectors of the page's commands, as kubectl reads them."""
    page = (DEPLOY / "containers.md").read_text("utf-8")
    first, then = re.findall(r"kubectl apply --kustomize \$overlay --selector (\S+)", page)
    assert (first, then) == ("'!qrmill/part'", "qrmill/part=$part")
    (order,) = re.findall(r"^for part in (.*); do$", page, re.MULTILINE)
    parts = [row["metadata"].get("labels", {}).get("qrmill/part") for row in production]
    for row, part in zip(production, parts, strict=True):
        assert (part is not None) == (row["kind"] == "Deployment"), row["metadata"]["name"]
    assert order.split() == ["worker", "sweep", "api"]
    assert {part for part in parts if part} == set(order.split())


def test_the_commands_are_those_of_compose(production: list[dict[str, Any]]) -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]
    for row in of_kind(production, "Deployment"):
        (container,) = row["spec"]["template"]["spec"]["containers"]
        assert container["args"] == compose[component(row)]["command"]


def test_selectors_find_the_pods_they_are_for(production: list[dict[str, Any]]) -> None:
    pods = {
        component(row): row["spec"]["template"]["metadata"]["labels"]
        for row in of_kind(production, "Deployment")
    }

    def matched(labels: dict[str, str]) -> set[str]:
        return {name for name, pod in pods.items() if labels.items() <= pod.items()}

    for row in of_kind(production, "Deployment"):
        assert matched(row["spec"]["selector"]["matchLabels"]) == {component(row)}
    for row in of_kind(production, "PodDisruptionBudget"):
        assert matched(row["spec"]["selector"]["matchLabels"]) == {component(row)}
    services = {
        component(row): matched(row["spec"]["selector"]) for row in of_kind(production, "Service")
    }
    assert services == {
        "api": {"api"},
        "metrics-api": {"api"},
        "metrics-sweep": {"sweep"},
        "metrics-worker": set(WORKERS),
    }
    policies = {
        component(row): {name for name, pod in pods.items() if selects(row, pod)}
        for row in of_kind(production, "NetworkPolicy")
    }
    assert policies == {
        "nothing-else": COMPONENTS,
        "to-redis-and-s3": COMPONENTS,
        "to-s3-over-https": COMPONENTS - {"worker-webhook"},
        "metrics-from-prometheus": COMPONENTS,
        "api-from-ingress": {"api"},
        "callbacks": {"worker-webhook"},
    }


def selects(policy: dict[str, Any], pod: dict[str, str]) -> bool:
    selector = policy["spec"]["podSelector"]
    rules = selector.get("matchExpressions", [])
    assert {rule["operator"] for rule in rules} <= {"NotIn"}
    return selector["matchLabels"].items() <= pod.items() and not any(
        pod[rule["key"]] in rule["values"] for rule in rules
    )


def reached(documents: list[dict[str, Any]], name: str) -> set[tuple[str, int | None]]:
    """Where a part's pods may go: a network or a namespace, or ``any``; and the port, None: all."""
    (pod,) = (
        row["spec"]["template"]["metadata"]["labels"]
        for row in of_kind(documents, "Deployment")
        if component(row) == name
    )
    rules = [
        rule
        for row in of_kind(documents, "NetworkPolicy")
        if selects(row, pod)
        for rule in row["spec"].get("egress", [])
    ]
    return {
        (place(peer), port.get("port"))
        for rule in rules
        for peer in rule.get("to", [{}])
        for port in rule.get("ports", [{}])
    }


def place(peer: dict[str, Any]) -> str:
    if "namespaceSelector" in peer:
        (name,) = peer["namespaceSelector"]["matchLabels"].values()
        return str(name)
    if "podSelector" in peer:
        return "the service's namespace"
    return str(peer.get("ipBlock", {}).get("cidr", "any"))


def test_no_rule_is_open_to_every_address_or_to_a_whole_namespace_of_others(
    built: str, uncommented: str
) -> None:
    for documents in (built, uncommented):
        for row in of_kind([*yaml.safe_load_all(documents)], "NetworkPolicy"):
            spec = row["spec"]
            for direction, peers in (("ingress", "from"), ("egress", "to")):
                for rule in spec.get(direction, []):
                    assert rule[peers], row["metadata"]["name"]
                    for peer in rule[peers]:
                        assert "namespaceSelector" not in peer or peer["podSelector"]["matchLabels"]
                        block = peer.get("ipBlock", {"cidr": ""})
                        assert block["cidr"] != "0.0.0.0/0" or block["except"]


def test_workers_reach_nothing_of_the_inside_but_the_ports_of_redis_and_s3(
    built: str, production: list[dict[str, Any]]
) -> None:
    documents = [*yaml.safe_load_all(built)]
    inside = {("the service's namespace", port) for port in (6379, 6380, 9000)}
    if documents == production:
        inside = {("10.0.1.0/24", 6379), ("10.0.1.0/24", 6380)}
    for name in WORKERS:
        public = None if name == "worker-webhook" else 443
        assert reached(documents, name) == inside | {
            *(("kube-system", 53), ("0.0.0.0/0", public), ("2000::/3", public))
        }
    rules = [
        rule
        for row in of_kind(documents, "NetworkPolicy")
        if component(row) in {"callbacks", "to-s3-over-https"}
        for rule in row["spec"]["egress"]
    ]
    assert len(rules) == 2
    for rule in rules:
        refused = [network for peer in rule["to"] for network in peer["ipBlock"]["except"]]
        # The service's own list: of two walls, none has a hole that the other would have to close.
        assert {ip_network(network) for network in refused} == set(_NOT_PUBLIC)


def test_every_queue_has_workers_that_follow_its_depth_and_age(
    production: list[dict[str, Any]],
) -> None:
    """The fields are those of KEDA's ScaledObject and of its scaler "prometheus" (2.x)."""
    found = {component(row): row for row in of_kind(production, "ScaledObject")}
    assert set(found) == set(WORKERS)
    for name, row in found.items():
        spec = row["spec"]
        assert row["apiVersion"] == "keda.sh/v1alpha1"
        assert set(spec) == {
            "scaleTargetRef",
            "minReplicaCount",
            "maxReplicaCount",
            "pollingInterval",
            "fallback",
            "advanced",
            "triggers",
        }
        assert spec["scaleTargetRef"] == {"name": f"qrmill-{name}"}
        assert 1 <= spec["minReplicaCount"] <= spec["fallback"]["replicas"]
        # Without Prometheus, a busy fleet stays as it is.
        assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"
        depth, age = (trigger["metadata"] for trigger in spec["triggers"])
        for trigger in spec["triggers"]:
            assert trigger["type"] == "prometheus"
            keys = {"serverAddress", "query", "threshold", "ignoreNullValues"}
            assert set(trigger["metadata"]) == keys
            assert all(isinstance(value, str) for value in trigger["metadata"].values())
            (queues,) = re.findall(r'queue=~?"([^"]*)"', trigger["metadata"]["query"])
            followed = {queue for queue in ALL_QUEUES if re.fullmatch(queues, queue)}
            assert followed == {*Queue(WORKERS[name]).names}
        assert "qrmill_queue_messages" in depth["query"]
        assert "qrmill_queue_oldest_seconds" in age["query"]
