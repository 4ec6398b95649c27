"""Domains of reports and announcements, as domains.py holds them: a device, an event, a person."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

from . import values
from .concepts import Concept, Domain, one_of, some_of, whole

DEVICE = Domain(
    "device report",
    (
        "Service report", "Inspection done.", "Device check.", "Automatic status message.", "Lab log", "Maintenance record.", "Report from the workshop.", "Results of the visit", "Hello, the check is finished.", "Field service note",
        "Test protocol", "Log entry", "Message from the monitoring.", "The yearly inspection is over.", "Technical sheet", "Notes from the plant.", "We looked at the equipment.", "Self-test finished.", "Routine control",
        "Summary for the operator.", "Please file this report.", "Visit of the service team.",
    ),
    (
        Concept(("device", "machine", "unit", "device_name", "instrument"), "string",
            lambda w: f"{values.capitalised(w)} {values.model_code(w)}",
            (
                "The device is {v}.", "We checked {v}.", "Report for {v}.", "Unit {v} was inspected.", "This concerns {v}.", "{v} was tested.", "We had a look at {v}.", "The unit is called {v}.", "Equipment: {v}.", "The report is about {v}.",
                "Today's check was on {v}.", "{v} was on the bench.", "The inspected machine is {v}.", "{v} was looked at.", "The check covered {v}.", "It is a {v}.", "The machine in the hall is {v}.", "Model {v}.", "We opened {v}.",
                "{v} has been examined.", "Tested: {v}.", "Device under test: {v}.", "The instrument was {v}.", "Our unit {v} sent this message.", "Subject of the inspection is {v}.",
            ),
            (
                "Which device was checked?", "What is the device?", "Which unit is it?", "What machine is the report about?", "What was tested?", "Which device is concerned?", "What was checked?", "What machine was examined?",
                "Which instrument was looked at?", "Which equipment is it?", "What was inspected?", "On what was the check?", "What is the unit called?", "What model is it?", "What was on the bench?", "Which machine sent the message?",
                "What is the report about?", "Which device was tested?", "What equipment did they look at?", "Name the device.",
            ), (
                "Device", "Unit", "Machine", "Device name", "Equipment", "Model", "Instrument",
            )),
        Concept(("serial", "serial_number", "serial_no", "sn"), "string", values.code,
            (
                "Its serial number is {v}.", "Serial {v}.", "S/N {v}.", "The plate says {v}.", "Serial no.: {v}.", "It carries the serial {v}.", "It bears the number {v}.", "Stamped with {v}.", "The serial reads {v}.", "Engraved on the back is {v}.",
                "The number on the plate is {v}.", "On the housing you find {v}.", "Identified by serial {v}.", "SN {v}.", "Factory number {v}.", "Serial number {v}.", "The maker gave it the number {v}.", "The sticker shows {v}.", "Built as number {v}.",
                "It was delivered with serial {v}.", "Serial as printed: {v}.", "The type plate carries {v}.", "The unit with serial {v}.", "No. {v} on the housing.",
            ),
            (
                "What is the serial number?", "Which serial is it?", "What does the plate say?", "Give the serial number.", "What serial does it carry?", "What is the serial?", "What number is on the plate?", "What is engraved on it?",
                "What does the sticker show?", "Which number does the housing show?", "What is the factory number?", "What does the type plate say?", "What is stamped on it?", "By what serial is it identified?", "Which number did the maker give it?",
                "What number does it bear?", "S/N?", "Serial number?", "What is the S/N?", "Which serial number does it carry?", "What number was it built as?",
            ), (
                "Serial", "S/N", "Serial no.", "Serial number", "SN", "Factory no.", "Plate",
            )),
        Concept(("temperature", "temp", "temperature_c", "degrees"), "integer", whole(2, 98),
            (
                "The temperature is {v} degrees.", "It runs at {v} degrees.", "Temperature: {v} C.", "We measured {v} degrees.", "The probe shows {v} C.", "{v} degrees inside.", "It got {v} degrees warm.", "The sensor reads {v} degrees.",
                "The thermometer shows {v} degrees.", "Working temperature: {v} degrees.", "At the time it had {v} C.", "Heat: {v} degrees.", "A temperature of {v} degrees was measured.", "Measured: {v} C.", "It is {v} degrees warm.",
                "The core is at {v} degrees.", "Inside it is {v} degrees.", "Reading of the thermometer: {v}.", "The housing had {v} degrees.", "{v} degrees on the display.", "{v} C was the reading.", "Temp. {v} C.", "We read off {v} degrees.",
            ),
            (
                "What is the temperature?", "How hot is it?", "How many degrees were measured?", "What temperature was measured?", "What does the probe show?", "At what temperature does it run?", "What does the thermometer show?", "How warm is it?",
                "How warm did it get?", "How many degrees is it?", "What does the sensor read?", "At how many degrees is it?", "How many degrees has the core?", "What is the working temperature?", "Temperature?", "How many degrees inside?",
                "What was the reading of the thermometer?", "What heat was measured?", "What was read off in degrees?", "How many degrees on the display?", "How many C?",
            ), (
                "Temperature", "Temp", "Degrees", "Temperature (C)", "Reading (C)",
            )),
        Concept(("state", "status", "condition", "health"), "enum:ok|warning|fault", one_of("ok",
            "warning", "fault"),
            (
                "The state is {v}.", "Status: {v}.", "It reports {v}.", "The lamp says {v}.", "Result: {v}.", "Condition {v}.", "The device is in state {v}.", "Overall: {v}.", "Verdict: {v}.", "The outcome is {v}.", "It was rated {v}.",
                "The display shows {v}.", "We mark it as {v}.", "Judged as {v}.", "The self-test ended with {v}.", "Assessment: {v}.", "The panel says {v}.", "Flag: {v}.", "It came out as {v}.", "The check ended in {v}.", "Its condition is {v}.",
                "Current status is {v}.", "State: {v}.",
            ),
            (
                "What is the state?", "Which status does it report?", "What is the result?", "What condition is it in?", "What is the outcome?", "How was it rated?", "What does the display show?", "How did the check end?", "What is the verdict?",
                "What is the overall assessment?", "With what did the self-test end?", "In which state is the device?", "How was it judged?", "What status is shown?", "What does the lamp say?", "Status?",
            ), (
                "State", "Status", "Condition", "Result", "Verdict", "Outcome", "Health",
            )),
        Concept(("technician", "inspector", "checked_by", "operator"), "string", values.person,
            (
                "Checked by {v}.", "The technician was {v}.", "{v} did the work.", "Signed, {v}.", "Operator: {v}.", "{v} carried out the inspection.", "{v} looked after it.", "{v} checked it.", "Inspected by {v}.", "The check was done by {v}.",
                "Work done by {v}.", "{v} signed the report.", "On site was {v}.", "The report was written by {v}.", "Technician: {v}.", "{v} from our service team came.", "Regards from the workshop, {v}.", "Our colleague {v} examined it.",
                "The inspector was {v}.", "{v} opened it and tested it.", "Responsible: {v}.", "Hands on: {v}.", "Signed off by {v}.", "The person who tested it is {v}.",
            ),
            (
                "Who checked it?", "Who is the technician?", "Who did the inspection?", "Who signed?", "What is the name of the technician?", "Who did the work?", "Who looked after it?", "Who tested it?", "By whom was it checked?",
                "Which technician came?", "Who was on site?", "Who wrote the report?", "Who examined the device?", "Who was the inspector?", "Whose signature is under it?", "Who opened it?", "Which person checked it?", "Who signed it off?",
                "Who carried out the check?", "Who is responsible for the inspection?", "Inspected by whom?",
            ), (
                "Technician", "Checked by", "Operator", "Inspector", "Signed", "Work done by", "Inspected by",
            )),
        Concept(("next_check", "next_service", "next_inspection", "due"), "date", values.date,
            (
                "The next check is on {v}.", "Next service: {v}.", "Come back on {v}.", "The next inspection is planned for {v}.", "To be checked again by {v}.", "Service again on {v}.", "We come again on {v}.", "Follow-up on {v}.",
                "The follow-up visit is {v}.", "Next visit: {v}.", "See you again on {v}.", "The coming inspection falls on {v}.", "Please have it checked again on {v}.", "Due for service on {v}.", "It has to be inspected again on {v}.",
                "The next maintenance is on {v}.", "Next inspection: {v}.", "Another check follows on {v}.", "The service is to be repeated on {v}.", "Mark {v} for the next check.", "The next appointment for it is {v}.", "On {v} it will be checked again.",
                "Recheck {v}.", "Look at it again on {v}.",
            ),
            (
                "When is the next check?", "When is the next service?", "What is the date of the next inspection?", "When must it be checked again?", "On which day is the next service?", "When do they come back?", "When will it be checked again?",
                "When is the next visit?", "When do we see them again?", "When is the follow-up?", "On what date is the next maintenance?", "When is the coming inspection?", "When does the next check take place?", "For when is the next service planned?",
                "When should it be inspected again?", "Next check when?", "On which date is the recheck?", "When is the service repeated?", "When is service due?", "By when must it be inspected again?",
            ), (
                "Next check", "Next service", "Next inspection", "Next visit", "Recheck", "Service due",
            )),
        Concept(("battery", "battery_percent", "charge"), "integer", whole(1, 100),
            (
                "The battery is at {v} percent.", "Battery: {v}%.", "Charge level {v} percent.", "{v}% battery left.", "The battery shows {v} percent.", "It has {v} percent of charge.", "The battery has {v} percent.", "{v} percent charged.",
                "Power left: {v}%.", "The cell is at {v}%.", "Battery level: {v} percent.", "The accumulator holds {v} percent.", "Still {v}% in the battery.", "It is charged to {v} percent.", "The battery is {v}% full.", "Charge: {v}%.",
                "The charge stands at {v} percent.", "Remaining charge is {v}%.", "A charge of {v} percent was read.", "Its battery reads {v} percent.", "The power pack is at {v} percent.", "{v}% charge.", "Batteries at {v}%.",
            ),
            (
                "What is the battery level?", "How full is the battery?", "How much charge is left?", "What does the battery show?", "How many percent has the battery?", "At how many percent is the battery?", "How much power is left?",
                "What is the charge?", "What is the charge in percent?", "To how many percent is it charged?", "How full is the power pack?", "How many percent are left in the battery?", "What is the remaining charge?", "What level has the battery?",
                "How much battery is left?", "Battery level?", "How well is it charged, in percent?", "At what level is the charge?", "How many percent does it have left?",
            ), (
                "Battery", "Charge", "Battery level", "Power left", "Battery %", "Charge level",
            )),
        Concept(("needs_service", "needs_repair", "repair_needed"),
            "boolean:A repair is needed.|It must be repaired.|It needs service soon.|It has to be repaired.|Repair is required.|Somebody must repair it.|We recommend a repair at once.|It should go to the workshop for repair.|It is broken and needs fixing.|Please arrange a repair.|A part must be fixed.|It requires service.|Without a repair it cannot stay in use.|It wants repair.|Have it repaired.|Somebody has to fix it.|The workshop must look at it.|It does need service.:No repair is needed.|It does not need any service.|It can go on without service.|It does not have to be repaired.|No service is required.|There is nothing to repair.|It needs no fixing.|Repair is not required.|It may stay in use without a repair.|Nothing has to be fixed.|You need not arrange a repair.|No part must be fixed.|It needs no service at all.|It was not broken.|Nobody has to repair it.|It does not have to go to the workshop.|There is no need for a repair.|No one needs to fix anything.|A repair is not called for.|It works, so no service.",
            one_of("yes", "no"), (), (
                "Is a repair needed?", "Must it be repaired?", "Does it need service?", "Does it have to be repaired?", "Is service required?", "Does it need a repair?", "Is there something to repair?", "Should a repair be arranged?",
                "Does something have to be fixed?", "Is a repair necessary?", "Repair needed?", "Does the device need fixing?",
            )),
    ),
)
EVENT = Domain(
    "event announcement",
    (
        "You are invited!", "Save the date.", "Dear friends,", "Announcement", "Coming soon.", "Programme note.", "Join us!", "Mark your calendar.", "News from the culture office.", "Hear, hear!", "Hello neighbours,", "Tickets are out now.",
        "What is on in town", "Flyer", "Poster text", "Dear members,", "Do not miss this.", "We would love to see you.", "From the events calendar.", "Invitation", "Season preview.", "The doors will open soon.",
    ),
    (
        Concept(("title", "event", "name", "event_name"), "string",
            lambda w: f"{values.capitalised(w)} {w.pick(('Festival', 'Concert', 'Fair', 'Evening', 'Conference', 'Market', 'Lecture', 'Run', 'Exhibition'))}",
            (
                "The event is called {v}.", "{v} is back.", "We present: {v}.", "Come to {v}.", "Title: {v}.", "{v} takes place again.", "It is called {v}.", "This year's {v} is near.", "Get ready for {v}.", "The name of the event is {v}.",
                "We invite you to {v}.", "Welcome to {v}.", "{v} returns.", "Join us for {v}.", "You are invited to {v}.", "Do not miss {v}.", "Event: {v}.", "{v} is about to open its doors.", "The poster says {v}.", "Announcing {v}.", "Be part of {v}.",
                "We are proud to host {v}.", "Under the title {v}.", "{v} is coming.", "Our event {v} is almost here.",
            ),
            (
                "What is the event called?", "What is the title?", "Which event is it?", "What is the name of the event?", "What are people invited to?", "What takes place?", "How is the event called?", "What is coming?", "What are we invited to?",
                "What should one not miss?", "Which event is announced?", "What returns?", "What does the poster say?", "Under which title is it held?", "To what are people welcome?", "What is being announced?", "What can one join?", "What is it called?",
                "Name the event.", "What event should people come to?",
            ), (
                "Event", "Title", "What", "Event name", "Name of event", "Title of event", "Programme",
            )),
        Concept(("venue", "location", "place", "where"), "string",
            lambda w: f"{values.capitalised(w)} {w.pick(('Hall', 'Park', 'Theatre', 'Museum', 'Library', 'Arena', 'Square'))}",
            (
                "It takes place at {v}.", "The venue is {v}.", "Where: {v}.", "We meet at {v}.", "Location: {v}.", "You find us at {v}.", "Find us at {v}.", "The doors of {v} are open for you.", "At {v}.", "{v} is the place.", "The event is held at {v}.",
                "{v} is where we meet.", "It will be held at {v}.", "The stage is at {v}.", "Come over to {v}.", "Place: {v}.", "We see you at {v}.", "Everything happens at {v}.", "We have rented {v}.", "{v} opens its gates for us.", "The setting is {v}.",
                "Head to {v}.", "This time we are at {v}.", "Held at {v}.",
            ),
            (
                "Where is it?", "What is the venue?", "Where does the event take place?", "At which place is it?", "What is the location?", "Where do people meet?", "Where is it held?", "Where does it happen?", "Where is the stage?",
                "At what place do people meet?", "Which venue was rented?", "To which place should one come?", "Where will it be?", "Where can one find them?", "What is the place?", "In what place does it happen?", "Where should one head?",
                "What is the setting?", "Where to?", "At which venue is the event?",
            ), (
                "Venue", "Where", "Location", "Place", "Held at", "Meeting point", "Where to",
            )),
        Concept(("date", "event_date", "day", "when"), "date", values.date,
            (
                "It is on {v}.", "The date is {v}.", "When: {v}.", "Come on {v}.", "It happens on {v}.", "We start on {v}.", "Mark {v} in your calendar.", "See you on {v}.", "The day is {v}.", "We meet on {v}.", "It takes place on {v}.",
                "Save {v} for us.", "On {v} the doors open.", "Keep {v} free.", "Date: {v}.", "The event is set for {v}.", "{v} is the day.", "It will be held on {v}.", "The big day is {v}.", "Be there on {v}.", "On {v} it happens.", "Planned for {v}.",
                "Happening on {v}.", "Doors open on {v}.", "The calendar says {v}.",
            ),
            (
                "When is it?", "What is the date of the event?", "On which day does it happen?", "When does the event take place?", "What day is it on?", "On what date should people come?", "When does it take place?", "When do the doors open?",
                "Which day should be kept free?", "What is the big day?", "On what day is the event?", "When should people come?", "For when is it set?", "When will it be held?", "When does it happen?", "Which date should one save?",
                "What date is marked?", "On which date is it held?", "When do people meet?", "On what day do they start?",
            ), (
                "Date", "When", "Day", "Event date", "On", "Date of event", "Takes place",
            )),
        Concept(("speaker", "host", "artist", "guest"), "string", values.person,
            (
                "{v} will speak.", "The host is {v}.", "With {v} on stage.", "Our guest is {v}.", "Meet {v}.", "{v} leads through the evening.", "{v} is our guest.", "{v} is going to talk.", "Hosted by {v}.", "On stage: {v}.", "{v} takes the stage.",
                "We welcome {v} on stage.", "A talk by {v}.", "{v} presents.", "We are glad to have {v}.", "{v} is the speaker.", "Guided by {v}.", "You will hear {v}.", "The evening belongs to {v}.", "{v} hosts it.", "Led by {v}.", "Starring {v}.",
                "Special guest: {v}.", "{v} will be there to talk to you.", "Come and hear {v}.",
            ),
            (
                "Who will speak?", "Who is the host?", "Who is the guest?", "Who is on stage?", "Who leads the event?", "Whom can people meet?", "Who takes the stage?", "Who presents?", "Who hosts it?", "Who is going to talk?", "Whom will people hear?",
                "Who is the special guest?", "By whom is it hosted?", "Who gives the talk?", "Who leads it?", "To whom does the evening belong?", "Which person is on stage?", "Who is welcomed on stage?", "Who is starring?", "Whom can one hear?",
            ), (
                "Speaker", "Host", "Guest", "On stage", "Hosted by", "Special guest", "Talk by",
            )),
        Concept(("ticket_price", "price", "entry_fee", "fee"), "decimal", lambda w: values.amount(w,
            120),
            (
                "Tickets cost {v}.", "The ticket price is {v}.", "Entry: {v}.", "One ticket is {v}.", "You pay {v} at the door.", "The fee is {v}.", "Entry costs {v}.", "A seat costs {v}.", "You get in for {v}.", "Price per ticket: {v}.",
                "Tickets are sold at {v}.", "Get your ticket for {v}.", "Entry fee: {v}.", "We ask {v} for entry.", "The entrance is {v}.", "Admission {v}.", "A ticket sets you back {v}.", "It is {v} per head.", "Tickets from the box office cost {v}.",
                "Everyone pays {v}.", "{v} per person.", "One entry costs {v}.", "To get in you need {v}.", "The price of a ticket is {v}.", "At the door it is {v}.",
            ),
            (
                "How much is a ticket?", "What does entry cost?", "What is the ticket price?", "What is the fee?", "How much do people pay?", "What does it cost to come?", "How much is entry?", "What do people pay to get in?", "How much is admission?",
                "What does a ticket cost?", "What does it cost per person?", "For how much does one get in?", "At what price are tickets sold?", "What does a seat cost?", "How much does everyone pay?", "What is the price of a ticket?",
                "How expensive is a ticket?", "Ticket price?", "What is asked for entry?", "How much money does one need at the door?",
            ), (
                "Tickets", "Entry", "Price", "Ticket price", "Admission", "Entry fee", "Per person",
            )),
        Concept(("seats", "capacity", "places", "max_guests"), "integer", whole(12, 900),
            (
                "There are {v} seats.", "The capacity is {v}.", "Room for {v} people.", "{v} places are left.", "Only {v} seats.", "We have {v} chairs.", "{v} people can come.", "We have {v} seats.", "There is room for {v}.", "The hall holds {v}.",
                "No more than {v} people.", "Limited to {v} guests.", "{v} guests fit in.", "Space for {v} guests.", "Seats: {v}.", "{v} chairs are set up.", "We can host {v} people.", "{v} seats are waiting.", "Up to {v} people may come in.",
                "The room takes {v} visitors.", "At most {v} visitors.", "{v} seats, not one more.", "A maximum of {v} guests.", "Capacity: {v}.", "We set up {v} seats.",
            ),
            (
                "How many seats are there?", "What is the capacity?", "For how many people is there room?", "How many places are there?", "How many guests fit in?", "How many chairs are there?", "How many people can come?", "How many does the hall hold?",
                "What is the limit of guests?", "How many visitors does the room take?", "How many people fit in?", "How many seats were set up?", "To how many guests is it limited?", "For how many is there space?", "How many guests can they host?",
                "What is the maximum of guests?", "How many may come in?", "How many seats?", "How large is the hall, in seats?", "How many visitors at most?",
            ), (
                "Seats", "Capacity", "Places", "Number of seats", "Room for", "Max. guests", "Places in the hall",
            )),
        Concept(("topics", "tags", "themes", "subjects"), "strings", some_of("music", "food",
            "history", "science", "film", "poetry", "sports", "travel", "gardens", "health", "art",
            "robots", "energy", "books", "trade", "dance"),
            (
                "Topics: {v}.", "It is about {v}.", "Themes are {v}.", "The subjects are {v}.", "We talk about {v}.", "On the programme: {v}.", "The evening deals with {v}.", "Themes: {v}.", "We cover {v}.", "Subjects: {v}.", "There will be talks on {v}.",
                "Everything around {v}.", "Tagged {v}.", "Fans of {v} will like it.", "You will learn about {v}.", "The focus is on {v}.", "The programme covers {v}.", "It is all about {v}.", "Expect {v}.", "The main topics are {v}.",
                "For friends of {v}.", "Dedicated to {v}.", "Talks and shows on {v}.", "Come if you like {v}.", "The day is devoted to {v}.",
            ),
            (
                "What are the topics?", "What is it about?", "Which themes are named?", "What subjects are there?", "What do they talk about?", "What is on the programme?", "What does the evening deal with?", "What is covered?",
                "What will people learn about?", "On what are the talks?", "What is the focus on?", "To what is the day devoted?", "For friends of what is it?", "What does the programme cover?", "Which subjects are covered?", "What are the themes?",
                "What is it all about?", "What can one expect?", "Which topics are there?", "With what topics does it deal?", "What are the tags?",
            ), (
                "Topics", "Themes", "Tags", "Subjects", "Focus", "Covers", "About",
            )),
    ),
)
PROFILE = Domain(
    "profile",
    (
        "About me.", "A short portrait.", "Member card", "Who is who.", "Introduction.", "Team page.", "Portrait of a neighbour.", "From the staff magazine.", "New faces", "Page from the yearbook.", "Short biography",
        "Hello and welcome to our newest member.", "Contact card", "Meet the team.", "Membership record", "Some facts.", "People in our club", "Who we are.", "Personal sheet", "Our member of the month.", "A few words about someone special.",
        "From the directory.",
    ),
    (
        Concept(("name", "person", "full_name", "member"), "string", values.person,
            (
                "This is {v}.", "Meet {v}.", "The name is {v}.", "{v} is a member.", "We introduce {v}.", "{v} joined the club.", "Our member is called {v}.", "The member's name is {v}.", "Say hello to {v}.", "Name: {v}.", "Here comes {v}.",
                "This page is about {v}.", "The person in the picture is {v}.", "Please welcome {v}.", "{v} is part of the team.", "{v} is new here.", "Get to know {v}.", "Let us introduce {v}.", "The portrait shows {v}.", "You are reading about {v}.",
                "We are happy to have {v}.", "{v} belongs to us.", "Everyone knows {v}.", "The card belongs to {v}.", "A portrait of {v}.",
            ),
            (
                "Who is it about?", "What is the name?", "Who is introduced?", "Who joined the club?", "Which person is it?", "What is the person's name?", "Whom does the portrait show?", "Whose card is it?", "Who is new?", "Who is in the picture?",
                "Whom do we get to know?", "About whom is this page?", "Who is the member?", "What is the member called?", "To whom does the card belong?", "Whom should one welcome?", "Which member is introduced?", "Who is presented here?",
                "Whose profile is it?", "What is the member's name?",
            ), (
                "Name", "Member", "Person", "Full name", "Name of member", "Card holder", "Who",
            )),
        Concept(("age", "years_old", "age_years"), "integer", whole(18, 90),
            (
                "The age is {v}.", "{v} years old.", "Aged {v}.", "Turned {v} this year.", "Now {v} years old.", "Age: {v}.", "The person is {v} years old.", "{v} years of age.", "At the age of {v}.", "{v} candles on the last cake.", "Just turned {v}.",
                "{v} years young.", "Years of age: {v}.", "Has reached the age of {v}.", "Looks back on {v} years of life.", "At {v}, still full of plans.", "Is {v}.", "Has lived for {v} years.", "Aged {v} by now.", "Currently {v} years old.",
                "{v} years old at the moment.", "Has turned {v}.", "Age {v}.",
            ),
            (
                "How old is the person?", "What is the age?", "What age is given?", "How many years old?", "Which age is stated?", "How old?", "How many years has the person lived?", "How many years of age?", "What age has the person reached?",
                "How old is the member?", "What age did the person turn?", "How many candles were on the cake?", "At what age is the person?", "How many years old is the member?", "Tell me how old the person is.", "How old are they?", "Age of the person?",
                "How old is this person now?", "What is the person's age?", "What age is the member?",
            ), (
                "Age", "Years old", "Age (years)", "Years of age",
            )),
        Concept(("city", "home_town", "lives_in", "residence"), "string", values.city,
            (
                "Lives in {v}.", "Home is {v}.", "The home town is {v}.", "Based in {v}.", "Moved to {v}.", "At home in {v}.", "Has a home in {v}.", "A resident of {v}.", "Found a home in {v}.", "Lives and sleeps in {v}.", "The address is in {v}.",
                "Has a flat in {v}.", "The city is {v}.", "Calls {v} home.", "{v} is home.", "Resides in {v}.", "Settled in {v}.", "Has lived in {v} for a while.", "Home town: {v}.", "Rents a place in {v}.", "Now living in {v}.",
                "You find the front door in {v}.", "Has a house in {v}.", "Stays in {v} all year.",
            ),
            (
                "Where does the person live?", "In which city?", "What is the home town?", "Where is home?", "Which city does the person live in?", "Where is the person based?", "Where is the person's home?", "In which town is the flat?",
                "What city is home?", "Where does the member live?", "Where did the person settle?", "In which place does the person reside?", "Of which city is the person a resident?", "What place does the person call home?",
                "In what town does the person live?", "Where is the house?", "In which city is the address?", "Which city is named as home?", "Where does the person stay all year?", "What is the place of residence?",
            ), (
                "City", "Home", "Lives in", "Home town", "Residence", "Based in", "Resident of",
            )),
        Concept(("occupation", "job", "profession", "work"), "string", one_of(
            *["baker", "gardener", "pilot", "doctor", "painter", "lawyer", "farmer", "plumber", "dentist", "journalist", "musician", "carpenter", "barber", "tailor", "chemist", "waiter", "sailor", "writer"]),
            (
                "Works as a {v}.", "The occupation is {v}.", "By trade a {v}.", "Earns a living as a {v}.", "Job: {v}.", "Trained as a {v}.", "Is a {v} by profession.", "A {v} by trade.", "Makes money as a {v}.", "Profession: {v}.", "Has a job as a {v}.",
                "Occupation: {v}.", "Earns money as a {v}.", "Is employed as a {v}.", "In working life a {v}.", "The job is {v}.", "Became a {v} after school.", "The profession is {v}.", "Learned to be a {v}.", "On weekdays a {v}.",
                "Has worked as a {v} for long.", "Gets paid as a {v}.", "A trained {v}.", "Chose to be a {v}.", "Professionally, a {v}.",
            ),
            (
                "What is the occupation?", "What does the person do for work?", "What is the job?", "Which profession is named?", "What is the person's trade?", "What does the person work as?", "What does the person do?", "As what does the person work?",
                "What is the profession?", "How does the person earn a living?", "What trade did the person learn?", "What is the person by profession?", "What did the person become?", "What job does the person have?",
                "What kind of work does the person do?", "What is the work?", "As what was the person trained?", "What is the member's occupation?", "What does the person do on weekdays?", "How does the person make money?",
            ), (
                "Job", "Occupation", "Work", "Profession", "Trade", "Works as", "By profession",
            )),
        Concept(("employer", "company", "works_for", "organisation"), "string", values.company,
            (
                "Employed at {v}.", "The employer is {v}.", "On the payroll of {v}.", "Works for {v}.", "Company: {v}.", "Joined {v} some time ago.", "Has a contract with {v}.", "Found work at {v}.", "Is on staff at {v}.", "Paid by {v}.", "Works at {v}.",
                "Has a desk at {v}.", "The company is {v}.", "The firm is {v}.", "{v} is the employer.", "Hired by {v}.", "{v} pays the wage.", "Employer: {v}.", "Part of the staff of {v}.", "Goes to work at {v}.", "The wage comes from {v}.",
                "In the service of {v}.", "A long-time employee of {v}.", "Signed a contract with {v}.", "Draws a salary from {v}.",
            ),
            (
                "Who is the employer?", "For which company does the person work?", "Where is the person employed?", "What company is named?", "Whom does the person work for?", "Which firm is it?", "Who pays the wage?", "Where does the person work?",
                "On whose staff is the person?", "With which firm is the contract?", "Who hired the person?", "Which company pays the person?", "Where does the person have a desk?", "At what company is the person?", "By whom is the person employed?",
                "From whom does the wage come?", "What is the name of the employer?", "Which employer is named?", "What firm does the person work for?", "In whose service is the person?",
            ), (
                "Employer", "Company", "Works for", "Firm", "Employed at", "Organisation",
            )),
        Concept(("languages", "speaks", "spoken_languages"), "strings", some_of("English", "French",
            "German", "Polish", "Arabic", "Hindi", "Spanish", "Italian", "Dutch", "Greek",
            "Turkish", "Korean"),
            (
                "Speaks {v}.", "Languages: {v}.", "The languages are {v}.", "Fluent in {v}.", "Can talk in {v}.", "Knows {v}.", "Masters {v}.", "Is able to speak {v}.", "Talks in {v}.", "Languages spoken: {v}.", "Can hold a conversation in {v}.",
                "Grew up speaking {v}.", "Converses in {v}.", "Has learned {v}.", "You can talk to this person in {v}.", "Reads and writes {v}.", "Can speak {v}.", "Understands {v}.", "Feels at ease in {v}.", "{v} can be spoken with this person.",
                "Language skills: {v}.", "Answers in {v}.", "Happy to chat in {v}.", "Has a good command of {v}.", "Spoken: {v}.",
            ),
            (
                "Which languages does the person speak?", "What languages are named?", "What does the person speak?", "In which languages is the person fluent?", "Which languages are known?", "What are the languages?", "What can the person speak?",
                "In what languages can one talk to the person?", "What languages can the person use?", "What does the person have a command of?", "Which languages were learned?", "Which languages are spoken?", "What are the spoken languages?",
                "In which languages does the person answer?", "Which languages does the person master?", "Which languages does the person understand?", "Which tongues are named?", "In what languages does the person chat?",
                "What languages does the member know?", "Languages?",
            ), (
                "Languages", "Speaks", "Spoken languages", "Fluent in", "Language skills", "Knows",
            )),
        Concept(("friend", "partner", "colleague"), "string", values.first_name,
            (
                "The best friend is {v}.", "Often seen with {v}.", "A close friend of {v}.", "Shares a flat with {v}.", "{v} is the best friend.", "Goes hiking with {v}.", "{v} is a good friend.", "Friends with {v}.", "Spends weekends with {v}.",
                "Has a friend called {v}.", "The friend is {v}.", "A friend named {v}.", "Best friends with {v}.", "{v} is a close friend.", "Has been friends with {v} since school.", "Friend: {v}.", "Often laughs with {v}.", "Goes on holiday with {v}.",
                "Plays cards with a friend, {v}.", "Closest to {v}.", "{v} is always around.", "A pal of {v}.", "Never goes out without {v}.", "Hangs out with {v}.", "Shares secrets with {v}.",
            ),
            (
                "Who is the friend?", "Who is the best friend?", "With whom is the person friends?", "Which friend is named?", "What is the friend's name?", "Whose friend is it?", "Who is a good friend?", "Who is close to the person?",
                "With whom are weekends spent?", "Who is always around?", "With whom is the person often seen?", "Whom does the person hang out with?", "What is the friend called?", "Who goes on holiday with the person?", "Whose pal is the person?",
                "With whom does the person share secrets?", "Who is the closest friend?", "To whom is the person closest?", "With whom does the person go out?", "Friend's name?",
            ), (
                "Friend", "Best friend", "Friends with", "Close friend",
            )),
        Concept(("member_since", "joined", "since", "join_date"), "date", values.date,
            (
                "Member since {v}.", "Joined on {v}.", "With us since {v}.", "The membership began on {v}.", "On board since {v}.", "Came to us on {v}.", "The first day in the club was {v}.", "Signed up on {v}.", "Became a member on {v}.", "Joined: {v}.",
                "Membership from {v}.", "Entered the club on {v}.", "A member from {v} on.", "In the club since {v}.", "Came on board on {v}.", "Registered with us on {v}.", "Took out a membership on {v}.", "Part of the club since {v}.",
                "The membership started on {v}.", "Enrolled on {v}.", "Belongs to us since {v}.", "The joining date is {v}.", "One of us since {v}.",
            ),
            (
                "Since when is the person a member?", "When did the person join?", "When did the membership begin?", "On which day did the person join?", "What is the join date?", "Since when with the club?", "When did the person sign up?",
                "When did the membership start?", "On what date did the person become a member?", "When did the person enter the club?", "Since what day is the person in the club?", "When did the person come on board?", "From when is the membership?",
                "When did the person enrol?", "Since which date is the person part of the club?", "When did they join?", "What is the joining date?", "Joined when?", "Since when is the person one of them?", "On what day did the person register?",
                "When did the member join?",
            ), (
                "Member since", "Joined", "Joined on", "Member from", "In the club since", "Joining date",
            )),
    ),
)
OCCASIONS = (DEVICE, EVENT, PROFILE)
