"""Minutes of meetings: title, date, attendees, project status and action items."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

from . import layouts, values
from .cues import STATUS_CUES, plain
from .meeting_wordings import (
    ACTION_HEADINGS,
    ACTION_ROWS,
    ACTION_SENTENCES,
    ASK_DATE,
    ASK_DUE,
    ASK_OWNER,
    ASK_PEOPLE,
    ASK_TITLE,
    DISTRACTIONS,
    HEADS,
)
from .scene import Fact, Scene
from .writer import Writer

STATUSES = ("planned", "on_track", "delayed", "done")
STATUS_CLAUSES: dict[str, tuple[str, ...]] = {
    "planned": (
        "The work [has not started|starts next month|will begin soon].", "We are still in the planning phase.", "The project will start [after the holidays|in spring|next quarter].", "Nothing has begun yet, the kick-off comes first.", "Status: planned.", "So far there is only a plan.", "The start is set for {date}.",
        "Work is about to begin.", "The team agreed to start in two weeks.", "It is still on paper.", "The preparation goes on, the real work comes later.", "The go-ahead was given, we begin next week.", "The work is planned for [next month|autumn|the new year].", "The project is still ahead of us.", "Not started yet.",
        "Start: {date}.", "We have yet to begin.", "No work has been done so far, it begins on {date}.", "The plan stands, the work itself has yet to start.", "We are drawing up the plan.", "Still in preparation.", "The project is at the planning stage.", "We will kick off on {date}.", "The kick-off is planned for {date}.",
        "Before we can begin, the plan has to be approved.", "The concept is ready, work begins [in two weeks|after approval|on {date}].", "The first step will be taken [next week|next month|on {date}].", "It is about to be launched, nothing has been done yet.", "We intend to begin [in spring|in the summer|on {date}].",
        "Up to now it exists only as a proposal.", "The team is being put together, work starts later.", "Approval was granted, and the start follows [next week|next month].", "At present we are only collecting ideas.", "We are waiting for the starting signal.", "The project has been scheduled but not begun.",
        "The work lies ahead, beginning {date}.", "So far we have only made plans.", "Everything is still at the drawing board.", "It is planned, no more than that.", "The project opens on {date}.", "The beginning was fixed for {date}.", "We expect to start within the month.", "Work: not yet begun.", "Phase: planning.",
        "Current state: in planning.", "Nobody has begun with the work, that is for next month.", "The start comes [after the summer|after the holidays|with the new budget].", "We discussed how to begin, the work has not started.", "The tasks are listed and will be tackled from {date} on.", "Next quarter the work gets going.",
        "Ready to begin, first day is {date}.", "We prepare the start.", "The preparations for the start are under way.", "It will get under way in {n} days.",
    ),
    "on_track": (
        "Everything is [on track|on schedule|going to plan].", "We are on time.", "The work goes well and as planned.", "Status: on track.", "No problems, we will meet the deadline.", "Progress is good and in line with the schedule.", "The team is halfway through and within the plan.", "All milestones were reached so far.",
        "So far so good, no delays.", "The schedule holds.", "Things are moving as expected.", "The budget and the dates hold.", "All is going according to plan.", "We are keeping to the schedule.", "On track.", "On schedule, no open issues.", "The dates are being kept.", "The deadline is safe.", "We expect to finish on time.",
        "We are right where we should be.", "Work proceeds as planned.", "The project is progressing as planned.", "The timeline is being met.", "The plan is being followed without trouble.", "Progress matches the plan.", "Half of the tasks are done, which is just what the plan says.",
        "We are making good progress and keep our dates.", "There are no obstacles, the end date stays.", "The end date of {date} can be kept.", "The delivery on {date} is not in danger.", "{n} percent are finished, exactly as planned.", "{n} tasks are finished and the rest is on time.", "Each milestone so far was met in time.",
        "The last milestone was reached in time, the next one will be too.", "Nothing stands in the way of the planned finish.", "We are well within the schedule.", "The project runs smoothly.", "The work runs [smoothly|without a hitch|like clockwork].", "Things go as they should, on time.", "No delays to report.",
        "No reason to worry, the schedule is kept.", "The project is in good shape and on time.", "The team keeps pace with the plan.", "We remain on schedule.", "Current state: on schedule.", "Time and cost are within the plan.", "As of today we are on time.", "According to plan, we are in the second phase.",
        "The planned finish remains {date}.", "Steady progress, all dates hold.", "The work is in progress and on time.", "We go ahead just as planned.", "The trial run went well, the schedule stays as it is.", "All teams report that they are on time.",
    ),
    "delayed": (
        "We are [behind schedule|late|two weeks behind].", "The project is delayed.", "The deadline will be missed.", "Status: delayed.", "The launch had to be postponed.", "We lost a week because of missing parts.", "The supplier is late and so are we.", "The date slips to {date}.", "There is a delay of {n} days.",
        "We will not make it in time.", "Problems hold us back, the plan has to be moved.", "It takes longer than expected.", "We are {n} days late.", "Delayed by {n} days.", "The schedule has slipped.", "The schedule slipped by {n} days.", "We have fallen behind.", "We have fallen behind the plan.",
        "The end date had to be moved to {date}.", "The finish was moved to {date}.", "The planned date can no longer be kept.", "We cannot keep the deadline.", "The deadline has passed and we are not finished.", "The work should have been finished by now, but it is not.", "The finish is later than planned.",
        "The project takes {n} days longer.", "More time is needed than planned.", "We need {n} more days.", "We asked for an extension until {date}.", "The milestone was missed.", "Two milestones were missed.", "The work stalled because [parts are missing|a supplier failed|two people are ill].",
        "Because of illness in the team we are behind.", "The work has come to a halt, which costs us time.", "An open question holds everything up.", "The permit is missing, so the work is held up.", "The project is overdue.", "Everything has been pushed back by {n} days.", "We had to push the date back.",
        "The delivery of parts comes too late, and the plan cannot be kept.", "Late, new date: {date}.", "New end date after the delay: {date}.", "There are delays.", "There is a serious delay.", "The project lags behind the plan.", "The project drags on beyond its date.", "We lost {n} days.", "It has slipped again.",
        "The launch is postponed until {date}.", "Current state: behind schedule.", "Current state: late.", "We are running late.", "The team is behind with its tasks.", "The finish in time is out of reach.", "The test failed, which sets us back by {n} days.", "Bad weather has thrown us back.",
        "A setback: we will finish later than planned.",
    ),
    "done": (
        "The work is [done|finished|complete|completed].", "The project was closed successfully.", "All work has been completed.", "Status: done.", "Everything was delivered last week.", "We have finished, only the clean-up remains.", "The customer accepted the final result.",
        "The last milestone is behind us and the project is over.", "The project came to its end on {date}.", "We are through, thanks to all.", "All parts are live and signed off.", "It is wrapped up.", "We are done.", "All done.", "It is finished.", "Finished on {date}.", "Completed on {date}.",
        "The project has been completed.", "The project has been brought to an end.", "The project is over.", "All tasks are finished.", "All {n} tasks are ticked off.", "Nothing is left to do.", "There is nothing left to do on this project.", "The final version was handed over.", "The final version was handed over on {date}.",
        "The result has been delivered and accepted.", "The customer signed off on {date}.", "The final report is written and the project is closed.", "We closed the project on {date}.", "The files were archived, as the project is finished.", "Final acceptance took place on {date}.", "With the acceptance the project is closed.",
        "The goal was reached and the team moves on to other work.", "The goal has been reached.", "The work came to a good end.", "We brought it to a close.", "We looked back on the finished project.", "The finished work was handed over to the customer.", "Everything that was planned has been carried out.",
        "The work is behind us.", "We completed the last step.", "The last task was closed.", "The last open item has been settled, so it is complete.", "Current state: finished.", "Current state: closed.", "Project closed.", "Project completed, thank you all.", "The work ended on {date} with success.",
        "It was completed [last month|last week|yesterday].", "Since {date} the work is complete.", "It has been fully carried out.", "The team celebrated the end of the project.", "The system is live and the project is at its end.", "We ended the project as a success.", "Job done.", "Mission accomplished.",
        "We can tick it off.",
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
        composed = not w.heldout and w.chance(0.5)
        row = layouts.action_row(w, ACTION_ROWS) if composed else w.template(ACTION_ROWS)
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
        return plain(w, STATUS_CUES[status], fill, STATUS_CLAUSES[status])
    return w.say(STATUS_CLAUSES[status], **fill)
