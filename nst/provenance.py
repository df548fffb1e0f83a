"""Record what painted a picture: the device, how it computed, and the versions of the software.

Must not know recipes or jobs: the engine reports a `Provenance` with each of its steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nst import __version__

if TYPE_CHECKING:
    import torch

ENGINE_CHANGES = {
    "0.2.0": "grey pictures, colour noise, smoothness and continued runs",
}
"""What the engine paints differently from each version on."""


@dataclass(frozen=True)
class Provenance:
    """What the bits of a picture depend on, besides its recipe's pictures and settings.

    An empty word and 0 stand for what is not known, or does not matter on this device.
    """

    device: str  # "cpu", "cuda", "mps" or "xpu"
    processor: str = ""  # the instructions of a CPU ("AVX512"), or the name of a GPU
    precision: str = ""  # of the network: "float32" or "bfloat16"
    threads: int = 0  # of torch, on a CPU: sums are split among them
    software: Mapping[str, str] = field(default_factory=dict)  # versions, of "nst" and "torch"

    def differences(self, present: Provenance, subject: str = "the recipe") -> Iterator[str]:
        """Yield a plain sentence for each way in which `present` paints other bits."""
        nst, torch_ = self.software.get("nst", ""), self.software.get("torch", "")
        if nst and nst != present.software.get("nst"):
            changes = engine_changes(nst)
            here = f"whose engine paints {changes} differently" if changes else ""
            yield f"{subject} was written by version {nst}, {here or f'this is {__version__}'}"
        if torch_ and torch_ != present.software.get("torch"):
            there = present.software.get("torch", "another version")
            yield f"{subject} was painted with torch {torch_}, this machine has {there}"
        if self.device != UNKNOWN.device and self.device != present.device:
            yield f"{subject} was painted on {self.device}, this machine uses {present.device}"
            return  # the rest says the same once more
        if self.processor and present.processor and self.processor != present.processor:
            yield (
                f"{subject} was painted on a processor with {self.processor}, this machine's has"
                f" {present.processor}"
            )
        if self.precision and self.precision != present.precision:
            yield (
                f"{subject} was painted in {self.precision}, this machine computes in"
                f" {present.precision}"
            )
        if self.threads and self.threads != present.threads:
            yield (
                f"{subject} was painted with {_threads(self.threads)}, this machine uses"
                f" {present.threads}; set OMP_NUM_THREADS={self.threads} for the same picture"
            )

    @property
    def engine_note(self) -> str:
        """Return a sentence where a version with another engine painted it; or nothing."""
        version = self.software.get("nst", "")
        changes = engine_changes(version) if version else ""
        if not changes:
            return ""
        return f"It was painted by version {version}, whose engine paints {changes} differently."


UNKNOWN = Provenance("unknown")
"""Of engines that do not tell."""


def provenance_of(device: torch.device, dtype: torch.dtype) -> Provenance:
    """Return the provenance of what is painted now, in this thread, on `device` in `dtype`."""
    import torch  # takes seconds, and those who only read recipes do without

    on_cpu = device.type == "cpu"
    return Provenance(
        device=device.type,
        processor=_processor(device),
        precision=str(dtype).removeprefix("torch."),
        threads=torch.get_num_threads() if on_cpu else 0,
        software=software(),
    )


def software() -> dict[str, str]:
    """Return the versions that a picture depends on."""
    import torch  # as above

    return {"nst": __version__, "torch": str(torch.__version__).partition("+")[0]}


def engine_version() -> str:
    """Return the latest version from which on the engine paints differently."""
    return max(ENGINE_CHANGES, key=_numbers)


def engine_changes(version: str) -> str:
    """Return what the engine of an earlier version paints differently, or nothing."""
    later = [
        what
        for changed, what in ENGINE_CHANGES.items()
        if _numbers(version) < _numbers(changed) <= _numbers(__version__)
    ]
    return " and ".join(later)


def _processor(device: torch.device) -> str:
    import torch  # as above

    name = ""
    if device.type == "cpu":
        name = str(torch.backends.cpu.get_cpu_capability())
    elif device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    elif device.type == "xpu":
        name = torch.xpu.get_device_name(device)
    return re.sub(r"[^\w.+-]+", "-", name, flags=re.ASCII)[:40]


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
