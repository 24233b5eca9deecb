"""Everything of a deployment that training one brand needs, opened once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.brand import Brand
from configs.cases import added_files
from configs.errors import ConfigError
from configs.home import Home
from configs.load import Config, configs_folder, load_config
from configs.training import Data
from configs.yaml_file import did_you_mean
from retrieval.brand_search import open_search
from retrieval.encoder import Encoder, OnnxEncoder
from retrieval.grounding.check import check_sentence
from retrieval.passages import Passage
from retrieval.search.knowledge_base import KnowledgeBase
from training.conversations import Conversation, Question, read_conversations, read_questions
from training.data.split import near_any
from training.errors import RecipeInvalid
from training.judging.evaluation import Judge, SentenceCheck, masked_replies
from training.voice import VoiceClassifier


def configured(name: str, environment: Mapping[str, str]) -> tuple[Config, Brand]:
    """The configuration that the environment names, and a brand of it.

    Raises:
        ConfigError: Unknown brand, or a config that is not valid.
    """
    config = load_config(configs_folder(environment), environment, Home.from_environment(environment))
    if name not in config.brands:
        known = sorted(config.brands)
        raise ConfigError(f"there is no brand {name!r}{did_you_mean(name, known)}; there are {', '.join(known)}")
    return config, config.brands[name]


@dataclass(frozen=True, slots=True)
class Source:
    """One brand, with the conversations to train on and the knowledge that its prompts quote."""

    config: Config
    home: Home
    brand: Brand
    conversations: tuple[Conversation, ...]
    knowledge: KnowledgeBase
    encoder: Encoder
    corrections: tuple[Conversation, ...] = ()
    """Accepted in review; without those that ask what is held out."""

    @classmethod
    def open(cls, name: str, environment: Mapping[str, str]) -> Source:
        """Open a brand as the environment configures it.

        Raises:
            ConfigError: Unknown brand, or a config that is not valid.
            DataInvalid: Its conversations are not.
            RecipeInvalid: It has no conversations or no knowledge.
            RetrievalError: Knowledge base or encoder are not intact.
        """
        config, brand = configured(name, environment)
        home = Home.from_environment(environment)
        conversations = trained_on(brand)
        encoder = OnnxEncoder.load(encoder_folder(config, home))
        knowledge = open_search(home, brand, encoder)
        if not knowledge.documents():
            raise RecipeInvalid(
                f"the knowledge base of {name!r} is empty, so that no prompt could quote it; "
                f"run `brandvoice kb add {brand.pages} --brand {name}`"
            )
        return cls(config, home, brand, conversations, knowledge, encoder, corrections_of(brand, home))

    @property
    def guide(self) -> str:
        """The voice guide."""
        return self.brand.voice_guide.read_text(encoding="utf-8")

    def learnt(self, data: Data) -> tuple[Conversation, ...]:
        """The conversations that a recipe with this `data` learns from."""
        return (*self.conversations, *self.corrections) if data.corrections else self.conversations

    def added_questions(self) -> tuple[Question, ...]:
        """Held-out questions that people added; without those that some conversation teaches.

        Raises:
            DataInvalid: They cannot be read.
        """
        held = [one for path in added_files(self.brand, self.home) for one in read_questions(path)]
        if not held:
            return ()
        taught = near_any([one.question for one in held], asked((*self.conversations, *self.corrections)))
        return tuple(one for place, one in enumerate(held) if place not in taught)

    def judge(self) -> Judge:
        """Measures replies of this brand; the voice only where a second brand has conversations to tell it from."""
        terms = brand_terms(self.config)
        masked = {
            brand.name: masked_replies(read_conversations(brand.conversations), pages_of(brand), terms)
            for brand in self.config.brands.values()
            if brand.conversations is not None and brand.conversations.is_file()
        }
        classifier = VoiceClassifier(masked) if len(masked) > 1 else None
        return Judge(self.brand.name, classifier, terms, grounding_check(self.encoder))


def trained_on(brand: Brand) -> tuple[Conversation, ...]:
    """A brand's conversations without those that `split` keeps for evaluation.

    Raises:
        DataInvalid: They cannot be read, or a model wrote some that nobody approved.
        RecipeInvalid: There are none.
    """
    if brand.conversations is None:
        raise RecipeInvalid(f"the brand {brand.name!r} names no conversations; set `conversations` in its YAML")
    conversations = tuple(one for one in read_conversations(brand.conversations) if one.split != "evaluation")
    if not conversations:
        raise RecipeInvalid(f"all conversations of {brand.name!r} are kept for evaluation: `split` says so in each row")
    return conversations


def corrections_of(brand: Brand, home: Home) -> tuple[Conversation, ...]:
    """Corrections of a brand's answers that were accepted in review, without those that ask what is held out.

    Raises:
        DataInvalid: They cannot be read.
    """
    path = home.corrections(brand.name).conversations
    if not path.is_file():
        return ()
    corrected = read_conversations(path)
    if brand.questions is None or not brand.questions.is_file():
        return corrected
    held = [one.question for one in read_questions(brand.questions)]
    return tuple(one for one in corrected if not near_any(asked([one]), held))


def asked(conversations: Iterable[Conversation]) -> list[str]:
    """What customers wrote in conversations."""
    return [said.content for one in conversations for said in one.messages if said.role == "user"]


def encoder_folder(config: Config, home: Home) -> Path:
    """Where the encoder lies: the folder that `models.encoder` names, or the packaged one."""
    named = Path(config.service.models.encoder).expanduser()
    return named if named.is_dir() else home.models / config.service.models.encoder


def brand_terms(config: Config) -> tuple[str, ...]:
    """Names of all brands, which are hidden before a voice is told."""
    return tuple(term for brand in config.brands.values() for term in (brand.name, brand.display_name))


def pages_of(brand: Brand) -> dict[str, str]:
    """Text of each page in the brand's folder, by document."""
    return {
        path.relative_to(brand.pages).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(brand.pages.rglob("*.md"))
    }


def grounding_check(encoder: Encoder) -> SentenceCheck:
    """The check that service makes of each sentence."""

    def check(sentence: str, passages: Sequence[Passage], question: str) -> bool:
        return check_sentence(sentence, passages, question=question, encoder=encoder).supported

    return check
