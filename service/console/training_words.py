"""What the data doctor, the gate and a training say, named here so that it is translated where it is shown."""

from __future__ import annotations

from service.console.marked import _

MEASURES = {
    "voice": _("voice score"),
    "groundedness": _("groundedness"),
    "facts": _("right facts given"),
    "citation_precision": _("citation precision"),
    "citation_recall": _("citation recall"),
    "refusal": _("unanswerable questions refused"),
    "false_refusal": _("answerable questions refused"),
    "handoff": _("hand-offs decided right"),
    "intent": _("intents told right"),
    "overlap": _("overlap with the references"),
    "leak": _("replies that give training text away"),
    "general": _("general questions answered right"),
    "general_loss": _("loss on general text"),
    "prompt_tokens": _("tokens of a prompt"),
    "first_token_ms": _("time to the first token in ms"),
    "tokens_per_s": _("tokens a second"),
}
"""Of each measure of the gate, what it is called."""
VERDICTS = (_("passed"), _("refused"), _("not enough evidence"))
RULES = {
    "structure": _("not a conversation"),
    "encoding": _("not text"),
    "empty": _("empty"),
    "no_assistant": _("no reply"),
    "too_long": _("too long"),
    "cut": _("breaks off"),
    "duplicate": _("repeated"),
    "near_duplicate": _("nearly repeated"),
    "contradiction": _("contradiction"),
    "pii": _("personal data"),
    "placeholder": _("slot left empty"),
    "language": _("other language"),
    "off_voice": _("out of voice"),
    "overlap": _("asked by the gate too"),
    "abuse": _("insult"),
    "bias": _("unequal treatment"),
    "few_refusals": _("few refusals"),
    "few_handoffs": _("few hand-offs"),
    "few_followups": _("few follow-ups"),
    "few_paraphrases": _("few other wordings"),
    "skewed_lengths": _("skewed lengths"),
}
"""Of each rule of the data doctor, what it is called."""
MARKS = (
    _("words of a language model about itself"),
    _("several words of slang"),
    _("an emoji"),
    _("words in capitals"),
    _("officialese"),
    _("a word of slang"),
    _("no capital at the beginning"),
    _("several marks of exclamation"),
    _("a mark of exclamation"),
    _("a contraction"),
    _("three dots"),
    _("a list"),
)
"""What makes a reply's tone stand out."""
REASONS = (
    # the gate
    _("not measured"),
    _("1 case, where a measure needs %(least)s"),
    _("%(count)s cases, where a measure needs %(least)s"),
    _("0 for %(current)s, so that no share of it can be taken"),
    _("%(now)s now, %(then)s with the candidate, no worse"),
    _("%(now)s now, %(then)s with the candidate, at least %(gain)s better"),
    _("%(now)s now, %(then)s with the candidate, at worst %(loss)s lower"),
    _("%(now)s now, %(then)s with the candidate, at worst %(loss)s higher"),
    _("%(now)s now, %(then)s with the candidate, at worst %(loss)s lower, beyond the margin of %(margin)s"),
    _("%(now)s now, %(then)s with the candidate, at worst %(loss)s higher, beyond the margin of %(margin)s"),
    _("%(mean)s is below the floor of %(floor)s"),
    _("%(mean)s is above the floor of %(floor)s"),
    _("0 cases, where %(least)s are needed for a verdict"),
    _("1 case, where %(least)s are needed for a verdict"),
    _("%(count)s cases, where %(least)s are needed for a verdict"),
    _("no worse than %(current)s on %(count)s measures, by %(cases)s cases"),
    _("base + voice guide"),
    # what stands against a version that shall speak
    _("The gate says of %(name)s: %(verdict)s: %(clauses)s"),
    _("The gate has not judged %(name)s yet. Ask the gate: %(command)s."),
    _("The gate's verdict on %(name)s is out of date: %(clauses)s. Ask the gate: %(command)s."),
    _("The gate's verdict on %(name)s cannot be used: %(reason)s. Ask the gate: %(command)s."),
    _("the candidate's weights are others"),
    _("it was compared with %(before)s, and %(now)s speaks now"),
    _("another base model serves"),
    _("the held-out questions are others"),
    _("margins or floors were changed"),
    # what came of a training that began by itself
    _("Its job is not there any more."),
    _("Somebody has stopped it."),
    _("It was interrupted."),
    _("It was deleted."),
    _("The gate has said nothing."),
    # the data doctor: its verdicts
    _("good to train on"),
    _("worth a look first"),
    _("clean it first"),
    _("do not train on this"),
    # what costs points
    _("%(count)s of %(rows)s rows rejected"),
    _("%(count)s of %(rows)s rows insult or judge people"),
    _("%(count)s of %(rows)s rows treat people unequally or judge a group"),
    _("%(count)s of %(rows)s rows contradict another one"),
    _("%(count)s of %(rows)s rows ask what the evaluation asks"),
    _("%(count)s of %(rows)s rows hold personal data"),
    _("%(count)s of %(rows)s rows hold slots that nobody filled"),
    _("%(count)s of %(rows)s rows are in another language"),
    _("%(count)s of %(rows)s rows break off"),
    _("%(count)s of %(rows)s rows repeat another one"),
    _("%(count)s of %(rows)s rows nearly repeat another one"),
    _("%(count)s of %(rows)s rows are out of the voice"),
    _("too few replies refuse"),
    _("too few replies hand over"),
    _("too few conversations go on"),
    _("too few answers are asked for in several wordings"),
    _("lengths are skewed"),
    # rows that are rejected
    _("%(count)s tokens, the model takes %(most)s"),
    _("no form has these keys: %(keys)s"),
    _("no messages"),
    _("message %(number)s (%(role)s) has no text"),
    _("no reply of an assistant, so that nothing can be learnt"),
    _("no message of a user, so that nothing is asked"),
    _("the assistant calls tools and never speaks"),
    _("rejected has no text"),
    _("chosen and rejected are the same"),
    _("history is no list"),
    _("history holds something other than pairs of texts"),
    _("output has no text"),
    _("input is no object with messages"),
    _("%(key)s is no list of messages"),
    _("%(key)s: message %(number)s is no object"),
    _("%(key)s: message %(number)s has the role %(role)s"),
    _("%(key)s: message %(number)s holds something other than text"),
    _("%(key)s: message %(number)s has no content"),
    _("%(key)s: message %(number)s: content is no text"),
    _("%(key)s is missing"),
    _("%(key)s is no text"),
    _("not a JSON object, such as {...}"),
    _("not JSON: %(reason)s at column %(column)s"),
    _("not UTF-8 at byte %(byte)s"),
    _("nested too deeply"),
    _("longer than %(most)s MiB, skipped unread"),
    # rows that are doubtful
    _("reply %(number)s breaks off: ...%(end)s"),
    _("message %(number)s of the user breaks off: ...%(end)s"),
    _("the last message is the user's, so that it has no reply to learn"),
    _("message %(number)s (%(role)s) holds %(slots)s"),
    _("the rejected reply holds %(slots)s"),
    _("replies: written in %(language)s, not %(wanted)s"),
    _("the user's messages: written in %(language)s, not %(wanted)s"),
    _("holds %(count)s piece(s): %(kinds)s"),
    _("e-mail"),
    _("phone"),
    _("card"),
    _("IBAN"),
    _("name"),
    _("a reply insults: %(words)s"),
    _("a reply judges people by a group: %(words)s"),
    _("the question of line %(line)s, asked %(manners)s: %(clauses)s"),
    _("plainly"),
    _("in dialect"),
    _("by a name of group %(group)s"),
    _("one is refused, the other is not"),
    _("the facts are others, %(facts)s"),
    _("one reply has %(count)s words, the other %(more)s"),
    _("one is courteous, the other curt"),
    _("says the same as line %(line)s"),
    _("says the same as %(place)s"),
    _("%(share)s alike to line %(line)s"),
    _("%(share)s alike to %(place)s"),
    _("the question of line %(line)s is answered otherwise: %(facts)s"),
    _("the question of %(place)s is answered otherwise: %(facts)s"),
    _("asks what the evaluation asks (%(share)s alike): %(question)s"),
    _("a reply hardly sounds like the brand (%(score)s): %(clauses)s"),
    _("a reply has %(marks)s"),
    _("%(mark)s (as %(count)s of %(all)s replies)"),
    # the data as a whole
    _("%(share)s of the replies refuse; a model that never saw a refusal answers everything (at least %(least)s)"),
    _("%(share)s of the replies hand over to a person (at least %(least)s)"),
    _("%(share)s of the conversations go on after the first reply (at least %(least)s)"),
    _("%(share)s of the rows have an answer that is asked for in another wording too (at least %(least)s)"),
    _("the longest 5 % of the replies hold %(share)s of all words (median %(median)s words, longest %(longest)s)"),
    _("the chosen reply is longer in %(share)s of the pairs, so that length is learnt"),
)
"""Sentences with blanks; those in `%(clauses)s` and `%(marks)s` are named here as well."""
STAGES = (
    _("loading the base model"),
    _("loading the model"),
    _("base model is ready"),
    _("converting the base model"),
    _("fetching the base model"),
    _("fetching %(name)s from the hub"),
    _("waiting for another process that prepares the base model"),
    _("building the examples of %(name)s"),
    _("reading the pairs of %(name)s"),
    _("reading the pairs with the reference"),
    _("training %(name)s"),
    _("evaluating %(name)s"),
    _("packaging %(name)s"),
    _("%(name)s is up to date"),
    _("asking"),
    _("reading the answers"),
    _("general questions"),
    _("instructions"),
    _("general text"),
    _("general ability was measured before"),
)
"""Where a command stands that trains or asks the gate."""
RECIPES = (
    _(
        "Corrections learnt in minutes: goes on from the version that speaks, with what was accepted beside rows of "
        "the brand."
    ),
    _(
        "Of two replies the better one: an adapter that learns from preference pairs, after it has learnt from "
        "conversations."
    ),
    _(
        "All weights, to compare an adapter with: the result is a whole model in its run, which the engine does not "
        "serve."
    ),
    _(
        "LoRA that does not forget: the recipe to begin with on a GPU, and that of the adapters that ship, which are "
        "bound to it. (quick_cpu is a small adapter for two CPU cores.)"
    ),
    _(
        "QLoRA: an adapter beside a base that is kept in 4 bits while it trains, for one that the GPU could not hold "
        "otherwise."
    ),
    _("A small adapter while you watch: at most 12 minutes a brand on two CPU cores. On a GPU: lora.yaml."),
    _("The least that makes a real adapter, for the end-to-end test: under a minute on two CPU cores."),
)
"""What the recipes that ship say of themselves."""
