"""Paint runs in this process."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from typing_extensions import override

from nst.engine.devices import load_network
from nst.engine.memory import available_memory
from nst.engine.transfer import Engine, transfer_style
from nst.settings import DEFAULTS, FilmSettings, TransferSettings
from nst.studio.backends.base import Backend
from nst.studio.film_job import FilmEngine
from nst.studio.forecast import Forecast, PlannedRun, Size, forecast, seconds_per_pixel
from nst.video.forecast import FilmForecast, film_forecast
from nst.video.transfer import transfer_video


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

    def film_engine(self) -> FilmEngine:
        """Return what paints films, with the signature of `nst.transfer_video`."""
        return functools.partial(transfer_video, device=self.device)

    def film_forecast(
        self,
        frame: Size,
        paintings: Sequence[Size],
        settings: TransferSettings,
        film: FilmSettings,
    ) -> FilmForecast:
        """Return what the frames of a film take here."""
        network = load_network(settings, self.device)
        return film_forecast(network, frame, paintings, settings, film)

    @override
    def forecast(self, run: PlannedRun) -> Forecast:
        network = load_network(run.settings, self.device)
        return forecast(network, run, available_memory(network.device))

    @override
    def free_memory(self, settings: TransferSettings, held: int) -> int | None:
        free = available_memory(load_network(settings, self.device).device)
        return None if free is None else free + held


def in_this_process(backend: Backend) -> LocalBackend:
    """Return what paints in this process: films are painted nowhere else."""
    for each in (backend, backend.in_process):
        if isinstance(each, LocalBackend):
            return each
    return LocalBackend()
