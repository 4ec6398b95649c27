"""Support mails, tickets and call notes: customer, product, order, category and urgency."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

from . import values
from .cues import URGENCY_CUES, plain, problem
from .mail_wordings import (
    ASK_CUSTOMER,
    ASK_EMAIL,
    ASK_ORDER,
    ASK_PRODUCT,
    CLOSINGS,
    DISTRACTIONS,
    EMAILS,
    GREETINGS,
    INTRODUCTIONS,
    MESSAGE_LABELS,
    NAME_LABELS,
    NOTES,
    ORDER_LABELS,
    PRODUCT_LABELS,
    PURCHASES,
)
from .scene import Fact, Scene, join_sentences, labelled
from .writer import Writer, capital

PROBLEMS: dict[str, tuple[str, ...]] = {
    "billing": (
        "I was charged twice for {it}.", "[My card|My credit card|My account] was debited two times for the same {thing}.", "The invoice [shows|lists] {amount} although we agreed on {amount2}.", "The amount on [my bill|the bill|the invoice] is wrong.", "I still wait for my refund of {amount}.",
        "You promised a refund, but no money has arrived on my account.", "There is a fee of {amount} on my statement that I do not [understand|recognise].", "Could you send me a corrected invoice? The tax number is missing.", "The discount code was not applied and I paid the full price.",
        "My payment of {amount} went through, yet the account says unpaid.", "Why did the monthly subscription price go up to {amount}?", "I paid by bank transfer, but I keep getting payment reminders.", "The receipt for {it} shows the wrong billing address.", "I need a proper receipt with VAT for my accounting.",
        "My bank statement shows a charge of {amount} that I never authorised.", "The credit note for {it} has the wrong amount.", "You billed me for three pieces, but I ordered only one.", "Please check the invoice, the price is higher than on the website.", "The direct debit failed and now you charge a late fee of {amount}.",
        "I would like to change the payment method from card to invoice.", "I was overcharged by {amount}.", "The total on the invoice does not match the price I paid.", "The same {thing} shows up twice on my [credit card statement|bank statement].", "Two identical charges of {amount} left my account.",
        "According to the invoice I owe {amount}, but {amount2} was the agreed price.", "Why was {amount} taken from my [card|account]?", "Somebody in your accounting [made a mistake|got the sum wrong].", "Refund of {amount} still open.", "The [refund|repayment] you announced has not been booked.",
        "When will I get my money back? I was promised {amount}.", "Double charge on my card, please check.", "An unknown fee of {amount} was added to the bill.", "Please explain the position of {amount} on my invoice.", "Our bookkeeper cannot use this invoice, the [VAT number|company name|cost centre] is missing.",
        "Kindly [issue|make out] a new invoice in the name of our company.", "The voucher I entered at checkout was ignored, and the full price was charged.", "My [ten|five|twenty] percent discount is missing from the total.", "Although the transfer was made on {date}, you still list the bill as open.",
        "I settled the bill on {date}, and now a [reminder|dunning letter] has come.", "A payment reminder reached me for a bill that I paid on {date}.", "Your subscription fee rose without [notice|warning] to {amount}.", "I cancelled the subscription and yet {amount} was debited again.",
        "Your invoice of {date} contains a calculation error.", "The sum at the bottom of the bill is not the sum of its lines.", "The tax rate on the [bill|invoice] is not the right one.", "Can I pay {it} in instalments?", "Is it possible to pay by [invoice|bank transfer|direct debit] instead of by card?",
        "My card was declined at checkout although it is covered.", "Payment failed, message from the bank: code {num}.", "The checkout took my money but gave me no receipt.", "No invoice was enclosed, and I need one for my taxes.", "I am missing the invoice for {it}.", "Please mail me a copy of the receipt for {it}.",
        "Invoice copy needed for our accounts department.", "The billing address on the invoice is out of date, it should be {street}.", "You charged {amount} for something that was [free|included] in the offer.", "On the website it cost {amount2}, on the bill it is {amount}.",
        "I am being asked to pay {amount} that I do not owe.", "My statement lists a debit of {amount} from your company that nobody here approved.", "How come the bill is {amount} higher than the offer?", "I have paid too much, namely {amount}.", "The late fee of {amount} is not justified, I paid in time.",
        "Please cancel the [late fee|reminder fee|service charge].", "The credit of {amount} has not been set off against the new bill.", "I was promised a credit note, so far I have none.", "Charged in the wrong currency!", "Your system took the money from my old bank account.",
        "I would like to update the [bank details|card details] you use to charge me.", "Where do I enter my new credit card for the monthly payments?", "Please confirm that my payment of {amount} has come in.", "Did you receive my transfer of {amount}?", "I used a gift card, but its value was not subtracted.",
        "The instalment plan shows {amount} per month instead of {amount2}.", "There must be an error in your bookkeeping, since nothing is owed.", "Wrong price on the invoice.", "The amount due does not agree with my records.", "I do not accept the bill of {amount}.",
        "For tax reasons we need the invoice to show the [net amount|VAT] separately.", "A deposit of {amount} was kept and not paid back to me.", "My account shows an open balance of {amount}, which cannot be right.",
    ),
    "shipping": (
        "{It} has not arrived yet.", "The parcel [is late|is overdue|has been delayed] and the tracking [shows nothing|has not changed for days].", "The tracking page says delivered, but no package is here.", "The courier left the package at the wrong address.", "Where is my [parcel|package|delivery]? It was due on {date}.",
        "I have been waiting for the delivery since {date}.", "The shipment seems to be lost in transit.", "Please change the delivery address to {street}.", "The carrier says the parcel went back to the depot in {city}.", "Can you tell me when {it} will be shipped?",
        "Nothing has been delivered so far and I got no tracking number.", "The box arrived [crushed|wet|torn open], the courier did not care.", "Only one of the two parcels was delivered.", "The driver never rang the bell and took the package away again.", "The expected delivery date was {date} and has passed.",
        "Could you hold the shipment until {date}, since we are away?", "The package is stuck at customs.", "My neighbour got the parcel instead of me.", "The tracking number does not work on the courier's site.", "I paid for express delivery and it is still on the way.", "When will the package reach {city}?",
        "Still no parcel.", "The [delivery|package] was announced for {date}, and nothing came.", "I stayed at home all day, but no courier [came|showed up].", "Has {it} left your warehouse yet?", "Please tell me the status of the delivery.", "The tracking has not been updated since {date}.",
        "The tracking link leads to an empty page.", "No tracking number was sent to me.", "For days the parcel has been sitting in the depot in {city}.", "According to the carrier the package is in {city}, which is far from here.", "Supposedly it was handed over on {date}, but I have seen no courier.",
        "Marked as delivered, not received.", "The courier claims that somebody signed for the parcel, nobody here did.", "My package was given to [a stranger|the wrong house|somebody down the road].", "The parcel was left in the rain [in front of the door|on the street].",
        "The carton was [open|damaged|soaked] when the driver handed it over.", "The carrier damaged the box in transit.", "The delivery address is wrong, the correct one is {street}.", "We have moved. Please send the parcel to {street} instead.", "Can the package be delivered to {street} instead?",
        "Could the courier come after {date}?", "Would it be possible to postpone the delivery to {date}?", "I would like to pick the parcel up at the depot, is that possible?", "The pick-up station in {city} does not have my parcel.", "The parcel shop in {city} [knows nothing about|cannot find] my package.",
        "Our parcel went to {city} by mistake.", "It seems that the shipment got lost on the way.", "Please start a search for the missing parcel.", "A shipment with several boxes was sent, one box is missing.", "Half of the delivery is missing.", "The second package has not come yet.",
        "Customs [holds|is holding] the shipment and wants papers from you.", "Your mail of {date} says dispatched, the carrier knows nothing of it.", "It has been two weeks and the delivery is still on its way.", "Dispatch was promised for {date}, it is still being prepared.", "How long does the delivery to {city} take?",
        "Do you also ship to {city}?", "Which carrier [brings|delivers] {it}?", "On what day will the courier be here?", "I chose next-day delivery, that was [four|five|six] days ago.", "Express was booked, standard was sent.", "The delivery window was missed again.",
        "The driver could not find our house, please give him the note: [back door|second floor|ring twice].", "The delivery note in the mailbox cannot be read, where is the parcel now?", "They tried to deliver on {date} while I was at work.",
        "The package was returned to the sender because the courier found no name at the door.", "Please send the parcel again, it came back to you as undeliverable.", "Nothing in the mail, nothing at the door, nothing at the neighbours.", "The estimated arrival keeps moving, now it is {date}.", "Delivery overdue since {date}.",
        "The parcel should have reached {city} by now.", "I am wondering where {it} is at the moment.", "When may I expect {it}?", "A pallet was to be delivered to {street}, and the truck never came.", "Somebody stole the parcel from the doorstep after the driver put it there.",
    ),
    "technical": (
        "{It} does not [turn on|start|switch on] any more.", "{It} keeps [crashing|freezing|restarting] after a few minutes.", "The display stays black [and the device gets hot|when I press the button].", "I cannot connect {it} to [the wifi|my phone|bluetooth].", "The app shows error {num} whenever I log in.",
        "The firmware update stopped at {num} percent and now nothing works.", "The battery is empty after an hour [and does not charge|although it was full].", "{It} makes a loud noise and then shuts down.", "The software does not recognise the device.", "Setup fails with the message 'code {num}'.",
        "I cannot log in, the password reset does not work.", "The sensor shows wrong values since the last update.", "One of the buttons stopped working.", "The sound is distorted and cuts out.", "How do I reset {it} to factory settings?", "The screen flickers all the time.", "The driver installation ends with an error.",
        "It loses the connection every ten minutes.", "The power light blinks red and the manual says nothing about it.", "After the update the settings menu will not open.", "The motor stutters and stops under load.", "Is there a guide on how to configure {it}? I can not get it running.", "{It} is dead, no light, no sound.",
        "Nothing happens when I press the power button.", "{It} switches itself off [again and again|at random|during use].", "It freezes on the start screen.", "The [app|program] closes by itself right after the start.", "Error {num} comes up each time.", "I get the message 'error {num}' and cannot go on.",
        "What does error code {num} mean?", "The [display|screen] has [stripes|dead pixels|a green tint].", "The touch screen no longer reacts to my fingers.", "Pairing with my phone fails every time.", "{It} is not found in the list of [bluetooth devices|wireless networks].",
        "The wifi signal drops as soon as I leave the room.", "There is no network connection although the router works.", "The update cannot be installed.", "Since update {num} the [menu|sound|camera] is gone.", "The installation hangs at {num} percent.", "The charger gets very hot and the battery stays empty.",
        "Battery life is [poor|less than an hour|very short].", "The charging light does not come on.", "There is a [rattling|humming|clicking] noise from inside.", "It smells burnt when it is running.", "The [motor|fan|pump] no longer turns.", "The remote control has no effect.",
        "The [microphone|speaker|camera] does not work.", "No sound comes out of the [speaker|left side].", "The [measured|displayed] values are far off.", "My password is not accepted.", "The login page loads forever.", "I never get the code for the login.", "My account is locked after too many tries.",
        "The website shows an empty page after the login.", "The app does not sync [my data|with the device].", "All my settings were lost after the restart.", "The software says that the licence key is not valid.", "The printer driver is not compatible with my system.", "Which software version do I need to make {it} run?",
        "How do I install the app?", "How can I connect {it} to [the router|my computer|my phone]?", "Where can I download the [manual|driver|firmware]?", "The manual does not explain how to set the clock.", "I followed the manual step by step, but setup does not complete.", "I can't get {it} to work.",
        "Please help me configure the [network|alarm|timer].", "The [timer|alarm|clock] goes off at the wrong time.", "The device heats up [too much|strongly] and shuts down.", "It reacts very slowly and then hangs.", "{It} restarts in an endless loop.", "There seems to be a [bug|fault|software error] in {it}.",
        "Technical fault: no power.", "Broken [sensor|switch|hinge|button], needs repair.", "{It} has a defect, can it be repaired?", "The USB port does not recognise any cable.", "Files cannot be opened, the program reports code {num}.", "The search in the app gives no results any more.",
        "A red warning light has been on since this morning.", "The lid no longer closes and the machine refuses to run.", "It loses its memory whenever the plug is pulled.", "The [screen|software] shows letters in a foreign alphabet and I cannot change the language.",
    ),
    "returns": (
        "I would like to [return|send back] {it}.", "How can I send {it} back?", "It does not fit and I want to return it.", "Please send me a return label.", "I want to exchange {it} for [another colour|a larger one|a different size].", "I changed my mind and want to give it back within the return period.",
        "The colour is different from the picture, so I would like to send it back.", "I received the wrong [item|article|model] and want to swap it.", "Is it possible to exchange {it}? It was a gift and we already have one.", "I already packed {it} up, where should I return it to?",
        "I opened a return, but never received the label for it.", "We ordered one too many and would like to return the spare one.", "Can I still return {it} after three weeks?", "It is too small, please let me swap it for the next size.", "What is the address for returns?",
        "I withdraw from the purchase and will send everything back.", "It is not what I expected, so I am sending it back.", "Do I have to pay for the return postage?", "Please take {it} back, it is unused and in the original box.", "I need a return number before I can ship it back to you.",
        "We no longer need {it} and ask you to take it back.", "I am returning {it}.", "Return requested for {it}.", "We would like to give {it} back.", "I do not want to keep {it}.", "{It} is going back to you.", "How does a return work in your shop?", "What do I have to do to return {it}?",
        "Kindly [mail|send|provide] a label for the return.", "The return label does not print.", "The label for sending it back is missing from the box.", "May I exchange {it} for [a smaller one|another model|one in blue]?", "Could we swap {it} for a [bigger|smaller|different] one?",
        "I picked the wrong [size|colour|model], an exchange would be great.", "Wrong size, I need to exchange it.", "The size is not right, so I want to swap it.", "I don't like [the colour|the look|the material] and want to send it back.", "It turned out that I do not need it, so back it goes.",
        "I have decided against it and want to use my right of return.", "I hereby withdraw from the contract and return the goods.", "I make use of the [14|30] day return period.", "Is the return period [14|30|60] days?", "Until when can I send {it} back?", "How many weeks do I have for a return?",
        "Does the return have to be in the original packaging?", "I threw the box away, can I still return {it}?", "The seal is broken, will you still take {it} back?", "Is a return free of charge?", "Who pays for sending it back?", "To which address should I send the returned goods?",
        "Can I bring {it} back to your shop in {city}?", "Can a courier collect the return at my home?", "The return parcel is packed, now I only need the return number.", "Please open a return for me.", "Please register my return.", "My return was refused, please explain why.",
        "I asked for a return on {date} and have no label yet.", "Did my return arrive at your warehouse?", "I sent the goods back on {date}, please confirm the return.", "Your return form does not accept my input.", "You sent me [another model|the wrong colour|the wrong size], please exchange it.",
        "That is not the model I chose, I want to exchange it for the right one.", "It was meant as a present, but she already has one, so I want to return it.", "We have one too many and wish to return it.", "An exchange would be fine with me, I just do not want this one.",
        "Would you take {it} back even though it was [tried on|opened|used once]?", "It is unopened and I would like to hand it back.", "It looks different from the photo, therefore I return it.", "The quality does not convince me, I will return {it}.", "I ordered two sizes and will return the one that does not fit.",
        "Return, reason: [does not fit|not as described|no longer needed].", "Exchange wanted: [size M instead of L|black instead of white|left instead of right].", "It is not to our liking, we are sending it back.", "Tell me how to hand {it} back, please.", "My wife does not like it, can we give it back?",
        "I wish to revoke the purchase and give {it} back.", "Please arrange for {it} to be taken back.",
    ),
}
URGENCY: dict[str, tuple[str, ...]] = {
    "low": (
        "There is no rush.", "Take your time.", "No hurry at all.", "This is not urgent.", "It can wait [until next month|a few weeks|a while].", "Whenever you have [time|a minute] is fine.", "I am in no hurry.", "It is just a small thing, no need to hurry.", "An answer some time next month is enough.",
        "Please do not treat this as urgent.", "Reply whenever it suits you.", "It is low priority for me.", "No pressure, I can wait.", "There is [absolutely|really] no hurry.", "I can wait.", "Not urgent.", "Priority: low.", "Low priority.", "No need to rush.", "You do not need to hurry.", "Please take all the time you need.",
        "Nothing pressing, I am just curious.", "It is not important [right now|at the moment].", "Feel free to answer [next week|next month|after the holidays].", "A reply in a few weeks is [early enough|fine|good enough].", "This has time.", "There is plenty of time.", "I am in no rush whatsoever.",
        "Deal with the urgent cases first, mine can wait.", "Please look after the others first.", "I do not need it before [spring|summer|autumn|winter|next year].", "We will not need it for months.", "Only when you find the time.", "If you have a quiet moment one day, have a look.", "It does not matter when you answer.",
        "I don't mind waiting.", "Waiting is no problem [for me|for us].", "Nothing depends on it.", "It is only a minor matter.", "Just a small remark, nothing to worry about.", "There is no deadline.", "No deadline on my side.", "Please put it at the end of your list.", "Handle it at your leisure.", "This is far from urgent.",
        "Some day is fine.", "Sooner or later is both fine.", "Answer it when things are quiet.", "It is a trifle, so do not hurry.", "We get along without it for now.", "For the moment we manage well without it.", "It is not a pressing matter.", "Do not let this keep you from more important things.",
        "There is no time pressure on this.", "I only mention it, there is no rush.",
    ),
    "normal": (
        "Please [let me know|get back to me|write back].", "I look forward to your [answer|reply].", "Thank you for your help.", "Could you have a look at it this week?", "Thanks in advance.", "Please tell me what to do next.", "I hope to hear from you in the next days.", "Can you help me with this?",
        "A reply in the usual time is fine.", "What are the next steps?", "Please look into it.", "Let me know if you need more details.", "[|Looking forward to hearing from you.]", "[|Thank you.]", "[|Many thanks.]", "[|Thanks.]", "[|Thank you very much.]", "[|Thank you for looking into it.]",
        "[|Thank you in advance for your help.]", "[|I would be glad about an answer.]", "[|Please advise.]", "[|Please reply.]", "[|Please check.]", "[|Kindly check this.]", "[|What can be done?]", "[|What do you suggest?]", "[|How do we go on from here?]", "[|What should I do?]", "[|Can you help?]",
        "[|Could you help me, please?]", "[|I hope you can help me.]", "[|I would be grateful for your help.]", "[|Please let me know how to proceed.]", "[|Please tell me how to go on.]", "[|Please take care of it.]", "[|Please take a look.]", "[|Would you please check that?]", "[|I am waiting for your reply.]",
        "An answer in the next few days would be [nice|good|fine].", "Please answer within the week.", "A reply [within|in] a few days is fine.", "Please reply in the course of the week.", "Could you come back to me this week?", "It would be nice to hear from you this week.", "I expect to hear from you in the coming days.",
        "[|Please send me a short answer.]", "[|Please write to me about it.]", "[|I count on your support.]", "[|Please inform me about the next steps.]", "[|Please confirm that you have read this.]", "[|I appreciate your support.]", "[|If you have questions, just ask.]", "[|I can send more details if needed.]",
        "[|Photos can be sent on request.]", "Please handle it in the usual way.", "The normal response time is okay.", "Priority: normal.", "Normal priority.", "Please deal with it in the ordinary course.", "[|I'd appreciate a reply.]",
    ),
    "high": (
        "This is [urgent|very urgent|extremely urgent].", "Please answer [today|immediately|at once].", "I need this solved [today|right now|within hours].", "It is an emergency for us.", "We cannot work until this is fixed.", "Please act as fast as possible!", "Our whole team is blocked.", "I need an answer before tonight.",
        "Please hurry, we are losing customers.", "This has to be settled by tomorrow morning.", "Please treat this with top priority.", "Every hour counts.", "We need help right away.", "The event is tomorrow and we depend on it.", "I must have a solution today or I will cancel everything.", "Please call me back immediately.",
        "Business is standing still because of this.", "ASAP please!", "Urgent!", "Very urgent!", "Priority: high.", "High priority.", "Top priority, please.", "Highest priority!", "This cannot wait.", "It can't wait any longer.", "I need help [now|immediately|at once|right away].",
        "Please reply [within the hour|before noon|by tonight].", "Please respond immediately.", "An immediate answer is needed.", "Immediate action is required.", "Please drop everything else for this.", "Time is running out.", "We are running out of time.", "There is no time to lose.", "I have no time to lose.",
        "We need a solution within [the hour|two hours|three hours].", "It must be [fixed|solved|settled] today.", "This needs to be sorted out [today|before this evening].", "By [tomorrow morning|tonight|noon] it has to be solved.", "Our [shop|production|office|line] is at a standstill.",
        "Production has stopped because of it.", "Nobody here can work right now.", "All our customers are affected at this moment.", "We lose money with every minute.", "Each minute costs us money.", "Our [wedding|opening|trade fair|show] is tomorrow.", "I leave [tomorrow|tonight] and need it solved before then.",
        "Please call at once.", "Call me right now, please.", "Please get back to me without delay.", "Without a quick solution we have to close for the day.", "I insist on an answer today.", "Please help at once, it is critical.", "This is critical for us.", "It is a critical situation.", "Emergency!",
        "This is an emergency, please react.", "As soon as possible, please!", "Please solve it as quickly as you can.", "Act now, please.", "Hurry up, please!", "Please escalate this to your manager now.", "It is really pressing.", "The matter is extremely pressing.", "I need someone on this right now.",
        "Do not let this wait until tomorrow.",
    ),
}
URGENCY_SETS = {
    "low": (("low", "normal", "high"), ("low", "medium", "high"), ("low", "high")),
    "normal": (("low", "normal", "high"), ("normal", "high"), ("low", "normal", "high",
        "critical")),
    "high": (("low", "normal", "high"), ("low", "medium", "high"), ("normal", "high")),
}
CATEGORIES = ("billing", "shipping", "technical", "returns")
CUSTOMER_KEYS = ("customer", "customer_name", "client", "name", "sender", "from", "buyer",
    "contact", "full_name")
EMAIL_KEYS = ("email", "email_address", "mail", "contact_email", "customer_email", "reply_to")
PRODUCT_KEYS = ("product", "item", "product_name", "article", "device", "subject")
ORDER_KEYS = ("order_id", "order", "order_number", "order_no", "reference", "order_code",
    "order_ref")
CATEGORY_KEYS = ("category", "type", "topic", "department", "kind", "issue_type", "queue")
URGENCY_KEYS = ("urgency", "priority", "severity", "importance")


# fmt: on
def support_mail(w: Writer) -> Scene:
    """One mail, ticket or call note."""
    customer, product, order = values.person(w), values.product(w), values.code(w)
    category, urgency = w.pick(CATEGORIES), w.pick(("low", "normal", "normal", "high"))
    mail = values.email(w, customer if w.chance(0.7) else None) if w.chance(0.6) else None
    it = w.pick(("it", "the order", "this", f"the {product}", "the product"))
    fill: dict[str, object] = {
        "customer": customer,
        "product": product,
        "order": order,
        "email": mail,
        "it": it,
        "It": capital(it),
        "thing": w.pick(("order", "purchase", "item")),
        "amount": values.amount(w),
        "amount2": values.amount(w),
        "date": values.date(w),
        "street": values.street(w),
        "city": values.city(w),
        "num": values.digits(w, 2, 3),
        "agent": w.pick((values.first_name(w), values.last_name(w))),
        "company": values.company(w),
        "other_code": values.code(w),
        "other_product": values.product(w),
        "phone": values.phone(w),
        "year": w.rng.randint(2005, 2030),
    }
    body = [_problem(w, category, fill)]
    if w.chance(0.35):
        body.append(_problem(w, category, fill))
    for _ in range(w.pick((0, 0, 1, 1, 2))):
        body.insert(w.rng.randrange(len(body) + 1), w.say(DISTRACTIONS, **fill))
    urgent = w.say(URGENCY[urgency], **fill)
    if urgent and w.chance(0.5):
        urgent = plain(w, URGENCY_CUES[urgency], fill, URGENCY[urgency])
    if urgent:
        body.insert(w.rng.randrange(len(body) + 1) if w.chance(0.3) else len(body), urgent)
    text = w.pick((_letter, _letter, _letter, _ticket, _note))(w, body, fill)
    options = [tuple(w.shuffled(CATEGORIES)) if w.chance(0.4) else CATEGORIES]
    options.append(
        tuple(w.shuffled((category, *w.some([c for c in CATEGORIES if c != category], 1, 2))))
    )
    options.append(
        tuple(w.shuffled((*CATEGORIES, w.pick(("account", "other", "feedback", "sales")))))
    )
    facts = [
        Fact(CUSTOMER_KEYS, "string", customer, ASK_CUSTOMER),
        Fact(EMAIL_KEYS, "string", mail, ASK_EMAIL),
        Fact(PRODUCT_KEYS, "string", product, ASK_PRODUCT),
        Fact(ORDER_KEYS, "string", order, ASK_ORDER),
        Fact(CATEGORY_KEYS, "enum", category, options=tuple(options)),
        Fact(URGENCY_KEYS, "enum", urgency, options=URGENCY_SETS[urgency]),
    ]
    return Scene("support mail", text, facts)


def _problem(w: Writer, category: str, fill: dict[str, object]) -> str:
    own = PROBLEMS[category]
    return problem(w, category, fill, own) if w.chance(0.5) else w.say(own, **fill)


def _letter(w: Writer, body: list[str], fill: dict[str, object]) -> str:
    customer_said = False
    head = ""
    if w.chance(0.35):
        subject = w.pick(
            ("{product}", "Order {order}", "Question", "Help", "Problem", "{product}, {order}")
        )
        sender = "{customer} <{email}>" if fill["email"] and w.chance(0.6) else "{customer}"
        rows = [("From", sender), ("Subject", subject)]
        if w.chance(0.3):
            rows.insert(1, (w.pick(("Date", "Sent")), "{date}"))
        head = "\n".join(f"{label}: {value}" for label, value in rows).format(**fill) + "\n\n"
        customer_said = True
    sentences = [w.say(PURCHASES, **fill)]
    if fill["email"] and f"<{fill['email']}>" not in head:
        body = [*body, w.say(EMAILS, **fill)]
    closing = not customer_said or w.chance(0.6)
    if not customer_said and w.chance(0.3):
        sentences.insert(0, w.say(INTRODUCTIONS, **fill))
        closing = w.chance(0.3)
    sentences = sentences + body if w.chance(0.75) else [*body[:1], *sentences, *body[1:]]
    greeting = w.say(GREETINGS, **fill) + w.pick(("\n", "\n\n", " ")) if w.chance(0.8) else ""
    ending = w.pick(("\n", "\n\n")) + w.say(CLOSINGS, **fill) if closing else ""
    return head + greeting + join_sentences(w, sentences) + ending


def _ticket(w: Writer, body: list[str], fill: dict[str, object]) -> str:
    rows = [
        (w.pick(NAME_LABELS), str(fill["customer"])),
        (w.pick(ORDER_LABELS), str(fill["order"])),
        (w.pick(PRODUCT_LABELS), str(fill["product"])),
    ]
    if fill["email"]:
        rows.append((w.pick(("Email", "E-mail", "Mail", "Reply to")), str(fill["email"])))
    if w.chance(0.3):
        rows.append(
            (
                w.pick(("Phone", "Agent", "Opened", "Ticket")),
                w.pick((str(fill["phone"]), str(fill["agent"]), str(fill["date"]))),
            )
        )
    rows = w.shuffled(rows)
    return labelled(w, rows) + f"\n{w.pick(MESSAGE_LABELS)}: " + " ".join(body)


def _note(w: Writer, body: list[str], fill: dict[str, object]) -> str:
    sentences = [w.say(NOTES, **fill), w.pick(("", "", "They say: ", "Message: ")) + " ".join(body)]
    if fill["email"]:
        sentences.append(w.say(EMAILS, **fill) if w.chance(0.5) else f"Email: {fill['email']}")
    return w.pick((" ", "\n")).join(sentences)
