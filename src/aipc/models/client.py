"""huggingface_hub as aipc uses it: silent, and with the environment of now.

Its package reads its environment variables when it is imported; here a later change of
HF_ENDPOINT or HF_HUB_OFFLINE counts too.
"""

from __future__ import annotations

import os
from typing import Any

from aipc.errors import DownloadFailed


def package() -> Any:
    """The huggingface_hub package without telemetry, whoever imported it first.

    With telemetry on, 2.x asks its server for a list of programs to recognize callers by.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import huggingface_hub
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True
    return huggingface_hub


def endpoint() -> str:
    """The hub's address, from HF_ENDPOINT.

    Raises:
        DownloadFailed: it is no web address.
    """
    address = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    if not address.startswith(("http://", "https://")):
        raise DownloadFailed(f"HF_ENDPOINT is '{address}'", "it has to begin with https://")
    return address


def headers() -> dict[str, str]:
    """What goes with every request: who asks, and the user's token if there is one."""
    made: dict[str, str] = package().utils.build_hf_headers(library_name="aipc")
    return made


def timeout() -> float:
    """Seconds of silence after which an attempt is given up (HF_HUB_DOWNLOAD_TIMEOUT)."""
    return float(package().constants.HF_HUB_DOWNLOAD_TIMEOUT)


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids to use the network."""
    said = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    return said or bool(package().constants.HF_HUB_OFFLINE)


def http_error() -> type[Exception]:
    """The base of all that its HTTP library raises: httpx or httpx2, by version."""
    bases = package().errors.HfHubHTTPError.__bases__
    found: type[Exception] = next(base for base in bases if base is not OSError)
    return found
