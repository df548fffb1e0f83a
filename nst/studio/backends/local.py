"""Paint runs in this process."""

from __future__ import annotations

import functools

from typing_extensions import override

from nst.engine.devices import load_network
from nst.engine.memory import available_memory
from nst.engine.transfer import Engine, transfer_style
from nst.settings import DEFAULTS, TransferSettings
from nst.studio.backends.base import Backend
from nst.studio.forecast import Forecast, PlannedRun, forecast, seconds_per_pixel


class LocalBackend(Backend):
    """This process, on one of its devices."""

    def __init__(self, device: str = "auto") -> None:
        self.device = device

    @override
    def prepare(self) -> None:
        seconds_per_pixel(load_network(DEFAULTS, self.device))

    @override
    def fetch_weights(self, settings: TransferSettings) -> None:
        load_network(settings, self.device)

    @override
    def engine(self) -> Engine:
        if self.device == "auto":
            return transfer_style
        return functools.partial(transfer_style, device=self.device)

    @override
    def forecast(self, run: PlannedRun) -> Forecast:
        network = load_network(run.settings, self.device)
        return forecast(network, run, available_memory(network.device))

    @override
    def free_memory(self, settings: TransferSettings, held: int) -> int | None:
        free = available_memory(load_network(settings, self.device).device)
        return None if free is None else free + held
