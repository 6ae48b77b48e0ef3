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
    from headstart.estimators import AudioClassifier as AudioClassifier
    from headstart.estimators import ImageClassifier as ImageClassifier
    from headstart.estimators import ImageRegressor as ImageRegressor
    from headstart.estimators import TextClassifier as TextClassifier
    from headstart.fitting import evaluate_model as evaluate
    from headstart.fitting import fit as fit
    from headstart.fitting import plan as plan
    from headstart.fitting import rank_backbones as rank_backbones
    from headstart.fitting.adapting import adapt as adapt
    from headstart.fitting.clustering import cluster as cluster
    from headstart.fitting.distilling import distill as distill
    from headstart.fitting.ensembles import ensemble as ensemble
    from headstart.fitting.ensembles import fit_ensemble as fit_ensemble
    from headstart.fitting.matching import match as match
    from headstart.fitting.tasks import fit_tasks as fit_tasks
    from headstart.fitting.zero_shot import zero_shot as zero_shot
    from headstart.images.augmentation import Augmentation as Augmentation
    from headstart.images.augmentation import preset as augmentation
    from headstart.process import tune_process as tune_process
    from headstart.retrieval.index import SearchIndex as SearchIndex
    from headstart.searching import build_index as build_index
    from headstart.searching import open_index as open_index
    from headstart.studies import Study as Study
    from headstart.studio.summary import summarize as summarize
    from headstart.training.plan import HEAD as HEAD
    from headstart.training.plan import Phase as Phase
    from headstart.training.plan import Plan as Plan
    from headstart.training.plan import Settings as Settings
    from headstart.transfer.graphs.roles import NodeClassifier as NodeClassifier
    from headstart.transfer.graphs.roles import Roles as Roles
    from headstart.transfer.unlabelled.novelty import Novelty as Novelty
    from headstart.transfer.unlabelled.online import OnlineHead as OnlineHead
    from headstart.tuning.search import tune as tune

# Public name → (module, name in it); None is the module itself.
_PUBLIC: dict[str, tuple[str, str | None]] = {
    "augmentation": ("headstart.images.augmentation", "preset"),
    "Study": ("headstart.studies", "Study"),
    "SearchIndex": ("headstart.retrieval.index", "SearchIndex"),
    "Settings": ("headstart.training.plan", "Settings"),
    "Plan": ("headstart.training.plan", "Plan"),
    "Phase": ("headstart.training.plan", "Phase"),
    "HEAD": ("headstart.training.plan", "HEAD"),
    "Augmentation": ("headstart.images.augmentation", "Augmentation"),
    "ImageClassifier": ("headstart.estimators", "ImageClassifier"),
    "AudioClassifier": ("headstart.estimators", "AudioClassifier"),
    "TextClassifier": ("headstart.estimators", "TextClassifier"),
    "ImageRegressor": ("headstart.estimators", "ImageRegressor"),
    "NodeClassifier": ("headstart.transfer.graphs.roles", "NodeClassifier"),
    "Roles": ("headstart.transfer.graphs.roles", "Roles"),
    "Novelty": ("headstart.transfer.unlabelled.novelty", "Novelty"),
    "OnlineHead": ("headstart.transfer.unlabelled.online", "OnlineHead"),
    "Model": ("headstart.artefact", "Model"),
    "adapt": ("headstart.fitting.adapting", "adapt"),
    "backbones": ("headstart.backbones", None),
    "build_index": ("headstart.searching", "build_index"),
    "cluster": ("headstart.fitting.clustering", "cluster"),
    "data": ("headstart.data", None),
    "distill": ("headstart.fitting.distilling", "distill"),
    "ensemble": ("headstart.fitting.ensembles", "ensemble"),
    "errors": ("headstart.errors", None),
    "evaluate": ("headstart.fitting", "evaluate_model"),
    "export": ("headstart.artefact", "export"),
    "fit": ("headstart.fitting", "fit"),
    "fit_ensemble": ("headstart.fitting.ensembles", "fit_ensemble"),
    "fit_tasks": ("headstart.fitting.tasks", "fit_tasks"),
    "load": ("headstart.artefact", "load"),
    "match": ("headstart.fitting.matching", "match"),
    "open_index": ("headstart.searching", "open_index"),
    "plan": ("headstart.fitting", "plan"),
    "rank_backbones": ("headstart.fitting", "rank_backbones"),
    "summarize": ("headstart.studio.summary", "summarize"),
    "tune": ("headstart.tuning.search", "tune"),
    "tune_process": ("headstart.process", "tune_process"),
    "zero_shot": ("headstart.fitting.zero_shot", "zero_shot"),
}

__all__ = [
    "HEAD",
    "AudioClassifier",
    "Augmentation",
    "ImageClassifier",
    "ImageRegressor",
    "Model",
    "NodeClassifier",
    "Novelty",
    "OnlineHead",
    "Phase",
    "Plan",
    "Roles",
    "SearchIndex",
    "Settings",
    "Study",
    "TextClassifier",
    "adapt",
    "augmentation",
    "backbones",
    "build_index",
    "cluster",
    "data",
    "distill",
    "ensemble",
    "errors",
    "evaluate",
    "export",
    "fit",
    "fit_ensemble",
    "fit_tasks",
    "load",
    "match",
    "open_index",
    "plan",
    "rank_backbones",
    "summarize",
    "tune",
    "tune_process",
    "zero_shot",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for (PEP 562).

    Raises:
        AttributeError: There is no such name.
        MissingExtraError: What it needs is not installed.
    """
    if name not in _PUBLIC:
        raise AttributeError(f"module 'headstart' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        from headstart.errors import missing_extra

        if error.name is None or error.name.startswith("headstart"):
            raise
        raise missing_extra(error.name, "train", f"headstart.{name}") from error
    value = loaded if attribute is None else getattr(loaded, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
