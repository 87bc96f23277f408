"""The Kubernetes manifests, against the schema of the API, and what they promise."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cronsim import CronSim

VERSIONS = ("1.31", "1.34")
"""The oldest release in which all that is used is stable (podFailurePolicy), and a later one."""


def documents(deploy: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((deploy / "kubernetes").glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


@pytest.fixture
def cron_job(deploy: Path) -> dict[str, Any]:
    return next(d for d in documents(deploy) if d["kind"] == "CronJob")


@pytest.fixture
def pod(cron_job: dict[str, Any]) -> dict[str, Any]:
    return cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_accepts_every_document(deploy: Path, version: str):
    kinds = []
    for document in documents(deploy):
        kubernetes_validate.validate(document, version, strict=True)
        kinds.append(document["kind"])
    assert sorted(kinds) == ["CronJob", "PersistentVolumeClaim", "PersistentVolumeClaim"]


def test_the_schema_would_have_refused_a_mistake(cron_job: dict[str, Any]):
    for key, value in (("concurrencyPolicy", 1), ("concurencyPolicy", "Forbid"), ("schedule", None)):
        wrong = copy.deepcopy(cron_job)
        wrong["spec"][key] = value
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_one_night_at_a_time_once_a_day(cron_job: dict[str, Any]):
    spec = cron_job["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert next(CronSim(spec["schedule"], datetime(2026, 1, 1))) == datetime(2026, 1, 1, 2, 30)


def test_mistakes_and_busy_nights_are_not_tried_again(cron_job: dict[str, Any]):
    job = cron_job["spec"]["jobTemplate"]["spec"]
    fail, ignore = job["podFailurePolicy"]["rules"]
    assert (fail["action"], fail["onExitCodes"]["values"]) == ("FailJob", [2, 75])
    assert fail["onExitCodes"]["containerName"] == job["template"]["spec"]["containers"][0]["name"]
    assert (ignore["action"], ignore["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert job["template"]["spec"]["restartPolicy"] == "Never", "a podFailurePolicy takes no other"


def test_the_arguments_are_a_night_s(deploy: Path, pod: dict[str, Any], is_a_night: Callable[[list[str]], None]):
    container = pod["containers"][0]
    entry = re.search(r"^ENTRYPOINT (\[.*\])$", (deploy / "Containerfile").read_text(), re.MULTILINE)
    assert entry is not None
    script, python, *words = json.loads(entry[1])
    assert (script, python) == ("/opt/face-distill/deploy/night.sh", "/opt/face-distill/.venv/bin/python")
    is_a_night([word for word in [*words, *container["args"]] if word != "-P"])


def test_every_path_of_the_arguments_is_mounted_and_the_drops_only_to_be_read(pod: dict[str, Any]):
    container = pod["containers"][0]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert {argument.split("=")[1] for argument in container["args"]} <= mounts.keys()
    assert mounts["/drops"]["readOnly"]
    assert "/tmp" in mounts, "the root file system is read-only"
    assert {mount["name"] for mount in mounts.values()} == {volume["name"] for volume in pod["volumes"]}


def test_every_claim_is_shipped(deploy: Path, pod: dict[str, Any]):
    claims = {d["metadata"]["name"] for d in documents(deploy) if d["kind"] == "PersistentVolumeClaim"}
    used = {v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v}
    assert used == claims


def test_the_pod_fits_the_restricted_security_standard(pod: dict[str, Any]):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards, profile Restricted."""
    whole, own = pod["securityContext"], pod["containers"][0]["securityContext"]
    assert whole["runAsNonRoot"]
    assert whole["runAsUser"] != 0
    assert whole["seccompProfile"]["type"] == "RuntimeDefault"
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert {next(k for k in volume if k != "name") for volume in pod["volumes"]} == {
        "persistentVolumeClaim",
        "emptyDir",
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert own["readOnlyRootFilesystem"]
    assert pod["automountServiceAccountToken"] is False


def test_secrets_are_references(pod: dict[str, Any]):
    (variable,) = pod["containers"][0]["env"]
    assert variable["name"] == "WANDB_API_KEY"
    assert "value" not in variable
    assert variable["valueFrom"]["secretKeyRef"]["optional"], "W&B is a choice"
