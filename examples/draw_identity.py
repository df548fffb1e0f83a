"""Draw what stands for the product: its icons, from the mark, and the picture that links show.

    python examples/draw_identity.py

Needs Chromium. Writes `page/assets/icons/` and `page/assets/card.jpg`.
"""

from __future__ import annotations

import base64
import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))  # runs from a clone, nothing installed

from nst.console import run_command  # noqa: E402
from nst.files import whole_file  # noqa: E402
from nst.images.writing import jpeg_bytes  # noqa: E402
from page.assets import FOLDER as ASSETS  # noqa: E402
from page.identity import DESCRIPTION, INK, NAME, PAPER, VERMILION  # noqa: E402

ICONS = {"icon-192": 192, "icon-512": 512}
FAVICONS = (16, 32, 48)
FULL_BLEED = {
    "maskable-512": (512, 0.8),
    "apple-touch-icon": (180, 0.92),
}  # size, share of the mark
CARD = (1200, 630)
SHOWN = (
    "castle-wheat_field",
    "bridge-starry_night",
    "cat-composition_vii",
    "honey-bee-stained_glass",
)


def main() -> None:
    """Draw all of it in one browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        draw_icons(page)
        picture = drawn(page, card_markup(), *CARD).convert("RGB")
        write(ASSETS / "card.jpg", jpeg_bytes(picture))
        browser.close()


def draw_icons(page: Page) -> None:
    """Draw the mark at all sizes: with its round corners, and on a square that systems cut."""
    for name, size in ICONS.items():
        write(ASSETS / "icons" / f"{name}.png", png(drawn(page, mark(size), size, size)))
    for name, (size, share) in FULL_BLEED.items():
        square = f'<div class="square">{mark(round(size * share))}</div>'
        write(ASSETS / "icons" / f"{name}.png", png(drawn(page, square, size, size)))
    small = [drawn(page, mark(size), size, size) for size in FAVICONS]
    file = io.BytesIO()
    small[-1].save(file, "ICO", sizes=[each.size for each in small], append_images=small[:-1])
    write(ASSETS / "icons" / "favicon.ico", file.getvalue())


def drawn(page: Page, markup: str, width: int, height: int) -> Image.Image:
    """Return what a browser shows of the markup; (height, width) RGBA."""
    page.set_viewport_size({"width": width, "height": height})
    page.set_content(f"<style>{STYLE}</style>{markup}")
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    shot = page.screenshot(omit_background=True)
    return Image.open(io.BytesIO(shot))


def mark(size: int) -> str:
    return f'<img src="{data_url(ASSETS / "mark.svg", "svg+xml")}" width="{size}" height="{size}">'


def data_url(path: Path, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def card_markup() -> str:
    pictures = (FOLDER / "results" / f"{name}.png" for name in SHOWN)
    tiles = "".join(f'<img src="{data_url(path, "png")}">' for path in pictures)
    return f"""
        <div class="card">
            <div class="words">{mark(112)}<h1>{NAME}</h1><p>{DESCRIPTION}</p></div>
            <div class="tiles">{tiles}</div>
        </div>"""


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    with whole_file(path) as unfinished:
        unfinished.write_bytes(data)
    print(path, len(data))


STYLE = f"""
    * {{ margin: 0; box-sizing: border-box; }}
    img {{ display: block; }}
    .square {{ display: grid; place-items: center; height: 100vh; background: {VERMILION}; }}
    .card {{ display: grid; grid-template-columns: 470px 1fr; height: 100vh; background: {INK};
        color: {PAPER}; }}
    .words {{ display: flex; flex-direction: column; justify-content: center;
        padding: 0 48px 0 64px; }}
    h1 {{ margin: 34px 0 14px -3px; font: bold 92px/1 "Liberation Serif", Georgia, serif;
        letter-spacing: -0.025em; }}
    p {{ font: 32px/1.32 "Liberation Sans", Helvetica, sans-serif; color: #d6cfc4; }}
    .tiles {{ display: grid; grid-template: 1fr 1fr / 1fr 1fr; gap: 6px; min-height: 0; }}
    .tiles img {{ width: 100%; height: 100%; object-fit: cover; min-height: 0; }}
"""

if __name__ == "__main__":
    sys.exit(run_command(main, "examples.draw_identity"))
