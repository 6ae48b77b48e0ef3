"""The studio: forms drawn from what commands declare, the list of jobs, and what came of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask import Response, flash, g, redirect, render_template, request, send_from_directory, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from headstart.errors import OptionError
from headstart.modalities import modality
from headstart.serving.pages.base import blueprint, document, person, sentence
from headstart.serving.shared import serving
from headstart.studio import making  # noqa: F401 (registers its commands)
from headstart.studio.commands import Command, Input, commands, trained
from headstart.studio.commands import command as command_of
from headstart.studio.jobs import Job, JobStore

PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".webp"}
SOUNDS = {".wav", ".flac", ".ogg", ".mp3"}
_PATIENCE = 8.0
"""Seconds after which a job that waits while nothing runs means that there is no worker."""
_SHOWN = 60


def store() -> JobStore:
    """Return the queue of this installation."""
    return JobStore(serving().settings.state)


@blueprint.get("/studio")
def studio() -> str:
    """Show what can be made, and the jobs."""
    jobs = store().jobs(_SHOWN)
    shown = [{**vars(job), "picture": _first(job), "about": _about(job)} for job in jobs]
    part = request.headers.get("X-Part") == "jobs"
    return render_template(
        "jobs.html" if part else "studio.html",
        commands=commands(),
        titles={each.name: each.title for each in commands()},
        jobs=shown,
        idle=_idle(jobs),
    )


@blueprint.route("/studio/make/<name>", methods=["GET", "POST"])
def studio_command(name: str) -> Any:
    """Show a command's form, and put what it asks for into the queue."""
    try:
        command = command_of(name)
    except OptionError as error:
        raise NotFound("the studio has no such command") from error
    if request.method == "GET":
        return _form(command)
    try:
        job = _submit(command)
    except OptionError as error:
        return _form(command, sentence(error)), 400
    g.fields = {"person": person(), "job": job.id, "command": command.name}
    return redirect(url_for("pages.studio_job", job_id=job.id), 303)


@blueprint.get("/studio/jobs/<job_id>")
def studio_job(job_id: str) -> str:
    """Show a job: how far it is, or what came of it."""
    job = _job(job_id)
    results = job.results()
    command = {each.name: each for each in commands()}.get(job.command)
    part = request.headers.get("X-Part") == "jobs"
    return render_template(
        "job_progress.html" if part else "job.html",
        job=job,
        title=command.title if command else job.command,
        lead=_LEADS[job.status],
        pages=[file.name for file in results if file.suffix == ".html"],
        pictures=[file.name for file in results if file.suffix in PICTURES],
        sounds=[file.name for file in results if file.suffix in SOUNDS],
        files=[file.name for file in results],
        preview=_first(job),
        asked=_asked(job, command),
        idle=_idle(store().jobs(_SHOWN)),
    )


@blueprint.get("/studio/jobs/<job_id>/files/<name>")
def studio_file(job_id: str, name: str) -> Response:
    """Return a file that a job made: pages closed off, pictures and sounds as they are, else to be kept."""
    job = _job(job_id)
    known = {file.name: file for file in job.results()}
    if name not in known:
        raise NotFound("this job has no such file")
    if known[name].suffix == ".html":
        return document(known[name].read_bytes())
    inline = known[name].suffix in PICTURES | SOUNDS
    return send_from_directory(job.out.resolve(), name, as_attachment=not inline)


@blueprint.post("/studio/jobs/<job_id>/cancel")
def studio_cancel(job_id: str) -> AnyResponse:
    """Cancel a job."""
    if store().cancel(_job(job_id).id):
        g.fields = {"person": person(), "job": job_id, "cancelled": True}
    return redirect(url_for("pages.studio_job", job_id=job_id), 303)


@blueprint.post("/studio/jobs/<job_id>/remove")
def studio_remove(job_id: str) -> AnyResponse:
    """Forget a job and what came of it."""
    if store().remove(_job(job_id).id):
        g.fields = {"person": person(), "job": job_id, "removed": True}
        flash("The job and its files are gone.", "done")
    return redirect(url_for("pages.studio"), 303)


_LEADS = {
    "queued": "It waits for its turn.",
    "running": "It is being made.",
    "done": "It is done.",
    "failed": "It could not be done.",
    "cancelled": "It was cancelled.",
}


def _job(job_id: str) -> Job:
    try:
        return store().get(job_id)
    except OptionError as error:
        raise NotFound("there is no such job") from error


def _first(job: Job) -> str | None:
    return next((file.name for file in job.results() if file.suffix in PICTURES), None)


def _about(job: Job) -> str:
    """Return what a job is about in a few words: its first file, and how many more."""
    sent = job.folder.resolve()
    paths = [Path(path) for paths in job.inputs.values() for path in paths]
    files = [path.name for path in paths if path.is_relative_to(sent)]
    return "" if not files else files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"


def _idle(jobs: Sequence[Job]) -> bool:
    """Return whether a job waits although nothing else is being done."""
    waits = any(job.status == "queued" and job.created < time.time() - _PATIENCE for job in jobs)
    return waits and not any(job.status == "running" for job in jobs)


def _models(wanted: Input) -> dict[str, Path]:
    if wanted.kind == "trained":
        return trained(serving().settings.state, wanted.accepts[0])
    return {each.name: each.path for each in serving().registry if each.model.modality in wanted.accepts}


def _form(command: Command, problem: str = "") -> str:
    models = {each.name: _models(each) for each in command.inputs if each.kind != "files"}
    missing = ""
    for each in command.inputs:
        if each.kind == "model" and not models[each.name]:
            nouns = " or ".join(modality(name).noun for name in each.accepts)
            missing = f"This needs a model for {nouns}, and none is served here."
        if each.kind == "trained" and not models[each.name]:
            place = serving().settings.state / "studio"
            missing = (
                f"This needs a {each.title.lower()}, and none is here. Train one with "
                f"“headstart {command.name}-train”, and put its folder into {place}."
            )
    return render_template(
        "studio_command.html",
        command=command,
        models={name: list(found) for name, found in models.items()},
        missing=missing,
        problem=problem,
        form=request.form,
    )


def _submit(command: Command) -> Job:
    models: dict[str, Path] = {}
    files: dict[str, list[tuple[str, bytes]]] = {}
    for wanted in command.inputs:
        if wanted.kind != "files":
            known, name = _models(wanted), request.form.get(wanted.name, "")
            if name not in known:
                raise OptionError(f"one of {', '.join(known) or 'no models'}", repr(name[:40]), "choose one")
            models[wanted.name] = known[name]
        else:
            files[wanted.name] = _sent(wanted)
    return store().submit(command, models, files, command.read(request.form), person() or "")


def _sent(wanted: Input) -> list[tuple[str, bytes]]:
    """Return the files of one input; a text may also have been written into the form."""
    found = [(file.filename, file.read()) for file in request.files.getlist(wanted.name) if file.filename]
    text = request.form.get(f"text-{wanted.name}", "").strip()
    return [*found, ("text.txt", text.encode())] if text else found


def _asked(job: Job, command: Command | None) -> list[tuple[str, str]]:
    inputs = command.inputs if command else ()
    options = command.options if command else ()
    found = [("Asked by", job.person)]
    for each in inputs:
        names = [Path(path).name for path in job.inputs.get(each.name, [])]
        found.append((each.title, ", ".join(names[:10]) + (" …" if len(names) > 10 else "")))
    return [*found, *((each.title, str(job.options.get(each.name, ""))) for each in options)]
