from __future__ import annotations

import fsspec
import pytest

from aipc.errors import UsageError
from aipc.models.remote_folder import by_fsspec, open_folder


def test_a_package_that_is_missing_is_named():
    fsspec.register_implementation(
        "nowhere", "no_such_package.Files", errtxt="Install no_such_package", clobber=True
    )
    told = r"'nowhere://x' needs a package of its own \(Install no_such_package\)"
    with pytest.raises(UsageError, match=told + "; install it beside aipc, or give a sheet$"):
        by_fsspec("nowhere://x", "a sheet")
    with pytest.raises(UsageError, match=told + ".* https:// or a path$"):
        open_folder("nowhere://x")


def test_what_is_no_address_is_told():
    with pytest.raises(UsageError, match=r"'nothing://x' is no address .* that fsspec knows$"):
        by_fsspec("nothing://x", "a sheet")


def test_a_path_is_an_address(tmp_path):
    files, root = by_fsspec(str(tmp_path), "a sheet")
    assert (files.isdir(root), root) == (True, tmp_path.as_posix())
