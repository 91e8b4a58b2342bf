from __future__ import annotations

import pytest

from aipc.artifact.links import refuse_links
from aipc.errors import ArtifactError


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (tmp_path / "secret").write_text("x")
    try:
        (tmp_path / "try").symlink_to(folder)
    except OSError:
        pytest.skip("this system makes no links")
    return folder


def test_weights_may_lie_on_another_disk(folder, tmp_path):
    (folder / "model.safetensors").symlink_to("../secret")
    refuse_links(folder, ArtifactError)
    (folder / "more.safetensors").symlink_to("/dev/zero")
    with pytest.raises(ArtifactError, match=r"'more.safetensors' in"):
        refuse_links(folder, ArtifactError)


@pytest.mark.parametrize("name", ["tokenizer.json", "inner/a.jinja", "templates"])
@pytest.mark.parametrize("target", ["../../secret", "/etc/passwd", "/dev/zero", "../../nowhere"])
def test_a_link_that_leads_out_is_refused_by_its_name(folder, name, target):
    (folder / name).symlink_to(target)
    with pytest.raises(ArtifactError, match=r"is a link to what lies outside of it; .*cp -rL"):
        refuse_links(folder, ArtifactError)


def test_links_within_and_to_the_folder_are_none_of_that(folder, tmp_path):
    (folder / "generation_config.json").symlink_to("config.json")
    refuse_links(folder, ArtifactError)
    refuse_links(tmp_path / "try", ArtifactError)


def test_the_hub_s_own_cache_is_as_it_is(tmp_path, folder):
    snapshot = tmp_path / "models--org--name" / "snapshots" / "abc"
    blobs = tmp_path / "models--org--name" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "0123").write_text("{}")
    (snapshot / "config.json").symlink_to("../../blobs/0123")
    refuse_links(snapshot, ArtifactError)
    (snapshot / "other.json").symlink_to("../../../secret")
    with pytest.raises(ArtifactError, match=r"'other.json' in"):
        refuse_links(snapshot, ArtifactError)
