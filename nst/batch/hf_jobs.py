"""Paint a batch by jobs on the Hugging Face Hub: `--hf-jobs FLAVOR`.

The photos, the paintings and the code are uploaded to a private bucket, which is a folder in each
job; finished pictures come back the same way. A job has no token and needs none. What is said to
run, or to be there, is read from the Hub each time, so nothing is lost with this process.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import huggingface_hub
from huggingface_hub import HfApi, JobInfo, Volume

from nst.batch.bucket import Bucket
from nst.batch.code_archive import code_archive
from nst.batch.inputs import InputFile
from nst.batch.messages import Failed
from nst.batch.plan import Item
from nst.batch.runner import Runner
from nst.batch.shard import painted_from
from nst.batch.shard_plan import (
    ShardPlan,
    clip_ending,
    content_name,
    failure_path,
    input_path,
    output_path,
    plan_path,
    record_path,
    shards,
)
from nst.console import StopRequest
from nst.errors import HubError, ImageError, MissingPackageError, SettingsError, UserError
from nst.web.hub_client import call_hub, can_write

NEEDED = (2, 4)  # of huggingface_hub, for jobs with labels, attempts and buckets
OLD = "Jobs on the Hugging Face Hub need a newer package: pip install -U 'huggingface_hub>=2.4'."
BUCKET = "nst-batches"  # of the account, where none is named
MOUNT = "/nst"  # where the bucket is in a job
VARIABLES = ("NST_WEIGHTS_REPO", "NST_CUDA")  # that a job is given, where they are set here
ATTEMPTS = 3  # of a job whose machine fails
LABEL = {"nst": "batch"}
ALIVE = ("SCHEDULING", "RUNNING")  # stages that are asked for; others that may come are no end:
ENDED = ("COMPLETED", "CANCELED", "ERROR", "DELETED")
POLL = 10.0  # seconds between two looks at the Hub, which counts requests
TICK = 0.2  # seconds between two looks at signals
SETTLING = 6  # looks after the last job's end, until what it wrote must be there
MOST_FAILED_LOOKS = 30  # in a row
CULPRITS = ("", "photo", "painting")  # of a failure that is about some pictures
PER_HOUR = {"second": 3600.0, "minute": 60.0, "hour": 1.0}
UNASKED = "renting machines costs money, and nobody can be asked here; agree with --yes"
DECLINED = "nothing was uploaded, and no machine rented"
SIGNED_OUT = "Renting machines needs a sign-in: run 'hf auth login', or set HF_TOKEN."


@dataclass(frozen=True)
class Rental:
    """What is rented: how many machines of which kind, for how long at most."""

    flavor: str
    count: int = 1  # jobs
    hours: float = 2.0  # that each may run
    bucket: str = ""  # owner/name; empty for the account's own
    image: str = ""  # with Python; empty for the version that runs here
    device: str = "auto"

    @property
    def python_image(self) -> str:
        """Return the Docker image of a job."""
        major, minor = sys.version_info[:2]
        return self.image or f"python:{major}.{minor}-slim"


@dataclass(frozen=True)
class Machine:
    """A kind of machine that can be rented, and what an hour of it costs in dollars."""

    name: str
    title: str
    gpus: int
    dollars: float  # an hour

    def offer(self, n_pictures: int, n_jobs: int, hours: float) -> str:
        """Return what painting costs, as a sentence."""
        most = math.ceil(round(self.dollars * n_jobs * hours * ATTEMPTS * 100, 6)) / 100
        pictures = "1 picture" if n_pictures == 1 else f"{n_pictures} pictures"
        jobs = "1 job" if n_jobs == 1 else f"{n_jobs} jobs"
        return (
            f"{pictures} by {jobs} on {self.name} ({self.title}), each ${self.dollars:.2f} an hour"
            f" while it runs: at most ${most:.2f}, for {hours:g} h each and {ATTEMPTS} attempts"
        )


def open_hub() -> HfApi:
    """Return the Hub for the account that is signed in here.

    Raises `HubError` where none is, and `MissingPackageError` where the client is too old.
    """
    version = tuple(map(int, huggingface_hub.__version__.split(".")[:2]))
    if version < NEEDED:
        raise MissingPackageError(OLD)
    api = HfApi()
    if not can_write(api):
        raise HubError(SIGNED_OUT)
    return api


@dataclass
class _Job:
    """A job as it was seen last, and the keys of what it paints."""

    info: JobInfo
    keys: frozenset[str]

    @property
    def is_alive(self) -> bool:
        return self.info.status.stage not in ENDED


@dataclass
class RentedBatch:
    """The part of a batch that is painted on rented machines.

    Args:
        runner: has what is missing, and takes what is painted.
        api: of an account that may run jobs.
        rental: what is rented.
        agree: tells whether to go on, now that the price is known; raises `UserError` where nobody
            can be asked.
    """

    runner: Runner
    api: HfApi
    rental: Rental
    agree: Callable[[], bool]
    _missing: dict[str, Item] = field(default_factory=dict)  # by key
    _jobs: dict[str, _Job] = field(default_factory=dict)  # by id

    def run(self, stop: StopRequest) -> None:
        """Paint what is missing, or wait for those who do, until a stop is requested.

        The jobs go on after a stop, and after an error; then it is said which. Raises `UserError`.
        """
        self._bucket = Bucket(self.api, self.rental.bucket or self._own_bucket())
        self._missing = {item.key: item for item in self.runner.claim()}
        try:
            self._paint_missing(stop)
        finally:
            if self._missing:
                self._say_what_goes_on()

    def _paint_missing(self, stop: StopRequest) -> None:
        if self._bucket.exists():
            self._fetch_painted()
            self._join()
        covered = frozenset[str]().union(*(job.keys for job in self._jobs.values()))
        left = [item for key, item in self._missing.items() if key not in covered]
        left = self._without_bad_clips(left)
        if left:
            self._rent(left, stop)
        stop.defer()
        self._wait(stop)

    def _own_bucket(self) -> str:
        return f"{call_hub('this account', self.api.whoami)['name']}/{BUCKET}"

    # What there is already.

    def _join(self) -> None:
        """Find the jobs that run and paint what is missing here, whoever began them."""
        running = call_hub(self._bucket.name, self._running_jobs)
        by_plan = defaultdict[str, list[JobInfo]](list)
        for job in running:
            by_plan[plan_path((job.labels or {}).get("plan", ""))].append(job)

        def use(path: str, data: bytes) -> None:
            keys = _keys_of(data)
            if keys & self._missing.keys():
                for job in by_plan[path]:
                    self._note(_Job(job, keys))

        self._bucket.read(list(by_plan), use)

    def _running_jobs(self) -> list[JobInfo]:
        jobs = self.api.list_jobs(status=list(ALIVE), labels=LABEL, namespace=self._bucket.owner)
        return [job for job in jobs if _uses(job, self._bucket.name)]

    # What is rented.

    def _without_bad_clips(self, items: Sequence[Item]) -> list[Item]:
        """Fail the clips that cannot become films, and return the others with all photos."""
        if not any(item.is_film for item in items):
            return list(items)
        from nst.batch.films import damage_of  # which loads torch

        for item in items:
            if item.is_film and (failed := damage_of(item, self.runner.manner)):
                self.runner.settle(item, failed)
                del self._missing[item.key]
        return [item for item in items if item.key in self._missing]

    def _rent(self, items: Sequence[Item], stop: StopRequest) -> None:
        """Ask, upload what is not there, and start a job for each shard."""
        machine = self._machine()
        plans = [
            ShardPlan.of(part, self.runner.manner) for part in shards(items, self.rental.count)
        ]
        offer = machine.offer(len(items), len(plans), self.rental.hours)
        price = {"flavor": machine.name, "dollars_an_hour": machine.dollars}
        self.runner.report.note("offer", offer, **price, jobs=len(plans), pictures=len(items))
        if not self.agree():
            raise UserError(DECLINED)
        self._bucket.create()
        archive = code_archive()
        code = f"code/{content_name(archive)}.zip"
        self._upload(items, {code: archive} | {plan_path(p.name): p.to_bytes() for p in plans})
        self._delete_unusable(items)
        stop.defer()
        for plan in plans:
            if not stop.is_made and plan.keys & self._missing.keys():
                self._note(_Job(self._started(plan, code, machine), plan.keys))

    def _delete_unusable(self, items: Iterable[Item]) -> None:
        """Delete what the bucket has of items, but for those that were painted meanwhile."""
        self._fetch_painted()
        self._bucket.delete(
            path
            for item in items
            if item.key in self._missing
            for path in (
                failure_path(item.key),
                record_path(item.key),
                output_path(item, self.runner.manner.format),
            )
        )

    def _machine(self) -> Machine:
        """Return the kind of machine that was asked for. Raises `SettingsError`."""
        offered = call_hub("jobs", self.api.list_jobs_hardware)
        by_name = {each.name: each for each in offered}
        found = by_name.get(self.rental.flavor)
        if found is None:
            raise SettingsError(
                f"--hf-jobs must be one of {', '.join(by_name)}, not {self.rental.flavor!r}"
            )
        gpus = int(found.accelerator.quantity) if found.accelerator else 0
        devices = ("auto", "cpu", "cuda") if gpus else ("auto", "cpu")
        if self.rental.device not in devices:
            raise SettingsError(
                f"--device on {found.name} must be one of {', '.join(devices)}, not"
                f" {self.rental.device!r}"
            )
        if gpus > 1:
            raise SettingsError(
                f"{found.name} has {gpus} GPUs, and a job paints on one; choose a machine with one,"
                f" and --jobs {gpus}"
            )
        if found.unit_label not in PER_HOUR:
            raise HubError(f"The price of {found.name} on the Hub is not understood.")
        dollars = found.unit_cost_usd * PER_HOUR[found.unit_label]
        return Machine(found.name, found.pretty_name, gpus, dollars)

    def _upload(self, items: Iterable[Item], files: Mapping[str, bytes]) -> None:
        """Upload files, and the inputs of items, unless they are there.

        Raises `ImageError` for an input that has no longer the bytes that its name says.
        """
        controls = self.runner.manner.controls
        wanted: dict[str, InputFile | bytes] = dict(files)
        for name, sha256 in controls.hashes().items():
            wanted[input_path(sha256)] = getattr(controls, name)
        for item in items:
            wanted[input_path(item.photo.sha256, clip_ending(item))] = item.photo
            wanted[input_path(item.painting.sha256)] = item.painting
        there = self._bucket.sizes(wanted)
        sizes = {path: _size(data) for path, data in wanted.items()}
        news = {path: wanted[path] for path, size in sizes.items() if there.get(path) != size}
        size = sum(sizes[path] for path in news)
        files_text = "1 file" if len(news) == 1 else f"{len(news)} files"
        line = f"uploading {files_text} ({size / 1e6:.1f} MB) to {self._bucket.address}"
        self.runner.report.note("uploading", line, files=len(news), bytes=size)
        self._bucket.write({path: partial(_content, data) for path, data in news.items()})

    def _started(self, plan: ShardPlan, code: str, machine: Machine) -> JobInfo:
        """Start the job of a plan, and find it where only the Hub's answer was lost.

        Raises `HubError`.
        """
        try:
            return call_hub(self._bucket.name, partial(self._start, plan, code, machine))
        except HubError as error:
            with contextlib.suppress(HubError):
                for job in call_hub(self._bucket.name, self._running_jobs):
                    if (job.labels or {}).get("plan") == plan.name and job.id not in self._jobs:
                        return job
            raise error

    def _start(self, plan: ShardPlan, code: str, machine: Machine) -> JobInfo:
        device = self.rental.device
        if device == "auto":  # a GPU whose driver is missing must not be paid for as a slow CPU
            device = "cuda" if machine.gpus else "cpu"
        return self.api.run_job(
            image=self.rental.python_image,
            command=["sh", "-c", script(code, plan.name, device)],
            env={name: os.environ[name] for name in VARIABLES if os.environ.get(name)},
            flavor=machine.name,
            timeout=round(self.rental.hours * 3600),
            attempts=ATTEMPTS,
            name=f"nst-batch-{plan.name[:8]}",
            labels={**LABEL, "plan": plan.name, "bucket": _label_of(self._bucket.name)},
            volumes=[Volume(type="bucket", source=self._bucket.name, mount_path=MOUNT)],
            namespace=self._bucket.owner,
        )

    # What comes back.

    def _wait(self, stop: StopRequest) -> None:
        """Fetch what is painted until all is there, nobody paints any more, or a stop."""
        idle_looks = failed_looks = 0
        while self._missing and not stop.is_made:
            try:
                self._look_at_jobs()
                self._fetch_painted()
                self._fetch_failures()
            except HubError:
                failed_looks += 1
                if failed_looks == MOST_FAILED_LOOKS:
                    raise
            else:
                failed_looks = 0
                is_idle = not any(job.is_alive for job in self._jobs.values())
                idle_looks = idle_looks + 1 if is_idle else 0
            if idle_looks > SETTLING:
                self._give_up()
                return
            self._pause(stop)

    def _pause(self, stop: StopRequest) -> None:
        until = time.monotonic() + POLL
        while self._missing and not stop.is_made and time.monotonic() < until:
            time.sleep(min(TICK, POLL))
            self.runner.report.tick()

    def _look_at_jobs(self) -> None:
        """Say what has become of the jobs: one request for those that go on, however many."""
        waited = [job for job in self._jobs.values() if job.is_alive]
        if not waited:
            return
        running = {job.id: job for job in call_hub(self._bucket.name, self._running_jobs)}
        for job in waited:
            now = running.get(job.info.id) or call_hub(
                self._bucket.name,
                partial(self.api.inspect_job, job_id=job.info.id, namespace=self._bucket.owner),
            )
            if now.status.stage != job.info.status.stage:
                self._note(_Job(now, job.keys))

    def _fetch_painted(self) -> None:
        """Write what is painted of all that is missing."""
        records = dict[str, bytes]()
        format = self.runner.manner.format
        self._bucket.read(map(record_path, self._missing), records.__setitem__)
        items = {
            output_path(item, format): item
            for item in self._missing.values()
            if record_path(item.key) in records
        }

        def use(path: str, data: bytes) -> None:
            item = items[path]
            painted = painted_from(item.number, records[record_path(item.key)], data)
            if painted:
                self.runner.settle(item, painted)
                del self._missing[item.key]

        self._bucket.read(list(items), use)

    def _fetch_failures(self) -> None:
        """Note what cannot be painted of all that is missing."""
        items = {failure_path(key): item for key, item in self._missing.items()}

        def use(path: str, data: bytes) -> None:
            item = items[path]
            failed = failed_from(item.number, data)
            if failed:
                self.runner.settle(item, failed)
                del self._missing[item.key]

        self._bucket.read(list(items), use)

    def _give_up(self) -> None:
        """Fail what the jobs have not painted, with a sentence for each job."""
        for job in self._jobs.values():
            items = [self._missing.pop(key) for key in sorted(job.keys) if key in self._missing]
            if items:
                message = job.info.status.message
                because = f" ({message.splitlines()[0]})" if message else ""
                count = "this picture" if len(items) == 1 else f"{len(items)} pictures"
                self.runner.abandon(
                    items,
                    f"The job ended as {job.info.status.stage}{because} before {count} of it"
                    f" {'was' if len(items) == 1 else 'were'} painted; its log: {job.info.url}",
                )

    def _note(self, job: _Job) -> None:
        """Keep a job as it is now, and say so."""
        info = job.info
        self._jobs[info.id] = job
        line = f"job {info.id}: {str(info.status.stage).lower()}  {info.url}"
        self.runner.report.note("job", line, id=info.id, stage=info.status.stage, url=info.url)

    def _say_what_goes_on(self) -> None:
        ids = [job.info.id for job in self._jobs.values() if job.is_alive]
        if ids:
            line = (
                f"jobs that go on: {', '.join(ids)}; the same command joins them, and `hf jobs"
                f" cancel ID` ends one"
            )
            self.runner.report.note("left", line, jobs=ids)


def script(code: str, plan: str, device: str) -> str:
    """Return what a job does, for a shell: it unpacks the code, installs what it needs, paints."""
    pip = "python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore"
    return (
        f"code=$(mktemp -d) && python -m zipfile -e {MOUNT}/{code} $code"
        f" && {pip} -r $code/requirements.txt"
        f" && cd $code && exec python -m nst.batch.shard {MOUNT} {plan} {device}"
    )


def failed_from(number: int, data: bytes) -> Failed | None:
    """Return what a shared folder says of a failure; None while it is being written."""
    try:
        values = json.loads(data)
        reason, culprit = str(values["reason"]), values["culprit"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return Failed(number, reason, culprit) if culprit in CULPRITS else None


def _keys_of(plan: bytes) -> frozenset[str]:
    """Return what a plan paints; nothing where another version has written it."""
    try:
        return ShardPlan.from_bytes(plan).keys
    except (ValueError, TypeError, KeyError):
        return frozenset()


def _uses(job: JobInfo, bucket: str) -> bool:
    """Tell whether a job paints into a bucket: its label says so, or its volumes."""
    is_labelled = (job.labels or {}).get("bucket") == _label_of(bucket)
    return is_labelled or any(volume.source == bucket for volume in job.volumes or ())


def _label_of(bucket: str) -> str:
    """Return a bucket's name as the value of a label, in which not every sign is allowed."""
    return content_name(bucket.encode())


def _size(data: InputFile | bytes) -> int:
    """Return the bytes of a file. Raises `ImageError` where it is gone."""
    if isinstance(data, bytes):
        return len(data)
    try:
        return data.path.stat().st_size
    except OSError as error:
        raise ImageError(f"{data.path}: it cannot be read: {error.strerror or error}") from None


def _content(data: InputFile | bytes) -> Path | bytes:
    """Return what is uploaded: bytes, or the path of a clip. Raises `ImageError`."""
    if isinstance(data, bytes):
        return data
    try:
        return data.checked_path() if data.is_clip else data.read()
    except ImageError as error:
        raise ImageError(f"{data.path}: {error}") from None
