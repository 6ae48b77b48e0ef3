"""Words: how a text is cut into them, which are frequent, and the tokenizer that numbers them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, UNKNOWN = "[PAD]", "[UNK]"
"""What the numbers 0 and 1 stand for: nothing, and a word that has no number."""


def tokenizer_of(words: Sequence[str]) -> Tokenizer:
    """Build the tokenizer that gives words their numbers.

    A text is put into lower case and cut into runs of letters and digits and runs of other signs, as
    Unicode defines them.

    Args:
        words: Lower-case words, each once; the first gets the number 2. 0 is "[PAD]" and 1 is "[UNK]".

    Returns:
        A tokenizers.Tokenizer.

    Example:
        >>> tokenizer_of(["good", "film", "!"]).encode("Good FILM, Ma!").ids
        [2, 3, 1, 1, 4]
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    numbers = {word: number for number, word in enumerate((PAD, UNKNOWN, *words))}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def split_words(text: str) -> list[str]:
    """Return the words of a text as `tokenizer_of` cuts them.

    Example:
        >>> split_words("It's GOOD...")
        ['it', "'", 's', 'good', '...']
    """
    cutter = tokenizer_of(())
    return [word for word, _ in cutter.pre_tokenizer.pre_tokenize_str(cutter.normalizer.normalize_str(text))]


def frequent_words(texts: Iterable[str], most: int = 30_000, least: int = 2) -> list[str]:
    """Return the words of some texts, the most frequent first.

    Args:
        texts: str each; read once, none is kept.
        most: How many words at most, int. Defaults to 30,000.
        least: How often a word must occur, int. Defaults to 2.

    Returns:
        Lower-case words; those of the same frequency are in alphabetical order.

    Example:
        >>> frequent_words(["a b a", "B c a"])
        ['a', 'b']
    """
    from tokenizers import trainers

    tokenizer = tokenizer_of(())
    special = [PAD, UNKNOWN]
    trainer = trainers.WordLevelTrainer(
        vocab_size=most + len(special), min_frequency=least, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    numbers = tokenizer.get_vocab(with_added_tokens=False)
    return [word for word in sorted(numbers, key=numbers.__getitem__) if word not in special]
