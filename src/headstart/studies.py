"""Studies: several models of the same data beside each other, and beside figures that others reported."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.artefact.model import Model
from headstart.data.items import Dataset
from headstart.errors import OptionError
from headstart.evaluation.charts import roc_chart
from headstart.evaluation.results import Evaluation
from headstart.evaluation.sections import percent
from headstart.fitting import Report
from headstart.pages import Cell, Markup, Page, Shown, paragraph, table
from headstart.pages import bar as share_bar
from headstart.progress import Say, tell
from headstart.training.diagnosis_page import training_curves
from headstart.training.diagnostics import Run

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, eq=False)
class Rung:
    """One model of a study.

    Args:
        name: What was done, str.
        split: What its figure was measured on, such as "test", str.
        evaluation: The figures.
        run: What the training wrote down. Defaults to None: a head on features.
        minutes: What it took, float. Defaults to None.
        book: The accuracy that was reported elsewhere for the same step, float. Defaults to None.
    """

    name: str
    split: str
    evaluation: Evaluation
    run: Run | None = None
    minutes: float | None = None
    book: float | None = None


@dataclass
class Study(Shown):
    """A ladder of models, from the plainest to the best, as a table and a page.

    Args:
        title: What is studied, str.
        protocol: How ours and the reported figures differ in data and method, str.
        source: Where the reported figures come from, str. Defaults to "the book".
        say: Where progress is told. Defaults to standard error.

    Example:
        >>> study = Study("Dogs and cats", "Theirs: 25,000 photographs. Ours: 2,000.")
        >>> study.fit("frozen VGG16", "pets/", book=0.888, backbone="vgg16")  # doctest: +SKIP
        >>> study.save("ladder.html")  # doctest: +SKIP
    """

    title: str
    protocol: str
    source: str = "the book"
    say: Say = tell
    rungs: list[Rung] = field(default_factory=list)

    def fit(
        self, name: str, data: Dataset | Path | str, *, book: float | None = None, **options: Any
    ) -> Model:
        """Fit a model and add it.

        Args:
            name: What is done, str.
            data: As for `headstart.fit`.
            book: The accuracy that was reported for this step, float. Defaults to None.
            options: Further arguments of `headstart.fit`.

        Returns:
            The model.
        """
        from headstart.fitting import fit

        started = time.monotonic()
        model = fit(data, say=self.say, **options)
        self.add(name, model, minutes=(time.monotonic() - started) / 60, book=book)
        return model

    def add(
        self, name: str, model: Model, *, minutes: float | None = None, book: float | None = None
    ) -> Rung:
        """Add a model that was just fitted.

        Args:
            name: What was done, str.
            model: The model, with its report.
            minutes: What it took, float. Defaults to None.
            book: The accuracy that was reported for this step, float. Defaults to None.

        Returns:
            The rung.

        Raises:
            OptionError: The model has no report: it was loaded, not fitted.
        """
        report = model.report
        if not isinstance(report, Report) or not isinstance(report.content.evaluation, Evaluation):
            raise OptionError(
                "a classifier that was just fitted", "one without report", "fit it in this study"
            )
        content = report.content
        run = next((trial.run for trial in content.trials if trial.kept), None)
        rung = Rung(name, content.split, content.evaluation, run, minutes, book)
        self.rungs.append(rung)
        self.say(f"{name}: {rung.evaluation.accuracy:.3f} on {rung.split}")
        return rung

    @property
    def best(self) -> Rung:
        """The rung with the highest accuracy."""
        return max(self.rungs, key=lambda rung: rung.evaluation.accuracy)

    @property
    def worst(self) -> Rung:
        """The rung with the lowest accuracy."""
        return min(self.rungs, key=lambda rung: rung.evaluation.accuracy)

    def table(self) -> Table:
        """Return the comparison as a table for the terminal."""
        from rich.markup import escape
        from rich.table import Column, Table

        first, *others = self._columns
        found = Table(
            Column(first, overflow="fold"), *others, title=escape(self.title), caption=escape(self.protocol)
        )
        for rung in self.rungs:
            found.add_row(*map(escape, self._cells(rung)))
        return found

    def html(self) -> str:
        """Return the study as one self-contained page."""
        page = Page(self.title, lead=self._lead())
        rows: list[list[Cell]] = []
        for rung in self.rungs:
            name, accuracy, *rest = self._cells(rung)
            rows.append([name, share_bar(rung.evaluation.accuracy, str(accuracy)), *rest])
        page.section("Step by step", table(self._columns, rows), paragraph(self.protocol, quiet=True))
        curves: list[Markup] = []
        for rung in dict.fromkeys((self.best, self.worst)):
            if rung.evaluation.roc:
                curves += [Markup("<h3>{}</h3>").format(rung.name), roc_chart(rung.evaluation)]
        if curves:
            page.section("ROC curves of the best and the worst", *curves)
        trained = [(rung.name, rung.run) for rung in self.rungs if rung.run is not None]
        if trained:
            charts = [
                part
                for name, run in trained
                for part in (Markup("<h3>{}</h3>").format(name), training_curves(run))
            ]
            page.section("Training curves", *charts)
        return page.html()

    def show(self, folder: str | Path) -> Path:
        """Print the table, and write the page into a folder.

        Args:
            folder: Where study.html goes.

        Returns:
            The page.

        Raises:
            StorageError: It cannot be written.
        """
        from rich.console import Console

        Console(highlight=False).print(self.table())
        path = self.save(Path(folder) / "study.html")
        self.say(f"wrote {path}")
        return path

    def _lead(self) -> str:
        best = self.best
        right = percent(best.evaluation.accuracy)
        return f"The best of {len(self.rungs)}: {best.name}, right {right} of the time."

    @property
    def _reported(self) -> bool:
        return any(rung.book is not None for rung in self.rungs)

    @property
    def _columns(self) -> list[str]:
        beside = [self.source, "difference"] if self._reported else []
        return ["what", "accuracy", "95 % interval", *beside, "minutes"]

    def _cells(self, rung: Rung) -> list[str]:
        evaluation = rung.evaluation
        low, high = evaluation.accuracy_interval
        beside = ["", ""]
        if rung.book is not None:
            beside = [f"{rung.book:.3f}", f"{evaluation.accuracy - rung.book:+.3f}"]
        return [
            rung.name,
            f"{evaluation.accuracy:.3f}",
            f"{low:.3f}–{high:.3f}",
            *(beside if self._reported else []),
            "" if rung.minutes is None else f"{rung.minutes:.1f}",
        ]
