"""Support mails, tickets and call notes: customer, product, order, category and urgency."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

from . import values
from .cues import URGENCY_CUES, plain, problem
from .scene import Fact, Scene, join_sentences, labelled
from .writer import Writer, capital

PROBLEMS: dict[str, tuple[str, ...]] = {
    "billing": (
        "I was charged twice for {it}.",
        "[My card|My credit card|My account] was debited two times for the same {thing}.",
        "The invoice [shows|lists] {amount} although we agreed on {amount2}.",
        "The amount on [my bill|the bill|the invoice] is wrong.",
        "I still wait for my refund of {amount}.",
        "You promised a refund, but no money has arrived on my account.",
        "There is a fee of {amount} on my statement that I do not [understand|recognise].",
        "Could you send me a corrected invoice? The tax number is missing.",
        "The discount code was not applied and I paid the full price.",
        "My payment of {amount} went through, yet the account says unpaid.",
        "Why did the monthly subscription price go up to {amount}?",
        "I paid by bank transfer, but I keep getting payment reminders.",
        "The receipt for {it} shows the wrong billing address.",
        "I need a proper receipt with VAT for my accounting.",
        "My bank statement shows a charge of {amount} that I never authorised.",
        "The credit note for {it} has the wrong amount.",
        "You billed me for three pieces, but I ordered only one.",
        "Please check the invoice, the price is higher than on the website.",
        "The direct debit failed and now you charge a late fee of {amount}.",
        "I would like to change the payment method from card to invoice.",
        "I was overcharged by {amount}.",
        "The total on the invoice does not match the price I paid.",
    ),
    "shipping": (
        "{It} has not arrived yet.",
        "The parcel [is late|is overdue|has been delayed] and the tracking [shows nothing|has not changed for days].",
        "The tracking page says delivered, but no package is here.",
        "The courier left the package at the wrong address.",
        "Where is my [parcel|package|delivery]? It was due on {date}.",
        "I have been waiting for the delivery since {date}.",
        "The shipment seems to be lost in transit.",
        "Please change the delivery address to {street}.",
        "The carrier says the parcel went back to the depot in {city}.",
        "Can you tell me when {it} will be shipped?",
        "Nothing has been delivered so far and I got no tracking number.",
        "The box arrived [crushed|wet|torn open], the courier did not care.",
        "Only one of the two parcels was delivered.",
        "The driver never rang the bell and took the package away again.",
        "The expected delivery date was {date} and has passed.",
        "Could you hold the shipment until {date}, since we are away?",
        "The package is stuck at customs.",
        "My neighbour got the parcel instead of me.",
        "The tracking number does not work on the courier's site.",
        "I paid for express delivery and it is still on the way.",
        "When will the package reach {city}?",
    ),
    "technical": (
        "{It} does not [turn on|start|switch on] any more.",
        "{It} keeps [crashing|freezing|restarting] after a few minutes.",
        "The display stays black [and the device gets hot|when I press the button].",
        "I cannot connect {it} to [the wifi|my phone|bluetooth].",
        "The app shows error {num} whenever I log in.",
        "The firmware update stopped at {num} percent and now nothing works.",
        "The battery is empty after an hour [and does not charge|although it was full].",
        "{It} makes a loud noise and then shuts down.",
        "The software does not recognise the device.",
        "Setup fails with the message 'code {num}'.",
        "I cannot log in, the password reset does not work.",
        "The sensor shows wrong values since the last update.",
        "One of the buttons stopped working.",
        "The sound is distorted and cuts out.",
        "How do I reset {it} to factory settings?",
        "The screen flickers all the time.",
        "The driver installation ends with an error.",
        "It loses the connection every ten minutes.",
        "The power light blinks red and the manual says nothing about it.",
        "After the update the settings menu will not open.",
        "The motor stutters and stops under load.",
        "Is there a guide on how to configure {it}? I can not get it running.",
    ),
    "returns": (
        "I would like to [return|send back] {it}.",
        "How can I send {it} back?",
        "It does not fit and I want to return it.",
        "Please send me a return label.",
        "I want to exchange {it} for [another colour|a larger one|a different size].",
        "I changed my mind and want to give it back within the return period.",
        "The colour is different from the picture, so I would like to send it back.",
        "I received the wrong [item|article|model] and want to swap it.",
        "Is it possible to exchange {it}? It was a gift and we already have one.",
        "I already packed {it} up, where should I return it to?",
        "I opened a return, but never received the label for it.",
        "We ordered one too many and would like to return the spare one.",
        "Can I still return {it} after three weeks?",
        "It is too small, please let me swap it for the next size.",
        "What is the address for returns?",
        "I withdraw from the purchase and will send everything back.",
        "It is not what I expected, so I am sending it back.",
        "Do I have to pay for the return postage?",
        "Please take {it} back, it is unused and in the original box.",
        "I need a return number before I can ship it back to you.",
        "We no longer need {it} and ask you to take it back.",
    ),
}
URGENCY: dict[str, tuple[str, ...]] = {
    "low": (
        "There is no rush.", "Take your time.", "No hurry at all.", "This is not urgent.",
        "It can wait [until next month|a few weeks|a while].",
            "Whenever you have [time|a minute] is fine.",
        "I am in no hurry.", "It is just a small thing, no need to hurry.",
        "An answer some time next month is enough.", "Please do not treat this as urgent.",
        "Reply whenever it suits you.", "It is low priority for me.", "No pressure, I can wait.",
    ),
    "normal": (
        "", "", "", "", "Please [let me know|get back to me|write back].",
            "I look forward to your [answer|reply].",
        "Thank you for your help.", "Could you have a look at it this week?", "Thanks in advance.",
        "Please tell me what to do next.", "I hope to hear from you in the next days.",
        "Can you help me with this?", "A reply in the usual time is fine.",
            "What are the next steps?",
        "Please look into it.", "Let me know if you need more details.",
    ),
    "high": (
        "This is [urgent|very urgent|extremely urgent].",
            "Please answer [today|immediately|at once].",
        "I need this solved [today|right now|within hours].", "It is an emergency for us.",
        "We cannot work until this is fixed.", "Please act as fast as possible!",
        "Our whole team is blocked.", "I need an answer before tonight.",
            "Please hurry, we are losing customers.",
        "This has to be settled by tomorrow morning.", "Please treat this with top priority.",
        "Every hour counts.", "We need help right away.",
            "The event is tomorrow and we depend on it.",
        "I must have a solution today or I will cancel everything.",
            "Please call me back immediately.",
        "Business is standing still because of this.", "ASAP please!",
    ),
}
URGENCY_SETS = {
    "low": (("low", "normal", "high"), ("low", "medium", "high"), ("low", "high")),
    "normal": (("low", "normal", "high"), ("normal", "high"), ("low", "normal", "high",
        "critical")),
    "high": (("low", "normal", "high"), ("low", "medium", "high"), ("normal", "high")),
}
CATEGORIES = ("billing", "shipping", "technical", "returns")
GREETINGS = (
    "Hello,", "Hi,", "Hi there,", "Dear [support|service|customer] team,", "Good morning,",
        "Good afternoon,",
    "Dear Sir or Madam,", "Hello [support|everyone|{agent}],", "Dear {company},", "Hey,",
        "To whom it may concern,",
    "Dear [Ms|Mr] {agent},",
)
PURCHASES = (
    "I [bought|ordered|purchased] the {product} [from you|in your shop|on your website] [last week|recently|on {date}], order {order}.",
    "My order {order} [was for|contained|includes] the {product}.",
    "It is about order {order}, the {product}.",
    "I am writing about the {product} from order {order}.",
    "On {date} I ordered the {product} ([order number|order no.|reference|order] {order}).",
    "Regarding [my order|order number|purchase] {order}: the {product}.",
    "I have a [question|problem|request] about the {product}. [My order number is|The order number is|Order:] {order}.",
    "We got the {product} from you under order [number|no.|ID] {order}.",
    "Order {order} ({product}) [gives me trouble|is the reason for my mail|needs your attention].",
    "The {product} which I bought under {order} is the subject of this mail.",
    "This mail concerns the {product}, ordered [on {date}|two weeks ago] with the number {order}.",
    "With order {order} we purchased the {product}.",
    "A while ago I placed order {order} for [one|a] {product}.",
    "Last month you sold me the {product}. The order [id|code|number] was {order}.",
    "Please look at order {order}. It is for the {product}.",
    "I am a customer since years and my newest purchase is the {product} with order number {order}.",
    "Our company ordered the {product} [from your shop|at your store]; the reference is {order}.",
    "Concerning the {product} (order {order}):",
    "I recently received the {product} that belongs to order {order}.",
    "You will find my order under {order}. I chose the {product}.",
)
EMAILS = (
    "[You can reach me|Please reach me|I am reachable] at {email}.", "My email is {email}.",
        "Please reply to {email}.",
    "Write to {email} [if you need more|please|for details].", "Contact: {email}",
        "Send the answer to {email}, please.",
    "The best way to get hold of me is {email}.", "Mail me at {email}.",
        "My address for replies is {email}.",
    "Use {email} to contact me.", "Please answer via {email}.", "I read my mail at {email}.",
)
INTRODUCTIONS = (
    "My name is {customer}.", "This is {customer} [from|in] {city}.",
        "I am {customer}[| from {city}].",
    "{customer} here.", "I am {customer} and I need help.", "You know me, {customer} from {city}.",
    "It is {customer} writing.", "I'm {customer}, a customer since {year}.",
)
CLOSINGS = (
    "[Best|Kind|Warm] regards,\n{customer}", "Regards,\n{customer}", "Thanks,\n{customer}",
        "Sincerely,\n{customer}",
    "Cheers\n{customer}", "Yours faithfully,\n{customer}", "Greetings from {city},\n{customer}",
        "Thank you\n{customer}",
    "Best,\n{customer}", "Many thanks and best wishes\n{customer}", "Yours, {customer}",
)
DISTRACTIONS = (
    "I already [spoke|talked] to {agent} on the phone.", "Your colleague {agent} could not help.",
    "My earlier order {other_code} was fine.", "I paid {amount} for it.",
        "The shop in {city} could not help me.",
    "I also own the {other_product}, which works well.", "I called {phone} twice.",
        "The case number of my call was {other_code}.",
    "The bill was {amount}.", "My neighbour {agent} has the same one.",
        "I have been your customer since {year}.",
    "The delivery note mentions {other_code}.", "I live at {street}.",
        "It was a present for my [sister|brother|father].",
    "My customer number is {other_code}.", "The serial number is {other_code}.",
)
NOTES = (
    "{customer} [called|phoned|wrote] about the {product}, order {order}.",
    "[Call|Chat|Phone call] from {customer} regarding order {order} ({product}).",
    "Customer {customer} contacted us about order {order}, the {product}.",
    "Ticket opened by {customer} for the {product} in order {order}.",
    "[Today|This morning] {customer} asked for help with order {order}. Product: {product}.",
    "Caller: {customer}. It is about the {product} from order {order}.",
    "{customer} has an issue with the {product} (order {order}).",
    "Spoke with {customer}, who bought the {product} under order {order}.",
)
NAME_LABELS = ("Customer", "Name", "From", "Client", "Sender", "Contact", "Customer name",
    "Reported by")
PRODUCT_LABELS = ("Product", "Item", "Article", "Device", "Product name", "Concerns")
ORDER_LABELS = ("Order", "Order ID", "Order no.", "Order number", "Reference", "Ref", "Order #")
MESSAGE_LABELS = ("Message", "Text", "Details", "Issue", "Problem", "Description")

CUSTOMER_KEYS = ("customer", "customer_name", "client", "name", "sender", "from", "buyer",
    "contact", "full_name")
EMAIL_KEYS = ("email", "email_address", "mail", "contact_email", "customer_email", "reply_to")
PRODUCT_KEYS = ("product", "item", "product_name", "article", "device", "subject")
ORDER_KEYS = ("order_id", "order", "order_number", "order_no", "reference", "order_code",
    "order_ref")
CATEGORY_KEYS = ("category", "type", "topic", "department", "kind", "issue_type", "queue")
URGENCY_KEYS = ("urgency", "priority", "severity", "importance")
ASK_CUSTOMER = (
    "Who is the customer?", "Who wrote the message?", "What is the name of the customer?",
        "What is the customer's name?",
    "Who sent this?", "Which customer is it?", "Who needs help?", "What is the name of the client?",
)
ASK_EMAIL = (
    "What is the email address?", "What is the customer's email?",
        "At which address can the customer be reached?",
    "Which email is given?", "Where should the reply be sent?",
        "What email address does the customer give?",
)
ASK_PRODUCT = (
    "Which product is it about?", "What product is concerned?", "What did the customer buy?",
        "What is the product?",
    "Which item is the message about?", "What was ordered?",
)
ASK_ORDER = (
    "What is the order number?", "What is the order id?", "Which order is it about?",
        "Which order number is mentioned?",
    "What is the number of the order?", "Under which number was it ordered?",
        "Give the order number.",
)


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
        urgent = plain(w, URGENCY_CUES[urgency], fill)
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
    return problem(w, category, fill) if w.chance(0.5) else w.say(PROBLEMS[category], **fill)


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
