"""What all pages share: who is logged in, forms that only our pages may send, the look, errors."""

from __future__ import annotations

import hmac
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Flask,
    Response,
    g,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.blueprints import BlueprintSetupState
from flask.sessions import SecureCookieSessionInterface
from markupsafe import Markup
from werkzeug.exceptions import Forbidden, HTTPException
from werkzeug.wrappers import Response as AnyResponse

from headstart.errors import DecodeError, HeadstartError, OptionError
from headstart.files import digest_bytes
from headstart.modalities import modality
from headstart.pages import FOR_AND_AGAINST, style
from headstart.serving.pages.sounds import clock
from headstart.serving.people import People
from headstart.serving.shared import Serving, serving

_HERE = Path(__file__).parent
_HOURS = 12
"""After which somebody has to log in again."""
_OPEN = {"pages.try_it", "pages.card", "pages.report", "pages.login", "pages.look", "pages.static"}
_EDGE = ":root{--edge:#868b91}@media screen and (prefers-color-scheme:dark){:root{--edge:#747b86}}"
"""The line around what can be operated, which has to stand out more than a line between sections."""
_LOOK = f"{style()}\n{_EDGE}\n"
_VERSION = digest_bytes(_LOOK.encode() + b"".join(f.read_bytes() for f in sorted(_HERE.glob("static/*"))))[
    :10
]
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; frame-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_DOCUMENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "frame-ancestors 'self'; sandbox"
)

blueprint = Blueprint(
    "pages", __name__, template_folder="templates", static_folder="static", static_url_path="/static"
)


class _Sessions(SecureCookieSessionInterface):
    """Sessions in a signed cookie that is sent over TLS only, wherever it was made over TLS."""

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002
        return request.is_secure


@blueprint.record_once
def _join(state: BlueprintSetupState) -> None:
    app = cast(Flask, state.app)
    app.session_interface = _Sessions()
    app.config.update(
        SESSION_COOKIE_NAME="headstart",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        PERMANENT_SESSION_LIFETIME=_HOURS * 3600,
    )
    app.jinja_env.filters.update(
        percent=percent, moment=moment, iso=iso, clock=clock, noun=lambda name: modality(name).noun
    )
    found: Serving = app.extensions["headstart"]
    found.guests.append(lambda: person() is not None and _is_ours())


def people() -> People:
    """Return the people of this installation."""
    return People(serving().settings.state)


def person() -> str | None:
    """Return who is logged in, or None: a session ends with its time, its password, or its person."""
    if "person" not in g:
        name, mark, until = (session.get(key) for key in ("person", "mark", "until"))
        g.person = None
        if isinstance(name, str) and isinstance(mark, str) and isinstance(until, float):
            valid = time.time() < until and people().is_still(name, mark)
            g.person = name if valid else None
    found: str | None = g.person
    return found


def begin_session(name: str) -> None:
    """Begin a new session for somebody whose password was right."""
    session.clear()
    session.permanent = True
    session.update(
        person=name,
        mark=people().mark(name),
        until=time.time() + 3600.0 * _HOURS,
        csrf=secrets.token_urlsafe(24),
    )
    g.person = name


def csrf() -> Markup:
    """Return the hidden field that tells our own forms from others'."""
    token = session.setdefault("csrf", secrets.token_urlsafe(24))
    return Markup('<input type="hidden" name="csrf" value="{}">').format(token)


def _is_ours() -> bool:
    """Return whether a browser says that one of our own pages sent the request, or nothing says otherwise."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


@blueprint.before_request
def _let_in() -> AnyResponse | None:
    """Ask for a login where one is needed, and refuse forms that others' pages send."""
    changes = request.method not in {"GET", "HEAD", "OPTIONS"}
    if changes and not _is_ours():
        raise Forbidden("this form was sent from another site; open the page here and send it again")
    if changes and request.endpoint != "pages.try_it":
        token, given = session.get("csrf", ""), request.form.get("csrf", "")
        if not token or not hmac.compare_digest(token.encode(), given.encode()):
            raise Forbidden("this form is too old; go back, load the page again and send it once more")
    closed = request.endpoint not in _OPEN or (
        request.endpoint in {"pages.try_it", "pages.card", "pages.report"} and bool(serving().keys.names)
    )
    if closed and person() is None:
        asked = request.full_path.rstrip("?") if request.method == "GET" else request.path
        return redirect(url_for("pages.login", next=asked))
    return None


@blueprint.after_request
def _end(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    if request.endpoint in {"pages.static", "pages.look"} and request.args.get("v") == _VERSION:
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


@blueprint.context_processor
def _everywhere() -> dict[str, Any]:
    place = (request.endpoint or "").removeprefix("pages.").split("_")[0]
    here = {"try": "try_it", "card": "try_it"}.get(place, place)
    common = {"version": _VERSION, "person": person(), "csrf": csrf, "here": here}
    return {**common, "for_and_against": FOR_AND_AGAINST}


@blueprint.get("/static/look.css")
def look() -> Response:
    """Return the style sheet that all of headstart's pages have."""
    return Response(_LOOK, mimetype="text/css")


@blueprint.errorhandler(HTTPException)
def _http(error: HTTPException) -> tuple[str, int, dict[str, str]]:
    status = error.code or 500
    wait = getattr(error, "retry_after", None)
    headers = {} if wait is None else {"Retry-After": str(wait)}
    message = (
        (error.description or error.name) if status < 500 or status == 504 else "Something went wrong here."
    )
    return _told(error.name, message, status, headers)


@blueprint.errorhandler(HeadstartError)
def _ours(error: HeadstartError) -> tuple[str, int, dict[str, str]]:
    if not isinstance(error, DecodeError | OptionError):
        raise error
    return _told("That cannot be done", sentence(error), 422 if isinstance(error, DecodeError) else 400, {})


def _told(title: str, message: str, status: int, headers: dict[str, str]) -> tuple[str, int, dict[str, str]]:
    if request.headers.get("X-Part") == "answers":
        return render_template("answers.html", problem=message, answers=[]), status, headers
    return render_template("error.html", title=title, message=message), status, headers


Choice = tuple[str, str, list[tuple[str, str]], str]
"""What people choose to see: the field's name, its label, (value, title) of each, the chosen one."""


def model_choice(chosen: str) -> list[Choice]:
    """Return the choice between the served models; none where there is one."""
    names = serving().registry.names
    return [("model", "Model", [(name, name) for name in names], chosen)] if len(names) > 1 else []


def document(content: bytes | str) -> Response:
    """Return a whole page that headstart made, closed off: it may show itself and do nothing else."""
    response = Response(content, mimetype="text/html")
    response.headers["Content-Security-Policy"] = _DOCUMENT_POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


def sentence(error: HeadstartError) -> str:
    """Return an error as a person at a page reads it."""
    return f"Expected {error.expected}, received {error.received}. To fix: {error.fix}."


def percent(share: float) -> str:
    """Return a share as people read it; what is not quite certain is not called certain.

    Example:
        >>> percent(0.934), percent(0.99996), percent(0.0001), percent(1.0)
        ('93.4%', '> 99.9%', '< 0.1%', '100.0%')
    """
    if 0.9995 <= share < 1:
        return "> 99.9%"
    return "< 0.1%" if 0 < share < 0.0005 else f"{100 * share:.1f}%"


def iso(at: float) -> str:
    """Return a time, seconds since 1970, as machines read it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def moment(at: float) -> str:
    """Return a time, seconds since 1970, as people read it.

    Example:
        >>> moment(0)
        '1 Jan 1970, 00:00 UTC'
    """
    then = datetime.fromtimestamp(at, UTC)
    return f"{then.day} {then:%b %Y, %H:%M} UTC"
