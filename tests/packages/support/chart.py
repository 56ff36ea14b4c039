"""Renders the chart with values, as Helm does for a cluster."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[3] / "deploy/helm/tidewater"
# The release that the schemas are of.
KUBERNETES = "1.35.0"


class Refused(Exception):
    """Helm did not accept the values."""


def render(values: dict[str, Any], folder: Path, chart: Path = CHART) -> list[dict[str, Any]]:
    """Returns the objects that Helm makes of the values, in a namespace `lake`.

    Raises `Refused` with Helm's message.
    """
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    command = [os.environ["TIDEWATER_HELM"], "template", "catalog", str(chart), "--namespace", "lake"]
    command += ["--kube-version", KUBERNETES, "--values", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refused(done.stderr)
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def only(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Returns the only object of a kind."""
    (found,) = [one for one in objects if one["kind"] == kind]
    return found


def kinds(objects: list[dict[str, Any]]) -> set[str]:
    return {one["kind"] for one in objects}


def container(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the server's container."""
    (workload,) = [one for one in objects if one["kind"] in ("StatefulSet", "Deployment")]
    (found,) = workload["spec"]["template"]["spec"]["containers"]
    return found


def variables(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the variables of the server's container: their values, or where they come from."""
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container(objects)["env"]}
