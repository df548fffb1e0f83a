"""A loopback Hub that also has buckets and jobs.

A bucket's bytes are in the very storage that the client writes for tests of its own: a folder that
is named as the address of the storage (`local://…`). A job really runs: its command is a process on
this machine, for which its volumes are folders, filled before it begins and read again and again
while it runs. A machine of its own, with Docker and root, is not to be had here, so in the command
and the environment the places of volumes are replaced by these folders.

    with jobs_hub(tmp_path) as hub:
        token = hub.add_user("ada")
        hub.environment_of_jobs["PYTHONPATH"] = "…"      # what the image would have
        HfApi(endpoint=hub.url, token=token).run_job(…)
        hub.jobs["1"].stage, hub.jobs["1"].log
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from huggingface_hub import HfApi

from helpers.loopback_hub import (
    HubError,
    Json,
    LoopbackHub,
    Reply,
    Request,
    git_hash,
    json_reply,
    route,
)

BUCKET = r"/api/buckets/(?P<bucket>[^/]+/[^/]+)"
JOBS = r"/api/jobs/(?P<owner>[^/]+)"
CREATED = "2026-11-30T12:00:00.000Z"
SYNC_EVERY = 0.05  # seconds
HARDWARE = [
    ("cpu-basic", "CPU Basic", None, 0.000167),
    ("t4-small", "Nvidia T4 - small", "1", 0.0067),
    ("l4x4", "Nvidia 4x L4", "4", 0.0633),
]


@dataclass
class StoredFile:
    """A file of a bucket, by the hash under which the storage has it."""

    xet_hash: str
    size: int


@dataclass
class LoopbackBucket:
    private: bool
    files: dict[str, StoredFile] = field(default_factory=dict)


@dataclass
class LoopbackJob:
    """A job, and the process that runs it."""

    id: str
    spec: Json
    owner: str
    stage: str = "SCHEDULING"
    message: str | None = None
    attempts: int = 0
    log: str = ""
    process: subprocess.Popen[str] | None = None
    is_canceled: bool = False
    done: threading.Event = field(default_factory=threading.Event)

    def described(self) -> Json:
        spec = self.spec
        return {
            "id": self.id,
            "createdAt": CREATED,
            "dockerImage": spec.get("dockerImage"),
            "command": spec["command"],
            "arguments": spec["arguments"],
            "environment": spec["environment"],
            "secrets": list(spec.get("secrets", {})),
            "flavor": spec["flavor"],
            "labels": spec.get("labels", {}),
            "volumes": spec.get("volumes", []),
            "status": {"stage": self.stage, "message": self.message},
            "owner": {"id": git_hash(self.owner.encode())[:24], "name": self.owner, "type": "user"},
        }


class JobsHub(LoopbackHub):
    """The loopback Hub with buckets and jobs."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.buckets: dict[str, LoopbackBucket] = {}
        self.jobs: dict[str, LoopbackJob] = {}
        self.environment_of_jobs = dict[str, str]()
        self.runs_jobs = True  # otherwise they wait for a machine
        self._robot = self.add_user("robot")

    @property
    def storage(self) -> str:
        return f"local://{self.folder / 'storage'}"

    def read(self, bucket: str, path: str) -> bytes:
        """What is in a file of a bucket."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            place = Path(folder, "file")
            self._client.download_bucket_files(bucket, [(path, place)])
            return place.read_bytes()

    def begin(self, job: LoopbackJob) -> None:
        threading.Thread(target=self._run, args=(job,), daemon=True).start()

    def end_jobs(self) -> None:
        for job in self.jobs.values():
            self.cancel(job)
            if self.runs_jobs:
                job.done.wait(30)

    def cancel(self, job: LoopbackJob) -> None:
        job.is_canceled = True
        if job.process and job.process.poll() is None:
            os.killpg(job.process.pid, signal.SIGKILL)

    @property
    def _client(self) -> HfApi:
        return HfApi(endpoint=self.url, token=self._robot)

    def _run(self, job: LoopbackJob) -> None:
        try:
            attempts = int(job.spec.get("attempts", 1))
            while job.attempts < attempts and not job.is_canceled and job.stage != "COMPLETED":
                job.attempts += 1
                status = self._attempt(job)
                if status == 0:
                    job.stage = "COMPLETED"
            if job.stage != "COMPLETED":
                job.stage = "CANCELED" if job.is_canceled else "ERROR"
                job.message = None if job.is_canceled else f"Job failed with exit code: {status}"
        finally:
            job.done.set()

    def _attempt(self, job: LoopbackJob) -> int:
        """Run a job's command once; returns its exit status."""
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            mounts = {}
            for number, volume in enumerate(job.spec.get("volumes", [])):
                mounts[volume["mountPath"]] = Mount(
                    self, volume["source"], Path(place, str(number))
                )

            def here(text: str) -> str:
                for path, mount in mounts.items():
                    text = text.replace(f"{path}/", f"{mount.folder}/")
                    text = text.replace(f"{path} ", f"{mount.folder} ")
                return text

            variables = {
                "PATH": os.environ["PATH"],
                "HOME": place,
                "TMPDIR": place,
                "OMP_NUM_THREADS": "1",
                **job.spec["environment"],
                **job.spec.get("secrets", {}),
                **self.environment_of_jobs,
            }
            job.stage = "RUNNING"
            job.process = subprocess.Popen(
                [here(word) for word in job.spec["command"]],
                env=variables,
                cwd=place,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            reading = threading.Thread(target=self._keep_log, args=(job, job.process))
            reading.start()
            while job.process.poll() is None:
                for mount in mounts.values():
                    mount.save()
                time.sleep(SYNC_EVERY)
            reading.join()
            for mount in mounts.values():
                mount.save()
            return job.process.returncode

    def _keep_log(self, job: LoopbackJob, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        with process.stdout as lines:
            for line in lines:
                job.log += line


class Mount:
    """A bucket as a folder: filled at the start, its new files saved."""

    def __init__(self, hub: JobsHub, bucket: str, folder: Path) -> None:
        self._hub, self._bucket, self.folder = hub, bucket, folder
        folder.mkdir()
        files: list[Any] = [(path, folder / path) for path in hub.buckets[bucket].files]
        hub._client.download_bucket_files(bucket, files)
        self._known = self._state()

    def save(self) -> None:
        """Bring what is new to the bucket."""
        now = self._state()
        news = [path for path, state in now.items() if self._known.get(path) != state]
        if news:
            add: list[Any] = [
                (path.read_bytes(), str(path.relative_to(self.folder))) for path in news
            ]
            self._hub._client.batch_bucket_files(self._bucket, add=add)
        self._known = now

    def _state(self) -> dict[Path, tuple[int, int]]:
        found = [path for path in self.folder.rglob("*") if path.is_file()]
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def _hub(hub: LoopbackHub) -> JobsHub:
    return cast(JobsHub, hub)


def bucket_of(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> LoopbackBucket:
    """The bucket, for its owner and for the machines of jobs."""
    account = hub.account(request)
    bucket = _hub(hub).buckets.get(groups["bucket"])
    owner = groups["bucket"].split("/")[0]
    if bucket is None or account is None or account.user not in (owner, "robot"):
        raise HubError(404, "Bucket not found")
    return bucket


# --- Buckets ------------------------------------------------------------------------------------


@route("POST", BUCKET)
def create_bucket(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    account, name = hub.account(request), groups["bucket"]
    if account is None or not account.may_create(name.split("/")[0]):
        raise HubError(403, "No right to create a bucket here")
    if name in _hub(hub).buckets:
        return json_reply({"url": f"{hub.url}/buckets/{name}"}, 409)
    private = request.json().get("visibility") == "private"
    _hub(hub).buckets[name] = LoopbackBucket(private)
    return json_reply({"url": f"{hub.url}/buckets/{name}"})


@route("GET", BUCKET)
def bucket_info(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    bucket = bucket_of(hub, request, groups)
    sizes = [file.size for file in bucket.files.values()]
    return json_reply(
        {
            "id": groups["bucket"],
            "private": bucket.private,
            "createdAt": CREATED,
            "size": sum(sizes),
            "totalFiles": len(sizes),
        }
    )


@route("GET", BUCKET + r"/xet-(?:read|write)-token")
def xet_token(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    bucket_of(hub, request, groups)
    url, until = _hub(hub).storage, int(time.time()) + 3600
    return json_reply({"casUrl": url, "accessToken": "storage", "exp": until})


@route("POST", BUCKET + "/batch")
def change_bucket(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    bucket = bucket_of(hub, request, groups)
    for operation in map(json.loads, request.body.splitlines()):
        if operation["type"] == "deleteFile":
            bucket.files.pop(operation["path"], None)
        else:
            xet_hash = operation["xetHash"]
            bucket.files[operation["path"]] = StoredFile(xet_hash, _size(_hub(hub), xet_hash))
    return json_reply({"failed": []})


def _size(hub: JobsHub, xet_hash: str) -> int:
    """How long a file in the storage is: the client does not say."""
    from hf_xet import XetFileInfo, XetSession

    with tempfile.TemporaryDirectory(dir=hub.folder) as folder:
        place = Path(folder, "file")
        with XetSession().new_file_download_group(endpoint=hub.storage) as group:
            group.start_download_file(XetFileInfo(xet_hash, None), str(place))
        return place.stat().st_size


@route("POST", BUCKET + "/paths-info")
def bucket_paths(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    files = bucket_of(hub, request, groups).files
    return json_reply(
        [
            {
                "type": "file",
                "path": path,
                "size": files[path].size,
                "xetHash": files[path].xet_hash,
                "mtime": CREATED,
            }
            for path in request.json()["paths"]
            if path in files
        ]
    )


@route("GET", r"/buckets/(?P<bucket>[^/]+/[^/]+)/resolve/(?P<path>.+)")
def bucket_file(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    """Where the client asks for the storage of a file; the bytes do not come from here."""
    file = bucket_of(hub, request, groups).files[groups["path"]]
    refresh = f"{hub.url}/api/buckets/{groups['bucket']}/xet-read-token"
    named = {"X-Xet-Hash": file.xet_hash, "X-Xet-Refresh-Route": refresh}
    return Reply(200, b"", {**named, "X-Linked-Size": str(file.size)})


# --- Jobs ---------------------------------------------------------------------------------------


@route("GET", "/api/jobs/hardware")
def jobs_hardware(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    def accelerator(quantity: str | None) -> Json:
        named = {"type": "gpu", "model": "T4", "vram": "16 GB", "manufacturer": "Nvidia"}
        return {**named, "quantity": quantity} if quantity else None

    return json_reply(
        [
            {
                "name": name,
                "prettyName": title,
                "cpu": "2 vCPU",
                "ram": "16 GB",
                "accelerator": accelerator(quantity),
                "unitCostMicroUSD": round(dollars * 1e6),
                "unitCostUSD": dollars,
                "unitLabel": "minute",
            }
            for name, title, quantity, dollars in HARDWARE
        ]
    )


@route("POST", JOBS)
def run_job(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    _check_owner(hub, request, groups)
    jobs = _hub(hub).jobs
    job = jobs[str(len(jobs) + 1)] = LoopbackJob(
        str(len(jobs) + 1), request.json(), groups["owner"]
    )
    described = job.described()
    if _hub(hub).runs_jobs:
        _hub(hub).begin(job)
    return json_reply(described)


@route("GET", JOBS)
def list_jobs(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    _check_owner(hub, request, groups)
    stages = request.query.get("stage", [])
    wanted = [tuple(label.split("=", 1)) for label in request.query.get("label", [])]
    return json_reply(
        [
            job.described()
            for job in _hub(hub).jobs.values()
            if job.stage in stages and set(wanted) <= set(job.spec["labels"].items())
        ]
    )


@route("GET", JOBS + r"/(?P<id>\d+)")
def inspect_job(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> Reply:
    _check_owner(hub, request, groups)
    return json_reply(_hub(hub).jobs[groups["id"]].described())


def _check_owner(hub: LoopbackHub, request: Request, groups: dict[str, str]) -> None:
    account = hub.account(request)
    if account is None:
        raise HubError(401, "Invalid username or password.")
    if account.user != groups["owner"]:
        raise HubError(403, "Authorization error.")


@contextlib.contextmanager
def jobs_hub(folder: Path) -> Iterator[JobsHub]:
    """A Hub with buckets and jobs, whose jobs end with the block."""
    hub = JobsHub(folder)
    (folder / "storage").mkdir(parents=True)
    hub.start()
    try:
        yield hub
    finally:
        hub.end_jobs()
        hub.stop()
    if hub.errors:
        raise RuntimeError(f"the Hub itself failed:\n{hub.errors[0]}")
