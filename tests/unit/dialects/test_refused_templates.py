"""Templates without a dialect are refused, each for its own reason."""

import pytest

from pipeline.dialects.derive import derive_dialect
from pipeline.dialects.tokenizer import load_tokenizer
from schemas.errors import ModelError
from tests.unit.dialects.chat_shapes import CHATML, QWEN3, build

TURN = "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
ASK = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"


def over(messages, turn=TURN, ask=ASK):
    return "{% for m in " + messages + " %}" + turn + "{% endfor %}" + ask


REFUSED = {
    "numbered": (over("messages", "{{ '[Round %d] ' % loop.index }}" + TURN), "change"),
    "reversed": (over("messages[::-1]"), "reorders the texts"),
    "upper": (over("messages", TURN.replace("m.content", "m.content | upper")), "drops or changes"),
    "twice": (over("messages", TURN.replace("m.content", "m.content * 2")), "more than once"),
    "raising": ("{{ raise_exception('Tools only, please') }}", "Tools only, please"),
    "broken": ("{% for m in messages %}", "it refuses the turns"),
    "random": ("{{ range(10 ** 4) | random }}" + over("messages"), "not the same"),
    "bare": (over("messages", "{{ m.content + '\n' }}", ""), "where a user's turn ends"),
    "joined": (over("messages", "{{ m.content }}", ""), "nothing"),
    "unopened": (over("messages", "{{ m.content + eos_token }}", ""), "before the first user"),
    "two openers": (
        over("messages", ask="{% if add_generation_prompt %}{{ '<|im_start|>bot\n' }}{% endif %}"),
        "in one way to ask for it, in another later",
    ),
    "remains of thinking": (
        QWEN3.template.replace(
            "{% set text = text.split('</think>')[-1].lstrip('\n') %}",
            "{% set text = '(thought hidden)' + text.split('</think>')[-1] %}",
        ),
        "where it strips reasoning",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_derive_dialect_of_an_unreadable_template_says_why(name, tmp_path):
    template, reason = REFUSED[name]
    build(CHATML._replace(template=template)).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=reason) as caught:
        derive_dialect(load_tokenizer(str(tmp_path)))
    assert str(tmp_path) in str(caught.value)
