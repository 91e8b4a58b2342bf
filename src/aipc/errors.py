"""Every error that aipc raises on purpose.

AipcError                    what happened; what to do next
├── UsageError               an option or value that can't be meant (exit status 2)
├── ModelError               a name that leads to no usable model
│   ├── ModelNotFound        nothing of that name: hub, disk or catalogue
│   ├── AccessDenied         it exists, but this user may not read it
│   ├── DownloadFailed       the network or the hub gave up, or sent the wrong bytes
│   └── UnsafeModel          only pickles or code in it: never opened
├── CheckpointError          files that are damaged, cut short or contradict each other
│   └── UnsupportedModel     sound files of a network, type or option that is not known here
├── ConversionError          an artifact could not be written
├── ArtifactError            a folder that is no whole artifact, or not for this use
├── DeviceError              a device or runtime that this machine does not have
│   └── NotPlaced            the model would compute elsewhere than it was set to
├── EngineError              the vendor's runtime failed; its own error is the cause
│   └── EngineBroken         and can't go on: the model has to be loaded again
├── MeasurementError         a measurement that can't be made, read or compared
├── BatchError               a batch that can't be read, written or gone on with
├── ClusterError             Ray is missing, can't be reached, or lost what it was to do
└── GenerationError          a request that this model can't answer
    └── PromptTooLong        more tokens than the context holds
"""

from __future__ import annotations

from pathlib import Path

from aipc.foreign_text import bounded, escaped

FETCH_AGAIN = "fetch it again with 'aipc pull'"
LFS_POINTER = b"version https://git-lfs"
MORE_MEMORY = "close other programs, or take a smaller model or --weight-format int4"
_LONGEST_NAME, _LONGEST_LINE = 80, 1000
_NO_MEMORY = (
    *("bad_alloc", "can't alloc", "failed to allocate memory", "cannot allocate memory"),
    *("std::length_error", "can't start new thread", "not enough memory"),
    *("failed to map segment", "resource temporarily unavailable"),
)
"""How C++, OpenVINO, ONNX Runtime, Python and the systems say so; lower case."""


class AipcError(Exception):
    """One line for a person: what happened and, after it, what to do.

    ``what`` and ``fix`` are kept apart for callers that show them apart (JSON, HTTP).  Whatever
    strangers' texts stand in them, a terminal and a log can show them.
    """

    exit_status = 1

    def __init__(self, what: str, fix: str = "") -> None:
        self.what = bounded(escaped(what), _LONGEST_LINE)
        self.fix = bounded(escaped(fix), _LONGEST_LINE)
        super().__init__(f"{self.what}; {self.fix}" if fix else self.what)


def is_failure(error: BaseException) -> bool:
    """Whether something failed; not where somebody ends the work.

    What a library written in Rust panics of is no `Exception`.
    """
    return not isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit))


class UsageError(AipcError):
    exit_status = 2


class ModelError(AipcError):
    pass


class ModelNotFound(ModelError):
    pass


class AccessDenied(ModelError):
    pass


class DownloadFailed(ModelError):
    pass


class UnsafeModel(ModelError):
    pass


class CheckpointError(AipcError):
    pass


class UnsupportedModel(CheckpointError):
    pass


class ConversionError(AipcError):
    pass


class ArtifactError(AipcError):
    pass


class DeviceError(AipcError):
    pass


class NotPlaced(DeviceError):
    pass


class EngineError(AipcError):
    pass


class EngineBroken(EngineError):
    pass


class MeasurementError(AipcError):
    pass


class BatchError(AipcError):
    pass


class ClusterError(AipcError):
    pass


class GenerationError(AipcError):
    pass


class PromptTooLong(GenerationError):
    pass


def damaged(path: Path, why: str, fix: str = FETCH_AGAIN) -> CheckpointError:
    """An error for a file whose bytes contradict themselves or its size."""
    return CheckpointError(f"'{path}' is damaged: {why}", fix)


def pointer(path: Path) -> CheckpointError:
    """An error for a file that git did not fetch: `LFS_POINTER` and its hash stand in its place."""
    return CheckpointError(
        f"'{path}' is no file yet, but git's pointer to one",
        "run `git lfs pull` in its folder",
    )


def misstated(path: Path, what: str, fix: str) -> CheckpointError:
    """An error for a file that says, whole as it is, what no model's file can mean."""
    return CheckpointError(f"'{path}' can't be right: {what}", fix)


def unreadable(path: Path, error: OSError) -> CheckpointError:
    """An error for a file that the system does not give out; keep ``error`` as the cause."""
    reason = error.strerror or type(error).__name__
    return CheckpointError(f"can't read '{path}': {reason}", "check that it is there and readable")


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether it comes of memory that was not there, in Python's words or in a vendor's."""
    while error is not None:
        text = str(error).lower()
        if isinstance(error, MemoryError) or any(word in text for word in _NO_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


def quoted(name: object) -> str:
    """A name out of a file, safe and short enough to print."""
    shown = " ".join(line.strip() for line in ascii(name).splitlines())  # of numpy's arrays
    return shown if len(shown) <= _LONGEST_NAME else shown[:_LONGEST_NAME] + "…'"
