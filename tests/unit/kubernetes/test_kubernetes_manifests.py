"""config/kubernetes: every manifest against the schemas of its API, down to misspelt fields."""

import copy
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from bootseer.config import load
from tooling import crds
from tooling.places import REPOSITORY

HERE = REPOSITORY / "config" / "kubernetes"
VERSIONS = ("1.29", "1.33", "1.37")
"""The oldest is the first that has sidecars by default."""
FOREIGN = {"PodMonitor", "Kustomization"}


def documents() -> dict[str, dict[str, Any]]:
    """Return all manifests by file and kind, further ones of a kind by their name too."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(HERE.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            key = f"{file.name}: {document['kind']}"
            found[f"{key} {document['metadata']['name']}" if key in found else key] = document
    return found


MANIFESTS = documents()
OWN = [name for name, document in MANIFESTS.items() if document["kind"] not in FOREIGN]
PLACES = {
    "daemonset.yaml: DaemonSet": [
        ("spec",),
        ("spec", "template", "spec"),
        ("spec", "template", "spec", "containers", 0),
        ("spec", "template", "spec", "initContainers", 0, "volumeMounts", 0),
        ("spec", "template", "spec", "volumes", 0, "hostPath"),
    ],
    "pod.yaml: Pod": [
        ("metadata",),
        ("spec",),
        ("spec", "containers", 0, "volumeMounts", 1),
    ],
    "pod-hdfs-sidecar.yaml: Pod": [("spec", "initContainers", 0, "startupProbe")],
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OWN)
def test_manifest_is_what_the_api_takes(name: str, version: str) -> None:
    kubernetes_validate.validate(MANIFESTS[name], version, strict=True)


@pytest.mark.parametrize(
    ("name", "place"), [(name, place) for name, places in PLACES.items() for place in places]
)
def test_a_misspelt_field_is_found_wherever_it_is(name: str, place: tuple[str | int, ...]) -> None:
    document = copy.deepcopy(MANIFESTS[name])
    inner: Any = document
    for step in place:
        inner = inner[step]
    inner["mountPropogation"] = "HostToContainer"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that takes no fields but those it names."""
    made = {
        key: strict(value) if isinstance(value, dict) else value for key, value in schema.items()
    }
    if "properties" in schema and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


@pytest.fixture(scope="module")
def pod_monitor() -> dict[str, Any]:
    definition = yaml.safe_load(crds.ensure().read_text())
    schema = strict(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def test_pod_monitor_is_what_its_definition_says(pod_monitor: dict[str, Any]) -> None:
    document = MANIFESTS["podmonitor.yaml: PodMonitor"]
    jsonschema.validate(document, pod_monitor)
    for inside in ("spec", "endpoint"):
        wrong = copy.deepcopy(document)
        spec = wrong["spec"]
        (spec if inside == "spec" else spec["podMetricsEndpoints"][0])["intervall"] = "30s"
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, pod_monitor)


def test_names_that_manifests_share_are_the_same() -> None:
    daemons = MANIFESTS["daemonset.yaml: DaemonSet"]["spec"]["template"]
    monitor = MANIFESTS["podmonitor.yaml: PodMonitor"]["spec"]
    assert monitor["selector"]["matchLabels"] == daemons["metadata"]["labels"]
    ports = [port["name"] for one in daemons["spec"]["containers"] for port in one["ports"]]
    assert [one["port"] for one in monitor["podMetricsEndpoints"]] == ports
    roles = {d["metadata"]["name"] for d in MANIFESTS.values() if d["kind"] == "ClusterRole"}
    assert MANIFESTS["daemonset.yaml: ClusterRoleBinding"]["roleRef"]["name"] in roles
    listed = MANIFESTS["kustomization.yaml: Kustomization"]["resources"]
    assert all((HERE / name).exists() for name in listed)


def test_settings_of_nodes_are_settings_and_fit_the_pods(tmp_path: Path) -> None:
    settings = tmp_path / "bootseer.yaml"
    settings.write_text(MANIFESTS["daemonset.yaml: ConfigMap"]["data"]["bootseer.yaml"])
    config = load(settings)
    daemons = MANIFESTS["daemonset.yaml: DaemonSet"]["spec"]["template"]["spec"]
    assert f"--upstream=http://{config.metrics.address}/" in daemons["containers"][0]["args"]
    pod = MANIFESTS["pod.yaml: Pod"]["spec"]
    variables = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}
    assert variables["BOOTSEER_DAEMON"] == config.deps.pods
    sockets = next(one["hostPath"]["path"] for one in pod["volumes"] if one["name"] == "bootseer")
    assert str(Path(config.deps.pods).parent) == sockets


def test_the_installer_brings_source_and_settings_and_says_nothing_new_twice(
    tmp_path: Path,
) -> None:
    checkout, node = tmp_path / "checkout", tmp_path / "node"
    scripts = checkout / "scripts"
    scripts.mkdir(parents=True)
    (scripts / "bootstrap-node").write_text('#!/bin/sh\necho "$@" "$XDG_CACHE_HOME" >>"$LOG"\n')
    (scripts / "bootstrap-node").chmod(0o755)
    (tmp_path / "bootseer.yaml").write_text("log: {level: debug}\n")
    (node / "source").mkdir(parents=True)
    # Commands that the node would run, run here: the script that installs, and systemctl, noted.
    run = tmp_path / "run"
    run.write_text('#!/bin/sh\n[ "$1" != systemctl ] || { echo "$@" >>"$LOG"; exit; }\nexec "$@"\n')
    run.chmod(0o755)
    variables = {
        "PATH": "/usr/bin:/bin",
        "LOG": str(tmp_path / "log"),
        "NODE": str(run),
        "SOURCE": str(node / "source"),
        "SOURCE_HERE": str(node / "source"),
        "CHECKOUT": str(checkout),
        "SETTINGS": str(tmp_path / "bootseer.yaml"),
        "ETC": str(node / "etc" / "bootseer.yaml"),
        "OPTIONS": "--layout k3s",
    }
    for _ in range(2):
        subprocess.run([HERE / "install.sh"], env=variables, check=True)
    assert (node / "etc" / "bootseer.yaml").read_text() == "log: {level: debug}\n"
    assert (tmp_path / "log").read_text().splitlines() == [
        "--layout k3s /var/cache",
        "systemctl reload bootseer-snapshotter.service",
        "--layout k3s /var/cache",
    ]
    assert [path.name for path in (node / "source").iterdir()] == ["current"]
