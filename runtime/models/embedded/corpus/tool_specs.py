"""Tools that a user may offer a model, with the requests that call for them."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import values
from .schema import Value
from .tool_requests import REQUESTS
from .words import ADJECTIVES, MATERIALS, PRODUCT_NOUNS
from .writer import Writer


@dataclass(frozen=True)
class Slot:
    """A parameter of a tool: its possible names, kind, how a value is made, and, when optional,
    the phrases that add it to a request."""

    names: tuple[str, ...]
    kind: str
    make: Callable[[Writer], Value]
    options: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spec:
    """A tool: possible names and descriptions, slots, requests with {0}, {1}... for the required
    slots, the keys of its result and the answer made from the result."""

    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    slots: tuple[Slot, ...]
    requests: tuple[str, ...]
    result: tuple[tuple[str, Callable[[Writer], Value]], ...]
    answer: str


def _int(low: int, high: int) -> Callable[[Writer], Value]:
    return lambda w: w.rng.randint(low, high)


def one_of(*options: str) -> Callable[[Writer], Value]:
    """A maker that picks one of the options."""
    return lambda w: w.pick(options)


_DAY = Slot(("date", "day", "on"), "date", values.date, (), (
            "on {v}", "for {v}", "on the date {v}", "on the day {v}", ", date {v}", "({v})", ", on {v}", ", day: {v}", "on {v} if possible", "for the date {v}",
            ", that is on {v}", "for the day {v}",))
_LANGUAGES = ("French", "German", "Spanish", "Italian", "Polish", "Greek", "Turkish", "Dutch",
    "Korean")
_TEXTS = ("good morning", "where is the station", "thank you very much", "the bill please",
    "see you tomorrow", "I am hungry", "happy birthday", "how much is it")
_GENRES = ("jazz", "rock", "classical", "pop", "folk", "blues")


def _text(w: Writer) -> Value:
    return w.pick(_TEXTS) if w.chance(0.5) else values.task(w)


SPECS: tuple[Spec, ...] = (
    Spec(("get_weather", "weather", "weather_forecast", "forecast", "lookup_weather"), (
        "Weather forecast for a city", "Get the weather of a place", "Current weather", "Tells the weather in a city", "Shows the weather of a location",
        "Temperature and sky in a city", "Weather report for a place", "How the weather is somewhere", "Returns the forecast",),
        (Slot(("city", "location", "place", "town"), "string", values.city), _DAY),
        REQUESTS["get_weather"],
        (("temperature", _int(-10, 38)), ("condition", one_of("sunny", "cloudy", "rainy", "windy",
            "snowy", "foggy"))), "It is {1} with {0} degrees."),
    Spec(("search_products", "find_product", "product_search", "search_catalog"), (
        "Search the product catalog", "Find products in the shop", "Look for articles", "Product search", "Browse the articles of the shop", "Finds goods on sale",
        "Query the catalog", "Shows products that match a text",),
        (Slot(("query", "name", "text", "keyword"), "string", values.product), Slot(("max_price",
            "price_limit", "budget"), "integer", _int(5, 900), (), (
            "under {v}", "for at most {v}", "below {v}", "up to {v}", "for less than {v}", "for no more than {v}", "with a budget of {v}", "for a maximum of {v}",
            "within a budget of {v}", "that costs at most {v}", "not above {v}", "cheaper than {v}", "with a price limit of {v}", "priced under {v}",))),
        REQUESTS["search_products"],
        (("name", values.product), ("price", values.amount)), "I found {0} for {1}."),
    Spec(("get_order_status", "order_status", "track_order", "check_order", "lookup_order"), (
        "Status of an order", "Look up an order", "Check where an order is", "Follow the delivery of an order", "Tells the state of an order", "Order tracking",
        "Returns how far an order is", "Where an order is now",),
        (Slot(("order_id", "order", "order_number", "id"), "string", values.code),),
        REQUESTS["get_order_status"],
        (("status", one_of("shipped", "packed", "delivered", "delayed", "open")), ("expected",
            values.date)), "The order is {0} and expected on {1}."),
    Spec(("cancel_order", "order_cancel", "stop_order"), (
        "Cancel an order", "Cancels an open order", "Stop an order", "Withdraw an order", "Call off an order", "Order cancellation", "Cancels the order with this number",
        "Ends an order before it is sent",),
        (Slot(("order_id", "order", "order_number", "id"), "string", values.code),),
        REQUESTS["cancel_order"],
        (("cancelled", one_of("yes")), ("refund", values.amount)),
            "The order is cancelled, {1} will be refunded."),
    Spec(("send_email", "send_mail", "email", "write_email"), (
        "Send an email", "Write a mail to somebody", "Sends a message by mail", "Email somebody", "Mail with a subject", "Delivers an email to an address",
        "Compose and send a mail", "Sends mail",),
        (Slot(("to", "recipient", "address"), "string", values.email), Slot(("subject", "title",
            "topic"), "string", values.task)),
        REQUESTS["send_email"],
        (("sent", one_of("yes")), ("id", values.code)), "The mail was sent with id {1}."),
    Spec(("create_event", "add_event", "calendar_add", "schedule_meeting", "new_appointment"), (
        "Add an event to the calendar", "Create a calendar entry", "Schedule a meeting", "Put something in the calendar", "New calendar event", "Creates an appointment",
        "Plan an event on a day", "Saves a date in the diary",),
        (Slot(("title", "name", "subject"), "string",
            lambda w: f"{values.capitalised(w)} {w.pick(('review', 'call', 'lunch', 'meeting', 'workshop', 'interview'))}"),
            Slot(("date", "day", "on"), "date", values.date), Slot(("time", "start_time", "at"),
            "string", values.clock, (), (
            "at {v}", "starting at {v}", "beginning at {v}", "from {v}", "with start at {v}", "at the time {v}", ", time {v}", ", start {v}", "({v})", "at exactly {v}",))),
        REQUESTS["create_event"],
        (("id", values.code), ("status", one_of("created"))), "The event was created with id {0}."),
    Spec(("convert_currency", "exchange", "currency_converter", "convert_money"), (
        "Convert an amount between currencies", "Currency conversion", "Exchange money", "Change money into another currency", "Converts currencies", "Currency calculator",
        "Exchange rate of an amount", "Value of money in another currency",),
        (Slot(("amount", "value", "sum"), "number", _int(1, 5000)), Slot(("from_currency", "source",
            "from"), "string", one_of("EUR", "USD", "GBP", "CHF", "JPY", "SEK")), Slot(("to_currency",
            "target", "to"), "string", one_of("PLN", "NOK", "CAD", "AUD", "CZK", "INR"))),
        REQUESTS["convert_currency"],
        (("result", values.amount), ("rate",
            lambda w: f"{w.rng.randint(0, 9)}.{values.digits(w, 2, 2)}")),
            "That is {0} at a rate of {1}."),
    Spec(("translate", "translate_text", "translation"), (
        "Translate a text", "Translates words into another language", "Translate into a language", "Put a text into another language", "Language translation", "Translator",
        "Say something in a foreign language", "Returns the text in the language",),
        (Slot(("text", "phrase", "sentence"), "string", _text), Slot(("language", "target_language",
            "to"), "string", one_of(*_LANGUAGES))),
        REQUESTS["translate"],
        (("text", lambda w: f"{values.syllables(w)} {values.syllables(w)}"), ("language", one_of(
            *_LANGUAGES))), "The translation is: {0}"),
    Spec(("set_alarm", "alarm", "wake_me", "create_alarm"), (
        "Set an alarm", "Set the alarm clock", "Create an alarm", "Alarm at a time", "Wake the user", "Wake-up call", "Lets the alarm ring", "Sets the time to wake up",),
        (Slot(("time", "at", "clock"), "string", values.clock),),
        REQUESTS["set_alarm"],
        (("set", one_of("yes")), ("id", values.code)), "The alarm is set."),
    Spec(("set_timer", "timer", "start_timer", "countdown"), (
        "Start a timer", "Start a countdown", "Timer in minutes", "Counts down minutes", "Sets a kitchen timer", "Rings after some minutes", "Countdown timer",
        "Measures minutes",),
        (Slot(("minutes", "duration", "length_minutes"), "integer", _int(1, 180)),),
        REQUESTS["set_timer"],
        (("started", one_of("yes")), ("ends", values.clock)), "The timer runs until {1}."),
    Spec(("add", "sum", "add_numbers", "calculate_sum"), (
        "Add two numbers", "Sum of two numbers", "Adds numbers", "Addition", "Calculates a sum", "Plus", "Returns a plus b", "Adds two integers",),
        (Slot(("a", "x", "first"), "integer", _int(0, 9999)), Slot(("b", "y", "second"), "integer",
            _int(0, 9999))),
        REQUESTS["add"],
        (("result", _int(0, 19999)),), "The result is {0}."),
    Spec(("multiply", "product", "times"), (
        "Multiply two numbers", "Product of two numbers", "Multiplies numbers", "Multiplication", "Calculates a product", "Times", "Returns a times b",
        "Multiplies two integers",),
        (Slot(("a", "x", "first"), "integer", _int(0, 999)), Slot(("b", "y", "second"), "integer",
            _int(0, 999))),
        REQUESTS["multiply"],
        (("result", _int(0, 99999)),), "The result is {0}."),
    Spec(("find_contact", "lookup_contact", "get_contact", "search_person"), (
        "Look up a person", "Find the contact data of a person", "Search the address book", "Phone number of a person", "Contact lookup", "Finds somebody in the contacts",
        "Address book search", "How to reach a person",),
        (Slot(("name", "person", "full_name"), "string", values.person),),
        REQUESTS["find_contact"],
        (("phone", values.phone), ("email", values.email)),
            "The phone number is {0} and the email is {1}."),
    Spec(("book_table", "reserve_table", "restaurant_booking"), (
        "Book a table in a restaurant", "Reserve a table", "Restaurant reservation", "Makes a reservation at a restaurant", "Table for a number of guests",
        "Dinner reservation", "Reserves seats in a restaurant", "Books a place to eat",),
        (Slot(("restaurant", "place", "name"), "string",
            lambda w: f"{values.capitalised(w)} {w.pick(('Grill', 'Kitchen', 'Bistro', 'House'))}"),
            Slot(("people", "guests", "party_size", "persons"), "integer", _int(2, 14)), _DAY, Slot(
            ("time", "at"), "string", values.clock, (), (
            "at {v}", "at {v} o'clock", "around {v}", "arriving at {v}", "at the time {v}", "from {v}", ", time {v}", "({v})", "starting at {v}", "at {v} sharp",))),
        REQUESTS["book_table"],
        (("confirmed", one_of("yes")), ("code", values.code)),
            "The table is booked, the code is {1}."),
    Spec(("book_flight", "find_flight", "search_flights", "flights"), (
        "Search flights", "Find a flight between two cities", "Book a flight", "Flight search", "Planes between two places", "Air travel",
        "Shows flights from one city to another", "Finds a plane ticket",),
        (Slot(("origin", "from", "from_city", "departure"), "string", values.city), Slot((
            "destination", "to", "to_city", "arrival"), "string", values.city), _DAY),
        REQUESTS["book_flight"],
        (("flight", values.code), ("price", values.amount)), "Flight {0} costs {1}."),
    Spec(("play_music", "play_song", "music", "start_music"), (
        "Play music", "Play a song or genre", "Starts the music", "Plays a track", "Music player", "Listen to a song", "Puts on music", "Play a title",),
        (Slot(("title", "song", "query"), "string",
            lambda w: f"{values.capitalised(w)} {w.pick(('Nights', 'Road', 'Dream', 'Song', 'River', 'Blues'))}"),
            Slot(("volume", "loudness"), "integer", _int(1, 100), (), (
            "at volume {v}", "with volume {v}", "at a volume of {v}", "with the volume at {v}", "with the volume set to {v}", ", volume {v}", "(volume {v})",
            "with loudness {v}", "at loudness {v}", "at {v} percent volume",))),
        REQUESTS["play_music"],
        (("playing", one_of("yes")),), "The music is playing."),
    Spec(("turn_on_light", "light", "set_light", "switch_light", "control_light"), (
        "Switch a light", "Control the light in a room", "Turn a light on or off", "Light switch", "Lamp control", "Lights on or off in a room", "Sets the lamp of a room",
        "Smart home light",),
        (Slot(("room", "place", "location"), "string", one_of("kitchen", "bedroom", "hall",
            "bathroom", "office", "garage", "garden", "attic")), Slot(("state", "action", "mode"),
            "string", one_of("on", "off"), ("on", "off"))),
        REQUESTS["turn_on_light"],
        (("ok", one_of("yes")),), "Done."),
    Spec(("create_ticket", "open_ticket", "new_ticket", "report_issue"), (
        "Open a support ticket", "Create a ticket", "Report an issue", "File an issue", "New support ticket", "Raise a ticket with a priority", "Sends a problem to support",
        "Creates a support case",),
        (Slot(("title", "subject", "summary"), "string", values.task), Slot(("priority", "urgency"),
            "string", one_of("low", "medium", "high"), ("low", "medium", "high"))),
        REQUESTS["create_ticket"],
        (("ticket", values.code), ("status", one_of("open"))), "Ticket {0} was opened."),
    Spec(("get_stock", "stock_level", "check_inventory", "inventory"), (
        "Stock level of an article", "Check the inventory", "How many pieces are in stock", "Stock check", "How many units are left", "Inventory of a product",
        "Returns the quantity on the shelf", "Looks up what is left of an article",),
        (Slot(("sku", "article", "product_code", "item_code"), "string", values.code), Slot((
            "warehouse", "location", "site"), "string", values.city, (), (
            "in {v}", "at the warehouse in {v}", "in the {v} store", "in our {v} warehouse", "at the {v} site", "at {v}", "in the warehouse of {v}", "at the location {v}",
            "on the shelves in {v}", "in the depot in {v}",))),
        REQUESTS["get_stock"],
        (("count", _int(0, 900)),), "There are {0} in stock."),
    Spec(("transfer_money", "pay", "send_money", "bank_transfer"), (
        "Transfer money", "Pay somebody", "Send money to a person", "Make a payment", "Bank transfer", "Wire money", "Pays an amount to somebody",
        "Moves money to a recipient",),
        (Slot(("to", "recipient", "name"), "string", values.person), Slot(("amount", "sum",
            "value"), "number", _int(1, 3000)), Slot(("note", "reference", "purpose"), "string",
            values.code, (), (
            "with reference {v}", "with the note {v}", "for {v}", "with the reference {v}", ", reference {v}", "(reference {v})", "under the reference {v}",
            "with the purpose {v}", "noting {v}", "as payment for {v}", ", note: {v}",))),
        REQUESTS["transfer_money"],
        (("id", values.code), ("status", one_of("done"))), "The transfer {0} is done."),
    Spec(("get_time", "time_in", "current_time", "clock"), (
        "Current time in a city", "Tells the time", "Time of a place", "What time it is somewhere", "Local time", "World clock", "Returns the time in a city", "Time lookup",),
        (Slot(("city", "place", "location"), "string", values.city),),
        REQUESTS["get_time"],
        (("time", values.clock),), "It is {0}."),
    Spec(("create_note", "take_note", "save_note", "add_note"), (
        "Save a note", "Take a note", "Writes down a text", "Note a text", "Creates a memo", "Adds to the notes", "Remember something", "Stores a note",),
        (Slot(("text", "content", "note"), "string", values.task),),
        REQUESTS["create_note"],
        (("id", values.code),), "The note {0} was saved."),
    Spec(("find_recipe", "recipe_search", "get_recipe"), (
        "Find a recipe", "Search recipes by ingredient", "Recipe with an ingredient", "What to cook", "Cooking ideas", "Finds a dish", "Recipe search", "Suggests a meal",),
        (Slot(("ingredient", "with", "query"), "string", one_of("tomato", "chicken", "rice", "apple",
            "fish", "beans", "cheese", "pumpkin", "lentils", "potato")), Slot(("max_minutes",
            "time_limit", "minutes"), "integer", _int(10, 90), (), (
            "in {v} minutes", "within {v} minutes", "that takes at most {v} minutes", "in under {v} minutes", "in at most {v} minutes", "ready in {v} minutes",
            "in no more than {v} minutes", "(max. {v} minutes)", "that is done in {v} minutes", "in less than {v} minutes", "with a time limit of {v} minutes",))),
        REQUESTS["find_recipe"],
        (("title", values.capitalised),), "You could cook {0}."),
    Spec(("get_news", "news", "latest_news", "headlines"), (
        "Latest news on a topic", "Headlines", "News search", "Shows the news", "Read the news about a subject", "Top stories", "Returns current headlines",
        "What happened lately",),
        (Slot(("topic", "subject", "about"), "string", lambda w: w.pick(("sports", "science",
            "politics", "music", "energy", values.capitalised(w)))),),
        REQUESTS["get_news"],
        (("headline", values.task),), "The headline is: {0}"),
    Spec(("get_distance", "distance", "route_length"), (
        "Distance between two places", "How far two cities are apart", "Route length", "Kilometres between cities", "Measures how far it is", "Length of the way",
        "Distance calculator", "Returns the km from one place to another",),
        (Slot(("start", "from", "a"), "string", values.city), Slot(("end", "to", "b"), "string",
            values.city)),
        REQUESTS["get_distance"],
        (("km", _int(10, 3000)),), "It is {0} km."),
    Spec(("paint", "set_color", "colour_item", "dye"), (
        "Choose the colour of a thing", "Set the color of an item", "Paint an item", "Colours an item", "Gives a thing a colour", "Change the shade of an object",
        "Sets how an item looks", "Choose a color",),
        (Slot(("item", "object", "thing"), "string", lambda w: w.pick(PRODUCT_NOUNS)), Slot((
            "color", "colour", "shade"), "string", lambda w: w.pick(ADJECTIVES[:24])), Slot((
            "material", "made_of"), "string", lambda w: w.pick(MATERIALS), (), (
            "in {v}", "made of {v}", "made from {v}", "and in {v}", ", material {v}", "(material: {v})", ", made of {v}", "with {v} as the material", "using {v}",
            "out of {v}",))),
        REQUESTS["paint"],
        (("ok", one_of("yes")),), "Done."),
    Spec(("set_temperature", "thermostat", "heat_room", "set_heating"), ("Set the temperature of a room", "Thermostat control", "Heat a room", "Changes how warm a room is", "Room heating", "Degrees in a room", "Regulates the heating", "Makes a room warmer or colder"),
        (Slot(("room", "place", "zone"), "string", one_of("kitchen", "bedroom", "hall", "bathroom", "office", "garage", "attic", "cellar", "studio")), Slot(("degrees", "temperature", "value"), "integer", _int(12, 29))),
        REQUESTS["set_temperature"], (("ok", one_of("yes")),), "Done."),
    Spec(("book_hotel", "hotel_booking", "reserve_hotel", "find_hotel"), ("Book a hotel", "Reserve a hotel room", "Hotel reservation", "Finds accommodation in a city", "Room for some nights", "Books nights at a hotel", "Search a place to sleep", "Hotel search"),
        (Slot(("city", "place", "destination"), "string", values.city), Slot(("nights", "duration", "number_of_nights"), "integer", _int(1, 21)), _DAY),
        REQUESTS["book_hotel"], (("hotel", values.capitalised), ("price", values.amount)), "The hotel {0} costs {1}."),
    Spec(("log_expense", "add_expense", "record_expense", "expense"), ("Log an expense", "Record what was spent", "Adds to the expenses", "Expense tracking", "Enters costs in a category", "New entry in the expense list", "Spending by category", "Saves an expense"),
        (Slot(("amount", "cost", "sum"), "number", _int(1, 1500)), Slot(("category", "kind", "type"), "string", one_of("travel", "food", "office", "software"), ("travel", "food", "office", "software"))),
        REQUESTS["log_expense"], (("id", values.code),), "The expense {0} was saved."),
    Spec(("invite_user", "add_user", "invite", "grant_access"), ("Invite a user", "Add a user with a role", "Gives somebody access", "Sends an invitation", "New member of the workspace", "User invitation", "Adds a person to the team", "Access with a role"),
        (Slot(("email", "user", "address"), "string", values.email), Slot(("role", "access", "rights"), "string", one_of("admin", "editor", "viewer"), ("admin", "editor", "viewer"))),
        REQUESTS["invite_user"], (("invited", one_of("yes")), ("id", values.code)), "The invitation {1} was sent."),
    Spec(("restock", "reorder", "replenish", "refill_stock"), ("Reorder an article", "Restock the warehouse", "Refill the stock", "Orders more units of an article", "Replenish a product", "New supply for the shelves", "Buys more of an item", "Adds units by a reorder"),
        (Slot(("sku", "article", "product_code", "item_code"), "string", values.code), Slot(("quantity", "units", "count"), "integer", _int(2, 900)), _DAY),
        REQUESTS["restock"], (("reorder", values.code), ("arrives", values.date)), "The reorder {0} arrives on {1}."),
    Spec(("send_sms", "text_message", "sms", "send_text"), ("Send a text message", "Write an SMS", "Texts a phone number", "SMS to a phone", "Sends a short message", "Message to a number", "Phone texting", "Delivers a text to a phone"),
        (Slot(("phone", "number", "to"), "string", values.phone), Slot(("message", "text", "body"), "string", values.task)),
        REQUESTS["send_sms"], (("sent", one_of("yes")),), "The message was sent."),
    Spec(("return_item", "start_return", "send_back", "create_return"), ("Return an article", "Start a return", "Send back a purchase", "Registers a return with a reason", "Takes an article back", "Return of goods", "Return label", "Customer return"),
        (Slot(("article", "code", "item_id", "id"), "string", values.code), Slot(("reason", "cause", "why"), "string", one_of("damaged", "wrong", "late"), ("damaged", "wrong", "late"))),
        REQUESTS["return_item"], (("return_id", values.code), ("refund", values.amount)), "The return {0} was opened, {1} will be refunded."),
    Spec(("request_leave", "book_vacation", "time_off", "absence"), ("Request leave", "Book holidays", "Apply for time off", "Enters an absence", "Vacation request", "Days off from one date to another", "Registers a holiday of an employee", "Absence planning"),
        (Slot(("start", "start_date", "first_day", "from"), "date", values.date), Slot(("end", "end_date", "last_day", "until"), "date", values.date)),
        REQUESTS["request_leave"], (("id", values.code), ("status", one_of("requested"))), "The leave {0} was requested."),
)
