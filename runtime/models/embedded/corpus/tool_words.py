"""Words around a request for a tool: systems, small talk, and the parts of made-up tools."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

SYSTEMS = (
    "", "You are a helpful assistant.", "Use a tool when it helps.", "Call the right tool.", "Answer with a tool call.",
    "You can call tools.", "Choose a tool for the request.", "Help the user.", "You are an assistant with tools.",
    "You have access to the tools below.", "Pick the tool that fits and fill in its arguments.", "Use the tools to help the user.",
    "You may call one of these functions.", "Reply by calling a function.", "Turn each request into a function call.",
    "You are an agent that acts through tools.", "Be concise and use the tools.", "Read the request and call the matching tool.",
    "Take the arguments from the request.", "Copy names, codes and numbers exactly into the arguments.",
    "Leave out optional arguments that the user did not mention.", "Select one tool and give its arguments as JSON.",
    "You help people with everyday tasks.", "Assist the customer with the tools at hand.", "You work for the help desk.",
    "Decide which tool to use.", "Every request is answered with a tool.", "Do what the user asks, with the tools you have.",
    "You are a voice assistant. Call tools.", "You are an office assistant with several functions.", "Serve the user politely and use tools.",
    "The following functions are available to you.", "Make the call that the user needs.", "For each message, choose the best function.",
    "You route requests to tools.", "Act as a personal assistant.", "Map the user's words to a tool call.",
    "Tools are listed below. Use them.", "Call functions instead of guessing.", "Never invent arguments.",
    "Your job is to call the proper function.", "If a tool fits, call it.", "You are a friendly bot that can use tools.",
    "Fulfil the wishes of the user with function calls.", "Respond with the call of a tool whenever possible.",
    "Find the fitting tool for what is asked.", "When the user asks for something, run the tool for it.",
)
_GREETINGS = (
    "Hello!", "Hi", "Hi!", "Hey", "Hey there!", "Good morning", "Good afternoon!", "Good evening.", "Good day", "Hello there.",
    "Hi assistant!", "Greetings!", "Hello, are you there?", "Hey, how are you?", "Hi, nice to meet you.", "Morning!", "Hello again.",
    "Is anybody there?", "Howdy!", "Hello, can you hear me?", "Hi, I am new here.", "Welcome back!", "Evening!", "Hi, how is it going?",
    "Dear assistant, hello.", "A very good morning to you!", "Hello, my friend.", "Yo!", "Hey assistant, are you awake?", "Hi there.",
)
_THANKS = (
    "Thank you!", "Thanks", "Thanks, that is all.", "Many thanks!", "Thanks a lot.", "Thank you very much.", "Great, thanks!",
    "That was helpful.", "Perfect, thank you.", "Well done!", "You helped me a lot.", "I am very grateful.", "Cheers!", "Nice work.",
    "Thanks for your help.", "Awesome, thanks!", "That is all I wanted to know.", "Good job!", "I appreciate it.", "Wonderful!",
    "Thank you, you are great.", "Thx", "So kind of you.", "Excellent, thank you so much!", "Much obliged.", "You saved my day.",
)
_FAREWELLS = (
    "Bye!", "Goodbye", "See you.", "See you later!", "Good night.", "Bye bye", "I have to go now.", "Talk to you later.", "Have a nice day!",
    "Until next time.", "Farewell!", "So long.", "Take care!", "That was all, bye.", "I am leaving now.", "See you soon.", "Ciao!",
    "I am done here, goodbye.", "Catch you later.", "Have a good one!", "Signing off.", "Until tomorrow!", "Later!", "I am off.", "Good night and goodbye!",
)
_ABILITIES = (
    "What can you do?", "How can you help me?", "What are you good at?", "What is your job?", "Can you help me?", "I need help.",
    "What are you able to do?", "Which things can you do?", "Tell me what you can do.", "Are you able to help?", "What are your skills?",
    "What do you offer?", "Could you help me with something?", "Do you have time for me?", "May I ask you something?", "I have a question.",
    "What is possible here?", "How does this work?", "Can I ask you for something?", "Would you help me, please?", "What may I ask?",
    "What are you here for?", "I would like some help.", "Explain what you do.", "Is there something you can do for me?",
)
# What a user says that needs no tool, and the reply to it.
SMALL_TALK = (
    (_GREETINGS, "Hello! How can I help you?"), (_THANKS, "You are welcome!"), (_FAREWELLS, "Goodbye!"),
    (_ABILITIES, "I can use my tools for you. What do you need?"),
)

# The verb of a made-up tool, and how a request may put it.
VERBS: dict[str, tuple[str, ...]] = {
    "get": ("get", "fetch", "give me", "retrieve", "look up"), "find": ("find", "look for", "search", "search for", "locate"),
    "set": ("set", "set up", "configure"), "update": ("update", "change", "edit", "modify"), "check": ("check", "verify", "look at", "inspect"),
    "create": ("create", "make", "add", "set up"), "delete": ("delete", "remove", "erase"), "list": ("list", "show", "display"),
    "start": ("start", "launch", "begin with"), "count": ("count", "count up"), "show": ("show", "display", "show me"),
    "load": ("load", "fetch", "read in"), "fetch": ("fetch", "get", "bring me"), "search": ("search", "search for", "look for", "find"),
    "remove": ("remove", "delete", "take out"), "stop": ("stop", "halt", "end"), "close": ("close", "shut"), "open": ("open", "open up"),
    "assign": ("assign", "allocate"), "archive": ("archive", "put away"), "approve": ("approve", "accept"), "reject": ("reject", "turn down"),
    "rename": ("rename",), "copy": ("copy", "duplicate"), "move": ("move", "shift"), "export": ("export", "write out"),
    "import": ("import", "read in"), "print": ("print", "print out"), "register": ("register", "sign up", "enter"), "activate": ("activate", "enable", "switch on"),
    "disable": ("disable", "deactivate", "switch off"), "lock": ("lock",), "unlock": ("unlock",), "reset": ("reset", "restore"), "inspect": ("inspect", "examine", "check"),
    "validate": ("validate", "verify", "check"), "restart": ("restart", "reboot"), "schedule": ("schedule", "plan"), "share": ("share",),
    "publish": ("publish", "release"), "download": ("download", "fetch"), "upload": ("upload",), "repair": ("repair", "fix"), "rent": ("rent", "hire"),
    "return": ("return", "give back", "send back"), "rate": ("rate", "score"), "estimate": ("estimate", "guess"), "record": ("record", "log"),
    "monitor": ("monitor", "watch", "keep an eye on"), "compare": ("compare",), "describe": ("describe", "explain"), "verify": ("verify", "check", "confirm"),
    "clean": ("clean", "clean up", "tidy"), "charge": ("charge",), "ship": ("ship", "send out", "dispatch"), "sort": ("sort", "arrange"),
}
NOUNS = (
    "invoice", "sensor", "customer", "user", "vehicle", "report", "project", "account", "device", "lesson", "parcel", "player", "patient", "server",
    "member", "employee", "student", "teacher", "supplier", "vendor", "partner", "driver", "visitor", "tenant", "tractor", "truck", "train", "bicycle",
    "machine", "robot", "camera", "printer", "router", "battery", "engine", "pump", "heater", "elevator", "drone", "boat", "folder", "file", "image",
    "video", "document", "contract", "licence", "policy", "claim", "budget", "payment", "receipt", "quote", "subscription", "campaign", "coupon", "review",
    "survey", "comment", "post", "profile", "password", "session", "backup", "database", "website", "domain", "branch", "release", "test", "experiment",
    "measurement", "dataset", "model", "map", "route", "building", "apartment", "field", "tree", "plant", "animal", "horse", "museum", "library", "book",
    "magazine", "stadium", "team", "match", "tournament", "score", "exam", "course", "grade", "classroom", "locker", "badge", "shipment",
    "pallet", "container", "shelf", "barcode", "catalogue", "template", "form", "channel", "playlist", "podcast", "gallery", "painting", "sample", "prescription",
)
# How a request gives a parameter of a made-up tool: {n} is its name, {v} its value.
JOINTS = (
    " with {n} {v}", " with the {n} {v}", ", {n} {v}", " where the {n} is {v}", " for {n} {v}", " for the {n} {v}", ", {n}: {v}", " whose {n} is {v}",
    " that has the {n} {v}", " which has {v} as {n}", " having {n} {v}", " using {n} {v}", " using the {n} {v}", " ({n} {v})", " ({n}: {v})", ", {n} = {v}",
    " by {n} {v}", ", the {n} is {v}", ", the {n} being {v}", " under the {n} {v}", ", with {v} as {n}", ", with {v} as the {n}", ", taking {v} as {n}",
    ", use {v} for the {n}", " and use {v} as {n}", ", where {n} equals {v}", " with {n} set to {v}", ", {n} set to {v}", ", {v} as {n}", " with {v} for the {n}",
    " given the {n} {v}", "; {n}: {v}", "; the {n} is {v}", ", its {n} is {v}", ", the {n} should be {v}", " and {n} {v}", ", and take {v} for {n}",
    " - {n} {v}", " - {n}: {v}", ", by the way the {n} is {v}", ", as {n} take {v}", " ({n} = {v})", ", putting {v} as the {n}", " when {n} is {v}",
)
MADE_UP_DESCRIPTIONS = (
    "{V} a {n}", "{V} the {n}", "{V} one {n}", "{V} a {n} of the company", "{V} a {n} in the system", "{V} {n} data", "A tool to {v} a {n}", "Use this to {v} a {n}",
    "Can {v} a {n}", "Function to {v} a {n}", "{V} any {n}", "Helps to {v} a {n}", "{V} the given {n}", "{V} a certain {n}", "Tool: {v} {n}", "{V} the chosen {n}",
    "For when a user wants to {v} a {n}", "Lets you {v} a {n}",
)
# Parameters of made-up tools: name, kind, maker in `values`.
PARAMETERS = (
    ("id", "string", "code"), ("name", "string", "person"), ("city", "string", "city"), ("date", "date", "date"), ("limit", "integer", "quantity"),
    ("code", "string", "code"), ("company", "string", "company"), ("count", "integer", "quantity"), ("email", "string", "email"),
    ("color", "string", "syllables"), ("size", "integer", "quantity"), ("owner", "string", "person"), ("start_date", "date", "date"),
    ("end_date", "date", "date"), ("phone", "string", "phone"), ("address", "string", "street"), ("number", "string", "code"), ("serial_number", "string", "code"),
    ("weight", "integer", "quantity"), ("height", "integer", "quantity"), ("amount", "integer", "quantity"), ("manager", "string", "person"),
    ("contact", "string", "email"), ("location", "string", "city"), ("time", "string", "clock"), ("version", "string", "model_code"),
    ("brand", "string", "capitalised"), ("label", "string", "syllables"), ("page", "integer", "quantity"), ("author", "string", "person"),
    ("product", "string", "product"), ("street", "string", "street"), ("deadline", "date", "date"), ("client", "string", "company"), ("level", "integer", "quantity"),
)
CHOICES = (
    ("priority", ("low", "medium", "high")), ("status", ("open", "closed", "paused")), ("format", ("pdf", "csv", "html", "json")), ("type", ("basic", "standard", "premium")),
    ("unit", ("metric", "imperial")), ("mode", ("auto", "manual", "eco")), ("order", ("ascending", "descending")), ("shape", ("round", "square", "oval")),
    ("season", ("spring", "summer", "autumn", "winter")), ("direction", ("north", "south", "east", "west")), ("speed", ("slow", "normal", "fast")),
    ("category", ("private", "business", "school")), ("access", ("public", "private", "internal")), ("quality", ("draft", "good", "best")),
)
# fmt: on
