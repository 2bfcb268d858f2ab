"""The second pass over an answer: a critique of it, then the answer again.

The rewritten turn takes the draft's place in the tree, with the draft's id; the draft and the
critique are rows beside it. Where either request fails, or nothing comes back that can be seen, the
draft stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.tree.aside import Aside, aside_place, aside_request, told
from pipeline.tree.expand import Place, fill, writer_of
from pipeline.tree.frontier import Parent
from pipeline.tree.identity import prompt_hash
from pipeline.tree.prompt import ask, is_unclosed, remember, tell, visible_text
from pipeline.tree.recipe import LevelRule
from pipeline.tree.run import Run
from schemas.dialect import Dialect
from schemas.generation_spec import CritiqueSpec
from schemas.records import Candidate, ChildKey, Ids, Outcome, Request, Sampling


def critique_requests(
    run: Run, wave: str, parents: Sequence[Parent], drafts: Sequence[Candidate], rule: LevelRule
) -> list[Request]:
    """What is wrong with each draft."""
    spec = _spec(rule)
    sampling = Sampling(max_tokens=spec.critique_tokens, temperature=spec.temperature)
    asked = Aside("critique", spec.engine, sampling)
    by_id = {parent.node_id: parent for parent in parents}
    return [
        aside_request(
            run,
            wave,
            draft,
            _asked(
                run, told(run, by_id[draft.parent_id or ""], draft, spec.engine), spec, "critique"
            ),
            asked,
        )
        for draft in drafts
    ]


def rewrite_requests(
    run: Run,
    wave: str,
    drafts: Mapping[str, Candidate],
    asked: Sequence[Request],
    critiques: Sequence[Candidate],
    rule: LevelRule,
) -> list[Request]:
    """Each draft again, after its critique; `asked` are the requests for the critiques."""
    spec = _spec(rule)
    level = rule.sampling
    sampling = replace(
        level,
        max_tokens=spec.rewrite_tokens or level.max_tokens,
        temperature=spec.temperature,
        stop_strings=(),
    )
    aside = Aside("rewrite", spec.engine, sampling)
    dialect = run.dialect(spec.engine)
    requests = []
    for request, critique in zip(asked, critiques, strict=True):
        if _says_something(critique, dialect):
            heard = remember(_told(request.prompt, dialect), "user", critique, dialect)
            prompt = _asked(run, heard, spec, "rewrite")
            requests.append(aside_request(run, wave, drafts[request.parent_id], prompt, aside))
    return requests


def _told(prompt: Ids, dialect: Dialect) -> Ids:
    """The conversation that ends with a question, without the marker to answer it."""
    return prompt[: len(prompt) - len(dialect.ask_assistant)]


def _says_something(said: Candidate, dialect: Dialect) -> bool:
    """Whether there is a text to be seen, after the reasoning."""
    if said.failure is not None or is_unclosed(said.text, said.reasoning_tokens, dialect):
        return False
    return bool(visible_text(said, dialect).strip())


def _asked(run: Run, conversation: Ids, spec: CritiqueSpec, kind: str) -> Ids:
    """The conversation with one more request of ours, down to the marker to answer."""
    tongue = run.tongue(spec.engine)
    dialect = run.dialects[tongue]
    words = run.phrases[tongue][spec.critique if kind == "critique" else spec.rewrite]
    return ask(tell(conversation, "assistant", words, dialect), "user", dialect)


def rewritten(
    run: Run,
    drafts: Mapping[str, Candidate],
    requests: Sequence[Request],
    outcomes: Mapping[ChildKey, Outcome],
) -> dict[str, Candidate]:
    """By node id, the turns that take the place of their drafts."""
    found = {}
    for request in requests:
        draft, outcome = drafts[request.parent_id], outcomes[request.keys[0]]
        turn = _turn(run, draft, request, outcome)
        if _says_something(turn, run.dialect(request.group)):
            found[draft.node_id] = turn
    return found


def _turn(run: Run, draft: Candidate, request: Request, outcome: Outcome) -> Candidate:
    place = Place(draft.tree_id, draft.node_id, draft.parent_id or "", draft.path, draft.role)
    hashed = prompt_hash(request.prompt)
    turn = fill(writer_of(run, request.group), place, outcome, prompt_hash=hashed)
    return replace(turn, origin="rewritten")


def draft_row(run: Run, draft: Candidate) -> Candidate:
    """A draft that was replaced, as the row beside the turn that replaced it."""
    return replace(draft, **aside_place(run, draft, "draft")._asdict())


def _spec(rule: LevelRule) -> CritiqueSpec:
    assert rule.critique is not None
    return rule.critique
