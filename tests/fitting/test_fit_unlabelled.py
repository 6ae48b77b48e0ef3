"""`hs.fit` with unlabelled items: kept only where it helps, and nothing leaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic import blobs, gathered, labelled

import headstart as hs
from headstart.errors import DataError, OptionError
from headstart.fitting import fit
from headstart.fitting.unlabelled import gather_unlabelled, with_spread
from headstart.transfer.features import Features
from headstart.transfer.unlabelled.spreading import Spread
from toy_texts import ToyText

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def few(write_pictures: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("few") / "patterns", across=6, along=6, checks=6)


@pytest.fixture(scope="module")
def more(write_pictures: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("more") / "any", 50, across=12, along=12, checks=12)


def test_unlabelled_pictures_take_part_or_are_left_alone(
    few: Path, more: Path, pattern_pictures: Path
) -> None:
    said: list[str] = []
    model = fit(few, folds=3, unlabelled=more, say=said.append)
    assert "36 unlabelled items: labels spread to them" in said
    assert model.plan.get("unlabelled", 36) == 36
    assert model.head.kind == "linear"
    assert len(model.members) == 1
    assert {answer.label for answer in model.predict(sorted((more / "along").iterdir())[:4])} <= {
        "along",
        None,
    }


def test_what_is_labelled_already_is_no_unlabelled_item(few: Path) -> None:
    with pytest.raises(DataError, match="items that are not labelled already, received 18 that are"):
        fit(few, unlabelled=few)


def test_rows_of_the_same_manifest_without_a_label_are_the_unlabelled_ones(
    toy_text: ToyText, tmp_path: Path
) -> None:
    rows = ["text,label"]
    rows += [f"a superb and lovely film number{n},{'good' if n < 8 else ''}" for n in range(20)]
    rows += [f"an awful and dull film number{n},{'bad' if n < 8 else ''}" for n in range(20)]
    table = tmp_path / "reviews.csv"
    table.write_text("\n".join(rows))
    said: list[str] = []
    model = fit(table, unlabelled=table, say=said.append)
    assert "24 unlabelled items: labels spread to them" in said
    assert model.data["items"] == 16
    assert model.predict(["a superb film"])[0].label in ("good", None)


def test_the_view_with_unlabelled_items_stands_beside_the_backbones_own() -> None:
    y = [0, 1] * 10
    known = gathered(labelled(y), blobs(y))
    pool = Features(blobs([0, 1] * 15, seed=1), known.features.item, known.features.group)
    from headstart.fitting.targets import labelled as with_answers

    data = with_answers(known.dataset, known.features, known.dataset.classes)
    views = with_spread({}, data, known.card.name, pool, [data], 0)
    (alternatives,) = views.values()
    assert [type(view).__name__ for view in alternatives] == ["Labelled", "Spread"]
    assert isinstance(alternatives[-1], Spread)
    both = with_spread({"terms": [data], known.card.name: [data]}, data, known.card.name, pool, [data], 0)
    assert [len(each) for each in both.values()] == [1, 2]


def test_copies_of_labelled_items_are_left_out() -> None:
    y = [0, 1] * 5
    known = gathered(labelled(y), blobs(y))
    others = gathered(labelled(y), blobs(y, seed=1), [f"digest {n + 7}" for n in range(10)])
    said: list[str] = []
    found = gather_unlabelled(others.dataset, known, lambda _: others, said.append)
    assert len(found) == 7
    assert said == ["7 unlabelled items: labels spread to them"]


def test_what_does_not_go_together_is_refused(few: Path, more: Path, folder_of_texts: Path) -> None:
    for wish in ({"minutes": 1.0}, {"strategy": "fine-tune-late"}):
        with pytest.raises(OptionError, match="a frozen network beside unlabelled items"):
            hs.fit(few, unlabelled=more, **wish)
    with pytest.raises(OptionError, match="a linear head for one label an item"):
        hs.fit(few, unlabelled=more, head="mlp")
    with pytest.raises(DataError, match="unlabelled items of the same kind, received texts beside pictures"):
        hs.fit(few, unlabelled=folder_of_texts)
