"""The steps people expect before words are counted: lower case, accents, signs, stop words, stems, lemmas."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any, overload

from headstart.errors import OptionError, missing_extra
from headstart.text.scripts import tokens

_SNOWBALL = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek",
    "en": "english", "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian",
    "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian",
    "id": "indonesian", "it": "italian", "lt": "lithuanian", "ne": "nepali", "nl": "dutch",
    "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
_STOP_WORDS = {
    "da": "DANISH", "de": "GERMAN", "en": "EN_PLUS", "es": "SPANISH", "fr": "FRENCH", "it": "ITALIAN",
    "ko": "KOREAN", "nl": "DUTCH", "no": "NORWEGIAN", "pt": "PORTUGUESE", "ru": "RUSSIAN", "sv": "SWEDISH",
    "tr": "TURKISH", "zh": "CHINESE",
}  # fmt: skip
_CACHED = 200_000
_own = threading.local()


@dataclass(frozen=True, slots=True)
class Steps:
    """What is done to the words of a text, in this order, before they are counted.

    Args:
        lower: Whether words become lower case. Defaults to True.
        accents: Whether accents are taken off ("café" → "cafe"). Defaults to False.
        special: Whether everything but letters and digits goes. Defaults to False.
        stop_words: Words to leave out, lower case, tuple of str, such as `stop_words("en")`. Defaults to ().
        lemmatise: Whether words are brought to the form a dictionary has ("went" → "go"; simplemma). Defaults
            to False.
        stem: Whether endings are cut off ("running" → "run"; Snowball). Defaults to False.
        language: Two-letter code of the language for stems and lemmas, str. Defaults to "en".

    Raises:
        OptionError: There are no stems or lemmas for the language, or stop words are no tuple.

    Example:
        >>> Steps(special=True, stop_words=("the",), stem=True).apply("The cats' running races!")
        'cat run race'
    """

    lower: bool = True
    accents: bool = False
    special: bool = False
    stop_words: tuple[str, ...] = ()
    lemmatise: bool = False
    stem: bool = False
    language: str = "en"

    def __post_init__(self) -> None:
        given: object = self.stop_words  # a single str would be taken apart into letters
        if not isinstance(given, tuple):
            fix = f"stop_words=stop_words({self.language!r}), or a tuple of words"
            raise OptionError("stop words as a tuple", repr(given)[:40], fix)
        if self.stem and self.language not in _SNOWBALL:
            raise _no_language("stems", self.language, _SNOWBALL)
        if self.lemmatise and self.language not in (known := _lemma_languages()):
            raise _no_language("lemmas", self.language, known)

    @overload
    def apply(self, text: str) -> str: ...
    @overload
    def apply(self, text: list[str]) -> list[str]: ...
    def apply(self, text: str | list[str]) -> str | list[str]:
        """Do the steps.

        Args:
            text: A text, or its words.

        Returns:
            For a text its words, after the steps, with blanks between them; for words a list of words.
            Nothing at all may be left, as of a text of stop words only.

        Raises:
            MissingExtraError: snowballstemmer or simplemma is not installed.
        """
        if isinstance(text, str):
            if not (self.special or self.stop_words or self.lemmatise or self.stem):
                return self._letters(text)  # nothing that is about words: blanks stay as they are
            return " ".join(self.apply(tokens(text)))
        stops = frozenset(self.stop_words)
        return [word for each in text if (word := self._word(each, stops))]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object; the stop words themselves are part of it."""
        return {**asdict(self), "stop_words": list(self.stop_words)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Steps:
        """Build from what `to_json` returned."""
        unknown = sorted(set(value) - {field.name for field in fields(cls)})
        if unknown:
            raise OptionError("steps that are known", ", ".join(unknown), "update headstart")
        return cls(**{**value, "stop_words": tuple(value.get("stop_words", ()))})

    def _word(self, word: str, stops: frozenset[str]) -> str:
        if self.special and not any(map(str.isalnum, word)):
            return ""
        if word.casefold() in stops or word.lower() in stops:
            return ""
        if self.lemmatise:
            word = _lemma(word, self.language)
        word = self._letters(word)
        return _stem(word, self.language) if self.stem else word

    def _letters(self, text: str) -> str:
        text = text.lower() if self.lower else text
        return _without_accents(text) if self.accents else text


def stop_words(language: str = "en") -> tuple[str, ...]:
    """Return the most frequent words of a language, which say little about what a text is about.

    Args:
        language: Two-letter code, str. Defaults to "en".

    Returns:
        The words, lower case, from the lists that bm25s carries (for English NLTK's).

    Raises:
        OptionError: There is no list for the language.
        MissingExtraError: bm25s is not installed.

    Example:
        >>> "the" in stop_words("en"), "und" in stop_words("de")
        (True, True)
    """
    if language not in _STOP_WORDS:
        raise _no_language("stop words", language, _STOP_WORDS)
    try:
        from bm25s import stopwords
    except ImportError as error:
        raise missing_extra("bm25s", "train", "lists of stop words") from error
    found: tuple[str, ...] = getattr(stopwords, f"STOPWORDS_{_STOP_WORDS[language]}")
    return tuple(dict.fromkeys(word.lower() for word in found))


def _without_accents(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))


@lru_cache(_CACHED)
def _stem(word: str, language: str) -> str:
    # A stemmer keeps the word it works at: each thread has its own.
    stemmers = _own.__dict__.setdefault("stemmers", {})
    if language not in stemmers:
        try:
            import snowballstemmer
        except ImportError as error:
            raise missing_extra("snowballstemmer", "train", "stems") from error
        stemmers[language] = snowballstemmer.stemmer(_SNOWBALL[language])
    found: str = stemmers[language].stemWord(word)
    return found


@lru_cache(_CACHED)
def _lemma(word: str, language: str) -> str:
    import simplemma

    return simplemma.lemmatize(word, lang=language)


def _lemma_languages() -> frozenset[str]:
    try:
        from simplemma.strategies.dictionaries.dictionary_factory import SUPPORTED_LANGUAGES
    except ImportError as error:
        raise missing_extra("simplemma", "train", "lemmas") from error
    return SUPPORTED_LANGUAGES


def _no_language(what: str, language: str, known: Iterable[str]) -> OptionError:
    return OptionError(
        f"{what} for a language among {', '.join(sorted(known))}", repr(language), "choose one, or none"
    )
