"""Spoken digits: split at random and by speaker, and one speaker's digits learned by few labels.

AudioSet's networks know sounds, not phonemes: the frozen one is poor here, and what it lacks is trained. Most
reports split at random, when every voice is known; what one costs that was never heard, the other split says.

Data: the Free Spoken Digit Dataset, a folder of {digit}_{speaker}_{number}.flac or .wav.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import headstart as hs
from headstart.artefact.model import Model
from headstart.data.items import Dataset, Item

PROTOCOL = (
    "Ten digits. At random: a fifth of the recordings is the test, so every voice is known, and a fifth of "
    "the rest checks the training. By speaker: two speakers are the test, and nothing of them is heard "
    "before; another one checks the training. Nothing is chosen on the test."
)
CNN = {"backbone": "log_mel_cnn", "strategy": "scratch", "guard": False}


def main() -> None:
    """Fit by both splits, then carry the digits over to a new voice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of {digit}_{speaker}_{number}.flac")
    parser.add_argument("--out", type=Path, default=Path("spoken-digits"), help="where reports go")
    parser.add_argument("--speakers", default="theo,yweweler", help="who is heard in the test alone")
    parser.add_argument("--labels", type=int, default=3, help="known of each digit of the new voice")
    parser.add_argument("--minutes", type=float, default=5, help="for each training")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    digits, seed = opened(options.data), options.seed
    held_out = tuple(options.speakers.split(","))
    models: dict[str, Model] = {}
    for how, data in (
        ("at random", at_random(digits, seed)),
        (f"without {', '.join(held_out)}", without(digits, held_out)),
    ):
        study = hs.Study(f"Spoken digits, {how}", PROTOCOL)
        study.fit("YAMNet, frozen", data, seed=seed)
        limit = {"minutes": options.minutes, "seed": seed}
        models[how] = study.fit(f"YAMNet, {options.minutes:g} minutes", data, **limit)
        study.fit("log-mel CNN, from scratch", data, **CNN, **limit)
        study.show(options.out / how.split(" ")[0])
    carried_over(models[f"without {', '.join(held_out)}"], digits, held_out, options.labels, seed)


def opened(folder: Path) -> Dataset:
    """Open the recordings; the group of each is its speaker."""
    items = []
    for path in sorted((*folder.glob("*.flac"), *folder.glob("*.wav"))):
        digit, speaker, _ = path.stem.split("_")
        items.append(Item(path.name, path, label=digit, group=speaker))
    return Dataset(tuple(items), "audio", folder)


def at_random(digits: Dataset, seed: int) -> Dataset:
    """Make a fifth of the recordings the test, whoever speaks."""
    test = set(random.Random(seed).sample(range(len(digits)), len(digits) // 5))
    items = (replace(item, group=None, split="test" if n in test else None) for n, item in enumerate(digits))
    return replace(digits, items=tuple(items))


def without(digits: Dataset, speakers: tuple[str, ...]) -> Dataset:
    """Make all recordings of some speakers the test; what is decided on the way is decided by voices, too."""
    items = (replace(item, split="test" if item.group in speakers else None) for item in digits)
    return replace(digits, items=tuple(items))


def carried_over(source: Model, digits: Dataset, speakers: tuple[str, ...], labels: int, seed: int) -> None:
    """Print how well each new voice is understood, with no label of it and with a few."""
    known = digits.take([n for n, item in enumerate(digits) if item.group not in speakers])
    for speaker in speakers:
        items = (replace(item, group=None) for item in digits if item.group == speaker)
        voice = replace(digits, items=tuple(items))
        few = drawn(voice, labels, seed)
        asked = voice.take([n for n, item in enumerate(voice) if item.name not in few])
        learned = voice.take([n for n, item in enumerate(voice) if item.name in few])
        unlabelled = replace(asked, items=tuple(replace(item, label=None) for item in asked))
        found: dict[str, Any] = {
            "no label, the others' model": source,
            "no label, adapted to the voice": hs.adapt(source, unlabelled, known, seed=seed),
            f"{labels} of each digit, alone": hs.fit(learned, seed=seed),
            f"{labels} of each digit, from the others' model": hs.fit(learned, start=source, seed=seed),
        }
        for name, model in found.items():
            print(f"{speaker:10} {name:45} {right(model, asked):.3f}")


def drawn(voice: Dataset, labels: int, seed: int) -> set[str]:
    """Return the names of some recordings of each digit."""
    chance = random.Random(seed)
    return {
        name
        for digit in voice.classes
        for name in chance.sample([item.name for item in voice if item.label == digit], labels)
    }


def right(model: Model, asked: Dataset) -> float:
    """Return the share of right answers."""
    found = model.predict([item.source for item in asked])
    return sum(each.label == item.label for each, item in zip(found, asked, strict=True)) / len(asked)


if __name__ == "__main__":
    main()
