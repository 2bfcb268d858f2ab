"""Loading a tokenizer from a directory, and the digests of what lies there."""

import json
from contextlib import suppress

import pytest

from pipeline.dialects.tokenizer import (
    declared_bos_ids,
    generation_eos_ids,
    load_tokenizer,
    template_digest,
    tokenizer_digest,
)
from schemas.errors import ModelError
from tests.unit.dialects.chat_shapes import CHATML, LLAMA3, build


@pytest.fixture
def model(tmp_path):
    build(CHATML).save_pretrained(tmp_path)
    return tmp_path


def edit(file, **changes):
    content = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(content | changes))


def test_load_tokenizer_takes_a_file_uri(model):
    assert load_tokenizer(f"file://{model}").get_vocab() == build(CHATML).get_vocab()


def test_load_tokenizer_without_directory_says_that_nothing_is_downloaded():
    with pytest.raises(ModelError, match=r"some/model.*ever downloaded"):
        load_tokenizer("some/model")


def test_load_tokenizer_from_an_empty_directory_names_the_files_expected(tmp_path):
    with pytest.raises(ModelError, match=r"Expected tokenizer.json"):
        load_tokenizer(str(tmp_path))


def test_load_tokenizer_from_a_broken_file_names_the_directory(model):
    (model / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=str(model)):
        load_tokenizer(str(model))


def test_template_digest_without_template_is_empty(model):
    (model / "chat_template.jinja").unlink()
    assert template_digest(load_tokenizer(str(model))) == ""


def test_load_tokenizer_never_runs_code_of_the_model(model):
    proof = model / "proof"
    (model / "own.py").write_text(f"open({str(proof)!r}, 'w')\nclass Own: pass\n")
    edit(model / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Own", "own.Own"]})
    with suppress(ModelError):
        load_tokenizer(str(model))
    assert not proof.exists()


def test_tokenizer_digest_follows_the_vocabulary_and_special_tokens(model, tmp_path_factory):
    before = tokenizer_digest(str(model))
    other = tmp_path_factory.mktemp("other")
    build(LLAMA3).save_pretrained(other)
    assert tokenizer_digest(str(other)) != before
    edit(model / "tokenizer_config.json", eos_token="<|endoftext|>")
    assert tokenizer_digest(str(model)) != before


def test_tokenizer_digest_ignores_template_place_and_versions(model, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    build(CHATML._replace(template=LLAMA3.template)).save_pretrained(other)
    edit(other / "tokenizer_config.json", transformers_version="0", model_max_length=7)
    assert tokenizer_digest(str(other)) == tokenizer_digest(str(model))


def test_template_digest_follows_the_template_alone(model):
    chatml, llama3 = build(CHATML), build(LLAMA3)
    assert template_digest(load_tokenizer(str(model))) == template_digest(chatml)
    assert template_digest(llama3) != template_digest(chatml)
    llama3.chat_template = chatml.chat_template
    assert template_digest(llama3) == template_digest(chatml)


@pytest.mark.parametrize(("written", "read"), [(5, (5,)), ([5, 7], (5, 7)), (None, ())])
def test_generation_eos_ids_reads_one_many_and_none(written, read, model):
    edit(model / "generation_config.json", eos_token_id=written)
    assert generation_eos_ids(str(model)) == read


def test_generation_eos_ids_without_file_is_empty(model):
    assert generation_eos_ids(str(model)) == ()


def test_declared_bos_ids_reads_the_config_first_and_the_part_for_texts(model):
    assert declared_bos_ids(str(model)) == ()
    edit(model / "generation_config.json", bos_token_id=5)
    edit(model / "config.json", bos_token_id=None, text_config={"bos_token_id": 7})
    assert declared_bos_ids(str(model)) == (7, 5)


@pytest.mark.parametrize("content", ['{"eos_token_id": "</s>"}', "[", "[1]"])
def test_generation_eos_ids_malformed_names_the_file(content, model):
    file = model / "generation_config.json"
    file.write_text(content)
    with pytest.raises(ModelError, match=str(file)):
        generation_eos_ids(str(model))
