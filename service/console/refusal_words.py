"""Refusals of corrections, trainings, conversations and canned replies, named here so that they are translated."""

from __future__ import annotations

from service.console.marked import _

REFUSALS = (
    # corrections
    _("Say who proposes it."),
    _("%(page)s was changed meanwhile; look at it again, and edit it anew."),
    _("%(page)s was changed meanwhile; look at it again, and make the change anew."),
    _("The knowledge of %(brand)s holds no %(page)s any more."),
    _("The knowledge of %(brand)s holds no %(page)s. `brandvoice kb list --brand %(same)s` shows what it holds."),
    _("The page says just this already."),
    _("There is no brand %(brand)s."),
    _("Somebody else has changed or decided it meanwhile; look at it again."),
    _("Somebody has changed it meanwhile; look at it again."),
    _("It is %(state)s; only an accepted correction can be taken back."),
    _("It is %(state)s already."),
    _("Who proposed a correction does not review it here; another person must."),
    _("You have reviewed it already."),
    _("There is no turn %(turn)s."),
    _("There is no correction %(correction)s."),
    _("Only what the bot answered to a question can be corrected."),
    _("%(words)s does not stand in what the customer wrote."),
    _("The reply as it should have been is missing."),
    _("The corrected reply is what was said."),
    _("Name the pages that the corrected answer rests on."),
    _("There is no page %(pages)s."),
    _("The turn was deleted meanwhile."),
    _("%(person)s has corrected this answer already; look at it in the review."),
    _("A wrong fact needs the page that says it, and what it shall say."),
    _("%(field)s has more than %(most)s characters."),
    _("Only editors change what others proposed."),
    # trainings
    _("This gateway does not listen yet; ask the gate again in a moment."),
    _("This machine trains already: wait for it, or stop it."),
    _("This machine trains already (%(brand)s): wait for it, or stop it."),
    _("It does not run: it is %(state)s."),
    _("It runs on %(host)s; stop it at a gateway there."),
    _("It is %(state)s; there is nothing to go on with."),
    _("There is no new version to judge."),
    _("It has made no version."),
    _("It has no version that could speak."),
    _("It speaks or has spoken, so that one may go back to it; promote another first."),
    _("Brand %(brand)s has no adapter %(version)s that can be read."),
    _("There is no recipe %(recipe)s."),
    _("There is no training %(job)s."),
    _("%(brand)s has nothing to learn from yet; it needs conversations."),
    _("%(brand)s has nothing to learn from yet; it needs pairs of replies: accept corrections first."),
    _(
        "The recipe %(recipe)s goes on from the version that speaks, and %(brand)s has none yet: train a first one, "
        "such as with %(first)s, or set start_from=base."
    ),
    _("The data cannot be checked: %(reason)s"),
    _("The data doctor was not done after %(seconds)s seconds."),
    # conversations and canned replies
    _("There is no conversation %(conversation)s. See `brandvoice conversations list`."),
    _("%(person)s has this conversation, and keeps it unless it is taken from them by force."),
    _("A person needs a name of 1 to 100 characters, and neither `bot` nor `customer`."),
    _("A conversation that is `%(was)s` cannot become `%(wanted)s`."),
    _("A page needs a title of 1 to 200 characters."),
    _("A page needs a text of 1 to %(most)s characters."),
    _("The page cannot be read: %(reason)s"),
    _("There is no canned reply %(reply)s; somebody may have deleted it."),
    _("A canned reply needs a title of 1 to 100 characters."),
    _("A canned reply needs a text of 1 to %(most)s characters."),
    _("The brand has a canned reply %(title)s already. Change that one, or choose another title."),
    _("%(place)s stands for nothing here. Known are %(known)s."),
    _("%(place)s stands for nothing here%(meant)s. Known are %(known)s."),
    _("The brand %(brand)s has no turn %(turn)s; it may have been deleted."),
    _("The message is empty."),
    _("The message has %(count)s characters; at most %(most)s are read. Shorten it, or send it in parts."),
)
