"""What a deployment says about the gateway: `configs/service.yaml`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from configs.brand import Strict


class Secret(Strict):
    """Where a secret stands; the secret itself never stands in a config."""

    env: str | None = Field(default=None, description="Name of an environment variable.")
    file: Path | None = Field(default=None, description="File that holds the secret and nothing else.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("say either env or file")
        return self


_URL = "Changed by tests and the simulator only."


class App(Strict):
    """An app on a platform, as its operator registered it there."""

    api_url: str

    def secrets(self) -> Mapping[str, Secret]:
        """Where its secrets stand, by their names."""
        return {name: value for name, value in self if isinstance(value, Secret)}

    def settings(self) -> Mapping[str, str]:
        """What else is said of it, by its names; the address of the platform is not among it."""
        return {name: value for name, value in self if isinstance(value, str) and name != "api_url"}


class SlackApp(App):
    """One Slack app."""

    signing_secret: Secret
    bot_token: Secret | None = Field(
        default=None, description="Of one workspace; may be left out where workspaces install the app themselves."
    )
    client_id: str = Field(default="", description="With `client_secret`, workspaces may install the app themselves.")
    client_secret: Secret | None = Field(default=None, description="From the same page as `client_id`.")
    api_url: str = Field(default="https://slack.com/api", description=_URL)


class WhatsAppApp(App):
    """One Meta app with WhatsApp."""

    app_secret: Secret
    verify_token: Secret
    access_token: Secret
    api_url: str = Field(default="https://graph.facebook.com/v23.0", description=_URL)


class MessengerApp(App):
    """One Meta app with a Facebook page."""

    app_secret: Secret
    verify_token: Secret
    access_token: Secret = Field(description="Of the page.")
    api_url: str = Field(default="https://graph.facebook.com/v23.0", description=_URL)


class InstagramApp(App):
    """One Meta app with an Instagram professional account, by Instagram Login."""

    app_secret: Secret = Field(description="The Instagram app secret, which is not that of the Meta app.")
    verify_token: Secret
    access_token: Secret = Field(description="Of the account.")
    api_url: str = Field(default="https://graph.instagram.com/v23.0", description=_URL)


class TelegramApp(App):
    """One Telegram bot."""

    username: str = Field(
        default="", description="The bot's name in Telegram; without it nobody can mention the bot in a group."
    )
    bot_token: Secret
    secret_token: Secret = Field(description="The word given to setWebhook; Telegram sends it along with each update.")
    api_url: str = Field(default="https://api.telegram.org", description=_URL)


class DiscordApp(App):
    """One Discord application, reached by its slash command."""

    public_key: str = Field(description="From the application's General Information page, in hex.")
    private_key: Secret | None = Field(default=None, description="Set by the simulator only: it signs for Discord.")
    api_url: str = Field(default="https://discord.com/api/v10", description=_URL)


class TeamsApp(App):
    """One Microsoft Teams bot."""

    app_id: str = Field(description="The bot's Microsoft App ID.")
    app_tenant: str = Field(default="botframework.com", description="Directory of the bot; its id for a single tenant.")
    app_password: Secret = Field(description="The bot's client secret.")
    private_key: Secret | None = Field(default=None, description="Set by the simulator only: it signs for Microsoft.")
    api_url: str = Field(default="https://smba.trafficmanager.net/teams", description=_URL)


class LineApp(App):
    """One LINE Messaging API channel."""

    channel_secret: Secret
    access_token: Secret = Field(description="The channel access token.")
    api_url: str = Field(default="https://api.line.me", description=_URL)


class TwilioApp(App):
    """One Twilio account, for SMS and for WhatsApp by Twilio."""

    account_sid: str = Field(description="Begins with AC.")
    auth_token: Secret
    webhook_url: str = Field(
        description="The address that Twilio calls, as entered there: it is part of what Twilio signs."
    )
    api_url: str = Field(default="https://api.twilio.com", description=_URL)


class Apps(Strict):
    """Apps a platform, by a name of our own choice: webhooks arrive at `/webhooks/<channel>/<app>`."""

    slack: dict[str, SlackApp] = Field(default_factory=dict, description="Slack apps.")
    whatsapp: dict[str, WhatsAppApp] = Field(default_factory=dict, description="Meta apps with WhatsApp.")
    messenger: dict[str, MessengerApp] = Field(default_factory=dict, description="Meta apps with a Facebook page.")
    instagram: dict[str, InstagramApp] = Field(default_factory=dict, description="Meta apps with Instagram.")
    telegram: dict[str, TelegramApp] = Field(default_factory=dict, description="Telegram bots.")
    discord: dict[str, DiscordApp] = Field(default_factory=dict, description="Discord applications.")
    teams: dict[str, TeamsApp] = Field(default_factory=dict, description="Microsoft Teams bots.")
    line: dict[str, LineApp] = Field(default_factory=dict, description="LINE channels.")
    twilio: dict[str, TwilioApp] = Field(default_factory=dict, description="Twilio accounts.")

    def each(self) -> Iterator[tuple[str, str, App]]:
        """Every app as (channel, its name here, its settings)."""
        for channel, apps in self:
            for name, app in apps.items():
                yield channel, name, app


class Limits(Strict):
    """Messages a minute that are taken; 0 sets no limit. As many as half a minute allows may come at once."""

    visitor_per_minute: int = Field(
        default=40, ge=0, description="From one visitor of the widget; nobody types so fast."
    )
    account_per_minute: int = Field(default=6000, ge=0, description="To one brand's widget, or from one API key.")
    total_per_minute: int = Field(default=12000, ge=0, description="By the widget and the API together.")


class Service(Strict):
    """Where the gateway listens and how much it takes on."""

    host: str = Field(default="127.0.0.1", description="Beyond loopback, API keys are required.")
    port: int = Field(default=8000, ge=0, le=65535, description="0 takes any free port.")
    api_keys: Secret | None = Field(default=None, description="Comma-separated keys; may be left out on loopback.")
    max_message_chars: int = Field(default=4000, ge=100, le=20000, description="A longer message is refused.")
    max_turns: int = Field(default=16, ge=1, le=1024, description="Turns generated at one time; more wait.")
    max_waiting: int = Field(default=128, ge=0, description="Turns that may wait; more are told to come back.")
    turn_deadline_s: float = Field(default=90, gt=0, description="A turn that takes longer fails.")
    max_wait_s: float = Field(
        default=300,
        gt=0,
        description="A message that waits longer, for a free place or an engine, is not answered any more: its writer "
        "is told so once.",
    )
    max_unanswered: int = Field(
        default=2000,
        ge=1,
        description="Conversations that wait or run; beyond it a platform is told to deliver later (503): what it "
        "delivered now would wait longer than `max_wait_s`.",
    )
    limits: Limits = Limits()
    simulator: bool = Field(
        default=False,
        description="Stand in for the platforms: their apps send to this gateway itself. On loopback only.",
    )

    @model_validator(mode="after")
    def _simulator_stays_here(self) -> Self:
        if self.simulator and not is_loopback(self.host):
            raise ValueError("the simulator is for this machine only; set host to 127.0.0.1 or simulator to false")
        return self


class Models(Strict):
    """The weights that everything runs on."""

    base: str = Field(
        default="smollm2-135m-instruct",
        description="The packaged model's name, a hub name such as Qwen/Qwen2.5-0.5B-Instruct, or a folder.",
    )
    encoder: str = Field(default="all-minilm-l6-v2", description="The packaged encoder's name, or a folder.")


class Engine(Strict):
    """The vLLM process that generates."""

    url: str | None = Field(
        default=None, description="An engine that runs elsewhere; where absent, one is started as a child process."
    )
    urls: tuple[str, ...] = Field(
        default=(),
        description="Several engines that run elsewhere, with the same base model: adapters are loaded on each, and "
        "requests are spread.",
    )
    port: int = Field(default=0, ge=0, le=65535, description="Port of the child process; 0 takes any free port.")
    device: str = Field(default="cpu", pattern="^(cpu|cuda)$", description="What the child process runs on.")
    max_model_len: int = Field(default=2048, ge=512, description="Context window, in tokens.")
    max_num_seqs: int = Field(default=16, ge=1, description="Sequences in one batch.")
    kv_cache_gib: int = Field(default=1, ge=1, description="Memory for the KV cache on a CPU, in GiB.")
    max_loras: int = Field(default=4, ge=1, description="Adapters in one batch.")
    max_lora_rank: int = Field(
        default=16, ge=8, description="Largest rank among the adapters; an engine that runs elsewhere must take it too."
    )
    ready_timeout_s: float = Field(default=300, gt=0, description="How long a start may take.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.url and self.urls:
            raise ValueError("say either url or urls")
        if len(set(self.elsewhere)) != len(self.elsewhere):
            raise ValueError("urls names an engine twice")
        return self

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """Addresses of the engines that run elsewhere; none where one is started as a child process."""
        return tuple(url.rstrip("/") for url in ((self.url,) if self.url else self.urls))


class Adapters(Strict):
    """Which adapters may speak."""

    signing_keys: Secret | None = Field(
        default=None,
        description="Comma-separated keys of 32 characters or more. Where set, an adapter without a valid signature is "
        "refused; the first key signs, all are accepted.",
    )


class Generation(Strict):
    """How replies are sampled."""

    temperature: float = Field(default=0.0, ge=0, le=2, description="0 gives the same words each time.")
    max_tokens: int = Field(default=120, ge=16, le=1024, description="Longest reply.")
    repetition_penalty: float = Field(default=1.0, ge=1, le=2, description="1 leaves repetition alone.")


class Database(Strict):
    """Conversations, turns, inbox, outbox."""

    url: str | None = Field(
        default=None, description="SQLAlchemy URL; `brandvoice.db` in the state folder where absent."
    )
    lease_s: float = Field(
        default=10.0,
        ge=2.0,
        description="A gateway that is silent this long is taken for dead by the others; the same for all of them.",
    )


class Installations(Strict):
    """Accounts that install an app themselves."""

    keys: Secret | None = Field(
        default=None,
        description="Comma-separated keys of 32 characters or more: tokens are stored encrypted, and install links are "
        "made, with the first; all are read. Where absent, nobody can install an app.",
    )


class Visitors(Strict):
    """Who may open a chat of the widget again."""

    keys: Secret | None = Field(
        default=None,
        description="Comma-separated keys of 32 characters or more that make visitors' tokens: the first makes them, "
        "all are accepted. Where absent, one is made and kept in the state folder.",
    )
    token_hours: int = Field(
        default=168,
        ge=1,
        le=8760,
        description="A visitor who is away for longer begins a new chat; a token is renewed whenever they come.",
    )
    identity: dict[str, Secret] = Field(
        default_factory=dict,
        description="A brand's secret, by which its site signs the ids of people who are logged in there.",
    )


class Handoff(Strict):
    """Who hears of a hand-over."""

    webhook_url: str | None = Field(default=None, description="Gets a signed POST (Standard Webhooks).")
    webhook_secret: Secret | None = Field(default=None, description="`whsec_...`; required with a URL.")
    webhook_words: bool = Field(
        default=False,
        description="Whether `message.received` carries what the customer said, not only where it stands.",
    )

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if self.webhook_url and self.webhook_secret is None:
            raise ValueError("webhook_url needs webhook_secret: calls are always signed")
        return self


class ServiceConfig(Strict):
    """Everything in `configs/service.yaml`."""

    service: Service = Service()
    models: Models = Models()
    engine: Engine = Engine()
    adapters: Adapters = Adapters()
    generation: Generation = Generation()
    database: Database = Database()
    handoff: Handoff = Handoff()
    visitors: Visitors = Visitors()
    installations: Installations = Installations()
    apps: Apps = Apps()


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
