"""Slack's OAuth: where a workspace says yes to the app, and what its answers mean.

Source: docs.slack.dev/authentication/installing-with-oauth, docs.slack.dev/authentication/using-token-rotation and
docs.slack.dev/reference/methods/oauth.v2.access.
"""

from __future__ import annotations

import base64
from urllib.parse import quote, urlencode

from pydantic import ValidationError

from channels.answers import answer_object, seconds
from channels.base import Request
from channels.errors import InstallRefused
from channels.installs import Grant
from channels.payloads import Id, Loose

SCOPES = (
    "app_mentions:read",
    "assistant:write",
    "channels:history",
    "chat:write",
    "commands",
    "groups:history",
    "im:history",
    "reactions:read",
)
"""What docs/slack-app-manifest.yaml asks for too: to read what is addressed to us, to answer, to take thumbs, and to
look up whether a reply of ours arrived."""

REASONS = {
    "bad_client_secret": "client_secret is not this app's.",
    "bad_redirect_uri": "The app's redirect address at Slack is not this one.",
    "code_already_used": "It was opened twice. Open the link again.",
    "invalid_client_id": "client_id is not this app's.",
    "invalid_code": "It took too long. Open the link again.",
    "invalid_refresh_token": "The workspace must install the app again.",
}


class Team(Loose):
    """A workspace, or an organisation of several."""

    id: Id
    name: str | None = None


class Access(Loose):
    """The answer of oauth.v2.access."""

    access_token: Id
    token_type: str
    team: Team | None = None
    enterprise: Team | None = None
    is_enterprise_install: bool = False
    refresh_token: Id | None = None


def consent_url(api_url: str, client_id: str, state: str) -> str:
    """Where an admin of the workspace says yes; without an address to come back to, Slack takes the app's own."""
    query = urlencode({"client_id": client_id, "scope": ",".join(SCOPES), "state": state}, quote_via=quote)
    return f"{api_url.removesuffix('/api')}/oauth/v2/authorize?{query}"


def access_call(api_url: str, client_id: str, client_secret: str, **form: str) -> Request:
    """One call of oauth.v2.access, which knows the app by Basic authentication."""
    proof = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
    headers = {"authorization": f"Basic {proof}", "content-type": "application/x-www-form-urlencoded"}
    return Request("POST", f"{api_url}/oauth.v2.access", headers, form=form)


def read_access(status: int, body: bytes) -> Grant:
    """The bot token and whose it is.

    An app that an organisation installs for all its workspaces has one token, and belongs to the organisation.

    Raises:
        InstallRefused: Slack gave none.
    """
    answer = answer_object(body) or {}
    if status != 200 or answer.get("ok") is not True:
        error = answer.get("error")
        code = error if isinstance(error, str) and error.isascii() else ""
        raise InstallRefused(
            f"Slack gave no token: {code[:64] or f'HTTP {status}'}. {REASONS.get(code, 'Open the link again.')}"
        )
    try:
        access = Access.model_validate(answer)
    except ValidationError as error:
        raise InstallRefused("Slack's answer is not of the known shape. Please report it.") from error
    owner = access.enterprise if access.is_enterprise_install else access.team
    if access.token_type != "bot" or owner is None:  # noqa: S105 (a kind of token)
        raise InstallRefused("Slack gave no bot token. Give the app a bot user, and open the link again.")
    secrets = {"bot_token": access.access_token}
    if access.refresh_token:
        secrets["refresh_token"] = access.refresh_token
    lasts_s = seconds(answer.get("expires_in")) if access.refresh_token else None
    return Grant(owner.id, owner.name or "", secrets, lasts_s or None)
