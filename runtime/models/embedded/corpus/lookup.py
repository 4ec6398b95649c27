"""Documents whose labels are arbitrary: looking up a value by its key, whatever the key is."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

from collections.abc import Callable

from . import values
from .phrases import DOCUMENT_ASKS
from .scene import Fact, Scene, join_sentences, labelled
from .schema import Value
from .words import ADJECTIVES, CITIES, MATERIALS, PRODUCT_NOUNS
from .writer import Writer

_LABEL_NOUNS = ("account", "agent", "amount", "author", "badge", "batch", "branch", "budget",
    "building", "captain", "category", "chapter", "client", "coach", "color", "contact", "contract",
    "cost", "country", "course", "crew", "deadline", "degree", "depot", "doctor", "driver",
    "editor", "engine", "entry", "farm", "field", "file", "floor", "gate", "grade", "group",
    "guest", "height", "house", "index", "invoice", "key", "kitchen", "label", "language", "leader",
    "length", "level", "license", "lot", "manager", "mark", "member", "model", "month", "name",
    "note", "number", "office", "operator", "origin", "owner", "page", "parcel", "part", "partner",
    "patient", "period", "phone", "place", "plan", "plate", "player", "port", "price", "project",
    "rank", "rate", "region", "room", "route", "sample", "school", "score", "seat", "section",
    "seller", "sender", "series", "shelf", "ship", "size", "source", "speaker", "stage", "station",
    "status", "store", "street", "student", "subject", "supplier", "table", "team", "terminal",
    "ticket", "title", "tool", "topic", "tower", "track", "unit", "user", "value", "vendor",
    "version", "village", "volume", "warehouse", "weight", "winner", "worker", "year", "zone",
    "address", "adviser", "airport", "album", "alias", "allowance", "animal", "answer", "apartment", "area", "article", "artist", "assistant", "auditor", "balance", "band", "bank", "base", "bed", "bench", "bill", "block", "board", "boat", "bonus", "book", "box", "brand", "bridge", "broker", "bus", "buyer", "cabin", "cable", "camp", "campus", "capacity", "card", "cargo", "carrier", "case", "cell", "center", "certificate", "chair", "channel", "charge", "chef", "city", "claim", "class", "clinic", "code", "colleague", "column", "commission", "committee", "company", "competitor", "component", "composer", "condition", "container", "corner", "council", "counter", "court", "cover", "credit", "crop", "currency", "customer", "cycle", "dealer", "delegate", "delivery", "density", "department", "deposit", "depth", "design", "desk", "destination", "device", "diet", "director", "discount", "dish", "distance", "district", "division", "dock", "document", "domain", "door", "duration", "duty", "employee", "employer", "episode", "event", "examiner", "exit", "expert", "export", "fee", "figure", "film", "finish", "flag", "flat", "fleet", "flight", "flower", "folder", "format", "founder", "frame", "frequency", "fuel", "garage", "garden", "goal", "guard", "guide", "hall", "handle", "harbour", "holder", "hospital", "hotel", "hour", "instrument", "insurer", "island", "item", "job", "journal", "journey", "judge", "kind", "laboratory", "landlord", "lane", "lawyer", "lecture", "lender", "lesson", "letter", "library", "limit", "line", "link", "load", "loan", "lock", "locker", "machine", "magazine", "maker", "mentor", "menu", "message", "meter", "method", "mode", "motor", "museum", "nickname", "node", "nurse", "object", "offer", "option", "order", "outlet", "package", "painter", "panel", "park", "passenger", "password", "path", "payment", "pattern", "permit", "pilot", "pin", "pipe", "planet", "plant", "platform", "plot", "policy", "pool", "position", "power", "prefix", "pressure", "printer", "prize", "producer", "product", "profession", "profile", "program", "publisher", "pump", "purpose", "quality", "quantity", "quarter", "question", "queue", "quota", "race", "range", "reader", "recipe", "record", "referee", "reference", "registration", "rent", "report", "reviewer", "reward", "ring", "river", "road", "role", "roof", "row", "rule", "salary", "season", "secretary", "sector", "sensor", "serial", "server", "service", "session", "shade", "shape", "shift", "shop", "signal", "site", "song", "species", "speed", "sponsor", "spot", "square", "staff", "standard", "start", "state", "stop", "storage", "style", "suburb", "sum", "surname", "switch", "symbol", "system", "tag", "tank", "target", "task", "tax", "teacher", "template", "tenant", "term", "theatre", "theme", "town", "trade", "train", "trainer", "treatment", "tree", "trip", "truck", "tutor", "type", "valley", "van", "vehicle", "venue", "vessel", "visitor", "voltage", "wage", "wall", "ward", "width", "window", "witness", "writer", "yard", "yield")
_LABEL_HEADS = ("first", "second", "last", "next", "main", "backup", "home", "north", "south",
    "old", "new", "final", "total", "average", "local", "chief", "senior", "lower", "upper",
    "inner", "outer", "daily", "weekly", "monthly", "annual", "early", "late", "primary", "spare",
    "public", "private", "open", "closed", "target", "source",
    "third", "fourth", "previous", "current", "future", "former", "original", "usual", "preferred", "regular", "special", "general", "official", "internal", "external", "left", "right", "east", "west", "central", "front", "rear", "top", "middle", "minimum", "maximum", "basic", "net", "gross", "real", "default", "standard", "extra", "other", "short", "long", "big", "small", "winter", "summer", "morning", "evening", "night", "joint", "deputy", "junior", "temporary", "permanent", "emergency", "secondary", "foreign", "local", "initial", "planned", "actual", "expected", "partial", "free", "red", "blue", "green", "white", "black")
_RECORD_NAMES = ("Record", "Note", "Entry", "Card", "Sheet", "File", "Form", "Item", "Page", "Log", "Memo", "List")
SENTENCES = (
    "The {l} is {v}.", "{L}: {v}.", "{v} is the {l}.", "As {l} we have {v}.",
        "For the {l} they chose {v}.", "The {l} was set to {v}.",
    "Its {l} is {v}.", "They list {v} as the {l}.", "Under {l} it says {v}.", "{L} is {v}.",
        "We note {v} for the {l}.", "The {l} reads {v}.",
    "The {l} of this is {v}.", "One finds {v} as {l}.", "With {v} as {l}.",
        "The {l} changed to {v}.", "The value of the {l} is {v}.",
    "The {l} remains {v}.", "The {l} shows {v}.", "{L} = {v}.", "{L} - {v}.", "{L}, {v}.",
        "They gave {v} as the {l}.", "It has {v} as {l}.", "{v} was chosen as {l}.",
    "{v} serves as the {l}.", "The {l} now is {v}.", "Today the {l} is {v}.", "{v} stands as {l}.",
        "The {l} turned out to be {v}.", "We know that the {l} is {v}.", "The {l} became {v}.",
    "Everybody knows the {l}: {v}.", "Please note the {l}: {v}.", "Note {v} as the {l}.",
        "According to the list, the {l} is {v}.", "The {l} given is {v}.", "{v} is listed as {l}.",
    "They entered {v} for the {l}.", "In the line {l} there is {v}.", "The {l} says {v}.",
        "The current {l} is {v}.", "The {l} is known to be {v}.", "Its {l}: {v}.",
    "We recorded {v} as {l}.", "The {l} stays at {v}.", "And the {l} is {v}.",
    "{L} ({v}).", "{L} -> {v}.", "{L}; {v}.", "{L}? {v}.", "{L}... {v}.", "{L} [of|with|at] {v}.", "- {L}: {v}.", "* {L}: {v}.", "{L} here: {v}.", "{L} in brief: {v}.", "{v} ({l}).",
    "[Here|There] the {l} is {v}.", "In this case the {l} is {v}.", "In our records the {l} is {v}.", "On file, the {l} is {v}.", "At present the {l} is {v}.", "So far the {l} is {v}.",
    "The {l} has been {v} [all along|from the start|for a while].", "The {l} had to be {v}.", "The {l} will be {v}.", "The {l} was {v}.", "The {l} would be {v}.", "The {l} should be {v}.", "The {l} must be {v}.", "The {l} can only be {v}.",
    "The {l} has been fixed as {v}.", "The {l} was [given|named|stated|noted|recorded|registered] as {v}.", "The {l} is [entered|marked|written|shown|stored|printed] as {v}.", "The {l} appears as {v}.", "The {l} comes out as {v}.", "The {l} counts as {v}.", "The {l} goes by {v}.",
    "The {l} equals {v}.", "The {l} corresponds to {v}.", "The {l} amounts to {v}.", "The {l} refers to {v}.", "The {l} points to {v}.", "The {l} means {v} here.", "The {l} carries the entry {v}.", "The {l} bears the mark {v}.", "The {l}, {v}, is [on file|known to all|in the book].", "The {l}, namely {v}, was [confirmed|checked].",
    "[Staff|Everyone|The clerk|The office] confirmed {v} as the {l}.", "[Somebody|The clerk|A colleague] wrote {v} next to {l}.", "[We|They|You] will find {v} beside {l}.", "[I|We] put {v} down as the {l}.", "[I|We] have {v} for the {l}.", "[I|We] understand the {l} to be {v}.", "[I|We] can confirm {v} as the {l}.", "[I|We] picked {v} for the {l}.", "[I|We] take {v} to be the {l}.", "They call {v} the {l}.", "They made {v} the {l}.", "They settled on {v} for the {l}.", "They agreed on {v} as {l}.", "They use {v} as the {l}.", "They went with {v} as their {l}.",
    "Our {l} is {v}.", "Their {l} is {v}.", "This one's {l} is {v}.", "Its {l} was {v}.", "Its {l} reads {v}.", "It comes with {v} as its {l}.", "It lists {v} under {l}.", "It gives {v} for the {l}.", "It names {v} as {l}.", "It states the {l} as {v}.",
    "{v} is our {l}.", "{v} is what we have for the {l}.", "{v} is what the {l} says.", "{v} is given for the {l}.", "{v} is the {l} on file.", "{v} is to be used as {l}.", "{v} acts as {l}.", "{v} was [entered|noted|recorded|written] as the {l}.", "{v} was [entered|noted|put] under {l}.", "{v} has been the {l} [for long|since then].", "{v} became the {l}.", "{v} will be the {l}.", "{v}: that is the {l}.", "{v} - this is the {l}.", "{v}, that's the {l}.", "{v} appears next to {l}.", "{v} stands under {l}.", "{v} fills the field {l}.", "{v} counts as the {l}.", "{v} belongs under {l}.",
    "As the {l}, take {v}.", "As to the {l}: {v}.", "As for the {l}, it is {v}.", "As regards the {l}, we have {v}.", "Concerning the {l}: {v}.", "Regarding the {l}, the answer is {v}.", "With regard to the {l}, {v} was given.", "When it comes to the {l}, it is {v}.", "Where the form asks for the {l}, write {v}.", "If anyone asks for the {l}, it is {v}.", "Asked about the {l}, they said {v}.", "Who wants the {l} gets {v}.", "What we call the {l} is {v}.", "What stands under {l} is {v}.",
    "Next to {l} you read {v}.", "Beside {l} stands {v}.", "Under {l}, {v} was entered.", "In the field {l}: {v}.", "In the column {l} you find {v}.", "On the row {l} we see {v}.", "In the box for the {l} somebody wrote {v}.", "For {l}, see {v}.", "For {l} read {v}.", "For its {l} it has {v}.",
    "Remember the {l}, {v}.", "Keep {v} as the {l}.", "Use {v} for the {l}.", "Enter {v} as {l}.", "Set the {l} to {v}.", "Please use {v} as the {l}.", "Please enter {v} under {l}.", "Mark {v} as the {l}.", "Make the {l} {v}.", "Let the {l} be {v}.", "Write {v} for {l}.", "Mind the {l}: {v}.", "Do note that the {l} is {v}.", "Be aware that the {l} is {v}.",
    "There is also the {l}: {v}.", "There is {v} for the {l}.", "Also, the {l} is {v}.", "Then the {l}: {v}.", "Next, the {l}, which is {v}.", "Further, {v} is the {l}.", "Add to this the {l}, {v}.", "Besides, the {l} is {v}.", "Finally the {l}, {v}.", "Last, {v} as {l}.", "First, the {l}: {v}.", "Now to the {l}: it is {v}.",
    "It turned out that {v} is the {l}.", "It is clear that the {l} is {v}.", "It was agreed that the {l} is {v}.", "It says that the {l} is {v}.", "I heard the {l} is {v}.", "I believe the {l} is {v}.", "You can see that {v} is the {l}.", "The list has {v} as the {l}.", "The form shows {v} for {l}.", "The record gives the {l} as {v}.", "The label says {l}, the entry {v}.", "The file names {v} as its {l}.", "The sheet has the {l} at {v}.", "The answer for {l} is {v}.", "The entry for the {l} is {v}.", "The choice of {l} fell on {v}.", "The correct {l} is {v}.", "The {l} in question is {v}.", "The {l} we use is {v}.", "The {l} you want is {v}.", "The {l} on this [card|form|page] is {v}.",
)


# fmt: on
def _string(w: Writer) -> Value:
    makers: tuple[Callable[[Writer], str], ...] = (
        values.person,
        values.code,
        values.company,
        values.city,
        values.product,
        values.capitalised,
        values.code,
        values.first_name,
        values.street,
        values.email,
        values.model_code,
        values.phone,
        values.clock,
    )
    return w.pick(makers)(w)


def _lower(w: Writer) -> Value:
    return w.pick(
        (*MATERIALS, *ADJECTIVES, *PRODUCT_NOUNS, values.syllables(w), values.syllables(w))
    )


_MAKERS: tuple[tuple[str, Callable[[Writer], Value]], ...] = (
    ("string", _string),
    ("string", _string),
    ("string", _lower),
    ("integer", lambda w: int(values.digits(w, 1, 4))),
    ("decimal", values.amount),
    ("date", values.date),
    ("strings", lambda w: [_string(w) for _ in range(w.rng.randint(1, 3))]),
)


def random_label(w: Writer) -> str:
    """A label of one or two plain words."""
    noun = w.pick(_LABEL_NOUNS) if w.chance(0.85) else values.syllables(w, 2, 2)
    return f"{w.pick(_LABEL_HEADS)} {noun}" if w.chance(0.45) else noun


def lookup(w: Writer, most: int = 8) -> Scene:
    """A form or a text of unrelated facts with arbitrary labels."""
    labels = list(dict.fromkeys(random_label(w) for _ in range(w.rng.randint(2, most))))
    facts, rows, sentences = [], [], []
    for label in labels:
        kind, make = w.pick(_MAKERS)
        value = make(w)
        shown = ", ".join(str(v) for v in value) if isinstance(value, list) else str(value)
        fill = {"l": label, "L": label.capitalize(), "v": shown}
        rows.append((label.capitalize() if w.chance(0.7) else label, shown))
        sentences.append(w.say(SENTENCES, **fill))
        asks = [w.say(DOCUMENT_ASKS, n=label, N=label.capitalize(), be="is") for _ in range(4)]
        facts.append(Fact((label.replace(" ", "_"),), kind, value, tuple(dict.fromkeys(asks))))
    text = labelled(w, rows) if w.chance(0.5) else join_sentences(w, sentences)
    label = random_label(w)
    if label not in labels:
        facts.append(Fact((label.replace(" ", "_"),), "string", None))
    if w.chance(0.3):
        text = (
            f"{w.pick(CITIES)}, {values.date(w)}\n{text}"
            if w.chance(0.3)
            else f"{w.pick(_RECORD_NAMES)} {values.code(w)}\n{text}"
        )
    return Scene("record", text, facts)
