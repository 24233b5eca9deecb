"""What a deployment says about one brand: `configs/brands/<brand>.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

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
    questions_back: tuple[str, ...] = Field(
        default=("Could you tell me a little more about what you mean? Then I can look it up.",),
        min_length=1,
        description="Said when a question does not say what it is about.",
    )


class Widget(Strict):
    """The website channel of this brand."""

    site_key: str = Field(pattern=r"^pk_[A-Za-z0-9]{8,64}$", description="Public key in the script tag.")
    origins: tuple[str, ...] = Field(
        default=(),
        description="Origins that may open the chat besides the gateway's own, such as https://shop.example.",
    )
    starters: tuple[str, ...] = Field(default=(), max_length=4, description="Questions offered in an empty chat.")


class SlackBinding(Strict):
    """A Slack workspace that this brand answers in."""

    channel: Literal["slack"]
    app: str
    team_id: str

    @property
    def account(self) -> str:
        """The identity messages arrive under."""
        return self.team_id


class WhatsAppBinding(Strict):
    """A WhatsApp number that this brand answers on."""

    channel: Literal["whatsapp"]
    app: str
    phone_number_id: str

    @property
    def account(self) -> str:
        """The identity messages arrive under."""
        return self.phone_number_id


Binding = Annotated[SlackBinding | WhatsAppBinding, Field(discriminator="channel")]


class BrandRetrieval(Strict):
    """How this brand's knowledge is searched."""

    top_k: int = Field(default=3, ge=1, le=10, description="Passages in a prompt.")
    min_answerability: float = Field(
        default=0.5, ge=0, le=1, description="Below this probability the question is refused."
    )
    encoder: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Version of an encoder that `brandvoice train retriever` made of the brand's pages; it searches, "
        "the packaged one does the rest. After a change run `brandvoice kb add` and start the gateway again.",
    )
    focus: bool = Field(
        default=True,
        description="An answer must hold the sentence that answers best; else it is made again from the best two, else "
        "that sentence is quoted. Made for small base models: switch it off with one of a billion parameters or more.",
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
    check: Literal["before", "after", "off"] = Field(
        default="before",
        description="Check each sentence before it is shown, mark it after the turn, or not at all.",
    )
    channels: tuple[Binding, ...] = Field(default=(), description="Identities on platforms that speak as this brand.")

    @model_validator(mode="after")
    def _routes_have_intents(self) -> Self:
        if self.intents_routes and self.intents is None:
            raise ValueError("intents_routes names intents, but no file of `intents` says what they are; add intents")
        return self
