"""Short texts with a label, and label sets to choose from."""

# Tables of wordings read better packed than one string per line.
# fmt: off
from __future__ import annotations

from . import values
from .chat import Message, Sample
from .cues import SHIPPING_CUES, STATUS_CUES, URGENCY_CUES, plain, problem
from .mails import PROBLEMS, URGENCY
from .meetings import STATUS_CLAUSES
from .orders import SHIPPING_CLAUSES
from .topics import (
    INTENT_ACTS,
    SPAM_CUES,
    TOPIC_WORDS,
    feeling_text,
    intent_text,
    topic_text,
)
from .writer import Writer, capital

SENTIMENT: dict[str, tuple[str, ...]] = {
    "positive": (
        "I love {it}.", "{It} is [great|wonderful|fantastic|excellent].", "Very happy with {it}!",
            "Best purchase in years.",
        "Works perfectly and looks beautiful.", "The staff was friendly and helpful.",
            "I would recommend it to everyone.",
        "Exceeded my expectations.", "What a lovely evening.", "Delicious food and kind people.",
            "Five stars from me.",
        "I am delighted with the quality.", "A joy to use every day.", "Superb service, thank you!",
            "Good value and a pleasure to use.",
        "I enjoyed every minute.", "We will gladly come back.", "Amazing, I like it a lot.",
    ),
    "negative": (
        "I hate {it}.", "{It} is [terrible|awful|bad|horrible].", "Very disappointed by {it}.",
            "A waste of money.",
        "It broke after two days.", "The staff was rude and slow.",
            "I would not recommend it to anybody.", "Worst purchase of my life.",
        "Poor quality and ugly.", "The food was cold and bland.", "One star is too much.",
            "Never again.", "I am angry about the service.",
        "What a boring evening.", "I regret buying it.", "Useless, I dislike it a lot.",
            "It failed and nobody cared.", "I want my money back, this is junk.",
    ),
    "neutral": (
        "{It} is okay.", "It does what it should, nothing more.",
            "It arrived on Tuesday in a brown box.", "Neither good nor bad.",
        "Average, I have no strong opinion.", "The package contains a cable and a manual.",
            "It is an ordinary one.", "The room has two windows.",
        "I have used it for a week so far.", "It is what it is.", "So-so.",
            "The shop opens at nine.", "It weighs about two kilos.",
        "Acceptable for the price, nothing special.", "There is one in every town.",
    ),
}
TOPIC: dict[str, tuple[str, ...]] = {
    "sports": (
        "{team} won the match {n} to 1.", "The coach praised the players after the game.",
            "The runner set a new record in the marathon.",
        "The final of the tennis tournament is on Sunday.", "The striker scored two goals.",
            "The league starts with a derby.",
        "Fans cheered when the goalkeeper saved the penalty.", "She won a gold medal in swimming.",
            "The basketball team lost the playoff.",
        "The cyclist was first at the finish.", "The stadium was full for the football cup.",
            "The champion defended the title in the ring.",
    ),
    "finance": (
        "Shares of {team} fell by {n} percent.", "The bank raised its interest rates.",
            "Investors sold bonds and bought gold.",
        "The company reported a profit of {n} million.", "Inflation slowed down last month.",
            "The stock market closed higher.",
        "The fund bought shares of two insurers.", "Analysts expect lower earnings this quarter.",
            "The central bank keeps its rate.",
        "The loan will be paid back over ten years.", "The currency lost value against the dollar.",
            "The budget deficit grew again.",
    ),
    "weather": (
        "Heavy rain is expected in {city}.", "Tomorrow will be sunny with {n} degrees.",
            "A storm moves towards the coast.", "Snow falls in the mountains tonight.",
        "The forecast says fog in the morning.", "Strong winds and showers all day.",
            "It stays dry and warm until Friday.", "Frost is possible in the valleys.",
        "Clouds in the north, sun in the south.", "Temperatures drop below zero.",
            "Thunder and hail hit the region.", "The heat wave goes on.",
    ),
    "travel": (
        "Our flight to {city} leaves at {n}.", "The hotel is close to the beach.",
            "We visited three islands on our holiday.",
            "The train to the old town takes two hours.",
        "Book the tour of the castle in advance.", "The guide showed us the harbour.",
            "Passports are checked at the border.", "A trip by boat along the river.",
        "The hostel is cheap and near the station.", "Pack light for the journey.",
            "The airline lost our suitcases.", "The campsite lies by the lake.",
    ),
    "food": (
        "Add {n} grams of flour and stir.", "The soup needs more salt.",
            "Bake the bread for an hour.", "The chef serves fish with lemon.",
        "Fry the onions in butter.", "This cake is made with apples.",
            "The restaurant has a new menu.", "Cook the pasta and grate the cheese.",
        "Fresh tomatoes and basil make a good sauce.", "The recipe calls for two eggs.",
            "Roast the chicken until it is brown.", "We had rice and beans for dinner.",
    ),
    "technology": (
        "The new phone has a faster chip.", "{team} released an update of its software.",
            "Hackers attacked the server.", "The robot learns to walk.",
        "The laptop comes with more memory.", "Programmers found a bug in the code.",
            "The app stores the data in the cloud.", "A new computer model was presented.",
        "The browser blocks unsafe websites.", "Engineers built a smaller battery for the device.",
            "The network was down because of a router.",
            "The satellite sends data to the ground station.",
    ),
    "health": (
        "The doctor prescribed a new drug.", "Patients wait for {n} days for surgery.",
            "Sleep and exercise are good for the heart.", "The hospital opened a new ward.",
        "A vaccine against the flu is ready.", "The nurse measured the blood pressure.",
            "Headaches can come from stress.", "The clinic treats allergies.",
        "The dentist pulled a tooth.", "Vitamins do not replace a healthy diet.",
            "The virus spreads in winter.", "She recovers from a broken leg.",
    ),
    "politics": (
        "The parliament voted on the new law.", "The minister resigned on Monday.",
            "The election takes place in {city}.", "The president met the opposition.",
        "Voters rejected the reform.", "The mayor presented the plan to the council.",
            "The party chose a new leader.", "The government plans a tax cut.",
        "The senate debated for {n} hours.", "Two countries signed a treaty.",
            "The candidate leads in the polls.", "The coalition broke apart.",
    ),
    "music": (
        "The band plays in {city} tonight.", "Her new album has {n} songs.",
            "The orchestra opened with a symphony.", "The singer hit every note.",
        "He plays the guitar and the drums.", "The choir sang two old songs.",
            "The concert was sold out.", "The pianist gave an encore.",
        "A violin solo ends the piece.", "The record reached the top of the charts.",
            "The DJ mixed techno and jazz.", "The opera starts at eight.",
    ),
}
INTENT: dict[str, tuple[str, ...]] = {
    "greeting": (
        "Hello!", "Hi there.", "Good morning.", "Hey, how are you?", "Good evening to you.",
            "Nice to meet you.", "Hi, hope you are well.", "Greetings!", "Hello again.",
    ),
    "cancel": (
        "Please cancel my [order|booking|subscription].", "I want to cancel {code}.",
            "Cancel it, please.", "I no longer want the [order|contract], stop it.",
        "Can I cancel the appointment?", "Please stop my subscription.",
            "I wish to terminate my contract.", "Call off the booking {code}.",
            "End my membership, please.",
    ),
    "order_status": (
        "Where is my order {code}?", "What is the status of {code}?", "Has my order been sent?",
            "When will my order come?", "Is order {code} on its way?",
        "Can you check the status of my order?", "How far is my order?", "Did you ship {code} yet?",
            "Any news on my order {code}?",
    ),
    "complaint": (
        "I want to complain about the service.", "This is unacceptable.",
            "I am very unhappy with your company.", "Nobody answers, I am fed up.",
            "Your service is a disgrace.",
        "I wish to file a complaint.", "That is not how you treat customers.",
            "I am really annoyed by your shop.", "I have to complain about {agent}.",
    ),
    "book": (
        "I want to book a table for {n}.", "Can I reserve a room in {city}?",
            "Please make an appointment for me.", "Book a ticket to {city}.",
            "I would like to reserve two seats.",
        "Is there a free slot on Monday? Please book it.", "Reserve a car for me.",
            "We want to book a tour.", "Please schedule a visit for {agent}.",
    ),
    "thanks": (
        "Thank you very much!", "Thanks a lot.", "Many thanks for your help.",
            "That helped, thank you.", "I appreciate it, thanks.", "Great, thanks!",
            "Thank you, {agent}.", "Thanks for the quick reply.",
    ),
}
SPAM: dict[str, tuple[str, ...]] = {
    "spam": (
        "You have won {n} million, click here!", "Cheap pills without prescription.",
            "Earn money fast from home.", "Claim your free prize now.",
            "Hot offer, only today, click the link!",
        "Your account is locked, send us your password.", "Make {n} dollars a day with no work.",
            "Congratulations, you are the lucky winner!", "Buy followers now at half price.",
            "Free gift card, just confirm your bank data.",
    ),
    "not_spam": (
        "The meeting moved to {n} o'clock.", "Please find the report attached.",
            "{agent} will be in the office on Monday.", "Can you review my draft?",
            "Lunch at noon?",
        "The minutes of our call are in the folder.", "I will be late for the workshop.",
            "Here are the photos of our trip.", "Mum asks if you come on Sunday.",
            "The printer on floor {n} is repaired.",
    ),
}
LANGUAGE_LIKE: dict[str, tuple[str, ...]] = {
    "question": ("Where is the station?", "How does it work?", "When do you open?",
        "Who is {agent}?", "Why is it closed?", "Can you help me?", "What is the price?",
        "Is {city} far away?", "Do you sell tea?"),
    "request": ("Please send me the file.", "Open the window, please.", "Please call {agent}.",
        "Send the box to {city}, please.", "Please repeat that.", "Help me with the form, please.",
        "Please book a room.", "Bring two chairs, please."),
    "statement": ("The shop is closed.", "{agent} lives in {city}.", "The report is ready.",
        "It rained all day.", "We have {n} chairs.", "The train was late.", "My car is blue.",
        "The office is on the third floor."),
}
# label set name -> (label synonyms per class, texts per class)
SETS: tuple[tuple[str, dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]], ...] = (
    ("category", PROBLEMS, {"billing": ("billing", "payment", "invoice"), "shipping": ("shipping",
        "delivery"), "technical": ("technical", "tech support", "technical problem"), "returns": (
        "returns", "return", "return or exchange")}),
    ("sentiment", SENTIMENT, {"positive": ("positive", "good", "happy", "satisfied", "praise"),
        "negative": ("negative", "bad", "unhappy", "dissatisfied", "criticism"), "neutral": (
        "neutral", "mixed", "neither")}),
    ("topic", TOPIC, {"sports": ("sports", "sport"), "finance": ("finance", "business", "economy"),
        "food": ("food", "cooking"), "technology": ("technology", "tech"), "health": ("health",
        "medicine"), "travel": ("travel", "tourism", "holidays"), "education": (
        "education", "school"), "animals": ("animals", "pets"), "cars": (
        "cars", "driving"), "weather": ("weather", "weather report")}),
    ("intent", INTENT, {"cancel": ("cancel", "cancellation"), "order_status": ("order_status",
        "status", "order status"), "book": ("book", "booking", "reservation"), "thanks": ("thanks",
        "thank you"), "refund": ("refund", "money back"), "price": ("price", "price question")}),
    ("urgency", {k: v for k, v in URGENCY.items() if k != "normal"}, {"low": ("low", "not urgent",
        "can wait"), "high": ("high", "urgent")}),
    ("spam", SPAM, {"not_spam": ("not_spam", "ham", "not spam", "normal")}),
    ("shipping method", SHIPPING_CLAUSES, {"pickup": ("pickup", "collect"), "express": (
        "express", "fast")}),
    ("status", STATUS_CLAUSES, {"planned": ("planned", "not started"), "on_track": ("on_track",
        "on track", "on time"), "delayed": ("delayed", "late"), "done": ("done", "finished")}),
    ("type", LANGUAGE_LIKE, {}),
)
_WEIGHTS = (5, 4, 5, 4, 2, 2, 1, 1, 1)
INSTRUCTIONS = (
    "Classify the text. Labels: {labels}", "Classify the text. Labels: {labels}",
        "Choose the right label: {labels}", "Which label fits? {labels}",
    "Answer with one of these labels: {labels}.", "Sort the message into one of: {labels}",
        "Label the text as one of {labels}.", "Pick one: {labels}",
    "What is the {kind} of the text? Labels: {labels}", "Determine the {kind}: {labels}",
        "Classify the {kind} of the message. Options: {labels}",
    "You are a classifier. Possible answers: {labels}", "Tell the {kind}. One of: {labels}",
        "Categories: {labels}. Reply with the category only.",
)


# fmt: on
def _topic_values(w: Writer) -> dict[str, object]:
    """Values for the slots of the texts."""
    it = w.pick(
        (
            "it",
            "the order",
            "this",
            "the product",
            f"the {values.product(w)}",
            "the service",
            "my new one",
        )
    )
    return {
        "it": it,
        "It": capital(it),
        "thing": "order",
        "amount": values.amount(w),
        "amount2": values.amount(w),
        "date": values.date(w),
        "street": values.street(w),
        "city": values.city(w),
        "num": values.digits(w, 2, 3),
        "agent": values.first_name(w),
        "person": values.person(w),
        "team": values.capitalised(w),
        "n": w.rng.randint(2, 90),
        "code": values.code(w),
    }


def _sentence(w: Writer, kind: str, right: str, fill: dict[str, object]) -> str:
    """A sentence of the class: one of its own, or class words in a general sentence."""
    table = next(texts for name, texts, _ in SETS if name == kind)
    if right in table and w.chance(0.35):
        return w.say(table[right], **fill)
    if kind == "category":
        return problem(w, right, fill)
    if kind == "sentiment":
        return feeling_text(w, right, fill)
    if kind == "topic":
        return topic_text(w, right, fill)
    if kind == "intent" and right in INTENT_ACTS:
        return intent_text(w, right, fill)
    cues = {
        "urgency": URGENCY_CUES,
        "spam": SPAM_CUES,
        "shipping method": SHIPPING_CUES,
        "status": STATUS_CUES,
    }.get(kind)
    return plain(w, cues[right], fill) if cues else w.say(table[right], **fill)


def labelled_text(w: Writer) -> tuple[str, str, list[str], str]:
    """Return a text, the kind of label, the labels to choose from and the right one."""
    kind, texts, names = w.rng.choices(SETS, _WEIGHTS)[0]
    more = {"topic": tuple(TOPIC_WORDS), "intent": tuple(INTENT_ACTS)}.get(kind, ())
    every = tuple(dict.fromkeys((*texts, *more)))
    classes = w.some(every, 2, min(len(every), 9))
    if len(every) <= 4 and w.chance(0.6):
        classes = w.shuffled(every)
    right = w.pick(classes)
    shown = {c: w.pick(names.get(c, (c,))) if w.chance(0.35) else c for c in classes}
    fill = _topic_values(w)
    sentences = [_sentence(w, kind, right, fill) for _ in range(w.pick((1, 1, 2, 2, 3)))]
    sentences = list(dict.fromkeys(sentences))
    if kind == "category" and w.chance(0.3):
        sentences.append(w.say(URGENCY[w.pick(tuple(URGENCY))], **fill))
    return " ".join(s for s in sentences if s), kind, list(shown.values()), shown[right]


def classify(w: Writer) -> Sample:
    """One to three texts with the same or changing labels."""
    text, kind, labels, right = labelled_text(w)
    joint = w.pick((", ", ", ", ", ", " | ", " or ", "; "))
    told = w.say(INSTRUCTIONS, labels=joint.join(labels), kind=kind)
    if w.chance(0.7):
        messages = [Message("system", told), Message("user", text)]
    elif w.chance(0.5):
        messages = [Message("user", f"{told}\n\n{text}")]
    else:
        messages = [Message("user", f"{w.pick(('', 'Text: '))}{text}\n\n{told}")]
    messages.append(Message("assistant", right))
    return Sample("classification", messages, [len(messages) - 1], tuple(labels))
