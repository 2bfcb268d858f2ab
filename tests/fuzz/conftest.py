"""How much is tried: FUZZ_EXAMPLES inputs of each kind, few and always the same ones by default."""

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))

settings.register_profile(
    "fuzz",
    max_examples=EXAMPLES or 15,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def pytest_terminal_summary(terminalreporter):
    """What was tried, for those who asked for more of it."""
    from tests.fuzz.outcomes import TRIED

    if EXAMPLES:
        for (kind, outcome), times in sorted(TRIED.items()):
            terminalreporter.line(f"{times} {kind}: {outcome}")
