"""Learning from pairs of replies."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.adapter_manifest import read_adapter
from configs.errors import ConfigError
from configs.training import Dpo, DpoRecipe, Preferences, Recipe, read_adapter_recipe, read_any_recipe, read_recipe
from retrieval.passages import Passage
from training.data.preferences import Shop, hold_pairs_back, read_pairs
from training.errors import DataInvalid, RecipeInvalid
from training.recipes import dpo, sft
from training.runs.folder import unfinished
from training.testing import TINY_DPO, WordSearch, tiny_dpo_job, tiny_shop, write_tiny_pairs
from training.train import pairs_file, starting, with_pairs

AS_IS = Preferences(prompts="as_is")


def recipe(**changed: object) -> DpoRecipe:
    """The tiny recipe with other settings."""
    return TINY_DPO.model_copy(update={"dpo": Dpo.model_validate({**TINY_DPO.dpo.model_dump(), **changed})})


def logged(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "losses.jsonl").read_text().splitlines()]


def reply_logprob(model: Any, tokenizer: Any, pair: Any, reply: str) -> float:
    """Log-probability of a reply after its prompt, by hand from the ids that service would send."""
    import torch

    messages = [{"role": one.role, "content": one.content} for one in pair.messages]
    before = tokenizer(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))["input_ids"]
    after = tokenizer(f"{reply}<|im_end|>\n")["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([before + after])).logits[0]
    rows = torch.log_softmax(logits[len(before) - 1 : -1], -1)
    return float(rows[range(len(after)), after].sum())


@pytest.fixture(scope="module")
def preferred(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dpo.Trained:
    job = tiny_dpo_job(base, tmp_path_factory.mktemp("dpo"), recipe(held_back=0.25, evaluate_every=10))
    return dpo.main(job)


def test_the_better_reply_is_learnt_and_an_adapter_is_left(preferred: dpo.Trained) -> None:
    # At the start policy and reference are one, so that the loss is ln 2 and no reply has gained on the other.
    assert preferred.losses[0] == pytest.approx(0.6931, abs=1e-3)
    assert preferred.losses[-1] < 0.5
    metrics = preferred.metrics
    assert (metrics["held_back_loss_before"], metrics["held_back_accuracy"]) == (pytest.approx(0.6931, abs=1e-3), 1.0)
    assert metrics["examples"] == 6
    assert sorted(path.name for path in preferred.folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "manifest.json",
    ]
    assert read_adapter(preferred.folder) == preferred.manifest


def test_the_weights_on_disk_prefer_the_chosen_reply_by_the_margin_that_was_logged(base: Path, tmp_path: Path) -> None:
    import torch
    import transformers
    from peft import PeftModel

    job = tiny_dpo_job(base, tmp_path, recipe(held_back=0.25, evaluate_every=30, max_steps=30))
    trained = dpo.main(job)
    _, watched = hold_pairs_back(job.examples, 0.25, job.recipe.dpo.seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    plain = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(plain, trained.folder).eval()

    def gained(pair: Any, reply: str) -> float:
        after = reply_logprob(model, tokenizer, pair, reply)
        with model.disable_adapter():
            return after - reply_logprob(model, tokenizer, pair, reply)

    margins = [gained(pair, pair.chosen) - gained(pair, pair.rejected) for pair in watched]
    told = next(row["margin"] for row in logged(trained.run) if row.get("held_back_loss") and row["step"] == 30)
    # The adapter is kept in bfloat16.
    assert sum(margins) / len(margins) * TINY_DPO.dpo.beta == pytest.approx(told, rel=0.05)
    assert min(margins) > 0


def test_it_goes_on_from_an_adapter_and_is_held_to_it(base: Path, tmp_path: Path, trained: sft.Trained) -> None:
    job = tiny_dpo_job(base, tmp_path, recipe(learning_rate=1e-9, max_steps=1), start=trained.folder)
    still = dpo.main(job)
    assert still.losses[0] == pytest.approx(0.6931, abs=1e-3)
    assert still.manifest is not None
    assert trained.manifest is not None
    # A rate near zero leaves the weights as they were: it is that adapter that was trained on.
    assert still.manifest.weights_sha256 == trained.manifest.weights_sha256
    assert still.manifest.lora == trained.manifest.lora
    further = dpo.main(replace(tiny_dpo_job(base, tmp_path / "more", start=trained.folder)))
    assert further.losses[-1] < 0.6


def test_an_adapter_of_another_base_is_no_start(base: Path, tmp_path: Path, trained: sft.Trained) -> None:
    job = tiny_dpo_job(base, tmp_path, start=trained.folder)
    assert trained.manifest is not None
    other = trained.manifest.base.model_copy(update={"sha256": "0" * 64})
    folder = tmp_path / "other"
    folder.mkdir()
    for file in trained.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "manifest.json").write_text(trained.manifest.model_copy(update={"base": other}).to_json())
    with pytest.raises(RecipeInvalid, match="start_from: base"):
        dpo.main(replace(job, start=folder))


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from tests.unit.training.test_dpo import recipe
from training.recipes import dpo
from training.testing import tiny_dpo_job

def kill(report):
    if report.loss is not None and report.step == 12:
        os.kill(os.getpid(), signal.SIGKILL)

job = tiny_dpo_job(Path(sys.argv[1]), Path(sys.argv[2]), recipe(checkpoint_every=5, max_steps=20), Path(sys.argv[3]))
dpo.main(replace(job, progress=kill))
"""


def test_a_run_that_was_killed_goes_on_with_the_same_losses(base: Path, tmp_path: Path, trained: sft.Trained) -> None:
    expected = dpo.main(tiny_dpo_job(base, tmp_path / "whole", recipe(max_steps=20), trained.folder))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, str(base), str(tmp_path / "cut"), str(trained.folder)]
    died = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    job = tiny_dpo_job(base, tmp_path / "cut", recipe(checkpoint_every=5, max_steps=20), trained.folder)
    made_of = json.loads(next((tmp_path / "cut" / "runs").glob("*/origin.json")).read_text())
    run = unfinished(job.runs, made_of)
    assert run is not None
    resumed = dpo.main(replace(job, resume=run))
    assert resumed.losses == pytest.approx(expected.losses, abs=1e-6)
    assert resumed.manifest is not None
    assert expected.manifest is not None
    assert resumed.manifest.weights_sha256 == expected.manifest.weights_sha256


def test_prompts_become_those_of_service_unless_they_are_its_own(tmp_path: Path) -> None:
    rows = [
        {"prompt": "When do you open on Sunday?", "chosen": "At ten.", "rejected": "Dunno."},
        {
            "prompt": [{"role": "system", "content": "Mine."}, {"role": "user", "content": "Hi"}],
            "chosen": "A",
            "rejected": "B",
        },
        {"prompt": "Who won the match?", "chosen": "We have no information.", "rejected": "Me."},
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = Passage("hours.md", "Hours", "Hours", "On Sunday we open when the bells ring.", 1.0)
    shop = Shop("acme", "Acme", WordSearch((page,)))
    asked, own, unknown = (pair.messages for pair in read_pairs(path, Preferences(), shop))
    assert asked[0].content.startswith("You are the assistant of Acme.")
    assert "[1] Hours: On Sunday" in asked[-1].content
    assert asked[-1].content.endswith("Question: When do you open on Sunday?")
    assert [one.content for one in own] == ["Mine.", "Hi"]
    assert unknown[-1].content.startswith("Sources: none.")
    plain = read_pairs(path, AS_IS, shop)
    assert [one.content for one in plain[0].messages] == ["When do you open on Sunday?"]


def test_rows_that_are_no_pairs_are_all_named(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    rows = [
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        {"prompt": "a", "completion": "b"},
        {
            "prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
            "chosen": "c",
            "rejected": "d",
        },
        {"prompt": "a", "chosen": "same", "rejected": "same"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{\n")
    with pytest.raises(DataInvalid) as raised:
        read_pairs(path, AS_IS, tiny_shop())
    assert [one.line for one in raised.value.lines] == [2, 3, 4, 5]
    path.write_text("")
    with pytest.raises(DataInvalid, match="no pairs"):
        read_pairs(path, AS_IS, tiny_shop())
    with pytest.raises(DataInvalid, match="cannot be read"):
        read_pairs(tmp_path / "none.jsonl", AS_IS, tiny_shop())


def test_pairs_are_drawn_and_held_back_by_seed(tmp_path: Path) -> None:
    path = write_tiny_pairs(tmp_path / "pairs.jsonl", 30)
    some = read_pairs(path, Preferences(prompts="as_is", max_pairs=10), tiny_shop())
    assert len(some) == 10
    assert [one.row.line for one in some] == sorted(one.row.line for one in some)
    assert some == read_pairs(path, Preferences(prompts="as_is", max_pairs=10), tiny_shop())
    learnt, watched = hold_pairs_back(some, 0.3, 7)
    assert len(learnt) + len(watched) == 10
    assert watched
    assert hold_pairs_back(some, 0.0, 7) == (list(some), [])
    with pytest.raises(RecipeInvalid, match="leaves nothing to watch"):
        hold_pairs_back(some[:2], 0.1, 7)


def test_a_pair_that_would_be_cut_is_refused(base: Path, tmp_path: Path) -> None:
    job = tiny_dpo_job(base, tmp_path, recipe(max_length=100))
    with pytest.raises(RecipeInvalid, match=r"8 pair\(s\) are longer .* pairs.jsonl:8 with \d+"):
        dpo.main(job)


def test_a_recipe_says_that_it_learns_from_pairs(tmp_path: Path) -> None:
    path = tmp_path / "configs" / "training" / "mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("name: mine\nmethod: dpo\npairs: {file: data/pairs.jsonl}\n")
    read = read_adapter_recipe(path, ["dpo.beta=0.2"])
    assert isinstance(read, DpoRecipe)
    assert (read.dpo.beta, read.pairs.file) == (0.2, tmp_path / "data" / "pairs.jsonl")
    assert isinstance(read_any_recipe(path), DpoRecipe)
    # Where the pairs lie counts nowhere; what is learnt from them does.
    assert read.sha256() == with_pairs(read, tmp_path / "other.jsonl").sha256()
    assert read.sha256() != read_adapter_recipe(path).sha256()
    with pytest.raises(ConfigError, match="method"):
        read_recipe(path)
    with pytest.raises(ConfigError, match=r"--set: dpo\.packing"):
        read_adapter_recipe(path, ["dpo.packing=true"])
    path.write_text("name: mine\nmethod: dpo\nsft: {}\n")
    with pytest.raises(ConfigError, match="sft is not a known key"):
        read_adapter_recipe(path)


def test_pairs_are_named_where_they_are_needed_and_only_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeInvalid, match="give --pairs FILE"):
        pairs_file(TINY_DPO)
    assert pairs_file(with_pairs(TINY_DPO, tmp_path / "a.jsonl")) == tmp_path / "a.jsonl"  # type: ignore[arg-type]
    with pytest.raises(RecipeInvalid, match="leave --pairs out"):
        with_pairs(Recipe(name="mine"), tmp_path / "a.jsonl")


def test_it_starts_from_the_version_that_speaks_unless_told_otherwise(tmp_path: Path) -> None:
    active = TINY_DPO.model_copy(update={"start_from": "active"})
    with pytest.raises(RecipeInvalid, match="start_from=base"):
        starting(active, tmp_path)
    (tmp_path / "v1").mkdir()
    (tmp_path / "active").write_text("v1\n")
    assert starting(active, tmp_path).start_from == "v1"
    assert starting(TINY_DPO, tmp_path).start_from == "base"
    with pytest.raises(RecipeInvalid, match="no such version"):
        starting(TINY_DPO.model_copy(update={"start_from": "v2"}), tmp_path)
