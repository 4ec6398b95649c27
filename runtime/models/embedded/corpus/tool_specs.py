"""Tools that a user may offer a model, with the requests that call for them."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import values
from .schema import Value
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


_DAY = Slot(("date", "day", "on"), "date", values.date, (), ("on {v}", "for {v}",
    "on the date {v}"))
_LANGUAGES = ("French", "German", "Spanish", "Italian", "Polish", "Greek", "Turkish", "Dutch",
    "Korean")
_TEXTS = ("good morning", "where is the station", "thank you very much", "the bill please",
    "see you tomorrow", "I am hungry", "happy birthday", "how much is it")
_GENRES = ("jazz", "rock", "classical", "pop", "folk", "blues")


def _text(w: Writer) -> Value:
    return w.pick(_TEXTS) if w.chance(0.5) else values.task(w)


SPECS: tuple[Spec, ...] = (
    Spec(("get_weather", "weather", "weather_forecast", "forecast", "lookup_weather"), (
        "Weather forecast for a city", "Get the weather of a place", "Current weather",
        "Tells the weather in a city"),
        (Slot(("city", "location", "place", "town"), "string", values.city), _DAY),
        ("What is the weather in {0}?", "How is the weather in {0}?", "Will it rain in {0}?",
            "Weather for {0}, please.", "Do I need an umbrella in {0}?", "Is it warm in {0}?",
            "Tell me the forecast for {0}.", "How cold is it in {0}?",
            "Is the sun shining in {0}?"),
        (("temperature", _int(-10, 38)), ("condition", one_of("sunny", "cloudy", "rainy", "windy",
            "snowy", "foggy"))), "It is {1} with {0} degrees."),
    Spec(("search_products", "find_product", "product_search", "search_catalog"), (
        "Search the product catalog", "Find products in the shop", "Look for articles"),
        (Slot(("query", "name", "text", "keyword"), "string", values.product), Slot(("max_price",
            "price_limit", "budget"), "integer", _int(5, 900), (), ("under {v}", "for at most {v}",
            "below {v}"))),
        ("Find a {0}.", "Do you have a {0}?", "Search for {0}.", "I am looking for a {0}.",
            "Show me {0}.", "Is there a {0} in the shop?", "Look for {0} in the catalog.",
            "Which {0} do you sell?"),
        (("name", values.product), ("price", values.amount)), "I found {0} for {1}."),
    Spec(("get_order_status", "order_status", "track_order", "check_order", "lookup_order"), (
        "Status of an order", "Look up an order", "Check where an order is"),
        (Slot(("order_id", "order", "order_number", "id"), "string", values.code),),
        ("Where is my order {0}?", "What is the status of order {0}?",
            "Has order {0} been shipped?", "Check order {0}, please.", "Track {0}.",
            "Can you look up the order {0}?", "When does order {0} arrive?",
            "I wait for order {0}, where is it?"),
        (("status", one_of("shipped", "packed", "delivered", "delayed", "open")), ("expected",
            values.date)), "The order is {0} and expected on {1}."),
    Spec(("cancel_order", "order_cancel", "stop_order"), ("Cancel an order",
        "Cancels an open order", "Stop an order"),
        (Slot(("order_id", "order", "order_number", "id"), "string", values.code),),
        ("Cancel order {0}.", "Please cancel {0}.", "I do not want order {0} any more.",
            "Stop order {0}, please.", "Order {0} should be cancelled.",
            "Please withdraw my order {0}.", "Can you cancel the order {0}?"),
        (("cancelled", one_of("yes")), ("refund", values.amount)),
            "The order is cancelled, {1} will be refunded."),
    Spec(("send_email", "send_mail", "email", "write_email"), ("Send an email",
        "Write a mail to somebody", "Sends a message by mail"),
        (Slot(("to", "recipient", "address"), "string", values.email), Slot(("subject", "title",
            "topic"), "string", values.task)),
        ("Send an email to {0} with the subject {1}.", "Write a mail to {0}, subject: {1}.",
            "Email {0} about this: {1}.", "Mail to {0} with the title {1}.",
            "Please write to {0}. The subject is {1}.", "Send {0} a mail. Subject: {1}",
            "A mail with subject {1} must go to {0}."),
        (("sent", one_of("yes")), ("id", values.code)), "The mail was sent with id {1}."),
    Spec(("create_event", "add_event", "calendar_add", "schedule_meeting", "new_appointment"), (
        "Add an event to the calendar", "Create a calendar entry", "Schedule a meeting"),
        (Slot(("title", "name", "subject"), "string",
            lambda w: f"{values.capitalised(w)} {w.pick(('review', 'call', 'lunch', 'meeting', 'workshop', 'interview'))}"),
            Slot(("date", "day", "on"), "date", values.date), Slot(("time", "start_time", "at"),
            "string", values.clock, (), ("at {v}", "starting at {v}"))),
        ("Put {0} in my calendar for {1}.", "Schedule {0} on {1}.", "Add the event {0} on {1}.",
            "Create an appointment {0} for {1}.", "Plan {0} for {1}.", "Please enter {0} on {1}.",
            "On {1} there is {0}, note it in the calendar.", "I have {0} on {1}, add it."),
        (("id", values.code), ("status", one_of("created"))), "The event was created with id {0}."),
    Spec(("convert_currency", "exchange", "currency_converter", "convert_money"), (
        "Convert an amount between currencies", "Currency conversion", "Exchange money"),
        (Slot(("amount", "value", "sum"), "number", _int(1, 5000)), Slot(("from_currency", "source",
            "from"), "string", one_of("EUR", "USD", "GBP", "CHF", "JPY", "SEK")), Slot(("to_currency",
            "target", "to"), "string", one_of("PLN", "NOK", "CAD", "AUD", "CZK", "INR"))),
        ("Convert {0} {1} to {2}.", "How much is {0} {1} in {2}?", "What are {0} {1} in {2}?",
            "Change {0} {1} into {2}.", "Exchange {0} {1} for {2}, please.", "{0} {1} in {2}?",
            "I have {0} {1}. How many {2} is that?"),
        (("result", values.amount), ("rate",
            lambda w: f"{w.rng.randint(0, 9)}.{values.digits(w, 2, 2)}")),
            "That is {0} at a rate of {1}."),
    Spec(("translate", "translate_text", "translation"), ("Translate a text",
        "Translates words into another language", "Translate into a language"),
        (Slot(("text", "phrase", "sentence"), "string", _text), Slot(("language", "target_language",
            "to"), "string", one_of(*_LANGUAGES))),
        ("Translate '{0}' into {1}.", "How do you say '{0}' in {1}?", "What is '{0}' in {1}?",
            "Please give me '{0}' in {1}.", "I need '{0}' in {1}.", "Say '{0}' in {1}, please.",
            "Put '{0}' into {1}."),
        (("text", lambda w: f"{values.syllables(w)} {values.syllables(w)}"), ("language", one_of(
            *_LANGUAGES))), "The translation is: {0}"),
    Spec(("set_alarm", "alarm", "wake_me", "create_alarm"), ("Set an alarm", "Set the alarm clock",
        "Create an alarm"),
        (Slot(("time", "at", "clock"), "string", values.clock),),
        ("Wake me at {0}.", "Set an alarm for {0}.", "Alarm at {0}, please.",
            "I have to get up at {0}.", "Please wake me up at {0}.", "Ring at {0}.",
            "Set the alarm clock to {0}."),
        (("set", one_of("yes")), ("id", values.code)), "The alarm is set."),
    Spec(("set_timer", "timer", "start_timer", "countdown"), ("Start a timer", "Start a countdown",
        "Timer in minutes"),
        (Slot(("minutes", "duration", "length_minutes"), "integer", _int(1, 180)),),
        ("Set a timer for {0} minutes.", "Start a timer of {0} minutes.",
            "Tell me when {0} minutes are over.", "{0} minutes, please.", "Count down {0} minutes.",
            "Timer: {0} minutes", "Remind me in {0} minutes."),
        (("started", one_of("yes")), ("ends", values.clock)), "The timer runs until {1}."),
    Spec(("add", "sum", "add_numbers", "calculate_sum"), ("Add two numbers", "Sum of two numbers",
        "Adds numbers"),
        (Slot(("a", "x", "first"), "integer", _int(0, 9999)), Slot(("b", "y", "second"), "integer",
            _int(0, 9999))),
        ("What is {0} plus {1}?", "Add {0} and {1}.", "{0} + {1}", "How much is {0} + {1}?",
            "Sum up {0} and {1}.", "Calculate {0} plus {1}.", "Give me the sum of {0} and {1}."),
        (("result", _int(0, 19999)),), "The result is {0}."),
    Spec(("multiply", "product", "times"), ("Multiply two numbers", "Product of two numbers",
        "Multiplies numbers"),
        (Slot(("a", "x", "first"), "integer", _int(0, 999)), Slot(("b", "y", "second"), "integer",
            _int(0, 999))),
        ("What is {0} times {1}?", "Multiply {0} by {1}.", "{0} * {1}", "How much is {0} x {1}?",
            "Calculate {0} times {1}.", "Give me the product of {0} and {1}.",
            "{0} multiplied by {1}?"),
        (("result", _int(0, 99999)),), "The result is {0}."),
    Spec(("find_contact", "lookup_contact", "get_contact", "search_person"), ("Look up a person",
        "Find the contact data of a person", "Search the address book"),
        (Slot(("name", "person", "full_name"), "string", values.person),),
        ("What is the phone number of {0}?", "Look up {0}.", "Find {0} in my contacts.",
            "How can I reach {0}?", "I need the contact of {0}.", "Give me the number of {0}.",
            "Search the address book for {0}."),
        (("phone", values.phone), ("email", values.email)),
            "The phone number is {0} and the email is {1}."),
    Spec(("book_table", "reserve_table", "restaurant_booking"), ("Book a table in a restaurant",
        "Reserve a table", "Restaurant reservation"),
        (Slot(("restaurant", "place", "name"), "string",
            lambda w: f"{values.capitalised(w)} {w.pick(('Grill', 'Kitchen', 'Bistro', 'House'))}"),
            Slot(("people", "guests", "party_size", "persons"), "integer", _int(2, 14)), _DAY, Slot(
            ("time", "at"), "string", values.clock, (), ("at {v}", "at {v} o'clock"))),
        ("Book a table at {0} for {1} people.", "Reserve a table for {1} at {0}.",
            "We are {1} and want to eat at {0}.", "A table for {1} persons at {0}, please.",
            "Get us a table at {0}, {1} guests.", "I would like to dine at {0} with {1} people.",
            "Table at {0}, party of {1}."),
        (("confirmed", one_of("yes")), ("code", values.code)),
            "The table is booked, the code is {1}."),
    Spec(("book_flight", "find_flight", "search_flights", "flights"), ("Search flights",
        "Find a flight between two cities", "Book a flight"),
        (Slot(("origin", "from", "from_city", "departure"), "string", values.city), Slot((
            "destination", "to", "to_city", "arrival"), "string", values.city), _DAY),
        ("Find a flight from {0} to {1}.", "I want to fly from {0} to {1}.",
            "Flights from {0} to {1}, please.", "Which planes go from {0} to {1}?",
            "Book a flight from {0} to {1}.", "How do I fly from {0} to {1}?",
            "I need to get from {0} to {1} by plane.", "Fly me to {1} from {0}."),
        (("flight", values.code), ("price", values.amount)), "Flight {0} costs {1}."),
    Spec(("play_music", "play_song", "music", "start_music"), ("Play music", "Play a song or genre",
        "Starts the music"),
        (Slot(("title", "song", "query"), "string",
            lambda w: f"{values.capitalised(w)} {w.pick(('Nights', 'Road', 'Dream', 'Song', 'River', 'Blues'))}"),
            Slot(("volume", "loudness"), "integer", _int(1, 100), (), ("at volume {v}",
            "with volume {v}"))),
        ("Play {0}.", "Put on {0}.", "I want to hear {0}.", "Play the song {0}.",
            "Start {0}, please.", "Can you play {0}?", "Let me listen to {0}."),
        (("playing", one_of("yes")),), "The music is playing."),
    Spec(("turn_on_light", "light", "set_light", "switch_light", "control_light"), (
        "Switch a light", "Control the light in a room", "Turn a light on or off"),
        (Slot(("room", "place", "location"), "string", one_of("kitchen", "bedroom", "hall",
            "bathroom", "office", "garage", "garden", "attic")), Slot(("state", "action", "mode"),
            "string", one_of("on", "off"), ("on", "off"))),
        ("Turn {1} the light in the {0}.", "Switch the {0} light {1}.", "Light {1} in the {0}.",
            "Turn the {0} light {1}, please.", "Make the light in the {0} go {1}.",
            "The light in the {0} should be {1}.", "{0} light {1}"),
        (("ok", one_of("yes")),), "Done."),
    Spec(("create_ticket", "open_ticket", "new_ticket", "report_issue"), ("Open a support ticket",
        "Create a ticket", "Report an issue"),
        (Slot(("title", "subject", "summary"), "string", values.task), Slot(("priority", "urgency"),
            "string", one_of("low", "medium", "high"), ("low", "medium", "high"))),
        ("Open a ticket: {0}, priority {1}.", "Create a {1} priority ticket with the title {0}.",
            "Report this with {1} priority: {0}", "New ticket, {1} priority: {0}",
            "Please open a ticket of priority {1} to {0}.",
            "File a ticket '{0}' with priority {1}.", "I need a ticket ({1}): {0}"),
        (("ticket", values.code), ("status", one_of("open"))), "Ticket {0} was opened."),
    Spec(("get_stock", "stock_level", "check_inventory", "inventory"), ("Stock level of an article",
        "Check the inventory", "How many pieces are in stock"),
        (Slot(("sku", "article", "product_code", "item_code"), "string", values.code), Slot((
            "warehouse", "location", "site"), "string", values.city, (), ("in {v}",
            "at the warehouse in {v}", "in the {v} store"))),
        ("How many of {0} are in stock?", "Check the stock of {0}.", "Is {0} available?",
            "Do we have {0} left?", "Stock level of {0}?", "What is the inventory of {0}?",
            "How much {0} is there?"),
        (("count", _int(0, 900)),), "There are {0} in stock."),
    Spec(("transfer_money", "pay", "send_money", "bank_transfer"), ("Transfer money",
        "Pay somebody", "Send money to a person"),
        (Slot(("to", "recipient", "name"), "string", values.person), Slot(("amount", "sum",
            "value"), "number", _int(1, 3000)), Slot(("note", "reference", "purpose"), "string",
            values.code, (), ("with reference {v}", "with the note {v}", "for {v}"))),
        ("Send {1} euros to {0}.", "Transfer {1} to {0}.", "Pay {0} {1}.", "Give {0} {1} euros.",
            "I owe {0} {1}, please pay.", "Please transfer {1} euros to {0}.",
            "{0} should get {1} from me."),
        (("id", values.code), ("status", one_of("done"))), "The transfer {0} is done."),
    Spec(("get_time", "time_in", "current_time", "clock"), ("Current time in a city",
        "Tells the time", "Time of a place"),
        (Slot(("city", "place", "location"), "string", values.city),),
        ("What time is it in {0}?", "Time in {0}?", "How late is it in {0}?",
            "Tell me the time in {0}.", "Current time in {0}, please.",
            "What does the clock say in {0}?", "Which hour is it in {0}?"),
        (("time", values.clock),), "It is {0}."),
    Spec(("create_note", "take_note", "save_note", "add_note"), ("Save a note", "Take a note",
        "Writes down a text"),
        (Slot(("text", "content", "note"), "string", values.task),),
        ("Take a note: {0}", "Write down: {0}", "Note that I have to {0}.", "Please save this: {0}",
            "Make a note to {0}.", "Keep in mind: {0}", "Remember to {0}."),
        (("id", values.code),), "The note {0} was saved."),
    Spec(("find_recipe", "recipe_search", "get_recipe"), ("Find a recipe",
        "Search recipes by ingredient", "Recipe with an ingredient"),
        (Slot(("ingredient", "with", "query"), "string", one_of("tomato", "chicken", "rice", "apple",
            "fish", "beans", "cheese", "pumpkin", "lentils", "potato")), Slot(("max_minutes",
            "time_limit", "minutes"), "integer", _int(10, 90), (), ("in {v} minutes",
            "within {v} minutes", "that takes at most {v} minutes"))),
        ("Find a recipe with {0}.", "What can I cook with {0}?", "A dish with {0}, please.",
            "I have {0}, what can I make?", "Search recipes with {0}.", "Give me a {0} recipe.",
            "How do I prepare {0}?"),
        (("title", values.capitalised),), "You could cook {0}."),
    Spec(("get_news", "news", "latest_news", "headlines"), ("Latest news on a topic", "Headlines",
        "News search"),
        (Slot(("topic", "subject", "about"), "string", lambda w: w.pick(("sports", "science",
            "politics", "music", "energy", values.capitalised(w)))),),
        ("What is new about {0}?", "Show me news about {0}.", "Any headlines on {0}?",
            "News on {0}, please.", "What happened in {0}?", "Tell me the latest about {0}.",
            "Read me the {0} news."),
        (("headline", values.task),), "The headline is: {0}"),
    Spec(("get_distance", "distance", "route_length"), ("Distance between two places",
        "How far two cities are apart", "Route length"),
        (Slot(("start", "from", "a"), "string", values.city), Slot(("end", "to", "b"), "string",
            values.city)),
        ("How far is it from {0} to {1}?", "Distance between {0} and {1}?",
            "How many kilometres from {0} to {1}?", "What is the distance from {0} to {1}?",
            "How long is the way from {0} to {1}?", "Give me the distance from {0} to {1}.",
            "{0} to {1}, how far?"),
        (("km", _int(10, 3000)),), "It is {0} km."),
    Spec(("paint", "set_color", "colour_item", "dye"), ("Choose the colour of a thing",
        "Set the color of an item", "Paint an item"),
        (Slot(("item", "object", "thing"), "string", lambda w: w.pick(PRODUCT_NOUNS)), Slot((
            "color", "colour", "shade"), "string", lambda w: w.pick(ADJECTIVES[:24])), Slot((
            "material", "made_of"), "string", lambda w: w.pick(MATERIALS), (), ("in {v}",
            "made of {v}"))),
        ("Paint the {0} {1}.", "Make the {0} {1}.", "I want the {0} in {1}.",
            "The {0} should be {1}.", "Colour the {0} {1}, please.", "Change the {0} to {1}.",
            "Please set the {0} to {1}."),
        (("ok", one_of("yes")),), "Done."),
)
