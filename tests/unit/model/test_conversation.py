"""The transcript counts what a user said and how often the model answered since."""

from scripted.conversation import Transcript, text_of


def test_a_new_prompt_starts_its_script_from_the_beginning() -> None:
    transcript = Transcript()
    transcript.heard("first")
    transcript.called()
    transcript.called()
    assert (transcript.prompts, transcript.replies) == (["first"], 2)
    transcript.heard("second")
    assert (transcript.prompts, transcript.replies) == (["first", "second"], 0)


def test_what_an_agent_adds_is_taken_off_a_prompt() -> None:
    transcript = Transcript()
    transcript.heard(
        "<system-reminder>be\nbrief</system-reminder> hello <session_context>x</session_context>"
    )
    assert transcript.prompts == ["hello"]


def test_a_message_of_nothing_but_additions_is_no_prompt() -> None:
    transcript = Transcript()
    transcript.heard("[[bash ls]]")
    transcript.called()
    transcript.heard("<system-reminder>the mode has changed</system-reminder>")
    assert (transcript.prompts, transcript.replies) == (["[[bash ls]]"], 1)


def test_content_is_a_string_or_parts_of_which_some_have_no_text() -> None:
    assert text_of("plain") == "plain"
    assert text_of([{"type": "text", "text": "a"}, {"type": "image"}, {"text": "b"}]) == "ab"
    assert text_of(None) == ""
