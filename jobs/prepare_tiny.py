"""Makes `packaged-tiny`, a model of 0.7 million parameters that knows real facts, in the cache.

A Llama of two layers and a byte-level BPE of 2,048 tokens, both made here from scratch out of the
data in `jobs/specs/data`: capitals of countries and of the states of the USA, chemical elements,
human dialogues and texts. It chats (ChatML), writes questions as well as answers, and is small
enough that forgetting, and what prevents it, can be shown in seconds. On one machine the same
source gives the same weights; its name carries the digest of recipe and data.
"""

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs import tiny_lessons
from jobs.cache import cache_folder, made_once
from jobs.tiny_lessons import Lesson, lessons, read_all_words, read_material
from schemas.errors import EnvironmentMismatch

SEED = 1
ROUNDS = 24
BATCH_TOKENS = 768
NUM_THREADS = 1
"""Their number decides the order of sums, and so the last bits; several would wait for each other
most of the time, for so small a model."""
MATRIX_RATE, OTHER_RATE = 0.01, 0.003
WARM_UP, DECAY = 0.05, 0.5
"""Shares of the steps at its beginning and at its end."""

VOCABULARY = 2048
START, END, OPEN, CLOSE, PAD = SPECIAL = (
    "<|startoftext|>",
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|pad|>",
)
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SHAPE = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
IGNORED = -100


def cached_tiny() -> Path:
    """Where the prepared model lies, or would lie."""
    return cache_folder() / "models" / f"tiny-{_digest()}"


def prepare_tiny() -> Path:
    """The directory of the model, which is made if it is not there."""
    return made_once(cached_tiny(), _make)


def _digest() -> str:
    """Of all that decides the model, but the versions of its libraries."""
    hasher = hashlib.blake2b(digest_size=5)
    data = [tiny_lessons.DATA / name for name in tiny_lessons.READ]
    for file in (Path(__file__), Path(tiny_lessons.__file__), *data):
        hasher.update(file.read_bytes())
    return hasher.hexdigest()


def _make(folder: Path) -> None:
    try:
        tokenizer = _tokenizer()
        model = _trained(tokenizer)
    except ImportError as error:
        raise EnvironmentMismatch(
            f'{error}. Making the tiny model needs it; install the extra: pip install "arborist'
            '[sft]".'
        ) from error
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(read_all_words(), trainer)
    made.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", special_tokens=[(START, made.token_to_id(START))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=START,
        eos_token=END,
        pad_token=PAD,
        chat_template=TEMPLATE,
        model_max_length=SHAPE["max_position_embeddings"],
        clean_up_tokenization_spaces=False,
    )


def _trained(tokenizer: Any) -> Any:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(NUM_THREADS)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            model = _random_model(tokenizer)
            _train(model, tokenizer)
    finally:
        torch.set_num_threads(threads)
    return model.eval()


def _random_model(tokenizer: Any) -> Any:
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **SHAPE, **ids))
    model.generation_config = GenerationConfig(**ids)
    return model


def _train(model: Any, tokenizer: Any) -> None:
    """Next-token training on all tokens of every lesson, questions included."""
    from torch.nn.functional import cross_entropy
    from torch.nn.utils import clip_grad_norm_

    optimizers = _optimizers(model)
    rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    for share, rows in _batches(tokenizer):
        for optimizer, rate in zip(optimizers, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * _slope(share)
        ids, labels = _padded(rows, tokenizer.pad_token_id)
        states = model.model(input_ids=ids).last_hidden_state[:, :-1]
        counted = labels[:, 1:] != IGNORED
        loss = cross_entropy(model.lm_head(states[counted]), labels[:, 1:][counted])
        loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()


def _optimizers(model: Any) -> list[Any]:
    """Muon for the matrices, with which it takes half the steps; AdamW for all else."""
    import torch

    matrices: list[Any] = []
    others: list[Any] = []
    for name, tensor in model.named_parameters():
        (matrices if tensor.ndim == 2 and "embed" not in name else others).append(tensor)
    return [
        torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=0.0),
        torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.99), weight_decay=0.0),
    ]


def _slope(share: float) -> float:
    """Of the learning rate, by how much of the training is over."""
    return min(1.0, (share + 1e-3) / WARM_UP, max(0.02, (1 - share) / DECAY))


def _batches(tokenizer: Any) -> Iterator[tuple[float, list[list[int]]]]:
    """Rows of like length together, and how much of the training is over before them."""
    material, rng = read_material(), random.Random(SEED)
    for number in range(ROUNDS):
        rows = _spelled(tokenizer, list(lessons(material, rng)))
        batches = list(_divided(sorted(rows, key=len)))
        rng.shuffle(batches)
        for i, batch in enumerate(batches):
            yield (number + i / len(batches)) / ROUNDS, batch


def _spelled(tokenizer: Any, learned: list[Lesson]) -> list[list[int]]:
    texts = [
        tokenizer.apply_chat_template(lesson.messages, tokenize=False)
        if lesson.turns
        else START + lesson.text
        for lesson in learned
    ]
    ids = tokenizer([text + END for text in texts], add_special_tokens=False)["input_ids"]
    return [list(row) for row in ids]


def _divided(rows: list[list[int]]) -> Iterator[list[list[int]]]:
    batch: list[list[int]] = []
    for row in rows:
        if batch and (len(batch) + 1) * len(row) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    yield batch


def _padded(rows: list[list[int]], pad: int) -> tuple[Any, Any]:
    import torch

    longest = max(map(len, rows))
    filled = [row + [pad] * (longest - len(row)) for row in rows]
    labels = [row + [IGNORED] * (longest - len(row)) for row in rows]
    return torch.tensor(filled), torch.tensor(labels)
