"""The manifest that has KServe run OpenVINO Model Server on an exported model.

Source: docs.openvino.ai, "Deploying Model Server in Kubernetes", with the kserve-openvino.yaml of
github.com/openvinotoolkit/model_server; kserve.github.io, "Deploy InferenceService with a saved
model on PVC".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aipc.errors import UsageError

IMAGE = "openvino/model_server:2026.4.1"
"""github.com/openvinotoolkit/model_server/releases/tag/v2026.4.1: of the OpenVINO that is used
here."""
GPU_IMAGE = f"{IMAGE}-gpu"
"""With drivers of GPU and NPU."""
CPUS = 8
"""Of a container; without a number KServe gives it one."""
_RESOURCES = {"gpu": "gpu.intel.com/i915", "npu": "npu.intel.com/accel"}
"""As Intel's device plugins for Kubernetes name them."""
_COPIES = 2.1
"""Of the weights in memory, as OpenVINO's CPU plugin has them: docs/speed.md."""
_GROWTH = 4
"""GB for keys and values, where their cache grows with the answers."""
_REST = 1
"""GB for all else."""


def image(kind: str) -> str:
    """The server's for a kind of device."""
    return IMAGE if kind == "cpu" else GPU_IMAGE


def manifest_text(name: str, uri: str, kind: str, nbytes: int, cache_size: int) -> str:
    """YAML of a ServingRuntime and the InferenceService that it runs.

    ``name`` is the model's, ``uri`` where the cluster finds the folder of one version, ``nbytes``
    its size; ``cache_size`` is in GB.
    """
    import yaml

    label = dns_label(name)
    gigabytes = int(nbytes * _COPIES / 1e9 + (cache_size or _GROWTH) + _REST) + 1
    limits: dict[str, Any] = {"cpu": str(CPUS), "memory": f"{gigabytes}G"}
    if kind in _RESOURCES:
        limits[_RESOURCES[kind]] = "1"
    resources = {"requests": limits, "limits": dict(limits)}
    both = [_runtime(label, kind, name), _service(label, uri, resources)]
    return str(yaml.safe_dump_all(both, sort_keys=False))


def dns_label(name: str) -> str:
    """The name as Kubernetes takes it.

    Raises:
        UsageError: nothing is left of it.
    """
    label = re.sub(r"[^a-z0-9]+", "-", name.lower())[:50].strip("-")
    if not label:
        raise UsageError(f"'{name}' has no letter that Kubernetes takes", "give another --name")
    return label


def _runtime(label: str, kind: str, name: str) -> Mapping[str, Any]:
    arguments = {
        "model_name": name,
        "model_path": "/mnt/models",
        "port": 9000,
        "rest_port": 8080,
        "file_system_poll_wait_seconds": 0,
    }
    container = {
        "name": "kserve-container",
        "image": image(kind),
        "args": [f"--{key}={value}" for key, value in arguments.items()],
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "startupProbe": {
            "httpGet": {"path": "/v2/health/ready", "port": 8080},
            "periodSeconds": 5,
            "failureThreshold": 360,
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 5000,
        },
    }
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": f"{label}-ovms"},
        "spec": {
            "containers": [container],
            "supportedModelFormats": [{"name": "openvino"}],
            "protocolVersions": ["v2", "grpc-v2"],
        },
    }


def _service(label: str, uri: str, resources: Mapping[str, Any]) -> Mapping[str, Any]:
    model = {
        "modelFormat": {"name": "openvino"},
        "runtime": f"{label}-ovms",
        "storageUri": uri,
        "resources": resources,
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": label},
        "spec": {"predictor": {"model": model}},
    }
