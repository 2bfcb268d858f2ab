"""How properties are tried: the machine may be busy, so no example has a deadline."""

from hypothesis import settings

settings.register_profile("arborist", deadline=None)
settings.load_profile("arborist")
