"""A contact sheet as a task: nine small pictures that are painted at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from PIL import Image
from typing_extensions import override

from nst.engine.contact_sheet import Grid, paint_sheet
from nst.engine.schedule import Moment
from nst.engine.transfer import Engine, TransferStep, transfer_style
from nst.errors import UnreachableError
from nst.images.masks import NO_MASKS, Masks
from nst.provenance import UNKNOWN
from nst.settings import TransferSettings, options
from nst.studio.job import Job, mask_bytes, picture_bytes
from nst.studio.task import State, Task


class Sheet(Task):
    """A contact sheet being painted: nine small pictures at once."""

    def __init__(
        self,
        content: Image.Image,
        styles: Sequence[Image.Image],
        grid: Grid,
        *,
        visitor: str = "",
        engine: Engine = transfer_style,
        masks: Masks = NO_MASKS,
        init: Image.Image | None = None,
    ) -> None:
        super().__init__(visitor)
        given: dict[str, Any] = {"masks": masks} if masks else {}
        given |= {"init": init} if init else {}
        self.engine = partial(engine, **given)
        self.masks, self.init = masks, init
        self.content = content
        self.styles = list(styles)
        self.grid = grid
        self.tiles: list[list[TransferStep]] = []

    @property
    @override
    def bytes(self) -> int:
        init = [self.init] if self.init else []
        return picture_bytes(self.content, *self.styles, *init) + mask_bytes(self.masks)

    @property
    def count(self) -> int:
        """Return how many tiles there are."""
        return sum(map(len, self.grid))

    def _pieces(self) -> Iterator[list[list[TransferStep]] | None]:
        """Paint all tiles; once more from the beginning where the workers were lost."""
        while True:
            try:
                yield from self._paint_tiles()
            except UnreachableError as error:
                self._hold_up(error)
                yield None
            else:
                self._become(State.FINISHED, "")
                return

    def _paint_tiles(self) -> Iterator[list[list[TransferStep]]]:
        for tiles in paint_sheet(self.content, self.styles, self.grid, engine=self.engine):
            with self.lock:
                self._pass_obstacle()
                self.tiles = tiles
                self.version += 1
            yield tiles

    def job_of(self, row: int, column: int, settings: TransferSettings, visitor: str) -> Job:
        """Return a job that goes on from one tile under `settings`.

        It has as many iterations more as those say. Raises `IndexError` for a tile that is not
        there.
        """
        tile, small = self.tiles[row][column], self.grid[row][column]
        job = Job(
            self.content, self.styles, small, visitor=visitor, masks=self.masks, init=self.init
        )
        job.moment = Moment(tile.image, tile.iteration)
        job.steps = [tile.without_pixels()]
        job.provenance = [tile.provenance or UNKNOWN]
        job.state = State.STOPPED
        _, most = options()["iterations"].range
        total = min(tile.iteration + settings.iterations, int(most))
        job.resume(settings.replace(iterations=total))
        return job
