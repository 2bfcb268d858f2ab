"""Which id begins a text of a model, and which end one."""

import json

import pytest

from pipeline.dialects.derive import derive_dialect, require_chat
from pipeline.dialects.tokenizer import load_tokenizer
from schemas.errors import ModelError
from tests.unit.dialects.chat_shapes import CHATML, GEMMA, LLAMA3, QWEN25, VICUNA, ZEPHYR, build

START = {
    "bytes": "<bos>",
    "chatml": "<|endoftext|>",
    "qwen25": "<|endoftext|>",
    "llama2": "<s>",
    "llama3": "<|begin|>",
    "mistral_new": "<s>",
    "gemma": "<bos>",
    "phi3": "<|endoftext|>",
    "zephyr": "<s>",
    "vicuna": "<s>",
    "alpaca": "</s>",
    "qwen3": "<|endoftext|>",
    "r1": "<|begin|>",
    "glm": "<|endoftext|>",
    "harmony": "<|return|>",
}


@pytest.fixture
def derive(tmp_path):
    """The dialect of a shape with changes, what its start is, and what ends its texts."""

    def of(shape, *, chats=True, eos_ids=(), config=None):
        tokenizer = build(shape)
        if not chats:
            tokenizer.chat_template = None
        tokenizer.save_pretrained(tmp_path)
        (tmp_path / "config.json").write_text(json.dumps(config or {}))
        loaded = load_tokenizer(str(tmp_path))
        return loaded, derive_dialect(loaded, eos_ids=eos_ids)

    return of


def texts(tokenizer, ids):
    return [tokenizer.decode([i]) for i in ids]


@pytest.mark.parametrize("name", START)
def test_start_is_what_begins_texts_and_never_opens_a_turn(name, tokenizer_of, dialect_of):
    assert texts(tokenizer_of(name), dialect_of(name).start) == [START[name]]


def test_start_without_template_is_the_tokenizers_bos(derive):
    tokenizer, dialect = derive(GEMMA, chats=False)
    assert texts(tokenizer, dialect.start) == ["<bos>"]
    assert texts(tokenizer, dialect.text_stop_ids) == ["<eos>"]


@pytest.mark.parametrize("chats", [True, False])
def test_start_without_bos_is_what_the_config_names(derive, chats):
    shape = LLAMA3._replace(bos=None, template=LLAMA3.template.replace("{{ bos_token }}", ""))
    begin = build(shape).convert_tokens_to_ids("<|begin|>")
    tokenizer, dialect = derive(shape, chats=chats, config={"bos_token_id": begin})
    assert texts(tokenizer, dialect.start) == ["<|begin|>"]


def test_start_that_the_config_names_and_is_an_ordinary_token_is_passed_over(derive):
    tokenizer, dialect = derive(QWEN25, config={"bos_token_id": 1})
    assert texts(tokenizer, dialect.start) == ["<|endoftext|>"]


def test_start_is_what_the_tokenizer_itself_puts_in_front(derive, tmp_path):
    from tokenizers import processors

    tokenizer = build(ZEPHYR._replace(special=("<s>", "</s>", "<mask>", "<sop>"), bos=None))
    names = ("<mask>", "<sop>")
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<mask> <sop> $A",
        special_tokens=[(name, tokenizer.convert_tokens_to_ids(name)) for name in names],
    )
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(str(tmp_path))
    assert texts(loaded, derive_dialect(loaded).start) == list(names)


def test_start_of_a_base_model_without_bos_is_what_separates_documents(derive):
    tokenizer, dialect = derive(QWEN25._replace(eos="<|endoftext|>"), chats=False)
    assert texts(tokenizer, dialect.start) == ["<|endoftext|>"]


def test_start_may_be_an_end_of_texts_that_closes_answers_only(derive):
    shape = VICUNA._replace(bos=None, template=VICUNA.template.replace("{{ bos_token }}", ""))
    tokenizer, dialect = derive(shape)
    assert texts(tokenizer, dialect.start) == ["</s>"]


def test_start_is_nothing_where_all_control_tokens_mark_turns(derive):
    special = ("<|im_start|>", "<|im_end|>")
    _, dialect = derive(CHATML._replace(special=special))
    assert dialect.start == ()


def test_text_stops_are_all_ends_and_whole_stops_never_stand_between_turns(derive):
    end = build(CHATML).convert_tokens_to_ids("<|im_end|>")
    tokenizer, dialect = derive(CHATML, eos_ids=(end,))
    assert texts(tokenizer, dialect.text_stop_ids) == ["<|im_end|>", "<|endoftext|>"]
    assert texts(tokenizer, dialect.whole_stop_ids) == ["<|endoftext|>"]


def test_dialect_without_template_has_no_markers_and_leaks_all_control_tokens(derive):
    tokenizer, dialect = derive(GEMMA, chats=False)
    assert not dialect.chats
    markers = (dialect.after_user, dialect.ask_assistant, dialect.after_assistant)
    assert markers == ((), (), ())
    leaks = {"<bos>", "<start_of_turn>", "<end_of_turn>"}
    assert set(texts(tokenizer, dialect.leak_ids)) == leaks


def test_require_chat_names_the_model_and_the_file_to_write(derive, dialect_of):
    _, dialect = derive(GEMMA, chats=False)
    with pytest.raises(ModelError, match=r"some/model has no .*chat_template\.jinja"):
        require_chat(dialect, "some/model")
    require_chat(dialect_of("gemma"), "some/model")
