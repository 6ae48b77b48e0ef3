"""Captioners that others trained: BLIP and GIT, through transformers, with the interface of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from headstart.backbones import hub
from headstart.backbones import tensors as tensor_files
from headstart.backbones.card import Preprocess
from headstart.data.items import Problem, Source
from headstart.data.pipeline import Pipeline
from headstart.errors import BackboneError, DecodeError, OptionError
from headstart.images.decode import Pixels
from headstart.images.preprocess import prepare
from headstart.studio.caption.captioner import HOW, Caption, Captioner, is_captioner

PREFIX = "hf:"
KINDS = ("blip", "git")
_AT_ONCE = 8
_LONGEST = 30
_EXAMPLE = "hf:Salesforce/blip-image-captioning-base"
_OWN = "or train one of your own: headstart caption-train"


def open_captioner(name: str, *, offline: bool = False) -> Captioner | Pretrained:
    """Open a captioner, whoever trained it.

    Args:
        name: The folder that `headstart caption-train` wrote; or "hf:owner/model" or "hf:/a/folder" for BLIP
            or GIT in the format of the Hugging Face hub, str.
        offline: Whether to stay off the network. Defaults to False.

    Raises:
        ArtefactError: The folder holds no captioner, or it is damaged.
        BackboneError: A model of the hub cannot be had, or is of another kind.
        MissingExtraError: transformers is not installed.
    """
    if name.startswith(PREFIX):
        return Pretrained.open(name, offline=offline)
    folder = Path(name).expanduser()
    if not is_captioner(folder) and (folder / "config.json").is_file():
        return Pretrained.open(f"{PREFIX}{folder}", offline=offline)
    return Captioner.open(folder, offline=offline)


class Pretrained:
    """A captioner of the hub; it says nothing of where it looks.

    Args:
        model: Of transformers, in evaluation mode.
        tokenizer: From a tokenizer.json, of the package tokenizers.
        spec: What the model wants to see.

    References:
        Li et al., "BLIP: Bootstrapping language-image pre-training", ICML 2022.
        Wang et al., "GIT: A generative image-to-text transformer for vision and language", TMLR 2022.
    """

    def __init__(self, model: Any, tokenizer: Any, spec: Preprocess) -> None:
        self._model, self._tokenizer, self._spec = model, tokenizer, spec
        self._mean, self._std = (torch.tensor(each).reshape(3, 1, 1) for each in (spec.mean, spec.std))
        text = getattr(model.config, "text_config", model.config)
        # BLIP ends with the token that BERT has between sentences.
        self._end = int(text.sep_token_id if model.config.model_type == "blip" else text.eos_token_id)
        self._special = {self._end, *tokenizer.get_added_tokens_decoder()}

    @classmethod
    def open(cls, name: str, *, offline: bool = False) -> Self:
        """Open a model of the hub, or a folder in its format.

        Args:
            name: "hf:owner/model" or "hf:/a/folder", str.
            offline: Whether to stay off the network. Defaults to False.

        Raises:
            BackboneError: It cannot be had, is damaged, or is of another kind.
            MissingExtraError: transformers is not installed.
        """
        from tokenizers import Tokenizer

        try:
            folder = hub.folder(name.removeprefix(PREFIX), offline=offline)
        except BackboneError as error:
            fix = f"check name and network; download its files elsewhere and name their folder; {_OWN}"
            raise BackboneError(error.expected, error.received, fix) from error
        config = _read(folder, "config.json")
        if config.get("model_type") not in KINDS:
            fix = f"name one such as {_EXAMPLE}, {_OWN}"
            raise BackboneError(
                f"a captioner of the kinds {', '.join(KINDS)}", f"{config.get('model_type')}", fix
            )
        spec = hub.preprocess(_read(folder, "preprocessor_config.json"), folder)
        _read(folder, "tokenizer.json")
        return cls(_model(folder), Tokenizer.from_file(str(folder / "tokenizer.json")), spec)

    def caption(
        self,
        sources: Iterable[Source],
        *,
        how: str = "beam",
        width: int = 5,
        top_p: float = 0.9,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> Iterator[Caption | Problem]:
        """Say what photographs show; see `Captioner.caption`."""
        if how not in HOW:
            raise OptionError(f"one of {', '.join(HOW)}", repr(how), "choose one of them")
        if how == "beam" and width < 1:
            raise OptionError("a beam of 1 or wider", f"{width}", "such as --beam 5")
        settings: dict[str, Any] = {
            "num_beams": width if how == "beam" else 1,
            "do_sample": how == "sample",
            **({"top_p": top_p, "temperature": temperature} if how == "sample" else {}),
        }

        def read(entry: tuple[int, Source]) -> tuple[str, Pixels | Problem]:
            number, source = entry
            name = str(source) if isinstance(source, Path) else f"photograph {number + 1}"
            try:
                return name, prepare(source, self._spec)
            except DecodeError as error:
                return name, Problem(name, str(error))

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for group in Pipeline(lambda: iter(enumerate(sources))).map(read).batch(_AT_ONCE):
                seen = [found for _, found in group if not isinstance(found, Problem)]
                said = self._say(torch.from_numpy(np.stack(seen)), settings) if seen else iter(())
                for name, found in group:
                    yield found if isinstance(found, Problem) else self._sentence(name, *next(said))

    @torch.inference_mode()
    def _say(self, pixels: Tensor, settings: dict[str, Any]) -> Iterator[tuple[list[int], list[float]]]:
        """Yield the tokens of each caption, up to its end, with the model's log-probabilities of them."""
        import transformers

        seen = (pixels.permute(0, 3, 1, 2).float() - self._mean) / self._std
        settings = {**settings, "max_new_tokens": _LONGEST, "output_logits": True}
        with hub.silence(transformers):  # of defaults in the model's files that ours take the place of
            made = self._model.generate(pixel_values=seen, return_dict_in_generate=True, **settings)
        speaker = getattr(self._model, "text_decoder", self._model)
        beams = made.beam_indices if settings["num_beams"] > 1 else None
        logs = speaker.compute_transition_scores(made.sequences, made.logits, beams, normalize_logits=True)
        for tokens, log in zip(made.sequences[:, -logs.shape[1] :].tolist(), logs.tolist(), strict=True):
            length = tokens.index(self._end) + 1 if self._end in tokens else len(tokens)
            yield tokens[:length], log[:length]

    def _sentence(self, name: str, tokens: Sequence[int], logs: Sequence[float]) -> Caption:
        words: list[tuple[str, float]] = []
        for token, log in zip(tokens, logs, strict=True):
            piece = str(self._tokenizer.id_to_token(token))
            if token in self._special:
                continue
            if piece.startswith("##") and words:
                words[-1] = words[-1][0] + piece[2:], words[-1][1] + log
            else:
                words.append((piece, log))
        return Caption(
            name,
            self._tokenizer.decode([token for token in tokens if token not in self._special]),
            tuple(word for word, _ in words),
            sum(logs),
            tuple(log for _, log in words),
            None,
        )


def _model(folder: Path) -> Any:
    """Load the model with its weights, from safetensors only."""
    import transformers
    from safetensors import SafetensorError

    options = {"use_safetensors": True, "local_files_only": True, "dtype": "float32"}
    try:
        with hub.silence(transformers):
            model, loading = transformers.AutoModelForImageTextToText.from_pretrained(
                folder, output_loading_info=True, **options
            )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise tensor_files.unreadable(folder, error) from error
    if missing := sorted(loading["missing_keys"]):  # transformers would go on with random numbers
        raise tensor_files.unreadable(folder, f"no weights for {', '.join(missing[:3])}")
    return model.eval()


def _read(folder: Path, name: str) -> dict[str, Any]:
    """Return a JSON object of the model's folder."""
    fix = f"download the model's files again, {_OWN}"
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BackboneError(f"{name} in {folder}", str(error), fix) from error
    if not isinstance(found, dict):
        raise BackboneError(f"a JSON object in {name}", type(found).__name__, fix)
    return found
