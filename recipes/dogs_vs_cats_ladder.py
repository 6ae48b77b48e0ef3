"""Dogs and cats in five classic steps, then what headstart does by itself.

The steps are those of the book "Hands-On Transfer Learning with Python" (Sarkar, Bali and Ghosh, 2018,
chapter 5): a small network from scratch, the same with augmentation, frozen VGG16 features, these with
augmentation, and VGG16 with its last two blocks fine-tuned.

Data: a folder with train, val and test, and in each a folder for dogs and one for cats.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import headstart as hs

PROTOCOL = (
    "The book: 3,000 photographs to learn from, 1,000 to test, 150 pixels, flattened VGG16 features, "
    "RMSprop, 30 to 100 epochs. Here: what is in the folder (2,000 and 500 in the sample this was written "
    "with), the same input size, pooled features, AdamW with one cycle, and fewer epochs."
)
SIZE = 150
HEAD = hs.HEAD


def scratch(epochs: int, augment: str | None, seed: int) -> hs.Plan:
    """A basic CNN from random numbers."""
    blocks = hs.backbones.card("basic_cnn").blocks
    rates = dict.fromkeys((*blocks, HEAD), 2e-3)
    settings = hs.Settings(initialisation="he_normal", dropout=0.3)
    phase = hs.Phase("from scratch", epochs, rates, augment and hs.augmentation(augment))
    return hs.Plan("scratch", "basic_cnn", blocks[-1], SIZE, (phase,), settings=settings, seed=seed)


def vgg16(epochs: int, augment: str | None, thawed: tuple[str, ...], seed: int) -> hs.Plan:
    """VGG16's features, frozen or with the last blocks trained, behind a head of 256 units."""
    plan = hs.Plan("freeze-all", "vgg16", "block5", SIZE, head="mlp", seed=seed)
    if augment is None:
        return plan
    views = 4  # the frozen blocks see each photograph this often, not once an epoch
    head = hs.Phase("head", epochs, {HEAD: 1e-3}, hs.augmentation(augment), views)
    if not thawed:
        return replace(plan, phases=(head,))
    late = hs.Phase("late blocks", epochs, {**dict.fromkeys(thawed, 5e-5), HEAD: 2e-4}, head.augment, views)
    return replace(plan, strategy="fine-tune-late", phases=(replace(head, epochs=max(1, epochs // 2)), late))


def main() -> None:
    """Climb the ladder and write its report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train, val and test")
    parser.add_argument("--out", type=Path, default=Path("dogs-vs-cats-ladder"), help="where reports go")
    parser.add_argument("--epochs", type=int, default=12, help="of the networks from scratch")
    parser.add_argument("--tuned-epochs", type=int, default=4, help="of the fine-tuned VGG16")
    parser.add_argument("--minutes", type=float, default=10, help="the budget of headstart's own choice")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data, seed = hs.data.open(options.data), options.seed
    late = ("block4", "block5")
    steps = (
        ("basic CNN from scratch", 0.776, scratch(options.epochs, None, seed)),
        ("basic CNN, augmented", 0.844, scratch(options.epochs, "standard", seed)),
        ("VGG16 features, frozen", 0.888, vgg16(options.tuned_epochs, None, (), seed)),
        ("VGG16 features, augmented", 0.898, vgg16(options.tuned_epochs, "light", (), seed)),
        (
            "VGG16 blocks 4 and 5 fine-tuned, augmented",
            0.961,
            vgg16(options.tuned_epochs, "light", late, seed),
        ),
    )
    study = hs.Study("Dogs and cats", PROTOCOL)
    for name, book, plan in steps:
        study.fit(name, data, book=book, plan=plan, guard=False, seed=seed)
    study.fit("headstart, unassisted", data, seed=seed)
    study.fit(f"headstart, {options.minutes:g} minutes", data, minutes=options.minutes, seed=seed)
    study.show(options.out)


if __name__ == "__main__":
    main()
