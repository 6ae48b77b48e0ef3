"""headstart: bring a folder, leave with a model you can trust, explain and serve.

Everything public is reached from here and loaded when it is first used, so that `import headstart` is cheap.

Example:
    >>> import headstart as hs
    >>> model = hs.fit("photos/")  # doctest: +SKIP
    >>> model.predict(["new.jpg"])[0].label  # doctest: +SKIP
    'cat'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from headstart import backbones as backbones
    from headstart import data as data
    from headstart import errors as errors
    from headstart.artefact import Model as Model
    from headstart.artefact import export as export
    from headstart.artefact import load as load
    from headstart.estimators import ImageClassifier as ImageClassifier
    from headstart.estimators import ImageRegressor as ImageRegressor
    from headstart.fitting import evaluate_model as evaluate
    from headstart.fitting import fit as fit
    from headstart.fitting import plan as plan
    from headstart.fitting import rank_backbones as rank_backbones
    from headstart.fitting.distilling import distill as distill
    from headstart.fitting.ensembles import ensemble as ensemble
    from headstart.fitting.ensembles import fit_ensemble as fit_ensemble
    from headstart.fitting.tuning import tune as tune
    from headstart.process import tune_process as tune_process

# Public name → (module, name in it); None is the module itself.
_PUBLIC: dict[str, tuple[str, str | None]] = {
    "ImageClassifier": ("headstart.estimators", "ImageClassifier"),
    "ImageRegressor": ("headstart.estimators", "ImageRegressor"),
    "Model": ("headstart.artefact", "Model"),
    "backbones": ("headstart.backbones", None),
    "data": ("headstart.data", None),
    "distill": ("headstart.fitting.distilling", "distill"),
    "ensemble": ("headstart.fitting.ensembles", "ensemble"),
    "errors": ("headstart.errors", None),
    "evaluate": ("headstart.fitting", "evaluate_model"),
    "export": ("headstart.artefact", "export"),
    "fit": ("headstart.fitting", "fit"),
    "fit_ensemble": ("headstart.fitting.ensembles", "fit_ensemble"),
    "load": ("headstart.artefact", "load"),
    "plan": ("headstart.fitting", "plan"),
    "rank_backbones": ("headstart.fitting", "rank_backbones"),
    "tune": ("headstart.fitting.tuning", "tune"),
    "tune_process": ("headstart.process", "tune_process"),
}

__all__ = [
    "ImageClassifier",
    "ImageRegressor",
    "Model",
    "backbones",
    "data",
    "distill",
    "ensemble",
    "errors",
    "evaluate",
    "export",
    "fit",
    "fit_ensemble",
    "load",
    "plan",
    "rank_backbones",
    "tune",
    "tune_process",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'headstart' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    loaded = importlib.import_module(module)
    value = loaded if attribute is None else getattr(loaded, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
