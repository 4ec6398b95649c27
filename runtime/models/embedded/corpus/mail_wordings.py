"""Wordings of support mails: openings, purchases, addresses, closings, notes and questions."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

GREETINGS = (
    "Hello,", "Hi,", "Hi there,", "Dear [support|service|customer] team,", "Good morning,", "Good afternoon,", "Dear Sir or Madam,", "Hello [support|everyone|{agent}],", "Dear {company},", "Hey,", "To whom it may concern,", "Dear [Ms|Mr] {agent},", "Greetings,", "Good day,", "Good evening,", "Hello [again|all],",
    "Hi [all|team|everybody],", "Hi {agent},", "Dear {agent},", "Hey {agent},", "Dear all,", "Dear customer care,", "Dear [help desk|helpdesk|sales team],", "Hello [Ms|Mr|Mrs] {agent},", "Good morning {agent},", "Good afternoon [everyone|{agent}|to all],", "Hello dear team,", "To the [support|service] team:",
    "To the customer service department:", "Dear Madam, dear Sir,", "Dear Sirs,", "Ladies and gentlemen,", "Dear team of {company},", "Hello {company},", "Hi {company} team,", "Good day to you,", "Hello and good morning,", "Hello to the [service|support] desk,", "Support team,", "Dear colleagues,", "Hi folks,", "Hello there,",
    "Dear people at {company},", "Dear [support|service] people,", "Hey there,", "Attn: customer service",
)
PURCHASES = (
    "I [bought|ordered|purchased] the {product} [from you|in your shop|on your website] [last week|recently|on {date}], order {order}.", "My order {order} [was for|contained|includes] the {product}.", "It is about order {order}, the {product}.", "I am writing about the {product} from order {order}.",
    "On {date} I ordered the {product} ([order number|order no.|reference|order] {order}).", "Regarding [my order|order number|purchase] {order}: the {product}.", "I have a [question|problem|request] about the {product}. [My order number is|The order number is|Order:] {order}.",
    "We got the {product} from you under order [number|no.|ID] {order}.", "Order {order} ({product}) [gives me trouble|is the reason for my mail|needs your attention].", "The {product} which I bought under {order} is the subject of this mail.",
    "This mail concerns the {product}, ordered [on {date}|two weeks ago] with the number {order}.", "With order {order} we purchased the {product}.", "A while ago I placed order {order} for [one|a] {product}.", "Last month you sold me the {product}. The order [id|code|number] was {order}.",
    "Please look at order {order}. It is for the {product}.", "I am a customer since years and my newest purchase is the {product} with order number {order}.", "Our company ordered the {product} [from your shop|at your store]; the reference is {order}.", "Concerning the {product} (order {order}):",
    "I recently received the {product} that belongs to order {order}.", "You will find my order under {order}. I chose the {product}.", "I am contacting you [regarding|about|concerning] the {product}, which I [got|received] with order {order}.", "Order [number|no.] {order}, {product}.", "{product}, order {order}.",
    "Order: {order}, product: {product}.", "Re order {order}: {product}.", "Our order {order} for the {product} is what I am writing about.", "The {product} was ordered by me [on {date}|some days ago] and the order number is {order}.", "You have my order {order} in your system; it is for the {product}.",
    "In my order {order} there was the {product}.", "The {product} came with order {order}.", "Under the order number {order} I bought the {product}.", "The order I mean is {order}, and the product is the {product}.", "I own the {product} since {date}, the order was {order}.",
    "I have had the {product} for a short time (order {order}).", "My request is about the {product}. You find it under order {order}.", "We are talking about the {product} of order {order}.", "Please see my order {order}: one {product}.", "This message is about the {product} I ordered as {order}.",
    "A {product} was sold to me under order {order}.", "[Some time ago|Recently|Last week] I chose the {product} in your shop and got the order number {order}.", "The confirmation for the {product} has the order number {order}.", "Your confirmation says order {order}, {product}.",
    "The {product} that you sold me has the order [number|code|ID] {order}.", "I placed an order for the {product}; it runs under {order}.", "For order {order} (the {product}) I need your support.", "[Yesterday|Last Monday|On {date}] I ordered the {product}, and you gave me {order} as the order number.",
    "I refer to my order {order}, namely the {product}.", "With reference to order {order} for the {product}:", "It's about the {product}, I ordered it as {order}.", "Quick question on order {order}, i.e. the {product}.", "Hope you can look into order {order} for me, the product is the {product}.",
    "I turn to you because of the {product} [that I bought|purchased] with order {order}.", "Purchased: {product}. Order number: {order}.", "Order reference {order}. What I bought is the {product}.", "As a buyer of the {product} (order number {order}) I turn to you.", "My purchase was the {product}, booked under order {order}.",
    "{order} is the number of my order, the {product} is the item.", "{order} is my order, a {product}.", "The number of my order is {order}, and I bought the {product}.", "There is something about my {product} (order {order}) that I have to tell you.", "I got a {product} from your shop; order {order}.",
    "My {product} was part of order {order}.", "The item in question is the {product} out of order {order}.", "Item: {product}, order number {order}.", "I have the {product} from you, ordered under {order}.", "We purchased the {product} through order {order}.", "Order {order} was placed for the {product}.",
    "For the {product} I hold the order number {order}.",
)
EMAILS = (
    "[You can reach me|Please reach me|I am reachable] at {email}.", "My email is {email}.", "Please reply to {email}.", "Write to {email} [if you need more|please|for details].", "Contact: {email}", "Send the answer to {email}, please.", "The best way to get hold of me is {email}.", "Mail me at {email}.",
    "My address for replies is {email}.", "Use {email} to contact me.", "Please answer via {email}.", "I read my mail at {email}.", "Email: {email}", "E-mail address: {email}.", "Reply to: {email}", "You may write to me at {email}.", "Kindly respond to {email}.", "My email address is {email}.", "Just drop me a line at {email}.",
    "You can mail me under {email}.", "You will find me at {email}.", "I can be reached by mail: {email}.", "I can be contacted via {email}.", "Please use {email} for your answer.", "Please direct your reply to {email}.", "Answers to {email}, please.", "For questions: {email}.", "If anything is unclear, mail {email}.",
    "If you have questions, {email} is where you reach me.", "Please get in touch with me at {email}.", "Feel free to write to {email}.", "The address to reply to is {email}.", "My contact address is {email}.", "{email} is my email.", "{email} is the address to use.", "{email} is where I read my mail.",
    "An answer to {email} would be [nice|good].", "Let me know under {email}.", "Please let me know at {email}.", "Please contact me at {email}.", "Contact me through {email}.", "Drop a note to {email}.", "Please keep me informed at {email}.", "Your answer reaches me at {email}.", "Please confirm to {email}.",
    "By mail I am available at {email}.", "My account is registered with {email}.", "The email of my account is {email}.", "I am registered under the mail address {email}.", "In your system you find me under {email}.", "Mail: {email}", "Reach me here: {email}", "I prefer an answer by mail to {email}.",
    "Please do not call, write to {email}.",
)
INTRODUCTIONS = (
    "My name is {customer}.", "This is {customer} [from|in] {city}.", "I am {customer}[| from {city}].", "{customer} here.", "I am {customer} and I need help.", "You know me, {customer} from {city}.", "It is {customer} writing.", "I'm {customer}, a customer since {year}.", "Let me introduce myself: {customer}.",
    "[Here is|Here writes] {customer} from {city}.", "You are reading a message from {customer}.", "My name is {customer} and I live in {city}.", "I, {customer}, am a customer of yours.", "This is {customer}.", "This is {customer} speaking.", "{customer} from {city} here.", "It's {customer} again.",
    "I am {customer}, one of your customers.", "I'm {customer}.", "I'm {customer} from {city} and turn to you for help.", "{customer} is my name.", "The name is {customer}.", "My name: {customer}.", "Name: {customer}.", "You have me, {customer}, as a customer since {year}.", "I am called {customer}.",
    "As a customer I am listed as {customer}.", "My account is in the name of {customer}.", "I write as {customer}, customer since {year}.", "{customer} writing, a customer of yours since {year}.", "Perhaps you remember me, my name is {customer}.", "We have not met, I am {customer}.", "It's me, {customer}.",
    "My name's {customer}, calling from {city}.", "Customer: {customer}.", "You know me as {customer}.", "To begin with, I am {customer} from {city}.", "Here's {customer} with a request.", "The customer is me, {customer}.",
)
CLOSINGS = (
    "[Best|Kind|Warm] regards,\n{customer}", "Regards,\n{customer}", "Thanks,\n{customer}", "Sincerely,\n{customer}", "Cheers\n{customer}", "Yours faithfully,\n{customer}", "Greetings from {city},\n{customer}", "Thank you\n{customer}", "Best,\n{customer}", "Many thanks and best wishes\n{customer}", "Yours, {customer}",
    "[Yours sincerely|Sincerely yours|Respectfully],\n{customer}", "[Kindest|Warmest] regards\n{customer}", "[Kind|Best] regards from {city},\n{customer}", "[All the best|Best wishes|Take care],\n{customer}", "[Many thanks|Thanks a lot|Thanks again],\n{customer}", "Thank you and [best regards|goodbye],\n{customer}",
    "Thanks in advance,\n{customer}", "With [best|kind|friendly] regards,\n{customer}", "With thanks,\n{customer}", "Yours truly,\n{customer}", "Yours\n{customer}", "Bye, {customer}", "Bye for now,\n{customer}", "Greetings,\n{customer}", "Cordially,\n{customer}", "Regards {customer}", "BR\n{customer}", "-- \n{customer}",
    "- {customer}", "{customer}", "{customer}, {city}", "{customer}\n{street}, {city}", "Signed: {customer}", "Signed, {customer}", "Best\n\n{customer}", "Kind regards from your customer {customer}", "See you,\n{customer}", "Have a nice day,\n{customer}", "Have a good week!\n{customer}",
    "Looking forward to your reply,\n{customer}", "In hope of a good answer,\n{customer}", "Faithfully yours,\n{customer}", "Thankfully,\n{customer}", "Your customer {customer}", "So long, {customer}", "Sent by {customer}", "Until then,\n{customer}", "Regards from {city}\n{customer}", "Thx, {customer}",
    "With kind greetings\n{customer}",
)
DISTRACTIONS = (
    "I already [spoke|talked] to {agent} on the phone.", "Your colleague {agent} could not help.", "My earlier order {other_code} was fine.", "I paid {amount} for it.", "The shop in {city} could not help me.", "I also own the {other_product}, which works well.", "I called {phone} twice.",
    "The case number of my call was {other_code}.", "The bill was {amount}.", "My neighbour {agent} has the same one.", "I have been your customer since {year}.", "The delivery note mentions {other_code}.", "I live at {street}.", "It was a present for my [sister|brother|father].", "My customer number is {other_code}.",
    "The serial number is {other_code}.", "I [saw|read] your advert in {city}.", "On the phone {agent} was [friendly|nice|polite].", "{agent} from your team told me to write to you.", "Last time {agent} helped me.", "A friend from {city} recommended your shop.", "I have [two|three] of these at home.",
    "It cost {amount} in the sale.", "The price was {amount}.", "My customer card has the number {other_code}.", "Article number: {other_code}.", "The code on the back is {other_code}.", "The label on the box says {other_code}.", "My ticket of last week was {other_code}.", "My phone number is {phone}.",
    "You can call me on {phone}.", "I tried your hotline {phone}, nobody answered.", "I have been buying from you since {year}.", "My first purchase here was in {year}.", "My brother {agent} told me about you.", "We have an office in {city}.", "I live in {city}.", "I work at {company}.", "{company} has the same model.",
    "I also thought about the {other_product}.", "The {other_product} I have is fine.", "My old {other_product} never made any trouble.", "At home we also use the {other_product}.", "It was a birthday present.", "I use it [every day|at work|in the kitchen|in the garden].", "I like your shop.", "Your website looks nice.",
    "I wrote to you before, on {date}.", "I already wrote to you in {year}.", "On {date} I talked to {agent}.", "Attached you find [two|three] photos.", "I attach a photo.", "The photos are attached.", "Photos: see attachment.", "In the shop of {company} they sent me to you.",
    "My wife {agent} normally takes care of such things.", "I paid {amount} in cash.", "My address is {street}, {city}.", "We are a small company in {city}.", "The guarantee card has the number {other_code}.", "Batch {other_code} is printed on the side.", "My last mail was answered by {agent}.", "I am at home in the evenings.",
    "It is the first time that I write to you.",
)
NOTES = (
    "{customer} [called|phoned|wrote] about the {product}, order {order}.", "[Call|Chat|Phone call] from {customer} regarding order {order} ({product}).", "Customer {customer} contacted us about order {order}, the {product}.", "Ticket opened by {customer} for the {product} in order {order}.",
    "[Today|This morning] {customer} asked for help with order {order}. Product: {product}.", "Caller: {customer}. It is about the {product} from order {order}.", "{customer} has an issue with the {product} (order {order}).", "Spoke with {customer}, who bought the {product} under order {order}.",
    "{customer} [rang|called in|got in touch] about order {order}, {product}.", "Telephone note: {customer}, order {order}, {product}.", "[Incoming call|Call note|Memo]: {customer} has a request on the {product}. Order: {order}.", "The customer {customer} needs help with the {product} of order {order}.",
    "{customer} / order {order} / {product}.", "{customer} - {product} - order {order}.", "We had {customer} on the phone because of order {order} ({product}).", "Received a message from {customer} on the {product}, order number {order}.", "[Mail|Letter|Message] by {customer} about order no. {order}, namely the {product}.",
    "Just talked to {customer}: order {order}, a {product}.", "Case opened for {customer}: {product} from order {order}.", "New case. Customer {customer}, product {product}, order {order}.", "Contact by {customer}, owner of the {product} (order {order}).",
    "{customer} [visited|came to] the shop with a question on the {product}, order {order}.", "Order {order}: {customer} asks for help with the {product}.", "Order {order}, {product}: call from {customer}.", "Concerning the {product} (order {order}), {customer} got in touch.",
    "On {date} {customer} wrote to us about the {product} in order {order}.", "{customer} reports a problem with the {product}. It belongs to order {order}.", "A request by {customer} came in. It is on order {order}, the {product}.", "Chat log, customer {customer}, order {order}, product {product}.",
    "Customer on the line: {customer}. Topic: {product}, order no. {order}.", "The {product} of order {order} is the topic of a call from {customer}.", "We were contacted by {customer} on account of the {product}, ordered under {order}.", "{customer} bought the {product} with order {order} and contacted us.",
    "For the file: {customer} called on order {order}, the {product}.", "Service note. {customer} owns the {product}, bought with order {order}.", "Noted for {customer}, order {order}: it concerns the {product}.", "{customer} would like an answer on order {order}; product: {product}.",
    "[Visitor|Customer|Client]: {customer}. Order: {order}. Product: {product}.", "Support request from {customer}, {product}, order ID {order}.", "Voicemail from {customer} about the {product}, order {order}.", "The buyer {customer} of the {product} (order {order}) left a message.",
    "Hotline: {customer} mentioned order {order} with the {product}.", "We got word from {customer}, whose order {order} was a {product}.",
    "{customer} telephoned. Order {order}, the {product}.", "{customer} asks about the {product}, order {order}.", "{customer} stopped by because of the {product}. Order {order}.", "{customer} complains about order {order} and the {product} in it.",
    "{customer} mailed us on order {order}. It is the {product}.", "{customer} waits for our answer about the {product} ({order}).", "{customer} left a note on the {product}, number {order}.", "{customer} spoke to {agent} about the {product} of order {order}.",
    "{agent} took a call by {customer} on the {product}, order {order}.", "We talked with {customer} about order {order}, one {product}.", "In the shop {customer} showed us the {product} of order {order}.", "Again {customer} on order {order}, again the {product}.",
    "Today's call: {customer}, {product}, {order}.", "Reported by {customer} for order {order}: something about the {product}.", "Order {order} ({customer}), the {product}.", "{product} / {customer} / {order}.",
    "The owner of the {product}, {customer}, wrote. The order is {order}.", "Mr or Ms {customer} has a point about the {product} in {order}.", "{customer} sent a message. Order {order}; product {product}.", "A word from {customer} on the {product} from {order}.",
    "{customer} needs us. It is the {product} of {order}.", "{customer} ordered the {product} as {order} and now writes to us.",
)
NAME_LABELS = (
    "Customer", "Name", "From", "Client", "Sender", "Contact", "Customer name", "Reported by", "Full name", "Customer's name", "Client name", "Submitted by", "Requester", "Caller", "Written by", "Contact person", "Your name", "Account holder", "Sent by", "Buyer", "Raised by",
)
PRODUCT_LABELS = (
    "Product", "Item", "Article", "Device", "Product name", "Concerns", "Item name", "Article name", "Affected product", "About the product", "Purchased product", "Product concerned", "Item purchased", "Bought item", "Model", "Affected item", "What it is about",
)
ORDER_LABELS = (
    "Order", "Order ID", "Order no.", "Order number", "Reference", "Ref", "Order #", "Order code", "Order reference", "Order ref", "Purchase order", "Your order", "Order-ID", "Number of the order", "Purchase no.", "Order nr.",
)
MESSAGE_LABELS = (
    "Message", "Text", "Details", "Issue", "Problem", "Description", "Comment", "Comments", "Request", "Notes", "What happened", "Your message", "Body", "Report", "Content", "Remarks", "Question", "In their words", "Customer says",
)
ASK_CUSTOMER = (
    "Who is the customer?", "Who wrote the message?", "What is the name of the customer?", "What is the customer's name?", "Who sent this?", "Which customer is it?", "Who needs help?", "What is the name of the client?", "Who is writing?", "Who contacted the support?", "Who got in touch?", "Who has the problem?",
    "Who is asking for help?", "Who is the sender?", "Who is the buyer?", "Who bought the product?", "Who placed the order?", "Whose order is it?", "Whose message is this?", "By whom was it sent?", "From whom is this message?", "Who is it from?", "Name of the customer?", "The customer's full name?",
    "Tell me the name of the customer.", "What is the buyer called?", "What is the customer called?", "Give me the customer's name, please.", "Under what name did the customer write?", "Which person contacted us?", "Which name does the customer have?", "Can you name the customer?", "Who signed the message?",
    "Who has a request here?", "Which client is this about?", "Which person needs support?", "To whom do we have to answer?", "Who should get an answer?", "Who opened the case?", "Who reported this?", "What name does the sender give?", "Who is the person in need of help?", "Please name the person who wrote.",
)
ASK_EMAIL = (
    "What is the email address?", "What is the customer's email?", "At which address can the customer be reached?", "Which email is given?", "Where should the reply be sent?", "What email address does the customer give?", "Where can we write to the customer?", "To which email address should we reply?",
    "Which mail address belongs to the customer?", "How can the customer be reached by mail?", "How can we reach the customer by email?", "What is the contact email?", "What mail address is given?", "What is the mail address?", "Which email address does the text contain?", "Email address?", "Email of the customer?",
    "The customer's mail address, please?", "Give me the email address.", "Please name the email address.", "At what address does the customer read mail?", "Where do we send the answer?", "Where does the answer go?", "What email should be used for the reply?", "Which address should be used to reply?",
    "Is there an email address, and which one?", "Can you give me the email of the customer?", "What's the email?", "Tell me the email of the customer.", "What is the e-mail of the sender?", "What is the sender's email address?", "Under which email is the customer available?", "Which email can we contact?",
    "What address can I mail the answer to?", "By which email can the buyer be contacted?", "What email did the customer leave?", "Find the customer's email.", "To what address would the customer like the answer?", "Which reply address is stated?",
)
ASK_PRODUCT = (
    "Which product is it about?", "What product is concerned?", "What did the customer buy?", "What is the product?", "Which item is the message about?", "What was ordered?", "What is it about, which product?", "Which product did the customer buy?", "Which product was ordered?", "Which product is affected?",
    "What item was purchased?", "What item is concerned?", "What article is it about?", "Which article is meant?", "Which product does the customer have?", "Which product does the customer mean?", "Which product does the customer write about?", "What did the client order?", "What did the buyer order?", "What was bought?",
    "What was purchased?", "What is the name of the product?", "What is the product called?", "Name of the product?", "Tell me the product.", "Name the product that was ordered.", "Give me the name of the product.", "The request is about which product?", "What product does the message mention?",
    "For which product is help needed?", "With what product does the customer need help?", "What thing did the customer buy?", "Which item belongs to the order?", "What does the order contain?", "What did they buy?", "What kind of product is the request about?", "What is the concerned article?", "What exactly was ordered?",
    "What product are they talking about?", "Can you tell me which product it is?", "Which item did the customer order?",
)
ASK_ORDER = (
    "What is the order number?", "What is the order id?", "Which order is it about?", "Which order number is mentioned?", "What is the number of the order?", "Under which number was it ordered?", "Give the order number.", "Which order is meant?", "Which order is concerned?", "What order does the customer refer to?",
    "What order number does the customer give?", "What order number is stated?", "Order number?", "Number of the order?", "The order ID, please?", "Give me the number of the order.", "Tell me the order number, please.", "Please name the order number.", "What is the customer's order number?", "Which number does the order have?",
    "What number does the order carry?", "By which number can I find the order?", "Under what number is the order filed?", "Under which number can we look up the order?", "What is the ID of the order?", "What is the order code?", "What is the reference of the order?", "What is the order reference?",
    "Which order does the message refer to?", "To which order does the product belong?", "Which order did the product come with?", "What order was the product part of?", "Can you find the order number?", "Find the number of the order.", "Which purchase number is given?", "Which order ID is written there?",
    "What's the order no.?", "What's the order number here?", "For which order is help needed?", "What is the number of the purchase?", "Which order did the customer place?",
)
# fmt: on
