"""Logging in and out."""

from __future__ import annotations

from typing import Any

from flask import g, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from headstart.serving.pages.base import begin_session, blueprint, people, person
from headstart.serving.people import MOST_CHARACTERS, Attempts
from headstart.serving.shared import serving

_HERE = {"", "127.0.0.1", "::1"}
"""Addresses of this machine; a Unix socket has none."""


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> Any:
    """Ask for name and password, and begin a session."""
    goal = _ours(request.values.get("next", ""))
    if request.method == "GET":
        return redirect(goal) if person() else _form(goal)
    name = request.form.get("name", "")[:MOST_CHARACTERS].strip()
    address = _address()
    attempts = Attempts(serving().settings.state)
    if seconds := attempts.begin(name, address):
        minutes = -(-seconds // 60)
        wait = f"Too many attempts. Try again in {minutes} minute{'s' if minutes > 1 else ''}."
        return _form(goal, name, wait), 429, {"Retry-After": str(seconds)}
    if not people().matches(name, request.form.get("password", "")):
        return _form(goal, name, "That name and password do not go together."), 403
    attempts.succeeded(name, address)
    g.fields = {"person": name}
    begin_session(name)
    return redirect(goal, 303)


@blueprint.post("/logout")
def logout() -> Response:
    """End the session."""
    session.clear()
    return redirect(url_for("pages.try_it"), 303)


def _address() -> str:
    """Return where somebody asks from; what a proxy on this machine says about it is believed."""
    address = request.remote_addr or ""
    forwarded = request.headers.get("X-Forwarded-For", "")
    return forwarded.rsplit(",", 1)[-1].strip() if forwarded and address in _HERE else address


def _form(goal: str, name: str = "", wrong: str = "") -> str:
    return render_template("login.html", next=goal, name=name, wrong=wrong, anybody=people().names())


def _ours(goal: str) -> str:
    """Return an address on this server to go on to: anything else would lead people astray."""
    fine = goal.startswith("/") and not goal.startswith(("//", "/\\")) and goal.isprintable()
    return goal if fine else url_for("pages.try_it")
