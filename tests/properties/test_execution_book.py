"""The book under random histories, with sidecars that die at any moment.

The launcher and the disk are played: what runs, and what was saved. Each execution runs at most
once, none runs while the journal could grant a sleep, and each that was answered for has its end.
"""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from ranvier_broker.executions import book, commands, events
from ranvier_broker.executions.book import Book, Refused, TooMany
from ranvier_broker.executions.events import Execution, Phase

NAMES = [f"exe_{letter}" for letter in "abcd"]


@dataclass
class World:
    """What outlives a sidecar, and the sidecar."""

    saved: dict[str, Execution] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    keepers: set[str] = field(default_factory=set)
    exits: dict[str, int] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    told: bool = False
    reports: list[bool] = field(default_factory=list)
    book: Book = field(default_factory=Book)
    listing: int = 1

    def feed(self, event: events.Event) -> None:
        try:
            found = self.book.handle(event, 0)
        except (TooMany, Refused):
            return
        for command in found:
            self.perform(command)

    def perform(self, command: commands.Command) -> None:
        match command:
            case commands.Save(execution):
                self.saved[execution.execution_id] = execution
            case commands.Spawn(name):
                assert self.told, "it runs while the journal may grant a sleep"
                self.running.add(name)
                self.keepers.add(name)
                self.runs[name] = self.runs.get(name, 0) + 1
                self.feed(events.Spawned(name, self.listing))
                self.feed(events.Started(name))
            case commands.Drain(name):
                self.feed(events.Drained(name, 1))
            case commands.Release(name):
                self.keepers.discard(name)
                self.exits.pop(name, None)
            case commands.Forget(name):
                self.saved.pop(name, None)
            case commands.Report(executing):
                self.reports.append(executing)
            case _:
                pass

    def restart(self) -> None:
        """kill -9: what was on its way to the journal may still arrive, as the journal allows."""
        self.reports.clear()
        self.book = Book(list(self.saved.values()))
        self.listing = 1
        self.feed(events.Begun())
        self.list_all()

    def list_all(self) -> None:
        untouched = frozenset(n for n in self.saved if n not in self.runs)
        self.feed(events.Listed(frozenset(self.keepers), self.listing, dict(self.exits), untouched))

    def answer_report(self) -> None:
        if self.reports:
            self.told = self.reports.pop(0)
            assert self.told or not self.running, "a sleep could be granted under a command"
            self.feed(events.Told(self.told))

    def end(self, name: str, is_heard: bool) -> None:
        if name in self.running:
            self.running.discard(name)
            self.exits[name] = 3
            if is_heard:
                self.feed(events.Exited(name, 3))

    def lose_container(self) -> None:
        self.running.clear()
        self.keepers.clear()
        self.exits.clear()
        self.listing += 1
        self.list_all()


steps = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(NAMES)),
    st.tuples(st.just("answer"), st.none()),
    st.tuples(st.just("end"), st.sampled_from(NAMES)),
    st.tuples(st.just("end unheard"), st.sampled_from(NAMES)),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("lose"), st.none()),
    st.tuples(st.just("drop"), st.sampled_from(NAMES)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=40))
def test_each_runs_once_under_a_journal_that_knows_and_has_its_end(history: list[object]) -> None:
    world = World()
    for step in history:
        act(world, *step)  # type: ignore[misc]
    # Everything comes to rest: the sidecar is there, commands end, reports arrive.
    world.restart()
    for _ in range(3 * len(NAMES)):
        world.answer_report()
        for name in NAMES:
            world.end(name, is_heard=True)
    world.answer_report()
    assert all(count == 1 for count in world.runs.values())
    assert not world.told
    assert world.keepers == set()
    for known in world.book.executions.values():
        assert known.phase is Phase.COMPLETED
        assert known.exit_status in (3, book.LOST_STATUS)


def act(world: World, kind: str, name: str) -> None:
    match kind:
        case "ask":
            if name not in world.runs:  # a name that was forgotten is not used again
                world.feed(events.Asked(Execution(name, "true", False, 1000)))
        case "answer":
            world.answer_report()
        case "end":
            world.end(name, is_heard=True)
        case "end unheard":
            world.end(name, is_heard=False)
        case "restart":
            world.restart()
        case "lose":
            world.lose_container()
        case "drop":
            world.feed(events.Dropped(name))
