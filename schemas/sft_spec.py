"""SftSpec: what is trained, on which rows in which mixture, by which losses, and how it is judged.

A spec names a model, parts (data sets and sealed runs) and how much of each, and where the result
goes. Every number that decides weights is here, so a checkpoint can say what it was made of.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from schemas.curation_spec import Strict
from schemas.secrets import BELONG, secret_options

Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Places = str | tuple[str, ...]
Share = Annotated[float, Field(gt=0, le=1e9)]
Loss = Literal["answers", "turns", "all"]
Objective = Literal["next_token", "stored_kl", "model_kl", "reverse_kl"]

TaskColumn = Literal["messages", "prompt", "completion", "system", "text"]


class LineariseSpec(Strict):
    """How trees become rows to train on."""

    each: Literal["node", "leaf"] = "node"
    """`node`: every kept turn carries loss in exactly one row, the first that holds it, and is
    context in all others. `leaf`: every row is a whole conversation and all its turns carry loss,
    so what many leaves share counts many times. Either way, a turn that history has otherwise than
    it was written (reasoning is stripped) carries loss only in a row that it ends; where none
    does, it gets one of its own."""
    turns: Count | tuple[Count, ...] | None = None
    """Rounds of question and answer in a row: paths are cut after so many. Several numbers are
    mixed, evenly and by seed, over the leaves. None: down to the leaves."""
    per_opening: Count | None = None
    """At most so many rows, those for such turns included, from one opening question, chosen by
    seed; None: all. The question is the root where a user says it, else the first turn."""


class DataSource(Strict):
    """Rows of a data set."""

    files: Places
    """Files (.jsonl, .json, .parquet, .arrow, also .gz), patterns with `*`, or a folder as data
    sets come in."""
    columns: dict[TaskColumn, str] = {}
    """Our names to theirs; a column that is not named is found by our name or a usual one."""
    limit: Count | None = None
    """The first so many good rows."""
    max_bad_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01
    """Beyond this share of rows that cannot be trained on nothing is begun."""


class RunSource(Strict):
    """Rows of a sealed run: a snapshot, its drop list honoured."""

    location: str
    """The run's, or the folder's in which it is the only one."""
    snapshot: Annotated[int, Field(ge=0)] | None = None
    """Its number; None: the latest."""
    linearise: LineariseSpec = LineariseSpec()
    tokens: Literal["sampled", "template"] = "sampled"
    """`sampled`: the very ids the model saw and sampled, which needs its tokenizer. `template`: the
    messages, spelled by the trainee's own chat template."""
    limit: Count | None = None
    """The first so many rows."""


class PartSpec(Strict):
    """One ingredient of the mixture: where its rows come from, and what is learned from them."""

    data: DataSource | None = None
    run: RunSource | None = None
    """One of the two."""
    loss: Loss = "answers"
    """Which tokens carry loss: the assistant's, those of both who speak, or all there are. A plain
    text and a completion have one speaker only."""
    objective: Objective = "next_token"
    """`next_token`: cross-entropy. `stored_kl`: towards the distributions that the run stored.
    `model_kl`: towards the teacher's, computed as training goes. `reverse_kl`: the rows are
    prompts (all before the first learned id), the trainee answers them itself, and is drawn to the
    teacher on what it says."""
    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """Lambda: what the mean loss over this part's tokens of a step is multiplied by."""
    share: Share = 1.0
    """Of the mixture, relative to the other parts'."""
    passes: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """At most so many times over its rows; a mixture that needs more of them is refused."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.data is None) == (self.run is None):
            raise ValueError("expected either data or run, and not both")
        if self.objective == "stored_kl" and self.run is None:
            raise ValueError(
                "objective: found stored_kl for a data set; expected a run whose spec stores "
                "distributions (generation.top_logprobs), or model_kl"
            )
        return self


class MixSpec(Strict):
    """How much of each part, and when there is enough."""

    by: Literal["rows", "tokens"] = "tokens"
    """What shares are shares of; tokens are all ids of a row, context included."""
    amount: Count | None = None
    """So many rows or tokens in all, as `by` says. None: until the first part's passes are over."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0


class LoraSpec(Strict):
    """Low-rank adapters instead of all weights."""

    rank: Count = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: str | tuple[str, ...] = "all-linear"
    """Names of modules, or `all-linear`."""
    merge: bool = True
    """Whether what is saved at the end is a whole model; an adapter otherwise."""


class TuningSpec(Strict):
    """Which weights move, and what holds them."""

    lora: LoraSpec | None = None
    """None: full fine-tuning."""
    frozen: tuple[str, ...] = ()
    """Patterns (regular expressions, anywhere in a parameter's name) of what does not move."""
    l2: Annotated[float, Field(ge=0)] = 0.0
    """Half of this times the squared distance to the weights at the start is added to the loss."""
    wise_ft: Annotated[float, Field(ge=0, le=1)] | None = None
    """What is saved at the end lies so far on the line from the weights at the start (0) to those
    that were reached (1)."""


class RolloutSpec(Strict):
    """How the trainee answers prompts (`reverse_kl`)."""

    max_tokens: Count = 128
    temperature: Annotated[float, Field(gt=0)] = 1.0
    bootstrap_steps: Annotated[int, Field(ge=0)] = 0
    """In the first so many steps the teacher answers instead, and the trainee is drawn to it by
    forward KL: for a student too damaged to say anything worth correcting."""


class TrainingSpec(Strict):
    """The optimiser's settings."""

    batch_rows: Count = 8
    """Rows a device takes at once."""
    accumulate: Count = 1
    """Batches to a step."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of the steps."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    """The gradient's norm at most."""
    max_steps: Count | None = None
    """Stop after so many even if the mixture is not used up."""
    max_length: Count | None = None
    """Tokens of a row; longer ones are refused, or cut where `too_long` says so. None: what the
    model takes."""
    too_long: Literal["refuse", "cut", "leave_out"] = "refuse"
    """Prompts (`reverse_kl`) are never cut, but left out; an answer must have room beside them."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the computation; weights are kept in float32."""
    gradient_checkpointing: bool = False
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    log_every: Count = 1
    save_every: Count | None = None
    """Steps between checkpoints; None: ten over the run."""
    keep: Count = 2
    """Checkpoints kept, the newest; the last good one is always among them."""
    tensorboard: bool = False


class ChoicesSpec(Strict):
    """Questions with several answers, of which one is right, by cloze scoring."""

    items: str
    """JSONL: `question` (text that the answer goes on from), `choices`, `answer` (index)."""
    ask: str = "question"
    """The field that holds the question, where items word it in several ways. Small models know
    best how a sentence goes on."""
    chat: bool = False
    """Whether the question is put as a user's message, and the choice is the answer to it."""
    between: str = " "
    """What stands between question and choice in a plain text, where neither brings white space."""
    limit: Count | None = None


class TextsSpec(Strict):
    """Texts whose perplexity is measured."""

    items: str
    """JSONL with `text`, or a plain text file, a paragraph each."""
    max_tokens: Count = 256
    """Of a text, from its start."""
    limit: Count | None = 40


class SamplesSpec(Strict):
    """The original's own samples, held out, on which the KL to it is measured."""

    run: str | None = None
    """A sealed run; rows that were trained on should not be in it."""
    items: str | None = None
    """Or JSONL with `text` or `messages`."""
    limit: Count = 64
    max_tokens: Count = 256

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.run is None) == (self.items is None):
            raise ValueError("expected either run or items, and not both")
        return self


class GainSpec(Strict):
    """What was learned of the task: its held-out rows."""

    data: DataSource
    generate: bool = False
    """Whether answers are also written, greedily, and their last number compared."""
    max_tokens: Count = 256
    """Of a written answer."""


class HarnessSpec(Strict):
    """Tasks of lm-evaluation-harness, which brings its own data."""

    tasks: tuple[str, ...]
    include: str | None = None
    """A folder with further task files."""
    limit: Count | None = None
    batch_rows: Count = 8


class RetentionSpec(Strict):
    """What is measured on the same items before and after."""

    choices: dict[str, ChoicesSpec] = {}
    texts: dict[str, TextsSpec] = {}
    samples: dict[str, SamplesSpec] = {}
    """By name; each gives KL and CKA."""
    task: dict[str, GainSpec] = {}
    harness: HarnessSpec | None = None
    batch_rows: Count = 16
    """Rows of 256 tokens that the model reads at once; fewer of longer ones, more of shorter."""


class LaunchSpec(Strict):
    """By how many processes."""

    processes: Count = 1
    """Each with a GPU of its own where there are any."""
    by: Literal["torchrun", "ray"] = "torchrun"
    ray_address: str | None = None


class SftSpec(Strict):
    """One YAML file for `arborist sft`."""

    model: str
    """Directory of the trainee, or a packaged one's name."""
    teacher: str | None = None
    """Directory of the frozen model that `model_kl` and `reverse_kl` are drawn to, and that the
    report compares with. None: the trainee as it was at the start."""
    output: str
    """Folder of checkpoints, the trained model and the report."""
    parts: Annotated[dict[str, PartSpec], Field(min_length=1)]
    mix: MixSpec = MixSpec()
    tuning: TuningSpec = TuningSpec()
    training: TrainingSpec = TrainingSpec()
    rollouts: RolloutSpec = RolloutSpec()
    retention: RetentionSpec = RetentionSpec()
    launch: LaunchSpec = LaunchSpec()
    storage_options: dict[str, Any] = {}
    """Passed on to the filesystem of runs and data. Secrets belong into the environment, and are
    refused here."""

    @model_validator(mode="after")
    def _one_anchor(self) -> Self:
        if self.tuning.lora and self.tuning.l2:
            raise ValueError(
                "tuning: found lora and l2; expected one: the weights at the start do not move "
                "below an adapter"
            )
        return self

    @model_validator(mode="after")
    def _tells_no_secret(self) -> Self:
        if found := [f"storage_options.{name}" for name in secret_options(self.storage_options)]:
            raise ValueError(f"{', '.join(found)}: found a secret, expected none. {BELONG}")
        return self
