"""The description is true, and nothing that fits it, or does not, brings the server down."""

from __future__ import annotations

import contextlib
import warnings

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as tried
from hypothesis.errors import Unsatisfiable

from headstart.serving.app import create_app
from headstart.serving.settings import Settings

with warnings.catch_warnings():  # its own dependencies deprecate each other
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi.checks import positive_data_acceptance

OURS = ("/v1", "/v2", "/healthz", "/readyz", "/metrics")


@pytest.fixture(scope="module")
def app(settings: Settings) -> Flask:
    return create_app(settings)


def test_every_route_of_the_interface_is_described(app: Flask) -> None:
    described = app.test_client().get("/openapi.json").json
    assert described is not None
    known = {str(rule).replace("<part:", "{").replace(">", "}") for rule in app.url_map.iter_rules()}
    assert {path for path in known if path.startswith(OURS)} == set(described["paths"])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_schemathesis_finds_nothing(mode: GenerationMode, app: Flask) -> None:
    """All its checks but one: what fits the description need not be a picture, and then is refused."""
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    asked: list[str] = []
    for result in schema.get_all_operations():
        operation = result.ok()

        @given(operation.as_strategy(generation_mode=mode))
        @tried(
            deadline=None,
            max_examples=8,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: schemathesis.Case) -> None:
            answer = case.call()
            if answer.status_code == 504 and "X-Request-Timeout" in (case.headers or {}):
                return  # less time was asked for than an answer takes
            case.validate_response(answer, excluded_checks=[positive_data_acceptance])

        with contextlib.suppress(Unsatisfiable):  # where nothing is sent, nothing can be wrong
            ask()
        asked.append(operation.label)
    assert len(asked) > 15
