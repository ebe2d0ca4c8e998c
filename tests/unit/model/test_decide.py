"""What the model says is a pure function of the request and of the faults already played."""

from collections import Counter

import pytest
from scripted.conversation import Cut, Hang, Json, Refuse, Reply, Request, Say, Tool, ToolCall
from scripted.decide import HALF, Decision, Fault, decide

SHELL = {"bash": Tool({"properties": {"command": {"type": "string"}}})}


def asked(
    *prompts: str,
    replies: int = 0,
    tools: dict[str, Tool] = SHELL,
    schema: Json | None = None,
) -> Request:
    return Request(prompts, replies, tools, "scripted-1", is_streamed=True, schema=schema)


def reply_to(*prompts: str, replies: int = 0) -> Reply:
    return decide(asked(*prompts, replies=replies), {}).reply


def played(prompt: str, faults: int = 0, replies: int = 0) -> list[str]:
    """The conversation an agent has that retries after each fault: one word a reply."""
    spent: Counter[Fault] = Counter()
    said = []
    while True:
        decision = decide(asked(prompt, replies=replies), spent)
        if decision.played:
            spent[decision.played] += 1
        match decision.reply:
            case Say(tool=ToolCall(arguments={"command": command})):
                said.append(command)
                replies += 1
            case Say() as last:
                return [*said, last.text]
            case fault:
                said.append(type(fault).__name__)


def test_each_reply_plays_the_next_directive() -> None:
    prompt = "Do it. [[bash one]] [[bash two]] [[text All done.]]"
    assert played(prompt) == ["one", "two", "All done."]


def test_a_script_that_is_over_ends_the_turn() -> None:
    assert played("[[bash one]]") == ["one", "done"]


def test_only_the_newest_prompt_is_played() -> None:
    assert reply_to("[[text old]]", "[[text new]]") == Say(("new",))


def test_a_prompt_without_a_script_is_echoed_up_to_a_limit() -> None:
    assert reply_to("hello there") == Say(("echo: ", "hello ", "there"))
    echoed = reply_to("x" * 5000)
    assert isinstance(echoed, Say)
    assert len(echoed.text) == len("echo: ") + 200


def test_a_request_without_tools_is_a_side_job_and_plays_nothing() -> None:
    assert decide(asked("[[http 500]]", tools={}), {}) == Decision(Say(("Scripted title",)))


def test_a_request_for_structured_output_gets_the_smallest_value() -> None:
    wanted = {"properties": {"ok": {"type": "boolean"}}}
    assert decide(asked("[[text no]]", schema=wanted), {}).reply == Say(('{"ok": false}',))


@pytest.mark.parametrize(
    ("prompt", "reply"),
    [
        ("[[text two words]]", Say(("two ", "words"))),
        ("[[text]]", Say(("",))),
        ("[[think hm well :: so it is]]", Say(("so ", "it ", "is"), thoughts=("hm ", "well"))),
        ("[[slow 250 2]]", Say(("tick0 ", "tick1 "), pause_seconds=0.25)),
        ("[[both I look :: ls]]", Say(("I ", "look"), tool=ToolCall("bash", {"command": "ls"}))),
        ("[[http 429]]", Refuse(429)),
        ("[[http 503 x2]]", Refuse(503)),
        ("[[drop]]", Cut(HALF, is_garbled=False)),
        ("[[badsse]]", Cut(HALF, is_garbled=True)),
        ("[[hang 5]]", Hang(5)),
        ("[[hang]]", Hang(60)),
    ],
)
def test_each_verb_has_its_reply(prompt: str, reply: Reply) -> None:
    assert reply_to(prompt) == reply


def test_history_tells_how_many_prompts_there_were_and_the_first() -> None:
    said = reply_to("My word is PELICAN. [[text hi]]", "plain", "[[history]]")
    assert isinstance(said, Say)
    assert said.text == 'HISTORY prompts=3 first="My word is PELICAN."'


def test_a_counted_fault_happens_that_often_and_then_the_script_goes_on() -> None:
    assert played("[[http 429 x2]] [[text fine]]") == ["Refuse", "Refuse", "fine"]


def test_faults_in_a_row_are_counted_apart() -> None:
    prompt = "[[http 429 x1]] [[drop x2]] [[text fine]]"
    assert played(prompt) == ["Refuse", "Cut", "Cut", "fine"]


def test_a_spent_fault_does_not_repeat_the_step_after_it() -> None:
    prompt = "[[http 500 x1]] [[bash one]] [[drop x1]] [[bash two]] [[text fine]]"
    assert played(prompt) == ["Refuse", "one", "Cut", "two", "fine"]


def test_a_fault_without_a_count_is_not_counted() -> None:
    assert decide(asked("[[http 500]]"), {}).played is None


@pytest.mark.parametrize("prompt", ["[[slow fast]]", "[[http]]", "[[http 200]]", "[[hang on]]"])
def test_a_directive_that_makes_no_sense_is_answered_with_itself(prompt: str) -> None:
    assert reply_to(prompt) == Say((f"cannot play {prompt}",))


def test_an_unknown_verb_is_named() -> None:
    assert reply_to("[[dance a jig]]") == Say(("unknown directive [[dance a jig]]",))


def test_a_missing_tool_is_told_with_those_on_offer() -> None:
    lost = asked("[[both hi :: ls]]", tools={"search": Tool(), "plan": Tool()})
    assert decide(lost, {}).reply == Say(("no such tool here; offered: search,plan",))
