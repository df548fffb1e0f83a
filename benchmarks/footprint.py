"""What one picture takes on the disk and on the line: `python -m benchmarks.footprint` (a minute).

A picture of the usual settings is painted with its checkpoints, in the sizes that are named. Bytes
only: they do not depend on the machine's speed. Looks and previews are what the page asks for while
it is painted; how many there are depends on how long that takes, one look every 0.6 s.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import brotli
from starlette.applications import Starlette
from starlette.testclient import TestClient

from nst import TransferSettings, load_image
from nst.console import run_command
from nst.outputs import check_output
from nst.settings import DEFAULTS
from nst.studio import job_folder
from nst.studio.job import Job
from nst.studio.limits import Limits
from nst.studio.workshop import Workshop
from page.examples import FOLDER, ExampleSet
from page.http.display_files import display_routes
from page.http.job_files import JobFiles, file_routes
from page.looks import look_route
from page.picture_cache import PictureCache
from page.rendering import Renderings

RESULTS = Path(__file__).parent / "results" / "footprint.json"
SIZES = (384, 1024)
SIDE = 768  # pixels of a preview, on a screen of usual width
LOOK_EVERY = 0.6  # seconds, as the page does

Figures = dict[str, Any]


def served(workshop: Workshop, renderings: Renderings) -> TestClient:
    """Return the page's routes of a job's files, without a server."""
    files = JobFiles(workshop, renderings)
    examples = ExampleSet()
    routes = [
        look_route(workshop, renderings),
        *display_routes(files, examples, PictureCache()),
        *file_routes(files, examples, None),
    ]
    return TestClient(Starlette(routes=routes))


def measure(size: int, folder: Path) -> Figures:
    """Paint a picture, and return the bytes that it takes."""
    photo = load_image(FOLDER / "content" / "bridge.jpg")
    painting = load_image(FOLDER / "style" / "great_wave.jpg")
    job = Job(photo, [painting], TransferSettings(size=size), visitor="somebody")
    workshop, renderings = Workshop(folder, Limits(grace=1e9)), Renderings()
    web = served(workshop, renderings)
    looks, previews = [], []
    workshop.submit(job)
    while job.state.is_live:
        look = web.get(f"/studio/{job.id}/look.json?due=60").content
        looks.append(len(brotli.compress(look, quality=5)))
        if job.moment:
            previews.append(len(web.get(f"/studio/{job.id}/display.webp?side={SIDE}").content))
        time.sleep(LOOK_EVERY)
    assert workshop.wait_until_idle()
    home = folder / job.id
    pictures = [*home.glob("content.png"), *home.glob("style-*.png")]
    delivered = {
        kind: len(web.get(f"/studio/{job.id}/picture.{kind}").content) for kind in ("png", "jpg")
    }
    web.close()
    renderings.close()
    return {
        "iterations": DEFAULTS.iterations,
        "bytes of its folder": job_folder.size(home),
        "of which what was uploaded": sum(path.stat().st_size for path in pictures),
        "of which frames": sum(path.stat().st_size for path in home.glob("frames/*")),
        "bytes of a look": round(sum(looks) / len(looks)),
        "bytes of a preview": round(sum(previews) / len(previews)),
        "bytes of the picture": delivered,
    }


def main() -> int:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="PX")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    check_output(options.output, (".json",))
    figures = {}
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            figures[f"{size} px"] = measure(size, Path(folder))
        print(size, json.dumps(figures[f"{size} px"], indent=2), flush=True)
    options.output.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.footprint"))
