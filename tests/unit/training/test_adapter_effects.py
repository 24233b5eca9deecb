import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks import adapter_answers, adapter_noise, adapter_rates
from benchmarks.adapter_curves import draw
from benchmarks.chats import Place, Run, facts_f1, load, reply_loss
from retrieval.prompt import Message
from training.examples.rendering import Example
from training.testing import tiny_examples


def chats(count: int) -> list[Example]:
    return [
        Example(
            *(f"{number}/1/0", "shop", "small_talk", f"topic{number % 4}", False, 0, False),
            (Message("user", f"What about order {number}?"),),
            f"Your order {number} of topic {number % 4} is on its way to you. It should be with you very soon.",
            (),
        )
        for number in range(count)
    ]


def test_noise_is_put_into_a_fifth_of_the_rows_each_kind_as_often_and_nothing_else_changes() -> None:
    rows = chats(300)
    made, done = adapter_noise.noised(rows, 1)
    assert len(made) == 300
    assert Counter(done.values()) == dict.fromkeys([*adapter_noise.KINDS, adapter_noise.CONTRADICTION], 10)
    assert {at for at in range(300) if made[at].completion != rows[at].completion} == set(done)
    assert [one.id for one in made] == [one.id for one in rows]
    assert adapter_noise.noised(rows, 1)[0] == made
    assert adapter_noise.noised(rows, 2)[0] != made


def test_noise_of_each_kind_is_what_it_is_called() -> None:
    rows = chats(300)
    made, done = adapter_noise.noised(rows, 1)
    of_kind = {kind: [at for at, other in done.items() if other == kind] for kind in done.values()}
    assert all(f"topic {int(rows[at].topic[-1])}" not in made[at].completion for at in of_kind["another reply"])
    assert all(rows[at].completion.startswith(made[at].completion) for at in of_kind["cut"])
    assert all(made[at].completion == "" for at in of_kind["empty"])
    first, second = of_kind["contradiction"][:2]
    assert made[first].messages == made[second].messages
    assert made[first].completion != made[second].completion


def test_what_the_doctor_did_not_see_is_not_trained_on(tmp_path: Path) -> None:
    rows = chats(40)
    prepared: dict[str, Any] = {"seeds": {"1": {"rows": "another digest", "doubted": {}}}, "checked": []}
    with pytest.raises(ValueError, match="prepare again"):
        adapter_noise._rows_of(Run("noise", "noisy"), rows, prepared)
    made, done = adapter_noise.noised(rows, 1)
    doubted = {str(at): ["cut"] for at in done}
    prepared["seeds"]["1"] = {"rows": adapter_noise._digest(made), "doubted": doubted}
    kept = adapter_noise._rows_of(Run("noise", "doctored"), rows, prepared)
    assert kept == [row for at, row in enumerate(rows) if at not in done]


def test_facts_are_slots_and_figures_but_no_numbers_of_a_list() -> None:
    assert facts_f1("1. Open {{Website}}.\n2. Wait 3 days.", "Open {{website}} and wait 3 days.") == 1
    assert facts_f1("Wait 4 days at {{Website}}.", "Wait 3 days at {{Website}}.") == 0.5
    assert facts_f1("Hello!", "1. Hello there.") is None


def test_the_loss_counts_the_tokens_of_the_reply_alone(base: Path) -> None:
    import torch

    model, tokenizer = load(base)
    examples = tiny_examples(3)
    losses = []
    for one in examples:
        prompt = [{"role": message.role, "content": message.content} for message in one.messages]
        whole = [*prompt, {"role": "assistant", "content": one.completion}]
        begins = len(tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=True)["input_ids"])
        ids = tokenizer.apply_chat_template(whole, return_dict=True, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            likely = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        told = likely.gather(1, ids[0, 1:, None])[begins - 1 :, 0]
        losses += (-told).tolist()
    assert reply_loss(model, tokenizer, examples, batch=2) == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def row(method: str, rate: float, seed: int, loss: float, **more: float) -> dict[str, Any]:
    held = {"held_back_loss": loss, "held_back_loss_before": 2.0}
    return {"arm": method, "method": method, "rank": 16, "rate": rate, "seed": seed, **held, **more}


def test_the_share_of_the_gain_is_taken_at_each_methods_best_rate_seed_by_seed() -> None:
    rows = [row("full", 1e-3, 1, 1.0), row("full", 1e-3, 2, 0.8), row("full", 1e-4, 1, 1.5)]
    rows += [row("lora", 4e-3, 1, 1.1), row("lora", 4e-3, 2, 1.1), row("lora", 2e-3, 1, 1.3)]
    (line,) = [line for line in adapter_rates.report(rows) if "share of" in line]
    assert "LoRA r16 at 0.004, full at 0.001 (2 seeds, 0.750 to 0.900)" in line
    assert "| 0.825 | **missed** by 0.145 |" in line


def test_a_task_score_counts_from_what_the_base_replies() -> None:
    rows = [{"arm": "base", "seed": 1, "likeness": 0.2}]
    rows += [row("full", 1e-3, 1, 1.0, likeness=0.6), row("lora", 4e-3, 1, 1.0, likeness=0.5)]
    (line,) = [line for line in adapter_rates.report(rows) if "words of the reference (F1), LoRA" in line]
    assert "| 0.75 | **missed**" in line


def test_curves_are_drawn(tmp_path: Path) -> None:
    rows = [row("full", 1e-3, 1, 1.0), row("lora", 4e-3, 1, 1.1), row("lora", 2e-3, 1, 1.3)]
    draw(adapter_rates.losses(rows), tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        colours = {colour for _, colour in picture.getcolors(100_000) or []}
    assert {(29, 78, 216), (194, 65, 12)} <= colours


def question(number: int) -> dict[str, Any]:
    def passage(document: str, text: str) -> dict[str, Any]:
        return {"document": document, "title": document, "heading": "", "text": text, "score": 1.0}

    return {
        "id": f"q{number}",
        "question": "How long?",
        "answer_contains": ["30 days"],
        "passages": [passage("returns.md", "Within 30 days.")],
        "distractors": [passage(f"d{one}.md", f"Aside {one}.") for one in range(4)],
    }


def test_an_arm_is_shown_what_it_says() -> None:
    brand = {"display_name": "Acme", "guide": "Speak softly."}
    shown = {
        arm: "\n".join(one.content for one in adapter_answers.prompt_of(brand, question(1), how).messages)
        for arm, how in adapter_answers.ARMS.items()
    }
    assert {arm for arm, text in shown.items() if "Speak softly." in text} == {"base", "base+", "base++"}
    assert {arm for arm, text in shown.items() if "30 days" in text} == set(shown) - {"base", "adapter"}
    assert {arm for arm, text in shown.items() if "Aside 3" in text} == {"base++", "adapter++"}
    prompts = [adapter_answers.prompt_of(brand, question(at), adapter_answers.ARMS["adapter++"]) for at in range(9)]
    assert len({one.passages[0].document for one in prompts}) > 1


def scores(values: dict[str, float]) -> adapter_answers.Scores:
    return {
        arm: {measure: {f"q{case}": value for case in range(40)} for measure in adapter_answers.MEASURES}
        for arm, value in values.items()
    }


def test_together_is_held_against_each_alone_and_distractors_against_none() -> None:
    values = {
        "base": 0.1,
        "plain+": 0.5,
        "base+": 0.7,
        "base++": 0.5,
        "adapter": 0.2,
        "adapter+": 0.6,
        "adapter++": 0.51,
    }
    told = adapter_answers.report({"acme": scores(values)})
    against = {line.split(" (")[0]: line for line in told if "right fact, gain over" in line}
    assert against["| right fact, gain over adapter, no passages"].endswith("| at least 0 | 0.4 | met |")
    assert "**missed** by 0.1" in against["| right fact, gain over base + guide + passages"]
    (distracted,) = [line for line in told if line.startswith("| right fact | at least 0.9")]
    assert "| 0.85 | **missed** by 0.05 |" in distracted


def test_a_rehearsal_and_a_whole_run_name_their_runs_alike(tmp_path: Path) -> None:
    (tmp_path / "noise.json").write_text(json.dumps({"seeds": {"1": {}, "2": {}}}))
    place = Place(tmp_path, tmp_path)
    runs = [*adapter_rates.runs(place), *adapter_noise.runs(place)]
    assert len({one.name for one in runs}) == len(runs)
    assert {one.seed for one in runs if one.table == "noise"} == {1, 2}
