"""The domains of varied.py as data: what their documents state and in which words."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

from . import values
from .concepts import Concept, Domain, one_of, some_of, whole
from .forms import FORMS
from .occasions import OCCASIONS

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
        Concept(("nights", "number_of_nights", "stay_nights", "length_of_stay"), "integer", whole(1,
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
        Concept(("room_type", "room", "category"), "enum:single|double|suite|family", one_of("single",
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
            "boolean:Breakfast is included.|Breakfast is part of the price.|It comes with breakfast.|Breakfast comes free of charge.|The rate includes breakfast.|In the morning breakfast is served at no extra cost.|Booked with breakfast.|You have breakfast with it.|We added breakfast to the booking.|Breakfast is covered.|Yes to breakfast.|The guest gets breakfast every day.|Bed and breakfast.|Breakfast awaits you each morning.|Breakfast has been paid.|A breakfast buffet is in the price.|You may eat breakfast with us for free.|The breakfast is on us.:Breakfast is not included.|The rate is without breakfast.|No breakfast.|Breakfast costs extra.|There is no breakfast in this rate.|Booked without breakfast.|Room only.|Breakfast is left out.|The guest did not want breakfast.|Meals are not part of it.|You have to pay for breakfast separately.|Breakfast is not part of the price.|Sorry, breakfast is not covered.|We do not serve breakfast.|Nobody ordered breakfast.|Breakfast was not booked.|The price does not cover breakfast.|Without any meals.|Breakfast would be extra.|You did not take breakfast.",
            one_of("yes", "no"), (), (
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
        Concept(("parcels", "packages", "boxes", "number_of_parcels"), "integer", whole(1, 30),
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
            "boolean:The content is fragile.|Handle with care.|Careful, glass inside.|It can break easily.|Please do not drop it, it breaks.|Fragile goods.|The goods are fragile.|Breakable content.|Marked as fragile.|There is a fragile sticker on it.|Do not throw, fragile!|The things inside break easily.|Treat it gently because it may break.|It is made of glass.|Careful with it!|The inside can break.|It must not fall.|Take care, the content breaks easily.:The content is not fragile.|Nothing fragile inside.|No special care is needed.|It cannot break.|The goods are sturdy.|Nothing in it can break.|Not marked as fragile.|No fragile goods.|It is robust and needs no care.|There is no glass in it.|The content is unbreakable.|You need not handle it with care.|There is no fragile sticker on it.|The content does not break.|It does not have to be handled with care.|It is not made of glass.|Solid goods.|It may fall without harm.|Nobody has to be careful with it.|None of it is fragile.",
            one_of("yes", "no"), (), (
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
        Concept(("years_of_experience", "experience", "years", "experience_years"), "integer", whole(
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
        Concept(("skills", "strengths", "tools", "knowledge"), "strings", some_of("welding", "Python",
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
            "boolean:I prefer to work remotely.|Remote work is wanted.|Would work from home.|I would rather work from home.|The wish is to work from home.|The candidate wants to work remotely.|Home office is preferred.|I would like a remote job.|They ask for remote work.|I want to do the job from home.|The applicant hopes for a home office.|A remote contract is what they want.|They would work from home.|Working from home suits me best.|My desk should be at home.|I only want remote work.|The work should be done from home.|Remote, please.:I want to work in the office.|Remote work is not wanted.|Would come to the office every day.|The candidate wants to work on site.|I like to be in the office.|No home office is desired.|They do not ask for remote work.|I do not want to work from home.|The applicant prefers the office.|Working on site is what they want.|On site, please, not remote.|They would not work from home.|A remote job is not what I look for.|I would rather be in the office.|My desk should be in the office.|Home is not where I work.|The job should be on site.|I never work from home.|No remote work for me.|They want to be with the team in the office.",
            one_of("yes", "no"), (), (
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
DOMAINS = (BOOKING, SHIPMENT, APPLICATION, *OCCASIONS, *FORMS)
