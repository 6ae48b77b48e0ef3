"""The model card: what a model is for, what it was made from, how good it is, and its limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from headstart.artefact.network import outputs
from headstart.backbones.card import Preprocess, Spec, Tokens
from headstart.modalities import modality
from headstart.transfer.calibration import AnyCalibration, Interval, Thresholds

if TYPE_CHECKING:
    from headstart.artefact.members import Member
    from headstart.artefact.model import Model

_SHOWN_LABELS = 100


def markdown(model: Model) -> str:
    """Return the model card as Markdown.

    Args:
        model: A fitted or loaded model.

    Returns:
        The text; its sections follow Mitchell et al.

    References:
        Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
    """
    sections = {
        "Intended use": _intended_use(model),
        "Use it": _usage(model),
        **({} if model.target == "number" else {"Labels": _labels(model)}),
        "How good it is": _table(model.metrics)
        or "Nothing was measured. Evaluate it on your own data: `headstart evaluate MODEL DATA`.",
        "Answers": _together(model) + _answers(model.calibration, model.labels),
        "Data it was fitted on": _table(model.data) or "Not recorded.",
        "How it was made": _table(model.plan) or "Not recorded.",
        "Backbone": "\n\n".join(_backbone(member) for member in model.members),
        "Limits": _limits(model),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"# {_title(model)}\n\nMade with headstart, {model.created}.\n\n{body}\n"


def html(model: Model) -> str:
    """Return a small card for notebooks; every text in it is escaped."""
    labels = ", ".join(model.labels[:8]) + (", …" if len(model.labels) > 8 else "")
    rows = {
        **({"answer": "a number"} if model.target == "number" else {"labels": labels}),
        "backbone": " + ".join(f"{m.backbone.name} ({m.backbone.licence})" for m in model.members),
        "head": " + ".join(member.head.kind for member in model.members),
        **dict(list(_figures(model.metrics))[:8]),
        "created": model.created,
    }
    cells = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in rows.items()
    )
    return f"<table><caption>{escape(_title(model))}</caption>{cells}</table>"


def _backbone(member: Member) -> str:
    card = member.backbone
    return "\n".join(
        (
            f"- weights: {card.name} ({card.architecture}), {card.parameters:,} parameters",
            f"- source: {card.source}",
            f"- **licence of the weights: {card.licence}**",
            f"- learned from: {card.training_data}",
            f"- SHA-256 of the tensors: `{card.digest}`",
            f"- the head on it: {member.head.kind}",
        )
    )


def _together(model: Model) -> str:
    if len(model.members) == 1:
        return ""
    if model.combine == "sum":
        return f"{len(model.members)} members answer together: the sum of their logits. "
    what = "numbers" if model.target == "number" else "calibrated probabilities"
    logits = "" if model.target == "number" else ", whose logarithms are the logits here"
    return f"{len(model.members)} members answer together: the mean of their {what}{logits}. "


def _title(model: Model) -> str:
    if model.target == "number":
        return f"headstart model: a number for {modality(model.modality).noun}"
    what = "classes" if model.target == "label" else "labels"
    names = " / ".join(model.labels) if len(model.labels) <= 4 else f"{len(model.labels)} {what}"
    return f"headstart model: {_inline(names)}"


def _intended_use(model: Model) -> str:
    noun = modality(model.modality).noun
    does = {
        "label": f"Tells {len(model.labels)} classes of {noun} apart.",
        "labels": f"Says which of {len(model.labels)} labels each of some {noun} has: several, one or none.",
        "number": f"Estimates a number for {noun}.",
    }
    return (
        f"{does[model.target]} It was made for items "
        "like those it was fitted on. Not meant for decisions about people, or where a wrong answer does "
        "harm that nobody checks."
    )


def _answers(calibration: AnyCalibration, labels: Sequence[str]) -> str:
    if isinstance(calibration, Interval):
        return (
            f"The answer is a number; its interval goes {calibration.width:.4g} to either side, made to hold "
            f"the true number for {calibration.level:.0%} of items like those it was fitted on."
        )
    if isinstance(calibration, Thresholds):
        pairs = list(zip(labels, calibration.thresholds, strict=True))[:_SHOWN_LABELS]
        listed = ", ".join(f"{_inline(label)} {threshold:.3g}" for label, threshold in pairs)
        return (
            f"Probabilities are sigmoid(logits / {calibration.temperature:.4g}), each label on its own. An "
            "item has a label when its probability is at least the label's threshold, which was chosen for "
            f"the best F1: {listed}."
        )
    conformal, abstention = calibration.conformal, calibration.abstention
    return (
        f"Probabilities are softmax(logits / {calibration.temperature:.4g}). A label is in the prediction "
        f"set when its probability is at least {conformal.threshold:.4g}; such sets were made to hold the "
        f"true label for {conformal.level:.0%} of items like those it was fitted on. With `--abstain`, "
        f"answers less confident than {abstention.confidence:.4g} are withheld "
        f"({1 - abstention.answered:.0%} of them)."
    )


def _usage(model: Model) -> str:
    answer = {"label": "label", "labels": "labels", "number": "value"}[model.target]
    example = '"A text of yours."' if model.modality == "text" else '"new.jpg"'
    return (
        "```python\nimport headstart as hs\n\n"
        f'model = hs.load("this folder")\nmodel.predict([{example}])[0].{answer}\n```\n\n'
        f"`headstart predict MODEL FILE…` does the same. {_alone(model)} "
        "Do not edit the files in this folder, this one included: their digests are checked."
    )


def _alone(model: Model) -> str:
    """Say what the networks are for programs that know nothing of headstart."""
    networks = [member for member in model.members if member.is_ir]
    if not networks:
        return "The terms and what they weigh are in `terms.json` and `terms.safetensors`."
    alone = "`network.xml` is an OpenVINO network"
    if len(model.members) > 1:
        alone = "each `network….xml` is one member's OpenVINO network"
    takes, prepared = _input(networks)
    *names, last = outputs(model.target)
    order = "" if model.target == "number" else " in the order of the labels"
    return (
        f"Without headstart: {alone}; its input {takes}, its outputs are "
        f"{', '.join(names)} and {last}{order}. `front_end` in `artefact.json` says how to {prepared}."
    )


def _input(members: Sequence[Member]) -> tuple[str, str]:
    """Return what networks take, and how an item is prepared for them."""
    specs = list(dict.fromkeys(member.front_end.preprocess for member in members))
    if isinstance(specs[0], Preprocess):
        shapes = " or ".join(dict.fromkeys(f"[n, {spec.size}, {spec.size}, 3]" for spec in specs))
        return f'"pixels" is uint8 {shapes} (RGB)', "resize and crop"
    shapes = " or ".join(dict.fromkeys(_tokens_shape(spec) for spec in specs))
    return f'"tokens" is int32 {shapes}', "cut a text into passages; `tokenizer….json` gives the numbers"


def _tokens_shape(spec: Spec) -> str:
    return f"[n, {spec.sentences}, {spec.size}]" if isinstance(spec, Tokens) and spec.sentences else "[n, t]"


def _labels(model: Model) -> str:
    shown = [f"{number}. {_inline(label)}" for number, label in enumerate(model.labels[:_SHOWN_LABELS], 1)]
    more = len(model.labels) - len(shown)
    return "\n".join([*shown, f"\n… and {more} more in `artefact.json`"] if more else shown)


def _limits(model: Model) -> str:
    limits = {
        "label": "It knows its labels only: shown something else, it names one of them, maybe confidently.",
        "labels": "It knows its labels only: what else there is to see it does not say.",
        "number": "Shown something else than it was fitted on, it gives a number all the same.",
    }
    noun = "intervals" if model.target == "number" else "prediction sets"
    promise = f"Coverage of the {noun} is a promise about the average item, not about each kind of item."
    return "\n".join(
        (
            f"- {limits[model.target]}",
            "- The figures hold for data like those they were measured on. Other cameras, places or times: "
            "measure again.",
            f"- It inherits what its backbone learned, biases included ({model.backbone.training_data}).",
            *([] if model.target == "labels" else [f"- {promise}"]),
        )
    )


def _table(value: Mapping[str, Any]) -> str:
    rows = [f"| {_inline(name)} | {_inline(text)} |" for name, text in _figures(value)]
    return "\n".join(["| | |", "|---|---|", *rows]) if rows else ""


def _figures(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the plain entries of a JSON object, nested ones with their path; what is long is left out."""
    for key, part in value.items():
        name = f"{prefix}{key}"
        if isinstance(part, Mapping):
            if len(part) <= _SHOWN_LABELS:
                yield from _figures(part, f"{name}, ")
        elif isinstance(part, list | tuple):
            if len(part) <= 4 and not any(isinstance(inner, Mapping | list | tuple) for inner in part):
                yield name, ", ".join(map(_text, part))
        elif part is not None:
            yield name, _text(part)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _inline(text: str) -> str:
    """Keep a foreign text on one line, and its signs from being read as Markdown or HTML."""
    line = " ".join(text.split())
    for sign in "\\`*_[]<>|#":
        line = line.replace(sign, f"\\{sign}")
    return line
