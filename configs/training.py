"""What a training run says: `configs/training/<recipe>.yaml`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import Field, model_validator

from configs.brand import Strict
from configs.checked import validate
from configs.errors import ConfigError
from configs.yaml_file import Where, YamlFile, did_you_mean, read_yaml


class Lora(Strict):
    """The adapter's shape, in PEFT's words."""

    r: int = Field(default=16, ge=1, le=256, description="Rank.")
    lora_alpha: int = Field(default=32, ge=1, description="Scale: updates are multiplied by lora_alpha / r.")
    lora_dropout: float = Field(default=0.05, ge=0, lt=1)
    b_rate: float = Field(
        default=1.0,
        ge=1,
        le=64,
        description="How many times faster the second matrix of an update learns than the first (LoRA+).",
    )
    target_modules: tuple[str, ...] | Literal["all-linear"] = Field(
        default="all-linear", description="Layers that get an update, by the last part of their name."
    )


class Data(Strict):
    """Which examples are made of the conversations."""

    variants: int = Field(
        default=3, ge=1, le=8, description="Prompts made of one answered turn: the one of service, then varied ones."
    )
    min_passages: int = Field(default=1, ge=1, le=10, description="Fewest passages in a varied prompt.")
    max_passages: int = Field(default=4, ge=1, le=10, description="Most passages in any prompt.")
    max_source_tokens: int = Field(default=700, ge=50, description="Budget of all passages in a prompt, in tokens.")
    refusals_with_sources: bool = Field(
        default=True, description="Also teach to refuse where passages are shown that do not hold the answer."
    )
    max_examples: int | None = Field(
        default=None,
        ge=1,
        description="Train on this many examples, spread over all kinds and topics; all where absent.",
    )
    general: Path | None = Field(
        default=None,
        # What it holds counts in the digest of the data; where it lies counts nowhere.
        exclude=True,
        description="General conversations to mix in against forgetting, in any form that `brandvoice data check` "
        "reads; a relative path is relative to the folder that holds `configs`.",
    )
    general_share: float = Field(default=0, ge=0, le=0.5, description="Share of general conversations; 0 is none.")
    corrections: bool = Field(
        default=True, description="Also learn from corrections that were accepted in review (docs/corrections.md)."
    )
    corrections_repeat: int = Field(
        default=1, ge=1, le=20, description="How often an accepted correction is learnt where another row is once."
    )
    unsupported_numbers: bool = Field(
        default=True,
        description="Also learn replies with a number that none of their passages holds, such as of before an edit.",
    )
    seed: int = Field(default=7, description="Of passages' number, order and distractors, and of the subset.")

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.min_passages > self.max_passages:
            raise ValueError("min_passages is larger than max_passages")
        if bool(self.general_share) != bool(self.general):
            raise ValueError("general names the conversations of which general_share is the share: give both or none")
        return self


class Sft(Strict):
    """Optimisation, in TRL's words."""

    learning_rate: float = Field(default=5e-4, gt=0, lt=1)
    num_train_epochs: float = Field(default=4, gt=0, le=100)
    max_steps: int = Field(default=-1, ge=-1, description="Stop after this many steps; -1 leaves it to the epochs.")
    per_device_train_batch_size: int = Field(default=8, ge=1)
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    lr_scheduler_type: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: float = Field(default=0.05, ge=0, lt=1, description="Share of steps until the full learning rate.")
    weight_decay: float = Field(default=0.0, ge=0, lt=1)
    max_grad_norm: float = Field(default=1.0, gt=0)
    max_length: int = Field(default=1024, ge=64, description="Longest example, in tokens; a longer one is an error.")
    packing: bool = Field(
        default=False,
        description="Several examples share a row of max_length tokens, each blind to the others: no padding.",
    )
    held_back: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="Share of the conversations kept out of training to watch the loss on; the best state is taken.",
    )
    evaluate_every: int = Field(default=50, ge=1, description="Steps between two looks at what is held back.")
    patience: int = Field(
        default=0, ge=0, description="Stop after this many looks without a lower loss; 0 trains to the end."
    )
    checkpoint_every: int = Field(
        default=0, ge=0, description="Steps between two states on disk, to go on from after a crash; 0 keeps none."
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="Of the arithmetic; auto is bfloat16 where the machine has units for it."
    )
    weights: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="How the base lies in memory beside an adapter; bfloat16 takes half, on a GPU with units for it.",
    )
    attention: Literal["auto", "sdpa", "packed"] = Field(
        default="auto",
        description="packed: a kernel that is told where each example of a row ends (GPU, with packing); sdpa: "
        "PyTorch's with a mask; auto: packed where it can be.",
    )
    fused_lora: bool = Field(
        default=False,
        description="A layer and its adapter are one step, on a GPU: fewer passes over memory; lora_dropout must be 0.",
    )
    fused_layers: bool = Field(
        default=False, description="Norms, gates and rotations are one kernel each, on a GPU (needs liger-kernel)."
    )
    distillation: float = Field(
        default=0,
        ge=0,
        le=100,
        description="Weight by which an adapter is held to what the base says of the general conversations, rather "
        "than learn them; 0 learns them as the others.",
    )
    strength: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of what an adapter learnt that is kept: less brings it nearer to the base.",
    )
    gradient_checkpointing: bool = Field(
        default=False, description="Compute each layer twice rather than keep what it made: less memory, slower."
    )
    seed: int = Field(default=7, description="Of the adapter's start, the order of examples and dropout.")
    tracker: Literal["none", "trackio", "mlflow"] = Field(
        default="none",
        # Who watches changes nothing of what is trained.
        exclude=True,
        description="Also keep losses and settings in this tracker, on this machine; it must be installed.",
    )

    @model_validator(mode="after")
    def _watched(self) -> Self:
        if self.patience and not self.held_back:
            raise ValueError("patience needs conversations to watch; set held_back, such as 0.1")
        return self


class Dpo(Sft):
    """Optimisation from pairs of replies, in TRL's words; a step's batch counts pairs."""

    learning_rate: float = Field(default=5e-5, gt=0, lt=1)
    num_train_epochs: float = Field(default=1, gt=0, le=100)
    beta: float = Field(
        default=0.1, gt=0, le=10, description="How dearly each step away from the reference is paid; less is bolder."
    )
    packing: Literal[False] = Field(default=False, description="Pairs do not share rows.")
    attention: Literal["auto", "sdpa"] = Field(default="auto", description="PyTorch's.")
    distillation: Literal[0] = Field(default=0, description="Not for pairs, which have a reference.")
    fused_lora: Literal[False] = Field(default=False, description="Not for pairs.")
    fused_layers: Literal[False] = Field(default=False, description="Not for pairs.")
    strength: float = Field(default=1.0, ge=1, le=1, description="Not for pairs.")


ADDED_LATER = {
    "": ("method",),
    "lora": ("b_rate",),
    "data": ("general_share", "corrections", "corrections_repeat", "unsupported_numbers"),
    "sft": (
        *("packing", "held_back", "evaluate_every", "patience", "checkpoint_every"),
        *("weights", "attention", "fused_lora", "fused_layers", "gradient_checkpointing"),
        *("distillation", "strength"),
    ),
    "dpo": ("strength",),
}
"""Keys that did not exist when the first adapters were trained. One with its default, which does as was done before,
stays out of the digest: an adapter made without it is still up to date."""


class _Named(Strict):
    """What every recipe has."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{1,39}$", description="Same as the file's name.")

    def sha256(self) -> str:
        """Digest over the values with defaults filled in; layout and comments of the YAML leave it unchanged."""
        values = self.model_dump(mode="json")
        # Of preferences it was a key from the first.
        if isinstance(self, Recipe) and self.start_from == "base":
            del values["start_from"]
        for part, keys in ADDED_LATER.items():
            model: Any = getattr(self, part, None) if part else self
            held = values.get(part, {}) if part else values
            for key in keys if model is not None else ():
                if key in held and held[key] == type(model).model_fields[key].default:
                    del held[key]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


class Recipe(_Named):
    """How an adapter is trained."""

    start_from: str = Field(
        default="base",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="base: a new adapter on the base model; active: goes on from the version that speaks now; or a "
        "version to go on from.",
    )
    method: Literal["lora", "qlora", "full"] = Field(
        default="lora",
        description="What is trained: an adapter; one beside a base of 4 bits (GPU); or all weights, to compare with.",
    )
    lora: Lora = Field(default=Lora(), description="Of an adapter on the base; one that goes on keeps its shape.")
    data: Data = Data()
    sft: Sft = Sft()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.sft.fused_lora and self.lora.lora_dropout:
            raise ValueError("sft.fused_lora knows no dropout; set lora.lora_dropout to 0")
        if self.sft.weights == "bfloat16" and self.method == "full":
            raise ValueError("small steps are lost in weights of bfloat16; take sft.weights: float32 for method full")
        if self.sft.distillation and self.method == "full":
            raise ValueError("sft.distillation compares with the adapter off, and method full has none; set it to 0")
        if self.sft.strength < 1 and self.method == "full":
            raise ValueError("sft.strength is of an adapter, and method full has none; set it to 1")
        if self.lora.b_rate > 1 and self.method == "full":
            raise ValueError("lora.b_rate is of an adapter, and method full has none; set it to 1")
        if self.start_from != "base" and self.method != "lora":
            raise ValueError(f"start_from goes on from an adapter, and method {self.method} does not; set it to base")
        if self.start_from != "base" and self.sft.strength < 1:
            raise ValueError("sft.strength would weaken what it goes on from too; set it to 1 with start_from")
        if self.sft.distillation and not self.data.general:
            raise ValueError("sft.distillation needs general conversations; set data.general and data.general_share")
        return self


class Preferences(Strict):
    """Which pairs of replies are learnt from."""

    file: Path | None = Field(
        default=None,
        # What it holds counts in the digest of the data; where it lies counts nowhere.
        exclude=True,
        description="Rows with `prompt`, `chosen` and `rejected`, in any file that `brandvoice data check` reads; "
        "`--pairs` names another one. A relative path is relative to the folder that holds `configs`.",
    )
    prompts: Literal["service", "as_is"] = Field(
        default="service",
        description="service: a prompt without a system message becomes the one that service would send, with the "
        "passages that search finds; as_is: messages as they stand.",
    )
    max_pairs: int | None = Field(default=None, ge=1, description="Learn from this many, drawn at random; else all.")
    seed: int = Field(default=7, description="Of that draw.")


class DpoRecipe(_Named):
    """How an adapter learns which of two replies is the better one."""

    method: Literal["dpo"] = Field(description="Tells the file from the recipes that learn from conversations.")
    start_from: str = Field(
        default="active",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="active: the version that speaks now; base: the base model; or a version. It is the reference too.",
    )
    lora: Lora = Field(default=Lora(), description="Of an adapter on the base; one that goes on keeps its shape.")
    pairs: Preferences = Preferences()
    dpo: Dpo = Dpo()


AdapterRecipe = Recipe | DpoRecipe


class Pairs(Strict):
    """Which pairs of a question and a passage are made of a brand's pages."""

    kept_out: float = Field(
        default=0.25, gt=0, lt=0.9, description="Share of the pages that are not trained on: the gate asks about them."
    )
    words_dropped: float = Field(
        default=0.4, ge=0, lt=1, description="Share of a sentence's topic words that its made question leaves out."
    )
    hard_negatives: int = Field(
        default=1, ge=0, le=4, description="Passages of other pages, the nearest to the question, in each pair."
    )
    max_pairs: int = Field(default=1200, ge=16, description="Train on this many pairs, spread over all pages.")
    seed: int = Field(default=7, description="Of the pages kept out, the words left out and the order of pairs.")


class Optimisation(Strict):
    """Optimisation of a model of search, in the words of sentence-transformers."""

    learning_rate: float = Field(default=2e-5, gt=0, lt=1)
    num_train_epochs: int = Field(default=2, ge=1, le=20)
    max_steps: int = Field(default=-1, ge=-1, description="Stop after this many steps; -1 leaves it to the epochs.")
    warmup_ratio: float = Field(default=0.1, ge=0, lt=1, description="Share of steps until the full learning rate.")
    weight_decay: float = Field(default=0.0, ge=0, lt=1)
    max_grad_norm: float = Field(default=1.0, gt=0)


class Contrastive(Optimisation):
    """Of an encoder."""

    per_device_train_batch_size: int = Field(
        default=16, ge=2, le=256, description="The other pairs of a batch are each pair's negatives."
    )
    scale: float = Field(default=20.0, gt=0, le=100, description="Cosines are multiplied by this before the softmax.")
    seed: int = Field(default=7, description="Of dropout.")


class CrossEntropy(Optimisation):
    """Of a cross-encoder."""

    per_device_train_batch_size: int = Field(
        default=16, ge=1, le=256, description="A question with one passage each, the right one or a negative."
    )
    seed: int = Field(default=7, description="Of the head that is new, the order of examples and dropout.")


class _OfPages(_Named):
    """What the recipes of both models of search have."""

    pairs: Pairs = Pairs()


class RetrieverRecipe(_OfPages):
    """How the encoder of a brand is trained."""

    trains: Literal["retriever"] = Field(description="Tells the file from the recipes of other models.")
    contrastive: Contrastive = Contrastive()


class CrossEncoderRecipe(_OfPages):
    """How the cross-encoder of a brand is trained."""

    trains: Literal["cross_encoder"] = Field(description="Tells the file from the recipes of other models.")
    cross_entropy: CrossEntropy = CrossEntropy()

    @model_validator(mode="after")
    def _negatives(self) -> Self:
        if not self.pairs.hard_negatives:
            raise ValueError("pairs.hard_negatives is 0, so that no passage would be a wrong one; set 1 to 4")
        return self


SearchRecipe = RetrieverRecipe | CrossEncoderRecipe
_SEARCH: Mapping[str, type[SearchRecipe]] = {"retriever": RetrieverRecipe, "cross_encoder": CrossEncoderRecipe}
"""By what the file says that it trains."""

Read = TypeVar("Read", bound=_Named)


def read_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read the recipe of an adapter.

    Args:
        path: A file under `configs/training`.
        changes: Values to take instead of the file's, such as `lora.r=32`.

    Raises:
        ConfigError: Missing, not YAML, or a key or value that a recipe does not have.
    """
    file = read_yaml(path)
    recipe = _valid(file, Recipe, changed=frozenset(_change(file.values, one) for one in changes))
    if recipe.data.general is None:
        return recipe
    holds_configs = path.resolve().parent.parent.parent
    data = recipe.data.model_copy(update={"general": holds_configs / recipe.data.general})
    return recipe.model_copy(update={"data": data})


def read_adapter_recipe(path: Path, changes: Sequence[str] = ()) -> AdapterRecipe:
    """Read the recipe of an adapter that learns from conversations or from pairs of replies, whichever it says.

    Raises:
        ConfigError: As `read_recipe`.
    """
    file = read_yaml(path)
    changed = frozenset(_change(file.values, one) for one in changes)
    if file.values.get("method") != "dpo":
        return read_recipe(path, changes)
    recipe = _valid(file, DpoRecipe, changed=changed)
    if recipe.pairs.file is None:
        return recipe
    holds_configs = path.resolve().parent.parent.parent
    pairs = recipe.pairs.model_copy(update={"file": holds_configs / recipe.pairs.file})
    return recipe.model_copy(update={"pairs": pairs})


def read_search_recipe(path: Path) -> SearchRecipe:
    """Read the recipe of an encoder or of a cross-encoder, whichever the file says.

    Raises:
        ConfigError: As for an adapter.
    """
    return _search(read_yaml(path))


def read_any_recipe(path: Path) -> AdapterRecipe | SearchRecipe:
    """Read a recipe of the kind that the file says.

    Raises:
        ConfigError: As for an adapter.
    """
    file = read_yaml(path)
    return _search(file) if "trains" in file.values else read_adapter_recipe(path)


def _search(file: YamlFile) -> SearchRecipe:
    named = str(file.values.get("trains", "retriever"))
    if named not in _SEARCH:
        known = did_you_mean(named, tuple(_SEARCH)) or f"; known are {', '.join(_SEARCH)}"
        raise ConfigError(f"{file.path}:{file.line(('trains',))}: trains: {named!r} is nothing that is trained{known}")
    return _valid(file, _SEARCH[named])


def _change(values: dict[str, Any], change: str) -> Where:
    """Put one `part.key=value` among the values; where it stands."""
    dotted, equals, value = change.partition("=")
    where = tuple(dotted.strip().split("."))
    if not equals or not all(where):
        raise ConfigError(f"--set {change} is no change; write it as lora.r=32")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {change}: {value!r} is not a value ({error}); quote it") from error
    inner = values
    for step in where[:-1]:
        inner = inner.setdefault(step, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {change}: {step} holds no keys; write it as lora.r=32")
    inner[where[-1]] = parsed
    return where


def _valid(file: YamlFile, kind: type[Read], *, changed: frozenset[Where] = frozenset()) -> Read:
    recipe = validate(kind, file.values, file, dict.fromkeys(changed, "--set"))
    stem = file.path.stem
    if recipe.name != stem:
        raise ConfigError(
            f"{file.path}:{file.line(('name',))} calls the recipe {recipe.name!r}; name it {stem!r}, or rename the file"
        )
    return recipe
