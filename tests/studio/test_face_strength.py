"""How much of a face is left where faces are protected."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from helpers.places import EXAMPLES
from nst import TransferSettings, load_image, stylize
from nst.images.faces import mask_of_all_faces
from nst.images.tensors import fit
from nst.studio.protected_faces import protect_faces

pytestmark = pytest.mark.real

SETTINGS = TransferSettings(size=192, iterations=30)


def likeness(picture: Image.Image, photo: Image.Image, face: Image.Image) -> float:
    """The correlation of a picture's gradients with the photo's, inside a mask."""
    inside = np.asarray(face.resize(picture.size)) > 127
    ours, theirs = (
        np.concatenate([slope[inside] for slope in np.gradient(grey)])
        for image in (picture, fit(photo, max(picture.size)))
        for grey in [np.asarray(image.convert("L"), float)]
    )
    return float(np.corrcoef(ours, theirs)[0, 1])


@pytest.mark.parametrize("name", ["the_scream", "great_wave"])
def test_a_protected_face_is_far_more_like_the_photo_and_still_painted(name: str) -> None:
    pytest.importorskip("cv2")
    photo = load_image(EXAMPLES / "content" / "astronaut.jpg")
    painting = load_image(EXAMPLES / "style" / f"{name}.jpg")
    face = mask_of_all_faces(photo)
    assert face
    usual = stylize(photo, painting, SETTINGS)
    protected = protect_faces([painting], SETTINGS, photo)
    weaker = stylize(photo, protected.paintings, protected.settings, masks=protected.masks)
    before, after = (likeness(picture, photo, face) for picture in (usual, weaker))
    assert after >= before + 0.08
    assert after < 0.97
