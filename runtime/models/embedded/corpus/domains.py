"""The domains of varied.py as data: what their documents state and in which words."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

from collections.abc import Callable

from . import values
from .concepts import Concept, Domain
from .schema import Value
from .writer import Writer


def _int(low: int, high: int) -> Callable[[Writer], Value]:
    return lambda w: w.rng.randint(low, high)


def _one(*options: str) -> Callable[[Writer], Value]:
    return lambda w: w.pick(options)


def _list(*options: str) -> Callable[[Writer], Value]:
    return lambda w: list(w.some(options, 1, 4))


BOOKING = Domain(
    "booking",
    (
        "Booking confirmation.", "Thank you for your reservation.", "Dear guest,", "Your stay is confirmed.", "Reservation details", "We are happy to welcome you.", "New booking received.", "We have reserved a room for you.", "Hello and welcome!",
        "Reservation slip", "Your room is waiting.", "Good news from the front desk.", "Please find your booking below.", "Here is the summary of the reservation.", "Front desk note.", "Hotel voucher", "Many thanks for choosing us.",
        "Dear traveller,", "A room was booked through the website.", "The following stay is in our books.", "Note from reception.", "We confirm the reservation below.", "Hi, your trip is all set.",
    ),
    (
        Concept(("guest", "guest_name", "name", "booked_by"), "string", values.person,
            (
                "The [guest|room guest] is {v}.", "The room is booked for {v}.", "{v} will stay with us.", "Reserved by {v}.", "We expect {v}.", "{v} made this reservation.", "The booking is in the name of {v}.", "Guest: {v}.",
                "A guest called {v} will [arrive|come].", "[Please welcome|Say hello to] {v}.", "{v} has a room with us.", "Name on the booking: {v}.", "A room is held for {v}.", "This stay belongs to {v}.", "Our guest this time is {v}.",
                "We are looking forward to seeing {v}.", "{v} will sleep here.", "{v} wrote to us for a room.", "Traveller: {v}.", "A reservation came in from {v}.", "Dear {v}, your room is ready for you.", "The person staying is {v}.",
                "Room reserved under the name {v}.", "{v} (guest).", "The key will be handed to {v}.",
            ),
            (
                "Who is the guest?", "Who made the booking?", "For whom is the room booked?", "What is the name of the guest?", "Who will stay?", "In whose name is the booking?", "Who is going to stay?", "Who is travelling?",
                "For whom is the reservation?", "Under which name is the reservation?", "Who booked?", "Who will sleep in the room?", "Which guest is expected?", "What name is on the booking?", "Whose booking is it?", "Whom does the hotel expect?",
                "Who reserved the room?", "Who has the room?", "Which person is staying?", "Name of the guest, please.", "Who gets the key?",
            ), (
                "Guest", "Name", "Booked by", "Guest name", "Name of guest", "Traveller", "Guest's name", "Staying",
            )),
        Concept(("hotel", "hotel_name", "property", "place"), "string",
            lambda w: f"Hotel {values.capitalised(w)}" if w.chance(
            0.6) else f"{values.capitalised(w)} Inn",
            (
                "The stay is at {v}.", "[Hotel|Place]: {v}.", "You booked {v}.", "{v} is looking forward to it.", "The house is {v}.", "Your hotel is {v}.", "We reserved a room at {v}.", "You will stay at {v}.", "Your room is at {v}.",
                "The booking was made with {v}.", "{v} will be your host.", "Accommodation: {v}.", "You will sleep at {v}.", "The chosen house is {v}.", "Greetings from {v}.", "A room at {v} is reserved.", "{v} has accepted the booking.",
                "We at {v} are preparing everything.", "The team of {v} sends its regards.", "The reservation is for {v}.", "The lodging will be {v}.", "Overnight at {v}.", "{v} confirmed the room.", "Where you stay: {v}.",
            ),
            (
                "Which hotel is booked?", "What is the name of the hotel?", "Where is the stay?", "At which hotel?", "In which house is the room?", "Which hotel is it?", "Where will the guest sleep?", "Which house was chosen?", "Name the hotel.",
                "What is the hotel called?", "In what hotel is the room?", "Which place is booked?", "Where is the room?", "What accommodation was booked?", "Where will they stay overnight?", "With which hotel was the booking made?",
                "Which lodging is it?", "What house confirmed the room?", "At what place is the booking?", "Who is the host?",
            ), (
                "Hotel", "Property", "House", "Hotel name", "Accommodation", "Stay at", "Lodging",
            )),
        Concept(("check_in", "arrival", "check_in_date", "from_date", "start"), "date", values.date,
            (
                "Check-in is on {v}.", "Arrival [on|is] {v}.", "The stay begins on {v}.", "The room is ready from {v}.", "They arrive on {v}.", "The first night is {v}.", "Starting {v}.", "You can move in on {v}.", "The guest [comes|arrives] on {v}.",
                "From {v} the room is theirs.", "The room is taken from {v} on.", "They check in on {v}.", "First day of the stay: {v}.", "Expected at the desk on {v}.", "We expect the arrival on {v}.", "The trip starts on {v}.", "Day of arrival: {v}.",
                "The key can be collected on {v}.", "Check-in date: {v}.", "On {v} the stay starts.", "Come to the front desk on {v} to check in.", "Booked from {v}.", "Arriving {v}.", "The keys will be ready on {v}.",
            ),
            (
                "When is the check-in?", "What is the arrival date?", "When does the guest arrive?", "On which day does the stay begin?", "When is the first night?", "When does the booking start?", "When does the stay begin?", "When can they move in?",
                "On what date do they check in?", "On which date does the guest arrive?", "When will the guest come?", "From when is the room booked?", "What day is the arrival?", "Since when is the room taken?", "When does the trip start?",
                "What is the first day of the stay?", "When is the guest expected?", "When should they be at the desk?", "Check-in is when?", "From which day is the booking?", "When do they get the key?",
            ), (
                "Check-in", "Arrival", "From", "Arriving", "Day of arrival", "Check-in date", "Stay from",
            )),
        Concept(("nights", "number_of_nights", "stay_nights", "length_of_stay"), "integer", _int(1,
            21),
            (
                "The stay is {v} nights.", "For {v} nights.", "It is booked for {v} nights.", "Length of stay: {v} nights.", "{v} nights in total.", "They stay {v} nights.", "They remain {v} nights.", "The guest sleeps here for {v} nights.",
                "A stay of {v} nights.", "The room is kept for {v} nights.", "{v} nights were booked.", "Duration: {v} nights.", "The booking covers {v} nights.", "After {v} nights they leave.", "Nights: {v}.", "We have them for {v} nights.",
                "{v} nights altogether.", "They want to stay {v} nights.", "The guest leaves after {v} nights.", "The visit lasts {v} nights.", "Staying for {v} nights.", "Reserved for {v} nights.", "It will be {v} nights.",
            ),
            (
                "How many nights?", "How long is the stay?", "For how many nights is it booked?", "What is the number of nights?", "How many nights are booked?", "How many nights will they stay?", "How long will the guest stay?",
                "How long do they remain?", "How long is the room booked for?", "What is the length of the stay?", "For how long is the visit?", "How many nights does the booking cover?", "After how many nights do they leave?",
                "How many nights is the guest here?", "The stay is how many nights?", "What is the duration in nights?", "How many nights are reserved?", "Number of nights?", "How many nights in total?", "How many nights do they sleep there?",
            ), (
                "Nights", "Length of stay", "Number of nights", "Duration (nights)", "Nights booked",
            )),
        Concept(("price", "rate", "total_price", "cost"), "decimal", values.amount,
            (
                "The price is {v}.", "It costs {v}.", "The total rate is {v}.", "You pay {v} at the desk.", "Price: {v}.", "The room comes at {v}.", "The whole stay costs {v}.", "In total the room is {v}.", "Amount to pay: {v}.", "The bill will be {v}.",
                "We charge {v} for the stay.", "{v} is due at departure.", "For the stay you pay {v}.", "All in all it is {v}.", "The agreed rate is {v}.", "The room was offered at {v}.", "Total cost: {v}.", "{v} will be charged to the card.",
                "Payable at the hotel: {v}.", "The sum for the stay is {v}.", "It adds up to {v}.", "Please pay {v} on arrival.", "They were quoted {v}.",
            ),
            (
                "What is the price?", "How much does it cost?", "What does the stay cost?", "How much is to be paid?", "What is the rate?", "What is the total price?", "How much is the stay?", "How much does the room cost?", "What must the guest pay?",
                "How expensive is it?", "What will be charged?", "How much will be charged to the card?", "What does it come to?", "What sum is to be paid?", "What is the bill?", "At what price was the room offered?", "How much money is due?",
                "What does the guest owe?", "What is the cost of the stay?", "How much was quoted?",
            ), (
                "Price", "Rate", "Total", "Total price", "Cost", "To pay", "Amount",
            )),
        Concept(("room_type", "room", "category"), "enum:single|double|suite|family", _one("single",
            "double", "suite", "family"),
            (
                "It is a {v} room.", "A {v} room was chosen.", "Room type: {v}.", "We prepared a {v} room.", "The guest asked for a {v} room.", "One {v} room.", "They get a {v} room.", "The room is of the type {v}.", "Category {v}.",
                "A room of type {v} is reserved.", "Booked: one {v} room.", "You will have a {v} room.", "We kept a {v} room.", "The choice was {v}.", "Type of room: {v}.", "The {v} room was booked.", "The booking is for a {v} room.", "Kind of room: {v}.",
                "You chose the {v} room.", "Room category: {v}.", "It will be the {v} room.",
            ),
            (
                "Which room type is booked?", "What type of room is it?", "What kind of room was chosen?", "What is the room category?", "Which kind of room do they get?", "What sort of room is reserved?", "Which category was chosen?",
                "What room type was chosen?", "Which type is the room?", "What kind of room did the guest ask for?", "Of what type is the room?", "What kind of room is kept?", "Name the room type.", "What room do they get?",
            ), (
                "Room", "Room type", "Category", "Type of room", "Room category",
            )),
        Concept(("breakfast", "breakfast_included", "with_breakfast"),
            "boolean:Breakfast is included.|Breakfast is part of the price.|It comes with breakfast.|Breakfast comes free of charge.|The rate includes breakfast.|In the morning breakfast is served at no extra cost.|Booked with breakfast.|You have breakfast with it.|We added breakfast to the booking.|Breakfast is covered.|Yes to breakfast.|The guest gets breakfast every day.|Bed and breakfast.:Breakfast is not included.|The rate is without breakfast.|No breakfast.|Breakfast costs extra.|There is no breakfast in this rate.|Booked without breakfast.|Room only.|Breakfast is left out.|The guest did not want breakfast.|Meals are not part of it.|You have to pay for breakfast separately.|Breakfast is not part of the price.|Sorry, breakfast is not covered.",
            _one("yes", "no"), (), (
                "Is breakfast included?", "Does the price include breakfast?", "Is there breakfast with it?", "Does it come with breakfast?", "Is breakfast part of the booking?", "Do they get breakfast?", "Is breakfast covered?",
                "Was it booked with breakfast?", "Breakfast included?", "Will the guest have breakfast at no extra cost?", "Is breakfast in the rate?", "Does the guest get breakfast?",
            )),
        Concept(("booking_code", "confirmation", "booking_number", "reservation_id"), "string",
            values.code,
            (
                "The booking code is {v}.", "Confirmation number {v}.", "Your reference: {v}.", "Reservation number: {v}.", "Please keep the code {v}.", "Booked under {v}.", "Quote {v} when you arrive.", "The booking carries the number {v}.",
                "Reservation {v}.", "Our system has it as {v}.", "Confirmation: {v}.", "Booking no. {v}.", "The reservation was saved as {v}.", "{v} is your reference.", "Mention {v} at the desk.", "With {v} you can change the booking.",
                "The code of this reservation is {v}.", "Ref. {v}.", "Filed as {v}.", "You booked under number {v}.", "Show {v} at the front desk.", "Code for online check-in: {v}.", "Stored under reservation {v}.",
            ),
            (
                "What is the booking code?", "What is the confirmation number?", "What is the reservation number?", "Under which code is it booked?", "Which booking code was given?", "What is the reference?", "Which reference does the booking carry?",
                "What is the reservation code?", "What code must be quoted?", "What number does the booking have?", "Under what number was it saved?", "What code should the guest show?", "Which confirmation was sent?", "Booking number?",
                "Which reservation is it?", "How is the booking filed?", "What must be mentioned at the desk?", "What is the code of the reservation?", "By which code can one find the booking?",
            ), (
                "Booking", "Code", "Confirmation", "Booking no.", "Reservation", "Reference", "Booking code",
            )),
    ),
)
SHIPMENT = Domain(
    "shipping notice",
    (
        "Your parcel is on its way.", "Shipping notice", "Good news!", "Dispatch note.", "Dear customer, your goods have left us.", "A shipment was created.", "Parcel update", "Your goods are moving.", "Hello, a short note from the warehouse.",
        "Transport advice", "Warehouse message.", "Freight paper", "The goods left the warehouse.", "We have sent something to you.", "Update on your delivery.", "Message from logistics.", "Outgoing goods.", "Something is on the road for you.",
        "Dear recipient,", "Shipment record", "Consignment note", "We packed and sent your goods.",
    ),
    (
        Concept(("tracking_number", "tracking", "tracking_code", "parcel_id"), "string",
            values.code,
            (
                "The tracking number is {v}.", "Track it with {v}.", "Parcel code {v}.", "Follow it under {v}.", "Tracking: {v}.", "Use {v} to see where it is.", "You can trace it as {v}.", "The parcel carries the code {v}.",
                "To follow the parcel, enter {v}.", "The label shows {v}.", "Type {v} on the tracking page.", "Its code is {v}.", "Consignment {v}.", "Tracking no. {v}.", "{v} is the number to track it.", "With {v} you can see every step.",
                "It runs under {v}.", "Please keep {v} for tracking.", "The barcode reads {v}.", "Look it up with {v}.", "Scan code: {v}.", "Registered in transit as {v}.", "For tracking, enter {v} online.",
            ),
            (
                "What is the tracking number?", "Which tracking code was given?", "How can the parcel be tracked?", "What is the parcel code?", "Under which number can it be followed?", "Which number tracks the parcel?", "With what code can one trace it?",
                "What does the label show?", "Which code must be entered?", "What must one type on the tracking page?", "Which number does the parcel carry?", "What does the barcode read?", "What is the code of the parcel?", "Under what code does it run?",
                "How can one follow it?", "Tracking number?", "What code lets me see where it is?", "By which number is it traced?", "Which consignment is it?", "Which code does the shipment have?",
            ), (
                "Tracking", "Tracking no.", "Parcel", "Tracking number", "Parcel no.", "Consignment", "Track with",
            )),
        Concept(("carrier", "courier", "shipped_by", "company"), "string", values.company,
            (
                "It travels with {v}.", "The carrier is {v}.", "{v} will bring it.", "Handed over to {v}.", "Shipped by {v}.", "{v} has picked it up.", "{v} carries it.", "We gave it to {v}.", "Transport by {v}.", "The transport is done by {v}.",
                "The driver comes from {v}.", "{v} took the goods.", "{v} is the courier.", "Sent with {v}.", "A van of {v} will come.", "The haulier is {v}.", "We work with {v} for this one.", "{v} delivers it to the door.", "The courier is {v}.",
                "On the road with {v}.", "{v} collected it at our ramp.", "It was passed to {v}.", "Delivered by the people of {v}.",
            ),
            (
                "Who is the carrier?", "Which company ships it?", "Who delivers the parcel?", "With which courier does it travel?", "Who transports it?", "Which carrier is used?", "Who brings it?", "Who took the goods?", "Which firm transports it?",
                "Who picked it up?", "Which company is the courier?", "Who is the haulier?", "To whom was it handed over?", "Who carries the goods?", "Whose van will come?", "With whom was it sent?", "What transport company is used?",
                "Which courier is it?", "Who collected it?", "What company brings the parcel?", "From which firm is the driver?",
            ), (
                "Carrier", "Courier", "Shipped by", "Transport", "Haulier", "Delivery by", "Sent with",
            )),
        Concept(("destination", "city", "ship_to", "to"), "string", values.city,
            (
                "It goes to {v}.", "The destination is {v}.", "On the way to {v}.", "It will be brought to {v}.", "Ship to: {v}.", "Headed for {v}.", "It is bound for {v}.", "The goods travel to {v}.", "It will be unloaded in {v}.", "Sent to {v}.",
                "The receiver is in {v}.", "The parcel's destination is {v}.", "It is going to {v}.", "The address is in {v}.", "It will end up in {v}.", "The last stop is {v}.", "For delivery in {v}.", "The truck drives it to {v}.",
                "The place of delivery is {v}.", "Someone in {v} is waiting for it.", "Deliver to: {v}.", "The route ends in {v}.", "The label is made out to {v}.",
            ),
            (
                "Where does it go?", "What is the destination?", "To which city is it sent?", "Where is the parcel going?", "Which city is it shipped to?", "What place is it headed for?", "Where is it bound?", "Where will it be unloaded?",
                "Which town is it for?", "Where is the receiver?", "To what city does it travel?", "In which city will it be delivered?", "Where does the route end?", "What is the last stop?", "Where should it be delivered?",
                "Where does the truck drive it?", "In what place does it end up?", "What city is the label made out to?", "Where is someone waiting for it?", "Going where?",
            ), (
                "To", "Destination", "City", "Ship to", "Going to", "Deliver to", "Place of delivery",
            )),
        Concept(("parcels", "packages", "boxes", "number_of_parcels"), "integer", _int(1, 30),
            (
                "There are {v} parcels.", "It consists of {v} parcels.", "Number of parcels: {v}.", "{v} parcels in all.", "We packed {v} parcels.", "Split into {v} parcels.", "The shipment has {v} parcels.", "{v} parcels left our house.",
                "We sent {v} parcels.", "You will get {v} parcels.", "The goods fit into {v} parcels.", "A total of {v} parcels.", "In {v} parcels.", "Parcels: {v}.", "Please expect {v} parcels.", "{v} parcels were loaded.",
                "The driver has {v} parcels for you.", "It is made up of {v} parcels.", "Count {v} parcels on arrival.", "{v} parcels belong to it.", "The load is {v} parcels.", "It comes as {v} parcels.", "We handed over {v} parcels.",
            ),
            (
                "How many parcels are there?", "What is the number of parcels?", "How many parcels were packed?", "In how many parcels is it?", "How many packages?", "How many boxes are on the way?", "How many parcels were sent?",
                "How many parcels does it consist of?", "How many parcels will come?", "How many parcels belong to it?", "How many were loaded?", "How many boxes are there?", "How many packages were sent?", "Into how many parcels was it split?",
                "What is the total of parcels?", "Number of parcels?", "How many parcels does the shipment have?", "How many parcels should one expect?", "How many pieces is the load?",
            ), (
                "Parcels", "Packages", "Number of parcels", "No. of parcels", "Boxes", "Pieces",
            )),
        Concept(("weight", "weight_kg", "mass"), "decimal", lambda w: values.amount(w, 60),
            (
                "The weight is {v} kg.", "It weighs {v} kg.", "Weight: {v} kg.", "{v} kg in total.", "On the scale it shows {v} kg.", "Together {v} kg.", "The total weight comes to {v} kg.", "It brings {v} kg to the scale.", "The load weighs {v} kg.",
                "All together {v} kg.", "Mass: {v} kg.", "The parcel is {v} kg heavy.", "{v} kg gross.", "Gross weight {v} kg.", "Weighed in at {v} kg.", "The scale read {v} kg.", "It is {v} kg.", "We weighed it: {v} kg.", "Total: {v} kg.",
                "Shipping weight is {v} kg.", "With packing it is {v} kg.", "The paper says {v} kg.", "A load of {v} kg.",
            ),
            (
                "What is the weight?", "How heavy is it?", "How much does it weigh?", "What weight is given?", "How many kg is it?", "What does the parcel weigh?", "What does the scale say?", "How heavy is the load?", "How many kilos?",
                "How many kg does it weigh?", "What is the total weight?", "What does it weigh?", "How heavy is the parcel?", "What is the mass?", "What is the gross weight?", "What did the scale read?", "How many kg are sent?", "Weight in kg?",
                "What is the shipping weight?", "How much does the load weigh?",
            ), (
                "Weight", "Kg", "Gross weight", "Weight (kg)", "Total weight",
            )),
        Concept(("eta", "expected_on", "arrival_date", "delivery_date"), "date", values.date,
            (
                "It should arrive on {v}.", "Expected on {v}.", "Delivery is planned for {v}.", "ETA {v}.", "You will have it by {v}.", "The arrival is set for {v}.", "Look out for it on {v}.", "It will [be there|reach you] on {v}.",
                "The driver rings on {v}.", "Delivery day: {v}.", "You get it on {v}.", "We expect it to be delivered on {v}.", "It will be delivered on {v}.", "Be at home on {v}.", "Arriving on {v}.", "The planned arrival is {v}.",
                "On {v} it will be at your door.", "It reaches you on {v}.", "Expected delivery: {v}.", "Estimated arrival {v}.", "By {v} it should be with you.", "It is scheduled to come on {v}.", "The estimated delivery date is {v}.",
            ),
            (
                "When does it arrive?", "What is the expected delivery date?", "When is it expected?", "On which day will it arrive?", "What is the ETA?", "By when will it be there?", "When will it be delivered?", "When will it reach the customer?",
                "When is delivery planned?", "On what date is it due to arrive?", "What day will it come?", "When is it at the door?", "When does the driver come?", "What is the estimated arrival?", "For when is the delivery scheduled?",
                "When should it be there?", "What is the delivery day?", "When will they have it?", "What date is the delivery expected?", "When do the goods arrive?", "When should one be at home?",
            ), (
                "ETA", "Expected", "Arrival", "Expected on", "Expected delivery", "Delivery day", "Estimated arrival",
            )),
        Concept(("fragile", "is_fragile", "handle_with_care"),
            "boolean:The content is fragile.|Handle with care.|Careful, glass inside.|It can break easily.|Please do not drop it, it breaks.|Fragile goods.|The goods are fragile.|Breakable content.|Marked as fragile.|There is a fragile sticker on it.|Do not throw, fragile!|The things inside break easily.|Treat it gently because it may break.:The content is not fragile.|Nothing fragile inside.|No special care is needed.|It cannot break.|The goods are sturdy.|Nothing in it can break.|Not marked as fragile.|No fragile goods.|It is robust and needs no care.|There is no glass in it.|The content is unbreakable.|You need not handle it with care.|There is no fragile sticker on it.",
            _one("yes", "no"), (), (
                "Is it fragile?", "Is the content fragile?", "Can it break?", "Does it break easily?", "Are the goods fragile?", "Must it be handled with care?", "Is it breakable?", "Is care needed?", "Is it marked as fragile?",
                "Does it need careful handling?", "Is something fragile inside?", "Fragile?",
            )),
    ),
)
APPLICATION = Domain(
    "job application",
    (
        "Dear hiring team,", "Application", "Candidate profile", "Hello,", "New applicant in the portal.", "Interview notes.", "Cover letter", "To whom it may concern,", "Application received.", "Short profile of the applicant",
        "Notes of the recruiter.", "From our recruiting tool.", "Good day,", "I saw your advert.", "Applicant sheet", "First call done.", "Dear Sir or Madam,", "Personal file", "I would like to work with you.", "Candidate summary",
        "We received new papers.", "Your open post caught my eye.",
    ),
    (
        Concept(("candidate", "name", "applicant", "full_name"), "string", values.person,
            (
                "My name is {v}.", "The applicant is {v}.", "{v} applied.", "Candidate: {v}.", "We spoke with {v}.", "I am {v}.", "{v} sent us papers.", "The candidate is called {v}.", "The papers are from {v}.", "{v} would like to work with us.",
                "{v} wants the job.", "This is the application of {v}.", "Applicant: {v}.", "We got an application from {v}.", "{v} came to the interview.", "We [met|invited] {v}.", "Kind regards, {v}.", "{v} is interested.", "Name of the applicant: {v}.",
                "The letter is signed by {v}.", "The person in question is {v}.", "{v} introduced themselves.", "A candidate named {v}.", "Application by {v}.",
            ),
            (
                "Who is the candidate?", "Who applied?", "What is the name of the applicant?", "Who wants the job?", "Which person applied?", "What is the candidate's name?", "Who wrote the application?", "From whom are the papers?",
                "Who is interested in the job?", "Who came to the interview?", "What is the applicant called?", "Who was invited?", "Whose application is it?", "Who would like to work there?", "Who sent the papers?", "Who is applying?",
                "Who introduced themselves?", "Which person is the applicant?", "Who signed the letter?", "With whom did they speak?",
            ), (
                "Candidate", "Name", "Applicant", "Applicant name", "Full name", "Applied by", "Person",
            )),
        Concept(("position", "role", "job", "job_title"), "string", lambda w: w.pick(("Senior ",
            "Junior ", "Lead ", "")) + w.pick(("accountant", "designer", "engineer", "nurse",
            "teacher", "analyst", "cook", "driver", "translator", "developer", "electrician",
            "buyer", "librarian", "chemist")).capitalize(),
            (
                "The position is {v}.", "I apply for the role of {v}.", "The job title is {v}.", "Interested in the job as {v}.", "Open role: {v}.", "The post of {v} is what this is about.", "The vacancy is {v}.", "Wanted job: {v}.",
                "I would like to work as {v}.", "The application is for {v}.", "Applying as {v}.", "I saw your advert for a {v}.", "They look for a {v}.", "The role is {v}.", "The opening is for {v}.", "Job: {v}.", "The post is called {v}.",
                "I want to become your {v}.", "Applied for: {v}.", "They want the post of {v}.", "Desired role: {v}.", "The advert said {v}.", "It is about the {v} job.",
            ),
            (
                "Which position is it?", "What is the job title?", "For which role did they apply?", "What job is it about?", "Which role is wanted?", "What is the position?", "What is the role?", "What vacancy is it?", "As what do they want to work?",
                "For what job did they apply?", "Which post is it?", "What is the post called?", "Which job is wanted?", "What was advertised?", "For what is the application?", "What does the advert look for?", "What did they apply for?",
                "Which vacancy is this about?", "What is the desired role?", "What opening is it?",
            ), (
                "Position", "Role", "Job", "Job title", "Vacancy", "Post", "Applied for",
            )),
        Concept(("years_of_experience", "experience", "years", "experience_years"), "integer", _int(
            1, 35),
            (
                "There are {v} years of experience.", "I have {v} years of experience.", "Experience: {v} years.", "{v} years in the field.", "Worked in this area for {v} years.", "With {v} years of practice.", "I did this work for {v} years.",
                "{v} years on the job.", "There is a background of {v} years.", "They bring {v} years of experience.", "In the trade for {v} years.", "I bring {v} years of practice.", "I have been doing this for {v} years.",
                "{v} years of work behind them.", "The track record is {v} years.", "The candidate looks back on {v} years of work.", "{v} years of relevant work.", "Active in the profession for {v} years.", "Practice: {v} years.",
                "Professional for {v} years now.", "Has done this for {v} years.", "{v} years experience.", "{v} years of work in similar jobs.",
            ),
            (
                "How many years of experience?", "How long is the experience?", "How many years in the field?", "What experience is there, in years?", "How many years of practice?", "For how many years did they work in this area?",
                "How long have they done this work?", "How many years did they work?", "How long is the track record?", "How experienced is the candidate, in years?", "How many years does the person bring?", "How many years are they in the trade?",
                "For how many years have they done this?", "How many years on the job?", "How long did the candidate work in the field?", "How much experience is there?", "How many years are behind them?", "What practice in years do they have?",
                "How many years of relevant work?",
            ), (
                "Experience", "Years", "Years of experience", "Years in the field", "Practice (years)", "Work experience (years)",
            )),
        Concept(("skills", "strengths", "tools", "knowledge"), "strings", _list("welding", "Python",
            "Excel", "sewing", "French", "German", "SQL", "first aid", "accounting", "drawing",
            "negotiation", "Java", "cooking", "photography", "planning", "Spanish", "statistics",
            "teaching"),
            (
                "Skills: {v}.", "The skills are {v}.", "I know {v}.", "Strong in {v}.", "Trained in {v}.", "Good at {v}.", "I bring {v}.", "They can do {v}.", "Experience with {v}.", "Among the talents: {v}.", "The candidate knows {v}.",
                "Has learned {v}.", "The strengths are {v}.", "My strengths: {v}.", "I am experienced in {v}.", "Knowledge of {v}.", "The CV lists {v}.", "Able to offer {v}.", "Comfortable with {v}.", "Well versed in {v}.", "I have learned {v}.",
                "Skilled in {v}.", "What they master: {v}.",
            ),
            (
                "Which skills are named?", "What are the skills?", "What is the candidate good at?", "What does the person know?", "Which strengths are given?", "What skills are listed?", "What can the candidate do?", "What does the applicant know?",
                "What has the person learned?", "In what is the candidate strong?", "Which abilities are named?", "What is the candidate skilled in?", "What does the CV list?", "What talents are there?", "What does the applicant master?",
                "What are the strengths?", "In what were they trained?", "What do they bring along?", "What knowledge is there?", "What abilities does the person have?",
            ), (
                "Skills", "Strengths", "Knows", "Good at", "Knowledge", "Trained in",
            )),
        Concept(("start_date", "available_from", "start", "earliest_start"), "date", values.date,
            (
                "I can start on {v}.", "Available from {v}.", "The start date would be {v}.", "Earliest start: {v}.", "Free from {v} on.", "First possible day is {v}.", "I could begin on {v}.", "From {v} I am free.", "I can join on {v}.",
                "Ready to begin on {v}.", "They could start on {v}.", "The first day of work could be {v}.", "Possible start: {v}.", "Not before {v}, but then at once.", "As of {v} the candidate is available.", "I am available as of {v}.",
                "My notice ends, so I can come on {v}.", "They are free to begin on {v}.", "Start possible on {v}.", "Able to join from {v}.", "Work could begin on {v}.", "Can begin {v}.", "The wish is to start on {v}.",
            ),
            (
                "When can they start?", "What is the start date?", "From when is the candidate available?", "What is the earliest start?", "On which day could work begin?", "When is the first possible day?", "When could work begin?",
                "When can the candidate begin?", "As of when are they free?", "When could they join?", "What is the first possible day of work?", "On what date can they start?", "When is the candidate ready to begin?",
                "From which date are they available?", "When would they start?", "From what day could they work?", "When are they able to join?", "Start when?", "When may we expect the person at work?", "When is the candidate free?",
            ), (
                "Start", "Available from", "Start date", "Possible start", "Earliest start", "Can start", "Free from",
            )),
        Concept(("remote", "wants_remote", "remote_work"),
            "boolean:I prefer to work remotely.|Remote work is wanted.|Would work from home.|I would rather work from home.|The wish is to work from home.|The candidate wants to work remotely.|Home office is preferred.|I would like a remote job.|They ask for remote work.|I want to do the job from home.|The applicant hopes for a home office.|A remote contract is what they want.|They would work from home.:I want to work in the office.|Remote work is not wanted.|Would come to the office every day.|The candidate wants to work on site.|I like to be in the office.|No home office is desired.|They do not ask for remote work.|I do not want to work from home.|The applicant prefers the office.|Working on site is what they want.|On site, please, not remote.|They would not work from home.|A remote job is not what I look for.",
            _one("yes", "no"), (), (
                "Is remote work wanted?", "Does the candidate want to work remotely?", "Do they want to work from home?", "Is a remote job wanted?", "Does the applicant ask for remote work?", "Would they work from home?", "Is home office wanted?",
                "Is working from home the wish?", "Would the person like to work remotely?", "Does the person prefer home office?", "Remote?", "Do they wish for remote work?",
            )),
        Concept(("email", "contact", "mail"), "string", values.email,
            (
                "Email: {v}.", "Write to {v}.", "The contact is {v}.", "Reachable at {v}.", "Please answer to {v}.", "My mail is {v}.", "You reach me at {v}.", "You can write to me at {v}.", "The address is {v}.", "Mail goes to {v}.",
                "For an answer use {v}.", "They can be reached under {v}.", "My address: {v}.", "E-mail {v}.", "The applicant's mail is {v}.", "Please send your answer to {v}.", "Contact me via {v}.", "Contact: {v}.", "Reply to {v}.",
                "Get in touch at {v}.", "Send word to {v}.", "Mailbox {v}.", "Messages to {v}, please.",
            ),
            (
                "What is the email?", "Which email address is given?", "How can the candidate be contacted?", "What is the contact?", "At which address is the person reachable?", "Which mail address is it?", "What is the mail address?",
                "Where can one write to?", "Where should the answer go?", "How can they be reached?", "What is the candidate's email?", "Under which address do they get mail?", "To what address should one reply?",
                "Which address should be used for an answer?", "Email?", "How does one get in touch?", "Where does the mail go?", "What contact is given?", "Which mailbox is it?", "What address was given for replies?",
            ), (
                "Email", "Contact", "Mail", "E-mail", "Mail address", "Reply to", "Reach me at",
            )),
    ),
)
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
        Concept(("temperature", "temp", "temperature_c", "degrees"), "integer", _int(2, 98),
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
        Concept(("state", "status", "condition", "health"), "enum:ok|warning|fault", _one("ok",
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
        Concept(("battery", "battery_percent", "charge"), "integer", _int(1, 100),
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
            "boolean:A repair is needed.|It must be repaired.|It needs service soon.|It has to be repaired.|Repair is required.|Somebody must repair it.|We recommend a repair at once.|It should go to the workshop for repair.|It is broken and needs fixing.|Please arrange a repair.|A part must be fixed.|It requires service.|Without a repair it cannot stay in use.:No repair is needed.|It does not need any service.|It can go on without service.|It does not have to be repaired.|No service is required.|There is nothing to repair.|It needs no fixing.|Repair is not required.|It may stay in use without a repair.|Nothing has to be fixed.|You need not arrange a repair.|No part must be fixed.|It needs no service at all.",
            _one("yes", "no"), (), (
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
        Concept(("seats", "capacity", "places", "max_guests"), "integer", _int(12, 900),
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
        Concept(("topics", "tags", "themes", "subjects"), "strings", _list("music", "food",
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
        Concept(("age", "years_old", "age_years"), "integer", _int(18, 90),
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
        Concept(("occupation", "job", "profession", "work"), "string", _one(
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
        Concept(("languages", "speaks", "spoken_languages"), "strings", _list("English", "French",
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
DOMAINS = (BOOKING, SHIPMENT, APPLICATION, DEVICE, EVENT, PROFILE)
