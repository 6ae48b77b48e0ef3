"""The Open Inference Protocol, version 2."""

from flask import Blueprint

blueprint = Blueprint("v2", __name__, url_prefix="/v2")
