"""What the writer can be asked to do to devboxes and their mounts.

The rules are pure modules of their own (`devboxes`, `mounts`, `sleep`); here they are carried out
on a draft: states replaced, SYSTEM events appended, all in the one transaction.
"""

import json
from dataclasses import dataclass, replace
from typing import ClassVar

from ranvier.events import NewEvent, devbox_id, payload_bytes
from ranvier.internal import (
    AppendAnswer,
    AppendEvent,
    AppendRequest,
    AttachAnswer,
    AttachRequest,
    DevboxBinding,
    DevboxView,
    ExecutingReport,
    SleepAnswer,
    SleepReason,
    SleepRequest,
)

from ranvier_apiserver import devboxes, mounts, notices, sleep
from ranvier_apiserver.errors import Fenced, MountNotFound
from ranvier_apiserver.journal import views
from ranvier_apiserver.journal.base import Draft
from ranvier_apiserver.journal.commands import Command
from ranvier_apiserver.state import Devbox, Mount, Wake


@dataclass(frozen=True, slots=True)
class BindDevbox(Command[DevboxView]):
    uid: str
    binding: DevboxBinding

    def run(self, draft: Draft) -> DevboxView:
        known = draft.find_devbox(self.uid)

        def start(axon_id: str) -> int:
            axon = draft.live_axon(axon_id)
            cursors = [m.cursor for box in draft.all_devboxes() for m in _on(box, axon_id)]
            return max([axon.cursor_floor, *cursors])

        devbox, dropped = devboxes.register(self.uid, known, self.binding, start, draft.now_ms)
        for mount in dropped:
            _drop(draft, mount)
        if devbox != known:
            draft.put_devbox(self.uid, devbox)
        return views.devbox_view(draft, devbox)


@dataclass(frozen=True, slots=True)
class ListDevboxes(Command[list[DevboxView]]):
    reads: ClassVar[bool] = True

    def run(self, draft: Draft) -> list[DevboxView]:
        return [views.devbox_view(draft, devbox) for devbox in draft.all_devboxes()]


@dataclass(frozen=True, slots=True)
class ListWakes(Command[list[Wake]]):
    reads: ClassVar[bool] = True

    def run(self, draft: Draft) -> list[Wake]:
        found = (views.wake_of(draft, devbox) for devbox in draft.all_devboxes())
        return [wake for wake in found if wake is not None]


@dataclass(frozen=True, slots=True)
class MountedAxons(Command[frozenset[str]]):
    reads: ClassVar[bool] = True
    uid: str

    def run(self, draft: Draft) -> frozenset[str]:
        devbox = draft.find_devbox(self.uid)
        return frozenset(mount.axon_id for mount in devbox.mounts) if devbox else frozenset()


@dataclass(frozen=True, slots=True)
class UnbindDevbox(Command[None]):
    """The Devbox resource is gone or shut down for good. Its axons keep what was read
    (`cursor_floor`)."""

    uid: str

    def run(self, draft: Draft) -> None:
        devbox = draft.find_devbox(self.uid)
        if devbox is None:
            return
        for mount in devbox.mounts:
            _drop(draft, devboxes.Dropped(mount.axon_id, mount.cursor, mount.open_turn))
        for axon_id in dict.fromkeys(mount.axon_id for mount in devbox.mounts):
            _notice(draft, axon_id, notices.devbox_shutdown(devbox_id(self.uid)))
        draft.put_devbox(self.uid, None)


@dataclass(frozen=True, slots=True)
class Sleep(Command[SleepAnswer]):
    """W3: decided and done in one transaction, so no event can slip in between."""

    uid: str
    request: SleepRequest

    def run(self, draft: Draft) -> SleepAnswer:
        devbox = draft.devbox(self.uid)
        answer = sleep.decide(views.sleep_facts(draft, devbox), self.request, draft.now_ms)
        if not sleep.closes_epochs(answer):
            return answer
        closed = []
        for mount in devbox.mounts:
            detached, turn = mounts.detach(mount)
            closed.append(detached)
            if turn is not None:
                failed = notices.turn_suspended(turn.turn_id, self.request.cause)
                _notice(draft, mount.axon_id, failed)
        reason = self.request.cause if answer.reason is SleepReason.FORCED else "idle"
        for axon_id in dict.fromkeys(mount.axon_id for mount in devbox.mounts):
            _notice(draft, axon_id, notices.devbox_suspended(devbox_id(self.uid), reason))
        asleep = replace(
            devbox,
            generation=answer.generation,
            asleep=True,
            resume_requested=False,
            executing=False,
            mounts=tuple(closed),
        )
        draft.put_devbox(self.uid, asleep)
        return answer


@dataclass(frozen=True, slots=True)
class Resume(Command[DevboxView]):
    """The REST API's resume; the view says what came of it."""

    uid: str

    def run(self, draft: Draft) -> DevboxView:
        devbox = devboxes.resume(draft.devbox(self.uid), draft.now_ms)
        draft.put_devbox(self.uid, devbox)
        return views.devbox_view(draft, devbox)


@dataclass(frozen=True, slots=True)
class KeepAlive(Command[None]):
    uid: str

    def run(self, draft: Draft) -> None:
        devbox = devboxes.keep_alive(draft.devbox(self.uid), draft.now_ms)
        draft.put_devbox(self.uid, devbox)


@dataclass(frozen=True, slots=True)
class FindDevbox(Command[DevboxView]):
    reads: ClassVar[bool] = True
    uid: str

    def run(self, draft: Draft) -> DevboxView:
        return views.devbox_view(draft, draft.devbox(self.uid))


@dataclass(frozen=True, slots=True)
class ReportExecuting(Command[None]):
    """W3: either this is first and no sleep is granted, or a sleep was and nothing is started."""

    uid: str
    report: ExecutingReport

    def run(self, draft: Draft) -> None:
        devbox = draft.devbox(self.uid)
        _require_generation(devbox, self.report.generation)
        reported = devboxes.report(devbox, self.report.executing, draft.now_ms)
        if reported != devbox:
            draft.put_devbox(self.uid, reported)


@dataclass(frozen=True, slots=True)
class Attach(Command[AttachAnswer]):
    """T5: a broker takes its mount; whoever had it before is fenced from here on."""

    uid: str
    index: int
    request: AttachRequest

    def run(self, draft: Draft) -> AttachAnswer:
        devbox = draft.devbox(self.uid)
        mount = _mount(devbox, self.index)
        _require_generation(devbox, self.request.generation)
        draft.live_axon(mount.axon_id)
        attached, turn = mounts.attach(mount, draft.now_ms)
        if turn is not None:
            _notice(draft, mount.axon_id, notices.turn_interrupted(turn.turn_id))
        awake = devboxes.wake_up(devbox, self.request.generation, draft.now_ms)
        draft.put_devbox(self.uid, _with_mount(awake, attached))
        return AttachAnswer(
            axon_id=attached.axon_id,
            epoch=attached.epoch,
            cursor=attached.cursor,
            control_cursor=attached.control_cursor,
            head=draft.head(attached.axon_id).sequence,
            state=json.loads(attached.state),
            closed_turn=views.turn_view(turn),
        )


@dataclass(frozen=True, slots=True)
class Append(Command[AppendAnswer]):
    """One batch of a broker: events, cursors, state and turn marks, all or nothing."""

    appends: ClassVar = True

    uid: str
    index: int
    request: AppendRequest
    state: str | None
    events: int  # type: ignore[misc]
    size: int  # type: ignore[misc]

    @classmethod
    def of(cls, uid: str, index: int, request: AppendRequest) -> "Append":
        """The command with its weight."""
        state = None if request.state is None else json.dumps(request.state)
        size = sum(payload_bytes(event.payload) for event in request.events) + len(state or "")
        return cls(uid, index, request, state, max(1, len(request.events)), size)

    def run(self, draft: Draft) -> AppendAnswer:
        devbox = draft.devbox(self.uid)
        mount = _mount(devbox, self.index)
        axon = draft.live_axon(mount.axon_id)
        at = mounts.Appending(
            draft.head(axon.axon_id).sequence,
            lambda sequence: draft.origin_of(axon, sequence),
            draft.now_ms,
        )
        appended = mounts.append(mount, self.request, self.state, at)
        if appended is None:
            return AppendAnswer(first_sequence=mount.last_first, last_sequence=mount.last_last)
        if self.request.events:
            draft.append_all(axon, [_new(event) for event in self.request.events])
        draft.put_devbox(self.uid, _with_mount(devbox, appended))
        return AppendAnswer(first_sequence=appended.last_first, last_sequence=appended.last_last)


def _new(event: AppendEvent) -> NewEvent:
    return NewEvent(event.origin, event.source, event.event_type, event.payload)


def _require_generation(devbox: Devbox, generation: int) -> None:
    if generation < devbox.generation:
        raise Fenced(
            f"This pod is of generation {generation}, but the devbox is at generation "
            f"{devbox.generation}: it was put to sleep since. The pod will go."
        )


def _mount(devbox: Devbox, index: int) -> Mount:
    if (mount := devbox.mount(index)) is None:
        raise MountNotFound(devbox.uid, index)
    return mount


def _with_mount(devbox: Devbox, changed: Mount) -> Devbox:
    kept = tuple(changed if mount.index == changed.index else mount for mount in devbox.mounts)
    return replace(devbox, mounts=kept)


def _on(devbox: Devbox, axon_id: str) -> list[Mount]:
    return [mount for mount in devbox.mounts if mount.axon_id == axon_id]


def _notice(draft: Draft, axon_id: str, event: NewEvent) -> None:
    """The journal's own events; a deleted axon hears nothing any more."""
    if draft.is_live(axon_id):
        draft.append(draft.axon(axon_id), event)


def _drop(draft: Draft, mount: devboxes.Dropped) -> None:
    if not draft.is_live(mount.axon_id):
        return
    axon = draft.axon(mount.axon_id)
    if mount.open_turn is not None:
        draft.append(axon, notices.turn_unmounted(mount.open_turn.turn_id))
    if mount.cursor > axon.cursor_floor:
        draft.put_axon(replace(axon, cursor_floor=mount.cursor))
