from __future__ import annotations

import json

import tiny


def test_it_prints_the_folder_and_how_to_start_the_server(aipc, tmp_path) -> None:
    config = tiny.CONFIGS["phi3"]
    model = tiny.write_checkpoint(tmp_path / "phi", config, tiny.random_tensors(config))
    root = tmp_path / "models"
    outcome = aipc("export", str(model), "--ovms", str(root), "--cache-size", "3")
    assert outcome.status == 0
    assert outcome.stdout == f"{root / 'phi' / '1'}\n"
    told = " ".join(outcome.stderr.split())
    assert f"-v {root}:/models:ro -p 127.0.0.1:8000:8000 openvino/model_server:" in told
    assert "--config_path /models/config.json" in told
    assert f"kubectl apply -f {root / 'phi.kserve.yaml'}" in told
    assert "cache_size: 3" in (root / "phi" / "1" / "graph.pbtxt").read_text()
    again = json.loads(
        aipc("export", str(model), "--ovms", str(root), "--cache-size", "3", "--json").stdout
    )
    assert (again["version"], again["reused"]) == (1, True)


def test_where_to_is_needed(aipc) -> None:
    outcome = aipc("export", "phi-3-mini")
    assert outcome.status == 2
    assert "--ovms" in outcome.stderr
