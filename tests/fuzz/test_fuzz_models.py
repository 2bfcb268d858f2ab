"""Chat templates and model directories of strangers."""

import functools
import json
import shutil
import sys
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dialects.derive import derive_dialect
from pipeline.dialects.tokenizer import generation_eos_ids, load_tokenizer
from pipeline.embedders.load import check_embedder, embedder_digest
from pipeline.engines.adapter import adapter_args
from pipeline.engines.weights import weights_digest
from schemas.errors import EnvironmentMismatch, ModelError
from tests.adapters import write_adapter
from tests.fuzz.mutations import damaged, mutated
from tests.fuzz.outcomes import bounded, fuzzed, refusal
from tests.unit.dialects.chat_shapes import CHATML, LLAMA3, build

PLAIN = CHATML.template
ESCAPES = {
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ cycler.__init__.__globals__.os.system('touch PROOF') }}",
    "format": "{{ '{0.__class__.__init__.__globals__}'.format(messages) }}",
    "attr": "{{ ''|attr('__class__')|attr('__mro__') }}",
    "import": "{% import '/etc/passwd' as p %}{{ p }}",
    "include": "{% include '/etc/passwd' %}",
    "change": "{{ messages.append({'role': 'user', 'content': 'more'}) }}",
    "clear": "{{ messages.clear() }}",
    "self": "{{ self.__init__.__globals__ }}",
}
ENDLESS = {
    "range": "{% for i in range(10**9) %}x{% endfor %}",
    "nested": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "power": "{{ 9 ** (9 ** 9) }}",
    "text": "{{ 'x' * 10**10 }}",
    "doubling": "{% set n = namespace(x='xx') %}{% for i in range(60) %}"
    "{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "output": "{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
    "list": "{{ (range(99999)|list) * 99999 }}",
}
LATE = {
    "200 characters": "{% if messages[0].content|length >= 200 %}ENDLESS{% endif %}",
    "a long text": "{% for m in messages %}{% if m.content|length > 10000 %}ENDLESS{% endif %}"
    "{% endfor %}",
    "four turns": "{% if messages|length == 4 %}ENDLESS{% endif %}",
    "a system text and four turns": "{% if messages|length == 5 and messages[0].role == 'system' %}"
    "ENDLESS{% endif %}",
    "lines": "{% if messages[-1].content.count('\n') > 5 %}ENDLESS{% endif %}",
}
"""Where a template begins to go astray."""
UNSTABLE = {
    "random": "{{ [1, 2, 3, 4]|random }}",
    "lipsum": "{{ lipsum() }}",
    "undefined": "{{ nothing.at.all }}",
    "raises": "{{ raise_exception('no') }}",
    "syntax": "{% if %}",
    "unknown filter": "{{ messages|nosuch }}",
    "empty": "",
    "number": "{{ 1/0 }}",
    "half a pair": "\ud800",
    "clock": "{{ strftime_now('%s') }}",
    "odd clock": "{{ strftime_now('\x00') }}",
}


@functools.cache
def tokenizer_of_chatml():
    return build(CHATML)


def derived(folder, template: str):
    tokenizer = load_tokenizer(str(folder))
    tokenizer.chat_template = template
    return derive_dialect(tokenizer)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tokenizer_of_chatml().save_pretrained(folder)
    (folder / "generation_config.json").write_text('{"eos_token_id": [1]}')
    (folder / "config.json").write_text('{"bos_token_id": 1, "model_type": "llama"}')
    return folder


@pytest.mark.parametrize("trick", ESCAPES.values(), ids=ESCAPES.keys())
def test_template_does_not_escape(model, tmp_path, monkeypatch, trick):
    monkeypatch.chdir(tmp_path)
    refusal("template: escapes", lambda: derived(model, trick + PLAIN))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("trick", ENDLESS.values(), ids=ENDLESS.keys())
def test_template_without_end_is_refused_in_bounded_time(model, trick):
    with bounded(30):
        assert refusal("template: endless", lambda: derived(model, trick + PLAIN))


@pytest.mark.parametrize("when", LATE.values(), ids=LATE.keys())
def test_template_without_end_for_long_conversations_only_is_refused(model, when):
    late = when.replace("ENDLESS", ENDLESS["output"])
    with bounded(30), pytest.raises(ModelError, match="it writes more than"):
        derived(model, late + PLAIN)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("#!/bin/sh\nexit 1\n", "it ends with 1 (no word)"),
        ("#!/bin/sh\necho No module named jinja2 >&2\nexit 2\n", "2 (No module named jinja2)"),
        (None, "cannot be started: No such file"),
    ],
)
def test_template_that_cannot_be_tried_is_refused(model, tmp_path, monkeypatch, program, said):
    """A Python that does not work; each template is tried once, so these are others."""
    python = tmp_path / "python"
    if program is not None:
        python.write_text(program)
        python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(EnvironmentMismatch, match=r"tried in a process") as caught:
        derived(model, f"{PLAIN}{{# {uuid.uuid4().hex} #}}")
    assert said in str(caught.value)


def test_template_is_tried_with_the_libraries_that_are_found_here(model, tmp_path, monkeypatch):
    """Even where they lie on a path of one's own: a jinja2 there is the one that is taken."""
    (tmp_path / "jinja2.py").write_text("raise ImportError('the one on the path')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(EnvironmentMismatch, match="the one on the path"):
        derived(model, f"{PLAIN}{{# {uuid.uuid4().hex} #}}")


@pytest.mark.parametrize("trick", UNSTABLE.values(), ids=UNSTABLE.keys())
def test_template_that_fails_or_changes_is_refused_or_frozen(model, trick):
    for template in (trick, trick + PLAIN, PLAIN + trick):
        refusal("template: unstable", lambda: derived(model, template))  # noqa: B023


@pytest.mark.parametrize("trick", ["random", "lipsum"])
def test_template_of_chance_is_refused(model, trick):
    with pytest.raises(ModelError, match="cannot be used"):
        derived(model, UNSTABLE[trick] + PLAIN)


@fuzzed
@given(data=st.data())
def test_template_mutated_is_derived_or_refused(model, data):
    shape = data.draw(st.sampled_from((CHATML, LLAMA3)))
    payload = data.draw(damaged(shape.template.encode()))
    template = payload.decode("utf-8", "replace")
    refusal("template: mutated", lambda: derived(model, template))


FILES = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "config.json")


@fuzzed
@given(data=st.data())
def test_tokenizer_files_mutated_are_loaded_or_refused(model, tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "mutated"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(model, folder)
    file = folder / data.draw(st.sampled_from(FILES))
    if data.draw(st.booleans()):
        file.write_bytes(data.draw(damaged(file.read_bytes())))
    else:
        file.write_text(json.dumps(data.draw(mutated(json.loads(file.read_bytes())))))

    def load():
        tokenizer = load_tokenizer(str(folder))
        derive_dialect(tokenizer, eos_ids=generation_eos_ids(str(folder)))

    refusal(f"tokenizer: {file.name}", load)


def test_pickled_adapter_is_refused(tmp_path):
    folder = write_adapter(tmp_path / "adapter")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    for use in (adapter_args, lambda where: weights_digest(where, where)):
        assert refusal("adapter: pickled", lambda: use(str(folder)))  # noqa: B023


@fuzzed
@given(data=st.data())
def test_adapter_damaged_is_taken_or_refused(tmp_path_factory, data):
    base = tmp_path_factory.getbasetemp()
    folder = write_adapter(base / "adapter")
    shutil.copy(folder / "adapter_model.safetensors", folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    file = folder / data.draw(st.sampled_from(("adapter_config.json", "model.safetensors")))
    if file.suffix == ".json" and data.draw(st.booleans()):
        file.write_text(json.dumps(data.draw(mutated(json.loads(file.read_bytes())))))
    else:
        file.write_bytes(data.draw(damaged(file.read_bytes())))
    refusal("adapter: config", lambda: adapter_args(str(folder)))
    refusal("weights", lambda: weights_digest(str(folder), str(folder)))


@pytest.mark.parametrize(
    "named", ["../outside.safetensors", "/etc/passwd", 5, None, {"a": 1}, ".."]
)
def test_index_names_no_file_outside(tmp_path, named):
    (tmp_path / "outside.safetensors").write_bytes(bytes(16))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    index = folder / "model.safetensors.index.json"
    for content in ({"weight_map": {"w": named}}, {"weight_map": named}, {}, named):
        index.write_text(json.dumps(content))
        assert refusal("weights: index", lambda: weights_digest(str(folder)))


@pytest.fixture
def embedder(tmp_path):
    folder = tmp_path / "embedder"
    folder.mkdir()
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "model.safetensors").write_bytes(b"")
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    return folder


def test_embedder_that_brings_code_along_is_refused(embedder):
    modules = [{"idx": 0, "name": "0", "path": "", "type": "own.Own"}]
    (embedder / "modules.json").write_text(json.dumps(modules))
    said = refusal("embedder: code", lambda: check_embedder(str(embedder)))
    assert said is not None and "never run" in said


@pytest.mark.parametrize("ending", ["bin", "pt", "pkl"])
def test_embedder_of_pickled_weights_is_refused(embedder, ending):
    (embedder / "model.safetensors").rename(embedder / f"model.{ending}")
    said = refusal("embedder: pickled", lambda: check_embedder(str(embedder)))
    assert said is not None and "pickle" in said


@fuzzed
@given(data=st.data())
def test_embedder_files_mutated_are_taken_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "embedder"
    folder.mkdir(exist_ok=True)
    modules = [{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}]
    content = {"modules.json": modules, "config.json": {"model_type": "model2vec"}}
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "tokenizer.json").write_text("{}")
    for name, plain in content.items():
        (folder / name).write_text(json.dumps(data.draw(mutated(plain) | st.just(plain))))
    refusal("embedder", lambda: check_embedder(str(folder)))
    refusal("embedder", lambda: embedder_digest(str(folder)))
