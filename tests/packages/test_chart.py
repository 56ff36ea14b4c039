"""The Helm chart: what it makes of values, judged by the Kubernetes API's schemas."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from conftest import ROOT
from support.chart import CHART, Refused, container, kinds, only, render, variables
from support.quickstart import running

POSTGRESQL = {
    "mode": "postgresql",
    "postgresql": {"urlSecret": {"name": "catalog-database"}},
    "masterKeySecret": {"name": "catalog-key"},
}
EVERYTHING: dict[str, Any] = {
    "image": {"repository": "registry.example.com/tidewater", "digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "registry"}],
    "settings": "[connections]\ntrusted_proxies = [\"10.0.0.0/8\"]\n",
    "drainSeconds": 20,
    "shutdownGraceSeconds": 60,
    "env": [{"name": "AWS_REGION", "value": "eu-central-1"}],
    "envFrom": [{"secretRef": {"name": "cloud"}}],
    "extraVolumes": [{"name": "authority", "configMap": {"name": "authority"}}],
    "extraVolumeMounts": [{"name": "authority", "mountPath": "/etc/authority", "readOnly": True}],
    "service": {"type": "LoadBalancer", "port": 80, "annotations": {"a": "b"}},
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "64m"},
        "hosts": ["catalog.example.com", "lake.example.com"],
        "tls": [{"secretName": "tls", "hosts": ["catalog.example.com"]}],
    },
    "metrics": {
        "port": 9999,
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True},
    },
    "networkPolicy": {
        "clients": [{"namespaceSelector": {"matchLabels": {"team": "data"}}}],
        "monitoring": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"port": 5432, "protocol": "TCP"}]}],
    },
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/catalog"}},
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "data"},
    "priorityClassName": "important",
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "catalog", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}}},
}
ON_POSTGRESQL = {**POSTGRESQL, "postgresql": {
    "replicas": 5, "connections": 20, "urlSecret": {"name": "catalog-database"}, "passwordSecret": {"name": "catalog-password"}}}
TLS = {"tls": {"secret": {"name": "catalog-tls"}}}
CLIENTS = {"tls": {"secret": {"name": "catalog-tls", "certificateKey": "cert", "privateKeyKey": "key"},
                   "clientAuth": "required", "clientCaSecret": {"name": "clients"}}}
SETS = {
    "defaults": {},
    "embedded": {
        "masterKeySecret": {"name": "catalog-key", "key": "key"},
        "embedded": {"persistence": {"size": "1Ti", "storageClass": "local", "accessModes": ["ReadWriteOncePod"]}},
    },
    "embedded-everything": EVERYTHING,
    "postgresql": POSTGRESQL,
    "postgresql-everything": {**EVERYTHING, **ON_POSTGRESQL},
    "tls": TLS,
    "tls-with-certificates-of-clients": {**EVERYTHING, **ON_POSTGRESQL, **CLIENTS},
    "bare": {
        "metrics": {"enabled": False}, "networkPolicy": {"enabled": False}, "serviceAccount": {"create": False},
        "podDisruptionBudget": {"enabled": False}, "logFormat": "text",
    },
}
# Not of Kubernetes itself: Prometheus' operator defines them.
OF_THE_OPERATOR = {"ServiceMonitor", "PrometheusRule"}


@pytest.mark.parametrize("values", SETS.values(), ids=SETS.keys())
def test_rendered_objects_pass_the_schemas_of_kubernetes(values: dict[str, Any], tmp_path: Path) -> None:
    objects = render(values, tmp_path)
    for one in objects:
        if one["kind"] not in OF_THE_OPERATOR:
            kubernetes_validate.validate(one, "1.35", strict=True)
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))


def test_schema_check_sees_an_unknown_field(tmp_path: Path) -> None:
    workload = only(render({}, tmp_path), "StatefulSet")
    workload["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(workload, "1.35", strict=True)


def test_embedded_database_has_exactly_one_pod_with_a_volume(tmp_path: Path) -> None:
    objects = render({}, tmp_path)
    workload = only(objects, "StatefulSet")
    assert workload["spec"]["replicas"] == 1
    (claim,) = workload["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "10Gi"
    assert "Deployment" not in kinds(objects)
    # A budget for one pod would block every drain of its node.
    assert "PodDisruptionBudget" not in kinds(objects)


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"embedded": {"replicas": 2}}, "replicas"),
        ({"replicas": 2}, "replicas"),
        ({"mode": "sqlite"}, "mode"),
        ({"mode": "postgresql"}, "urlSecret"),
        ({**POSTGRESQL, "masterKeySecret": {"name": ""}}, "masterKeySecret"),
        ({"ingress": {"enabled": True}}, "ingress.hosts"),
        ({"metrics": {"enabled": False, "serviceMonitor": {"enabled": True}}}, "metrics.enabled"),
        ({"metrics": {"port": 8181}}, "port"),
        ({"embedded": {"persistence": {"accessModes": ["ReadWriteMany"]}}}, "accessModes"),
        ({"drainSeconds": "soon"}, "drainSeconds"),
        ({"tls": {"enabled": True}}, "enabled"),
        ({"tls": {"secret": {"name": "catalog-tls"}, "clientAuth": "maybe"}}, "clientAuth"),
        ({"tls": {"clientAuth": "optional"}}, "tls.secret.name"),
        ({"tls": {"secret": {"name": "catalog-tls"}, "clientAuth": "optional"}}, "tls.clientCaSecret.name"),
        ({"tls": {"secret": {"name": "catalog-tls"}, "clientCaSecret": {"name": "clients"}}}, "tls.clientAuth"),
        ({**CLIENTS, "metrics": {"enabled": False}}, "metrics.enabled"),
    ],
)
def test_wrong_values_are_refused_with_their_name(values: dict[str, Any], part: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=part):
        render(values, tmp_path)


def test_servers_on_postgresql_share_secrets_and_a_budget(tmp_path: Path) -> None:
    objects = render(SETS["postgresql-everything"], tmp_path)
    workload = only(objects, "Deployment")
    assert workload["spec"]["replicas"] == 5
    assert workload["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert only(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    found = variables(objects)
    assert found["TIDEWATER_STORE__URL"] == {"secretKeyRef": {"name": "catalog-database", "key": "url"}}
    mounts = {one["name"]: one["mountPath"] for one in container(objects)["volumeMounts"]}
    assert found["TIDEWATER_STORE__PASSWORD_FILE"].startswith(mounts["postgresql"])
    assert found["TIDEWATER_STORAGE__MASTER_KEY_FILE"].startswith(mounts["master-key"])
    # No secret is a plain value.
    assert not any("postgres://" in str(value) for value in found.values())


def test_tls_mounts_the_secret_and_probes_use_https(tmp_path: Path) -> None:
    objects = render(TLS, tmp_path)
    found, of_pod = variables(objects), container(objects)
    mounts = {one["name"]: one for one in of_pod["volumeMounts"]}
    assert found["TIDEWATER_TLS__CERTIFICATE_FILE"] == f"{mounts['tls']['mountPath']}/tls.crt"
    assert found["TIDEWATER_TLS__KEY_FILE"] == f"{mounts['tls']['mountPath']}/tls.key"
    # A file that is mounted alone is not renewed.
    assert "subPath" not in mounts["tls"]
    assert found["TIDEWATER_TLS__CLIENT_AUTH"] == "none"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert (of_pod[probe]["httpGet"]["port"], of_pod[probe]["httpGet"]["scheme"]) == ("https", "HTTPS")
    names = {port["name"] for port in of_pod["ports"]}
    assert names == {"https", "metrics"}
    targets = {port["targetPort"] for one in objects if one["kind"] == "Service" for port in one["spec"]["ports"]}
    policies = {port["port"] for rule in only(objects, "NetworkPolicy")["spec"]["ingress"] for port in rule["ports"]}
    assert targets == policies == names
    assert "https://" in " ".join(only(objects, "Pod")["spec"]["containers"][0]["command"])


def test_probes_use_the_port_with_the_metrics_where_clients_need_certificates(tmp_path: Path) -> None:
    objects = render(SETS["tls-with-certificates-of-clients"], tmp_path)
    found, of_pod = variables(objects), container(objects)
    volumes = {one["name"]: one for one in only(objects, "Deployment")["spec"]["template"]["spec"]["volumes"]}
    assert [one["key"] for one in volumes["tls"]["secret"]["items"]] == ["cert", "key"]
    assert volumes["tls-clients"]["secret"]["secretName"] == "clients"
    assert found["TIDEWATER_TLS__CLIENT_AUTH"] == "required"
    assert found["TIDEWATER_TLS__CLIENT_CA_FILE"].endswith("/ca.crt")
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert of_pod[probe]["httpGet"]["port"] == "metrics"
        assert "scheme" not in of_pod[probe]["httpGet"]
    (rule,) = only(objects, "Ingress")["spec"]["rules"][:1]
    assert rule["http"]["paths"][0]["backend"]["service"]["port"] == {"name": "https"}


@pytest.mark.parametrize("values", [{}, POSTGRESQL, SETS["embedded-everything"]], ids=["embedded", "postgresql", "longer"])
def test_pod_lives_longer_than_the_server_takes_to_stop(values: dict[str, Any], tmp_path: Path) -> None:
    objects = render(values, tmp_path)
    (workload,) = [one for one in objects if one["kind"] in ("StatefulSet", "Deployment")]
    found = variables(objects)
    drain, grace = int(found["TIDEWATER_API__DRAIN_S"]), int(found["TIDEWATER_API__SHUTDOWN_GRACE_S"])
    ready = container(objects)["readinessProbe"]
    # docs/operations.md: at the end the server needs up to 25 seconds more, and the balancer must notice during the drain.
    assert workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= drain + grace + 25
    assert drain > ready["periodSeconds"] * ready["failureThreshold"]


@pytest.mark.parametrize("values", SETS.values(), ids=SETS.keys())
def test_pods_meet_the_restricted_standard(values: dict[str, Any], tmp_path: Path) -> None:
    for one in render(values, tmp_path):
        pod = one["spec"] if one["kind"] == "Pod" else one.get("spec", {}).get("template", {}).get("spec")
        if not pod:
            continue
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for of_pod in pod["containers"]:
            assert of_pod["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
            }
        allowed = {"configMap", "emptyDir", "secret", "persistentVolumeClaim", "projected"}
        assert all(set(volume) - {"name"} <= allowed for volume in pod.get("volumes", []))


def test_services_policies_and_budgets_select_the_pods_of_the_server_only(tmp_path: Path) -> None:
    objects = render(POSTGRESQL, tmp_path)
    labels = only(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    test_labels = only(objects, "Pod")["metadata"]["labels"]
    services = [one["spec"]["selector"] for one in objects if one["kind"] == "Service"]
    others = [only(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
              only(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]]
    for selector in services + others:
        assert selector.items() <= labels.items()
        assert not selector.items() <= test_labels.items()


def test_monitor_selects_the_service_of_the_metrics_and_names_the_job_of_the_alerts(tmp_path: Path) -> None:
    objects = render(SETS["embedded-everything"], tmp_path)
    monitor = only(objects, "ServiceMonitor")["spec"]
    selected = [one for one in objects
                if one["kind"] == "Service" and monitor["selector"]["matchLabels"].items() <= one["metadata"]["labels"].items()]
    assert [port["name"] for one in selected for port in one["spec"]["ports"]] == [monitor["endpoints"][0]["port"]]
    (job,) = monitor["endpoints"][0]["relabelings"]
    alerts = yaml.safe_load((ROOT / "deploy/monitoring/alerts.yml").read_text())
    assert only(objects, "PrometheusRule")["spec"] == alerts
    assert f'job="{job["replacement"]}"' in alerts["groups"][0]["rules"][0]["expr"]
    dashboard = [one for one in objects if one["kind"] == "ConfigMap" and "tidewater.json" in one["data"]]
    assert dashboard[0]["data"]["tidewater.json"] == (ROOT / "deploy/monitoring/grafana-dashboard.json").read_text()


def test_rules_of_the_chart_pass_promtool(tmp_path: Path) -> None:
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(only(render(SETS["embedded-everything"], tmp_path), "PrometheusRule")["spec"]))
    subprocess.run(["promtool", "check", "rules", str(file)], check=True, capture_output=True)


def test_settings_reach_the_server_unchanged_and_a_change_replaces_the_pods(tmp_path: Path) -> None:
    objects = render(SETS["embedded-everything"], tmp_path)
    settings = next(one for one in objects if one["kind"] == "ConfigMap" and "tidewater.toml" in one["data"])
    assert tomllib.loads(settings["data"]["tidewater.toml"]) == {"connections": {"trusted_proxies": ["10.0.0.0/8"]}}
    annotations = only(objects, "StatefulSet")["spec"]["template"]["metadata"]["annotations"]
    other = only(render({}, tmp_path), "StatefulSet")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["checksum/settings"] != other["checksum/settings"]


def test_packed_chart_renders_and_has_the_version(packages: Path, version: str, tmp_path: Path) -> None:
    archive = packages / f"tidewater-{version}.tgz"
    objects = render(SETS["embedded-everything"], tmp_path, archive)
    assert only(objects, "PrometheusRule")["spec"]["groups"]
    with tarfile.open(archive) as file:
        chart = yaml.safe_load(file.extractfile("tidewater/Chart.yaml").read())  # type: ignore[union-attr]
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_variables_of_the_pods_are_settings(tmp_path: Path) -> None:
    # A test of the server compares the page with the code.
    page = (ROOT / "docs/configuration.md").read_text()
    for values in SETS.values():
        for name in variables(render(values, tmp_path)):
            assert not name.startswith("TIDEWATER_") or f"`{name}`" in page


def test_server_starts_with_the_variables_and_settings_of_the_pod(tmp_path: Path) -> None:
    program = os.environ.get("TIDEWATER_PROGRAM")
    if not program:
        pytest.skip("the chart was made without a program for this machine")
    objects = render(SETS["embedded-everything"] | {"masterKeySecret": {"name": "key"}}, tmp_path)
    # The pod's folders are below this one, and its ports are any free ones.
    pod = tmp_path / "pod"
    (pod / "etc/tidewater/master-key").mkdir(parents=True)
    (pod / "data").mkdir()
    (pod / "etc/tidewater/master-key/master.key").write_text(base64.b64encode(bytes(range(32))).decode())
    settings = next(one for one in objects if one["kind"] == "ConfigMap" and "tidewater.toml" in one["data"])
    (pod / "etc/tidewater/tidewater.toml").write_text(settings["data"]["tidewater.toml"])
    here = {name: str(value) for name, value in variables(objects).items()}
    here = {name: re.sub(r"^/(data|etc)/", rf"{pod}/\1/", value) for name, value in here.items()}
    here = {name: re.sub(r"^0\.0\.0\.0:\d+$", "127.0.0.1:0", value) for name, value in here.items()}
    arguments = [re.sub(r"^/etc/", f"{pod}/etc/", word) for word in container(objects)["args"]]
    with running([program, *arguments], {"PATH": os.environ["PATH"], **here, "TIDEWATER_API__DRAIN_S": "0"}) as server:
        ask = [program, "settings", "--json"]
        while (asked := subprocess.run(ask, env=here, capture_output=True, text=True, check=False)).returncode != 0:
            assert server.poll() is None
        found = json.loads(asked.stdout)
    assert found["connections.trusted_proxies"] == ["10.0.0.0/8"]
    assert found["api.shutdown_grace_s"] == 60
    assert found["log.format"] == "json"


def test_notes_name_the_workload_for_the_first_operator(tmp_path: Path) -> None:
    # `helm template` leaves the notes out, and `helm install` needs a cluster: another template includes them.
    chart = tmp_path / "tidewater"
    shutil.copytree(CHART, chart)
    notes = 'kind: Notes\nmetadata: {name: notes}\ntext: {{ include (print $.Template.BasePath "/NOTES.txt") . | quote }}\n'
    (chart / "templates/notes.yaml").write_text(notes)
    for values, workload, scheme in ((POSTGRESQL, "deployment", "http"), ({}, "statefulset", "http"), (TLS, "statefulset", "https")):
        text = only(render(values, tmp_path, chart), "Notes")["text"]
        assert f"exec {workload}/catalog-tidewater -- tidewater operator create" in text
        assert f"{scheme}://catalog-tidewater.lake:8181" in text
        assert ("put TLS in front" in text) == (scheme == "http")
