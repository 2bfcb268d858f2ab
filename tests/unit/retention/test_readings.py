import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.retention.divergence import divergences
from pipeline.retention.perplexity import measure_texts, text_rows
from pipeline.retention.reader import Reader, load_reader
from pipeline.retention.rows import (
    ROW_TOKENS,
    Row,
    Unaskable,
    masked_row,
    plan_batches,
    row_from,
    rows_digest,
)
from pipeline.retention.samples import Pair, measure_samples, ordinary
from schemas.errors import ModelError, SpecError
from schemas.records import to_ids
from tests.unit.retention.whole import logprobs

TEXTS = ["Why do trees grow upwards?", "x", "the roots of an old oak " * 9, "1984 or 2024"]


def silent(done, of):
    pass


def test_texts_cost_what_each_costs_alone(trainee, reader):
    rows = text_rows(trainee, TEXTS, 40)
    measured = measure_texts(reader, rows, 2, silent)
    for row, nll, tokens in zip(rows, measured.nll, measured.tokens, strict=True):
        told = logprobs(reader, row.ids)
        assert tokens == len(told) == len(row.ids) - 1 <= 40
        assert nll == pytest.approx(-told.sum(), abs=2e-4)


def test_texts_begin_with_the_start_and_keep_their_first_tokens(trainee):
    (row,) = text_rows(trainee, ["the answer to the question"], 3)
    assert tuple(row.ids[:1]) == trainee.dialect.start
    text = trainee.tokenizer.decode(row.ids[1:].tolist())
    assert len(row.ids) == 4 and "the answer to the question".startswith(text)


def test_answers_of_a_row_are_asked_about_where_it_is_learned(reader):
    ids = to_ids([5, 9, 12, 20, 7])
    row = masked_row(ids, np.array([True, False, True, False, True]))
    told = reader.logprobs([row], 4)[0]
    assert told == pytest.approx(logprobs(reader, ids)[[1, 3]], abs=2e-5)
    with pytest.raises(Unaskable):
        masked_row(ids, np.array([True, False, False, False, False]))


def test_model_whose_head_is_not_called_says_the_same(reader, monkeypatch):
    rows = [row_from(to_ids([1, 2, 3, 4]), 1), row_from(to_ids([7, 8]), 1)]
    expected = reader.logprobs(rows, 4)
    monkeypatch.setattr(reader.model, "get_output_embeddings", lambda: None)
    for ours, theirs in zip(reader.logprobs(rows, 4), expected, strict=True):
        assert ours == pytest.approx(theirs, abs=2e-5)


def test_model_that_gives_no_numbers_is_refused(reader):
    model = copy.deepcopy(reader.model)
    torch.nn.init.constant_(model.lm_head.weight, math.nan)
    with pytest.raises(ModelError, match="no finite numbers"):
        Reader(model, "broken").logprobs([row_from(to_ids([1, 2, 3]), 1)], 4)


def test_kl_and_cka_of_a_model_to_itself(trainee, reader):
    rows = text_rows(trainee, TEXTS, 40)
    measured = measure_samples(Pair(reader, reader), rows, 4, silent)
    assert measured.kl == (0.0,) * len(TEXTS)
    assert measured.cka == pytest.approx((1.0,) * 3)
    assert measured.layers == (0, 1, 2)


def test_kl_and_cka_of_two_models_equal_a_direct_computation(trainee, readers):
    rows = text_rows(trainee, TEXTS, 40)
    measured = measure_samples(Pair(*readers), rows, 4, silent)
    states = [[], []]
    for row, kl in zip(rows, measured.kl, strict=True):
        block = torch.tensor(row.ids[None].astype(np.int64))
        found = [r.model(input_ids=block, output_hidden_states=True) for r in readers]
        original, model = (f.logits[0, :-1].detach().double().log_softmax(-1) for f in found)
        assert kl == pytest.approx(float((original.exp() * (original - model)).sum(-1).mean()))
        for kept, told in zip(states, found, strict=True):
            kept.append(torch.stack(told.hidden_states)[:, 0, 1:-1].detach())
    x, y = (torch.cat(kept, dim=1).double().numpy() for kept in states)
    expected = [direct_cka(one, other) for one, other in zip(x, y, strict=True)]
    assert measured.cka == pytest.approx(expected, abs=1e-6)
    assert max(measured.cka[1:]) < 0.999


def direct_cka(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


def test_tokens_that_stand_out_in_one_model_are_left_out_of_both():
    one, other = torch.randn(2, 50, 4, generator=torch.Generator().manual_seed(0)).unbind()
    one[3] *= 100
    other[7] *= 100
    rest = [i for i in range(50) if i not in (3, 7)]
    kept = ordinary(one, other)
    assert torch.equal(kept[0], one[rest]) and torch.equal(kept[1], other[rest])


def test_divergence_by_hand():
    original = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log()
    model = torch.tensor([[0.25, 0.75], [0.9, 0.1]]).log() + 3
    expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert divergences(original, model).tolist() == pytest.approx([expected, 0], abs=1e-6)


def test_models_with_other_vocabularies_are_not_compared(trainee, reader, monkeypatch):
    class Wider:
        location, vocabulary, model = "wide", reader.vocabulary + 1, reader.model

    with pytest.raises(SpecError, match="a vocabulary of"):
        measure_samples(Pair(Wider(), reader), text_rows(trainee, TEXTS, 8), 4, silent)


@given(
    lengths=st.lists(st.integers(2, 600), min_size=1, max_size=30),
    batch_rows=st.integers(1, 4),
    most_asked=st.integers(1, 900),
)
def test_batches_hold_each_row_once_and_no_more_than_fits(lengths, batch_rows, most_asked):
    rows = [row_from(to_ids([0] * n), 1) for n in lengths]
    batches = plan_batches(rows, batch_rows=batch_rows, most_asked=most_asked)
    assert sorted(i for batch in batches for i in batch) == list(range(len(rows)))
    for batch in batches:
        held = len(batch) * max(lengths[i] for i in batch)
        asked = sum(lengths[i] - 1 for i in batch)
        assert len(batch) == 1 or (held <= batch_rows * ROW_TOKENS and asked <= most_asked)


def test_digest_tells_ids_and_what_is_asked_apart():
    ids = to_ids([1, 2, 3])
    rows = [
        [Row(ids, np.array([1, 2]))],
        [Row(ids, np.array([2]))],
        [Row(to_ids([1, 2]), np.array([1])), Row(to_ids([3, 3]), np.array([1]))],
    ]
    assert len({rows_digest(found) for found in rows}) == 3
    assert rows_digest(rows[0]) == rows_digest([Row(ids.copy(), np.array([1, 2]))])


def test_model_is_read_in_float32_on_any_device_whatever_its_files_say(
    trainee, reader, tmp_path, monkeypatch
):
    saved = copy.deepcopy(reader.model).bfloat16()
    saved.save_pretrained(tmp_path)
    # As on a GPU, but for the moving.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(type(saved), "to", lambda model, device: model)
    assert load_reader(str(tmp_path)).dtype == load_reader(trainee.location).dtype == "float32"
