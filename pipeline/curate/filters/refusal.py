"""Refuses, or speaks of itself as a model.

The phrase lists with which ShareGPT was cleaned for Vicuna and WizardLM, in our own words. What we
changed: what refuses is looked for where an answer begins, in its first 200 characters, since "I
cannot help" further down is mostly told of somebody; what speaks of a model is looked for in all of
the text. Plain texts are looked at too, as such answers have come into the corpora of base models.
Case, punctuation and apostrophes do not matter. Score `refusal`: how many phrases stand there.
"""

from collections.abc import Sequence

from pipeline.curate.filters.filter import Filter, Mask, always, score
from pipeline.curate.phrases import phrases_of
from pipeline.curate.reading import Reading
from schemas.filter_spec import RefusalSpec
from schemas.measures import Measures

_BEGINNING = 200

_CAN_NOT = (
    *("I cannot", "I can't", "I can not", "I'm unable to", "I am unable to", "I'm not able to"),
    *("I am not able to", "I won't be able to", "I will not be able to", "I must decline to"),
    *("I have to decline to", "I'm not programmed to", "I am not programmed to"),
)
_DO = (
    *("assist", "help you", "help with", "provide", "fulfill", "fulfil", "comply", "generate"),
    *("create", "engage in", "discuss", "offer", "give you", "answer that", "answer this"),
    *("answer your", "do that", "complete this", "complete your"),
)
_REFUSALS = (
    *(f"{can_not} {do}" for can_not in _CAN_NOT for do in _DO),
    *("I'm sorry, but I can't", "I'm sorry, but I cannot", "I'm sorry, I can't"),
    *("I'm sorry, I cannot", "I am sorry, but I cannot", "I am sorry, but I can't"),
    *("I'm sorry, but I won't", "I apologize, but I cannot", "I apologize, but I can't"),
    *("Sorry, but I can't", "Sorry, I can't", "I must respectfully decline"),
    *("I'm not comfortable discussing", "I'm not comfortable providing"),
    *("I'm not comfortable assisting", "I'm not comfortable answering"),
)
_OF_ITSELF = (
    *("as an AI language model", "as a large language model", "as a language model, I"),
    *("as an AI model", "as an AI assistant", "as an artificial intelligence, I", "as an AI, I"),
    *("I'm just an AI", "I am just an AI", "I'm an AI", "I am an AI", "I'm only an AI"),
    *("I am a large language model", "I'm a large language model", "I am a language model"),
    *("my training data", "my knowledge cutoff", "my knowledge cut-off", "I was trained by"),
    *("I don't have personal opinions", "I do not have personal opinions"),
    *("I don't have personal experiences", "I do not have personal experiences"),
    *("against my programming", "my programming does not allow", "OpenAI's use policy"),
)


def _measure(reading: Reading, entries: Sequence[RefusalSpec]) -> tuple[float]:
    text, vocabulary = reading.normalised, reading.vocabulary
    asked = tuple(phrase for entry in entries for phrase in entry.phrases)
    refusals = phrases_of(_REFUSALS).count(text[:_BEGINNING], vocabulary)
    return (refusals + phrases_of((*_OF_ITSELF, *asked)).count(text, vocabulary),)


def _drops(measures: Measures, spec: RefusalSpec) -> Mask:
    return score(measures, "refusal") > 0


REFUSAL = Filter(version=1, columns=always("refusal"), measure=_measure, drops=_drops)
