"""The output folder: nothing is overwritten that a batch did not write, and a process that ends at
any moment leaves a folder that the next one understands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.batches import QUICK, planned, records
from helpers.places import ROOT
from nst.batch.inputs import InputFile
from nst.batch.manifest import Manifest
from nst.batch.messages import Painted
from nst.batch.output_folder import OccupiedError, OutputFolder
from nst.batch.plan import Item, Manner
from nst.errors import OutputError

MANNER = Manner(QUICK)


def item(key: str = "k1", output: str = "a--x.png", number: int = 0) -> Item:
    return Item(number, InputFile(Path("a"), "1"), InputFile(Path("x"), "2"), output, key)


def painted(data: bytes = b"a picture") -> Painted:
    return Painted(0, data, 64, 48, 2, {"J": 1.0, "content": 0.5, "style": 0.5}, 1.25)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_a_picture_is_written_with_its_line(out: Path) -> None:
    with OutputFolder(out, []) as folder:
        assert not folder.holds(item())
        folder.store(item(), painted(), MANNER)
        assert folder.holds(item())
    assert sorted(os.listdir(out)) == ["a--x.png", "manifest.jsonl"]
    (record,) = records(out)
    assert record["photo"] == {"path": "a", "sha256": "1"}
    assert record["settings"] == QUICK.to_json()
    assert record["costs"] == {"J": 1.0, "content": 0.5, "style": 0.5}
    assert (record["seconds"], record["width"], record["iterations"]) == (1.25, 64, 2)
    with OutputFolder(out, []) as again:
        assert again.holds(item())
        assert not again.holds(item("k2"))
        again.store(item("k2"), painted(b"another"), MANNER)  # its own file may be replaced
        assert again.holds(item("k2"))
        assert not again.holds(item())
    assert (out / "a--x.png").read_bytes() == b"another"


def test_a_file_that_no_batch_has_written_is_left_alone(out: Path) -> None:
    out.mkdir()
    (out / "a--x.png").write_bytes(b"mine")
    (out / "b--x.png").mkdir()
    (out / "c--x.png").symlink_to("nowhere")
    with OutputFolder(out, []) as folder:
        for name in ("a--x.png", "b--x.png", "c--x.png"):
            with pytest.raises(OccupiedError, match="no batch has written"):
                folder.holds(item(output=name))
            with pytest.raises(OccupiedError, match="no batch has written"):
                folder.store(item(output=name), painted(), MANNER)
    assert (out / "a--x.png").read_bytes() == b"mine"
    assert os.readlink(out / "c--x.png") == "nowhere"


def test_a_file_that_was_changed_since_is_left_alone(out: Path) -> None:
    with OutputFolder(out, []) as folder:
        folder.store(item(), painted(), MANNER)
    (out / "a--x.png").write_bytes(b"retouched")
    with OutputFolder(out, []) as folder, pytest.raises(OccupiedError, match="changed since"):
        folder.holds(item("k2"))
    assert (out / "a--x.png").read_bytes() == b"retouched"


def test_a_picture_under_another_name_is_copied(out: Path) -> None:
    with OutputFolder(out, []) as folder:
        folder.store(item(), painted(), MANNER)
        assert folder.holds(item(output="b--x.png"))
    assert (out / "b--x.png").read_bytes() == (out / "a--x.png").read_bytes() == b"a picture"
    assert [record["output"] for record in records(out)] == ["a--x.png", "b--x.png"]
    os.remove(out / "b--x.png")
    (out / "a--x.png").write_bytes(b"retouched")
    with OutputFolder(out, []) as folder:
        assert not folder.holds(item(output="b--x.png"))  # nothing is left to copy


CRASH = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {root!r}]
from batch.test_output_folder import MANNER, item, painted
from nst.batch.output_folder import OutputFolder

left = int(sys.argv[2])
call = os.{name}

def counted(*arguments):
    global left
    left -= 1
    if left == 0:
        if {name!r} == "write":
            call(arguments[0], arguments[1][:len(arguments[1]) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return call(*arguments)

with OutputFolder(Path(sys.argv[1]), []) as folder:
    os.{name} = counted
    folder.store(item(), painted(), MANNER)
    folder.store(item("k2", "b--x.png"), painted(b"second"), MANNER)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "calls"), [("fsync", n) for n in range(1, 8)] + [("write", n) for n in range(1, 6)]
)
def test_killed_at_any_moment(out: Path, name: str, calls: int) -> None:
    """A picture has three fsync and two writes to the manifest; a write is cut off half-way."""
    code = CRASH.format(name=name, tests=str(ROOT / "tests"), root=str(ROOT))
    ended = subprocess.run([sys.executable, "-c", code, out, str(calls)], check=False)
    most = {"fsync": 6, "write": 4}[name]
    assert ended.returncode == (-9 if calls <= most else 0)
    with OutputFolder(out, []) as folder:
        one, two = item(), item("k2", "b--x.png")
        are_there = [folder.holds(one), folder.holds(two)]
        whole = [(out / each.output).exists() for each in (one, two)]
        assert are_there == whole  # what is there is known, and nothing else is
        assert are_there == sorted(are_there, reverse=True)
        per_picture = most // 2
        assert sum(are_there) >= (calls - 1) // per_picture
        for each, data in ((one, b"a picture"), (two, b"second")):
            if not folder.holds(each):
                folder.store(each, painted(data), MANNER)
    assert (out / "a--x.png").read_bytes() == b"a picture"
    assert (out / "b--x.png").read_bytes() == b"second"


@pytest.mark.parametrize(
    "torn", [b"", b"{", b'{"status": "done", "outp', b'{"status": "done"}\n', b"[1]\n\xff\n"]
)
def test_lines_that_are_damaged_are_passed_over(out: Path, torn: bytes) -> None:
    with OutputFolder(out, []) as folder:
        folder.store(item(), painted(), MANNER)
    with (out / "manifest.jsonl").open("ab") as file:
        file.write(torn)
    with OutputFolder(out, []) as folder:
        assert folder.holds(item())
        folder.store(item("k2", "b--x.png"), painted(b"second"), MANNER)
    with OutputFolder(out, []) as folder:
        assert folder.holds(item("k2", "b--x.png"))


@pytest.mark.parametrize("header", [b"", b'{"nst_b', b'{"nst_batch": 1}'])
def test_a_header_that_was_cut_off_is_completed(out: Path, header: bytes) -> None:
    out.mkdir()
    (out / "manifest.jsonl").write_bytes(header)
    with OutputFolder(out, []) as folder:
        folder.store(item(), painted(), MANNER)
    with OutputFolder(out, []) as folder:
        assert folder.holds(item())
    assert (out / "manifest.jsonl").read_bytes().startswith(b'{"nst_batch": 1}\n{"output"')


def test_names_that_are_no_utf_8_survive(out: Path) -> None:
    odd = InputFile(Path(os.fsdecode(b"\xff.png")), "1")
    with OutputFolder(out, []) as folder:
        folder.store(Item(0, odd, odd, "_--_.png", "k1"), painted(), MANNER)
    (record,) = records(out)
    assert os.fsencode(record["photo"]["path"]) == b"\xff.png"


def test_two_batches_do_not_share_a_folder(out: Path) -> None:
    with OutputFolder(out, []), pytest.raises(OutputError, match="another batch is writing to"):
        OutputFolder(out, [])
    with OutputFolder(out, []) as folder:
        assert not folder.holds(item())


def test_a_manifest_of_somebody_else_is_left_alone(out: Path) -> None:
    out.mkdir()
    (out / "manifest.jsonl").write_text('{"mine": true}\n')
    with pytest.raises(OutputError, match="was not written by a batch"):
        OutputFolder(out, [])
    assert (out / "manifest.jsonl").read_text() == '{"mine": true}\n'


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path, out: Path) -> None:
    (tmp_path / "file").touch()
    for path, sentence in [
        (tmp_path / "file", "cannot be made: File exists"),
        (tmp_path / "no" / "out", "cannot be made: No such file"),
        (tmp_path, "is one of the inputs"),
    ]:
        with pytest.raises(OutputError, match=sentence):
            OutputFolder(path, [str(tmp_path), "nowhere"])
    assert sorted(os.listdir(tmp_path)) == ["file"]


def test_a_full_disk_is_one_sentence(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is finished stays, and the picture that had no room is not there."""
    resource = pytest.importorskip("resource")
    with OutputFolder(out, []) as folder:
        folder.store(item(), painted(), MANNER)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        try:
            with pytest.raises(OutputError, match=r"b--x\.png' cannot be written: File too large"):
                folder.store(item("k2", "b--x.png"), painted(bytes(30_000)), MANNER)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with OutputFolder(out, []) as folder:
        assert folder.holds(item())
        assert not folder.holds(item("k2", "b--x.png"))
    assert sorted(os.listdir(out)) == ["a--x.png", "manifest.jsonl"]


def test_a_manifest_without_locks_is_used_all_the_same(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network file systems have none."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    out.mkdir()
    with Manifest(out) as manifest:
        assert manifest.written("a--x.png", "1") is None


def test_planned_items_have_keys_of_their_own(folder: Path) -> None:
    items, _ = planned([folder / "photo.png", folder / "painting.png"], [folder / "painting.png"])
    assert [each.output for each in items] == ["photo--painting.png", "painting--painting.png"]
    assert len({each.key for each in items}) == 2
