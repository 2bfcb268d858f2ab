"""Trees that models with other tokens write together: each reads the others in its own ids."""

from dataclasses import replace

import numpy as np

from pipeline.curate.measure import Measurer
from pipeline.dialects.scripted import ScriptedSpeller
from pipeline.tree.expand import attach, expand
from pipeline.tree.frontier import frontier_of, prompt_of
from pipeline.tree.turns import turns_of
from schemas.curation_spec import CurationSpec
from schemas.errors import ModelError
from schemas.records import Completion, Opening, to_ids
from tests.unit.samples import DIALECT, make_run, make_spec, plant_some

SHIFT = 1000
"""Between the ids of the two."""
MODELS = {"second": {"name": "second", "context": 4096}}


def shifted(ids):
    return to_ids([int(i) + SHIFT for i in ids])


class ShiftedSpeller:
    """The same characters under other ids."""

    def opening(self, frame):
        opening = ScriptedSpeller().opening(frame)
        return Opening(shifted(opening.ids), opening.last)

    def ids(self, text):
        if "#" in text:
            raise ModelError(f"{text} cannot be spelled")
        return shifted(text.encode())

    def heard(self, text):
        return self.ids(text.replace("#", ""))


SHIFTED = DIALECT.model_copy(
    update={
        name: tuple(i + SHIFT for i in getattr(DIALECT, name))
        for name in ("start", "after_user", "ask_assistant", "after_assistant", "user_stop_ids")
    }
    | {"assistant_stop_ids": (258 + SHIFT,), "text_stop_ids": (258 + SHIFT,)}
)


def two_tongues(spellers=True):
    """Questions by the first model, answers by the second."""
    spec = make_spec((1, 1, 1, 1), models=MODELS)
    levels = [
        level.model_copy(update={"engine": ("main", "second")[index % 2]})
        for index, level in enumerate(spec.levels)
    ]
    run = make_run(spec.model_copy(update={"levels": tuple(levels)}))
    both = (ScriptedSpeller(), ShiftedSpeller())
    return replace(
        run,
        tongues=(0, 1),
        dialects=(DIALECT, SHIFTED),
        phrases=({}, {}),
        spellers=both if spellers else (),
    )


def say(run, parents, level, text, ids):
    """One wave in which every child says the same."""
    rule = run.recipe.rule(run.spec, level)
    requests = expand(run, "wave", parents, rule)
    outcomes = {key: Completion(key, to_ids(ids), text, "stop") for r in requests for key in r.keys}
    return requests, attach(run, parents, requests, outcomes, rule)


def test_each_model_is_asked_in_its_own_ids():
    run = two_tongues()
    parents = plant_some(run, range(1))
    first, questions = say(run, parents, 1, "Why?", list(b"Why?"))
    assert first[0].prompt.tolist() == [*b"cats", 256]
    parents = frontier_of(run, parents, questions)
    second, answers = say(run, parents, 2, "So.", shifted(b"So."))
    assert second[0].prompt.tolist() == shifted([*b"cats", 256, *b"Why?", 258, 257]).tolist()
    assert answers[0].model_index == 1 and questions[0].model_index == 0
    assert second[0].sampling.stop_ids == (258 + SHIFT,)
    parents = frontier_of(run, parents, answers)
    third, _ = say(run, parents, 3, "And?", list(b"And?"))
    said = [*b"cats", 256, *b"Why?", 258, 257, *b"So.", 258, 256]
    assert third[0].prompt.tolist() == said
    assert third[0].sampling.stop_ids == DIALECT.user_stop_ids


def test_what_one_model_wrote_and_another_cannot_say_stops_nothing():
    run = two_tongues()
    roots = plant_some(run, range(1))
    _, questions = say(run, roots, 1, "W#hy?", list(b"W#hy?"))
    parents = frontier_of(run, roots, questions)
    own, theirs = parents[0].bodies
    assert own is not None and own.tolist() == list(b"W#hy?")
    assert theirs is not None and np.array_equal(theirs, shifted(b"Why?"))


def test_own_tokens_are_kept_as_they_were_sampled():
    run = two_tongues()
    roots = plant_some(run, range(1))
    _, questions = say(run, roots, 1, "Why?", [300, 301])
    parents = frontier_of(run, roots, questions)
    own, theirs = parents[0].bodies
    assert own is not None and own.tolist() == [300, 301]
    assert theirs is not None and np.array_equal(theirs, shifted(b"Why?"))


def test_without_spellers_only_own_tokens_are_known():
    run = two_tongues()
    roots = plant_some(run, range(1))
    _, questions = say(run, roots, 1, "Why?", list(b"Why?"))
    bare = two_tongues(spellers=False)
    parents = frontier_of(bare, roots, questions)
    assert prompt_of(bare, parents[0], bare.recipe.rule(bare.spec, 2)) is None
    assert prompt_of(bare, roots[0], bare.recipe.rule(bare.spec, 1)) is not None


def test_turns_of_one_wave_are_of_the_models_that_wrote_them():
    run = two_tongues()
    roots = plant_some(run, range(2))
    _, first = say(run, roots, 1, "Why?", list(b"Why?"))
    again = replace(first[1], token_ids=shifted(b"How?"), model_index=1, origin="rewritten")
    turns = turns_of(run, roots, [first[0], again])
    assert [turns[i].tongue for i in range(2)] == [0, 1]
    assert turns.part(1, 2)[0].tongue == 1
    leaks = (DIALECT, SHIFTED.model_copy(update={"leak_ids": (ord("?") + SHIFT,)}))
    found = Measurer(CurationSpec(filters=("role_leak",)), *leaks)(turns)
    assert found.column("role_leak").tolist() == [0, 1]
