"""Words of a list of profanities: a weak sign, so the share is a score first.

C4 (Raffel et al. 2020) drops a page that holds one word of such a list, which was found to drop
much harmless text (Dodge et al. 2021); Gopher and ROOTS judge by the share. The list is that of
better_profanity, compared word by word; its entries of several words are found too, those that
replace letters by signs are not. What we changed: words of the body, of faith, history and trade
that a teacher may well say are not counted; and in a question of ten words one is a tenth, so more
than one must be found. Scores `profanity`, the share of words inside of entries, and
`profane_words`, their number.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from pipeline.curate.filters.filter import Filter, Mask, always, score, share_of
from pipeline.curate.reading import Reading
from schemas.filter_spec import ProfanitySpec
from schemas.measures import Measures

_EVERYDAY = """
anal anus areole arian aryan bondage breasts busty chink cowgirl cowgirls dong dummy ejaculate
ejaculated ejaculation enlargement erect erection erotic extacy facial fat flange foobar
foreskin gae gai gay gays gey glans god gonad gonads guido hebe hell hemp heroin herpes hitler
hiv hoar hoare homey hooch hookah hump humped hymen incest jerk jerked kill labia len leper
lesbians loin loins lust massa maxi menses menstruate menstruation meth molest moron muff murder
nad naked napalm nappy nazi nazism negro nimrod nipple nipples nude nudes omg opiate opium oral
orally organ orgasm orgasms ovary ovum ovums paddy panties panty pastie pasty pawn pcp penetrate
penetration penile penis perversion peyote phallic pinko pms pollock pot potty prig prude pubic
pubis quicky racy rape raped rapist rectal rectum rectus reefer reich revue rum rump sadism
sadist sandbar schizo screw screwed scrog scrotum scrud seaman seamen seduce semen sex sexual
shag slave sleaze slope snatch sniper snuff sodom souse soused sperm steamy stoned strip stroke
suck sucked sucking tampon tawdry teat teats teste testes testicle testis thrust thug tinkle
toke tramp transsexual trashy tush ugly undies unwed urinal urine uterus uzi vagina valium
viagra virgin vixen vodka vomit voyeur vulgar vulva wad wang wazoo wedgie weed weirdo wench whiz
womb woody xx
"""
"""Listed, but with a sense in which anybody says them."""

Entries = dict[str, list[tuple[str, ...]]]


def _measure(reading: Reading, entries: Sequence[ProfanitySpec]) -> tuple[float, float]:
    words, listed = reading.words, _listed()
    found = 0 if listed.keys().isdisjoint(reading.vocabulary) else _count(words, listed)
    return share_of(found, len(words)), found


def _count(words: list[str], listed: Entries) -> int:
    """Words inside of entries."""
    covered = found = 0
    for start, word in enumerate(words):
        for entry in listed.get(word, ()):
            end = start + len(entry)
            if tuple(words[start:end]) == entry:
                found += max(0, end - max(start, covered))
                covered = max(covered, end)
    return found


@cache
def _listed() -> Entries:
    """Entries by their first word."""
    text = files("better_profanity").joinpath("profanity_wordlist.txt").read_text("utf-8")
    everyday, by_first = frozenset(_EVERYDAY.split()), Entries()
    for line in sorted({line.strip().lower() for line in text.splitlines()}):
        entry = tuple(line.replace("-", " ").split())
        if line not in everyday and entry and all(word.isalnum() for word in entry):
            by_first.setdefault(entry[0], []).append(entry)
    return by_first


def _drops(measures: Measures, spec: ProfanitySpec) -> Mask:
    enough = score(measures, "profane_words") >= spec.min_words
    out: Mask = enough & (score(measures, "profanity") > spec.max_share)
    return out


PROFANITY = Filter(
    version=1,
    columns=always("profanity", "profane_words"),
    measure=_measure,
    drops=_drops,
    library="better-profanity",
)
