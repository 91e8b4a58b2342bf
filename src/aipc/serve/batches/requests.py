"""The requests of a batch, all checked before the first is asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aipc.batch.input.lines import CheckedInput, check_input, raw_lines
from aipc.errors import UsageError
from aipc.serve.batches.record import RequestFault

MAX_REQUESTS = 50_000
"""Of one batch, as at OpenAI."""
_MOST_TOLD = 100


class Refused(Exception):
    """``faults`` say why a batch's requests can't be asked."""

    def __init__(self, *faults: RequestFault) -> None:
        super().__init__(faults[0].message)
        self.faults = faults[:_MOST_TOLD]


def check_requests(path: Path, endpoint: str) -> tuple[CheckedInput, str]:
    """All requests, and the model that they are for.

    Raises:
        Refused: one of them can't be asked, or they are for several models.
        BatchError: the file can't be read.
    """
    _check_number(path)
    try:
        checked = check_input(path, skip_invalid=True)
    except UsageError as error:
        raise Refused(RequestFault("empty_file", "the file has no request")) from error
    faults = [
        RequestFault("invalid_request", one.message, one.number, one.param)
        for one in checked.faults
    ]
    faults += _of_other_targets(checked, endpoint)
    if faults:
        raise Refused(*sorted(faults, key=lambda fault: fault.line or 0))
    return checked, checked.entries.targets[0][0]


def _check_number(path: Path) -> None:
    """Before what is found wrong with each line takes memory."""
    with path.open("rb") as file:
        for number, _, _ in raw_lines(file):
            if number > MAX_REQUESTS:
                message = f"a batch may have {MAX_REQUESTS:,} requests; make several"
                raise Refused(RequestFault("too_many_requests", message))


def _of_other_targets(checked: CheckedInput, endpoint: str) -> list[RequestFault]:
    """Lines of another endpoint than the batch's, or of another model than the first of those."""
    entries, targets = checked.entries, checked.entries.targets
    models = [model for model, url in targets if url == endpoint]
    faults = []
    for number, (model, url) in enumerate(targets):
        if (model, url) == (models[0] if models else None, endpoint):
            continue
        for at in np.flatnonzero(entries.column("target") == number)[:_MOST_TOLD]:
            line = entries[int(at)].number
            if url != endpoint:
                code, param, message = "invalid_url", "url", f"url: the batch is for {endpoint}"
            else:
                code, param = "mismatched_model", "model"
                message = f"model: the batch's other requests are for '{models[0]:.80}'"
            faults.append(RequestFault(code, message, line, param))
    return faults
