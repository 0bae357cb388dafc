"""deploy/kubernetes/ as kustomize builds it, against the schemas of several releases."""

import base64
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.cli_roles import Queue

DEPLOY = Path(__file__).parents[3] / "deploy"
PROGRAMS = Path(sys.executable).parent
KUBERNETES = DEPLOY / "kubernetes"
BUILDS = {"base": KUBERNETES / "base", "production": KUBERNETES / "overlays" / "production"}
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


def build(directory: Path) -> str:
    done = run("kubectl", "kustomize", directory)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAMS / command[0], *command[1:]],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


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


def test_every_part_is_confined(production: list[dict[str, Any]]) -> None:
    found = {component(row): row["spec"] for row in of_kind(production, "Deployment")}
    assert set(found) == COMPONENTS
    for name, spec in found.items():
        pod = spec["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["automountServiceAccountToken"] is False, name
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


def test_every_part_sees_the_secret_of_its_own_role(built: str, tmp_path: Path) -> None:
    """The Secrets are made as the page says, by kubectl itself."""
    page = (DEPLOY / "containers.md").read_text("utf-8")
    (loop,) = re.findall(r"^for role in .*?^done$", page, re.MULTILINE | re.DOTALL)
    for name in ("redis-url-api", "redis-url-worker", "redis-url-sweep", "s3-secret-access-key"):
        (tmp_path / name).write_text(f"content of {name}", "utf-8")
    dry = loop.replace("create secret", "create --dry-run=client --output=yaml secret")
    done = subprocess.run(
        ["sh", "-euc", dry.replace("\ndone", "\necho ---\ndone")],
        cwd=tmp_path, env={"PATH": f"{PROGRAMS}:/usr/bin:/bin"},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    secrets = {
        row["metadata"]["name"]: row["data"] for row in yaml.safe_load_all(done.stdout) if row
    }
    documents = [*yaml.safe_load_all(built)]
    (settings,) = of_kind(documents, "ConfigMap")
    files = {Path(path) for name, path in settings["data"].items() if name.endswith("_FILE")}
    for row in of_kind(documents, "Deployment"):
        pod, role = row["spec"]["template"]["spec"], row["metadata"]["labels"]["qrmill/part"]
        (name,) = (each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each)
        (mounts,) = (container["volumeMounts"] for container in pod["containers"])
        (where,) = (each["mountPath"] for each in mounts if each["name"] == "secrets")
        assert name == f"qrmill-{role}"
        assert {Path(where) / key for key in secrets[name]} == files
        url = base64.b64decode(secrets[name]["redis-url"]).decode()
        assert url == f"content of redis-url-{role}"


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
        component(row): matched(row["spec"]["podSelector"]["matchLabels"])
        for row in of_kind(production, "NetworkPolicy")
    }
    assert policies == {
        "nothing-else": COMPONENTS,
        "to-redis-and-s3": COMPONENTS,
        "metrics-from-prometheus": COMPONENTS,
        "api-from-ingress": {"api"},
        "callbacks": {"worker-webhook"},
    }


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
            "scaleTargetRef", "minReplicaCount", "maxReplicaCount", "pollingInterval", "fallback",
            "advanced", "triggers",
        }  # fmt: skip
        assert spec["scaleTargetRef"] == {"name": f"qrmill-{name}"}
        assert 1 <= spec["minReplicaCount"] <= spec["fallback"]["replicas"]
        depth, age = (trigger["metadata"] for trigger in spec["triggers"])
        for trigger in spec["triggers"]:
            assert trigger["type"] == "prometheus"
            keys = {"serverAddress", "query", "threshold", "ignoreNullValues"}
            assert set(trigger["metadata"]) == keys
            assert all(isinstance(value, str) for value in trigger["metadata"].values())
            assert f'queue="{WORKERS[name]}"' in trigger["metadata"]["query"]
        assert "qrmill_queue_messages" in depth["query"]
        assert "qrmill_queue_oldest_seconds" in age["query"]
