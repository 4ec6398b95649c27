"""Short conversations: what the user told earlier, greetings and follow-up questions."""

# Tables of wordings read better packed than one string per line.
# fmt: off
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import values
from .chat import Message, Sample
from .phrases import ASKS, FOLLOW_UPS, TELLS
from .words import ADJECTIVES
from .writer import Writer, capital, reads_like

SYSTEMS = ("", "", "", "You are a helpful assistant.", "You are a friendly assistant.", "Be brief.",
    "You are a kind companion.", "Chat with the user.")


@dataclass(frozen=True)
class Memory:
    """Something a user tells and later asks for; {v} is the value, nouns are names of it."""

    tells: tuple[str, ...]
    reply: str
    asks: tuple[str, ...]
    follow_ups: tuple[str, ...]
    answer: str
    make: Callable[[Writer], str]
    nouns: tuple[str, ...] = ()


_COLOURS = ("black", "white", "blue", "green", "red", "silver", "purple", "orange", "yellow",
    "brown", "pink", "turquoise", "grey", "violet")
_FOODS = ("pizza", "rice", "soup", "curry", "pasta", "salad", "pancakes", "dumplings", "cheese",
    "fish", "bread", "noodles", "potatoes", "chocolate")
_JOBS = ("baker", "gardener", "pilot", "doctor", "painter", "lawyer", "farmer", "plumber",
    "dentist", "journalist", "musician", "carpenter", "teacher", "nurse", "engineer")
MEMORIES = (
    Memory(("My name is {v}.", "I am {v}.", "Hi, I'm {v}.", "Hello, this is {v}.",
        "You can call me {v}.", "People call me {v}.", "Call me {v}.", "The name is {v}."),
        "Nice to meet you, {v}!", ("What is my name?", "Who am I?", "Do you remember my name?",
            "What am I called?", "Do you know my name?", "How am I called?", "Tell me my name."), (
            "And my name?", "My name?"), "Your name is {v}.", values.first_name,
            ("name", "first name")),
    Memory(("I live in {v}.", "My home is {v}.", "I am from {v}.", "I moved to {v}.",
        "My city is {v}.", "I have a flat in {v}.", "I come from {v}."),
        "{v} sounds like a nice place.", ("Where do I live?", "Which city do I live in?",
            "What is my city?", "Where is my home?", "Do you remember where I live?",
            "Where am I from?", "In which town do I live?"), ("And my city?",
            "And where do I live?"), "You live in {v}.", values.city,
            ("city", "home town", "place of residence", "home city")),
    Memory(("My dog is called {v}.", "I have a dog named {v}.", "Our dog {v} is very funny.",
        "My dog's name is {v}.", "{v} is my dog.", "We got a dog, his name is {v}."),
        "{v} is a good name for a dog.", ("What is my dog called?", "What is the name of my dog?",
            "Who is my dog?", "How is my dog called?", "Do you remember my dog's name?",
            "My dog's name?"), ("And my dog?", "And the dog?"), "Your dog is called {v}.",
            values.capitalised,
            ("dog's name",)),
    Memory(("My cat is called {v}.", "I have a cat named {v}.", "Our cat {v} sleeps all day.",
        "My cat's name is {v}.", "{v} is my cat.", "We got a cat, her name is {v}."),
        "{v} is a good name for a cat.", ("What is my cat called?", "What is the name of my cat?",
            "Who is my cat?", "How is my cat called?", "Do you remember my cat's name?",
            "My cat's name?"), ("And my cat?", "And the cat?"), "Your cat is called {v}.",
            values.capitalised,
            ("cat's name",)),
    Memory(("My favourite colour is {v}.", "I like the colour {v}.", "{v} is my favourite colour.",
        "The colour I love most is {v}.", "My favorite color is {v}.",
        "I paint everything {v}, my favourite colour."),
        "{v} is a fine colour.", ("What is my favourite colour?", "Which colour do I like?",
            "What colour do I love?", "What is my favorite color?", "Do you remember my colour?",
            "Which color is my favourite?"), ("And my favourite colour?", "And my colour?"),
            "Your favourite colour is {v}.", lambda w: w.pick(_COLOURS),
            ("favourite colour", "favorite color")),
    Memory(("My favourite food is {v}.", "I love to eat {v}.", "I like {v} most of all dishes.",
        "The food I like best is {v}.", "{v} is my favourite food.",
        "For me the best meal is {v}."),
        "{v} is delicious.", ("What is my favourite food?", "What do I like to eat?",
            "Which food do I love?", "What food do I like?", "What is my favorite meal?",
            "What do I like to eat most?"), ("And my favourite food?", "And my food?"),
            "Your favourite food is {v}.", lambda w: w.pick(_FOODS),
            ("favourite food", "favorite food", "favourite dish", "favourite meal")),
    Memory(("I work as a {v}.", "My job is {v}.", "I am a {v} by trade.",
        "I earn my money as a {v}.", "My profession is {v}.", "I have a job as a {v}."),
        "That sounds interesting.", ("What is my job?", "What do I work as?",
            "What do I do for a living?", "Which job do I have?", "What is my profession?",
            "What do I do for work?"), ("And my job?", "And my work?"), "You work as a {v}.",
            lambda w: w.pick(_JOBS),
            ("job", "profession", "occupation")),
    Memory(("I work for {v}.", "My company is {v}.", "My employer is {v}.",
        "I joined {v} last year.", "I am with {v}.", "The firm I work for is {v}."),
        "I hope you enjoy it there.", ("Which company do I work for?", "Who is my employer?",
            "Where do I work?", "What is my company?", "For whom do I work?",
            "What is the name of my company?"), ("And my company?", "And my employer?"),
            "You work for {v}.", values.company,
            ("company", "employer")),
    Memory(("My order number is {v}.", "The order is {v}.", "I have order {v}.",
        "It is about order {v}.", "My order has the number {v}.", "I placed order {v}."),
        "Thank you, I noted the order {v}.", ("What is my order number?", "Which order is it?",
            "What was the number of my order?", "Can you repeat my order number?",
            "What order number did I give?", "Tell me my order number."), ("And my order number?",
            "And the order?"), "Your order number is {v}.", values.code,
            ("order number", "order code", "order id")),
    Memory(("My birthday is {v}.", "I was born on {v}.", "My date of birth is {v}.",
        "I came into the world on {v}.", "I have my birthday on {v}.", "Born on {v}, that is me."),
        "I will remember it.", ("When is my birthday?", "When was I born?",
            "What is my date of birth?", "On which date was I born?", "Do you know my birthday?",
            "Which day is my birthday?"), ("And my birthday?", "And my date of birth?"),
            "Your birthday is {v}.", values.date,
            ("birthday", "date of birth", "birth date")),
    Memory(("I am {v} years old.", "My age is {v}.", "I turned {v} this year.",
        "I just turned {v}.", "I am now {v} years of age.", "This year I became {v}."),
        "Thank you for telling me.", ("How old am I?", "What is my age?",
            "Do you know how old I am?", "Which age did I tell you?", "How many years old am I?",
            "My age is what?"), ("And my age?", "And how old am I?"), "You are {v} years old.",
            lambda w: str(w.rng.randint(6, 99)),
            ("age",)),
    Memory(("My lucky number is {v}.", "The number I like is {v}.", "Remember the number {v}.",
        "Please keep the number {v} in mind.", "My number is {v}.", "I choose the number {v}."),
        "I will remember {v}.", ("What is my number?", "Which number did I choose?",
            "What was the number?", "Which number should you remember?", "Tell me the number.",
            "What number did I say?"), ("And the number?", "And my number?"), "The number is {v}.",
            lambda w: values.digits(w, 2, 4).lstrip("0") or "7",
            ("lucky number", "favourite number")),
    Memory(("My email is {v}.", "You can write to {v}.", "My mail address is {v}.",
        "I am reachable at {v}.", "Mail me at {v}.", "Use {v} to write to me."),
        "Thank you, I noted it.", ("What is my email?", "What is my email address?",
            "Which mail address do I have?", "Where can you write to me?", "Do you have my email?",
            "Tell me my mail address."), ("And my email?", "And my mail?"), "Your email is {v}.",
            values.email,
            ("email", "email address", "mail address")),
    Memory(("My sister is called {v}.", "I have a sister, {v}.", "{v} is my sister.",
        "My sister's name is {v}.", "My sister {v} visits me.", "I visit my sister {v}."),
        "That is nice.", ("What is my sister called?", "Who is my sister?",
            "What is the name of my sister?", "What is my sister's name?",
            "Do you remember my sister?", "How is my sister called?"), ("And my sister?",
            "And the name of my sister?"), "Your sister is called {v}.", values.first_name,
            ("sister's name",)),
    Memory(("I want to buy a {v}.", "I am looking for a {v}.", "I need a {v}.",
        "I would like to get a {v}.", "I plan to buy a {v}.", "I am interested in a {v}.",
        "I'd like to buy a {v}.", "I want a {v}.", "I am searching for a {v}.", "A {v} is my wish.",
        "I am thinking about buying a {v}.", "I want to order a {v}.", "I dream of a {v}.",
        "Today I want to shop for a {v}.", "My plan is to buy a {v}.", "I have to buy a {v}.",
        "I must get a {v} soon.", "We want to buy a {v}.", "Maybe I will buy a {v}.",
        "I hope to find a {v}.", "I decided to buy a {v}.", "I would love to have a {v}."),
        "A {v} is a good choice.", ("What do I want to buy?", "What am I looking for?",
            "What did I want?", "Which product do I need?", "What do I plan to buy?",
            "What am I interested in?", "What do I want to get?", "What am I searching for?",
            "What did I want to buy?", "What was I looking for?", "What would I like to buy?",
            "What was I going to buy?", "Which product am I interested in?", "What do I want?",
            "Do you remember what I want to buy?", "Tell me what I want to buy.",
            "Remind me what I want to buy.", "Which thing did I want?", "What did I plan to buy?",
            "Which product did I mention?", "Do you know what I am looking for?"),
            ("And what did I want to buy?", "And the product?"),
            "You want to buy a {v}.", lambda w: w.pick((values.product(w), w.pick(
            ADJECTIVES) + " car"))),
)
SMALL_TALK = (
    (("Hello!", "Hi!", "Hey", "Good morning!", "Hello there", "Good evening", "Hi there!"),
        "Hello! How can I help you?"),
    (("Thank you!", "Thanks!", "Thanks a lot.", "Thank you very much.", "Many thanks!",
        "Great, thanks."), "You are welcome!"),
    (("Bye!", "Goodbye.", "See you!", "See you later.", "Good night.", "I have to go now."),
        "Goodbye!"),
    (("How are you?", "How are you doing?", "How do you do?", "Are you well?", "How is it going?",
        "How are things?"), "I am fine, thank you. How can I help you?"),
    (("Who are you?", "What are you?", "What is your name?", "Are you a robot?",
        "Who am I talking to?", "What should I call you?"),
        "I am a small assistant that runs on your computer."),
    (("What can you do?", "How can you help me?", "What are you good at?", "What do you offer?",
        "Can you help me?", "What are your skills?"),
        "I can extract records, choose tools, classify texts and answer short questions."),
)


# fmt: on
def _worded(w: Writer, memory: Memory, table: tuple[str, ...], own: tuple[str, ...]) -> str:
    """A wording that fits any noun, or one of the memory's own; {v} still open.

    A general one that reads like one of its own is not used: that one may be held out.
    """
    if memory.nouns and w.chance(0.6):
        noun = w.pick(memory.nouns)
        text = w.template(table).replace("{n}", noun).replace("{N}", capital(noun))
        if not reads_like(text, (*memory.tells, *memory.asks, *memory.follow_ups)):
            return text
    return w.template(own)


def dialogue(w: Writer) -> Sample:
    """Two to five things told, some small talk, then questions about what was told."""
    told = w.some(MEMORIES, 1, 5)
    made = {index: memory.make(w) for index, memory in enumerate(told)}
    messages: list[Message] = []
    gold: list[int] = []
    system = w.say(SYSTEMS)
    if system:
        messages.append(Message("system", system))

    def small_talk(chance: float) -> None:
        if w.chance(chance):
            says, reply = w.pick(SMALL_TALK)
            messages.extend((Message("user", w.say(says)), Message("assistant", reply)))
            gold.append(len(messages) - 1)

    small_talk(0.25)
    index = 0
    while index < len(told):
        count = 2 if index + 1 < len(told) and w.chance(0.35) else 1
        group = range(index, index + count)
        said = [_worded(w, told[i], TELLS, told[i].tells).format(v=made[i]) for i in group]
        replies = [told[i].reply.format(v=made[i]) for i in group]
        messages.append(
            Message("user", said[0] if count == 1 else " ".join(capital(s) for s in said))
        )
        reply = replies[-1]
        messages.append(Message("assistant", capital(reply)))
        index += count
        small_talk(0.1)
    for number, i in enumerate(w.some(range(len(told)), 1, 4)):
        memory = told[i]
        if number and w.chance(0.35):
            asking = _worded(w, memory, FOLLOW_UPS, memory.follow_ups)
        else:
            asking = _worded(w, memory, ASKS, memory.asks)
        messages.append(Message("user", asking))
        messages.append(Message("assistant", memory.answer.format(v=made[i])))
        gold.append(len(messages) - 1)
    small_talk(0.1)
    return Sample("dialogue", messages, gold)
