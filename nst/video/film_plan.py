"""A film before it is painted: the clip, and all that its frames depend on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, repeat
from typing import Any

from PIL import Image

from nst.errors import SettingsError
from nst.images.color import dial_colors
from nst.images.mask_records import MaskRecords
from nst.images.masks import Masks
from nst.images.transforms import seen_parts
from nst.settings import FILM_DEFAULTS, FilmSettings, TransferSettings
from nst.vgg.network import VGG
from nst.video import transfer
from nst.video.clips import Clip, Frame
from nst.video.film_recipe import film_recipe
from nst.video.forecast import FilmForecast, film_forecast
from nst.video.frame_store import FrameStore, film_key
from nst.video.living import StillClip, living_painting
from nst.video.mask_tracks import KeyMasks, check_key_numbers, followed_masks, within_of
from nst.video.ramps import between
from nst.video.transfer import FilmStep, Remembered, Scene


@dataclass(frozen=True)
class FilmPlan:
    """All that a film is made of.

    Raises `SettingsError` where settings change and the clip does not say how long it is.

    Args:
        clip: what was filmed, at the size of the settings.
        styles: the paintings.
        settings: of its frames, those that it begins with.
        film: what films have beside them.
        end: settings that it ends with; only what `between` changes differs.
        masks: by the numbers, from 0, of the frames that they were painted on.
        protect_faces: whether faces are left as they were filmed.
    """

    clip: Clip
    styles: Sequence[Image.Image]
    settings: TransferSettings
    film: FilmSettings = FILM_DEFAULTS
    end: TransferSettings | None = None
    masks: KeyMasks = field(default_factory=dict)
    protect_faces: bool = False

    def __post_init__(self) -> None:
        if self._changes and not self.clip.facts.frames:
            raise SettingsError("the clip does not say how long it is; leave out --end-…")

    @cached_property
    def key(self) -> str:
        """Return what the film is made of, for `FrameStore`."""
        made_of: list[Any] = [
            each.to_json() for each in (self.settings, self.end or self.settings, self.film)
        ]
        if isinstance(self.clip, StillClip):
            made_of.append({"living": self.clip.seconds})
        masks = {str(frame): MaskRecords.of(each).to_json() for frame, each in self.masks.items()}
        if masks or self.protect_faces:
            made_of.append({"masks": masks, "protect_faces": self.protect_faces})
        return film_key(self.clip, self.styles, made_of)

    def check_masks(self) -> None:
        """Raise `ImageError` for masks of a frame that the clip does not have.

        What a clip says of its length is an estimate, so frames are read as far as there are masks.
        """
        last = max(self.masks, default=0)
        if last:
            check_key_numbers(self.masks, self.clip.counted(last + 1))

    def paint(
        self,
        network: VGG,
        painted: Remembered = lambda frame: None,
        *,
        only: Scene | None = None,
    ) -> Iterator[FilmStep]:
        """Yield the steps of the film, or of one scene, as `transfer_video` does.

        That of a photo is a living painting, and has one scene. Raises what it raises.
        """
        if isinstance(self.clip, StillClip):
            return living_painting(
                next(iter(self.clip.pictures)),
                self.styles,
                self.clip.facts.frames,
                self.settings,
                self.film,
                masks=self.masks.get(0),
                protect_faces=self.protect_faces,
                painted=painted,
                network=network,
            )
        return transfer.transfer_video(
            self.clip.pictures,
            self.styles,
            self.settings,
            self.film,
            masks=self.masks,
            protect_faces=self.protect_faces,
            settings_at=self._settings_at if self._changes else None,
            painted=painted,
            only=only,
            network=network,
        )

    def scenes(self, network: VGG) -> Iterator[Scene]:
        """Yield the scenes of the film, each as soon as its end is found."""
        return transfer.find_scenes(
            *(self.clip.pictures, self.styles, self.settings, self.film, network)
        )

    def forecast(self, network: VGG) -> FilmForecast:
        """Return what its frames will take."""
        regions = max((masks.count for masks in self.masks.values()), default=0)
        used = seen_parts(list(self.styles), self.settings)
        facts = self.clip.facts
        return film_forecast(
            *(network, (facts.width, facts.height), [style.size for style in used]),
            *(self.settings, self.film),
            regions=regions,
        )

    def delivered(self, store: FrameStore) -> Iterator[Frame]:
        """Yield the frames that are done with their times, and their colours dialled."""
        used = seen_parts(list(self.styles), self.settings, within_of(self.masks))
        amount = self.settings.colors
        clip = islice(zip(self.clip, self._masks_if(amount != 0), strict=False), store.count)
        for number, (frame, masks) in enumerate(clip):
            painted = store.load(number)
            assert painted is not None, "it was counted"
            picture = dial_colors(painted, frame.picture, used, amount, keep=masks.keep)
            yield frame.repainted(picture)

    def recipe(self, device: str, others: Mapping[str, Any] | None = None) -> str:
        """Return the recipe as text; `others` are texts of what settings were at the end."""
        first = next(iter(self.clip)).picture
        told = {"fps": self.clip.rate, **(others or {})}
        if isinstance(self.clip, StillClip):
            told["living"] = self.clip.seconds
        return film_recipe(
            *(first, self.styles, self.settings, self.film, device),
            masks=self.masks,
            protect_faces=self.protect_faces,
            others=told,
        )

    @property
    def _changes(self) -> bool:
        return self.end is not None and self.end != self.settings

    def _settings_at(self, number: int) -> TransferSettings:
        assert self.end is not None
        last = max(1, self.clip.facts.frames - 1)
        return between(self.settings, self.end, min(1.0, number / last))

    def _masks_if(self, wanted: bool) -> Iterator[Masks]:
        """Return the masks of the frames, where they are wanted; none otherwise."""
        if not wanted or not (self.masks or self.protect_faces):
            return repeat(Masks())
        return followed_masks(self.clip.pictures, self.masks, protect_faces=self.protect_faces)
