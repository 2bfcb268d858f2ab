"""Filters: rules over one turn and what stands above it. Each names the published rule behind it.

To add a filter: its settings in `schemas/filter_spec.py`, one file here, one line in the table.
The reason of a drop is the filter's name.
"""

from pipeline.curate.filters.alphabet import ALPHABET
from pipeline.curate.filters.boilerplate import BOILERPLATE
from pipeline.curate.filters.char_repetition import CHAR_REPETITION
from pipeline.curate.filters.decontaminate import DECONTAMINATE
from pipeline.curate.filters.disagrees import DISAGREES
from pipeline.curate.filters.echo import ECHO
from pipeline.curate.filters.empty import EMPTY
from pipeline.curate.filters.filter import Filter
from pipeline.curate.filters.gives_away import GIVES_AWAY
from pipeline.curate.filters.judge import JUDGE
from pipeline.curate.filters.language import LANGUAGE
from pipeline.curate.filters.length import LENGTH
from pipeline.curate.filters.likelihood import LIKELIHOOD
from pipeline.curate.filters.path_repetition import PATH_REPETITION
from pipeline.curate.filters.pii import PII
from pipeline.curate.filters.profanity import PROFANITY
from pipeline.curate.filters.refusal import REFUSAL
from pipeline.curate.filters.repetition import REPETITION
from pipeline.curate.filters.role_leak import ROLE_LEAK
from pipeline.curate.filters.symbols import SYMBOLS
from pipeline.curate.filters.truncated import TRUNCATED

FILTERS: dict[str, Filter] = {
    "empty": EMPTY,
    "truncated": TRUNCATED,
    "role_leak": ROLE_LEAK,
    "length": LENGTH,
    "repetition": REPETITION,
    "char_repetition": CHAR_REPETITION,
    "language": LANGUAGE,
    "symbols": SYMBOLS,
    "alphabet": ALPHABET,
    "refusal": REFUSAL,
    "boilerplate": BOILERPLATE,
    "gives_away": GIVES_AWAY,
    "disagrees": DISAGREES,
    "path_repetition": PATH_REPETITION,
    "echo": ECHO,
    "likelihood": LIKELIHOOD,
    "profanity": PROFANITY,
    "pii": PII,
    "decontaminate": DECONTAMINATE,
    "judge": JUDGE,
}
