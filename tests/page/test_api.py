"""`/stylize` as programs use it: gradio_client and MCP, with the real network."""

from __future__ import annotations

import asyncio
import base64
import re
import urllib.request
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from PIL import Image, ImageChops

from helpers.places import EXAMPLES
from helpers.server import Server, running_server
from nst import TransferSettings, load_image, stylize
from nst.__main__ import main
from nst.images.found_masks import FINDERS, NO_FACE
from nst.images.masks import Masks
from nst.settings import PaintingUse, options
from nst.studio.queue import ENOUGH
from page.api import EACH, PICTURES

pytestmark = pytest.mark.real

CONTENT = EXAMPLES / "content" / "moose.jpg"
STYLE = EXAMPLES / "style" / "stained_glass.jpg"
OTHER = EXAMPLES / "style" / "great_wave.jpg"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The page with the real network."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(
        server.url,
        verbose=False,
        analytics_enabled=False,
        download_files=tmp_path_factory.mktemp("results"),
    )


def test_the_endpoint_documents_every_setting(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert list(endpoints) == ["/stylize", "/find_mask"]
    names = [parameter["parameter_name"] for parameter in endpoints["/stylize"]["parameters"]]
    # Gradio passes arguments by position: the order must be that of the components.
    assert names == ["content", "style", *options(), *PICTURES, *EACH]


def test_two_files_give_a_picture_and_its_costs(client: Client) -> None:
    path, costs = client.predict(
        content=handle_file(CONTENT),
        style=handle_file(STYLE),
        size=96,
        iterations=6,
        layer_weights="relu1_1=1,relu4_1=0.5",
        api_name="/stylize",
    )
    with Image.open(path) as picture:
        assert (picture.format, picture.size) == ("PNG", (96, 64))
    assert (costs["iteration"], costs["total"]) == (6, 6)
    assert costs["J"] == pytest.approx(costs["content"] + costs["style"])


def test_several_paintings_rule_where_their_masks_say(client: Client, tmp_path: Path) -> None:
    upper, middle = tmp_path / "upper.png", tmp_path / "middle.png"
    mask = Image.new("L", (96, 64))
    mask.paste(255, (0, 0, 96, 32))
    mask.save(upper)
    ImageChops.offset(mask, 0, 16).save(middle)
    within = Image.new("L", load_image(OTHER).size)
    within.paste(255, (0, 0, within.width, within.height // 2))
    within_file = tmp_path / "within.png"
    within.save(within_file)
    request = {
        "content": handle_file(CONTENT),
        "style": handle_file(STYLE),
        "style_2": handle_file(OTHER),
        "mask_2": handle_file(upper),
        "keep": handle_file(middle),
        "init": handle_file(OTHER),
        "style_weights": "1,0.5",
        "style_strengths": "1,2",
        "style_layers": ",relu1_1+relu3_1",
        "style_scales": "1,2",
        "style_rotation": ",90",
        "style_mirror": "no,yes",
        "style_crop": ",0:0:0.5:1",
        "within_2": handle_file(within_file),
    }
    path, _ = client.predict(**request, size=96, iterations=4, api_name="/stylize")
    photo, style, other = (load_image(each) for each in (CONTENT, STYLE, OTHER))
    painted = stylize(
        photo,
        [style, other],
        TransferSettings(
            size=96,
            iterations=4,
            paintings=(
                PaintingUse(),
                PaintingUse(
                    weight=0.5,
                    strength=2.0,
                    layers=("relu1_1", "relu3_1"),
                    scale=2.0,
                    rotation=90.0,
                    mirror=True,
                    crop=(0.0, 0.0, 0.5, 1.0),
                ),
            ),
        ),
        masks=Masks((None, mask), ImageChops.offset(mask, 0, 16), (None, within)),
        init=other,
    )
    with Image.open(path) as served:
        assert served.tobytes() == painted.tobytes()


def test_a_mask_of_faces_is_found_and_can_be_kept(client: Client) -> None:
    photo = EXAMPLES / "content" / "astronaut.jpg"
    path = client.predict(content=handle_file(photo), shows="faces", api_name="/find_mask")
    expected = FINDERS["faces"](load_image(photo))
    with Image.open(path) as found:
        assert found.tobytes() == expected.tobytes()
    files = {"content": photo, "style": STYLE, "keep": path}
    request = {name: handle_file(file) for name, file in files.items()}
    painted, _ = client.predict(**request, size=96, iterations=2, api_name="/stylize")
    with Image.open(painted) as picture:
        assert max(picture.size) == 96
    with pytest.raises(AppError, match=re.escape(NO_FACE)):
        client.predict(content=handle_file(CONTENT), shows="faces", api_name="/find_mask")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"mask_1": handle_file(STYLE)}, "The mask of painting 1 is"),
        ({"style_weights": "0"}, "The weights of the paintings are all 0"),
        ({"style_weights": "1,much"}, "style_weights cannot be 'much'"),
        ({"style_strengths": "9"}, "a painting's strength must be"),
        ({"style_crop": "0:0:1"}, "style_crop cannot be '0:0:1'"),
        ({"style_mirror": "maybe"}, "style_mirror cannot be 'maybe'"),
        ({"style_scales": "1,1,1,1,1,1,1"}, "style_scales has 7 values for one painting"),
        ({"style_weights": "1,2,3"}, "style_weights has 3 values for one painting"),
        (
            {"style_weights": "1,2,3", "style_2": handle_file(OTHER)},
            "style_weights has 3 values for 2 paintings",
        ),
        (
            {"style_2": handle_file(OTHER)}
            | {f"mask_{number}": handle_file(CONTENT) for number in (1, 2, 3)},
            "There are 3 masks for 2 paintings; each painting takes one at most",
        ),
        (
            {"within_4": handle_file(STYLE)},
            "within_4 is a mask of painting 4, and there is no style_4",
        ),
        (
            {"style_2": handle_file(OTHER), "mask_3": handle_file(CONTENT)},
            "mask_3 is a mask of painting 3, and there is no style_3",
        ),
    ],
)
def test_regions_that_cannot_be_are_refused(
    client: Client, changes: dict[str, Any], sentence: str
) -> None:
    request = {"content": handle_file(CONTENT), "style": handle_file(STYLE), "iterations": 1}
    with pytest.raises(AppError, match=sentence):
        client.predict(**request, **changes, api_name="/stylize")


def test_the_page_the_command_line_and_the_library_paint_the_same(
    client: Client, tmp_path: Path
) -> None:
    request = {"content": handle_file(CONTENT), "style": handle_file(STYLE)}
    path, _ = client.predict(**request, size=64, iterations=5, api_name="/stylize")
    output = tmp_path / "out.png"
    words = [str(CONTENT), str(STYLE), "-o", str(output), "--size", "64", "--iterations", "5"]
    assert main(words) == 0
    settings = TransferSettings(size=64, iterations=5)
    painted = stylize(load_image(CONTENT), load_image(STYLE), settings)
    with Image.open(path) as served, Image.open(output) as written:
        assert served.tobytes() == written.tobytes() == painted.tobytes()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"size": 9}, "Value 9 is less than minimum value 64"),
        ({"layer_weights": "relu9_1=1"}, "layer_weights names a layer 'relu9_1'"),
        ({"content": handle_file(__file__)}, "The content cannot be used."),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    client: Client, changes: dict[str, Any], sentence: str
) -> None:
    request = {"content": handle_file(CONTENT), "style": handle_file(STYLE), "iterations": 1}
    with pytest.raises(AppError, match="^" + sentence.replace(".", "[.]")):
        client.predict(**{**request, **changes}, api_name="/stylize")


def test_one_program_cannot_take_the_whole_line(server: Server) -> None:
    client = Client(server.url, verbose=False, analytics_enabled=False)
    files = {"content": handle_file(CONTENT), "style": handle_file(STYLE)}
    jobs = [client.submit(**files, size=64, iterations=1000, api_name="/stylize") for _ in range(6)]
    done, _ = wait(jobs, timeout=60, return_when=FIRST_COMPLETED)
    assert str(done.pop().exception()) == ENOUGH
    for job in jobs:
        job.cancel()
    client.predict(**files, size=64, iterations=1, api_name="/stylize")


def test_what_would_take_too_long_is_refused_and_what_fits_is_said(client: Client) -> None:
    files = {"content": handle_file(CONTENT), "style": handle_file(STYLE)}
    sentence = r"This would take about \d+ minutes, and 30 are the most for one picture here[.]"
    remedy = r" (\d+ px or )?\d+ iterations would fit[.]$"
    with pytest.raises(AppError, match="^" + sentence + remedy):
        client.predict(
            **files, size=1600, iterations=1000, precision="float32", api_name="/stylize"
        )


def test_it_is_an_mcp_tool(server: Server) -> None:
    def data_url(path: Path) -> str:
        return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()

    async def call() -> tuple[list[str], Any]:
        address = f"{server.url}/gradio_api/mcp/"
        async with (
            streamable_http_client(address) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            arguments = {
                "content": data_url(CONTENT),
                "style": data_url(STYLE),
                "size": 64,
                "iterations": 2,
            }
            return [tool.name for tool in tools], await session.call_tool("stylize", arguments)

    names, result = asyncio.run(call())
    assert names == ["stylize", "find_mask"]
    assert not result.isError
    (text,) = [part.text for part in result.content if part.type == "text"]
    assert "'iteration': 2" in text
    address = re.findall(r"'url': '([^']+)'", text)[-1]
    with urllib.request.urlopen(address) as answer, Image.open(answer) as picture:
        assert (picture.format, picture.size) == ("PNG", (64, 43))
