"""Questions of different people, answered without knowing who asks."""

from collections.abc import Sequence

from pipeline.recipes import Method, with_system
from schemas.generation_spec import GenerationSpec
from schemas.records import Frame, RootRow


class Voices(Method):
    """Each row says who asks; only the model that asks is told."""

    name = "voices"
    level_defaults = {"assistant": {"fanout": 1, "temperature": 0.0}}

    def frame(self, spec: GenerationSpec, rows: Sequence[RootRow], level: int) -> Frame:
        """Readers (level 0) and answers see the bare template."""
        asked = level > 0 and spec.levels[level - 1].role == "user"
        return with_system((), f"The user is {rows[0].text}.") if asked else ()
