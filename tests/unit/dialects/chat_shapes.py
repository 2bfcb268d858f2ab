"""Small chat templates, each of the shape of one family, and tiny tokenizers to go with them."""

import json
from typing import NamedTuple

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

_CORPUS = (
    "Why do trees grow upwards? Because light comes from above, and so does rain.",
    "user assistant system model final analysis USER: ASSISTANT: [INST] [/INST] <<SYS>> <</SYS>>",
    "Tell me more about the roots of an old oak and what lives there in 1984 or 2024.",
    "<|user|>\n<|assistant|>\n### Instruction:\n\n### Response:\n\nA helpful answer, kept short.",
)


class Shape(NamedTuple):
    """A template, and the tokenizer it is made for."""

    template: str
    special: tuple[str, ...] = ()
    """Control tokens, declared as special."""
    plain: tuple[str, ...] = ()
    """Tokens of their own that are not declared as special."""
    glue: bool = False
    """Sentencepiece style: a word carries the space before it."""
    eos: str | None = None
    bos: str | None = None
    only_bytes: bool = False
    """A token is a byte."""
    rstrip: bool = False
    """Special tokens swallow the white space after them."""


def build(shape: Shape) -> PreTrainedTokenizerFast:
    """The tokenizer of a shape."""
    core = _bytes() if shape.only_bytes else _metaspace() if shape.glue else _byte_level()
    core.add_special_tokens(
        [AddedToken(t, special=True, normalized=False, rstrip=shape.rstrip) for t in shape.special]
    )
    core.add_tokens([AddedToken(t, special=False, normalized=False) for t in shape.plain])
    named = {"bos_token": shape.bos, "eos_token": shape.eos}
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        chat_template=shape.template,
        clean_up_tokenization_spaces=False,
        **{name: token for name, token in named.items() if token},
    )


def _byte_level() -> Tokenizer:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    # As in many real ones: offsets of tokens leave out the spaces at their edges.
    core.post_processor = processors.ByteLevel(trim_offsets=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        _CORPUS, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet)
    )
    return core


def _bytes() -> Tokenizer:
    stand_ins = bytes_to_unicode()
    core = Tokenizer(models.BPE(vocab={stand_ins[b]: b for b in range(256)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return core


def _metaspace() -> Tokenizer:
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(
        _CORPUS, trainers.BpeTrainer(vocab_size=220, special_tokens=["<unk>"])
    )
    model = json.loads(trained.to_str())["model"]
    vocab = model["vocab"]
    for byte in range(256):
        vocab.setdefault(f"<0x{byte:02X}>", len(vocab))
    core = Tokenizer(
        models.BPE(
            vocab=vocab,
            merges=[tuple(merge) for merge in model["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    core.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    core.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return core


BYTES = Shape(
    "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}"
    "{% else %}{{ '<' + m.role + '>' + m.content + '<end>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}",
    special=("<user>", "<assistant>", "<end>", "<bos>"),
    bos="<bos>",
    eos="<end>",
    only_bytes=True,
)

CHATML = Shape(
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    special=("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
    bos="<|im_start|>",
    eos="<|im_end|>",
)

CHATML_WITHOUT_PROMPT = CHATML._replace(template=CHATML.template.split("{% if add_gen")[0])

QWEN25 = CHATML._replace(
    template="{% if messages[0].role != 'system' %}"
    "{{ '<|im_start|>system\nA default prompt.<|im_end|>\n' }}{% endif %}" + CHATML.template,
    bos=None,
)

LLAMA2 = Shape(
    "{% if messages[0].role == 'system' %}"
    "{% set lead = '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' %}"
    "{% set turns = messages[1:] %}"
    "{% else %}{% set lead = '' %}{% set turns = messages %}{% endif %}"
    "{% for t in turns %}{% if t.role == 'user' %}"
    "{{ bos_token + '[INST] ' + (lead if loop.first else '') + t.content + ' [/INST]' }}"
    "{% else %}{{ ' ' + t.content + ' ' + eos_token }}{% endif %}{% endfor %}",
    special=("<s>", "</s>"),
    glue=True,
    bos="<s>",
    eos="</s>",
)

_LLAMA3_TURNS = (
    "{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n'"
    " + m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)

LLAMA3 = Shape(
    "{{ bos_token }}" + _LLAMA3_TURNS,
    special=("<|begin|>", "<|end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    bos="<|begin|>",
    eos="<|eot_id|>",
)

DATED = LLAMA3._replace(
    template="{{ bos_token + 'Today is ' + strftime_now('%d %b %Y') + '.' }}" + _LLAMA3_TURNS
)

MISTRAL_OLD = Shape(
    "{{ bos_token }}{% for m in messages %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate, the user first.') }}{% endif %}"
    "{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
    "{% else %}{{ m.content + eos_token + ' ' }}{% endif %}{% endfor %}",
    special=("<s>", "</s>"),
    glue=True,
    bos="<s>",
    eos="</s>",
)

MISTRAL_NEW = Shape(
    "{% if messages[0].role == 'system' %}{% set lead = messages[0].content + '\n\n' %}"
    "{% set turns = messages[1:] %}"
    "{% else %}{% set lead = '' %}{% set turns = messages %}{% endif %}"
    "{{ bos_token }}{% for t in turns %}{% if t.role == 'user' %}"
    "{{ '[INST] ' + (lead if loop.last else '') + t.content + '[/INST]' }}"
    "{% else %}{{ ' ' + t.content + eos_token }}{% endif %}{% endfor %}",
    special=("<s>", "</s>", "[INST]", "[/INST]"),
    glue=True,
    bos="<s>",
    eos="</s>",
)

MISTRAL_SYSTEM = MISTRAL_NEW._replace(
    template="{{ bos_token }}{% for t in messages %}"
    "{% if t.role == 'system' %}{{ '[SYSTEM]' + t.content + '[/SYSTEM]' }}"
    "{% elif t.role == 'user' %}{{ '[INST]' + t.content + '[/INST]' }}"
    "{% else %}{{ t.content + eos_token }}{% endif %}{% endfor %}",
    special=("<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM]", "[/SYSTEM]"),
    glue=False,
)

GEMMA = Shape(
    "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{{ raise_exception('No system role here') }}{% endif %}"
    "{% for m in messages %}{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role)"
    " + '\n' + m.content | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
    special=("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
    plain=("\n", "\n\n"),
    glue=True,
    bos="<bos>",
    eos="<eos>",
)

GEMMA_NEWER = GEMMA._replace(
    template=GEMMA.template.replace(
        "{{ raise_exception('No system role here') }}{% endif %}",
        "{% set lead = messages[0].content + '\n\n' %}{% set messages = messages[1:] %}{% endif %}",
    ).replace("m.content | trim", "(lead if loop.first and lead else '') + m.content | trim")
)

DROPS_SYSTEM = GEMMA._replace(
    template=GEMMA.template.replace(
        "{{ raise_exception('No system role here') }}", "{% set messages = messages[1:] %}"
    )
)

PHI3 = Shape(
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
    special=("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
    glue=True,
    eos="<|endoftext|>",
    rstrip=True,
)

ZEPHYR = Shape(
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + eos_token + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
    special=("<s>", "</s>"),
    glue=True,
    bos="<s>",
    eos="</s>",
)

VICUNA = Shape(
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content + ' ' }}"
    "{% elif m.role == 'user' %}{{ 'USER: ' + m.content + ' ' }}"
    "{% else %}{{ 'ASSISTANT: ' + m.content + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}",
    special=("<s>", "</s>"),
    glue=True,
    bos="<s>",
    eos="</s>",
)

ALPACA = Shape(
    "{% for m in messages %}{% if m.role == 'system' %}{{ m.content + '\n\n' }}"
    "{% elif m.role == 'user' %}{{ '### Instruction:\n' + m.content + '\n\n' }}"
    "{% else %}{{ '### Response:\n' + m.content + '\n\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Response:\n' }}{% endif %}",
    special=("</s>",),
    eos="</s>",
)

QWEN3 = Shape(
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}"
    "{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}{% set text = m.content %}{% set thought = '' %}"
    "{% if m.role == 'assistant' and '</think>' in text %}"
    "{% set thought = text.split('</think>')[0].split('<think>')[-1].strip('\n') %}"
    "{% set text = text.split('</think>')[-1].lstrip('\n') %}{% endif %}"
    "{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.role == 'assistant' and loop.index0 > ns.last %}"
    "{{ '<think>\n' + thought + '\n</think>\n\n' }}{% endif %}"
    "{{ text + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    special=CHATML.special,
    plain=("<think>", "</think>", "<tool_call>"),
    eos="<|im_end|>",
)

R1 = Shape(
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}"
    "{% elif m.role == 'user' %}{{ '<|User|>' + m.content }}"
    "{% else %}{{ '<|Assistant|>' + m.content.split('</think>')[-1] + eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|Assistant|><think>\n' }}{% endif %}",
    special=("<|begin|>", "<|end|>"),
    plain=("<|User|>", "<|Assistant|>", "<think>", "</think>"),
    bos="<|begin|>",
    eos="<|end|>",
)

GLM = Shape(
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' }}{% if m.role == 'assistant' %}"
    "{{ '<think></think>\n' + m.content.split('</think>')[-1].strip() }}"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
    special=("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>"),
    plain=("<think>", "</think>"),
    eos="<|endoftext|>",
)

GEMMA_CHANNELS = Shape(
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' }}"
    "{% if m.role == 'assistant' %}{{ m.content.split('<channel|>')[-1] | trim }}"
    "{% else %}{{ m.content | trim }}{% endif %}{{ '<turn|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|turn>model\n<|channel>thought\n<channel|>' }}{% endif %}",
    special=("<bos>", "<|turn>", "<turn|>", "<|channel>", "<channel|>"),
    bos="<bos>",
    eos="<turn|>",
)

HARMONY = Shape(
    "{{ '<|start|>system<|message|>Date: ' + strftime_now('%Y-%m-%d') + '<|end|>' }}"
    "{% for m in messages %}{% if m.role == 'system' %}"
    "{{ '<|start|>developer<|message|>' + m.content + '<|end|>' }}"
    "{% elif m.role == 'user' %}{{ '<|start|>user<|message|>' + m.content + '<|end|>' }}"
    "{% else %}{{ '<|start|>assistant<|channel|>final<|message|>' + m.content }}"
    "{{ '<|return|>' if loop.last and not add_generation_prompt else '<|end|>' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}",
    special=("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>"),
    eos="<|return|>",
)

SHAPES = {
    name.lower(): value for name, value in list(globals().items()) if isinstance(value, Shape)
}
