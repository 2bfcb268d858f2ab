"""The papers that methods are of, as a card cites them."""

from collections.abc import Sequence
from typing import NamedTuple


class Paper(NamedTuple):
    """One paper on arXiv."""

    arxiv: str
    title: str
    authors: tuple[str, ...]
    year: int

    @property
    def link(self) -> str:
        """Its page."""
        return f"https://arxiv.org/abs/{self.arxiv}"

    @property
    def bibtex(self) -> str:
        """For a list of references."""
        return (
            f"@misc{{arxiv:{self.arxiv},\n"
            f"  title         = {{{self.title}}},\n"
            f"  author        = {{{' and '.join(self.authors)}}},\n"
            f"  year          = {{{self.year}}},\n"
            f"  eprint        = {{{self.arxiv}}},\n"
            "  archivePrefix = {arXiv},\n"
            f"  url           = {{{self.link}}}\n"
            "}"
        )


_TREES = Paper(
    "2406.11354",
    "Preserving Knowledge in Large Language Model with Model-Agnostic Self-Decompression",
    (
        "Zilun Zhang",
        "Yutao Sun",
        "Tiancheng Zhao",
        "Leigang Sha",
        "Ruochen Xu",
        "Kyusong Lee",
        "Jianwei Yin",
    ),
    2024,
)
_CONTEXT_FREE = Paper(
    "2505.13811",
    "Context-Free Synthetic Data Mitigates Forgetting",
    ("Parikshit Bansal", "Sujay Sanghavi"),
    2025,
)
_MAGPIE = Paper(
    "2406.08464",
    "Magpie: Alignment Data Synthesis from Scratch by Prompting Aligned LLMs with Nothing",
    (
        "Zhangchen Xu",
        "Fengqing Jiang",
        "Luyao Niu",
        "Yuntian Deng",
        "Radha Poovendran",
        "Yejin Choi",
        "Bill Yuchen Lin",
    ),
    2024,
)
_SDFT = Paper(
    "2402.13669",
    "Self-Distillation Bridges Distribution Gap in Language Model Fine-Tuning",
    (
        "Zhaorui Yang",
        "Tianyu Pang",
        "Haozhe Feng",
        "Han Wang",
        "Wei Chen",
        "Minfeng Zhu",
        "Qian Liu",
    ),
    2024,
)
_SSR = Paper(
    "2403.01244",
    "Mitigating Catastrophic Forgetting in Large Language Models with Self-Synthesized Rehearsal",
    (
        "Jianheng Huang",
        "Leyang Cui",
        "Ante Wang",
        "Chengyi Yang",
        "Xinting Liao",
        "Linfeng Song",
        "Junfeng Yao",
        "Jinsong Su",
    ),
    2024,
)
_CONDOR = Paper(
    "2501.12273",
    "Condor: Enhance LLM Alignment with Knowledge-Driven Data Synthesis and Refinement",
    (
        "Maosong Cao",
        "Taolin Zhang",
        "Mo Li",
        "Chuyu Zhang",
        "Yunxin Liu",
        "Haodong Duan",
        "Songyang Zhang",
        "Kai Chen",
    ),
    2025,
)

_OF_RECIPE = {
    "tg-sft": _TREES,
    "tg-pt": _TREES,
    "topics": _TREES,
    "context-free": _CONTEXT_FREE,
    "context-free-reasoning": _CONTEXT_FREE,
    "contextual": _CONTEXT_FREE,
    "magpie": _MAGPIE,
    "self-distill": _SDFT,
    "rehearsal": _SSR,
}


def papers_of(recipe: str, *, critique: bool) -> Sequence[Paper]:
    """The paper of a recipe, if it has one, and that of the second pass over answers."""
    own = [_OF_RECIPE[recipe]] if recipe in _OF_RECIPE else []
    return [*own, _CONDOR] if critique else own
