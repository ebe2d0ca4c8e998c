"""Which answer belongs to which request, though answers carry no id."""

from axon_story import Story
from hypothesis import given
from hypothesis import strategies as st
from ranvier.remote.outcomes import UNCLAIMED_MAX, Outcomes

PROMPT = "session/prompt"


def outcomes() -> Outcomes:
    questions = frozenset({"session/request_permission"})
    return Outcomes(frozenset({PROMPT, "user.message"}), PROMPT, questions)


def read(story: Story) -> Outcomes:
    told = outcomes()
    for event in story.events:
        told.read(event)
    return told


@given(st.lists(st.sampled_from(["ask", "answer", "refuse"]), max_size=30))
def test_answers_of_a_method_belong_to_its_requests_in_their_order(actions: list[str]) -> None:
    story, waiting, expected = Story(), list[int](), dict[int, str | None]()
    for number, action in enumerate(actions):
        if action == "ask":
            waiting.append(story.user("session/new", {}).sequence)
        elif waiting:
            if action == "answer":
                story.agent("session/new", {"n": number})
            else:
                story.system("turn.failed", error="No.", method="session/new")
            expected[waiting.pop(0)] = None if action == "answer" else "No."
    told = read(story)
    for sequence, error in expected.items():
        outcome = told.take(sequence)
        assert outcome is not None
        assert outcome.error == error
        assert told.take(sequence) is None
    assert all(told.take(sequence) is None for sequence in waiting)


def test_a_prompts_outcome_is_the_end_of_the_turn_that_it_started() -> None:
    story = Story()
    first, second = story.prompt(), story.prompt()
    turn = story.started(first)
    story.agent(PROMPT, {"stopReason": "end_turn"})
    told = read(story)
    assert told.take(first.sequence) is None, "its turn is not over"
    told.read(story.completed(turn))
    outcome = told.take(first.sequence)
    assert outcome is not None
    assert outcome.payload == {"stopReason": "end_turn"}
    assert told.take(second.sequence) is None


def test_a_failed_turn_is_an_error_of_its_prompt_alone() -> None:
    story = Story()
    request, prompt = story.user("session/new"), story.prompt()
    turn = story.started(prompt)
    story.system("turn.failed", turn_id=turn, error="Gone.", reason="interrupted")
    told = read(story)
    assert told.take(request.sequence) is None
    outcome = told.take(prompt.sequence)
    assert outcome is not None
    assert (outcome.error, outcome.reason) == ("Gone.", "interrupted")


def test_an_answer_to_the_agent_is_no_request() -> None:
    story = Story()
    story.asks()
    story.answers("yes")
    again = story.asks()
    assert read(story).take(again.sequence - 1) is None


def test_what_nobody_asks_for_is_forgotten() -> None:
    story = Story()
    first = story.user("session/new")
    story.agent("session/new")
    for _ in range(UNCLAIMED_MAX):
        story.user("session/new")
        story.agent("session/new")
    assert read(story).take(first.sequence) is None
