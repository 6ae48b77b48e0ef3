"""The description of the interface for programs: /openapi.json."""

from flask import Blueprint

blueprint = Blueprint("openapi", __name__)
