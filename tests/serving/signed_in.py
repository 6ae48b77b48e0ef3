"""A person at the pages, without a browser."""

from __future__ import annotations

import re

from flask.testing import FlaskClient

NAME, PASSWORD = "ada", "difference engine"


def token(client: FlaskClient, path: str = "/login") -> str:
    """Return the hidden field of a page's forms."""
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(path).text)
    assert found is not None, f"{path} has no form"
    return found[1]


def sign_in(client: FlaskClient) -> str:
    """Log in, and return the hidden field that forms need from now on."""
    form = {"csrf": token(client), "name": NAME, "password": PASSWORD, "next": "/studio"}
    answer = client.post("/login", data=form)
    assert answer.status_code == 303, answer.text
    assert answer.location == "/studio"
    return token(client, "/studio")
