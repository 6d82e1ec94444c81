import pytest

from gpu_worker.slots import Slots


def test_slots_know_for_how_long_none_has_been_free():
    now = [0.0]
    changes = []
    slots = Slots(2, lambda: changes.append(slots.free), clock=lambda: now[0])
    [one] = slots.take(1)
    now[0] = 5
    assert (slots.free, slots.full_seconds) == (1, 0.0)
    slots.take(1)
    now[0] = 8
    assert (slots.free, slots.full_seconds) == (0, 3.0)
    one.give_back()
    assert (slots.free, slots.full_seconds, changes) == (1, 0.0, [1])


def test_a_delivery_of_several_attempts_may_take_more_slots_than_there_are():
    slots = Slots(1, lambda: None)
    first, *others = slots.take(3)
    first.give_back()
    assert slots.free == -1
    for slot in others:
        slot.give_back()
    assert slots.free == 1


@pytest.mark.parametrize("total", [1, 3])
def test_as_many_may_be_storing_as_there_are_slots_and_then_none_is_taken(total):
    slots = Slots(total, lambda: None)
    taken = []
    while slots.free > 0:
        [slot] = slots.take(1)
        slot.leave_engine()
        taken.append(slot)
    assert (len(taken), slots.storing) == (2 * total, 2 * total)
    taken.pop().give_back()
    assert (slots.free, slots.storing) == (1, 2 * total - 1)


def test_a_slot_is_given_back_once():
    slots = Slots(2, lambda: None)
    [slot] = slots.take(1)
    slot.give_back()
    slot.leave_engine()
    slot.give_back()
    assert (slots.free, slots.storing) == (2, 0)
