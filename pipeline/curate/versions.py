"""Versions of the rules that a run's verdicts come from: a part of its identity."""

import unicodedata
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from pipeline.curate import SELECTION_VERSION
from pipeline.curate.filters import FILTERS
from pipeline.curate.filters.filter import Filter
from pipeline.curate.signature import DESCRIPTION
from schemas.curation_spec import CurationSpec

TEXT = f"1: NFKC and case folding, Unicode {unicodedata.unidata_version}"
"""How text is read by filters, duplicates and embedders; the number rises with a change to it."""


def used_versions(spec: CurationSpec) -> dict[str, str]:
    """By name: the selection, the reading of text, the signature if there are any, each filter."""
    versions = {"selection": str(SELECTION_VERSION), "text": TEXT}
    if spec.duplicates != "keep":
        versions["signature"] = DESCRIPTION
    return versions | {entry.filter: _version(FILTERS[entry.filter]) for entry in spec.filters}


def signed_here(curation: Mapping[str, str]) -> bool:
    """Whether a run's signatures are those that this version would make of its texts."""
    return (curation.get("signature"), curation.get("text")) == (DESCRIPTION, TEXT)


def _version(rule: Filter) -> str:
    if not rule.library:
        return str(rule.version)
    try:
        return f"{rule.version} {rule.library} {version(rule.library)}"
    except PackageNotFoundError:
        return f"{rule.version} {rule.library} missing"
