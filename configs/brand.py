"""What a deployment says about one brand: `configs/brands/<brand>.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from configs.corrections import Corrections
from configs.handover import Handover
from configs.retraining import Retraining

BRAND_NAME = r"^[a-z][a-z0-9-]{1,39}$"


class Strict(BaseModel):
    """Immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Theme(Strict):
    """How the widget and the sample shop look."""

    accent: str = Field(default="#1f2937", pattern=r"^#[0-9a-fA-F]{6}$", description="Colour of buttons and links.")
    font: Literal["sans", "serif"] = Field(default="sans", description="Font family, taken from the visitor's system.")


class Words(Strict):
    """Sentences written by the brand, used where the model must not speak freely."""

    greeting: str = Field(description="First line in an empty conversation.")
    refusals: tuple[str, ...] = Field(min_length=1, description="Said when the knowledge base holds no answer.")
    handovers: tuple[str, ...] = Field(min_length=1, description="Said when a person takes over.")
    unavailable: str = Field(description="Said when the engine cannot answer.")
    cannot_read: str = Field(
        default="I can read text only, no pictures, voice messages or files. Please write me what it is about.",
        description="Said to a message without text.",
    )
    thanks: str = Field(default="Thank you for telling us.", description="Said to whom rates an answer.")
    delayed: str = Field(
        default="This takes longer than usual just now. Your message is kept, and the answer follows.",
        description="Said on a platform while no engine answers.",
    )
    late: str = Field(
        default="I am sorry: I could not answer this in time. Please write again if it still matters to you.",
        description="Said once about messages that waited longer than `service.max_wait_s`.",
    )
    questions_back: tuple[str, ...] = Field(
        default=("Could you tell me a little more about what you mean? Then I can look it up.",),
        min_length=1,
        description="Said when a question does not say what it is about.",
    )


FileKind = Literal["png", "jpeg", "gif", "webp", "pdf", "text"]


class Files(Strict):
    """Files that visitors of the widget may send: people can read them, the bot cannot."""

    kinds: tuple[FileKind, ...] = Field(
        default=("png", "jpeg", "webp", "pdf", "text"),
        min_length=1,
        description="Told by what is in a file, not by its name.",
    )
    max_mb: float = Field(default=5.0, gt=0, le=20, description="Largest file, in millions of bytes.")
    max_count: int = Field(default=3, ge=1, le=10, description="Files with one message.")


class Widget(Strict):
    """The website channel of this brand."""

    site_key: str = Field(pattern=r"^pk_[A-Za-z0-9]{8,64}$", description="Public key in the script tag.")
    origins: tuple[str, ...] = Field(
        default=(),
        description="Origins that may open the chat besides the gateway's own, such as https://shop.example.",
    )
    starters: tuple[str, ...] = Field(default=(), max_length=4, description="Questions offered in an empty chat.")
    files: Files | None = Field(default=None, description="What visitors may send; nothing where absent.")


class SlackBinding(Strict):
    """A Slack workspace that this brand answers in."""

    channel: Literal["slack"]
    app: str
    team_id: str

    @property
    def account(self) -> str:
        """The identity messages arrive under."""
        return self.team_id


class MessageTemplate(Strict):
    """A message that Meta approved beforehand."""

    name: str = Field(pattern=r"^[a-z0-9_]{1,512}$", description="As in the WhatsApp Manager.")
    language: str = Field(pattern=r"^[a-z]{2,3}(_[A-Z]{2})?$", description="As approved, such as en or pt_BR.")
    parameters: tuple[str, ...] = Field(
        default=("{reply}",), description="Values of the places in its body, in order; {reply} stands for the reply."
    )

    @model_validator(mode="after")
    def _says_the_reply(self) -> Self:
        if not any("{reply}" in one for one in self.parameters):
            raise ValueError("no parameter holds {reply}, so that the person would not get it; name its place")
        return self


class WhatsAppTemplates(Strict):
    """Templates by what they are for."""

    late_reply: MessageTemplate | None = Field(
        default=None, description="Carries a reply that comes later than 24 hours after the person's last message."
    )


class WhatsAppBinding(Strict):
    """A WhatsApp number that this brand answers on."""

    channel: Literal["whatsapp"]
    app: str
    phone_number_id: str
    templates: WhatsAppTemplates = WhatsAppTemplates()

    @property
    def account(self) -> str:
        """The identity messages arrive under."""
        return self.phone_number_id


class MessengerBinding(Strict):
    """A Facebook page that this brand answers on."""

    channel: Literal["messenger"]
    app: str
    page_id: str = Field(description="The page's id.")

    @property
    def account(self) -> str:
        """The identity messages arrive under."""
        return self.page_id


class InstagramBinding(Strict):
    """An Instagram professional account that this brand answers on."""

    channel: Literal["instagram"]
    app: str
    user_id: str = Field(description="The account's `user_id`, as `/me?fields=user_id` gives it; not its `id`.")

    @property
    def account(self) -> str:
        """The identity messages arrive under."""
        return self.user_id


class TelegramBinding(Strict):
    """A Telegram bot that speaks as this brand; its app is that bot."""

    channel: Literal["telegram"]
    app: str

    @property
    def account(self) -> str:
        """The identity messages arrive under."""
        return self.app


class DiscordBinding(Strict):
    """A Discord application whose command this brand answers."""

    channel: Literal["discord"]
    app: str
    application_id: str = Field(description="The application's id.")

    @property
    def account(self) -> str:
        """The identity messages arrive under."""
        return self.application_id


class TeamsBinding(Strict):
    """A Microsoft 365 organisation that this brand answers in."""

    channel: Literal["teams"]
    app: str
    tenant_id: str = Field(description="The organisation's directory id.")

    @property
    def account(self) -> str:
        """The identity messages arrive under."""
        return self.tenant_id


class LineBinding(Strict):
    """A LINE official account that this brand answers on."""

    channel: Literal["line"]
    app: str
    user_id: str = Field(description="The bot's own user id; begins with U.")

    @property
    def account(self) -> str:
        """The identity messages arrive under."""
        return self.user_id


class TwilioBinding(Strict):
    """A number of Twilio's that this brand answers on."""

    channel: Literal["twilio"]
    app: str
    number: str = Field(description="Such as +15550100123; for WhatsApp with whatsapp: before it.")

    @property
    def account(self) -> str:
        """The identity messages arrive under."""
        return self.number


Binding = Annotated[
    SlackBinding
    | WhatsAppBinding
    | MessengerBinding
    | InstagramBinding
    | TelegramBinding
    | DiscordBinding
    | TeamsBinding
    | LineBinding
    | TwilioBinding,
    Field(discriminator="channel"),
]


class BrandRetrieval(Strict):
    """How this brand's knowledge is searched."""

    top_k: int = Field(default=3, ge=1, le=10, description="Passages in a prompt.")
    min_answerability: float = Field(
        default=0.5, ge=0, le=1, description="Below this probability the question is refused."
    )
    asked: bool = Field(
        default=True,
        description="Let the brand's own conversations help to tell whether an answer is in the passages: questions "
        "like those that were refused are refused sooner. Switches itself off with fewer than ten refused ones.",
    )
    encoder: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Version of an encoder that `brandvoice train retriever` made of the brand's pages; it searches, "
        "the packaged one does the rest. After a change run `brandvoice kb add` and start the gateway again.",
    )
    reranker: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Version of a cross-encoder that `brandvoice train retriever --recipe cross_encoder` made of the "
        "brand's pages; it reads the first 20 passages of each search again. Start the gateway again after a change.",
    )
    focus: bool = Field(
        default=True,
        description="An answer must hold the sentence that answers best; else it is made again from the best two, else "
        "that sentence is quoted. Made for small base models: switch it off with one of a billion parameters or more.",
    )


class GateMargins(Strict):
    """How much worse a candidate may be, by measure: the lower bound of the difference lies above minus this."""

    voice: float = Field(default=0.05, gt=0, le=1, description="Voice score, 0 to 1.")
    groundedness: float = Field(default=0.05, gt=0, le=1, description="Share of sentences that passages support.")
    facts: float = Field(default=0.05, gt=0, le=1, description="Share of answers that hold the right facts.")
    citation_precision: float = Field(default=0.1, gt=0, le=1, description="Share of citations that are right.")
    citation_recall: float = Field(default=0.05, gt=0, le=1, description="Share of right passages that are cited.")
    refusal: float = Field(default=0.1, gt=0, le=1, description="Share of unanswerable questions refused.")
    false_refusal: float = Field(default=0.05, gt=0, le=1, description="Share of answerable questions refused.")
    handoff: float = Field(default=0.1, gt=0, le=1, description="Share of hand-offs decided right.")
    intent: float = Field(default=0.05, gt=0, le=1, description="Share of intents told right.")
    overlap: float = Field(default=0.05, gt=0, le=1, description="Overlap with reference replies, 0 to 1.")
    leak: float = Field(default=0.02, gt=0, le=1, description="Share of replies that give training text away.")
    general: float = Field(default=0.05, gt=0, le=1, description="Share of general questions answered right.")
    general_loss: float = Field(default=0.03, gt=0, description="Loss on general text; a share of the current one.")
    prompt_tokens: float = Field(default=0.1, gt=0, description="Tokens of a prompt; a share of the current ones.")
    first_token_ms: float = Field(default=0.2, gt=0, description="Time to the first token; a share of the current.")
    tokens_per_s: float = Field(default=0.2, gt=0, description="Tokens a second; a share of the current ones.")


class GateFloors(Strict):
    """What a candidate must reach, whatever speaks now; absent means no floor."""

    voice: float | None = Field(default=0.5, ge=0, le=1, description="Mean voice score, at least.")
    groundedness: float | None = Field(default=0.5, ge=0, le=1, description="At least.")
    facts: float | None = Field(default=None, ge=0, le=1, description="At least.")
    citation_precision: float | None = Field(default=None, ge=0, le=1, description="At least.")
    citation_recall: float | None = Field(default=None, ge=0, le=1, description="At least.")
    refusal: float | None = Field(default=None, ge=0, le=1, description="At least.")
    false_refusal: float | None = Field(default=None, ge=0, le=1, description="At most.")
    handoff: float | None = Field(default=None, ge=0, le=1, description="At least.")
    intent: float | None = Field(default=None, ge=0, le=1, description="At least.")
    overlap: float | None = Field(default=None, ge=0, le=1, description="At least.")
    leak: float | None = Field(default=0.02, ge=0, le=1, description="At most.")
    general: float | None = Field(default=None, ge=0, le=1, description="At least.")
    general_loss: float | None = Field(default=None, ge=0, description="At most, in nats a token.")
    prompt_tokens: float | None = Field(default=None, ge=0, description="At most.")
    first_token_ms: float | None = Field(default=None, ge=0, description="At most.")
    tokens_per_s: float | None = Field(default=None, ge=0, description="At least.")


class Gate(Strict):
    """What a new adapter must show before it may speak. A measure that is named here must have been measured."""

    min_cases: int = Field(
        default=150, ge=150, description="Held-out cases below which the verdict is not enough evidence."
    )
    margins: GateMargins = GateMargins()
    floors: GateFloors = GateFloors()


class Retention(Strict):
    """How long what customers wrote is kept."""

    days: int | None = Field(
        default=None,
        ge=1,
        description="Turns older than this are deleted every day, with evidence, messages, replies, thumbs and "
        "hand-overs, unless something about them is open; kept for ever where absent.",
    )


IntentName = Annotated[str, StringConstraints(pattern=r"^[^.]+$")]
"""Without a dot, which parts the names of settings."""


class Brand(Strict):
    """One brand: voice, knowledge, channels."""

    name: str = Field(pattern=BRAND_NAME, description="Same as the file's name.")
    display_name: str = Field(description="The name as customers know it.")
    tagline: str = Field(default="", description="One line under the name in the sample shop.")
    language: str = Field(default="en", description="BCP 47 tag of the brand's language.")
    pages: Path = Field(description="Folder of help pages that `brandvoice demo` and `kb add` read.")
    voice_guide: Path = Field(
        description="Markdown; for people, for the base model on the bench, never for the adapter."
    )
    conversations: Path | None = Field(default=None, description="Training conversations, JSON lines.")
    questions: Path | None = Field(default=None, description="Held-out questions, JSON lines.")
    shipped_adapter: Path | None = Field(default=None, description="Adapter folder that ships with the project.")
    intents: Path | None = Field(
        default=None, description="Labelled messages that `brandvoice intents train` learns from, JSON lines."
    )
    intents_routes: dict[IntentName, Literal["hand_over", "small_talk"]] = Field(
        default_factory=dict, description="What happens with a message of an intent that search shall not answer."
    )
    words: Words
    widget: Widget
    theme: Theme = Theme()
    retrieval: BrandRetrieval = BrandRetrieval()
    gate: Gate = Gate()
    handover: Handover = Handover()
    retention: Retention = Retention()
    corrections: Corrections = Corrections()
    retraining: Retraining = Retraining()
    check: Literal["before", "after", "off"] = Field(
        default="before",
        description="Check each sentence before it is shown, mark it after the turn, or not at all.",
    )
    channels: tuple[Binding, ...] = Field(default=(), description="Identities on platforms that speak as this brand.")

    @model_validator(mode="after")
    def _routes_have_intents(self) -> Self:
        if self.intents_routes and self.intents is None:
            raise ValueError("intents_routes names intents, but no file of `intents` says what they are; add intents")
        if self.handover.intents and self.intents is None:
            raise ValueError("handover.intents names intents, but no file of `intents` says what they are; add intents")
        return self
