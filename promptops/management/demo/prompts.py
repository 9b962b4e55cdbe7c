"""The three prompts of the demo. They are written for SmolLM2-135M, which is small: short texts, examples, greedy."""

from __future__ import annotations

from typing import Any

from promptops.accounts.models import Role
from promptops.management.demo.story import Content, DemoPrompt, Move, Propose, Protect, RollBack, Save, Try, TryBatch

GREEDY = {"temperature": 0, "max_tokens": 60}


def _system(content: str) -> dict[str, str]:
    return {"role": "system", "content": content}


def _user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def _assistant(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


def _conversation(*turns: str) -> list[dict[str, str]]:
    """Turns of a customer and of the support, in turn."""
    return [_assistant(text) if number % 2 else _user(text) for number, text in enumerate(turns)]


# --- A conversation in two sentences ---------------------------------------------------------------------------------

LAMP = _conversation(
    "Hi, my order 1042 arrived today and the lamp shade is broken.",
    "I am sorry about that. I can send a new shade or refund the lamp. Which do you prefer?",
    "A new shade, please. I need it before the weekend.",
    "Done. The new shade ships today and arrives on Thursday.",
)
KETTLE = _conversation(
    "The kettle I bought from you leaks from the bottom.",
    "I am sorry. Does it leak when it is cold, or only when it boils?",
    "Only when it boils.",
    "Then the seal is broken. I will send you a new kettle today.",
)
PARCEL = _conversation(
    "My parcel has not arrived. It was due on Monday.",
    "I am sorry. The courier lost it on the way. Shall I send a new one?",
    "Yes, please, as soon as possible.",
    "I sent a new parcel today. It arrives on Friday.",
)
HISTORY = {
    "history": {
        "type": "messages",
        "description": "The turns so far: the customer's as “user”, the support's as “assistant”.",
        "example": LAMP,
    }
}


def _summary(system: str, request: str) -> Content:
    return {
        "kind": "chat",
        "syntax": "jinja",
        "messages": [_system(system), {"type": "placeholder", "name": "history"}, _user(request)],
        "variables": HISTORY,
        "parameters": GREEDY,
    }


AGENT = "You are a customer support agent. You write short, factual summaries."

CONVERSATION_SUMMARY = DemoPrompt(
    slug="conversation-summary",
    folder="support",
    description="Sums up a customer's conversation for the colleague who takes over.",
    tags=["chat", "summary"],
    steps=[
        Save(
            Role.EDITOR,
            "First version: hand over the conversation and ask for a summary.",
            _summary("You are a helpful assistant.", "Summarize this conversation in one sentence."),
        ),
        Try(Role.EDITOR, 1, [{"history": LAMP}, {"history": KETTLE}]),
        Save(
            Role.EDITOR,
            "Ask for the problem and the solution. Version 1 did not know what to look for.",
            _summary(
                "You are a helpful assistant.",
                "Summarize our conversation. What was the problem and what was the solution?",
            ),
        ),
        Try(Role.EDITOR, 2, [{"history": LAMP}]),
        Move(Role.REVIEWER, "production", 2, "Says what the customer wanted. Good enough for the help desk to begin."),
        Save(
            Role.EDITOR,
            "Give the model a role and ask for two sentences: colleagues read them on a phone.",
            _summary(
                AGENT,
                "Summarize the conversation in two sentences: what was the problem, and what was the solution?",
            ),
        ),
        Move(Role.EDITOR, "staging", 3, "To be read next to version 2."),
        Try(Role.REVIEWER, "staging", [{"history": LAMP}, {"history": KETTLE}, {"history": PARCEL}]),
        Move(
            Role.REVIEWER,
            "production",
            3,
            "Names the problem and the solution each time. Loose with days: see the parcel.",
        ),
        Save(
            Role.EDITOR,
            "Try a single sentence that begins with “The customer”.",
            _summary(AGENT, "Summarize the conversation above in one sentence. Begin with: The customer"),
        ),
        Move(Role.EDITOR, "staging", 4, "Half as long; is anything lost?"),
        Try(Role.REVIEWER, "staging", [{"history": LAMP}, {"history": KETTLE}]),
        RollBack(Role.REVIEWER, "staging", "Version 4 gets wrong what was done for the customer: see its runs."),
    ],
)

# --- A reply in the house's tone -------------------------------------------------------------------------------------

BROKEN_SHADE = {
    "question": "My lamp arrived with a broken shade.",
    "facts": "A new shade ships today, free of charge.",
}
LATE_PARCEL = {"question": "Where is my parcel?", "facts": "The parcel is late. It arrives on Friday."}
LOUD_KETTLE = {
    "question": "The kettle is too loud.",
    "facts": "The kettle can be sent back within 30 days for a full refund.",
}
RETURN_CHAIR = {
    "question": "I want to return a chair.",
    "facts": "Returns are free within 30 days. The label is in the parcel.",
}
QUESTION: dict[str, Any] = {
    "type": "string",
    "description": "What the customer wrote.",
    "example": BROKEN_SHADE["question"],
    "untrusted": True,
}
FACTS: dict[str, Any] = {
    "type": "string",
    "description": "What we can promise, in whole sentences. The reply says nothing else.",
    "example": BROKEN_SHADE["facts"],
}
TONE = "You are a support agent. Answer the customer in two friendly sentences with the facts."
ASKED = "Customer: {question}\nFacts: {facts}"
ASKED_APART = "Customer: <question>{question}</question>\nFacts: {facts}"


def _examples(form: str) -> list[dict[str, str]]:
    """A question and a complaint with their replies, in the form in which the customer's own will come."""
    table = {
        "question": "Is the oak table in stock?",
        "facts": "The oak table is in stock. Delivery takes five days.",
    }
    cup = {"question": "A cup is missing in my parcel.", "facts": "A new cup ships tomorrow, free of charge."}
    return [
        _user(form.format(**table)),
        _assistant("Thank you for asking. The oak table is in stock, and delivery takes five days."),
        _user(form.format(**cup)),
        _assistant("I am sorry that a cup is missing. A new cup ships tomorrow, free of charge."),
    ]


def _reply(messages: list[dict[str, str]], variables: dict[str, Any], **parameters: Any) -> Content:
    return {
        "kind": "chat",
        "syntax": "fstring",
        "messages": messages,
        "variables": variables,
        "parameters": {**GREEDY, **parameters},
    }


SUPPORT_REPLY = DemoPrompt(
    slug="support-reply",
    folder="support/email",
    description="Answers a customer in two friendly sentences that promise nothing beyond the facts.",
    tags=["few-shot", "mail"],
    steps=[
        Save(
            Role.EDITOR,
            "First version: the tone, and the customer's question.",
            _reply(
                [
                    _system("You are a support agent. Answer the customer in two friendly sentences."),
                    _user("{question}"),
                ],
                {"question": QUESTION},
            ),
        ),
        Try(Role.EDITOR, 1, [{"question": BROKEN_SHADE["question"]}, {"question": RETURN_CHAIR["question"]}]),
        Save(
            Role.EDITOR,
            "Give it the facts. Without them version 1 can only put the customer off.",
            _reply([_system(TONE), _user(ASKED)], {"question": QUESTION, "facts": FACTS}),
        ),
        Try(Role.EDITOR, 2, [BROKEN_SHADE, RETURN_CHAIR]),
        Save(
            Role.EDITOR,
            "Show two examples, a question and a complaint. A small model follows examples, not instructions.",
            _reply([_system(TONE), *_examples(ASKED), _user(ASKED)], {"question": QUESTION, "facts": FACTS}),
        ),
        Move(Role.EDITOR, "staging", 3, "First version that keeps to the facts."),
        Try(Role.REVIEWER, "staging", [BROKEN_SHADE, LATE_PARCEL]),
        Move(Role.REVIEWER, "production", 3, "Apologises, says the facts, and promises nothing else."),
        Save(
            Role.EDITOR,
            "Set the customer's words apart by tags: what a customer writes must not read like an order.",
            _reply(
                [_system(TONE), *_examples(ASKED_APART), _user(ASKED_APART)], {"question": QUESTION, "facts": FACTS}
            ),
        ),
        Move(Role.EDITOR, "staging", 4, "Does it still keep to the facts?"),
        Try(Role.REVIEWER, "staging", [BROKEN_SHADE, LATE_PARCEL, LOUD_KETTLE, RETURN_CHAIR]),
        Move(Role.REVIEWER, "production", 4, "It does, in all four replies."),
        Save(
            Role.EDITOR,
            "End at the first line break: a reply is one paragraph.",
            _reply(
                [_system(TONE), *_examples(ASKED_APART), _user(ASKED_APART)],
                {"question": QUESTION, "facts": FACTS},
                stop=["\n"],
            ),
        ),
        Move(Role.EDITOR, "staging", 5, "The same text, with a hard end."),
        Try(Role.EDITOR, "staging", [BROKEN_SHADE]),
        Protect(Role.ADMIN, "production", 1),
        Propose(
            Role.EDITOR,
            5,
            "production",
            "Stop at the end of the line",
            "Now and then a reply went on with a question that nobody had asked. The text is the same; it stops "
            "at the first line break.",
            [Role.REVIEWER],
            "Are there replies that need a second line, such as an address?",
        ),
    ],
)

# --- A label with a strict form --------------------------------------------------------------------------------------

REVIEWS = [
    "I love this kettle, it boils in no time!",
    "Too loud for my kitchen, sending it back.",
    "The parcel came on Tuesday.",
    "Good sound, but the battery died within a month.",
    "Delivery took three weeks and nobody answered.",
    "Would buy again. Great value for the price.",
]
REVIEW = {
    "review": {
        "type": "string",
        "description": "A customer's review, in English.",
        "example": REVIEWS[0],
        "max_length": 2000,
        "untrusted": True,
    }
}
LABELS = {
    "type": "object",
    "properties": {"sentiment": {"type": "string", "enum": ["positive", "negative", "neutral"]}},
    "required": ["sentiment"],
    "additionalProperties": False,
}


APART = "<review>{{{review}}}</review>"


def _labelled(review: str, sentiment: str, form: str = "{{{review}}}") -> list[dict[str, str]]:
    return [_user(form.replace("{{{review}}}", review)), _assistant(f'{{"sentiment": "{sentiment}"}}')]


def _one_of_each(form: str = "{{{review}}}") -> list[dict[str, str]]:
    return [
        *_labelled("The lamp is lovely and arrived a day early.", "positive", form),
        *_labelled("It broke after two days and nobody answers my mail.", "negative", form),
        *_labelled("The box has 20 screws. The manual is in English.", "neutral", form),
    ]


def _label(
    *messages: dict[str, str], longest: int, form: str = "{{{review}}}", schema: dict[str, Any] | None = LABELS
) -> Content:
    return {
        "kind": "chat",
        "syntax": "mustache",
        "messages": [*messages, _user(form)],
        "variables": REVIEW,
        "parameters": {"temperature": 0, "max_tokens": longest},
        "output_schema": schema,
    }


TASK = _system("Classify the sentiment of a customer review. Answer with JSON only.")
MIXED = _labelled("The chair looks nice, but it wobbles and I returned it.", "negative")


def _inputs(*reviews: str) -> list[dict[str, str]]:
    return [{"review": review} for review in reviews]


SENTIMENT_LABEL = DemoPrompt(
    slug="sentiment-label",
    folder="reviews",
    description="Labels a review positive, negative or neutral, as JSON that a program can read.",
    tags=["classification", "json"],
    steps=[
        Save(
            Role.EDITOR,
            "First version: just ask.",
            {
                **_label(longest=40, schema=None),
                "messages": [
                    _user("What is the sentiment of this review: positive, negative or neutral?\n\n{{{review}}}")
                ],
            },
        ),
        Try(Role.EDITOR, 1, _inputs(*REVIEWS[:2])),
        Save(
            Role.EDITOR,
            "Ask for JSON and say which: a program cannot read the essays of version 1.",
            _label(
                _system(
                    "Classify the sentiment of a customer review as positive, negative or neutral. "
                    'Answer with JSON only, such as {"sentiment": "neutral"}.'
                ),
                longest=30,
            ),
        ),
        Try(Role.EDITOR, 2, _inputs(REVIEWS[0])),
        Save(
            Role.EDITOR,
            "Show one example of each label. Version 2 still answered in sentences.",
            _label(TASK, *_one_of_each(), longest=16),
        ),
        Move(Role.EDITOR, "staging", 3, "To be tried on six reviews."),
        TryBatch(Role.REVIEWER, "staging", _inputs(*REVIEWS)),
        Move(Role.REVIEWER, "production", 3, "Every answer fits the schema. Known: mixed reviews come out positive."),
        Save(
            Role.EDITOR,
            "Add an example of a mixed review, last.",
            _label(TASK, *_one_of_each(), *MIXED, longest=16),
        ),
        Move(Role.EDITOR, "staging", 4, "Should mend the mixed reviews."),
        TryBatch(Role.REVIEWER, "staging", _inputs(*REVIEWS)),
        RollBack(Role.REVIEWER, "staging", "It repeats the label of the last example, even for praise: see the batch."),
        Save(
            Role.EDITOR,
            "Back to one example of each label, and set the review apart by tags: it must not read like an order.",
            _label(TASK, *_one_of_each(APART), form=APART, longest=16),
        ),
        TryBatch(Role.REVIEWER, 5, _inputs(*REVIEWS)),
        Move(
            Role.EDITOR,
            "staging",
            5,
            "Mixed reviews come out negative now, but the bare fact positive. To be discussed.",
        ),
    ],
)

PROMPTS = (CONVERSATION_SUMMARY, SUPPORT_REPLY, SENTIMENT_LABEL)
