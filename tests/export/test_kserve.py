from __future__ import annotations

import pytest
import yaml

from aipc.convert import targets
from aipc.devices.wheels import installed
from aipc.errors import UsageError
from aipc.export.kserve import GPU_IMAGE, IMAGE, dns_label, image, manifest_text

URI = "pvc://models/Phi/3"


def documents(kind="cpu", name="Phi-3.5", nbytes=2_000_000_000, cache_size=0):
    return list(yaml.safe_load_all(manifest_text(name, URI, kind, nbytes, cache_size)))


def test_the_service_runs_what_the_runtime_describes():
    runtime, service = documents()
    assert runtime["kind"] == "ServingRuntime"
    assert (service["apiVersion"], service["kind"]) == (
        "serving.kserve.io/v1beta1",
        "InferenceService",
    )
    model = service["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["storageUri"] == URI
    assert model["modelFormat"] in runtime["spec"]["supportedModelFormats"]
    (container,) = runtime["spec"]["containers"]
    assert container["name"] == "kserve-container"
    assert container["image"] == IMAGE
    assert "--model_name=Phi-3.5" in container["args"]
    assert "--model_path=/mnt/models" in container["args"]
    assert container["startupProbe"]["httpGet"]["port"] == 8080
    assert "--rest_port=8080" in container["args"]


def test_memory_follows_the_model_and_its_cache():
    def memory(**sizes):
        (_, service) = documents(**sizes)
        resources = service["spec"]["predictor"]["model"]["resources"]
        assert resources["limits"] == resources["requests"]
        return int(resources["limits"]["memory"].removesuffix("G"))

    assert memory() == 10  # 2.1 times 2 GB, 4 GB of cache and 1 GB
    assert memory(cache_size=16) == 22
    assert memory(nbytes=4_000_000_000) == 14


@pytest.mark.parametrize(
    ("kind", "resource"), [("gpu", "gpu.intel.com/i915"), ("npu", "npu.intel.com/accel")]
)
def test_an_accelerator_is_asked_for_and_its_drivers(kind, resource):
    runtime, service = documents(kind)
    assert service["spec"]["predictor"]["model"]["resources"]["limits"][resource] == "1"
    assert runtime["spec"]["containers"][0]["image"] == GPU_IMAGE == image(kind)


def test_the_image_is_of_the_openvino_that_is_used_here():
    assert IMAGE.rpartition(":")[2] == dict(installed())["openvino"].partition("-")[0]
    assert {"cpu", "gpu", "npu"} <= {one.name for one in targets.ALL if one.runtime == "openvino"}


def test_a_name_as_kubernetes_takes_it():
    assert dns_label("Phi-3.5_mini") == "phi-3-5-mini"
    assert dns_label("A" * 80) == "a" * 50
    with pytest.raises(UsageError, match="--name"):
        dns_label("...")
