"""Filters: rules over one candidate. Each gives a reason to drop it, or None."""

from collections.abc import Callable

from pipeline.curate.filters.empty import empty
from pipeline.curate.filters.role_leak import role_leak
from pipeline.curate.filters.truncated import truncated
from schemas.dialect import Dialect
from schemas.records import Candidate

Filter = Callable[[Candidate, Dialect], str | None]

FILTERS: dict[str, Filter] = {"empty": empty, "truncated": truncated, "role_leak": role_leak}
