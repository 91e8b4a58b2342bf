"""aipc as a later version would be: its artifacts and its manifests are of another format.

``python newer_aipc.py ARGUMENT…``
"""

from __future__ import annotations

from aipc.artifact import manifest
from aipc.convert import recipe

recipe.REVISION += 1
manifest.SCHEMA += 1
manifest.Manifest.__dataclass_fields__["schema"].default = manifest.SCHEMA
manifest.Manifest.__init__.__defaults__ = (
    *manifest.Manifest.__init__.__defaults__[:-1],
    manifest.SCHEMA,
)

from aipc.__main__ import main  # noqa: E402 - what it imports takes the numbers above

main()
