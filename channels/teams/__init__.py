"""Microsoft Teams: Bot Framework activities in, replies by the Connector's REST interface out.

May import `channels` and `configs`. `payloads` reads activities, `rendering` writes Teams' Markdown, `bearer` checks
the token of a request by `signing_keys`, `app_token` is what we send with, `addresses` says where it may go, and
`channel` ties them together. Start reading at `channel`.
"""

from channels.platform import Platform
from channels.teams.channel import TeamsChannel
from channels.teams.stand_in import TeamsStandIn

TEAMS = Platform(TeamsChannel, TeamsStandIn())

__all__ = ["TEAMS", "TeamsChannel"]
