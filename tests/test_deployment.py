"""The files of the containers agree with each other, and with what the page expects."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import yaml

from helpers.places import ROOT
from nst.studio.statistics import PHASES, REASONS
from nst.studio.task import State
from page.http.body_limits import MAX_UPLOAD, MULTIPART
from page.http.health import PATH as HEALTH
from page.http.metrics import HELD_UP
from page.http.metrics import PATH as METRICS
from page.http.refusals import REASONS as REFUSED
from page.serving import LEAVES_WITHIN

DOCKERFILE = (ROOT / "Dockerfile").read_text()
CADDYFILE = (ROOT / "deploy" / "Caddyfile").read_text()
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "docs" / "operating.md").read_text()
VARIABLE = re.compile(r"\b(?:NST|GRADIO)_[A-Z_]+\b")
OF_COMPOSE = {"NST_HOST", "NST_TARGET", "NST_MEMORY", "NST_PAGE"}  # the server never sees them


def metric_names() -> set[str]:
    source = (ROOT / "page" / "http" / "metrics.py").read_text()
    return set(re.findall(r'"(nst_\w+)"', source))


def composed(name: str = "compose.yaml") -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / name).read_text())["services"]
    return services


def instructions(text: str = DOCKERFILE) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their arguments."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [(line.split()[0], line.partition(" ")[2]) for line in joined.splitlines() if line]


def test_the_image_copies_what_is_there() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [
        source
        for name, arguments in instructions()
        if name == "COPY" and not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    ]
    assert {"nst", "page", "examples", "requirements.txt"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists()
        assert f"!{source}" in ignored
    assert {f"!{source}" for source in copied} == {line for line in ignored if line[0] == "!"}


def test_nobody_is_root_and_the_last_target_is_small() -> None:
    users = [arguments for name, arguments in instructions() if name == "USER"]
    assert users == ["10001:10001"]
    assert "--uid 10001" in DOCKERFILE
    targets = [arguments.split(" AS ")[1] for name, arguments in instructions() if name == "FROM"]
    assert targets == ["build", "page", "cuda", "cpu"]


def test_the_health_check_is_a_program_that_asks() -> None:
    (check,) = (arguments for name, arguments in instructions() if name == "HEALTHCHECK")
    command = yaml.safe_load(check.partition(" CMD ")[2])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "HEALTHCHECK", "exec")
    assert HEALTH in command[2]


def test_root_file_systems_are_read_only() -> None:
    for service in composed().values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    written = {volume.partition(":")[2] for volume in composed()["page"]["volumes"]}
    assert written == {"/data", "/tmp"}


def test_the_proxy_s_addresses_are_trusted_and_no_others() -> None:
    everything = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    (network,) = everything["networks"].values()
    (pool,) = network["ipam"]["config"]
    page = everything["services"]["page"]
    assert page["environment"]["FORWARDED_ALLOW_IPS"] == pool["subnet"]
    assert "ports" not in page  # nobody else gets there
    assert page["networks"] == everything["services"]["proxy"]["networks"]


def test_the_proxy_lets_the_largest_upload_through() -> None:
    found = re.search(r"max_size (\d+)MB", CADDYFILE)
    assert found
    assert int(found[1]) * 10**6 > MAX_UPLOAD + MULTIPART


def test_the_proxy_hides_what_is_for_those_inside() -> None:
    found = re.search(r"@inside path (.*)", CADDYFILE)
    assert found
    hidden = shlex.split(found[1])
    assert hidden == [METRICS, f"{METRICS}/*", HEALTH, f"{HEALTH}/*"]
    assert f"health_uri {HEALTH}" in CADDYFILE


def test_a_container_has_time_to_leave() -> None:
    assert int(composed()["page"]["stop_grace_period"].removesuffix("s")) > LEAVES_WITHIN


@pytest.mark.parametrize(
    "path", ["Dockerfile", "deploy/compose.yaml", "deploy/Caddyfile", "docs/operating.md"]
)
def test_variables_are_in_the_readme_s_table(path: str) -> None:
    named = set(VARIABLE.findall((ROOT / path).read_text())) - OF_COMPOSE
    listed = set(VARIABLE.findall(README)) | {"GRADIO_ANALYTICS_ENABLED", "GRADIO_TEMP_DIR"}
    assert named <= listed


def test_every_variable_of_the_code_is_listed() -> None:
    sources = [*(ROOT / "nst").rglob("*.py"), *(ROOT / "page").rglob("*.py")]
    read = {
        name
        for path in sources
        for name in re.findall(r'environ(?:\.get\(|\[)"(NST_\w+)"', path.read_text())
    }
    assert {"NST_JOBS", "NST_METRICS", "NST_LOG"} <= read
    assert read <= set(VARIABLE.findall(README))


def test_every_metric_is_explained() -> None:
    assert len(metric_names()) >= 12
    for name in metric_names():
        assert name in GUIDE, name


def test_alerts_are_about_metrics_and_labels_that_there_are() -> None:
    (group,) = yaml.safe_load((ROOT / "deploy" / "alerts.yaml").read_text())["groups"]
    states = {state.value for state in State} | {HELD_UP}
    values = {"state": states, "reason": {*REASONS, *REFUSED.values()}, "phase": set(PHASES)}
    asked = set()
    for rule in group["rules"]:
        assert rule["annotations"]["summary"].endswith(".")
        names = re.findall(r"\bnst_\w+", rule["expr"])
        asked |= {re.sub("_(total|sum|count)$", "", name) for name in names}
        for label, wanted in re.findall(r'(\w+)=~?"([^"]+)"', rule["expr"]):
            assert set(wanted.split("|")) <= values[label]
    assert asked <= metric_names()
    assert {"nst_ready", "nst_queue_wait_seconds", "nst_phase_seconds"} <= asked


def test_the_gpu_file_only_adds() -> None:
    (page,) = composed("compose.cuda.yaml").values()
    assert page["build"] == {"target": "cuda"}
    (device,) = page["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
