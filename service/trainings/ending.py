"""What has become of a job that ran."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from configs.home import Home
from service.engines.adapters import active_version
from service.storage.database import now
from service.trainings import curve, process
from service.trainings.process import Identity
from service.trainings.terms import Job


def identity(job: Job) -> Identity:
    """The process of a job's last attempt."""
    return Identity(job.pid or 0, job.pid_began or "")


def ended(home: Home, folder: Path, job: Job) -> dict[str, Any]:
    """The fields of a job that have changed while its process ran or since it ended; empty where none has.

    Args:
        home: The state folder.
        folder: The job's.
        job: As the database has it: running.
    """
    code = process.ended(folder)
    if code is None:
        if identity(job).alive:
            run = None if job.run else curve.newest_run(home.runs, job.brand, job.attempt_at.timestamp())
            return {"run": run.name} if run and job.step == "train" else {}
        # It may have ended between the two looks.
        code = process.ended(folder)
    over = {"ended_at": now()}
    if code is None:
        return over | {"state": "interrupted", "error": None}
    if code:
        return over | {"state": "failed", "error": curve.complaint(folder / process.LOG) or f"exit code {code}"}
    if job.step == "gate":
        return over | {"state": "done"}
    said = process.result(folder) or {}
    version, run_folder = said.get("version"), said.get("run")
    # A version that speaks already has nothing to show.
    wants = version is not None and job.chosen.gate and active_version(home, job.brand) != version
    made = {"version": version, "run": Path(run_folder).name if run_folder else job.run}
    return over | made | {"state": "trained" if wants else "done"}
