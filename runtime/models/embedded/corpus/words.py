"""Plain word lists from which names, products and tasks are built."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
FIRST_NAMES = ("Anna", "Ben", "Carla", "David", "Elena", "Farid", "Grace", "Hugo", "Ines", "Jonas",
    "Karin",
        "Liam", "Maya", "Nora", "Omar", "Paula", "Quentin", "Rosa", "Samir", "Tessa", "Uma",
        "Victor", "Wendy", "Xavier", "Yara", "Zoe", "Amir", "Bianca", "Chen", "Dmitri", "Emma",
        "Felix", "Greta", "Hana", "Ivan", "Julia", "Kofi", "Lena", "Marco", "Nadia", "Oscar",
        "Priya", "Rafael", "Sofia", "Tom", "Ursula", "Viktor", "Walter", "Yusuf", "Zara", "Alice",
        "Bruno", "Clara", "Daniel", "Eva", "Frank", "Gloria", "Henry", "Irene", "Jack", "Kate",
        "Leo", "Maria", "Nils", "Olga", "Peter", "Ruth", "Sean", "Tina", "Vera", "Will", "Aisha",
        "Boris", "Chloe", "Diego", "Esther", "Fatima", "Georg", "Helen", "Igor", "Jana", "Kenji",
        "Laura")
LAST_NAMES = ("Kovalenko", "Smith", "Garcia", "Rossi", "Weber", "Novak", "Silva", "Haddad",
    "Tanaka",
        "Okafor", "Lindqvist", "Murphy", "Dubois", "Petrov", "Yilmaz", "Nguyen", "Patel",
        "Schneider", "Costa", "Jansen", "Moreau", "Horvat", "Larsen", "Keller", "Brown", "Taylor",
        "Wilson", "Martin", "Fischer", "Bauer", "Conti", "Marino", "Lopez", "Perez", "Khan",
        "Singh", "Ali", "Cohen", "Levi", "Park", "Kim", "Wang", "Li", "Sato", "Adeyemi", "Mensah",
        "Nowak", "Virtanen", "Berg", "Holm", "Lund", "Fraser", "Quinn", "Walsh", "Ortega", "Vargas",
        "Ivanova")
COMPANY_TAILS = ("Ltd", "GmbH", "Inc", "LLC", "AG", "BV", "Supplies", "Logistics", "Group", "Works",
    "Trading",
        "Services", "Systems", "Studio", "Labs", "Foods", "Printing", "Furniture", "Electronics",
        "Tools", "Consulting", "Media", "Textiles", "Office", "Packaging", "Bikes", "Garden",
        "Energy", "Optics", "Paper", "Solutions", "Partners", "Stores", "Market")
ADJECTIVES = ("wireless", "compact", "portable", "folding", "electric", "adjustable", "stainless",
    "digital",
        "heavy", "light", "small", "large", "black", "white", "blue", "green", "red", "silver",
        "classic", "modern", "outdoor", "indoor", "waterproof", "ergonomic", "smart", "mini",
        "rechargeable", "insulated", "padded", "vintage", "organic", "premium", "basic", "double",
        "round", "square", "narrow", "tall", "soft", "quiet", "magnetic", "thermal", "recycled",
        "fresh", "dark", "ground", "bright", "nordic", "northern", "golden", "royal")
MATERIALS = ("oak", "walnut", "pine", "steel", "brass", "copper", "cotton", "linen", "wool",
    "leather",
        "glass", "ceramic", "bamboo", "rubber", "silk", "marble", "granite", "cork", "plastic",
        "paper", "felt", "birch", "aluminium", "canvas", "velvet", "iron", "stone")
PRODUCT_NOUNS = tuple(
    """desk lamp|office chair|coffee maker|kettle|bookshelf|headphones|keyboard|monitor|mouse|printer
    |backpack|water bottle|notebook|pen set|shelf|table|stool|rug|curtain|pillow|blanket|toaster
    |blender|frying pan|knife set|cutting board|mug|teapot|speaker|charger|cable|router|webcam|tablet
    |phone case|camera|tripod|bicycle pump|helmet|tent|sleeping bag|hammock|garden hose|shovel|drill
    |hammer|screwdriver|paint roller|ladder|heater|fan|vacuum cleaner|iron|clock|mirror|picture frame
    |candle|vase|plant pot|soap|towel|bath mat|shower head|envelope|binder|stapler|scissors|marker
    |whiteboard|projector|microphone|battery pack|power strip|light bulb|smoke detector|door handle
    |lock|suitcase|umbrella|raincoat|jacket|boots|gloves|scarf|hat|watch|toy train|board game|puzzle
    |yoga mat|dumbbell|tennis racket|football|printer paper|toner|coffee beans|tea|honey|olive oil
    |chocolate|rice|flour|dog bed|cat tree|bird feeder|box|folder|tape|chair|sofa|bed|wardrobe
    |sensor|valve|hinge|bolt|filter|gasket|bearing|hose|switch|plug|adapter|mount|bracket""".replace(
        "\n    ", ""
    ).split("|")
)
CITIES = ("Rome", "Oslo", "Lisbon", "Berlin", "Madrid", "Paris", "London", "Dublin", "Vienna",
    "Prague",
        "Warsaw", "Kyiv", "Athens", "Cairo", "Lagos", "Nairobi", "Mumbai", "Delhi", "Tokyo",
        "Osaka", "Seoul", "Sydney", "Toronto", "Boston", "Chicago", "Denver", "Lima", "Bogota",
        "Porto", "Milan", "Turin", "Lyon", "Geneva", "Zurich", "Basel", "Hamburg", "Munich",
        "Bremen", "Gdansk", "Riga", "Tallinn", "Helsinki", "Bergen", "Malmo", "Ghent", "Leiden",
        "Utrecht", "York", "Leeds", "Bristol")
TASK_VERBS = ("send", "review", "update", "prepare", "check", "draft", "call", "order", "fix",
    "test",
        "collect", "publish", "book", "confirm", "finish", "write", "clean", "compare", "plan",
        "schedule", "translate", "measure", "approve", "print", "share", "install", "document",
        "replace", "archive", "present", "contact", "repair", "design", "upload", "rewrite", "move",
        "close", "open", "invite", "train", "count", "migrate", "negotiate", "renew", "investigate",
        "summarise", "deliver", "merge", "sketch")
TASK_OBJECTS = tuple(
    """the budget sheet|the final report|the price list|the customer survey|the new brochure
    |the supplier contract|the test results|the travel plan|the meeting room|the floor plan
    |the login page|the backup server|the training material|the delivery schedule|the sales figures
    |the release notes|the user manual|the safety checklist|the product photos|the press release
    |the job advert|the hiring plan|the spare parts|the warehouse keys|the tax forms|the logo
    |the newsletter|the booth design|the data export|the error log|the payment terms|the catering offer
    |the speaker list|the old laptops|the design draft|the insurance papers|the network cables
    |the website texts|the risk list|the quarterly numbers|two more quotes|all open tickets
    |a new printer|a second supplier|the project timeline|the demo script|the mobile app|the budget
    |the contract|the offer|the roadmap|the guest list|the prototype|the dashboard|the inventory""".replace(
        "\n    ", ""
    ).split("|")
)
TASK_TAILS = (
    "for {company}", "with {person}", "to {company}", "for the board", "before the launch",
    "for the {n} new users", "with the legal team", "from {company}", "for {person}",
    "on the staging server", "in the shared folder", "to all members", "for the customer visit",
    "with the finance team", "and share it with {person}", "in two languages",
)
COMMON_NOUNS = ["accountant", "agreement", "airport", "apartment", "assistant", "audience", "bakery",
    "balcony", "battery", "beginning", "bill", "boat", "bookkeeper", "boss", "branch", "bridge",
    "brother", "builder", "cable", "cake", "camera", "caretaker", "catalogue", "ceiling", "cellar",
    "century", "chairman", "change", "chapter", "child", "church", "cleaner", "clinic", "coach",
    "colleague", "column", "community", "complaint", "condition", "corridor", "cousin", "crew",
    "cupboard", "dealer", "decision", "dentist", "department", "director", "discount", "door",
    "draft", "dream", "driver", "electrician", "engine", "entrance", "estimate", "evening",
    "exhibition", "expert", "factory", "farmer", "father", "figure", "fire", "floor", "forest",
    "foundation", "friend", "garage", "garden", "gate", "glass", "guide", "harbour", "heating",
    "helper", "history", "holiday", "hospital", "idea", "inspector", "island", "journey", "key",
    "kitchen", "ladder", "landlord", "language", "lawyer", "leaflet", "library", "licence", "lift",
    "lunch", "machine", "manager", "map", "market", "material", "message", "mistake", "mother",
    "mountain", "museum", "neighbour", "newspaper", "night", "novel", "office", "opinion", "oven",
    "owner", "painter", "paper", "parent", "partner", "path", "pattern", "photo", "picture", "plan",
    "plant", "platform", "plumber", "police", "pool", "post", "problem", "programme", "project",
    "promise", "proposal", "pupil", "quarter", "question", "railway", "reason", "reception",
    "recipe", "regulation", "repair", "reply", "reporter", "result", "river", "roof", "room",
    "rule", "sample", "school", "season", "secretary", "shelter", "shop", "signature", "sister",
    "solution", "spring", "staff", "station", "stone", "storm", "story", "street", "student",
    "summer", "supplier", "switch", "teacher", "team", "theatre", "tower", "trainer", "tree",
    "trial", "truck", "uncle", "uniform", "union", "vacation", "vehicle", "village", "visitor",
    "volunteer", "wall", "warehouse", "weather", "wedding", "weekend", "window", "winter",
    "workshop", "writer", "yard", "year"]
PAST_VERBS = ["accepted", "added", "answered", "appeared", "arrived", "asked", "became", "began",
    "borrowed", "broke", "brought", "built", "called", "carried", "caught", "changed", "checked",
    "chose", "cleaned", "closed", "collected", "complained", "continued", "cost", "counted",
    "covered", "cut", "decided", "discovered", "disappeared", "discussed", "drew", "enjoyed",
    "entered", "expected", "explained", "failed", "fell", "felt", "filled", "followed", "forgot",
    "formed", "found", "gave", "grew", "happened", "heard", "helped", "hoped", "improved",
    "invited", "joined", "kept", "knew", "laughed", "learned", "left", "liked", "listened", "lived",
    "looked", "lost", "made", "meant", "measured", "mentioned", "missed", "moved", "needed",
    "noticed", "opened", "ordered", "painted", "passed", "planned", "played", "prepared",
    "promised", "pulled", "pushed", "reached", "read", "received", "refused", "remained",
    "remembered", "removed", "repaired", "replaced", "reported", "rested", "returned", "rose",
    "said", "sat", "saw", "served", "showed", "sold", "spent", "stayed", "stopped", "studied",
    "talked", "thought", "tried", "turned", "used", "visited", "waited", "walked", "wanted",
    "watched", "went", "wished", "wondered", "worked", "wrote"]
