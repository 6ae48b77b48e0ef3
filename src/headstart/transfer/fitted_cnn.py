"""A trained document CNN: what answers for texts, and the files that it is kept in."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from headstart.backbones import tensors
from headstart.backbones.card import Tokens
from headstart.engines.conversion import save_ir
from headstart.errors import ArtefactError, HeadstartError
from headstart.files import write_text
from headstart.networks.document_cnn import PAD, HierarchicalCNN
from headstart.text.tokens import by_sentence
from headstart.text.vectors import WordVectors
from headstart.transfer.heads import Matrix

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BATCH = 64
WEIGHTS, NOTE = "weights.safetensors", "document_cnn"
OUTPUTS = ("embedding", "features")
"""What the saved network gives: the document's embedding, and the class scores under the contract's name."""


@dataclass(frozen=True, eq=False)
class FittedCnn:
    """A document CNN with the tokenizer that it was trained with.

    Args:
        network: In evaluation mode.
        tokenizer: From words to numbers.
        spec: How many sentences and words it reads.
        history: A line for each epoch of training, see `train_cnn`. Defaults to none.
    """

    network: HierarchicalCNN
    tokenizer: Tokenizer
    spec: Tokens
    history: tuple[dict[str, float], ...] = ()

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words that have numbers, from number 2 on."""
        numbers = self.tokenizer.get_vocab()
        return tuple(sorted(numbers, key=numbers.__getitem__)[2:])

    @property
    def classes(self) -> int:
        """How many classes it tells apart."""
        return self.network.classes

    def vectors(self) -> WordVectors:
        """Return the vectors of its words, as they are after training."""
        return WordVectors(self.words, self.network.embedding.weight.detach().numpy()[2:].copy())

    def logits(self, texts: Sequence[str]) -> Matrix:
        """Return class scores, float32 [texts, classes]."""
        return self._run(texts)[1]

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Return document embeddings, float32 [texts, d]."""
        return self._run(texts)[0]

    def read(self, texts: Sequence[str]) -> Tensor:
        """Return the numbers of the texts' words as it reads them, int32 [n, sentences, size]."""
        return stack(read_lines(texts, self.spec, self.tokenizer))

    def save(self, folder: Path) -> Path:
        """Write what answers without torch, and what training can go on from.

        Args:
            folder: Where the files go: network.xml and network.bin (OpenVINO; int32 [n, sentences, size] in,
                "embedding" and "features", the class scores, out), tokenizer.json, weights.safetensors.

        Returns:
            The Path of network.xml.

        Raises:
            StorageError: The disk is full or the folder cannot be written.
        """
        main = folder / "network.xml"
        save_ir(self._converted(), main)
        write_text(folder / "tokenizer.json", self.tokenizer.to_str())
        about = {"network": self.network.settings, "spec": asdict(self.spec), "history": list(self.history)}
        tensors.write(folder / WEIGHTS, self.network.state_dict(), {NOTE: json.dumps(about)})
        return main

    @classmethod
    def load(cls, weights: Path, tokenizer_file: Path) -> FittedCnn:
        """Read what `save` wrote, for what needs torch: training on, gradients.

        Args:
            weights: weights.safetensors, whatever its name is now.
            tokenizer_file: tokenizer.json, likewise.

        Raises:
            ArtefactError: A file is missing or damaged.
        """
        from tokenizers import Tokenizer

        try:
            about = json.loads(tensors.notes(weights)[NOTE])
            network = HierarchicalCNN(**about["network"])
            network.load_state_dict(tensors.read(weights))
            tokenizer = Tokenizer.from_str(tokenizer_file.read_text(encoding="utf-8"))
            return cls(network.eval(), tokenizer, Tokens(**about["spec"]), tuple(about["history"]))
        except (HeadstartError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            fix = "save the model again"
            raise ArtefactError(f"a document CNN in {weights}", reason, fix) from error

    @torch.inference_mode()
    def _run(self, texts: Sequence[str]) -> tuple[Matrix, Matrix]:
        documents, logits = (
            [np.zeros((0, self.network.document_size), np.float32)],
            [np.zeros((0, self.network.classes), np.float32)],
        )
        for start in range(0, len(texts), _BATCH):
            document, scores = self.network(self.read(texts[start : start + _BATCH]))
            documents.append(document.numpy())
            logits.append(scores.numpy())
        return np.concatenate(documents), np.concatenate(logits)

    def _converted(self) -> Any:
        import openvino

        shape = (self.spec.sentences, self.spec.size)
        example = torch.ones(1, *shape, dtype=torch.int32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracer warnings about shapes, which are fixed here
            model = openvino.convert_model(
                self.network, example_input=example, input=[openvino.PartialShape([-1, *shape])]
            )
        model.input(0).set_names({"tokens"})
        for output, name in zip(model.outputs, OUTPUTS, strict=True):
            output.set_names({name})
        return model


def read_lines(texts: Sequence[str], spec: Tokens, tokenizer: Tokenizer) -> list[Tensor]:
    """Return the numbers of each text's words, int32 [sentences, size], without empty lines at the end."""
    found = (by_sentence(text, spec, tokenizer) for text in texts)
    return [torch.from_numpy(lines[: max(1, int((lines != PAD).any(1).sum()))].copy()) for lines in found]


def stack(lines: Sequence[Tensor]) -> Tensor:
    """Return texts of different lengths as one batch, int32 [texts, sentences, size]."""
    return torch.nn.utils.rnn.pad_sequence(list(lines), batch_first=True, padding_value=PAD)
