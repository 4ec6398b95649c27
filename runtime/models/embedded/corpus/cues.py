"""Sentences that tell a class by its typical words: class phrases put into general frames."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

from .writer import Writer, capital

Cues = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
# Per class: noun phrases, then clauses.
PROBLEM_CUES: Cues = {
    "billing": (
        ("the [wrong|high|double] [charge|amount|price|fee] on my [invoice|bill|card|statement]", "a [charge|payment|fee] that I [never authorised|did not make|do not know]",
         "my [refund|credit note|discount|payment]", "the [invoice|bill|receipt] for {it}", "a missing [refund|invoice|receipt|credit]", "the [price|total|tax|VAT] on the [bill|invoice|receipt]",
         "a [double|second|wrong] [payment|charge|debit] on my [card|bank account|credit card]", "the [payment|billing] [reminder|method|address]", "[money|a payment|a refund] that I am still owed",
         "a [copy|correction] of my [invoice|bill|receipt]", "the monthly [fee|payment|subscription price]", "the [discount|voucher|coupon] missing on my [bill|invoice]"),
        ("I was [charged|billed|debited] [twice|too much|two times|{amount} too much] for {it}", "the [invoice|bill|receipt] has the wrong [amount|price|total|tax]", "my [card|credit card|bank account] was [charged|debited|billed] [twice|again|without reason]",
         "my [refund|money|credit] has not been [paid|refunded|credited]", "I [paid|transferred] {amount} but the [invoice|bill] is still [open|unpaid]", "the [payment|transfer|direct debit] [failed|was declined|was rejected]",
         "I [never got|need|am missing] [an invoice|a bill|a receipt] for {it}", "you [charged|billed] me {amount} instead of {amount2}", "the [price|fee|total] on my [bill|invoice|statement] is too high",
         "my [discount|voucher|coupon] was not [taken off|deducted from] the [price|total|bill]", "I [got|received] a payment [reminder|demand] although I [paid|transferred the money]", "the [refund|credit] of {amount} is [missing|not on my bank account]",
         "I want to [pay|settle the bill] [by card|by bank transfer|in two payments]", "there is a [fee|charge] of {amount} on my [bill|card|invoice]", "the [tax|VAT] on the [invoice|receipt|bill] is [wrong|missing]",
         "I [refuse to pay|will not pay] this [bill|fee|invoice]", "the [subscription|monthly] [fee|price|charge] went up to {amount}", "I cancelled but was still [charged|billed] {amount}"),
    ),
    "shipping": (
        ("the [late|missing|lost|delayed] [parcel|package|delivery|shipment]", "a [delivery|parcel|shipment] that never [arrived|came]", "the [tracking|delivery] of my [parcel|package|shipment]", "the [courier|carrier|driver|delivery man]",
         "the [delivery|shipping] [address|date|time]", "a [parcel|package|box] at the wrong [address|house|door]", "the [tracking number|tracking page|tracking link]", "a [lost|damaged|crushed] [parcel|package|box]",
         "the [delay|status] of the [delivery|shipment]", "my [parcel|package|shipment], stuck [at customs|in the depot|in transit]", "the [arrival|whereabouts] of my [parcel|package|delivery]", "an [express delivery|express parcel] that is late"),
        ("the [parcel|package|delivery|shipment] [never arrived|has not arrived|did not come|is still not here]", "my [parcel|package|shipment] is [late|overdue|lost|delayed]", "the [courier|driver|carrier] [lost|dropped|misplaced] my [parcel|package|box]",
         "the [courier|driver] [left|put] the [parcel|package|box] at the wrong [address|door|house]", "the [tracking|tracking page] says [delivered|in transit] but no [parcel|package] [came|arrived|is here]", "I am [still waiting|waiting since {date}] for the [delivery|parcel|package|courier]",
         "the [delivery|shipment] was [due|expected|announced] on {date}", "the [tracking number|tracking link] does not [work|exist|change]", "my [delivery|shipping] address has [changed|moved] to {street}", "the [package|parcel|shipment] is stuck [at customs|in the depot|in {city}]",
         "the [parcel|package] was [sent|delivered|shipped] to [the wrong address|my neighbour|{city}]", "nobody [rang|was at the door] and the [courier|driver] took the [parcel|package] away", "the [delivery|shipment] has not [left the depot|been sent|been shipped]",
         "I want to know [when|where] the [parcel|delivery|package] will [arrive|be delivered]", "only [one|half] of the [parcels|packages|boxes] [arrived|was delivered]", "the [delivery|shipping] takes [too long|longer than promised]",
         "the [box|package|parcel] was [wet|crushed|torn] when the [courier|driver] brought it", "the [carrier|courier] cannot find my [address|parcel|house]"),
    ),
    "technical": (
        ("a [broken|black|frozen|flickering] [screen|display]", "the [error|error message|error code] {num}", "a [bug|fault|defect|problem] in the [app|software|firmware|device]", "the [failed|broken] [update|setup|installation]",
         "the [wifi|bluetooth|network|internet] [connection|signal]", "my [login|password|account access]", "the [battery|charger|power button]", "a [crash|freeze|restart] of the [app|device|software]", "the [sound|screen|button|sensor|motor] of {it}",
         "a device that does not [start|turn on|respond|work]", "the [settings|configuration|setup] of {it}", "[help|trouble] with the [installation|setup|update|connection]"),
        ("{it} does not [start|turn on|work|respond|charge] any more", "the [screen|display] is [black|frozen|broken|flickering]", "the [app|software|device|program] [crashes|freezes|restarts|stops] [all the time|after the update|when I start it]", "the [app|device|screen] shows [an error|error {num}|an error message]",
         "the [update|installation|setup|firmware update] [failed|stopped|does not work]", "I cannot [log in|reset my password|connect to the wifi|install the app]", "the [battery|charger] [is empty|gets hot|does not charge|is broken]",
         "the [wifi|bluetooth|network] [connection|signal] [breaks|is lost|is slow|does not work]", "{it} [makes a noise|gets hot|shuts down|switches off] [after a minute|by itself|under load]", "the [button|sensor|motor|sound|speaker] [is broken|stopped working|does not respond]",
         "I need [help|a guide] to [install|set up|configure|reset] {it}", "there is a [bug|fault|defect] in the [app|software|firmware|device]", "my [password|login] does not work [any more|since the update]", "the [software|app] does not [recognise|find|see] the device",
         "{it} [stopped working|broke down|died] [after the update|yesterday|by itself]", "the [device|program|website] is [very slow|frozen|not responding]", "the [light|display] [blinks|flickers] and the device does not [start|respond]", "[pages|menus|settings] of the app do not [open|load|work]"),
    ),
    "returns": (
        ("the [return|exchange] of {it}", "a [return label|return number|return form]", "[sending|giving] {it} back", "the [return|exchange] [period|policy|address|conditions]", "an [exchange|swap] for [another size|another colour|a different model]",
         "a [wrong|unwanted|unused] [item|size|colour|model] that I want to [return|send back|exchange]", "my right to [return|withdraw|send back]", "a [return|withdrawal] within two weeks", "the [return postage|return parcel]",
         "[returning|exchanging|sending back] {it}", "an item that does not fit and goes back", "a [gift|spare one] to [return|give back|exchange]"),
        ("I want to [return|send back|give back|exchange|swap] {it}", "I would like to [exchange|swap] {it} for [another size|another colour|a different model]", "{it} [is too small|is too large|does not fit] and I want to [return|exchange|send back] it", "I need a return [label|number|form|address]",
         "I [changed my mind|do not like it|no longer want it] and will [return|send back] {it}", "you sent the wrong [size|colour|model|item] and I want to [exchange|swap|return] it", "I [withdraw|step back] from the [purchase|order]", "please take {it} back, it is [unused|unopened|a gift]",
         "how long can I [return|send back|exchange] {it}", "where do I [return|send back|exchange] {it}", "who pays the [return|return postage] when I send {it} back", "the return [label|form|number] is [missing|not in the box]",
         "I am [sending back|returning|giving back] [all|one] of the items", "I wish to [return|give back] an unwanted [gift|item]", "can {it} be [returned|exchanged|sent back|swapped]", "we do not [need|want] {it} and would like to [return|send back] it",
         "I ordered [two sizes|one too many] and want to [return|send back] one", "is a [return|exchange] still possible"),
    ),
}
URGENCY_CUES: dict[str, tuple[str, ...]] = {
    "low": (
        "there is [no|absolutely no|really no] [hurry|rush|pressure|urgency]", "it is [not|not at all|by no means] urgent", "[this|it|my request] can wait [a week|a month|a while|until next month|a few weeks]", "[take|please take] [your time|all the time you need]",
        "I am [not|not at all] in a hurry", "[an answer|a reply] [next month|in a few weeks|some day] is [enough|fine|soon enough]", "[answer|reply|look at it] whenever you [have time|like|find a minute]", "[no need|you do not need] to [hurry|rush]", "[this|it] has [low|no] [priority|urgency]",
        "[this|it] is [only|just] a [small|minor] [thing|question|request], so [no hurry|no rush|take your time]", "I can wait [a while|as long as it takes|some weeks], [no rush|no pressure|no hurry]", "please do not [hurry|rush], it can wait", "it does not matter [when|how soon] you [answer|reply]",
        "[later|some time later|next month] is [fine|soon enough] too", "it is [nothing urgent|a low priority thing|not important right now]", "put [it|this] at the end of your list, it can wait", "[whenever|any time] you find time is [good|fine]", "there is plenty of time",
    ),
    "high": (
        "[this|it|the matter|my request] is [urgent|very urgent|extremely urgent|an emergency]", "[please|you must] [answer|reply|call|help|act] [at once|immediately|right now|today|as soon as possible]", "I need [help|an answer|a solution|a reply] [today|right now|immediately|within the hour|at once]",
        "[hurry|please hurry], [we cannot wait|it is urgent|every minute counts]", "[this|it] cannot wait [any longer|until tomorrow|another day]", "we [cannot work|are blocked|are losing money|stand still] [because of this|until it is fixed|right now]",
        "[this|it] must be [solved|fixed|settled] [today|immediately|by tonight|right now]", "[this|it] has [top|the highest|high] priority", "every [hour|minute] counts", "the [deadline|event] is [today|tonight|tomorrow], so [hurry|please act now]", "[act|answer|help] [fast|as fast as you can|immediately], please",
        "I need it [solved|fixed] [as soon as possible|by tomorrow morning|without delay]", "[time is running out|we are running out of time]", "it is an [urgent|absolute] emergency", "I [cannot|can not] wait, please [call|answer] [today|immediately|at once]",
        "our [business|shop|team|production] [is blocked|stands still|is down] until [you act|it is fixed]", "we need [immediate|urgent] help", "[drop everything|do not wait], this is [critical|urgent]",
    ),
    "normal": (
        "please [answer|reply|write back] when you have [checked it|looked at it]", "please [look into|check|take care of] [it|this|the matter]", "could you [check|look into|have a look at] [it|this]", "[tell me|let me know] [what to do|how to go on|what you need], please", "I am looking forward to [hearing from you|your reply|your answer]",
        "thanks for [your help|looking into it|taking care of it]", "what [should I do|can be done|happens] next?", "[an answer|a reply] [this week|in the next days|in the usual time] would be [good|fine|nice]", "I hope you can help me", "please [let me know|tell me] if you need [more|anything else]",
    ),
}
SHIPPING_CUES: dict[str, tuple[str, ...]] = {
    "standard": (
        "[standard|normal|regular|ordinary|usual] [shipping|delivery|post|mail] [is fine|is enough|will do|suits us]", "[send|ship|post] it by [standard|normal|regular|ordinary] [post|mail|parcel|delivery]", "we [want|chose|prefer] [standard|normal|economy|regular] [shipping|delivery|post]",
        "no express, the [normal|standard|cheap|usual] [parcel|post|delivery] [is fine|is enough|will do]", "the [cheapest|economy|standard] [shipping|delivery|parcel service] is [enough|fine]", "it [goes|travels] by [economy|standard|regular|ordinary] [mail|parcel|post]", "[ordinary|regular|standard] mail, no [courier|express|hurry]",
        "[use|please use] the [usual|normal|standard|economy] [parcel service|post|shipping]", "the [usual|regular|standard] way of [shipping|delivery] is [fine|enough]", "[economy|standard|normal] [shipping|delivery], please",
    ),
    "express": (
        "[express|overnight|next-day|fast] [shipping|delivery|courier], please", "[send|ship] it by [express|overnight courier|the fastest courier|next-day delivery]", "we [want|chose|pay for|prefer] [express|overnight|next-day|the fast] [delivery|shipping]", "it [goes|travels|must go] by [express|overnight courier|fast courier]",
        "[use|please use] the [express|overnight|fastest|quickest] [courier|service|delivery]", "the [fastest|quickest|express] [courier|shipping|delivery] is [needed|wanted], cost does not matter", "we need [express|overnight|next-day] [delivery|shipping], standard is too slow", "[ship|send] it [overnight|express|by the quickest way]",
        "we [pay extra|pay more] for [overnight|express|next-day|fast] [shipping|delivery]", "the [courier|express service] should bring it [overnight|the next day|within a day]",
    ),
    "pickup": (
        "we [will|want to|are going to] [pick up|collect|fetch] [it|the goods|everything] [ourselves|at your store|at the warehouse|in person]", "[no|we need no] [delivery|shipping], we [collect|pick up|fetch] [it|the goods] ourselves", "[someone|our driver|a colleague] will [pick it up|collect it|fetch it|come by]",
        "[pickup|collection|self collection] at [the store|your warehouse|the shop], please", "[keep|hold] it at the [store|shop|counter|warehouse] for [pickup|collection]", "I [come|will come] to [collect|fetch|pick up] the [goods|order] in person", "we chose [pickup|collection|click and collect] in the [store|shop]",
        "do not [send|ship] it, we [collect|fetch|pick up] [it|everything] [in person|ourselves]", "the goods will be [collected|fetched|picked up] [by us|by our van|at the store]", "[call|tell] us when it is ready for [pickup|collection]",
    ),
}
STATUS_CUES: dict[str, tuple[str, ...]] = {
    "planned": (
        "[the work|the project|everything] [will start|starts|begins|will begin] [next week|next month|in spring|soon|on {date}]", "[the work|the project] has not [started|begun] yet", "we [will start|begin|plan to start] [next week|next month|in autumn|after the holidays]", "[so far|at the moment] there is only [a plan|a draft|an idea]",
        "the [start|kick-off|beginning] is [planned|set|scheduled] for [next month|{date}|spring]", "we are [still planning|still preparing|in the planning phase]", "[nothing|no work] has [started|begun] yet, [the start|the kick-off] comes [later|next week]", "the project is [planned|about to begin|in preparation]", "the [planning|preparation] goes on before the work [starts|begins]",
    ),
    "on_track": (
        "[everything|the work|the project|all] is [on track|on schedule|on time|going to plan|in line with the plan]", "we are [on track|on time|on schedule|within the plan|making good progress]", "[progress|the work] [is good|goes well|goes on as planned|is on schedule]", "[no|there are no] [delays|problems], [the schedule holds|we are on time|we are on track]",
        "we will [meet|keep|hold] the [deadline|dates|schedule]", "the [schedule|plan|timetable|deadline] [holds|is kept|will be met]", "all [milestones|dates] [were met|were kept|are on schedule] so far", "things [go|move] [as planned|on schedule|well]", "the work is [half done|halfway] and [on schedule|on time|on track]",
    ),
    "delayed": (
        "[everything|the work|the project|the launch] is [delayed|late|behind schedule|behind the plan]", "we are [late|delayed|behind schedule|{n} days behind]", "the [deadline|date|schedule] [will be missed|cannot be kept|slips|was missed]", "the [launch|delivery|project] [was|had to be] [postponed|moved|pushed back] [to {date}|by {n} days|by a month]",
        "there is a [delay|long delay] of {n} [days|weeks]", "we [lost|lose] [time|{n} days|two weeks] because of [problems|missing parts|the supplier]", "it [takes|will take] [longer|{n} days longer] than [planned|expected]", "[problems|missing parts|sick colleagues] [delay|hold up|slow down] the [work|project]", "we will not [finish|be ready] [in time|by the deadline]",
    ),
    "done": (
        "[everything|the work|the project|all] is [done|finished|complete|completed|closed|over]", "we [have finished|are done with|completed|closed] [the work|the project|everything]", "[the project|the work] was [finished|completed|closed|signed off] [last week|on {date}|yesterday]", "the [last|final] [task|milestone|step] was [completed|finished|reached|signed off]",
        "all [tasks|milestones|parts] are [done|complete|finished|closed]", "[nothing|no work] is left, [we are done|the project is over|all is finished]", "the [result|final result] was [delivered|accepted|signed off]", "the project came to [an end|a good end]", "we [delivered|handed over] the [final result|finished work] [last week|on {date}]",
    ),
}
NOUN_FRAMES = (
    "[My|Our] [problem|question|concern|topic]: {phrase}.", "This is about {phrase}.", "I want to [talk|ask|write] about {phrase}.", "I have a [question|problem|request] about {phrase}.", "I am [writing|calling] about {phrase}.", "It concerns {phrase}.", "[Subject|Topic|Concern]: {phrase}.",
    "Can [you|someone] help me with {phrase}?", "My [mail|call|message] is about {phrase}.", "The [reason|cause] for my [mail|call] is {phrase}.", "I need [help|support|information] with {phrase}.", "Who can tell me more about {phrase}?", "[Please|Could you please] look into {phrase}.", "What about {phrase}?",
    "We have to [discuss|clear up] {phrase}.", "There is an issue: {phrase}.", "It is all about {phrase}.", "I am contacting you because of {phrase}.", "{phrase} is why I [write|call].", "{phrase}: please [check|help].", "I am [worried|asking] about {phrase}.", "Once more about {phrase}.",
)
CLAUSE_FRAMES = (
    "[Hello|Sorry], {clause}.", "I am [writing|calling] because {clause}.", "[Unfortunately|Sadly|Once again] {clause}.", "[As I said|To be clear], {clause}.", "Please note that {clause}.", "My [problem|concern]: {clause}.", "[Just so you know|For your information], {clause}.",
    "The [thing|point|matter] is that {clause}.", "[Today|Now] {clause}.", "In short, {clause}.", "I [have to|must] tell you that {clause}.", "[You should know|Let me say] that {clause}.", "It is like this: {clause}.", "[And|Also,] {clause}.", "[Well|So], {clause}.",
)
PLAIN_FRAMES = (
    "[Note|Remark]: {clause}.", "[By the way|As agreed|In short|Well], {clause}.", "Just to be clear: {clause}.", "One more thing: {clause}.", "[Also|And] {clause}.", "To sum up, {clause}.", "[As I said|As discussed], {clause}.", "So, {clause}.",
)


# fmt: on
def framed(
    w: Writer, frames: tuple[str, ...], slot: str, phrases: tuple[str, ...], fill: dict[str, object]
) -> str:
    """A phrase in a frame, both of the writer's half of the wordings."""
    phrase = w.say(phrases, **fill)
    if slot == "clause" and w.chance(0.5):
        return capital(phrase) + ("" if phrase.endswith("?") else w.pick((".", ".", ".", "!")))
    return capital(w.say(frames, **{slot: phrase})).replace("?.", "?")


def problem(w: Writer, category: str, fill: dict[str, object]) -> str:
    """What the customer wants, in words of the category; fill as for the mails' problems."""
    phrases, clauses = PROBLEM_CUES[category]
    if w.chance(0.4):
        return framed(w, NOUN_FRAMES, "phrase", phrases, fill)
    return framed(w, CLAUSE_FRAMES, "clause", clauses, fill)


def plain(w: Writer, clauses: tuple[str, ...], fill: dict[str, object]) -> str:
    """A clause, bare or with a short opening."""
    return framed(w, PLAIN_FRAMES, "clause", clauses, fill)
