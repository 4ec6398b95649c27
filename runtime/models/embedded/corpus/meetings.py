"""Minutes of meetings: title, date, attendees, project status and action items."""

# Tables of wordings read better packed than one string per line.
# fmt: off
from __future__ import annotations

from . import values
from .cues import STATUS_CUES, plain
from .scene import Fact, Scene
from .writer import Writer

STATUSES = ("planned", "on_track", "delayed", "done")
STATUS_CLAUSES: dict[str, tuple[str, ...]] = {
    "planned": (
        "The work [has not started|starts next month|will begin soon].",
            "We are still in the planning phase.",
        "The project will start [after the holidays|in spring|next quarter].",
            "Nothing has begun yet, the kick-off comes first.",
        "Status: planned.", "So far there is only a plan.", "The start is set for {date}.",
            "Work is about to begin.",
        "The team agreed to start in two weeks.", "It is still on paper.",
            "The preparation goes on, the real work comes later.",
        "The go-ahead was given, we begin next week.",
    ),
    "on_track": (
        "Everything is [on track|on schedule|going to plan].", "We are on time.",
            "The work goes well and as planned.",
        "Status: on track.", "No problems, we will meet the deadline.",
            "Progress is good and in line with the schedule.",
        "The team is halfway through and within the plan.", "All milestones were reached so far.",
            "So far so good, no delays.",
        "The schedule holds.", "Things are moving as expected.", "The budget and the dates hold.",
    ),
    "delayed": (
        "We are [behind schedule|late|two weeks behind].", "The project is delayed.",
            "The deadline will be missed.",
        "Status: delayed.", "The launch had to be postponed.",
            "We lost a week because of missing parts.",
        "The supplier is late and so are we.", "The date slips to {date}.",
            "There is a delay of {n} days.",
        "We will not make it in time.", "Problems hold us back, the plan has to be moved.",
            "It takes longer than expected.",
    ),
    "done": (
        "The work is [done|finished|complete|completed].", "The project was closed successfully.",
            "All work has been completed.",
        "Status: done.", "Everything was delivered last week.",
            "We have finished, only the clean-up remains.",
        "The customer accepted the final result.",
            "The last milestone is behind us and the project is over.",
        "The project came to its end on {date}.", "We are through, thanks to all.",
            "All parts are live and signed off.",
        "It is wrapped up.",
    ),
}
STATUS_SETS = {
    "planned": (STATUSES, ("planned", "running", "done"), ("planned", "done")),
    "on_track": (STATUSES, ("on_track", "delayed"), ("on_track", "delayed", "done")),
    "delayed": (STATUSES, ("on_track", "delayed"), ("on_track", "delayed", "done"), ("done",
        "delayed")),
    "done": (STATUSES, ("done", "delayed"), ("on_track", "delayed", "done"), ("planned", "done")),
}
TITLE_KINDS = ["weekly sync", "kick-off", "planning meeting", "review", "retrospective",
    "project meeting", "status call", "board meeting", "workshop", "budget round", "design review",
    "sales call", "standup", "steering committee", "safety briefing", "team meeting",
    "release planning", "staff meeting"]
TITLE_SUBJECTS = ["website", "marketing", "budget", "warehouse", "product", "hiring", "office move",
    "data platform", "customer service", "mobile app", "supplier", "factory", "research", "garden",
    "event", "kitchen", "training", "logistics", "sales", "security"]
HEADS = (
    "{title}\n[Date|Held on|Day]: {date}\n[Attendees|Present|Participants]: {people}",
    "[Minutes|Notes]: {title}, {date}\n[Present|Attending|In the room]: {people}",
    "# {title}\n{date}\n[With|Attendees|Participants]: {people}",
    "{title} ({date}). [Present were|Attended by] {people}.",
    "On {date} we held the {title}. {people} [attended|took part|were present].",
    "[Meeting|Title|Subject]: {title}\n[Attendees|Participants]: {people}\n[Date|When]: {date}",
    "{date} - {title}\n[Attendees|Who]: {people}",
    "Minutes of the {title} on {date}. Participants: {people}.",
    "The {title} took place on {date} with {people}.",
    "Protocol of {date}\nTopic: {title}\nThose present: {people}",
    "{people} met on {date} for the {title}.",
    "Summary of {title}\nMeeting date {date}, people: {people}",
    "At the {title} ({date}) we saw {people}.",
    "Notes from {date}. {title}. In attendance: {people}.",
)
ACTION_SENTENCES = (
    "{owner} will {task} by {due}.", "{owner} has to {task} until {due}.",
        "{owner} agreed to {task} by {due}.",
    "{owner} promised to {task} before {due}.", "It is up to {owner} to {task} by {due}.",
        "By {due} {owner} will {task}.",
    "{owner} takes over: {task}, due {due}.", "{owner} is going to {task}, latest {due}.",
        "Until {due}, {owner} should {task}.",
    "{owner} must {task} no later than {due}.", "We asked {owner} to {task} by {due}.",
        "{owner} offered to {task}, deadline {due}.",
    "{owner} is responsible to {task} by {due}.", "{owner} shall {task} (due {due}).",
)
ACTION_ROWS = (
    "{owner}: {task} by {due}", "{owner}: {task} (due {due})", "{task} - {owner} - {due}",
        "{task} ({owner}, {due})",
    "{owner} - {task} - {due}", "{owner} to {task} by {due}", "{due}: {task} ({owner})",
        "{task} | {owner} | {due}",
    "{owner} | {task} | {due}", "[{owner}] {task}, until {due}", "{task}; owner {owner}; due {due}",
        "{task} -> {owner}, {due}",
    "{due} {owner}: {task}", "Task: {task}. Owner: {owner}. Due: {due}.", "@{owner} {task} ({due})",
        "{owner} will {task}, {due}",
)
DISTRACTIONS = (
    "Next meeting on {other_date}.", "Room {n}.", "{other} was excused.", "The budget is {amount}.",
        "{other} presented the figures of last year.",
    "We discussed the offer {code} at length.", "The last meeting was on {other_date}.",
        "There were {n} open points.",
    "Coffee was provided by {company}.", "{company} joined for the first ten minutes.",
        "The lease ends on {other_date}.",
    "We looked at {n} designs.", "Some questions stayed open.", "Ticket {code} was closed.",
        "{other} could not come.",
)
ACTION_HEADINGS = ("Actions:", "Action items:", "To do:", "Next steps:", "Tasks:", "Agreed:",
    "Follow-ups:", "")
ASK_TITLE = ("What is the title of the meeting?", "What was the meeting called?",
    "Which meeting was it?", "What meeting do the notes describe?",
    "What is the name of the meeting?", "What kind of meeting was held?")
ASK_DATE = ("When did the meeting take place?", "What is the date of the meeting?",
    "On which day was the meeting?", "When was the meeting held?", "When did they meet?",
    "What date are the notes from?")
ASK_PEOPLE = ("Who attended?", "Who was present?", "Who took part in the meeting?",
    "Who are the attendees?", "Which people were there?", "Who joined the meeting?")
ASK_OWNER = ("Who has to {task}?", "Who will {task}?", "Who is going to {task}?",
    "Who should {task}?", "Whose task is it to {task}?", "Who agreed to {task}?")
ASK_DUE = ("By when will {owner} {task}?", "When must {owner} be ready to {task}?",
    "What is the deadline of {owner} to {task}?", "Until when has {owner} to {task}?",
    "When is the task of {owner} to {task} due?", "When should {owner} {task}?")
ACTION_KEYS = ("action_items", "actions", "tasks", "todos", "next_steps", "follow_ups")
OWNER_KEYS = ("owner", "assignee", "person", "who", "responsible", "assigned_to", "name")
TASK_KEYS = ("task", "action", "description", "what", "todo", "title")
DUE_KEYS = ("due_date", "due", "deadline", "by", "until", "date")


# fmt: on
def meeting(w: Writer) -> Scene:
    """Minutes of one meeting."""
    day, status = values.date(w), w.pick(STATUSES)
    title = f"{w.pick(TITLE_SUBJECTS)} {w.pick(TITLE_KINDS)}".capitalize()
    if w.chance(0.35):
        title = f"{values.capitalised(w)} {w.pick(TITLE_KINDS)}"
    if w.chance(0.25):
        title = values.phrase(w, 2, 5).capitalize()
    full = w.chance(0.4)
    people = [
        values.person(w) if full else values.first_name(w)
        for _ in range(w.pick((2, 2, 3, 3, 4, 5)))
    ]
    people = list(dict.fromkeys(people))
    actions = []
    for _ in range(w.pick((1, 1, 2, 2, 2, 3, 3, 4))):
        owner = w.pick(people) if w.chance(0.85) else values.first_name(w)
        actions.append((owner, values.task(w), values.later(w, day)))
    fill = {
        "date": values.later(w, day),
        "other_date": values.date(w),
        "n": w.rng.randint(2, 40),
        "other": values.person(w),
        "amount": values.amount(w),
        "code": values.code(w),
        "company": values.company(w),
    }
    joint = w.pick((", ", ", ", " and ", "; ")) if len(people) == 2 else w.pick((", ", ", ", "; "))
    names = joint.join(people) if w.chance(0.6) else ", ".join(people[:-1]) + " and " + people[-1]
    head = w.say(HEADS, title=title, date=day, people=names)
    notes = [_status(w, status, fill)]
    for _ in range(w.pick((0, 1, 1, 2))):
        notes.insert(w.rng.randint(0, len(notes)), w.say(DISTRACTIONS, **fill))
    if w.chance(0.5):
        row = w.template(ACTION_ROWS)
        mark = w.pick(("- ", "* ", "", "• ", "[ ] ", "#"))
        rows = [row.format(owner=o, task=t, due=d) for o, t, d in actions]
        listed = [f"{i}. {text}" if mark == "#" else mark + text for i, text in enumerate(rows, 1)]
        heading = w.pick(ACTION_HEADINGS)
        agreed = (heading + "\n" if heading else "") + "\n".join(listed)
        text = w.pick(("\n", "\n\n")).join((head, " ".join(notes), agreed))
    else:
        agreed = " ".join(w.say(ACTION_SENTENCES, owner=o, task=t, due=d) for o, t, d in actions)
        parts = [" ".join(notes), agreed] if w.chance(0.7) else [agreed, " ".join(notes)]
        text = w.pick(("\n", "\n\n", "\n")).join((head, w.pick((" ", "\n", "\n\n")).join(parts)))
    parts_facts = tuple(
        (
            Fact(OWNER_KEYS, "string", owner, (w.say(ASK_OWNER, task=task),)),
            Fact(TASK_KEYS, "string", task),
            Fact(DUE_KEYS, "date", due, (w.say(ASK_DUE, owner=owner, task=task),)),
        )
        for owner, task, due in actions
    )
    facts = [
        Fact(
            ("title", "meeting", "subject", "name", "meeting_title", "topic"),
            "string",
            title,
            ASK_TITLE,
        ),
        Fact(("date", "meeting_date", "held_on", "day", "when"), "date", day, ASK_DATE),
        Fact(
            ("attendees", "participants", "people", "present", "members"),
            "strings",
            list(people),
            ASK_PEOPLE,
        ),
        Fact(
            ("status", "project_status", "state", "progress"),
            "enum",
            status,
            options=STATUS_SETS[status],
        ),
        Fact(ACTION_KEYS, "items", None, parts=parts_facts),
    ]
    return Scene("meeting notes", text, facts)


def _status(w: Writer, status: str, fill: dict[str, object]) -> str:
    if w.chance(0.5):
        return plain(w, STATUS_CUES[status], fill)
    return w.say(STATUS_CLAUSES[status], **fill)
