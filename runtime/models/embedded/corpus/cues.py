"""Sentences that tell a class by its typical words: class phrases put into general frames."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

import re
from functools import cache
from itertools import product

from .writer import Writer, capital, split_wordings

Cues = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
# Per class: noun phrases, then clauses.
PROBLEM_CUES: Cues = {
    "billing": (
        ("the [wrong|high|double] [charge|amount|price|fee] on my [invoice|bill|card|statement]", "a [charge|payment|fee] that I [never authorised|did not make|do not know]",
         "my [refund|credit note|discount|payment]", "the [invoice|bill|receipt] for {it}", "a missing [refund|invoice|receipt|credit]", "the [price|total|tax|VAT] on the [bill|invoice|receipt]",
         "a [double|second|wrong] [payment|charge|debit] on my [card|bank account|credit card]", "the [payment|billing] [reminder|method|address]", "[money|a payment|a refund] that I am still owed",
         "a [copy|correction] of my [invoice|bill|receipt]", "the monthly [fee|payment|subscription price]", "the [discount|voucher|coupon] missing on my [bill|invoice]",
         "an invoice over {amount} that is too high", "a debit of {amount} from my bank account", "the {amount} you charged me", "a [mistake|wrong figure|calculation error] on the [bill|invoice]", "an unpaid refund of {amount}", "the [late fee|service fee|card fee] on my [bill|statement]",
         "[paying|the payment] by [card|bank transfer|direct debit|instalments]", "the [sum|amount] taken from my [card|account]", "your [payment demand|invoice|reminder] of {amount}", "a bill I have already paid", "overcharging on my [account|card|invoice]", "my [bank statement|card statement] and the double charge on it",
         "the [due amount|open balance|outstanding payment] on my account", "a [tax|VAT] number missing on the invoice", "the [rise|increase] of the monthly price", "a [payment|card] that was declined at the checkout", "the price difference between [the website|the offer] and the bill", "reimbursement of {amount}"),
        ("I was [charged|billed|debited] [twice|too much|two times|{amount} too much] for {it}", "the [invoice|bill|receipt] has the wrong [amount|price|total|tax]", "my [card|credit card|bank account] was [charged|debited|billed] [twice|again|without reason]",
         "my [refund|money|credit] has not been [paid|refunded|credited]", "I [paid|transferred] {amount} but the [invoice|bill] is still [open|unpaid]", "the [payment|transfer|direct debit] [failed|was declined|was rejected]",
         "I [never got|need|am missing] [an invoice|a bill|a receipt] for {it}", "you [charged|billed] me {amount} instead of {amount2}", "the [price|fee|total] on my [bill|invoice|statement] is too high",
         "my [discount|voucher|coupon] was not [taken off|deducted from] the [price|total|bill]", "I [got|received] a payment [reminder|demand] although I [paid|transferred the money]", "the [refund|credit] of {amount} is [missing|not on my bank account]",
         "I want to [pay|settle the bill] [by card|by bank transfer|in two payments]", "there is a [fee|charge] of {amount} on my [bill|card|invoice]", "the [tax|VAT] on the [invoice|receipt|bill] is [wrong|missing]",
         "I [refuse to pay|will not pay] this [bill|fee|invoice]", "the [subscription|monthly] [fee|price|charge] went up to {amount}", "I cancelled but was still [charged|billed] {amount}",
         "{amount} [was|were] taken from my [account|card] without my consent", "the sum on the [invoice|bill] does not match [my payment|the offer|what we agreed]", "you still owe me {amount}", "I paid too much", "the bill lists [an item|a service] that I never bought", "my bank shows [two|three] payments to your company",
         "we agreed on {amount}, yet the bill says {amount2}", "somebody used my card and I was billed {amount}", "a late fee was added to my [bill|invoice] although I paid on time", "the invoice is made out to the wrong [company|name]", "our accounting needs [a corrected invoice|a proper receipt|an invoice with VAT]", "can you send me [the invoice|a receipt|the bill] again?",
         "how can I [pay the bill|change my payment method|pay in instalments]?", "why do I have to pay {amount}?", "why is the [invoice|bill|fee] so high?", "when do I get my [refund|money back|reimbursement]?", "what is this charge of {amount} on my card?", "I was promised a discount, but I paid the full price",
         "the credit card payment did not go through", "your invoice contains a calculation error", "I dispute the charge of {amount}", "the price at the checkout was lower than on the bill", "the voucher code was rejected and I paid the full amount", "I do not understand the [fees|charges|amounts] on my bill", "you deducted {amount} twice"),
    ),
    "shipping": (
        ("the [late|missing|lost|delayed] [parcel|package|delivery|shipment]", "a [delivery|parcel|shipment] that never [arrived|came]", "the [tracking|delivery] of my [parcel|package|shipment]", "the [courier|carrier|delivery driver|delivery man]",
         "the [delivery|shipping] [address|date|time]", "a [parcel|package|box] delivered to the wrong [address|house|door]", "the [tracking number|tracking page|tracking link]", "a [lost|damaged|crushed] [parcel|package|delivery]",
         "the [delay|status] of the [delivery|shipment]", "my [parcel|package|shipment], stuck [at customs|in the depot|in transit]", "the [arrival|whereabouts] of my [parcel|package|delivery]", "an [express delivery|express parcel] that is late",
         "the [courier|parcel service|carrier] that did not [come|ring|deliver]", "a package left [in the rain|on the street|with a stranger]", "the [estimated|promised|expected] delivery [date|time|day]", "a parcel that my neighbour received", "the shipment to {city}", "the delivery to {street}",
         "a delivery that is [overdue|two weeks late|incomplete]", "the transport of {it}", "a parcel without a tracking number", "a [change|correction] of the [delivery|shipping] address", "the dispatch of {it}", "the package that the [driver|courier|carrier] lost", "[waiting|my long wait] for the [parcel|delivery|courier]",
         "a missed delivery [yesterday|this morning|last week]", "a parcel that was sent to {city} by mistake", "the [next|second] delivery attempt", "the pickup point where the parcel lies", "a delivery marked as received although nothing came"),
        ("the [parcel|package|delivery|shipment] [never arrived|has not arrived|did not come|is still not here]", "my [parcel|package|shipment] is [late|overdue|lost|delayed]", "the [courier|driver|carrier] [lost|dropped|misplaced] my [parcel|package|box]",
         "the [courier|driver] [left|put] the [parcel|package|box] at the wrong [address|door|house]", "the [tracking|tracking page] says [delivered|in transit] but no [parcel|package] [came|arrived|is here]", "I am [still waiting|waiting since {date}] for the [delivery|parcel|package|courier]",
         "the [delivery|shipment] was [due|expected|announced] on {date}", "the [tracking number|tracking link] does not [work|exist|change]", "my [delivery|shipping] address has [changed|moved] to {street}", "the [package|parcel|shipment] is stuck [at customs|in the depot|in {city}]",
         "the [parcel|package] was [sent|delivered|shipped] to [the wrong address|my neighbour|{city}]", "nobody [rang|was at the door] and the [courier|driver] took the [parcel|package] away", "the [delivery|shipment] has not [left the depot|been sent|been shipped]",
         "I want to know [when|where] the [parcel|delivery|package] will [arrive|be delivered]", "only [one|half] of the [parcels|packages|boxes] [arrived|was delivered]", "the [delivery|shipping] takes [too long|longer than promised]",
         "the [box|package|parcel] was [wet|crushed|torn] when the [courier|driver] brought it", "the [carrier|courier] cannot find my [address|parcel|house]",
         "when will {it} be [shipped|delivered|dispatched]?", "where is my [parcel|package|shipment|delivery] now?", "has {it} been [shipped|dispatched] yet?", "which [courier|carrier|parcel service] delivers {it}?", "why is the [delivery|parcel|shipment] so late?", "can you deliver the parcel to {street} instead?",
         "the tracking has not [moved|changed] for days", "the parcel has been in transit [for weeks|since {date}]", "your carrier says the [parcel|package] went missing", "no [courier|delivery driver] came to my door", "the package was handed to [a stranger|the wrong person|somebody else]", "we were at home all day, but the [courier|parcel service] did not deliver",
         "{it} was never [delivered|shipped|dispatched]", "the shipment is [delayed|held up] by customs", "the driver threw the [parcel|package] over the fence", "my parcel travels from depot to depot", "we have moved, so the delivery must go to {street}", "the delivery date was [moved|postponed] again", "the parcel lies at the depot in {city}",
         "I never received a tracking number for the shipment", "half of the shipment is missing", "the express parcel took a week to arrive"),
    ),
    "technical": (
        ("a [broken|black|frozen|flickering] [screen|display]", "the [error|error message|error code] {num}", "a [bug|fault|defect|problem] in the [app|software|firmware|device]", "the [failed|broken] [update|setup|installation]",
         "the [wifi|bluetooth|network|internet] [connection|signal]", "my [login|password] that does not work", "the [battery|charger|power button]", "a [crash|freeze|restart] of the [app|device|software]", "the [sound|screen|button|sensor|motor] of {it}",
         "a device that does not [start|turn on|respond|work]", "the [settings|configuration|setup] of {it}", "the [installation|setup|configuration] of the [app|software|driver]",
         "a [malfunction|technical fault|hardware defect]", "an app that [crashes|freezes|hangs]", "a [login|password|connection] error", "the firmware [version|update|download]", "a screen that stays [dark|black|blank]", "a battery that [does not charge|drains too fast|gets hot]", "a [loud|strange] noise from the [motor|fan|device]",
         "[resetting|configuring|connecting|installing] {it}", "the software that does not [install|load|open]", "a page of the app that does not load", "a broken [button|sensor|speaker|cable|plug]", "a device that [overheats|switches itself off|restarts all the time]", "the bluetooth pairing", "the [synchronisation|data loss|backup] of the app", "an [unreadable|empty|garbled] display",
         "error {num} after the update", "a forgotten password and a reset that fails", "the [microphone|camera|speaker] that stopped working"),
        ("{it} does not [start|turn on|work|respond|charge] any more", "the [screen|display] is [black|frozen|broken|flickering]", "the [app|software|device|program] [crashes|freezes|restarts|stops] [all the time|after the update|when I start it]", "the [app|device|screen] shows [an error|error {num}|an error message]",
         "the [update|installation|setup|firmware update] [failed|stopped|does not work]", "I cannot [log in|reset my password|connect to the wifi|install the app]", "the [battery|charger] [is empty|gets hot|does not charge|is broken]",
         "the [wifi|bluetooth|network] [connection|signal] [breaks|is lost|is slow|does not work]", "{it} [makes a noise|gets hot|shuts down|switches off] [after a minute|by itself|under load]", "the [button|sensor|motor|sound|speaker] [is broken|stopped working|does not respond]",
         "I need [help|a guide] to [install|set up|configure|reset] {it}", "there is a [bug|fault|defect] in the [app|software|firmware|device]", "my [password|login] does not work [any more|since the update]", "the [software|app] does not [recognise|find|see] the device",
         "{it} [stopped working|broke down|died] [after the update|yesterday|by itself]", "the [device|program|website] is [very slow|frozen|not responding]", "the [light|display] [blinks|flickers] and the device does not [start|respond]", "[pages|menus|settings] of the app do not [open|load|work]",
         "how do I [reset|configure|install|set up|restart] {it}?", "how can I connect {it} to [the wifi|the network|my phone]?", "what does [error|error code|message] {num} mean?", "why does the [app|device|software] keep [crashing|freezing|restarting]?", "is there [a fix|an update|a patch] for this bug?", "can you help me to install the [update|driver|app]?",
         "since the update [nothing works|the app crashes|the device is slow]", "I [see|get] error {num} when I [log in|start the app|press the button]", "the device [is dead|is frozen|overheats]", "after a restart the [screen|display] stays [dark|black|blank]", "the motor [stutters|rattles|stops]", "my account login fails with error {num}", "the [sensor|display] shows wrong values",
         "bluetooth [pairing|connection] with my phone fails", "the [sound|picture] [is distorted|cuts out|is gone]", "the app lost all my [data|settings]", "the [power light|lamp] blinks red", "{it} has a technical defect", "the [reset|power|start] button does nothing", "the website shows an error when I log in", "the program hangs at {num} percent",
         "the device cannot [find|join|keep] the [network|wifi]", "the firmware [is corrupt|cannot be installed]", "the plug [sparks|is loose|gets hot]"),
    ),
    "returns": (
        ("the [return|exchange] of {it}", "a [return label|return number|return form]", "[sending|giving] {it} back", "the [return|exchange] [period|policy|conditions]", "an [exchange|swap] for [another size|another colour|a different model]",
         "a [wrong|unwanted|unused] [item|size|colour|model] that I want to [return|send back|exchange]", "my right to [return|withdraw|send back]", "a [return|withdrawal] within two weeks", "the [return postage|return parcel]",
         "[returning|exchanging|sending back] {it}", "an item that does not fit and that I send back", "a [gift|spare one] to [return|give back|exchange]",
         "how to [return|send back|exchange] {it}", "the address for returns", "a return that I [opened|announced|registered]", "swapping {it} for [a larger one|a smaller one|another model]", "my wish to [return|exchange|send back] {it}", "taking {it} back", "the [cost|postage] of a return", "an exchange because of the wrong size",
         "[unopened|unused] goods that I send back", "the return of [two|all|some] items", "a return in the original [box|packaging]", "my [return request|exchange request|withdrawal]", "a swap of [sizes|colours|models]", "the [deadline|time limit] for returns", "giving back an unwanted [gift|item]", "a return slip for {it}", "one item too many that we want to give back", "the [form|label] for sending something back"),
        ("I want to [return|send back|give back|exchange|swap] {it}", "I would like to [exchange|swap] {it} for [another size|another colour|a different model]", "{it} [is too small|is too large|does not fit] and I want to [return it|exchange it|send it back]", "I need a return [label|number|form|address]",
         "I [changed my mind|do not like it|no longer want it] and will [return it|send {it} back]", "you sent the wrong [size|colour|model|item] and I want to [exchange|swap|return] it", "I [withdraw|step back] from the purchase and send {it} back", "you can have {it} back, it is [unused|unopened|still packed]",
         "how long can I [return|send back|exchange] {it}?", "where do I [return|send back|exchange] {it}?", "who pays the [return|return postage] when I send {it} back?", "the return [label|form|number] is [missing|not in the box]",
         "I am [sending back|returning|giving back] [all|one] of the items", "I wish to [return|give back] an unwanted [gift|item]", "can {it} be [returned|exchanged|sent back|swapped]?", "we do not [need|want] {it} and would like to [return|send back] it",
         "I ordered [two sizes|one too many] and want to [return|send back] one", "is a [return|exchange] still possible?",
         "could you exchange {it} for [a bigger one|a smaller one|another colour]?", "do you [accept returns|take back unused goods]?", "may I [return|swap|give back] {it}?", "how does [a return|an exchange|sending back] work?", "what is the [address for returns|return address]?", "which form do I need for a return?", "will you take {it} back?",
         "{it} goes back to you, I do not [want|need] it", "the [colour|size|model] is not what I wanted, so I [return it|send it back|exchange it]", "I have packed {it} up and want to send it back", "it was a [gift|present] and I would like to exchange it", "I have not used {it} and want to give it back", "my return [is packed|is ready|was registered], only the label is missing",
         "I use my right to return {it}", "we would rather have [another size|another model] and want to swap", "the shoes pinch, so I send them back", "I already have one and would like to return this one", "a different size would be better, can we swap?", "we are returning [everything|half of the goods|two items]", "I ask you to take {it} back",
         "I opened a return but have no label", "the [return|exchange] period is [two weeks|thirty days] and I want to use it", "the item is [not as described|not what I expected] and I will return it"),
    ),
}
URGENCY_CUES: dict[str, tuple[str, ...]] = {
    "low": (
        "there is [no|absolutely no|really no] [hurry|rush|pressure|urgency]", "it is [not|not at all|by no means] urgent", "[this|it|my request] can wait [a week or two|a month|a while|until next month|a few weeks]", "[take|please take] [your time|all the time you need]",
        "I am [not|not at all] in a hurry", "[an answer|a reply] [next month|in a few weeks|some day] is [enough|fine|soon enough]", "[answer|reply|look at it] whenever you [have time|like|find a minute]", "[no need|you do not need] to [hurry|rush]", "[this|it] has [low|no] [priority|urgency]",
        "[this|it] is [only|just] a [small|minor] [thing|question|request], so [no hurry|no rush|take your time]", "I can wait [a while|as long as it takes|some weeks], [no rush|no pressure|no hurry]", "please do not [hurry|rush], it can wait", "it does not matter [when|how soon] you [answer|reply]",
        "[some time later|next month|in a few weeks] is [fine|soon enough] too", "it is [nothing urgent|a low priority thing|not important right now]", "put [it|this] at the end of your list, it can wait", "[whenever|any time] you find time is [good|fine]", "there is plenty of time",
        "please handle the urgent cases first, mine can wait", "nothing depends on it, so [take your time|no rush|no hurry]", "[no stress|no haste|no time pressure], please", "[not urgent|low priority|no rush], just [for later|when you get round to it]", "do it when you have nothing more important to do", "we do not need it soon", "[weeks|months] from now is early enough",
        "I will not need it before next [month|season|year]", "you may leave [this|it] for [later|quiet days|next month]", "feel free to deal with [it|this] at your leisure", "it is far from urgent", "[other things|other requests] [matter more|come first], this one can wait", "I am only asking out of curiosity, no hurry", "we have [months|a lot of time] left", "[this|it] is of minor importance",
        "a slow answer is fine with me", "priority: low", "urgency: none, it can wait", "I do not mind waiting [a month|some weeks|for a long time]", "even next [month|quarter|year] would be early enough", "let it rest until you have spare time", "it is a nice-to-have, not more", "do not drop anything for this, it can wait",
    ),
    "high": (
        "[this|it|the matter|my request] is [urgent|very urgent|extremely urgent|an emergency]", "[please|you must] [answer|reply|call|help|act] [at once|immediately|right now|today|as soon as possible]", "I need [help|an answer|a solution|a reply] [today|right now|immediately|within the hour|at once]",
        "[hurry|please hurry], [we cannot wait|it is urgent|every minute counts]", "[this|it] cannot wait [any longer|until tomorrow|another day]", "we [cannot work|are blocked|are losing money|stand still] [because of this|until it is fixed|right now]",
        "[this|it] must be [solved|fixed|settled] [today|immediately|by tonight|right now]", "[this|it] has [top|the highest|high] priority", "every [hour|minute] counts", "the [deadline|event] is [today|tonight|tomorrow], so [hurry|please act now]", "[act|answer|help] [fast|as fast as you can|immediately], please",
        "I need it [solved|fixed] [as soon as possible|by tomorrow morning|without delay]", "[time is running out|we are running out of time]", "it is an [urgent|absolute] emergency", "I [cannot|can not] wait, please [call|answer] [today|immediately|at once]",
        "our [business|shop|team|production] [is blocked|stands still|is down] until [you act|it is fixed]", "we need [immediate|urgent] help", "[drop everything|do not wait], this is [critical|urgent]",
        "we lose [money|customers|time] every hour", "please treat [it|this] as [urgent|an emergency|critical|top priority]", "without a solution today we must [close|stop work|cancel everything]", "[urgent|very urgent|emergency]: please [act|call|reply] at once", "tomorrow is too late", "I expect [a reply|a call|an answer] within the hour",
        "call me [immediately|right away|this minute]", "we need this fixed before [tonight|the end of the day|tomorrow morning]", "put [it|this] at the top of your list", "there is no time to lose", "[nobody|none of us] can work until this is [solved|repaired|fixed]", "the situation is critical", "do not let us wait, [it is urgent|we need help now]", "priority: [high|top|critical]",
        "this is [time-critical|a race against time]", "we are in [serious|big|deep] trouble and need help now", "speed is vital, please [act now|answer at once]", "it has to happen [today|now|immediately]", "a [quick|fast|prompt] reaction is absolutely necessary", "each minute of waiting costs us money", "I must have it [today|tonight|by tomorrow morning]", "asap, [please|we are stuck]",
        "we are desperate, [help us now|please act today]",
    ),
    "normal": (
        "please [answer|reply|write back] after you have [checked it|looked at it]", "please [look into|check|take care of] [it|this|the matter]", "could you [check|look into|have a look at] [it|this]?", "[tell me|let me know] [what to do|how to go on|what you need], please", "I am looking forward to [hearing from you|your reply|your answer]",
        "thanks for [your help|looking into it|taking care of it]", "what [should I do|can be done|happens] next?", "[an answer|a reply] [this week|in the usual time|within the usual few days] would be [good|fine|nice]", "I hope you can help me", "please [let me know|tell me] if you need [more|anything else]",
        "thank you for [checking|your support|your reply]", "can you [help me|tell me more|look into it]?", "how do we [go on|proceed|continue]?", "please [advise|help|check]", "kindly [let me know|get back to me|look into the matter]", "I would be [glad|grateful|thankful] for [your help|an answer|a reply]", "please handle it [in the usual way|as usual|in the normal course]",
        "priority: normal", "[ordinary|normal|usual] priority is fine", "please get back to me this week", "I await your [reply|answer|message]", "could somebody [help|look at it|get in touch with me]?", "what do you [suggest|recommend|propose]?", "is there anything I can do?", "please confirm that you [got|received|have read] this", "many thanks in advance",
        "I appreciate your help", "please see to it [this week|in the usual time]", "what information do you need from me?", "it would be nice to hear from you this week",
    ),
}
SHIPPING_CUES: dict[str, tuple[str, ...]] = {
    "standard": (
        "[standard|normal|regular|ordinary|usual] [shipping|delivery|post|mail] [is fine|is enough|will do|suits us]", "[send|ship|post] it by [standard|normal|regular|ordinary] [post|mail|parcel|delivery]", "we [want|chose|prefer] [standard|normal|economy|regular] [shipping|delivery|post]",
        "no express, the [normal|standard|cheap|usual] [parcel|post|delivery] [is fine|is enough|will do]", "the [cheapest|economy|standard] [shipping|delivery|parcel service] is [enough|fine]", "it [goes|travels] by [economy|standard|regular|ordinary] [mail|parcel|post]", "[ordinary|regular|standard] mail, no [courier|express|hurry]",
        "[use|please use] the [usual|normal|standard|economy] [parcel service|post|shipping]", "the [usual|regular|standard] way of [shipping|delivery] is [fine|enough]", "[economy|standard|normal] [shipping|delivery], please",
        "deliver it with the [regular|normal|ordinary|usual] post", "[standard|regular|economy] was [chosen|selected|ticked] as shipping method", "[shipping|delivery] [method|type|option]: [standard|regular|economy|normal]", "there is no need for express, send it [the normal way|by standard post]", "we [take|go for|stay with] the [standard|economy|normal|cheapest] [option|delivery|shipping]",
        "a [normal|standard|regular] parcel [is enough|will do|is all we need]", "the [goods|items] [come|are sent|go out] by [standard|regular|normal] [parcel|post|mail]", "save money and [send|ship] it by [economy|standard] [post|mail]", "I do not pay for express, [standard|normal] [delivery|shipping] it is", "the [ordinary|normal|regular] [postman|mail] may bring it",
        "let the [normal|ordinary|regular] post [carry|bring|deliver] it", "as always by [standard|normal|regular] [shipping|parcel|post]", "[just|simply] [send|ship] it with standard [delivery|shipping]", "[standard|ordinary|regular] speed is fine for the [shipment|delivery]", "please choose the [cheapest|economy|standard] [carrier|rate|delivery option]",
        "[standard|economy|regular] rate for the [shipping|parcel|delivery], please", "nothing fancy, [standard|normal|ordinary] [post|delivery|mail]", "it should be [shipped|sent|posted] in the [normal|usual|standard] way", "we booked [standard|regular|economy] [shipping|delivery]", "[standard|normal] [delivery|shipping] as usual",
    ),
    "express": (
        "[express|overnight|next-day|fast] [shipping|delivery|courier], please", "[send|ship] it by [express|overnight courier|the fastest courier|next-day delivery]", "we [want|chose|pay for|prefer] [express|overnight|next-day|the fast] [delivery|shipping]", "it [goes|travels|must go] by [express|overnight courier|fast courier]",
        "[use|please use] the [express|overnight|fastest|quickest] [courier|service|delivery]", "the [fastest|quickest|express] [courier|shipping|delivery] is [needed|wanted], cost does not matter", "we need [express|overnight|next-day] [delivery|shipping], standard is too slow", "[ship|send] it [overnight|express|by the quickest way]",
        "we [pay extra|pay more] for [overnight|express|next-day|fast] [shipping|delivery]", "the [courier|express service] should bring it [overnight|the next day|within a day]",
        "[express|overnight|next-day] was [chosen|selected|ticked] as shipping method", "[shipping|delivery] [method|type|option]: [express|overnight|next-day]", "the normal post is too slow, [send|ship] it by express", "we [take|go for|booked] the [express|overnight|fastest] [option|delivery|shipping]", "an [express|overnight] [parcel|courier|delivery] is what we need",
        "the [goods|items] [come|are sent|go out] by [express|overnight courier|next-day service]", "please [rush|speed up] the shipment, [express|overnight] if possible", "the [fee|surcharge] for express is [fine|accepted|paid]", "I pay the express [fee|rate|surcharge]", "let the [express|overnight] courier [carry|bring|deliver] it", "as always by express [courier|delivery|parcel]",
        "please choose the [fastest|quickest] [carrier|service|delivery option]", "[express|overnight|fastest] rate for the [parcel|shipment|delivery], please", "it should be [shipped|sent] [by express|overnight|with next-day delivery]", "we need the [express|overnight|fast] [service|courier], whatever it costs", "with the [fast|express|overnight] courier, please", "mark the parcel as express",
        "[next-day|overnight|same-day] delivery is a must", "it has to be here the next day, so [use|take|book] express", "not the slow post but the [express|overnight] courier",
    ),
    "pickup": (
        "we [will|want to|are going to] [pick up|collect|fetch] [it|the goods|everything] [ourselves|at your store|at the warehouse|in person]", "[no|we need no] [delivery|shipping], we [collect|pick up|fetch] [it|the goods] ourselves", "[someone|our driver|a colleague] will [pick it up|collect it|fetch it|come by to collect it]",
        "[pickup|collection|self collection] at [the store|your warehouse|the shop], please", "[keep|hold] it at the [store|shop|counter|warehouse] for [pickup|collection]", "I [come|will come] to [collect|fetch|pick up] the [goods|order] in person", "we chose [pickup|collection|click and collect] in the [store|shop]",
        "do not [send|ship] it, we [collect|fetch|pick up] [it|everything] [in person|ourselves]", "the goods will be [collected|fetched|picked up] [by us|by our van|at the store]", "[call|tell] us when it is ready for [pickup|collection]",
        "[pickup|collection|self collection] was [chosen|selected|ticked] as shipping method", "[shipping|delivery] [method|type|option]: [pickup|store pickup|self collection]", "we drive to your [warehouse|store|shop] and [get|fetch|collect] it", "I want to [collect|get|fetch] it at the [counter|store|shop|branch]", "[leave|put] it [ready|aside] at the [counter|shop|store], we [fetch|collect] it",
        "our [van|truck|driver] [comes|will come|stops by] to [collect|fetch|pick up] [it|the goods]", "no need to [ship|send|deliver] anything, we [pick it up|come and get it|collect it]", "a [colleague|friend|neighbour] [picks it up|collects it|fetches it] [at the shop|at your store]", "store pickup is [fine|best for us|what we want]", "we prefer to [collect|fetch|pick up] the goods at [your branch|the shop|the warehouse]",
        "please [prepare|pack] it for [pickup|collection|self collection]", "the [customer|buyer] [fetches|picks up|collects] the goods [in person|at the store|at the counter]", "we [save|skip] the shipping and [collect|fetch] it ourselves", "I will [be at your shop|come to the store] to [get|collect|pick up] everything", "when can we [collect it|pick it up|fetch it] at the [store|warehouse]?",
        "click and collect, please", "as always we [pick it up|collect it] at [your ramp|the warehouse|the store]", "it stays at the shop until we [collect|fetch] it", "let us [pick up|collect|fetch] the goods [ourselves|at your place|in the store]", "instead of [shipping|delivery] we [want|choose|prefer] [pickup|collection|to fetch it ourselves]",
    ),
}
STATUS_CUES: dict[str, tuple[str, ...]] = {
    "planned": (
        "[the work|the project|everything] [will start|starts|begins|will begin] [next week|next month|in spring|soon|on {date}]", "[the work|the project] has not [started|begun] yet", "we [will start|begin|plan to start] [next week|next month|in autumn|after the holidays]", "[so far|at the moment] there is only [a plan|a draft|an idea]",
        "the [start|kick-off|beginning] is [planned|set|scheduled] for [next month|{date}|spring]", "we are [still planning|still preparing|in the planning phase]", "[nothing|no work] has [started|begun] yet, [the start|the kick-off] comes [later|next week]", "the project is [planned|about to begin|in preparation]", "the [planning|preparation] goes on before the work [starts|begins]",
        "we have [only a plan|nothing but a plan|just an outline] so far", "the [work|project] is [still to come|still ahead of us|yet to start]", "[first steps|the first tasks|the kick-off meeting] will [follow|come|take place] [next week|next month|soon]", "the [project|work] exists only [on paper|as a plan|as a concept]", "[status|state]: [not started|planned|in planning|to be started]", "nobody has [started|begun] [the work|with it] yet",
        "we [wait for|still need] the [go-ahead|approval|budget] to [start|begin]", "the [team|group] will [begin|start] [in two weeks|next month|after the holidays]", "[preparations|plans] are being made, the work [starts|begins] later", "the launch of the work is [planned|foreseen|intended] for [next quarter|next year|autumn]", "it is [scheduled|planned|foreseen] for [next year|next quarter|spring]",
        "we intend to [begin|start] [next month|in spring|soon]", "the [project plan|concept|proposal] is being written, nothing [has been built|has started]", "the [work|project] is in the [pipeline|planning stage|queue], not [started|begun]", "the first day of work will be [next Monday|in spring|after the holidays]", "before we [start|begin], the [plan|budget] must be [approved|agreed]",
    ),
    "on_track": (
        "[everything|the work|the project|all] is [on track|on schedule|on time|going to plan|in line with the plan]", "we are [on track|on time|on schedule|within the plan|making good progress]", "[progress|the work] [is good|goes well|goes on as planned|is on schedule]", "[no|there are no] [delays|problems], [the schedule holds|we are on time|we are on track]",
        "we will [meet|keep|hold] the [deadline|dates|schedule]", "the [schedule|plan|timetable|deadline] [holds|is kept|will be met]", "all [milestones|dates] [were met|were kept|are on schedule] so far", "things [go|move] [as planned|on schedule|well]", "the work is [half done|halfway] and [on schedule|on time|on track]",
        "the [work|project] [runs|moves along|advances] [smoothly|as planned|on schedule]", "[status|state]: [on track|on schedule|on time|going well]", "the [team|group] [keeps|holds] the [schedule|timetable|dates]", "we [advance|progress|go on] [as planned|on schedule|without delays]", "it [looks good|goes well], we will be ready [in time|on time|by the deadline]", "the [next|coming] milestone will be [met|reached] on time",
        "there is no delay and the work goes on", "half of the tasks are done and we are [on time|on schedule|within the plan]", "we are where we [wanted|planned|hoped] to be at this point", "the deadline is [safe|not in danger|still realistic]", "[nothing|no problem] [stands in the way|holds us up], the work [continues|goes on] as planned", "the [project|work] is under way and [on time|on schedule|going well]",
        "all [lights|signals] are green, work [continues|goes on]", "we [expect|are sure] to [finish|be ready] [on time|in time|by the deadline]", "the timeline [is kept|holds|is still valid] and work [continues|goes on]", "good progress, no [delays|problems|surprises]",
    ),
    "delayed": (
        "[everything|the work|the project|the launch] is [delayed|late|behind schedule|behind the plan]", "we are [late|delayed|behind schedule|{n} days behind]", "the [deadline|schedule] [will be missed|cannot be kept|slips|was missed]", "the [launch|delivery|project] [was|had to be] [postponed|delayed|pushed back] [to {date}|by {n} days|by a month]",
        "there is a [delay|long delay] of {n} [days|weeks]", "we [lost|lose] [time|{n} days|two weeks] because of [problems|missing parts|the supplier]", "it [takes|will take] [longer|{n} days longer] than [planned|expected]", "[problems|missing parts|sick colleagues] [delay|hold up|slow down] the [work|project]", "we will not [finish|be ready] [in time|by the deadline]",
        "the [work|project] [lags|falls|is far] behind the [plan|schedule]", "[status|state]: [delayed|late|behind schedule|overdue]", "the [team|group] [missed|will miss] the [deadline|date|milestone]", "we [cannot|will not] [keep|meet|hold] the [deadline|schedule|date]", "[unfortunately|sadly] we need [more time|{n} more days|another month] than planned", "the [last|next] milestone was [missed|not reached in time|postponed]",
        "the [project|work] is [held up|stuck|blocked] by [missing parts|a supplier|problems]", "the timetable [slipped|cannot be kept|is broken] by [two weeks|{n} days|a month]", "we [are|run] [two weeks|{n} days|a month] late", "the [supplier|contractor] [kept us waiting|was late], so the date [slips|cannot be kept]", "the end date has been pushed back", "we are slower than planned and [late|behind schedule]",
        "there are [delays|hold-ups|setbacks], the date [will be missed|is lost|cannot be kept]", "the plan had to be [stretched|extended|pushed back] by [two weeks|a month|{n} days]", "what was due [last week|last month] is still not [ready|finished]", "we [fell|have fallen] behind because of [illness|missing parts|bad weather]",
    ),
    "done": (
        "[everything|the work|the project|all] is [done|finished|complete|completed|closed|over]", "we [have finished|are done with|completed|closed] [the work|the project|everything]", "[the project|the work] was [finished|completed|closed|signed off] [last week|on {date}|yesterday]", "the [last|final] [task|milestone|step] was [completed|finished|reached|signed off]",
        "all [tasks|milestones|parts] are [done|complete|finished|closed]", "[nothing|no work] is left, [we are done|the project is over|all is finished]", "the [result|final result] was [delivered|accepted|signed off]", "the project came to [an end|a good end]", "we [delivered|handed over] the [final result|finished work] [last week|on {date}]",
        "the [work|project] has come to [its end|a close|a happy end]", "[status|state]: [done|finished|completed|closed]", "the [team|group] [has completed|finished|closed] [the project|all tasks|the work]", "the [customer|client] [accepted|signed off|approved] the [finished work|final result]", "it is [finished|completed|all done|wrapped up] [and closed|and handed over|and signed off]", "we [crossed|ticked] off the [last|final] [task|item|point] on the list",
        "the project was [closed|completed|finished] with success", "the final [report|version|product] has been [handed over|delivered|accepted] and the project [is closed|is over]", "there is nothing left to do", "[work|the work] ended [last week|yesterday|on {date}], all [tasks|parts] are complete", "the [goal|aim] [was|has been] reached and the project [closed|completed|finished]",
        "we [celebrated|reached] the end of the project", "the [job|work|project] is [behind us|complete|done and dusted]", "the [books|files] on this project are closed", "one hundred percent of the work is [done|complete|finished]", "the team is [free again|done|finished], the project [is complete|is over|was closed]",
    ),
}
NOUN_FRAMES = (
    "[My|Our] [problem|question|concern|topic]: {phrase}.", "This is about {phrase}.", "I want to [talk|ask|write] about {phrase}.", "I have a [question|problem|request] about {phrase}.", "I am [writing|calling] about {phrase}.", "It concerns {phrase}.", "[Subject|Topic|Concern]: {phrase}.",
    "Can [you|someone] help me with {phrase}?", "My [mail|call|message] is about {phrase}.", "The [reason|cause] for my [mail|call] is {phrase}.", "I need [support|information] with {phrase}.", "Who can tell me more about {phrase}?", "[Please|Could you please] look into {phrase}.", "What about {phrase}?",
    "We have to [discuss|clear up] {phrase}.", "There is an issue: {phrase}.", "It is all about {phrase}.", "I am contacting you because of {phrase}.", "{phrase} is why I [write|call].", "{phrase}: please [check|help].", "I am [worried|asking] about {phrase}.", "Once more about {phrase}.",
    "[Re|Regarding|Concerning]: {phrase}.", "With regard to {phrase} I need your help.", "I [contacted|wrote to] you [last week|before] about {phrase}.", "My [request|inquiry|ticket] concerns {phrase}.", "Who is responsible for {phrase}?", "Could we talk about {phrase}?", "[Here is my question|One question]: what about {phrase}?", "The [matter|subject] is {phrase}.",
    "I would like to [speak to somebody|hear more] about {phrase}.", "[A customer|Somebody] [calls|asks|writes] about {phrase}.", "The customer [has a question|needs help|asks] about {phrase}.", "The [call|conversation|chat] was about {phrase}.", "Caller [asks|wants help] about {phrase}.", "Still no answer about {phrase}.", "[Nobody|No one] could help me with {phrase}.", "Is there any news about {phrase}?",
    "What can be done about {phrase}?", "How do you handle {phrase}?", "{phrase}, that is what I [write|call|ask] about.", "Please [explain|clarify] the matter of {phrase}.", "[I am|We are] having [a problem|difficulties|trouble] with {phrase}.", "The whole thing is about {phrase}.", "My [husband|wife|boss] asked me to write about {phrase}.", "[Second|Another] [mail|message] about {phrase}.",
    "It is {phrase} that I [write|ask] about.", "[I refer|We refer] to {phrase}.", "Please take care of {phrase}.", "[Question|Request|Issue] about {phrase}!",
)
CLAUSE_FRAMES = (
    "[Hello|Sorry], {clause}.", "I am [writing|calling] because {clause}.", "[Unfortunately|Sadly|Once again] {clause}.", "[As I said|To be clear], {clause}.", "Please note that {clause}.", "My [problem|concern]: {clause}.", "[Just so you know|For your information], {clause}.",
    "The [thing|point|matter] is that {clause}.", "[Today|Now] {clause}.", "In short, {clause}.", "I [have to|must] tell you that {clause}.", "[You should know|Let me say] that {clause}.", "It is like this: {clause}.", "[And|Also,] {clause}.", "[Well|So], {clause}.",
    "[Help|Support] please: {clause}.", "I [contact|write to] you since {clause}.", "The [reason|cause] for my [mail|message|call] is that {clause}.", "[It seems|As it seems,] {clause}.", "I am afraid that {clause}.", "[My|Our] situation: {clause}.", "[Believe it or not|To my surprise|As you can see], {clause}.", "[Here is|This is] what it is about: {clause}.", "[The customer|A caller] told us: {clause}.",
    "We [inform you|want you to know] that {clause}.", "[Dear team|Good morning|Hi], {clause}.", "What I want to say is that {clause}.", "Again: {clause}.", "[To explain|To put it simply|In other words]: {clause}.", "[Message|Request|Note] from me: {clause}.", "Could you help? {clause}.", "I have [an issue|a problem]. {clause}.", "[Look|Listen], {clause}.", "First of all, {clause}.",
    "The fact is that {clause}.", "{clause}, please help.", "{clause}, what now?", "{clause}. Please check.", "{clause} - that is my [problem|concern|reason to write].", "[I noticed|I see|It turns out] that {clause}.", "[Hm|Oh], {clause}.", "Regarding my order: {clause}.", "I [mentioned|told you] before that {clause}.", "[At the moment|Right now] {clause}.",
)
PLAIN_FRAMES = (
    "[Note|Remark]: {clause}.", "[By the way|As agreed|In short|Well], {clause}.", "Just to be clear: {clause}.", "One more thing: {clause}.", "[Also|And] {clause}.", "To sum up, {clause}.", "[As I said|As discussed], {clause}.", "So, {clause}.",
    "[For your information|FYI|Just so you know]: {clause}.", "[Update|Short note|Info]: {clause}.", "[In a word|In brief|Briefly], {clause}.", "[To be clear|Let me be clear|To put it simply]: {clause}.", "[First|First of all], {clause}.", "[Please note|Mind this|Important]: {clause}.", "[From our side|From my side|As for us], {clause}.", "[Finally|Last but not least], {clause}.",
    "One [remark|note|point]: {clause}.", "[Again|Once more]: {clause}.", "[Yes|Right|Okay], {clause}.", "Here is the point: {clause}.", "[My|Our] [message|answer|position] is simple: {clause}.", "[At this point|As things stand], {clause}.", "[All in all|On the whole], {clause}.", "[Hi|Hello], {clause}.", "You asked, so here it is: {clause}.", "Let me add: {clause}.",
    "[To whom it may concern|For the file|For the record]: {clause}.", "PS: {clause}.", "[Comment|Memo]: {clause}.", "[Honestly|Frankly|Really], {clause}.",
)


# fmt: on
_ALTERNATION = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")


def _bare(text: str) -> str:
    return text.lower().rstrip(".?!")


@cache
def _other_half(wordings: tuple[str, ...], heldout: bool) -> frozenset[str]:
    """All that the half which the writer may not use can say, bare of case and end marks."""
    training, kept = split_wordings(wordings)
    if training == kept:
        return frozenset()
    texts: list[str] = []
    for wording in training if heldout else kept:
        parts = [part.split("|") for part in _ALTERNATION.split(wording)]
        texts.extend(_bare("".join(chosen)) for chosen in product(*parts))
    return frozenset(texts)


def fresh(w: Writer, wordings: tuple[str, ...], beside: tuple[str, ...] = ()) -> str:
    """A template of the writer's half, never one that the other half of `wordings` or of the
    sentences `beside` them can say too."""
    for _ in range(100):
        template = w.template(wordings)
        if all(_bare(template) not in _other_half(t, w.heldout) for t in (wordings, beside)):
            return template
    raise ValueError(f"both halves of the wordings say the same: {wordings[0]!r}, ...")


def framed(
    w: Writer,
    frames: tuple[str, ...],
    slot: str,
    phrases: tuple[str, ...],
    fill: dict[str, object],
    beside: tuple[str, ...] = (),
) -> str:
    """A phrase in a frame, both of the writer's half of the wordings; questions stand alone."""
    phrase = fresh(w, phrases, beside).format(**fill)
    if phrase.endswith("?"):
        return capital(phrase)
    if slot == "clause" and w.chance(0.5):
        return capital(phrase) + w.pick((".", ".", ".", "!"))
    return capital(w.say(frames, **{slot: phrase}))


def problem(w: Writer, category: str, fill: dict[str, object], beside: tuple[str, ...] = ()) -> str:
    """What the customer wants, in words of the category; fill as for the mails' problems."""
    phrases, clauses = PROBLEM_CUES[category]
    if w.chance(0.4):
        return framed(w, NOUN_FRAMES, "phrase", phrases, fill)
    return framed(w, CLAUSE_FRAMES, "clause", clauses, fill, beside)


def plain(
    w: Writer,
    clauses: tuple[str, ...],
    fill: dict[str, object],
    beside: tuple[str, ...] = (),
) -> str:
    """A clause, bare or with a short opening; unlike the other half of the sentences `beside`."""
    return framed(w, PLAIN_FRAMES, "clause", clauses, fill, beside)
