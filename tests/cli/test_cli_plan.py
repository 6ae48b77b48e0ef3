"""`headstart plan` prints the plan with its evidence, as text and as JSON, and takes one back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headstart import cli
from headstart.training.plan import Plan


def test_a_plan_there_and_back(
    pattern_pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.json"
    assert cli.run(["plan", str(pattern_pictures), "--minutes", "5", "-o", str(file), "--json"]) == 0
    out, err = capsys.readouterr()
    shown = json.loads(out.splitlines()[-1])
    assert {"strategy", "cut", "phases", "evidence", "minutes"} <= set(shown)
    assert Plan.from_json(shown) == Plan.from_json(json.loads(file.read_text()))
    assert "what each depth is worth" in err
    assert "items to learn from" in err

    # Read back, with another strategy in it: shown as it is, nothing is measured.
    changed = {**shown, "strategy": "cut-early", "cut": "stage4"}
    file.write_text(json.dumps(changed))
    assert cli.run(["plan", str(pattern_pictures), "--plan", str(file), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["cut"] == "stage4"
    assert "features from block stage4" in " ".join(err.split())
    assert "measuring" not in err


def test_a_plan_says_what_its_probes_learned(
    pattern_pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.json"
    depth = {"block": "head", "width": 9, "accuracy": 0.8, "error": 0.1, "logme": 0.0, "distance": None}
    made = Plan("freeze-all", "efficientnet_lite0", "head", 224, ())
    for target, words in (("label", "accuracy"), ("number", "R²"), (["?"], "accuracy")):
        made = made.replace(evidence={"target": target, "depths": [depth]})
        file.write_text(json.dumps(made.to_json()))
        assert cli.run(["plan", str(pattern_pictures), "--plan", str(file)]) == 0
        assert f"probe: {words}" in capsys.readouterr().out


def test_damaged_evidence_is_refused_in_words(
    pattern_pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.json"
    for depths in ([1], [{"block": "head"}], 7):
        made = Plan("freeze-all", "efficientnet_lite0", "head", 224, evidence={"depths": depths})
        file.write_text(json.dumps(made.to_json()))
        assert cli.run(["plan", str(pattern_pictures), "--plan", str(file)]) == 2
        assert "take the evidence out" in " ".join(capsys.readouterr().err.split())


def test_backbones_are_ranked(pattern_pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = "efficientnet_lite0, efficientnet_lite0"
    assert cli.run(["plan", str(pattern_pictures), "--backbones", names, "--json"]) == 0
    (ranked,) = json.loads(capsys.readouterr().out.splitlines()[-1])["backbones"]
    assert ranked["backbone"] == "efficientnet_lite0"
    assert {"accuracy", "logme", "h_score", "leep", "ms_per_item"} <= set(ranked)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--minutes", "0"], "more than 0 minutes"),
        (["--minutes", "-3"], "more than 0 minutes"),
        (["--strategy", "melt"], "melt"),
        (["--plan", "absent.json"], "absent.json"),
        (["--plan", "a.json", "--backbones", "vgg16"], "leave one out"),
        (["--backbones", ","], "names of backbones"),
        (["--backbones", "vgg17"], "vgg17"),
    ],
)
def test_bad_options(
    options: list[str], message: str, pattern_pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["plan", str(pattern_pictures), *options, "--json"]) == 2
    assert message in json.loads(capsys.readouterr().out.splitlines()[-1])["error"]


def test_a_plan_for_another_backbone(
    pattern_pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(Plan("freeze-all", "vgg16", "block5", 224).to_json()))
    arguments = ["plan", str(pattern_pictures), "--plan", str(file)]
    assert cli.run([*arguments, "--backbone", "efficientnet_lite0"]) == 2
    assert "one for 'vgg16'" in capsys.readouterr().err
    file.write_text(json.dumps(Plan("cut-early", "vgg16", "stage3", 224).to_json()))
    assert cli.run(arguments) == 2
    assert "a cut at one of block1" in capsys.readouterr().err
