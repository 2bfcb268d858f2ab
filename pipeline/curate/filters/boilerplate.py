"""Text of web pages and of prompts, which nobody says in a dialogue.

C4 (Raffel et al. 2020) drops pages with "lorem ipsum" or a curly bracket, and lines with
"javascript" or of policies and cookies. What we changed: turns may speak of JavaScript, hold code,
and explain what a cookie is, so brackets are let through and only whole phrases count. Beside them:
headings of instruction prompts, and fill-ins of a form that were left open, such as [Your Name].
Score `boilerplate`: how many phrases and patterns stand there.
"""

import re
from collections.abc import Sequence

from pipeline.curate.filters.filter import Filter, Mask, always, score
from pipeline.curate.phrases import phrases_of
from pipeline.curate.reading import Reading
from schemas.filter_spec import BoilerplateSpec
from schemas.measures import Measures

_PHRASES = (
    *("lorem ipsum", "please enable JavaScript", "enable JavaScript to run this app"),
    *("JavaScript is disabled in your browser", "requires JavaScript to be enabled"),
    *("this site uses cookies", "this website uses cookies", "accept all cookies"),
    *("all rights reserved", "terms of use and privacy policy", "subscribe to our newsletter"),
    *("terms of service and privacy policy", "sign up for our newsletter", "click here to"),
    *("skip to main content", "read more articles", "share this article"),
    *("you are a helpful assistant", "below is an instruction that describes a task"),
)

_PATTERNS = (
    re.compile(
        r"^[ \t]*(?:### ?(?:instruction|response|input|human|assistant)|human|assistant) ?:",
        re.IGNORECASE | re.MULTILINE,
    ),
    # Brackets alone are code or links as well: what is in them must ask to be filled in.
    re.compile(r"(?<![\w\])])\[(?:your|insert|enter)[ _][\w '/-]{1,40}\](?!\()", re.IGNORECASE),
    re.compile(
        r"(?<![\w\])])\[(?:full|first|last|recipient|company|client|customer)(?:['\u2019]s)? "
        r"[\w '/-]{1,40}\](?!\()",
        re.IGNORECASE,
    ),
    re.compile(r"(?<![\w\])])\[Name\](?!\()"),
)
_HINTS = (":", "[")


def _measure(reading: Reading, entries: Sequence[BoilerplateSpec]) -> tuple[float]:
    asked = tuple(phrase for entry in entries for phrase in entry.phrases)
    phrases = phrases_of((*_PHRASES, *asked))
    found = phrases.count(reading.normalised, reading.vocabulary)
    text = reading.turn.text
    if any(hint in text for hint in _HINTS):
        found += sum(pattern.search(text) is not None for pattern in _PATTERNS)
    return (found,)


def _drops(measures: Measures, spec: BoilerplateSpec) -> Mask:
    return score(measures, "boilerplate") > 0


BOILERPLATE = Filter(version=1, columns=always("boilerplate"), measure=_measure, drops=_drops)
