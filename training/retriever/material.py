"""What a brand's pages and questions give to train a model of its search on, and to judge it by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from configs.brand import Brand
from configs.home import Home
from configs.training import CrossEncoderRecipe, SearchRecipe
from retrieval.brand_search import search_encoder
from retrieval.documents.loading import load_documents
from retrieval.encoder import Encoder, OnnxEncoder
from retrieval.encoder_export import NAME
from retrieval.evaluation.question_sets import Asked
from training.conversations import Question, read_questions
from training.errors import RecipeInvalid
from training.examples.sources import configured, encoder_folder
from training.retriever.gate import Exam
from training.retriever.pairs import Pair, ask_about, digest, make_pairs, split_pages, with_negatives

MIN_QUESTIONS = 10
"""About pages kept out: with fewer, no difference is more than chance."""


@dataclass(frozen=True, slots=True)
class Material:
    """What one brand gives: pairs to train on, and the exam."""

    brand: Brand
    home: Home
    encoder: Encoder
    """What the trained model is compared with: the packaged encoder, or for a cross-encoder the one that searches."""
    pairs: tuple[Pair, ...]
    exam: Exam
    origin: Mapping[str, str]
    """Digests of all that a result depends on."""


def gather(name: str, recipe: SearchRecipe, environment: Mapping[str, str]) -> Material:
    """Read a brand's pages and questions, and make pairs and exam of them.

    Raises:
        ConfigError: Unknown brand, or a config that is not valid.
        RecipeInvalid: Another encoder than the packaged one, no held-out questions, or too few pages.
        RetrievalError: Pages or encoder cannot be read.
    """
    config, brand = configured(name, environment)
    home = Home.from_environment(environment)
    packaged: Encoder = OnnxEncoder.load(encoder_folder(config, home))
    if packaged.name != NAME:
        raise RecipeInvalid(
            f"models.encoder is {packaged.name!r}, whose weights are not here to be trained; only {NAME!r} can be"
        )
    if brand.questions is None:
        raise RecipeInvalid(f"the brand {name!r} names no held-out questions to be judged by; set `questions`")
    searching = search_encoder(home, brand, packaged) if isinstance(recipe, CrossEncoderRecipe) else packaged
    # What customers never find is neither learnt nor asked.
    documents = tuple(one for one in load_documents(brand.pages).documents if one.metadata.audience == "public")
    learnt, out = split_pages(documents, recipe.pairs)
    kept_out = ask_about(documents, out, recipe.pairs)
    pairs = with_negatives(make_pairs(learnt, recipe.pairs), learnt, searching, recipe.pairs.hard_negatives)
    questions = sum(len(half.questions) for half in kept_out)
    if questions < MIN_QUESTIONS or not pairs:
        raise RecipeInvalid(
            f"{len(documents)} pages of {name!r} give {len(pairs)} pairs and {questions} questions about "
            f"pages kept out, at least {MIN_QUESTIONS} of which are needed; add pages, or raise pairs.kept_out"
        )
    held_out = searched_for(read_questions(brand.questions))
    settings = brand.retrieval
    exam = Exam(documents, held_out, kept_out, settings.top_k, settings.min_answerability)
    origin = {
        "parent_sha256": packaged.sha256,
        "encoder_sha256": searching.sha256,
        "pairs_sha256": digest(pairs),
        "exam_sha256": digest([exam]),
        "recipe_sha256": recipe.sha256(),
    }
    return Material(brand, home, searching, pairs, exam, origin)


def searched_for(questions: Iterable[Question]) -> tuple[Asked, ...]:
    """Held-out questions as search is judged by them; those for a person are left out, as they are not searched for."""
    return tuple(
        Asked(one.question, (), (one.document,) if one.document else (), one.document is not None)
        for one in questions
        if not one.handoff
    )
