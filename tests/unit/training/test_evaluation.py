from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.passages import Passage
from retrieval.prompt import Message, build_prompt
from training.examples.rendering import Probe
from training.judging.evaluation import Judge, complete_all, generate, numbers_stand, score
from training.progress import LineProgress, Report
from training.runs.plot import draw_losses, terminal_plot
from training.voice import VoiceClassifier

PASSAGE = Passage("returns.md", "Returns", "", "An unopened item can be returned within 30 days.", 1.0)
PROBE = Probe(
    id="q1",
    brand="acme",
    kind="answer",
    question="How long?",
    messages=(Message("user", "How long?"),),
    guided=(),
    passages=(PASSAGE,),
    document="returns.md",
    answer_contains=("30 days",),
    shared_policy=True,
)


def test_a_right_grounded_reply_in_the_voice_scores_full() -> None:
    voices = {"acme": ["kindly note that _", "kindly allow _"], "other": ["hey ! _", "hey ! sure _"]}
    judge = Judge("acme", VoiceClassifier(voices), ("Acme",))
    made = score([PROBE], ["Kindly note that it is 30 days."], judge)
    assert made == {"questions": 1, "answer_hit": 1, "grounded": 1, "voice_accuracy": 1, "reply_words": 7}


def test_a_wrong_number_and_a_foreign_voice_cost_points() -> None:
    voices = {"acme": ["kindly note that _"], "other": ["hey ! sure _"]}
    judge = Judge("acme", VoiceClassifier(voices), ())
    made = score([PROBE], ["Hey! Sure thing, 31 days."], judge)
    assert made["answer_hit"] == 0
    assert made["grounded"] == 0.5
    assert made["voice_accuracy"] == 0


def test_metrics_without_a_case_are_left_out() -> None:
    refused = replace(PROBE, kind="refuse", document=None, answer_contains=(), passages=())
    assert score([refused], ["We cannot say."], Judge("acme", None, ())) == {"questions": 1, "reply_words": 3}


@pytest.mark.parametrize(
    ("sentence", "stands"),
    [("It is 30 days.", True), ("It is 31 days.", False), ("Gladly.", True), ("In 2, 30.", False)],
)
def test_numbers_of_a_sentence_must_stand_in_one_passage(sentence: str, stands: bool) -> None:
    assert numbers_stand(sentence, [PASSAGE, replace(PASSAGE, text="2 weeks")], "") is stands


def test_replies_of_an_engine_come_in_order() -> None:
    asked = [(Message("user", "a"),), (Message("user", "b"),)]
    assert complete_all(lambda messages: f" {messages[-1].content} ", asked) == ["a", "b"]


def test_a_batch_of_prompts_gives_the_replies_that_each_gets_alone(base: Path) -> None:
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    prompts = [build_prompt("small_talk", text, display_name="Acme").messages for text in ("hi", "a longer hello")]
    together = generate(model, tokenizer, prompts, max_new_tokens=8)
    alone = [generate(model, tokenizer, [prompt], max_new_tokens=8)[0] for prompt in prompts]
    assert together == alone


def test_a_picture_of_the_losses_survives_none_and_one_that_is_no_number(tmp_path: Path) -> None:
    from PIL import Image

    for name, losses in (("none", []), ("one", [1.0]), ("broken", [2.0, 1.0, float("nan")]), ("all", [2.0, 1.0])):
        draw_losses(tmp_path / name, losses, {0: 2.0} if losses else {}, title=name)
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (1280, 640)
    assert (tmp_path / "none").read_bytes() != (tmp_path / "all").read_bytes()


def test_a_curve_in_the_terminal_falls_with_the_loss() -> None:
    drawn = terminal_plot([float(20 - step) for step in range(20)], {0: 20.0, 20: 1.0}, width=10, height=4)
    lines = drawn.splitlines()
    assert len(lines) == 5
    assert lines[0].split()[0] == "20.000"
    assert lines[0].split()[1].startswith("o")
    assert lines[3].split()[0] == "1.000"
    assert lines[3].endswith("o")
    assert lines[4].strip() == "loss, step 1 to 20; o: held back"
    # From the upper left to the lower right, and nothing elsewhere.
    assert "\u2800" * 4 in lines[0][-6:]
    assert lines[3].split()[1].startswith("\u2800" * 4)
    assert terminal_plot([1.0], {}) == ""
    assert terminal_plot([1.0, 1.0], {}).count("\n") == 9


def test_a_log_gets_a_line_for_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LineProgress()
    for step in range(101):
        progress(Report("training", step, 100, loss=1.0, eta_s=60.0))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert "1.0 min left" in lines[0]
