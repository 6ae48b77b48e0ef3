"""Why a model answers as it does: which places of a picture, words of a text, moments of a sound count."""

from __future__ import annotations

from headstart.explain.explanation import Explanation as Explanation
from headstart.explain.explanation import LeftOut as LeftOut
from headstart.explain.explanation import PictureExplanation as PictureExplanation
from headstart.explain.explanation import SoundExplanation as SoundExplanation
from headstart.explain.explanation import TextExplanation as TextExplanation
