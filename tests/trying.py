"""How much properties try: few examples by default, many by HYPOTHESIS_PROFILE=thorough."""

import os

from hypothesis import settings

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "bounded")
THOROUGH = PROFILE == "thorough"
MORE = 20

settings.register_profile("bounded", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=100 * MORE)


def examples(few: int) -> int:
    """So many, or many times as many where all properties are tried thoroughly."""
    return few * MORE if THOROUGH else few
