"""The product: its name, what it says of itself, and its colours."""

from __future__ import annotations

NAME = "Impasto"
DESCRIPTION = "Neural style transfer you can watch and steer"
PAPER = "#faf6f0"  # the ground of the light page
INK = "#171412"  # the ground of the dark page, and of pictures that links show
VERMILION = "#c2401c"  # of the mark
