"""Class words of text topics, intents, feelings and spam, put into general sentences."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

from .writer import Writer, capital

# Per topic: people, things, what they did.
TOPIC_WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "sports": (
        ("player", "coach", "team", "goalkeeper", "runner", "swimmer", "champion", "striker", "referee", "athlete", "tennis player", "football club", "fans", "boxer", "cyclist", "trainer"),
        ("match", "game", "goal", "tournament", "league", "stadium", "race", "medal", "football", "tennis", "basketball", "marathon", "cup", "final", "score", "training", "penalty", "world record", "championship", "swimming"),
        ("won the {thing}", "lost the {thing}", "scored in the [game|match|final]", "trained for the {thing}", "played [football|tennis|basketball|golf|hockey]", "won a [gold|silver] medal", "kicked the ball into the goal", "celebrated the [victory|win|goal]", "[ran|swam] faster than the champion", "was injured in the [match|game|race]", "reached the final of the {thing}", "beat the other team")),
    "finance": (
        ("bank", "investor", "company", "analyst", "fund", "broker", "insurer", "trader", "shareholder", "central bank", "accountant", "lender", "economist"),
        ("shares", "stock market", "interest rate", "loan", "profit", "earnings", "bond", "currency", "inflation", "budget", "dividend", "debt", "mortgage", "dollar", "euro", "revenue", "investment", "price of gold", "stocks", "credit"),
        ("bought {thing}", "sold [shares|bonds|stocks|gold]", "raised the [interest rate|dividend|rates]", "reported a [profit|loss] of {n} million", "invested in [shares|bonds|stocks]", "paid back the [loan|debt|credit]", "expects higher [earnings|revenue|inflation]", "lost money on the [stock market|shares]", "cut the {thing}", "earned {n} million dollars", "lowered the forecast for {thing}", "lent money at a low interest rate")),
    "weather": (
        ("forecast", "storm", "wind", "rain", "sun", "fog", "snow", "weather service", "cloud", "frost", "heat wave", "thunderstorm"),
        ("rain", "sunshine", "snow", "storm", "wind", "temperature", "clouds", "fog", "frost", "heat", "showers", "thunder", "lightning", "hail", "ice", "degrees", "forecast", "weather"),
        ("brings {thing} to {city}", "promises [sun|rain|snow|wind] and {n} degrees", "will [end|get stronger|move north] tomorrow", "comes with {thing}", "makes the [day|night|morning] [cold|wet|cloudy|windy]", "covers the [sky|coast|mountains]", "[cools|warms] the air to {n} degrees", "turns [rain|showers] into [snow|hail|ice]", "hits the coast with strong wind", "stays until the weekend")),
    "travel": (
        ("tourist", "traveller", "guide", "airline", "pilot", "hotel", "tour group", "passenger", "hostel", "travel agency", "visitor", "cruise ship"),
        ("flight", "hotel", "holiday", "trip", "beach", "passport", "suitcase", "airport", "train ride", "island", "tour", "journey", "luggage", "border", "camping site", "cruise", "ticket to {city}", "vacation", "sights of {city}", "boat trip"),
        ("booked a [flight|hotel|tour|cruise]", "travelled to {city}", "visited [the island|the castle|{city}|the old town]", "stayed in a [hotel|hostel|tent]", "lost the [luggage|suitcase|passport]", "waited at the [airport|station|border]", "flew to {city} on holiday", "packed the [suitcase|luggage|bags]", "enjoyed the {thing}", "took the [train|boat|plane] to {city}", "planned the {thing}", "missed the [flight|train|ferry]")),
    "food": (
        ("chef", "cook", "restaurant", "baker", "waiter", "guest", "butcher", "kitchen", "cafe", "grandmother"),
        ("soup", "bread", "cake", "pasta", "sauce", "recipe", "menu", "dinner", "lunch", "cheese", "butter", "salad", "fish", "chicken", "rice", "vegetables", "dessert", "meal", "pizza", "eggs", "flour", "tomatoes", "salt and pepper"),
        ("cooked {thing}", "baked [bread|a cake|a pizza|cookies]", "served [fish|soup|dinner|dessert]", "fried [eggs|onions|potatoes|fish]", "added [salt|butter|sugar|pepper] to the {thing}", "ate {thing} with [rice|cheese|salad]", "tasted the {thing}", "mixed [flour|sugar|milk] and eggs", "ordered {thing} for [lunch|dinner]", "roasted [chicken|meat|vegetables] in the oven", "wrote a recipe for {thing}", "stirred the [soup|sauce]")),
    "technology": (
        ("programmer", "hacker", "engineer", "developer", "robot", "software company", "chip maker", "user", "startup", "computer scientist"),
        ("software", "app", "computer", "phone", "laptop", "server", "chip", "battery", "code", "internet", "website", "network", "browser", "data", "update", "robot", "screen", "program", "cloud service", "artificial intelligence"),
        ("programmed {thing}", "fixed a bug in the [software|code|app]", "attacked the [server|network|website]", "built a [faster|smaller|new] [chip|robot|computer]", "released [an update|an app|a new phone]", "stored the data on the [server|cloud|laptop]", "tested the {thing}", "installed the {thing}", "wrote code for the {thing}", "connected the {thing} to the internet", "upgraded the [memory|software|chip] of the {thing}", "downloaded the [app|program|data]")),
    "health": (
        ("doctor", "nurse", "patient", "hospital", "dentist", "surgeon", "clinic", "therapist", "pharmacist", "medical team"),
        ("drug", "medicine", "vaccine", "surgery", "blood pressure", "virus", "flu", "pain", "headache", "heart", "diet", "exercise", "therapy", "illness", "allergy", "fever", "infection", "treatment", "broken leg", "disease", "sleep"),
        ("treated {thing}", "prescribed [a drug|medicine|tablets]", "recovered from [the flu|surgery|an illness]", "examined the [heart|tooth|patient|wound]", "suffers from [pain|headaches|an allergy|fever]", "gave the patient [a vaccine|medicine|an injection]", "measured the [fever|blood pressure|pulse]", "waits for [surgery|treatment|a doctor]", "warned of the {thing}", "healed the {thing}", "recommended [sleep|exercise|a healthy diet] against {thing}", "takes tablets for the {thing}")),
    "politics": (
        ("president", "minister", "parliament", "government", "party", "mayor", "voter", "senate", "candidate", "opposition", "coalition", "council", "chancellor", "politician"),
        ("law", "election", "vote", "reform", "treaty", "campaign", "debate", "parliament", "government", "tax law", "poll", "constitution", "policy", "referendum", "ballot", "coalition", "democracy"),
        ("voted on the {thing}", "won the [election|vote]", "lost the [election|vote|majority]", "signed the [law|treaty|reform]", "rejected the {thing}", "debated the {thing}", "resigned after the {thing}", "presented a [plan|reform|law] to [parliament|the council|the voters]", "met the [minister|president|opposition]", "elected a new [president|leader|mayor]", "promised voters a {thing}", "criticised the government")),
    "music": (
        ("band", "singer", "orchestra", "pianist", "guitarist", "choir", "composer", "drummer", "conductor", "violinist", "DJ", "rock star"),
        ("song", "album", "concert", "guitar", "piano", "symphony", "melody", "violin", "drums", "opera", "record", "jazz", "rock", "chorus", "rhythm", "hit single", "tune", "stage show"),
        ("played the [guitar|piano|violin|drums]", "sang {thing}", "recorded [an album|a song|a single]", "gave a concert in {city}", "composed [a symphony|an opera|a song|a melody]", "performed the {thing} on stage", "released a new [album|song|record]", "listened to the {thing}", "practised the {thing}", "tuned the [guitar|piano|violin]", "reached the charts with a [song|single|record]", "opened the [concert|opera|festival] with a song")),
    "education": (
        ("teacher", "student", "pupil", "school", "university", "professor", "class", "tutor", "headmaster"),
        ("exam", "lesson", "homework", "school", "course", "degree", "grade", "classroom", "lecture", "textbook", "maths test", "university", "timetable", "essay"),
        ("passed the [exam|test|course]", "taught {thing}", "learned for the [exam|test]", "studied at the university", "did the homework", "wrote an [essay|exam]", "got a good [grade|degree]", "explained the {thing} to the [class|pupils|students]", "missed the [lesson|lecture|class]", "failed the [exam|test]")),
    "animals": (
        ("dog", "cat", "horse", "bird", "elephant", "lion", "vet", "zoo", "farmer", "rabbit", "cow"),
        ("dog", "cat", "puppy", "kitten", "horse", "bird", "nest", "cage", "zoo", "fur", "sheep", "wild animals", "pet", "tail", "stable", "aquarium"),
        ("fed the [cat|dog|horse|birds]", "barked at the {thing}", "slept in the [cage|stable|nest]", "hunted [mice|birds|rabbits]", "chased the [cat|dog|sheep]", "raised [puppies|kittens|sheep]", "bit the {thing}", "flew back to the nest", "looked after the {thing}", "ran away from the [zoo|stable|dog]")),
    "cars": (
        ("driver", "mechanic", "car maker", "garage", "taxi driver", "car dealer", "truck driver", "motorist"),
        ("car", "engine", "tyre", "brakes", "motorway", "truck", "electric car", "parking space", "petrol", "steering wheel", "gearbox", "windscreen", "van", "traffic jam"),
        ("repaired the [car|engine|brakes]", "changed the [tyres|oil|gearbox]", "drove the [car|van|truck] to {city}", "parked the [car|van]", "filled up with petrol", "sold a used [car|truck|van]", "was stuck in a traffic jam", "checked the {thing}", "crashed the [car|van|truck]", "braked on the motorway")),
}
TOPIC_FRAMES = (
    "The {who} {deed}.", "{time}, the {who} {deed}.", "The {who} {deed} {time}.", "The {who} {deed}, and the {who2} {deed2}.", "A story about the {thing} and the {who}.", "[Everybody|Everyone] talks about the {thing} and the {thing2}.", "The {who} and the {who2} [spoke|argued] about the {thing}.", "[News|Report] from {city}: the {who} {deed}.",
    "{team} reports that the {who} {deed}.", "[What|How much] do you know about {thing} and {thing2}?", "I read an article about {thing}, {thing2} and a {who}.", "My [friend|brother|sister] says the {who} {deed}.", "First the {who} {deed}, then came the {thing2}.", "It was the {thing} that [surprised|interested] the {who}.", "[Nobody|No one] expected that the {who} {deed}.",
    "The {who} cares about the {thing} more than about the {thing2}.", "Because of the {thing}, the {who} {deed}.", "[People|Readers] in {city} want to know more about the {thing}.", "There was a {who} who {deed}.", "The {thing} was [good|bad|important] this year, says a {who}.", "I [like|follow] everything about {thing} and {thing2}.", "After the {thing}, the {who} {deed}.",
    "With [the|this] {thing}, the {who} was [happy|unhappy].", "Tell me about the {thing}.", "The {who} {deed} for the first time.", "[Photos|Pictures] show the {who} with the {thing}.",
)
TIMES = ("yesterday", "today", "this week", "on Sunday", "in spring", "last night", "this year", "after {n} days")
INTENT_ACTS: dict[str, tuple[str, ...]] = {
    "cancel": ("cancel [my order|my booking|my subscription|the contract|order {code}]", "[stop|end|terminate] my [subscription|contract|membership]", "call off [my order|the booking|the appointment]", "get out of my [contract|subscription|membership]", "cancel the [appointment|reservation|membership|ticket]", "[stop|cancel|withdraw] [order|booking] {code}", "[quit|end|cancel] my [plan|account|membership]", "drop the [order|booking|reservation]"),
    "order_status": ("[know|find out|hear] where my [order|parcel|package] is", "[check|see|ask for] the [status|progress] of [my order|order {code}]", "[track|follow] my [order|parcel|delivery]", "know when [my order|order {code}|my parcel] will [arrive|come|be shipped]", "know whether [my order|order {code}] was [sent|shipped]", "get [news|an update] on my [order|delivery]", "learn how far my order is", "see if [order {code}|my parcel] is on its way"),
    "complaint": ("[complain|make a complaint] about [your service|your staff|the delay|{agent}]", "[file|hand in] a complaint", "[say|tell you] how [angry|unhappy|annoyed|disappointed] I am", "[protest|complain] because I was treated badly", "[speak|complain] to the manager about the [bad|terrible|poor] service", "express my anger about your [shop|company|service]", "report [rude|unfriendly] staff", "tell you that your service is [unacceptable|terrible|a disgrace]"),
    "book": ("[book|reserve] [a table|a room|a seat|a ticket|a car] [for {n}|in {city}|for Monday]", "[make|get] [an appointment|a reservation|a booking]", "[book|reserve] [two seats|a hotel room|a tour|a flight]", "[schedule|arrange] [a visit|an appointment|a meeting]", "get a [table|room|ticket|slot] for [tonight|Friday|{n}]", "reserve [a table|a room] in {city}", "fix a date for [a visit|an appointment]", "have a [room|table|seat] [booked|reserved]"),
    "refund": ("get [my money|a refund|{n} dollars] back", "[ask for|request|claim] a refund", "be [refunded|paid back] for [order {code}|my order|the ticket]", "have the [money|price|amount] [refunded|paid back|returned to my card]", "know when my [refund|money] will come", "[demand|have] my money back", "get [the full price|half the money] back", "receive the refund for {code}"),
    "change_address": ("[change|update|correct] my [address|delivery address|postal address]", "[give|tell] you my new [address|street|home address]", "have it sent to [another|a new|a different] address", "move the delivery to [another address|my office in {city}]", "update the [street|town|address] in my account", "say that I moved to {city}", "enter a new [delivery|postal] address", "correct the [street|house number|address] of {code}"),
    "opening_hours": ("know [when|at what time] you [open|close]", "ask for your opening [hours|times]", "know if you are open on [Sunday|Monday|holidays]", "come by, [when|how long] are you open", "find out how long the [shop|office|store] is open", "hear when the [shop|office|store] [opens|closes]", "know the [opening|business|office] hours", "ask whether the [store|shop] closes at {n}"),
    "price": ("know [the price|the cost] of the [tour|ticket|product]", "ask [how much it costs|what it costs]", "hear what the [price|fee] is", "get [a quote|an offer|a price list]", "find out [how expensive|how cheap] it is", "compare the [prices|costs] of two products", "know how much I have to pay", "see your [prices|price list]"),
}
ACT_FRAMES = (
    "I want to {act}.", "I would like to {act}.", "[Can|Could] you help me to {act}?", "I [called|am writing] to {act}.", "How can I {act}?", "I need to {act}.", "Is it possible to {act}?", "[Please|Kindly] help me to {act}.", "I [wish|have] to {act}.", "We want to {act}.", "I am here to {act}.", "Am I able to {act}?", "My wish is to {act}.", "[Today|Now] I must {act}.", "Let me {act}.", "What must I do to {act}?", "I'd like to {act}, please.",
    "I was told to ask you: I want to {act}.", "My [wife|husband|boss] wants to {act}.", "Do you know how to {act}?",
)
GOOD = ("great", "wonderful", "excellent", "fantastic", "perfect", "lovely", "amazing", "superb", "delightful", "brilliant", "beautiful", "very good", "friendly", "outstanding", "pleasant", "impressive", "delicious", "awesome")
BAD = ("terrible", "awful", "bad", "horrible", "poor", "disappointing", "useless", "ugly", "rude", "dreadful", "very bad", "broken", "disgusting", "boring", "annoying", "worthless", "a waste of money", "a nightmare")
SO_SO = ("okay", "average", "ordinary", "acceptable", "all right", "so-so", "standard", "neither good nor bad", "nothing special", "mediocre", "usual", "fair", "as expected", "not bad, not great", "normal", "passable")
ASPECTS = ("food", "service", "staff", "quality", "price", "design", "room", "delivery", "sound", "taste", "film", "book", "product", "evening", "hotel", "show", "support", "camera", "colour", "trip")
FEELINGS: dict[str, tuple[str, ...]] = {
    "positive": ("I [love|enjoy|adore|really like] {it}", "I am [happy|delighted|thrilled|very pleased] with the {aspect}", "I [recommend|can recommend] {it} to [everyone|all my friends]", "we had a [great|wonderful|lovely] time", "it makes me [happy|smile]", "I would [buy|choose] it again at once", "it is [the best|my favourite] {aspect}", "[five stars|full marks|top marks] for the {aspect}", "I will [come back|order again] for sure", "the {aspect} [exceeded my expectations|is better than I hoped]", "it is worth every cent", "[thank you|well done], the {aspect} is [perfect|great]"),
    "negative": ("I [hate|dislike|cannot stand|regret] {it}", "I am [unhappy|angry|disappointed|frustrated] with the {aspect}", "I [cannot|would not] recommend {it} to [anyone|my friends]", "we had a [bad|terrible|awful] time", "it makes me [angry|sad]", "I would never [buy|choose] it again", "it is [the worst|a horrible] {aspect}", "[one star|no stars|zero points] for the {aspect}", "I will [never come back|not order again]", "the {aspect} [was worse than I feared|let me down]", "it is not worth the money", "[shame on you|no thanks], the {aspect} is [awful|bad]", "it [broke|failed|fell apart] after {n} days"),
    "neutral": ("I [neither love nor hate|have no opinion about] {it}", "the {aspect} [does its job|is what it is|is as described]", "it is a {aspect} like many others", "it is [good|nice] in parts and [bad|poor] in others", "I [bought|got|used] it {n} days ago", "it comes with [a manual|a cable|a box]", "[three stars|half marks|an average rating] for the {aspect}", "I may or may not come back", "the {aspect} is [not good and not bad|neither nice nor ugly]", "it has [some good|a few good] and some bad sides", "I [do not mind|have no strong feelings about] the {aspect}", "it works, [no more and no less|nothing more]"),
}
FEELING_FRAMES = (
    "The {aspect} [is|was] {adj}.", "I found the {aspect} {adj}.", "I think the {aspect} [is|was] {adj}.", "In my opinion the {aspect} is {adj}.", "{It} [is|was] {adj}.", "The {aspect} was {adj} and the {aspect2} was {adj2}.", "My verdict on the {aspect}: {adj}.", "[Overall|All in all], {adj}.", "All I can say: {adj}.", "The {aspect} seemed {adj} to [me|us].", "[My|Our] {aspect}: {adj}, {adj2}.", "If you ask me, the {aspect} is {adj}.",
    "We thought that the {aspect} was {adj}.", "I call the {aspect} {adj}.", "[Simply|Just] {adj}!",
)
SPAM_CUES: dict[str, tuple[str, ...]] = {
    "spam": ("[click|click here|click the link] to [win|claim|get] your [prize|money|free gift]", "you [won|have won|are the winner of] [a prize|{n} million|the lottery|a free phone]", "[earn|make] [{n} dollars|money|cash] [fast|from home|every day] without work", "[cheap|free] [pills|watches|loans|followers], [order|buy] now", "[free|exclusive|limited] [offer|gift|prize] only today", "[send|confirm] your [password|bank data|card number] [now|today]", "your account is [locked|blocked], click the link", "[lose|drop] {n} kilos in a week with our pills", "[win|get] a free [phone|trip|gift card] now", "[guaranteed|huge] [profit|cash|win], [no risk|risk free]", "[dear|lucky] winner, [claim|collect] your [cash|prize]", "hot singles wait for your click", "[buy|order] now and get {n} percent off, last chance", "a prince wants to send you {n} million dollars"),
    "not_spam": ("the [meeting|call|workshop] [moved|was moved] to [Monday|{n} o'clock]", "[please find|here is] the [report|draft|agenda] attached", "[can|could] you [review|read|check] my [draft|report|slides]", "{agent} will [be late|be in the office|join the call]", "[lunch|dinner|coffee] on [Monday|Friday] with {agent}", "the [minutes|notes|slides] of [our meeting|the call] are in the folder", "[mum|dad|grandma] asks [when|if] you come [home|on Sunday]", "I [will be late|am on holiday|am ill] [today|tomorrow]", "[thanks|thank you] for [lunch|your report|the photos]", "see you [at the meeting|in the office|on Sunday]", "the [printer|lift|heating] in the office is [repaired|broken]", "[we|I] finished the [report|project|draft] [today|yesterday]", "can we [meet|talk] [on Monday|after lunch]", "the children are [ill|at school] today"),
}


# fmt: on
def topic_text(w: Writer, topic: str, fill: dict[str, object]) -> str:
    """A sentence that holds several words of the topic."""
    people, things, deeds = TOPIC_WORDS[topic]
    who, who2 = w.some(people, 2, 2)
    thing, thing2 = (text.format(**fill) for text in w.some(things, 2, 2))
    said = fill | {"who": who, "who2": who2, "thing": thing, "thing2": thing2}
    said["deed"] = w.say(deeds, **said)
    said["deed2"] = w.say(deeds, **said)
    said["time"] = w.pick(TIMES).format(**fill)
    return capital(w.say(TOPIC_FRAMES, **said))


def intent_text(w: Writer, intent: str, fill: dict[str, object]) -> str:
    """What somebody wants to do."""
    return w.say(ACT_FRAMES, act=w.say(INTENT_ACTS[intent], **fill))


def feeling_text(w: Writer, feeling: str, fill: dict[str, object]) -> str:
    """A judgement in words of the feeling."""
    aspect, aspect2 = w.some(ASPECTS, 2, 2)
    adjectives = {"positive": GOOD, "negative": BAD, "neutral": SO_SO}[feeling]
    adj, adj2 = w.some(adjectives, 2, 2)
    said = fill | {"aspect": aspect, "aspect2": aspect2, "adj": adj, "adj2": adj2}
    if w.chance(0.5):
        return capital(w.say(FEELING_FRAMES, **said))
    return capital(w.say(FEELINGS[feeling], **said)) + w.pick((".", ".", "!"))
