"""Which words of a caption name something: told by lists and endings, for English, without a tagger."""

from __future__ import annotations

from collections.abc import Sequence

_FUNCTION = """
a an the this that these those some any each every all both either neither no none another other others many
much more most few several lot lots own same such i me my mine myself you your yours yourself he him his
himself she her hers herself it its itself we us our ours ourselves they them their theirs themselves one
ones who whom whose which what someone somebody something anyone anything everyone everything nobody nothing
is am are was were be been being do does did done has have had having can could will would shall should may
might must get gets got and or but nor so as if than then while when where because although though until
since whether whilst of in on at by for with from to into onto over under above below beneath between among
through across along around about against beside besides behind near toward towards off out up down upon
inside outside within without during before after past next like per via amid atop alongside underneath not
very too also just only even still yet again together apart away back here there now almost nearly quite
rather ahead nearby overhead forward backward backwards upward downward upside indoors outdoors zero two
three four five six seven eight nine ten eleven twelve twenty dozen first second third last pair
"""
_DESCRIBING = """
black white red green blue yellow brown orange pink purple grey gray tan blond blonde golden silver dark
bright light colorful colourful multicolored colored coloured striped plaid big small large little tiny huge
tall short long high low young old new older younger elderly adult teenage male female asian african
american indian chinese wet dry dirty clean muddy sandy snowy rocky grassy icy wooden empty full busy
crowded open closed bare shallow deep steep hot cold warm sunny happy sad angry smiling funny pretty
beautiful nice good bad best great hairy fluffy furry shaggy curly bald fat thin heavy shirtless topless
barefoot naked alone close far different various similar front left right top lone ready airborne smaller
larger wide round beige fallen lit outdoor indoor urban inflatable gold
"""
_ACTING = """
run runs ran sit sits sat stand stands stood lie lies lay lays jump jumps leap leaps play plays hold holds
held look looks wear wears wore walk walks ride rides rode go goes went gone come comes came take takes took
taken make makes made give gives gave catch catches caught throw throws threw thrown kick kicks climb climbs
swim swims swam fly flies flew fall falls fell ski skis surf surfs skate skates dance dances sing sings eat
eats ate drink drinks drank watch watches point points pose poses smile smiles laugh laughs chase chases
fight fights bite bites pull pulls push pushes carry carries reach reaches hang hangs hung swing swings
slide slides splash splashes race races wait waits talk talks read reads try tries move moves perform
performs show shows see sees seen saw shake shakes lean leans bend bends turn turns travel travels appear
appears enjoy enjoys share shares use uses wrestle wrestles tackle tackles grab grabs fetch fetches attempt
attempts prepare prepares gather gathers dig digs roll rolls crawl crawls spray sprays stick sticks hit hits
set sets put puts say says raise raises blow blows drive drives lead leads cross crosses start starts stop
stops
"""
_NAMED_ING = """
building ring string king wing thing clothing railing painting ceiling sling spring wedding evening morning
crossing lightning awning icing opening parking landing swing duckling covering sibling
"""
_NAMED_ED_LY = """
bed shed sled seed weed speed steed reed moped bobsled family belly bully lily jelly trolley fly butterfly
"""
_FUNCTION_WORDS = frozenset(_FUNCTION.split())
_NOT_NOUNS = frozenset(" ".join((_FUNCTION, _DESCRIBING, _ACTING)).split())
_NOUNS = frozenset(f"{_NAMED_ING} {_NAMED_ED_LY}".split())


def is_function_word(word: str) -> bool:
    """Tell whether a word of an English sentence holds it together and tells nothing itself.

    Example:
        >>> [word for word in "a small dog and the ball".split() if is_function_word(word)]
        ['a', 'and', 'the']
    """
    return word in _FUNCTION_WORDS


def is_noun(word: str) -> bool:
    """Tell whether a word of an English caption names something.

    Everything does but function words, numbers, the usual describing and acting words of captions (all from
    lists), and words in -ing, -ed and -ly, save some that name ("building", "bed").

    Args:
        word: In lower case, str.

    Example:
        >>> [word for word in "a small dog is running to the red building".split() if is_noun(word)]
        ['dog', 'building']
    """
    if word in _NOUNS:
        return True
    if word in _NOT_NOUNS or len(word) < 2 or not word.isalpha():
        return False
    return not word.endswith(("ing", "ed", "ly"))


def repeats_noun(words: Sequence[str]) -> bool:
    """Tell whether a caption names the same thing twice.

    Example:
        >>> repeats_noun("a man in a man".split()), repeats_noun("a man in a hat".split())
        (True, False)
    """
    named = [word for word in words if is_noun(word)]
    return len(set(named)) < len(named)
